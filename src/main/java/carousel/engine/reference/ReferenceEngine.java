package carousel.engine.reference;

import static carousel.tensor.HostStorage.doubles;
import static carousel.tensor.HostStorage.integers;
import static carousel.tensor.HostStorage.start;

import carousel.engine.ActivationFunction;
import carousel.engine.HostEngine;
import carousel.engine.Loss;
import carousel.engine.LstmInput;
import carousel.engine.LstmInputGradient;
import carousel.engine.LstmLayout;
import carousel.engine.LstmOutput;
import carousel.engine.LstmSpec;
import carousel.engine.LstmTape;
import carousel.engine.Philox;
import carousel.engine.RandomKey;
import carousel.engine.SecondOrder;
import carousel.engine.Shapes;
import carousel.engine.Update;
import carousel.engine.UpdateRule;
import carousel.tensor.ElementType;
import carousel.tensor.Precision;
import carousel.tensor.Scope;
import carousel.tensor.Tensor;
import java.util.Arrays;

/** The equations of the seam in plain double loops. Slow, and meant to be read. */
public final class ReferenceEngine extends HostEngine {
    /** @param guards whether allocations are surrounded by checked bands and poisoned */
    public ReferenceEngine(boolean guards) {
        super(ElementType.FLOAT64, guards);
    }

    @Override
    public String name() {
        return ReferenceEngineProvider.NAME;
    }

    @Override
    public String description() {
        return "reference (FP64, 1 thread)";
    }

    @Override
    public Precision precision() {
        return Precision.FP64;
    }

    @Override
    public LstmTape openTape(Scope scope, LstmSpec spec, int timeSteps, int batchSize) {
        return new ReferenceTape(spec, scope, timeSteps, batchSize);
    }

    @Override
    public void lstmForward(LstmSpec spec, Tensor parameters, LstmInput given, LstmOutput output, LstmTape tape) {
        Shapes.requireForward(spec, parameters, given, output, tape);
        LstmInput input = withLengthsAtHand(given);
        ReferenceTape trace = (ReferenceTape) tape;
        int timeSteps = input.x().shape().extent(0);
        int batchSize = input.x().shape().extent(1);
        LstmLayout layout = LstmLayout.of(spec);
        int cells = spec.direction().cells();
        boolean drops = spec.dropout() > 0 && input.dropout() != null;
        try (Scope workspace = openScope("forward workspace")) {
            Tensor layerInput = input.x();
            for (int layer = 0; layer < spec.layers(); layer++) {
                boolean top = layer == spec.layers() - 1;
                Tensor layerOutput = top
                        ? output.y()
                        : trace != null
                                ? trace.layerInput(layer + 1)
                                : workspace.allocate("layer output", timeSteps, batchSize, spec.sequenceWidth());
                for (int k = 0; k < cells; k++) {
                    int state = layer * cells + k;
                    ReferenceCell cell = new ReferenceCell(
                            spec, layout, state, doubles(parameters), start(parameters), input.dropout(), batchSize);
                    ReferenceTape.Cell cellTrace = trace == null ? null : trace.cell(state);
                    for (int n = 0; n < batchSize; n++) {
                        double[] h = new double[spec.outputSize()];
                        double[] c = new double[spec.hiddenSize()];
                        if (input.initial() != null) {
                            load(input.initial().h(), state, n, h);
                            load(input.initial().c(), state, n, c);
                        }
                        cell.forward(
                                sequence(n, input.lengths(), timeSteps),
                                rows(layerInput),
                                rows(layerOutput),
                                k * spec.outputSize(),
                                h,
                                c,
                                cellTrace);
                        if (output.last() != null) {
                            store(h, output.last().h(), state, n);
                            store(c, output.last().c(), state, n);
                        }
                    }
                }
                if (!top && drops) {
                    dropout(layerOutput, spec.dropout(), input.dropout().substream(layer), layerOutput);
                }
                layerInput = layerOutput;
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
        ReferenceTape trace = (ReferenceTape) tape;
        LstmSpec spec = tape.spec();
        LstmInput input = tape.input();
        LstmLayout layout = LstmLayout.of(spec);
        int cells = spec.direction().cells();
        boolean drops = spec.dropout() > 0 && input.dropout() != null;
        ReferenceCell.Gradients gradients = parameterGradients == null
                ? null
                : new ReferenceCell.Gradients(
                        doubles(parameterGradients), start(parameterGradients) - start(tape.parameters()));
        try (Scope workspace = openScope("backward workspace")) {
            Tensor dy = outputGradient.y();
            for (int layer = spec.layers() - 1; layer >= 0; layer--) {
                Tensor layerInput = layer == 0 ? input.x() : trace.layerInput(layer);
                Tensor dx = layer == 0
                        ? inputGradient.dx()
                        : workspace.allocate(
                                "layer input gradient", tape.timeSteps(), tape.batchSize(), spec.layerInputSize(layer));
                if (dx != null) {
                    fill(dx, 0);
                }
                for (int k = 0; k < cells; k++) {
                    int state = layer * cells + k;
                    ReferenceCell cell = new ReferenceCell(
                            spec,
                            layout,
                            state,
                            doubles(tape.parameters()),
                            start(tape.parameters()),
                            input.dropout(),
                            tape.batchSize());
                    for (int n = 0; n < tape.batchSize(); n++) {
                        double[] dh = new double[spec.outputSize()];
                        double[] dc = new double[spec.hiddenSize()];
                        if (outputGradient.last() != null) {
                            load(outputGradient.last().h(), state, n, dh);
                            load(outputGradient.last().c(), state, n, dc);
                        }
                        cell.backward(
                                sequence(n, input.lengths(), tape.timeSteps()),
                                rows(layerInput),
                                dy == null ? null : rows(dy),
                                k * spec.outputSize(),
                                dx == null ? null : rows(dx),
                                gradients,
                                dh,
                                dc,
                                trace.cell(state));
                        if (inputGradient.initial() != null) {
                            store(dh, inputGradient.initial().h(), state, n);
                            store(dc, inputGradient.initial().c(), state, n);
                        }
                    }
                }
                if (layer > 0 && drops) {
                    dropout(dx, spec.dropout(), input.dropout().substream(layer - 1), dx);
                }
                dy = dx;
            }
        }
    }

    static ReferenceCell.Sequence sequence(int n, int[] lengths, int timeSteps) {
        return new ReferenceCell.Sequence(n, lengths == null ? timeSteps : lengths[n], timeSteps);
    }

    /** The same input with its lengths in an array, wherever they were given. */
    static LstmInput lengthsAtHand(LstmInput input) {
        return withLengthsAtHand(input);
    }

    /** A tensor {@code [T, N, width]} as rows. */
    static ReferenceCell.Rows rows(Tensor tensor) {
        return new ReferenceCell.Rows(
                doubles(tensor),
                start(tensor),
                tensor.shape().extent(1),
                tensor.shape().extent(2));
    }

    /** Row n of one state of {@code [S, N, width]}; a missing tensor is zero. */
    private static void load(Tensor states, int state, int n, double[] into) {
        if (states != null) {
            System.arraycopy(doubles(states), rows(states).at(state, n), into, 0, into.length);
        }
    }

    private static void store(double[] from, Tensor states, int state, int n) {
        if (states != null) {
            System.arraycopy(from, 0, doubles(states), rows(states).at(state, n), from.length);
        }
    }

    @Override
    public void add(Tensor x, Tensor y) {
        Shapes.requireElements("y", y, x.elements());
        for (int e = 0; e < x.elements(); e++) {
            doubles(y)[start(y) + e] += doubles(x)[start(x) + e];
        }
    }

    @Override
    public void linearForward(Tensor x, Tensor weights, Tensor bias, Tensor y) {
        Shapes.requireLinear(x, weights, bias, y);
        int rows = x.shape().extent(0);
        int inputs = x.shape().extent(1);
        int outputs = weights.shape().extent(0);
        for (int m = 0; m < rows; m++) {
            for (int o = 0; o < outputs; o++) {
                double sum = bias == null ? 0 : doubles(bias)[start(bias) + o];
                for (int k = 0; k < inputs; k++) {
                    sum += doubles(x)[start(x) + m * inputs + k] * doubles(weights)[start(weights) + o * inputs + k];
                }
                doubles(y)[start(y) + m * outputs + o] = sum;
            }
        }
    }

    @Override
    public void linearBackward(
            Tensor x, Tensor weights, Tensor dy, Tensor weightsGradient, Tensor biasGradient, Tensor dx) {
        Shapes.requireLinear(x, weights, null, dy);
        Shapes.requireLinear(x, weightsGradient, biasGradient, dy);
        int rows = x.shape().extent(0);
        int inputs = x.shape().extent(1);
        int outputs = weights.shape().extent(0);
        if (dx != null) {
            Shapes.require("dx", dx, rows, inputs);
            fill(dx, 0);
        }
        for (int m = 0; m < rows; m++) {
            for (int o = 0; o < outputs; o++) {
                double d = doubles(dy)[start(dy) + m * outputs + o];
                if (biasGradient != null) {
                    doubles(biasGradient)[start(biasGradient) + o] += d;
                }
                for (int k = 0; k < inputs; k++) {
                    doubles(weightsGradient)[start(weightsGradient) + o * inputs + k] +=
                            d * doubles(x)[start(x) + m * inputs + k];
                    if (dx != null) {
                        doubles(dx)[start(dx) + m * inputs + k] +=
                                d * doubles(weights)[start(weights) + o * inputs + k];
                    }
                }
            }
        }
    }

    @Override
    public void embeddingForward(Tensor ids, Tensor table, Tensor y) {
        Shapes.requireEmbedding(ids, table, y);
        int width = table.shape().extent(1);
        for (int m = 0; m < ids.elements(); m++) {
            System.arraycopy(
                    doubles(table),
                    start(table) + id(ids, m, table.shape().extent(0)) * width,
                    doubles(y),
                    start(y) + m * width,
                    width);
        }
    }

    @Override
    public void embeddingBackward(Tensor ids, Tensor dy, Tensor tableGradient) {
        Shapes.requireEmbedding(ids, tableGradient, dy);
        int width = tableGradient.shape().extent(1);
        for (int m = 0; m < ids.elements(); m++) {
            int row = start(tableGradient) + id(ids, m, tableGradient.shape().extent(0)) * width;
            for (int k = 0; k < width; k++) {
                doubles(tableGradient)[row + k] += doubles(dy)[start(dy) + m * width + k];
            }
        }
    }

    @Override
    public void dropout(Tensor x, double rate, RandomKey key, long period, Tensor y) {
        Shapes.requireDropout(x, rate, period, y);
        int threshold = RandomKey.threshold(rate);
        int[] words = new int[Philox.WORDS];
        for (int e = 0; e < x.elements(); e++) {
            int draw = (int) (e % period);
            if (draw % Philox.WORDS == 0) {
                key.block(draw / Philox.WORDS, words);
            }
            boolean drops = RandomKey.drops(words[draw % Philox.WORDS], threshold);
            doubles(y)[start(y) + e] = drops ? 0 : doubles(x)[start(x) + e] / (1 - rate);
        }
    }

    @Override
    public void activationForward(ActivationFunction function, Tensor x, Tensor y) {
        Shapes.requireActivation(x, y);
        int columns = x.shape().extent(1);
        for (int m = 0; m < x.shape().extent(0); m++) {
            ReferenceActivation.forward(
                    function, doubles(x), start(x) + m * columns, columns, doubles(y), start(y) + m * columns);
        }
    }

    @Override
    public void activationBackward(ActivationFunction function, Tensor y, Tensor dy, Tensor dx) {
        Shapes.requireActivationBackward(y, dy, dx);
        int columns = y.shape().extent(1);
        for (int m = 0; m < y.shape().extent(0); m++) {
            ReferenceActivation.backward(
                    function,
                    doubles(y),
                    start(y) + m * columns,
                    columns,
                    doubles(dy),
                    start(dy) + m * columns,
                    doubles(dx),
                    start(dx) + m * columns);
        }
    }

    @Override
    public void loss(
            Loss loss, Tensor predictions, Tensor targets, Tensor rowWeights, Tensor report, Tensor dPredictions) {
        Shapes.requireLoss(loss, predictions, targets, rowWeights, report, dPredictions);
        int rows = predictions.shape().extent(0);
        int columns = predictions.shape().extent(1);
        double[] gradient = dPredictions == null ? new double[rows * columns] : doubles(dPredictions);
        int d = dPredictions == null ? 0 : start(dPredictions);
        double lossSum = 0;
        double rightSum = 0;
        double weightSum = 0;
        for (int m = 0; m < rows; m++) {
            double weight = rowWeights == null ? 1 : doubles(rowWeights)[start(rowWeights) + m];
            int row = d + m * columns;
            if (weight == 0) {
                // A row left out may hold anything, even a label that is none.
                Arrays.fill(gradient, row, row + columns, 0);
                continue;
            }
            ReferenceLoss.Row result = switch (loss) {
                case SOFTMAX_CROSS_ENTROPY ->
                    ReferenceLoss.softmaxCrossEntropy(
                            doubles(predictions),
                            start(predictions) + m * columns,
                            columns,
                            m,
                            integers(targets)[start(targets) + m],
                            gradient,
                            row);
                case MEAN_SQUARED_ERROR ->
                    ReferenceLoss.meanSquaredError(
                            doubles(predictions),
                            start(predictions) + m * columns,
                            columns,
                            doubles(targets),
                            start(targets) + m * columns,
                            gradient,
                            row);
                case SIGMOID_CROSS_ENTROPY ->
                    ReferenceLoss.sigmoidCrossEntropy(
                            doubles(predictions),
                            start(predictions) + m * columns,
                            columns,
                            doubles(targets),
                            start(targets) + m * columns,
                            gradient,
                            row);
            };
            for (int k = 0; k < columns; k++) {
                gradient[row + k] *= weight;
            }
            lossSum += weight * result.loss();
            rightSum += weight * result.right();
            weightSum += weight;
        }
        if (weightSum != 0) {
            for (int e = 0; e < rows * columns; e++) {
                gradient[d + e] /= weightSum;
            }
        }
        write(report, new double[] {lossSum, rightSum, weightSum});
    }

    @Override
    public void squaredNorm(Tensor x, Tensor result) {
        Shapes.requireElements("result", result, 1);
        double sum = 0;
        for (int e = 0; e < x.elements(); e++) {
            double value = doubles(x)[start(x) + e];
            sum += value * value;
        }
        doubles(result)[start(result)] = sum;
    }

    @Override
    public void update(Update update, Tensor parameters, Tensor gradients, Tensor firstMoment, Tensor secondMoment) {
        Shapes.requireUpdate(update, parameters, gradients, firstMoment, secondMoment);
        Tensor square = update.squaredNorm();
        double scale = update.clipFactor(square == null ? 0 : doubles(square)[start(square)]);
        double rate = update.learningRate();
        double[] p = doubles(parameters);
        int p0 = start(parameters);
        double[] m = firstMoment == null ? null : doubles(firstMoment);
        int m0 = firstMoment == null ? 0 : start(firstMoment);
        double[] v = secondMoment == null ? null : doubles(secondMoment);
        int v0 = secondMoment == null ? 0 : start(secondMoment);
        for (int e = 0; e < parameters.elements(); e++) {
            double d = doubles(gradients)[start(gradients) + e] * scale;
            if (update.rule() instanceof UpdateRule.Sgd sgd) {
                if (sgd.momentum() > 0) {
                    m[m0 + e] = sgd.momentum() * m[m0 + e] + d;
                    d = sgd.nesterov() ? d + sgd.momentum() * m[m0 + e] : m[m0 + e];
                }
                p[p0 + e] -= rate * d;
            } else if (update.rule() instanceof UpdateRule.Adam adam) {
                m[m0 + e] = adam.beta1() * m[m0 + e] + (1 - adam.beta1()) * d;
                v[v0 + e] = adam.beta2() * v[v0 + e] + (1 - adam.beta2()) * d * d;
                double first = m[m0 + e] / (1 - Math.pow(adam.beta1(), update.step()));
                double second = v[v0 + e] / (1 - Math.pow(adam.beta2(), update.step()));
                p[p0 + e] -= rate * adam.weightDecay() * p[p0 + e];
                p[p0 + e] -= rate * first / (Math.sqrt(second) + adam.epsilon());
            } else if (update.rule() instanceof UpdateRule.RmsProp rms) {
                m[m0 + e] = rms.decay() * m[m0 + e] + (1 - rms.decay()) * d * d;
                p[p0 + e] -= rate * d / (Math.sqrt(m[m0 + e]) + rms.epsilon());
            }
        }
    }

    @Override
    public SecondOrder secondOrder() {
        return new ReferenceSecondOrder(this);
    }
}
