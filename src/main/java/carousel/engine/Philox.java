package carousel.engine;

/**
 * Philox4x32-10, the counter-based generator of Salmon, Moraes, Dror &amp; Shaw, "Parallel random numbers: as easy as 1, 2,
 * 3" (2011): four 32-bit words from a 128-bit counter and a 64-bit key, with no state in between. The same key and counter
 * give the same words on every engine and with any number of threads.
 */
public final class Philox {
    /** Words per block. */
    public static final int WORDS = 4;

    // For engines that compute many blocks at once.
    public static final long MULTIPLIER_0 = 0xD251_1F53L;
    public static final long MULTIPLIER_1 = 0xCD9E_8D57L;
    public static final int WEYL_0 = 0x9E37_79B9;
    public static final int WEYL_1 = 0xBB67_AE85;
    public static final int ROUNDS = 10;
    private static final long MASK = 0xFFFF_FFFFL;

    private Philox() {}

    /**
     * Fills {@code words} with the block of this counter and key.
     *
     * @param words at least {@value #WORDS} long
     */
    public static void block(int counter0, int counter1, int counter2, int counter3, long key, int[] words) {
        int key0 = (int) key;
        int key1 = (int) (key >>> 32);
        for (int round = 0; round < ROUNDS; round++) {
            long product0 = MULTIPLIER_0 * (counter0 & MASK);
            long product1 = MULTIPLIER_1 * (counter2 & MASK);
            counter0 = (int) (product1 >>> 32) ^ counter1 ^ key0;
            counter1 = (int) product1;
            counter2 = (int) (product0 >>> 32) ^ counter3 ^ key1;
            counter3 = (int) product0;
            key0 += WEYL_0;
            key1 += WEYL_1;
        }
        words[0] = counter0;
        words[1] = counter1;
        words[2] = counter2;
        words[3] = counter3;
    }
}
