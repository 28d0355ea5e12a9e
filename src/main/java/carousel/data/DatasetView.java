package carousel.data;

import java.util.Objects;

/** Some sequences of another dataset: a run of them, or any of them in any order. */
final class DatasetView extends DerivedDataset {
    private final String name;
    private final int from;
    private final int size;
    /** Null for a run that starts at {@link #from}. */
    private final int[] indices;

    private DatasetView(SequenceDataset whole, String name, int from, int size, int[] indices) {
        super(whole);
        this.name = name;
        this.from = from;
        this.size = size;
        this.indices = indices;
    }

    static DatasetView range(SequenceDataset whole, int from, int to) {
        if (from < 0 || to > whole.size() || from >= to) {
            throw new IllegalArgumentException("a range of " + whole.name() + " should be within [0, " + whole.size()
                    + ") and not be empty but got [" + from + ", " + to + ")");
        }
        String name = whole.name() + " [" + from + ", " + to + ")";
        return new DatasetView(whole, name, from, to - from, null);
    }

    static DatasetView subset(SequenceDataset whole, int[] indices) {
        if (indices.length == 0) {
            throw new IllegalArgumentException(
                    "a subset of " + whole.name() + " should have 1 or more indices but got 0");
        }
        for (int index : indices) {
            if (index < 0 || index >= whole.size()) {
                throw new IllegalArgumentException("an index of a subset of " + whole.name() + " should be in the [0, "
                        + (whole.size() - 1) + "] range but got " + index);
            }
        }
        String name = indices.length + " of " + whole.name();
        return new DatasetView(whole, name, 0, indices.length, indices.clone());
    }

    @Override
    public String name() {
        return name;
    }

    @Override
    public int size() {
        return size;
    }

    @Override
    public void read(int index, Batch into, int row) {
        Objects.checkIndex(index, size);
        origin().read(indices == null ? from + index : indices[index], into, row);
    }
}
