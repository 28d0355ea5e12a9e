package carousel.data;

/** A source whose batches are of the sequences of a dataset, and have its extents. */
abstract class DatasetExtents implements BatchSource {
    private final SequenceDataset dataset;

    DatasetExtents(SequenceDataset dataset) {
        this.dataset = dataset;
    }

    public final SequenceDataset dataset() {
        return dataset;
    }

    @Override
    public final String name() {
        return dataset.name();
    }

    /** A source may have batches of fewer steps; this is the most. */
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
