package carousel.golden;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import ai.onnx.proto.OnnxMl.AttributeProto;
import ai.onnx.proto.OnnxMl.GraphProto;
import ai.onnx.proto.OnnxMl.ModelProto;
import ai.onnx.proto.OnnxMl.NodeProto;
import ai.onnx.proto.OnnxMl.TensorProto;
import ai.onnx.proto.OnnxMl.ValueInfoProto;
import carousel.engine.Direction;
import carousel.engine.Engine;
import carousel.engine.LstmLayout;
import carousel.engine.LstmSpec;
import carousel.engine.ParameterView;
import carousel.fixture.LstmCase;
import carousel.fixture.LstmData;
import carousel.fixture.LstmResult;
import carousel.fixture.Tolerance;
import carousel.fixture.Workbench;
import java.io.IOException;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.DynamicContainer;
import org.junit.jupiter.api.TestFactory;

/** Every engine against the operator tests that the ONNX project publishes for its LSTM node. */
class OnnxNodeTest {
    /** Values are printed or stored in single precision. */
    private static final double ALLOWED = 1e-6;

    /** The gates in ONNX's order, i, o, f, c, as places in ours: i, f, g, o. */
    private static final int[] GATES = {0, 3, 1, 2};

    static final List<String> KNOWN = List.of(
            "test_lstm_all_outputs",
            "test_lstm_batchwise",
            "test_lstm_bidirectional",
            "test_lstm_clip",
            "test_lstm_defaults",
            "test_lstm_intermediate_h",
            "test_lstm_precomputed",
            "test_lstm_with_initial_h",
            "test_lstm_y_c");

    @TestFactory
    Stream<DynamicContainer> operatorCases() {
        return PublishedData.tests(PublishedData.folder("onnx-node"), "", KNOWN, OnnxNodeTest::check);
    }

    private static void check(Engine engine, Path folder) throws IOException {
        GraphProto graph = ModelProto.parseFrom(Files.readAllBytes(folder.resolve("model.onnx")))
                .getGraph();
        assertEquals(1, graph.getNodeCount(), "nodes in the graph");
        NodeProto node = graph.getNode(0);
        Map<String, AttributeProto> attributes = new HashMap<>();
        node.getAttributeList().forEach(attribute -> attributes.put(attribute.getName(), attribute));
        Path values = folder.resolve("test_data_set_0");
        Array x = input(graph, node, 0, values);
        Array w = input(graph, node, 1, values);
        Array r = input(graph, node, 2, values);
        Array b = input(graph, node, 3, values);
        Array h0 = input(graph, node, 5, values);
        Assumptions.assumeTrue(
                input(graph, node, 4, values) == null
                        && input(graph, node, 6, values) == null
                        && input(graph, node, 7, values) == null,
                () -> folder.getFileName() + " has lengths, initial cells or peepholes, unlike any known case");

        boolean batchFirst =
                attributes.containsKey("layout") && attributes.get("layout").getI() == 1;
        Direction direction = attributes.containsKey("direction")
                ? Direction.valueOf(
                        attributes.get("direction").getS().toStringUtf8().toUpperCase(Locale.ROOT))
                : Direction.FORWARD;
        int hidden = (int) attributes.get("hidden_size").getI();
        int steps = x.extents[batchFirst ? 1 : 0];
        int batch = x.extents[batchFirst ? 0 : 1];
        LstmSpec spec = LstmSpec.of(x.extents[2], hidden)
                .withDirection(direction)
                .withBias(b != null)
                .withGateClip(
                        attributes.containsKey("clip") ? attributes.get("clip").getF() : 0);
        engine.refusal(spec).ifPresent(Assumptions::abort);
        double[] parameters = parameters(spec, w, r, b);
        int cells = spec.states();
        LstmCase lstm = LstmCase.of(spec, steps, batch);
        lstm = h0 == null ? lstm : lstm.withInitial();
        LstmData data = new LstmData(
                parameters,
                parameters,
                batchFirst ? swapOuter(x.values, batch, steps) : x.values,
                h0 == null ? null : h0.values,
                new double[cells * batch * hidden],
                null,
                null,
                null);
        LstmResult result;
        try (Workbench bench = new Workbench(engine)) {
            result = bench.run(lstm, data, null);
        }
        // Y is [T, D, N, H], or batch-major [N, T, D, H]; ours is [T, N, D, H].
        compare(
                engine,
                lstm,
                "Y",
                output(graph, node, 0, values),
                batchFirst ? swapOuter(result.y(), steps, batch) : swapOuterOfEach(result.y(), steps, batch, cells));
        compare(
                engine,
                lstm,
                "Y_h",
                output(graph, node, 1, values),
                batchFirst ? swapOuter(result.h(), cells, batch) : result.h());
        compare(
                engine,
                lstm,
                "Y_c",
                output(graph, node, 2, values),
                batchFirst ? swapOuter(result.c(), cells, batch) : result.c());
        assertTrue(node.getOutputCount() > 0, "the case has outputs");
    }

    private static void compare(Engine engine, LstmCase lstm, String what, Array expected, double[] actual) {
        if (expected != null) {
            Tolerance tolerance = Tolerance.of(engine.precision());
            tolerance.checkWithin(
                    what, expected.values, actual, ALLOWED + tolerance.relative(Tolerance.forwardReduction(lstm)));
        }
    }

    private static double[] parameters(LstmSpec spec, Array w, Array r, Array b) {
        LstmLayout layout = LstmLayout.of(spec);
        double[] flat = new double[Math.toIntExact(layout.elements())];
        for (int cell = 0; cell < spec.states(); cell++) {
            putGates(flat, layout.cell(cell).inputWeights(), w.values, cell, spec.states(), 0, 1);
            putGates(flat, layout.cell(cell).recurrentWeights(), r.values, cell, spec.states(), 0, 1);
            if (b != null) {
                putGates(flat, layout.cell(cell).bias(), b.values, cell, spec.states(), 0, 2);
                putGates(flat, layout.cell(cell).bias(), b.values, cell, spec.states(), 1, 2);
            }
        }
        return flat;
    }

    /** Adds share {@code which} of {@code shares} of one cell's gates. */
    private static void putGates(
            double[] flat, ParameterView view, double[] values, int cell, int cells, int which, int shares) {
        int size = values.length / cells / shares;
        int from = cell * size * shares + which * size;
        int gate = size / GATES.length;
        for (int g = 0; g < GATES.length; g++) {
            for (int e = 0; e < gate; e++) {
                flat[(int) view.offset() + GATES[g] * gate + e] += values[from + g * gate + e];
            }
        }
    }

    /** {@code [T, N, D, H]} as {@code [T, D, N, H]}. */
    private static double[] swapOuterOfEach(double[] values, int steps, int batch, int cells) {
        double[] result = new double[values.length];
        int size = values.length / steps;
        for (int t = 0; t < steps; t++) {
            double[] step = swapOuter(Arrays.copyOfRange(values, t * size, (t + 1) * size), batch, cells);
            System.arraycopy(step, 0, result, t * size, size);
        }
        return result;
    }

    /** {@code [a, b, .]} as {@code [b, a, .]}. */
    private static double[] swapOuter(double[] values, int a, int b) {
        double[] result = new double[values.length];
        int width = values.length / (a * b);
        for (int i = 0; i < a; i++) {
            for (int j = 0; j < b; j++) {
                System.arraycopy(values, (i * b + j) * width, result, (j * a + i) * width, width);
            }
        }
        return result;
    }

    private record Array(int[] extents, double[] values) {}

    private static Array input(GraphProto graph, NodeProto node, int index, Path folder) throws IOException {
        return index < node.getInputCount() ? read(graph.getInputList(), node.getInput(index), folder, "input_") : null;
    }

    private static Array output(GraphProto graph, NodeProto node, int index, Path folder) throws IOException {
        return index < node.getOutputCount()
                ? read(graph.getOutputList(), node.getOutput(index), folder, "output_")
                : null;
    }

    /** The K-th file belongs to the K-th input or output of the graph; an omitted one has an empty name. */
    private static Array read(List<ValueInfoProto> values, String name, Path folder, String prefix) throws IOException {
        for (int k = 0; k < values.size(); k++) {
            if (!name.isEmpty() && values.get(k).getName().equals(name)) {
                TensorProto tensor = TensorProto.parseFrom(Files.readAllBytes(folder.resolve(prefix + k + ".pb")));
                assertEquals(TensorProto.DataType.FLOAT_VALUE, tensor.getDataType(), "the type of " + name);
                int[] extents =
                        tensor.getDimsList().stream().mapToInt(Math::toIntExact).toArray();
                return new Array(extents, floats(tensor));
            }
        }
        return null;
    }

    private static double[] floats(TensorProto tensor) {
        if (tensor.getFloatDataCount() > 0) {
            return tensor.getFloatDataList().stream()
                    .mapToDouble(Float::doubleValue)
                    .toArray();
        }
        FloatBuffer raw = tensor.getRawData()
                .asReadOnlyByteBuffer()
                .order(ByteOrder.LITTLE_ENDIAN)
                .asFloatBuffer();
        double[] values = new double[raw.remaining()];
        Arrays.setAll(values, raw::get);
        return values;
    }
}
