package carousel.format.onnx;

import static org.junit.jupiter.api.Assertions.assertTrue;

import ai.onnx.proto.OnnxMl.AttributeProto;
import ai.onnx.proto.OnnxMl.AttributeProto.AttributeType;
import ai.onnx.proto.OnnxMl.GraphProto;
import ai.onnx.proto.OnnxMl.ModelProto;
import ai.onnx.proto.OnnxMl.NodeProto;
import ai.onnx.proto.OnnxMl.TensorProto;
import carousel.engine.Engine;
import carousel.engine.Engines;
import carousel.format.FormatException;
import carousel.layer.ModelSpec;
import carousel.tensor.Shape;
import com.google.protobuf.ByteString;
import com.sun.management.ThreadMXBean;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Damaged and deliberately wrong files: whatever is read, the answer is a value or one sentence, soon, and without much memory.
 */
class OnnxFuzzTest {
    private static final int MUTATIONS = 24_000;
    private static final long LONGEST_NANOS = 5_000_000_000L;
    private static final long SPARE_BYTES = 4 << 20;
    private static final long BYTES_PER_BYTE = 100;
    private static final int LARGEST_RUN = 1 << 16;

    /** Numbers at which sizes, axes and lengths go wrong. */
    private static final long[] EDGES = {
        0,
        1,
        -1,
        2,
        3,
        -2,
        7,
        255,
        65536,
        Integer.MAX_VALUE,
        Integer.MIN_VALUE,
        1L << 32,
        1L << 40,
        Long.MAX_VALUE,
        Long.MIN_VALUE
    };

    @TempDir
    Path folder;

    private final ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
    private Engine engine;
    private int refusedReads;
    private int refusedRuns;
    private int runs;
    private int imports;

    @AfterEach
    void nothingIsLeftOnTheEngine() {
        engine.close();
    }

    @Test
    void mutatedFilesAreReadOrRefusedInOneSentence() throws IOException {
        List<byte[]> originals = originals();
        engine = Engines.open("reference");
        // Classes are loaded and their memory is counted before.
        for (byte[] original : originals) {
            exercise(original, "the original", false);
        }
        assertTrue(runs == originals.size(), "the originals run");
        for (int k = 0; k < MUTATIONS; k++) {
            Random random = new Random(k);
            byte[] original = originals.get(random.nextInt(originals.size()));
            int kind = k % 8;
            byte[] mutated = kind < 4 ? bytes(original, originals, kind, random) : fields(original, kind, random);
            exercise(mutated, "mutation " + k + " of kind " + kind, true);
        }
        // The test is worth something as long as all ends are reached.
        assertTrue(
                refusedReads > MUTATIONS / 10
                        && runs > MUTATIONS / 10
                        && refusedRuns > MUTATIONS / 100
                        && imports > MUTATIONS / 10,
                () -> refusedReads + " refused, " + runs + " run, " + refusedRuns + " refused in the run, " + imports
                        + " imported");
    }

    private List<byte[]> originals() throws IOException {
        List<byte[]> originals = new ArrayList<>();
        Path file = folder.resolve("original.onnx");
        for (int k = 0; k < 8; k++) {
            ModelSpec spec = RandomModels.spec(new Random(k), k % 2 == 1);
            OnnxExport.write(file, RandomModels.weights(spec, new Random(k)), Map.of(), k % 3 == 0);
            originals.add(Files.readAllBytes(file));
        }
        originals.add(shapes());
        return originals;
    }

    /** The operators around an LSTM that the export does not use. */
    private static byte[] shapes() {
        GraphBuilder graph = new GraphBuilder("shapes").input("x", OnnxType.FLOAT, "a", "b", 4);
        graph.initializer("two", OnnxValue.of(new long[] {2, 1}, 2));
        graph.initializer("one", OnnxValue.of(new long[] {1}, 1));
        graph.initializer("zero", OnnxValue.of(new long[] {0}, 1));
        graph.initializer("pads", OnnxValue.of(new long[] {0, 1, 0, 1, 0, -1}, 6));
        graph.initializer("matrix", OnnxValue.of(new float[12], 4, 3));
        graph.node("Shape", List.of("x"), List.of("shape"), Map.of());
        graph.node("Gather", List.of("shape", "one"), List.of("extent"), Map.of("axis", 0L));
        graph.node("Concat", List.of("extent", "one"), List.of("extents"), Map.of("axis", 0L));
        graph.node("ConstantOfShape", List.of("extents"), List.of("zeros"), Map.of());
        graph.node("MatMul", List.of("x", "matrix"), List.of("product"), Map.of());
        graph.node("Add", List.of("product", "zeros"), List.of("sum"), Map.of());
        graph.node("Split", List.of("sum", "two"), List.of("first", "second"), Map.of("axis", 2L));
        graph.node("Slice", List.of("first", "zero", "one", "zero"), List.of("slice"), Map.of());
        graph.node("Pad", List.of("slice", "pads"), List.of("padded"), Map.of());
        graph.node("Expand", List.of("second", "extents"), List.of("expanded"), Map.of());
        graph.node("ReduceSum", List.of("expanded", "one"), List.of("reduced"), Map.of("keepdims", 0L));
        graph.node("Flatten", List.of("padded"), List.of("flat"), Map.of("axis", 2L));
        graph.node("Unsqueeze", List.of("flat", "zero"), List.of("more"), Map.of());
        graph.node("Softmax", List.of("more"), List.of("soft"), Map.of("axis", 1L));
        graph.node("Cast", List.of("soft"), List.of("cast"), Map.of("to", 1L));
        graph.node("ArgMax", List.of("cast"), List.of("best"), Map.of("axis", -1L));
        graph.node("Squeeze", List.of("best", "zero"), List.of("squeezed"), Map.of());
        graph.node("Equal", List.of("squeezed", "squeezed"), List.of("equal"), Map.of());
        graph.node("Where", List.of("equal", "squeezed", "zero"), List.of("where"), Map.of());
        graph.outputWithoutShape("where", OnnxType.INT64).outputWithoutShape("reduced", OnnxType.FLOAT);
        return graph.build(14, "test", Map.of()).toByteArray();
    }

    private void exercise(byte[] content, String what, boolean measured) throws IOException {
        // Opening a file can take longer than all the rest.
        Path file = folder.resolve("mutated.onnx");
        boolean written = content.length % 16 == 0;
        if (written) {
            Files.write(file, content);
        }
        long start = System.nanoTime();
        try {
            OnnxGraph graph = null;
            long before = threads.getCurrentThreadAllocatedBytes();
            try {
                graph = written ? OnnxGraph.read(file) : OnnxGraph.read(file, content);
            } catch (FormatException refusal) {
                refusedReads++;
                requireSentence(refusal);
            }
            long allowed = SPARE_BYTES + BYTES_PER_BYTE * content.length;
            long taken = threads.getCurrentThreadAllocatedBytes() - before;
            assertTrue(!measured || taken <= allowed, () -> what + " took " + taken + " bytes to read");
            if (graph != null) {
                before = threads.getCurrentThreadAllocatedBytes();
                try {
                    OnnxImport.of(graph);
                    imports++;
                } catch (FormatException refusal) {
                    requireSentence(refusal);
                }
                long imported = threads.getCurrentThreadAllocatedBytes() - before;
                assertTrue(!measured || imported <= allowed, () -> what + " took " + imported + " bytes to import");
                run(graph.withElementLimit(LARGEST_RUN));
            }
        } catch (Throwable unexpected) {
            throw new AssertionError(what, unexpected);
        }
        long nanos = System.nanoTime() - start;
        assertTrue(nanos < LONGEST_NANOS, () -> what + " took " + nanos / 1_000_000 + " ms");
    }

    private void run(OnnxGraph graph) {
        Map<String, OnnxValue> inputs = new HashMap<>();
        for (OnnxGraph.Input input : graph.inputs()) {
            List<Integer> extents = input.extents() == null ? List.of(2) : input.extents();
            int[] shape = new int[extents.size()];
            Arrays.setAll(shape, k -> extents.get(k) < 0 ? 2 + k : Math.min(extents.get(k), 9));
            int count = Arrays.stream(shape).reduce(1, (a, b) -> (int) Math.min(1 << 20, (long) a * b));
            if (count == 1 << 20) {
                return;
            }
            inputs.put(
                    input.name(),
                    input.type().real()
                            ? OnnxValue.reals(input.type(), Shape.of(shape), new double[count])
                            : OnnxValue.integers(input.type(), Shape.of(shape), new long[count]));
        }
        try {
            graph.run(engine, inputs);
            runs++;
        } catch (IllegalArgumentException refusal) {
            refusedRuns++;
            requireSentence(refusal);
        }
    }

    private static void requireSentence(Exception refusal) {
        String message = refusal.getMessage();
        assertTrue(
                message != null
                        && message.length() > 20
                        && message.length() < 1000
                        && message.chars().noneMatch(c -> c < ' ')
                        && !message.contains("Exception"),
                () -> "no sentence: " + message);
    }

    private static byte[] bytes(byte[] original, List<byte[]> originals, int kind, Random random) {
        switch (kind) {
            case 0 -> {
                byte[] mutated = original.clone();
                for (int k = 1 + random.nextInt(4); k > 0; k--) {
                    mutated[random.nextInt(mutated.length)] ^= (byte) (1 << random.nextInt(8));
                }
                return mutated;
            }
            case 1 -> {
                return Arrays.copyOf(original, random.nextInt(original.length));
            }
            case 2 -> {
                byte[] other = originals.get(random.nextInt(originals.size()));
                int from = random.nextInt(other.length);
                int length = Math.min(1 + random.nextInt(64), other.length - from);
                int at = random.nextInt(original.length);
                int cut = random.nextBoolean() ? 0 : Math.min(length, original.length - at);
                byte[] mutated = new byte[original.length + length - cut];
                System.arraycopy(original, 0, mutated, 0, at);
                System.arraycopy(other, from, mutated, at, length);
                System.arraycopy(original, at + cut, mutated, at + length, original.length - at - cut);
                return mutated;
            }
            default -> {
                // Most small numbers of a file are tags and lengths.
                byte[] mutated = original.clone();
                byte[] values = {0, 1, 2, 0x7F, (byte) 0x80, (byte) 0xFF, (byte) 0x8F};
                int at = random.nextInt(mutated.length);
                for (int k = 0; k < 200 && (mutated[at] < 1 || mutated[at] > 64); k++) {
                    at = random.nextInt(mutated.length);
                }
                mutated[at] = random.nextBoolean()
                        ? values[random.nextInt(values.length)]
                        : (byte) (mutated[at] + random.nextInt(3) - 1);
                return mutated;
            }
        }
    }

    /** Files that are well-formed as protobuf, and wrong in what they say. */
    private static byte[] fields(byte[] original, int kind, Random random) throws IOException {
        ModelProto.Builder model = ModelProto.parseFrom(original).toBuilder();
        GraphProto.Builder graph = model.getGraphBuilder();
        for (int k = 1 + random.nextInt(2); k > 0; k--) {
            switch (kind) {
                case 4 -> attribute(graph.getNodeBuilder(random.nextInt(graph.getNodeCount())), random);
                case 5 -> node(graph, random);
                case 6 -> tensor(graph.getInitializerBuilder(random.nextInt(graph.getInitializerCount())), random);
                default -> header(model, random);
            }
        }
        return model.build().toByteArray();
    }

    private static long edge(Random random) {
        return EDGES[random.nextInt(EDGES.length)];
    }

    private static void attribute(NodeProto.Builder node, Random random) {
        String[] names = {
            "axis",
            "axes",
            "perm",
            "hidden_size",
            "direction",
            "layout",
            "clip",
            "activations",
            "activation_alpha",
            "to",
            "value",
            "transB",
            "alpha",
            "input_forget",
            "keepdims",
            "split",
            "allowzero"
        };
        AttributeProto.Builder attribute = node.getAttributeCount() > 0 && random.nextInt(3) != 0
                ? node.getAttributeBuilder(random.nextInt(node.getAttributeCount()))
                : node.addAttributeBuilder().setName(names[random.nextInt(names.length)]);
        switch (random.nextInt(7)) {
            case 0 -> attribute.setType(AttributeType.INT).setI(edge(random));
            case 1 -> attribute.setType(AttributeType.INTS).addInts(edge(random));
            case 2 -> {
                if (attribute.getIntsCount() > 0) {
                    attribute.setInts(random.nextInt(attribute.getIntsCount()), edge(random));
                } else {
                    attribute.setI(edge(random));
                }
            }
            case 3 -> {
                float[] values = {0, -1, 0.5f, Float.NaN, Float.POSITIVE_INFINITY, Float.MIN_VALUE};
                attribute.setType(AttributeType.FLOAT).setF(values[random.nextInt(values.length)]);
            }
            case 4 -> {
                String[] words = {"reverse", "bidirectional", "", "Relu", "Affine", "constant", "\n\u001b[2J"};
                attribute
                        .setType(AttributeType.STRING)
                        .setS(ByteString.copyFromUtf8(words[random.nextInt(words.length)]));
            }
            case 5 -> {
                String[] words = {"Relu", "Tanh", "Affine", "Elu", "ThresholdedRelu", "x\ny"};
                attribute.setType(AttributeType.STRINGS);
                for (int k = 0; k < 3; k++) {
                    attribute.addStrings(ByteString.copyFromUtf8(words[random.nextInt(words.length)]));
                }
            }
            default -> attribute.setType(AttributeType.forNumber(random.nextInt(15)));
        }
    }

    private static void node(GraphProto.Builder graph, Random random) {
        String[] operators = {
            "LSTM",
            "Transpose",
            "Squeeze",
            "Unsqueeze",
            "Flatten",
            "Reshape",
            "Expand",
            "Shape",
            "ConstantOfShape",
            "Gather",
            "Slice",
            "Concat",
            "Split",
            "Pad",
            "ReverseSequence",
            "Cast",
            "MatMul",
            "Gemm",
            "Add",
            "Div",
            "Equal",
            "Where",
            "Tanh",
            "Softmax",
            "ReduceSum",
            "ReduceMean",
            "ReduceMax",
            "ArgMax",
            "Dropout",
            "Loop"
        };
        int index = random.nextInt(graph.getNodeCount());
        NodeProto.Builder node = graph.getNodeBuilder(index);
        switch (random.nextInt(7)) {
            case 0 -> node.setOpType(operators[random.nextInt(operators.length)]);
            case 1 -> {
                if (node.getInputCount() > 0) {
                    node.setInput(random.nextInt(node.getInputCount()), name(graph, random));
                }
            }
            case 2 -> node.addInput(random.nextInt(3) == 0 ? "" : name(graph, random));
            case 3 -> {
                if (node.getInputCount() > 1) {
                    List<String> names = new ArrayList<>(node.getInputList());
                    names.remove(names.size() - 1);
                    node.clearInput().addAllInput(names);
                }
            }
            case 4 -> node.setOutput(random.nextInt(node.getOutputCount()), name(graph, random));
            case 5 -> {
                // One more node on the way.
                String old = node.getInputCount() > 0 ? node.getInput(0) : "input";
                NodeProto more = NodeProto.newBuilder()
                        .setOpType(operators[random.nextInt(operators.length)])
                        .addInput(old)
                        .addInput(name(graph, random))
                        .addOutput("more")
                        .build();
                if (node.getInputCount() > 0) {
                    node.setInput(0, "more");
                }
                graph.addNode(index, more);
            }
            default -> graph.removeNode(graph.getNodeCount() > 1 ? index : 0).addNode(node.build());
        }
    }

    private static String name(GraphProto.Builder graph, Random random) {
        NodeProto node = graph.getNode(random.nextInt(graph.getNodeCount()));
        return switch (random.nextInt(3)) {
            case 0 ->
                graph.getInitializer(random.nextInt(graph.getInitializerCount()))
                        .getName();
            case 1 -> graph.getInput(random.nextInt(graph.getInputCount())).getName();
            default -> node.getOutput(random.nextInt(node.getOutputCount()));
        };
    }

    private static void tensor(TensorProto.Builder tensor, Random random) {
        switch (random.nextInt(6)) {
            case 0 -> {
                if (tensor.getDimsCount() > 0) {
                    tensor.setDims(random.nextInt(tensor.getDimsCount()), edge(random));
                }
            }
            case 1 -> tensor.addDims(edge(random));
            case 2 -> tensor.setDataType(random.nextInt(24));
            case 3 ->
                tensor.setRawData(tensor.getRawData()
                        .substring(0, random.nextInt(tensor.getRawData().size() + 1)));
            case 4 -> {
                // Extents and axes that a graph reads.
                ByteBuffer raw =
                        ByteBuffer.wrap(tensor.getRawData().toByteArray()).order(ByteOrder.LITTLE_ENDIAN);
                if (tensor.getDataType() == TensorProto.DataType.INT64.getNumber() && raw.capacity() >= 8) {
                    raw.putLong(random.nextInt(raw.capacity() / 8) * 8, edge(random));
                }
                tensor.setRawData(ByteString.copyFrom(raw.rewind()));
            }
            default -> {
                int length = tensor.getDimsCount();
                if (length > 1) {
                    long first = tensor.getDims(0);
                    tensor.setDims(0, tensor.getDims(length - 1)).setDims(length - 1, first);
                } else {
                    tensor.clearDims();
                }
            }
        }
    }

    private static void header(ModelProto.Builder model, Random random) {
        GraphProto.Builder graph = model.getGraphBuilder();
        switch (random.nextInt(7)) {
            case 0 -> model.setIrVersion(edge(random));
            case 1 -> model.getOpsetImportBuilder(0).setVersion(random.nextInt(30));
            case 2 ->
                graph.getInputBuilder(0).getTypeBuilder().getTensorTypeBuilder().setElemType(random.nextInt(20));
            case 3 -> {
                var shape = graph.getInputBuilder(0)
                        .getTypeBuilder()
                        .getTensorTypeBuilder()
                        .getShapeBuilder();
                if (shape.getDimCount() > 0 && random.nextBoolean()) {
                    shape.getDimBuilder(random.nextInt(shape.getDimCount())).setDimValue(edge(random));
                } else {
                    shape.addDimBuilder().setDimValue(edge(random));
                }
            }
            case 4 -> graph.getOutputBuilder(0).setName(name(graph, random));
            case 5 -> graph.addInput(graph.getInputBuilder(0).clone().setName(name(graph, random)));
            default -> graph.removeInitializer(random.nextInt(graph.getInitializerCount()));
        }
    }
}
