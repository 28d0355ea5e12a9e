package carousel.data;

/** A dataset made of another one, whose sequences have the same extents. */
abstract class DerivedDataset implements SequenceDataset {
    private final SequenceDataset origin;

    DerivedDataset(SequenceDataset origin) {
        this.origin = origin;
    }

    /** What it is made of. */
    final SequenceDataset origin() {
        return origin;
    }

    @Override
    public final int timeSteps() {
        return origin.timeSteps();
    }

    @Override
    public final int features() {
        return origin.features();
    }

    @Override
    public final int classes() {
        return origin.classes();
    }

    @Override
    public final int targetSize() {
        return origin.targetSize();
    }

    @Override
    public final Batch newBatch(int batchSize) {
        return origin.newBatch(batchSize);
    }

    @Override
    public final boolean variableLengths() {
        return origin.variableLengths();
    }
}
