package carousel.engine.vector;

import static carousel.engine.vector.Kernels.LANES;

import carousel.engine.LstmMask;
import carousel.engine.LstmSpec;
import carousel.engine.RandomKey;

/** The random masks of one cell in one call, drawn as bits where its steps need them. */
final class CellMasks {
    private final RandomBits candidate;
    private final RandomBits heldCell;
    private final RandomBits heldHidden;
    private final RandomBits unseen;
    private Sequences sequences;
    private boolean reversed;
    private int hidden;
    private int outputs;
    private boolean dropsCandidates;
    private boolean holdsCells;

    CellMasks(Kernels kernels) {
        candidate = new RandomBits(kernels);
        heldCell = new RandomBits(kernels);
        heldHidden = new RandomBits(kernels);
        unseen = new RandomBits(kernels);
    }

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
    void drawCell(int tile, int step, int strip, int[] into, int at, long[] blocks) {
        if (dropsCandidates) {
            draw(candidate, hidden, tile, step, strip, into, at, blocks, 0);
        }
        if (holdsCells) {
            draw(heldCell, hidden, tile, step, strip, into, at, blocks, dropsCandidates ? LANES : -LANES);
        }
    }

    /** For the rows of a step of L elements of h. */
    void drawHidden(int tile, int step, int strip, int[] into, int at, long[] blocks) {
        draw(heldHidden, outputs, tile, step, strip, into, at, blocks, 0);
    }

    /** @param shift how far to the left; where positive, what is there already stays */
    private void draw(
            RandomBits numbers,
            int width,
            int tile,
            int step,
            int strip,
            int[] into,
            int at,
            long[] blocks,
            int shift) {
        int rows = sequences.count(tile, step);
        int count = 0;
        for (int r = 0; r < rows; r++) {
            count = RandomBits.locate(row(tile, step, r) * width + strip * LANES, blocks, count);
        }
        numbers.draw(blocks, count);
        int from = 0;
        for (int r = 0; r < rows; r++) {
            int first = row(tile, step, r) * width + strip * LANES;
            int bits = RandomBits.bits(first, blocks, from) << Math.abs(shift);
            into[at + r] = shift > 0 ? into[at + r] | bits : bits;
            from += RandomBits.blocks(first);
        }
    }

    /** Which elements of L of h are not seen by the sequence at a place. */
    int unseen(int place, int strip, long[] blocks) {
        int first = sequences.sequence(place) * outputs + strip * LANES;
        unseen.draw(blocks, RandomBits.locate(first, blocks, 0));
        return RandomBits.bits(first, blocks, 0);
    }

    private int row(int tile, int step, int r) {
        int place = sequences.start(tile) + r;
        return sequences.time(step, place, reversed) * sequences.batchSize() + sequences.sequence(place);
    }
}
