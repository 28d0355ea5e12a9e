package carousel.data;

/**
 * A fixed collection of sequences, each with a class label or with real targets. Reading is random access and changes
 * nothing, so that any number of threads and batch sources may share a dataset.
 */
public interface SequenceDataset {
    /** What it is, for people. */
    String name();

    /** The number of sequences, 1 or more. */
    int size();

    /** T, the number of steps that every sequence is laid out for. */
    int timeSteps();

    /** C, the number of features of a step. */
    int features();

    /** The number of classes; 0 for real targets. */
    int classes();

    /** K, the number of real targets of a sequence; 0 for labelled data. */
    int targetSize();

    /** Whether sequences may be shorter than {@link #timeSteps()}; then every read sets the row's length. */
    default boolean variableLengths() {
        return false;
    }

    /**
     * Writes one sequence with its label or targets into one row of a batch and leaves the other rows alone. All
     * {@code T * C} inputs of the row are written, the padding of a shorter sequence with zeros.
     *
     * @param index in [0, {@link #size()})
     * @param into a batch of this dataset's extents, as {@link #newBatch} makes
     * @param row in [0, N)
     * @throws IndexOutOfBoundsException if the index or the row is out of range
     */
    void read(int index, Batch into, int row);

    /**
     * An empty batch of this many sequences, fit for {@link #read}. That of a dataset whose steps do not all count has a {@link
     * Batch#mask() mask}, of which every read sets the row's {@code T} values.
     */
    default Batch newBatch(int batchSize) {
        return new Batch(timeSteps(), batchSize, features(), targetSize(), variableLengths());
    }

    /**
     * The sequences {@code from .. to - 1}, as a view.
     *
     * @throws IllegalArgumentException if the range is empty or not inside this dataset
     */
    default SequenceDataset range(int from, int to) {
        return DatasetView.range(this, from, to);
    }

    /**
     * The sequences of these indices in this order, as a view; an index may appear more than once.
     *
     * @throws IllegalArgumentException if there are no indices or one is not in this dataset
     */
    default SequenceDataset subset(int... indices) {
        return DatasetView.subset(this, indices);
    }
}
