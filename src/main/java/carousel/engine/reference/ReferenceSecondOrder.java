package carousel.engine.reference;

import static carousel.tensor.HostStorage.doubles;
import static carousel.tensor.HostStorage.start;

import carousel.engine.ActivationFunction;
import carousel.engine.Dual;
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
import carousel.engine.reference.ReferenceDualCell.DualRows;
import carousel.engine.reference.ReferenceDualCell.Numbers;
import carousel.tensor.Scope;
import carousel.tensor.Tensor;
import java.util.Arrays;
import java.util.function.Function;

/** The reference engine's passes over numbers that carry their derivative along a direction. */
final class ReferenceSecondOrder implements SecondOrder {
    private final ReferenceEngine engine;

    ReferenceSecondOrder(ReferenceEngine engine) {
        this.engine = engine;
    }

    @Override
    public LstmTape openTape(Scope scope, LstmSpec spec, int timeSteps, int batchSize) {
        return new ReferenceDualTape(spec, scope, timeSteps, batchSize);
    }

    @Override
    public void lstmForward(
            LstmSpec spec, Dual<Tensor> parameters, Dual<LstmInput> given, Dual<LstmOutput> output, LstmTape tape) {
        Shapes.requireForward(spec, parameters, given, output, tape);
        Dual<LstmInput> input = new Dual<>(ReferenceEngine.lengthsAtHand(given.value()), given.tangent());
        ReferenceDualTape trace = (ReferenceDualTape) tape;
        int timeSteps = input.value().x().shape().extent(0);
        int batchSize = input.value().x().shape().extent(1);
        int cells = spec.direction().cells();
        LstmLayout layout = LstmLayout.of(spec);
        RandomKey key = input.value().dropout();
        try (Scope workspace = engine.openScope("forward workspace")) {
            Dual<Tensor> layerInput = map(input, LstmInput::x);
            for (int layer = 0; layer < spec.layers(); layer++) {
                boolean top = layer == spec.layers() - 1;
                Dual<Tensor> layerOutput = top
                        ? map(output, LstmOutput::y)
                        : trace != null
                                ? trace.layerInput(layer + 1)
                                : allocate(workspace, "layer output", timeSteps, batchSize, spec.sequenceWidth());
                for (int k = 0; k < cells; k++) {
                    int state = layer * cells + k;
                    ReferenceDualCell cell =
                            new ReferenceDualCell(spec, layout, state, numbers(parameters), key, batchSize);
                    for (int n = 0; n < batchSize; n++) {
                        DualNumber[] h =
                                load(map(input, LstmInput::initial), LstmState::h, state, n, spec.outputSize());
                        DualNumber[] c =
                                load(map(input, LstmInput::initial), LstmState::c, state, n, spec.hiddenSize());
                        cell.forward(
                                ReferenceEngine.sequence(n, input.value().lengths(), timeSteps),
                                rows(layerInput),
                                rows(layerOutput),
                                k * spec.outputSize(),
                                h,
                                c,
                                trace == null ? null : trace.cell(state));
                        store(h, map(output, LstmOutput::last), LstmState::h, state, n);
                        store(c, map(output, LstmOutput::last), LstmState::c, state, n);
                    }
                }
                if (!top && spec.dropout() > 0 && key != null) {
                    drop(layerOutput, spec.dropout(), key.substream(layer));
                }
                layerInput = layerOutput;
            }
        }
        if (trace != null) {
            trace.record(parameters, input);
        }
    }

    @Override
    public void lstmBackward(
            LstmTape tape,
            Dual<LstmOutput> outputGradient,
            Dual<Tensor> parameterGradients,
            Dual<LstmInputGradient> inputGradient) {
        Shapes.requireBackward(tape, outputGradient, parameterGradients, inputGradient);
        tape.consume();
        ReferenceDualTape trace = (ReferenceDualTape) tape;
        LstmSpec spec = tape.spec();
        LstmLayout layout = LstmLayout.of(spec);
        LstmInput input = tape.input();
        int cells = spec.direction().cells();
        try (Scope workspace = engine.openScope("backward workspace")) {
            Dual<Tensor> dy = map(outputGradient, LstmOutput::y);
            for (int layer = spec.layers() - 1; layer >= 0; layer--) {
                Dual<Tensor> dx = layer == 0
                        ? map(inputGradient, LstmInputGradient::dx)
                        : allocate(
                                workspace,
                                "layer input gradient",
                                tape.timeSteps(),
                                tape.batchSize(),
                                spec.layerInputSize(layer));
                clear(dx.value());
                clear(dx.tangent());
                for (int k = 0; k < cells; k++) {
                    int state = layer * cells + k;
                    ReferenceDualCell cell = new ReferenceDualCell(
                            spec,
                            layout,
                            state,
                            numbers(trace.recordedParameters()),
                            input.dropout(),
                            tape.batchSize());
                    for (int n = 0; n < tape.batchSize(); n++) {
                        Dual<LstmState> last = map(outputGradient, LstmOutput::last);
                        DualNumber[] dh = load(last, LstmState::h, state, n, spec.outputSize());
                        DualNumber[] dc = load(last, LstmState::c, state, n, spec.hiddenSize());
                        cell.backward(
                                ReferenceEngine.sequence(n, input.lengths(), tape.timeSteps()),
                                rows(layer == 0 ? trace.x() : trace.layerInput(layer)),
                                rows(dy),
                                k * spec.outputSize(),
                                rows(dx),
                                numbers(parameterGradients),
                                dh,
                                dc,
                                trace.cell(state));
                        store(dh, map(inputGradient, LstmInputGradient::initial), LstmState::h, state, n);
                        store(dc, map(inputGradient, LstmInputGradient::initial), LstmState::c, state, n);
                    }
                }
                if (layer > 0 && spec.dropout() > 0 && input.dropout() != null) {
                    drop(dx, spec.dropout(), input.dropout().substream(layer - 1));
                }
                dy = dx;
            }
        }
    }

    /** A part of both; null of nothing. */
    private static <A, B> Dual<B> map(Dual<A> dual, Function<A, B> part) {
        return new Dual<>(
                dual.value() == null ? null : part.apply(dual.value()),
                dual.tangent() == null ? null : part.apply(dual.tangent()));
    }

    private static Dual<Tensor> allocate(Scope scope, String name, int... extents) {
        return new Dual<>(scope.allocate(name, extents), scope.allocate(name + " tangent", extents));
    }

    private void clear(Tensor tensor) {
        if (tensor != null) {
            engine.fill(tensor, 0);
        }
    }

    private void drop(Dual<Tensor> dual, double rate, RandomKey key) {
        engine.dropout(dual.value(), rate, key, dual.value());
        engine.dropout(dual.tangent(), rate, key, dual.tangent());
    }

    private static ReferenceCell.Rows rows(Tensor tensor) {
        return tensor == null ? null : ReferenceEngine.rows(tensor);
    }

    private static DualRows rows(Dual<Tensor> dual) {
        return new DualRows(rows(dual.value()), rows(dual.tangent()));
    }

    private static Numbers numbers(Dual<Tensor> dual) {
        Tensor value = dual.value();
        Tensor tangent = dual.tangent();
        return new Numbers(
                value == null ? null : doubles(value),
                value == null ? 0 : start(value),
                tangent == null ? null : doubles(tangent),
                tangent == null ? 0 : start(tangent));
    }

    /** Row n of one state of {@code [S, N, width]}; what is missing is zero. */
    private static DualNumber[] load(
            Dual<LstmState> states, Function<LstmState, Tensor> part, int state, int n, int width) {
        return rows(map(states, part)).read(state, n, 0, width);
    }

    private static void store(
            DualNumber[] numbers, Dual<LstmState> states, Function<LstmState, Tensor> part, int state, int n) {
        rows(map(states, part)).write(state, n, 0, numbers);
    }

    @Override
    public void activationBackward(ActivationFunction function, Dual<Tensor> y, Dual<Tensor> dy, Tensor dxTangent) {
        Shapes.requireActivationBackward(y, dy, dxTangent);
        int rows = dxTangent.shape().extent(0);
        int columns = dxTangent.shape().extent(1);
        for (int m = 0; m < rows; m++) {
            DualNumber mean = DualNumber.ZERO;
            for (int k = 0; k < columns; k++) {
                mean = mean.plus(number(dy, m * columns + k).times(number(y, m * columns + k)));
            }
            for (int k = 0; k < columns; k++) {
                DualNumber value = number(y, m * columns + k);
                DualNumber d = number(dy, m * columns + k);
                DualNumber dx = switch (function) {
                    case RELU -> value.value() > 0 ? d : DualNumber.ZERO;
                    case SIGMOID -> d.times(value).times(DualNumber.constant(1).minus(value));
                    case TANH -> d.times(DualNumber.constant(1).minus(value.times(value)));
                    case SOFTMAX -> value.times(d.minus(mean));
                };
                doubles(dxTangent)[start(dxTangent) + m * columns + k] = dx.tangent();
            }
        }
    }

    private static DualNumber number(Dual<Tensor> dual, int element) {
        return new DualNumber(number(dual.value(), element), number(dual.tangent(), element));
    }

    private static double number(Tensor tensor, int element) {
        return tensor == null ? 0 : doubles(tensor)[start(tensor) + element];
    }

    @Override
    public void loss(Loss loss, Dual<Tensor> predictions, Tensor rowWeights, Tensor dPredictionsTangent) {
        Shapes.requireLoss(predictions, rowWeights, dPredictionsTangent);
        int rows = dPredictionsTangent.shape().extent(0);
        int columns = dPredictionsTangent.shape().extent(1);
        double weightSum = 0;
        for (int m = 0; m < rows; m++) {
            weightSum += rowWeights == null ? 1 : number(rowWeights, m);
        }
        for (int m = 0; m < rows; m++) {
            double weight = rowWeights == null ? 1 : number(rowWeights, m);
            int row = start(dPredictionsTangent) + m * columns;
            // A row left out may hold anything.
            DualNumber[] d =
                    weight == 0 ? DualNumber.zeros(columns) : lossGradient(loss, predictions, m * columns, columns);
            for (int k = 0; k < columns; k++) {
                doubles(dPredictionsTangent)[row + k] = weight == 0 ? 0 : d[k].tangent() * weight / weightSum;
            }
        }
    }

    /** The gradient of a row's loss, up to what does not depend on the predictions. */
    private static DualNumber[] lossGradient(Loss loss, Dual<Tensor> predictions, int first, int columns) {
        DualNumber[] p = new DualNumber[columns];
        Arrays.setAll(p, k -> number(predictions, first + k));
        DualNumber[] d = new DualNumber[columns];
        switch (loss) {
            case MEAN_SQUARED_ERROR -> Arrays.setAll(d, k -> p[k].times(2).over(columns));
            case SIGMOID_CROSS_ENTROPY ->
                Arrays.setAll(d, k -> {
                    DualNumber one = DualNumber.constant(1);
                    return one.over(one.plus(exponential(p[k].times(-1), 0))).over(columns);
                });
            case SOFTMAX_CROSS_ENTROPY -> {
                double shift =
                        Arrays.stream(p).mapToDouble(DualNumber::value).max().orElse(0);
                DualNumber sum = DualNumber.ZERO;
                for (int k = 0; k < columns; k++) {
                    d[k] = exponential(p[k], shift);
                    sum = sum.plus(d[k]);
                }
                for (int k = 0; k < columns; k++) {
                    d[k] = d[k].over(sum);
                }
            }
        }
        return d;
    }

    /** {@code exp(p - shift)}. */
    private static DualNumber exponential(DualNumber p, double shift) {
        double value = Math.exp(p.value() - shift);
        return new DualNumber(value, value * p.tangent());
    }
}
