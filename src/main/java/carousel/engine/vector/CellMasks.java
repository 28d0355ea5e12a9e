package carousel.engine.vector;

import static carousel.engine.vector.Kernels.LANES;

import carousel.engine.LstmMask;
import carousel.engine.LstmSpec;
import carousel.engine.RandomKey;

/** The random masks of one cell in one call, drawn as bits where its steps need them. */
final class CellMasks {
    private final RandomBits candidate = new RandomBits();
    private final RandomBits heldCell = new RandomBits();
    private final RandomBits heldHidden = new RandomBits();
    private final RandomBits unseen = new RandomBits();
    private Sequences sequences;
    private boolean reversed;
    private int hidden;
    private int outputs;
    private boolean dropsCandidates;
    private boolean holdsCells;

    /** @param key of the call, or null: then nothing may be drawn */
    void set(LstmSpec spec, int layer, int cell, RandomKey key, Sequences batch) {
        sequences = batch;
        reversed = spec.direction().reversed(cell);
        hidden = spec.hiddenSize();
        outputs = spec.outputSize();
        dropsCandidates = spec.candidateDropout() > 0;
        holdsCells = spec.zoneoutCell() > 0;
        set(candidate, LstmMask.CANDIDATE, spec, layer, cell, key);
        set(heldCell, LstmMask.ZONEOUT_CELL, spec, layer, cell, key);
        set(heldHidden, LstmMask.ZONEOUT_HIDDEN, spec, layer, cell, key);
        set(unseen, LstmMask.RECURRENT, spec, layer, cell, key);
    }

    private static void set(RandomBits bits, LstmMask mask, LstmSpec spec, int layer, int cell, RandomKey key) {
        if (key != null && mask.probability(spec) > 0) {
            bits.set(mask.key(key, layer, cell), mask.probability(spec));
        }
    }

    /** For the rows of a step of a strip of hidden units: in the lowest bits elements of g, in the highest those of c. */
    void drawCell(int tile, int step, int strip, int[] into, int at, int[] words) {
        for (int r = 0; r < sequences.count(tile, step); r++) {
            int first = row(tile, step, r) * hidden + strip * LANES;
            int bits = dropsCandidates ? candidate.bits(first, words) : 0;
            into[at + r] = holdsCells ? bits | heldCell.bits(first, words) << LANES : bits;
        }
    }

    /** For the rows of a step of L elements of h. */
    void drawHidden(int tile, int step, int strip, int[] into, int at, int[] words) {
        for (int r = 0; r < sequences.count(tile, step); r++) {
            into[at + r] = heldHidden.bits(row(tile, step, r) * outputs + strip * LANES, words);
        }
    }

    /** Which elements of L of h are not seen by the sequence at a place. */
    int unseen(int place, int strip, int[] words) {
        return unseen.bits(sequences.sequence(place) * outputs + strip * LANES, words);
    }

    private int row(int tile, int step, int r) {
        int place = sequences.start(tile) + r;
        return sequences.time(step, place, reversed) * sequences.batchSize() + sequences.sequence(place);
    }
}
