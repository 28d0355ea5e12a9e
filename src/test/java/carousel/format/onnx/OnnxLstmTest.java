package carousel.format.onnx;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import ai.onnxruntime.OrtException;
import carousel.engine.CellActivation;
import carousel.engine.Engine;
import carousel.engine.Engines;
import carousel.engine.LstmFeature;
import carousel.fixture.RefusingEngine;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Random;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.io.TempDir;

/** The LSTM operator with all its attributes and inputs, against ONNX Runtime. */
class OnnxLstmTest {
    private static final double ALLOWED = 1e-5;
    private static final List<String> OUTPUTS = List.of("Y", "Y_h", "Y_c");

    @TempDir
    Path folder;

    /** One node with its graph's inputs, of which the weights may be initializers. */
    private static final class Case {
        private final Random random;
        private final Map<String, Object> attributes = new LinkedHashMap<>();
        private final Map<String, OnnxValue> inputs = new LinkedHashMap<>();
        private final int steps;
        private final int batch;
        private final int features;
        private final int hidden;
        private int cells = 1;
        private int opset = 14;

        Case(long seed) {
            random = new Random(seed);
            steps = 1 + random.nextInt(6);
            batch = 1 + random.nextInt(4);
            features = 1 + random.nextInt(5);
            hidden = 1 + random.nextInt(6);
            attributes.put("hidden_size", (long) hidden);
        }

        Case direction(String word) {
            attributes.put("direction", word);
            cells = word.equals("bidirectional") ? 2 : 1;
            return this;
        }

        Case opset(int value) {
            opset = value;
            return this;
        }

        Case with(String attribute, Object value) {
            attributes.put(attribute, value);
            return this;
        }

        private OnnxValue draw(int... extents) {
            int count = Arrays.stream(extents).reduce(1, (a, b) -> a * b);
            float[] values = new float[count];
            for (int k = 0; k < count; k++) {
                values[k] = 2 * random.nextFloat() - 1;
            }
            return OnnxValue.of(values, extents);
        }

        Case weights() {
            inputs.put("X", draw(steps, batch, features));
            inputs.put("W", draw(cells, 4 * hidden, features));
            inputs.put("R", draw(cells, 4 * hidden, hidden));
            return this;
        }

        Case bias() {
            inputs.put("B", draw(cells, 8 * hidden));
            return this;
        }

        Case initial() {
            inputs.put("initial_h", draw(cells, batch, hidden));
            inputs.put("initial_c", draw(cells, batch, hidden));
            return this;
        }

        Case lengths() {
            int[] lengths = new int[batch];
            Arrays.setAll(lengths, n -> 1 + random.nextInt(steps));
            inputs.put("sequence_lens", OnnxValue.of(lengths, batch));
            return this;
        }

        Case peepholes() {
            inputs.put("P", draw(cells, 3 * hidden));
            return this;
        }

        byte[] model() {
            GraphBuilder graph = new GraphBuilder("lstm");
            List<String> names = new ArrayList<>();
            for (String name : List.of("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P")) {
                OnnxValue value = inputs.get(name);
                names.add(value == null ? GraphBuilder.NONE : name);
                if (value != null) {
                    graph.input(
                            name,
                            value.type(),
                            IntStream.of(value.shape().toArray()).boxed().toArray());
                }
            }
            while (names.get(names.size() - 1).isEmpty()) {
                names.remove(names.size() - 1);
            }
            graph.node("LSTM", names, OUTPUTS, attributes);
            boolean major = Long.valueOf(1).equals(attributes.get("layout"));
            if (major) {
                graph.output("Y", OnnxType.FLOAT, batch, steps, cells, hidden);
                graph.output("Y_h", OnnxType.FLOAT, batch, cells, hidden);
                graph.output("Y_c", OnnxType.FLOAT, batch, cells, hidden);
            } else {
                graph.output("Y", OnnxType.FLOAT, steps, cells, batch, hidden);
                graph.output("Y_h", OnnxType.FLOAT, cells, batch, hidden);
                graph.output("Y_c", OnnxType.FLOAT, cells, batch, hidden);
            }
            return graph.build(opset, "test", Map.of()).toByteArray();
        }
    }

    private OnnxGraph read(byte[] model) throws IOException {
        Path file = folder.resolve("model.onnx");
        Files.write(file, model);
        return OnnxGraph.read(file);
    }

    private void check(Case lstm) throws IOException, OrtException {
        byte[] model = lstm.model();
        Map<String, OnnxValue> expected = Ort.run(model, lstm.inputs);
        OnnxGraph graph = read(model);
        for (String name : List.of("reference", "vector")) {
            try (Engine engine = Engines.open(name)) {
                Map<String, OnnxValue> actual = graph.run(engine, lstm.inputs);
                for (String output : OUTPUTS) {
                    Ort.assertSame(name + " " + output, expected.get(output), actual.get(output), ALLOWED);
                }
            }
        }
    }

    @TestFactory
    Stream<DynamicTest> likeOnnxRuntime() {
        List<DynamicTest> tests = new ArrayList<>();
        long seed = 1;
        for (String direction : List.of("forward", "reverse", "bidirectional")) {
            for (int options = 0; options < 64; options++) {
                for (int opset : options % 2 == 0 ? new int[] {7, 14} : new int[] {14, 22}) {
                    Case lstm =
                            new Case(seed++).direction(direction).opset(opset).weights();
                    lstm = (options & 1) == 0 ? lstm : lstm.bias();
                    lstm = (options & 2) == 0 ? lstm : lstm.initial();
                    lstm = (options & 4) == 0 ? lstm : lstm.lengths();
                    lstm = (options & 8) == 0 ? lstm : lstm.peepholes();
                    lstm = (options & 16) == 0 ? lstm : lstm.with("clip", 0.25f + (options % 3) * 0.25f);
                    lstm = (options & 32) == 0 ? lstm : lstm.with("input_forget", 1L);
                    Case made = lstm;
                    tests.add(DynamicTest.dynamicTest(
                            direction + ", opset " + opset + ": " + made.inputs.keySet() + made.attributes.keySet(),
                            () -> check(made)));
                }
            }
        }
        return tests.stream();
    }

    /** Every function at every place, with and without its parameters, and others in the second direction. */
    @TestFactory
    Stream<DynamicTest> activationsLikeOnnxRuntime() {
        List<DynamicTest> tests = new ArrayList<>();
        long seed = 1000;
        CellActivation.Kind[] kinds = CellActivation.Kind.values();
        for (int shift = 0; shift < kinds.length; shift++) {
            for (boolean given : new boolean[] {false, true}) {
                List<String> names = new ArrayList<>();
                List<Float> alphas = new ArrayList<>();
                List<Float> betas = new ArrayList<>();
                for (int k = 0; k < 6; k++) {
                    CellActivation.Kind kind = kinds[(shift + k * (k + 1) / 2) % kinds.length];
                    if (!given && !hasDefaults(kind)) {
                        kind = CellActivation.Kind.SIGMOID;
                    }
                    names.add(kind.onnxName());
                    if (kind.takesAlpha()) {
                        alphas.add(0.3f + 0.1f * k);
                    }
                    if (kind.takesBeta()) {
                        betas.add(0.2f + 0.05f * k);
                    }
                }
                Case lstm = new Case(seed++).direction("bidirectional").with("activations", names);
                if (given) {
                    lstm.with("activation_alpha", floats(alphas)).with("activation_beta", floats(betas));
                }
                lstm.weights().bias().initial();
                tests.add(DynamicTest.dynamicTest(names + (given ? ", parameters given" : ""), () -> check(lstm)));
            }
        }
        return tests.stream();
    }

    private static boolean hasDefaults(CellActivation.Kind kind) {
        try {
            CellActivation.of(kind);
            return true;
        } catch (IllegalArgumentException none) {
            return false;
        }
    }

    private static float[] floats(List<Float> values) {
        float[] result = new float[values.size()];
        for (int k = 0; k < result.length; k++) {
            result[k] = values.get(k);
        }
        return result;
    }

    /** ONNX Runtime refuses layout 1; it is layout 0 with the first two axes of everything but the weights exchanged. */
    @Test
    void batchMajorIsTimeMajorTransposed() throws IOException {
        for (String direction : List.of("forward", "reverse", "bidirectional")) {
            Case time =
                    new Case(7).direction(direction).weights().bias().initial().lengths();
            Case batch = new Case(7).direction(direction).with("layout", 1L);
            batch.inputs.putAll(time.inputs);
            for (String name : List.of("X", "initial_h", "initial_c")) {
                batch.inputs.put(name, transposed(time.inputs.get(name), 1, 0, 2));
            }
            try (Engine engine = Engines.open("reference")) {
                Map<String, OnnxValue> expected = read(time.model()).run(engine, time.inputs);
                Map<String, OnnxValue> actual = read(batch.model()).run(engine, batch.inputs);
                Ort.assertSame("Y", transposed(expected.get("Y"), 2, 0, 1, 3), actual.get("Y"), 0);
                Ort.assertSame("Y_h", transposed(expected.get("Y_h"), 1, 0, 2), actual.get("Y_h"), 0);
                Ort.assertSame("Y_c", transposed(expected.get("Y_c"), 1, 0, 2), actual.get("Y_c"), 0);
            }
        }
    }

    private static OnnxValue transposed(OnnxValue value, int... perm) {
        int rank = value.rank();
        int[] extents = new int[rank];
        Arrays.setAll(extents, k -> value.extent(perm[k]));
        float[] from = value.floats();
        float[] to = new float[from.length];
        for (int at = 0; at < to.length; at++) {
            int[] place = new int[rank];
            int rest = at;
            for (int k = rank - 1; k >= 0; k--) {
                place[perm[k]] = rest % extents[k];
                rest /= extents[k];
            }
            int source = 0;
            for (int k = 0; k < rank; k++) {
                source = source * value.extent(k) + place[k];
            }
            to[at] = from[source];
        }
        return OnnxValue.of(to, extents);
    }

    /** Outputs that nobody wants may have empty names or be left out. */
    @Test
    void outputsMayBeLeftOut() throws IOException {
        Case lstm = new Case(3).weights().bias();
        GraphBuilder graph = new GraphBuilder("lstm");
        lstm.inputs.forEach((name, value) -> graph.input(
                name,
                value.type(),
                IntStream.of(value.shape().toArray()).boxed().toArray()));
        graph.node("LSTM", List.of("X", "W", "R", "B"), List.of("", "", "c"), lstm.attributes);
        graph.node("LSTM", List.of("X", "W", "R", "B"), List.of("", "h"), lstm.attributes);
        graph.output("c", OnnxType.FLOAT, 1, lstm.batch, lstm.hidden);
        graph.output("h", OnnxType.FLOAT, 1, lstm.batch, lstm.hidden);
        try (Engine engine = Engines.open("reference")) {
            Map<String, OnnxValue> some =
                    read(graph.build(14, "test", Map.of()).toByteArray()).run(engine, lstm.inputs);
            Map<String, OnnxValue> all = read(lstm.model()).run(engine, lstm.inputs);
            assertEquals(List.of("c", "h"), List.copyOf(some.keySet()));
            Ort.assertSame("c", all.get("Y_c"), some.get("c"), 0);
            Ort.assertSame("h", all.get("Y_h"), some.get("h"), 0);
        }
    }

    @Test
    void anEngineThatRefusesLeavesTheNodeToTheReferenceAndTheGraphSaysSo() throws IOException {
        Case lstm = new Case(5).weights().bias().peepholes();
        OnnxGraph graph = read(lstm.model());
        try (Engine able = Engines.open("vector")) {
            Engine engine = RefusingEngine.of(able, LstmFeature.PEEPHOLES);
            assertEquals(List.of(), graph.notes());
            graph.run(engine, lstm.inputs);
            graph.run(engine, lstm.inputs);
            assertEquals(1, graph.notes().size(), graph.notes()::toString);
            assertTrue(
                    graph.notes().get(0).startsWith("the node 'lstm_0' (LSTM) runs on the reference engine: "),
                    graph.notes()::toString);
            assertEquals(0, able.memory().inUse());
        }
    }

    @Test
    void emptyBatchesAndSequencesOfNoStepsKeepTheInitialState() throws IOException {
        Case lstm = new Case(9).direction("bidirectional").weights().bias().initial();
        GraphBuilder graph = new GraphBuilder("lstm");
        lstm.inputs.forEach((name, value) -> graph.input(
                name,
                value.type(),
                IntStream.range(0, value.rank()).mapToObj(k -> "any" + k).toArray()));
        graph.node("LSTM", List.of("X", "W", "R", "B", "", "initial_h", "initial_c"), OUTPUTS, lstm.attributes);
        OUTPUTS.forEach(name -> graph.output(name, OnnxType.FLOAT, "a", "b", "c"));
        OnnxGraph read = read(graph.build(14, "test", Map.of()).toByteArray());
        try (Engine engine = Engines.open("vector")) {
            Map<String, OnnxValue> inputs = new HashMap<>(lstm.inputs);
            inputs.put("X", OnnxValue.of(new float[0], 0, lstm.batch, lstm.features));
            Map<String, OnnxValue> outputs = read.run(engine, inputs);
            Ort.assertSame("Y_h", inputs.get("initial_h"), outputs.get("Y_h"), 0);
            Ort.assertSame("Y_c", inputs.get("initial_c"), outputs.get("Y_c"), 0);
            assertEquals(
                    "FLOAT [0, 2, " + lstm.batch + ", " + lstm.hidden + "]",
                    outputs.get("Y").toString());
            inputs.put("X", OnnxValue.of(new float[0], lstm.steps, 0, lstm.features));
            inputs.put("initial_h", OnnxValue.of(new float[0], 2, 0, lstm.hidden));
            inputs.put("initial_c", OnnxValue.of(new float[0], 2, 0, lstm.hidden));
            assertEquals(
                    "FLOAT [" + lstm.steps + ", 2, 0, " + lstm.hidden + "]",
                    read.run(engine, inputs).get("Y").toString());
        }
    }

    /** ONNX does not say what the last state of no steps is; ONNX Runtime puts out zeros. */
    @Test
    void aSequenceOfLengthZeroKeepsItsInitialState() throws IOException, OrtException {
        Case lstm = new Case(21).direction("bidirectional").weights().initial();
        lstm.inputs.put("sequence_lens", OnnxValue.of(new int[lstm.batch], lstm.batch));
        try (Engine engine = Engines.open("vector")) {
            Map<String, OnnxValue> outputs = read(lstm.model()).run(engine, lstm.inputs);
            Ort.assertSame("Y_h", lstm.inputs.get("initial_h"), outputs.get("Y_h"), 0);
            Ort.assertSame("Y_c", lstm.inputs.get("initial_c"), outputs.get("Y_c"), 0);
            Ort.assertSame("Y", Ort.run(lstm.model(), lstm.inputs).get("Y"), outputs.get("Y"), 0);
        }
        lstm.inputs.remove("initial_h");
        lstm.inputs.remove("initial_c");
        check(lstm);
    }

    private void refusedAtReading(Case lstm, String... parts) {
        IOException refusal = assertThrows(IOException.class, () -> read(lstm.model()));
        for (String part : parts) {
            assertTrue(refusal.getMessage().contains(part), refusal.getMessage());
        }
        assertFalse(refusal.getMessage().contains("\n"), refusal.getMessage());
    }

    private void refusedAtRunning(Case lstm, String... parts) throws IOException {
        OnnxGraph graph = read(lstm.model());
        try (Engine engine = Engines.open("reference")) {
            IllegalArgumentException refusal =
                    assertThrows(IllegalArgumentException.class, () -> graph.run(engine, lstm.inputs));
            for (String part : parts) {
                assertTrue(refusal.getMessage().contains(part), refusal.getMessage());
            }
        }
    }

    @Test
    void attributesOutOfTheirRangeAreRefused() {
        refusedAtReading(new Case(1).weights().with("direction", "up"), "the node 'lstm_0' (LSTM)", "'up'", "forward");
        refusedAtReading(new Case(1).weights().with("clip", -1f), "clip -1.0", "positive");
        refusedAtReading(new Case(1).weights().with("layout", 2L), "layout = 2", "0 or 1");
        refusedAtReading(new Case(1).weights().opset(13).with("layout", 1L), "'layout'", "version 13");
        refusedAtReading(new Case(1).weights().with("hidden_size", 0L), "hidden_size 0", "[1, ");
        refusedAtReading(new Case(1).weights().with("hidden_size", "big"), "hidden_size", "INT");
        refusedAtReading(new Case(1).weights().with("activations", List.of("Tanh")), "1 activations");
        refusedAtReading(new Case(1).weights().with("activations", List.of("Tanh", "Cos", "Tanh")), "'Cos'", "Elu");
        refusedAtReading(
                new Case(1).weights().with("activations", List.of("Tanh", "Affine", "Tanh")), "Affine", "alpha");
        refusedAtReading(new Case(1).weights().with("linear_before_reset", 1L), "'linear_before_reset'");
    }

    @Test
    void inputsThatDoNotFitAreRefused() throws IOException {
        Case lstm = new Case(11).weights();
        lstm.inputs.put("W", OnnxValue.of(new float[4], 1, 4, 1));
        lstm.attributes.put("hidden_size", 3L);
        refusedAtRunning(lstm, "the node 'lstm_0' (LSTM)", "W [1, 12, 1]", "[1, 4, 1]");
        Case lengths = new Case(12).weights().lengths();
        int[] late = new int[lengths.batch];
        late[0] = lengths.steps + 1;
        lengths.inputs.put("sequence_lens", OnnxValue.of(late, lengths.batch));
        refusedAtRunning(lengths, "sequence length " + (lengths.steps + 1), "[0, " + lengths.steps + "]");
        Case state = new Case(13).weights().initial();
        state.inputs.put("initial_h", OnnxValue.of(new float[state.hidden], 1, 1, state.hidden));
        state.inputs.put("initial_c", OnnxValue.of(new float[2 * state.hidden], 2, 1, state.hidden));
        refusedAtRunning(state, "initial_", String.format(Locale.ROOT, "[1, %d, %d]", state.batch, state.hidden));
    }
}
