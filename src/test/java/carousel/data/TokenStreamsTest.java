package carousel.data;

import static carousel.fixture.Refusals.assertRefused;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class TokenStreamsTest {
    private static TokenStreams of(int tokens, int batchSize, int timeSteps) {
        return new TokenStreams("numbers", IntStream.range(0, tokens).toArray(), tokens, batchSize, timeSteps);
    }

    @Test
    void rowsRunThroughStretchesAndLabelsAreWhatFollows() {
        TokenStreams source = of(12, 2, 3);
        // Stretches 0..4 and 5..9; token 11 is left out.
        assertEquals(2, source.batchesPerEpoch());
        Batch first = source.batch(0);
        assertArrayEquals(new int[] {0, 5, 1, 6, 2, 7}, first.tokens());
        assertArrayEquals(new int[] {1, 6, 2, 7, 3, 8}, first.labels());
        Batch rest = source.batch(1);
        assertEquals(2, rest.timeSteps());
        assertArrayEquals(new int[] {3, 8, 4, 9}, rest.tokens());
        assertArrayEquals(new int[] {4, 9, 5, 10}, rest.labels());
        assertArrayEquals(first.tokens(), source.batch(2).tokens(), "the next epoch begins anew");
        assertTrue(source.contiguous());
    }

    @ParameterizedTest
    @CsvSource({"2, 1, 1", "2, 1, 9", "100, 1, 7", "100, 7, 7", "101, 10, 10", "57, 56, 3", "1000, 13, 11"})
    void anEpochReadsEachStretchOnceInOrder(int tokens, int batchSize, int timeSteps) {
        TokenStreams source = of(tokens, batchSize, timeSteps);
        int stretch = (tokens - 1) / batchSize;
        int[] next = IntStream.range(0, batchSize).map(n -> n * stretch).toArray();
        for (long k = 0; k < source.batchesPerEpoch(); k++) {
            Batch batch = source.batch(k);
            assertEquals(batchSize, batch.batchSize());
            for (int t = 0; t < batch.timeSteps(); t++) {
                for (int n = 0; n < batchSize; n++) {
                    assertEquals(next[n]++, batch.tokens()[t * batchSize + n]);
                    assertEquals(next[n], batch.labels()[t * batchSize + n]);
                }
            }
        }
        for (int n = 0; n < batchSize; n++) {
            assertEquals((n + 1) * stretch, next[n], "stream " + n + " is read to its end");
        }
    }

    @Test
    void whatCannotBeIsRefused() {
        assertRefused(IllegalArgumentException.class, () -> of(1, 1, 1), "2 or more tokens but has 1");
        assertRefused(IllegalArgumentException.class, () -> of(5, 5, 1), "[1, 4] range but got 5");
        assertRefused(IllegalArgumentException.class, () -> of(5, 0, 1), "[1, 4] range but got 0");
        assertRefused(IllegalArgumentException.class, () -> of(5, 1, 0), "1 or more but got 0");
        assertRefused(IllegalArgumentException.class, () -> of(5, 1, 1).batch(-1), "0 or more but got -1");
    }

    /** The token behind a separator is the first of another document, wherever it stands in a batch. */
    @ParameterizedTest
    @CsvSource({"1, 4", "3, 5", "7, 2", "20, 100"})
    void documentsBeginBehindTheirSeparators(int batchSize, int timeSteps) {
        int[] tokens = IntStream.range(0, 200).map(k -> k * k % 11).toArray();
        TokenStreams source = TokenStreams.ofDocuments("documents", tokens, 11, batchSize, timeSteps, 4);
        TokenStreams plain = new TokenStreams("tokens", tokens, 11, batchSize, timeSteps);
        int stretch = 199 / batchSize;
        int found = 0;
        int start = 0;
        for (long k = 0; k < source.batchesPerEpoch(); k++) {
            Batch batch = source.batch(k);
            assertArrayEquals(plain.batch(k).tokens(), batch.tokens());
            assertArrayEquals(plain.batch(k).labels(), batch.labels());
            for (int step = 0; step < batch.tokens().length; step++) {
                int at = step % batchSize * stretch + start + step / batchSize;
                assertEquals(at > 0 && tokens[at - 1] == 4, batch.resets()[step], "token " + at);
                found += batch.resets()[step] ? 1 : 0;
            }
            start += batch.timeSteps();
        }
        assertTrue(found > 20, found + " documents");
        assertNull(plain.batch(0).resets());
        assertRefused(
                IllegalArgumentException.class,
                () -> TokenStreams.ofDocuments("documents", tokens, 11, 1, 1, 11),
                "documents",
                "[0, 10] range but got 11");
        assertRefused(
                IllegalArgumentException.class,
                () -> TokenStreams.ofDocuments("documents", tokens, 11, 1, 1, -1),
                "but got -1");
    }
}
