package carousel.engine.cuda.fused;

import carousel.engine.Gate;
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
    /** Deviations that a normalised cell keeps of a step, those of {@code v} and of the new cell. */
    static final int DEVIATIONS = 2;

    final Trace trace;

    FusedTape(LstmSpec spec, Scope scope, int timeSteps, int batchSize) {
        super(spec, scope, timeSteps, batchSize);
        this.trace = new Trace(spec, scope, timeSteps, batchSize, Kept.ALL);
    }

    /** Which cells have tensors of their own. */
    enum Kept {
        /** Each one, for a backward pass to come. */
        ALL,
        /** Each one, as layers go through time side by side; for no backward pass. */
        STACK,
        /** The cells of one layer, which shares them with the next: they are run together. */
        LAYER,
        /** One, which shares them with all others. */
        CELL
    }

    /**
     * The tensors of one pass.
     *
     * <p>A cell's states have T + 1 slots: one that reads forwards goes from slot t to slot t + 1, one that reads in reverse from slot
     * t + 1 to slot t. So the states before time t lie in the order of t, for either.
     */
    static final class Trace {
        private final LstmSpec spec;
        private final Scope scope;
        private final int timeSteps;
        private final int batchSize;
        private final Kept kept;
        private final Cell[] cells;
        private final Tensor[] layerInputs;
        /** By what they are copies of. */
        private final Map<Tensor, Tensor> narrowCopies = new IdentityHashMap<>();

        private Tensor narrowInput;
        private Tensor validInput;
        private Tensor lengths;

        Trace(LstmSpec spec, Scope scope, int timeSteps, int batchSize, Kept kept) {
            this.spec = spec;
            this.scope = scope;
            this.timeSteps = timeSteps;
            this.batchSize = batchSize;
            this.kept = kept;
            this.cells = new Cell[spec.states()];
            this.layerInputs = new Tensor[spec.layers()];
            int own = switch (kept) {
                case ALL, STACK -> cells.length;
                case LAYER -> spec.direction().cells();
                case CELL -> 1;
            };
            for (int state = 0; state < cells.length; state++) {
                cells[state] = state < own ? newCell() : cells[state % own];
            }
            for (int layer = 1; layer < spec.layers(); layer++) {
                // Of the ones not kept, a layer reads one and writes the other.
                layerInputs[layer] = own == cells.length || layer <= 2
                        ? scope.allocate("layer output", timeSteps, batchSize, spec.sequenceWidth())
                        : layerInputs[layer - 2];
            }
        }

        private Cell newCell() {
            int hidden = spec.hiddenSize();
            int gates = Gate.COUNT * hidden;
            return new Cell(
                    scope.allocate("gates", timeSteps, batchSize, gates),
                    scope.allocate("h", timeSteps + 1, batchSize, spec.outputSize()),
                    scope.allocate("c", timeSteps + 1, batchSize, hidden),
                    spec.projected() ? scope.allocate("m", timeSteps, batchSize, hidden) : null,
                    spec.recurrentDropout() > 0
                            ? scope.allocate("h after dropout", timeSteps + 1, batchSize, spec.outputSize())
                            : null,
                    spec.layerNormalization()
                            ? new Normal(
                                    scope.allocate("normalised u", timeSteps, batchSize, gates),
                                    scope.allocate("normalised v", timeSteps, batchSize, gates),
                                    scope.allocate("deviations of u", timeSteps, batchSize),
                                    scope.allocate("deviations of v and c", timeSteps, batchSize, DEVIATIONS),
                                    scope.allocate("normalised c", timeSteps, batchSize, hidden))
                            : null);
        }

        Kept kept() {
            return kept;
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
     * @param gates {@code [T, N, 4H]}: of the plain cell i, f, g, o, of another their pre-activations; after the backward pass the
     *     gradients of these
     * @param h {@code [T + 1, N, P]}
     * @param c {@code [T + 1, N, H]}
     * @param m {@code [T, N, H]}: what is projected; null without a projection
     * @param seen {@code [T + 1, N, P]}: h as the products read it; null without recurrent dropout
     * @param normal null without layer normalisation
     */
    record Cell(Tensor gates, Tensor h, Tensor c, Tensor m, Tensor seen, Normal normal) {}

    /**
     * What layer normalisation adds.
     *
     * @param u {@code [T, N, 4H]}: the inputs' share of the pre-activations, normalised; after the backward pass its gradient
     * @param v {@code [T, N, 4H]}: the states' share, likewise
     * @param inputDeviations {@code [T, N]} of u
     * @param deviations {@code [T, N, 2]} of v and the new cell
     * @param cell {@code [T, N, H]}: the new cell, normalised
     */
    record Normal(Tensor u, Tensor v, Tensor inputDeviations, Tensor deviations, Tensor cell) {}
}
