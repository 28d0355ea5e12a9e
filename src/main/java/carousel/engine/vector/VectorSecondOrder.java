package carousel.engine.vector;

import static carousel.tensor.HostStorage.floats;
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
import carousel.tensor.HostStorage;
import carousel.tensor.Scope;
import carousel.tensor.Tensor;
import java.util.function.Function;

/**
 * Derivatives along a direction in single precision on all processors, for every feature of a cell. It keeps nothing between calls
 * but its buffers: weights are packed anew for each, which costs little beside the products of a batch.
 */
final class VectorSecondOrder implements SecondOrder {
    private final VectorEngine engine;
    private final Elementwise elementwise;
    private final DualCell cell;
    private final DualRows rows;

    VectorSecondOrder(
            VectorEngine engine, Kernels kernels, Workers workers, WorkerBuffers[] buffers, Elementwise elementwise) {
        this.engine = engine;
        this.elementwise = elementwise;
        this.cell = new DualCell(kernels, workers, buffers);
        this.rows = new DualRows(kernels, workers, buffers);
    }

    /** Bytes kept from call to call. */
    long bytes() {
        return cell.bytes();
    }

    @Override
    public LstmTape openTape(Scope scope, LstmSpec spec, int timeSteps, int batchSize) {
        return new DualTape(spec, scope, timeSteps, batchSize);
    }

    @Override
    public void lstmForward(
            LstmSpec spec, Dual<Tensor> parameters, Dual<LstmInput> given, Dual<LstmOutput> output, LstmTape tape) {
        Shapes.requireForward(spec, parameters, given, output, tape);
        Dual<LstmInput> input = new Dual<>(VectorEngine.lengthsAtHand(given.value()), given.tangent());
        int timeSteps = input.value().x().shape().extent(0);
        int batchSize = input.value().x().shape().extent(1);
        LstmLayout layout = LstmLayout.of(spec);
        changed(map(output, LstmOutput::y));
        changed(map(output, LstmOutput::last));
        try (Scope workspace = engine.openScope("second order")) {
            DualTape trace = tape != null ? (DualTape) tape : new DualTape(spec, workspace, timeSteps, batchSize);
            trace.begin(parameters, input);
            int width = timeSteps * batchSize * spec.sequenceWidth();
            RandomKey key = input.value().dropout();
            for (int layer = 0; layer < spec.layers(); layer++) {
                boolean top = layer == spec.layers() - 1;
                DualFloats layerOutput = top ? DualFloats.of(map(output, LstmOutput::y)) : trace.layerInput(layer + 1);
                int cells = spec.direction().cells();
                for (int state = layer * cells; state < (layer + 1) * cells; state++) {
                    cell.prepare(trace, layout, state);
                    cell.forward(
                            states(map(input, LstmInput::initial)), states(map(output, LstmOutput::last)), layerOutput);
                }
                if (!top && spec.dropout() > 0 && key != null) {
                    drop(layerOutput, width, spec.dropout(), key.substream(layer));
                }
            }
        } finally {
            cell.release();
        }
        if (tape != null) {
            tape.record(parameters.value(), input.value(), output.value());
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
        DualTape trace = (DualTape) tape;
        LstmSpec spec = tape.spec();
        LstmLayout layout = LstmLayout.of(spec);
        RandomKey key = tape.input().dropout();
        changed(parameterGradients);
        changed(map(inputGradient, LstmInputGradient::dx));
        changed(map(inputGradient, LstmInputGradient::initial));
        int width = tape.timeSteps() * tape.batchSize() * spec.sequenceWidth();
        try (Scope workspace = engine.openScope("second order")) {
            DualFloats dy = DualFloats.of(map(outputGradient, LstmOutput::y));
            for (int layer = spec.layers() - 1; layer >= 0; layer--) {
                DualFloats dx = layer == 0
                        ? DualFloats.of(map(inputGradient, LstmInputGradient::dx))
                        : DualTape.halves(workspace.allocate("layer input gradient", 2, width));
                int cells = spec.direction().cells();
                for (int k = 0; k < cells; k++) {
                    try (Scope products = engine.openScope("products")) {
                        cell.prepare(trace, layout, layer * cells + k);
                        cell.backward(
                                trace,
                                products,
                                dy,
                                states(map(outputGradient, LstmOutput::last)),
                                states(map(inputGradient, LstmInputGradient::initial)),
                                DualFloats.of(parameterGradients),
                                dx,
                                k > 0);
                    }
                }
                if (layer > 0 && spec.dropout() > 0 && key != null) {
                    drop(dx, width, spec.dropout(), key.substream(layer - 1));
                }
                dy = dx;
            }
        } finally {
            cell.release();
        }
    }

    private void drop(DualFloats x, int count, double rate, RandomKey key) {
        elementwise.dropout(x.value(), x.at(), count, rate, key, count, x.value(), x.at());
        elementwise.dropout(x.tangent(), x.tangentAt(), count, rate, key, count, x.tangent(), x.tangentAt());
    }

    /** A part of both; null of nothing. */
    private static <A, B> Dual<B> map(Dual<A> dual, Function<A, B> part) {
        return new Dual<>(
                dual.value() == null ? null : part.apply(dual.value()),
                dual.tangent() == null ? null : part.apply(dual.tangent()));
    }

    private static DualCell.States states(Dual<LstmState> states) {
        return new DualCell.States(DualFloats.of(map(states, LstmState::h)), DualFloats.of(map(states, LstmState::c)));
    }

    /** These tensors, or states, are written to. */
    private static void changed(Dual<?> dual) {
        for (Object part : new Object[] {dual.value(), dual.tangent()}) {
            if (part instanceof LstmState state) {
                HostStorage.changed(state.h());
                HostStorage.changed(state.c());
            } else {
                HostStorage.changed((Tensor) part);
            }
        }
    }

    @Override
    public void activationBackward(ActivationFunction function, Dual<Tensor> y, Dual<Tensor> dy, Tensor dxTangent) {
        Shapes.requireActivationBackward(y, dy, dxTangent);
        HostStorage.changed(dxTangent);
        rows.activation(
                function,
                dxTangent.shape().extent(0),
                dxTangent.shape().extent(1),
                DualFloats.of(y),
                DualFloats.of(dy),
                floats(dxTangent),
                start(dxTangent));
    }

    @Override
    public void loss(Loss loss, Dual<Tensor> predictions, Tensor rowWeights, Tensor dPredictionsTangent) {
        Shapes.requireLoss(predictions, rowWeights, dPredictionsTangent);
        HostStorage.changed(dPredictionsTangent);
        rows.loss(
                loss,
                dPredictionsTangent.shape().extent(0),
                dPredictionsTangent.shape().extent(1),
                DualFloats.of(predictions),
                rowWeights == null ? null : floats(rowWeights),
                rowWeights == null ? 0 : start(rowWeights),
                floats(dPredictionsTangent),
                start(dPredictionsTangent));
    }
}
