package carousel.data;

import java.util.Objects;

/** Sequences without end, each a pure function of its number, so that none is stored. */
abstract class DrawnSequences {
    /** The number of the first sequence held out of {@link #batches}, far beyond any run. */
    static final long HELD_OUT = 1L << 40;

    DrawnSequences() {
        // For the package.
    }

    abstract String name();

    abstract int timeSteps();

    abstract int features();

    /** The number of classes; 0 for real targets. */
    int classes() {
        return 0;
    }

    /** The number of real targets of a sequence; 0 for labels. */
    int targetSize() {
        return 0;
    }

    boolean variableLengths() {
        return false;
    }

    abstract Batch newBatch(int batchSize);

    /** Writes the sequence of this number into a row of a batch, and all of the row. */
    abstract void draw(long sequence, Batch into, int row);

    /** The sequences {@code first .. first + size - 1} as a dataset; made anew at each read. */
    public SequenceDataset dataset(long first, int size) {
        if (first < 0 || first > Long.MAX_VALUE - Integer.MAX_VALUE || size < 1) {
            throw new IllegalArgumentException("a dataset of " + name() + " should start at 0 or later and have 1 or"
                    + " more sequences but got a start of " + first + " and " + size + " sequences");
        }
        return new Sequences(first, size);
    }

    /** Sequences that {@link #batches} does not reach, to evaluate with. */
    public SequenceDataset heldOut(int size) {
        return dataset(HELD_OUT, size);
    }

    /**
     * Sequences 0, 1, 2 and so on in full batches, no number twice.
     *
     * @param batchSize N, 1 or more
     * @param batchesPerEpoch 1 or more; what to call an epoch, as there is no natural one
     * @throws IllegalArgumentException if one of them is below 1
     */
    public BatchSource batches(int batchSize, long batchesPerEpoch) {
        return new Stream(batchSize, batchesPerEpoch);
    }

    private final class Sequences implements SequenceDataset {
        private final long first;
        private final int size;

        Sequences(long first, int size) {
            this.first = first;
            this.size = size;
        }

        @Override
        public String name() {
            return DrawnSequences.this.name();
        }

        @Override
        public int size() {
            return size;
        }

        @Override
        public int timeSteps() {
            return DrawnSequences.this.timeSteps();
        }

        @Override
        public int features() {
            return DrawnSequences.this.features();
        }

        @Override
        public int classes() {
            return DrawnSequences.this.classes();
        }

        @Override
        public int targetSize() {
            return DrawnSequences.this.targetSize();
        }

        @Override
        public boolean variableLengths() {
            return DrawnSequences.this.variableLengths();
        }

        @Override
        public Batch newBatch(int batchSize) {
            return DrawnSequences.this.newBatch(batchSize);
        }

        @Override
        public void read(int index, Batch into, int row) {
            Objects.checkIndex(index, size);
            Objects.checkIndex(row, into.batchSize());
            draw(first + index, into, row);
        }
    }

    private final class Stream extends DatasetExtents {
        private final Batch batch;
        private final long batchesPerEpoch;

        Stream(int batchSize, long batchesPerEpoch) {
            super(DrawnSequences.this.dataset(0, Integer.MAX_VALUE));
            if (batchesPerEpoch < 1) {
                throw new IllegalArgumentException(
                        "the batches of an epoch should be 1 or more but got " + batchesPerEpoch);
            }
            this.batch = newBatch(batchSize);
            this.batchesPerEpoch = batchesPerEpoch;
        }

        @Override
        public long batchesPerEpoch() {
            return batchesPerEpoch;
        }

        @Override
        public int batchSize() {
            return batch.batchSize();
        }

        @Override
        public Batch batch(long number) {
            long first = DatasetBatches.examplesBefore(number, batchSize());
            for (int row = 0; row < batchSize(); row++) {
                draw(first + row, batch, row);
            }
            return batch;
        }
    }
}
