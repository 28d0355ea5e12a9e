package carousel.data;

/**
 * One batch of sequences in host memory, time-major. A batch belongs to the source that filled it and is reused by it: its
 * arrays are valid until the source's next call, and whoever keeps them longer copies them.
 */
public final class Batch {
    private final int timeSteps;
    private final int batchSize;
    private final int features;
    private final int targetSize;
    private final float[] inputs;
    private final int[] tokens;
    private final int[] lengths;
    private final int[] labels;
    private final float[] targets;
    private final Batch source;
    private final boolean[] mask;
    private final boolean[] resets;

    /**
     * A batch of zeros.
     *
     * @param timeSteps T, 1 or more
     * @param batchSize N, 1 or more
     * @param features C, 1 or more
     * @param targetSize K, the number of real targets of a sequence; 0 for class labels instead
     * @param variableLengths whether each sequence says how many of its steps are valid
     * @throws IllegalArgumentException if an extent is out of range or the inputs exceed one array
     */
    public Batch(int timeSteps, int batchSize, int features, int targetSize, boolean variableLengths) {
        requireExtent("time steps", timeSteps, 1);
        requireExtent("sequences", batchSize, 1);
        requireExtent("features", features, 1);
        requireExtent("real targets", targetSize, 0);
        this.timeSteps = timeSteps;
        this.batchSize = batchSize;
        this.features = features;
        this.targetSize = targetSize;
        this.inputs = new float[requireArray(timeSteps, batchSize, features)];
        this.tokens = null;
        this.lengths = variableLengths ? new int[batchSize] : null;
        this.labels = targetSize == 0 ? new int[batchSize] : null;
        this.targets = targetSize > 0 ? new float[requireArray(1, batchSize, targetSize)] : null;
        this.source = null;
        this.mask = null;
        this.resets = null;
    }

    private Batch(int timeSteps, int batchSize, int vocabulary, boolean variableLengths) {
        requireExtent("time steps", timeSteps, 1);
        requireExtent("sequences", batchSize, 1);
        requireExtent("tokens", vocabulary, 1);
        this.timeSteps = timeSteps;
        this.batchSize = batchSize;
        this.features = vocabulary;
        this.targetSize = 0;
        this.inputs = null;
        this.tokens = new int[requireArray(timeSteps, batchSize, 1)];
        this.lengths = variableLengths ? new int[batchSize] : null;
        this.labels = new int[tokens.length];
        this.targets = null;
        this.source = null;
        this.mask = null;
        this.resets = null;
    }

    /** The same arrays beside others. */
    private Batch(Batch answer, Batch source, boolean[] mask, boolean[] resets) {
        this.timeSteps = answer.timeSteps;
        this.batchSize = answer.batchSize;
        this.features = answer.features;
        this.targetSize = answer.targetSize;
        this.inputs = answer.inputs;
        this.tokens = answer.tokens;
        this.lengths = answer.lengths;
        this.labels = answer.labels;
        this.targets = answer.targets;
        this.source = source;
        this.mask = mask;
        this.resets = resets;
    }

    /**
     * A batch of tokens, all 0, with a label for each step, such as the token that follows.
     *
     * @param vocabulary tokens and labels are in [0, vocabulary)
     * @throws IllegalArgumentException if an extent is out of range or the tokens exceed one array
     */
    public static Batch ofTokens(int timeSteps, int batchSize, int vocabulary) {
        return ofTokens(timeSteps, batchSize, vocabulary, false);
    }

    /**
     * The same, of sequences that may be shorter: what comes behind the end of one counts for nothing.
     *
     * @param variableLengths whether each sequence says how many of its steps are valid
     */
    public static Batch ofTokens(int timeSteps, int batchSize, int vocabulary, boolean variableLengths) {
        return new Batch(timeSteps, batchSize, vocabulary, variableLengths);
    }

    /**
     * This batch, its arrays shared, as what a decoder reads and should answer to these sources.
     *
     * @param value of as many sequences; has lengths of its own, and its labels and targets count for nothing
     */
    public Batch withSource(Batch value) {
        if (value.batchSize != batchSize) {
            throw new IllegalArgumentException("the source of a batch should be of as many sequences, " + batchSize
                    + ", but is of " + value.batchSize);
        }
        return new Batch(this, value, mask, resets);
    }

    /**
     * The same batch, in the same arrays, whose steps count only where a mask says so: LSTM layers leave the others out, wherever
     * they are, and a loss at every step does not count them.
     *
     * @param value {@code [T, N]}: whether step t of sequence n counts at {@code t * N + n}; null for all. Kept, not copied.
     * @throws IllegalArgumentException if it is not that long
     */
    public Batch withMask(boolean[] value) {
        return new Batch(this, source, requireEachStep("mask", value), resets);
    }

    /**
     * The same batch, in the same arrays, whose sequences start anew in their midst: at such a step a model forgets all that it has
     * read of the sequence, here and in batches before, as at the start of another document.
     *
     * @param value {@code [T, N]}: whether sequence n starts anew with step t at {@code t * N + n}; null for nowhere. Kept, not
     *     copied.
     * @throws IllegalArgumentException if it is not that long
     */
    public Batch withResets(boolean[] value) {
        return new Batch(this, source, mask, requireEachStep("resets", value));
    }

    private boolean[] requireEachStep(String what, boolean[] value) {
        long steps = (long) timeSteps * batchSize;
        if (value != null && value.length != steps) {
            throw new IllegalArgumentException("the " + what + " of " + this + " should have " + steps
                    + " values, one a step, but got " + value.length);
        }
        return value;
    }

    private static void requireExtent(String what, int extent, int least) {
        if (extent < least) {
            throw new IllegalArgumentException(
                    "the " + what + " of a batch should be " + least + " or more but got " + extent);
        }
    }

    private static int requireArray(int steps, int sequences, int width) {
        // Not one product: three extents can pass 2^63.
        long perStep = (long) sequences * width;
        if (perStep > Integer.MAX_VALUE / steps) {
            throw new IllegalArgumentException("a batch should have at most " + Integer.MAX_VALUE + " values but got "
                    + steps + " x " + sequences + " x " + width + ": lower the batch size");
        }
        return (int) (perStep * steps);
    }

    /** T. */
    public int timeSteps() {
        return timeSteps;
    }

    /** N. */
    public int batchSize() {
        return batchSize;
    }

    /** C; of a batch of tokens the size of the vocabulary. */
    public int features() {
        return features;
    }

    /** K, the number of real targets of a sequence; 0 with class labels. */
    public int targetSize() {
        return targetSize;
    }

    /**
     * x {@code [T, N, C]}, exactly that long: feature c of step t of sequence n is at {@code (t * N + n) * C + c}; null in a batch
     * of tokens.
     */
    public float[] inputs() {
        return inputs;
    }

    /** The tokens {@code [T, N]}: that of step t of sequence n is at {@code t * N + n}; null in a batch of real inputs. */
    public int[] tokens() {
        return tokens;
    }

    /** The number of valid steps of each sequence {@code [N]}, in [0, T]; null when all have T. */
    public int[] lengths() {
        return lengths;
    }

    /** The class of each sequence {@code [N]}, or with tokens of each step {@code [T, N]}; null with real targets. */
    public int[] labels() {
        return labels;
    }

    /** The targets of each sequence {@code [N, K]}, row-major; null with class labels. */
    public float[] targets() {
        return targets;
    }

    /** What an encoder reads, sequence for sequence; null in a batch for a model without one. */
    public Batch source() {
        return source;
    }

    /** Whether step t of sequence n counts, {@code [T, N]} at {@code t * N + n}; null when all up to their ends do. */
    public boolean[] mask() {
        return mask;
    }

    /** Whether sequence n starts anew with step t, {@code [T, N]} at {@code t * N + n}; null when none does. */
    public boolean[] resets() {
        return resets;
    }

    @Override
    public String toString() {
        return "batch [" + timeSteps + ", " + batchSize + ", " + features + "] with "
                + (tokens != null ? "tokens" : labels != null ? "labels" : targetSize + " targets")
                + (source == null ? "" : ", for a " + source);
    }
}
