package carousel.engine;

/**
 * Names the random numbers of one use in one call, so that they can be drawn anywhere in any order: element {@code e} is
 * word {@code e mod 4} of the {@link Philox} block with counter {@code (e / 4, stream, call low, call high)} and key
 * {@code seed}.
 *
 * @param seed chosen once for a run
 * @param stream what the numbers are for: every layer has its own, see {@link #substream}
 * @param call which call it is: the training step
 */
public record RandomKey(long seed, int stream, long call) {
    /** One in 2^24: drop probabilities are rounded to it, the same on every engine. */
    private static final int RESOLUTION = 1 << 24;

    /** Another, independent set of numbers of the same call. */
    public RandomKey substream(int index) {
        return new RandomKey(seed, stream + index, call);
    }

    /** Fills {@code words} with the four words of elements {@code 4 * block} and after. */
    public void block(int block, int[] words) {
        Philox.block(block, stream, (int) call, (int) (call >>> 32), seed, words);
    }

    /** The threshold for {@link #drops(int, int)} of a probability. */
    public static int threshold(double probability) {
        return (int) Math.round(probability * RESOLUTION);
    }

    /** Whether an element with this word is dropped. */
    public static boolean drops(int word, int threshold) {
        return word >>> 8 < threshold;
    }
}
