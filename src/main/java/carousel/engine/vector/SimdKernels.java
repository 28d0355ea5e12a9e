package carousel.engine.vector;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;

/**
 * Kernels on the Vector API, to be touched only where the JVM has its module. The product keeps a block of c, six or fewer
 * rows by four vectors, in registers while it runs over all terms. The blocks are written out because a vector stays in a
 * register only as a local variable of one method.
 */
final class SimdKernels implements Kernels {
    /** The processor's own width, but not more than {@link #PADDING} allows for. */
    private static final VectorSpecies<Float> SPECIES =
            FloatVector.SPECIES_PREFERRED.length() > FloatVector.SPECIES_512.length()
                    ? FloatVector.SPECIES_512
                    : FloatVector.SPECIES_PREFERRED;

    private static final int LANES = SPECIES.length();
    /** Columns of a block. */
    private static final int STRIP = 4 * LANES;

    /** Strips of columns one after the other, {@code [columns / STRIP][depth][STRIP]}; the last one is padded. */
    static final class StripPanel extends Panel {
        private final RowBuffer buffer;
        private float[] values;
        private int depth;

        StripPanel(boolean poisoned) {
            buffer = new RowBuffer(poisoned);
        }

        @Override
        void allocate(int depth, int columns) {
            this.depth = depth;
            values = buffer.row((columns + STRIP - 1) / STRIP * depth * STRIP);
        }

        private int at(int k, int j) {
            return (j / STRIP * depth + k) * STRIP + j % STRIP;
        }

        @Override
        void setRow(int k, float[] source, int at) {
            for (int j = 0; j < columns(); j += STRIP) {
                System.arraycopy(source, at + j, values, at(k, j), Math.min(STRIP, columns() - j));
            }
        }

        @Override
        void transpose(float[] matrix, int start, int width, int from, int to, int firstRow) {
            for (int r = 0; r < columns(); r++) {
                int first = at(firstRow, r);
                for (int k = from; k < to; k++) {
                    values[first + k * STRIP] = matrix[start + r * width + k];
                }
            }
        }

        @Override
        long bytes() {
            return buffer.bytes();
        }
    }

    @Override
    public String description() {
        return SPECIES.vectorBitSize() + "-bit";
    }

    @Override
    public Panel panel(boolean poisoned) {
        return new StripPanel(poisoned);
    }

    @Override
    public void product(float[] a, int[] first, Panel b, int depth, float[][] c, int rows) {
        StripPanel panel = (StripPanel) b;
        for (int j = 0; j < b.columns(); j += STRIP) {
            strip(a, first, panel.values, panel.at(0, j), depth, c, rows, j);
        }
    }

    /** All rows of one strip, which stays in the cache meanwhile. */
    private static void strip(float[] a, int[] first, float[] b, int at, int depth, float[][] c, int rows, int j) {
        int r = 0;
        for (; r + 6 <= rows; r += 6) {
            sixRows(
                    a,
                    first[r],
                    first[r + 1],
                    first[r + 2],
                    first[r + 3],
                    first[r + 4],
                    first[r + 5],
                    b,
                    at,
                    depth,
                    c[r],
                    c[r + 1],
                    c[r + 2],
                    c[r + 3],
                    c[r + 4],
                    c[r + 5],
                    j);
        }
        for (; r + 4 <= rows; r += 4) {
            fourRows(
                    a,
                    first[r],
                    first[r + 1],
                    first[r + 2],
                    first[r + 3],
                    b,
                    at,
                    depth,
                    c[r],
                    c[r + 1],
                    c[r + 2],
                    c[r + 3],
                    j);
        }
        for (; r < rows; r++) {
            oneRow(a, first[r], b, at, depth, c[r], j);
        }
    }

    private static void sixRows(
            float[] a,
            int a0,
            int a1,
            int a2,
            int a3,
            int a4,
            int a5,
            float[] b,
            int at,
            int depth,
            float[] c0,
            float[] c1,
            float[] c2,
            float[] c3,
            float[] c4,
            float[] c5,
            int j) {
        FloatVector s00 = FloatVector.fromArray(SPECIES, c0, j);
        FloatVector s01 = FloatVector.fromArray(SPECIES, c0, j + LANES);
        FloatVector s02 = FloatVector.fromArray(SPECIES, c0, j + 2 * LANES);
        FloatVector s03 = FloatVector.fromArray(SPECIES, c0, j + 3 * LANES);
        FloatVector s10 = FloatVector.fromArray(SPECIES, c1, j);
        FloatVector s11 = FloatVector.fromArray(SPECIES, c1, j + LANES);
        FloatVector s12 = FloatVector.fromArray(SPECIES, c1, j + 2 * LANES);
        FloatVector s13 = FloatVector.fromArray(SPECIES, c1, j + 3 * LANES);
        FloatVector s20 = FloatVector.fromArray(SPECIES, c2, j);
        FloatVector s21 = FloatVector.fromArray(SPECIES, c2, j + LANES);
        FloatVector s22 = FloatVector.fromArray(SPECIES, c2, j + 2 * LANES);
        FloatVector s23 = FloatVector.fromArray(SPECIES, c2, j + 3 * LANES);
        FloatVector s30 = FloatVector.fromArray(SPECIES, c3, j);
        FloatVector s31 = FloatVector.fromArray(SPECIES, c3, j + LANES);
        FloatVector s32 = FloatVector.fromArray(SPECIES, c3, j + 2 * LANES);
        FloatVector s33 = FloatVector.fromArray(SPECIES, c3, j + 3 * LANES);
        FloatVector s40 = FloatVector.fromArray(SPECIES, c4, j);
        FloatVector s41 = FloatVector.fromArray(SPECIES, c4, j + LANES);
        FloatVector s42 = FloatVector.fromArray(SPECIES, c4, j + 2 * LANES);
        FloatVector s43 = FloatVector.fromArray(SPECIES, c4, j + 3 * LANES);
        FloatVector s50 = FloatVector.fromArray(SPECIES, c5, j);
        FloatVector s51 = FloatVector.fromArray(SPECIES, c5, j + LANES);
        FloatVector s52 = FloatVector.fromArray(SPECIES, c5, j + 2 * LANES);
        FloatVector s53 = FloatVector.fromArray(SPECIES, c5, j + 3 * LANES);
        for (int k = 0; k < depth; k++) {
            int p = at + k * STRIP;
            FloatVector b0 = FloatVector.fromArray(SPECIES, b, p);
            FloatVector b1 = FloatVector.fromArray(SPECIES, b, p + LANES);
            FloatVector b2 = FloatVector.fromArray(SPECIES, b, p + 2 * LANES);
            FloatVector b3 = FloatVector.fromArray(SPECIES, b, p + 3 * LANES);
            FloatVector x0 = FloatVector.broadcast(SPECIES, a[a0 + k]);
            s00 = x0.fma(b0, s00);
            s01 = x0.fma(b1, s01);
            s02 = x0.fma(b2, s02);
            s03 = x0.fma(b3, s03);
            FloatVector x1 = FloatVector.broadcast(SPECIES, a[a1 + k]);
            s10 = x1.fma(b0, s10);
            s11 = x1.fma(b1, s11);
            s12 = x1.fma(b2, s12);
            s13 = x1.fma(b3, s13);
            FloatVector x2 = FloatVector.broadcast(SPECIES, a[a2 + k]);
            s20 = x2.fma(b0, s20);
            s21 = x2.fma(b1, s21);
            s22 = x2.fma(b2, s22);
            s23 = x2.fma(b3, s23);
            FloatVector x3 = FloatVector.broadcast(SPECIES, a[a3 + k]);
            s30 = x3.fma(b0, s30);
            s31 = x3.fma(b1, s31);
            s32 = x3.fma(b2, s32);
            s33 = x3.fma(b3, s33);
            FloatVector x4 = FloatVector.broadcast(SPECIES, a[a4 + k]);
            s40 = x4.fma(b0, s40);
            s41 = x4.fma(b1, s41);
            s42 = x4.fma(b2, s42);
            s43 = x4.fma(b3, s43);
            FloatVector x5 = FloatVector.broadcast(SPECIES, a[a5 + k]);
            s50 = x5.fma(b0, s50);
            s51 = x5.fma(b1, s51);
            s52 = x5.fma(b2, s52);
            s53 = x5.fma(b3, s53);
        }
        s00.intoArray(c0, j);
        s01.intoArray(c0, j + LANES);
        s02.intoArray(c0, j + 2 * LANES);
        s03.intoArray(c0, j + 3 * LANES);
        s10.intoArray(c1, j);
        s11.intoArray(c1, j + LANES);
        s12.intoArray(c1, j + 2 * LANES);
        s13.intoArray(c1, j + 3 * LANES);
        s20.intoArray(c2, j);
        s21.intoArray(c2, j + LANES);
        s22.intoArray(c2, j + 2 * LANES);
        s23.intoArray(c2, j + 3 * LANES);
        s30.intoArray(c3, j);
        s31.intoArray(c3, j + LANES);
        s32.intoArray(c3, j + 2 * LANES);
        s33.intoArray(c3, j + 3 * LANES);
        s40.intoArray(c4, j);
        s41.intoArray(c4, j + LANES);
        s42.intoArray(c4, j + 2 * LANES);
        s43.intoArray(c4, j + 3 * LANES);
        s50.intoArray(c5, j);
        s51.intoArray(c5, j + LANES);
        s52.intoArray(c5, j + 2 * LANES);
        s53.intoArray(c5, j + 3 * LANES);
    }

    private static void fourRows(
            float[] a,
            int a0,
            int a1,
            int a2,
            int a3,
            float[] b,
            int at,
            int depth,
            float[] c0,
            float[] c1,
            float[] c2,
            float[] c3,
            int j) {
        FloatVector s00 = FloatVector.fromArray(SPECIES, c0, j);
        FloatVector s01 = FloatVector.fromArray(SPECIES, c0, j + LANES);
        FloatVector s02 = FloatVector.fromArray(SPECIES, c0, j + 2 * LANES);
        FloatVector s03 = FloatVector.fromArray(SPECIES, c0, j + 3 * LANES);
        FloatVector s10 = FloatVector.fromArray(SPECIES, c1, j);
        FloatVector s11 = FloatVector.fromArray(SPECIES, c1, j + LANES);
        FloatVector s12 = FloatVector.fromArray(SPECIES, c1, j + 2 * LANES);
        FloatVector s13 = FloatVector.fromArray(SPECIES, c1, j + 3 * LANES);
        FloatVector s20 = FloatVector.fromArray(SPECIES, c2, j);
        FloatVector s21 = FloatVector.fromArray(SPECIES, c2, j + LANES);
        FloatVector s22 = FloatVector.fromArray(SPECIES, c2, j + 2 * LANES);
        FloatVector s23 = FloatVector.fromArray(SPECIES, c2, j + 3 * LANES);
        FloatVector s30 = FloatVector.fromArray(SPECIES, c3, j);
        FloatVector s31 = FloatVector.fromArray(SPECIES, c3, j + LANES);
        FloatVector s32 = FloatVector.fromArray(SPECIES, c3, j + 2 * LANES);
        FloatVector s33 = FloatVector.fromArray(SPECIES, c3, j + 3 * LANES);
        for (int k = 0; k < depth; k++) {
            int p = at + k * STRIP;
            FloatVector b0 = FloatVector.fromArray(SPECIES, b, p);
            FloatVector b1 = FloatVector.fromArray(SPECIES, b, p + LANES);
            FloatVector b2 = FloatVector.fromArray(SPECIES, b, p + 2 * LANES);
            FloatVector b3 = FloatVector.fromArray(SPECIES, b, p + 3 * LANES);
            FloatVector x0 = FloatVector.broadcast(SPECIES, a[a0 + k]);
            s00 = x0.fma(b0, s00);
            s01 = x0.fma(b1, s01);
            s02 = x0.fma(b2, s02);
            s03 = x0.fma(b3, s03);
            FloatVector x1 = FloatVector.broadcast(SPECIES, a[a1 + k]);
            s10 = x1.fma(b0, s10);
            s11 = x1.fma(b1, s11);
            s12 = x1.fma(b2, s12);
            s13 = x1.fma(b3, s13);
            FloatVector x2 = FloatVector.broadcast(SPECIES, a[a2 + k]);
            s20 = x2.fma(b0, s20);
            s21 = x2.fma(b1, s21);
            s22 = x2.fma(b2, s22);
            s23 = x2.fma(b3, s23);
            FloatVector x3 = FloatVector.broadcast(SPECIES, a[a3 + k]);
            s30 = x3.fma(b0, s30);
            s31 = x3.fma(b1, s31);
            s32 = x3.fma(b2, s32);
            s33 = x3.fma(b3, s33);
        }
        s00.intoArray(c0, j);
        s01.intoArray(c0, j + LANES);
        s02.intoArray(c0, j + 2 * LANES);
        s03.intoArray(c0, j + 3 * LANES);
        s10.intoArray(c1, j);
        s11.intoArray(c1, j + LANES);
        s12.intoArray(c1, j + 2 * LANES);
        s13.intoArray(c1, j + 3 * LANES);
        s20.intoArray(c2, j);
        s21.intoArray(c2, j + LANES);
        s22.intoArray(c2, j + 2 * LANES);
        s23.intoArray(c2, j + 3 * LANES);
        s30.intoArray(c3, j);
        s31.intoArray(c3, j + LANES);
        s32.intoArray(c3, j + 2 * LANES);
        s33.intoArray(c3, j + 3 * LANES);
    }

    private static void oneRow(float[] a, int a0, float[] b, int at, int depth, float[] c0, int j) {
        FloatVector s00 = FloatVector.fromArray(SPECIES, c0, j);
        FloatVector s01 = FloatVector.fromArray(SPECIES, c0, j + LANES);
        FloatVector s02 = FloatVector.fromArray(SPECIES, c0, j + 2 * LANES);
        FloatVector s03 = FloatVector.fromArray(SPECIES, c0, j + 3 * LANES);
        for (int k = 0; k < depth; k++) {
            int p = at + k * STRIP;
            FloatVector b0 = FloatVector.fromArray(SPECIES, b, p);
            FloatVector b1 = FloatVector.fromArray(SPECIES, b, p + LANES);
            FloatVector b2 = FloatVector.fromArray(SPECIES, b, p + 2 * LANES);
            FloatVector b3 = FloatVector.fromArray(SPECIES, b, p + 3 * LANES);
            FloatVector x0 = FloatVector.broadcast(SPECIES, a[a0 + k]);
            s00 = x0.fma(b0, s00);
            s01 = x0.fma(b1, s01);
            s02 = x0.fma(b2, s02);
            s03 = x0.fma(b3, s03);
        }
        s00.intoArray(c0, j);
        s01.intoArray(c0, j + LANES);
        s02.intoArray(c0, j + 2 * LANES);
        s03.intoArray(c0, j + 3 * LANES);
    }
}
