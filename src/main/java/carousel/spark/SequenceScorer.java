package carousel.spark;

import carousel.data.SeriesScaling;
import carousel.engine.Engines;
import carousel.engine.Loss;
import carousel.format.FormatException;
import carousel.format.ModelFile;
import carousel.layer.Form;
import carousel.layer.Layer;
import carousel.layer.ModelSpec;
import carousel.tensor.Precision;
import java.io.IOException;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.ToDoubleFunction;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.broadcast.Broadcast;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructField;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.util.LongAccumulator;

/**
 * Has a model predict for all sequences of a table, on the executors of a cluster. Rows are read a window at a time, so that a partition
 * may be of any size; the tasks of an executor share one model.
 *
 * <pre>{@code
 * SequenceScorer scorer = SequenceScorer.of("hdfs:///models/wear", SequenceColumns.grouped("machine", "time", "load", "speed"))
 *         .withLoss(Loss.SOFTMAX_CROSS_ENTROPY);
 * scorer.score(spark.read().parquet("hdfs:///readings")).write().parquet("hdfs:///wear");
 * }</pre>
 *
 * <p>A scorer does not change; its {@code with} methods return others.
 */
public final class SequenceScorer {
    /** The largest batch. */
    static final int MAX_BATCH = 1 << 20;

    static final int BATCH = 256;

    private final ScoredModel model;
    private final SequenceColumns columns;
    private final Settings settings;

    /** How it is scored; see the methods that set them. */
    private record Settings(
            Loss loss,
            SeriesScaling scaling,
            String engine,
            Precision precision,
            int batchSize,
            BadRecords badRecords,
            String prediction,
            String probabilities) {
        private static final Settings DEFAULTS =
                new Settings(null, null, Engines.AUTO, null, BATCH, BadRecords.STOP, "prediction", "probabilities");
    }

    private SequenceScorer(ScoredModel model, SequenceColumns columns, Settings settings) {
        this.model = model;
        this.columns = columns;
        this.settings = settings;
    }

    /**
     * With the model in a file, or in the folder of a run, on any file system that Hadoop knows. Needs a session.
     *
     * @param columns how the rows of tables are sequences; a label or targets count for nothing
     * @throws IOException when there is no model
     */
    public static SequenceScorer of(String path, SequenceColumns columns) throws IOException {
        SparkSession session = SparkSession.builder().getOrCreate();
        return of(ScoredModel.read(session.sparkContext().hadoopConfiguration(), path), columns);
    }

    /** With a model that was read already. */
    public static SequenceScorer of(ModelFile file, SequenceColumns columns) throws FormatException {
        return of(ScoredModel.of(file), columns);
    }

    static SequenceScorer of(ScoredModel model, SequenceColumns columns) {
        model.requireNumbers();
        int features = model.spec().input().features();
        SequenceColumns inputs = columns.inputsOnly();
        if (inputs.width() != 0 && inputs.width() != features) {
            throw new ClusterException("the model reads " + features + " features a step but the data has "
                    + inputs.width() + ": " + columns);
        }
        return new SequenceScorer(model, inputs.withFeatures(features), Settings.DEFAULTS);
    }

    /**
     * What the model was trained with: it says what outputs mean. With softmax cross-entropy they are classes; with sigmoid
     * cross-entropy probabilities, each for itself; otherwise numbers, as they are. Without it the model's file has to say it, or its last
     * layer.
     */
    public SequenceScorer withLoss(Loss value) {
        Settings s = settings;
        return with(new Settings(
                value, s.scaling, s.engine, s.precision, s.batchSize, s.badRecords, s.prediction, s.probabilities));
    }

    /**
     * How features become those that the model was trained with; null for as they are. A model reads numbers as they are unless this is
     * given.
     *
     * @throws ClusterException when it is not for as many features as the model's, or transforms them
     */
    public SequenceScorer withScaling(SeriesScaling value) {
        int features = model.spec().input().features();
        if (value != null
                && (value.columns().size() != features
                        || value.columns().stream()
                                .anyMatch(column -> column.transform() != SeriesScaling.Transform.NONE))) {
            throw new ClusterException("the scaling should be for " + features
                    + " features, which it only moves and stretches, but is " + value.columns());
        }
        Settings s = settings;
        return with(new Settings(
                s.loss, value, s.engine, s.precision, s.batchSize, s.badRecords, s.prediction, s.probabilities));
    }

    /**
     * The engine of the executors, by its name.
     *
     * @param value {@code auto}, the default, is the best one on the GPU that Spark gives a task, or without one that on its cores
     * @throws carousel.engine.EngineException when there is none of this name
     */
    public SequenceScorer withEngine(String value) {
        Engines.requireKnown(value);
        Settings s = settings;
        return with(new Settings(
                s.loss, s.scaling, value, s.precision, s.batchSize, s.badRecords, s.prediction, s.probabilities));
    }

    /** What products are computed in; null, the default, for the engine's own choice. */
    public SequenceScorer withPrecision(Precision value) {
        Settings s = settings;
        return with(new Settings(
                s.loss, s.scaling, s.engine, value, s.batchSize, s.badRecords, s.prediction, s.probabilities));
    }

    /**
     * So many sequences at once at the most, where memory allows it.
     *
     * @param value in [1, 2^20]; the default is {@value #BATCH}
     */
    public SequenceScorer withBatchSize(int value) {
        if (value < 1 || value > MAX_BATCH) {
            throw new ClusterException("the batch size should be in the [1, " + MAX_BATCH + "] range but got " + value);
        }
        Settings s = settings;
        return with(new Settings(
                s.loss, s.scaling, s.engine, s.precision, value, s.badRecords, s.prediction, s.probabilities));
    }

    /** What becomes of rows that are no sequences; by default the job stops. */
    public SequenceScorer withBadRecords(BadRecords value) {
        Settings s = settings;
        return with(new Settings(
                s.loss,
                s.scaling,
                s.engine,
                s.precision,
                s.batchSize,
                Objects.requireNonNull(value),
                s.prediction,
                s.probabilities));
    }

    /**
     * The names of the columns that are added.
     *
     * @param prediction by default {@code prediction}
     * @param probabilities by default {@code probabilities}; added for classes only
     */
    public SequenceScorer withPredictionColumns(String prediction, String probabilities) {
        if (prediction.equals(probabilities)) {
            throw new ClusterException(
                    "the columns of predictions and of probabilities should have two names but both are '" + prediction
                            + "'");
        }
        Settings s = settings;
        return with(new Settings(
                s.loss, s.scaling, s.engine, s.precision, s.batchSize, s.badRecords, prediction, probabilities));
    }

    private SequenceScorer with(Settings changed) {
        return new SequenceScorer(model, columns, changed);
    }

    /** The model's specification. */
    public ModelSpec spec() {
        return model.spec();
    }

    /** What the model's file said besides: see {@link ModelFile#ownMetadata()}. */
    public Map<String, String> metadata() {
        return model.metadata();
    }

    /**
     * The columns of {@link #score} for a table with these.
     *
     * @throws ClusterException when it lacks one that is read, one is of another type, or one has the name of one that is added; and
     *     when nothing says what outputs mean
     */
    public StructType schema(StructType table) {
        columns.requireColumns(table);
        Loss loss = model.loss(settings.loss);
        StructType schema = table;
        if (columns.isGrouped()) {
            schema = new StructType(new StructField[] {SequenceColumns.field(table, columns.key())});
        }
        DataType numbers = DataTypes.createArrayType(DataTypes.FloatType, false);
        DataType answers = stepwise() ? DataTypes.createArrayType(numbers, false) : numbers;
        if (!loss.labelled()) {
            return added(schema, settings.prediction, answers);
        }
        DataType classes = stepwise() ? DataTypes.createArrayType(DataTypes.IntegerType, false) : DataTypes.IntegerType;
        return added(added(schema, settings.prediction, classes), settings.probabilities, answers);
    }

    private static StructType added(StructType schema, String name, DataType type) {
        if (Arrays.stream(schema.fieldNames()).anyMatch(name::equalsIgnoreCase)) {
            throw new ClusterException("the table has a column '" + name
                    + "' already, where predictions go: rename it, or give predictions another column");
        }
        return schema.add(name, type, false);
    }

    private boolean stepwise() {
        return model.spec().output().kind() == Form.Kind.SEQUENCE;
    }

    /**
     * The table with predictions, computed when they are asked for. Of sequences in arrays each row is kept as it is, in its order; of
     * grouped ones there is a row for each key. Then follow
     *
     * <ul>
     *   <li>for classes {@code prediction}, the likeliest as an int, and {@code probabilities}, an array of floats;
     *   <li>otherwise {@code prediction}, an array of the outputs as floats.
     * </ul>
     *
     * <p>For a model that answers at each step these are arrays of the same, one for each step.
     *
     * <p>A bad record ends the job that computes it, with a {@link ClusterException} among the causes of what Spark throws, unless it is
     * to be skipped.
     *
     * @throws ClusterException as {@link #schema}
     */
    public Dataset<Row> score(Dataset<Row> table) {
        return score(table, Scoring.Counts.NONE);
    }

    /**
     * The same, and counts the records that are left out.
     *
     * @param left of this session; a job that computes some tasks more than once, as after the loss of an executor, may count theirs
     *     more than once
     */
    public Dataset<Row> score(Dataset<Row> table, LongAccumulator left) {
        return score(table, new Scoring.Counts(null, left, null));
    }

    Dataset<Row> score(Dataset<Row> table, Scoring.Counts counts) {
        StructType schema = schema(table.schema());
        ModelSpec spec = model.spec();
        Loss loss = model.loss(settings.loss);
        // Beside the model itself everything that it is computed with: another engine is another model.
        Job job = new Job(model.digest(), model.specification(), null, settings.engine, settings.precision);
        SparkSession session = table.sparkSession();
        Job.requireDevice(settings.engine, session.sparkContext().conf());
        Broadcast<double[]> parameters =
                JavaSparkContext.fromSparkContext(session.sparkContext()).broadcast(model.parameters());
        int place = columns.isGrouped() ? 1 : SequenceColumns.place(table.schema(), columns.array());
        Scoring scoring = new Scoring(
                job,
                parameters,
                loss,
                model.applies(loss),
                columns,
                place,
                spec.input().features(),
                spec.output().features(),
                width(spec),
                stepwise(),
                scaling(SeriesScaling.Column::offset),
                scaling(SeriesScaling.Column::scale),
                settings.batchSize,
                settings.badRecords,
                schema,
                counts);
        Dataset<Row> rows = columns.isGrouped() ? columns.arranged(table, 0) : table;
        return rows.mapPartitions(scoring, Encoders.row(schema));
    }

    private double[] scaling(ToDoubleFunction<SeriesScaling.Column> part) {
        return settings.scaling == null
                ? null
                : settings.scaling.columns().stream().mapToDouble(part).toArray();
    }

    private static int width(ModelSpec spec) {
        int widest = spec.input().features();
        Form form = spec.input();
        List<Layer> layers = spec.layers();
        for (Layer layer : layers) {
            form = layer.output(form);
            widest = Math.max(widest, form.features());
        }
        return widest;
    }
}
