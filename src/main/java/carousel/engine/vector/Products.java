package carousel.engine.vector;

/**
 * The matrix product. Every element is summed in the order of {@code k} with one rounding a term, so that a row's result
 * depends neither on the rows beside it nor on how the work is blocked.
 */
final class Products {
    /** Columns done at a time: with {@link #DEPTH} rows of b they stay in the first-level cache. */
    private static final int COLUMNS = 512;

    /** Terms added before going on to the next rows of c. */
    private static final int DEPTH = 8;

    private Products() {}

    /**
     * {@code c[r][j] += sum_k a[first[r] + k] * b[k][j]} for {@code r < rows}, {@code k < depth}, {@code j < columns}.
     *
     * @param first where each row of the left factor starts
     */
    static void add(float[] a, int[] first, float[][] b, int depth, float[][] c, int rows, int columns) {
        for (int from = 0; from < columns; from += COLUMNS) {
            int to = Math.min(columns, from + COLUMNS);
            for (int k = 0; k < depth; k += DEPTH) {
                block(a, first, b, k, Math.min(depth, k + DEPTH), c, rows, from, to);
            }
        }
    }

    private static void block(
            float[] a, int[] first, float[][] b, int kFrom, int kTo, float[][] c, int rows, int from, int to) {
        int r = 0;
        for (; r + 3 <= rows; r += 3) {
            int a0 = first[r];
            int a1 = first[r + 1];
            int a2 = first[r + 2];
            int k = kFrom;
            for (; k + 2 <= kTo; k += 2) {
                threeRowsTwoTerms(
                        a[a0 + k],
                        a[a0 + k + 1],
                        a[a1 + k],
                        a[a1 + k + 1],
                        a[a2 + k],
                        a[a2 + k + 1],
                        b[k],
                        b[k + 1],
                        c[r],
                        c[r + 1],
                        c[r + 2],
                        from,
                        to);
            }
            if (k < kTo) {
                oneTerm(a[a0 + k], b[k], c[r], from, to);
                oneTerm(a[a1 + k], b[k], c[r + 1], from, to);
                oneTerm(a[a2 + k], b[k], c[r + 2], from, to);
            }
        }
        for (; r < rows; r++) {
            int a0 = first[r];
            int k = kFrom;
            for (; k + 4 <= kTo; k += 4) {
                fourTerms(
                        a[a0 + k],
                        a[a0 + k + 1],
                        a[a0 + k + 2],
                        a[a0 + k + 3],
                        b[k],
                        b[k + 1],
                        b[k + 2],
                        b[k + 3],
                        c[r],
                        from,
                        to);
            }
            for (; k < kTo; k++) {
                oneTerm(a[a0 + k], b[k], c[r], from, to);
            }
        }
    }

    /** The largest body that C2 still unrolls: six products for two loads of b. */
    private static void threeRowsTwoTerms(
            float p0,
            float p1,
            float q0,
            float q1,
            float r0,
            float r1,
            float[] b0,
            float[] b1,
            float[] cp,
            float[] cq,
            float[] cr,
            int from,
            int to) {
        for (int j = from; j < to; j++) {
            float u = b0[j];
            float v = b1[j];
            cp[j] = Math.fma(p1, v, Math.fma(p0, u, cp[j]));
            cq[j] = Math.fma(q1, v, Math.fma(q0, u, cq[j]));
            cr[j] = Math.fma(r1, v, Math.fma(r0, u, cr[j]));
        }
    }

    private static void fourTerms(
            float a0,
            float a1,
            float a2,
            float a3,
            float[] b0,
            float[] b1,
            float[] b2,
            float[] b3,
            float[] c,
            int from,
            int to) {
        for (int j = from; j < to; j++) {
            c[j] = Math.fma(a3, b3[j], Math.fma(a2, b2[j], Math.fma(a1, b1[j], Math.fma(a0, b0[j], c[j]))));
        }
    }

    private static void oneTerm(float a, float[] b, float[] c, int from, int to) {
        for (int j = from; j < to; j++) {
            c[j] = Math.fma(a, b[j], c[j]);
        }
    }
}
