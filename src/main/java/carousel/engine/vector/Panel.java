package carousel.engine.vector;

/** A right factor {@code [depth, columns]}, kept from call to call, in the order in which its {@link Kernels} read it. */
abstract class Panel {
    /** Columns of the source read at a time while transposing: one cache line. */
    private static final int STRIP = 16;

    private int columns;

    /** Columns of the right factor. */
    final int columns() {
        return columns;
    }

    /** Makes room for a factor, with unspecified contents. */
    final void reshape(int depth, int columns) {
        this.columns = columns;
        allocate(depth, columns);
    }

    abstract void allocate(int depth, int columns);

    /** {@code b[k, j] = values[at + j]} for all columns j. */
    abstract void setRow(int k, float[] values, int at);

    /** {@code b[firstRow + k, r] = matrix[r, k]} for {@code from <= k < to} of a matrix {@code [columns of b, width]}. */
    abstract void transpose(float[] matrix, int start, int width, int from, int to, int firstRow);

    abstract long bytes();

    /** How many tasks {@link #transposeStrip} is split into. */
    static int strips(int width) {
        return (width + STRIP - 1) / STRIP;
    }

    /** One task's share of transposing a matrix {@code [columns of b, width]} into the rows from {@code firstRow} on. */
    final void transposeStrip(float[] matrix, int start, int width, int strip, int firstRow) {
        int from = strip * STRIP;
        transpose(matrix, start, width, from, Math.min(width, from + STRIP), firstRow);
    }

    /** Copies a matrix {@code [depth, columns]} in row-major order. */
    final void copy(float[] matrix, int start, int depth) {
        for (int k = 0; k < depth; k++) {
            setRow(k, matrix, start + k * columns);
        }
    }
}
