package carousel.data;

import java.util.stream.IntStream;

/**
 * A dataset in its own order, for evaluation. The last batch of a pass is smaller where the sizes do not divide, so that a
 * pass sees every example once; after the last batch the pass begins again.
 */
public final class SequentialBatches extends DatasetBatches implements DrawnBatches {
    /**
     * @param batchSize 1 or more; a whole dataset smaller than that is one batch
     * @throws IllegalArgumentException if the batch size is below 1
     */
    public SequentialBatches(SequenceDataset dataset, int batchSize) {
        super(dataset, capped(dataset, batchSize), false);
    }

    private static int capped(SequenceDataset dataset, int batchSize) {
        requireBatchSize(dataset, batchSize, Integer.MAX_VALUE);
        return Math.min(batchSize, dataset.size());
    }

    @Override
    public int[] members(long number) {
        int first = first(number);
        return IntStream.range(first, Math.min(first + batchSize(), dataset().size()))
                .toArray();
    }

    private int first(long number) {
        examplesBefore(number, batchSize());
        return (int) (number % batchesPerEpoch()) * batchSize();
    }

    @Override
    public Batch batch(long number) {
        int first = first(number);
        Batch batch = batchAt(first);
        for (int row = 0; row < batch.batchSize(); row++) {
            dataset().read(first + row, batch, row);
        }
        return batch;
    }
}
