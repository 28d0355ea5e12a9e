package carousel.spark;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.data.SeriesScaling;
import carousel.engine.EngineException;
import carousel.engine.Loss;
import carousel.format.ModelFile;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.lang.reflect.Method;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Comparator;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.LongStream;
import org.apache.spark.TaskContext;
import org.apache.spark.api.java.function.MapPartitionsFunction;
import org.apache.spark.ml.Pipeline;
import org.apache.spark.ml.PipelineModel;
import org.apache.spark.ml.PipelineStage;
import org.apache.spark.ml.feature.SQLTransformer;
import org.apache.spark.ml.param.ParamMap;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.functions;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.util.LongAccumulator;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import scala.collection.Seq;
import scala.jdk.javaapi.CollectionConverters;

/** Scoring on executors that are processes of their own. */
class ScoringSparkTest {
    private static final DataType NUMBERS = DataTypes.createArrayType(DataTypes.DoubleType);

    @TempDir
    private static Path folder;

    private static SparkSession spark;
    private static Path classes;
    private static Path steps;

    @BeforeAll
    static void open() throws IOException {
        spark = LocalCluster.open(2);
        classes = ScoringFixture.classes(folder.resolve("classes.safetensors"), Map.of());
        steps = ScoringFixture.steps(folder.resolve("steps.safetensors"));
    }

    private static long[] ids(int size) {
        return LongStream.range(0, size).toArray();
    }

    /** @param partitions 0 to leave it to Spark */
    private static Dataset<Row> table(StructType schema, List<Row> rows, int partitions) {
        Dataset<Row> table = spark.createDataFrame(rows, schema);
        return partitions == 0 ? table : table.repartition(partitions, functions.col("id"));
    }

    /** A row a sequence: its number, and its steps as an array of arrays. */
    private static Dataset<Row> nested(int size, int partitions) {
        List<Row> rows = new ArrayList<>();
        for (long id : ids(size)) {
            rows.add(RowFactory.create(id, ScoringFixture.sequence(id)));
        }
        return table(
                new StructType().add("id", DataTypes.LongType).add("x", DataTypes.createArrayType(NUMBERS)),
                rows,
                partitions);
    }

    private static SequenceScorer scorer(Path model, SequenceColumns columns) throws IOException {
        return SequenceScorer.of(model.toString(), columns);
    }

    private static float[] floats(Object seq) {
        List<?> list = CollectionConverters.asJava((Seq<?>) seq);
        float[] values = new float[list.size()];
        for (int k = 0; k < values.length; k++) {
            values[k] = (Float) list.get(k);
        }
        return values;
    }

    private static List<Row> sorted(Dataset<Row> scored) {
        List<Row> rows = new ArrayList<>(scored.collectAsList());
        rows.sort(Comparator.comparingLong(row -> row.getAs("id")));
        return rows;
    }

    /** That rows, one for each number, have the classes and probabilities that this machine predicts. */
    private static void assertClasses(int size, List<Row> rows) throws IOException {
        assertEquals(size, rows.size());
        List<float[]> expected = ScoringFixture.expected(classes, Loss.SOFTMAX_CROSS_ENTROPY, ids(size));
        for (int id = 0; id < size; id++) {
            Row row = rows.get(id);
            assertEquals((long) id, row.<Long>getAs("id"));
            assertArrayEquals(expected.get(id), floats(row.getAs("probabilities")), 1e-6f, "of sequence " + id);
            assertEquals(ScoringFixture.largest(expected.get(id)), row.<Integer>getAs("prediction"));
        }
    }

    @Test
    void predictsAsOneMachineDoes() throws IOException {
        SequenceScorer scorer = scorer(classes, SequenceColumns.arrays("x"))
                .withLoss(Loss.SOFTMAX_CROSS_ENTROPY)
                .withBatchSize(16);
        Dataset<Row> scored = scorer.score(nested(300, 0));
        assertEquals(List.of("id", "x", "prediction", "probabilities"), List.of(scored.columns()));
        List<Row> rows = sorted(scored);
        assertClasses(300, rows);
        // The rest of a row is as it was.
        assertEquals(ScoringFixture.length(17), ((Seq<?>) rows.get(17).getAs("x")).size());
    }

    /** More partitions than rows: some are empty. */
    @Test
    void emptyPartitionsAreNoMatter() throws IOException {
        SequenceScorer scorer = scorer(classes, SequenceColumns.arrays("x")).withLoss(Loss.SOFTMAX_CROSS_ENTROPY);
        assertClasses(3, sorted(scorer.score(nested(3, 8))));
    }

    /** A row a step, shuffled. */
    private static Dataset<Row> grouped(int size) {
        List<Row> rows = new ArrayList<>();
        for (long id : ids(size)) {
            double[][] sequence = ScoringFixture.sequence(id);
            for (int t = 0; t < sequence.length; t++) {
                rows.add(RowFactory.create(id, (t - 3) * 0.5, sequence[t][0], sequence[t][1]));
            }
        }
        Collections.shuffle(rows, new Random(1));
        StructType schema = new StructType()
                .add("id", DataTypes.LongType)
                .add("time of day", DataTypes.DoubleType)
                .add("a.b", DataTypes.DoubleType)
                .add("c`d", DataTypes.DoubleType);
        return spark.createDataFrame(rows, schema).repartition(5);
    }

    @Test
    void shuffledStepsAreGroupedInAnOrder() {
        SequenceColumns columns = SequenceColumns.grouped("id", "time of day", "a.b", "c`d");
        // As many partitions as are asked for, and in each the keys in their order.
        Dataset<Row> arranged = columns.arranged(grouped(200), 3);
        List<List<Row>> parts = arranged.javaRDD().glom().collect();
        assertEquals(3, parts.size());
        assertEquals(200, parts.stream().mapToInt(List::size).sum());
        for (List<Row> part : parts) {
            List<Long> keys = part.stream().map(row -> row.getLong(0)).toList();
            assertEquals(keys.stream().sorted().toList(), keys);
            for (Row row : part) {
                List<?> times = CollectionConverters.asJava((Seq<?>) row.get(1)).stream()
                        .map(step -> ((Row) step).get(0))
                        .toList();
                assertEquals(ScoringFixture.length(row.getLong(0)), times.size());
                assertEquals(times.stream().sorted().toList(), times);
            }
        }
        assertEquals(2, columns.features(arranged));
    }

    @Test
    void widthsComeFromTheFirstSequenceThatHasOne() {
        Dataset<Row> table = nested(5, 1)
                .union(spark.createDataFrame(
                        List.of(RowFactory.create(9L, new double[0][]), RowFactory.create(10L, null)),
                        nested(1, 0).schema()));
        SequenceColumns columns = SequenceColumns.arrays("x");
        assertEquals(2, columns.features(columns.arranged(table, 0)));
        Dataset<Row> none = columns.arranged(table.filter("id > 8"), 0);
        assertTrue(assertThrows(ClusterException.class, () -> columns.features(none))
                .getMessage()
                .startsWith("the column 'x' does not say how many features a step has, for no row has a step"));
    }

    @Test
    void aModelThatAnswersAtEachStepAnswersForValidOnes() throws IOException {
        SequenceScorer scorer = scorer(steps, SequenceColumns.arrays("x"));
        assertEquals(
                "array<array<float>>",
                scorer.withLoss(Loss.MEAN_SQUARED_ERROR)
                        .schema(nested(1, 0).schema())
                        .apply("prediction")
                        .dataType()
                        .simpleString());
        List<Row> rows = sorted(scorer.withLoss(Loss.SOFTMAX_CROSS_ENTROPY).score(nested(40, 0)));
        List<float[]> expected = ScoringFixture.expected(steps, Loss.SOFTMAX_CROSS_ENTROPY, ids(40));
        for (int id = 0; id < 40; id++) {
            List<?> shares = CollectionConverters.asJava((Seq<?>) rows.get(id).getAs("probabilities"));
            List<?> best = CollectionConverters.asJava((Seq<?>) rows.get(id).getAs("prediction"));
            assertEquals(ScoringFixture.length(id), shares.size());
            assertEquals(ScoringFixture.length(id), best.size());
            for (int t = 0; t < shares.size(); t++) {
                int from = t * ScoringFixture.OUTPUTS;
                float[] step = Arrays.copyOfRange(expected.get(id), from, from + ScoringFixture.OUTPUTS);
                assertArrayEquals(step, floats(shares.get(t)), 1e-6f);
                assertEquals(ScoringFixture.largest(step), best.get(t));
            }
        }
    }

    /** Of a flat array, whose width the model knows. */
    @Test
    void numbersAreScaledAsInTraining() throws IOException {
        List<Row> flat = new ArrayList<>();
        for (long id : ids(20)) {
            flat.add(RowFactory.create(id, ScoringFixture.flat(id)));
        }
        StructType schema = new StructType().add("id", DataTypes.LongType).add("x", NUMBERS);
        SeriesScaling scaling = new SeriesScaling(
                SeriesScaling.Kind.STANDARD,
                List.of(
                        new SeriesScaling.Column("a", SeriesScaling.Transform.NONE, 0.5, 2),
                        new SeriesScaling.Column("b", SeriesScaling.Transform.NONE, -1, 0.1)));
        List<Row> rows = sorted(scorer(classes, SequenceColumns.arrays("x"))
                .withLoss(Loss.MEAN_SQUARED_ERROR)
                .withScaling(scaling)
                .score(table(schema, flat, 0)));
        List<float[]> expected = ScoringFixture.expected(
                classes,
                Loss.MEAN_SQUARED_ERROR,
                batch -> {
                    for (int k = 0; k < batch.inputs().length; k++) {
                        batch.inputs()[k] = (float) scaling.columns().get(k % 2).scaled(batch.inputs()[k]);
                    }
                },
                ids(20));
        for (int id = 0; id < 20; id++) {
            assertArrayEquals(expected.get(id), floats(rows.get(id).getAs("prediction")), 1e-6f);
        }
    }

    /** Makes the rows of some numbers and counts how far it is before {@link Sink}, in the process of the executor. */
    private static final class Source implements MapPartitionsFunction<Long, Row> {
        private static final long serialVersionUID = 1;

        private static long ahead;
        private static long most;

        @Override
        public Iterator<Row> call(Iterator<Long> ids) {
            ahead = 0;
            most = 0;
            return new Iterator<>() {
                @Override
                public boolean hasNext() {
                    return ids.hasNext();
                }

                @Override
                public Row next() {
                    long id = ids.next();
                    ahead++;
                    most = Math.max(most, ahead);
                    return RowFactory.create(id, ScoringFixture.sequence(id));
                }
            };
        }
    }

    /** Takes rows and says how many there were, how many were held at the most, and how many were not in their order. */
    private static final class Sink implements MapPartitionsFunction<Row, Row> {
        private static final long serialVersionUID = 1;

        @Override
        public Iterator<Row> call(Iterator<Row> rows) {
            long count = 0;
            long strays = 0;
            long before = -1;
            while (rows.hasNext()) {
                long id = rows.next().getAs("id");
                Source.ahead--;
                strays += id <= before ? 1 : 0;
                before = id;
                count++;
            }
            return List.of(RowFactory.create(count, Source.most, strays, (long) SharedModel.open()))
                    .iterator();
        }
    }

    @Test
    void aHundredThousandSequencesTakeTheMemoryOfAWindow() throws IOException {
        int sequences = 100_000;
        StructType schema = new StructType().add("id", DataTypes.LongType).add("x", DataTypes.createArrayType(NUMBERS));
        Dataset<Row> table = spark.range(0, sequences, 1, 2).mapPartitions(new Source(), Encoders.row(schema));
        StructType summary = new StructType()
                .add("count", DataTypes.LongType)
                .add("most", DataTypes.LongType)
                .add("strays", DataTypes.LongType)
                .add("models", DataTypes.LongType);
        List<Row> parts = scorer(classes, SequenceColumns.arrays("x"))
                .withLoss(Loss.SOFTMAX_CROSS_ENTROPY)
                .withBatchSize(64)
                .score(table)
                .mapPartitions(new Sink(), Encoders.row(summary))
                .collectAsList();
        assertEquals(2, parts.size());
        for (Row part : parts) {
            assertEquals(sequences / 2, part.getLong(0));
            // The serializers between the stages hold one more.
            assertTrue(part.getLong(1) <= ScoredRows.windowRows(64) + 1, part.getLong(1) + " rows held");
            assertEquals(0, part.getLong(2), "rows that were not in their order");
            assertTrue(part.getLong(3) <= 2, part.getLong(3) + " models are open in an executor");
        }
    }

    /** Rows of which some are no sequences. */
    private static Dataset<Row> poisoned() {
        return nested(60, 0)
                .selectExpr(
                        "id",
                        "CASE WHEN id = 17 THEN array(array(1.0D, CAST('NaN' AS DOUBLE))) WHEN id = 40 THEN NULL ELSE x END AS x");
    }

    @Test
    void badRecordsAreLeftOutAndCounted() throws IOException {
        LongAccumulator left = spark.sparkContext().longAccumulator("left out");
        List<Row> rows = sorted(scorer(classes, SequenceColumns.arrays("x"))
                .withLoss(Loss.SOFTMAX_CROSS_ENTROPY)
                .withBadRecords(BadRecords.SKIP)
                .score(poisoned(), left));
        List<Long> expected = LongStream.range(0, 60)
                .filter(id -> id != 17 && id != 40)
                .boxed()
                .toList();
        assertEquals(expected, rows.stream().map(row -> row.<Long>getAs("id")).toList());
        assertEquals(2, left.value());
    }

    /** Passes rows on, and throws in the midst of a partition the first time that it is computed. */
    private static final class Stumbling implements MapPartitionsFunction<Row, Row> {
        private static final long serialVersionUID = 1;

        private final int after;
        private final String again;

        Stumbling(int after, Path again) {
            this.after = after;
            this.again = again.toString();
        }

        @Override
        public Iterator<Row> call(Iterator<Row> rows) throws IOException {
            TaskContext task = TaskContext.get();
            if (task.attemptNumber() > 0) {
                Files.writeString(Path.of(again), "");
            }
            return new Iterator<>() {
                private int count;

                @Override
                public boolean hasNext() {
                    return rows.hasNext();
                }

                @Override
                public Row next() {
                    if (task.attemptNumber() == 0 && count++ == after) {
                        throw new IllegalStateException("a task that a test has fail");
                    }
                    return rows.next();
                }
            };
        }
    }

    /** The batches before it throws are scored twice, and bad records are met twice; all are counted once. */
    @Test
    void aTaskThatThrowsAndIsTriedAgainScoresEachRowOnce() throws IOException {
        Path again = folder.resolve("again");
        Dataset<Row> table = poisoned().repartition(2, functions.col("id"));
        LongAccumulator scored = spark.sparkContext().longAccumulator("scored");
        LongAccumulator left = spark.sparkContext().longAccumulator("left out");
        // A batch of one has windows of 16 rows.
        List<Row> rows = sorted(scorer(classes, SequenceColumns.arrays("x"))
                .withLoss(Loss.SOFTMAX_CROSS_ENTROPY)
                .withBatchSize(1)
                .withBadRecords(BadRecords.SKIP)
                .score(
                        table.mapPartitions(new Stumbling(24, again), Encoders.row(table.schema())),
                        new Scoring.Counts(scored, left, null)));
        assertTrue(Files.exists(again), "no task was tried again");
        assertEquals(
                LongStream.range(0, 60)
                        .filter(id -> id != 17 && id != 40)
                        .boxed()
                        .toList(),
                rows.stream().map(row -> row.<Long>getAs("id")).toList());
        assertEquals(58, scored.value());
        assertEquals(2, left.value());
    }

    private static String refusal(SequenceScorer scorer, Dataset<Row> table) {
        return assertThrows(ClusterException.class, () -> scorer.score(table)).getMessage();
    }

    @Test
    void tablesThatDoNotFitAreRefusedBeforeAJobRuns() throws IOException {
        SequenceScorer scorer = scorer(classes, SequenceColumns.arrays("x")).withLoss(Loss.SOFTMAX_CROSS_ENTROPY);
        Dataset<Row> table = nested(2, 0);
        assertEquals("there is no column 'x' in the table: it has 'id'", refusal(scorer, table.drop("x")));
        assertTrue(refusal(scorer, table.selectExpr("id", "CAST(id AS STRING) AS x"))
                .startsWith("the column 'x' should be an array of numbers"));
        assertEquals(
                "the table has a column 'Prediction' already, where predictions go: rename it, or give predictions another"
                        + " column",
                refusal(scorer.withPredictionColumns("Prediction", "p"), table.selectExpr("x", "id AS Prediction")));
        assertTrue(refusal(scorer.withLoss(null), table).startsWith("the model does not say whether its outputs are"));
        assertEquals(
                "the model reads 2 features a step but the data has 3: rows by 'id' in the order of 't' with [a, b, c]",
                assertThrows(
                                ClusterException.class,
                                () -> scorer(classes, SequenceColumns.grouped("id", "t", "a", "b", "c")))
                        .getMessage());
        assertThrows(ClusterException.class, () -> scorer.withBatchSize(0));
        assertTrue(assertThrows(EngineException.class, () -> scorer.withEngine("foo"))
                .getMessage()
                .startsWith("there is no engine 'foo' in this build: choose auto, "));
        assertTrue(assertThrows(
                        EngineException.class, () -> scorer.withEngine("cudnn").score(table))
                .getMessage()
                .startsWith("the engine 'cudnn' needs a GPU but Spark gave the task none"));
    }

    @Test
    void aModelOnAnotherFileSystemIsRead() throws IOException {
        spark.sparkContext()
                .hadoopConfiguration()
                .set("fs.viewfs.mounttable.models.link./run", folder.toUri().toString());
        SequenceColumns columns = SequenceColumns.arrays("x");
        SequenceScorer scorer = SequenceScorer.of("viewfs://models/run/classes.safetensors", columns);
        assertEquals(ModelFile.read(classes).spec(), scorer.spec());
        Files.write(folder.resolve("broken.safetensors"), new byte[3]);
        String message = assertThrows(
                        IOException.class, () -> SequenceScorer.of("viewfs://models/run/broken.safetensors", columns))
                .getMessage();
        assertTrue(message.contains("'viewfs://models/run/broken.safetensors' is not a safetensors file"), message);
        assertThrows(IOException.class, () -> SequenceScorer.of("viewfs://models/run/none.safetensors", columns));
        assertThrows(IOException.class, () -> SequenceScorer.of("viewfs://models/run", columns));
    }

    @Test
    void aStageIsSavedAndReadWithItsPipeline() throws IOException {
        LstmTransformer lstm = LstmTransformer.of(classes.toString())
                .setFeaturesCol("series")
                .setLoss("softmax-cross-entropy")
                .setBatchSize(7)
                .setPredictionCol("class");
        SQLTransformer renamed = new SQLTransformer().setStatement("SELECT id, x AS series FROM __THIS__");
        Dataset<Row> table = nested(30, 0);
        PipelineModel pipeline =
                new Pipeline().setStages(new PipelineStage[] {renamed, lstm}).fit(table);
        Path saved = folder.resolve("pipeline");
        pipeline.write().save(saved.toString());
        PipelineModel read = PipelineModel.load(saved.toString());
        LstmTransformer stage = (LstmTransformer) read.stages()[1];
        assertEquals(lstm.uid(), stage.uid());
        assertEquals(7, stage.getOrDefault(stage.batchSize()));
        assertTrue(stage.isSet(stage.featuresCol()));
        assertFalse(stage.isSet(stage.engine()));
        assertClasses(30, sorted(read.transform(table).withColumnRenamed("class", "prediction")));
        // As Spark's own stages have it, and the file is one that Carousel reads.
        Path place = folder.resolve("stage");
        lstm.write().overwrite().save(place.toString());
        JsonObject metadata = JsonParser.parseString(Files.readString(place.resolve("metadata/part-00000")))
                .getAsJsonObject();
        assertEquals(LstmTransformer.class.getName(), metadata.get("class").getAsString());
        assertEquals(spark.version(), metadata.get("sparkVersion").getAsString());
        assertEquals(7, metadata.getAsJsonObject("paramMap").get("batchSize").getAsInt());
        assertEquals(
                ModelFile.read(classes).weights().get("dense.weight")[0],
                ModelFile.read(place.resolve("model.safetensors")).weights().get("dense.weight")[0]);
        assertThrows(IOException.class, () -> lstm.save(place.toString()));
        lstm.write().overwrite().save(place.toString());
    }

    @Test
    void stagesCheckTheirParametersAndColumns() throws IOException {
        LstmTransformer lstm = LstmTransformer.of(ModelFile.read(classes)).setFeaturesCol("x");
        StructType schema = nested(1, 0).schema();
        assertTrue(assertThrows(ClusterException.class, () -> lstm.transformSchema(schema))
                .getMessage()
                .startsWith("the model does not say whether"));
        lstm.setLoss("mean-squared-error");
        assertEquals(
                List.of("id", "x", "prediction"),
                List.of(lstm.transformSchema(schema).fieldNames()));
        ParamMap other = new ParamMap().put(lstm.predictionCol(), "y");
        LstmTransformer copy = lstm.copy(other);
        assertEquals(
                List.of("id", "x", "y"), List.of(copy.transformSchema(schema).fieldNames()));
        assertEquals(lstm.uid(), copy.uid());
        lstm.setLoss("hinge");
        assertEquals(
                "the parameter loss should be one of softmax-cross-entropy, mean-squared-error, sigmoid-cross-entropy, or model"
                        + " but is 'hinge'",
                assertThrows(ClusterException.class, () -> lstm.transformSchema(schema))
                        .getMessage());
    }

    private record CommandRun(int code, String out, String err) {}

    /** Runs the command line in this process, which has a session. */
    private static CommandRun carousel(Object... arguments) throws ReflectiveOperationException {
        Method run = Class.forName("carousel.cli.Main")
                .getDeclaredMethod("run", PrintWriter.class, PrintWriter.class, String[].class);
        run.setAccessible(true);
        StringWriter out = new StringWriter();
        StringWriter err = new StringWriter();
        String[] texts = Arrays.stream(arguments).map(String::valueOf).toArray(String[]::new);
        int code = (Integer) run.invoke(null, new PrintWriter(out), new PrintWriter(err), texts);
        return new CommandRun(code, out.toString(), err.toString());
    }

    @Test
    void theCommandLineScoresATable() throws IOException, ReflectiveOperationException {
        Path model = ScoringFixture.classes(
                folder.resolve("said.safetensors"), Map.of(ModelFile.LOSS, Loss.SOFTMAX_CROSS_ENTROPY.name()));
        Path input = folder.resolve("readings.csv");
        Path output = folder.resolve("scored.json");
        grouped(100).write().option("header", "true").csv(input.toString());
        Object[] command = {
            "spark",
            "score",
            "--model",
            model,
            "--input",
            input,
            "--key",
            "id",
            "--time",
            "time of day",
            "--features",
            "a.b,c`d",
            "--batch",
            "9",
            "--engine",
            "vector",
            "--output",
            output
        };
        CommandRun run = carousel(command);
        assertEquals(0, run.code, run::toString);
        assertEquals("", run.err);
        assertTrue(
                run.out.matches("(?s)On vector[^\\n]*\\nScored 100 sequences in [0-9.]+ s \\([0-9]+ a second\\) to "
                        + output + "\\n"),
                run::out);
        List<Row> rows = new ArrayList<>(spark.read()
                .schema("id BIGINT, prediction INT, probabilities ARRAY<FLOAT>")
                .json(output.toString())
                .collectAsList());
        rows.sort(Comparator.comparingLong(row -> row.getLong(0)));
        assertClasses(100, rows);
        // Once more, it is there.
        CommandRun again = carousel(command);
        assertEquals(2, again.code);
        assertEquals(
                "carousel: '" + output + "' exists already: choose another name, or give --overwrite\n", again.err);
    }

    @Test
    void theCommandLineSaysWhatIsWrongInASentence() throws ReflectiveOperationException, IOException {
        Path input = folder.resolve("poisoned.parquet");
        Path output = Files.createDirectory(folder.resolve("there already"));
        poisoned().write().parquet(input.toString());
        Object[] command = {
            "spark",
            "score",
            "--model",
            classes,
            "--loss",
            "softmax-cross-entropy",
            "--input",
            input,
            "--features",
            "x",
            "--output",
            output,
            "--overwrite",
            "--bad-records",
            "stop"
        };
        CommandRun stopped = carousel(command);
        assertEquals(1, stopped.code, stopped::toString);
        assertTrue(
                stopped.err.matches(
                        "carousel: a sequence in 'x' (that begins with \\[1.0, NaN\\] has NaN for feature 2 in step 1"
                                + " where a finite number of single precision should be|is null where an array should be): mend it, or"
                                + " have bad records skipped\n"),
                stopped.err);
        command[command.length - 1] = "skip";
        CommandRun skipped = carousel(command);
        assertEquals(0, skipped.code, skipped::toString);
        assertTrue(skipped.out.contains("Scored 58 sequences in "), skipped.out);
        assertTrue(skipped.out.contains("Left out 2 bad records: "), skipped.out);
        command[9] = "y";
        CommandRun missing = carousel(command);
        assertEquals(1, missing.code);
        assertEquals("carousel: there is no column 'y' in the table: it has 'id', 'x'\n", missing.err);
        // What is overwritten is deleted first.
        for (Path place : List.of(folder, input, input.resolve("scores"))) {
            command[11] = place;
            CommandRun above = carousel(command);
            assertEquals(2, above.code);
            assertTrue(above.err.contains("not above or below it"), above.err);
        }
        command[11] = output;
        command[7] = folder.resolve("nowhere.parquet");
        assertEquals("carousel: there is no table at '" + command[7] + "': check the path\n", carousel(command).err);
    }
}
