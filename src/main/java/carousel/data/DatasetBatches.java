package carousel.data;

/** Batches of the dataset's own extents, two of which are reused: a full one, and one for what a pass leaves over. */
abstract class DatasetBatches extends DatasetExtents {
    private final int batchSize;
    /** What a pass leaves over after its full batches; 0 when nothing is left, or all batches are full. */
    private final int left;
    /** Made when they are asked for: who only wants to know which sequences are in a batch needs no room for them. */
    private Batch full;

    private Batch rest;

    DatasetBatches(SequenceDataset dataset, int batchSize, boolean allFull) {
        super(dataset);
        this.batchSize = batchSize;
        this.left = allFull ? 0 : dataset.size() % batchSize;
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
        return batchOf(left != 0 && dataset().size() - position < batchSize ? left : batchSize);
    }

    /** The batch of so many sequences, as many as the full ones or as a pass leaves over. */
    final Batch batchOf(int sequences) {
        if (sequences == batchSize) {
            full = full == null ? dataset().newBatch(batchSize) : full;
            return full;
        }
        rest = rest == null ? dataset().newBatch(left) : rest;
        return rest;
    }

    @Override
    public final long batchesPerEpoch() {
        return (dataset().size() + (long) batchSize - 1) / batchSize;
    }

    @Override
    public final int batchSize() {
        return batchSize;
    }
}
