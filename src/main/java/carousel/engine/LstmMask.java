package carousel.engine;

/**
 * The random masks of an LSTM stack. Each cell has its own of every kind, whose element {@code e} is drawn as {@link RandomKey}
 * says from {@link #key}, so that every engine draws the same, in any order and on any number of threads. Time {@code t} is the
 * time of x, also for a cell that reads in reverse; elements past the end of a sequence exist but are not used.
 *
 * <p>Dropout between the layers has {@code key.substream(layer)}, element {@code (t N + n) cells P + k} for column k of that layer's
 * output.
 */
public enum LstmMask {
    /** {@code d_h}, {@code [N, P]}: element {@code n P + k}; the same for all steps. */
    RECURRENT,
    /** {@code d_g}, {@code [T, N, H]}: element {@code (t N + n) H + j}. */
    CANDIDATE,
    /** {@code z_h}, {@code [T, N, P]}: element {@code (t N + n) P + k}. */
    ZONEOUT_HIDDEN,
    /** {@code z_c}, {@code [T, N, H]}: element {@code (t N + n) H + j}. */
    ZONEOUT_CELL,
    /** {@code d_R}, {@code [4H, P]}: element {@code row P + k}; the same for all steps and sequences. */
    RECURRENT_WEIGHTS;

    /** Streams of a model use the bits below: see {@link RandomKey#substream}. */
    private static final int KIND_SHIFT = 27;

    private static final int CELL_SHIFT = 30;

    /**
     * The numbers of this mask.
     *
     * @param call of {@link LstmInput#dropout()}, whose stream is less than 2^27
     * @param layer of the stack
     * @param cell 0, or 1 for the second cell of a bidirectional layer
     */
    public RandomKey key(RandomKey call, int layer, int cell) {
        return call.substream((cell << CELL_SHIFT) + (ordinal() + 1 << KIND_SHIFT) + layer);
    }

    /** The probability that an element is dropped or kept back, 0 for no such mask. */
    public double probability(LstmSpec spec) {
        return switch (this) {
            case RECURRENT -> spec.recurrentDropout();
            case CANDIDATE -> spec.candidateDropout();
            case ZONEOUT_HIDDEN -> spec.zoneoutHidden();
            case ZONEOUT_CELL -> spec.zoneoutCell();
            case RECURRENT_WEIGHTS -> spec.recurrentWeightDropout();
        };
    }
}
