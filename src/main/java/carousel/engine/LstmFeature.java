package carousel.engine;

import java.util.EnumSet;
import java.util.Set;
import java.util.function.Function;
import java.util.function.Predicate;

/** What an {@link LstmSpec} can have beyond the plain cell, each of which an engine computes or refuses. */
public enum LstmFeature {
    PROJECTION(LstmSpec::projected, "a projection"),
    CELL_CLIP(spec -> spec.cellClip() > 0, "a clip of the cell"),
    DROPOUT(spec -> spec.dropout() > 0, "dropout between layers"),
    PEEPHOLES(LstmSpec::peepholes, "peepholes"),
    GATE_CLIP(spec -> spec.gateClip() > 0, "a clip of the gates"),
    COUPLED_GATES(LstmSpec::coupledGates, "coupled gates"),
    ACTIVATIONS(
            spec -> !spec.activations().equals(LstmActivations.STANDARD),
            "other activations",
            spec -> "the activations " + spec.activations()),
    LAYER_NORMALIZATION(LstmSpec::layerNormalization, "layer normalization"),
    RECURRENT_DROPOUT(spec -> spec.recurrentDropout() > 0, "recurrent dropout"),
    CANDIDATE_DROPOUT(spec -> spec.candidateDropout() > 0, "dropout of the candidate"),
    RECURRENT_WEIGHT_DROPOUT(spec -> spec.recurrentWeightDropout() > 0, "dropout of the recurrent weights"),
    ZONEOUT(spec -> spec.zoneoutHidden() > 0 || spec.zoneoutCell() > 0, "zoneout");

    /** The features that every engine computes. */
    public static final Set<LstmFeature> USUAL = Set.copyOf(EnumSet.of(PROJECTION, CELL_CLIP, DROPOUT));

    /** All of them. */
    public static final Set<LstmFeature> ALL = Set.copyOf(EnumSet.allOf(LstmFeature.class));

    private final Predicate<LstmSpec> condition;
    private final String name;
    private final Function<LstmSpec, String> words;

    LstmFeature(Predicate<LstmSpec> condition, String name) {
        this(condition, name, spec -> name);
    }

    LstmFeature(Predicate<LstmSpec> condition, String name, Function<LstmSpec, String> words) {
        this.condition = condition;
        this.name = name;
        this.words = words;
    }

    /** Whether a specification has it. */
    boolean in(LstmSpec spec) {
        return condition.test(spec);
    }

    /** As in sentences and tables: {@code peepholes}. */
    public String label() {
        return name;
    }

    /** As in a sentence about a specification that has it: {@code the activations Sigmoid, Relu, Tanh}. */
    String words(LstmSpec spec) {
        return words.apply(spec);
    }
}
