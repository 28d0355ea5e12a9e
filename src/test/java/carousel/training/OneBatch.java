package carousel.training;

import carousel.data.Batch;
import carousel.data.BatchSource;

/** The same batch again and again. */
record OneBatch(Batch batch, long batchesPerEpoch) implements BatchSource {
    @Override
    public String name() {
        return "one batch";
    }

    @Override
    public int batchSize() {
        return batch.batchSize();
    }

    @Override
    public int timeSteps() {
        return batch.timeSteps();
    }

    @Override
    public int features() {
        return batch.features();
    }

    @Override
    public int classes() {
        return batch.features();
    }

    @Override
    public int targetSize() {
        return batch.targetSize();
    }

    @Override
    public boolean variableLengths() {
        return batch.lengths() != null;
    }

    @Override
    public Batch batch(long number) {
        return batch;
    }
}
