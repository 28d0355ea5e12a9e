package carousel.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.engine.RandomSequence;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class BucketedBatchesTest {
    private static final int SIZE = 53;
    private static final int LONGEST = 9;
    /** Sequence k has 1 + k mod 9 steps, all of whose inputs are k + 1. */
    private final SequenceDataset dataset = new NumberedSequences(SIZE, LONGEST, 2);

    @ParameterizedTest
    @ValueSource(ints = {1, 4, 5, 52, 53})
    void eachEpochSeesEverySequenceOnce(int batchSize) {
        Set<List<Integer>> orders = new HashSet<>();
        for (boolean shuffled : new boolean[] {true, false}) {
            BucketedBatches source = shuffled
                    ? BucketedBatches.shuffled(dataset, batchSize, 7)
                    : BucketedBatches.sorted(dataset, batchSize);
            for (int epoch = 0; epoch < 3; epoch++) {
                List<Integer> seen = new ArrayList<>();
                for (long k = 0; k < source.batchesPerEpoch(); k++) {
                    long number = epoch * source.batchesPerEpoch() + k;
                    Batch batch = source.batch(number);
                    boolean last = k == source.batchesPerEpoch() - 1;
                    assertEquals(last ? SIZE - (int) k * batchSize : batchSize, batch.batchSize());
                    assertArrayEquals(source.members(number), batch.labels());
                    Arrays.stream(batch.labels()).forEach(seen::add);
                }
                assertEquals(
                        IntStream.range(0, SIZE).boxed().toList(),
                        seen.stream().sorted().toList());
                orders.add(seen);
            }
        }
        assertEquals(4, orders.size(), "each shuffled epoch has an order of its own, the sorted ones have one");
    }

    @Test
    void batchesAreAsLongAsTheirLongest() {
        BucketedBatches source = BucketedBatches.shuffled(dataset, 5, 3);
        Set<Integer> extents = new HashSet<>();
        for (long k = 0; k < 3 * source.batchesPerEpoch(); k++) {
            Batch batch = source.batch(k);
            int longest = Arrays.stream(batch.lengths()).max().getAsInt();
            int shortest = Arrays.stream(batch.lengths()).min().getAsInt();
            assertEquals(longest, batch.timeSteps());
            assertTrue(longest - shortest <= 2, "lengths " + Arrays.toString(batch.lengths()));
            extents.add(longest);
            for (int t = 0; t < longest; t++) {
                for (int row = 0; row < batch.batchSize(); row++) {
                    int sequence = batch.labels()[row];
                    assertEquals(1 + sequence % LONGEST, batch.lengths()[row]);
                    for (int c = 0; c < 2; c++) {
                        assertEquals(
                                t < batch.lengths()[row] ? sequence + 1 : 0,
                                batch.inputs()[(t * batch.batchSize() + row) * 2 + c]);
                    }
                }
            }
        }
        assertTrue(extents.size() > 6, "extents " + extents);
    }

    @Test
    void anyOrderOfAskingGivesTheSameBatches() {
        BucketedBatches inTurn = BucketedBatches.shuffled(dataset, 5, 11);
        List<String> expected = new ArrayList<>();
        for (int k = 0; k < 40; k++) {
            expected.add(contents(inTurn.batch(k)));
        }
        BucketedBatches jumping = BucketedBatches.shuffled(dataset, 5, 11);
        for (int k : new RandomSequence(1, 0, 0).permutation(40)) {
            assertEquals(expected.get(k), contents(jumping.batch(k)), "batch " + k);
        }
        List<String> other = new ArrayList<>();
        BucketedBatches otherSeed = BucketedBatches.shuffled(dataset, 5, 12);
        for (int k = 0; k < 40; k++) {
            other.add(contents(otherSeed.batch(k)));
        }
        assertNotEquals(expected, other);
    }

    @Test
    void sortedBatchesGoFromShortToLong() {
        BucketedBatches source = BucketedBatches.sorted(new NumberedSequences(6, 3, 1), 4);
        assertArrayEquals(new int[] {0, 3, 1, 4}, source.members(0));
        assertArrayEquals(new int[] {2, 5}, source.members(1));
        assertEquals(2, source.batch(0).timeSteps());
        assertEquals(3, source.batch(1).timeSteps());
        assertEquals(4, source.batchSize());
        assertEquals(1, BucketedBatches.sorted(dataset, 1000).batchesPerEpoch());
        // 12 steps are valid. The first batch has 4 x 2, the second 2 x 3; without buckets it would be 6 x 3.
        assertEquals(1 - 12 / 14.0, source.paddingShare(0), 1e-12);
        assertEquals(1 - 12 / 18.0, source.paddingShareWithoutBuckets(), 1e-12);
    }

    @Test
    void bucketsSparePadding() {
        BucketedBatches source = BucketedBatches.shuffled(dataset, 5, 3);
        for (int epoch = 0; epoch < 5; epoch++) {
            assertTrue(source.paddingShare(epoch) < 0.12, "padding " + source.paddingShare(epoch));
        }
        assertTrue(source.paddingShareWithoutBuckets() > 0.4);
    }

    /** Where batches don't divide the dataset, sequences of no length are always in the small one. */
    @Test
    void anyLengthCanBeInTheSmallBatch() {
        BucketedBatches source = BucketedBatches.shuffled(dataset, 10, 5);
        Set<Integer> extents = new HashSet<>();
        for (int epoch = 0; epoch < 60; epoch++) {
            extents.add(source.batch((epoch + 1) * source.batchesPerEpoch() - 1).timeSteps());
        }
        assertTrue(extents.size() >= 5, "extents " + extents);
    }

    @Test
    void realTargetsAndEqualLengthsPassThrough() {
        SequenceDataset adding = new AddingProblem(6, 1).dataset(0, 7);
        BucketedBatches source = BucketedBatches.sorted(adding, 3);
        Batch batch = source.batch(1);
        assertEquals(6, batch.timeSteps());
        assertNull(batch.lengths());
        Batch expected = new SequentialBatches(adding, 3).batch(1);
        assertArrayEquals(expected.inputs(), batch.inputs());
        assertArrayEquals(expected.targets(), batch.targets());
        assertEquals(0, source.paddingShare(0));
        assertEquals(1, source.targetSize());
        assertEquals(0, source.classes());
    }

    @Test
    void tellsItsExtentsAndRefusesBadOnes() {
        BucketedBatches source = BucketedBatches.shuffled(dataset, 5, 3);
        assertEquals("numbered", source.name());
        assertEquals(LONGEST, source.timeSteps());
        assertEquals(2, source.features());
        assertEquals(SIZE, source.classes());
        assertTrue(source.variableLengths());
        assertThrows(IllegalArgumentException.class, () -> BucketedBatches.shuffled(dataset, 0, 1));
        assertThrows(IllegalArgumentException.class, () -> BucketedBatches.shuffled(dataset, SIZE + 1, 1));
        assertThrows(IllegalArgumentException.class, () -> BucketedBatches.sorted(dataset, 0));
        assertThrows(IllegalArgumentException.class, () -> source.batch(-1));
        assertThrows(IllegalArgumentException.class, () -> source.batch(Long.MAX_VALUE));
    }

    private static String contents(Batch batch) {
        return Arrays.toString(batch.inputs()) + Arrays.toString(batch.lengths()) + Arrays.toString(batch.labels());
    }

    /** Through views and scalings too, and in batches of all kinds. */
    @Test
    void masksComeAlongWithTheirSequences() {
        SequenceDataset masked = ScaledSequences.eachByItself(new MaskedSequences(SIZE, LONGEST, 2).range(0, SIZE));
        for (BatchSource source : List.of(
                BucketedBatches.shuffled(masked, 5, 3),
                BucketedBatches.sorted(masked, 7),
                new SequentialBatches(masked, 8),
                new ShuffledBatches(masked, 6, 2, ShuffledBatches.Mode.PER_EPOCH))) {
            int left = 0;
            for (long k = 0; k < source.batchesPerEpoch(); k++) {
                Batch batch = source.batch(k);
                for (int row = 0; row < batch.batchSize(); row++) {
                    for (int t = 0; t < batch.timeSteps(); t++) {
                        boolean counts = batch.mask()[t * batch.batchSize() + row];
                        assertEquals(MaskedSequences.counts(batch.labels()[row], t), counts);
                        left += counts ? 0 : 1;
                    }
                }
            }
            assertTrue(left > SIZE, left + " steps left out");
        }
        assertNull(BucketedBatches.sorted(dataset, 7).batch(0).mask());
    }

    /** What is left out of a sequence says nothing about its mean, nor does it where it is not a number. */
    @Test
    void aSequenceIsScaledByTheStepsThatCount() {
        Batch one = new Batch(4, 1, 1, 0, false).withMask(new boolean[] {true, false, true, false});
        SequenceDataset origin = new SequenceDataset() {
            @Override
            public String name() {
                return "one";
            }

            @Override
            public int size() {
                return 1;
            }

            @Override
            public int timeSteps() {
                return 4;
            }

            @Override
            public int features() {
                return 1;
            }

            @Override
            public int classes() {
                return 1;
            }

            @Override
            public int targetSize() {
                return 0;
            }

            @Override
            public void read(int index, Batch into, int row) {
                System.arraycopy(new float[] {5, Float.NaN, 9, 1e9f}, 0, into.inputs(), 0, 4);
            }
        };
        ScaledSequences.eachByItself(origin).read(0, one, 0);
        assertEquals(-1, one.inputs()[0], 1e-6);
        assertEquals(1, one.inputs()[2], 1e-6);
    }
}
