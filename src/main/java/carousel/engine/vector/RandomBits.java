package carousel.engine.vector;

import static carousel.engine.vector.Kernels.LANES;

import carousel.engine.Philox;
import carousel.engine.RandomKey;

/**
 * Which elements of a mask are drawn, L at a time, as bits: the numbers of {@link RandomKey}, element by element. The blocks of {@link
 * Philox} that they take do not wait for each other, so the processor works on several at once.
 */
final class RandomBits {
    private long seed;
    private int stream;
    private long call;
    private int threshold;

    void set(RandomKey key, double probability) {
        seed = key.seed();
        stream = key.stream();
        call = key.call();
        threshold = RandomKey.threshold(probability);
    }

    /**
     * Bit l of the result is set where element {@code first + l} is drawn.
     *
     * @param words of the calling thread, overwritten
     */
    int bits(int first, int[] words) {
        int block = first / Philox.WORDS;
        int skipped = first % Philox.WORDS;
        int bits = 0;
        for (int from = 0; from < skipped + LANES; from += Philox.WORDS) {
            Philox.block(block++, stream, (int) call, (int) (call >>> 32), seed, words);
            int four = drawn(words[0]) | drawn(words[1]) << 1 | drawn(words[2]) << 2 | drawn(words[3]) << 3;
            bits |= four << from;
        }
        return bits >>> skipped & (1 << LANES) - 1;
    }

    /** {@link RandomKey#drops} without a branch: the difference is negative where it says yes. */
    private int drawn(int word) {
        return (word >>> 8) - threshold >>> 31;
    }
}
