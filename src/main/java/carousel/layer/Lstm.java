package carousel.layer;

import carousel.engine.Direction;
import carousel.engine.LstmActivations;
import carousel.engine.LstmSpec;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/**
 * A stack of LSTM layers. Peepholes, where it has them, start at zero: the gates see the cell as far as they learn to.
 *
 * @param spec what it computes; its input size counts for nothing and is set to 1, for the model knows what it is put on
 * @param returnSequences whether the output is {@code [T, N, cells * P]}, one vector a time step, or {@code [N, cells * P]},
 *     what the top layer shows after the last step it reads
 * @param inputInitializer of {@code W [4H, D]}
 * @param recurrentInitializer of {@code R [4H, P]} and of a projection
 * @param forgetBias what the forget gate's bias starts with, the other biases starting at 0: with 1 the cell keeps its
 *     memory until it learns better (Gers, Schmidhuber &amp; Cummins 2000; Jozefowicz, Zaremba &amp; Sutskever 2015)
 * @param chronoSteps {@code T_max}, the longest dependency that is expected, in steps: where it is given, the forget gates' biases
 *     are drawn as {@code log(u)} with {@code u} uniform in [1, T_max - 1), so that the cells' memories are as long as that and
 *     shorter, and the input gates' are their negatives (Tallec &amp; Ollivier 2018); 0 for {@code forgetBias} instead, otherwise
 *     2 or more
 * @param learnedInitialState whether new sequences start from parameters, {@code h_0 [S, P]} and {@code c_0 [S, H]} with one row
 *     for each of the stack's {@code S} cells, instead of zeros. They are zeros before the training and the same for every
 *     sequence; a sequence that goes on from a state does not see them.
 */
public record Lstm(
        LstmSpec spec,
        boolean returnSequences,
        Initializer inputInitializer,
        Initializer recurrentInitializer,
        double forgetBias,
        double chronoSteps,
        boolean learnedInitialState)
        implements Layer {

    public Lstm {
        // The model sets it; two descriptions that differ in nothing else are equal.
        spec = spec.withInputSize(1);
        if (!Double.isFinite(forgetBias)) {
            throw new IllegalArgumentException("the forget bias should be a finite number but got " + forgetBias);
        }
        if (chronoSteps != 0 && !(chronoSteps >= 2 && Double.isFinite(chronoSteps))) {
            throw new IllegalArgumentException(
                    "the steps of a chrono initialisation should be 0 (none), or finite and 2 or more, but got "
                            + chronoSteps);
        }
        if (chronoSteps != 0 && !spec.bias()) {
            throw new IllegalArgumentException("a chrono initialisation of " + chronoSteps
                    + " steps sets biases but the stack has none: give it biases, or leave it out");
        }
    }

    /** One forward layer of this hidden size, initialised as Keras does, that returns its last output. */
    public static Lstm of(int hiddenSize) {
        return of(LstmSpec.of(1, hiddenSize));
    }

    /** This stack, initialised as Keras does: Glorot, orthogonal, unit forget bias. It returns its last output. */
    public static Lstm of(LstmSpec spec) {
        return new Lstm(spec, false, new Initializer.GlorotUniform(), new Initializer.Orthogonal(), 1, 0, false);
    }

    /**
     * LSTM layers of different widths, each reading the one before: see {@link #of(int)}. All but the last return sequences.
     *
     * @param returnSequences whether the last one does too
     * @param hiddenSizes from the first layer to the last, one or more
     */
    public static List<Layer> stack(boolean returnSequences, int... hiddenSizes) {
        if (hiddenSizes.length == 0) {
            throw new IllegalArgumentException(
                    "a stack should have the hidden sizes of one or more layers but got none");
        }
        List<Layer> layers = new ArrayList<>();
        for (int hiddenSize : hiddenSizes) {
            layers.add(of(hiddenSize).withReturnSequences(returnSequences || layers.size() < hiddenSizes.length - 1));
        }
        return layers;
    }

    public Lstm withLayers(int layers) {
        return withSpec(spec.withLayers(layers));
    }

    public Lstm withDirection(Direction direction) {
        return withSpec(spec.withDirection(direction));
    }

    /** Dropout between the layers of the stack. */
    public Lstm withDropout(double rate) {
        return withSpec(spec.withDropout(rate));
    }

    public Lstm withSpec(LstmSpec value) {
        return new Lstm(
                value,
                returnSequences,
                inputInitializer,
                recurrentInitializer,
                forgetBias,
                chronoSteps,
                learnedInitialState);
    }

    public Lstm withReturnSequences(boolean value) {
        return new Lstm(
                spec, value, inputInitializer, recurrentInitializer, forgetBias, chronoSteps, learnedInitialState);
    }

    public Lstm withInitializers(Initializer input, Initializer recurrent, double forget) {
        return new Lstm(spec, returnSequences, input, recurrent, forget, chronoSteps, learnedInitialState);
    }

    /** Biases for dependencies of up to so many steps; 0 for the forget bias as it is. */
    public Lstm withChronoSteps(double value) {
        return new Lstm(
                spec, returnSequences, inputInitializer, recurrentInitializer, forgetBias, value, learnedInitialState);
    }

    /** Whether new sequences start from a state that is learned. */
    public Lstm withLearnedInitialState(boolean value) {
        return new Lstm(spec, returnSequences, inputInitializer, recurrentInitializer, forgetBias, chronoSteps, value);
    }

    @Override
    public String kind() {
        return "lstm";
    }

    @Override
    public Form output(Form input) {
        if (input.kind() != Form.Kind.SEQUENCE) {
            throw new IllegalArgumentException("an LSTM reads sequences (time, batch, features) but got " + input
                    + (input.kind() == Form.Kind.TOKENS ? ": put an embedding before it" : ""));
        }
        return returnSequences ? Form.sequence(spec.sequenceWidth()) : Form.vector(spec.sequenceWidth());
    }

    @Override
    public String summary() {
        StringBuilder text = new StringBuilder("LSTM(" + spec.hiddenSize());
        if (spec.layers() > 1) {
            text.append(", layers ").append(spec.layers());
        }
        if (spec.direction() != Direction.FORWARD) {
            text.append(", ").append(spec.direction().name().toLowerCase(Locale.ROOT));
        }
        if (spec.projected()) {
            text.append(", projection ").append(spec.projectionSize());
        }
        if (spec.dropout() > 0) {
            text.append(", dropout ").append(spec.dropout());
        }
        if (spec.recurrentDropout() > 0) {
            text.append(", recurrent dropout ").append(spec.recurrentDropout());
        }
        if (spec.candidateDropout() > 0) {
            text.append(", candidate dropout ").append(spec.candidateDropout());
        }
        if (spec.recurrentWeightDropout() > 0) {
            text.append(", recurrent weight dropout ").append(spec.recurrentWeightDropout());
        }
        if (spec.zoneoutHidden() > 0 || spec.zoneoutCell() > 0) {
            text.append(", zoneout ")
                    .append(spec.zoneoutHidden())
                    .append(" and ")
                    .append(spec.zoneoutCell());
        }
        if (spec.cellClip() > 0) {
            text.append(", cell clip ").append(spec.cellClip());
        }
        if (spec.gateClip() > 0) {
            text.append(", gate clip ").append(spec.gateClip());
        }
        text.append(spec.coupledGates() ? ", coupled gates" : "");
        if (!spec.activations().equals(LstmActivations.STANDARD)) {
            text.append(", activations ").append(spec.activations());
        }
        text.append(spec.peepholes() ? ", peepholes" : "");
        text.append(spec.layerNormalization() ? ", layer normalization" : "");
        text.append(spec.bias() ? "" : ", no bias");
        text.append(learnedInitialState ? ", learned initial state" : "");
        return text.append(")").toString();
    }
}
