package carousel.data;

import carousel.engine.RandomSequence;

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
public final class AddingProblem extends DrawnSequences {
    /** The mean squared error of always answering 1. */
    public static final double TRIVIAL_ERROR = 1.0 / 6;

    /** The longest sequences. */
    public static final int MAX_TIME_STEPS = 1_000_000;

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

    @Override
    String name() {
        return "adding problem over " + timeSteps + " steps";
    }

    @Override
    int timeSteps() {
        return timeSteps;
    }

    @Override
    int features() {
        return FEATURES;
    }

    @Override
    int targetSize() {
        return 1;
    }

    @Override
    Batch newBatch(int batchSize) {
        return new Batch(timeSteps, batchSize, FEATURES, 1, false);
    }

    @Override
    void draw(long sequence, Batch into, int row) {
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
}
