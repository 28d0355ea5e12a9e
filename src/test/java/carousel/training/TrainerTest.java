package carousel.training;

import static carousel.fixture.Refusals.assertRefused;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.data.AddingProblem;
import carousel.data.Batch;
import carousel.data.BatchSource;
import carousel.data.SequentialBatches;
import carousel.data.ShuffledBatches;
import carousel.data.TokenStreams;
import carousel.engine.Direction;
import carousel.engine.Engine;
import carousel.engine.Engines;
import carousel.engine.Loss;
import carousel.engine.RandomSequence;
import carousel.format.ModelFile;
import carousel.layer.Dense;
import carousel.layer.Dropout;
import carousel.layer.Embedding;
import carousel.layer.Form;
import carousel.layer.Lstm;
import carousel.layer.Model;
import carousel.layer.ModelSpec;
import carousel.layer.Residual;
import carousel.optimizer.Optimizer;
import carousel.optimizer.ReduceOnPlateau;
import carousel.optimizer.Schedule;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class TrainerTest {
    private static final AddingProblem PROBLEM = new AddingProblem(6, 3);

    /** Dropout between layers and after them, so that a resumed run must find its random numbers again. */
    private static final ModelSpec SPEC =
            ModelSpec.of(Form.sequence(2), Lstm.of(7).withLayers(2).withDropout(0.2), new Dropout(0.1), Dense.of(1));

    private static BatchSource training() {
        return new ShuffledBatches(PROBLEM.dataset(0, 50), 8, 5, ShuffledBatches.Mode.PER_EPOCH);
    }

    private static BatchSource validation() {
        return new SequentialBatches(PROBLEM.heldOut(20), 20);
    }

    private static Trainer.Builder settings(Model model) {
        return Trainer.of(model)
                .loss(Loss.MEAN_SQUARED_ERROR)
                .optimizer(new Optimizer(Optimizer.adam(0.01).rule(), new Schedule.Cosine(0.02, 0.001, 5, 60), 0.5))
                .reduceOnPlateau(new ReduceOnPlateau(0.5, 1, 0.01))
                .keepBest()
                .seed(11);
    }

    @ParameterizedTest
    @ValueSource(strings = {"reference", "vector"})
    void theLossFallsAndTheHistoryTellsIt(String name) {
        try (Engine engine = Engines.open(name);
                Model model = Model.create(engine, ModelSpec.of(Form.sequence(2), Lstm.of(16), Dense.of(1)), 1);
                Trainer trainer = Trainer.of(model)
                        .loss(Loss.MEAN_SQUARED_ERROR)
                        .optimizer(Optimizer.adam(0.02))
                        .open()) {
            BatchSource source = PROBLEM.batches(16, 60);
            History history = trainer.fit(source, validation(), 5);
            assertEquals(History.End.FINISHED, history.end());
            assertEquals(5, history.epochs().size());
            assertEquals(300, history.steps());
            EpochReport last = history.epochs().get(4);
            assertEquals(5, last.epoch());
            assertEquals(300, last.step());
            assertTrue(Double.isNaN(last.accuracy()), "a squared error knows no accuracy");
            assertTrue(last.validationLoss() < AddingProblem.TRIVIAL_ERROR / 4, () -> "learned little: " + last);
            assertEquals(last.validationLoss(), trainer.evaluate(validation()).loss(), 1e-12);
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"reference", "vector"})
    void aRunResumedAtAnyStepEndsWithTheSameBits(String name, @TempDir Path folder) throws Exception {
        Result whole = run(name, null, 40, folder.resolve("whole"));
        for (int stop : new int[] {0, 1, 6, 7, 8, 23, 39}) {
            Path file = folder.resolve("at-" + stop);
            run(name, null, stop, file);
            Result resumed = run(name, file, 40, folder.resolve("resumed-" + stop));
            assertArrayEquals(whole.parameters, resumed.parameters, "resumed after step " + stop);
            assertEquals(losses(whole.history), losses(resumed.history), "resumed after step " + stop);
            assertArrayEquals(
                    Files.readAllBytes(folder.resolve("whole-model")),
                    Files.readAllBytes(folder.resolve("resumed-" + stop + "-model")),
                    "the saved models differ, resumed after step " + stop);
        }
    }

    /** 61 tokens of 7 kinds: batches of 3 streams, 5, 5, 5 and 5 steps. */
    private static TokenStreams streams() {
        int[] tokens = new int[61];
        RandomSequence random = new RandomSequence(4, 0, 0);
        for (int k = 0; k < tokens.length; k++) {
            tokens[k] = (k + random.nextInt(2)) % 7;
        }
        return new TokenStreams("tokens", tokens, 7, 3, 5);
    }

    private static final ModelSpec TOKENS = ModelSpec.of(
            Form.tokens(7), Embedding.of(4), Lstm.of(9).withLayers(2).withReturnSequences(true), Dense.of(7));

    private static final ModelSpec LEARNED_START = ModelSpec.of(
            Form.tokens(7),
            Embedding.of(4),
            Lstm.of(9).withLayers(2).withReturnSequences(true).withLearnedInitialState(true),
            Dense.of(7));

    @ParameterizedTest
    @ValueSource(strings = {"reference", "vector"})
    void theStateOfContiguousBatchesIsCarriedAndResumed(String name, @TempDir Path folder) throws Exception {
        for (ModelSpec spec : new ModelSpec[] {TOKENS, LEARNED_START}) {
            double[] whole = stream(name, spec, null, 10, folder.resolve("whole"));
            for (int stop : new int[] {0, 1, 3, 4, 7, 8, 9}) {
                Path file = folder.resolve("at-" + stop);
                stream(name, spec, null, stop, file);
                assertArrayEquals(
                        whole, stream(name, spec, file, 10, folder.resolve("resumed")), "resumed after step " + stop);
            }
        }
    }

    /** Each epoch's first batch starts from it, and it learns from no other. */
    @ParameterizedTest
    @ValueSource(strings = {"reference", "vector"})
    void contiguousBatchesLearnWhereToStart(String name) {
        try (Engine engine = Engines.open(name);
                Model model = Model.create(engine, LEARNED_START, 2);
                Trainer trainer =
                        Trainer.of(model).optimizer(Optimizer.sgd(0.1)).open()) {
            double[] first = new double[9];
            for (int step = 1; step <= 5; step++) {
                trainer.fitSteps(streams(), null, step);
                double[] learned = model.views().stream()
                        .filter(view -> view.name().equals("lstm.h_0"))
                        .flatMapToDouble(view ->
                                Arrays.stream(model.readParameters(), (int) view.offset(), (int) view.offset() + 9))
                        .toArray();
                boolean changes = !Arrays.equals(first, learned);
                assertEquals(step == 1 || step == 5, changes, "step " + step + ", 4 steps an epoch");
                first = learned;
            }
        }
    }

    /** Trains on the streams up to a step, from a checkpoint if there is one, leaves a checkpoint and returns the parameters. */
    private static double[] stream(String name, ModelSpec spec, Path from, long steps, Path to) throws Exception {
        try (Engine engine = Engines.open(name);
                Model model = Model.create(engine, spec, 2);
                Trainer trainer = Trainer.of(model).open()) {
            if (from != null) {
                trainer.restore(Checkpoint.read(from).checkpoint());
            }
            trainer.fitSteps(streams(), null, steps);
            Checkpoint last = trainer.checkpoint();
            last.write(to, Map.of());
            return last.parameters();
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"reference", "vector"})
    void contiguousBatchesAreJudgedAsOneLongPass(String name) {
        try (Engine engine = Engines.open(name);
                Model model = Model.create(engine, TOKENS, 2)) {
            Evaluator evaluator = new Evaluator(model, Loss.SOFTMAX_CROSS_ENTROPY);
            TokenStreams parts = streams();
            int[] tokens = new int[61];
            for (int k = 0; k < 60; k++) {
                Batch batch = parts.batch(k % 20 / 5);
                tokens[k] = batch.tokens()[k % 5 * 3 + k / 20];
                tokens[k + 1] = batch.labels()[k % 5 * 3 + k / 20];
            }
            TokenStreams whole = new TokenStreams("tokens", tokens, 7, 3, 20);
            assertEquals(4, parts.batchesPerEpoch());
            assertEquals(1, whole.batchesPerEpoch());
            Evaluation carried = evaluator.evaluate(parts);
            assertEquals(60, carried.count());
            assertEquals(evaluator.evaluate(whole).loss(), carried.loss(), 1e-5);
            float[] one = evaluator.predict(whole);
            float[] four = evaluator.predict(parts);
            assertArrayEquals(one, four, 1e-5f);
            double alone = 0;
            for (int k = 0; k < 4; k++) {
                alone += evaluator.evaluate(parts.batch(k)).loss() / 4;
            }
            assertTrue(Math.abs(alone - carried.loss()) > 1e-4, "carrying the state should change the loss");
        }
    }

    @Test
    void aModelThatReadsBackwardCannotTrainOnContiguousBatches() {
        ModelSpec both = ModelSpec.of(
                Form.tokens(7),
                Embedding.of(4),
                Lstm.of(5).withDirection(Direction.BIDIRECTIONAL).withReturnSequences(true),
                Dense.of(7));
        try (Engine engine = Engines.open("vector");
                Model model = Model.create(engine, both, 2);
                Trainer trainer = Trainer.of(model).open()) {
            assertRefused(IllegalArgumentException.class, () -> trainer.fit(streams(), null, 1), "reads forward");
        }
    }

    private record Result(double[] parameters, History history) {}

    /** Trains up to a step, from a checkpoint if there is one, and leaves a checkpoint and the model. */
    private static Result run(String name, Path from, long steps, Path to) throws Exception {
        try (Engine engine = Engines.open(name);
                Model model = Model.create(engine, SPEC, 2);
                Trainer trainer = settings(model).open()) {
            if (from != null) {
                trainer.restore(Checkpoint.read(from).checkpoint());
            }
            Checkpoint[] before = new Checkpoint[1];
            // Without a partial epoch's report and without the best parameters put back, as a kill would leave it.
            Callback stopper = new Callback() {
                @Override
                public void onStep(Trainer running, Batch batch) {
                    if (running.step() == steps) {
                        before[0] = running.checkpoint();
                        running.requestStop();
                    }
                }
            };
            if (steps == 0) {
                before[0] = trainer.checkpoint();
            }
            try (Trainer stopping = settings(model).callback(stopper).open()) {
                stopping.restore(trainer.checkpoint());
                History history = steps == 0
                        ? new History(List.of(), History.End.FINISHED, 0)
                        : stopping.fitSteps(training(), validation(), 60);
                before[0].write(to, Map.of());
                ModelFile.write(to.resolveSibling(to.getFileName() + "-model"), model, Map.of());
                return new Result(model.readParameters(), history);
            }
        }
    }

    private static List<Double> losses(History history) {
        List<Double> losses = new ArrayList<>();
        for (EpochReport report : history.epochs()) {
            losses.add(report.loss());
            losses.add(report.validationLoss());
            losses.add(report.learningRate());
        }
        return losses;
    }

    @Test
    void aCheckpointOfOtherSettingsIsRefused() {
        try (Engine engine = Engines.open("reference");
                Model model = Model.create(engine, SPEC, 2);
                Model other = Model.create(engine, ModelSpec.of(Form.sequence(2), Lstm.of(8), Dense.of(1)), 2);
                Trainer trainer = settings(model).open();
                Trainer otherModel = settings(other).open();
                Trainer otherOptimizer = Trainer.of(model).open()) {
            Checkpoint checkpoint = trainer.checkpoint();
            assertTrue(assertThrows(IllegalArgumentException.class, () -> otherModel.restore(checkpoint))
                    .getMessage()
                    .contains("another model"));
            assertTrue(assertThrows(IllegalArgumentException.class, () -> otherOptimizer.restore(checkpoint))
                    .getMessage()
                    .contains("another optimizer"));
            try (Engine vector = Engines.open("vector");
                    Model floats = Model.create(vector, SPEC, 2);
                    Trainer otherPrecision = settings(floats).open()) {
                assertTrue(assertThrows(IllegalArgumentException.class, () -> otherPrecision.restore(checkpoint))
                        .getMessage()
                        .contains("another precision"));
            }
        }
    }

    @Test
    void aCheckpointThatLacksSomethingIsRefused() {
        try (Engine engine = Engines.open("reference");
                Model model = Model.create(engine, SPEC, 2);
                Trainer trainer = settings(model).open()) {
            trainer.fit(training(), validation(), 1);
            Checkpoint whole = trainer.checkpoint();
            double[] few = new double[3];
            for (Checkpoint damaged : List.of(
                    with(whole, few, whole.firstMoment(), whole.secondMoment(), whole.bestParameters()),
                    with(whole, whole.parameters(), null, whole.secondMoment(), whole.bestParameters()),
                    with(whole, whole.parameters(), whole.firstMoment(), few, whole.bestParameters()),
                    with(whole, whole.parameters(), whole.firstMoment(), whole.secondMoment(), null))) {
                assertTrue(assertThrows(IllegalArgumentException.class, () -> trainer.restore(damaged))
                        .getMessage()
                        .contains("it is damaged"));
            }
            trainer.restore(whole);
        }
    }

    /** The state that batches carry is the checkpoint's as soon as it is restored. */
    @Test
    void aCheckpointThatIsRestoredIsTheNextCheckpoint() {
        try (Engine engine = Engines.open("reference");
                Model model = Model.create(engine, TOKENS, 2);
                Trainer trainer = Trainer.of(model).open()) {
            trainer.fitSteps(streams(), null, 2);
            Checkpoint earlier = trainer.checkpoint();
            trainer.fitSteps(streams(), null, 3);
            trainer.restore(earlier);
            assertArrayEquals(earlier.carriedState(), trainer.checkpoint().carriedState());
        }
    }

    private static Checkpoint with(Checkpoint of, double[] parameters, double[] first, double[] second, double[] best) {
        return new Checkpoint(
                of.model(),
                of.optimizer(),
                of.precision(),
                of.state(),
                parameters,
                first,
                second,
                best,
                of.carriedState(),
                of.remoteMemory());
    }

    @ParameterizedTest
    @ValueSource(strings = {"reference", "vector"})
    void aLossThatIsNoNumberStopsTheRunAndSaysWhere(String name) {
        try (Engine engine = Engines.open(name)) {
            try (Model model = Model.create(engine, SPEC, 2);
                    Trainer trainer = Trainer.of(model)
                            .loss(Loss.MEAN_SQUARED_ERROR)
                            .optimizer(Optimizer.sgd(1e30))
                            .open()) {
                DivergenceException stop =
                        assertThrows(DivergenceException.class, () -> trainer.fit(training(), validation(), 20));
                assertTrue(stop.step() >= 2 && stop.step() <= 7, () -> "at step " + stop.step());
                assertTrue(stop.getMessage().contains("at step " + stop.step()), stop.getMessage());
                assertThrows(DivergenceException.class, trainer::checkpoint);
            }
            assertEquals(0, engine.memory().inUse());
        }
    }

    @Test
    void earlyStoppingEndsTheRunAndTheBestParametersComeBack() {
        try (Engine engine = Engines.open("vector");
                Model model = Model.create(engine, SPEC, 2)) {
            double[][] atBest = new double[1][];
            Callback watch = new Callback() {
                @Override
                public void onEpoch(Trainer trainer, EpochReport report) {
                    if (trainer.bestStep() == trainer.step()) {
                        atBest[0] = trainer.model().readParameters();
                    }
                }
            };
            // A rate of 0.5 makes the validation loss jump about.
            try (Trainer trainer = Trainer.of(model)
                    .loss(Loss.MEAN_SQUARED_ERROR)
                    .optimizer(Optimizer.adam(0.5))
                    .stopEarly(2)
                    .keepBest()
                    .callback(watch)
                    .open()) {
                History history = trainer.fit(training(), validation(), 200);
                assertEquals(History.End.STOPPED_EARLY, history.end());
                List<EpochReport> epochs = history.epochs();
                double best = epochs.stream()
                        .mapToDouble(EpochReport::validationLoss)
                        .min()
                        .orElseThrow();
                assertEquals(
                        best, epochs.get(epochs.size() - 3).validationLoss(), "patience is 2 epochs after the best");
                assertArrayEquals(atBest[0], model.readParameters());
                assertEquals(best, trainer.evaluate(validation()).loss(), 1e-6);
            }
        }
    }

    @Test
    void aPlateauReducesTheLearningRate() {
        try (Engine engine = Engines.open("vector");
                Model model = Model.create(engine, SPEC, 2);
                Trainer trainer = Trainer.of(model)
                        .loss(Loss.MEAN_SQUARED_ERROR)
                        .optimizer(Optimizer.adam(0.5))
                        .reduceOnPlateau(new ReduceOnPlateau(0.1, 1, 0.001))
                        .open()) {
            History history = trainer.fit(training(), validation(), 12);
            double best = Double.POSITIVE_INFINITY;
            double rate = 0.5;
            boolean reduced = false;
            for (EpochReport report : history.epochs()) {
                assertEquals(rate, report.learningRate(), 1e-15, () -> "epoch " + report.epoch());
                if (report.validationLoss() < best) {
                    best = report.validationLoss();
                } else {
                    rate = Math.max(0.5 * 0.001, rate * 0.1);
                    reduced = true;
                }
            }
            assertTrue(reduced, "the validation loss should rise at least once at this rate");
        }
    }

    @Test
    void aRequestEndsTheRunAfterTheStepUnderWay() {
        List<Long> steps = new ArrayList<>();
        try (Engine engine = Engines.open("vector");
                Model model = Model.create(engine, SPEC, 2);
                Trainer trainer = settings(model)
                        .callback(new Callback() {
                            @Override
                            public void onStep(Trainer running, Batch batch) {
                                steps.add(running.step());
                                if (running.step() == 9) {
                                    running.requestStop();
                                }
                            }
                        })
                        .open()) {
            History history = trainer.fit(training(), validation(), 20);
            assertEquals(History.End.STOPPED_ON_REQUEST, history.end());
            assertEquals(9, history.steps());
            assertEquals(List.of(1L, 2L, 3L, 4L, 5L, 6L, 7L, 8L, 9L), steps);
        }
    }

    @Test
    void aStopInTheMiddleOfAValidationIsCaughtUpWithAfterTheResume() {
        double[] whole;
        List<Double> wholeLosses;
        try (Engine engine = Engines.open("vector");
                Model model = Model.create(engine, SPEC, 2);
                Trainer trainer = settings(model).open()) {
            wholeLosses = losses(trainer.fit(training(), new SequentialBatches(PROBLEM.heldOut(20), 5), 4));
            whole = model.readParameters();
        }
        try (Engine engine = Engines.open("vector");
                Model model = Model.create(engine, SPEC, 2)) {
            Checkpoint checkpoint;
            try (Trainer trainer = settings(model).open()) {
                long[] asked = {0};
                BatchSource validation = new SequentialBatches(PROBLEM.heldOut(20), 5);
                BatchSource stopping = new OtherBatches(validation, number -> {
                    // The validation after the second epoch: four batches each, stopped after the second one.
                    if (++asked[0] == 6) {
                        trainer.requestStop();
                    }
                    return validation.batch(number);
                });
                History stopped = trainer.fit(training(), stopping, 4);
                assertEquals(History.End.STOPPED_ON_REQUEST, stopped.end());
                assertEquals(6, asked[0]);
                assertEquals(14, trainer.step());
                assertEquals(1, stopped.epochs().size());
                assertTrue(trainer.evaluateUnlessStopped(validation()).isEmpty());
                checkpoint = trainer.checkpoint();
            }
            try (Trainer trainer = settings(model).open()) {
                trainer.restore(checkpoint);
                History resumed = trainer.fit(training(), new SequentialBatches(PROBLEM.heldOut(20), 5), 4);
                assertEquals(wholeLosses, losses(resumed));
                assertArrayEquals(whole, model.readParameters());
            }
        }
    }

    @Test
    void anExceptionInACallbackLeaksNothing() {
        try (Engine engine = Engines.open("vector")) {
            try (Model model = Model.create(engine, SPEC, 2);
                    Trainer trainer = settings(model)
                            .callback(new Callback() {
                                @Override
                                public void onStep(Trainer running, Batch batch) {
                                    throw new IllegalStateException("planned");
                                }
                            })
                            .open()) {
                assertThrows(IllegalStateException.class, () -> trainer.fit(training(), null, 1));
            }
            assertEquals(0, engine.memory().inUse());
        }
    }

    @Test
    void theMeanLossIsOverTheWholeEpochAlsoWithASmallerLastBatch() {
        // With a learning rate next to nothing every batch is seen with the same parameters.
        try (Engine engine = Engines.open("reference");
                Model model = Model.create(engine, ModelSpec.of(Form.sequence(2), Lstm.of(3), Dense.of(1)), 2);
                Trainer trainer = Trainer.of(model)
                        .loss(Loss.MEAN_SQUARED_ERROR)
                        .optimizer(Optimizer.sgd(1e-300))
                        .open()) {
            History history = trainer.fit(training(), null, 1);
            double whole = trainer.evaluate(new SequentialBatches(PROBLEM.dataset(0, 50), 50))
                    .loss();
            assertEquals(whole, history.epochs().get(0).loss(), 1e-12);
            assertFalse(history.epochs().get(0).validated());
        }
    }

    @Test
    void predictingASourceIsPredictingItsBatches() {
        try (Engine engine = Engines.open("vector");
                Model model = Model.create(engine, SPEC, 2);
                Trainer trainer = settings(model).open()) {
            SequentialBatches small = new SequentialBatches(PROBLEM.heldOut(20), 8);
            float[] all = trainer.predict(small);
            assertEquals(20, all.length);
            assertArrayEquals(trainer.predict(validation().batch(0)), all, 1e-6f);
            assertEquals(trainer.predict(small.batch(2))[3], all[19]);
        }
    }

    @Test
    void seedsOfDropoutMatter() {
        double[][] ends = new double[2][];
        for (int seed = 0; seed < 2; seed++) {
            try (Engine engine = Engines.open("vector");
                    Model model = Model.create(engine, SPEC, 2);
                    Trainer trainer = settings(model).seed(seed).open()) {
                trainer.fit(training(), null, 1);
                ends[seed] = model.readParameters();
            }
        }
        assertNotEquals(ends[0][0], ends[1][0]);
    }

    /** The same tokens as documents that end with token 3. */
    private static TokenStreams documents() {
        TokenStreams parts = streams();
        int[] tokens = new int[61];
        for (int k = 0; k < 60; k++) {
            Batch batch = parts.batch(k % 20 / 5);
            tokens[k] = batch.tokens()[k % 5 * 3 + k / 20];
            tokens[k + 1] = batch.labels()[k % 5 * 3 + k / 20];
        }
        return TokenStreams.ofDocuments("documents", tokens, 7, 3, 5, 3);
    }

    private static final ModelSpec RESIDUAL_TOKENS = ModelSpec.of(
            Form.tokens(7),
            Embedding.of(6),
            Residual.of(Lstm.of(6).withReturnSequences(true).withLearnedInitialState(true), new Dropout(0.3, true)),
            Lstm.of(5).withLayers(2).withReturnSequences(true),
            new Dropout(0.2, true),
            Dense.of(7));

    @ParameterizedTest
    @ValueSource(strings = {"reference", "vector"})
    void aRunOnDocumentsIsResumedToTheSameBits(String name, @TempDir Path folder) throws Exception {
        double[] whole = documents(name, null, 10, folder.resolve("whole"));
        for (int stop : new int[] {0, 1, 3, 4, 7, 8, 9}) {
            Path file = folder.resolve("at-" + stop);
            documents(name, null, stop, file);
            assertArrayEquals(
                    whole, documents(name, file, 10, folder.resolve("resumed")), "resumed after step " + stop);
        }
    }

    private static double[] documents(String name, Path from, long steps, Path to) throws Exception {
        try (Engine engine = Engines.open(name);
                Model model = Model.create(engine, RESIDUAL_TOKENS, 2);
                Trainer trainer = Trainer.of(model).open()) {
            if (from != null) {
                trainer.restore(Checkpoint.read(from).checkpoint());
            }
            trainer.fitSteps(documents(), null, steps);
            Checkpoint last = trainer.checkpoint();
            last.write(to, Map.of());
            return last.parameters();
        }
    }

    /** Judged in batches of streams, and each document as a sequence of its own. */
    @ParameterizedTest
    @ValueSource(strings = {"reference", "vector"})
    void documentsAreJudgedEachByItself(String name) {
        for (ModelSpec spec : List.of(TOKENS, RESIDUAL_TOKENS)) {
            try (Engine engine = Engines.open(name);
                    Model model = Model.create(engine, spec, 2)) {
                Evaluator evaluator = new Evaluator(model, Loss.SOFTMAX_CROSS_ENTROPY);
                TokenStreams source = documents();
                Evaluation all = evaluator.evaluate(source);
                assertEquals(60, all.count());
                double loss = 0;
                int documents = 0;
                for (int n = 0; n < 3; n++) {
                    int start = 0;
                    for (int t = 1; t <= 20; t++) {
                        boolean ends = t == 20 || source.batch(t / 5).resets()[t % 5 * 3 + n];
                        if (ends) {
                            Batch one = Batch.ofTokens(t - start, 1, 7);
                            for (int k = start; k < t; k++) {
                                Batch of = source.batch(k / 5);
                                one.tokens()[k - start] = of.tokens()[k % 5 * 3 + n];
                                one.labels()[k - start] = of.labels()[k % 5 * 3 + n];
                            }
                            loss += evaluator.evaluate(one).loss() * one.timeSteps();
                            documents++;
                            start = t;
                        }
                    }
                }
                assertTrue(documents > 6, documents + " documents");
                assertEquals(loss / 60, all.loss(), 1e-5);
                assertTrue(Math.abs(evaluator.evaluate(streams()).loss() - all.loss()) > 1e-4, "documents count");
            }
        }
    }

    /** A step of training on streams of documents moves the parameters as the documents do as sequences of one batch. */
    @Test
    void aStepOnDocumentsIsAStepOnSequences() {
        TokenStreams source = documents();
        Batch streams = source.batch(0);
        List<int[]> parts = new ArrayList<>();
        for (int n = 0; n < 3; n++) {
            int start = 0;
            for (int t = 1; t <= 5; t++) {
                if (t == 5 || streams.resets()[t * 3 + n]) {
                    parts.add(new int[] {n, start, t});
                    start = t;
                }
            }
        }
        assertTrue(parts.size() > 3, parts.size() + " documents");
        Batch sequences = Batch.ofTokens(5, parts.size(), 7, true);
        for (int m = 0; m < parts.size(); m++) {
            int[] part = parts.get(m);
            sequences.lengths()[m] = part[2] - part[1];
            for (int t = part[1]; t < part[2]; t++) {
                sequences.tokens()[(t - part[1]) * parts.size() + m] = streams.tokens()[t * 3 + part[0]];
                sequences.labels()[(t - part[1]) * parts.size() + m] = streams.labels()[t * 3 + part[0]];
            }
        }
        ModelSpec spec = ModelSpec.of(
                Form.tokens(7),
                Embedding.of(6),
                Lstm.of(6).withReturnSequences(true).withLearnedInitialState(true),
                Dense.of(7));
        assertArrayEquals(afterOneStep(spec, source), afterOneStep(spec, new OneBatch(sequences, 1)), 1e-12);
    }

    private static double[] afterOneStep(ModelSpec spec, BatchSource source) {
        try (Engine engine = Engines.open("reference");
                Model model = Model.create(engine, spec, 2);
                Trainer trainer = Trainer.of(model).optimizer(Optimizer.sgd(1)).open()) {
            trainer.fitSteps(source, null, 1);
            return model.readParameters();
        }
    }
}
