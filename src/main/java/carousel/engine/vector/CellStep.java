package carousel.engine.vector;

import static carousel.engine.vector.Kernels.LANES;

/**
 * What the {@link Pass}es of one time step of one strip read and write: arrays, each from an index. Row r of an array begins r times
 * its pitch further on, which is 4L for gates and blocked rows, L for a cell, {@link #SLOPES} for slopes. One object a thread, set anew
 * for each strip.
 */
final class CellStep {
    /** Slopes of a row: of i, f, g, o and of what is shown. */
    static final int SLOPES = 5 * LANES;

    /** Of a row: mean and reciprocal deviation of u, of v, and of c'. */
    static final int STATISTICS = 6;

    /** Of a row: the sums over 4H of a gradient and of its product with LN(u), divided by 4H; the same of v; the same of c' over H. */
    static final int MEANS = 6;

    /** Sums over rows for a strip: the gradients of p, of gamma_u, gamma_v and b, of gamma_c and beta_c. */
    static final int PEEPHOLE_SUMS = 0;

    static final int INPUT_GAIN_SUMS = 3 * LANES;
    static final int RECURRENT_GAIN_SUMS = 7 * LANES;
    static final int BIAS_SUMS = 11 * LANES;
    static final int CELL_GAIN_SUMS = 15 * LANES;
    static final int CELL_OFFSET_SUMS = 16 * LANES;
    static final int SUMS = 17 * LANES;

    /** Gains of a strip: gamma_u, gamma_v, gamma_c, beta_c. */
    static final int RECURRENT_GAINS = 4 * LANES;

    static final int CELL_GAINS = 8 * LANES;
    static final int CELL_OFFSETS = 9 * LANES;
    static final int GAINS = 10 * LANES;

    /** Room for the rows of a tile. */
    final float[] freshRoom = new float[Sequences.TILE * LANES];

    final float[] shownRoom = new float[Sequences.TILE * LANES];

    int rows;

    /** Pre-activations; then, in place, the gates. */
    float[] z;

    int zAt;
    /** The carried c; before, on the way forward, and after it, the new one. */
    float[] c;

    int cAt;
    /** {@code c'}. */
    float[] fresh;

    int freshAt;
    /** s, then psi(s). */
    float[] shown;

    int shownAt;
    /** Null where they are not recorded. */
    float[] slopes;

    int slopesAt;
    /** By row, the lowest 16 bits for elements of g that are dropped, the highest for elements of c that are held; null for none. */
    int[] bits;

    int bitsAt;
    /** The record of gates, c and psi(s); null when not wanted. On the way back gates, recorded or made again, become gradients. */
    float[] gates;

    int gatesAt;
    float[] states;
    int statesAt;
    /** {@code m}, blocked rows. */
    float[] m;

    int mAt;
    /** {@code [3L]} and {@code [GAINS]} and {@code [4L]}. */
    float[] peepholes;

    int peepholesAt;
    float[] gains;
    int gainsAt;
    float[] bias;
    int biasAt;
    /** Shares of the pre-activations; on the way back, in place, their gradients. */
    float[] u;

    int uAt;
    float[] v;
    int vAt;
    /** {@code [rows][STATISTICS]}. */
    float[] statistics;

    int statisticsAt;

    /** The new h, blocked rows, on the way forward overwritten by what is seen of it. */
    float[] h;

    int hAt;
    /** The carried h, {@code [rows][L]}. */
    float[] carried;

    int carriedAt;
    /** By row: elements of h that are held, and that are not seen; null for none. */
    int[] heldBits;

    int heldAt;
    int[] unseenBits;
    int unseenAt;

    /** The gradient of m, blocked rows. */
    float[] dm;

    int dmAt;
    /** The gradient of c, {@code [rows][L]}. */
    float[] dc;

    int dcAt;
    /** The gradient of s, then of c', {@code [rows][L]}. */
    float[] ds;

    int dsAt;
    /** The previous c. */
    float[] previous;

    int previousAt;
    int previousPitch;
    /** Whether m is written down where psi(s) was. */
    boolean keepM;
    /** {@code [SUMS]}: added to. */
    float[] sums;

    int sumsAt;
    /** By row, {@code [4L]}: terms of the sums over 4H, or {@code [2L]} of these, of the sums over H. */
    float[] terms;

    int termsAt;
    /** {@code [rows][MEANS]}. */
    float[] means;

    int meansAt;
    /** The gradient of h, of the new h, and of what was seen of the previous one: blocked rows. */
    float[] dh;

    float[] dNew;
    float[] dSeen;
    int dhAt;

    /** Lets go of all arrays of callers. */
    void release() {
        gates = null;
        states = null;
        slopes = null;
        bits = null;
        heldBits = null;
        unseenBits = null;
        u = null;
        v = null;
        statistics = null;
        z = null;
    }
}
