package carousel.engine.vector;

import carousel.engine.CellActivation.Kind;
import carousel.engine.LstmSpec;

/**
 * What the cells of a stack compute beyond the plain one, as {@link Pass}es take it.
 *
 * @param peepholes whether gates see the cell
 * @param coupled whether {@code f = 1 - i}
 * @param normalized whether the cell is normalised
 * @param gateClip limit of a pre-activation; 0 for none
 * @param cellClip limit of c; 0 for none
 * @param gates of i, f and o
 * @param candidate of g
 * @param output between c and what is shown of it
 * @param zoneoutCell probability that an element of c keeps its value
 * @param zoneoutHidden the same of h
 * @param candidateDropout probability that an element of g is dropped
 * @param recurrentDropout probability that an element of h is not seen
 */
record CellOptions(
        boolean peepholes,
        boolean coupled,
        boolean normalized,
        float gateClip,
        float cellClip,
        CellFunction gates,
        CellFunction candidate,
        CellFunction output,
        double zoneoutCell,
        double zoneoutHidden,
        double candidateDropout,
        double recurrentDropout) {

    static CellOptions of(LstmSpec spec) {
        return new CellOptions(
                spec.peepholes(),
                spec.coupledGates(),
                spec.layerNormalization(),
                (float) spec.gateClip(),
                (float) spec.cellClip(),
                CellFunction.of(spec.activations().gates()),
                CellFunction.of(spec.activations().candidate()),
                CellFunction.of(spec.activations().output()),
                spec.zoneoutCell(),
                spec.zoneoutHidden(),
                spec.candidateDropout(),
                spec.recurrentDropout());
    }

    /** Whether the functions are those of the plain cell. */
    boolean usualFunctions() {
        return gates.kind() == Kind.SIGMOID && candidate.kind() == Kind.TANH && output.kind() == Kind.TANH;
    }

    /** Whether the step from pre-activations to the new cell and what is shown of it differs from the plain one's. */
    boolean ofCell() {
        return peepholes
                || coupled
                || normalized
                || gateClip > 0
                || !usualFunctions()
                || zoneoutCell > 0
                || candidateDropout > 0;
    }

    /** Whether what comes of h, or what is seen of it, differs. */
    boolean ofHidden() {
        return zoneoutHidden > 0 || recurrentDropout > 0;
    }

    /** Whether slopes of the functions have to be recorded: they do not follow from the values alone. */
    boolean slopes() {
        return gateClip > 0 || !usualFunctions();
    }

    /** Whether some elements of the cell are drawn at each step of a call that has random numbers. */
    boolean drawsForCell() {
        return zoneoutCell > 0 || candidateDropout > 0;
    }

    /** What an element of g that is not dropped is multiplied by. */
    float candidateScale() {
        return (float) (1 / (1 - candidateDropout));
    }

    /** What an element of h that is seen is multiplied by. */
    float recurrentScale() {
        return (float) (1 / (1 - recurrentDropout));
    }
}
