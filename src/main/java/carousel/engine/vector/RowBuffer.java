package carousel.engine.vector;

import java.util.Arrays;

/** A matrix as an array of rows, kept from call to call and only ever grown. Rows are padded as {@link Kernels} ask. */
final class RowBuffer {
    private final boolean poisoned;
    private float[][] rows = new float[0][];

    /** @param poisoned whether {@link #rows} fills what it hands out with NaN, to find reads of what was not written */
    RowBuffer(boolean poisoned) {
        this.poisoned = poisoned;
    }

    /**
     * At least so many rows of at least this width, with unspecified contents. The array stays this buffer's: what an earlier
     * call returned is overwritten.
     */
    float[][] rows(int count, int width) {
        if (rows.length < count) {
            int known = rows.length;
            rows = Arrays.copyOf(rows, count);
            Arrays.fill(rows, known, count, new float[0]);
        }
        for (int r = 0; r < count; r++) {
            if (rows[r].length < width) {
                rows[r] = new float[padded(width)];
            }
            if (poisoned) {
                Arrays.fill(rows[r], Float.NaN);
            }
        }
        return rows;
    }

    /** Whole blocks of a product, so that its kernels may write past the end. */
    private static int padded(int width) {
        return (width + Kernels.PADDING - 1) / Kernels.PADDING * Kernels.PADDING;
    }

    /** A single row. */
    float[] row(int width) {
        return rows(1, width)[0];
    }

    long bytes() {
        long elements = 0;
        for (float[] row : rows) {
            elements += row.length;
        }
        return elements * Float.BYTES;
    }
}
