package carousel.format.onnx;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import ai.onnx.proto.OnnxMl.ModelProto;
import ai.onnx.proto.OnnxMl.StringStringEntryProto;
import ai.onnx.proto.OnnxMl.TensorProto;
import ai.onnx.proto.OnnxMl.TensorProto.DataType;
import carousel.engine.Engine;
import carousel.engine.Engines;
import carousel.format.FormatException;
import carousel.format.SmallFloats;
import com.google.protobuf.ByteString;
import com.google.protobuf.CodedOutputStream;
import com.sun.management.ThreadMXBean;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What a graph's file may hold, and what of it is refused. */
class OnnxGraphTest {
    @TempDir
    Path folder;

    /** {@code y = x + b}. */
    private static GraphBuilder sum() {
        GraphBuilder graph = new GraphBuilder("sum");
        graph.input("x", OnnxType.FLOAT, "n", 2);
        graph.initializer("b", OnnxValue.of(new float[] {10, 20}, 2));
        graph.node("Add", List.of("x", "b"), List.of("y"), Map.of());
        return graph.output("y", OnnxType.FLOAT, "n", 2);
    }

    private static ModelProto build(GraphBuilder graph) {
        return graph.build(14, "test", Map.of("key", "value"));
    }

    private Path write(byte[] bytes) throws IOException {
        Path file = folder.resolve("model.onnx");
        Files.write(file, bytes);
        return file;
    }

    private static Map<String, OnnxValue> run(OnnxGraph graph, Map<String, OnnxValue> inputs) {
        try (Engine engine = Engines.open("reference")) {
            return graph.run(engine, inputs);
        }
    }

    @Test
    void aGraphSaysWhatItReadsAndPutsOut() throws IOException {
        OnnxGraph graph = OnnxGraph.read(write(build(sum()).toByteArray()));
        assertEquals(List.of(new OnnxGraph.Input("x", OnnxType.FLOAT, List.of(-1, 2), false)), graph.inputs());
        assertEquals(List.of("y"), graph.outputs());
        assertEquals(Map.of("key", "value"), graph.metadata());
        assertEquals(14, graph.opset());
        OnnxValue y = run(graph, Map.of("x", OnnxValue.of(new float[] {1, 2, 3, 4}, 2, 2)))
                .get("y");
        assertArrayEquals(new float[] {11, 22, 13, 24}, y.floats());
    }

    /** Before version 4 of the format, initializers are inputs too, and may be given. */
    @Test
    void inputsWithAValueOfTheirOwnMayBeGiven() throws IOException {
        OnnxGraph graph =
                OnnxGraph.read(write(build(sum().input("b", OnnxType.FLOAT, 2)).toByteArray()));
        assertTrue(graph.inputs().get(1).optional());
        OnnxValue x = OnnxValue.of(new float[] {1, 2}, 1, 2);
        assertArrayEquals(
                new float[] {11, 22}, run(graph, Map.of("x", x)).get("y").floats());
        OnnxValue b = OnnxValue.of(new float[] {-1, -2}, 2);
        assertArrayEquals(
                new float[] {0, 0}, run(graph, Map.of("x", x, "b", b)).get("y").floats());
    }

    private OnnxValue initializer(TensorProto.Builder tensor) throws IOException {
        GraphBuilder graph = new GraphBuilder("constant");
        graph.node("Identity", List.of("t"), List.of("y"), Map.of());
        ModelProto.Builder model = build(graph.outputWithoutShape("y", OnnxType.FLOAT)).toBuilder();
        model.getGraphBuilder().addInitializer(tensor.setName("t"));
        return run(OnnxGraph.read(write(model.build().toByteArray())), Map.of()).get("y");
    }

    private static TensorProto.Builder tensor(DataType type, long... extents) {
        TensorProto.Builder tensor = TensorProto.newBuilder().setDataType(type.getNumber());
        Arrays.stream(extents).forEach(tensor::addDims);
        return tensor;
    }

    private static ByteString bytes(int length, Consumer<ByteBuffer> fill) {
        ByteBuffer buffer = ByteBuffer.allocate(length).order(ByteOrder.LITTLE_ENDIAN);
        fill.accept(buffer);
        return ByteString.copyFrom(buffer.flip());
    }

    @Test
    void everyTypeIsReadFromBytesAndFromLists() throws IOException {
        float[] floats = {1.5f, -2};
        assertArrayEquals(
                floats,
                initializer(tensor(DataType.FLOAT, 2)
                                .setRawData(bytes(8, out -> out.putFloat(1.5f).putFloat(-2))))
                        .floats());
        assertArrayEquals(
                floats,
                initializer(tensor(DataType.FLOAT, 2).addFloatData(1.5f).addFloatData(-2))
                        .floats());
        double[] doubles = {0.1, -1e300};
        assertArrayEquals(
                doubles,
                initializer(tensor(DataType.DOUBLE, 2)
                                .setRawData(bytes(16, out -> out.putDouble(0.1).putDouble(-1e300))))
                        .doubles());
        assertArrayEquals(
                doubles,
                initializer(tensor(DataType.DOUBLE, 2).addDoubleData(0.1).addDoubleData(-1e300))
                        .doubles());
        assertArrayEquals(
                floats,
                initializer(tensor(DataType.FLOAT16, 2)
                                .setRawData(bytes(
                                        4, out -> out.putShort((short) 0x3E00).putShort((short) 0xC000))))
                        .floats());
        assertArrayEquals(
                floats,
                initializer(tensor(DataType.FLOAT16, 2).addInt32Data(0x3E00).addInt32Data(0xC000))
                        .floats());
        assertArrayEquals(
                floats,
                initializer(tensor(DataType.BFLOAT16, 2)
                                .setRawData(bytes(
                                        4, out -> out.putShort((short) 0x3FC0).putShort((short) 0xC000))))
                        .floats());
        assertArrayEquals(
                floats,
                initializer(tensor(DataType.BFLOAT16, 2).addInt32Data(0x3FC0).addInt32Data(0xC000))
                        .floats());
        long[] integers = {3, -4};
        assertArrayEquals(
                integers,
                initializer(tensor(DataType.INT32, 2)
                                .setRawData(bytes(8, out -> out.putInt(3).putInt(-4))))
                        .longs());
        assertArrayEquals(
                integers,
                initializer(tensor(DataType.INT32, 2).addInt32Data(3).addInt32Data(-4))
                        .longs());
        assertArrayEquals(
                integers,
                initializer(tensor(DataType.INT64, 2)
                                .setRawData(bytes(16, out -> out.putLong(3).putLong(-4))))
                        .longs());
        assertArrayEquals(
                integers,
                initializer(tensor(DataType.INT64, 2).addInt64Data(3).addInt64Data(-4))
                        .longs());
        long[] flags = {1, 0};
        assertArrayEquals(
                flags,
                initializer(tensor(DataType.BOOL, 2)
                                .setRawData(bytes(2, out -> out.put((byte) 1).put((byte) 0))))
                        .longs());
        assertArrayEquals(
                flags,
                initializer(tensor(DataType.BOOL, 2).addInt32Data(1).addInt32Data(0))
                        .longs());
    }

    /** Both 16-bit types: every value is its own nearest, and what lies between two goes to the even one. */
    @Test
    void sixteenBitTypesRoundToTheNearestValue() {
        for (int bits = 0; bits < 1 << 16; bits++) {
            double half = SmallFloats.float16((short) bits);
            assertEquals(half, OnnxType.FLOAT16.round(half));
            double brain = SmallFloats.bfloat16((short) bits);
            assertEquals(brain, OnnxType.BFLOAT16.round(brain));
        }
        for (int bits = 0; bits < 0x7BFF; bits++) {
            double low = SmallFloats.float16((short) bits);
            double high = SmallFloats.float16((short) (bits + 1));
            double even = bits % 2 == 0 ? low : high;
            assertEquals(even, OnnxType.FLOAT16.round((low + high) / 2));
            assertEquals(-even, OnnxType.FLOAT16.round(-(low + high) / 2));
            assertEquals(low, OnnxType.FLOAT16.round(low + 0.49 * (high - low)));
        }
        assertEquals(65504, OnnxType.FLOAT16.round(65519));
        assertEquals(Double.POSITIVE_INFINITY, OnnxType.FLOAT16.round(65520));
    }

    private void refused(byte[] bytes, String... parts) throws IOException {
        Path file = write(bytes);
        FormatException refusal = assertThrows(FormatException.class, () -> OnnxGraph.read(file));
        for (String part : parts) {
            assertTrue(refusal.getMessage().contains(part), refusal.getMessage());
        }
        assertTrue(refusal.getMessage().startsWith("'" + file + "'"), refusal.getMessage());
        assertFalse(refusal.getMessage().contains("\n"), refusal.getMessage());
    }

    private void refused(Consumer<ModelProto.Builder> change, String... parts) throws IOException {
        ModelProto.Builder model = build(sum()).toBuilder();
        change.accept(model);
        refused(model.build().toByteArray(), parts);
    }

    @Test
    void filesThatAreNoModelsAreRefused() throws IOException {
        refused(new byte[0], "is not an ONNX model", "no graph");
        refused("PK\3\4 a zip file of some kind".getBytes(), "is not an ONNX file");
        // Without metadata: a file that is cut off before them is whole.
        byte[] whole = sum().build(14, "test", Map.of()).toByteArray();
        for (int length = 1; length < whole.length; length++) {
            byte[] part = Arrays.copyOf(whole, length);
            Path file = write(part);
            assertThrows(FormatException.class, () -> OnnxGraph.read(file), () -> part.length + " bytes");
        }
        IOException missing = assertThrows(IOException.class, () -> OnnxGraph.read(folder.resolve("no.onnx")));
        assertTrue(missing.getMessage().endsWith("no.onnx' does not exist"), missing.getMessage());
    }

    @Test
    void otherVersionsAreRefused() throws IOException {
        refused(model -> model.setIrVersion(2), "IR version 2", "3 to 13");
        refused(model -> model.setIrVersion(99), "IR version 99");
        refused(model -> model.getOpsetImportBuilder(0).setVersion(5), "version 5", "6 to 23", "version_converter");
        refused(model -> model.getOpsetImportBuilder(0).setVersion(24), "version 24");
        refused(model -> model.getOpsetImportBuilder(0).setDomain("ai.onnx.ml"), "does not say which version");
        refused(ModelProto.Builder::clearOpsetImport, "no operator set");
    }

    @Test
    void nodesThatCannotBeRunAreRefusedByName() throws IOException {
        refused(model -> model.getGraphBuilder().getNodeBuilder(0).setOpType("Loop"), "the node 'add_0' (Loop)");
        refused(
                model -> model.getGraphBuilder()
                        .getNodeBuilder(0)
                        .setOpType("Fused")
                        .clearName()
                        .setDomain("com.example"),
                "the node 0 (Fused)",
                "'com.example'");
        refused(model -> model.getGraphBuilder().getNodeBuilder(0).setInput(1, "c"), "reads 'c'", "before it");
        refused(model -> model.getGraphBuilder().getNodeBuilder(0).setInput(1, "y"), "reads 'y'", "before it");
        refused(model -> model.getGraphBuilder().getNodeBuilder(0).setInput(1, ""), "leaves out its input 1");
        refused(model -> model.getGraphBuilder().getNodeBuilder(0).addInput("x"), "2 inputs but has 3");
        refused(model -> model.getGraphBuilder().getNodeBuilder(0).setOutput(0, "x"), "puts out 'x'", "already");
        refused(
                model -> model.getGraphBuilder()
                        .getNodeBuilder(0)
                        .addAttributeBuilder()
                        .setName("axis"),
                "attribute 'axis'");
        refused(model -> model.getGraphBuilder().getOutputBuilder(0).setName("z"), "output 'z'", "no node");
        refused(model -> model.getGraphBuilder().clearOutput(), "no outputs");
        refused(model -> model.getGraphBuilder().addInput(model.getGraph().getInput(0)), "two inputs 'x'");
        refused(model -> model.getGraphBuilder().addSparseInitializerBuilder(), "sparse");
    }

    /** Two nodes that read each other stand in no order. */
    @Test
    void graphsWithCyclesAreRefused() throws IOException {
        GraphBuilder graph = new GraphBuilder("cycle").input("x", OnnxType.FLOAT, 1);
        graph.node("Add", List.of("x", "b"), List.of("a"), Map.of());
        graph.node("Add", List.of("x", "a"), List.of("b"), Map.of());
        refused(build(graph.output("b", OnnxType.FLOAT, 1)).toByteArray(), "(Add) reads 'b'", "before it");
    }

    @Test
    void tensorsThatAreNotWhatTheySayAreRefused() throws IOException {
        refused(change(tensor -> tensor.setDims(0, 3)), "the tensor 'b'", "3 elements", "[3]", "8 bytes");
        refused(change(tensor -> tensor.setDims(0, -1)), "extent -1");
        refused(change(tensor -> tensor.setDims(0, 1L << 40)), "extent " + (1L << 40));
        refused(change(tensor -> tensor.addDims(1L << 30).addDims(1L << 30).addDims(1L << 30)), "too large");
        refused(change(tensor -> tensor.setDataType(DataType.STRING.getNumber())), "STRING", "FLOAT");
        refused(change(tensor -> tensor.setDataType(77)), "77");
        refused(change(tensor -> tensor.setRawData(ByteString.copyFrom(new byte[9]))), "9 bytes");
        refused(change(tensor -> tensor.clearRawData().addFloatData(1)), "2 elements", "has 1");
        refused(change(tensor -> tensor.getSegmentBuilder().setBegin(0)), "segments");
        refused(
                change(tensor -> tensor.setDataLocation(TensorProto.DataLocation.EXTERNAL)
                        .addExternalData(StringStringEntryProto.newBuilder()
                                .setKey("location")
                                .setValue("weights.bin"))),
                "'weights.bin'",
                "outside of the file");
        refused(
                change(tensor -> {
                    for (int k = 0; k < 20; k++) {
                        tensor.addDims(1);
                    }
                }),
                "21 dimensions");
        refused(
                model -> model.getGraphBuilder().addInitializer(model.getGraph().getInitializer(0)),
                "the tensor 'b' is there twice");
    }

    private static Consumer<ModelProto.Builder> change(Consumer<TensorProto.Builder> change) {
        return model -> change.accept(model.getGraphBuilder().getInitializerBuilder(0));
    }

    /** Each empty node is two bytes of the file and a hundred of memory. */
    @Test
    void filesOfCountlessEmptyMessagesAreRefusedBeforeTheyAreParsed() throws IOException {
        ByteArrayOutputStream nodes = new ByteArrayOutputStream();
        for (int k = 0; k <= WireScan.LARGEST_COUNT; k++) {
            nodes.write(new byte[] {0x0A, 0});
        }
        ByteArrayOutputStream model = new ByteArrayOutputStream();
        CodedOutputStream out = CodedOutputStream.newInstance(model);
        out.writeByteArray(ModelProto.GRAPH_FIELD_NUMBER, nodes.toByteArray());
        out.flush();
        refused(model.toByteArray(), "more than " + WireScan.LARGEST_COUNT + " fields");
    }

    /** The file, and its numbers as doubles. */
    @Test
    void readingTakesASmallMultipleOfTheFile() throws IOException {
        int count = 1 << 21;
        GraphBuilder graph = new GraphBuilder("large");
        graph.initializer("large", OnnxValue.of(new float[count], count));
        graph.node("Identity", List.of("large"), List.of("y"), Map.of());
        Path file = write(build(graph.outputWithoutShape("y", OnnxType.FLOAT)).toByteArray());
        ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
        OnnxGraph.read(file);
        long before = threads.getCurrentThreadAllocatedBytes();
        OnnxGraph.read(file);
        long taken = threads.getCurrentThreadAllocatedBytes() - before;
        assertTrue(taken < 4 * Files.size(file), taken + " bytes for " + Files.size(file));
    }

    @Test
    void inputsThatAreNotThoseOfTheGraphAreRefused() throws IOException {
        OnnxGraph graph = OnnxGraph.read(write(build(sum()).toByteArray()));
        refusedRun(graph, Map.of(), "input 'x' is missing", "FLOAT [any, 2]");
        OnnxValue x = OnnxValue.of(new float[2], 1, 2);
        refusedRun(graph, Map.of("x", x, "z", x), "no input 'z'", "['x']");
        refusedRun(graph, Map.of("x", OnnxValue.of(new float[3], 1, 3)), "FLOAT [any, 2]", "FLOAT [1, 3]");
        refusedRun(graph, Map.of("x", OnnxValue.of(new double[2], 1, 2)), "DOUBLE [1, 2]");
        refusedRun(graph, Map.of("x", OnnxValue.of(new float[2], 2)), "FLOAT [2]");
    }

    private static void refusedRun(OnnxGraph graph, Map<String, OnnxValue> inputs, String... parts) {
        IllegalArgumentException refusal = assertThrows(IllegalArgumentException.class, () -> run(graph, inputs));
        for (String part : parts) {
            assertTrue(refusal.getMessage().contains(part), refusal.getMessage());
        }
    }

    @Test
    void aRunThatWouldTakeTooMuchMemoryIsRefused() throws IOException {
        GraphBuilder graph = new GraphBuilder("expand").input("x", OnnxType.FLOAT, 1);
        graph.initializer("shape", OnnxValue.of(new long[] {1 << 20, 1 << 20}, 2));
        graph.node("Expand", List.of("x", "shape"), List.of("y"), Map.of());
        OnnxGraph read = OnnxGraph.read(
                write(build(graph.outputWithoutShape("y", OnnxType.FLOAT)).toByteArray()));
        refusedRun(
                read,
                Map.of("x", OnnxValue.of(new float[1], 1)),
                "the node 'expand_0' (Expand)",
                "[1048576, 1048576]",
                "-Xmx");
        OnnxGraph sum = OnnxGraph.read(write(build(sum()).toByteArray()));
        Map<String, OnnxValue> inputs = Map.of("x", OnnxValue.of(new float[200], 100, 2));
        refusedRun(sum.withElementLimit(401), inputs, "the node 'add_0' (Add)", "401 elements");
        assertEquals(200, run(sum.withElementLimit(402), inputs).get("y").floats().length);
    }

    /** x is given back after the first node; b, y, z and w are there at the end. */
    @Test
    void valuesAreCountedWhileTheyAreNeeded() throws IOException {
        GraphBuilder graph = sum();
        graph.node("Add", List.of("y", "y"), List.of("z"), Map.of());
        graph.node("Add", List.of("z", "z"), List.of("w"), Map.of());
        graph.outputWithoutShape("z", OnnxType.FLOAT).outputWithoutShape("w", OnnxType.FLOAT);
        OnnxGraph read = OnnxGraph.read(write(build(graph).toByteArray()));
        Map<String, OnnxValue> inputs = Map.of("x", OnnxValue.of(new float[200], 100, 2));
        refusedRun(read.withElementLimit(601), inputs, "the node 'add_2' (Add)");
        assertEquals(
                List.of("y", "z", "w"),
                List.copyOf(run(read.withElementLimit(602), inputs).keySet()));
    }
}
