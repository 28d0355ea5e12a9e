package carousel.layer;

import carousel.engine.Direction;
import carousel.engine.Dual;
import carousel.engine.Engine;
import carousel.engine.EngineException;
import carousel.engine.Loss;
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
    private final int lastOfSteps;
    private final List<Node> nodes = new ArrayList<>();
    private final List<ParameterView> views = new ArrayList<>();
    private final Scope scope;
    private final Tensor parameters;
    private final Tensor gradients;

    private Model(Engine engine, ModelSpec spec) {
        this.engine = engine;
        this.spec = spec;
        this.lastOfSteps = lastOfSteps(spec);
        requireSupported(engine, spec);
        ParameterLayout layout = new ParameterLayout();
        nodes.addAll(bind(spec, layout));
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

    /** Throws {@link EngineException}, in the engine's words, when the engine does not compute the specification. */
    public static void requireSupported(Engine engine, ModelSpec spec) {
        Form form = spec.input();
        for (Layer layer : spec.layers()) {
            if (layer instanceof Lstm lstm) {
                engine.refusal(lstm.spec().withInputSize(form.features())).ifPresent(reason -> {
                    throw new EngineException(reason);
                });
            }
            form = layer.output(form);
        }
    }

    private static List<Node> bind(ModelSpec spec, ParameterLayout layout) {
        List<Node> nodes = new ArrayList<>();
        Map<String, Integer> counts = new HashMap<>();
        Form form = spec.input();
        for (Layer layer : spec.layers()) {
            int same = counts.merge(layer.kind(), 1, Integer::sum) - 1;
            String name = layer.kind() + (same == 0 ? "" : "_" + same);
            nodes.add(Node.bind(layer, nodes.size(), name, form, layout));
            Node.requireFits(name, layout.elements());
            form = layer.output(form);
        }
        return nodes;
    }

    /**
     * The parameters that a model of this specification has, without making one: see {@link #views()}.
     *
     * @throws IllegalArgumentException when they exceed one buffer, {@link Integer#MAX_VALUE} numbers
     */
    public static List<ParameterView> views(ModelSpec spec) {
        return bind(spec, new ParameterLayout()).stream()
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
     * Takes a batch through all layers.
     *
     * @return what the last layer puts out, {@code [N, K]} or {@code [T, N, K]}; lives as long as the pass's scope
     * @throws IllegalArgumentException when the input does not fit the first layer
     */
    public Tensor forward(Pass pass) {
        requireInput(pass.input());
        pass.prepare(nodes.size());
        Tensor activation = pass.input();
        for (Node node : nodes) {
            activation = node.forward(pass, parameters, activation);
            if (node.index == lastOfSteps) {
                activation = pass.unmask(activation, heldWhereMasked() ? lastOfSteps : -1);
            }
        }
        pass.keepOutput(activation);
        return activation;
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
        Tensor gradient = dOutput;
        for (int k = nodes.size() - 1; k >= 0; k--) {
            if (k == lastOfSteps && pass.mask() != null) {
                gradient = pass.mask().apartBackward(pass, gradient);
            }
            gradient = nodes.get(k).backward(pass, parameters, gradients, gradient, k > 0);
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
     * @throws IllegalArgumentException when a shape does not fit
     */
    public void hessianVectorProduct(
            Pass pass, Loss loss, Tensor targets, Tensor rowWeights, Tensor direction, Tensor report, Tensor product) {
        Shapes.requireElements("the direction", direction, parameters.elements());
        Shapes.requireElements("the product", product, parameters.elements());
        requireInput(pass.input());
        HessianPass hessian = new HessianPass(
                engine, spec, nodes, new Dual<>(parameters, direction), new Dual<>(gradients, product), pass);
        hessian.run(loss, targets, rowWeights, report, lastOfSteps, lastOfSteps >= 0 && heldWhereMasked());
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

    /** Whether a masked step shows the output before it: what was read before it is what came before it in time. */
    private boolean heldWhereMasked() {
        return spec.layers().get(lastOfSteps) instanceof Lstm lstm
                && lstm.spec().direction() == Direction.FORWARD;
    }

    /** A tensor {@code [T, N, C]} or {@code [N, C]} as rows {@code [M, C]}. */
    public static Tensor rows(Tensor tensor) {
        int width = tensor.shape().extent(tensor.shape().rank() - 1);
        return tensor.reshape(Math.toIntExact(tensor.elements() / width), width);
    }

    private void requireInput(Tensor input) {
        Form form = spec.input();
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
        Form form = spec.input();
        for (int k = 0; k < nodes.size(); k++) {
            Layer layer = spec.layers().get(k);
            form = layer.output(form);
            long count = nodes.get(k).views.stream()
                    .mapToLong(view -> view.shape().elements())
                    .sum();
            table.add(new String[] {
                nodes.get(k).name + ": " + layer.summary(), form.toString(), String.format(Locale.ROOT, "%,d", count)
            });
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
