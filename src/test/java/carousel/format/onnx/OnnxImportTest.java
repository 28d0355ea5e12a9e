package carousel.format.onnx;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import ai.onnxruntime.OrtException;
import carousel.engine.Engine;
import carousel.engine.Engines;
import carousel.format.FormatException;
import carousel.format.Imported;
import carousel.layer.Model;
import carousel.layer.Pass;
import carousel.tensor.Scope;
import carousel.tensor.Tensor;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Graphs as PyTorch's and Keras' exporters make them, read as models. */
class OnnxImportTest {
    private static final double ALLOWED = 1e-5;
    private static final int STEPS = 5;
    private static final int BATCH = 3;
    private static final int FEATURES = 4;
    private static final int HIDDEN = 3;

    @TempDir
    Path folder;

    private final Random random = new Random(17);

    /** A graph in the making, with the names of its values as exporters number them. */
    private final class Sketch {
        private final GraphBuilder graph = new GraphBuilder("main_graph");
        private int opset = 14;
        private boolean batchFirst;
        private boolean tokens;
        private boolean outputBatchFirst;
        private int vocabulary;

        String node(String operator, List<String> inputs, Object... attributes) {
            return nodes(operator, inputs, 1, attributes).get(0);
        }

        List<String> nodes(String operator, List<String> inputs, int outputs, Object... attributes) {
            Map<String, Object> named = new LinkedHashMap<>();
            for (int k = 0; k < attributes.length; k += 2) {
                named.put((String) attributes[k], attributes[k + 1]);
            }
            List<String> names = new ArrayList<>();
            for (int k = 0; k < outputs; k++) {
                names.add(graph.newName("/" + operator));
            }
            graph.node(operator, inputs, names, named);
            return names;
        }

        String floats(int... extents) {
            int count = 1;
            for (int extent : extents) {
                count *= extent;
            }
            float[] values = new float[count];
            for (int k = 0; k < count; k++) {
                values[k] = 1.4f * random.nextFloat() - 0.7f;
            }
            return graph.initializer(graph.newName("onnx::weight"), OnnxValue.of(values, extents));
        }

        String longs(long... values) {
            return graph.initializer(graph.newName("onnx::const"), OnnxValue.of(values, values.length));
        }

        String number(long value) {
            return graph.initializer(graph.newName("onnx::const"), OnnxValue.of(new long[] {value}));
        }

        String timeMajorInput() {
            graph.input("x", OnnxType.FLOAT, "time", "batch", FEATURES);
            return "x";
        }

        /** As PyTorch does for {@code batch_first}. */
        String batchMajorInput() {
            batchFirst = true;
            graph.input("x", OnnxType.FLOAT, "batch", "time", FEATURES);
            return node("Transpose", List.of("x"), "perm", new long[] {1, 0, 2});
        }

        String squeeze(String value, long axis) {
            return opset >= 13
                    ? node("Squeeze", List.of(value, longs(axis)))
                    : node("Squeeze", List.of(value), "axes", new long[] {axis});
        }

        /** A zero state whose size PyTorch computes from that of the input. */
        String zeros(String input, int batchAxis, int cells) {
            String shape = node("Shape", List.of(input));
            String batch = node("Gather", List.of(shape, number(batchAxis)), "axis", 0L);
            String vector = opset >= 13
                    ? node("Unsqueeze", List.of(batch, longs(0)))
                    : node("Unsqueeze", List.of(batch), "axes", new long[] {0});
            String extents = node("Concat", List.of(longs(cells), vector, longs(HIDDEN)), "axis", 0L);
            return node("ConstantOfShape", List.of(extents));
        }

        List<String> lstm(String x, int inputs, String direction, String state, Object... attributes) {
            int cells = direction.equals("bidirectional") ? 2 : 1;
            List<String> names = new ArrayList<>(List.of(
                    x,
                    floats(cells, 4 * HIDDEN, inputs),
                    floats(cells, 4 * HIDDEN, HIDDEN),
                    floats(cells, 8 * HIDDEN)));
            if (state != null) {
                names.addAll(List.of("", state, state));
            }
            List<Object> all = new ArrayList<>(List.of("hidden_size", (long) HIDDEN, "direction", direction));
            all.addAll(List.of(attributes));
            return nodes("LSTM", names, 3, all.toArray());
        }

        byte[] build(String output) {
            graph.outputWithoutShape(output, OnnxType.FLOAT);
            return graph.build(opset, "pytorch", Map.of()).toByteArray();
        }
    }

    private Imported read(byte[] model) throws IOException {
        Path file = folder.resolve("model.onnx");
        Files.write(file, model);
        return OnnxImport.read(file);
    }

    /** Imports a graph, expects this model, and compares its outputs and the graph's own with ONNX Runtime's. */
    private Imported check(Sketch sketch, String output, String expected) throws IOException, OrtException {
        byte[] bytes = sketch.build(output);
        Imported imported = read(bytes);
        assertEquals(expected, imported.weights().spec().toString());
        int rows = STEPS * BATCH;
        int width = sketch.tokens ? 1 : FEATURES;
        float[] values = new float[rows * width];
        for (int k = 0; k < values.length; k++) {
            values[k] = sketch.tokens ? random.nextInt(sketch.vocabulary) : 2 * random.nextFloat() - 1;
        }
        int outer = sketch.batchFirst ? BATCH : STEPS;
        int inner = sketch.batchFirst ? STEPS : BATCH;
        OnnxValue input;
        if (sketch.tokens) {
            long[] ids = new long[rows];
            for (int k = 0; k < rows; k++) {
                ids[k] = (long) values[k];
            }
            input = OnnxValue.of(ids, outer, inner);
        } else {
            input = OnnxValue.of(values, outer, inner, width);
        }
        OnnxValue judge = Ort.run(bytes, Map.of("x", input)).get(output);
        try (Engine engine = Engines.open("reference")) {
            Ort.assertSame(
                    "graph",
                    judge,
                    OnnxGraph.read(folder.resolve("model.onnx"))
                            .run(engine, Map.of("x", input))
                            .get(output),
                    ALLOWED);
            try (Model model = imported.weights().open(engine);
                    Scope scope = engine.openScope("test")) {
                float[] timeMajor = sketch.batchFirst ? swapped(values, BATCH, STEPS, width) : values;
                Tensor x;
                if (sketch.tokens) {
                    x = scope.allocateIntegers("x", STEPS, BATCH);
                    int[] ids = new int[rows];
                    for (int k = 0; k < rows; k++) {
                        ids[k] = (int) timeMajor[k];
                    }
                    engine.write(x, ids);
                } else {
                    x = scope.allocate("x", STEPS, BATCH, width);
                    engine.write(x, timeMajor);
                }
                Tensor y = model.forward(Pass.inference(engine, scope, x, null));
                float[] result = new float[(int) y.elements()];
                engine.read(y, result);
                if (sketch.outputBatchFirst) {
                    result = swapped(result, STEPS, BATCH, y.shape().extent(2));
                }
                Ort.assertSame(
                        "model", judge, OnnxValue.of(result, judge.shape().toArray()), ALLOWED);
            }
        }
        return imported;
    }

    static float[] swapped(float[] values, int outer, int inner, int width) {
        float[] result = new float[values.length];
        for (int a = 0; a < outer; a++) {
            for (int b = 0; b < inner; b++) {
                System.arraycopy(values, (a * inner + b) * width, result, (b * outer + a) * width, width);
            }
        }
        return result;
    }

    @Test
    void pyTorchBatchFirstLastStep() throws IOException, OrtException {
        for (int opset : new int[] {9, 11, 14, 17}) {
            Sketch torch = new Sketch();
            torch.opset = opset;
            String x = torch.batchMajorInput();
            String y =
                    torch.lstm(x, FEATURES, "forward", torch.zeros("x", 0, 1)).get(0);
            String batch = torch.node("Transpose", List.of(torch.squeeze(y, 1)), "perm", new long[] {1, 0, 2});
            String last;
            if (opset == 9) {
                last = torch.node(
                        "Squeeze",
                        List.of(torch.node(
                                "Slice",
                                List.of(batch),
                                "starts",
                                new long[] {-1},
                                "ends",
                                new long[] {Long.MAX_VALUE},
                                "axes",
                                new long[] {1})),
                        "axes",
                        new long[] {1});
            } else {
                last = torch.node("Gather", List.of(batch, torch.number(-1)), "axis", 1L);
            }
            String out = torch.node("Gemm", List.of(last, torch.floats(2, HIDDEN), torch.floats(2)), "transB", 1L);
            Imported imported = check(torch, out, "(time, batch, 4) -> LSTM(3) -> Dense(2)");
            assertTrue(
                    imported.mapping().toString().contains("the graph has batch before time"),
                    imported.mapping()::toString);
            assertTrue(
                    imported.mapping().stream()
                            .anyMatch(entry ->
                                    entry.target().equals("lstm.weight_ih_l0, lstm.weight_hh_l0, lstm.bias_l0")),
                    imported.mapping()::toString);
        }
    }

    /** Two bidirectional layers; of the stacked last states the top layer's two are joined. */
    @Test
    void pyTorchBidirectionalStackWithLastStates() throws IOException, OrtException {
        Sketch torch = new Sketch();
        String x = torch.timeMajorInput();
        List<String> first = torch.lstm(x, FEATURES, "bidirectional", torch.zeros("x", 1, 2));
        String turned = torch.node("Transpose", List.of(first.get(0)), "perm", new long[] {0, 2, 1, 3});
        String merged = torch.node("Reshape", List.of(turned, torch.longs(0, 0, -1)), "allowzero", 0L);
        List<String> second = torch.lstm(merged, 2 * HIDDEN, "bidirectional", torch.zeros("x", 1, 2));
        String states = torch.node("Concat", List.of(first.get(1), second.get(1)), "axis", 0L);
        String forward = torch.node("Gather", List.of(states, torch.number(-2)), "axis", 0L);
        String reverse = torch.node("Gather", List.of(states, torch.number(-1)), "axis", 0L);
        String both = torch.node("Concat", List.of(forward, reverse), "axis", 1L);
        String out = torch.node("Gemm", List.of(both, torch.floats(2, 2 * HIDDEN), torch.floats(2)), "transB", 1L);
        check(
                torch,
                torch.node("Sigmoid", List.of(out)),
                "(time, batch, 4) -> LSTM(3, layers 2, bidirectional) -> Dense(2) -> Activation(sigmoid)");
    }

    /** {@code torch.cat([y[:, -1, :H], y[:, 0, H:]], 1)}: where each direction ends. */
    @Test
    void pyTorchEndsOfBothDirectionsCutFromTheSequence() throws IOException, OrtException {
        Sketch torch = new Sketch();
        String x = torch.batchMajorInput();
        String y = torch.lstm(x, FEATURES, "bidirectional", null).get(0);
        String turned = torch.node("Transpose", List.of(y), "perm", new long[] {0, 2, 1, 3});
        String merged = torch.node("Reshape", List.of(turned, torch.longs(0, 0, 2 * HIDDEN)));
        String batch = torch.node("Transpose", List.of(merged), "perm", new long[] {1, 0, 2});
        String end = torch.node("Gather", List.of(batch, torch.number(-1)), "axis", 1L);
        String start = torch.node("Gather", List.of(batch, torch.number(0)), "axis", 1L);
        String forward = torch.node("Slice", List.of(end, torch.longs(0), torch.longs(HIDDEN), torch.longs(1)));
        String reverse =
                torch.node("Slice", List.of(start, torch.longs(HIDDEN), torch.longs(Long.MAX_VALUE), torch.longs(-1)));
        String both = torch.node("Concat", List.of(forward, reverse), "axis", -1L);
        check(
                torch,
                torch.node("Tanh", List.of(both)),
                "(time, batch, 4) -> LSTM(3, bidirectional) -> Activation(tanh)");
    }

    @Test
    void pyTorchEmbeddingAndAWordForEachStep() throws IOException, OrtException {
        Sketch torch = new Sketch();
        torch.tokens = true;
        torch.batchFirst = true;
        torch.outputBatchFirst = true;
        torch.vocabulary = 7;
        torch.graph.input("x", OnnxType.INT64, "batch", "time");
        String embedded = torch.node("Gather", List.of(torch.floats(7, FEATURES), "x"));
        String x = torch.node("Transpose", List.of(embedded), "perm", new long[] {1, 0, 2});
        String y = torch.lstm(x, FEATURES, "forward", torch.zeros("x", 0, 1)).get(0);
        String z = torch.lstm(torch.squeeze(y, 1), HIDDEN, "forward", torch.zeros("x", 0, 1))
                .get(0);
        String batch = torch.node("Transpose", List.of(torch.squeeze(z, 1)), "perm", new long[] {1, 0, 2});
        String product = torch.node("MatMul", List.of(batch, torch.floats(HIDDEN, 7)));
        String sum = torch.node("Add", List.of(torch.floats(7), product));
        check(
                torch,
                torch.node("Softmax", List.of(sum), "axis", 2L),
                "(time, batch) of 7 tokens -> Embedding(4) -> LSTM(3, layers 2) -> Dense(7) -> Activation(softmax)");
    }

    /** Older exporters left the reordering of the gates in the graph. */
    @Test
    void weightsThatTheGraphReordersItself() throws IOException, OrtException {
        Sketch torch = new Sketch();
        String x = torch.timeMajorInput();
        String whole = torch.floats(4 * HIDDEN, FEATURES);
        List<String> gates = new ArrayList<>();
        for (int gate : new int[] {0, 3, 1, 2}) {
            gates.add(torch.node(
                    "Slice",
                    List.of(whole, torch.longs(gate * HIDDEN), torch.longs((gate + 1) * HIDDEN), torch.longs(0))));
        }
        String w = torch.node("Unsqueeze", List.of(torch.node("Concat", gates, "axis", 0L), torch.longs(0)));
        List<String> out = torch.nodes(
                "LSTM", List.of(x, w, torch.floats(1, 4 * HIDDEN, HIDDEN)), 2, "hidden_size", (long) HIDDEN);
        check(torch, torch.squeeze(out.get(1), 0), "(time, batch, 4) -> LSTM(3, no bias)");
    }

    @Test
    void kerasSequenceThroughDenseAndBack() throws IOException, OrtException {
        Sketch keras = new Sketch();
        keras.opset = 13;
        keras.outputBatchFirst = true;
        String x = keras.batchMajorInput();
        String y = keras.lstm(x, FEATURES, "forward", null).get(0);
        String batch = keras.node("Transpose", List.of(keras.squeeze(y, 1)), "perm", new long[] {1, 0, 2});
        String product = keras.node("MatMul", List.of(batch, keras.floats(HIDDEN, 2)));
        String sum = keras.node("Add", List.of(product, keras.floats(2)));
        check(keras, keras.node("Relu", List.of(sum)), "(time, batch, 4) -> LSTM(3) -> Dense(2) -> Activation(relu)");
    }

    /** A bidirectional layer as one node, its directions split and joined again. */
    @Test
    void kerasBidirectionalSplitAndJoined() throws IOException, OrtException {
        Sketch keras = new Sketch();
        keras.outputBatchFirst = true;
        String x = keras.batchMajorInput();
        String y = keras.lstm(x, FEATURES, "bidirectional", null).get(0);
        List<String> both = keras.nodes("Split", List.of(y), 2, "axis", 1L);
        String joined =
                keras.node("Concat", List.of(keras.squeeze(both.get(0), 1), keras.squeeze(both.get(1), 1)), "axis", 2L);
        String out = keras.node("Transpose", List.of(joined), "perm", new long[] {1, 0, 2});
        check(keras, out, "(time, batch, 4) -> LSTM(3, bidirectional)");
    }

    @Test
    void aForwardAndAReverseNodeAreOneLayer() throws IOException, OrtException {
        Sketch keras = new Sketch();
        String x = keras.batchMajorInput();
        String forward = keras.squeeze(keras.lstm(x, FEATURES, "forward", null).get(1), 0);
        String reverse = keras.squeeze(keras.lstm(x, FEATURES, "reverse", null).get(1), 0);
        String joined = keras.node("Concat", List.of(forward, reverse), "axis", 1L);
        String product = keras.node("MatMul", List.of(joined, keras.floats(2 * HIDDEN, 2)));
        check(keras, product, "(time, batch, 4) -> LSTM(3, bidirectional) -> Dense(2, no bias)");
    }

    /** A dense layer on every step, of which the last is kept afterwards. */
    @Test
    void theLastStepMayBeTakenAfterLayersOnEachStep() throws IOException, OrtException {
        Sketch sketch = new Sketch();
        String x = sketch.timeMajorInput();
        String y = sketch.squeeze(sketch.lstm(x, FEATURES, "reverse", null).get(0), 1);
        String product = sketch.node("MatMul", List.of(y, sketch.floats(HIDDEN, 2)));
        String first = sketch.node("Gather", List.of(product, sketch.longs(0)), "axis", 0L);
        check(sketch, sketch.squeeze(first, 0), "(time, batch, 4) -> LSTM(3, reverse) -> Dense(2, no bias)");
    }

    /** Layout 1, which ONNX Runtime refuses: the graph and the model must agree. */
    @Test
    void nodesWithBatchBeforeTime() throws IOException {
        Sketch sketch = new Sketch();
        sketch.graph.input("x", OnnxType.FLOAT, "batch", "time", FEATURES);
        String state =
                sketch.lstm("x", FEATURES, "bidirectional", null, "layout", 1L).get(1);
        String out = sketch.node("Reshape", List.of(state, sketch.longs(0, 2 * HIDDEN)));
        Imported imported = read(sketch.build(out));
        assertEquals(
                "(time, batch, 4) -> LSTM(3, bidirectional)",
                imported.weights().spec().toString());
        float[] values = new float[BATCH * STEPS * FEATURES];
        for (int k = 0; k < values.length; k++) {
            values[k] = random.nextFloat();
        }
        try (Engine engine = Engines.open("reference");
                Model model = imported.weights().open(engine);
                Scope scope = engine.openScope("test")) {
            Tensor x = scope.allocate("x", STEPS, BATCH, FEATURES);
            engine.write(x, swapped(values, BATCH, STEPS, FEATURES));
            float[] result = new float[BATCH * 2 * HIDDEN];
            engine.read(model.forward(Pass.inference(engine, scope, x, null)), result);
            OnnxGraph graph = OnnxGraph.read(folder.resolve("model.onnx"));
            OnnxValue expected = graph.run(engine, Map.of("x", OnnxValue.of(values, BATCH, STEPS, FEATURES)))
                    .get(out);
            Ort.assertSame("model", expected, OnnxValue.of(result, BATCH, 2 * HIDDEN), ALLOWED);
        }
    }

    @Test
    void moreOutputsAreLeftOutAndSaidSo() throws IOException {
        Sketch torch = new Sketch();
        String x = torch.timeMajorInput();
        List<String> out = torch.lstm(x, FEATURES, "forward", null);
        String y = torch.squeeze(out.get(0), 1);
        torch.graph.outputWithoutShape(y, OnnxType.FLOAT).outputWithoutShape(out.get(1), OnnxType.FLOAT);
        Imported imported = read(torch.build(out.get(2)));
        assertEquals("(time, batch, 4) -> LSTM(3)", imported.weights().spec().toString());
        assertEquals(
                2,
                imported.mapping().stream()
                        .filter(entry -> entry.target().isEmpty() && entry.how().contains("left out"))
                        .count(),
                imported.mapping()::toString);
    }

    private void refused(Sketch sketch, String output, String... parts) {
        FormatException refusal = assertThrows(FormatException.class, () -> read(sketch.build(output)));
        String message = refusal.getMessage();
        for (String part : parts) {
            assertTrue(message.contains(part), message);
        }
        assertTrue(message.contains("'" + folder.resolve("model.onnx") + "'"), message);
        assertTrue(message.endsWith("; OnnxGraph runs it as it is"), message);
        assertFalse(message.contains("\n"), message);
    }

    @Test
    void whatIsNoChainOfLayersIsRefusedByNode() {
        Sketch residual = new Sketch();
        String y = residual.squeeze(
                residual.lstm(residual.timeMajorInput(), FEATURES, "forward", null)
                        .get(0),
                1);
        refused(residual, residual.node("Add", List.of(y, y)), "the node 'add_", "(Add)", "no chain");

        Sketch wrongEnd = new Sketch();
        String both = wrongEnd.lstm(wrongEnd.timeMajorInput(), FEATURES, "bidirectional", null)
                .get(0);
        String merged = wrongEnd.node(
                "Reshape",
                List.of(
                        wrongEnd.node("Transpose", List.of(both), "perm", new long[] {0, 2, 1, 3}),
                        wrongEnd.longs(0, 0, -1)));
        String end = wrongEnd.node("Gather", List.of(merged, wrongEnd.number(-1)), "axis", 0L);
        refused(
                wrongEnd,
                wrongEnd.node("MatMul", List.of(end, wrongEnd.floats(2 * HIDDEN, 2))),
                "(MatMul)",
                "at the last time step, which is not where its reverse cells end");

        Sketch cells = new Sketch();
        refused(
                cells,
                cells.squeeze(
                        cells.lstm(cells.timeMajorInput(), FEATURES, "forward", null)
                                .get(2),
                        0),
                "(LSTM)",
                "the state of its cells");

        Sketch state = new Sketch();
        String x = state.timeMajorInput();
        state.graph.input("h", OnnxType.FLOAT, 1, "batch", HIDDEN);
        refused(
                state,
                state.squeeze(state.lstm(x, FEATURES, "forward", "h").get(0), 1),
                "(LSTM)",
                "starts from a state of its own");

        Sketch middle = new Sketch();
        String all = middle.squeeze(
                middle.lstm(middle.timeMajorInput(), FEATURES, "forward", null).get(0), 1);
        refused(
                middle,
                middle.node("Gather", List.of(all, middle.number(2)), "axis", 0L),
                "(Gather)",
                "time step 2",
                "neither the first nor the last");

        Sketch scaled = new Sketch();
        String scaledY = scaled.squeeze(
                scaled.lstm(scaled.timeMajorInput(), FEATURES, "forward", null).get(0), 1);
        refused(scaled, scaled.node("Mul", List.of(scaledY, scaled.floats(1))), "(Mul)", "no counterpart");

        Sketch activations = new Sketch();
        refused(
                activations,
                activations
                        .lstm(
                                activations.timeMajorInput(),
                                FEATURES,
                                "bidirectional",
                                null,
                                "activations",
                                List.of("Sigmoid", "Tanh", "Tanh", "Sigmoid", "Relu", "Tanh"))
                        .get(0),
                "other activations in its second direction");

        Sketch swapped = new Sketch();
        List<String> states = swapped.lstm(swapped.timeMajorInput(), FEATURES, "bidirectional", null);
        String first = swapped.node("Gather", List.of(states.get(1), swapped.number(0)), "axis", 0L);
        String second = swapped.node("Gather", List.of(states.get(1), swapped.number(1)), "axis", 0L);
        refused(swapped, swapped.node("Concat", List.of(second, first), "axis", 1L), "in another order");

        Sketch twins = new Sketch();
        String read = twins.timeMajorInput();
        String one = twins.squeeze(twins.lstm(read, FEATURES, "forward", null).get(1), 0);
        String other = twins.squeeze(twins.lstm(read, FEATURES, "forward", null).get(1), 0);
        refused(
                twins,
                twins.node("Tanh", List.of(twins.node("Concat", List.of(one, other), "axis", 1L))),
                "(Tanh)",
                "not the two directions of one layer");

        Sketch turned = new Sketch();
        String overTime = turned.squeeze(
                turned.lstm(turned.timeMajorInput(), FEATURES, "forward", null).get(0), 1);
        String overBatch = turned.node("Transpose", List.of(overTime), "perm", new long[] {1, 0, 2});
        refused(
                turned,
                turned.squeeze(turned.lstm(overBatch, HIDDEN, "forward", null).get(0), 1),
                "the node 'lstm_3' (LSTM) reads [input axis 1, input axis 0, features]",
                "of one and the same time");

        Sketch none = new Sketch();
        refused(none, none.node("MatMul", List.of(none.timeMajorInput(), none.floats(FEATURES, 2))), "has no LSTM");
    }

    /** A graph that looks much like a chain of layers but computes something else. */
    @Test
    void whatOnlyLooksLikeAChainIsRefused() {
        // Half of the hidden units of both directions are not the forward direction's.
        Sketch half = new Sketch();
        List<String> both = half.nodes(
                "LSTM",
                List.of(half.timeMajorInput(), half.floats(2, 16, FEATURES), half.floats(2, 16, 4)),
                1,
                "hidden_size",
                4L,
                "direction",
                "bidirectional");
        String firstHalf = half.node("Slice", List.of(both.get(0), half.longs(0), half.longs(2), half.longs(3)));
        String sideBySide = half.node("Transpose", List.of(firstHalf), "perm", new long[] {0, 2, 1, 3});
        refused(half, half.node("Reshape", List.of(sideBySide, half.longs(0, 0, 4))), "(Slice)", "takes part");

        Sketch inputs = new Sketch();
        inputs.graph.input("other", OnnxType.FLOAT, "time", "batch", FEATURES);
        String forward = inputs.squeeze(
                inputs.lstm(inputs.timeMajorInput(), FEATURES, "forward", null).get(0), 1);
        String reverse =
                inputs.squeeze(inputs.lstm("other", FEATURES, "reverse", null).get(0), 1);
        refused(inputs, inputs.node("Concat", List.of(forward, reverse), "axis", 2L), "'other'");

        // Over an axis of extent 1 a softmax is 1.
        Sketch ones = new Sketch();
        String last = ones.squeeze(
                ones.lstm(ones.timeMajorInput(), FEATURES, "forward", null).get(1), 0);
        String column = ones.node("Unsqueeze", List.of(last, ones.longs(2)));
        refused(ones, ones.squeeze(ones.node("Softmax", List.of(column), "axis", -1L), 2), "(Softmax)", "needed last");

        // [batch, features, 1] + [features] is [batch, features, features].
        Sketch broadcast = new Sketch();
        String vector = broadcast.squeeze(
                broadcast
                        .lstm(broadcast.timeMajorInput(), FEATURES, "forward", null)
                        .get(1),
                0);
        String product = broadcast.node("MatMul", List.of(vector, broadcast.floats(HIDDEN, 2)));
        String tall = broadcast.node("Unsqueeze", List.of(product, broadcast.longs(2)));
        refused(broadcast, broadcast.node("Add", List.of(tall, broadcast.floats(2))), "(Add)", "needed last");
    }

    /** With lengths the last time step is not where a sequence ends. */
    @Test
    void lengthsGoWithLastStatesAndNotWithTheLastStep() throws IOException {
        for (boolean state : new boolean[] {false, true}) {
            Sketch sketch = new Sketch();
            String x = sketch.timeMajorInput();
            sketch.graph.input("lengths", OnnxType.INT32, "batch");
            List<String> out = sketch.nodes(
                    "LSTM",
                    List.of(
                            x,
                            sketch.floats(1, 4 * HIDDEN, FEATURES),
                            sketch.floats(1, 4 * HIDDEN, HIDDEN),
                            "",
                            "lengths"),
                    2,
                    "hidden_size",
                    (long) HIDDEN);
            if (state) {
                Imported imported = read(sketch.build(sketch.squeeze(out.get(1), 0)));
                assertEquals(
                        "(time, batch, 4) -> LSTM(3, no bias)",
                        imported.weights().spec().toString());
            } else {
                String end = sketch.node("Gather", List.of(sketch.squeeze(out.get(0), 1), sketch.number(-1)));
                refused(sketch, sketch.node("Tanh", List.of(end)), "with lengths");
            }
        }
    }

    @Test
    void everyTargetOfTheMappingIsAParameterOrAPlace() throws IOException {
        Sketch torch = new Sketch();
        String out = torch.squeeze(
                torch.lstm(torch.timeMajorInput(), FEATURES, "forward", null).get(1), 0);
        Imported imported = read(torch.build(out));
        List<String> targets =
                imported.mapping().stream().map(Imported.Mapping::target).collect(Collectors.toList());
        assertEquals(List.of("input", "lstm.weight_ih_l0, lstm.weight_hh_l0, lstm.bias_l0", "output"), targets);
    }
}
