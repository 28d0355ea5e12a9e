package carousel.layer;

import static carousel.fixture.Refusals.assertRefused;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.engine.Direction;
import carousel.engine.Engine;
import carousel.engine.Engines;
import carousel.engine.LstmSpec;
import carousel.engine.ParameterView;
import carousel.engine.RandomSequence;
import carousel.tensor.Scope;
import carousel.tensor.Tensor;
import java.util.Arrays;
import java.util.List;
import java.util.function.BiConsumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** An encoder and a decoder in one model are the two models that one would take apart. */
class EncoderDecoderTest {
    private static final int VOCABULARY = 7;
    private static final int START = 5;
    private static final int END = 6;
    private static final int SOURCE_STEPS = 5;
    private static final int STEPS = 4;
    private static final int SEQUENCES = 3;
    private static final int[] SOURCE_LENGTHS = {5, 2, 3};

    /** Sums of at most 30 products in single precision. */
    private static final double ALLOWED = 1e-5;

    private static final LstmSpec STACK = LstmSpec.of(1, 9).withLayers(2).withProjectionSize(5);

    private static final ModelSpec ENCODER = ModelSpec.of(
            Form.tokens(VOCABULARY),
            Embedding.of(3),
            Lstm.of(STACK).withReturnSequences(true),
            Lstm.of(LstmSpec.of(1, 6).withDirection(Direction.REVERSE)));

    private static final ModelSpec DECODER = ModelSpec.of(
            Form.tokens(VOCABULARY),
            Embedding.of(4),
            Lstm.of(STACK).withReturnSequences(true),
            Lstm.of(6).withReturnSequences(true),
            Dense.of(VOCABULARY));

    private static final ModelSpec BOTH = ModelSpec.encoderDecoder(ENCODER, DECODER);

    private static void use(String name, BiConsumer<Engine, Model> use) {
        try (Engine engine = Engines.open(name)) {
            try (Model model = Model.create(engine, BOTH, 3)) {
                use.accept(engine, model);
            }
            assertEquals(0, engine.memory().inUse());
        }
    }

    private static int[] tokens(int seed, int steps) {
        RandomSequence random = new RandomSequence(seed, 0, 0);
        int[] tokens = new int[steps * SEQUENCES];
        Arrays.setAll(tokens, k -> random.nextInt(VOCABULARY));
        return tokens;
    }

    private static Tensor tensor(Engine engine, Scope scope, int[] tokens) {
        Tensor tensor = scope.allocateIntegers("tokens", tokens.length / SEQUENCES, SEQUENCES);
        engine.write(tensor, tokens);
        return tensor;
    }

    private static double[] read(Engine engine, Tensor tensor) {
        double[] values = new double[Math.toIntExact(tensor.elements())];
        engine.read(tensor, values);
        return values;
    }

    /** What the decoder puts out where it is told what to read. */
    private static double[] run(Engine engine, Model model, int[] source, int[] decoded) {
        try (Scope scope = engine.openScope("run")) {
            return read(
                    engine,
                    model.forward(Pass.inference(engine, scope, tensor(engine, scope, decoded), null)
                            .reading(tensor(engine, scope, source), SOURCE_LENGTHS)));
        }
    }

    private static Model part(Engine engine, Model both, ModelSpec spec, String prefix) {
        Model part = Model.empty(engine, spec);
        double[] all = both.readParameters();
        double[] own = new double[part.readParameters().length];
        for (ParameterView view : part.views()) {
            ParameterView there = both.views().stream()
                    .filter(each -> each.name().equals(prefix + view.name()))
                    .findFirst()
                    .orElseThrow();
            assertEquals(there.shape(), view.shape());
            System.arraycopy(all, (int) there.offset(), own, (int) view.offset(), (int)
                    view.shape().elements());
        }
        part.writeParameters(own);
        return part;
    }

    @ParameterizedTest
    @ValueSource(strings = {"reference", "vector"})
    void theDecoderGoesOnFromWhereTheEncoderEnded(String name) {
        use(name, (engine, both) -> {
            double[] together = run(engine, both, tokens(1, SOURCE_STEPS), tokens(2, STEPS));
            try (Model encoder = part(engine, both, ENCODER, "encoder.");
                    Model decoder = part(engine, both, DECODER, "decoder.");
                    Scope scope = engine.openScope("apart")) {
                assertEquals(
                        both.views().size(),
                        encoder.views().size() + decoder.views().size());
                Pass reading = Pass.inference(
                                engine, scope, tensor(engine, scope, tokens(1, SOURCE_STEPS)), SOURCE_LENGTHS)
                        .keepingStates();
                encoder.forward(reading);
                LayerState first = reading.lastState(1);
                LayerState second = reading.lastState(2);
                ModelState state = new ModelState(decoder, scope, SEQUENCES);
                double[][] parts = {first.h(), first.c(), second.h(), second.c()};
                state.write(Arrays.stream(parts).flatMapToDouble(Arrays::stream).toArray());
                Pass pass = Pass.inference(engine, scope, tensor(engine, scope, tokens(2, STEPS)), null)
                        .carrying(state);
                assertArrayEquals(together, read(engine, decoder.forward(pass)));
            }
            double[] other = run(engine, both, tokens(9, SOURCE_STEPS), tokens(2, STEPS));
            assertNotEquals(together[0], other[0], 1e-4, "the source should matter");
        });
    }

    /** Both parts' layers have numbers of their own. */
    @ParameterizedTest
    @ValueSource(strings = {"reference", "vector"})
    void statesOfBothPartsAreKept(String name) {
        use(name, (engine, model) -> {
            try (Scope scope = engine.openScope("states")) {
                Pass pass = Pass.inference(engine, scope, tensor(engine, scope, tokens(2, STEPS)), null)
                        .reading(tensor(engine, scope, tokens(1, SOURCE_STEPS)), SOURCE_LENGTHS)
                        .keepingStates();
                model.forward(pass);
                Pass alone =
                        Pass.inference(engine, scope, tensor(engine, scope, tokens(1, SOURCE_STEPS)), SOURCE_LENGTHS);
                ModelState state = new ModelState(model, scope, SEQUENCES);
                model.encode(alone, state);
                double[] begun = state.read();
                assertArrayEquals(
                        Arrays.copyOf(begun, 2 * SEQUENCES * 5),
                        pass.lastState(1).h());
                double[] ended = pass.lastState(4).h();
                assertEquals(2 * SEQUENCES * 5, ended.length);
                assertNotEquals(begun[0], ended[0], 1e-6);
                assertRefused(IllegalArgumentException.class, () -> pass.lastState(3), "layer 3");
            }
        });
    }

    /** What the model says when it reads its own words: each is the likeliest where all those before are given. */
    @ParameterizedTest
    @ValueSource(strings = {"reference", "vector"})
    void greedyDecodingReadsItsOwnAnswers(String name) {
        use(name, (engine, model) -> {
            // Outputs that differ enough for the end token to come early in one sequence and never in another.
            double[] parameters = model.readParameters();
            RandomSequence random = new RandomSequence(12, 0, 0);
            Arrays.setAll(parameters, k -> 3 * (2 * random.nextDouble() - 1));
            model.writeParameters(parameters);
            int limit = 8;
            int[] source = tokens(1, SOURCE_STEPS);
            int[][] answers = new GreedyDecoder(model, START, END, limit).decode(SOURCE_STEPS, source, SOURCE_LENGTHS);
            assertEquals(SEQUENCES, answers.length);
            int[] read = new int[limit * SEQUENCES];
            for (int n = 0; n < SEQUENCES; n++) {
                assertTrue(answers[n].length <= limit);
                read[n] = START;
                for (int t = 1; t < limit; t++) {
                    read[t * SEQUENCES + n] = t <= answers[n].length ? answers[n][t - 1] : END;
                }
            }
            double[] outputs = run(engine, model, source, read);
            for (int n = 0; n < SEQUENCES; n++) {
                for (int t = 0; t < Math.min(limit, answers[n].length + 1); t++) {
                    int said = t < answers[n].length ? answers[n][t] : END;
                    int row = (t * SEQUENCES + n) * VOCABULARY;
                    double largest =
                            Arrays.stream(outputs, row, row + VOCABULARY).max().orElseThrow();
                    assertEquals(largest, outputs[row + said], ALLOWED, "sequence " + n + ", step " + t);
                }
            }
            assertTrue(
                    Arrays.stream(answers)
                                    .mapToInt(answer -> answer.length)
                                    .distinct()
                                    .count()
                            > 1,
                    "all answers are equally long: " + Arrays.deepToString(answers));
            int[] alone = new int[SOURCE_LENGTHS[1]];
            for (int t = 0; t < alone.length; t++) {
                alone[t] = source[t * SEQUENCES + 1];
            }
            assertArrayEquals(
                    answers[1], new GreedyDecoder(model, START, END, limit).decode(alone.length, alone, null)[0]);
        });
    }

    @ParameterizedTest
    @ValueSource(strings = {"reference", "vector"})
    void sourcesMayBeOfRealNumbers(String name) {
        ModelSpec spec = ModelSpec.encoderDecoder(
                ModelSpec.of(Form.sequence(2), Lstm.of(4)),
                ModelSpec.of(
                        Form.tokens(VOCABULARY),
                        Embedding.of(3),
                        Lstm.of(4).withReturnSequences(true),
                        Dense.of(VOCABULARY)));
        try (Engine engine = Engines.open(name);
                Model model = Model.create(engine, spec, 4)) {
            GreedyDecoder decoder = new GreedyDecoder(model, START, END, 3);
            float[] x = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
            assertEquals(2, decoder.decode(3, x, new int[] {3, 1}).length);
            assertRefused(
                    IllegalArgumentException.class,
                    () -> decoder.decode(3, new int[6], null),
                    "(time, batch, 2)",
                    "tokens");
            assertRefused(IllegalArgumentException.class, () -> decoder.decode(5, x, null), "multiple of 10", "12");
            assertRefused(IllegalArgumentException.class, () -> decoder.decode(0, x, null), "0 steps");
            assertRefused(IllegalArgumentException.class, () -> decoder.decode(3, x, new int[1]), "2 sources", "got 1");
        }
    }

    @Test
    void namesSayWhichPartALayerIsOf() {
        List<ParameterView> views = Model.views(BOTH);
        assertEquals("encoder.embedding.weight", views.get(0).name());
        assertTrue(views.stream()
                .anyMatch(view -> view.name().equals("encoder.lstm_1.weight_ih_l0_reverse")
                        || view.name().equals("encoder.lstm_1.weight_ih_l0")));
        assertEquals("decoder.dense.bias", views.get(views.size() - 1).name());
        assertEquals(
                "encoder (time, batch) of 7 tokens -> Embedding(3)",
                BOTH.toString().substring(0, 49),
                "the encoder comes first");
        try (Engine engine = Engines.open("vector");
                Model model = Model.create(engine, BOTH, 1)) {
            String summary = model.summary();
            assertTrue(summary.indexOf("encoder.lstm: ") < summary.indexOf("decoder.lstm: "), summary);
            assertTrue(summary.contains("decoder.dense: "), summary);
        }
    }

    @Test
    void partsThatDoNotFitAreRefused() {
        Lstm lstm = Lstm.of(6);
        ModelSpec encoder = ModelSpec.of(Form.sequence(2), lstm);
        ModelSpec decoder = ModelSpec.of(Form.sequence(2), lstm.withReturnSequences(true));
        ModelSpec.encoderDecoder(encoder, decoder);
        refused(ModelSpec.of(Form.sequence(2), lstm, Dense.of(3)), decoder, "end with an LSTM", "Dense(3)");
        refused(
                ModelSpec.of(Form.sequence(2), lstm.withDirection(Direction.BIDIRECTIONAL)),
                decoder,
                "one direction",
                "bidirectional");
        refused(encoder, ModelSpec.of(Form.sequence(2), lstm), "at each step", "(batch, 6)");
        refused(
                encoder,
                ModelSpec.of(
                        Form.sequence(2), lstm.withDirection(Direction.REVERSE).withReturnSequences(true)),
                "read forward");
        refused(
                encoder,
                ModelSpec.of(Form.sequence(2), lstm.withReturnSequences(true), new TimeReversal()),
                "read forward");
        refused(
                encoder,
                ModelSpec.of(
                        Form.sequence(2), lstm.withLearnedInitialState(true).withReturnSequences(true)),
                "initial state");
        refused(
                encoder,
                ModelSpec.of(Form.sequence(2), lstm.withReturnSequences(true), lstm.withReturnSequences(true)),
                "as many LSTM layers",
                "1",
                "has 2");
        refused(
                encoder,
                ModelSpec.of(Form.sequence(2), Lstm.of(7).withReturnSequences(true)),
                "layer 1",
                "[1, batch, 6]",
                "[1, batch, 7]");
        refused(ModelSpec.encoderDecoder(encoder, decoder), decoder, "no encoder itself");
        refused(encoder, ModelSpec.encoderDecoder(encoder, decoder), "no encoder of its own");
    }

    private static void refused(ModelSpec encoder, ModelSpec decoder, String... parts) {
        assertRefused(IllegalArgumentException.class, () -> ModelSpec.encoderDecoder(encoder, decoder), parts);
    }

    @Test
    void passesThatDoNotFitAreRefused() {
        use("vector", (engine, model) -> {
            try (Scope scope = engine.openScope("misuse");
                    Model plain = Model.create(engine, DECODER, 1)) {
                Tensor tokens = tensor(engine, scope, tokens(2, STEPS));
                Tensor single = scope.allocateIntegers("single", 1, 1);
                Pass pass = Pass.inference(engine, scope, tokens, null);
                assertRefused(IllegalArgumentException.class, () -> model.forward(pass), "neither");
                assertRefused(IllegalArgumentException.class, () -> pass.reading(single, null), "3", "1");
                ModelState state = new ModelState(model, scope, SEQUENCES);
                pass.reading(tokens, null).carrying(state);
                assertRefused(IllegalArgumentException.class, () -> model.forward(pass), "both");
                assertRefused(
                        IllegalArgumentException.class,
                        () -> plain.forward(
                                Pass.inference(engine, scope, tokens, null).reading(tokens, null)),
                        "no encoder");
                assertRefused(IllegalArgumentException.class, () -> plain.encode(pass, state), "no encoder");
                assertRefused(
                        IllegalArgumentException.class,
                        () -> model.encode(Pass.inference(engine, scope, single, null), state),
                        "is of 3");
                assertRefused(IllegalArgumentException.class, () -> new LstmSession(model, 2), "GreedyDecoder");
                assertRefused(IllegalArgumentException.class, () -> new GreedyDecoder(plain, 0, 1, 5), "LstmSession");
                assertRefused(IllegalArgumentException.class, () -> new GreedyDecoder(model, -1, 1, 5), "start", "-1");
                assertRefused(IllegalArgumentException.class, () -> new GreedyDecoder(model, 0, 7, 5), "end", "[0, 6]");
                assertRefused(IllegalArgumentException.class, () -> new GreedyDecoder(model, 0, 1, 0), "1 token");
            }
        });
    }
}
