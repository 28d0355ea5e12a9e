package carousel.layer;

import static carousel.fixture.Refusals.assertRefused;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertNull;

import carousel.engine.Direction;
import carousel.engine.Engine;
import carousel.engine.Engines;
import carousel.engine.LstmSpec;
import carousel.engine.ParameterView;
import carousel.engine.RandomSequence;
import carousel.fixture.LstmData;
import carousel.tensor.Scope;
import carousel.tensor.Tensor;
import java.util.Arrays;
import java.util.List;
import java.util.function.Consumer;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Where LSTM layers start, where they end, and who may say so. */
class InitialStateTest {
    private static final int STEPS = 6;
    private static final int SEQUENCES = 4;
    private static final int FEATURES = 3;

    /** Sums of at most 20 products in single precision. */
    private static final double ALLOWED = 1e-5;

    private static final LstmSpec STACK = LstmSpec.of(1, 9).withLayers(2).withProjectionSize(5);

    private static ModelSpec spec(boolean learned) {
        return ModelSpec.of(
                Form.sequence(FEATURES),
                Lstm.of(STACK).withReturnSequences(true).withLearnedInitialState(learned),
                Lstm.of(7).withReturnSequences(true).withLearnedInitialState(learned),
                Dense.of(2));
    }

    private static void use(String name, ModelSpec spec, Consumer<Model> use) {
        try (Engine engine = Engines.open(name)) {
            try (Model model = Model.create(engine, spec, 3)) {
                use.accept(model);
            }
            assertEquals(0, engine.memory().inUse());
        }
    }

    private static double[] inputs() {
        return LstmData.uniform(new RandomSequence(8, 0, 0), STEPS * SEQUENCES * FEATURES);
    }

    /** Draws every parameter of which the name ends so. */
    private static void draw(Model model, String suffix, long seed) {
        double[] parameters = model.readParameters();
        RandomSequence random = new RandomSequence(seed, 1, 0);
        for (ParameterView view : model.views()) {
            if (view.name().endsWith(suffix)) {
                double[] values =
                        LstmData.uniform(random, Math.toIntExact(view.shape().elements()));
                System.arraycopy(values, 0, parameters, (int) view.offset(), values.length);
            }
        }
        model.writeParameters(parameters);
    }

    /** What a pass over steps {@code from .. to - 1} of all sequences puts out. */
    private static double[] run(Model model, int from, int to, int[] lengths, ModelState state) {
        try (Scope scope = model.engine().openScope("run")) {
            Pass pass = pass(model, scope, from, to, lengths).carrying(state);
            return read(model, model.forward(pass));
        }
    }

    private static Pass pass(Model model, Scope scope, int from, int to, int[] lengths) {
        Tensor x = scope.allocate("x", to - from, SEQUENCES, FEATURES);
        int perStep = SEQUENCES * FEATURES;
        model.engine().write(x, Arrays.copyOfRange(inputs(), from * perStep, to * perStep));
        return Pass.inference(model.engine(), scope, x, lengths);
    }

    private static double[] read(Model model, Tensor tensor) {
        double[] values = new double[Math.toIntExact(tensor.elements())];
        model.engine().read(tensor, values);
        return values;
    }

    @ParameterizedTest
    @ValueSource(strings = {"reference", "vector"})
    void anUntrainedStateIsZero(String name) {
        use(
                name,
                spec(false),
                plain -> use(name, spec(true), learned -> {
                    assertEquals(
                            List.of("lstm.h_0 [2, 5]", "lstm.c_0 [2, 9]", "lstm_1.h_0 [1, 7]", "lstm_1.c_0 [1, 7]"),
                            learned.views().stream()
                                    .filter(view -> view.name().endsWith("_0"))
                                    .map(view -> view.name() + " " + view.shape())
                                    .toList());
                    assertEquals(plain.parameterCount() + 2 * 5 + 2 * 9 + 7 + 7, learned.parameterCount());
                    assertArrayEquals(run(plain, 0, STEPS, null, null), run(learned, 0, STEPS, null, null));
                }));
    }

    /** The same numbers as from a state that is given; and once a sequence has begun the learned one counts for nothing. */
    @ParameterizedTest
    @ValueSource(strings = {"reference", "vector"})
    void sequencesStartFromWhatWasLearned(String name) {
        use(name, spec(true), model -> {
            double[] fromZeros = run(model, 0, STEPS, null, null);
            draw(model, "_0", 5);
            double[] whole = run(model, 0, STEPS, null, null);
            assertNotEquals(fromZeros[0], whole[0], 1e-3);
            try (Scope scope = model.engine().openScope("carried")) {
                ModelState state = new ModelState(model, scope, SEQUENCES);
                assertArrayEquals(repeated(model), state.read(), "a new state is the learned one for each sequence");
                double[] first = run(model, 0, 2, null, state);
                state.advance();
                double[] begun = state.read();
                draw(model, "_0", 6);
                double[] rest = run(model, 2, STEPS, null, state);
                assertArrayEquals(Arrays.copyOf(whole, first.length), first, ALLOWED);
                assertArrayEquals(Arrays.copyOfRange(whole, first.length, whole.length), rest, ALLOWED);
                state.clear();
                assertArrayEquals(repeated(model), state.read(), "anew, from what is known by now");
                state.write(begun);
                assertArrayEquals(rest, run(model, 2, STEPS, null, state));
            }
        });
    }

    /** The learned parameters as a state of all sequences. */
    private static double[] repeated(Model model) {
        double[] parameters = model.readParameters();
        return model.views().stream()
                .filter(view -> view.name().endsWith("_0"))
                .flatMapToDouble(view -> {
                    int width = view.shape().extent(1);
                    double[] values = new double[Math.toIntExact(view.shape().elements()) * SEQUENCES];
                    for (int row = 0; row < values.length / width; row++) {
                        int from = (int) view.offset() + row / SEQUENCES * width;
                        System.arraycopy(parameters, from, values, row * width, width);
                    }
                    return Arrays.stream(values);
                })
                .toArray();
    }

    @ParameterizedTest
    @ValueSource(strings = {"reference", "vector"})
    void clientsOfASessionStartFromWhatWasLearned(String name) {
        use(name, spec(true), model -> {
            draw(model, "_0", 5);
            double[] whole = run(model, 0, STEPS, null, null);
            try (LstmSession session = new LstmSession(model, SEQUENCES)) {
                float[] x = new float[STEPS * FEATURES];
                for (int client : new int[] {2, 0, 2}) {
                    for (int t = 0; t < STEPS; t++) {
                        for (int c = 0; c < FEATURES; c++) {
                            x[t * FEATURES + c] = (float) inputs()[(t * SEQUENCES + client) * FEATURES + c];
                        }
                    }
                    float[] answers = session.run(new int[] {client}, STEPS, x);
                    for (int t = 0; t < STEPS; t++) {
                        assertEquals(whole[(t * SEQUENCES + client) * 2], answers[t * 2], ALLOWED, "step " + t);
                    }
                    session.reset(client);
                }
                assertEquals(session.snapshot(1), session.snapshot(2), "one that was reset is as one that never began");
            }
        });
    }

    /** A run that goes on from the states that a pass has kept is the rest of a long one; and h is what the layer shows. */
    @ParameterizedTest
    @ValueSource(strings = {"reference", "vector"})
    void aPassTellsWhereItEnded(String name) {
        use(name, spec(true), model -> {
            draw(model, "_0", 5);
            double[] whole = run(model, 0, STEPS, null, null);
            try (Scope scope = model.engine().openScope("first part")) {
                Pass pass = pass(model, scope, 0, 2, null).keepingStates();
                model.forward(pass);
                LayerState stack = pass.lastState(0);
                LayerState second = pass.lastState(1);
                assertEquals(2 * SEQUENCES * 5, stack.h().length);
                assertEquals(2 * SEQUENCES * 9, stack.c().length);
                ModelState state = new ModelState(model, scope, SEQUENCES);
                state.write(joined(stack.h(), stack.c(), second.h(), second.c()));
                double[] rest = run(model, 2, STEPS, null, state);
                assertArrayEquals(Arrays.copyOfRange(whole, 2 * SEQUENCES * 2, whole.length), rest, ALLOWED);
                assertRefused(IllegalArgumentException.class, () -> pass.lastState(2), "layer 2", "[0, 2]");
                assertRefused(IllegalArgumentException.class, () -> pass.lastState(-1), "layer -1");
                assertRefused(IllegalStateException.class, () -> pass.initialGradient(0), "backward pass");
                Pass silent = pass(model, scope, 0, 2, null);
                model.forward(silent);
                assertRefused(IllegalStateException.class, () -> silent.lastState(0), "keepingStates()");
                assertRefused(
                        IllegalStateException.class,
                        () -> pass(model, scope, 0, 2, null).keepingStates().lastState(0),
                        "forward pass");
            }
        });
    }

    private static double[] joined(double[]... parts) {
        return Arrays.stream(parts).flatMapToDouble(Arrays::stream).toArray();
    }

    /** At each sequence's true end, and at its first step for the cell that reads in reverse. */
    @ParameterizedTest
    @ValueSource(strings = {"reference", "vector"})
    void lastStatesAreThoseOfTheTrueEnds(String name) {
        int[] lengths = {6, 1, 0, 3};
        ModelSpec spec = ModelSpec.of(
                Form.sequence(FEATURES),
                Lstm.of(5).withDirection(Direction.BIDIRECTIONAL).withReturnSequences(true));
        use(name, spec, model -> {
            try (Scope scope = model.engine().openScope("both ways")) {
                Pass pass = pass(model, scope, 0, STEPS, lengths).keepingStates();
                double[] y = read(model, model.forward(pass));
                LayerState last = pass.lastState(0);
                for (int n = 0; n < SEQUENCES; n++) {
                    for (int k = 0; k < 5; k++) {
                        int end = Math.max(0, lengths[n] - 1) * SEQUENCES + n;
                        assertEquals(y[end * 10 + k], last.h()[n * 5 + k], 1e-7, "forward, sequence " + n);
                        assertEquals(y[n * 10 + 5 + k], last.h()[(SEQUENCES + n) * 5 + k], 1e-7, "reverse");
                    }
                }
            }
        });
    }

    /** Nothing has to be given: a layer that starts from zeros has no gradient of them to keep. */
    @ParameterizedTest
    @ValueSource(strings = {"reference", "vector"})
    void zerosHaveNoGradient(String name) {
        use(name, spec(false), model -> {
            try (Scope scope = model.engine().openScope("step")) {
                Tensor x = scope.allocate("x", STEPS, SEQUENCES, FEATURES);
                model.engine().write(x, inputs());
                Pass pass = Pass.training(model.engine(), scope, x, null, 1, 1).keepingStates();
                Tensor y = model.forward(pass);
                assertRefused(IllegalStateException.class, () -> pass.initialGradient(0), "backward pass");
                model.backward(pass, y);
                assertNull(pass.initialGradient(0));
                assertRefused(IllegalArgumentException.class, () -> pass.initialGradient(2), "no state");
            }
        });
    }
}
