package carousel.data;

import static carousel.fixture.Refusals.assertRefused;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.HashSet;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class SequencePairsTest {
    private static Stream<SequencePairs> kinds() {
        return Stream.of(
                SequencePairs.copy(10, 2, 6, 3), SequencePairs.reverse(4, 1, 5, 3), SequencePairs.addition(2, 3));
    }

    private static int[] column(int[] values, int batchSize, int row, int length) {
        int[] column = new int[length];
        for (int t = 0; t < length; t++) {
            column[t] = values[t * batchSize + row];
        }
        for (int t = length; t < values.length / batchSize; t++) {
            assertEquals(0, values[t * batchSize + row], "padding");
        }
        return column;
    }

    private static String source(SequencePairs pairs, Batch batch, int row) {
        Batch source = batch.source();
        return pairs.text(column(source.tokens(), source.batchSize(), row, source.lengths()[row]));
    }

    @Test
    void answersAreWhatPeopleWouldSay() {
        SequencePairs sums = SequencePairs.addition(3, 1);
        assertEquals("357", sums.text(sums.answer(sums.source("12+345"))));
        assertEquals("1998", sums.text(sums.answer(sums.source("999+999"))));
        assertEquals("0", sums.text(sums.answer(sums.source("0+0"))));
        assertEquals("5", sums.text(sums.answer(sums.source("002+03"))));
        SequencePairs reverses = SequencePairs.reverse(26, 1, 6, 1);
        assertEquals("zba", reverses.text(reverses.answer(reverses.source("abz"))));
        SequencePairs copies = SequencePairs.copy(3, 1, 8, 1);
        assertEquals("abc", copies.text(copies.answer(copies.source("abc"))));
        assertEquals("ab", copies.text(copies.start(), 0, 1, copies.end()), "start and end are no letters");
        assertEquals(13, sums.vocabulary());
        assertEquals(7, sums.longestSource());
        assertEquals(4, sums.longestAnswer());
    }

    /** The decoder reads start and answer, and should say answer and end. */
    @ParameterizedTest
    @MethodSource("kinds")
    void batchesHoldSourceAndAnswer(SequencePairs pairs) {
        Batch batch = pairs.batches(200, 1).batch(3);
        int n = batch.batchSize();
        Set<Integer> sourceLengths = new TreeSet<>();
        for (int row = 0; row < n; row++) {
            int[] source =
                    column(batch.source().tokens(), n, row, batch.source().lengths()[row]);
            int[] read = column(batch.tokens(), n, row, batch.lengths()[row]);
            int[] said = column(batch.labels(), n, row, batch.lengths()[row]);
            int[] answer = pairs.answer(source);
            assertEquals(pairs.start(), read[0]);
            assertEquals(pairs.end(), said[answer.length]);
            assertEquals(answer.length + 1, read.length);
            for (int k = 0; k < answer.length; k++) {
                assertEquals(answer[k], read[k + 1]);
                assertEquals(answer[k], said[k]);
            }
            sourceLengths.add(source.length);
        }
        assertTrue(sourceLengths.contains(pairs.longestSource()), "lengths " + sourceLengths);
        assertTrue(sourceLengths.size() >= 2, "lengths " + sourceLengths);
        assertEquals(pairs.vocabulary(), batch.features());
        assertEquals(pairs.longestSource(), batch.source().timeSteps());
        assertEquals(pairs.longestAnswer() + 1, batch.timeSteps());
    }

    /** Nothing that is trained on is evaluated with; of a sum neither its other order. */
    @ParameterizedTest
    @MethodSource("kinds")
    void heldOutSourcesAreNotTrainedOn(SequencePairs pairs) {
        Set<String> trained = new HashSet<>();
        BatchSource stream = pairs.batches(100, 10);
        for (int number = 0; number < 200; number++) {
            Batch batch = stream.batch(number);
            for (int row = 0; row < 100; row++) {
                trained.add(source(pairs, batch, row));
            }
        }
        Set<String> heldOut = new HashSet<>();
        Batch batch = new SequentialBatches(pairs.heldOut(2_000), 2_000).batch(0);
        for (int row = 0; row < 2_000; row++) {
            String text = source(pairs, batch, row);
            heldOut.add(text);
            assertTrue(!trained.contains(text), text + " was trained on");
            String[] terms = text.split("\\+");
            assertTrue(
                    terms.length < 2 || !trained.contains(terms[1] + "+" + terms[0]), text + " was trained on in turn");
        }
        assertTrue(heldOut.size() > 50 && trained.size() > 500, heldOut.size() + " and " + trained.size());
    }

    @ParameterizedTest
    @MethodSource("kinds")
    void aPairIsAFunctionOfSeedAndNumber(SequencePairs pairs) {
        SequenceDataset dataset = pairs.dataset(100, 50).range(10, 30).subset(3, 4);
        Batch one = dataset.newBatch(1);
        dataset.read(1, one, 0);
        Batch many = pairs.batches(38, 5).batch(3);
        assertEquals(source(pairs, many, 0), source(pairs, one, 0), "114 is the first of the batch");
        assertEquals(many.lengths()[0], one.lengths()[0]);
        Batch again = pairs.batches(38, 5).batch(3);
        assertArrayEquals(many.labels(), again.labels());
        assertArrayEquals(many.source().tokens(), again.source().tokens());
        assertTrue(dataset.variableLengths());
    }

    @Test
    void whatIsOutOfRangeIsRefused() {
        refused(() -> SequencePairs.addition(1, 1), "digits", "[2, 9]", "1");
        refused(() -> SequencePairs.addition(10, 1), "got 10");
        refused(() -> SequencePairs.copy(1, 1, 6, 1), "letters", "[2, 26]");
        refused(() -> SequencePairs.copy(27, 1, 6, 1), "got 27");
        refused(() -> SequencePairs.reverse(5, 0, 6, 1), "0 to 6");
        refused(() -> SequencePairs.reverse(5, 7, 6, 1), "7 to 6");
        refused(() -> SequencePairs.reverse(5, 1, 10_001, 1), "10000");
        refused(() -> SequencePairs.reverse(9, 1, 3, 1), "1000 different", "longer sequences");
        SequencePairs sums = SequencePairs.addition(2, 1);
        for (String text : new String[] {"", "+", "1+", "+1", "1+2+3", "123+1", "1+123", "12"}) {
            refused(() -> sums.source(text), "two numbers of 1 to 2 digits", "'" + text + "'");
        }
        refused(() -> sums.source("1-2"), "'-'", "digits and a plus sign");
        refused(() -> sums.answer(1, 11, 2), "[11]");
        refused(() -> sums.text(13), "[0, 12]", "13");
        SequencePairs letters = SequencePairs.copy(10, 2, 6, 3);
        refused(() -> letters.source("abk"), "a to j", "'k'");
        refused(() -> letters.source("abcdefg"), "1 to 6 of the symbols");
        refused(() -> letters.answer(0, -1), "[-1]");
        refused(() -> letters.dataset(-1, 3), "start of -1");
        refused(() -> letters.batches(0, 3), "sequences", "got 0");
        refused(() -> letters.batches(1, 0), "got 0");
        refused(() -> BucketedBatches.sorted(letters.heldOut(4), 2), "has tokens", "SequentialBatches");
    }

    private static void refused(Executable use, String... parts) {
        assertRefused(IllegalArgumentException.class, use, parts);
    }
}
