package carousel.layer;

import static carousel.fixture.Refusals.assertRefused;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import carousel.engine.Direction;
import carousel.engine.Engine;
import carousel.engine.Engines;
import carousel.engine.LstmSpec;
import carousel.engine.RandomSequence;
import carousel.tensor.Scope;
import carousel.tensor.Tensor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.BiConsumer;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Serving many clients step by step gives the numbers of one long run. */
class LstmSessionTest {
    private static final int CLIENTS = 5;
    private static final int STEPS = 23;
    private static final int FEATURES = 3;
    private static final int OUTPUTS = 4;

    /** Two LSTM layers, one of them a stack with a projection, so that each kind of state is carried. */
    private static final ModelSpec EACH_STEP = ModelSpec.of(
            Form.sequence(FEATURES),
            Lstm.of(LstmSpec.of(1, 19).withLayers(2).withProjectionSize(7)).withReturnSequences(true),
            Lstm.of(6).withReturnSequences(true),
            Dense.of(OUTPUTS));

    /** Different widths, and LSTM layers inside residual connections. */
    private static final ModelSpec RESIDUAL = new ModelSpec(Form.sequence(FEATURES), Lstm.stack(true, 12, 7))
            .then(
                    Residual.of(
                            Lstm.of(7).withReturnSequences(true),
                            Residual.of(Lstm.of(7).withReturnSequences(true), new Dropout(0.5, true))),
                    Dense.of(OUTPUTS));

    private static final ModelSpec AT_THE_END =
            ModelSpec.of(Form.sequence(FEATURES), Lstm.of(9).withLayers(2), Dense.of(OUTPUTS));

    /** Sums of at most 26 products in single precision. */
    private static final float ALLOWED = 1e-5f;

    private static void use(String name, ModelSpec spec, BiConsumer<Model, LstmSession> use) {
        try (Engine engine = Engines.open(name)) {
            try (Model model = Model.create(engine, spec, 3);
                    LstmSession session = new LstmSession(model, CLIENTS)) {
                use.accept(model, session);
            }
            assertEquals(0, engine.memory().inUse());
        }
    }

    /** x {@code [T, N, C]} of all clients. */
    private static float[] inputs() {
        RandomSequence random = new RandomSequence(8, 0, 0);
        float[] x = new float[STEPS * CLIENTS * FEATURES];
        for (int e = 0; e < x.length; e++) {
            x[e] = (float) (2 * random.nextDouble() - 1);
        }
        return x;
    }

    /** What one pass over the first steps of all clients puts out. */
    private static float[] longRun(Model model, int steps, float[] x) {
        try (Scope scope = model.engine().openScope("long run")) {
            Tensor input = scope.allocate("x", steps, CLIENTS, FEATURES);
            model.engine().write(input, Arrays.copyOf(x, steps * CLIENTS * FEATURES));
            Tensor output = model.forward(Pass.inference(model.engine(), scope, input, null));
            float[] values = new float[Math.toIntExact(output.elements())];
            model.engine().read(output, values);
            return values;
        }
    }

    /** Steps {@code from .. to - 1} of some clients, {@code [T, n, C]}. */
    private static float[] part(float[] x, int from, int to, int... clients) {
        float[] part = new float[(to - from) * clients.length * FEATURES];
        int filled = 0;
        for (int t = from; t < to; t++) {
            for (int client : clients) {
                System.arraycopy(x, (t * CLIENTS + client) * FEATURES, part, filled, FEATURES);
                filled += FEATURES;
            }
        }
        return part;
    }

    /** A step left out shows the output before it, be that of a call before. */
    @ParameterizedTest
    @ValueSource(strings = {"reference", "vector"})
    void stepsThatAreLeftOutAreThoseOfOneLongRun(String name) {
        float[] x = inputs();
        RandomSequence random = new RandomSequence(10, 0, 0);
        for (int row = 0; row < STEPS * CLIENTS; row++) {
            if (random.nextInt(2) == 0) {
                Arrays.fill(x, row * FEATURES, (row + 1) * FEATURES, 0.5f);
            }
        }
        for (ModelSpec spec : new ModelSpec[] {EACH_STEP, AT_THE_END}) {
            List<Layer> layers = new ArrayList<>(spec.layers());
            layers.add(0, new Masking(0.5));
            use(name, new ModelSpec(spec.input(), layers), (model, session) -> {
                int[] clients = {4, 0, 2};
                for (int at = 0; at < STEPS; ) {
                    int steps = Math.min(1 + random.nextInt(3), STEPS - at);
                    float[] answers = session.run(clients, steps, part(x, at, at + steps, clients));
                    float[] whole = longRun(model, at + steps, x);
                    int shown = answers.length / (clients.length * OUTPUTS);
                    int first = whole.length - shown * CLIENTS * OUTPUTS;
                    for (int row = 0; row < shown * clients.length; row++) {
                        int client = clients[row % clients.length];
                        int from = first + (row / clients.length * CLIENTS + client) * OUTPUTS;
                        assertArrayEquals(
                                Arrays.copyOfRange(whole, from, from + OUTPUTS),
                                Arrays.copyOfRange(answers, row * OUTPUTS, (row + 1) * OUTPUTS),
                                ALLOWED,
                                "client " + client + " before step " + (at + steps));
                    }
                    at += steps;
                }
            });
        }
    }

    private static Stream<Arguments> chunked() {
        return Stream.of("reference", "vector")
                .flatMap(name -> Stream.of(Arguments.of(name, EACH_STEP), Arguments.of(name, RESIDUAL)));
    }

    @ParameterizedTest
    @MethodSource("chunked")
    void stepsAndChunksOfSomeClientsAreOneLongRun(String name, ModelSpec spec) {
        float[] x = inputs();
        use(name, spec, (model, session) -> {
            float[] whole = longRun(model, STEPS, x);
            int[] position = new int[CLIENTS];
            RandomSequence random = new RandomSequence(9, 0, 0);
            for (int call = 0; call < 60; call++) {
                // The clients that are equally far may share a call; 1 to 4 steps at a time.
                int first = random.nextInt(CLIENTS);
                int at = position[first];
                int steps = Math.min(1 + random.nextInt(4), STEPS - at);
                int[] clients = IntStream.range(0, CLIENTS)
                        .map(k -> (first + k) % CLIENTS)
                        .filter(client -> position[client] == at)
                        .toArray();
                if (steps == 0) {
                    continue;
                }
                float[] answers = session.run(clients, steps, part(x, at, at + steps, clients));
                assertEquals(steps * clients.length * OUTPUTS, answers.length);
                for (int t = 0; t < steps; t++) {
                    for (int k = 0; k < clients.length; k++) {
                        int from = ((at + t) * CLIENTS + clients[k]) * OUTPUTS;
                        int got = (t * clients.length + k) * OUTPUTS;
                        assertArrayEquals(
                                Arrays.copyOfRange(whole, from, from + OUTPUTS),
                                Arrays.copyOfRange(answers, got, got + OUTPUTS),
                                ALLOWED,
                                "client " + clients[k] + ", step " + (at + t));
                    }
                }
                for (int client : clients) {
                    position[client] += steps;
                }
                if (call == 20) {
                    // Apart from each other, so that not all calls are for all clients.
                    session.run(new int[] {2}, 1, part(x, position[2], position[2] + 1, 2));
                    position[2]++;
                }
            }
            assertArrayEquals(IntStream.generate(() -> STEPS).limit(CLIENTS).toArray(), position);
        });
    }

    @ParameterizedTest
    @ValueSource(strings = {"reference", "vector"})
    void aModelThatAnswersOnceAnswersForAllItHasRead(String name) {
        float[] x = inputs();
        use(name, AT_THE_END, (model, session) -> {
            int[] all = IntStream.range(0, CLIENTS).toArray();
            for (int[] chunk : new int[][] {{0, 4}, {4, 5}, {5, 12}}) {
                float[] answer = session.run(all, chunk[1] - chunk[0], part(x, chunk[0], chunk[1], all));
                assertArrayEquals(longRun(model, chunk[1], x), answer, ALLOWED);
            }
        });
    }

    @ParameterizedTest
    @ValueSource(strings = {"reference", "vector"})
    void aClientIsResetTakenBackAndCopiedWithoutTheOthersNoticing(String name) {
        float[] x = inputs();
        use(name, EACH_STEP, (model, session) -> {
            int[] all = IntStream.range(0, CLIENTS).toArray();
            session.run(all, 6, part(x, 0, 6, all));
            LstmSession.Snapshot first = session.snapshot(1);
            LstmSession.Snapshot other = session.snapshot(3);
            assertNotEquals(first, other);
            float[] next = session.run(new int[] {1}, 2, part(x, 6, 8, 1));

            session.reset(1);
            assertArrayEquals(
                    session.run(new int[] {4}, 1, part(x, 6, 7, 4)),
                    fresh(model, session, x),
                    ALLOWED,
                    "client 4 is at step 6 whatever became of client 1");
            float[] anew = session.run(new int[] {1}, 2, part(x, 6, 8, 1));
            assertNotEquals(Arrays.toString(next), Arrays.toString(anew));

            session.restore(1, first);
            assertEquals(first, session.snapshot(1));
            assertArrayEquals(next, session.run(new int[] {1}, 2, part(x, 6, 8, 1)), "taken back");
            session.restore(0, first);
            assertArrayEquals(next, session.run(new int[] {0}, 2, part(x, 6, 8, 1)), "copied to another");
            assertEquals(other, session.snapshot(3));

            session.resetAll();
            float[] zeros = new float[session.snapshot(0).values().length];
            for (int client = 0; client < CLIENTS; client++) {
                double[] state = session.snapshot(client).values();
                assertEquals(zeros.length, state.length);
                assertEquals(0, Arrays.stream(state).map(Math::abs).max().orElseThrow());
            }
        });
    }

    /** What client 4 answers at step 6 by one long run. */
    private static float[] fresh(Model model, LstmSession session, float[] x) {
        float[] whole = longRun(model, 7, x);
        int from = (6 * session.clients() + 4) * OUTPUTS;
        return Arrays.copyOfRange(whole, from, from + OUTPUTS);
    }

    @ParameterizedTest
    @ValueSource(strings = {"reference", "vector"})
    void tokensAreReadLikeNumbers(String name) {
        ModelSpec spec =
                ModelSpec.of(Form.tokens(11), Embedding.of(5), Lstm.of(8).withReturnSequences(true), Dense.of(11));
        use(name, spec, (model, session) -> {
            int[] tokens = {3, 1, 4, 1, 5, 9, 2, 6, 5, 3};
            float[] whole = session.run(new int[] {0}, tokens.length, tokens);
            for (int t = 0; t < tokens.length; t++) {
                assertArrayEquals(
                        Arrays.copyOfRange(whole, t * 11, (t + 1) * 11),
                        session.run(new int[] {2}, 1, new int[] {tokens[t]}),
                        ALLOWED);
            }
            LstmSession.Snapshot before = session.snapshot(2);
            assertThrows(IllegalArgumentException.class, () -> session.run(new int[] {2}, 1, new int[] {11}));
            assertEquals(before, session.snapshot(2), "a call that fails leaves the client where it was");
            assertRefused(
                    IllegalArgumentException.class, () -> session.run(new int[] {2}, 1, new float[5]), "real numbers");
        });
    }

    @ParameterizedTest
    @ValueSource(strings = {"reference", "vector"})
    void whatCannotBeServedIsRefused(String name) {
        use(name, AT_THE_END, (model, session) -> {
            assertRefused(
                    IllegalArgumentException.class,
                    () -> session.run(new int[] {5}, 1, new float[3]),
                    "[0, 4] range but got 5");
            assertRefused(
                    IllegalArgumentException.class,
                    () -> session.run(new int[] {-1}, 1, new float[3]),
                    "[0, 4] range but got -1");
            assertRefused(
                    IllegalArgumentException.class,
                    () -> session.run(new int[] {1, 1}, 1, new float[6]),
                    "got 1 twice");
            assertRefused(IllegalArgumentException.class, () -> session.run(new int[0], 1, new float[0]), "got none");
            assertRefused(
                    IllegalArgumentException.class,
                    () -> session.run(new int[] {1}, 2, new float[3]),
                    "6 numbers, and 1 step or more, but got 3");
            assertRefused(
                    IllegalArgumentException.class, () -> session.run(new int[] {1}, 0, new float[0]), "but got 0");
            assertRefused(IllegalArgumentException.class, () -> session.run(new int[] {1}, 1, new int[3]), "tokens");
            assertRefused(IllegalArgumentException.class, () -> session.reset(9), "[0, 4] range but got 9");
            assertRefused(
                    IllegalArgumentException.class,
                    () -> session.restore(1, new LstmSession.Snapshot(new double[3])),
                    "should have 36 numbers but got 3");
            assertRefused(
                    IllegalArgumentException.class, () -> new LstmSession(model, 0), "1 or more sequences but got 0");
            try (Model both = Model.create(
                    model.engine(),
                    ModelSpec.of(Form.sequence(2), Lstm.of(LstmSpec.of(1, 3).withDirection(Direction.BIDIRECTIONAL))),
                    1)) {
                assertRefused(IllegalArgumentException.class, () -> new LstmSession(both, 2), "reads forward");
            }
        });
    }
}
