package carousel.data;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.data.ShuffledBatches.Mode;
import carousel.engine.RandomSequence;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

class BatchSourceTest {
    private static final int SIZE = 23;
    private final SequenceDataset dataset = new NumberedSequences(SIZE);

    @ParameterizedTest
    @ValueSource(ints = {1, 4, 5, 22, 23})
    void eachShuffledEpochSeesEveryExampleOnce(int batchSize) {
        BatchSource source = new ShuffledBatches(dataset, batchSize, 7, Mode.PER_EPOCH);
        assertEquals((SIZE + batchSize - 1) / batchSize, source.batchesPerEpoch());
        List<List<Integer>> orders = new ArrayList<>();
        for (int epoch = 0; epoch < 3; epoch++) {
            List<Integer> seen = new ArrayList<>();
            for (long k = 0; k < source.batchesPerEpoch(); k++) {
                Batch batch = source.batch(epoch * source.batchesPerEpoch() + k);
                boolean last = k == source.batchesPerEpoch() - 1;
                assertEquals(last ? SIZE - (int) k * batchSize : batchSize, batch.batchSize());
                seen.addAll(members(batch));
            }
            assertEquals(everything(), seen.stream().sorted().toList());
            orders.add(seen);
        }
        assertNotEquals(everything(), orders.get(0));
        assertEquals(3, orders.stream().distinct().count(), "each epoch should have an order of its own");
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 4, 5, 22, 23})
    void continuousBatchesAreFullAndRunOverTheBorder(int batchSize) {
        BatchSource source = new ShuffledBatches(dataset, batchSize, 7, Mode.CONTINUOUS);
        List<Integer> stream = new ArrayList<>();
        for (int k = 0; k < SIZE; k++) {
            Batch batch = source.batch(k);
            assertEquals(batchSize, batch.batchSize());
            stream.addAll(members(batch));
        }
        // SIZE batches are exactly batchSize epochs.
        for (int epoch = 0; epoch < batchSize; epoch++) {
            List<Integer> seen = stream.subList(epoch * SIZE, (epoch + 1) * SIZE);
            assertEquals(everything(), seen.stream().sorted().toList());
        }
    }

    @Test
    void bothModesGoThroughTheSameOrders() {
        BatchSource perEpoch = new ShuffledBatches(dataset, SIZE, 7, Mode.PER_EPOCH);
        BatchSource continuous = new ShuffledBatches(dataset, 5, 7, Mode.CONTINUOUS);
        List<Integer> expected = new ArrayList<>(members(perEpoch.batch(0)));
        expected.addAll(members(perEpoch.batch(1)));
        List<Integer> border = expected.subList(20, 25);
        assertEquals(border, members(continuous.batch(4)));
    }

    @ParameterizedTest
    @EnumSource(Mode.class)
    void anyOrderOfAskingGivesTheSameBatches(Mode mode) {
        BatchSource inTurn = new ShuffledBatches(dataset, 5, 11, mode);
        List<String> expected = new ArrayList<>();
        for (int k = 0; k < 40; k++) {
            expected.add(contents(inTurn.batch(k)));
        }
        BatchSource jumping = new ShuffledBatches(dataset, 5, 11, mode);
        for (int k : new RandomSequence(1, 0, 0).permutation(40)) {
            assertEquals(expected.get(k), contents(jumping.batch(k)), "batch " + k);
            assertEquals(expected.get(k), contents(jumping.batch(k)), "batch " + k + " again");
        }
        BatchSource other = new ShuffledBatches(dataset, 5, 12, mode);
        assertNotEquals(expected.get(0), contents(other.batch(0)), "another seed should give another order");
    }

    @Test
    void shufflingIsFairToEveryPlace() {
        int epochs = 4000;
        int size = 8;
        BatchSource source = new ShuffledBatches(new NumberedSequences(size), size, 5, Mode.PER_EPOCH);
        int[][] counts = new int[size][size];
        for (int epoch = 0; epoch < epochs; epoch++) {
            int[] labels = source.batch(epoch).labels();
            for (int row = 0; row < size; row++) {
                counts[row][labels[row]]++;
            }
        }
        // Expected 500 with a standard deviation of 21; six of them are never reached by chance.
        for (int[] row : counts) {
            for (int count : row) {
                assertTrue(Math.abs(count - epochs / size) < 126, () -> Arrays.deepToString(counts));
            }
        }
    }

    @Test
    void sequentialBatchesGoInOrderAndBeginAgain() {
        BatchSource source = new SequentialBatches(dataset, 10);
        assertEquals(3, source.batchesPerEpoch());
        for (int pass = 0; pass < 2; pass++) {
            assertEquals(everything().subList(0, 10), members(source.batch(pass * 3)));
            assertEquals(everything().subList(10, 20), members(source.batch(pass * 3 + 1)));
            assertEquals(everything().subList(20, 23), members(source.batch(pass * 3 + 2)));
        }
    }

    @Test
    void sequentialBatchOfASmallDatasetIsTheWhole() {
        BatchSource source = new SequentialBatches(dataset, 1000);
        assertEquals(1, source.batchesPerEpoch());
        assertEquals(SIZE, source.batchSize());
        assertEquals(everything(), members(source.batch(0)));
    }

    @Test
    void batchesAreReused() {
        BatchSource source = new ShuffledBatches(dataset, 5, 1, Mode.PER_EPOCH);
        Batch full = source.batch(0);
        Batch last = source.batch(4);
        assertEquals(3, last.batchSize());
        assertSame(full, source.batch(1));
        assertSame(last, source.batch(9));
    }

    @Test
    void sourceTellsItsExtents() {
        BatchSource source = new SequentialBatches(dataset, 5);
        assertEquals("numbered", source.name());
        assertEquals(5, source.batchSize());
        assertEquals(3, source.timeSteps());
        assertEquals(2, source.features());
        assertEquals(SIZE, source.classes());
        assertEquals(0, source.targetSize());
        assertTrue(source.variableLengths());
    }

    @ParameterizedTest
    @ValueSource(ints = {-1, 0, 24})
    void refusesABatchSizeOutOfRange(int batchSize) {
        String message = assertThrows(
                        IllegalArgumentException.class,
                        () -> new ShuffledBatches(dataset, batchSize, 1, Mode.CONTINUOUS))
                .getMessage();
        assertEquals("the batch size for numbered should be in the [1, 23] range but got " + batchSize, message);
    }

    @Test
    void refusesNumbersThatHaveNoBatch() {
        assertThrows(IllegalArgumentException.class, () -> new SequentialBatches(dataset, 0));
        for (BatchSource source : List.of(
                new SequentialBatches(dataset, 5),
                new ShuffledBatches(dataset, 5, 1, Mode.PER_EPOCH),
                new ShuffledBatches(dataset, 5, 1, Mode.CONTINUOUS))) {
            assertThrows(IllegalArgumentException.class, () -> source.batch(-1));
            assertThrows(IllegalArgumentException.class, () -> source.batch(Long.MAX_VALUE));
        }
    }

    private static List<Integer> everything() {
        return IntStream.range(0, SIZE).boxed().toList();
    }

    private static List<Integer> members(Batch batch) {
        return Arrays.stream(batch.labels()).boxed().toList();
    }

    private static String contents(Batch batch) {
        return Arrays.toString(batch.inputs()) + Arrays.toString(batch.lengths()) + Arrays.toString(batch.labels());
    }
}
