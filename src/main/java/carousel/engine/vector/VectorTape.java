package carousel.engine.vector;

import static carousel.engine.vector.Kernels.BLOCK;
import static carousel.engine.vector.Kernels.LANES;

import carousel.engine.LstmSpec;
import carousel.engine.LstmTape;
import carousel.tensor.Scope;
import carousel.tensor.Tensor;

/**
 * For each cell the gates, the state and its hyperbolic tangent, strip by strip of hidden units and in a strip by row (see {@link
 * Sequences}), so that each pass reads and writes them in one direction; for each layer but the last its output, which is also the
 * record of its h. The last layer's output is the caller's y. The backward pass overwrites the gates with the gradients of their
 * pre-activations.
 */
final class VectorTape extends LstmTape {
    private final Tensor[] gates;
    private final Tensor[] states;
    private final Tensor[] layerOutputs;
    private final Tensor[] dropped;

    VectorTape(LstmSpec spec, Scope scope, int timeSteps, int batchSize) {
        super(spec, scope, timeSteps, batchSize);
        int strips = (spec.hiddenSize() + LANES - 1) / LANES;
        gates = new Tensor[spec.states()];
        states = new Tensor[spec.states()];
        for (int state = 0; state < spec.states(); state++) {
            gates[state] = scope.allocate("gates", strips, rows(), BLOCK);
            states[state] = scope.allocate("cell states", strips, rows(), 2 * LANES);
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

    /** The most rows that a strip can have: every step of every sequence. */
    int rows() {
        return Math.multiplyExact(timeSteps(), batchSize());
    }

    /** {@code [S, rows, 4L]}: i, f, g, o. */
    Tensor gates(int state) {
        return gates[state];
    }

    /** {@code [S, rows, 2L]}: c and its hyperbolic tangent. */
    Tensor states(int state) {
        return states[state];
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
