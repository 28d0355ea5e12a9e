package carousel.engine.vector;

import static carousel.tensor.HostStorage.floats;
import static carousel.tensor.HostStorage.integers;
import static carousel.tensor.HostStorage.start;

import carousel.engine.EngineOptions;
import carousel.engine.HostEngine;
import carousel.engine.Loss;
import carousel.engine.LstmInput;
import carousel.engine.LstmInputGradient;
import carousel.engine.LstmOutput;
import carousel.engine.LstmSpec;
import carousel.engine.LstmTape;
import carousel.engine.RandomKey;
import carousel.engine.Shapes;
import carousel.engine.Update;
import carousel.tensor.ElementType;
import carousel.tensor.MemoryUse;
import carousel.tensor.Precision;
import carousel.tensor.Scope;
import carousel.tensor.Tensor;
import java.util.Arrays;

/**
 * The seam in single precision on all processors. How work is split depends on its size alone and every sum has a fixed
 * order: the same inputs give the same bits with any number of threads.
 */
public final class VectorEngine extends HostEngine {
    private final Kernels kernels;
    private final Workers workers;
    private final WorkerBuffers[] buffers;
    private final LstmForward forward;
    private final LstmBackward backward;
    private final Linear linear;
    private final Elementwise elementwise;
    private final Losses losses;

    /** Opens an engine with these threads; its threads end with {@link #close()}. */
    public VectorEngine(EngineOptions options) {
        this(options, Kernels.best());
    }

    VectorEngine(EngineOptions options, Kernels kernels) {
        super(ElementType.FLOAT32, options.guards());
        this.kernels = kernels;
        boolean guards = options.guards();
        workers = new Workers(options.threads());
        buffers = new WorkerBuffers[options.threads()];
        Arrays.setAll(buffers, worker -> new WorkerBuffers(kernels, guards));
        forward = new LstmForward(kernels, workers, buffers, guards);
        backward = new LstmBackward(kernels, workers, buffers, guards);
        linear = new Linear(kernels, workers, buffers, guards);
        elementwise = new Elementwise(workers, buffers);
        losses = new Losses(workers);
    }

    @Override
    public String name() {
        return VectorEngineProvider.NAME;
    }

    @Override
    public String description() {
        return "vector (FP32, " + workers.count() + (workers.count() == 1 ? " thread, " : " threads, ")
                + kernels.description() + ")";
    }

    @Override
    public Precision precision() {
        return Precision.FP32;
    }

    /** What the tensors occupy; buffers that the engine keeps from call to call count as pooled. */
    @Override
    public MemoryUse memory() {
        MemoryUse use = super.memory();
        long kept = Arrays.stream(buffers).mapToLong(WorkerBuffers::bytes).sum()
                + forward.bytes()
                + backward.bytes()
                + linear.bytes();
        return new MemoryUse(use.inUse(), use.peak(), use.pooled() + kept);
    }

    @Override
    public LstmTape openTape(Scope scope, LstmSpec spec, int timeSteps, int batchSize) {
        requireSupported(spec);
        return new VectorTape(spec, scope, timeSteps, batchSize);
    }

    @Override
    public void lstmForward(LstmSpec spec, Tensor parameters, LstmInput input, LstmOutput output, LstmTape tape) {
        requireSupported(spec);
        Shapes.requireForward(spec, parameters, input, output, tape);
        VectorTape trace = (VectorTape) tape;
        int timeSteps = input.x().shape().extent(0);
        int batchSize = input.x().shape().extent(1);
        boolean drops = spec.dropout() > 0 && input.dropout() != null;
        try (Scope workspace = openScope("forward workspace")) {
            Tensor x = input.x();
            for (int layer = 0; layer < spec.layers(); layer++) {
                boolean top = layer == spec.layers() - 1;
                Tensor y = top
                        ? output.y()
                        : trace != null
                                ? trace.layerOutput(layer)
                                : workspace.allocate("layer output", timeSteps, batchSize, spec.sequenceWidth());
                forward.run(spec, layer, parameters, input, x, y, output, trace);
                x = y;
                if (!top && drops) {
                    // Undropped outputs are also the record of h, which the backward pass needs.
                    x = trace != null ? trace.dropped(layer) : y;
                    dropout(y, spec.dropout(), input.dropout().substream(layer), x);
                }
            }
        }
        if (tape != null) {
            tape.record(parameters, input, output);
        }
    }

    @Override
    public void lstmBackward(
            LstmTape tape, LstmOutput outputGradient, Tensor parameterGradients, LstmInputGradient inputGradient) {
        Shapes.requireBackward(tape, outputGradient, parameterGradients, inputGradient);
        tape.consume();
        VectorTape trace = (VectorTape) tape;
        LstmSpec spec = tape.spec();
        LstmInput input = tape.input();
        boolean drops = spec.dropout() > 0 && input.dropout() != null;
        try (Scope workspace = openScope("backward workspace")) {
            Tensor dy = outputGradient.y();
            for (int layer = spec.layers() - 1; layer >= 0; layer--) {
                Tensor dx = layer == 0
                        ? inputGradient.dx()
                        : workspace.allocate(
                                "layer input gradient", tape.timeSteps(), tape.batchSize(), spec.sequenceWidth());
                backward.run(trace, layer, dy, outputGradient, parameterGradients, dx, inputGradient, workspace);
                if (layer > 0 && drops) {
                    dropout(dx, spec.dropout(), input.dropout().substream(layer - 1), dx);
                }
                dy = dx;
            }
        }
    }

    @Override
    public void linearForward(Tensor x, Tensor weights, Tensor bias, Tensor y) {
        Shapes.requireLinear(x, weights, bias, y);
        linear.forward(matrix(x), matrix(weights), row(bias), matrix(y));
    }

    @Override
    public void linearBackward(
            Tensor x, Tensor weights, Tensor dy, Tensor weightsGradient, Tensor biasGradient, Tensor dx) {
        Shapes.requireLinear(x, weights, null, dy);
        Shapes.requireLinear(x, weightsGradient, biasGradient, dy);
        if (dx != null) {
            Shapes.require("dx", dx, x.shape().extent(0), x.shape().extent(1));
        }
        linear.backward(
                matrix(x),
                matrix(weights),
                matrix(dy),
                matrix(weightsGradient),
                row(biasGradient),
                dx == null ? null : matrix(dx));
    }

    @Override
    public void embeddingForward(Tensor ids, Tensor table, Tensor y) {
        Shapes.requireEmbedding(ids, table, y);
        Linear.Matrix from = matrix(table);
        Linear.Matrix to = matrix(y);
        for (int m = 0; m < to.rows(); m++) {
            System.arraycopy(from.values(), from.at(id(ids, m, from.rows())), to.values(), to.at(m), to.columns());
        }
    }

    @Override
    public void embeddingBackward(Tensor ids, Tensor dy, Tensor tableGradient) {
        Shapes.requireEmbedding(ids, tableGradient, dy);
        Linear.Matrix from = matrix(dy);
        Linear.Matrix to = matrix(tableGradient);
        for (int m = 0; m < from.rows(); m++) {
            int row = to.at(id(ids, m, to.rows()));
            for (int k = 0; k < to.columns(); k++) {
                to.values()[row + k] += from.values()[from.at(m) + k];
            }
        }
    }

    @Override
    public void dropout(Tensor x, double rate, RandomKey key, Tensor y) {
        Shapes.requireDropout(x, rate, y);
        elementwise.dropout(span(x), rate, key, span(y));
    }

    @Override
    public void loss(
            Loss loss, Tensor predictions, Tensor targets, Tensor rowWeights, Tensor report, Tensor dPredictions) {
        Shapes.requireLoss(loss, predictions, targets, rowWeights, report, dPredictions);
        Losses.Batch batch = new Losses.Batch(
                matrix(predictions),
                loss.labelled() ? integers(targets) : null,
                loss.labelled() ? null : floats(targets),
                start(targets),
                span(rowWeights),
                dPredictions == null ? null : matrix(dPredictions));
        write(report, losses.compute(loss, batch));
    }

    @Override
    public void squaredNorm(Tensor x, Tensor result) {
        Shapes.requireElements("result", result, 1);
        floats(result)[start(result)] = (float) elementwise.squaredNorm(span(x));
    }

    @Override
    public void update(Update update, Tensor parameters, Tensor gradients, Tensor firstMoment, Tensor secondMoment) {
        Shapes.requireUpdate(update, parameters, gradients, firstMoment, secondMoment);
        Tensor square = update.squaredNorm();
        double clip = update.clipFactor(square == null ? 0 : floats(square)[start(square)]);
        elementwise.update(update, clip, span(parameters), span(gradients), span(firstMoment), span(secondMoment));
    }

    @Override
    public void close() {
        workers.close();
        super.close();
    }

    /** A tensor of two dimensions. */
    private static Linear.Matrix matrix(Tensor tensor) {
        return new Linear.Matrix(
                floats(tensor),
                start(tensor),
                tensor.shape().extent(0),
                tensor.shape().extent(1));
    }

    /** A tensor of one dimension as a matrix of one row; null stays null. */
    private static Linear.Matrix row(Tensor tensor) {
        return tensor == null ? null : new Linear.Matrix(floats(tensor), start(tensor), 1, (int) tensor.elements());
    }

    /** All of a tensor; null stays null. */
    private static Elementwise.Span span(Tensor tensor) {
        return tensor == null
                ? null
                : new Elementwise.Span(floats(tensor), start(tensor), Math.toIntExact(tensor.elements()));
    }
}
