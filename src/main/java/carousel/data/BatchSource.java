package carousel.data;

/**
 * Batches by number. {@link #batch} is a pure function of the number, so that a run that was interrupted continues by
 * asking for the next one. Not thread-safe: the batch is reused.
 */
public interface BatchSource {
    /** What the batches are taken from, for people. */
    String name();

    /** How many batches make an epoch, 1 or more: batch k belongs to epoch {@code k / batchesPerEpoch()}. */
    long batchesPerEpoch();

    /** N of a full batch; the last batch of an epoch may be smaller where the source says so. */
    int batchSize();

    /** T. */
    int timeSteps();

    /** C; of tokens the size of the vocabulary. */
    int features();

    /** The number of classes; 0 for real targets. */
    int classes();

    /** K, the number of real targets of a sequence; 0 for labelled data. */
    int targetSize();

    /** Whether batches carry {@link Batch#lengths() lengths}. */
    boolean variableLengths();

    /**
     * Whether each row of a batch goes on where the same row of the batch before it ended, from the first batch of an epoch on,
     * so that a model may carry its state from one to the next. All batches of such a source have the same N.
     */
    default boolean contiguous() {
        return false;
    }

    /**
     * The batch of this number, valid until the next call.
     *
     * @param number counted from 0 over the whole run
     * @throws IllegalArgumentException if the number is negative, or so large that its examples can't be counted
     */
    Batch batch(long number);
}
