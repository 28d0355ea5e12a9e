package carousel.data;

/** Batches of the dataset's own extents, two of which are reused: a full one, and one for what a pass leaves over. */
abstract class DatasetBatches extends DatasetExtents {
    private final Batch full;
    /** What a pass leaves over after its full batches; null when nothing is left. */
    private final Batch rest;

    DatasetBatches(SequenceDataset dataset, int batchSize, boolean allFull) {
        super(dataset);
        this.full = dataset.newBatch(batchSize);
        int left = dataset.size() % batchSize;
        this.rest = left == 0 || allFull ? null : dataset.newBatch(left);
    }

    static void requireBatchSize(SequenceDataset dataset, int batchSize, int most) {
        if (batchSize < 1 || batchSize > most) {
            throw new IllegalArgumentException("the batch size for " + dataset.name() + " should be in the [1, " + most
                    + "] range but got " + batchSize);
        }
    }

    /** How many examples come before a batch when all are full; refuses numbers that have no answer. */
    static long examplesBefore(long number, int batchSize) {
        long most = Long.MAX_VALUE / batchSize - 1;
        if (number < 0 || number > most) {
            throw new IllegalArgumentException(
                    "the number of a batch should be in the [0, " + most + "] range but got " + number);
        }
        return number * batchSize;
    }

    /** The batch for the examples of a pass from this position on. */
    final Batch batchAt(int position) {
        return rest != null && dataset().size() - position < full.batchSize() ? rest : full;
    }

    @Override
    public final long batchesPerEpoch() {
        return (dataset().size() + (long) full.batchSize() - 1) / full.batchSize();
    }

    @Override
    public final int batchSize() {
        return full.batchSize();
    }
}
