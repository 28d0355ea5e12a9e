package carousel.engine.vector;

import static carousel.engine.vector.Kernels.BLOCK;
import static carousel.engine.vector.Kernels.LANES;

import carousel.engine.Gate;
import java.util.Arrays;

/**
 * A right factor {@code [depth, columns]} in the order in which {@link Kernels} read it: strips {@code [depth][4L]}, and where
 * fewer than 4L columns remain, strips {@code [depth][L]}; padded with zeros. Where {@link Kernels#side} is L, a strip of 4L columns is
 * four times {@code [depth][L]}.
 */
final class Panel {
    /** Rows and columns transposed at a time: a few cache lines each way. */
    private static final int TILE = LANES;
    /** Terms of a part of a product, about, where strips lie as a whole: 32 KiB stay in the first-level cache from one row to the next. */
    private static final int PART_OF_BLOCKS = 128;
    /** The same where L columns lie side by side: 16 KiB. */
    private static final int PART_OF_LANES = 256;

    private final int side;
    private final int part;
    private float[] values = new float[0];
    private int base;
    private int depth;
    private int columns;
    private int wide;

    /** In the order in which some kernels read it. */
    Panel(Kernels kernels) {
        side = kernels.side();
        part = side == BLOCK ? PART_OF_BLOCKS : PART_OF_LANES;
    }

    /** Numbers that a factor takes. */
    static int size(int depth, int columns) {
        return Math.multiplyExact(depth, (columns + LANES - 1) / LANES * LANES);
    }

    /** Holds a factor in so much of an array, which is zero there. */
    void place(float[] array, int at, int newDepth, int newColumns) {
        values = array;
        base = at;
        depth = newDepth;
        columns = newColumns;
        wide = columns / BLOCK;
    }

    /** Holds a factor in an array of its own, kept from call to call and only ever grown. All that is never set is zero. */
    void reshape(int newDepth, int newColumns) {
        if (depth == newDepth && columns == newColumns) {
            return;
        }
        int size = size(newDepth, newColumns);
        if (values.length < size) {
            values = new float[size];
        } else {
            Arrays.fill(values, 0, size, 0);
        }
        place(values, 0, newDepth, newColumns);
    }

    float[] values() {
        return values;
    }

    int depth() {
        return depth;
    }

    int columns() {
        return columns;
    }

    /** Strips of either width, the wide ones first. */
    int strips() {
        return wide + (columns - wide * BLOCK + LANES - 1) / LANES;
    }

    /** Vectors in a strip: 4 or 1. */
    int width(int strip) {
        return strip < wide ? Gate.COUNT : 1;
    }

    /** The first column of a strip; of the number of strips, the end of the last one. */
    int column(int strip) {
        return (strip <= wide ? strip * Gate.COUNT : wide * Gate.COUNT + strip - wide) * LANES;
    }

    /** Where row 0 of a strip lies. */
    int at(int strip) {
        return base + column(strip) * depth;
    }

    /** Where a row's element in a column of a strip lies. */
    int at(int strip, int k, int column) {
        int together = Math.min(side, width(strip) * LANES);
        return at(strip) + (column / together * depth + k) * together + column % together;
    }

    /** Copies columns {@code from} to {@code to - 1} of a row: {@code b[k, from + j] = source[at + j]}. */
    void setRow(int k, int from, int to, float[] source, int at) {
        for (int j = from; j < to; ) {
            int strip = j / BLOCK < wide ? j / BLOCK : wide + (j - wide * BLOCK) / LANES;
            int stripWidth = width(strip) * LANES;
            int inside = j - column(strip);
            int together = Math.min(side, stripWidth);
            int count = Math.min(to - j, together - inside % together);
            System.arraycopy(source, at + j - from, values, at(strip, k, inside), count);
            j += count;
        }
    }

    /**
     * Transposes a matrix into a range of columns of one strip: {@code b[firstRow + k, column + j] = matrix[at + j * width + k]}
     * for {@code j < count}, {@code k < width}; the first of the columns is a multiple of L.
     */
    void transpose(float[] matrix, int at, int width, int count, int strip, int column, int firstRow) {
        int pitch = Math.min(side, width(strip) * LANES);
        for (int k0 = 0; k0 < width; k0 += TILE) {
            int k1 = Math.min(width, k0 + TILE);
            for (int j0 = 0; j0 < count; j0 += TILE) {
                int j1 = Math.min(count, j0 + TILE);
                int start = at(strip, firstRow, column + j0) - j0;
                for (int j = j0; j < j1; j++) {
                    int from = at + j * width;
                    int to = start + j;
                    for (int k = k0; k < k1; k++) {
                        values[to + k * pitch] = matrix[from + k];
                    }
                }
            }
        }
    }

    /** In how many parts a product of so many terms is done. */
    int parts(int terms) {
        return Math.max(1, (terms + part / 2) / part);
    }

    /**
     * The first term of a part of the terms {@code from} to {@code to - 1}; of part {@code parts}, their end. Between parts it is where a
     * block of the left factor begins, since kernels take whole blocks in one pass.
     *
     * @param parts as {@link #parts} says: then each has terms
     */
    static int cut(int from, int to, int parts, int part) {
        int even = from + Sequences.split(to - from, parts, part);
        return part == 0 || part == parts ? even : even / BLOCK * BLOCK;
    }

    /**
     * {@code c[r][j] = s[r][j] + sum_k a[r][k] * b[k][j]} for a strip's columns and {@code first <= k < first + terms}, in turn: {@link
     * Kernels#product} part by part. Rows of c are 4L apart.
     */
    void product(
            Kernels kernels,
            int strip,
            int rows,
            float[] a,
            int aAt,
            int aBlock,
            int first,
            int terms,
            float[] s,
            int sAt,
            int sPitch,
            float[] c,
            int cAt) {
        int parts = parts(terms);
        for (int part = 0; part < parts; part++) {
            kernels.product(
                    rows,
                    a,
                    aAt,
                    aBlock,
                    cut(first, first + terms, parts, part),
                    cut(first, first + terms, parts, part + 1),
                    values,
                    at(strip),
                    depth,
                    width(strip),
                    part == 0 ? s : c,
                    part == 0 ? sAt : cAt,
                    part == 0 ? sPitch : BLOCK,
                    c,
                    cAt,
                    0,
                    0);
        }
    }

    long bytes() {
        return (long) values.length * Float.BYTES;
    }
}
