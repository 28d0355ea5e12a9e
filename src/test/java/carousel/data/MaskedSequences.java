package carousel.data;

/** Numbered sequences of which step t of sequence k counts where {@code (k + t) mod 3} is not 0. */
final class MaskedSequences implements SequenceDataset {
    private final NumberedSequences numbered;

    MaskedSequences(int size, int timeSteps, int features) {
        this.numbered = new NumberedSequences(size, timeSteps, features);
    }

    static boolean counts(int sequence, int step) {
        return (sequence + step) % 3 != 0;
    }

    @Override
    public String name() {
        return "masked";
    }

    @Override
    public int size() {
        return numbered.size();
    }

    @Override
    public int timeSteps() {
        return numbered.timeSteps();
    }

    @Override
    public int features() {
        return numbered.features();
    }

    @Override
    public int classes() {
        return numbered.classes();
    }

    @Override
    public int targetSize() {
        return numbered.targetSize();
    }

    @Override
    public boolean variableLengths() {
        return numbered.variableLengths();
    }

    @Override
    public Batch newBatch(int batchSize) {
        return numbered.newBatch(batchSize).withMask(new boolean[timeSteps() * batchSize]);
    }

    @Override
    public void read(int index, Batch into, int row) {
        numbered.read(index, into, row);
        for (int t = 0; t < timeSteps(); t++) {
            into.mask()[t * into.batchSize() + row] = counts(index, t);
        }
    }
}
