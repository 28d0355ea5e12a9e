package carousel.engine.vector;

import static carousel.engine.vector.Kernels.BLOCK;

import carousel.engine.Dual;
import carousel.engine.Gate;
import carousel.engine.LstmInput;
import carousel.engine.LstmSpec;
import carousel.engine.LstmTape;
import carousel.tensor.HostStorage;
import carousel.tensor.Scope;
import carousel.tensor.Tensor;

/**
 * What a forward pass with tangents saves: by cell and row (see {@link Sequences}) what the pre-activations are made of, what h
 * showed the recurrent weights, and the cell before the step; by layer what it read. All else is computed once more on the way back.
 * Each tensor holds values and, behind them, their tangents.
 */
final class DualTape extends LstmTape {
    private final Tensor[] inputShares;
    private final Tensor[] recurrentShares;
    private final Tensor[] seen;
    private final Tensor[] before;
    private final Tensor[] layerInputs;
    private DualFloats dualParameters;
    private Dual<LstmInput> dualInput;

    DualTape(LstmSpec spec, Scope scope, int timeSteps, int batchSize) {
        super(spec, scope, timeSteps, batchSize);
        int gateRows = Gate.COUNT * spec.hiddenSize();
        inputShares = new Tensor[spec.states()];
        recurrentShares = new Tensor[spec.states()];
        seen = new Tensor[spec.states()];
        before = new Tensor[spec.states()];
        for (int state = 0; state < spec.states(); state++) {
            inputShares[state] = blocked(scope, "shares of x", gateRows);
            if (spec.layerNormalization()) {
                recurrentShares[state] = blocked(scope, "shares of h", gateRows);
            }
            seen[state] = blocked(scope, "seen h", spec.outputSize());
            before[state] = scope.allocate("previous c", 2, rows(), spec.hiddenSize());
        }
        layerInputs = new Tensor[spec.layers()];
        for (int layer = 1; layer < spec.layers(); layer++) {
            layerInputs[layer] = scope.allocate("layer input", 2, timeSteps, batchSize, spec.layerInputSize(layer));
        }
    }

    /** Blocked rows for every step of every sequence. */
    Tensor blocked(Scope scope, String name, int width) {
        return scope.allocate(name, 2, (width + BLOCK - 1) / BLOCK, rows(), BLOCK);
    }

    /** The most rows there can be, and the pitch of blocks. */
    int rows() {
        return Math.multiplyExact(timeSteps(), batchSize());
    }

    /** Values and, behind them, their tangents. */
    static DualFloats halves(Tensor both) {
        float[] array = HostStorage.floats(both);
        int start = HostStorage.start(both);
        return new DualFloats(array, start, array, start + Math.toIntExact(both.elements() / 2));
    }

    /** {@code W x}, and where nothing is normalised all of the pre-activations but the peepholes' shares; {@code [4H]} in blocked rows. */
    DualFloats inputShares(int state) {
        return halves(inputShares[state]);
    }

    /** {@code R h}, likewise; null where nothing is normalised. */
    DualFloats recurrentShares(int state) {
        return recurrentShares[state] == null ? null : halves(recurrentShares[state]);
    }

    /** {@code d_h * h_prev [P]} in blocked rows. */
    DualFloats seen(int state) {
        return halves(seen[state]);
    }

    /** {@code c_prev}, {@code [rows, H]}. */
    DualFloats before(int state) {
        return halves(before[state]);
    }

    /** A forward pass begins. */
    void begin(Dual<Tensor> parameters, Dual<LstmInput> input) {
        dualParameters = DualFloats.of(parameters);
        dualInput = input;
    }

    /** The stack's parameters in the pass that began last. */
    DualFloats dualParameters() {
        return dualParameters;
    }

    /** What it reads. */
    Dual<LstmInput> dualInput() {
        return dualInput;
    }

    /** What a layer reads, {@code [T, N, D]}. */
    DualFloats layerInput(int layer) {
        if (layer > 0) {
            return halves(layerInputs[layer]);
        }
        LstmInput direction = dualInput.tangent();
        return DualFloats.of(dualInput.value().x(), direction == null ? null : direction.x());
    }
}
