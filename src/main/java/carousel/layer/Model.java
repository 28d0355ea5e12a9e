package carousel.layer;

import carousel.engine.Direction;
import carousel.engine.Dual;
import carousel.engine.Engine;
import carousel.engine.EngineException;
import carousel.engine.Loss;
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
import java.util.concurrent.atomic.AtomicInteger;
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
        addLstms(spec.input(), spec.layers(), lstms);
        return lstms;
    }

    private static void addLstms(Form input, List<Layer> layers, List<LstmSpec> lstms) {
        Form form = input;
        for (Layer layer : layers) {
            if (layer instanceof Lstm lstm) {
                lstms.add(lstm.spec().withInputSize(form.features()));
            } else if (layer instanceof Residual residual) {
                addLstms(form, residual.layers(), lstms);
            }
            form = layer.output(form);
        }
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
        AtomicInteger next = new AtomicInteger();
        if (spec.encoder() == null) {
            return List.of(bind(spec, "", layout, next));
        }
        Chain encoder = bind(spec.encoder(), "encoder.", layout, next);
        return List.of(encoder, bind(spec, "decoder.", layout, next));
    }

    private static Chain bind(ModelSpec spec, String prefix, ParameterLayout layout, AtomicInteger next) {
        List<Node> nodes = bind(spec.input(), spec.layers(), prefix, layout, new HashMap<>(), next);
        return new Chain(spec, nodes, lastOfSteps(spec));
    }

    /**
     * Numbers layers and names them by their kind, those inside a layer after it as if they stood there: a residual connection
     * changes no other layer's name.
     *
     * @param prefix of the names
     * @param counts layers of each kind so far
     * @param next the number of the next layer
     */
    private static List<Node> bind(
            Form input,
            List<Layer> layers,
            String prefix,
            ParameterLayout layout,
            Map<String, Integer> counts,
            AtomicInteger next) {
        List<Node> nodes = new ArrayList<>();
        Form form = input;
        for (Layer layer : layers) {
            int same = counts.merge(layer.kind(), 1, Integer::sum) - 1;
            String name = prefix + layer.kind() + (same == 0 ? "" : "_" + same);
            Form read = form;
            nodes.add(Node.bind(
                    layer,
                    next.getAndIncrement(),
                    name,
                    read,
                    layout,
                    () -> bind(read, ((Residual) layer).layers(), prefix, layout, counts, next)));
            Node.requireFits(name, layout.elements());
            form = layer.output(form);
        }
        return nodes;
    }

    /** All layers, those inside others included, in the order of their numbers. */
    private static List<Node> nodes(List<Chain> chains) {
        return chains.stream()
                .flatMap(chain -> chain.nodes().stream())
                .flatMap(Node::all)
                .toList();
    }

    /**
     * Layers each of which reads what the one before puts out.
     *
     * @param spec theirs; an encoder in it counts for nothing
     * @param lastOfSteps the place of the last one that reads lengths, or has one inside; -1 where there is none
     */
    private record Chain(ModelSpec spec, List<Node> nodes, int lastOfSteps) {
        Tensor forward(Pass pass, Tensor parameters) {
            requireInput(spec.input(), pass);
            pass.readSteps(lastOfSteps >= 0);
            Tensor activation = pass.input();
            if (spec.input().kind() == Form.Kind.SEQUENCE) {
                activation = pass.arrange(activation, null);
            }
            for (int k = 0; k < nodes.size(); k++) {
                activation = nodes.get(k).forward(pass, parameters, activation);
                if (k == lastOfSteps) {
                    activation = pass.rearrange(activation, heldWhereMasked() ? nodes.get(k).index : -1);
                }
            }
            return activation;
        }

        /** @param dOutput null for an encoder, whose output nobody reads */
        void backward(Pass pass, Tensor parameters, Tensor gradients, Tensor dOutput) {
            Tensor gradient = dOutput;
            for (int k = nodes.size() - 1; k >= 0; k--) {
                if (k == lastOfSteps && gradient != null) {
                    gradient = pass.rearrangeBackward(gradient, heldWhereMasked());
                }
                gradient = nodes.get(k).backward(pass, parameters, gradients, gradient, k > 0);
            }
        }

        /**
         * Whether a masked step shows the output before it: what was read before it is what came before it in time, and nothing is added
         * to what comes of it.
         */
        private boolean heldWhereMasked() {
            return spec.layers().get(lastOfSteps) instanceof Lstm lstm
                    && lstm.spec().direction() == Direction.FORWARD;
        }

        /** The LSTM layers, in the order of their numbers. */
        List<Node> lstms() {
            return nodes.stream()
                    .flatMap(Node::all)
                    .filter(node -> node.lstm() != null)
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
        if (spec.encoder() != null && pass.startsAnew()) {
            throw new IllegalArgumentException(
                    "a decoder's sequences start where the encoder ended and never anew in their"
                            + " midst: leave the resets out");
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
        List<Node> encoder = chains.get(0).lstms();
        List<Node> decoder = answering().lstms();
        for (int k = 0; k < encoder.size(); k++) {
            link.accept(encoder.get(k).index, decoder.get(k).index);
        }
    }

    private Chain answering() {
        return chains.get(chains.size() - 1);
    }

    /** The LSTM layers that are not the encoder's, in the order of their numbers. */
    List<Node> lstms() {
        return answering().lstms();
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

    /**
     * The gradient of a batch's loss, and how it changes as the parameters move along a direction {@code v}: the product {@code H v}
     * with the loss's Hessian, exact up to rounding, without the matrix and without differences (Pearlmutter 1994, Fast exact
     * multiplication by the Hessian; see {@link carousel.engine.SecondOrder}). It takes the multiplications of three gradients, its
     * own among them, and twice the memory of one. With it Newton's method works by conjugate gradients (Martens 2010).
     *
     * <pre>{@code
     * Tensor product = scope.allocate("H v", model.parameters().shape().toArray());
     * engine.fill(product, 0);
     * model.clearGradients();
     * Pass pass = Pass.inference(engine, scope, x, null);
     * model.hessianVectorProduct(pass, Loss.SOFTMAX_CROSS_ENTROPY, labels, null, v, report, product);
     * }</pre>
     *
     * @param pass the batch. One for training drops what its seed and step say: the same pass is the same function. One for
     *     inference drops nothing. States it carries count as constant.
     * @param targets of the output's rows, as {@link Engine#loss} takes them
     * @param rowWeights {@code [M]}, or null for 1 each
     * @param direction {@code v}, laid out like {@link #parameters()}
     * @param report {@code [3]}, as {@link Engine#loss} gives it
     * @param product like the parameters; {@code H v} is added to it, as the gradient is to {@link #gradients()}
     * @throws EngineException where the engine does not compute second derivatives
     * @throws IllegalArgumentException when a shape does not fit, or the model has an encoder or learned initial states, or the
     *     pass lets sequences start anew: of these there are no second derivatives yet
     */
    public void hessianVectorProduct(
            Pass pass, Loss loss, Tensor targets, Tensor rowWeights, Tensor direction, Tensor report, Tensor product) {
        Shapes.requireElements("the direction", direction, parameters.elements());
        Shapes.requireElements("the product", product, parameters.elements());
        requireSource(pass);
        requireInput(spec.input(), pass);
        Chain chain = answering();
        HessianPass hessian = new HessianPass(
                engine, spec, nodes, new Dual<>(parameters, direction), new Dual<>(gradients, product), pass);
        hessian.run(
                loss,
                targets,
                rowWeights,
                report,
                chain.nodes(),
                chain.lastOfSteps(),
                chain.lastOfSteps() >= 0 && chain.heldWhereMasked());
    }

    /** The place of the last layer that reads lengths, or has one inside; -1 where there is none. */
    private static int lastOfSteps(ModelSpec spec) {
        int last = -1;
        for (int k = 0; k < spec.layers().size(); k++) {
            if (spec.layers().get(k).leaves().stream()
                    .anyMatch(layer -> layer instanceof Lstm || layer instanceof TimeReversal)) {
                last = k;
            }
        }
        return last;
    }

    /** A tensor {@code [T, N, C]} or {@code [N, C]} as rows {@code [M, C]}. */
    public static Tensor rows(Tensor tensor) {
        int width = tensor.shape().extent(tensor.shape().rank() - 1);
        return tensor.reshape(Math.toIntExact(tensor.elements() / width), width);
    }

    private static void requireInput(Form form, Pass pass) {
        Tensor input = pass.input();
        boolean fits = switch (form.kind()) {
            case SEQUENCE -> input.shape().rank() == 3 && input.shape().extent(2) == form.features();
            case VECTOR -> input.shape().rank() == 2 && input.shape().extent(1) == form.features();
            case TOKENS -> input.shape().rank() == 2;
        };
        if (!fits) {
            throw new IllegalArgumentException("the model reads " + form + " but got " + input);
        }
        if (form.kind() == Form.Kind.VECTOR && pass.marked()) {
            throw new IllegalArgumentException(
                    "a mask and resets are of steps but the model reads " + form + ": leave them out");
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
                long count = node.all()
                        .flatMap(inner -> inner.views.stream())
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
