package carousel.training;

import carousel.data.Batch;
import carousel.data.BatchSource;
import java.util.function.LongFunction;

/** A source with the extents of another one and batches of a test's own making. */
record OtherBatches(BatchSource source, LongFunction<Batch> batches) implements BatchSource {
    @Override
    public String name() {
        return source.name();
    }

    @Override
    public long batchesPerEpoch() {
        return source.batchesPerEpoch();
    }

    @Override
    public int batchSize() {
        return source.batchSize();
    }

    @Override
    public int timeSteps() {
        return source.timeSteps();
    }

    @Override
    public int features() {
        return source.features();
    }

    @Override
    public int classes() {
        return source.classes();
    }

    @Override
    public int targetSize() {
        return source.targetSize();
    }

    @Override
    public boolean variableLengths() {
        return source.variableLengths();
    }

    @Override
    public Batch batch(long number) {
        return batches.apply(number);
    }
}
