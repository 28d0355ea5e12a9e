package carousel.engine.vector;

import static carousel.engine.vector.Kernels.BLOCK;
import static carousel.engine.vector.Kernels.LANES;

import carousel.engine.LstmSpec;
import carousel.engine.LstmTape;
import carousel.tensor.Scope;
import carousel.tensor.Tensor;

/**
 * For each cell the gates (or, where it is normalised, what they follow from), the state and its hyperbolic tangent, strip by strip of
 * hidden units and in a strip by row (see {@link Sequences}), so that each pass reads and writes them in one direction; for each layer but the last its output, which is also the
 * record of its h. The last layer's output is the caller's y. The backward pass overwrites the gates with the gradients of their
 * pre-activations.
 */
final class VectorTape extends LstmTape {
    /** Rows after which a strip's place in a cache is the same again, if not the whole one then half: 32 KiB, of gates. */
    private static final int ROUND = 128;
    /** Rows that strips keep away from that, at least: more than a tile has. */
    private static final int APART = Sequences.TILE + 2;
    /** Rows from which on the few more are worth it: they are 4 % at most. */
    private static final int LONG = 1024;

    private final Tensor[] gates;
    private final Tensor[] states;
    private final Tensor[] layerOutputs;
    private final Tensor[] dropped;
    // Null where the specification has nothing for them.
    private final Tensor[] slopes;
    private final Tensor[] cellBits;
    private final Tensor[] hiddenBits;
    private final Tensor[] inputShares;
    private final Tensor[] recurrentShares;
    private final Tensor[] statistics;

    VectorTape(LstmSpec spec, Scope scope, int timeSteps, int batchSize) {
        super(spec, scope, timeSteps, batchSize);
        int strips = (spec.hiddenSize() + LANES - 1) / LANES;
        int outputStrips = (spec.outputSize() + LANES - 1) / LANES;
        CellOptions options = CellOptions.of(spec);
        gates = new Tensor[spec.states()];
        states = new Tensor[spec.states()];
        slopes = new Tensor[spec.states()];
        cellBits = new Tensor[spec.states()];
        hiddenBits = new Tensor[spec.states()];
        inputShares = new Tensor[spec.states()];
        recurrentShares = new Tensor[spec.states()];
        statistics = new Tensor[spec.states()];
        for (int state = 0; state < spec.states(); state++) {
            states[state] = scope.allocate("cell states", strips, rows(), 2 * LANES);
            if (options.slopes()) {
                slopes[state] = scope.allocate("slopes", strips, rows(), CellStep.SLOPES);
            }
            if (options.drawsForCell()) {
                cellBits[state] = scope.allocateIntegers("cell masks", strips, rows());
            }
            if (options.zoneoutHidden() > 0) {
                hiddenBits[state] = scope.allocateIntegers("zoneout masks", outputStrips, rows());
            }
            // The gates of a normalised cell follow from its shares, in less time than they take to go to memory and
            // back.
            if (!options.normalized()) {
                gates[state] = scope.allocate("gates", strips, rows(), BLOCK);
            } else {
                inputShares[state] = scope.allocate("shares of the input", strips, rows(), BLOCK);
                recurrentShares[state] = scope.allocate("recurrent shares", strips, rows(), BLOCK);
                statistics[state] = scope.allocate("statistics", rows(), CellStep.STATISTICS);
            }
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

    /**
     * Rows of a strip: every step of every sequence, and in a long record some more where the same row of all strips would otherwise
     * lie a multiple of 32 KiB apart, or little more or less, and meet in the same few lines of the caches.
     */
    int rows() {
        int rows = Math.multiplyExact(timeSteps(), batchSize());
        int over = rows % ROUND;
        if (rows < LONG || over >= APART && over <= ROUND - APART) {
            return rows;
        }
        return Math.addExact(rows, over < APART ? APART - over : ROUND - over + APART);
    }

    /** {@code [S, rows, 4L]}: i, f, g, o; null where the cell is normalised. */
    Tensor gates(int state) {
        return gates[state];
    }

    /** {@code [S, rows, 2L]}: c and its hyperbolic tangent. */
    Tensor states(int state) {
        return states[state];
    }

    /** {@code [S, rows, 5L]}: of i, f, g, o and of what is shown; null where they follow from the values. */
    Tensor slopes(int state) {
        return slopes[state];
    }

    /** {@code [S, rows]}: which elements of g are dropped, and from bit L on, which of c are held; null for none. */
    Tensor cellBits(int state) {
        return cellBits[state];
    }

    /** {@code [strips of h, rows]}: which elements of h are held; null for none. */
    Tensor hiddenBits(int state) {
        return hiddenBits[state];
    }

    /** {@code [S, rows, 4L]}: u, which the backward pass overwrites with its gradient; null where nothing is normalised. */
    Tensor inputShares(int state) {
        return inputShares[state];
    }

    /** {@code [S, rows, 4L]}: v likewise. */
    Tensor recurrentShares(int state) {
        return recurrentShares[state];
    }

    /** {@code [rows, 6]}: see {@link CellStep#STATISTICS}; null likewise. */
    Tensor statistics(int state) {
        return statistics[state];
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
