package carousel.engine;

import java.util.EnumSet;
import java.util.Optional;
import java.util.Set;
import java.util.function.Consumer;

/**
 * What an LSTM stack computes, in full: everything about it but its weights. For each time step, with {@code sigma} the
 * logistic function and {@code *} the elementwise product,
 *
 * <pre>
 *   a = W x + R h_prev + b                                  the pre-activations of all four gates
 *   i = sigma(a_i)   f = sigma(a_f)   g = tanh(a_g)   o = sigma(a_o)
 *   c = f * c_prev + i * g                                  the constant error carousel
 *   h = o * tanh(c)
 * </pre>
 *
 * (Hochreiter &amp; Schmidhuber 1997; the forget gate from Gers, Schmidhuber &amp; Cummins 2000.) The other components vary
 * this. With peepholes {@code p}, a projection {@code W_p}, the limits {@code clip_c} and {@code clip_a}, other functions
 * {@code sigma, phi, psi}, normalisations {@code LN} with gains {@code gamma}, and random masks {@code d} and {@code z}, all of
 * which may be combined,
 *
 * <pre>
 *   u = W x                 v = (d_R * R) (d_h * h_prev)
 *   a = u + v + b           or a = gamma_u * LN(u) + gamma_v * LN(v) + b      each over all 4H of them
 *   a_i += p_i * c_prev     a_f += p_f * c_prev     a_o += p_o * c'           peepholes; a_o sees the new cell
 *   a  = clip_a(a)                                                            before every activation, a_g's too
 *   i = sigma(a_i)          g = phi(a_g)            o = sigma(a_o)
 *   f = sigma(a_f)          or, where the gates are coupled, f = 1 - i
 *   c' = clip_c(f * c_prev + i * d_g * g)
 *   s = c'                  or s = gamma_c * LN(c') + beta_c                  over all H of them
 *   h' = W_p (o * psi(s))
 *   c = z_c * c_prev + (1 - z_c) * c'       h = z_h * h_prev + (1 - z_h) * h'   zoneout
 *
 *   LN(q) = (q - mean(q)) / sqrt(mean((q - mean(q))^2) + epsilon)
 * </pre>
 *
 * An element of a mask {@code d} is 0 with its probability {@code p} and {@code 1 / (1 - p)} otherwise; one of {@code z} is 1
 * with its probability and 0 otherwise. They are drawn as {@link LstmMask} says, for each call that is given a {@link RandomKey}.
 * In a call without one, as in inference, every {@code d} is 1 and every {@code z} is its probability, the mean of what it is
 * in training.
 *
 * An engine that does not compute one of the components says so: see {@link Engine#refusal(LstmSpec)}.
 *
 * <p>Make one with {@link #of(int, int)} and the {@code with} methods, so that further components can be added.
 *
 * @param inputSize {@code C}, features per time step, 1 to {@value #LARGEST_WIDTH}
 * @param hiddenSize {@code H}, cells per layer and direction, 1 to {@value #LARGEST_WIDTH}
 * @param layers stacked layers, 1 to {@value #LARGEST_DEPTH}; each reads the outputs of the one below
 * @param direction forward, reverse, or both
 * @param bias whether there is a bias {@code b [4H]}
 * @param projectionSize {@code P}: {@code h = W_p (o * tanh(c))} with {@code W_p [P, H]} (Sak, Senior &amp; Beaufays 2014);
 *     0 for none, otherwise less than {@code H}
 * @param dropout probability of dropping an output of any layer but the last, in [0, 1)
 * @param recurrentDropout probability of dropping an element of {@code h_prev}, one mask a sequence (Gal &amp; Ghahramani
 *     2016), in [0, 1)
 * @param zoneoutHidden probability that an element of {@code h} keeps its previous value (Krueger et al. 2017), in [0, 1)
 * @param zoneoutCell the same for {@code c}, in [0, 1)
 * @param peepholes whether gates also see the cell state, each the element of its own cell (Gers &amp; Schmidhuber 2000)
 * @param layerNormalization whether both shares of the pre-activations are normalised, each over all four gates, and the new
 *     cell before it is shown (Ba, Kiros &amp; Hinton 2016), with {@link #NORMALIZATION_EPSILON}; the offsets of the first two
 *     are {@code b}
 * @param cellClip {@code c} is limited to {@code [-cellClip, cellClip]} at every step and the gradient is zero where the
 *     limit acts; 0 for no limit
 * @param gateClip every pre-activation, its peephole's share included, is limited to {@code [-gateClip, gateClip]} before its
 *     activation and its gradient is zero where the limit acts; 0 for no limit. ONNX calls this {@code clip}; it limits the
 *     candidate like the gates, and never the cell.
 * @param coupledGates whether {@code f = 1 - i}, as Greff et al. 2017 couple the gates; what the forget gate would have been
 *     computed from keeps its place among the parameters, counts for nothing and has a zero gradient. ONNX calls this {@code
 *     input_forget}.
 * @param activations what is put for the logistic function and the hyperbolic tangents
 * @param candidateDropout probability of dropping an element of {@code g}, drawn anew at each step (Semeniuta, Severyn &amp;
 *     Barth 2016): the cell's memory itself is never dropped; in [0, 1)
 * @param recurrentWeightDropout probability of dropping an element of {@code R}, one mask a call for all steps and sequences
 *     (DropConnect, as Merity, Keskar &amp; Socher 2018 put it on an LSTM), in [0, 1)
 */
public record LstmSpec(
        int inputSize,
        int hiddenSize,
        int layers,
        Direction direction,
        boolean bias,
        int projectionSize,
        double dropout,
        double recurrentDropout,
        double zoneoutHidden,
        double zoneoutCell,
        boolean peepholes,
        boolean layerNormalization,
        double cellClip,
        double gateClip,
        boolean coupledGates,
        LstmActivations activations,
        double candidateDropout,
        double recurrentWeightDropout) {

    /** The largest input or hidden size: beyond it no index of a weight fits any engine. */
    public static final int LARGEST_WIDTH = 1 << 20;

    /** The largest number of layers. */
    public static final int LARGEST_DEPTH = 1024;

    /** The smallest clip: single precision can tell it from 0. */
    private static final double SMALLEST_LIMIT = 1.2e-38;

    /** What layer normalisation adds to a variance. */
    public static final double NORMALIZATION_EPSILON = 1e-5;

    private static final LstmFeature[] FEATURES = LstmFeature.values();

    public LstmSpec {
        inRange("input size", inputSize, LARGEST_WIDTH);
        inRange("hidden size", hiddenSize, LARGEST_WIDTH);
        inRange("number of layers", layers, LARGEST_DEPTH);
        if (direction == null) {
            throw new IllegalArgumentException("the direction must be given: FORWARD, REVERSE or BIDIRECTIONAL");
        }
        if (projectionSize < 0 || projectionSize >= hiddenSize && projectionSize > 0) {
            throw new IllegalArgumentException("projection size should be 0 (none) or in the [1, " + (hiddenSize - 1)
                    + "] range, less than the hidden size, but got " + projectionSize);
        }
        probability("dropout", dropout);
        probability("recurrent dropout", recurrentDropout);
        probability("candidate dropout", candidateDropout);
        probability("recurrent weight dropout", recurrentWeightDropout);
        probability("zoneout of the hidden state", zoneoutHidden);
        probability("zoneout of the cell state", zoneoutCell);
        limit("cell clip", cellClip);
        limit("gate clip", gateClip);
        if (activations == null) {
            throw new IllegalArgumentException(
                    "the activations must be given: LstmActivations.STANDARD for the usual ones");
        }
    }

    /** One forward layer with bias and nothing else. */
    public static LstmSpec of(int inputSize, int hiddenSize) {
        return new LstmSpec(
                inputSize,
                hiddenSize,
                1,
                Direction.FORWARD,
                true,
                0,
                0,
                0,
                0,
                0,
                false,
                false,
                0,
                0,
                false,
                LstmActivations.STANDARD,
                0,
                0);
    }

    public LstmSpec withInputSize(int value) {
        return with(draft -> draft.inputSize = value);
    }

    public LstmSpec withLayers(int value) {
        return with(draft -> draft.layers = value);
    }

    public LstmSpec withDirection(Direction value) {
        return with(draft -> draft.direction = value);
    }

    public LstmSpec withBias(boolean value) {
        return with(draft -> draft.bias = value);
    }

    public LstmSpec withProjectionSize(int value) {
        return with(draft -> draft.projectionSize = value);
    }

    public LstmSpec withDropout(double value) {
        return with(draft -> draft.dropout = value);
    }

    public LstmSpec withRecurrentDropout(double value) {
        return with(draft -> draft.recurrentDropout = value);
    }

    public LstmSpec withCandidateDropout(double value) {
        return with(draft -> draft.candidateDropout = value);
    }

    public LstmSpec withRecurrentWeightDropout(double value) {
        return with(draft -> draft.recurrentWeightDropout = value);
    }

    public LstmSpec withZoneout(double hidden, double cell) {
        return with(draft -> {
            draft.zoneoutHidden = hidden;
            draft.zoneoutCell = cell;
        });
    }

    public LstmSpec withPeepholes(boolean value) {
        return with(draft -> draft.peepholes = value);
    }

    public LstmSpec withLayerNormalization(boolean value) {
        return with(draft -> draft.layerNormalization = value);
    }

    public LstmSpec withCellClip(double value) {
        return with(draft -> draft.cellClip = value);
    }

    public LstmSpec withGateClip(double value) {
        return with(draft -> draft.gateClip = value);
    }

    public LstmSpec withCoupledGates(boolean value) {
        return with(draft -> draft.coupledGates = value);
    }

    public LstmSpec withActivations(LstmActivations value) {
        return with(draft -> draft.activations = value);
    }

    /** What this specification has beyond the cell as it is written first above. */
    public Set<LstmFeature> features() {
        Set<LstmFeature> features = EnumSet.noneOf(LstmFeature.class);
        for (LstmFeature feature : LstmFeature.values()) {
            if (feature.in(this)) {
                features.add(feature);
            }
        }
        return features;
    }

    /** In words, the first feature that is not one of these; nothing where all are. */
    public Optional<String> beyond(Set<LstmFeature> known) {
        // Asked at each call of an engine, which allocates nothing.
        for (LstmFeature feature : FEATURES) {
            if (feature.in(this) && !known.contains(feature)) {
                return Optional.of(feature.words(this));
            }
        }
        return Optional.empty();
    }

    /** Whether {@code h} is a projection of the cell's output. */
    public boolean projected() {
        return projectionSize > 0;
    }

    /** The width of {@code h}: {@code P} with a projection, otherwise {@code H}. */
    public int outputSize() {
        return projected() ? projectionSize : hiddenSize;
    }

    /** The width of {@code y}: the outputs of all cells of a layer side by side. */
    public int sequenceWidth() {
        return direction.cells() * outputSize();
    }

    /** The width of what a layer reads: {@code C} for layer 0, then {@link #sequenceWidth()}. */
    public int layerInputSize(int layer) {
        return layer == 0 ? inputSize : sequenceWidth();
    }

    /** How many states there are: {@code layers} times 1 or 2. State {@code layer * cells + cell} is one cell's. */
    public int states() {
        return layers * direction.cells();
    }

    private LstmSpec with(Consumer<Draft> change) {
        Draft draft = new Draft(this);
        change.accept(draft);
        return draft.finish();
    }

    private static void inRange(String what, int value, int largest) {
        if (value < 1 || value > largest) {
            throw new IllegalArgumentException(what + " should be in the [1, " + largest + "] range but got " + value);
        }
    }

    private static void probability(String what, double value) {
        if (!(value >= 0 && value < 1)) {
            throw new IllegalArgumentException(what + " should be in the [0, 1) range but got " + value);
        }
    }

    private static void limit(String what, double value) {
        if (!(value >= 0) || Double.isInfinite(value)) {
            throw new IllegalArgumentException(
                    what + " should be 0 (none) or a positive finite number but got " + value);
        } else if (value > 0 && value < SMALLEST_LIMIT) {
            throw new IllegalArgumentException(what + " should be 0 (none) or " + SMALLEST_LIMIT
                    + " or more, which engines in single precision can tell from 0, but got " + value);
        }
    }

    /** The components while one of them changes. */
    private static final class Draft {
        private int inputSize;
        private int hiddenSize;
        private int layers;
        private Direction direction;
        private boolean bias;
        private int projectionSize;
        private double dropout;
        private double recurrentDropout;
        private double zoneoutHidden;
        private double zoneoutCell;
        private boolean peepholes;
        private boolean layerNormalization;
        private double cellClip;
        private double gateClip;
        private boolean coupledGates;
        private LstmActivations activations;
        private double candidateDropout;
        private double recurrentWeightDropout;

        Draft(LstmSpec spec) {
            inputSize = spec.inputSize;
            hiddenSize = spec.hiddenSize;
            layers = spec.layers;
            direction = spec.direction;
            bias = spec.bias;
            projectionSize = spec.projectionSize;
            dropout = spec.dropout;
            recurrentDropout = spec.recurrentDropout;
            zoneoutHidden = spec.zoneoutHidden;
            zoneoutCell = spec.zoneoutCell;
            peepholes = spec.peepholes;
            layerNormalization = spec.layerNormalization;
            cellClip = spec.cellClip;
            gateClip = spec.gateClip;
            coupledGates = spec.coupledGates;
            activations = spec.activations;
            candidateDropout = spec.candidateDropout;
            recurrentWeightDropout = spec.recurrentWeightDropout;
        }

        LstmSpec finish() {
            return new LstmSpec(
                    inputSize,
                    hiddenSize,
                    layers,
                    direction,
                    bias,
                    projectionSize,
                    dropout,
                    recurrentDropout,
                    zoneoutHidden,
                    zoneoutCell,
                    peepholes,
                    layerNormalization,
                    cellClip,
                    gateClip,
                    coupledGates,
                    activations,
                    candidateDropout,
                    recurrentWeightDropout);
        }
    }
}
