package carousel.engine.vector;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * Weight gradients, {@code G[a, b] += sum_m A[m, a] * B[m, b]}: sums over all rows m in their order. The result is cut into
 * blocks that depend on its size alone, one task each, so that no two threads add to the same element.
 */
final class OuterProducts {
    /** Columns of B in a block: what is copied of a row of B at a time. */
    private static final int COLUMNS = 512;
    /** Columns of A in a block, at most: each block reads all of B's columns once. */
    private static final int ROWS = 128;
    /** Columns of A in a block, at least: a small gradient is still cut into some blocks, to keep several threads busy. */
    private static final int FEWEST_ROWS = 40;
    /** Blocks along A, at most, where {@link #ROWS} does not ask for more. */
    private static final int SPLIT = 4;
    /** Rows m copied at a time. */
    private static final int DEPTH = 128;
    /** From one column of A to the next in its copy: not a power of two, so that they do not meet in the same cache set. */
    private static final int STRIDE = DEPTH + 16;

    private final Kernels kernels;
    private final List<Part> parts = new ArrayList<>();
    private int blocks;

    OuterProducts(Kernels kernels) {
        this.kernels = kernels;
    }

    /**
     * Rows of one tensor.
     *
     * @param first where each row starts
     */
    record Operand(float[] values, int[] first) {}

    /** Rows {@code from} to {@code to - 1} of both factors. */
    record Terms(Operand a, Operand b, int from, int to) {}

    private record Part(
            List<Terms> terms,
            int aColumns,
            int bColumns,
            float[] gradient,
            int start,
            boolean transposed,
            int firstBlock,
            int rowBlocks,
            int columnBlocks) {}

    /**
     * Adds a product to be computed.
     *
     * @param terms summed one after the other
     * @param gradient {@code [aColumns, bColumns]}, or where {@code transposed} {@code [bColumns, aColumns]}; added to
     */
    void add(List<Terms> terms, int aColumns, int bColumns, float[] gradient, int start, boolean transposed) {
        int rowBlocks = Math.max(ceilDivide(aColumns, ROWS), Math.max(1, Math.min(SPLIT, aColumns / FEWEST_ROWS)));
        int columnBlocks = ceilDivide(bColumns, COLUMNS);
        parts.add(new Part(terms, aColumns, bColumns, gradient, start, transposed, blocks, rowBlocks, columnBlocks));
        blocks += rowBlocks * columnBlocks;
    }

    /** Computes all products added so far. */
    void run(Workers workers, WorkerBuffers[] buffers) {
        workers.run(blocks, (index, worker) -> block(index, buffers[worker]));
    }

    private void block(int index, WorkerBuffers buffers) {
        int p = parts.size() - 1;
        while (parts.get(p).firstBlock > index) {
            p--;
        }
        Part part = parts.get(p);
        int local = index - part.firstBlock;
        int aFrom = split(part.aColumns, part.rowBlocks, local % part.rowBlocks);
        int aTo = split(part.aColumns, part.rowBlocks, local % part.rowBlocks + 1);
        int bFrom = split(part.bColumns, part.columnBlocks, local / part.rowBlocks);
        int bTo = split(part.bColumns, part.columnBlocks, local / part.rowBlocks + 1);
        int rows = aTo - aFrom;
        int columns = bTo - bFrom;
        float[][] sums = buffers.sums.rows(rows, columns);
        for (int r = 0; r < rows; r++) {
            Arrays.fill(sums[r], 0, columns, 0);
        }
        for (Terms terms : part.terms) {
            accumulate(terms, aFrom, rows, bFrom, columns, sums, buffers);
        }
        float[] gradient = part.gradient;
        for (int r = 0; r < rows; r++) {
            int stride = part.transposed ? part.aColumns : 1;
            int at = part.start
                    + (part.transposed ? bFrom * part.aColumns + aFrom + r : (aFrom + r) * part.bColumns + bFrom);
            for (int j = 0; j < columns; j++) {
                gradient[at + j * stride] += sums[r][j];
            }
        }
    }

    private void accumulate(
            Terms terms, int aFrom, int rows, int bFrom, int columns, float[][] sums, WorkerBuffers buffers) {
        float[] left = buffers.left.row(rows * STRIDE);
        Panel right = buffers.right;
        right.reshape(DEPTH, columns);
        int[] first = buffers.indices(rows);
        for (int r = 0; r < rows; r++) {
            first[r] = r * STRIDE;
        }
        for (int m = terms.from; m < terms.to; m += DEPTH) {
            int depth = Math.min(DEPTH, terms.to - m);
            for (int k = 0; k < depth; k++) {
                int at = terms.a.first[m + k] + aFrom;
                for (int r = 0; r < rows; r++) {
                    left[r * STRIDE + k] = terms.a.values[at + r];
                }
                right.setRow(k, terms.b.values, terms.b.first[m + k] + bFrom);
            }
            kernels.product(left, first, right, depth, sums, rows);
        }
    }

    private static int ceilDivide(int value, int by) {
        return (value + by - 1) / by;
    }

    /** Where part {@code index} of {@code parts} nearly equal ones of {@code size} starts. */
    static int split(int size, int parts, int index) {
        return (int) ((long) size * index / parts);
    }
}
