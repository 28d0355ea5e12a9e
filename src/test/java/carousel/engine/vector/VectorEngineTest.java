package carousel.engine.vector;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.engine.ActivationFunction;
import carousel.engine.Direction;
import carousel.engine.Engine;
import carousel.engine.EngineException;
import carousel.engine.EngineOptions;
import carousel.engine.Engines;
import carousel.engine.Loss;
import carousel.engine.LstmInput;
import carousel.engine.LstmLayout;
import carousel.engine.LstmOutput;
import carousel.engine.LstmSpec;
import carousel.engine.RandomKey;
import carousel.engine.RandomSequence;
import carousel.engine.Update;
import carousel.engine.UpdateRule;
import carousel.engine.reference.ReferenceEngine;
import carousel.tensor.Precision;
import carousel.tensor.Scope;
import carousel.tensor.Tensor;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class VectorEngineTest {
    private static final EngineOptions GUARDED = EngineOptions.defaults().withGuards(true);

    @Test
    void agreesWithTheReferenceOverRandomCases() {
        try (Engine reference = new ReferenceEngine(true);
                Engine vector = new VectorEngine(GUARDED.withThreads(2))) {
            for (long seed = 0; seed < 250; seed++) {
                LstmCase drawn = LstmCase.random(seed);
                // What is normalised is divided by a deviation, and so are its errors.
                double tolerance = drawn.spec().layerNormalization() ? 5e-4 : 5e-5;
                assertClose(drawn.toString(), drawn.run(reference), drawn.run(vector), tolerance);
            }
            assertEquals(0, vector.memory().inUse());
        }
    }

    @Test
    void agreesWithTheReferenceAtSizesThatFillSeveralBlocks() {
        LstmSpec spec =
                LstmSpec.of(150, 140).withDirection(Direction.BIDIRECTIONAL).withLayers(2);
        LstmCase large = new LstmCase(spec, 4, 37, null, true, true, true, null, 0, 1);
        try (Engine reference = new ReferenceEngine(true);
                Engine vector = new VectorEngine(GUARDED)) {
            assertClose("large", large.run(reference), large.run(vector), 5e-5);
        }
    }

    @Test
    void otherOperationsAgreeWithTheReference() {
        try (Engine reference = new ReferenceEngine(true);
                Engine vector = new VectorEngine(GUARDED.withThreads(2))) {
            for (long seed = 0; seed < 40; seed++) {
                assertClose("seed " + seed, operations(reference, seed), operations(vector, seed), 2e-5);
            }
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {2, 3, 7})
    void resultsDoNotDependOnTheNumberOfThreads(int threads) {
        try (Engine one = new VectorEngine(GUARDED.withThreads(1));
                Engine several = new VectorEngine(GUARDED.withThreads(threads))) {
            for (long seed = 1000; seed < 1060; seed++) {
                LstmCase drawn = LstmCase.random(seed);
                assertSame(drawn.run(one), drawn.run(several));
                assertSame(operations(one, seed), operations(several, seed));
            }
        }
    }

    @Test
    void resultsDoNotDependOnTheKernels() {
        try (Engine loops = new VectorEngine(GUARDED, new LoopKernels());
                Engine best = new VectorEngine(GUARDED)) {
            for (long seed = 2000; seed < 2100; seed++) {
                LstmCase drawn = LstmCase.random(seed);
                assertSame(drawn, drawn.run(loops), drawn.run(best));
                assertSame(operations(loops, seed), operations(best, seed));
            }
        }
    }

    @Test
    void kernelsAreThoseThatTheJvmHasTheModuleFor() {
        boolean module = ModuleLayer.boot().findModule(Kernels.MODULE).isPresent();
        try (Engine engine = new VectorEngine(GUARDED.withThreads(2))) {
            assertTrue(
                    engine.description()
                            .matches("vector \\(FP32, 2 threads, " + (module ? "\\d+-bit" : "compiler-vectorised")
                                    + "\\)"),
                    engine.description());
        }
        assertEquals(Boolean.getBoolean("carousel.without.module"), !module, "the test JVM's own options");
    }

    @Test
    void whatLiesPastTheEndOfASequenceDoesNotMatter() {
        int sequences = 0;
        try (Engine engine = new VectorEngine(GUARDED)) {
            for (long seed = 0; seed < 40; seed++) {
                LstmCase drawn = LstmCase.random(seed);
                sequences += drawn.lengths() == null ? 0 : drawn.batchSize();
                assertSame(
                        drawn.withPadding(Double.NaN).run(engine),
                        drawn.withPadding(7).run(engine));
            }
        }
        assertTrue(sequences > 50, "too few padded sequences were drawn: " + sequences);
    }

    @Test
    void aSequenceComesOutTheSameInAnyBatch() {
        LstmSpec spec = LstmSpec.of(5, 9);
        try (Engine engine = new VectorEngine(GUARDED);
                Scope scope = engine.openScope("test")) {
            RandomSequence random = new RandomSequence(1, 1, 1);
            Tensor parameters = LstmCase.draw(
                    engine, scope, random, 0.5, (int) LstmLayout.of(spec).elements());
            float[] x = new float[6 * 33 * 5];
            for (int e = 0; e < x.length; e++) {
                x[e] = (float) random.uniform(-1, 1);
            }
            float[] together = forward(engine, scope, spec, parameters, x, 6, 33);
            for (int n = 0; n < 33; n++) {
                float[] own = new float[6 * 5];
                for (int t = 0; t < 6; t++) {
                    System.arraycopy(x, (t * 33 + n) * 5, own, t * 5, 5);
                }
                float[] alone = forward(engine, scope, spec, parameters, own, 6, 1);
                for (int e = 0; e < alone.length; e++) {
                    assertEquals(together[(e / 9 * 33 + n) * 9 + e % 9], alone[e]);
                }
            }
        }
    }

    private static float[] forward(
            Engine engine, Scope scope, LstmSpec spec, Tensor parameters, float[] x, int timeSteps, int batchSize) {
        Tensor input = scope.allocate("x", timeSteps, batchSize, spec.inputSize());
        Tensor y = scope.allocate("y", timeSteps, batchSize, spec.sequenceWidth());
        engine.write(input, x);
        engine.lstmForward(spec, parameters, LstmInput.of(input), new LstmOutput(y, null), null);
        float[] result = new float[(int) y.elements()];
        engine.read(y, result);
        return result;
    }

    @Test
    void isFoundByNameAndRefusesOtherPrecisions() {
        try (Engine engine = Engines.open("vector", GUARDED)) {
            assertEquals("vector", engine.name());
            assertEquals(Precision.FP32, engine.precision());
        }
        EngineException thrown = assertThrows(
                EngineException.class, () -> Engines.open("vector", GUARDED.withPrecision(Precision.BF16)));
        assertTrue(thrown.getMessage().contains("BF16"), thrown.getMessage());
    }

    @Test
    void aBadLabelReachesTheCallerFromAnyThread() {
        try (Engine engine = new VectorEngine(GUARDED.withThreads(3));
                Scope scope = engine.openScope("test")) {
            int rows = 1000;
            Tensor predictions = scope.allocate("p", rows, 4);
            Tensor labels = scope.allocateIntegers("labels", rows);
            Tensor report = scope.allocate("report", 3);
            engine.fill(predictions, 0);
            int[] values = new int[rows];
            values[777] = 4;
            engine.write(labels, values);
            IllegalArgumentException thrown = assertThrows(
                    IllegalArgumentException.class,
                    () -> engine.loss(Loss.SOFTMAX_CROSS_ENTROPY, predictions, labels, null, report, null));
            assertTrue(thrown.getMessage().contains("row 777"), thrown.getMessage());
            values[777] = 3;
            engine.write(labels, values);
            assertDoesNotThrow(() -> engine.loss(Loss.SOFTMAX_CROSS_ENTROPY, predictions, labels, null, report, null));
        }
    }

    @Test
    void memoryIsPooledAfterScopesCloseAndAClosedEngineRefusesWork() {
        // Of several threads, chance decides which one's buffers grow when.
        Engine engine = new VectorEngine(GUARDED.withThreads(1));
        LstmCase drawn = LstmCase.random(3);
        drawn.run(engine);
        long pooled = engine.memory().pooled();
        drawn.run(engine);
        assertEquals(0, engine.memory().inUse());
        assertEquals(pooled, engine.memory().pooled(), "a second run of the same size needs no new memory");
        engine.close();
        assertThrows(IllegalStateException.class, () -> drawn.run(engine));
    }

    @Test
    void closingWithAnOpenScopeIsReported() {
        Engine engine = new VectorEngine(GUARDED);
        try (Scope scope = engine.openScope("left open")) {
            scope.allocate("x", 3);
            assertThrows(IllegalStateException.class, engine::close);
        }
    }

    /** Every operation but the LSTM's, once. */
    private static Map<String, float[]> operations(Engine engine, long seed) {
        Map<String, float[]> results = new LinkedHashMap<>();
        RandomSequence random = new RandomSequence(seed, 9, 0);
        int rows = 1 + random.nextInt(150);
        int inputs = 1 + random.nextInt(90);
        int outputs = 1 + random.nextInt(50);
        try (Scope scope = engine.openScope("operations")) {
            Tensor x = LstmCase.draw(engine, scope, random, 1, rows, inputs);
            Tensor weights = LstmCase.draw(engine, scope, random, 1, outputs, inputs);
            Tensor bias = random.nextInt(3) == 0 ? null : LstmCase.draw(engine, scope, random, 1, outputs);
            Tensor y = scope.allocate("y", rows, outputs);
            engine.linearForward(x, weights, bias, y);
            LstmCase.put(engine, results, "linear", y);
            Tensor dy = LstmCase.draw(engine, scope, random, 1, rows, outputs);
            Tensor dWeights = LstmCase.draw(engine, scope, random, 1, outputs, inputs);
            Tensor dBias = bias == null ? null : LstmCase.draw(engine, scope, random, 1, outputs);
            Tensor dx = scope.allocate("dx", rows, inputs);
            engine.linearBackward(x, weights, dy, dWeights, dBias, dx);
            LstmCase.put(engine, results, "dW", dWeights);
            LstmCase.put(engine, results, "dx", dx);
            if (dBias != null) {
                LstmCase.put(engine, results, "db", dBias);
            }

            Tensor ids = scope.allocateIntegers("ids", rows);
            int[] values = new int[rows];
            for (int m = 0; m < rows; m++) {
                values[m] = random.nextInt(outputs);
            }
            engine.write(ids, values);
            engine.embeddingForward(ids, weights, dx);
            LstmCase.put(engine, results, "embedding", dx);
            engine.embeddingBackward(ids, x, dWeights);
            LstmCase.put(engine, results, "dtable", dWeights);

            Tensor dropped = scope.allocate("dropped", rows, inputs);
            engine.dropout(x, 0.3, new RandomKey(seed, 1, 2), dropped);
            LstmCase.put(engine, results, "dropout", dropped);

            for (ActivationFunction function : ActivationFunction.values()) {
                engine.activationForward(function, x, dropped);
                LstmCase.put(engine, results, function.word(), dropped);
                engine.activationBackward(function, dropped, x, dx);
                LstmCase.put(engine, results, function.word() + " backwards", dx);
            }

            losses(engine, scope, random, ids, y, results);
            updates(engine, scope, random, results);
        }
        return results;
    }

    private static void losses(
            Engine engine, Scope scope, RandomSequence random, Tensor labels, Tensor y, Map<String, float[]> results) {
        int rows = y.shape().extent(0);
        int columns = y.shape().extent(1);
        float[] weights = new float[rows];
        for (int m = 0; m < rows; m++) {
            weights[m] = random.nextInt(3);
        }
        Tensor rowWeights = scope.allocate("row weights", rows);
        engine.write(rowWeights, weights);
        Tensor targets = LstmCase.draw(engine, scope, random, 1, rows, columns);
        Tensor gradient = scope.allocate("gradient", rows, columns);
        Tensor report = scope.allocate("report", 3);
        for (Loss loss : Loss.values()) {
            for (Tensor weighted : new Tensor[] {null, rowWeights}) {
                engine.loss(loss, y, loss.labelled() ? labels : targets, weighted, report, gradient);
                String name = loss + (weighted == null ? "" : " weighted");
                LstmCase.put(engine, results, name, report);
                LstmCase.put(engine, results, name + " gradient", gradient);
            }
        }
        engine.fill(rowWeights, 0);
        engine.loss(Loss.MEAN_SQUARED_ERROR, y, targets, rowWeights, report, gradient);
        LstmCase.put(engine, results, "no rows", report);
        LstmCase.put(engine, results, "no rows gradient", gradient);
    }

    private static void updates(Engine engine, Scope scope, RandomSequence random, Map<String, float[]> results) {
        int count = 1 + random.nextInt(40_000);
        Tensor parameters = LstmCase.draw(engine, scope, random, 1, count);
        Tensor gradients = LstmCase.draw(engine, scope, random, 1, count);
        Tensor first = scope.allocate("first", count);
        Tensor second = scope.allocate("second", count);
        Tensor squaredNorm = scope.allocate("squared norm", 1);
        engine.squaredNorm(gradients, squaredNorm);
        LstmCase.put(engine, results, "squared norm", squaredNorm);
        for (UpdateRule rule : List.of(
                new UpdateRule.Sgd(0, false),
                new UpdateRule.Sgd(0.9, false),
                new UpdateRule.Sgd(0.9, true),
                new UpdateRule.Adam(0.9, 0.999, 1e-8, 0),
                new UpdateRule.Adam(0.9, 0.999, 1e-8, 0.1),
                new UpdateRule.RmsProp(0.9, 1e-7))) {
            engine.fill(first, 0);
            engine.fill(second, 0);
            for (int step = 1; step <= 3; step++) {
                engine.update(
                        new Update(rule, step, 0.01, step == 2 ? 0.5 : 0, squaredNorm),
                        parameters,
                        gradients,
                        rule.moments() >= 1 ? first : null,
                        rule.moments() >= 2 ? second : null);
            }
            LstmCase.put(engine, results, rule.toString(), parameters);
        }
    }

    /** Within a tolerance relative to the largest expected element, or to 1. */
    private static void assertClose(
            String what, Map<String, float[]> expected, Map<String, float[]> actual, double tolerance) {
        assertEquals(expected.keySet(), actual.keySet());
        expected.forEach((name, values) -> {
            double scale = 1;
            for (float value : values) {
                scale = Math.max(scale, Math.abs(value));
            }
            assertArrayEquals(values, actual.get(name), (float) (tolerance * scale), name + " of " + what);
        });
    }

    private static void assertSame(LstmCase drawn, Map<String, float[]> expected, Map<String, float[]> actual) {
        expected.forEach((name, values) -> assertArrayEquals(values, actual.get(name), () -> name + " of " + drawn));
    }

    private static void assertSame(Map<String, float[]> expected, Map<String, float[]> actual) {
        assertEquals(expected.keySet(), actual.keySet());
        expected.forEach((name, values) -> assertArrayEquals(values, actual.get(name), name));
    }
}
