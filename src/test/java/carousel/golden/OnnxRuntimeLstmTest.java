package carousel.golden;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import ai.onnx.proto.OnnxMl.AttributeProto;
import ai.onnx.proto.OnnxMl.GraphProto;
import ai.onnx.proto.OnnxMl.ModelProto;
import ai.onnx.proto.OnnxMl.NodeProto;
import ai.onnx.proto.OnnxMl.OperatorSetIdProto;
import ai.onnx.proto.OnnxMl.TensorProto;
import ai.onnx.proto.OnnxMl.TensorShapeProto;
import ai.onnx.proto.OnnxMl.TypeProto;
import ai.onnx.proto.OnnxMl.ValueInfoProto;
import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import carousel.engine.CellActivation;
import carousel.engine.CellActivation.Kind;
import carousel.engine.Direction;
import carousel.engine.Engine;
import carousel.engine.Engines;
import carousel.engine.Gate;
import carousel.engine.LstmActivations;
import carousel.engine.LstmLayout;
import carousel.engine.LstmSpec;
import carousel.engine.ParameterView;
import carousel.engine.RandomSequence;
import carousel.fixture.LstmCase;
import carousel.fixture.LstmData;
import carousel.fixture.LstmResult;
import carousel.fixture.Tolerance;
import carousel.fixture.Workbench;
import carousel.tensor.Precision;
import com.google.protobuf.ByteString;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * The reference engine against ONNX Runtime, which fixes what the options of ONNX's operator LSTM mean: {@code clip} limits the
 * pre-activations of all gates and of the candidate, peepholes included, and nothing else; {@code input_forget} puts {@code 1 -
 * i} for {@code f}; the third peephole sees the new cell.
 */
class OnnxRuntimeLstmTest {
    /** What ONNX Runtime's logistic function and tanh, rational approximations in single precision, are off by at most. */
    private static final double APPROXIMATION = 5e-7;

    private static final int DRAWN = 60;

    /** ONNX's order of the gates, and of the peepholes' rows as places in ours. */
    private static final List<Gate> GATES = List.of(Gate.INPUT, Gate.OUTPUT, Gate.FORGET, Gate.CANDIDATE);

    private static final int[] PEEPHOLES = {0, 2, 1};

    private static final List<CellActivation> ACTIVATIONS = List.of(
            CellActivation.SIGMOID,
            CellActivation.TANH,
            CellActivation.of(Kind.RELU),
            new CellActivation(Kind.AFFINE, 0.5, 0.125),
            CellActivation.of(Kind.LEAKY_RELU),
            new CellActivation(Kind.LEAKY_RELU, -0.25, 0),
            new CellActivation(Kind.THRESHOLDED_RELU, 0.25, 0),
            new CellActivation(Kind.SCALED_TANH, 1.75, 0.625),
            CellActivation.of(Kind.HARD_SIGMOID),
            new CellActivation(Kind.HARD_SIGMOID, 0.75, 0.25),
            CellActivation.of(Kind.ELU),
            new CellActivation(Kind.ELU, 0.5, 0),
            CellActivation.of(Kind.SOFTSIGN),
            CellActivation.of(Kind.SOFTPLUS));

    private static Stream<LstmCase> cases() {
        List<LstmCase> cases = new ArrayList<>();
        for (Direction direction : Direction.values()) {
            LstmSpec spec = LstmSpec.of(3, 5).withDirection(direction);
            for (LstmSpec extended : List.of(
                    spec,
                    spec.withBias(false),
                    spec.withPeepholes(true),
                    spec.withGateClip(0.5),
                    spec.withGateClip(0.5).withBias(false),
                    spec.withGateClip(0.5).withPeepholes(true),
                    spec.withCoupledGates(true),
                    spec.withCoupledGates(true).withPeepholes(true),
                    spec.withCoupledGates(true).withGateClip(0.5))) {
                cases.add(LstmCase.of(extended, 5, 3).withLengths(5, 1, 3).withInitial());
            }
        }
        for (CellActivation activation : ACTIVATIONS) {
            for (LstmActivations activations : List.of(
                    new LstmActivations(activation, CellActivation.TANH, CellActivation.TANH),
                    new LstmActivations(CellActivation.SIGMOID, activation, CellActivation.TANH),
                    new LstmActivations(CellActivation.SIGMOID, CellActivation.TANH, activation))) {
                cases.add(LstmCase.of(LstmSpec.of(3, 5).withActivations(activations), 4, 2)
                        .withInitial());
            }
        }
        RandomSequence random = new RandomSequence(909, 0, 0);
        for (int k = 0; k < DRAWN; k++) {
            cases.add(draw(random).withSeed(100 + k));
        }
        return cases.stream();
    }

    private static LstmCase draw(RandomSequence random) {
        LstmSpec spec = LstmSpec.of(1 + random.nextInt(6), 1 + random.nextInt(7))
                .withDirection(Direction.values()[random.nextInt(3)])
                .withBias(random.nextInt(4) > 0)
                .withPeepholes(random.nextInt(2) == 0)
                .withGateClip(random.nextInt(2) == 0 ? (float) random.uniform(0.2, 1) : 0)
                .withCoupledGates(random.nextInt(3) == 0)
                .withActivations(new LstmActivations(one(random), one(random), one(random)));
        int timeSteps = 1 + random.nextInt(5);
        int batchSize = 1 + random.nextInt(6);
        LstmCase lstm = LstmCase.of(spec, timeSteps, batchSize);
        if (random.nextInt(2) == 0) {
            lstm = lstm.withLengths(IntStream.range(0, batchSize)
                    .mapToObj(n -> 1 + random.nextInt(timeSteps))
                    .toList());
        }
        return random.nextInt(2) == 0 ? lstm.withInitial() : lstm;
    }

    private static CellActivation one(RandomSequence random) {
        return ACTIVATIONS.get(random.nextInt(ACTIVATIONS.size()));
    }

    @ParameterizedTest
    @MethodSource("cases")
    void referenceAgrees(LstmCase lstm) throws OrtException {
        LstmData data = LstmData.of(lstm);
        data.poisonPadding(lstm, 0.5);
        LstmResult ours = reference(lstm, data);
        Outputs theirs = run(lstm, data);
        Tolerance tolerance = Tolerance.of(Precision.FP32);
        double largest = Math.max(1, Math.max(Tolerance.largest(ours.y()), Tolerance.largest(ours.c())));
        double allowed =
                largest * (tolerance.relative(Tolerance.forwardReduction(lstm)) + APPROXIMATION * lstm.timeSteps());
        tolerance.checkWithin("y", ours.y(), theirs.y, allowed);
        tolerance.checkWithin("h", ours.h(), theirs.h, allowed);
        tolerance.checkWithin("c", ours.c(), theirs.c, allowed);
    }

    /** The one known difference: after a sequence without any step ONNX Runtime has zeros where the engines keep the state. */
    @Test
    void emptySequencesKeepTheirStateHereOnly() throws OrtException {
        LstmCase lstm = LstmCase.of(LstmSpec.of(2, 3), 2, 2).withLengths(2, 0).withInitial();
        LstmData data = LstmData.of(lstm);
        data.poisonPadding(lstm, 0.5);
        LstmResult ours = reference(lstm, data);
        Outputs theirs = run(lstm, data);
        assertArrayEquals(Arrays.copyOfRange(data.h0(), 3, 6), Arrays.copyOfRange(ours.h(), 3, 6));
        assertArrayEquals(Arrays.copyOfRange(data.c0(), 3, 6), Arrays.copyOfRange(ours.c(), 3, 6));
        assertArrayEquals(new double[3], Arrays.copyOfRange(theirs.h, 3, 6));
        assertArrayEquals(new double[3], Arrays.copyOfRange(theirs.c, 3, 6));
        assertArrayEquals(ours.y(), theirs.y, 1e-6);
    }

    private static LstmResult reference(LstmCase lstm, LstmData data) {
        try (Engine engine = Engines.open("reference");
                Workbench bench = new Workbench(engine)) {
            return bench.run(lstm, data, null);
        }
    }

    /** What ONNX Runtime gives, with y in our order, {@code [T, N, D * H]}. */
    private record Outputs(double[] y, double[] h, double[] c) {}

    private static Outputs run(LstmCase lstm, LstmData data) throws OrtException {
        LstmSpec spec = lstm.spec();
        int cells = spec.direction().cells();
        int hidden = spec.hiddenSize();
        int steps = lstm.timeSteps();
        int batch = lstm.batchSize();
        Feed feed = new Feed();
        feed.put("X", data.x(), steps, batch, spec.inputSize());
        feed.put("W", gates(lstm, data, LstmLayout.Cell::inputWeights), cells, 4 * hidden, spec.inputSize());
        feed.put("R", gates(lstm, data, LstmLayout.Cell::recurrentWeights), cells, 4 * hidden, hidden);
        // Two biases that are added: the second is zero.
        feed.put("B", spec.bias() ? biases(lstm, data) : null, cells, 8 * hidden);
        feed.put("sequence_lens", lstm.lengthArray());
        feed.put("initial_h", lstm.initial() ? data.h0() : null, cells, batch, hidden);
        feed.put("initial_c", lstm.initial() ? data.c0() : null, cells, batch, hidden);
        feed.put("P", spec.peepholes() ? peepholes(lstm, data) : null, cells, 3 * hidden);
        OrtEnvironment environment = OrtEnvironment.getEnvironment();
        try (OrtSession session = environment.createSession(model(spec, feed));
                OrtSession.Result result = session.run(feed.tensors)) {
            assertEquals(3, result.size());
            double[] theirs = values((OnnxTensor) result.get(0));
            double[] y = new double[theirs.length];
            for (int t = 0; t < steps; t++) {
                for (int cell = 0; cell < cells; cell++) {
                    for (int n = 0; n < batch; n++) {
                        System.arraycopy(
                                theirs,
                                ((t * cells + cell) * batch + n) * hidden,
                                y,
                                ((t * batch + n) * cells + cell) * hidden,
                                hidden);
                    }
                }
            }
            return new Outputs(y, values((OnnxTensor) result.get(1)), values((OnnxTensor) result.get(2)));
        } finally {
            feed.tensors.values().forEach(OnnxTensor::close);
        }
    }

    private static double[] values(OnnxTensor tensor) {
        float[] floats = tensor.getFloatBuffer().array();
        return IntStream.range(0, floats.length).mapToDouble(e -> floats[e]).toArray();
    }

    /** The named inputs of the node in ONNX's order, those left out with an empty name. */
    private static final class Feed {
        private final List<String> names = new ArrayList<>();
        private final Map<String, OnnxTensor> tensors = new HashMap<>();

        void put(String name, double[] values, int... extents) throws OrtException {
            names.add(values == null ? "" : name);
            if (values != null) {
                float[] floats = new float[values.length];
                for (int e = 0; e < values.length; e++) {
                    floats[e] = (float) values[e];
                }
                long[] shape = Arrays.stream(extents).asLongStream().toArray();
                tensors.put(
                        name,
                        OnnxTensor.createTensor(OrtEnvironment.getEnvironment(), FloatBuffer.wrap(floats), shape));
            }
        }

        void put(String name, int[] values) throws OrtException {
            names.add(values == null ? "" : name);
            if (values != null) {
                tensors.put(
                        name,
                        OnnxTensor.createTensor(
                                OrtEnvironment.getEnvironment(), IntBuffer.wrap(values), new long[] {values.length}));
            }
        }
    }

    private interface Part {
        ParameterView of(LstmLayout.Cell cell);
    }

    /** {@code [D, 4H, .]} with the gates in ONNX's order. */
    private static double[] gates(LstmCase lstm, LstmData data, Part part) {
        LstmLayout layout = LstmLayout.of(lstm.spec());
        List<double[]> blocks = new ArrayList<>();
        for (int state = 0; state < lstm.spec().states(); state++) {
            ParameterView view = part.of(layout.cell(state));
            for (Gate gate : GATES) {
                blocks.add(block(data, view, gate.ordinal(), Gate.COUNT));
            }
        }
        return join(blocks);
    }

    /** {@code [D, 8H]}. */
    private static double[] biases(LstmCase lstm, LstmData data) {
        double[] sums = gates(lstm, data, LstmLayout.Cell::bias);
        int size = Gate.COUNT * lstm.spec().hiddenSize();
        double[] both = new double[2 * sums.length];
        for (int cell = 0; cell < sums.length / size; cell++) {
            System.arraycopy(sums, cell * size, both, 2 * cell * size, size);
        }
        return both;
    }

    /** {@code [D, 3H]}, i, o, f. */
    private static double[] peepholes(LstmCase lstm, LstmData data) {
        LstmLayout layout = LstmLayout.of(lstm.spec());
        List<double[]> blocks = new ArrayList<>();
        for (int state = 0; state < lstm.spec().states(); state++) {
            for (int row : PEEPHOLES) {
                blocks.add(block(data, layout.cell(state).peepholes(), row, PEEPHOLES.length));
            }
        }
        return join(blocks);
    }

    private static double[] block(LstmData data, ParameterView view, int which, int blocks) {
        int size = (int) view.shape().elements() / blocks;
        int from = (int) view.offset() + which * size;
        return Arrays.copyOfRange(data.parameters(), from, from + size);
    }

    private static double[] join(List<double[]> blocks) {
        return blocks.stream().flatMapToDouble(Arrays::stream).toArray();
    }

    /** A graph of one node. */
    private static byte[] model(LstmSpec spec, Feed feed) {
        NodeProto.Builder node = NodeProto.newBuilder()
                .setOpType("LSTM")
                .addAllInput(feed.names)
                .addAllOutput(List.of("Y", "Y_h", "Y_c"))
                .addAttribute(integer("hidden_size", spec.hiddenSize()))
                .addAttribute(integer("input_forget", spec.coupledGates() ? 1 : 0))
                .addAttribute(AttributeProto.newBuilder()
                        .setName("direction")
                        .setType(AttributeProto.AttributeType.STRING)
                        .setS(ByteString.copyFromUtf8(spec.direction().name().toLowerCase(Locale.ROOT))));
        if (spec.gateClip() > 0) {
            node.addAttribute(AttributeProto.newBuilder()
                    .setName("clip")
                    .setType(AttributeProto.AttributeType.FLOAT)
                    .setF((float) spec.gateClip()));
        }
        if (!spec.activations().equals(LstmActivations.STANDARD)) {
            addActivations(node, spec);
        }
        GraphProto.Builder graph = GraphProto.newBuilder().setName("lstm").addNode(node);
        for (String name : feed.names) {
            if (!name.isEmpty()) {
                graph.addInput(value(
                        name,
                        name.equals("sequence_lens") ? TensorProto.DataType.INT32 : TensorProto.DataType.FLOAT,
                        feed.tensors.get(name).getInfo().getShape()));
            }
        }
        for (String name : node.getOutputList()) {
            graph.addOutput(value(name, TensorProto.DataType.FLOAT));
        }
        return ModelProto.newBuilder()
                .setIrVersion(8)
                .addOpsetImport(OperatorSetIdProto.newBuilder().setVersion(14))
                .setGraph(graph)
                .build()
                .toByteArray();
    }

    /** Once for each cell; alphas and betas are lists of those that count, in the order of the functions. */
    private static void addActivations(NodeProto.Builder node, LstmSpec spec) {
        AttributeProto.Builder names =
                AttributeProto.newBuilder().setName("activations").setType(AttributeProto.AttributeType.STRINGS);
        AttributeProto.Builder alphas =
                AttributeProto.newBuilder().setName("activation_alpha").setType(AttributeProto.AttributeType.FLOATS);
        AttributeProto.Builder betas =
                AttributeProto.newBuilder().setName("activation_beta").setType(AttributeProto.AttributeType.FLOATS);
        LstmActivations activations = spec.activations();
        for (int cell = 0; cell < spec.direction().cells(); cell++) {
            for (CellActivation activation :
                    List.of(activations.gates(), activations.candidate(), activations.output())) {
                names.addStrings(ByteString.copyFromUtf8(activation.kind().onnxName()));
                if (activation.kind().takesAlpha()) {
                    alphas.addFloats((float) activation.alpha());
                }
                if (activation.kind().takesBeta()) {
                    betas.addFloats((float) activation.beta());
                }
            }
        }
        node.addAttribute(names);
        if (alphas.getFloatsCount() > 0) {
            node.addAttribute(alphas);
        }
        if (betas.getFloatsCount() > 0) {
            node.addAttribute(betas);
        }
    }

    private static AttributeProto integer(String name, long value) {
        return AttributeProto.newBuilder()
                .setName(name)
                .setType(AttributeProto.AttributeType.INT)
                .setI(value)
                .build();
    }

    private static ValueInfoProto value(String name, TensorProto.DataType type, long... extents) {
        TypeProto.Tensor.Builder tensor = TypeProto.Tensor.newBuilder().setElemType(type.getNumber());
        if (extents.length > 0) {
            TensorShapeProto.Builder shape = TensorShapeProto.newBuilder();
            for (long extent : extents) {
                shape.addDim(TensorShapeProto.Dimension.newBuilder().setDimValue(extent));
            }
            tensor.setShape(shape);
        }
        return ValueInfoProto.newBuilder()
                .setName(name)
                .setType(TypeProto.newBuilder().setTensorType(tensor))
                .build();
    }
}
