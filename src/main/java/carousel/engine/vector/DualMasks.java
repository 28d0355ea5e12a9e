package carousel.engine.vector;

import carousel.engine.LstmMask;
import carousel.engine.LstmSpec;
import carousel.engine.Philox;
import carousel.engine.RandomKey;
import java.util.Arrays;

/** The masks of one cell in one call, a range of elements at a time, as {@link LstmMask} says. */
final class DualMasks {
    private final LstmSpec spec;
    /** By mask; null where nothing is random. */
    private final RandomKey[] keys;

    /** @param call null where nothing is dropped */
    DualMasks(LstmSpec spec, RandomKey call, int layer, int cell) {
        this.spec = spec;
        this.keys = new RandomKey[LstmMask.values().length];
        for (LstmMask mask : LstmMask.values()) {
            if (call != null && mask.probability(spec) > 0) {
                keys[mask.ordinal()] = mask.key(call, layer, cell);
            }
        }
    }

    /** Fills factors of elements from {@code first} on: 0 where one is dropped, {@code 1 / (1 - p)} elsewhere. */
    void kept(LstmMask mask, int first, int count, float[] target, int at, int[] words) {
        fill(mask, first, count, 0, (float) (1 / (1 - mask.probability(spec))), 1, target, at, words);
    }

    /** Fills shares that are held back: 1 or 0, and their mean where nothing is random. */
    void held(LstmMask mask, int first, int count, float[] target, int at, int[] words) {
        fill(mask, first, count, 1, 0, (float) mask.probability(spec), target, at, words);
    }

    private void fill(
            LstmMask mask,
            int first,
            int count,
            float drawn,
            float otherwise,
            float unknown,
            float[] target,
            int at,
            int[] words) {
        RandomKey key = keys[mask.ordinal()];
        if (key == null) {
            Arrays.fill(target, at, at + count, unknown);
            return;
        }
        int threshold = RandomKey.threshold(mask.probability(spec));
        for (int e = 0; e < count; e++) {
            int word = (first + e) % Philox.WORDS;
            if (e == 0 || word == 0) {
                key.block((first + e) / Philox.WORDS, words);
            }
            target[at + e] = RandomKey.drops(words[word], threshold) ? drawn : otherwise;
        }
    }

    /** Whether weights are dropped, by the same mask at all steps. */
    boolean dropsWeights() {
        return keys[LstmMask.RECURRENT_WEIGHTS.ordinal()] != null;
    }
}
