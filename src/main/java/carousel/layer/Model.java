package carousel.layer;

import carousel.engine.Direction;
import carousel.engine.Engine;
import carousel.engine.EngineException;
import carousel.engine.LstmSpec;
import carousel.engine.LstmState;
import carousel.engine.ParameterLayout;
import carousel.engine.ParameterView;
import carousel.engine.RandomSequence;
import carousel.engine.Shapes;
import carousel.tensor.Scope;
import carousel.tensor.Tensor;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.BiConsumer;
import java.util.stream.IntStream;

/**
 * Layers in order on one engine, with their parameters in one flat buffer and the parameters' gradients in another. Training
 * them is the trainer's business.
 *
 * <pre>{@code
 * ModelSpec spec = ModelSpec.of(Form.sequence(28), Lstm.of(128), Dense.of(10));
 * try (Engine engine = Engines.open("auto");
 *         Model model = Model.create(engine, spec, 42)) {
 *     System.out.println(model.summary());
 * }
 * }</pre>
 */
public final class Model implements AutoCloseable {
    /** The stream of the random numbers that starting weights are drawn from. */
    private static final int INITIAL_WEIGHTS = 1;

    private final Engine engine;
    private final ModelSpec spec;
    /** The encoder, where there is one, and then the layers that answer. */
    private final List<Chain> chains;

    private final List<Node> nodes;
    private final List<ParameterView> views = new ArrayList<>();
    private final Scope scope;
    private final Tensor parameters;
    private final Tensor gradients;

    private Model(Engine engine, ModelSpec spec) {
        this.engine = engine;
        this.spec = spec;
        requireSupported(engine, spec);
        ParameterLayout layout = new ParameterLayout();
        this.chains = bind(spec, layout);
        this.nodes = nodes(chains);
        nodes.forEach(node -> views.addAll(node.views));
        this.scope = engine.openScope("model");
        try {
            int elements = (int) layout.elements();
            this.parameters = scope.allocate("parameters", elements);
            this.gradients = scope.allocate("gradients", elements);
            engine.fill(parameters, 0);
            engine.fill(gradients, 0);
        } catch (RuntimeException e) {
            scope.close();
            throw e;
        }
    }

    /** The stacks of a specification with the widths of what they read, to ask an engine about or to open one for. */
    public static List<LstmSpec> lstms(ModelSpec spec) {
        List<LstmSpec> lstms = new ArrayList<>(spec.encoder() == null ? List.of() : lstms(spec.encoder()));
        Form form = spec.input();
        for (Layer layer : spec.layers()) {
            if (layer instanceof Lstm lstm) {
                lstms.add(lstm.spec().withInputSize(form.features()));
            }
            form = layer.output(form);
        }
        return lstms;
    }

    /** Throws {@link EngineException}, in the engine's words, when the engine does not compute the specification. */
    public static void requireSupported(Engine engine, ModelSpec spec) {
        for (LstmSpec lstm : lstms(spec)) {
            engine.refusal(lstm).ifPresent(reason -> {
                throw new EngineException(reason);
            });
        }
    }

    private static List<Chain> bind(ModelSpec spec, ParameterLayout layout) {
        if (spec.encoder() == null) {
            return List.of(bind(spec, 0, "", layout));
        }
        Chain encoder = bind(spec.encoder(), 0, "encoder.", layout);
        return List.of(encoder, bind(spec, encoder.nodes().size(), "decoder.", layout));
    }

    private static Chain bind(ModelSpec spec, int first, String prefix, ParameterLayout layout) {
        List<Node> nodes = new ArrayList<>();
        Map<String, Integer> counts = new HashMap<>();
        Form form = spec.input();
        for (Layer layer : spec.layers()) {
            int same = counts.merge(layer.kind(), 1, Integer::sum) - 1;
            String name = prefix + layer.kind() + (same == 0 ? "" : "_" + same);
            nodes.add(Node.bind(layer, first + nodes.size(), name, form, layout));
            Node.requireFits(name, layout.elements());
            form = layer.output(form);
        }
        return new Chain(spec, List.copyOf(nodes), first, first + lastOfSteps(spec));
    }

    private static List<Node> nodes(List<Chain> chains) {
        return chains.stream().flatMap(chain -> chain.nodes().stream()).toList();
    }

    /**
     * Layers each of which reads what the one before puts out.
     *
     * @param spec theirs; an encoder in it counts for nothing
     * @param first the number of the first one among all layers of the model
     * @param lastOfSteps the number of the last one that reads lengths, where it puts out sequences; less than {@code first} where
     *     there is none
     */
    private record Chain(ModelSpec spec, List<Node> nodes, int first, int lastOfSteps) {
        Tensor forward(Pass pass, Tensor parameters) {
            requireInput(spec.input(), pass.input());
            Tensor activation = pass.input();
            for (Node node : nodes) {
                activation = node.forward(pass, parameters, activation);
                if (node.index == lastOfSteps) {
                    activation = pass.unmask(activation, heldWhereMasked() ? lastOfSteps : -1);
                }
            }
            return activation;
        }

        /** @param dOutput null for an encoder, whose output nobody reads */
        void backward(Pass pass, Tensor parameters, Tensor gradients, Tensor dOutput) {
            Tensor gradient = dOutput;
            for (int k = nodes.size() - 1; k >= 0; k--) {
                Node node = nodes.get(k);
                if (node.index == lastOfSteps && pass.mask() != null && gradient != null) {
                    gradient = pass.mask().apartBackward(pass, gradient);
                    if (heldWhereMasked()) {
                        pass.keepShownStartGradient(pass.mask().beforeGradient());
                    }
                }
                gradient = node.backward(pass, parameters, gradients, gradient, k > 0);
            }
        }

        /** Whether a masked step shows the output before it: what was read before it is what came before it in time. */
        private boolean heldWhereMasked() {
            return spec.layers().get(lastOfSteps - first) instanceof Lstm lstm
                    && lstm.spec().direction() == Direction.FORWARD;
        }

        /** The numbers of the LSTM layers. */
        List<Integer> lstms() {
            return IntStream.range(0, nodes.size())
                    .filter(k -> spec.layers().get(k) instanceof Lstm)
                    .mapToObj(k -> first + k)
                    .toList();
        }
    }

    /**
     * The parameters that a model of this specification has, without making one: see {@link #views()}.
     *
     * @throws IllegalArgumentException when they exceed one buffer, {@link Integer#MAX_VALUE} numbers
     */
    public static List<ParameterView> views(ModelSpec spec) {
        return nodes(bind(spec, new ParameterLayout())).stream()
                .flatMap(node -> node.views.stream())
                .toList();
    }

    /**
     * A model with freshly drawn weights.
     *
     * @param seed the same seed gives the same weights on every engine and machine
     * @throws EngineException when the engine does not compute the specification
     * @throws IllegalArgumentException when the parameters exceed one buffer, {@link Integer#MAX_VALUE} numbers
     */
    public static Model create(Engine engine, ModelSpec spec, long seed) {
        Model model = empty(engine, spec);
        try {
            double[] values = new double[Math.toIntExact(model.parameters.elements())];
            for (Node node : model.nodes) {
                node.initialize(values, new RandomSequence(seed, INITIAL_WEIGHTS, node.index));
            }
            engine.write(model.parameters, values);
            return model;
        } catch (RuntimeException | OutOfMemoryError e) {
            model.close();
            throw e;
        }
    }

    /**
     * A model whose parameters are all zero, to be filled with {@link #writeParameters}.
     *
     * @throws EngineException when the engine does not compute the specification
     * @throws IllegalArgumentException when the parameters exceed one buffer, {@link Integer#MAX_VALUE} numbers
     */
    public static Model empty(Engine engine, ModelSpec spec) {
        return new Model(engine, spec);
    }

    public Engine engine() {
        return engine;
    }

    public ModelSpec spec() {
        return spec;
    }

    /** All parameters, one flat buffer. */
    public Tensor parameters() {
        return parameters;
    }

    /** Their gradients, laid out alike. Backward passes add to it. */
    public Tensor gradients() {
        return gradients;
    }

    /** Every parameter by name, for instance {@code lstm.weight_ih_l0}, in the order of the buffer. */
    public List<ParameterView> views() {
        return List.copyOf(views);
    }

    /** How many numbers are trained; the buffer's gaps are not counted. */
    public long parameterCount() {
        return views.stream().mapToLong(view -> view.shape().elements()).sum();
    }

    /** All parameters by value, gaps included, without loss. */
    public double[] readParameters() {
        double[] values = new double[Math.toIntExact(parameters.elements())];
        engine.read(parameters, values);
        return values;
    }

    /** Replaces all parameters: the counterpart of {@link #readParameters()}. */
    public void writeParameters(double[] values) {
        engine.write(parameters, values);
    }

    /** Sets the gradients to zero. */
    public void clearGradients() {
        engine.fill(gradients, 0);
    }

    /**
     * Takes a batch through all layers. The decoder of an encoder-decoder model goes on from where the encoder ended on the source
     * that the pass {@link Pass#reading reads}, or from a state that it {@link Pass#carrying carries} after {@link #encode}.
     *
     * @return what the last layer puts out, {@code [N, K]} or {@code [T, N, K]}; lives as long as the pass's scope
     * @throws IllegalArgumentException when the input does not fit the first layer, or an encoder has no source, or a source no
     *     encoder
     */
    public Tensor forward(Pass pass) {
        requireSource(pass);
        pass.prepare(nodes.size());
        if (pass.source() != null) {
            Pass encoding = pass.source().keepingStates();
            encoding.prepare(nodes.size());
            chains.get(0).forward(encoding, parameters);
            forEachLink((encoder, decoder) -> pass.keepStart(decoder, encoding.end(encoder)));
        }
        Tensor output = answering().forward(pass, parameters);
        pass.keepOutput(output);
        return output;
    }

    private void requireSource(Pass pass) {
        if (spec.encoder() == null && pass.source() != null) {
            throw new IllegalArgumentException(
                    "the model has no encoder to read a source with: leave the source out, or make it with ModelSpec.encoderDecoder");
        }
        if (spec.encoder() != null && (pass.source() == null) == (pass.state() == null)) {
            throw new IllegalArgumentException(
                    "the decoder should start either from what the encoder makes of a source or from"
                            + " a state that is carried but was given " + (pass.source() == null ? "neither" : "both")
                            + ": call reading or carrying on the pass");
        }
    }

    /**
     * Reads sources with the encoder of an encoder-decoder model, and lets a state begin where the encoder ended: a pass that {@link
     * Pass#carrying carries} it takes the decoder on from there.
     *
     * @param pass for inference, with the source as its input and its lengths
     * @param state of this model and as many sequences
     * @throws IllegalArgumentException when the model has no encoder, or it does not read such a source
     */
    public void encode(Pass pass, ModelState state) {
        if (spec.encoder() == null) {
            throw new IllegalArgumentException("the model has no encoder but is " + spec);
        }
        if (state.batchSize() != pass.batchSize()) {
            throw new IllegalArgumentException("the state that a source is read into should be of as many sequences, "
                    + pass.batchSize() + ", but is of " + state.batchSize());
        }
        pass.keepingStates().prepare(nodes.size());
        chains.get(0).forward(pass, parameters);
        forEachLink((encoder, decoder) -> state.begin(decoder, pass.end(encoder)));
    }

    /** The numbers of the encoder's LSTM layers with those of the decoder's that go on from them. */
    private void forEachLink(BiConsumer<Integer, Integer> link) {
        List<Integer> encoder = chains.get(0).lstms();
        List<Integer> decoder = answering().lstms();
        for (int k = 0; k < encoder.size(); k++) {
            link.accept(encoder.get(k), decoder.get(k));
        }
    }

    private Chain answering() {
        return chains.get(chains.size() - 1);
    }

    /** The number of the first layer that is not the encoder's. */
    int firstLayer() {
        return answering().first();
    }

    /** What new sequences start from in a layer, {@code h [S, P]} and {@code c [S, H]} among the parameters; null for zeros. */
    LstmState learnedState(int layer) {
        return nodes.get(layer).learnedState(parameters);
    }

    /**
     * Takes the gradient of the loss with respect to the output back through all layers and adds to {@link #gradients()}.
     *
     * @param pass the one that {@link #forward} was called with, for training; each forward pass serves one backward pass
     * @param dOutput in the shape of the output
     * @throws IllegalStateException when there is no forward pass to go back through
     */
    public void backward(Pass pass, Tensor dOutput) {
        Shapes.require("the gradient of the output", dOutput, pass.takeOutput().shape());
        answering().backward(pass, parameters, gradients, dOutput);
        Pass encoding = pass.source();
        if (encoding != null) {
            forEachLink((encoder, decoder) -> encoding.keepEndGradient(encoder, pass.startGradient(decoder)));
            chains.get(0).backward(encoding, parameters, gradients, null);
        }
    }

    /** The last layer that reads lengths, where it puts out sequences; -1 where it does not. */
    private static int lastOfSteps(ModelSpec spec) {
        int last = -1;
        Form form = spec.input();
        for (int k = 0; k < spec.layers().size(); k++) {
            Layer layer = spec.layers().get(k);
            form = layer.output(form);
            if (layer instanceof Lstm || layer instanceof TimeReversal) {
                last = form.kind() == Form.Kind.SEQUENCE ? k : -1;
            }
        }
        return last;
    }

    /** A tensor {@code [T, N, C]} or {@code [N, C]} as rows {@code [M, C]}. */
    public static Tensor rows(Tensor tensor) {
        int width = tensor.shape().extent(tensor.shape().rank() - 1);
        return tensor.reshape(Math.toIntExact(tensor.elements() / width), width);
    }

    private static void requireInput(Form form, Tensor input) {
        boolean fits = switch (form.kind()) {
            case SEQUENCE -> input.shape().rank() == 3 && input.shape().extent(2) == form.features();
            case VECTOR -> input.shape().rank() == 2 && input.shape().extent(1) == form.features();
            case TOKENS -> input.shape().rank() == 2;
        };
        if (!fits) {
            throw new IllegalArgumentException("the model reads " + form + " but got " + input);
        }
    }

    /** A table of the layers, what they put out and how many parameters they have, as Keras prints it. */
    public String summary() {
        List<String[]> table = new ArrayList<>();
        table.add(new String[] {"Layer", "Output", "Parameters"});
        for (Chain chain : chains) {
            Form form = chain.spec().input();
            for (int k = 0; k < chain.nodes().size(); k++) {
                Node node = chain.nodes().get(k);
                Layer layer = chain.spec().layers().get(k);
                form = layer.output(form);
                long count = node.views.stream()
                        .mapToLong(view -> view.shape().elements())
                        .sum();
                table.add(new String[] {
                    node.name + ": " + layer.summary(), form.toString(), String.format(Locale.ROOT, "%,d", count)
                });
            }
        }
        int[] widths = IntStream.range(0, 3)
                .map(column -> table.stream()
                        .mapToInt(row -> row[column].length())
                        .max()
                        .orElse(0))
                .toArray();
        StringBuilder text = new StringBuilder();
        for (String[] row : table) {
            text.append(String.format(
                    "%-" + widths[0] + "s  %-" + widths[1] + "s  %" + widths[2] + "s%n", row[0], row[1], row[2]));
        }
        return text.append(String.format(Locale.ROOT, "%,d parameters on %s", parameterCount(), engine.description()))
                .toString();
    }

    /** Gives the parameters' memory back. Closing twice does nothing. */
    @Override
    public void close() {
        scope.close();
    }
}
