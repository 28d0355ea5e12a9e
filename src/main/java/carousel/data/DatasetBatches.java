package carousel.data;

/** What the sources of a dataset's batches have in common: the extents, and the two batches that are reused. */
abstract class DatasetBatches implements BatchSource {
    private final SequenceDataset dataset;
    private final Batch full;
    /** What a pass leaves over after its full batches; null when nothing is left. */
    private final Batch rest;

    DatasetBatches(SequenceDataset dataset, int batchSize, boolean allFull) {
        this.dataset = dataset;
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
        return rest != null && dataset.size() - position < full.batchSize() ? rest : full;
    }

    final SequenceDataset dataset() {
        return dataset;
    }

    @Override
    public final String name() {
        return dataset.name();
    }

    @Override
    public final long batchesPerEpoch() {
        return (dataset.size() + (long) full.batchSize() - 1) / full.batchSize();
    }

    @Override
    public final int batchSize() {
        return full.batchSize();
    }

    @Override
    public final int timeSteps() {
        return dataset.timeSteps();
    }

    @Override
    public final int features() {
        return dataset.features();
    }

    @Override
    public final int classes() {
        return dataset.classes();
    }

    @Override
    public final int targetSize() {
        return dataset.targetSize();
    }

    @Override
    public final boolean variableLengths() {
        return dataset.variableLengths();
    }
}
