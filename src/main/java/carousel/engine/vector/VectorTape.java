package carousel.engine.vector;

import carousel.engine.Gate;
import carousel.engine.LstmSpec;
import carousel.engine.LstmTape;
import carousel.tensor.Scope;
import carousel.tensor.Tensor;

/**
 * For each cell the gates, the state and its hyperbolic tangent, all by the cell's own steps (see {@link Sequences}); for
 * each layer but the last its output, which is also the record of its h. The last layer's output is the caller's y. The
 * backward pass overwrites the gates with the gradients of their pre-activations.
 */
final class VectorTape extends LstmTape {
    private final Tensor[] gates;
    private final Tensor[] cells;
    private final Tensor[] tanhCells;
    private final Tensor[] layerOutputs;
    private final Tensor[] dropped;

    VectorTape(LstmSpec spec, Scope scope, int timeSteps, int batchSize) {
        super(spec, scope, timeSteps, batchSize);
        int hidden = spec.hiddenSize();
        gates = new Tensor[spec.states()];
        cells = new Tensor[spec.states()];
        tanhCells = new Tensor[spec.states()];
        for (int state = 0; state < spec.states(); state++) {
            gates[state] = scope.allocate("gates", timeSteps, batchSize, Gate.COUNT * hidden);
            cells[state] = scope.allocate("cell states", timeSteps + 1, batchSize, hidden);
            tanhCells[state] = scope.allocate("tanh of cell states", timeSteps, batchSize, hidden);
        }
        layerOutputs = new Tensor[spec.layers() - 1];
        dropped = new Tensor[spec.layers() - 1];
        for (int layer = 0; layer < spec.layers() - 1; layer++) {
            layerOutputs[layer] = scope.allocate("layer output", timeSteps, batchSize, spec.sequenceWidth());
            if (spec.dropout() > 0) {
                dropped[layer] = scope.allocate("dropped layer output", timeSteps, batchSize, spec.sequenceWidth());
            }
        }
    }

    /** {@code [T, N, 4H]}. */
    Tensor gates(int state) {
        return gates[state];
    }

    /** {@code [T + 1, N, H]}, index 0 being the initial state. */
    Tensor cells(int state) {
        return cells[state];
    }

    /** {@code [T, N, H]}. */
    Tensor tanhCells(int state) {
        return tanhCells[state];
    }

    /** {@code [T, N, width]} of any layer but the last, before dropout. */
    Tensor layerOutput(int layer) {
        return layerOutputs[layer];
    }

    /** The same after dropout; null where the specification has none. */
    Tensor dropped(int layer) {
        return dropped[layer];
    }

    /** What a layer reads, in the forward pass that was recorded. */
    Tensor layerInput(int layer) {
        if (layer == 0) {
            return input().x();
        }
        return input().dropout() != null && dropped[layer - 1] != null ? dropped[layer - 1] : layerOutputs[layer - 1];
    }

    /** What a layer wrote, in the forward pass that was recorded. */
    Tensor output(int layer) {
        return layer == spec().layers() - 1 ? output().y() : layerOutputs[layer];
    }
}
