package carousel.spark;

import carousel.data.Batch;
import carousel.data.SequenceDataset;
import java.io.Serializable;

/** The sequences of one partition, in their order. */
final class Slice implements Serializable {
    private static final long serialVersionUID = 1;

    private final SequenceRow[] rows;

    Slice(SequenceRow[] rows) {
        this.rows = rows;
    }

    /** The sequences {@code from .. to - 1} of a dataset. */
    static Slice of(SequenceDataset dataset, int from, int to) {
        SequenceRow[] rows = new SequenceRow[to - from];
        for (int k = 0; k < rows.length; k++) {
            // A batch of its own for each: what a dataset does not set is as in a new one.
            Batch one = dataset.newBatch(1);
            dataset.read(from + k, one, 0);
            rows[k] = SequenceRow.of(one);
        }
        return new Slice(rows);
    }

    int size() {
        return rows.length;
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
     * A batch of some of the sequences.
     *
     * @param trimmed whether its T is the length of the longest of them, instead of that of the form
     */
    Batch batch(BatchForm form, boolean trimmed, int... members) {
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
