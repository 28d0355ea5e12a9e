package carousel.engine.vector;

import static carousel.engine.vector.Kernels.BLOCK;
import static carousel.engine.vector.Kernels.LANES;

import java.util.Arrays;

/**
 * Weight gradients, {@code G[j, d] += sum_m b[m, j] * a[m, d]}: sums over all rows m in their order. The right factor lies in strips
 * {@code [rows][4L]}, as the tape has it, and is read where it is; some rows of the left factor at a time are copied side by side, or into groups
 * of columns: see {@link Kernels#group}. A block of G is summed by one thread from the first row to the last, so that neither the threads nor the blocks change a bit.
 */
final class WeightGradients implements Workers.Task {
    /** Rows done at a time: a strip of so many stays in the first-level cache for all columns. */
    private static final int DEPTH = 128;
    /** Columns of a block, at most. */
    private static final int COLUMNS = 512;
    /** The same where columns are copied in groups, which takes longer: fewer of them with more strips are copied less often. */
    private static final int GROUPED_COLUMNS = 256;
    /** Strips times columns of a block, at most: its sums stay in the second-level cache. */
    private static final int AREA = 2048;
    /** Columns that are added to G at a time: a cache line. */
    private static final int TILE = 16;

    /** The rows of a left factor. */
    interface LeftRows {
        /** Copies columns {@code from} to {@code to - 1} of a row. */
        void copy(int row, int from, int to, float[] target, int at);
    }

    private final Kernels kernels;
    private final Workers workers;
    private final WorkerBuffers[] buffers;
    private Part[] parts = new Part[0];
    private int count;

    WeightGradients(Kernels kernels, Workers workers, WorkerBuffers[] buffers) {
        this.kernels = kernels;
        this.workers = workers;
        this.buffers = buffers;
    }

    /** One product. Without further words G is one matrix {@code [rows, columns]} and a strip's columns are 4L of its rows. */
    static final class Part {
        private float[] b;
        private int bAt;
        private int pitch;
        private int hidden;
        private int rows;
        private int strips;
        private LeftRows a;
        private int depth;
        private int columns;
        private float[] gradient;
        private int start;
        private int split;
        private int secondStart;
        private int bias;
        private float[] mask;
        private int masked;
        private int firstTask;
        private int stripGroup;
        private int columnGroups;

        /** A strip's columns are the gates of L hidden units. */
        Part gatesOf(int units) {
            hidden = units;
            rows = BLOCK / LANES * units;
            strips = (units + LANES - 1) / LANES;
            return this;
        }

        /** The columns from this one on belong to another matrix {@code [rows, columns - column]}. */
        Part splitAt(int column, int otherStart) {
            split = column;
            secondStart = otherStart;
            return this;
        }

        /** Adds {@code sum_m b[m, j]} to a vector {@code [rows]}, too. */
        Part withBias(int biasStart) {
            bias = biasStart;
            return this;
        }

        /** The sums of the columns from this one on are multiplied by a matrix {@code [rows, columns - column]}. */
        Part maskedFrom(int column, float[] matrix) {
            masked = column;
            mask = matrix;
            return this;
        }

        /** The row of G that a column of a strip stands for, or -1 for padding. */
        private int row(int strip, int column) {
            if (hidden == 0) {
                int row = strip * BLOCK + column;
                return row < rows ? row : -1;
            }
            int unit = strip * LANES + column % LANES;
            return unit < hidden ? column / LANES * hidden + unit : -1;
        }

        private void release() {
            b = null;
            a = null;
            gradient = null;
            mask = null;
        }
    }

    /**
     * A product to be computed.
     *
     * @param b strip s, row m at {@code bAt + (s * pitch + m) * 4L}
     * @param rows rows of G
     * @param a the left factor {@code [depth, columns]}
     * @param gradient G, from {@code start}; added to
     */
    Part add(float[] b, int bAt, int pitch, int rows, LeftRows a, int depth, int columns, float[] gradient, int start) {
        if (parts.length == count) {
            parts = Arrays.copyOf(parts, count + 4);
            for (int k = count; k < parts.length; k++) {
                parts[k] = new Part();
            }
        }
        Part part = parts[count++];
        part.b = b;
        part.bAt = bAt;
        part.pitch = pitch;
        part.hidden = 0;
        part.rows = rows;
        part.strips = (rows + BLOCK - 1) / BLOCK;
        part.a = a;
        part.depth = depth;
        part.columns = columns;
        part.gradient = gradient;
        part.start = start;
        part.bias = -1;
        return part.splitAt(columns, 0);
    }

    /** Computes all products added since the last time. */
    void run() {
        int widest = kernels.group() == 0 ? COLUMNS : GROUPED_COLUMNS;
        int tasks = 0;
        for (int k = 0; k < count; k++) {
            Part part = parts[k];
            part.firstTask = tasks;
            part.columnGroups = (part.columns + widest - 1) / widest;
            int width = (part.columns + part.columnGroups - 1) / part.columnGroups;
            int fair = (part.strips + workers.count() - 1) / workers.count();
            int most = Math.max(1, Math.min(AREA / width, fair));
            int groups = (part.strips + most - 1) / most;
            // Nearly equal groups, so that no thread waits long for the last one.
            part.stripGroup = (part.strips + groups - 1) / groups;
            tasks += (part.strips + part.stripGroup - 1) / part.stripGroup * part.columnGroups;
        }
        try {
            workers.run(tasks, this);
        } finally {
            clear();
        }
    }

    /** Forgets products that have not been computed. */
    void clear() {
        for (int k = 0; k < count; k++) {
            parts[k].release();
        }
        count = 0;
    }

    @Override
    public void run(int index, int worker) {
        int p = count - 1;
        while (parts[p].firstTask > index) {
            p--;
        }
        Part part = parts[p];
        int local = index - part.firstTask;
        int firstStrip = local / part.columnGroups * part.stripGroup;
        int strips = Math.min(part.strips, firstStrip + part.stripGroup) - firstStrip;
        int group = local % part.columnGroups;
        int firstColumn = Sequences.split(part.columns, part.columnGroups, group);
        int lastColumn = Sequences.split(part.columns, part.columnGroups, group + 1);
        int columns = lastColumn - firstColumn;
        boolean biased = part.bias >= 0 && group == 0;
        int area = strips * columns * BLOCK;
        float[] sums = buffers[worker].sums.take(area + strips * BLOCK);
        Arrays.fill(sums, 0, area + strips * BLOCK, 0);
        // An odd number of cache lines from row to row, so that they do not meet in the same few sets of the cache.
        int rowPitch = (columns / 32 * 2 + 3) * 16;
        int together = kernels.group();
        // A cache line more from group to group, for the same reason.
        int pitch = together == 0 ? rowPitch : DEPTH * Kernels.GROUP_PITCH + 16;
        int size = together == 0 ? DEPTH * rowPitch : (columns + together - 1) / together * pitch;
        float[] left = buffers[worker].left.take(size);
        float[] ungrouped = together == 0 ? null : buffers[worker].ungrouped.take(columns + Kernels.GROUP_PITCH);
        float[] room = together == 0 ? null : buffers[worker].room.take(DEPTH * BLOCK);
        for (int from = 0; from < part.depth; from += DEPTH) {
            int depth = Math.min(DEPTH, part.depth - from);
            for (int m = 0; m < depth && together == 0; m++) {
                part.a.copy(from + m, firstColumn, lastColumn, left, m * pitch);
            }
            for (int m = 0; m < depth && together > 0; m++) {
                part.a.copy(from + m, firstColumn, lastColumn, ungrouped, 0);
                kernels.intoGroups(ungrouped, columns, left, m, pitch);
            }
            for (int s = 0; s < strips; s++) {
                int bAt = part.bAt + ((firstStrip + s) * part.pitch + from) * BLOCK;
                // The next strip's rows, or the first strip's further on.
                int next = s + 1 < strips ? bAt + part.pitch * BLOCK : bAt + (DEPTH - s * part.pitch) * BLOCK;
                int nextRows = s + 1 < strips ? depth : Math.min(DEPTH, part.depth - from - depth);
                kernels.outerProduct(
                        columns,
                        left,
                        pitch,
                        depth,
                        part.b,
                        bAt,
                        sums,
                        s * columns * BLOCK,
                        nextRows > 0 ? next : bAt,
                        Math.max(0, nextRows) * BLOCK,
                        room);
                if (biased) {
                    kernels.rowSum(depth, part.b, bAt, sums, area + s * BLOCK);
                }
            }
        }
        for (int s = 0; s < strips; s++) {
            addTo(part, firstStrip + s, firstColumn, columns, sums, s * columns * BLOCK);
            for (int j = 0; biased && j < BLOCK; j++) {
                int row = part.row(firstStrip + s, j);
                if (row >= 0) {
                    part.gradient[part.bias + row] += sums[area + s * BLOCK + j];
                }
            }
        }
    }

    private static void addTo(Part part, int strip, int firstColumn, int columns, float[] sums, int at) {
        for (int from = 0; from < columns; ) {
            int column = firstColumn + from;
            boolean second = column >= part.split;
            int to = Math.min(columns, from + TILE);
            if (!second) {
                to = Math.min(to, part.split - firstColumn);
            }
            int start = second ? part.secondStart - part.split : part.start;
            int width = second ? part.columns - part.split : part.split;
            for (int j = 0; j < BLOCK; j++) {
                int row = part.row(strip, j);
                if (row >= 0 && part.mask != null && column >= part.masked) {
                    int into = start + row * width + firstColumn;
                    int factor = row * (part.columns - part.masked) - part.masked + firstColumn;
                    for (int d = from; d < to; d++) {
                        part.gradient[into + d] += part.mask[factor + d] * sums[at + d * BLOCK + j];
                    }
                } else if (row >= 0) {
                    int into = start + row * width + firstColumn;
                    for (int d = from; d < to; d++) {
                        part.gradient[into + d] += sums[at + d * BLOCK + j];
                    }
                }
            }
            from = to;
        }
    }
}
