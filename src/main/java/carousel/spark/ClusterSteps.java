package carousel.spark;

import carousel.data.Batch;
import carousel.data.BatchSource;
import carousel.data.DrawnBatches;
import carousel.data.SequenceDataset;
import carousel.data.SequentialBatches;
import carousel.data.ShuffledBatches;
import carousel.engine.Engine;
import carousel.engine.Engines;
import carousel.engine.Loss;
import carousel.format.ModelJson;
import carousel.layer.Form;
import carousel.layer.Model;
import carousel.layer.ModelSpec;
import carousel.optimizer.Optimizer;
import carousel.spark.SumTree.Vectors;
import carousel.tensor.Precision;
import carousel.tensor.Tensor;
import carousel.training.Evaluation;
import carousel.training.RemoteSteps;
import java.util.Arrays;
import java.util.Collections;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.UUID;
import java.util.function.BooleanSupplier;
import java.util.stream.IntStream;
import org.apache.spark.TaskContext;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.broadcast.Broadcast;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Training on a cluster. The driver's trainer keeps all that it keeps on a single machine, its callbacks and checkpoints included; the
 * partitions of the data compute gradients where the data is:
 *
 * <pre>{@code
 * try (Engine engine = Engines.open("vector");
 *         Model model = Model.create(engine, spec, 1);
 *         ClusterSteps steps = ClusterSteps.on(session)
 *                 .training(table, SequenceColumns.arrays("x").withLabel("y", 10), 128, 1)
 *                 .settings(ClusterSettings.exact(8))
 *                 .open();
 *         Trainer trainer = Trainer.of(model).optimizer(Optimizer.adam(0.001)).remote(steps).open()) {
 *     trainer.fit(steps.batches(), steps.validation(), 3);
 * }
 * }</pre>
 *
 * <p>With one local step, the sum of the partitions' gradients is that of the whole batch, and the optimizer takes the step on the
 * driver: synchronous and exact. With more, each partition goes its own way for so many steps from the same parameters and moments, and
 * those are averaged, weighted by the sequences that were seen. Both are pure functions of what the driver knows, so a task may fail, be
 * repeated, or run on any executor, without a bit of the result changing; the number of partitions does change it, to rounding.
 *
 * <p>Partitions draw different numbers for dropout, and the same for every number of executors; a single partition draws what a single
 * machine draws.
 */
public final class ClusterSteps implements RemoteSteps {
    private static final Logger LOG = LoggerFactory.getLogger(ClusterSteps.class);

    private final JavaSparkContext spark;
    private final ClusterSettings settings;
    private final ClusterData training;
    private final ClusterData held;
    private final DrawnBatches order;
    private final boolean driverHasData;
    private final String engineName;
    private final Precision precision;
    /** By names that are mostly numbers. */
    private final Map<String, String> engines =
            new TreeMap<>(Comparator.comparingInt(String::length).thenComparing(Comparator.naturalOrder()));

    private Broadcast<Job> job;
    private Broadcast<BatchForm> form;
    private Model model;
    private Optimizer optimizer;
    /** Of the outer step, the momentum of each parameter; null before the first, and where there is none. */
    private double[] outer;

    private long busyNanos;
    private boolean closed;
    private long jobNanos;

    private ClusterSteps(Builder builder) {
        this.spark = JavaSparkContext.fromSparkContext(builder.session.sparkContext());
        this.settings = builder.settings;
        this.engineName = builder.engine;
        this.precision = builder.precision;
        if (precision == Precision.FP16) {
            throw new ClusterException(
                    "a cluster trains without a loss scale, which fp16 needs: choose bf16, tf32 or fp32");
        }
        if (builder.table == null && builder.batches == null) {
            throw new IllegalArgumentException("there should be data to train on but there is none: call training");
        }
        Engines.requireKnown(engineName);
        Job.requireDevice(engineName, spark.getConf());
        if (builder.batches == null && !builder.columns.isAnswered()) {
            throw new ClusterException("sequences to train on should have a label or targets but " + builder.columns
                    + " has none: say with withLabel or withTargets which columns they are in");
        }
        requireEnough(builder.batches == null ? builder.batchSize : builder.batches.batchSize());
        this.driverHasData = builder.batches != null;
        ClusterData opened = null;
        try {
            if (driverHasData) {
                order = builder.batches;
                opened = ClusterData.of(spark, order.dataset(), settings.partitions());
            } else {
                opened = ClusterData.of(
                        builder.table, builder.columns, settings.partitions(), builder.bad, "training data");
                if (builder.batchSize > opened.described().size()) {
                    throw new ClusterException("the batch size should be in the [1, "
                            + opened.described().size() + "] range, the sequences there are, but got "
                            + builder.batchSize);
                }
                order = new ShuffledBatches(
                        opened.described(), builder.batchSize, builder.seed, ShuffledBatches.Mode.PER_EPOCH);
            }
            training = opened;
            if (builder.heldDataset != null) {
                held = ClusterData.of(spark, builder.heldDataset, settings.partitions());
            } else if (builder.heldTable != null) {
                held = ClusterData.of(
                        builder.heldTable, builder.columns, settings.partitions(), builder.bad, "validation data");
            } else {
                held = null;
            }
        } catch (RuntimeException e) {
            if (opened != null) {
                opened.close();
            }
            throw e;
        }
    }

    private void requireEnough(int batchSize) {
        if (batchSize < settings.partitions()) {
            throw new ClusterException("the batch of " + batchSize + " sequences is smaller than the "
                    + settings.partitions()
                    + " partitions that share it: raise the batch size, or lower the partitions to " + batchSize
                    + " or fewer");
        }
    }

    /** Settings of steps on the cluster of this session; exact and with one partition unless told otherwise. */
    public static Builder on(SparkSession session) {
        return new Builder(session);
    }

    /** The same for a command. */
    public static Builder on(ClusterSession cluster) {
        return on(cluster.session());
    }

    /** What is trained on, and how it is divided. */
    public static final class Builder {
        private final SparkSession session;
        private ClusterSettings settings = ClusterSettings.exact(1);
        private DrawnBatches batches;
        private SequenceDataset heldDataset;
        private Dataset<Row> table;
        private Dataset<Row> heldTable;
        private SequenceColumns columns;
        private int batchSize;
        private long seed;
        private BadRecords bad = BadRecords.STOP;
        private String engine = Engines.AUTO;
        private Precision precision;

        private Builder(SparkSession session) {
            this.session = session;
        }

        /** Trains on what the driver has, batch for batch as a single machine would. */
        public Builder training(DrawnBatches value) {
            this.batches = value;
            return this;
        }

        /**
         * Trains on the rows of a table, in a new random order each epoch.
         *
         * @param batch N of a step, of all partitions together
         * @param shuffleSeed of the order
         */
        public Builder training(Dataset<Row> value, SequenceColumns sequences, int batch, long shuffleSeed) {
            this.table = value;
            this.columns = sequences;
            this.batchSize = batch;
            this.seed = shuffleSeed;
            return this;
        }

        /** Held out: the loss and accuracy on it are computed after each epoch, in the cluster too. */
        public Builder validation(SequenceDataset value) {
            this.heldDataset = value;
            return this;
        }

        /** The same of a table with the columns of the training data's. */
        public Builder validation(Dataset<Row> value) {
            this.heldTable = value;
            return this;
        }

        public Builder settings(ClusterSettings value) {
            this.settings = value;
            return this;
        }

        /** What becomes of bad records of tables; they stop the job unless told otherwise. */
        public Builder badRecords(BadRecords value) {
            this.bad = value;
            return this;
        }

        /**
         * The engine of the executors. {@code auto}, which it is unless told otherwise, is the best on the GPU that Spark gave a task, and
         * {@code vector} on the task's cores where it gave none.
         */
        public Builder engine(String value) {
            this.engine = value;
            return this;
        }

        /** What its products are computed in; null for its own choice. */
        public Builder precision(Precision value) {
            this.precision = value;
            return this;
        }

        /**
         * Brings the data to where it is trained on.
         *
         * @throws ClusterException when the data or the settings do not fit
         */
        public ClusterSteps open() {
            return new ClusterSteps(this);
        }
    }

    /**
     * Has a task open the engine for a model, so that a run which cannot begin is refused before it leaves anything behind.
     *
     * @throws carousel.engine.EngineException when it is unavailable there, or does not do what it is asked for
     */
    public void requireEngine(ModelSpec spec) {
        Job trial = new Job("trial", ModelJson.write(spec), null, engineName, precision);
        TaskFailures.unwrapped(() -> spark.parallelize(List.of(1), 1)
                .map(threads -> {
                    try (Engine engine = trial.open(Job.device(TaskContext.get()), threads, trial.spec())) {
                        return engine.name();
                    }
                })
                .collect());
    }

    /** The batches, for a trainer's {@code fit}. */
    public BatchSource batches() {
        return order;
    }

    /** The data held out, likewise; null for none. */
    public BatchSource validation() {
        return held == null ? null : new SequentialBatches(held.described(), 1);
    }

    public ClusterSettings settings() {
        return settings;
    }

    /** What each executor that has worked so far computes with, by the executor's name and in the order of names. */
    public Map<String, String> engines() {
        return Collections.unmodifiableMap(new LinkedHashMap<>(engines));
    }

    /** How long the driver has waited for the cluster's part of all steps so far, in seconds. */
    public double secondsInSteps() {
        return jobNanos / 1e9;
    }

    /**
     * How long the tasks of the busiest executor have computed in it: the rest went into sending parameters, starting tasks, and adding up.
     * Tasks that an executor runs side by side count one after the other.
     */
    public double secondsComputing() {
        return busyNanos / 1e9;
    }

    /** Says at once what would otherwise fail in every task. */
    private static void requireFit(ModelSpec spec, Loss loss, SequenceDataset table) {
        Form input = spec.input();
        if (input.kind() != Form.Kind.SEQUENCE || input.features() != table.features() || spec.encoder() != null) {
            throw new ClusterException("the model reads " + input + " but the " + table.name() + " has "
                    + table.features() + " features a step: use the data it was made for");
        }
        if (loss.labelled() != table.classes() > 0) {
            throw new ClusterException("the loss " + loss + " compares outputs with "
                    + (loss.labelled() ? "labels" : "targets") + " but the " + table.name() + " has "
                    + (loss.labelled() ? "targets" : "labels") + ": choose another loss, or other columns");
        }
        if (table.classes() > spec.output().features()) {
            throw new ClusterException("the model tells " + spec.output().features() + " classes apart but the "
                    + table.name() + " has " + table.classes() + ": give its last layer as many outputs");
        }
    }

    @Override
    public void begin(Model trained, Loss loss, Optimizer recipe) {
        if (!driverHasData) {
            requireFit(trained.spec(), loss, training.described());
        }
        forget(job);
        forget(form);
        outer = null;
        model = trained;
        optimizer = recipe;
        job = spark.broadcast(
                new Job(UUID.randomUUID().toString(), ModelJson.write(model.spec()), loss, engineName, precision));
        form = spark.broadcast(training.form());
    }

    @Override
    public int together() {
        return settings.localSteps();
    }

    @Override
    public double[] gradient(long seed, long step) {
        Vector vector = Vector.read(model.engine(), List.of(model.parameters()));
        Vectors sum = round(new Round(seed, step, members(step, 1), training.firsts(), null, 1, vector));
        int elements = Math.toIntExact(model.gradients().elements());
        double[] totals = sum.numbers();
        model.engine().write(model.gradients(), sum.vector().divided(0, elements, totals[2]));
        return totals;
    }

    @Override
    public double[][] advance(Optimizer.State moments, long seed, long step, int count, double rateFactor) {
        Engine engine = model.engine();
        List<Tensor> parts = Vector.parts(model.parameters(), moments.firstMoment(), moments.secondMoment());
        Vector vector = Vector.read(engine, parts);
        Vectors sum =
                round(new Round(seed, step, members(step, count), training.firsts(), optimizer, rateFactor, vector));
        double weight = sum.numbers()[Share.TOTALS * count];
        int from = 0;
        for (Tensor part : parts) {
            int elements = Math.toIntExact(part.elements());
            double[] average = sum.vector().divided(from, elements, weight);
            engine.write(part, from == 0 ? outerStep(average) : average);
            from += elements;
        }
        return IntStream.range(0, count)
                .mapToObj(k -> Arrays.copyOfRange(sum.numbers(), Share.TOTALS * k, Share.TOTALS * (k + 1)))
                .toArray(double[][]::new);
    }

    /** From where the parameters are towards an average, by Nesterov's momentum where there is one. */
    private double[] outerStep(double[] average) {
        if (settings.outerRate() == 1 && settings.outerMomentum() == 0) {
            return average;
        }
        double[] start = model.readParameters();
        if (outer == null) {
            outer = new double[start.length];
        }
        for (int k = 0; k < start.length; k++) {
            double way = start[k] - average[k];
            outer[k] = settings.outerMomentum() * outer[k] + way;
            average[k] = start[k] - settings.outerRate() * (way + settings.outerMomentum() * outer[k]);
        }
        return average;
    }

    private int[][] members(long step, int count) {
        int[][] members = new int[count][];
        for (int k = 0; k < count; k++) {
            members[k] = order.members(step + k);
        }
        return members;
    }

    /** Gives back what was sent; one whose context has ended has given it back already. */
    private void forget(Broadcast<?> sent) {
        if (sent != null && !spark.sc().isStopped()) {
            sent.destroy();
        }
    }

    private Vectors round(Round round) {
        long start = System.nanoTime();
        Broadcast<Job> jobs = job;
        Broadcast<BatchForm> forms = form;
        Broadcast<Round> rounds = spark.broadcast(round);
        try {
            SumTree tree = TaskFailures.unwrapped(() -> training.slices()
                    .treeAggregate(
                            new SumTree(training.partitions()),
                            (sum, slice) -> Share.add(sum, slice, jobs.value(), forms.value(), rounds.value()),
                            SumTree::add,
                            SumTree.DEPTH));
            tree.engines().forEach((executor, engine) -> {
                if (!engine.equals(engines.put(executor, engine))) {
                    LOG.info("executor {} computes with {}", executor, engine);
                }
            });
            busyNanos += tree.busiest();
            Vectors sum = tree.sum();
            if (sum == null) {
                throw new ClusterException("the batch of step " + (round.step() + 1)
                        + " should have steps that count but all are masked: leave such sequences out");
            }
            return sum;
        } finally {
            forget(rounds);
            jobNanos += System.nanoTime() - start;
        }
    }

    @Override
    public Optional<Evaluation> validate(BooleanSupplier stopped) {
        if (held == null) {
            throw new IllegalStateException("no data was held out");
        }
        if (stopped.getAsBoolean()) {
            return Optional.empty();
        }
        Vector vector = Vector.read(model.engine(), List.of(model.parameters()));
        BatchForm heldForm = held.form();
        Broadcast<Job> jobs = job;
        Broadcast<Round> rounds = spark.broadcast(new Round(0, 0, null, null, null, 1, vector));
        try {
            // In the order of the partitions, whichever comes first.
            List<double[]> sums = TaskFailures.unwrapped(() -> held.slices()
                    .map(slice -> Share.evaluate(
                            slice, jobs.value(), heldForm, rounds.value().vector()))
                    .collect());
            double[] all = new double[Share.TOTALS];
            for (double[] sum : sums) {
                for (int k = 0; k < all.length; k++) {
                    all[k] += sum[k];
                }
            }
            return Optional.of(new Evaluation(all[0] / all[2], all[1] / all[2], all[2]));
        } finally {
            forget(rounds);
        }
    }

    @Override
    public Batch batch(long step) {
        return driverHasData ? order.batch(step) : null;
    }

    @Override
    public double[] memory() {
        return outer == null ? null : outer.clone();
    }

    @Override
    public void restore(double[] memory) {
        outer = memory == null ? null : memory.clone();
    }

    @Override
    public void close() {
        if (closed) {
            return;
        }
        closed = true;
        forget(job);
        forget(form);
        if (!spark.sc().isStopped()) {
            training.close();
            if (held != null) {
                held.close();
            }
        }
    }
}
