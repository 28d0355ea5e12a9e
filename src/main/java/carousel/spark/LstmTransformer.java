package carousel.spark;

import carousel.engine.Engines;
import carousel.engine.Loss;
import carousel.format.FormatException;
import carousel.format.ModelFile;
import carousel.tensor.Precision;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParseException;
import com.google.gson.JsonParser;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.Arrays;
import java.util.Locale;
import java.util.Map;
import java.util.UUID;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.ml.Transformer;
import org.apache.spark.ml.param.IntParam;
import org.apache.spark.ml.param.Param;
import org.apache.spark.ml.param.ParamMap;
import org.apache.spark.ml.util.MLReader;
import org.apache.spark.ml.util.MLWritable;
import org.apache.spark.ml.util.MLWriter;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.StructType;

/**
 * A trained model as a stage of a pipeline of Spark ML: it adds predictions to the rows of a table, each with a sequence in an array. It
 * scores as a {@link SequenceScorer} does; tables with a row for each step are for that one.
 *
 * <pre>{@code
 * LstmTransformer lstm = LstmTransformer.of("hdfs:///models/wear").setFeaturesCol("readings").setLoss("softmax-cross-entropy");
 * new Pipeline().setStages(new PipelineStage[] {assembler, lstm}).fit(table).write().save("hdfs:///pipelines/wear");
 * }</pre>
 */
public final class LstmTransformer extends Transformer implements MLWritable {
    private static final long serialVersionUID = 1;

    private static final String METADATA = "metadata";
    private static final String MODEL = "model.safetensors";
    private static final String PARAMETERS = "paramMap";
    private static final String DEFAULTS = "defaultParamMap";
    private static final String OF_MODEL = "model";

    private final String uid;
    private final ScoredModel model;

    private final Param<String> featuresCol;
    private final Param<String> predictionCol;
    private final Param<String> probabilitiesCol;
    private final Param<String> loss;
    private final Param<String> engine;
    private final Param<String> precision;
    private final IntParam batchSize;
    private final Param<String> badRecords;

    private LstmTransformer(String uid, ScoredModel model) {
        model.requireNumbers();
        this.uid = uid;
        this.model = model;
        this.featuresCol =
                new Param<>(this, "featuresCol", "column of sequences: arrays of numbers, or of arrays of numbers");
        this.predictionCol = new Param<>(this, "predictionCol", "column for classes or outputs");
        this.probabilitiesCol = new Param<>(this, "probabilitiesCol", "column for the probabilities of classes");
        this.loss = new Param<>(
                this, "loss", "what the model was trained with, one of " + words(Loss.values()) + "; or " + OF_MODEL);
        this.engine = new Param<>(this, "engine", "name of the engine on the executors, or auto");
        this.precision = new Param<>(
                this,
                "precision",
                "what products are computed in, one of " + words(Precision.values()) + "; or " + Engines.AUTO);
        this.batchSize = new IntParam(this, "batchSize", "sequences at once, 1 or more");
        this.badRecords = new Param<>(
                this, "badRecords", "what becomes of rows that are no sequences, one of " + words(BadRecords.values()));
        setDefault(featuresCol, "features");
        setDefault(predictionCol, "prediction");
        setDefault(probabilitiesCol, "probabilities");
        setDefault(loss, OF_MODEL);
        setDefault(engine, Engines.AUTO);
        setDefault(precision, Engines.AUTO);
        setDefault(batchSize, SequenceScorer.BATCH);
        setDefault(badRecords, word(BadRecords.STOP));
    }

    /**
     * With the model in a file, or in the folder of a run, on any file system that Hadoop knows.
     *
     * @throws IOException when there is no model
     */
    public static LstmTransformer of(String path) throws IOException {
        return new LstmTransformer(newUid(), ScoredModel.read(settings(), path));
    }

    /** With a model that was read already. */
    public static LstmTransformer of(ModelFile file) throws FormatException {
        return new LstmTransformer(newUid(), ScoredModel.of(file));
    }

    private static String newUid() {
        String random = UUID.randomUUID().toString();
        return "lstm_" + random.substring(random.length() - 12);
    }

    private static Configuration settings() {
        return SparkSession.builder().getOrCreate().sparkContext().hadoopConfiguration();
    }

    @Override
    public String uid() {
        return uid;
    }

    /** The column of sequences; by default {@code features}. */
    public Param<String> featuresCol() {
        return featuresCol;
    }

    /** The column for predictions; by default {@code prediction}. */
    public Param<String> predictionCol() {
        return predictionCol;
    }

    /** The column for the probabilities of classes; by default {@code probabilities}. */
    public Param<String> probabilitiesCol() {
        return probabilitiesCol;
    }

    /** What the model was trained with: see {@link SequenceScorer#withLoss}. By default what the model says. */
    public Param<String> loss() {
        return loss;
    }

    /** The engine: see {@link SequenceScorer#withEngine}. By default {@code auto}. */
    public Param<String> engine() {
        return engine;
    }

    /** The precision of products; by default {@code auto}, the engine's own. */
    public Param<String> precision() {
        return precision;
    }

    /** So many sequences at once; by default {@value SequenceScorer#BATCH}. */
    public IntParam batchSize() {
        return batchSize;
    }

    /** {@code stop}, the default, or {@code skip}. */
    public Param<String> badRecords() {
        return badRecords;
    }

    /** See {@link #featuresCol()}. */
    public LstmTransformer setFeaturesCol(String value) {
        set(featuresCol, value);
        return this;
    }

    /** See {@link #predictionCol()}. */
    public LstmTransformer setPredictionCol(String value) {
        set(predictionCol, value);
        return this;
    }

    /** See {@link #probabilitiesCol()}. */
    public LstmTransformer setProbabilitiesCol(String value) {
        set(probabilitiesCol, value);
        return this;
    }

    /** See {@link #loss()}; for instance {@code mean-squared-error}. */
    public LstmTransformer setLoss(String value) {
        set(loss, value);
        return this;
    }

    /** See {@link #engine()}. */
    public LstmTransformer setEngine(String value) {
        set(engine, value);
        return this;
    }

    /** See {@link #precision()}; for instance {@code fp32}. */
    public LstmTransformer setPrecision(String value) {
        set(precision, value);
        return this;
    }

    /** See {@link #batchSize()}. */
    public LstmTransformer setBatchSize(int value) {
        set(batchSize, (Object) value);
        return this;
    }

    /** See {@link #badRecords()}. */
    public LstmTransformer setBadRecords(String value) {
        set(badRecords, value);
        return this;
    }

    private static String word(Enum<?> value) {
        return value.name().toLowerCase(Locale.ROOT).replace('_', '-');
    }

    private static String words(Enum<?>... values) {
        return String.join(
                ", ", Arrays.stream(values).map(LstmTransformer::word).toList());
    }

    /** The constant that a parameter names; null for the word that leaves it open. */
    private <E extends Enum<E>> E choice(Param<String> param, Class<E> type, String open) {
        String value = getOrDefault(param);
        if (value.equals(open)) {
            return null;
        }
        for (E constant : type.getEnumConstants()) {
            if (word(constant).equalsIgnoreCase(value.replace('_', '-'))) {
                return constant;
            }
        }
        throw new ClusterException("the parameter " + param.name() + " should be one of "
                + words(type.getEnumConstants()) + (open == null ? "" : ", or " + open) + " but is '" + value + "'");
    }

    private SequenceScorer scorer() {
        return SequenceScorer.of(model, SequenceColumns.arrays(getOrDefault(featuresCol)))
                .withLoss(choice(loss, Loss.class, OF_MODEL))
                .withEngine(getOrDefault(engine))
                .withPrecision(choice(precision, Precision.class, Engines.AUTO))
                .withBatchSize((Integer) getOrDefault((Param<?>) batchSize))
                .withBadRecords(choice(badRecords, BadRecords.class, null))
                .withPredictionColumns(getOrDefault(predictionCol), getOrDefault(probabilitiesCol));
    }

    /** The table with predictions: see {@link SequenceScorer#score}. */
    @Override
    public Dataset<Row> transform(Dataset<?> table) {
        return scorer().score(table.toDF());
    }

    /**
     * The columns of the table with predictions.
     *
     * @throws ClusterException as {@link SequenceScorer#schema}, and when a parameter has no such value
     */
    @Override
    public StructType transformSchema(StructType schema) {
        return scorer().schema(schema);
    }

    @Override
    public LstmTransformer copy(ParamMap extra) {
        return copyValues(new LstmTransformer(uid, model), extra);
    }

    @Override
    public MLWriter write() {
        return new Writer(this);
    }

    /** As Spark ML's own stages are read; the entrance that a pipeline looks for. */
    public static MLReader<LstmTransformer> read() {
        return new Reader();
    }

    /** A transformer that was saved. */
    public static LstmTransformer load(String path) {
        return read().load(path);
    }

    /** As the stages of Spark ML lie in a folder: a line of JSON in {@code metadata}; and beside it the file of the model. */
    private static final class Writer extends MLWriter {
        private final LstmTransformer stage;

        Writer(LstmTransformer stage) {
            this.stage = stage;
        }

        @Override
        public void saveImpl(String path) {
            JsonObject metadata = new JsonObject();
            metadata.addProperty("class", LstmTransformer.class.getName());
            metadata.addProperty("timestamp", System.currentTimeMillis());
            metadata.addProperty("sparkVersion", sparkSession().version());
            metadata.addProperty("uid", stage.uid);
            metadata.add(PARAMETERS, values(true));
            metadata.add(DEFAULTS, values(false));
            Configuration settings = sparkSession().sparkContext().hadoopConfiguration();
            try {
                ClusterFiles.writeText(settings, path + "/" + METADATA + "/part-00000", metadata + "\n");
                stage.model.write(settings, path + "/" + MODEL);
                // Last, as the sign that all is there.
                ClusterFiles.writeText(settings, path + "/" + METADATA + "/_SUCCESS", "");
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }

        /** @param given whether those that were set, otherwise the defaults */
        private JsonObject values(boolean given) {
            JsonObject values = new JsonObject();
            for (Param<?> param : stage.params()) {
                if (given ? stage.isSet(param) : stage.hasDefault(param)) {
                    values.add(param.name(), JsonParser.parseString(json(param, given)));
                }
            }
            return values;
        }

        private <T> String json(Param<T> param, boolean given) {
            return param.jsonEncode(
                    given ? stage.getOrDefault(param) : stage.getDefault(param).get());
        }
    }

    private static final class Reader extends MLReader<LstmTransformer> {
        @Override
        public LstmTransformer load(String path) {
            Configuration settings = sparkSession().sparkContext().hadoopConfiguration();
            try {
                JsonObject metadata = metadata(settings, path);
                LstmTransformer stage = new LstmTransformer(
                        metadata.get("uid").getAsString(), ScoredModel.read(settings, path + "/" + MODEL));
                for (Map.Entry<String, JsonElement> value :
                        metadata.getAsJsonObject(PARAMETERS).entrySet()) {
                    set(stage, stage.getParam(value.getKey()), value.getValue());
                }
                return stage;
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }

        private static JsonObject metadata(Configuration settings, String path) throws IOException {
            String text = ClusterFiles.readTexts(settings, path + "/" + METADATA);
            try {
                JsonObject metadata = JsonParser.parseString(text).getAsJsonObject();
                if (LstmTransformer.class.getName().equals(metadata.get("class").getAsString())
                        && metadata.has("uid")
                        && metadata.get(PARAMETERS).isJsonObject()) {
                    return metadata;
                }
            } catch (JsonParseException | IllegalStateException | NullPointerException e) {
                throw new FormatException("'" + path + "' has metadata that cannot be read: save the stage again", e);
            }
            throw new FormatException("'" + path + "' should be a saved " + LstmTransformer.class.getSimpleName()
                    + " but is another stage, or damaged: check the path");
        }

        private static <T> void set(LstmTransformer stage, Param<T> param, JsonElement value) {
            stage.set(param, param.jsonDecode(value.toString()));
        }
    }
}
