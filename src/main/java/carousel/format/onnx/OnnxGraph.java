package carousel.format.onnx;

import ai.onnx.proto.OnnxMl.GraphProto;
import ai.onnx.proto.OnnxMl.ModelProto;
import ai.onnx.proto.OnnxMl.NodeProto;
import ai.onnx.proto.OnnxMl.StringStringEntryProto;
import ai.onnx.proto.OnnxMl.TensorProto;
import ai.onnx.proto.OnnxMl.TensorShapeProto;
import ai.onnx.proto.OnnxMl.TypeProto;
import ai.onnx.proto.OnnxMl.ValueInfoProto;
import carousel.engine.Engine;
import carousel.format.FormatException;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * An ONNX model that runs here: its LSTM nodes on an engine, everything around them as plain arithmetic in double precision on the
 * host, rounded to the graph's types.
 *
 * <pre>{@code
 * OnnxGraph graph = OnnxGraph.read(Path.of("model.onnx"));
 * try (Engine engine = Engines.open("auto")) {
 *     OnnxValue y = graph.run(engine, Map.of("x", OnnxValue.of(values, 28, 1, 28))).get("y");
 * }
 * }</pre>
 *
 * Where ONNX's text is silent, results are those of ONNX Runtime, but for a sequence of length 0, whose last state is its initial
 * one here and zero there.
 *
 * <p>It never changes, and several threads may run it, each on its own engine.
 */
public final class OnnxGraph {
    private static final Logger LOG = LoggerFactory.getLogger(OnnxGraph.class);

    /** What reading or running a value costs at most, in bytes per element, several copies included. */
    private static final int BYTES_PER_ELEMENT = 32;

    private final Path path;
    private final int opset;
    private final List<Input> inputs;
    private final List<String> outputs;
    private final Map<String, String> metadata;
    private final Map<String, OnnxValue> constants;
    private final List<Step> steps;
    private final long elementLimit;
    private final Set<String> notes;

    /**
     * An input of a graph.
     *
     * @param name its name
     * @param type its element type
     * @param extents the extents the graph says, -1 for those that may be any; null where it says nothing
     * @param optional whether the graph has a value of its own for it
     */
    public record Input(String name, OnnxType type, List<Integer> extents, boolean optional) {}

    /** A node, what it does, and which values nobody needs after it. */
    record Step(OnnxNode node, Operation operation, List<String> finished) {}

    private OnnxGraph(
            Path path,
            int opset,
            List<Input> inputs,
            List<String> outputs,
            Map<String, String> metadata,
            Map<String, OnnxValue> constants,
            List<Step> steps,
            long elementLimit,
            Set<String> notes) {
        this.path = path;
        this.opset = opset;
        this.inputs = inputs;
        this.outputs = outputs;
        this.metadata = metadata;
        this.constants = constants;
        this.steps = steps;
        this.elementLimit = elementLimit;
        this.notes = notes;
    }

    /**
     * Reads a model and checks all that can be checked without inputs.
     *
     * @throws FormatException when it is no ONNX model, or has what cannot be run here; the message names the node
     */
    public static OnnxGraph read(Path path) throws IOException {
        return read(path, OnnxReader.bytes(path));
    }

    /** The same from the bytes of the file; the path is for messages. */
    static OnnxGraph read(Path path, byte[] bytes) throws FormatException {
        ModelProto model = OnnxReader.model(path, bytes);
        try {
            return of(path, model);
        } catch (IllegalArgumentException e) {
            throw new FormatException("'" + path + "': " + e.getMessage(), e);
        }
    }

    private static OnnxGraph of(Path path, ModelProto model) {
        GraphProto graph = model.getGraph();
        if (graph.getSparseInitializerCount() > 0) {
            throw new IllegalArgumentException("the graph has sparse initializers, which are not supported");
        }
        Map<String, OnnxValue> constants = new LinkedHashMap<>();
        for (TensorProto tensor : graph.getInitializerList()) {
            String what = "the tensor " + FormatException.quote(tensor.getName());
            OnnxValue value;
            try {
                value = TensorReader.read(tensor);
            } catch (IllegalArgumentException e) {
                throw new IllegalArgumentException(what + " " + e.getMessage(), e);
            }
            if (constants.put(tensor.getName(), value) != null) {
                throw new IllegalArgumentException(what + " is there twice");
            }
        }
        List<Input> inputs = new ArrayList<>();
        Set<String> known = new HashSet<>();
        for (ValueInfoProto info : graph.getInputList()) {
            if (!known.add(info.getName())) {
                throw new IllegalArgumentException("the graph has two inputs " + FormatException.quote(info.getName()));
            }
            inputs.add(input(info, constants.containsKey(info.getName())));
        }
        Set<String> overridable = new HashSet<>(known);
        known.addAll(constants.keySet());
        List<Step> steps = steps(graph, OnnxReader.opset(model), known, constants, overridable);
        List<String> outputs = new ArrayList<>();
        for (ValueInfoProto info : graph.getOutputList()) {
            if (!known.contains(info.getName())) {
                throw new IllegalArgumentException(
                        "the graph's output " + FormatException.quote(info.getName()) + " is put out by no node");
            }
            outputs.add(info.getName());
        }
        if (outputs.isEmpty()) {
            throw new IllegalArgumentException("the graph has no outputs");
        }
        Map<String, String> metadata = new LinkedHashMap<>();
        for (StringStringEntryProto entry : model.getMetadataPropsList()) {
            metadata.put(entry.getKey(), entry.getValue());
        }
        return new OnnxGraph(
                path,
                OnnxReader.opset(model),
                List.copyOf(inputs),
                List.copyOf(outputs),
                Collections.unmodifiableMap(metadata),
                constants,
                finishing(steps, outputs, constants.keySet()),
                Runtime.getRuntime().maxMemory() / BYTES_PER_ELEMENT,
                Collections.synchronizedSet(new LinkedHashSet<>()));
    }

    private static Input input(ValueInfoProto info, boolean optional) {
        String what = "the graph's input " + FormatException.quote(info.getName());
        if (!info.getType().hasTensorType()) {
            throw new IllegalArgumentException(what + " is no tensor, and nothing else is supported");
        }
        TypeProto.Tensor tensor = info.getType().getTensorType();
        OnnxType type;
        try {
            type = OnnxType.of(tensor.getElemType());
        } catch (IllegalArgumentException e) {
            throw new IllegalArgumentException(what + " cannot be read: " + e.getMessage(), e);
        }
        if (!tensor.hasShape()) {
            return new Input(info.getName(), type, null, optional);
        }
        if (tensor.getShape().getDimCount() > OnnxValue.LARGEST_RANK) {
            throw new IllegalArgumentException(
                    what + " has " + tensor.getShape().getDimCount() + " dimensions but at most "
                            + OnnxValue.LARGEST_RANK + " are allowed");
        }
        List<Integer> extents = new ArrayList<>();
        for (TensorShapeProto.Dimension dimension : tensor.getShape().getDimList()) {
            boolean fixed = dimension.hasDimValue()
                    && dimension.getDimValue() >= 0
                    && dimension.getDimValue() <= Integer.MAX_VALUE;
            extents.add(fixed ? (int) dimension.getDimValue() : -1);
        }
        return new Input(info.getName(), type, List.copyOf(extents), optional);
    }

    /** The nodes as operations; adds what they put out to the names that are known. */
    private static List<Step> steps(
            GraphProto graph, int opset, Set<String> known, Map<String, OnnxValue> constants, Set<String> overridable) {
        List<Step> steps = new ArrayList<>();
        for (int k = 0; k < graph.getNodeCount(); k++) {
            NodeProto proto = graph.getNode(k);
            OnnxNode node = new OnnxNode(proto, k, opset);
            Operation operation =
                    OnnxReader.standard(proto.getDomain()) ? Operators.of(node).orElse(null) : null;
            if (operation == null) {
                String domain = OnnxReader.standard(proto.getDomain())
                        ? ""
                        : " of the domain " + FormatException.quote(proto.getDomain());
                throw node.refused("cannot be run: its operator" + domain + " is not supported");
            }
            OnnxValue[] given =
                    new OnnxValue[Math.max(Operation.PLACES, node.inputs().size())];
            for (int i = 0; i < node.inputs().size(); i++) {
                String name = node.inputs().get(i);
                if (node.hasInput(i) && !known.contains(name)) {
                    throw node.refused("reads " + FormatException.quote(name)
                            + ", which is neither an input of the graph nor put out by a node before it");
                }
                given[i] = overridable.contains(name) ? null : constants.get(name);
            }
            try {
                operation.check(given);
            } catch (IllegalArgumentException e) {
                throw node.refused(e.getMessage());
            }
            for (int i = 0; i < node.outputs().size(); i++) {
                if (node.hasOutput(i) && !known.add(node.outputs().get(i))) {
                    throw node.refused(
                            "puts out " + FormatException.quote(node.outputs().get(i)) + ", which is there already");
                }
            }
            steps.add(new Step(node, operation, List.of()));
        }
        return steps;
    }

    /** Adds to every step the names that are not read after it. */
    private static List<Step> finishing(List<Step> steps, List<String> outputs, Set<String> constants) {
        Set<String> needed = new HashSet<>(outputs);
        needed.addAll(constants);
        Step[] result = new Step[steps.size()];
        for (int k = result.length - 1; k >= 0; k--) {
            Step step = steps.get(k);
            Set<String> finished = new LinkedHashSet<>(step.node.outputs());
            finished.addAll(step.node.inputs());
            finished.removeIf(name -> !needed.add(name));
            result[k] = new Step(step.node, step.operation, List.copyOf(finished));
        }
        return List.of(result);
    }

    /**
     * The same graph with another limit for the elements that all values of a run may have at one time, to be lowered for files that
     * are not trusted; without it they may take a quarter of the JVM's memory.
     */
    public OnnxGraph withElementLimit(long elements) {
        return new OnnxGraph(path, opset, inputs, outputs, metadata, constants, steps, elements, notes);
    }

    /** What the graph reads, in its order; those with a value of their own need not be given. */
    public List<Input> inputs() {
        return inputs;
    }

    /** The names of what the graph puts out, in its order. */
    public List<String> outputs() {
        return outputs;
    }

    /** The model's metadata, for instance {@code carousel.model}. */
    public Map<String, String> metadata() {
        return metadata;
    }

    /** The version of ONNX's operators that it uses. */
    public int opset() {
        return opset;
    }

    /** What has been found out in runs so far, a line each: which nodes the given engine left to the much slower reference engine.
     * The log says the first. */
    public List<String> notes() {
        synchronized (notes) {
            return List.copyOf(notes);
        }
    }

    Path path() {
        return path;
    }

    List<Step> steps() {
        return steps;
    }

    /** The initializers. */
    Map<String, OnnxValue> constants() {
        return constants;
    }

    /**
     * Runs the graph.
     *
     * @param engine runs the LSTM nodes; a node that it refuses runs on the reference engine, see {@link #notes()}
     * @param values the inputs by name
     * @return the outputs by name, in the graph's order
     * @throws IllegalArgumentException when the inputs are not those of the graph or a node cannot compute with them
     */
    public Map<String, OnnxValue> run(Engine engine, Map<String, OnnxValue> values) {
        Map<String, OnnxValue> all = new HashMap<>(constants);
        requireInputs(values);
        all.putAll(values);
        try (Run run = new Run(engine, elementLimit, this::note)) {
            all.values().forEach(value -> run.hold(value.elements()));
            for (Step step : steps) {
                OnnxNode node = step.node;
                OnnxValue[] in =
                        new OnnxValue[Math.max(Operation.PLACES, node.inputs().size())];
                for (int k = 0; k < node.inputs().size(); k++) {
                    in[k] = node.hasInput(k) ? all.get(node.inputs().get(k)) : null;
                }
                OnnxValue[] out;
                try {
                    out = step.operation.run(run, in);
                } catch (IllegalArgumentException e) {
                    throw node.refused(e.getMessage());
                }
                for (int k = 0; k < node.outputs().size(); k++) {
                    if (node.hasOutput(k)) {
                        run.hold(out[k].elements());
                        all.put(node.outputs().get(k), out[k]);
                    }
                }
                for (String name : step.finished) {
                    OnnxValue value = all.remove(name);
                    run.hold(value == null ? 0 : -value.elements());
                }
            }
        }
        Map<String, OnnxValue> results = new LinkedHashMap<>();
        outputs.forEach(name -> results.put(name, all.get(name)));
        return Collections.unmodifiableMap(results);
    }

    private void requireInputs(Map<String, OnnxValue> values) {
        Set<String> strangers = new LinkedHashSet<>(values.keySet());
        for (Input input : inputs) {
            strangers.remove(input.name);
            OnnxValue value = values.get(input.name);
            if (value == null) {
                if (!input.optional) {
                    throw new IllegalArgumentException("the graph's input " + FormatException.quote(input.name)
                            + " is missing: it is " + inWords(input));
                }
                continue;
            }
            boolean fits =
                    value.type() == input.type && (input.extents == null || input.extents.size() == value.rank());
            for (int k = 0; fits && input.extents != null && k < value.rank(); k++) {
                fits = input.extents.get(k) < 0 || input.extents.get(k) == value.extent(k);
            }
            if (!fits) {
                throw new IllegalArgumentException("the graph's input " + FormatException.quote(input.name)
                        + " should be " + inWords(input) + " but got " + value);
            }
        }
        if (!strangers.isEmpty()) {
            throw new IllegalArgumentException("the graph has no input "
                    + FormatException.quote(strangers.iterator().next()) + ": it has "
                    + inputs.stream()
                            .map(Input::name)
                            .map(FormatException::quote)
                            .toList());
        }
    }

    private static String inWords(Input input) {
        if (input.extents == null) {
            return input.type.toString();
        }
        return input.type + " "
                + input.extents.stream()
                        .map(extent -> extent < 0 ? "any" : extent.toString())
                        .toList();
    }

    /** The first one is a warning, for runs are much slower then; the others are in {@link #notes()}. */
    private void note(String note) {
        boolean first = notes.isEmpty();
        if (notes.add(note) && first) {
            LOG.warn("'{}': {}", path, note);
        } else {
            LOG.debug("'{}': {}", path, note);
        }
    }
}
