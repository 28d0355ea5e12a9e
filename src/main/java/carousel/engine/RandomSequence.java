package carousel.engine;

/**
 * Random numbers one after the other, for work on the host that must come out the same on every machine and JDK: initial
 * weights, drawn digits, shuffles. A thin counter over {@link Philox}; strict arithmetic throughout. Not thread-safe.
 */
public final class RandomSequence {
    private final RandomKey key;
    private final int[] words = new int[Philox.WORDS];
    private int position;
    private double spareGaussian = Double.NaN;

    /**
     * The sequence of this seed and stream; different streams of one seed are independent.
     *
     * @param index a further distinction, for instance an epoch or the number of a picture
     */
    public RandomSequence(long seed, int stream, long index) {
        this.key = new RandomKey(seed, stream, index);
    }

    /** Uniform over all 2^32 values. */
    public int nextWord() {
        int word = position & 3;
        if (word == 0) {
            key.block(position >>> 2, words);
        }
        position++;
        return words[word];
    }

    /** Uniform in [0, 1), a multiple of 2^-53. */
    public double nextDouble() {
        long high = nextWord() >>> 5;
        long low = nextWord() >>> 6;
        return (high << 26 | low) * 0x1p-53;
    }

    /** Uniform in [low, high). */
    public double uniform(double low, double high) {
        return low + (high - low) * nextDouble();
    }

    /** Uniform in [0, bound), without bias. {@code bound} is 1 or more. */
    public int nextInt(int bound) {
        if (bound < 1) {
            throw new IllegalArgumentException("the bound of a random number should be 1 or more but got " + bound);
        }
        // Lemire's multiplication, rejecting the short first interval.
        long product = (nextWord() & 0xFFFF_FFFFL) * bound;
        long low = product & 0xFFFF_FFFFL;
        if (low < bound) {
            long reject = (1L << 32) % bound;
            while (low < reject) {
                product = (nextWord() & 0xFFFF_FFFFL) * bound;
                low = product & 0xFFFF_FFFFL;
            }
        }
        return (int) (product >>> 32);
    }

    /** Standard normal, by the polar form of Box and Muller. */
    public double nextGaussian() {
        if (!Double.isNaN(spareGaussian)) {
            double spare = spareGaussian;
            spareGaussian = Double.NaN;
            return spare;
        }
        while (true) {
            double u = uniform(-1, 1);
            double v = uniform(-1, 1);
            double square = u * u + v * v;
            if (square < 1 && square > 0) {
                double scale = StrictMath.sqrt(-2 * StrictMath.log(square) / square);
                spareGaussian = v * scale;
                return u * scale;
            }
        }
    }

    /** A uniformly drawn order of {@code 0 .. size - 1}. */
    public int[] permutation(int size) {
        int[] order = new int[size];
        for (int k = 0; k < size; k++) {
            int other = nextInt(k + 1);
            order[k] = order[other];
            order[other] = k;
        }
        return order;
    }
}
