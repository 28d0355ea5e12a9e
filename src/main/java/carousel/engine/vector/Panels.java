package carousel.engine.vector;

/** Copies weights, which are flat, into rows that a product can read. */
final class Panels {
    /** Columns of the source read at a time while transposing: one cache line. */
    private static final int STRIP = 16;

    private Panels() {}

    /** How many tasks {@link #transpose} is split into. */
    static int strips(int columns) {
        return (columns + STRIP - 1) / STRIP;
    }

    /** {@code panel[k][r] = matrix[r, k]} for one strip of columns {@code k} of a matrix {@code [rows, columns]}. */
    static void transpose(float[] matrix, int start, int rows, int columns, int strip, float[][] panel) {
        int from = strip * STRIP;
        int to = Math.min(columns, from + STRIP);
        for (int r = 0; r < rows; r++) {
            for (int k = from; k < to; k++) {
                panel[k][r] = matrix[start + r * columns + k];
            }
        }
    }

    /** {@code panel[r][k] = matrix[r, k]}. */
    static void copy(float[] matrix, int start, int rows, int columns, float[][] panel) {
        for (int r = 0; r < rows; r++) {
            System.arraycopy(matrix, start + r * columns, panel[r], 0, columns);
        }
    }
}
