package carousel.engine.vector;

import static carousel.tensor.HostStorage.floats;
import static carousel.tensor.HostStorage.start;

import carousel.engine.ActivationFunction;
import carousel.engine.EngineOptions;
import carousel.engine.HostEngine;
import carousel.engine.Loss;
import carousel.engine.LstmInput;
import carousel.engine.LstmInputGradient;
import carousel.engine.LstmLayout;
import carousel.engine.LstmOutput;
import carousel.engine.LstmSpec;
import carousel.engine.LstmState;
import carousel.engine.LstmTape;
import carousel.engine.RandomKey;
import carousel.engine.SecondOrder;
import carousel.engine.Shapes;
import carousel.engine.Update;
import carousel.tensor.ElementType;
import carousel.tensor.HostStorage;
import carousel.tensor.MemoryUse;
import carousel.tensor.Precision;
import carousel.tensor.Scope;
import carousel.tensor.Tensor;
import java.util.Arrays;

/**
 * The seam in single precision on all processors. Every element of a result is computed by one thread in a fixed order, however work
 * is split: the same inputs give the same bits with any number of threads.
 */
public final class VectorEngine extends HostEngine {
    private final Kernels kernels;
    private final Workers workers;
    private final WorkerBuffers[] buffers;
    private final PackedWeights packed;
    private final LstmForward forward;
    private final LstmBackward backward;
    /** Outputs, or their gradients, between one layer and the next. */
    private final Scratch[] between;

    private final Linear linear;
    private final Elementwise elementwise;
    private final ActivationRows activations;
    private final Losses losses;
    /** Null until it is asked for. */
    private VectorSecondOrder secondOrder;

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
        Arrays.setAll(buffers, worker -> new WorkerBuffers(guards));
        packed = new PackedWeights(kernels);
        forward = new LstmForward(kernels, workers, buffers, guards);
        backward = new LstmBackward(kernels, workers, buffers, guards);
        between = new Scratch[] {new Scratch(guards), new Scratch(guards)};
        linear = new Linear(kernels, workers, buffers, guards);
        elementwise = new Elementwise(kernels, workers, buffers);
        activations = new ActivationRows(kernels, workers);
        losses = new Losses(kernels, workers, buffers);
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
        long kept = packed.bytes()
                + forward.bytes()
                + backward.bytes()
                + between[0].bytes()
                + between[1].bytes()
                + linear.bytes();
        for (WorkerBuffers each : buffers) {
            kept += each.bytes();
        }
        kept += secondOrder == null ? 0 : secondOrder.bytes();
        return new MemoryUse(use.inUse(), use.peak(), use.pooled() + kept);
    }

    @Override
    public LstmTape openTape(Scope scope, LstmSpec spec, int timeSteps, int batchSize) {
        return new VectorTape(spec, scope, timeSteps, batchSize);
    }

    @Override
    public void lstmForward(LstmSpec spec, Tensor parameters, LstmInput given, LstmOutput output, LstmTape tape) {
        PackedStack stack = packed.of(spec, parameters, given == null ? null : given.dropout());
        Shapes.requireForward(
                spec, stack == null ? LstmLayout.of(spec) : stack.layout(), parameters, given, output, tape);
        LstmInput input = withLengthsAtHand(given);
        HostStorage.changed(output.y());
        changed(output.last());
        VectorTape trace = (VectorTape) tape;
        int width = input.x().shape().extent(0) * input.x().shape().extent(1) * spec.sequenceWidth();
        boolean drops = spec.dropout() > 0 && input.dropout() != null;
        float[] x = floats(input.x());
        int xAt = start(input.x());
        for (int layer = 0; layer < spec.layers(); layer++) {
            boolean top = layer == spec.layers() - 1;
            Tensor recorded = top ? output.y() : trace == null ? null : trace.layerOutput(layer);
            float[] y = recorded == null ? between[layer & 1].take(width) : floats(recorded);
            int yAt = recorded == null ? 0 : start(recorded);
            forward.run(stack, layer, parameters, input, x, xAt, y, yAt, output, trace);
            x = y;
            xAt = yAt;
            if (!top && drops) {
                if (trace != null) {
                    // Undropped outputs are also the record of h, which the backward pass needs.
                    x = floats(trace.dropped(layer));
                    xAt = start(trace.dropped(layer));
                }
                elementwise.dropout(
                        y, yAt, width, spec.dropout(), input.dropout().substream(layer), width, x, xAt);
            }
        }
        if (tape != null) {
            tape.record(parameters, input, output);
        }
    }

    @Override
    public void lstmBackward(
            LstmTape tape, LstmOutput outputGradient, Tensor parameterGradients, LstmInputGradient inputGradient) {
        PackedStack stack = packed.of(
                tape.spec(),
                tape.parameters(),
                tape.input() == null ? null : tape.input().dropout());
        Shapes.requireBackward(
                tape,
                stack == null ? LstmLayout.of(tape.spec()) : stack.layout(),
                outputGradient,
                parameterGradients,
                inputGradient);
        tape.consume();
        HostStorage.changed(parameterGradients);
        HostStorage.changed(inputGradient.dx());
        changed(inputGradient.initial());
        VectorTape trace = (VectorTape) tape;
        LstmSpec spec = tape.spec();
        int width = tape.timeSteps() * tape.batchSize() * spec.sequenceWidth();
        RandomKey key = tape.input().dropout();
        boolean drops = spec.dropout() > 0 && key != null;
        float[] dy = outputGradient.y() == null ? null : floats(outputGradient.y());
        int dyAt = dy == null ? 0 : start(outputGradient.y());
        for (int layer = spec.layers() - 1; layer >= 0; layer--) {
            Tensor wanted = layer == 0 ? inputGradient.dx() : null;
            float[] dx = layer > 0 ? between[layer & 1].take(width) : wanted == null ? null : floats(wanted);
            int dxAt = wanted == null ? 0 : start(wanted);
            backward.run(stack, trace, layer, dy, dyAt, outputGradient, parameterGradients, dx, dxAt, inputGradient);
            if (layer > 0 && drops) {
                elementwise.dropout(dx, dxAt, width, spec.dropout(), key.substream(layer - 1), width, dx, dxAt);
            }
            dy = dx;
            dyAt = dxAt;
        }
    }

    private static void changed(LstmState state) {
        if (state != null) {
            HostStorage.changed(state.h());
            HostStorage.changed(state.c());
        }
    }

    @Override
    public void add(Tensor x, Tensor y) {
        Shapes.requireElements("y", y, x.elements());
        HostStorage.changed(y);
        elementwise.add(x, y);
    }

    @Override
    public void linearForward(Tensor x, Tensor weights, Tensor bias, Tensor y) {
        Shapes.requireLinear(x, weights, bias, y);
        HostStorage.changed(y);
        linear.forward(x, weights, bias, y);
    }

    @Override
    public void linearBackward(
            Tensor x, Tensor weights, Tensor dy, Tensor weightsGradient, Tensor biasGradient, Tensor dx) {
        Shapes.requireLinear(x, weights, null, dy);
        Shapes.requireLinear(x, weightsGradient, biasGradient, dy);
        if (dx != null) {
            Shapes.require("dx", dx, x.shape().extent(0), x.shape().extent(1));
        }
        HostStorage.changed(weightsGradient);
        HostStorage.changed(biasGradient);
        HostStorage.changed(dx);
        linear.backward(x, weights, dy, weightsGradient, biasGradient, dx);
    }

    @Override
    public void embeddingForward(Tensor ids, Tensor table, Tensor y) {
        Shapes.requireEmbedding(ids, table, y);
        HostStorage.changed(y);
        float[] from = floats(table);
        float[] to = floats(y);
        int vocabulary = table.shape().extent(0);
        int width = table.shape().extent(1);
        for (int m = 0; m < ids.shape().extent(0); m++) {
            System.arraycopy(from, start(table) + id(ids, m, vocabulary) * width, to, start(y) + m * width, width);
        }
    }

    @Override
    public void embeddingBackward(Tensor ids, Tensor dy, Tensor tableGradient) {
        Shapes.requireEmbedding(ids, tableGradient, dy);
        HostStorage.changed(tableGradient);
        float[] from = floats(dy);
        float[] to = floats(tableGradient);
        int vocabulary = tableGradient.shape().extent(0);
        int width = tableGradient.shape().extent(1);
        for (int m = 0; m < ids.shape().extent(0); m++) {
            int row = start(tableGradient) + id(ids, m, vocabulary) * width;
            kernels.add(to, row, from, start(dy) + m * width, width);
        }
    }

    @Override
    public void dropout(Tensor x, double rate, RandomKey key, long period, Tensor y) {
        Shapes.requireDropout(x, rate, period, y);
        HostStorage.changed(y);
        int count = Math.toIntExact(x.elements());
        elementwise.dropout(
                floats(x), start(x), count, rate, key, (int) Math.min(period, Math.max(1, count)), floats(y), start(y));
    }

    @Override
    public void activationForward(ActivationFunction function, Tensor x, Tensor y) {
        Shapes.requireActivation(x, y);
        HostStorage.changed(y);
        activations.forward(function, x, y);
    }

    @Override
    public void activationBackward(ActivationFunction function, Tensor y, Tensor dy, Tensor dx) {
        Shapes.requireActivationBackward(y, dy, dx);
        HostStorage.changed(dx);
        activations.backward(function, y, dy, dx);
    }

    @Override
    public void loss(
            Loss loss, Tensor predictions, Tensor targets, Tensor rowWeights, Tensor report, Tensor dPredictions) {
        Shapes.requireLoss(loss, predictions, targets, rowWeights, report, dPredictions);
        HostStorage.changed(report);
        HostStorage.changed(dPredictions);
        losses.compute(loss, predictions, targets, rowWeights, report, dPredictions);
    }

    @Override
    public void squaredNorm(Tensor x, Tensor result) {
        Shapes.requireElements("result", result, 1);
        floats(result)[start(result)] = (float) elementwise.squaredNorm(x);
        HostStorage.changed(result);
    }

    @Override
    public void update(Update update, Tensor parameters, Tensor gradients, Tensor firstMoment, Tensor secondMoment) {
        Shapes.requireUpdate(update, parameters, gradients, firstMoment, secondMoment);
        Tensor square = update.squaredNorm();
        double clip = update.clipFactor(square == null ? 0 : floats(square)[start(square)]);
        HostStorage.changed(parameters);
        HostStorage.changed(firstMoment);
        HostStorage.changed(secondMoment);
        elementwise.update(update, clip, parameters, gradients, firstMoment, secondMoment);
    }

    @Override
    public SecondOrder secondOrder() {
        if (secondOrder == null) {
            secondOrder = new VectorSecondOrder(this, kernels, workers, buffers, elementwise);
        }
        return secondOrder;
    }

    /** The same input with its lengths in an array, wherever they were given. */
    static LstmInput lengthsAtHand(LstmInput input) {
        return withLengthsAtHand(input);
    }

    @Override
    public void close() {
        workers.close();
        super.close();
    }
}
