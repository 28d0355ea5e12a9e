package carousel.layer;

import static carousel.fixture.Refusals.assertRefused;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.engine.ActivationFunction;
import carousel.engine.Direction;
import carousel.engine.Engine;
import carousel.engine.EngineException;
import carousel.engine.EngineProvider;
import carousel.engine.Engines;
import carousel.engine.LstmSpec;
import carousel.engine.RandomSequence;
import carousel.fixture.AvailableEngines;
import carousel.fixture.LstmData;
import carousel.tensor.Scope;
import carousel.tensor.Tensor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class ResidualTest {
    private static final int TIME_STEPS = 5;
    private static final int BATCH_SIZE = 3;
    private static final int WIDTH = 4;
    private static final Lstm LSTM = Lstm.of(WIDTH).withReturnSequences(true);

    private static double[] run(Model model, Scope scope, double[] x, int... lengths) {
        Engine engine = model.engine();
        Tensor input = scope.allocate("x", x.length / (BATCH_SIZE * WIDTH), BATCH_SIZE, WIDTH);
        engine.write(input, x);
        Tensor output = model.forward(Pass.inference(engine, scope, input, lengths.length == 0 ? null : lengths));
        double[] y = new double[Math.toIntExact(output.elements())];
        engine.read(output, y);
        return y;
    }

    private static double[] input() {
        return LstmData.uniform(new RandomSequence(4, 0, 0), TIME_STEPS * BATCH_SIZE * WIDTH);
    }

    private static Stream<String> engines() {
        return AvailableEngines.providers().stream().map(EngineProvider::name);
    }

    /** The names, the order of the parameters and their number are those of the layers without the connection. */
    @ParameterizedTest
    @MethodSource("engines")
    void itAddsWhatItsLayersMakeToWhatTheyRead(String name) {
        List<Layer> inside = List.of(
                LSTM,
                new Dropout(0.5),
                Lstm.of(LstmSpec.of(1, 3).withProjectionSize(2).withLayers(2)).withReturnSequences(true),
                new Activation(ActivationFunction.TANH),
                Dense.of(WIDTH));
        try (Engine engine = Engines.open(name)) {
            try (Model residual = Model.create(engine, ModelSpec.of(Form.sequence(WIDTH), new Residual(inside)), 3);
                    Model plain = Model.create(engine, new ModelSpec(Form.sequence(WIDTH), inside), 3);
                    Scope scope = engine.openScope("run")) {
                assertEquals(plain.views(), residual.views());
                double[] parameters = LstmData.uniform(new RandomSequence(8, 0, 0), plain.readParameters().length);
                plain.writeParameters(parameters);
                residual.writeParameters(parameters);
                double[] x = input();
                for (int[] lengths : new int[][] {{}, {5, 0, 2}}) {
                    double[] f = run(plain, scope, x, lengths);
                    double[] expected = new double[x.length];
                    Arrays.setAll(expected, e -> x[e] + f[e]);
                    double tolerance = name.equals("reference") ? 1e-15 : 1e-6;
                    assertArrayEquals(expected, run(residual, scope, x, lengths), tolerance);
                }
            }
            assertEquals(0, engine.memory().inUse());
        }
    }

    /** What layers keep for the way back is not added to, nor what they pass on as it is. */
    @Test
    void connectionsInsideEachOtherAdd() {
        Layer nothing = new Dropout(0);
        ModelSpec spec = ModelSpec.of(
                Form.sequence(WIDTH),
                Residual.of(Residual.of(nothing), Residual.of(nothing, Residual.of(nothing))),
                Residual.of(new Activation(ActivationFunction.RELU)));
        try (Engine engine = Engines.open("reference");
                Model model = Model.create(engine, spec, 1);
                Scope scope = engine.openScope("run")) {
            double[] x = input();
            // x + 3 (2 x), and then y + relu(y).
            assertArrayEquals(
                    Arrays.stream(x).map(v -> 7 * v + Math.max(0, 7 * v)).toArray(), run(model, scope, x), 1e-14);
            Tensor input = scope.allocate("x", TIME_STEPS, BATCH_SIZE, WIDTH);
            engine.write(input, x);
            Pass pass = Pass.training(engine, scope, input, null, 1, 1);
            Tensor y = model.forward(pass);
            double[] before = new double[x.length];
            engine.read(y, before);
            model.backward(pass, y);
            double[] after = new double[x.length];
            engine.read(y, after);
            assertArrayEquals(before, after, "the gradient of the output stays as it was given");
        }
    }

    @Test
    void namesGoOnInsideAndBehind() {
        ModelSpec spec = ModelSpec.of(
                Form.sequence(3),
                Lstm.of(WIDTH).withReturnSequences(true),
                Residual.of(LSTM, Residual.of(Dense.of(WIDTH), new Dropout(0.25))),
                LSTM,
                Residual.of(Dense.of(WIDTH)),
                Dense.of(2));
        assertEquals(
                List.of(
                        "lstm.weight_ih_l0",
                        "lstm_1.weight_ih_l0",
                        "dense.weight",
                        "lstm_2.weight_ih_l0",
                        "dense_1.weight",
                        "dense_2.weight"),
                Model.views(spec).stream()
                        .map(view -> view.name())
                        .filter(name -> name.contains("weight") && !name.contains("_hh"))
                        .toList());
        try (Engine engine = Engines.open("reference");
                Model model = Model.create(engine, spec, 3)) {
            String summary = model.summary();
            assertTrue(summary.contains("residual: Residual(LSTM(4) -> Residual(Dense(4) -> Dropout(0.25)))"), summary);
            assertTrue(summary.contains("residual_2: Residual(Dense(4))"), summary);
            // 4 (4 * 4 + 4 * 4 + 4) of the LSTM and 4 * 4 + 4 of the dense layer.
            assertTrue(
                    summary.lines().anyMatch(line -> line.startsWith("residual:") && line.endsWith(" 164")), summary);
        }
        assertEquals(
                "(time, batch, 4) -> Residual(LSTM(4))",
                ModelSpec.of(Form.sequence(4), Residual.of(LSTM)).toString());
    }

    /** Weights are drawn by a layer's number, so that no two layers start alike. */
    @Test
    void layersInsideStartDifferently() {
        ModelSpec spec = ModelSpec.of(
                Form.sequence(WIDTH), Residual.of(Dense.of(WIDTH)), Residual.of(Dense.of(WIDTH)), Dense.of(WIDTH));
        try (Engine engine = Engines.open("reference");
                Model model = Model.create(engine, spec, 3)) {
            double[] values = model.readParameters();
            List<List<Double>> weights = new ArrayList<>();
            model.views().stream()
                    .filter(view -> view.name().endsWith("weight"))
                    .forEach(view -> weights.add(Arrays.stream(values, (int) view.offset(), (int) view.end())
                            .boxed()
                            .toList()));
            assertEquals(3, weights.stream().distinct().count());
            assertTrue(weights.stream().flatMap(List::stream).allMatch(value -> value != 0));
        }
    }

    /** A step left out shows zeros: what it would add to was never computed. */
    @Test
    void stepsLeftOutAreNotReadInside() {
        ModelSpec spec = ModelSpec.of(Form.sequence(WIDTH), new Masking(7), LSTM, Residual.of(LSTM));
        double[] x = input();
        double[] packed = new double[x.length];
        boolean[][] counts = new boolean[TIME_STEPS][BATCH_SIZE];
        int[] lengths = new int[BATCH_SIZE];
        for (int t = 0; t < TIME_STEPS; t++) {
            for (int n = 0; n < BATCH_SIZE; n++) {
                int from = (t * BATCH_SIZE + n) * WIDTH;
                counts[t][n] = (t + n) % 3 != 0;
                if (counts[t][n]) {
                    System.arraycopy(x, from, packed, (lengths[n]++ * BATCH_SIZE + n) * WIDTH, WIDTH);
                } else {
                    Arrays.fill(x, from, from + WIDTH, 7);
                }
            }
        }
        try (Engine engine = Engines.open("reference");
                Model masked = Model.create(engine, spec, 3);
                Model plain = Model.create(engine, ModelSpec.of(Form.sequence(WIDTH), LSTM, Residual.of(LSTM)), 3);
                Scope scope = engine.openScope("run")) {
            plain.writeParameters(masked.readParameters());
            double[] found = run(masked, scope, x);
            double[] expected = run(plain, scope, packed, lengths);
            int[] done = new int[BATCH_SIZE];
            for (int row = 0; row < TIME_STEPS * BATCH_SIZE; row++) {
                int n = row % BATCH_SIZE;
                boolean counted = counts[row / BATCH_SIZE][n];
                int from = counted ? (done[n]++ * BATCH_SIZE + n) * WIDTH : 0;
                assertArrayEquals(
                        counted ? Arrays.copyOfRange(expected, from, from + WIDTH) : new double[WIDTH],
                        Arrays.copyOfRange(found, row * WIDTH, (row + 1) * WIDTH),
                        1e-14,
                        "row " + row);
            }
        }
    }

    @Test
    void whatCannotBeAddedIsRefused() {
        assertRefused(IllegalArgumentException.class, Residual::of, "one or more layers but got none");
        assertRefused(
                IllegalArgumentException.class,
                () -> ModelSpec.of(Form.sequence(3), Residual.of(LSTM)),
                "(time, batch, 3)",
                "put out (time, batch, 4)",
                "width 3");
        assertRefused(
                IllegalArgumentException.class,
                () -> ModelSpec.of(Form.sequence(4), Residual.of(Lstm.of(4))),
                "put out (batch, 4)",
                "return sequences");
        assertRefused(
                IllegalArgumentException.class,
                () -> ModelSpec.of(Form.tokens(4), Residual.of(LSTM)),
                "reads numbers",
                "put an embedding before it");
        assertRefused(
                IllegalArgumentException.class, () -> Residual.of(new Masking(0), LSTM), "Masking(0.0)", "before it");
        assertRefused(IllegalArgumentException.class, () -> Residual.of(Embedding.of(4)), "Embedding(4)", "before it");
        Residual deep = Residual.of(LSTM);
        for (int depth = 2; depth <= 4; depth++) {
            deep = Residual.of(deep);
        }
        Residual deepest = deep;
        assertRefused(IllegalArgumentException.class, () -> Residual.of(deepest), "at most 4 deep", "got 5");
        try (Engine engine = Engines.open("vector")) {
            ModelSpec spec = ModelSpec.of(
                    Form.sequence(4),
                    Residual.of(Lstm.of(LstmSpec.of(1, 4).withPeepholes(true)).withReturnSequences(true)));
            engine.refusal(LstmSpec.of(4, 4).withPeepholes(true))
                    .ifPresent(reason ->
                            assertRefused(EngineException.class, () -> Model.create(engine, spec, 1), "peephole"));
        }
    }

    @Test
    void aStateIsOnlyOfModelsThatReadForward() {
        Lstm both = Lstm.of(LstmSpec.of(1, 2).withDirection(Direction.BIDIRECTIONAL))
                .withReturnSequences(true);
        ModelSpec spec = ModelSpec.of(Form.sequence(4), LSTM, Residual.of(Dense.of(4), Residual.of(both)));
        ModelSpec turned = ModelSpec.of(Form.sequence(4), Residual.of(LSTM, new TimeReversal()));
        try (Engine engine = Engines.open("reference");
                Model model = Model.create(engine, spec, 1);
                Model other = Model.create(engine, turned, 1);
                Scope scope = engine.openScope("state")) {
            assertRefused(
                    IllegalArgumentException.class,
                    () -> new ModelState(model, scope, 1),
                    "layer 2 has inside LSTM(2, bidirectional): give it whole sequences");
            assertRefused(
                    IllegalArgumentException.class,
                    () -> new ModelState(other, scope, 1),
                    "layer 1 has inside TimeReversal(): give it whole sequences");
        }
    }
}
