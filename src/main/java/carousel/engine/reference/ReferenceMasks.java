package carousel.engine.reference;

import carousel.engine.LstmMask;
import carousel.engine.LstmSpec;
import carousel.engine.Philox;
import carousel.engine.RandomKey;
import java.util.Arrays;

/** The masks of one cell in one call, element by element as {@link LstmMask} says. */
final class ReferenceMasks {
    private final LstmSpec spec;
    private final RandomKey call;
    private final int layer;
    private final int cell;
    private final int batchSize;

    /** @param call null where nothing is dropped */
    ReferenceMasks(LstmSpec spec, RandomKey call, int layer, int cell, int batchSize) {
        this.spec = spec;
        this.call = call;
        this.layer = layer;
        this.cell = cell;
        this.batchSize = batchSize;
    }

    /** {@code d_h}. */
    double recurrent(int n, int k) {
        return kept(LstmMask.RECURRENT, n * spec.outputSize() + k);
    }

    /** {@code d_g}. */
    double candidate(int t, int n, int j) {
        return kept(LstmMask.CANDIDATE, (t * batchSize + n) * spec.hiddenSize() + j);
    }

    /** {@code d_R}, as R lies: as a whole, since every step of every sequence wants all of it. */
    double[] recurrentWeights(int rows) {
        double[] all = new double[rows * spec.outputSize()];
        Arrays.setAll(all, element -> kept(LstmMask.RECURRENT_WEIGHTS, element));
        return all;
    }

    /** {@code z_h}. */
    double zoneoutHidden(int t, int n, int k) {
        return held(LstmMask.ZONEOUT_HIDDEN, (t * batchSize + n) * spec.outputSize() + k);
    }

    /** {@code z_c}. */
    double zoneoutCell(int t, int n, int j) {
        return held(LstmMask.ZONEOUT_CELL, (t * batchSize + n) * spec.hiddenSize() + j);
    }

    private double kept(LstmMask mask, int element) {
        double probability = mask.probability(spec);
        if (call == null || probability == 0) {
            return 1;
        }
        return drawn(mask, element) ? 0 : 1 / (1 - probability);
    }

    private double held(LstmMask mask, int element) {
        double probability = mask.probability(spec);
        if (call == null || probability == 0) {
            return probability;
        }
        return drawn(mask, element) ? 1 : 0;
    }

    private boolean drawn(LstmMask mask, int element) {
        int[] words = new int[Philox.WORDS];
        mask.key(call, layer, cell).block(element / Philox.WORDS, words);
        return RandomKey.drops(words[element % Philox.WORDS], RandomKey.threshold(mask.probability(spec)));
    }
}
