package carousel.spark;

import carousel.data.Batch;
import carousel.data.SequenceDataset;
import carousel.spark.TableSlices.TableSlice;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.broadcast.Broadcast;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.storage.StorageLevel;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Sequences in the memory of a cluster, each partition's in one slice. Their numbers go through the partitions in turn. */
final class ClusterData implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(ClusterData.class);
    /** Bad records of a partition that the log describes. */
    private static final int SAMPLES = 3;

    private final JavaRDD<? extends Slice> slices;
    private final List<Broadcast<Slice>> sent;
    private final int[] firsts;
    private final SequenceDataset described;
    private final BatchForm form;

    private ClusterData(
            JavaRDD<? extends Slice> slices,
            List<Broadcast<Slice>> sent,
            int[] firsts,
            SequenceDataset described,
            BatchForm form) {
        this.slices = slices;
        this.sent = sent;
        this.firsts = firsts;
        this.described = described;
        this.form = form;
    }

    /** What the driver has, cut into partitions of equal sizes. An executor fetches those that it works on, and keeps them. */
    static ClusterData of(JavaSparkContext spark, SequenceDataset dataset, int partitions) {
        int[] firsts = IntStream.rangeClosed(0, partitions)
                .map(p -> (int) ((long) dataset.size() * p / partitions))
                .toArray();
        List<Broadcast<Slice>> sent = new ArrayList<>();
        for (int p = 0; p < partitions; p++) {
            sent.add(spark.broadcast(Slice.of(p, dataset, firsts[p], firsts[p + 1])));
        }
        // Not the slices themselves: every task would carry its own.
        List<Broadcast<Slice>> handles = List.copyOf(sent);
        List<Integer> numbers = IntStream.range(0, partitions).boxed().toList();
        JavaRDD<Slice> slices =
                spark.parallelize(numbers, partitions).map(p -> handles.get(p).value());
        return new ClusterData(slices, sent, firsts, dataset, BatchForm.of(dataset));
    }

    /**
     * The rows of a table, where they are.
     *
     * @param partitions 0 for as many as the table has
     * @throws ClusterException when there is no sequence, a column does not fit, or a record is bad and bad ones are not skipped
     */
    static ClusterData of(Dataset<Row> table, SequenceColumns columns, int partitions, BadRecords bad, String name) {
        Dataset<Row> arranged = columns.arranged(table, partitions);
        int features = columns.features(arranged);
        JavaRDD<TableSlice> slices = arranged.javaRDD()
                .mapPartitionsWithIndex(
                        (partition, rows) -> List.of(TableSlices.read(partition, rows, columns, features, bad, SAMPLES))
                                .iterator(),
                        true);
        slices.persist(StorageLevel.MEMORY_AND_DISK());
        try {
            List<TableSlices.Summary> summaries = TaskFailures.unwrapped(
                    () -> slices.map(TableSlices::summary).collect());
            return of(slices, summaries, columns, features, name);
        } catch (RuntimeException e) {
            slices.unpersist(false);
            throw e;
        }
    }

    private static ClusterData of(
            JavaRDD<? extends Slice> slices,
            List<TableSlices.Summary> summaries,
            SequenceColumns columns,
            int features,
            String name) {
        int[] firsts = new int[summaries.size() + 1];
        long size = 0;
        int timeSteps = 1;
        int targets = -1;
        boolean variable = false;
        int empty = 0;
        long bad = 0;
        for (int p = 0; p < summaries.size(); p++) {
            TableSlices.Summary summary = summaries.get(p);
            firsts[p] = Math.toIntExact(size);
            size += summary.size();
            if (size > Integer.MAX_VALUE) {
                throw new ClusterException("the " + name + " should have " + Integer.MAX_VALUE
                        + " sequences at most but has more: train on a sample of it");
            }
            timeSteps = Math.max(timeSteps, summary.longest());
            if (summary.size() > 0) {
                if (targets >= 0 && targets != summary.targets()) {
                    throw new ClusterException("the sequences of the " + name
                            + " should have the same number of targets but some have " + targets + " and some "
                            + summary.targets() + ": mend the table");
                }
                targets = summary.targets();
            }
            empty += summary.size() == 0 ? 1 : 0;
            bad += summary.bad();
            summary.samples().forEach(sample -> LOG.warn("left out of the {}: {}", name, sample));
        }
        for (TableSlices.Summary summary : summaries) {
            variable |= summary.size() > 0 && summary.shortest() < timeSteps;
        }
        firsts[summaries.size()] = (int) size;
        if (size == 0) {
            throw new ClusterException("the " + name + " should have sequences but "
                    + (bad > 0 ? "all of its " + bad + " records are bad" : "all of its partitions are empty")
                    + ": give a table with rows");
        }
        if (bad > 0) {
            LOG.warn("{} of {} records of the {} were bad and left out", bad, size + bad, name);
        }
        if (empty > 0) {
            LOG.warn(
                    "{} of {} partitions of the {} are empty, and their tasks have nothing to do: ask for fewer partitions",
                    empty,
                    summaries.size(),
                    name);
        }
        BatchForm form = new BatchForm(timeSteps, features, targets, variable, false, false, null);
        SequenceDataset described = new Described(name, (int) size, form, columns.classes());
        return new ClusterData(slices, List.of(), firsts, described, form);
    }

    JavaRDD<? extends Slice> slices() {
        return slices;
    }

    int partitions() {
        return firsts.length - 1;
    }

    /** The number of each partition's first sequence, and behind them how many there are. */
    int[] firsts() {
        return firsts;
    }

    BatchForm form() {
        return form;
    }

    /** The same as a dataset; one whose sequences are only in the cluster cannot be read. */
    SequenceDataset described() {
        return described;
    }

    @Override
    public void close() {
        slices.unpersist(false);
        sent.forEach(Broadcast::destroy);
    }

    /** A dataset of which the driver knows the extents only. */
    private record Described(String name, int size, BatchForm form, int classes) implements SequenceDataset {
        @Override
        public int timeSteps() {
            return form.timeSteps();
        }

        @Override
        public int features() {
            return form.features();
        }

        @Override
        public int targetSize() {
            return form.targetSize();
        }

        @Override
        public boolean variableLengths() {
            return form.variableLengths();
        }

        @Override
        public void read(int index, Batch into, int row) {
            throw new UnsupportedOperationException("the sequences of the " + name + " are in the cluster only");
        }

        @Override
        public Batch newBatch(int batchSize) {
            return form.newBatch(form.timeSteps(), batchSize);
        }
    }
}
