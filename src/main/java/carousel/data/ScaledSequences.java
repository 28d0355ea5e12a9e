package carousel.data;

/** Sequences whose features are scaled when they are read: all alike, or each sequence by itself. Padding stays 0. */
public final class ScaledSequences extends DerivedDataset {
    /** Null for each sequence by itself. */
    private final SeriesScaling scaling;

    private ScaledSequences(SequenceDataset dataset, SeriesScaling scaling) {
        super(dataset);
        this.scaling = scaling;
    }

    /**
     * All sequences by one scaling, as {@link SeriesScaling#fit(SeriesScaling.Kind, SequenceDataset)} finds it in the
     * training part.
     *
     * @throws IllegalArgumentException if it is not for as many features
     */
    public static ScaledSequences alike(SequenceDataset dataset, SeriesScaling scaling) {
        if (scaling.columns().size() != dataset.features()) {
            throw new IllegalArgumentException("the scaling of " + dataset.name() + " should be for "
                    + dataset.features() + " features but is for "
                    + scaling.columns().size());
        }
        return new ScaledSequences(dataset, scaling);
    }

    /** Each feature of each sequence to mean 0 and deviation 1 over its own steps: only the shape counts. */
    public static ScaledSequences eachByItself(SequenceDataset dataset) {
        return new ScaledSequences(dataset, null);
    }

    @Override
    public String name() {
        return origin().name();
    }

    @Override
    public int size() {
        return origin().size();
    }

    @Override
    public void read(int index, Batch into, int row) {
        origin().read(index, into, row);
        int steps = into.lengths() == null ? timeSteps() : into.lengths()[row];
        double[] values = new double[steps];
        double[] counted = new double[steps];
        for (int c = 0; c < features(); c++) {
            int count = 0;
            for (int t = 0; t < steps; t++) {
                int step = t * into.batchSize() + row;
                values[t] = into.inputs()[step * features() + c];
                if (into.mask() == null || into.mask()[step]) {
                    counted[count++] = values[t];
                }
            }
            if (count == 0) {
                continue;
            }
            SeriesScaling.Column column = scaling != null
                    ? scaling.columns().get(c)
                    : SeriesScaling.fit(
                            SeriesScaling.Kind.STANDARD, "", SeriesScaling.Transform.NONE, counted, 0, count);
            for (int t = 0; t < steps; t++) {
                into.inputs()[(t * into.batchSize() + row) * features() + c] = (float) column.scaled(values[t]);
            }
        }
    }
}
