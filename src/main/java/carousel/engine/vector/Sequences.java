package carousel.engine.vector;

import java.util.Arrays;

/**
 * In which order the sequences of a batch are worked on. They are dealt to tiles of a few sequences, which depend on the batch
 * alone and not on the threads; in a tile the longest come first, so that those that still have steps are always the first
 * ones. A cell's steps are counted in the order in which it reads; in reverse, step 0 is at the sequence's true end.
 *
 * <p>Only steps that sequences have are recorded: tile by tile, in a tile step by step, in a step sequence by sequence. A place in
 * this record is called a <em>row</em>.
 */
final class Sequences {
    /** Batches are first cut into equal shares of so many sequences, so that threads find equal work; large ones into larger. */
    private static final int SHARE = 32;

    private static final int LARGE_SHARE = 64;
    /** Sequences in a tile, at most: three times the six rows that kernels like best. */
    static final int TILE = 18;

    private int timeSteps;
    private int batchSize;
    private boolean ragged;
    private int tiles;
    /** By tile: its first place. */
    private int[] starts = new int[0];
    /** By place: which sequence, and how many steps it has. */
    private int[] order = new int[0];

    private int[] lengths = new int[0];
    /** By tile and step: how many sequences have it, and the row of the first. */
    private int[] counts = new int[0];

    private int[] rows = new int[0];
    private int[] bins = new int[0];
    private int total;

    /** @param lengths null when all have {@code timeSteps} steps */
    void set(int steps, int sequences, int[] given) {
        timeSteps = steps;
        batchSize = sequences;
        ragged = given != null;
        cut();
        order = grown(order, sequences);
        lengths = grown(lengths, sequences);
        counts = grown(counts, tiles * (steps + 1));
        rows = grown(rows, tiles * (steps + 1));
        deal(given);
        count();
    }

    private void cut() {
        int share = batchSize >= 2 * LARGE_SHARE ? LARGE_SHARE : SHARE;
        int shares = (batchSize + share - 1) / share;
        int most = shares * ((share + TILE - 1) / TILE);
        starts = grown(starts, most + 1);
        tiles = 0;
        for (int k = 0; k < shares; k++) {
            int end = split(batchSize, shares, k + 1);
            for (int start = split(batchSize, shares, k); start < end; start += TILE) {
                starts[tiles++] = start;
            }
        }
        starts[tiles] = batchSize;
    }

    private void deal(int[] given) {
        if (given == null) {
            for (int place = 0; place < batchSize; place++) {
                order[place] = place;
                lengths[place] = timeSteps;
            }
            return;
        }
        // In turn to every tile that still has room, so that all get long ones and short ones.
        int[] sorted = sortedByLength(given);
        int next = 0;
        for (int round = 0; next < batchSize; round++) {
            for (int tile = 0; tile < tiles; tile++) {
                if (round < size(tile)) {
                    int n = sorted[next++];
                    order[starts[tile] + round] = n;
                    lengths[starts[tile] + round] = given[n];
                }
            }
        }
    }

    /** Sequences from the longest to the shortest, among equals in their order. */
    private int[] sortedByLength(int[] given) {
        bins = grown(bins, timeSteps + 2 + batchSize);
        // The first part counts; the second one gets the order.
        Arrays.fill(bins, 0, timeSteps + 2, 0);
        for (int n = 0; n < batchSize; n++) {
            bins[timeSteps - given[n] + 1]++;
        }
        for (int length = 1; length <= timeSteps; length++) {
            bins[length] += bins[length - 1];
        }
        for (int n = 0; n < batchSize; n++) {
            bins[timeSteps + 2 + bins[timeSteps - given[n]]++] = n;
        }
        System.arraycopy(bins, timeSteps + 2, bins, 0, batchSize);
        return bins;
    }

    private void count() {
        int row = 0;
        for (int tile = 0; tile < tiles; tile++) {
            int at = tile * (timeSteps + 1);
            int active = size(tile);
            for (int step = 0; step < timeSteps; step++) {
                while (active > 0 && lengths[starts[tile] + active - 1] <= step) {
                    active--;
                }
                counts[at + step] = active;
                rows[at + step] = row;
                row += active;
            }
            counts[at + timeSteps] = 0;
            rows[at + timeSteps] = row;
        }
        total = row;
    }

    int timeSteps() {
        return timeSteps;
    }

    int batchSize() {
        return batchSize;
    }

    /** Whether lengths were given. */
    boolean ragged() {
        return ragged;
    }

    int tiles() {
        return tiles;
    }

    /** The first place of a tile; of the number of tiles, the batch size. */
    int start(int tile) {
        return starts[tile];
    }

    /** Sequences of a tile. */
    int size(int tile) {
        return starts[tile + 1] - starts[tile];
    }

    /** How many sequences of a tile have this step: the first ones. */
    int count(int tile, int step) {
        return counts[tile * (timeSteps + 1) + step];
    }

    /** The row of a tile's first sequence at this step; of the number of steps, where the tile's rows end. */
    int row(int tile, int step) {
        return rows[tile * (timeSteps + 1) + step];
    }

    /** Rows in all. */
    int total() {
        return total;
    }

    /** The most steps that a sequence of a tile has. */
    int steps(int tile) {
        return lengths[starts[tile]];
    }

    /** Which sequence has a place. */
    int sequence(int place) {
        return order[place];
    }

    /** The steps of the sequence at a place. */
    int length(int place) {
        return lengths[place];
    }

    /** The time of a cell's step; of a time, likewise, the step. */
    int time(int step, int place, boolean reversed) {
        return reversed ? lengths[place] - 1 - step : step;
    }

    /**
     * Where the record's rows lie in a tensor {@code [T, N, width]}: fills {@code into} by row.
     *
     * @param start where the tensor starts in its array
     */
    void locate(int start, int width, boolean reversed, int[] into) {
        for (int tile = 0; tile < tiles; tile++) {
            for (int step = 0; step < timeSteps; step++) {
                int row = row(tile, step);
                for (int k = 0; k < count(tile, step); k++) {
                    int place = starts[tile] + k;
                    into[row + k] = start + (time(step, place, reversed) * batchSize + order[place]) * width;
                }
            }
        }
    }

    long bytes() {
        return (long) (starts.length + order.length + lengths.length + counts.length + rows.length + bins.length)
                * Integer.BYTES;
    }

    /** The same array, or a longer one where it has fewer elements; with unspecified contents. */
    static int[] grown(int[] known, int count) {
        return known.length < count ? new int[count] : known;
    }

    /** Where part {@code index} of {@code parts} nearly equal ones of {@code size} starts. */
    static int split(int size, int parts, int index) {
        return (int) ((long) size * index / parts);
    }
}
