package carousel.layer;

import static carousel.fixture.Refusals.assertRefused;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.engine.ActivationFunction;
import carousel.engine.CellActivation;
import carousel.engine.Direction;
import carousel.engine.Engine;
import carousel.engine.EngineException;
import carousel.engine.Engines;
import carousel.engine.LstmActivations;
import carousel.engine.LstmFeature;
import carousel.engine.LstmSpec;
import carousel.engine.ParameterView;
import carousel.engine.RandomSequence;
import carousel.fixture.LstmData;
import carousel.fixture.RefusingEngine;
import carousel.tensor.Scope;
import carousel.tensor.Shape;
import carousel.tensor.Tensor;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.util.Arrays;
import java.util.List;
import java.util.function.BiConsumer;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

class ModelTest {
    private static final LstmSpec BOTH = LstmSpec.of(1, 3).withDirection(Direction.BIDIRECTIONAL);

    private static void use(ModelSpec spec, BiConsumer<Model, Scope> use) {
        use("reference", spec, use);
    }

    private static void use(String name, ModelSpec spec, BiConsumer<Model, Scope> use) {
        try (Engine engine = Engines.open(name)) {
            try (Model model = Model.create(engine, spec, 3);
                    Scope scope = engine.openScope("step")) {
                use.accept(model, scope);
            }
            assertEquals(0, engine.memory().inUse());
        }
    }

    private static Tensor real(Model model, Scope scope, int... extents) {
        Tensor tensor = scope.allocate("x", extents);
        model.engine().write(tensor, LstmData.uniform(new RandomSequence(4, 0, 0), Math.toIntExact(tensor.elements())));
        return tensor;
    }

    private static double[] read(Model model, Tensor tensor) {
        double[] values = new double[Math.toIntExact(tensor.elements())];
        model.engine().read(tensor, values);
        return values;
    }

    private static double[] infer(Model model, Scope scope, Tensor x, int... lengths) {
        return read(
                model, model.forward(Pass.inference(model.engine(), scope, x, lengths.length == 0 ? null : lengths)));
    }

    /** The forward cells end at each sequence's end, the reverse ones at its beginning. */
    @ParameterizedTest
    @EnumSource
    void theLastOutputIsThatOfTheLastStepThatEachCellReads(Direction direction) {
        int timeSteps = 5;
        int[] lengths = {5, 2, 0, 1};
        int batch = lengths.length;
        for (int projection : new int[] {0, 2}) {
            Lstm lstm = Lstm.of(
                    LstmSpec.of(1, 3).withLayers(2).withDirection(direction).withProjectionSize(projection));
            int shown = lstm.spec().outputSize();
            int width = lstm.spec().sequenceWidth();
            use(ModelSpec.of(Form.sequence(2), lstm), (last, scope) -> {
                try (Model whole = Model.create(
                        last.engine(), ModelSpec.of(Form.sequence(2), lstm.withReturnSequences(true)), 3)) {
                    Tensor x = real(last, scope, timeSteps, batch, 2);
                    double[] steps = infer(whole, scope, x, lengths);
                    double[] expected = new double[batch * width];
                    for (int n = 0; n < batch; n++) {
                        for (int k = 0; k < width && lengths[n] > 0; k++) {
                            boolean reversed = direction.reversed(k / shown);
                            int step = reversed ? 0 : lengths[n] - 1;
                            expected[n * width + k] = steps[(step * batch + n) * width + k];
                        }
                    }
                    assertArrayEquals(expected, infer(last, scope, x, lengths));
                    assertTrue(Arrays.stream(expected).filter(y -> y != 0).count() == 3L * width, "there are outputs");
                }
            });
        }
    }

    /** In the words of PyTorch's own modules; a second layer of a kind gets a number. */
    @Test
    void parametersHaveTheNamesThatPyTorchGivesThem() {
        ModelSpec spec = ModelSpec.of(
                Form.tokens(9),
                Embedding.of(4),
                Lstm.of(BOTH).withReturnSequences(true),
                new Dropout(0.1),
                Lstm.of(LstmSpec.of(1, 5).withLayers(2).withProjectionSize(2)),
                Dense.of(6),
                new Dense(3, false, new Initializer.GlorotUniform(), new Initializer.Constant(0)));
        List<String> expected = List.of(
                "embedding.weight [9, 4]",
                "lstm.weight_ih_l0 [12, 4]",
                "lstm.weight_hh_l0 [12, 3]",
                "lstm.bias_l0 [12]",
                "lstm.weight_ih_l0_reverse [12, 4]",
                "lstm.weight_hh_l0_reverse [12, 3]",
                "lstm.bias_l0_reverse [12]",
                "lstm_1.weight_ih_l0 [20, 6]",
                "lstm_1.weight_hh_l0 [20, 2]",
                "lstm_1.bias_l0 [20]",
                "lstm_1.weight_hr_l0 [2, 5]",
                "lstm_1.weight_ih_l1 [20, 2]",
                "lstm_1.weight_hh_l1 [20, 2]",
                "lstm_1.bias_l1 [20]",
                "lstm_1.weight_hr_l1 [2, 5]",
                "dense.weight [6, 2]",
                "dense.bias [6]",
                "dense_1.weight [3, 6]");
        use(spec, (model, scope) -> {
            assertEquals(
                    expected,
                    model.views().stream()
                            .map(view -> view.name() + " " + view.shape())
                            .toList());
            long end = 0;
            for (ParameterView view : model.views()) {
                assertTrue(view.offset() >= end, () -> view.name() + " overlaps what is before it");
                end = view.end();
            }
            assertTrue(end <= model.parameters().elements());
        });
    }

    @Test
    void theSummaryListsLayersShapesAndCounts() {
        ModelSpec spec = ModelSpec.of(
                Form.tokens(1000),
                Embedding.of(16),
                Lstm.of(LstmSpec.of(1, 32)
                                .withLayers(2)
                                .withDirection(Direction.BIDIRECTIONAL)
                                .withProjectionSize(8)
                                .withDropout(0.25)
                                .withCellClip(3))
                        .withReturnSequences(true),
                new Dropout(0.5),
                Lstm.of(LstmSpec.of(1, 7).withBias(false)),
                Dense.of(10));
        use(spec, (model, scope) -> {
            List<String> lines = model.summary().lines().toList();
            int first = 128 * 16 + 128 * 8 + 128 + 8 * 32;
            int second = 128 * 16 + 128 * 8 + 128 + 8 * 32;
            int[] counts = {16_000, 2 * first + 2 * second, 0, 28 * 16 + 28 * 7, 80};
            assertEquals(IntStream.of(counts).sum(), model.parameterCount());
            List<String> expected = List.of(
                    "Layer Output Parameters",
                    "embedding: Embedding(16) (time, batch, 16) 16,000",
                    "lstm: LSTM(32, layers 2, bidirectional, projection 8, dropout 0.25, cell clip 3.0)"
                            + " (time, batch, 16) 13,824",
                    "dropout: Dropout(0.5) (time, batch, 16) 0",
                    "lstm_1: LSTM(7, no bias) (batch, 7) 644",
                    "dense: Dense(10) (batch, 10) 80",
                    "30,548 parameters on " + model.engine().description());
            assertEquals(
                    expected,
                    lines.stream().map(line -> line.replaceAll(" +", " ")).toList());
            int width = lines.get(0).length();
            assertTrue(
                    lines.stream().limit(6).allMatch(line -> line.length() == width),
                    "the table's columns are straight");
        });
        assertEquals(
                "LSTM(4, reverse, recurrent dropout 0.1, zoneout 0.2 and 0.3, gate clip 2.0, coupled gates,"
                        + " activations HardSigmoid(0.2, 0.5), Elu(1.0), Relu, peepholes, layer normalization)",
                Lstm.of(LstmSpec.of(1, 4)
                                .withDirection(Direction.REVERSE)
                                .withRecurrentDropout(0.1)
                                .withZoneout(0.2, 0.3)
                                .withPeepholes(true)
                                .withGateClip(2)
                                .withCoupledGates(true)
                                .withActivations(new LstmActivations(
                                        CellActivation.of(CellActivation.Kind.HARD_SIGMOID),
                                        CellActivation.of(CellActivation.Kind.ELU),
                                        CellActivation.of(CellActivation.Kind.RELU)))
                                .withLayerNormalization(true))
                        .summary());
    }

    /** With peepholes at zero a stack starts as the same one without, of the same seed. */
    @Test
    void peepholesStartAtZero() {
        LstmSpec cell = LstmSpec.of(1, 3).withDirection(Direction.BIDIRECTIONAL).withLayers(2);
        use(ModelSpec.of(Form.sequence(2), Lstm.of(cell)), (plain, scope) -> {
            double[] expected = infer(plain, scope, real(plain, scope, 4, 5, 2));
            use(ModelSpec.of(Form.sequence(2), Lstm.of(cell.withPeepholes(true))), (model, inner) -> {
                assertEquals(plain.parameterCount() + 4 * 9, model.parameterCount());
                double[] parameters = model.readParameters();
                for (ParameterView view : model.views()) {
                    if (view.name().contains("peephole")) {
                        assertEquals(Shape.of(3, 3), view.shape());
                        for (int e = (int) view.offset(); e < view.end(); e++) {
                            assertEquals(0, parameters[e], view.name());
                        }
                    }
                }
                assertArrayEquals(expected, infer(model, inner, real(model, inner, 4, 5, 2)));
            });
        });
    }

    @Test
    void outputsHaveTheFormThatTheSpecificationSays() {
        ModelSpec spec = ModelSpec.of(Form.tokens(5), Embedding.of(2), Lstm.of(BOTH), new Dropout(0.3), Dense.of(4));
        assertEquals(Form.vector(4), spec.output());
        use(spec, (model, scope) -> {
            Tensor tokens = scope.allocateIntegers("tokens", 3, 2);
            model.engine().write(tokens, new int[] {0, 4, 1, 1, 2, 3});
            Pass pass = Pass.inference(model.engine(), scope, tokens, null);
            assertEquals(Shape.of(2, 4), model.forward(pass).shape());
        });
        ModelSpec steps = ModelSpec.of(Form.sequence(2), Lstm.of(BOTH).withReturnSequences(true), Dense.of(4));
        assertEquals(Form.sequence(4), steps.output());
        use(steps, (model, scope) -> {
            Pass pass = Pass.inference(model.engine(), scope, real(model, scope, 3, 2, 2), null);
            assertEquals(Shape.of(3, 2, 4), model.forward(pass).shape());
        });
    }

    @Test
    void anActivationIsAppliedToWhatTheLayerBeforePutsOut() {
        ModelSpec spec = ModelSpec.of(
                Form.sequence(3),
                new Activation(ActivationFunction.RELU),
                Dense.of(2),
                new Activation(ActivationFunction.SOFTMAX),
                new Activation(ActivationFunction.RELU));
        assertEquals(Form.sequence(2), spec.output());
        use(spec, (model, scope) -> {
            assertEquals(
                    List.of("dense.weight", "dense.bias"),
                    model.views().stream().map(ParameterView::name).toList());
            assertTrue(
                    model.summary()
                            .replaceAll(" +", " ")
                            .contains("activation_1: Activation(softmax) (time, batch, 2) 0"),
                    model.summary());
            model.writeParameters(parameters(model, 1, 0, 0, 0, 0, 0, Math.log(2), 0));
            Tensor x = scope.allocate("x", 1, 3, 3);
            double[] given = {-5, 7, 7, Math.log(6), 7, 7, 0, 7, 7};
            model.engine().write(x, given);
            double[] y = infer(model, scope, x);
            assertArrayEquals(new double[] {2 / 3.0, 1 / 3.0, 12 / 13.0, 1 / 13.0, 2 / 3.0, 1 / 3.0}, y, 1e-12);
            assertArrayEquals(given, read(model, x), "what the model reads stays");
        });
    }

    /** The parameters in the order of their views; what lies between them is zero. */
    private static double[] parameters(Model model, double... values) {
        double[] all = new double[Math.toIntExact(model.parameters().elements())];
        int next = 0;
        for (ParameterView view : model.views()) {
            for (int e = (int) view.offset(); e < view.end(); e++) {
                all[e] = values[next++];
            }
        }
        assertEquals(values.length, next);
        return all;
    }

    @Test
    void layersThatDoNotFitTogetherAreRefused() {
        assertRefused(
                IllegalArgumentException.class,
                () -> ModelSpec.of(Form.tokens(5), Lstm.of(3)),
                "an LSTM reads sequences",
                "of 5 tokens",
                "put an embedding before it");
        assertRefused(
                IllegalArgumentException.class,
                () -> ModelSpec.of(Form.sequence(2), Lstm.of(3), Lstm.of(4)),
                "an LSTM reads sequences",
                "(batch, 3)");
        assertRefused(
                IllegalArgumentException.class,
                () -> ModelSpec.of(Form.tokens(5), Dense.of(3)),
                "a dense layer reads numbers",
                "put an embedding before it");
        assertRefused(
                IllegalArgumentException.class,
                () -> ModelSpec.of(Form.tokens(5), new Dropout(0.5)),
                "dropout reads numbers",
                "put an embedding before it");
        assertRefused(
                IllegalArgumentException.class,
                () -> ModelSpec.of(Form.tokens(5), new Activation(ActivationFunction.RELU)),
                "an activation reads numbers",
                "put an embedding before it");
        assertRefused(
                IllegalArgumentException.class,
                () -> ModelSpec.of(Form.sequence(5), Embedding.of(3)),
                "an embedding reads tokens",
                "(time, batch, 5)");
        assertRefused(IllegalArgumentException.class, () -> ModelSpec.of(Form.vector(5)), "one or more layers");
    }

    @Test
    void sizesOutOfRangeAreRefused() {
        assertRefused(IllegalArgumentException.class, () -> new Activation(null), "missing", "choose relu");
        assertRefused(IllegalArgumentException.class, () -> Dense.of(0), "units", "1 or more", "got 0");
        assertRefused(IllegalArgumentException.class, () -> Embedding.of(-1), "width", "1 or more", "got -1");
        assertRefused(IllegalArgumentException.class, () -> Form.sequence(0), "features", "1 or more", "got 0");
        assertRefused(IllegalArgumentException.class, () -> Lstm.of(0), "hidden size", "got 0");
        for (double rate : new double[] {-0.1, 1, Double.NaN}) {
            assertRefused(IllegalArgumentException.class, () -> new Dropout(rate), "[0, 1)", "got " + rate);
        }
        assertRefused(
                IllegalArgumentException.class,
                () -> Lstm.of(2)
                        .withInitializers(new Initializer.Orthogonal(), new Initializer.Orthogonal(), Double.NaN),
                "forget bias",
                "got NaN");
    }

    /** Sizes that are fine one by one may still multiply to more than an array holds. */
    @Test
    void modelsBeyondOneBufferAreRefusedBeforeAnythingIsAllocated() {
        try (Engine engine = Engines.open("reference")) {
            int most = Integer.MAX_VALUE;
            for (ModelSpec spec : List.of(
                    ModelSpec.of(Form.sequence(2), Lstm.of(LstmSpec.LARGEST_WIDTH)),
                    ModelSpec.of(Form.vector(most), Dense.of(most), Dense.of(most), Dense.of(most)),
                    ModelSpec.of(Form.tokens(1 << 20), Embedding.of(1 << 12)))) {
                assertRefused(
                        IllegalArgumentException.class,
                        () -> Model.empty(engine, spec),
                        "at most " + most + " parameters",
                        spec.layers().get(0).kind(),
                        "lower");
            }
            assertEquals(0, engine.memory().peak());
        }
    }

    @Test
    void inputsThatDoNotFitAreRefused() {
        use(ModelSpec.of(Form.sequence(2), Lstm.of(3)), (model, scope) -> {
            for (Tensor x :
                    List.of(real(model, scope, 4, 3, 3), real(model, scope, 4, 2), scope.allocateIntegers("x", 4, 3))) {
                assertRefused(
                        IllegalArgumentException.class,
                        () -> infer(model, scope, x),
                        "(time, batch, 2)",
                        x.shape().toString());
            }
            Tensor x = real(model, scope, 4, 3, 2);
            assertRefused(IllegalArgumentException.class, () -> infer(model, scope, x, 4, 4), "3 lengths", "but got 2");
            assertRefused(
                    IllegalArgumentException.class, () -> infer(model, scope, x, 4, 5, 1), "[0, 4] range", "got 5");
            assertRefused(
                    IllegalArgumentException.class,
                    () -> infer(model, scope, real(model, scope, 0, 3, 2)),
                    "1 or more time steps",
                    "[0, 3, 2]");
        });
        use(
                ModelSpec.of(Form.vector(2), Dense.of(3)),
                (model, scope) -> assertRefused(
                        IllegalArgumentException.class,
                        () -> infer(model, scope, real(model, scope, 3, 4, 2)),
                        "(batch, 2)"));
        use(ModelSpec.of(Form.tokens(5), Embedding.of(3)), (model, scope) -> {
            Tensor tokens = scope.allocateIntegers("tokens", 1, 2);
            model.engine().write(tokens, new int[] {4, 5});
            assertRefused(IllegalArgumentException.class, () -> infer(model, scope, tokens), "[0, 4] range", "got 5");
            assertRefused(
                    IllegalArgumentException.class,
                    () -> infer(model, scope, real(model, scope, 1, 2)),
                    "FLOAT64",
                    "INT32");
        });
    }

    @Test
    void whatTheEngineDoesNotComputeIsRefusedInItsWords() {
        try (Engine able = Engines.open("reference")) {
            Engine engine = RefusingEngine.of(able, LstmFeature.LAYER_NORMALIZATION);
            LstmSpec normalized = LstmSpec.of(2, 3).withLayerNormalization(true);
            ModelSpec spec = ModelSpec.of(Form.sequence(2), Lstm.of(3).withReturnSequences(true), Lstm.of(normalized));
            // The layer below has 3 outputs: the engine is asked about the real specification.
            assertRefused(
                    EngineException.class, () -> Model.create(engine, spec, 1), "no layer normalization of 3 inputs");
            assertEquals(0, able.memory().inUse());
        }
    }

    @Test
    void aBackwardPassNeedsItsForwardPass() {
        for (ModelSpec spec : List.of(
                ModelSpec.of(Form.sequence(2), Lstm.of(3)),
                ModelSpec.of(Form.sequence(2), Dense.of(3)),
                ModelSpec.of(Form.sequence(2), Lstm.of(3), new Dropout(0.5)))) {
            use(spec, (model, scope) -> {
                Engine engine = model.engine();
                Tensor x = real(model, scope, 4, 3, 2);
                Pass inference = Pass.inference(engine, scope, x, null);
                Tensor y = model.forward(inference);
                Tensor dy = real(model, scope, y.shape().toArray());
                String sentence = "needs a forward pass for training";
                assertRefused(IllegalStateException.class, () -> model.backward(inference, dy), sentence);
                Pass training = Pass.training(engine, scope, x, null, 1, 1);
                assertRefused(IllegalStateException.class, () -> model.backward(training, dy), sentence);
                model.forward(training);
                model.backward(training, dy);
                double[] gradients = read(model, model.gradients());
                assertRefused(IllegalStateException.class, () -> model.backward(training, dy), sentence);
                assertArrayEquals(gradients, read(model, model.gradients()), "what was refused has added nothing");
                model.forward(training);
                model.backward(training, dy);
                double[] doubled = Arrays.stream(gradients).map(d -> 2 * d).toArray();
                assertArrayEquals(
                        doubled, read(model, model.gradients()), 1e-14, "another forward pass serves another");
            });
        }
    }

    @Test
    void outputGradientsOfAnotherShapeAreRefused() {
        use(ModelSpec.of(Form.sequence(2), Lstm.of(3)), (model, scope) -> {
            Pass pass = Pass.training(model.engine(), scope, real(model, scope, 4, 3, 2), null, 1, 1);
            for (int[] extents : new int[][] {{3, 4}, {9}, {4, 3, 3}}) {
                model.forward(pass);
                assertRefused(
                        IllegalArgumentException.class,
                        () -> model.backward(pass, real(model, scope, extents)),
                        "the gradient of the output should be [3, 3]",
                        Arrays.toString(extents));
            }
        });
    }

    /** The same step drops the same elements, on the way forward and back; another step and inference do not. */
    @Test
    void dropoutFollowsFromSeedAndStep() {
        ModelSpec spec = ModelSpec.of(
                Form.sequence(2), Lstm.of(8).withLayers(2).withDropout(0.5), new Dropout(0.5), Dense.of(4));
        use(spec, (model, scope) -> {
            Tensor x = real(model, scope, 4, 3, 2);
            double[] base = trained(model, scope, x, 1, 1);
            assertArrayEquals(base, trained(model, scope, x, 1, 1));
            assertFalse(Arrays.equals(base, trained(model, scope, x, 1, 2)), "another step");
            assertFalse(Arrays.equals(base, trained(model, scope, x, 2, 1)), "another seed");
            assertFalse(Arrays.equals(base, infer(model, scope, x)), "inference");
            assertArrayEquals(infer(model, scope, x), infer(model, scope, x));
        });
        // Layers of a model draw from streams of their own.
        ModelSpec twice = ModelSpec.of(Form.vector(64), new Dropout(0.5), new Dropout(0.5));
        use(twice, (model, scope) -> {
            Tensor ones = scope.allocate("x", 50, 64);
            model.engine().fill(ones, 1);
            double[] y = trained(model, scope, ones, 1, 1);
            double kept = Arrays.stream(y).filter(value -> value == 4).count() / (double) y.length;
            assertEquals(0.25, kept, 0.03);
            assertTrue(Arrays.stream(y).allMatch(value -> value == 0 || value == 4));
        });
    }

    private static double[] trained(Model model, Scope scope, Tensor x, long seed, long step) {
        return read(model, model.forward(Pass.training(model.engine(), scope, x, null, seed, step)));
    }

    /** What stands in the padding of a batch changes neither outputs nor gradients. */
    @Test
    void paddingIsNotRead() {
        ModelSpec spec = ModelSpec.of(Form.sequence(2), Dense.of(4), Lstm.of(BOTH), Dense.of(2));
        use(spec, (model, scope) -> {
            int[] lengths = {1, 3};
            double[][] gradients = new double[2][];
            for (int run = 0; run < 2; run++) {
                double[] values = LstmData.uniform(new RandomSequence(6, 0, 0), 12);
                Arrays.fill(values, 4, 6, run * 7);
                Arrays.fill(values, 8, 10, run * -9);
                Tensor x = scope.allocate("x", 3, 2, 2);
                model.engine().write(x, values);
                Pass pass = Pass.training(model.engine(), scope, x, lengths, 1, 1);
                model.clearGradients();
                double[] y = read(model, model.forward(pass));
                model.backward(pass, real(model, scope, 2, 2));
                gradients[run] = read(model, model.gradients());
                assertTrue(Arrays.stream(y).allMatch(Double::isFinite));
            }
            assertArrayEquals(gradients[0], gradients[1]);
            assertTrue(Arrays.stream(gradients[0]).anyMatch(d -> d != 0));
        });
    }

    @ParameterizedTest
    @ValueSource(strings = {"reference", "vector"})
    void everyByteComesBack(String name) {
        ModelSpec spec = ModelSpec.of(Form.sequence(2), Lstm.of(BOTH.withLayers(2)), new Dropout(0.5), Dense.of(3));
        try (Engine engine = Engines.open(name)) {
            try (Model model = Model.create(engine, spec, 1)) {
                long held = engine.memory().inUse();
                long parameters = 2
                        * model.parameters().elements()
                        * model.parameters().type().bytes();
                assertEquals(parameters, held, "parameters and gradients, and nothing else");
                for (int step = 0; step < 3; step++) {
                    try (Scope scope = engine.openScope("step")) {
                        Pass pass = Pass.training(engine, scope, real(model, scope, 4, 3, 2), null, 1, step);
                        model.backward(
                                pass,
                                real(model, scope, model.forward(pass).shape().toArray()));
                    }
                    assertEquals(held, engine.memory().inUse());
                }
                assertThrows(IllegalArgumentException.class, () -> {
                    try (Scope scope = engine.openScope("step")) {
                        infer(model, scope, real(model, scope, 4, 3, 2), 9, 9, 9);
                    }
                });
                assertEquals(held, engine.memory().inUse());
            }
            assertEquals(0, engine.memory().inUse());
        }
    }

    /** An engine that fails while a model is made leaves nothing behind. */
    @ParameterizedTest
    @ValueSource(strings = {"fill", "write"})
    void aModelThatCouldNotBeMadeHoldsNoMemory(String failing) {
        try (Engine engine = Engines.open("reference")) {
            Engine broken = (Engine) Proxy.newProxyInstance(
                    Engine.class.getClassLoader(), new Class<?>[] {Engine.class}, (proxy, method, arguments) -> {
                        if (method.getName().equals(failing)) {
                            throw new EngineException("the device is lost");
                        }
                        try {
                            return method.invoke(engine, arguments);
                        } catch (InvocationTargetException e) {
                            throw e.getCause();
                        }
                    });
            ModelSpec spec = ModelSpec.of(Form.sequence(2), Lstm.of(3));
            assertRefused(EngineException.class, () -> Model.create(broken, spec, 1), "the device is lost");
            assertTrue(engine.memory().peak() > 0, "it had allocated");
            assertEquals(0, engine.memory().inUse());
        }
    }

    @Test
    void aClosedModelIsNotUsed() {
        try (Engine engine = Engines.open("reference");
                Scope scope = engine.openScope("step")) {
            Model model = Model.create(engine, ModelSpec.of(Form.sequence(2), Lstm.of(3)), 1);
            Tensor x = real(model, scope, 4, 3, 2);
            Pass pass = Pass.training(engine, scope, x, null, 1, 1);
            Tensor dy = real(model, scope, model.forward(pass).shape().toArray());
            int elements = model.readParameters().length;
            model.close();
            model.close();
            assertRefused(IllegalStateException.class, () -> infer(model, scope, x), "'model' was closed");
            assertRefused(IllegalStateException.class, () -> model.backward(pass, dy), "'model' was closed");
            assertRefused(IllegalStateException.class, model::readParameters, "'parameters'", "'model' was closed");
            assertRefused(
                    IllegalStateException.class,
                    () -> model.writeParameters(new double[elements]),
                    "'parameters'",
                    "'model' was closed");
            assertRefused(IllegalStateException.class, model::clearGradients, "'gradients'", "'model' was closed");
        }
    }

    /** The vector engine sees the same model: the tolerance is far above its rounding and far below any mix-up. */
    @Test
    void enginesAgreeOnWholeModels() {
        ModelSpec spec = ModelSpec.of(
                Form.tokens(11),
                Embedding.of(5),
                new Dropout(0.2),
                Lstm.of(LstmSpec.of(1, 6)
                                .withLayers(2)
                                .withDirection(Direction.BIDIRECTIONAL)
                                .withDropout(0.3))
                        .withReturnSequences(true),
                Lstm.of(BOTH.withProjectionSize(2)),
                Dense.of(3));
        double[][] outputs = new double[2][];
        double[][] gradients = new double[2][];
        for (int k = 0; k < 2; k++) {
            int which = k;
            use(k == 0 ? "reference" : "vector", spec, (model, scope) -> {
                Tensor tokens = scope.allocateIntegers("tokens", 4, 3);
                model.engine().write(tokens, new int[] {0, 10, 3, 4, 4, 9, 1, 2, 2, 5, 0, 7});
                Pass pass = Pass.training(model.engine(), scope, tokens, new int[] {4, 1, 0}, 8, 9);
                outputs[which] = read(model, model.forward(pass));
                model.backward(pass, real(model, scope, 3, 3));
                gradients[which] = read(model, model.gradients());
            });
        }
        assertArrayEquals(outputs[0], outputs[1], 1e-5);
        assertArrayEquals(gradients[0], gradients[1], 1e-5);
        assertNotEquals(0, Arrays.stream(gradients[0]).map(Math::abs).max().orElseThrow());
    }

    /** One draw for all steps of a sequence, scaled like any other; each batch and each layer draws anew. */
    @ParameterizedTest
    @ValueSource(strings = {"reference", "vector"})
    void lockedDropoutDropsTheSameNumbersAtEveryStep(String name) {
        int timeSteps = 4;
        int row = 6 * 35;
        ModelSpec spec = ModelSpec.of(Form.sequence(35), new Dropout(0.25, true), new Dropout(0.5, true));
        use(name, spec, (model, scope) -> {
            Tensor x = scope.allocate("x", timeSteps, 6, 35);
            model.engine().fill(x, 3);
            assertEquals(
                    timeSteps * row,
                    Arrays.stream(infer(model, scope, x)).filter(y -> y == 3).count());
            double[] first = dropped(model, scope, x, 1);
            for (int t = 1; t < timeSteps; t++) {
                assertArrayEquals(
                        Arrays.copyOf(first, row), Arrays.copyOfRange(first, t * row, (t + 1) * row), "step " + t);
            }
            assertArrayEquals(first, dropped(model, scope, x, 1));
            assertNotEquals(Arrays.toString(first), Arrays.toString(dropped(model, scope, x, 2)));
            long kept = Arrays.stream(first, 0, row).filter(y -> y != 0).count();
            assertTrue(kept > 50 && kept < 110, kept + " of 210 kept at 0.75 times 0.5");
            for (double y : first) {
                assertEquals(y == 0 ? 0 : 8, y, 1e-5);
            }
            assertTrue(
                    IntStream.range(1, 6)
                            .anyMatch(n -> !Arrays.equals(
                                    Arrays.copyOf(first, 35), Arrays.copyOfRange(first, n * 35, (n + 1) * 35))),
                    "sequences drop numbers of their own");
        });
        // Vectors have no steps to share.
        use(name, ModelSpec.of(Form.vector(9), new Dropout(0.5, true)), (locked, scope) -> {
            try (Model plain = Model.create(locked.engine(), ModelSpec.of(Form.vector(9), new Dropout(0.5)), 1)) {
                Tensor x = real(locked, scope, 8, 9);
                assertArrayEquals(dropped(plain, scope, x, 3), dropped(locked, scope, x, 3));
            }
        });
        assertEquals(
                "Dropout(0.5, locked over time)",
                new Dropout(0.5).withLocked(true).summary());
    }

    private static double[] dropped(Model model, Scope scope, Tensor x, long step) {
        return read(model, model.forward(Pass.training(model.engine(), scope, x, null, 7, step)));
    }

    @Test
    void aStackOfDifferentWidthsReturnsWhatItsLastLayerDoes() {
        ModelSpec once = new ModelSpec(Form.sequence(3), Lstm.stack(false, 7, 5, 2)).then(Dense.of(4));
        assertEquals(
                ModelSpec.of(
                        Form.sequence(3),
                        Lstm.of(7).withReturnSequences(true),
                        Lstm.of(5).withReturnSequences(true),
                        Lstm.of(2),
                        Dense.of(4)),
                once);
        assertEquals(List.of(Lstm.of(6).withReturnSequences(true)), Lstm.stack(true, 6));
        assertRefused(IllegalArgumentException.class, () -> Lstm.stack(true), "one or more layers but got none");
    }
}
