package carousel.layer;

import carousel.engine.Dual;
import carousel.engine.Engine;
import carousel.engine.Loss;
import carousel.engine.LstmInput;
import carousel.engine.LstmInputGradient;
import carousel.engine.LstmLayout;
import carousel.engine.LstmOutput;
import carousel.engine.LstmSpec;
import carousel.engine.LstmState;
import carousel.engine.LstmTape;
import carousel.engine.ParameterView;
import carousel.engine.SecondOrder;
import carousel.tensor.Scope;
import carousel.tensor.Shape;
import carousel.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;

/**
 * One batch forward and back through all layers together with its tangents. Values are the nodes' own business, but for the LSTM's,
 * whose engine calls give both at once; what is said here is how each layer's output and gradients change along the direction.
 */
final class HessianPass {
    private final Engine engine;
    private final SecondOrder second;
    private final ModelSpec spec;
    private final List<Node> nodes;
    private final Dual<Tensor> parameters;
    private final Dual<Tensor> gradients;
    private final Pass pass;
    private final Scope scope;
    /** What each layer read, and put out. */
    private final Tensor[] inputTangents;

    private final Tensor[] outputTangents;

    HessianPass(
            Engine engine,
            ModelSpec spec,
            List<Node> nodes,
            Dual<Tensor> parameters,
            Dual<Tensor> gradients,
            Pass pass) {
        requireKnown(spec, pass);
        this.engine = engine;
        this.second = engine.secondOrder();
        this.spec = spec;
        this.nodes = nodes;
        this.parameters = parameters;
        this.gradients = gradients;
        this.pass = pass.withRecord();
        this.scope = pass.scope();
        this.inputTangents = new Tensor[nodes.size()];
        this.outputTangents = new Tensor[nodes.size()];
    }

    private static void requireKnown(ModelSpec spec, Pass pass) {
        if (spec.encoder() != null) {
            throw new IllegalArgumentException(
                    "a product with the Hessian should be of a model without an encoder but got " + spec);
        }
        for (Layer layer : spec.layers()) {
            for (Layer leaf : layer.leaves()) {
                if (leaf instanceof Lstm lstm && lstm.learnedInitialState()) {
                    throw new IllegalArgumentException(
                            "a product with the Hessian should be of LSTM layers that start from zeros or a carried state"
                                    + " but got one with a learned initial state, " + lstm.summary());
                }
            }
        }
        if (pass.startsAnew()) {
            throw new IllegalArgumentException(
                    "a product with the Hessian should be of whole sequences but got resets: cut the sequences there");
        }
    }

    /**
     * @param chain the model's layers
     * @param lastOfSteps the layer behind which steps that were left out are put back, and whether they show what was before
     */
    void run(
            Loss loss,
            Tensor targets,
            Tensor rowWeights,
            Tensor report,
            List<Node> chain,
            int lastOfSteps,
            boolean held) {
        pass.prepare(nodes.size());
        pass.readSteps(lastOfSteps >= 0);
        boolean steps = spec.input().kind() == Form.Kind.SEQUENCE;
        Dual<Tensor> activation = Dual.constant(steps ? pass.arrange(pass.input(), null) : pass.input());
        for (int k = 0; k < chain.size(); k++) {
            activation = forward(chain.get(k), spec.layers().get(k), activation);
            if (k == lastOfSteps) {
                Tensor tangent = activation.tangent();
                activation = new Dual<>(
                        pass.rearrange(activation.value(), held ? chain.get(k).index : -1),
                        tangent == null ? null : pass.rearrangeTangent(tangent, held));
            }
        }
        Dual<Tensor> gradient = lossGradient(loss, activation, targets, rowWeights, report);
        for (int k = chain.size() - 1; k >= 0; k--) {
            if (k == lastOfSteps) {
                // What came before the first step is constant: nobody asks for its gradient.
                gradient = new Dual<>(
                        pass.rearrangeBackward(gradient.value(), false),
                        pass.rearrangeBackward(gradient.tangent(), false));
            }
            gradient = backward(chain.get(k), spec.layers().get(k), gradient, k > 0);
        }
    }

    private Dual<Tensor> lossGradient(
            Loss loss, Dual<Tensor> output, Tensor targets, Tensor rowWeights, Tensor report) {
        Tensor predictions = Model.rows(output.value());
        Dual<Tensor> gradient = allocate("output gradient", output.value().shape());
        engine.loss(loss, predictions, targets, rowWeights, report, Model.rows(gradient.value()));
        Tensor change = output.tangent() == null ? zeros("no change", output.value()) : output.tangent();
        second.loss(loss, new Dual<>(predictions, Model.rows(change)), rowWeights, Model.rows(gradient.tangent()));
        return gradient;
    }

    private Dual<Tensor> forward(Node node, Layer layer, Dual<Tensor> input) {
        int k = node.index;
        inputTangents[k] = input.tangent();
        if (layer instanceof Residual residual) {
            Dual<Tensor> y = input;
            List<Node> inner = inner(node, residual);
            for (int each = 0; each < inner.size(); each++) {
                y = forward(inner.get(each), residual.layers().get(each), y);
            }
            return sum(y, input);
        } else if (layer instanceof Lstm lstm) {
            return lstmForward(k, lstm, input);
        }
        Tensor y = node.forward(pass, parameters.value(), input.value());
        outputTangents[k] = tangent(k, layer, input, y);
        return new Dual<>(y, outputTangents[k]);
    }

    /** The layers inside, which are numbered after the one around them. */
    private List<Node> inner(Node node, Residual residual) {
        List<Node> inner = new ArrayList<>();
        int next = node.index + 1;
        for (int each = 0; each < residual.layers().size(); each++) {
            Node child = nodes.get(next);
            inner.add(child);
            next += (int) child.all().count();
        }
        return inner;
    }

    /** A tangent that is missing is zero. */
    private Dual<Tensor> sum(Dual<Tensor> a, Dual<Tensor> b) {
        return new Dual<>(
                sum(a.value(), b.value()),
                a.tangent() == null ? b.tangent() : b.tangent() == null ? a.tangent() : sum(a.tangent(), b.tangent()));
    }

    private Tensor sum(Tensor a, Tensor b) {
        Tensor sum = scope.allocate("sum", a.shape().toArray());
        engine.copyColumns(
                Model.rows(a), 0, Model.rows(sum), 0, Model.rows(a).shape().extent(1));
        engine.add(b, sum);
        return sum;
    }

    /** How a layer's output changes; null where it does not. */
    private Tensor tangent(int k, Layer layer, Dual<Tensor> input, Tensor y) {
        if (layer instanceof Dense) {
            return denseTangent(k, input, y);
        } else if (layer instanceof Embedding embedding) {
            Shape tokens = input.value().shape();
            Tensor change = scope.allocate("change of embedded", tokens.extent(0), tokens.extent(1), embedding.width());
            engine.embeddingForward(flat(input.value()), view(k, 0).in(parameters.tangent()), Model.rows(change));
            return pass.arrangeTangent(change);
        } else if (input.tangent() == null) {
            return null;
        } else if (layer instanceof Activation activation) {
            // Jacobians of all functions are symmetric.
            Tensor change = scope.allocate("change of activation", y.shape().toArray());
            engine.activationBackward(
                    activation.function(), Model.rows(y), Model.rows(input.tangent()), Model.rows(change));
            return change;
        } else if (layer instanceof Masking) {
            return pass.leaveOutTangent(input.tangent());
        }
        // Dropout and reversal of time are linear and have no parameters: they are their own tangents.
        return nodes.get(k).forward(pass, parameters.value(), input.tangent());
    }

    /** {@code y' = W' x + b' + W x'}. */
    private Tensor denseTangent(int k, Dual<Tensor> input, Tensor y) {
        ParameterView weights = view(k, 0);
        Tensor bias = hasBias(k) ? view(k, 1).in(parameters.tangent()) : null;
        Tensor change = scope.allocate("change of dense", y.shape().toArray());
        engine.linearForward(Model.rows(input.value()), weights.in(parameters.tangent()), bias, Model.rows(change));
        if (input.tangent() != null) {
            Tensor share = scope.allocate("share of x", y.shape().toArray());
            engine.linearForward(Model.rows(input.tangent()), weights.in(parameters.value()), null, Model.rows(share));
            engine.add(share, change);
        }
        return change;
    }

    private Dual<Tensor> backward(Node node, Layer layer, Dual<Tensor> dOutput, boolean wanted) {
        int k = node.index;
        if (layer instanceof Residual residual) {
            Dual<Tensor> dx = dOutput;
            List<Node> inner = inner(node, residual);
            for (int each = inner.size() - 1; each >= 0; each--) {
                dx = backward(inner.get(each), residual.layers().get(each), dx, wanted || each > 0);
            }
            return wanted ? sum(dx, dOutput) : new Dual<>(null, null);
        } else if (layer instanceof Lstm lstm) {
            return lstmBackward(k, lstm, dOutput, wanted);
        }
        Tensor dx = node.backward(pass, parameters.value(), gradients.value(), dOutput.value(), wanted);
        return new Dual<>(dx, gradientTangent(k, layer, dOutput, wanted));
    }

    /** How the gradient of a layer's input changes, or null where it is not wanted; adds how those of its parameters do. */
    private Tensor gradientTangent(int k, Layer layer, Dual<Tensor> dOutput, boolean wanted) {
        if (layer instanceof Dense) {
            return denseGradientTangent(k, dOutput, wanted);
        } else if (layer instanceof Embedding) {
            Tensor change = pass.arrangeBackward(dOutput.tangent());
            engine.embeddingBackward(
                    flat(pass.input(k)), Model.rows(change), view(k, 0).in(gradients.tangent()));
            return null;
        } else if (!wanted) {
            return null;
        } else if (layer instanceof Activation activation) {
            Tensor y = pass.result(k);
            Tensor change = scope.allocate("change of dx", y.shape().toArray());
            second.activationBackward(
                    activation.function(),
                    new Dual<>(Model.rows(y), outputTangents[k] == null ? null : Model.rows(outputTangents[k])),
                    new Dual<>(Model.rows(dOutput.value()), Model.rows(dOutput.tangent())),
                    Model.rows(change));
            return change;
        }
        return nodes.get(k).backward(pass, parameters.value(), gradients.value(), dOutput.tangent(), true);
    }

    /** {@code dW' += dy'^T x + dy^T x', db' += sum dy', dx' = dy' W + dy W'}. */
    private Tensor denseGradientTangent(int k, Dual<Tensor> dOutput, boolean wanted) {
        ParameterView weights = view(k, 0);
        Tensor x = pass.input(k);
        Tensor dWeights = weights.in(gradients.tangent());
        Tensor dBias = hasBias(k) ? view(k, 1).in(gradients.tangent()) : null;
        Tensor change = wanted ? scope.allocate("change of dx", x.shape().toArray()) : null;
        engine.linearBackward(
                Model.rows(x),
                weights.in(parameters.value()),
                Model.rows(dOutput.tangent()),
                dWeights,
                dBias,
                wanted ? Model.rows(change) : null);
        if (wanted || inputTangents[k] != null) {
            Tensor xChange = inputTangents[k] == null ? zeros("no change", x) : inputTangents[k];
            Tensor share = wanted ? scope.allocate("share of W", x.shape().toArray()) : null;
            engine.linearBackward(
                    Model.rows(xChange),
                    weights.in(parameters.tangent()),
                    Model.rows(dOutput.value()),
                    dWeights,
                    null,
                    wanted ? Model.rows(share) : null);
            if (wanted) {
                engine.add(share, change);
            }
        }
        return change;
    }

    private Dual<Tensor> lstmForward(int k, Lstm layer, Dual<Tensor> input) {
        Tensor x = input.value();
        LstmSpec lstm = lstmSpec(layer, x);
        int timeSteps = x.shape().extent(0);
        int batchSize = pass.batchSize();
        LstmTape tape = second.openTape(scope, lstm, timeSteps, batchSize);
        ModelState carried = pass.state();
        Shape states = Shape.of(lstm.states(), batchSize, lstm.outputSize());
        Dual<Tensor> y = allocate("y", Shape.of(timeSteps, batchSize, lstm.sequenceWidth()));
        Dual<Tensor> h = layer.returnSequences() ? new Dual<>(null, null) : allocate("last h", states);
        if (carried != null) {
            h = new Dual<>(carried.after(k).h(), h.tangent());
        }
        pass.keepStart(k, carried == null ? null : carried.before(k));
        LstmState last = carried != null ? carried.after(k) : new LstmState(h.value(), null);
        second.lstmForward(
                lstm,
                block(k, lstm, parameters),
                new Dual<>(
                        new LstmInput(x, pass.lengths(), pass.start(k), pass.random(k), null),
                        LstmInput.of(input.tangent())),
                new Dual<>(
                        new LstmOutput(y.value(), last), new LstmOutput(y.tangent(), new LstmState(h.tangent(), null))),
                tape);
        pass.keepInput(k, x);
        pass.keepTape(k, tape);
        return layer.returnSequences()
                ? y
                : new Dual<>(
                        LastOutput.of(pass, lstm, h.value(), "second order"),
                        LastOutput.of(pass, lstm, h.tangent(), "second order"));
    }

    private Dual<Tensor> lstmBackward(int k, Lstm layer, Dual<Tensor> dOutput, boolean wanted) {
        Tensor x = pass.input(k);
        LstmSpec lstm = lstmSpec(layer, x);
        Dual<Tensor> dx = wanted ? allocate("dx", x.shape()) : new Dual<>(null, null);
        second.lstmBackward(
                pass.tape(k),
                new Dual<>(
                        outputGradient(lstm, layer, dOutput.value()), outputGradient(lstm, layer, dOutput.tangent())),
                block(k, lstm, gradients),
                new Dual<>(new LstmInputGradient(dx.value(), null), new LstmInputGradient(dx.tangent(), null)));
        return dx;
    }

    private LstmOutput outputGradient(LstmSpec lstm, Lstm layer, Tensor dOutput) {
        return layer.returnSequences()
                ? new LstmOutput(dOutput, null)
                : LastOutput.gradient(pass, lstm, dOutput, "second order");
    }

    private static LstmSpec lstmSpec(Lstm layer, Tensor x) {
        return layer.spec().withInputSize(x.shape().extent(2));
    }

    /** All parameters of an LSTM, which lie side by side. */
    private Dual<Tensor> block(int k, LstmSpec lstm, Dual<Tensor> buffers) {
        Shape shape = Shape.of(Math.toIntExact(LstmLayout.of(lstm).elements()));
        ParameterView block =
                new ParameterView(nodes.get(k).name, shape, view(k, 0).offset());
        return new Dual<>(block.in(buffers.value()), block.in(buffers.tangent()));
    }

    private ParameterView view(int k, int index) {
        return nodes.get(k).views.get(index);
    }

    private boolean hasBias(int k) {
        return nodes.get(k).views.size() > 1;
    }

    private static Tensor flat(Tensor tokens) {
        return tokens.reshape(Math.toIntExact(tokens.elements()));
    }

    private Dual<Tensor> allocate(String name, Shape shape) {
        return new Dual<>(scope.allocate(name, shape.toArray()), scope.allocate("change of " + name, shape.toArray()));
    }

    private Tensor zeros(String name, Tensor like) {
        Tensor zeros = scope.allocate(name, like.shape().toArray());
        engine.fill(zeros, 0);
        return zeros;
    }
}
