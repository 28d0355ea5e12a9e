package carousel.data;

/** Sequences that say which they are: every input of sequence k is k + 1, its label k, and its length 1 + k mod T. */
final class NumberedSequences implements SequenceDataset {
    private final int size;
    private final int timeSteps;
    private final int features;

    NumberedSequences(int size) {
        this(size, 3, 2);
    }

    NumberedSequences(int size, int timeSteps, int features) {
        this.size = size;
        this.timeSteps = timeSteps;
        this.features = features;
    }

    @Override
    public String name() {
        return "numbered";
    }

    @Override
    public int size() {
        return size;
    }

    @Override
    public int timeSteps() {
        return timeSteps;
    }

    @Override
    public int features() {
        return features;
    }

    @Override
    public int classes() {
        return size;
    }

    @Override
    public int targetSize() {
        return 0;
    }

    @Override
    public boolean variableLengths() {
        return true;
    }

    @Override
    public void read(int index, Batch into, int row) {
        int length = 1 + index % timeSteps;
        for (int t = 0; t < timeSteps; t++) {
            for (int c = 0; c < features; c++) {
                into.inputs()[(t * into.batchSize() + row) * features + c] = t < length ? index + 1 : 0;
            }
        }
        into.lengths()[row] = length;
        into.labels()[row] = index;
    }
}
