package carousel.engine.cuda.fused;

import carousel.engine.LstmSpec;
import carousel.engine.LstmTape;
import carousel.tensor.ElementType;
import carousel.tensor.Scope;
import carousel.tensor.Shape;
import carousel.tensor.Tensor;
import java.util.IdentityHashMap;
import java.util.Map;

/** What a forward pass of the {@link FusedEngine} leaves for the backward pass. */
final class FusedTape extends LstmTape {
    final Trace trace;

    FusedTape(LstmSpec spec, Scope scope, int timeSteps, int batchSize) {
        super(spec, scope, timeSteps, batchSize);
        this.trace = new Trace(spec, scope, timeSteps, batchSize, true);
    }

    /**
     * The tensors of one pass. Without a backward pass to come, the cells of a layer share theirs with those of the next.
     *
     * <p>A cell's states have T + 1 slots: one that reads forwards goes from slot t to slot t + 1, one that reads in reverse from slot
     * t + 1 to slot t. So the states before time t lie in the order of t, for either.
     */
    static final class Trace {
        private final LstmSpec spec;
        private final Scope scope;
        private final int timeSteps;
        private final int batchSize;
        private final Cell[] cells;
        private final Tensor[] layerInputs;
        /** By what they are copies of. */
        private final Map<Tensor, Tensor> narrowCopies = new IdentityHashMap<>();

        private Tensor narrowInput;
        private Tensor validInput;
        private Tensor lengths;

        Trace(LstmSpec spec, Scope scope, int timeSteps, int batchSize, boolean kept) {
            this.spec = spec;
            this.scope = scope;
            this.timeSteps = timeSteps;
            this.batchSize = batchSize;
            this.cells = new Cell[spec.states()];
            this.layerInputs = new Tensor[spec.layers()];
            for (int state = 0; state < cells.length; state++) {
                cells[state] = kept || state == 0
                        ? new Cell(
                                scope.allocate("gates", timeSteps, batchSize, 4 * spec.hiddenSize()),
                                scope.allocate("h", timeSteps + 1, batchSize, spec.outputSize()),
                                scope.allocate("c", timeSteps + 1, batchSize, spec.hiddenSize()),
                                spec.projected() ? scope.allocate("m", timeSteps, batchSize, spec.hiddenSize()) : null)
                        : cells[0];
            }
            for (int layer = 1; layer < spec.layers(); layer++) {
                // Of the ones not kept, a layer reads one and writes the other.
                layerInputs[layer] = kept || layer <= 2
                        ? scope.allocate("layer output", timeSteps, batchSize, spec.sequenceWidth())
                        : layerInputs[layer - 2];
            }
        }

        Cell cell(int state) {
            return cells[state];
        }

        /** What a layer above the first reads. */
        Tensor layerInput(int layer) {
            return layerInputs[layer];
        }

        /** Room for x with zeros past the end of every sequence. */
        Tensor validInput() {
            if (validInput == null) {
                validInput = scope.allocate("valid x", timeSteps, batchSize, spec.inputSize());
            }
            return validInput;
        }

        /** Room for a copy of 16 bits of a tensor of this trace. */
        Tensor narrowCopy(Tensor original, ElementType type) {
            return narrowCopies.computeIfAbsent(
                    original, missing -> scope.allocate("narrow copy", type, original.shape()));
        }

        /** The same of x, which is another tensor in each pass, or of its valid part. */
        Tensor narrowInput(ElementType type) {
            if (narrowInput == null) {
                Shape shape = Shape.of(timeSteps, batchSize, spec.inputSize());
                narrowInput = scope.allocate("narrow x", type, shape);
            }
            return narrowInput;
        }

        /** Room for the lengths. */
        Tensor lengths() {
            if (lengths == null) {
                lengths = scope.allocateIntegers("lengths", batchSize);
            }
            return lengths;
        }
    }

    /**
     * One cell's tensors.
     *
     * @param gates {@code [T, N, 4H]}: i, f, g, o; after the backward pass the gradients of their pre-activations
     * @param h {@code [T + 1, N, P]}
     * @param c {@code [T + 1, N, H]}
     * @param m {@code [T, N, H]}: what is projected; null without a projection
     */
    record Cell(Tensor gates, Tensor h, Tensor c, Tensor m) {}
}
