package carousel.spark;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.data.Batch;
import carousel.data.SequenceDataset;
import carousel.data.ShuffledBatches;
import carousel.engine.Engine;
import carousel.engine.EngineException;
import carousel.engine.Engines;
import carousel.engine.Loss;
import carousel.layer.Dense;
import carousel.layer.Form;
import carousel.layer.Lstm;
import carousel.layer.Model;
import carousel.layer.ModelSpec;
import carousel.optimizer.Optimizer;
import carousel.training.Trainer;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import org.junit.jupiter.api.Test;
import scala.jdk.javaapi.CollectionConverters;

/** Training on the rows of a table, which the driver never has. */
class TableTrainingSparkTest {
    private static final int SIZE = 60;
    private static final int FEATURES = 2;
    private static final int LONGEST = 7;
    private static final int BATCH = 12;
    private static final SequenceColumns COLUMNS =
            SequenceColumns.arrays("steps").withLabel("kind", 3);
    private static final ModelSpec SPEC = ModelSpec.of(Form.sequence(FEATURES), Lstm.of(5), Dense.of(3));

    private static final StructType TYPE = new StructType()
            .add("id", DataTypes.IntegerType)
            .add("steps", DataTypes.createArrayType(DataTypes.createArrayType(DataTypes.FloatType)))
            .add("kind", DataTypes.IntegerType);

    /** Sequences of different lengths. */
    private static List<Row> rows() {
        Random random = new Random(5);
        List<Row> rows = new ArrayList<>();
        for (int k = 0; k < SIZE; k++) {
            Float[][] steps = new Float[1 + random.nextInt(LONGEST)][FEATURES];
            for (Float[] step : steps) {
                step[0] = random.nextFloat();
                step[1] = random.nextFloat();
            }
            rows.add(RowFactory.create(k, steps, random.nextInt(3)));
        }
        return rows;
    }

    /** The same on this machine. */
    private record Rows(List<Row> rows) implements SequenceDataset {
        @Override
        public String name() {
            return "rows";
        }

        @Override
        public int size() {
            return rows.size();
        }

        @Override
        public int timeSteps() {
            return LONGEST;
        }

        @Override
        public int features() {
            return FEATURES;
        }

        @Override
        public int classes() {
            return 3;
        }

        @Override
        public int targetSize() {
            return 0;
        }

        @Override
        public boolean variableLengths() {
            return true;
        }

        @Override
        public void read(int index, Batch into, int row) {
            Float[][] steps = (Float[][]) rows.get(index).get(1);
            for (int t = 0; t < LONGEST; t++) {
                for (int c = 0; c < FEATURES; c++) {
                    into.inputs()[(t * into.batchSize() + row) * FEATURES + c] = t < steps.length ? steps[t][c] : 0;
                }
            }
            into.lengths()[row] = steps.length;
            into.labels()[row] = rows.get(index).getInt(2);
        }
    }

    private static Dataset<Row> table(SparkSession session, List<Row> rows, int partitions) {
        List<Row> boxed = rows.stream()
                .map(row -> {
                    Float[][] steps = row.isNullAt(1) ? null : (Float[][]) row.get(1);
                    List<List<Float>> lists = new ArrayList<>();
                    for (int t = 0; steps != null && t < steps.length; t++) {
                        lists.add(List.of(steps[t]));
                    }
                    return RowFactory.create(
                            row.get(0),
                            steps == null
                                    ? null
                                    : CollectionConverters.asScala(lists.stream()
                                                    .map(list -> CollectionConverters.asScala(list)
                                                            .toSeq())
                                                    .toList())
                                            .toSeq(),
                            row.get(2));
                })
                .toList();
        return session.createDataFrame(boxed, TYPE).repartition(partitions);
    }

    private static Float first(Row row) {
        List<scala.collection.Seq<Float>> steps = row.getList(row.fieldIndex("steps"));
        return CollectionConverters.asJava(steps.get(0)).get(0);
    }

    private static ClusterSteps.Builder steps(SparkSession session, Dataset<Row> table, SequenceColumns columns) {
        return ClusterSteps.on(session)
                .training(table, columns, BATCH, 7)
                .settings(ClusterSettings.exact(3))
                .engine("reference");
    }

    private static double[] trained(ClusterSteps steps) {
        try (Engine engine = Engines.open("reference");
                Model model = Model.create(engine, SPEC, 1);
                Trainer trainer = Trainer.of(model)
                        .loss(Loss.SOFTMAX_CROSS_ENTROPY)
                        .optimizer(Optimizer.adam(0.01))
                        .remote(steps)
                        .open()) {
            trainer.fit(steps.batches(), steps.validation(), 1);
            return model.readParameters();
        }
    }

    @Test
    void aTableIsTrainedOnAsItsRowsWouldBeHere() {
        SparkSession session = LocalCluster.open(2);
        Dataset<Row> table = table(session, rows(), 3);
        // Partition for partition, and by content within them; a sequence is known by its first number.
        Map<Float, Row> byFirst = new TreeMap<>();
        rows().forEach(row -> byFirst.put(((Float[][]) row.get(1))[0][0], row));
        List<Row> order = new ArrayList<>();
        for (List<Row> partition : COLUMNS.arranged(table, 3).javaRDD().glom().collect()) {
            partition.stream()
                    .map(TableTrainingSparkTest::first)
                    .sorted()
                    .forEach(first -> order.add(byFirst.get(first)));
        }
        double[] alone;
        try (Engine engine = Engines.open("reference");
                Model model = Model.create(engine, SPEC, 1);
                Trainer trainer = Trainer.of(model)
                        .loss(Loss.SOFTMAX_CROSS_ENTROPY)
                        .optimizer(Optimizer.adam(0.01))
                        .open()) {
            trainer.fit(new ShuffledBatches(new Rows(order), BATCH, 7, ShuffledBatches.Mode.PER_EPOCH), null, 1);
            alone = model.readParameters();
        }
        try (ClusterSteps steps =
                steps(session, table, COLUMNS).validation(table).open()) {
            double[] together = trained(steps);
            for (int k = 0; k < alone.length; k++) {
                assertEquals(alone[k], together[k], 1e-11);
            }
        }
    }

    @Test
    void aSliceThatIsLostIsReadAgainAsItWas() {
        SparkSession session = LocalCluster.open(2);
        Dataset<Row> table = table(session, rows(), 5);
        double[][] parameters = new double[2][];
        for (int k = 0; k < 2; k++) {
            try (ClusterSteps steps = steps(session, table, COLUMNS).open()) {
                if (k == 1) {
                    LocalCluster.executors().get(0).destroyForcibly();
                }
                parameters[k] = trained(steps);
            }
        }
        assertArrayEquals(parameters[0], parameters[1]);
        LocalCluster.await(2);
    }

    @Test
    void aTableThatIsAnotherWhenItIsReadAgainIsNotTrainedOn() {
        Slice slice = new Slice(1, new SequenceRow[3]);
        Round round = new Round(0, 0, new int[][] {{0}}, new int[] {0, 2, 4}, null, 1, null);
        ClusterException changed =
                assertThrows(ClusterException.class, () -> Share.add(new SumTree(2), slice, null, null, round));
        assertTrue(
                changed.getMessage()
                        .startsWith("partition 1 of the data had 2 sequences and has 3 when it is read again"),
                changed.getMessage());
    }

    @Test
    void badRecordsStopTheJobOrAreLeftOut() {
        SparkSession session = LocalCluster.open(2);
        List<Row> rows = rows();
        rows.set(4, RowFactory.create(4, new Float[][] {{1f, Float.NaN}}, 1));
        rows.set(9, RowFactory.create(9, null, 1));
        rows.set(30, RowFactory.create(30, new Float[][] {{1f, 2f}}, 3));
        Dataset<Row> table = table(session, rows, 3);
        ClusterException stopped = assertThrows(
                ClusterException.class, () -> steps(session, table, COLUMNS).open());
        assertTrue(stopped.getMessage().contains("or have bad records skipped"), stopped.getMessage());
        assertEquals(1, stopped.getMessage().lines().count());
        try (ClusterSteps steps =
                steps(session, table, COLUMNS).badRecords(BadRecords.SKIP).open()) {
            assertEquals((SIZE - 3 + BATCH - 1) / BATCH, steps.batches().batchesPerEpoch());
            trained(steps);
        }
    }

    private static String misfit(ClusterSteps steps, ModelSpec spec, Loss loss) {
        try (Engine engine = Engines.open("reference");
                Model model = Model.create(engine, spec, 1)) {
            return assertThrows(ClusterException.class, () -> steps.begin(model, loss, Optimizer.sgd(0.1)))
                    .getMessage();
        }
    }

    @Test
    void whatDoesNotFitIsSaid() {
        SparkSession session = LocalCluster.open(2);
        Dataset<Row> table = table(session, rows(), 3);
        assertTrue(assertThrows(
                        ClusterException.class,
                        () -> steps(
                                        session,
                                        table,
                                        SequenceColumns.arrays("stpes").withLabel("kind", 3))
                                .open())
                .getMessage()
                .contains("'stpes'"));
        assertEquals(
                "sequences to train on should have a label or targets but a sequence in 'steps' has none: say with withLabel or"
                        + " withTargets which columns they are in",
                assertThrows(
                                ClusterException.class,
                                () -> steps(session, table, SequenceColumns.arrays("steps"))
                                        .open())
                        .getMessage());
        assertThrows(
                EngineException.class,
                () -> steps(session, table, COLUMNS).engine("foo").open());
        // What the model cannot learn from is said before a task has it.
        try (ClusterSteps steps = steps(session, table, COLUMNS).open()) {
            assertEquals(
                    "the model reads (time, batch, 3) but the training data has 2 features a step: use the data it was made for",
                    misfit(steps, ModelSpec.of(Form.sequence(3), Lstm.of(2), Dense.of(3)), Loss.SOFTMAX_CROSS_ENTROPY));
            assertEquals(
                    "the model tells 2 classes apart but the training data has 3: give its last layer as many outputs",
                    misfit(steps, ModelSpec.of(Form.sequence(2), Lstm.of(2), Dense.of(2)), Loss.SOFTMAX_CROSS_ENTROPY));
            assertTrue(
                    misfit(steps, SPEC, Loss.MEAN_SQUARED_ERROR)
                            .startsWith(
                                    "the loss MEAN_SQUARED_ERROR compares outputs with targets but the training data has labels"));
        }
        // Some partitions without rows are no matter, but all are.
        Dataset<Row> two = table(session, rows().subList(0, 14), 3);
        try (ClusterSteps steps = steps(session, two.filter("id < 13"), COLUMNS)
                .settings(ClusterSettings.exact(12))
                .open()) {
            trained(steps);
        }
        ClusterException none = assertThrows(
                ClusterException.class,
                () -> steps(session, two.filter("id > 100"), COLUMNS).open());
        assertTrue(none.getMessage().contains("no row has a step"), none.getMessage());
        Dataset<Row> worthless =
                table(session, List.of(RowFactory.create(1, new Float[][] {{1f, Float.POSITIVE_INFINITY}}, 1)), 1);
        ClusterException bad = assertThrows(
                ClusterException.class,
                () -> steps(session, worthless, COLUMNS)
                        .badRecords(BadRecords.SKIP)
                        .open());
        assertEquals(
                "the training data should have sequences but all of its 1 records are bad: give a table with rows",
                bad.getMessage());
        ClusterException large = assertThrows(
                ClusterException.class,
                () -> steps(session, two.filter("id < 5"), COLUMNS).open());
        assertEquals(
                "the batch size should be in the [1, 5] range, the sequences there are, but got 12",
                large.getMessage());
    }
}
