package carousel.data;

import carousel.engine.RandomSequence;
import java.util.Objects;

/**
 * The adding problem, a test of long memory: of T values two are marked, and the answer at the end is their sum.
 *
 * <p>Devised by Hochreiter &amp; Schmidhuber, "Long short-term memory" (1997), experiment 4; this is the variant that has
 * become usual since, as in Le, Jaitly &amp; Hinton, "A simple way to initialize recurrent networks of rectified linear
 * units" (2015), and Arjovsky, Shah &amp; Bengio, "Unitary evolution recurrent neural networks" (2016). Each step has two
 * features: a value, uniform in [0, 1), and a marker, 1 at two steps and 0 at all others. One marked step is uniform over
 * the first half, steps 0 to T/2 - 1, the other over the second half, steps T/2 to T - 1 (T/2 rounded down). The one target
 * is the sum of the two marked values. Always answering 1 has a mean squared error of 1/6 = 0.1667, the variance of the sum
 * of two uniform numbers: whoever stays there has learnt nothing. (The 1997 paper draws values from [-1, 1], marks the ends
 * with -1, varies the length and scales the target.)
 *
 * <p>Sequence k is a pure function of the seed and k, so there is no end of them.
 */
public final class AddingProblem {
    /** The mean squared error of always answering 1. */
    public static final double TRIVIAL_ERROR = 1.0 / 6;

    /** The longest sequences. */
    public static final int MAX_TIME_STEPS = 1_000_000;

    /** The number of the first sequence held out of {@link #batches}, far beyond any run. */
    private static final long HELD_OUT = 1L << 40;

    private static final int FEATURES = 2;

    private final int timeSteps;
    private final long seed;

    /**
     * @param timeSteps T, in [2, {@value #MAX_TIME_STEPS}]
     * @throws IllegalArgumentException if it is not
     */
    public AddingProblem(int timeSteps, long seed) {
        if (timeSteps < 2 || timeSteps > MAX_TIME_STEPS) {
            throw new IllegalArgumentException("the time steps of the adding problem should be in the [2, "
                    + MAX_TIME_STEPS + "] range but got " + timeSteps);
        }
        this.timeSteps = timeSteps;
        this.seed = seed;
    }

    /** The sequences {@code first .. first + size - 1} as a dataset; made anew at each read. */
    public SequenceDataset dataset(long first, int size) {
        if (first < 0 || first > Long.MAX_VALUE - Integer.MAX_VALUE || size < 1) {
            throw new IllegalArgumentException(
                    "a dataset of the adding problem should start at 0 or later and have 1 or"
                            + " more sequences but got a start of " + first + " and " + size + " sequences");
        }
        return new Sequences(first, size);
    }

    /** Sequences that {@link #batches} does not reach, to evaluate with. */
    public SequenceDataset heldOut(int size) {
        return dataset(HELD_OUT, size);
    }

    /**
     * Sequences 0, 1, 2 and so on in full batches, never one twice.
     *
     * @param batchSize N, 1 or more
     * @param batchesPerEpoch 1 or more; what to call an epoch, as there is no natural one
     * @throws IllegalArgumentException if one of them is below 1
     */
    public BatchSource batches(int batchSize, long batchesPerEpoch) {
        return new Stream(batchSize, batchesPerEpoch);
    }

    private String name() {
        return "adding problem over " + timeSteps + " steps";
    }

    private void draw(long sequence, Batch into, int row) {
        RandomSequence random = new RandomSequence(seed, RandomStreams.ADDING, sequence);
        int batchSize = into.batchSize();
        float[] inputs = into.inputs();
        for (int t = 0; t < timeSteps; t++) {
            int x = (t * batchSize + row) * FEATURES;
            // 24 bits are exact in a float; a rounded double could become 1.
            inputs[x] = (random.nextWord() >>> 8) * 0x1p-24f;
            inputs[x + 1] = 0;
        }
        int half = timeSteps / 2;
        int first = (random.nextInt(half) * batchSize + row) * FEATURES;
        int second = ((half + random.nextInt(timeSteps - half)) * batchSize + row) * FEATURES;
        inputs[first + 1] = 1;
        inputs[second + 1] = 1;
        into.targets()[row] = inputs[first] + inputs[second];
    }

    private final class Sequences implements SequenceDataset {
        private final long first;
        private final int size;

        Sequences(long first, int size) {
            this.first = first;
            this.size = size;
        }

        @Override
        public String name() {
            return AddingProblem.this.name();
        }

        @Override
        public int size() {
            return size;
        }

        @Override
        public int timeSteps() {
            return timeSteps;
        }

        @Override
        public int features() {
            return FEATURES;
        }

        @Override
        public int classes() {
            return 0;
        }

        @Override
        public int targetSize() {
            return 1;
        }

        @Override
        public void read(int index, Batch into, int row) {
            Objects.checkIndex(index, size);
            Objects.checkIndex(row, into.batchSize());
            draw(first + index, into, row);
        }
    }

    private final class Stream implements BatchSource {
        private final Batch batch;
        private final long batchesPerEpoch;

        Stream(int batchSize, long batchesPerEpoch) {
            if (batchesPerEpoch < 1) {
                throw new IllegalArgumentException(
                        "the batches of an epoch should be 1 or more but got " + batchesPerEpoch);
            }
            this.batch = new Batch(timeSteps, batchSize, FEATURES, 1, false);
            this.batchesPerEpoch = batchesPerEpoch;
        }

        @Override
        public String name() {
            return AddingProblem.this.name();
        }

        @Override
        public long batchesPerEpoch() {
            return batchesPerEpoch;
        }

        @Override
        public int batchSize() {
            return batch.batchSize();
        }

        @Override
        public int timeSteps() {
            return timeSteps;
        }

        @Override
        public int features() {
            return FEATURES;
        }

        @Override
        public int classes() {
            return 0;
        }

        @Override
        public int targetSize() {
            return 1;
        }

        @Override
        public boolean variableLengths() {
            return false;
        }

        @Override
        public Batch batch(long number) {
            long first = DatasetBatches.examplesBefore(number, batchSize());
            for (int row = 0; row < batchSize(); row++) {
                draw(first + row, batch, row);
            }
            return batch;
        }
    }
}
