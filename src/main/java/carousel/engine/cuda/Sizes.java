package carousel.engine.cuda;

/**
 * How many time steps and sequences a batch has, for what is measured once for sizes that are almost the same.
 *
 * @param timeSteps T
 * @param batchSize N
 */
public record Sizes(int timeSteps, int batchSize) {
    /** Steps of the grid of sizes between a power of two and the next. */
    private static final int STEPS = 4;
    /** Sequences of a batch tile of the most kernels, and of all. */
    private static final int SMALL_TILE = 8;

    private static final int TILE = 16;

    /**
     * The sizes that stand for these: time steps rounded up to a grid of {@value #STEPS} steps between powers of two, sequences to whole
     * batch tiles on that grid. Neither grows by more than a quarter but the sequences of small batches.
     */
    public Sizes rounded() {
        int steps = onGrid(timeSteps);
        int sequences = batchSize <= SMALL_TILE ? SMALL_TILE : TILE * onGrid((batchSize + TILE - 1) / TILE);
        // Rows are counted by an int.
        return (long) steps * sequences > Integer.MAX_VALUE ? this : new Sizes(steps, sequences);
    }

    private static int onGrid(int size) {
        int step = Math.max(1, Integer.highestOneBit(size) / STEPS);
        return (size + step - 1) / step * step;
    }
}
