package carousel.spark;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.data.AddingProblem;
import carousel.data.Batch;
import carousel.data.DrawnBatches;
import carousel.data.SequenceDataset;
import carousel.data.SequencePairs;
import carousel.data.SequentialBatches;
import carousel.data.ShuffledBatches;
import carousel.engine.Engine;
import carousel.engine.Engines;
import carousel.engine.Loss;
import carousel.layer.Dense;
import carousel.layer.Dropout;
import carousel.layer.Embedding;
import carousel.layer.Form;
import carousel.layer.Lstm;
import carousel.layer.Model;
import carousel.layer.ModelSpec;
import carousel.optimizer.Optimizer;
import carousel.training.Callback;
import carousel.training.Checkpoint;
import carousel.training.EpochReport;
import carousel.training.History;
import carousel.training.Trainer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.MethodOrderer;
import org.junit.jupiter.api.Order;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestMethodOrder;
import org.junit.jupiter.api.io.TempDir;

/** Training on a cluster of executor processes, beside training in this one. Ordered, so that few clusters have to be started. */
@TestMethodOrder(MethodOrderer.OrderAnnotation.class)
class ClusterTrainingSparkTest {
    private static final AddingProblem PROBLEM = new AddingProblem(12, 3);
    private static final int BATCH = 16;
    private static final int EPOCHS = 2;
    private static final long SEED = 11;

    /** Dropout too: a lost task must find its random numbers again. */
    static final ModelSpec DROPPING =
            ModelSpec.of(Form.sequence(2), Lstm.of(9).withLayers(2).withDropout(0.2), new Dropout(0.1), Dense.of(1));

    private static final ModelSpec PLAIN = ModelSpec.of(Form.sequence(2), Lstm.of(9), Dense.of(1));

    private static final Optimizer ADAM = Optimizer.adam(0.01).withMaxNorm(0.5);
    private static final Optimizer SGD = Optimizer.sgd(0.05);

    private static DrawnBatches training() {
        return new ShuffledBatches(PROBLEM.dataset(0, 84), BATCH, 5, ShuffledBatches.Mode.PER_EPOCH);
    }

    private static SequenceDataset held() {
        return PROBLEM.heldOut(30);
    }

    /** What a training came to. */
    record Outcome(double[] parameters, History history, Checkpoint checkpoint) {
        /** How far two are apart, as a part of the largest parameter. */
        double distance(Outcome other) {
            double largest = 0;
            double difference = 0;
            for (int k = 0; k < parameters.length; k++) {
                largest = Math.max(largest, Math.abs(parameters[k]));
                difference = Math.max(difference, Math.abs(parameters[k] - other.parameters[k]));
            }
            return difference / largest;
        }
    }

    private static Trainer.Builder trainer(Model model, Optimizer optimizer, Loss loss) {
        return Trainer.of(model).loss(loss).optimizer(optimizer).seed(SEED);
    }

    private static Outcome outcome(Model model, Trainer trainer, History history) {
        return new Outcome(model.readParameters(), history, trainer.checkpoint());
    }

    /** On this machine. */
    private static Outcome alone(String engineName, ModelSpec spec, Optimizer optimizer) {
        try (Engine engine = Engines.open(engineName);
                Model model = Model.create(engine, spec, 1);
                Trainer trainer =
                        trainer(model, optimizer, Loss.MEAN_SQUARED_ERROR).open()) {
            return outcome(model, trainer, trainer.fit(training(), new SequentialBatches(held(), 30), EPOCHS));
        }
    }

    /** Part of a training on a cluster. */
    static final class Run {
        private final SparkSession session;
        private final ClusterSettings settings;
        private ModelSpec spec = PLAIN;
        private Optimizer optimizer = ADAM;
        private String engineName = "vector";
        private String executorEngine;
        private Checkpoint from;
        private long steps = EPOCHS * training().batchesPerEpoch();
        private Callback callback = new Callback() {};
        private Map<String, String> engines = Map.of();

        Run(SparkSession session, ClusterSettings settings) {
            this.session = session;
            this.settings = settings;
        }

        Run of(ModelSpec value) {
            spec = value;
            return this;
        }

        Run by(Optimizer value) {
            optimizer = value;
            return this;
        }

        Run on(String value) {
            engineName = value;
            return this;
        }

        Run onExecutors(String value) {
            executorEngine = value;
            return this;
        }

        Run from(Checkpoint value) {
            from = value;
            return this;
        }

        Run until(long value) {
            steps = value;
            return this;
        }

        Run watching(Callback value) {
            callback = value;
            return this;
        }

        /** What the executors of the last outcome computed with. */
        Map<String, String> engines() {
            return engines;
        }

        Outcome outcome() {
            try (Engine engine = Engines.open(engineName);
                    Model model = Model.create(engine, spec, 1);
                    ClusterSteps remote = ClusterSteps.on(session)
                            .training(training())
                            .validation(held())
                            .settings(settings)
                            .engine(executorEngine == null ? engineName : executorEngine)
                            .open();
                    Trainer trainer = trainer(model, optimizer, Loss.MEAN_SQUARED_ERROR)
                            .remote(remote)
                            .callback(callback)
                            .open()) {
                if (from != null) {
                    trainer.restore(from);
                }
                History history = trainer.fitSteps(remote.batches(), remote.validation(), steps);
                engines = remote.engines();
                List<Integer> names =
                        engines.keySet().stream().map(Integer::valueOf).toList();
                assertEquals(names.stream().sorted().toList(), names);
                assertTrue(
                        remote.engines().values().stream().allMatch(name -> name.contains(engineName)),
                        remote.engines().toString());
                return ClusterTrainingSparkTest.outcome(model, trainer, history);
            }
        }
    }

    static void assertSame(Outcome expected, Outcome actual) {
        assertArrayEquals(expected.parameters(), actual.parameters());
        List<EpochReport> reports = expected.history().epochs();
        for (int k = 0; k < reports.size(); k++) {
            EpochReport report = actual.history().epochs().get(k);
            assertEquals(reports.get(k).loss(), report.loss());
            assertEquals(reports.get(k).validationLoss(), report.validationLoss());
        }
    }

    static final ClusterSettings THREE = ClusterSettings.exact(3);
    private static Outcome threeOnTwo;
    private static Outcome localOnTwo;

    static ClusterSettings local() {
        return ClusterSettings.averaging(3, 4).withOuter(0.7, 0.9);
    }

    @Test
    @Order(1)
    void theExactStepIsThatOfASingleMachine() {
        SparkSession session = LocalCluster.open(2);
        for (String engine : List.of("reference", "vector")) {
            Outcome alone = alone(engine, PLAIN, ADAM);
            Outcome together = new Run(session, THREE).on(engine).outcome();
            double allowed = engine.equals("reference") ? 1e-11 : 1e-4;
            assertTrue(alone.distance(together) < allowed, engine + ": " + alone.distance(together));
            for (int k = 0; k < EPOCHS; k++) {
                EpochReport expected = alone.history().epochs().get(k);
                EpochReport report = together.history().epochs().get(k);
                assertEquals(expected.loss(), report.loss(), 1e-4 * expected.loss());
                assertEquals(expected.validationLoss(), report.validationLoss(), 1e-4 * expected.validationLoss());
                assertEquals(expected.step(), report.step());
            }
        }
        // More than rounding is seen here: a batch's partition that is forgotten, or counted as much as a larger one.
        assertTrue(alone("reference", PLAIN, Optimizer.adam(0.0101).withMaxNorm(0.5))
                        .distance(alone("reference", PLAIN, ADAM))
                > 1e-4);
    }

    @Test
    @Order(2)
    void aSinglePartitionDropsWhatASingleMachineDrops() {
        SparkSession session = LocalCluster.open(2);
        Outcome alone = alone("reference", DROPPING, ADAM);
        Outcome one = new Run(session, ClusterSettings.exact(1))
                .of(DROPPING)
                .on("reference")
                .outcome();
        assertTrue(alone.distance(one) < 1e-11, "distance " + alone.distance(one));
    }

    @Test
    @Order(3)
    void aLostExecutorAndTaskChangeNothing() {
        SparkSession session = LocalCluster.open(2);
        threeOnTwo = new Run(session, THREE).of(DROPPING).outcome();
        localOnTwo = new Run(session, local()).of(DROPPING).outcome();
        for (ClusterSettings settings : List.of(THREE, local())) {
            List<ProcessHandle> before = LocalCluster.executors();
            assertEquals(2, before.size());
            ProcessHandle victim = before.get(0);
            Outcome outcome = new Run(session, settings)
                    .of(DROPPING)
                    .watching(new Callback() {
                        @Override
                        public void onStep(Trainer trainer, Batch batch) {
                            if (trainer.step() == 4) {
                                victim.destroyForcibly();
                            }
                        }
                    })
                    .outcome();
            assertTrue(!victim.isAlive());
            assertSame(settings == THREE ? threeOnTwo : localOnTwo, outcome);
            LocalCluster.await(2);
        }
    }

    /** The tasks of a partition throw when they have computed, in every step from the middle on. */
    @Test
    @Order(4)
    void aTaskThatThrowsAndIsTriedAgainCountsOnce(@TempDir Path folder) {
        SparkSession session = LocalCluster.open(2);
        for (ClusterSettings settings : List.of(THREE, local())) {
            Path again = folder.resolve("again" + settings.localSteps());
            try {
                Outcome outcome = new Run(session, settings)
                        .of(DROPPING)
                        .watching(new Callback() {
                            @Override
                            public void onStep(Trainer trainer, Batch batch) {
                                if (trainer.step() == 4) {
                                    FailingTasks.start(session.sparkContext(), again);
                                }
                            }
                        })
                        .outcome();
                assertTrue(Files.exists(again), "no task was tried again");
                assertSame(settings == THREE ? threeOnTwo : localOnTwo, outcome);
            } finally {
                FailingTasks.stop(session.sparkContext());
            }
        }
    }

    @Test
    @Order(5)
    void averagesOfOnePartitionAreThatPartition() {
        SparkSession session = LocalCluster.open(2);
        Outcome alone = alone("reference", PLAIN, ADAM);
        Outcome local = new Run(session, ClusterSettings.averaging(1, 4))
                .on("reference")
                .outcome();
        assertTrue(alone.distance(local) < 1e-11, "distance " + alone.distance(local));
    }

    @Test
    @Order(6)
    void localStepsLearnToo() {
        Outcome outcome = new Run(LocalCluster.open(2), local())
                .until(48)
                .by(Optimizer.adam(0.03))
                .outcome();
        List<EpochReport> epochs = outcome.history().epochs();
        double first = epochs.get(0).validationLoss();
        double last = epochs.get(epochs.size() - 1).validationLoss();
        assertTrue(last < 0.8 * first, first + " to " + last);
    }

    @Test
    @Order(7)
    void anEncoderAndADecoderAreTrainedLikeAnythingElse() {
        SparkSession session = LocalCluster.open(2);
        SequencePairs pairs = SequencePairs.copy(10, 3, 5, 1);
        int symbols = pairs.vocabulary();
        ModelSpec spec = ModelSpec.encoderDecoder(
                ModelSpec.of(Form.tokens(symbols), Embedding.of(4), Lstm.of(6)),
                ModelSpec.of(
                        Form.tokens(symbols),
                        Embedding.of(4),
                        Lstm.of(6).withReturnSequences(true),
                        Dense.of(symbols)));
        DrawnBatches batches = new ShuffledBatches(pairs.dataset(0, 40), BATCH, 5, ShuffledBatches.Mode.CONTINUOUS);
        double[][] parameters = new double[2][];
        for (int k = 0; k < 2; k++) {
            try (Engine engine = Engines.open("reference");
                    Model model = Model.create(engine, spec, 1);
                    ClusterSteps remote = ClusterSteps.on(session)
                            .training(batches)
                            .settings(THREE)
                            .engine("reference")
                            .open();
                    Trainer trainer = trainer(model, SGD, Loss.SOFTMAX_CROSS_ENTROPY)
                            .remote(k == 0 ? null : remote)
                            .open()) {
                trainer.fitSteps(batches, null, 4);
                parameters[k] = model.readParameters();
            }
        }
        assertArrayEquals(parameters[0], parameters[1], 1e-12);
    }

    @Test
    @Order(8)
    void whatDoesNotFitIsSaidBeforeAnythingIsSent() {
        SparkSession session = LocalCluster.open(2);
        ClusterException small = assertThrows(
                ClusterException.class,
                () -> ClusterSteps.on(session)
                        .training(training())
                        .settings(ClusterSettings.exact(17))
                        .open());
        assertEquals(
                "the batch of 16 sequences is smaller than the 17 partitions that share it: raise the batch size, or"
                        + " lower the partitions to 16 or fewer",
                small.getMessage());
        RuntimeException noGpu = assertThrows(
                RuntimeException.class,
                () -> new Run(session, THREE).onExecutors("fused").outcome());
        assertTrue(
                noGpu.getMessage().startsWith("the engine 'fused' needs a GPU but Spark gave the task none"),
                noGpu.getMessage());
    }
}
