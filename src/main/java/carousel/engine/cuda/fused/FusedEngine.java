package carousel.engine.cuda.fused;

import carousel.engine.EngineOptions;
import carousel.engine.Gate;
import carousel.engine.LstmFeature;
import carousel.engine.LstmInput;
import carousel.engine.LstmInputGradient;
import carousel.engine.LstmLayout;
import carousel.engine.LstmOutput;
import carousel.engine.LstmSpec;
import carousel.engine.LstmState;
import carousel.engine.LstmTape;
import carousel.engine.ParameterView;
import carousel.engine.Shapes;
import carousel.engine.cuda.CudaEngine;
import carousel.engine.cuda.DeviceStorage;
import carousel.tensor.ElementType;
import carousel.tensor.Precision;
import carousel.tensor.Scope;
import carousel.tensor.Shape;
import carousel.tensor.Tensor;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;

/**
 * The LSTM by products and fused pointwise kernels. Forward, for each cell: {@code W x + b} of all time steps in one product; then for
 * each step {@code += R h_prev} in one product, and one kernel for gates, cell and output. Backward, for each step one kernel, and {@code
 * dh_prev = R^T da} in one product; then {@code dW, dR, dx} of all time steps in one product each. No sum depends on anything but sizes:
 * the same inputs give the same bits.
 *
 * <p>In BF16 and FP16 products multiply copies of 16 bits: of the parameters, made anew when they may have changed, and of x, h, what is
 * projected and the gradients of gates, made as these are computed. Sums are single precision, as is all that lies between products:
 * gates, cells, states, gradients. What is too large for FP16 becomes infinite: it saturates a gate, as the number itself would, and leaves
 * no finite gradient.
 */
final class FusedEngine extends CudaEngine {
    private final Map<WeightsKey, Weights> narrowWeights = new HashMap<>();

    /** So many parameters that lie at an address. */
    private record WeightsKey(long address, long elements) {}

    /** A copy of parameters; it lives as long as they do. */
    private static final class Weights {
        private final Tensor copy;
        /** Of the parameters that were copied. */
        private long version = -1;

        Weights(Tensor copy) {
            this.copy = copy;
        }
    }

    FusedEngine(EngineOptions options, Precision precision) {
        super(options, precision, precision.operands());
    }

    /** The parameters in the type of operands. */
    private Tensor narrowWeights(Tensor parameters) {
        long address = input(parameters);
        long elements = parameters.elements();
        WeightsKey key = new WeightsKey(address, elements);
        Weights weights = narrowWeights.get(key);
        if (weights == null || weights.copy.scope().isClosed()) {
            narrowWeights.values().removeIf(other -> other.copy.scope().isClosed());
            weights = new Weights(parameters.scope().allocate("narrow parameters", operands(), parameters.shape()));
            narrowWeights.put(key, weights);
        }
        long version = DeviceStorage.version(parameters);
        if (weights.version != version) {
            narrow(address, DeviceStorage.address(weights.copy, operands()), elements, operands());
            // A copy that fails is not to count as made.
            context().handOver();
            weights.version = version;
        }
        return weights.copy;
    }

    @Override
    public String name() {
        return FusedEngineProvider.NAME;
    }

    @Override
    public Optional<String> refusal(LstmSpec spec) {
        return spec.beyond(LstmFeature.USUAL)
                .map(option ->
                        "the fused engine does not compute " + option + " yet: leave it out of the specification");
    }

    @Override
    public LstmTape openTape(Scope scope, LstmSpec spec, int timeSteps, int batchSize) {
        requireSupported(spec);
        return new FusedTape(spec, scope, timeSteps, batchSize);
    }

    @Override
    public void lstmForward(LstmSpec spec, Tensor parameters, LstmInput input, LstmOutput output, LstmTape tape) {
        context().enter();
        requireSupported(spec);
        Shapes.requireForward(spec, parameters, input, output, tape);
        int timeSteps = input.x().shape().extent(0);
        int batchSize = input.x().shape().extent(1);
        if (tape != null) {
            new Pass(spec, parameters, input, timeSteps, batchSize, ((FusedTape) tape).trace).forward(output);
            tape.record(parameters, input, output);
            return;
        }
        try (Scope workspace = openScope("forward workspace")) {
            FusedTape.Trace trace = new FusedTape.Trace(spec, workspace, timeSteps, batchSize, false);
            new Pass(spec, parameters, input, timeSteps, batchSize, trace).forward(output);
        }
    }

    @Override
    public void lstmBackward(
            LstmTape tape, LstmOutput outputGradient, Tensor parameterGradients, LstmInputGradient inputGradient) {
        context().enter();
        Shapes.requireBackward(tape, outputGradient, parameterGradients, inputGradient);
        tape.consume();
        new Pass(
                        tape.spec(),
                        tape.parameters(),
                        tape.input(),
                        tape.timeSteps(),
                        tape.batchSize(),
                        ((FusedTape) tape).trace)
                .backward(outputGradient, parameterGradients, inputGradient);
    }

    /** One call's sizes and addresses. */
    private final class Pass {
        private final LstmSpec spec;
        private final LstmLayout layout;
        private final LstmInput input;
        private final FusedTape.Trace trace;
        private final long parameters;
        private final int timeSteps;
        private final int batchSize;
        private final int rows;
        private final int hidden;
        private final int gates;
        private final int outputs;
        private final int width;
        private final int cells;
        /** On the device; 0 where all sequences have all steps. */
        private final long lengths;

        private final Operands operands;

        Pass(LstmSpec spec, Tensor parameters, LstmInput input, int timeSteps, int batchSize, FusedTape.Trace trace) {
            this.spec = spec;
            this.layout = LstmLayout.of(spec);
            this.input = input;
            this.trace = trace;
            this.parameters = input(parameters);
            this.timeSteps = timeSteps;
            this.batchSize = batchSize;
            this.rows = Math.multiplyExact(timeSteps, batchSize);
            this.hidden = spec.hiddenSize();
            this.gates = Gate.COUNT * hidden;
            this.outputs = spec.outputSize();
            this.width = spec.sequenceWidth();
            this.cells = spec.direction().cells();
            this.lengths = input.lengths() == null ? 0 : DeviceStorage.address(trace.lengths(), ElementType.INT32);
            boolean narrow = operands() != real();
            this.operands =
                    new Operands(narrow ? (from, to, elements) -> narrow(from, to, elements, operands()) : null);
            if (narrow) {
                copyInto(narrowWeights(parameters), this.parameters);
                copyInto(trace.narrowInput(operands()), layerInput(0));
                for (int layer = 1; layer < spec.layers(); layer++) {
                    copyInto(trace.narrowCopy(trace.layerInput(layer), operands()), layerInput(layer));
                }
                for (int state = 0; state < spec.states(); state++) {
                    FusedTape.Cell cell = trace.cell(state);
                    copyInto(trace.narrowCopy(cell.h(), operands()), input(cell.h()));
                    if (cell.m() != null) {
                        copyInto(trace.narrowCopy(cell.m(), operands()), input(cell.m()));
                    }
                }
            }
        }

        /** Lets products find what lies at an address in a copy. */
        private void copyInto(Tensor copy, long address) {
            operands.copy(address, copy.elements(), DeviceStorage.address(copy, copy.type()));
        }

        /** {@link CudaEngine#product} of tensors, in whatever type it multiplies them. */
        private void product(
                boolean transposeA, boolean transposeB, int m, int n, int k, long a, long b, boolean add, long c) {
            FusedEngine.this.product(transposeA, transposeB, m, n, k, operands.of(a), operands.of(b), add, c);
        }

        private boolean drops() {
            return spec.dropout() > 0 && input.dropout() != null;
        }

        /** Where a weight lies. */
        private long weight(ParameterView view) {
            return parameters + bytes(view.offset());
        }

        /** Where row n = 0 of one slot, time step or state of a tensor {@code [., N, width]} lies. */
        private long at(long tensor, int slot, int rowWidth) {
            return tensor + bytes((long) slot * batchSize * rowWidth);
        }

        /** Where what a layer reads lies: of x, a copy in which nothing lies past the end of a sequence. */
        private long layerInput(int layer) {
            if (layer > 0) {
                return input(trace.layerInput(layer));
            }
            return input(lengths == 0 ? input.x() : trace.validInput());
        }

        void forward(LstmOutput output) {
            if (lengths != 0) {
                write(trace.lengths(), input.lengths());
                kernels()
                        .launch("copy_valid")
                        .address(input(input.x()))
                        .address(output(trace.validInput()))
                        .address(lengths)
                        .integer(timeSteps)
                        .integer(batchSize)
                        .integer(spec.inputSize())
                        .over((long) rows * spec.inputSize());
            }
            for (int layer = 0; layer < spec.layers(); layer++) {
                boolean top = layer == spec.layers() - 1;
                operands.changed(layerInput(layer), (long) rows * spec.layerInputSize(layer));
                long y = output(top ? output.y() : trace.layerInput(layer + 1));
                for (int k = 0; k < cells; k++) {
                    int state = layer * cells + k;
                    forward(state, layer, y + bytes((long) k * outputs), output.last());
                }
                if (!top && drops()) {
                    dropout(y, spec.dropout(), input.dropout().substream(layer), y, (long) rows * width);
                }
            }
        }

        private void forward(int state, int layer, long y, LstmState last) {
            LstmLayout.Cell weights = layout.cell(state);
            boolean reversed = spec.direction().reversed(state % cells);
            int inputs = spec.layerInputSize(layer);
            FusedTape.Cell cell = trace.cell(state);
            long a = output(cell.gates());
            long h = output(cell.h());
            long c = output(cell.c());
            long m = optionalOutput(cell.m());
            setRows(a, weights.bias() == null ? 0 : weight(weights.bias()), rows, gates);
            product(false, true, rows, gates, inputs, layerInput(layer), weight(weights.inputWeights()), true, a);
            int firstSlot = reversed ? timeSteps : 0;
            boolean fromZero = input.initial() == null;
            if (fromZero) {
                clear(at(h, firstSlot, outputs), (long) batchSize * outputs);
                clear(at(c, firstSlot, hidden), (long) batchSize * hidden);
            } else {
                copy(
                        at(input(input.initial().h()), state, outputs),
                        at(h, firstSlot, outputs),
                        (long) batchSize * outputs);
                copy(
                        at(input(input.initial().c()), state, hidden),
                        at(c, firstSlot, hidden),
                        (long) batchSize * hidden);
            }
            operands.changed(at(h, firstSlot, outputs), (long) batchSize * outputs);
            for (int step = 0; step < timeSteps; step++) {
                int t = reversed ? timeSteps - 1 - step : step;
                int before = reversed ? t + 1 : t;
                int after = reversed ? t : t + 1;
                if (step > 0 || !fromZero) {
                    // Nothing comes through R from a state of zeros.
                    product(
                            false,
                            true,
                            batchSize,
                            gates,
                            outputs,
                            at(h, before, outputs),
                            weight(weights.recurrentWeights()),
                            true,
                            at(a, t, gates));
                }
                kernels()
                        .launch("lstm_forward")
                        .address(at(a, t, gates))
                        .address(at(c, before, hidden))
                        .address(at(c, after, hidden))
                        .address(spec.projected() ? 0 : at(h, before, outputs))
                        .address(spec.projected() ? 0 : at(h, after, outputs))
                        .address(spec.projected() ? at(m, t, hidden) : 0)
                        .address(spec.projected() ? 0 : at(y, t, width))
                        .integer(width)
                        .address(0)
                        .address(lengths)
                        .integer(t)
                        .integer(batchSize)
                        .integer(hidden)
                        .real(spec.cellClip())
                        .over((long) batchSize * hidden);
                if (spec.projected()) {
                    operands.changed(at(m, t, hidden), (long) batchSize * hidden);
                    product(
                            false,
                            true,
                            batchSize,
                            outputs,
                            hidden,
                            at(m, t, hidden),
                            weight(weights.projection()),
                            false,
                            at(h, after, outputs));
                    kernels()
                            .launch("lstm_project_forward")
                            .address(at(h, before, outputs))
                            .address(at(h, after, outputs))
                            .address(at(y, t, width))
                            .integer(width)
                            .address(lengths)
                            .integer(t)
                            .integer(batchSize)
                            .integer(outputs)
                            .over((long) batchSize * outputs);
                }
                if (step < timeSteps - 1) {
                    // No product reads the last one.
                    operands.changed(at(h, after, outputs), (long) batchSize * outputs);
                }
            }
            if (last != null) {
                int lastSlot = reversed ? 0 : timeSteps;
                copyState(at(h, lastSlot, outputs), last.h(), state, outputs);
                copyState(at(c, lastSlot, hidden), last.c(), state, hidden);
            }
        }

        /** Copies one cell's state to its place among all, where it is wanted. */
        private void copyState(long from, Tensor states, int state, int stateWidth) {
            if (states != null) {
                copy(from, at(output(states), state, stateWidth), (long) batchSize * stateWidth);
            }
        }

        void backward(LstmOutput outputGradient, Tensor parameterGradients, LstmInputGradient inputGradient) {
            long gradients = optionalOutput(parameterGradients);
            try (Scope workspace = openScope("backward workspace")) {
                long dh = output(workspace.allocate("dh", batchSize, outputs));
                long dc = output(workspace.allocate("dc", batchSize, hidden));
                long dm = spec.projected() ? output(workspace.allocate("dm", batchSize, hidden)) : 0;
                long dhTotal = spec.projected()
                        ? output(workspace.allocate("dh of all steps", timeSteps, batchSize, outputs))
                        : 0;
                Tensor narrowGates = null;
                if (operands.narrow()) {
                    narrowGates = workspace.allocate("narrow gates", operands(), Shape.of(timeSteps, batchSize, gates));
                    if (spec.projected()) {
                        copyInto(
                                workspace.allocate("narrow dh", operands(), Shape.of(timeSteps, batchSize, outputs)),
                                dhTotal);
                    }
                }
                // A layer reads the gradient of its output from one and writes that of its input to the other.
                long[] between = new long[2];
                for (int k = 0; k < Math.min(2, spec.layers() - 1); k++) {
                    between[k] = output(workspace.allocate("layer gradient", timeSteps, batchSize, width));
                }
                long dy = optionalInput(outputGradient.y());
                for (int layer = spec.layers() - 1; layer >= 0; layer--) {
                    long dx = layer == 0 ? optionalOutput(inputGradient.dx()) : between[(layer - 1) % 2];
                    for (int k = 0; k < cells; k++) {
                        int state = layer * cells + k;
                        loadState(
                                outputGradient.last() == null
                                        ? null
                                        : outputGradient.last().h(),
                                state,
                                outputs,
                                dh);
                        loadState(
                                outputGradient.last() == null
                                        ? null
                                        : outputGradient.last().c(),
                                state,
                                hidden,
                                dc);
                        if (narrowGates != null) {
                            copyInto(narrowGates, input(trace.cell(state).gates()));
                        }
                        steps(state, dy == 0 ? 0 : dy + bytes((long) k * outputs), dh, dc, dm, dhTotal);
                        products(state, layer, k == 0, gradients, dhTotal, dx);
                        if (inputGradient.initial() != null) {
                            copyState(dh, inputGradient.initial().h(), state, outputs);
                            copyState(dc, inputGradient.initial().c(), state, hidden);
                        }
                    }
                    if (layer > 0 && drops()) {
                        dropout(dx, spec.dropout(), input.dropout().substream(layer - 1), dx, (long) rows * width);
                    }
                    dy = dx;
                }
            }
        }

        /** One cell's part of a gradient with respect to states; zeros where there is none. */
        private void loadState(Tensor states, int state, int stateWidth, long into) {
            if (states == null) {
                clear(into, (long) batchSize * stateWidth);
            } else {
                copy(at(input(states), state, stateWidth), into, (long) batchSize * stateWidth);
            }
        }

        /** Goes back through time: leaves {@code da} where the gates were. */
        private void steps(int state, long dy, long dh, long dc, long dm, long dhTotal) {
            LstmLayout.Cell weights = layout.cell(state);
            boolean reversed = spec.direction().reversed(state % cells);
            FusedTape.Cell cell = trace.cell(state);
            long a = output(cell.gates());
            long c = input(cell.c());
            for (int step = timeSteps - 1; step >= 0; step--) {
                int t = reversed ? timeSteps - 1 - step : step;
                int before = reversed ? t + 1 : t;
                int after = reversed ? t : t + 1;
                long dyNow = dy == 0 ? 0 : at(dy, t, width);
                if (spec.projected()) {
                    kernels()
                            .launch("lstm_project_backward")
                            .address(dh)
                            .address(dyNow)
                            .integer(width)
                            .address(at(dhTotal, t, outputs))
                            .address(lengths)
                            .integer(t)
                            .integer(batchSize)
                            .integer(outputs)
                            .over((long) batchSize * outputs);
                    operands.changed(at(dhTotal, t, outputs), (long) batchSize * outputs);
                    product(
                            false,
                            false,
                            batchSize,
                            hidden,
                            outputs,
                            at(dhTotal, t, outputs),
                            weight(weights.projection()),
                            false,
                            dm);
                }
                kernels()
                        .launch("lstm_backward")
                        .address(at(a, t, gates))
                        .address(at(c, before, hidden))
                        .address(at(c, after, hidden))
                        .address(spec.projected() ? 0 : dh)
                        .address(spec.projected() ? 0 : dyNow)
                        .integer(width)
                        .address(dm)
                        .address(dc)
                        .address(0)
                        .address(lengths)
                        .integer(t)
                        .integer(batchSize)
                        .integer(hidden)
                        .real(spec.cellClip())
                        .over((long) batchSize * hidden);
                operands.changed(at(a, t, gates), (long) batchSize * gates);
                product(
                        false,
                        false,
                        batchSize,
                        outputs,
                        gates,
                        at(a, t, gates),
                        weight(weights.recurrentWeights()),
                        true,
                        dh);
            }
        }

        /** The gradients that all time steps add to. */
        private void products(int state, int layer, boolean firstCell, long gradients, long dhTotal, long dx) {
            LstmLayout.Cell weights = layout.cell(state);
            boolean reversed = spec.direction().reversed(state % cells);
            int inputs = spec.layerInputSize(layer);
            FusedTape.Cell cell = trace.cell(state);
            long da = input(cell.gates());
            if (dx != 0) {
                product(false, false, rows, inputs, gates, da, weight(weights.inputWeights()), !firstCell, dx);
            }
            if (gradients == 0) {
                return;
            }
            long before = at(input(cell.h()), reversed ? 1 : 0, outputs);
            addProduct(gates, inputs, da, layerInput(layer), gradients, weights.inputWeights());
            addProduct(gates, outputs, da, before, gradients, weights.recurrentWeights());
            if (weights.bias() != null) {
                addColumnSums(da, rows, gates, gradients + bytes(weights.bias().offset()));
            }
            if (weights.projection() != null) {
                addProduct(outputs, hidden, dhTotal, input(cell.m()), gradients, weights.projection());
            }
        }

        /** {@code dW [m, n] += left [T N, m]^T right [T N, n]}. */
        private void addProduct(int m, int n, long left, long right, long gradients, ParameterView view) {
            product(true, false, m, n, rows, left, right, true, gradients + bytes(view.offset()));
        }
    }
}
