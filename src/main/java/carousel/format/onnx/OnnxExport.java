package carousel.format.onnx;

import ai.onnx.proto.OnnxMl.ModelProto;
import carousel.engine.CellActivation;
import carousel.engine.Gate;
import carousel.engine.LstmActivations;
import carousel.engine.LstmSpec;
import carousel.engine.ParameterView;
import carousel.format.AtomicFile;
import carousel.format.ModelFile;
import carousel.format.ModelJson;
import carousel.format.ModelWeights;
import carousel.layer.Activation;
import carousel.layer.Dense;
import carousel.layer.Dropout;
import carousel.layer.Embedding;
import carousel.layer.Form;
import carousel.layer.Layer;
import carousel.layer.Lstm;
import carousel.layer.Masking;
import carousel.layer.Model;
import carousel.layer.Residual;
import carousel.layer.TimeReversal;
import carousel.tensor.Shape;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * Writes a model as an ONNX file, in single precision and for inference: dropout is left out. Batches and sequences may have any
 * length. The edges are batch-major, as users of ONNX expect:
 *
 * <pre>
 *   input    FLOAT [batch, time, features], for tokens INT64 [batch, time], for vectors FLOAT [batch, features]
 *   lengths  INT32 [batch], where it is asked for: the valid steps of each sequence, padded on the right
 *   output   FLOAT [batch, time, outputs], or [batch, outputs] where the model puts out one vector a sequence
 * </pre>
 *
 * <p>The file's metadata hold the specification as {@code carousel.model}, so that {@link OnnxImport} gives back the same model.
 */
public final class OnnxExport {
    /** The name of what the model reads. */
    public static final String INPUT = "input";

    /** The name of the sequences' lengths. */
    public static final String LENGTHS = "lengths";

    /** The name of what the model puts out. */
    public static final String OUTPUT = "output";

    /** Every operator used here has its present form since this version. */
    private static final int OPSET = 14;

    private static final String BATCH = "batch";
    private static final String TIME = "time";

    /** What a file without tensors outside of it may have, less what is around the weights. */
    private static final long LARGEST_WEIGHTS = Integer.MAX_VALUE - (1L << 20);

    private final GraphBuilder graph = new GraphBuilder("carousel");
    private final ModelWeights weights;
    private final Iterator<ParameterView> views;
    private final boolean lengths;
    private String current = INPUT;

    private OnnxExport(ModelWeights weights, boolean lengths) {
        this.weights = weights;
        this.views = Model.views(weights.spec()).iterator();
        this.lengths = lengths;
    }

    /** Writes a model that reads whole sequences: {@link #write(Path, ModelWeights, Map, boolean)} without lengths. */
    public static void write(Path path, ModelWeights weights, Map<String, String> metadata) throws IOException {
        write(path, weights, metadata, false);
    }

    /**
     * Writes a model, replacing the file at once and only when all is well.
     *
     * @param metadata more entries for the metadata
     * @param lengths whether the model has the input {@code lengths}
     * @throws IllegalArgumentException when the model has what ONNX does not, or a weight no float holds
     */
    public static void write(Path path, ModelWeights weights, Map<String, String> metadata, boolean lengths)
            throws IOException {
        weights.requireFloats();
        ModelProto model = new OnnxExport(weights, lengths).build(metadata);
        AtomicFile.write(path, model::writeTo);
    }

    private ModelProto build(Map<String, String> metadata) {
        if (weights.spec().encoder() != null) {
            throw new IllegalArgumentException(
                    "the model cannot be written as ONNX: it has an encoder beside its decoder, and"
                            + " what is written is one line of layers; save it as safetensors");
        }
        Form form = weights.spec().input();
        requireFits();
        addInput(form);
        form = addLayers(weights.spec().layers(), form);
        addOutput(form);
        Map<String, String> entries = new LinkedHashMap<>(metadata);
        entries.put(ModelFile.SPECIFICATION, ModelJson.write(weights.spec()));
        return graph.build(OPSET, "carousel", entries);
    }

    private Form addLayers(List<Layer> layers, Form input) {
        Form form = input;
        for (Layer layer : layers) {
            if (layer instanceof Lstm lstm) {
                requireFromZeros(lstm);
                addLstm(lstm, form);
            } else if (layer instanceof Dense dense) {
                addDense(dense, form);
            } else if (layer instanceof Embedding embedding) {
                requireUnmasked(layer, embedding.maskZero());
                ParameterView table = views.next();
                current = node("Gather", List.of(initializer(table), current), Map.of("axis", 0L));
            } else if (layer instanceof Activation activation) {
                addActivation(activation);
            } else if (layer instanceof Residual residual) {
                String read = current;
                addLayers(residual.layers(), form);
                current = node("Add", List.of(read, current), Map.of());
            } else if (layer instanceof TimeReversal) {
                throw new IllegalArgumentException(
                        "the model cannot be written as ONNX: it turns its sequences around; save"
                                + " it as safetensors");
            } else if (!(layer instanceof Dropout)) {
                requireUnmasked(layer, layer instanceof Masking);
                throw new AssertionError(layer);
            }
            form = layer.output(form);
        }
        return form;
    }

    private void requireFits() {
        long bytes = 0;
        for (double[] values : weights.values().values()) {
            // A bias is written with the zeros of a second one.
            bytes += 2L * Float.BYTES * values.length;
        }
        if (bytes > LARGEST_WEIGHTS) {
            throw new IllegalArgumentException("the model's weights take up to " + bytes
                    + " bytes but an ONNX file holds at most " + LARGEST_WEIGHTS + ": save it as safetensors");
        }
    }

    /** The lengths of ONNX's LSTM say where a sequence ends, not which of its steps to leave out. */
    private static void requireUnmasked(Layer layer, boolean masks) {
        if (masks) {
            throw new IllegalArgumentException("the model cannot be written as ONNX: its layer " + layer.summary()
                    + " leaves out steps, and the LSTM of ONNX reads every step; save it as safetensors or for Keras");
        }
    }

    private static void requireFromZeros(Lstm layer) {
        if (layer.learnedInitialState()) {
            throw new IllegalArgumentException("the model cannot be written as ONNX: its layer " + layer.summary()
                    + " starts from a state of its own, and what is written starts from zeros; save it as safetensors");
        }
    }

    private void addInput(Form form) {
        if (lengths && form.kind() == Form.Kind.VECTOR) {
            throw new IllegalArgumentException(
                    "the model reads " + form + " and so has no sequences whose lengths could be given");
        }
        switch (form.kind()) {
            case SEQUENCE -> {
                graph.input(INPUT, OnnxType.FLOAT, BATCH, TIME, form.features());
                current = node("Transpose", List.of(INPUT), Map.of("perm", new long[] {1, 0, 2}));
            }
            case TOKENS -> {
                graph.input(INPUT, OnnxType.INT64, BATCH, TIME);
                current = node("Transpose", List.of(INPUT), Map.of("perm", new long[] {1, 0}));
            }
            case VECTOR -> graph.input(INPUT, OnnxType.FLOAT, BATCH, form.features());
        }
        if (lengths) {
            graph.input(LENGTHS, OnnxType.INT32, BATCH);
        }
    }

    private void addOutput(Form form) {
        if (form.kind() == Form.Kind.VECTOR) {
            node("Identity", List.of(current), Map.of(), OUTPUT);
            graph.output(OUTPUT, OnnxType.FLOAT, BATCH, form.features());
        } else if (form.kind() == Form.Kind.SEQUENCE) {
            node("Transpose", List.of(current), Map.of("perm", new long[] {1, 0, 2}), OUTPUT);
            graph.output(OUTPUT, OnnxType.FLOAT, BATCH, TIME, form.features());
        } else {
            throw new IllegalArgumentException("the model puts out " + form + " and computes nothing");
        }
    }

    private void addLstm(Lstm lstm, Form form) {
        LstmSpec spec = lstm.spec().withInputSize(form.features());
        requireExpressible(spec);
        int cells = spec.direction().cells();
        for (int layer = 0; layer < spec.layers(); layer++) {
            boolean last = layer == spec.layers() - 1 && !lstm.returnSequences();
            List<String> inputs = new ArrayList<>(List.of(current));
            inputs.addAll(lstmWeights(spec, layer));
            String y = graph.newName(last ? "lstm_last" : "lstm_sequence");
            graph.node("LSTM", inputs, last ? List.of(GraphBuilder.NONE, y) : List.of(y), lstmAttributes(spec));
            if (cells == 1) {
                String axes = graph.initializer(graph.newName("axes"), OnnxValue.of(new long[] {last ? 0 : 1}, 1));
                current = node("Squeeze", List.of(y, axes), Map.of());
            } else {
                long width = spec.sequenceWidth();
                String turned = node(
                        "Transpose", List.of(y), Map.of("perm", last ? new long[] {1, 0, 2} : new long[] {0, 2, 1, 3}));
                // 0 keeps an extent.
                long[] extents = last ? new long[] {0, width} : new long[] {0, 0, width};
                String shape = graph.initializer(graph.newName("shape"), OnnxValue.of(extents, extents.length));
                current = node("Reshape", List.of(turned, shape), Map.of());
            }
        }
    }

    private static void requireExpressible(LstmSpec spec) {
        String reason = null;
        if (spec.projected()) {
            reason = "a projection";
        } else if (spec.cellClip() > 0) {
            // ONNX's clip limits what goes into the gates.
            reason = "a clip of its cells";
        } else if (spec.layerNormalization()) {
            reason = "layer normalization";
        } else if (spec.zoneoutHidden() > 0 || spec.zoneoutCell() > 0) {
            reason = "zoneout, which acts in inference too";
        }
        if (reason != null) {
            throw new IllegalArgumentException("the model cannot be written as ONNX: its LSTM has " + reason
                    + ", and the LSTM of ONNX has none; save it as safetensors");
        }
    }

    /** The inputs of a node after the first; those at the end that are left out are not there. */
    private List<String> lstmWeights(LstmSpec spec, int layer) {
        int cells = spec.direction().cells();
        int hidden = spec.hiddenSize();
        int rows = Gate.COUNT * hidden;
        int inputs = spec.layerInputSize(layer);
        double[] w = new double[cells * rows * inputs];
        double[] r = new double[cells * rows * hidden];
        double[] b = new double[cells * 2 * rows];
        double[] p = new double[cells * (Gate.COUNT - 1) * hidden];
        String stem = null;
        for (int cell = 0; cell < cells; cell++) {
            ParameterView inputWeights = views.next();
            stem = stem == null ? inputWeights.name().replace("weight_ih_", "") : stem;
            OnnxGates.write(weights.get(inputWeights.name()), w, cell * rows * inputs);
            OnnxGates.write(weights.get(views.next().name()), r, cell * rows * hidden);
            if (spec.bias()) {
                OnnxGates.write(weights.get(views.next().name()), b, cell * 2 * rows);
            }
            if (spec.peepholes()) {
                OnnxGates.writePeepholes(weights.get(views.next().name()), p, cell * p.length / cells);
            }
        }
        List<String> names = new ArrayList<>();
        names.add(floats(stem + ".W", w, cells, rows, inputs));
        names.add(floats(stem + ".R", r, cells, rows, hidden));
        names.add(spec.bias() ? floats(stem + ".B", b, cells, 2 * rows) : GraphBuilder.NONE);
        names.add(lengths ? LENGTHS : GraphBuilder.NONE);
        if (spec.peepholes()) {
            names.addAll(List.of(GraphBuilder.NONE, GraphBuilder.NONE));
            names.add(floats(stem + ".P", p, cells, p.length / cells));
        }
        while (names.get(names.size() - 1).isEmpty()) {
            names.remove(names.size() - 1);
        }
        return names;
    }

    private static Map<String, Object> lstmAttributes(LstmSpec spec) {
        Map<String, Object> attributes = new LinkedHashMap<>();
        attributes.put("hidden_size", (long) spec.hiddenSize());
        attributes.put("direction", LstmOperation.word(spec.direction()));
        if (spec.gateClip() > 0) {
            attributes.put("clip", (float) spec.gateClip());
        }
        if (spec.coupledGates()) {
            attributes.put("input_forget", 1L);
        }
        if (!spec.activations().equals(LstmActivations.STANDARD)) {
            List<String> names = new ArrayList<>();
            List<Double> alphas = new ArrayList<>();
            List<Double> betas = new ArrayList<>();
            LstmActivations used = spec.activations();
            for (int cell = 0; cell < spec.direction().cells(); cell++) {
                for (CellActivation activation : List.of(used.gates(), used.candidate(), used.output())) {
                    names.add(activation.kind().onnxName());
                    if (activation.kind().takesAlpha()) {
                        alphas.add(activation.alpha());
                    }
                    if (activation.kind().takesBeta()) {
                        betas.add(activation.beta());
                    }
                }
            }
            attributes.put("activations", names);
            putFloats(attributes, "activation_alpha", alphas);
            putFloats(attributes, "activation_beta", betas);
        }
        return attributes;
    }

    private static void putFloats(Map<String, Object> attributes, String name, List<Double> values) {
        if (!values.isEmpty()) {
            float[] floats = new float[values.size()];
            for (int k = 0; k < floats.length; k++) {
                floats[k] = values.get(k).floatValue();
            }
            attributes.put(name, floats);
        }
    }

    private void addDense(Dense dense, Form form) {
        ParameterView matrix = views.next();
        String bias = dense.bias() ? initializer(views.next()) : null;
        if (form.kind() == Form.Kind.VECTOR) {
            List<String> inputs = new ArrayList<>(List.of(current, initializer(matrix)));
            if (bias != null) {
                inputs.add(bias);
            }
            current = node("Gemm", inputs, Map.of("transB", 1L));
            return;
        }
        int rows = dense.units();
        int columns = form.features();
        double[] values = weights.get(matrix.name());
        double[] turned = new double[values.length];
        for (int row = 0; row < rows; row++) {
            for (int column = 0; column < columns; column++) {
                turned[column * rows + row] = values[row * columns + column];
            }
        }
        String name = floats(matrix.name() + "_transposed", turned, columns, rows);
        current = node("MatMul", List.of(current, name), Map.of());
        if (bias != null) {
            current = node("Add", List.of(current, bias), Map.of());
        }
    }

    private void addActivation(Activation activation) {
        current = switch (activation.function()) {
            case RELU -> node("Relu", List.of(current), Map.of());
            case SIGMOID -> node("Sigmoid", List.of(current), Map.of());
            case TANH -> node("Tanh", List.of(current), Map.of());
            case SOFTMAX -> node("Softmax", List.of(current), Map.of("axis", -1L));
        };
    }

    private String initializer(ParameterView view) {
        return floats(view.name(), weights.get(view.name()), view.shape().toArray());
    }

    private String floats(String name, double[] values, int... extents) {
        return graph.initializer(
                name, OnnxValue.reals(OnnxType.FLOAT, Shape.of(extents), Arrays.copyOf(values, values.length)));
    }

    private String node(String operator, List<String> inputs, Map<String, ?> attributes) {
        return node(operator, inputs, attributes, graph.newName(operator.toLowerCase(Locale.ROOT)));
    }

    private String node(String operator, List<String> inputs, Map<String, ?> attributes, String output) {
        return graph.node(operator, inputs, List.of(output), attributes);
    }
}
