package carousel.lesson;

import carousel.data.Batch;
import carousel.data.BatchSource;
import carousel.engine.Engine;
import carousel.engine.ParameterLayout;
import carousel.engine.ParameterView;
import carousel.engine.RandomSequence;
import carousel.layer.Initializer;
import carousel.optimizer.Optimizer;
import carousel.tensor.Scope;
import carousel.tensor.Tensor;
import carousel.training.DivergenceException;
import java.util.Arrays;

/**
 * A {@link TanhRnn} with an output layer, trained as the LSTM is. The recurrence runs on the host; the output layer, the loss
 * and the optimizer are the engine's.
 */
final class RnnLearner implements AutoCloseable {
    /** Streams of the starting weights, beside those of the layers of a model. */
    private static final int INITIAL_WEIGHTS = 1;

    private final Engine engine;
    private final Optimizer optimizer;
    private final int hiddenSize;
    private final TanhRnn network;
    private final Scope scope;
    private final Tensor parameters;
    private final Tensor gradients;
    private final OutputLayer output;
    private final OutputLayer outputGradients;
    private final Optimizer.State optimizerState;
    private final double[] hostParameters;
    private final double[] hostGradients;
    private double[] h = new double[0];
    private double[] dh = new double[0];
    private final long parameterCount;
    private long step;

    RnnLearner(Engine engine, int inputSize, int hiddenSize, Optimizer optimizer, long seed) {
        this.engine = engine;
        this.optimizer = optimizer;
        this.hiddenSize = hiddenSize;
        ParameterLayout layout = new ParameterLayout();
        this.network = new TanhRnn(inputSize, hiddenSize, layout);
        ParameterView weights = layout.add("dense.weight", 1, hiddenSize);
        ParameterView bias = layout.add("dense.bias", 1);
        int elements = Math.toIntExact(layout.elements());
        this.parameterCount = layout.views().stream()
                .mapToLong(view -> view.shape().elements())
                .sum();
        this.hostParameters = new double[elements];
        this.hostGradients = new double[elements];
        this.scope = engine.openScope("rnn");
        try {
            this.parameters = scope.allocate("parameters", elements);
            this.gradients = scope.allocate("gradients", elements);
            this.optimizerState = optimizer.open(engine, scope, elements);
        } catch (RuntimeException e) {
            scope.close();
            throw e;
        }
        this.output = new OutputLayer(engine, weights.in(parameters), bias.in(parameters));
        this.outputGradients = new OutputLayer(engine, weights.in(gradients), bias.in(gradients));
        network.initialize(hostParameters, new RandomSequence(seed, INITIAL_WEIGHTS, 0));
        double[] drawn = new double[hiddenSize];
        new Initializer.GlorotUniform().fill(drawn, 1, hiddenSize, new RandomSequence(seed, INITIAL_WEIGHTS, 1));
        System.arraycopy(drawn, 0, hostParameters, Math.toIntExact(weights.offset()), hiddenSize);
        engine.write(parameters, hostParameters);
        // The engine may have rounded them.
        engine.read(parameters, hostParameters);
    }

    /** How many numbers are trained; the buffer's gaps are not counted. */
    long parameterCount() {
        return parameterCount;
    }

    /**
     * One step of training. Returns the batch's mean squared error before it.
     *
     * @throws DivergenceException when that is no finite number
     */
    double train(Batch batch) {
        double loss;
        try (Scope stepScope = engine.openScope("step")) {
            loss = backward(stepScope, batch) / batch.batchSize();
            if (!Double.isFinite(loss)) {
                throw new DivergenceException(
                        step + 1, loss, optimizer.schedule().rate(step));
            }
            engine.write(gradients, hostGradients);
            optimizerState.step(parameters, gradients, step, 1);
            engine.read(parameters, hostParameters);
        }
        step++;
        return loss;
    }

    /** The mean squared error over one epoch of a source. */
    double error(BatchSource source) {
        double sum = 0;
        long count = 0;
        for (long number = 0; number < source.batchesPerEpoch(); number++) {
            Batch batch = source.batch(number);
            try (Scope evaluation = engine.openScope("evaluation")) {
                sum += output.loss(evaluation, lastState(evaluation, batch), batch);
            }
            count += batch.batchSize();
        }
        return sum / count;
    }

    /** The norms of the gradient of a batch's squared error. */
    GradientNorms norms(Batch batch) {
        try (Scope probe = engine.openScope("gradients through time")) {
            backward(probe, batch);
            return new GradientNorms(GradientNorms.ofSteps(dh, batch.timeSteps(), batch.batchSize()), null);
        }
    }

    /** Leaves the gradients of the parameters and of every state on the host. Returns the loss summed over the batch. */
    private double backward(Scope stepScope, Batch batch) {
        Tensor last = lastState(stepScope, batch);
        engine.fill(gradients, 0);
        OutputLayer.Gradient gradient = output.gradient(stepScope, last, batch, outputGradients);
        double[] dhLast = new double[batch.batchSize() * hiddenSize];
        engine.read(gradient.dh(), dhLast);
        dh = dh.length == h.length ? dh : new double[h.length];
        System.arraycopy(dhLast, 0, dh, dh.length - dhLast.length, dhLast.length);
        engine.read(gradients, hostGradients);
        network.backward(hostParameters, batch.inputs(), batch.timeSteps(), batch.batchSize(), h, dh, hostGradients);
        return gradient.loss();
    }

    private Tensor lastState(Scope stepScope, Batch batch) {
        int batchSize = batch.batchSize();
        int elements = Math.multiplyExact(Math.multiplyExact(batch.timeSteps() + 1, batchSize), hiddenSize);
        // Of a reused array only h_0 is read, which stays zero.
        h = h.length == elements ? h : new double[elements];
        network.forward(hostParameters, batch.inputs(), batch.timeSteps(), batchSize, h);
        Tensor last = stepScope.allocate("last h", batchSize, hiddenSize);
        engine.write(last, Arrays.copyOfRange(h, h.length - batchSize * hiddenSize, h.length));
        return last;
    }

    @Override
    public void close() {
        scope.close();
    }
}
