package carousel.format;

import carousel.engine.Direction;
import carousel.engine.LstmSpec;
import carousel.engine.ParameterView;
import carousel.layer.Dense;
import carousel.layer.Embedding;
import carousel.layer.Form;
import carousel.layer.Layer;
import carousel.layer.Lstm;
import carousel.layer.Model;
import carousel.layer.ModelSpec;
import carousel.tensor.Shape;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;

/**
 * Models out of safetensors files that PyTorch has written: the weights of {@code torch.nn.LSTM}, {@code LSTMCell}, {@code
 * Linear}, {@code Embedding}, and of {@code Conv1d} with a kernel of one step, under the names of a module's {@code
 * state_dict()}.
 *
 * <p>A state dict has no order and no forward pass, so what runs after what can be given: the modules' names in the order in
 * which they run, with the word {@value #LAST} where only what the LSTM shows after its last step goes on. Without it the
 * modules are put in the one order in which their widths fit each other, and each answers at every step; where more than one
 * order fits, or linear layers follow each other with something unknown in between, the file is refused.
 *
 * <p>The two biases are summed: PyTorch only ever adds them. The last output of a bidirectional LSTM is {@code h_n} of both
 * directions. A matrix without a bias is an embedding where its name has "emb" in it, or {@value #TABLE} behind it in the list.
 */
public final class PyTorchImport {
    /** Stands in a list of modules where only the last output of the LSTM before it goes on. */
    public static final String LAST = "last";

    /** How a file whose tensors have no prefix is called in a list of modules. */
    public static final String UNNAMED = ".";

    /** Behind the name of a module in a list: its weight is the table of an embedding, though its name does not say so. */
    public static final String TABLE = ":embedding";

    /** Beyond that all orders are too many to be tried. */
    private static final int MOST_MODULES = 7;

    private final SafetensorsFile file;
    private final Map<String, Module> modules = new TreeMap<>();
    /** The tensors that no module takes, with the reason. */
    private final Map<String, String> strange = new LinkedHashMap<>();

    /** What a module of PyTorch is here, and how the parameters of its layer are called in the file. */
    private record Module(
            String name, String kind, int inputs, int outputs, Layer layer, Map<String, Source> sources) {}

    /** The tensors that are summed into one parameter. */
    private record Source(List<String> tensors) {}

    private PyTorchImport(SafetensorsFile file) throws FormatException {
        this.file = file;
        Map<String, Map<String, Shape>> groups = new LinkedHashMap<>();
        for (SafetensorsFile.Entry entry : file.tensors().values()) {
            int dot = entry.name().lastIndexOf('.');
            String module = dot < 0 ? UNNAMED : entry.name().substring(0, dot);
            groups.computeIfAbsent(module, key -> new TreeMap<>())
                    .put(entry.name().substring(dot + 1), entry.shape());
        }
        for (Map.Entry<String, Map<String, Shape>> group : groups.entrySet()) {
            read(group.getKey(), group.getValue());
        }
    }

    /** Whether a file is one of PyTorch's and none of ours. */
    public static boolean accepts(Path path) throws IOException {
        try (SafetensorsFile file = SafetensorsFile.open(path)) {
            return !ModelFile.describesModel(file);
        }
    }

    /**
     * Reads a whole model.
     *
     * @param order the modules in the order in which they run, or none for the one order that fits
     * @throws FormatException when the file holds something else, or the order is not clear
     * @throws IllegalArgumentException when a module of the order is not in the file, or does not fit the one before it
     */
    public static Imported read(Path path, String... order) throws IOException {
        try (SafetensorsFile file = SafetensorsFile.open(path)) {
            PyTorchImport content = new PyTorchImport(file);
            return content.build(order.length == 0 ? content.onlyOrder() : List.of(order), order.length == 0);
        }
    }

    private String quoted() {
        return "'" + file.path() + "'";
    }

    private void read(String name, Map<String, Shape> parts) throws FormatException {
        if (parts.containsKey("weight_ih_l0") || parts.containsKey("weight_ih")) {
            modules.put(name, lstm(name, parts));
        } else if (parts.containsKey("weight")
                && (parts.size() == 1 || parts.size() == 2 && parts.containsKey("bias"))
                && isMatrix(parts.get("weight"))) {
            modules.put(name, linear(name, parts));
        } else {
            parts.forEach((part, shape) -> strange.put(
                    full(name, part),
                    FormatException.quote(full(name, part)) + " " + shape
                            + " belongs to no LSTM, LSTMCell, Linear or Embedding"));
        }
    }

    private static String full(String module, String part) {
        return module.equals(UNNAMED) ? part : module + "." + part;
    }

    /** {@code [O, I]}, or {@code [O, I, 1]}: a convolution that sees one step. */
    private static boolean isMatrix(Shape shape) {
        return shape.rank() == 2 || shape.rank() == 3 && shape.extent(2) == 1;
    }

    private Module linear(String name, Map<String, Shape> parts) throws FormatException {
        Shape weight = parts.get("weight");
        int outputs = weight.extent(0);
        int inputs = weight.extent(1);
        boolean bias = parts.containsKey("bias");
        Map<String, Source> sources = new LinkedHashMap<>();
        sources.put("weight", new Source(List.of(full(name, "weight"))));
        if (bias) {
            require(name, "bias", parts.get("bias"), outputs);
            sources.put("bias", new Source(List.of(full(name, "bias"))));
        }
        // Without a bias it may as well be an embedding: its table [V, E] reads V tokens and gives E numbers.
        boolean embedding =
                !bias && weight.rank() == 2 && name.toLowerCase(Locale.ROOT).contains("emb");
        try {
            return embedding
                    ? new Module(name, "Embedding", outputs, inputs, Embedding.of(inputs), sources)
                    : new Module(
                            name,
                            "Linear",
                            inputs,
                            outputs,
                            new Dense(
                                    outputs,
                                    bias,
                                    Dense.of(1).weightsInitializer(),
                                    Dense.of(1).biasInitializer()),
                            sources);
        } catch (IllegalArgumentException e) {
            throw new FormatException(quoted() + ": " + FormatException.quote(name) + ": " + e.getMessage(), e);
        }
    }

    /** A matrix as the table of an embedding, whatever its name. */
    private static Module asEmbedding(Module module) {
        if (module.layer() instanceof Embedding) {
            return module;
        }
        if (!(module.layer() instanceof Dense dense) || dense.bias()) {
            throw new IllegalArgumentException("only a matrix without a bias can be an embedding but '" + module.name()
                    + "' is " + module.layer().summary());
        }
        // W [O, I] as a table [V, E].
        return new Module(
                module.name(),
                "Embedding",
                module.outputs(),
                module.inputs(),
                Embedding.of(module.inputs()),
                module.sources());
    }

    private Module lstm(String name, Map<String, Shape> parts) throws FormatException {
        boolean cell = parts.containsKey("weight_ih");
        String first = cell ? "" : "_l0";
        boolean both = parts.containsKey("weight_ih_l0_reverse");
        int layers = 1;
        while (!cell && parts.containsKey("weight_ih_l" + layers)) {
            layers++;
        }
        Shape input = matrix(name, parts, "weight_ih" + first);
        Shape recurrent = matrix(name, parts, "weight_hh" + first);
        int hidden = input.extent(0) / 4;
        boolean projected = parts.containsKey("weight_hr" + first);
        LstmSpec spec;
        try {
            spec = LstmSpec.of(input.extent(1), hidden)
                    .withLayers(layers)
                    .withDirection(both ? Direction.BIDIRECTIONAL : Direction.FORWARD)
                    .withBias(parts.containsKey("bias_ih" + first))
                    .withProjectionSize(projected ? recurrent.extent(1) : 0);
        } catch (IllegalArgumentException e) {
            throw new FormatException(quoted() + ": " + FormatException.quote(name) + ": " + e.getMessage(), e);
        }
        Lstm layer = Lstm.of(spec).withReturnSequences(true);
        Map<String, Source> sources = new LinkedHashMap<>();
        List<String> used = new ArrayList<>();
        for (ParameterView view : Model.views(ModelSpec.of(Form.sequence(spec.inputSize()), layer))) {
            String part = view.name().substring(layer.kind().length() + 1);
            String theirs = cell ? part.replace("_l0", "") : part;
            List<String> tensors = theirs.startsWith("bias")
                    ? List.of(theirs.replace("bias", "bias_ih"), theirs.replace("bias", "bias_hh"))
                    : List.of(theirs);
            for (String tensor : tensors) {
                Shape shape = parts.get(tensor);
                if (shape == null || !shape.equals(view.shape())) {
                    throw new FormatException(quoted() + ": the tensor " + FormatException.quote(full(name, tensor))
                            + " should be " + view.shape() + " by the others of its LSTM but "
                            + (shape == null ? "is missing" : "is " + shape) + ": save the whole module");
                }
                used.add(tensor);
            }
            sources.put(
                    part,
                    new Source(
                            tensors.stream().map(tensor -> full(name, tensor)).toList()));
        }
        for (String part : parts.keySet()) {
            if (!used.contains(part)) {
                throw new FormatException(quoted() + ": the tensor " + FormatException.quote(full(name, part))
                        + " fits no LSTM of " + layers + " layers" + (both ? " and two directions" : "")
                        + ": save the whole module");
            }
        }
        return new Module(name, cell ? "LSTMCell" : "LSTM", spec.inputSize(), spec.sequenceWidth(), layer, sources);
    }

    private Shape matrix(String module, Map<String, Shape> parts, String part) throws FormatException {
        Shape shape = parts.get(part);
        if (shape == null || shape.rank() != 2 || shape.extent(0) % 4 != 0) {
            throw new FormatException(quoted() + ": the tensor " + FormatException.quote(full(module, part))
                    + " should have the rows of four gates but "
                    + (shape == null ? "is missing" : "is " + shape) + ": save a whole LSTM");
        }
        return shape;
    }

    private void require(String module, String part, Shape shape, int elements) throws FormatException {
        if (shape.rank() != 1 || shape.extent(0) != elements) {
            throw new FormatException(quoted() + ": the tensor " + FormatException.quote(full(module, part))
                    + " should be [" + elements + "] but is " + shape);
        }
    }

    /** The one order in which the widths fit each other. */
    private List<String> onlyOrder() throws FormatException {
        if (!strange.isEmpty()) {
            throw new FormatException(quoted() + " holds more than is read here: "
                    + strange.values().iterator().next()
                    + (strange.size() > 1 ? ", and " + (strange.size() - 1) + " more" : "") + "; " + remedy());
        }
        if (modules.isEmpty()) {
            throw new FormatException(quoted() + " holds no LSTM, LSTMCell, Linear or Embedding");
        }
        if (modules.size() > MOST_MODULES) {
            throw new FormatException(
                    quoted() + " holds " + modules.size() + " modules, whose order is not clear; " + remedy());
        }
        List<List<String>> orders = new ArrayList<>();
        orders(new ArrayList<>(), orders);
        if (orders.size() != 1) {
            throw new FormatException(quoted() + " holds modules that fit each other in "
                    + (orders.isEmpty() ? "no order" : "more than one order") + "; " + remedy());
        }
        List<String> order = orders.get(0);
        for (int k = 1; k < order.size(); k++) {
            if (modules.get(order.get(k)).layer() instanceof Dense
                    && modules.get(order.get(k - 1)).layer() instanceof Dense) {
                throw new FormatException(quoted() + " does not say what comes between the linear layers "
                        + FormatException.quote(order.get(k - 1)) + " and " + FormatException.quote(order.get(k)) + "; "
                        + remedy());
            }
        }
        return order;
    }

    private String remedy() {
        return "name the modules in the order in which they run, of "
                + (modules.isEmpty()
                        ? "which it has none"
                        : modules.keySet().stream().map(FormatException::quote).collect(Collectors.joining(", ")));
    }

    private void orders(List<String> so, List<List<String>> found) {
        if (so.size() == modules.size()) {
            found.add(List.copyOf(so));
            return;
        }
        Module before = so.isEmpty() ? null : modules.get(so.get(so.size() - 1));
        for (Module module : modules.values()) {
            boolean fits = !so.contains(module.name())
                    && (before == null || before.outputs() == module.inputs())
                    && (!(module.layer() instanceof Embedding) || before == null);
            if (fits && found.size() < 2) {
                so.add(module.name());
                orders(so, found);
                so.remove(so.size() - 1);
            }
        }
    }

    private Imported build(List<String> order, boolean whole) throws IOException {
        List<Layer> layers = new ArrayList<>();
        List<Module> named = new ArrayList<>();
        Form input = null;
        for (String word : order) {
            if (word.equals(LAST)) {
                int top = layers.size() - 1;
                if (top < 0 || !(layers.get(top) instanceof Lstm lstm)) {
                    throw new IllegalArgumentException(
                            "'" + LAST + "' should follow an LSTM in the order of the modules but got " + order);
                }
                layers.set(top, lstm.withReturnSequences(false));
                continue;
            }
            boolean table = word.endsWith(TABLE);
            Module module = modules.get(table ? word.substring(0, word.length() - TABLE.length()) : word);
            if (table && module != null) {
                module = asEmbedding(module);
            }
            if (module == null) {
                throw new IllegalArgumentException("a module should be one of " + modules.keySet() + ", or '" + LAST
                        + "', but got '" + word + "'");
            }
            if (input == null) {
                input = module.layer() instanceof Embedding
                        ? Form.tokens(module.inputs())
                        : Form.sequence(module.inputs());
            } else if (named.get(named.size() - 1).outputs() != module.inputs()) {
                throw new IllegalArgumentException("the module '" + word + "' should read "
                        + named.get(named.size() - 1).outputs() + " numbers, what '"
                        + named.get(named.size() - 1).name() + "' puts out, but reads " + module.inputs());
            }
            layers.add(module.layer());
            named.add(module);
        }
        if (layers.isEmpty()) {
            throw new IllegalArgumentException("the order of the modules should name one or more but got " + order);
        }
        ModelSpec spec = new ModelSpec(input, layers);
        List<Imported.Mapping> mapping = new ArrayList<>();
        Map<String, double[]> values = new LinkedHashMap<>();
        Map<Integer, String> names = names(spec);
        for (int k = 0; k < named.size(); k++) {
            for (Map.Entry<String, Source> parameter : named.get(k).sources().entrySet()) {
                String target = names.get(k) + "." + parameter.getKey();
                values.put(target, sum(parameter.getValue().tensors(), target, mapping));
            }
        }
        List<String> left = new ArrayList<>(strange.keySet());
        for (Module module : modules.values()) {
            if (named.stream().noneMatch(used -> used.name().equals(module.name()))) {
                module.sources().values().forEach(source -> left.addAll(source.tensors()));
            }
        }
        if (!whole) {
            left.forEach(name -> mapping.add(new Imported.Mapping(name, "", "left out")));
        }
        return new Imported(new ModelWeights(spec, values), mapping);
    }

    /** The stem of each layer's parameters' names. */
    private static Map<Integer, String> names(ModelSpec spec) {
        Map<Integer, String> names = new LinkedHashMap<>();
        Collection<String> stems = Model.views(spec).stream()
                .map(view -> view.name().substring(0, view.name().indexOf('.')))
                .distinct()
                .toList();
        int index = 0;
        for (String stem : stems) {
            names.put(index++, stem);
        }
        return names;
    }

    private double[] sum(List<String> tensors, String target, List<Imported.Mapping> mapping) throws IOException {
        double[] sum = null;
        for (String tensor : tensors) {
            String how = file.tensor(tensor).dtype().name();
            mapping.add(new Imported.Mapping(tensor, target, tensors.size() > 1 ? how + ", summed" : how));
            double[] values = file.doubles(tensor);
            if (sum == null) {
                sum = values;
            } else {
                for (int e = 0; e < sum.length; e++) {
                    sum[e] += values[e];
                }
            }
        }
        return sum;
    }
}
