package carousel.spark;

import java.io.Serializable;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Iterator;
import java.util.List;
import org.apache.spark.sql.Row;

/** Slices of a table's rows. */
final class TableSlices {
    private TableSlices() {}

    /**
     * A slice, and what was left out of it.
     *
     * @param bad how many records
     * @param samples what was wrong with some of them
     */
    static final class TableSlice extends Slice {
        private static final long serialVersionUID = 1;

        private final long bad;
        private final List<String> samples;

        private TableSlice(int partition, SequenceRow[] rows, long bad, List<String> samples) {
            super(partition, rows);
            this.bad = bad;
            this.samples = samples;
        }
    }

    /**
     * What the driver has to know of a slice.
     *
     * @param shortest the length of the shortest sequence
     * @param longest that of the longest; 0 where there is none
     * @param targets real targets of a sequence; 0 for labels
     * @param bad records left out
     * @param samples what was wrong with some of them
     */
    record Summary(int size, int shortest, int longest, int targets, long bad, List<String> samples)
            implements Serializable {}

    /** Reads a partition; its sequences are in an order of their own. */
    static TableSlice read(
            int partition, Iterator<Row> rows, SequenceColumns columns, int features, BadRecords bad, int most) {
        List<SequenceRow> read = new ArrayList<>();
        Left left = new Left(bad, most);
        while (rows.hasNext()) {
            try {
                read.add(columns.read(rows.next(), features));
            } catch (BadRecordException record) {
                left.add(record);
            }
        }
        // What comes out of a shuffle is in another order each time, and a lost slice that is read again has to be the
        // same.
        read.sort(SequenceRow::compare);
        List<SequenceRow> alike = new ArrayList<>();
        for (SequenceRow row : read) {
            int targets = read.get(0).targetSize();
            if (row.targetSize() == targets) {
                alike.add(row);
            } else {
                left.add(new BadRecordException(
                        "a record has " + row.targetSize() + " targets where others have " + targets));
            }
        }
        return new TableSlice(partition, alike.toArray(SequenceRow[]::new), left.count, left.samples);
    }

    /** What is left out. */
    private static final class Left {
        private final BadRecords bad;
        private final int most;
        private final ArrayList<String> samples = new ArrayList<>();
        private long count;

        Left(BadRecords bad, int most) {
            this.bad = bad;
            this.most = most;
        }

        void add(BadRecordException record) {
            if (bad == BadRecords.STOP) {
                throw new ClusterException(record.getMessage() + "; mend it, or have bad records skipped", record);
            }
            count++;
            if (samples.size() < most) {
                samples.add(record.getMessage());
            }
        }
    }

    static Summary summary(TableSlice slice) {
        int[] lengths = slice.lengths();
        return new Summary(
                lengths.length,
                Arrays.stream(lengths).min().orElse(0),
                Arrays.stream(lengths).max().orElse(0),
                slice.targetSize(),
                slice.bad,
                slice.samples);
    }
}
