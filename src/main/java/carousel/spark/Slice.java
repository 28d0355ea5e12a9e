package carousel.spark;

import carousel.data.Batch;
import carousel.data.SequenceDataset;
import java.io.Serializable;
import java.util.Arrays;

/** The sequences of one partition, in their order. */
class Slice implements Serializable {
    private static final long serialVersionUID = 1;

    private final int partition;
    private final SequenceRow[] rows;

    /** @param partition its number */
    Slice(int partition, SequenceRow[] rows) {
        this.partition = partition;
        this.rows = rows;
    }

    /** The sequences {@code from .. to - 1} of a dataset. */
    static Slice of(int partition, SequenceDataset dataset, int from, int to) {
        SequenceRow[] rows = new SequenceRow[to - from];
        for (int k = 0; k < rows.length; k++) {
            // A batch of its own for each: what a dataset does not set is as in a new one.
            Batch one = dataset.newBatch(1);
            dataset.read(from + k, one, 0);
            rows[k] = SequenceRow.of(one);
        }
        return new Slice(partition, rows);
    }

    int partition() {
        return partition;
    }

    int size() {
        return rows.length;
    }

    /**
     * Which of some sequences of the whole dataset are here, by their places in this slice and in their order.
     *
     * @param first the number of this slice's first sequence in the whole dataset
     */
    int[] owned(int[] members, int first) {
        return Arrays.stream(members)
                .map(member -> member - first)
                .filter(place -> place >= 0 && place < rows.length)
                .toArray();
    }

    /** Real targets of a sequence; 0 for labels, or where there is no sequence. */
    int targetSize() {
        return rows.length == 0 ? 0 : rows[0].targetSize();
    }

    /** The length of each sequence. */
    int[] lengths() {
        int[] lengths = new int[rows.length];
        for (int k = 0; k < lengths.length; k++) {
            lengths[k] = rows[k].length();
        }
        return lengths;
    }

    /**
     * A batch of some of the sequences; null of none.
     *
     * @param trimmed whether its T is the length of the longest of them, instead of that of the form
     */
    Batch batchOf(BatchForm form, boolean trimmed, int... members) {
        if (members.length == 0) {
            return null;
        }
        int steps = form.timeSteps();
        if (trimmed && form.variableLengths()) {
            steps = 1;
            for (int member : members) {
                steps = Math.max(steps, rows[member].length());
            }
        }
        Batch batch = form.newBatch(steps, members.length);
        for (int row = 0; row < members.length; row++) {
            rows[members[row]].copyTo(batch, row);
        }
        return batch;
    }
}
