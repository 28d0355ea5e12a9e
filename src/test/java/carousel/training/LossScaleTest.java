package carousel.training;

import static carousel.fixture.Refusals.assertRefused;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.data.AddingProblem;
import carousel.data.Batch;
import carousel.data.BatchSource;
import carousel.data.ShuffledBatches;
import carousel.engine.Engine;
import carousel.engine.EngineOptions;
import carousel.engine.Engines;
import carousel.engine.Loss;
import carousel.fixture.AvailableEngines;
import carousel.format.FormatException;
import carousel.format.JsonLines;
import carousel.format.SafetensorsFile;
import carousel.format.SafetensorsWriter;
import carousel.layer.Dense;
import carousel.layer.Dropout;
import carousel.layer.Form;
import carousel.layer.Lstm;
import carousel.layer.Model;
import carousel.layer.ModelSpec;
import carousel.optimizer.Optimizer;
import carousel.tensor.Precision;
import carousel.tensor.Shape;
import carousel.tensor.Tensor;
import com.google.gson.JsonObject;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class LossScaleTest {
    private static final ModelSpec SPEC =
            ModelSpec.of(Form.sequence(2), Lstm.of(7).withLayers(2), Dense.of(1));

    private static final ModelSpec DROPPING =
            ModelSpec.of(Form.sequence(2), Lstm.of(7).withLayers(2).withDropout(0.2), new Dropout(0.1), Dense.of(1));

    private static BatchSource source() {
        return new ShuffledBatches(new AddingProblem(6, 3).dataset(0, 50), 8, 5, ShuffledBatches.Mode.PER_EPOCH);
    }

    private static Trainer.Builder settings(Model model, LossScale scale) {
        return Trainer.of(model)
                .loss(Loss.MEAN_SQUARED_ERROR)
                .optimizer(Optimizer.adam(0.01).withMaxNorm(0.05))
                .lossScale(scale);
    }

    /** An engine on which the loss's gradient overflows when it is scaled by more than this. */
    private static Engine overflowing(Engine engine, double largestScale) {
        return (Engine) Proxy.newProxyInstance(
                Engine.class.getClassLoader(), new Class<?>[] {Engine.class}, (proxy, method, arguments) -> {
                    try {
                        Object result = method.invoke(engine, arguments);
                        if (method.getName().equals("scale") && (double) arguments[1] > largestScale) {
                            Tensor x = (Tensor) arguments[0];
                            engine.fill(x.view("first", 0, Shape.of(1)), Double.POSITIVE_INFINITY);
                        }
                        return result;
                    } catch (InvocationTargetException e) {
                        throw e.getCause();
                    }
                });
    }

    @ParameterizedTest
    @CsvSource({
        "reference, 0",
        "reference, 0.05",
        "vector, 0",
        "vector, 0.05",
        "cudnn, 0",
        "cudnn, 0.05",
        "fused, 0",
        "fused, 0.05"
    })
    void aPowerOfTwoChangesNoBit(String name, double maxNorm) {
        AvailableEngines.assume(name);
        System.setProperty("carousel.cudnn.algorithm", "standard");
        try {
            List<double[]> results = new ArrayList<>();
            for (LossScale scale : List.of(
                    LossScale.none(),
                    LossScale.fixed(2),
                    LossScale.fixed(LossScale.LARGEST),
                    LossScale.dynamic(),
                    new LossScale(1, 3))) {
                try (Engine engine = Engines.open(name);
                        Model model = Model.create(engine, DROPPING, 2);
                        Trainer trainer = settings(model, scale)
                                .optimizer(Optimizer.adam(0.01).withMaxNorm(maxNorm))
                                .open()) {
                    trainer.fitSteps(source(), null, 20);
                    results.add(model.readParameters());
                    assertEquals(0, trainer.skippedSteps());
                    assertEquals(scale.growthSteps() == 3 ? 1 << 6 : scale.start(), trainer.lossScale());
                }
            }
            for (double[] scaled : results) {
                assertArrayEquals(results.get(0), scaled);
            }
        } finally {
            System.clearProperty("carousel.cudnn.algorithm");
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"reference", "vector"})
    void aStepThatOverflowsIsSkippedAndCountsForNothing(String name) {
        double[] skipping;
        try (Engine engine = Engines.open(name);
                Model model = Model.create(overflowing(engine, 1 << 13), SPEC, 2);
                Trainer trainer = settings(model, LossScale.dynamic()).open()) {
            Checkpoint start = trainer.checkpoint();
            for (int step = 1; step <= 3; step++) {
                trainer.fitSteps(source(), null, step);
                assertEquals(step, trainer.step());
                assertEquals(step, trainer.skippedSteps());
                assertEquals(1 << 16 - step, trainer.lossScale());
                Checkpoint now = trainer.checkpoint();
                assertArrayEquals(start.parameters(), now.parameters());
                assertArrayEquals(start.firstMoment(), now.firstMoment());
                assertArrayEquals(start.secondMoment(), now.secondMoment());
            }
            trainer.fitSteps(source(), null, 20);
            assertEquals(3, trainer.skippedSteps());
            assertEquals(1 << 13, trainer.lossScale());
            skipping = model.readParameters();
        }
        // As if those batches had never been: with Adam's corrections of the bias counted from the fourth.
        try (Engine engine = Engines.open(name);
                Model model = Model.create(engine, SPEC, 2);
                Trainer trainer = settings(model, LossScale.none()).open()) {
            BatchSource source = source();
            trainer.fitSteps(new OtherBatches(source, number -> source.batch(3 + number)), null, 17);
            assertArrayEquals(model.readParameters(), skipping);
        }
    }

    /** In real half precision the scale starts too high and comes down to where it fits. */
    @ParameterizedTest
    @ValueSource(strings = {"fused", "cudnn", "gpu"})
    void halfPrecisionFindsItsScaleAndLearns(String name) {
        AvailableEngines.assume(name);
        BatchSource source = new AddingProblem(6, 3).batches(16, 50);
        try (Engine engine = Engines.open(name, EngineOptions.defaults().withPrecision(Precision.FP16));
                Model model = Model.create(engine, ModelSpec.of(Form.sequence(2), Lstm.of(16), Dense.of(1)), 1)) {
            try (Trainer trainer = Trainer.of(model).open()) {
                assertEquals(1 << 16, trainer.lossScale(), "dynamic without being told");
            }
            try (Trainer trainer = settings(model, new LossScale(LossScale.LARGEST, 2000))
                    .optimizer(Optimizer.adam(0.02))
                    .open()) {
                History history = trainer.fit(source, null, 6);
                assertTrue(trainer.skippedSteps() >= 1, "2^24 is too much for a gradient of half precision");
                assertEquals(LossScale.LARGEST, Math.scalb(trainer.lossScale(), (int) trainer.skippedSteps()));
                assertTrue(trainer.lossScale() >= 1 << 10, () -> "the scale came down to " + trainer.lossScale());
                double last = history.epochs().get(5).loss();
                assertTrue(last < AddingProblem.TRIVIAL_ERROR / 4, () -> "learned little: " + last);
            }
        }
    }

    @Test
    void theScaleDoublesAfterTwoThousandGoodSteps() {
        ModelSpec tiny = ModelSpec.of(Form.sequence(2), Lstm.of(1), Dense.of(1));
        try (Engine engine = Engines.open("vector", EngineOptions.defaults().withThreads(1));
                Model model = Model.create(engine, tiny, 2);
                Trainer trainer = settings(model, LossScale.dynamic()).open()) {
            trainer.fitSteps(source(), null, 1999);
            assertEquals(1 << 16, trainer.lossScale());
            trainer.fitSteps(source(), null, 2000);
            assertEquals(1 << 17, trainer.lossScale());
            assertEquals(0, trainer.skippedSteps());
        }
    }

    @Test
    void anOverflowStartsTheCountAnewAndTheScaleHasAnUpperEnd() {
        LossScaler scaler = new LossScaler(new LossScale(1 << 22, 3));
        scaler.took();
        scaler.took();
        assertTrue(scaler.skipped());
        assertEquals(1 << 21, scaler.scale());
        scaler.took();
        scaler.took();
        assertEquals(1 << 21, scaler.scale());
        scaler.took();
        assertEquals(1 << 22, scaler.scale());
        for (int step = 0; step < 30; step++) {
            scaler.took();
        }
        assertEquals(LossScale.LARGEST, scaler.scale());
        LossScaler fixed = new LossScaler(LossScale.fixed(8));
        for (int step = 0; step < 5000; step++) {
            fixed.took();
        }
        assertEquals(8, fixed.scale());
        assertNull(fixed.state());
    }

    @Test
    void aRunThatAlwaysOverflowsEnds() {
        try (Engine engine = Engines.open("vector")) {
            Engine alwaysOverflowing = (Engine) Proxy.newProxyInstance(
                    Engine.class.getClassLoader(), new Class<?>[] {Engine.class}, (proxy, method, arguments) -> {
                        Object result = method.invoke(engine, arguments);
                        if (method.getName().equals("squaredNorm")) {
                            engine.fill((Tensor) arguments[1], Double.NaN);
                        }
                        return result;
                    });
            try (Model model = Model.create(alwaysOverflowing, SPEC, 2);
                    Trainer trainer = settings(model, LossScale.dynamic()).open()) {
                double[] before = model.readParameters();
                assertRefused(
                        DivergenceException.class,
                        () -> trainer.fitSteps(source(), null, 100),
                        "gradients were not finite, even with the loss scale down to 1, at step 17",
                        "learning rate of 0.01",
                        "BF16");
                assertArrayEquals(before, model.readParameters());
            }
            assertEquals(0, engine.memory().inUse());
        }
    }

    @Test
    void aLossThatIsNotFiniteIsTheReasonWhereItIs() {
        try (Engine engine = Engines.open("vector");
                Model model = Model.create(engine, SPEC, 2);
                Trainer trainer = settings(model, LossScale.dynamic())
                        .optimizer(Optimizer.sgd(1e30))
                        .open()) {
            assertRefused(
                    DivergenceException.class, () -> trainer.fitSteps(source(), null, 100), "the loss became", "clip");
            assertTrue(trainer.step() < 10, "at once, and not when the scale is used up");
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"reference", "vector"})
    void aRunResumedAtAnyStepEndsWithTheSameBits(String name, @TempDir Path folder) throws Exception {
        Checkpoint whole = run(name, null, 16, folder.resolve("whole"));
        assertEquals(new LossScale.State(1 << 14, 2, 4), whole.state().lossScale());
        for (int stop : new int[] {0, 1, 2, 3, 5, 8, 15}) {
            Path file = folder.resolve("at-" + stop);
            run(name, null, stop, file);
            Checkpoint resumed = run(name, file, 16, folder.resolve("resumed"));
            assertArrayEquals(whole.parameters(), resumed.parameters(), "resumed after step " + stop);
            assertArrayEquals(whole.secondMoment(), resumed.secondMoment(), "resumed after step " + stop);
            assertEquals(whole.state().lossScale(), resumed.state().lossScale(), "resumed after step " + stop);
        }
    }

    /** Starts at 2^16, overflows above 2^14, and doubles after 5 good steps. */
    private static Checkpoint run(String name, Path from, long steps, Path to) throws Exception {
        try (Engine engine = Engines.open(name);
                Model model = Model.create(overflowing(engine, 1 << 14), DROPPING, 2);
                Trainer trainer = settings(model, new LossScale(1 << 16, 5)).open()) {
            if (from != null) {
                trainer.restore(Checkpoint.read(from).checkpoint());
            }
            Checkpoint[] last = {trainer.checkpoint()};
            Callback stopper = new Callback() {
                @Override
                public void onStep(Trainer running, Batch batch) {
                    if (running.step() == steps) {
                        last[0] = running.checkpoint();
                        running.requestStop();
                    }
                }
            };
            if (steps > 0) {
                try (Trainer stopping = settings(model, new LossScale(1 << 16, 5))
                        .callback(stopper)
                        .open()) {
                    stopping.restore(last[0]);
                    stopping.fitSteps(source(), null, 1000);
                }
            }
            last[0].write(to, Map.of());
            return last[0];
        }
    }

    @Test
    void aCheckpointFromBeforeThereWereScalesIsRead(@TempDir Path folder) throws Exception {
        Path file = folder.resolve("checkpoint");
        try (Engine engine = Engines.open("reference");
                Model model = Model.create(engine, SPEC, 2)) {
            try (Trainer trainer = settings(model, LossScale.none()).open()) {
                trainer.fitSteps(source(), null, 3);
                trainer.checkpoint().write(file, Map.of());
            }
            Checkpoint.Saved saved = Checkpoint.read(file);
            assertFalse(saved.metadata().get("carousel.state").contains("lossScale"), "as older versions wrote it");
            assertNull(saved.checkpoint().state().lossScale());
            try (Trainer trainer = settings(model, LossScale.dynamic()).open()) {
                trainer.restore(saved.checkpoint());
                assertEquals(1 << 16, trainer.lossScale());
                assertEquals(0, trainer.skippedSteps());
                trainer.fitSteps(source(), null, 4);
                Checkpoint now = trainer.checkpoint();
                assertEquals(new LossScale.State(1 << 16, 1, 0), now.state().lossScale());
                now.write(file, Map.of());
            }
            try (SafetensorsFile read = SafetensorsFile.open(file)) {
                String state = read.metadata().get("carousel.state");
                for (String damaged : List.of(
                        state.replace("\"scale\":65536.0", "\"scale\":3.0"),
                        state.replace("\"goodSteps\":1", "\"goodSteps\":-1"),
                        state.replace("\"skippedSteps\":0", "\"skippedSteps\":5"))) {
                    assertFalse(damaged.equals(state), state);
                    SafetensorsWriter writer = new SafetensorsWriter();
                    read.metadata()
                            .forEach((key, value) ->
                                    writer.metadata(key, key.equals("carousel.state") ? damaged : value));
                    Path other = folder.resolve("damaged");
                    writer.writeTo(other);
                    assertRefused(FormatException.class, () -> Checkpoint.read(other), "not whole");
                }
            }
        }
    }

    @Test
    void theMetricsHaveEveryChange(@TempDir Path folder) throws Exception {
        try (Engine engine = Engines.open("vector");
                Model model = Model.create(overflowing(engine, 1 << 14), SPEC, 2);
                RunFolder run = RunFolder.create(folder.resolve("run"), Map.of(), 100);
                Trainer trainer =
                        settings(model, new LossScale(1 << 16, 5)).callback(run).open()) {
            trainer.fitSteps(source(), null, 9);
        }
        List<String> changes = new ArrayList<>();
        for (JsonObject line : JsonLines.read(folder.resolve("run").resolve(RunFolder.METRICS))) {
            if (line.get("kind").getAsString().equals("lossScale")) {
                changes.add(line.get("step").getAsLong() + ": "
                        + line.get("lossScale").getAsDouble() + ", "
                        + line.get("skippedSteps").getAsLong());
            }
        }
        assertEquals(List.of("1: 32768.0, 1", "2: 16384.0, 2", "7: 32768.0, 2", "8: 16384.0, 3"), changes);
    }

    @Test
    void theNormIsThatOfTheGradientsWithoutTheScale() {
        List<Double> norms = new ArrayList<>();
        for (LossScale scale : List.of(LossScale.none(), LossScale.dynamic())) {
            try (Engine engine = Engines.open("reference");
                    Model model = Model.create(overflowing(engine, 1 << 20), SPEC, 2);
                    Trainer trainer =
                            settings(model, scale).reportGradientNorm().open()) {
                trainer.fitSteps(source(), null, 4);
                norms.add(trainer.gradientNorm().orElseThrow());
            }
        }
        assertEquals(norms.get(0), norms.get(1));
    }

    @Test
    void scalesOutOfRangeAreRefused() {
        for (double scale : new double[] {0, 0.5, 3, -2, 1 << 25, Double.NaN, Double.POSITIVE_INFINITY}) {
            assertRefused(
                    IllegalArgumentException.class,
                    () -> LossScale.fixed(scale),
                    "power of two",
                    String.valueOf(scale));
        }
        assertRefused(IllegalArgumentException.class, () -> new LossScale(2, -1), "1 or more", "-1");
    }

    @Test
    void onlyHalfPrecisionAsksForOne() {
        for (Precision precision : Precision.values()) {
            assertEquals(precision == Precision.FP16, LossScale.of(precision).isDynamic(), precision.name());
        }
    }
}
