package carousel.data;

import carousel.engine.RandomSequence;

/**
 * A dataset in a new random order each epoch, for training. The order of an epoch depends only on the seed and the epoch.
 * Only the current epoch's order is kept, so asking for batches in turn is cheap and jumping costs one permutation.
 */
public final class ShuffledBatches extends DatasetBatches implements DrawnBatches {
    /** What happens where the batches do not divide the dataset. */
    public enum Mode {
        /** The last batch of an epoch is smaller, so that each epoch sees every example exactly once. */
        PER_EPOCH,
        /**
         * All batches are full: a batch that the epoch's examples can't fill takes the next epoch's first ones, as in
         * the {@code next_batch} of TensorFlow's MNIST reader. Batch k holds the examples {@code k * N} to
         * {@code k * N + N - 1} of the endless stream, and {@link #batchesPerEpoch()} is rounded up.
         */
        CONTINUOUS
    }

    private final long seed;
    private final Mode mode;
    private int[] order;
    private long orderedEpoch = -1;

    /**
     * @param batchSize in [1, the dataset's size]
     * @throws IllegalArgumentException if it is not
     */
    public ShuffledBatches(SequenceDataset dataset, int batchSize, long seed, Mode mode) {
        super(dataset, checked(dataset, batchSize), mode == Mode.CONTINUOUS);
        this.seed = seed;
        this.mode = mode;
    }

    private static int checked(SequenceDataset dataset, int batchSize) {
        requireBatchSize(dataset, batchSize, dataset.size());
        return batchSize;
    }

    @Override
    public int[] members(long number) {
        long examplesBefore = examplesBefore(number, batchSize());
        long epoch;
        int position;
        if (mode == Mode.PER_EPOCH) {
            epoch = number / batchesPerEpoch();
            position = (int) (number % batchesPerEpoch()) * batchSize();
        } else {
            epoch = examplesBefore / dataset().size();
            position = (int) (examplesBefore % dataset().size());
        }
        shuffle(epoch);
        int[] members = new int[mode == Mode.PER_EPOCH ? Math.min(batchSize(), order.length - position) : batchSize()];
        for (int row = 0; row < members.length; row++) {
            if (position == order.length) {
                position = 0;
                shuffle(++epoch);
            }
            members[row] = order[position++];
        }
        return members;
    }

    @Override
    public Batch batch(long number) {
        int[] members = members(number);
        Batch batch = batchOf(members.length);
        for (int row = 0; row < members.length; row++) {
            dataset().read(members[row], batch, row);
        }
        return batch;
    }

    private void shuffle(long epoch) {
        if (epoch != orderedEpoch) {
            order = new RandomSequence(seed, RandomStreams.SHUFFLE, epoch)
                    .permutation(dataset().size());
            orderedEpoch = epoch;
        }
    }
}
