package carousel.engine.vector;

import static carousel.engine.vector.Kernels.LANES;

import carousel.engine.Philox;
import carousel.engine.RandomKey;

/**
 * Which elements of a mask are drawn, L at a time, as bits: the numbers of {@link RandomKey}, element by element. Blocks of {@link
 * Philox} do not wait for each other, so {@link Kernels#draw} works on several at once.
 */
final class RandomBits {
    /** Blocks that L elements lie in, at most. */
    static final int BLOCKS = LANES / Philox.WORDS + 1;

    private final Kernels kernels;
    private long seed;
    private int stream;
    private long call;
    private int threshold;

    RandomBits(Kernels kernels) {
        this.kernels = kernels;
    }

    void set(RandomKey key, double probability) {
        seed = key.seed();
        stream = key.stream();
        call = key.call();
        threshold = RandomKey.threshold(probability);
    }

    long seed() {
        return seed;
    }

    int stream() {
        return stream;
    }

    long call() {
        return call;
    }

    /** What is less than this, of the highest 24 bits of a word, is drawn. */
    int threshold() {
        return threshold;
    }

    /** Puts down in which blocks the L elements from {@code first} on lie; returns where the next may be put. */
    static int locate(int first, long[] blocks, int at) {
        int block = first / Philox.WORDS;
        for (int from = 0; from < first % Philox.WORDS + LANES; from += Philox.WORDS) {
            blocks[at++] = block++;
        }
        return at;
    }

    /** Draws all elements of blocks that have been put down. */
    void draw(long[] blocks, int count) {
        kernels.draw(this, blocks, count);
    }

    /** How many blocks the L elements from {@code first} on lie in. */
    static int blocks(int first) {
        return first % Philox.WORDS == 0 ? BLOCKS - 1 : BLOCKS;
    }

    /** The bits of the L elements from {@code first} on, whose blocks have been drawn from {@code at} on: l for {@code first + l}. */
    static int bits(int first, long[] drawn, int at) {
        int bits = 0;
        for (int k = 0; k < blocks(first); k++) {
            bits |= (int) drawn[at + k] << Philox.WORDS * k;
        }
        return bits >>> first % Philox.WORDS & (1 << LANES) - 1;
    }
}
