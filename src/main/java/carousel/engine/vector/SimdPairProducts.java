package carousel.engine.vector;

import static carousel.engine.vector.Kernels.BLOCK;
import static carousel.engine.vector.Kernels.GROUP_PITCH;
import static carousel.engine.vector.Kernels.LANES;
import static carousel.engine.vector.SimdKernels.SPECIES;
import static carousel.engine.vector.SimdKernels.VECTOR;

import jdk.incubator.vector.FloatVector;

/**
 * The matrix products of {@link SimdKernels} on vectors of 256 bits, of which a processor may have registers for 16 only: {@link
 * SimdProducts} has those for 32. A block of sums, six rows by a pair of vectors, stays in registers over all terms; each term costs
 * two loads of b, and a broadcast and two multiply-adds a row. Rows that no block of six or four takes are done one at a time, by
 * eight vectors, whose loads are part of the multiply-adds.
 *
 * <p>Every index is the loop's counter times a constant, and something that does not change in the loop. Only then does the compiler
 * check bounds before the loop instead of in it, where that took more instructions than the product. So a loop ends where a
 * block of the left factor does, and the columns of a left factor whose outer product is wanted lie in groups: see {@link Kernels#intoGroups}.
 */
final class SimdPairProducts {
    private static final int BLOCK_SHIFT = Integer.numberOfTrailingZeros(BLOCK);
    private static final int BLOCK_MASK = BLOCK - 1;

    /** Columns of a pair of vectors, as many as a strip's parts have: see {@link Kernels#side}. */
    private static final int PAIR = LANES;

    /** Columns of a left factor in a group: those of a block of sums. */
    static final int GROUP = 6;

    private SimdPairProducts() {}

    /** See {@link Kernels#product}; a strip of a whole block. */
    static void wide(
            int rows,
            float[] a,
            int aAt,
            int aBlock,
            int from,
            int to,
            float[] b,
            int bAt,
            int bDepth,
            float[] s,
            int sAt,
            int sPitch,
            float[] c,
            int cAt) {
        int paired = paired(rows);
        for (int v = 0; v < BLOCK; v += PAIR) {
            for (int r = 0; r < paired; ) {
                int block = block(paired - r);
                float[] start = s;
                int startAt = sAt + r * sPitch + v;
                int pitch = sPitch;
                int sums = cAt + r * BLOCK + v;
                int k = from;
                do {
                    int left = aAt + (k >> BLOCK_SHIFT) * aBlock + (k & BLOCK_MASK) + r * BLOCK;
                    int terms = Math.min(to, (k | BLOCK_MASK) + 1) - k;
                    int right = bAt + v * bDepth + k * LANES;
                    if (block == 6) {
                        sixRows(a, left, terms, b, right, start, startAt, pitch, c, sums);
                    } else {
                        fourRows(a, left, terms, b, right, start, startAt, pitch, c, sums);
                    }
                    start = c;
                    startAt = sums;
                    pitch = BLOCK;
                    k += terms;
                } while (k < to);
                r += block;
            }
        }
        for (int r = paired; r < rows; r++) {
            float[] start = s;
            int startAt = sAt + r * sPitch;
            int sums = cAt + r * BLOCK;
            int k = from;
            do {
                int left = aAt + (k >> BLOCK_SHIFT) * aBlock + (k & BLOCK_MASK) + r * BLOCK;
                int terms = Math.min(to, (k | BLOCK_MASK) + 1) - k;
                oneRow(a, left, terms, b, bAt + k * LANES, bDepth * LANES, start, startAt, c, sums);
                start = c;
                startAt = sums;
                k += terms;
            } while (k < to);
        }
    }

    /** See {@link Kernels#product}; a strip of a quarter of a block. */
    static void narrow(
            int rows,
            float[] a,
            int aAt,
            int aBlock,
            int from,
            int to,
            float[] b,
            int bAt,
            float[] s,
            int sAt,
            int sPitch,
            float[] c,
            int cAt) {
        int paired = paired(rows);
        for (int r = 0; r < rows; ) {
            int block = r < paired ? block(paired - r) : 1;
            float[] start = s;
            int startAt = sAt + r * sPitch;
            int pitch = sPitch;
            int sums = cAt + r * BLOCK;
            int k = from;
            do {
                int left = aAt + (k >> BLOCK_SHIFT) * aBlock + (k & BLOCK_MASK) + r * BLOCK;
                int terms = Math.min(to, (k | BLOCK_MASK) + 1) - k;
                int right = bAt + k * LANES;
                if (block == 6) {
                    sixRows(a, left, terms, b, right, start, startAt, pitch, c, sums);
                } else if (block == 4) {
                    fourRows(a, left, terms, b, right, start, startAt, pitch, c, sums);
                } else {
                    onePair(a, left, terms, b, right, start, startAt, c, sums);
                }
                start = c;
                startAt = sums;
                pitch = BLOCK;
                k += terms;
            } while (k < to);
            r += block;
        }
    }

    /** See {@link Kernels#rowProduct}; a strip at a time, in the order in which they lie in memory. */
    static void row(
            int strips,
            float[] a,
            int aAt,
            int aBlock,
            int from,
            int to,
            float[] b,
            int bAt,
            int bDepth,
            float[] s,
            int sAt,
            int sStrip,
            float[] c,
            int cAt,
            boolean backwards) {
        for (int turn = 0; turn < strips; turn++) {
            int t = backwards ? strips - 1 - turn : turn;
            wide(
                    1,
                    a,
                    aAt,
                    aBlock,
                    from,
                    to,
                    b,
                    bAt + t * bDepth * BLOCK,
                    bDepth,
                    s,
                    sAt + t * sStrip,
                    0,
                    c,
                    cAt + t * BLOCK);
        }
    }

    /** See {@link Kernels#intoGroups}: a vector for each group. */
    static void intoGroups(float[] row, int columns, float[] a, int m, int aPitch) {
        for (int j = 0, at = m * GROUP_PITCH; j < columns; j += GROUP, at += aPitch) {
            FloatVector.fromArray(SPECIES, row, j).intoArray(a, at);
        }
    }

    /** See {@link Kernels#outerProduct}. */
    static void outer(int columns, float[] a, int aPitch, int depth, float[] b, int bAt, float[] c, int cAt) {
        for (int v = 0; v < BLOCK; v += PAIR) {
            int right = bAt + v;
            int at = 0;
            int j = 0;
            for (; columns - j >= GROUP; j += GROUP, at += aPitch) {
                sixColumns(a, at, depth, b, right, c, cAt + j * BLOCK + v);
            }
            if (columns - j >= 4) {
                fourColumns(a, at, depth, b, right, c, cAt + j * BLOCK + v);
            }
        }
        int last = columns % GROUP;
        for (int j = columns - last + (last >= 4 ? 4 : 0); j < columns; j++) {
            oneColumn(a, j / GROUP * aPitch + j % GROUP, depth, b, bAt, c, cAt + j * BLOCK);
        }
    }

    /** How many of some rows are done in blocks of six and of four. */
    private static int paired(int rows) {
        int rest = rows % 6;
        return rest >= 4 ? rows - rest + 4 : rest == 2 && rows > 2 ? rows : rows - rest;
    }

    /** The next block: eight are better served by four and four than by six, one and one. */
    private static int block(int rows) {
        return rows >= 6 && rows != 8 ? 6 : 4;
    }

    private static void oneRow(
            float[] a, int aAt, int terms, float[] b, int bAt, int bPart, float[] s, int sAt, float[] c, int cAt) {
        FloatVector s0 = FloatVector.fromArray(SPECIES, s, sAt);
        FloatVector s1 = FloatVector.fromArray(SPECIES, s, sAt + VECTOR);
        FloatVector s2 = FloatVector.fromArray(SPECIES, s, sAt + 2 * VECTOR);
        FloatVector s3 = FloatVector.fromArray(SPECIES, s, sAt + 3 * VECTOR);
        FloatVector s4 = FloatVector.fromArray(SPECIES, s, sAt + 4 * VECTOR);
        FloatVector s5 = FloatVector.fromArray(SPECIES, s, sAt + 5 * VECTOR);
        FloatVector s6 = FloatVector.fromArray(SPECIES, s, sAt + 6 * VECTOR);
        FloatVector s7 = FloatVector.fromArray(SPECIES, s, sAt + 7 * VECTOR);
        int b1 = bAt + bPart;
        int b2 = b1 + bPart;
        int b3 = b2 + bPart;
        int depth = Math.min(terms, BLOCK);
        for (int k = 0; k < depth; k++) {
            int q = k * LANES;
            FloatVector x = FloatVector.broadcast(SPECIES, a[aAt + k]);
            s0 = x.fma(FloatVector.fromArray(SPECIES, b, bAt + q), s0);
            s1 = x.fma(FloatVector.fromArray(SPECIES, b, bAt + q + VECTOR), s1);
            s2 = x.fma(FloatVector.fromArray(SPECIES, b, b1 + q), s2);
            s3 = x.fma(FloatVector.fromArray(SPECIES, b, b1 + q + VECTOR), s3);
            s4 = x.fma(FloatVector.fromArray(SPECIES, b, b2 + q), s4);
            s5 = x.fma(FloatVector.fromArray(SPECIES, b, b2 + q + VECTOR), s5);
            s6 = x.fma(FloatVector.fromArray(SPECIES, b, b3 + q), s6);
            s7 = x.fma(FloatVector.fromArray(SPECIES, b, b3 + q + VECTOR), s7);
        }
        s0.intoArray(c, cAt);
        s1.intoArray(c, cAt + VECTOR);
        s2.intoArray(c, cAt + 2 * VECTOR);
        s3.intoArray(c, cAt + 3 * VECTOR);
        s4.intoArray(c, cAt + 4 * VECTOR);
        s5.intoArray(c, cAt + 5 * VECTOR);
        s6.intoArray(c, cAt + 6 * VECTOR);
        s7.intoArray(c, cAt + 7 * VECTOR);
    }

    private static void sixRows(
            float[] a, int aAt, int terms, float[] b, int bAt, float[] s, int sAt, int sPitch, float[] c, int cAt) {
        FloatVector s00 = FloatVector.fromArray(SPECIES, s, sAt);
        FloatVector s01 = FloatVector.fromArray(SPECIES, s, sAt + VECTOR);
        FloatVector s10 = FloatVector.fromArray(SPECIES, s, sAt + sPitch);
        FloatVector s11 = FloatVector.fromArray(SPECIES, s, sAt + sPitch + VECTOR);
        FloatVector s20 = FloatVector.fromArray(SPECIES, s, sAt + 2 * sPitch);
        FloatVector s21 = FloatVector.fromArray(SPECIES, s, sAt + 2 * sPitch + VECTOR);
        FloatVector s30 = FloatVector.fromArray(SPECIES, s, sAt + 3 * sPitch);
        FloatVector s31 = FloatVector.fromArray(SPECIES, s, sAt + 3 * sPitch + VECTOR);
        FloatVector s40 = FloatVector.fromArray(SPECIES, s, sAt + 4 * sPitch);
        FloatVector s41 = FloatVector.fromArray(SPECIES, s, sAt + 4 * sPitch + VECTOR);
        FloatVector s50 = FloatVector.fromArray(SPECIES, s, sAt + 5 * sPitch);
        FloatVector s51 = FloatVector.fromArray(SPECIES, s, sAt + 5 * sPitch + VECTOR);
        int depth = Math.min(terms, BLOCK);
        for (int k = 0; k < depth; k++) {
            int q = bAt + k * LANES;
            int p = aAt + k;
            FloatVector b0 = FloatVector.fromArray(SPECIES, b, q);
            FloatVector b1 = FloatVector.fromArray(SPECIES, b, q + VECTOR);
            FloatVector x0 = FloatVector.broadcast(SPECIES, a[p]);
            s00 = x0.fma(b0, s00);
            s01 = x0.fma(b1, s01);
            FloatVector x1 = FloatVector.broadcast(SPECIES, a[p + BLOCK]);
            s10 = x1.fma(b0, s10);
            s11 = x1.fma(b1, s11);
            FloatVector x2 = FloatVector.broadcast(SPECIES, a[p + 2 * BLOCK]);
            s20 = x2.fma(b0, s20);
            s21 = x2.fma(b1, s21);
            FloatVector x3 = FloatVector.broadcast(SPECIES, a[p + 3 * BLOCK]);
            s30 = x3.fma(b0, s30);
            s31 = x3.fma(b1, s31);
            FloatVector x4 = FloatVector.broadcast(SPECIES, a[p + 4 * BLOCK]);
            s40 = x4.fma(b0, s40);
            s41 = x4.fma(b1, s41);
            FloatVector x5 = FloatVector.broadcast(SPECIES, a[p + 5 * BLOCK]);
            s50 = x5.fma(b0, s50);
            s51 = x5.fma(b1, s51);
        }
        s00.intoArray(c, cAt);
        s01.intoArray(c, cAt + VECTOR);
        s10.intoArray(c, cAt + BLOCK);
        s11.intoArray(c, cAt + BLOCK + VECTOR);
        s20.intoArray(c, cAt + 2 * BLOCK);
        s21.intoArray(c, cAt + 2 * BLOCK + VECTOR);
        s30.intoArray(c, cAt + 3 * BLOCK);
        s31.intoArray(c, cAt + 3 * BLOCK + VECTOR);
        s40.intoArray(c, cAt + 4 * BLOCK);
        s41.intoArray(c, cAt + 4 * BLOCK + VECTOR);
        s50.intoArray(c, cAt + 5 * BLOCK);
        s51.intoArray(c, cAt + 5 * BLOCK + VECTOR);
    }

    private static void fourRows(
            float[] a, int aAt, int terms, float[] b, int bAt, float[] s, int sAt, int sPitch, float[] c, int cAt) {
        FloatVector s00 = FloatVector.fromArray(SPECIES, s, sAt);
        FloatVector s01 = FloatVector.fromArray(SPECIES, s, sAt + VECTOR);
        FloatVector s10 = FloatVector.fromArray(SPECIES, s, sAt + sPitch);
        FloatVector s11 = FloatVector.fromArray(SPECIES, s, sAt + sPitch + VECTOR);
        FloatVector s20 = FloatVector.fromArray(SPECIES, s, sAt + 2 * sPitch);
        FloatVector s21 = FloatVector.fromArray(SPECIES, s, sAt + 2 * sPitch + VECTOR);
        FloatVector s30 = FloatVector.fromArray(SPECIES, s, sAt + 3 * sPitch);
        FloatVector s31 = FloatVector.fromArray(SPECIES, s, sAt + 3 * sPitch + VECTOR);
        int depth = Math.min(terms, BLOCK);
        for (int k = 0; k < depth; k++) {
            int q = bAt + k * LANES;
            int p = aAt + k;
            FloatVector b0 = FloatVector.fromArray(SPECIES, b, q);
            FloatVector b1 = FloatVector.fromArray(SPECIES, b, q + VECTOR);
            FloatVector x0 = FloatVector.broadcast(SPECIES, a[p]);
            s00 = x0.fma(b0, s00);
            s01 = x0.fma(b1, s01);
            FloatVector x1 = FloatVector.broadcast(SPECIES, a[p + BLOCK]);
            s10 = x1.fma(b0, s10);
            s11 = x1.fma(b1, s11);
            FloatVector x2 = FloatVector.broadcast(SPECIES, a[p + 2 * BLOCK]);
            s20 = x2.fma(b0, s20);
            s21 = x2.fma(b1, s21);
            FloatVector x3 = FloatVector.broadcast(SPECIES, a[p + 3 * BLOCK]);
            s30 = x3.fma(b0, s30);
            s31 = x3.fma(b1, s31);
        }
        s00.intoArray(c, cAt);
        s01.intoArray(c, cAt + VECTOR);
        s10.intoArray(c, cAt + BLOCK);
        s11.intoArray(c, cAt + BLOCK + VECTOR);
        s20.intoArray(c, cAt + 2 * BLOCK);
        s21.intoArray(c, cAt + 2 * BLOCK + VECTOR);
        s30.intoArray(c, cAt + 3 * BLOCK);
        s31.intoArray(c, cAt + 3 * BLOCK + VECTOR);
    }

    private static void onePair(
            float[] a, int aAt, int terms, float[] b, int bAt, float[] s, int sAt, float[] c, int cAt) {
        FloatVector s0 = FloatVector.fromArray(SPECIES, s, sAt);
        FloatVector s1 = FloatVector.fromArray(SPECIES, s, sAt + VECTOR);
        int depth = Math.min(terms, BLOCK);
        for (int k = 0; k < depth; k++) {
            int q = bAt + k * LANES;
            FloatVector x = FloatVector.broadcast(SPECIES, a[aAt + k]);
            s0 = x.fma(FloatVector.fromArray(SPECIES, b, q), s0);
            s1 = x.fma(FloatVector.fromArray(SPECIES, b, q + VECTOR), s1);
        }
        s0.intoArray(c, cAt);
        s1.intoArray(c, cAt + VECTOR);
    }

    private static void sixColumns(float[] a, int aAt, int depth, float[] b, int bAt, float[] c, int cAt) {
        FloatVector s00 = FloatVector.fromArray(SPECIES, c, cAt);
        FloatVector s01 = FloatVector.fromArray(SPECIES, c, cAt + VECTOR);
        FloatVector s10 = FloatVector.fromArray(SPECIES, c, cAt + BLOCK);
        FloatVector s11 = FloatVector.fromArray(SPECIES, c, cAt + BLOCK + VECTOR);
        FloatVector s20 = FloatVector.fromArray(SPECIES, c, cAt + 2 * BLOCK);
        FloatVector s21 = FloatVector.fromArray(SPECIES, c, cAt + 2 * BLOCK + VECTOR);
        FloatVector s30 = FloatVector.fromArray(SPECIES, c, cAt + 3 * BLOCK);
        FloatVector s31 = FloatVector.fromArray(SPECIES, c, cAt + 3 * BLOCK + VECTOR);
        FloatVector s40 = FloatVector.fromArray(SPECIES, c, cAt + 4 * BLOCK);
        FloatVector s41 = FloatVector.fromArray(SPECIES, c, cAt + 4 * BLOCK + VECTOR);
        FloatVector s50 = FloatVector.fromArray(SPECIES, c, cAt + 5 * BLOCK);
        FloatVector s51 = FloatVector.fromArray(SPECIES, c, cAt + 5 * BLOCK + VECTOR);
        int terms = Math.min(depth, Kernels.MOST_TERMS);
        for (int k = 0; k < terms; k++) {
            int q = bAt + k * BLOCK;
            int p = aAt + k * GROUP_PITCH;
            FloatVector b0 = FloatVector.fromArray(SPECIES, b, q);
            FloatVector b1 = FloatVector.fromArray(SPECIES, b, q + VECTOR);
            FloatVector x0 = FloatVector.broadcast(SPECIES, a[p]);
            s00 = x0.fma(b0, s00);
            s01 = x0.fma(b1, s01);
            FloatVector x1 = FloatVector.broadcast(SPECIES, a[p + 1]);
            s10 = x1.fma(b0, s10);
            s11 = x1.fma(b1, s11);
            FloatVector x2 = FloatVector.broadcast(SPECIES, a[p + 2]);
            s20 = x2.fma(b0, s20);
            s21 = x2.fma(b1, s21);
            FloatVector x3 = FloatVector.broadcast(SPECIES, a[p + 3]);
            s30 = x3.fma(b0, s30);
            s31 = x3.fma(b1, s31);
            FloatVector x4 = FloatVector.broadcast(SPECIES, a[p + 4]);
            s40 = x4.fma(b0, s40);
            s41 = x4.fma(b1, s41);
            FloatVector x5 = FloatVector.broadcast(SPECIES, a[p + 5]);
            s50 = x5.fma(b0, s50);
            s51 = x5.fma(b1, s51);
        }
        s00.intoArray(c, cAt);
        s01.intoArray(c, cAt + VECTOR);
        s10.intoArray(c, cAt + BLOCK);
        s11.intoArray(c, cAt + BLOCK + VECTOR);
        s20.intoArray(c, cAt + 2 * BLOCK);
        s21.intoArray(c, cAt + 2 * BLOCK + VECTOR);
        s30.intoArray(c, cAt + 3 * BLOCK);
        s31.intoArray(c, cAt + 3 * BLOCK + VECTOR);
        s40.intoArray(c, cAt + 4 * BLOCK);
        s41.intoArray(c, cAt + 4 * BLOCK + VECTOR);
        s50.intoArray(c, cAt + 5 * BLOCK);
        s51.intoArray(c, cAt + 5 * BLOCK + VECTOR);
    }

    private static void fourColumns(float[] a, int aAt, int depth, float[] b, int bAt, float[] c, int cAt) {
        FloatVector s00 = FloatVector.fromArray(SPECIES, c, cAt);
        FloatVector s01 = FloatVector.fromArray(SPECIES, c, cAt + VECTOR);
        FloatVector s10 = FloatVector.fromArray(SPECIES, c, cAt + BLOCK);
        FloatVector s11 = FloatVector.fromArray(SPECIES, c, cAt + BLOCK + VECTOR);
        FloatVector s20 = FloatVector.fromArray(SPECIES, c, cAt + 2 * BLOCK);
        FloatVector s21 = FloatVector.fromArray(SPECIES, c, cAt + 2 * BLOCK + VECTOR);
        FloatVector s30 = FloatVector.fromArray(SPECIES, c, cAt + 3 * BLOCK);
        FloatVector s31 = FloatVector.fromArray(SPECIES, c, cAt + 3 * BLOCK + VECTOR);
        int terms = Math.min(depth, Kernels.MOST_TERMS);
        for (int k = 0; k < terms; k++) {
            int q = bAt + k * BLOCK;
            int p = aAt + k * GROUP_PITCH;
            FloatVector b0 = FloatVector.fromArray(SPECIES, b, q);
            FloatVector b1 = FloatVector.fromArray(SPECIES, b, q + VECTOR);
            FloatVector x0 = FloatVector.broadcast(SPECIES, a[p]);
            s00 = x0.fma(b0, s00);
            s01 = x0.fma(b1, s01);
            FloatVector x1 = FloatVector.broadcast(SPECIES, a[p + 1]);
            s10 = x1.fma(b0, s10);
            s11 = x1.fma(b1, s11);
            FloatVector x2 = FloatVector.broadcast(SPECIES, a[p + 2]);
            s20 = x2.fma(b0, s20);
            s21 = x2.fma(b1, s21);
            FloatVector x3 = FloatVector.broadcast(SPECIES, a[p + 3]);
            s30 = x3.fma(b0, s30);
            s31 = x3.fma(b1, s31);
        }
        s00.intoArray(c, cAt);
        s01.intoArray(c, cAt + VECTOR);
        s10.intoArray(c, cAt + BLOCK);
        s11.intoArray(c, cAt + BLOCK + VECTOR);
        s20.intoArray(c, cAt + 2 * BLOCK);
        s21.intoArray(c, cAt + 2 * BLOCK + VECTOR);
        s30.intoArray(c, cAt + 3 * BLOCK);
        s31.intoArray(c, cAt + 3 * BLOCK + VECTOR);
    }

    private static void oneColumn(float[] a, int aAt, int depth, float[] b, int bAt, float[] c, int cAt) {
        FloatVector s0 = FloatVector.fromArray(SPECIES, c, cAt);
        FloatVector s1 = FloatVector.fromArray(SPECIES, c, cAt + VECTOR);
        FloatVector s2 = FloatVector.fromArray(SPECIES, c, cAt + 2 * VECTOR);
        FloatVector s3 = FloatVector.fromArray(SPECIES, c, cAt + 3 * VECTOR);
        FloatVector s4 = FloatVector.fromArray(SPECIES, c, cAt + 4 * VECTOR);
        FloatVector s5 = FloatVector.fromArray(SPECIES, c, cAt + 5 * VECTOR);
        FloatVector s6 = FloatVector.fromArray(SPECIES, c, cAt + 6 * VECTOR);
        FloatVector s7 = FloatVector.fromArray(SPECIES, c, cAt + 7 * VECTOR);
        int terms = Math.min(depth, Kernels.MOST_TERMS);
        for (int k = 0; k < terms; k++) {
            int q = bAt + k * BLOCK;
            FloatVector x = FloatVector.broadcast(SPECIES, a[aAt + k * GROUP_PITCH]);
            s0 = x.fma(FloatVector.fromArray(SPECIES, b, q), s0);
            s1 = x.fma(FloatVector.fromArray(SPECIES, b, q + VECTOR), s1);
            s2 = x.fma(FloatVector.fromArray(SPECIES, b, q + 2 * VECTOR), s2);
            s3 = x.fma(FloatVector.fromArray(SPECIES, b, q + 3 * VECTOR), s3);
            s4 = x.fma(FloatVector.fromArray(SPECIES, b, q + 4 * VECTOR), s4);
            s5 = x.fma(FloatVector.fromArray(SPECIES, b, q + 5 * VECTOR), s5);
            s6 = x.fma(FloatVector.fromArray(SPECIES, b, q + 6 * VECTOR), s6);
            s7 = x.fma(FloatVector.fromArray(SPECIES, b, q + 7 * VECTOR), s7);
        }
        s0.intoArray(c, cAt);
        s1.intoArray(c, cAt + VECTOR);
        s2.intoArray(c, cAt + 2 * VECTOR);
        s3.intoArray(c, cAt + 3 * VECTOR);
        s4.intoArray(c, cAt + 4 * VECTOR);
        s5.intoArray(c, cAt + 5 * VECTOR);
        s6.intoArray(c, cAt + 6 * VECTOR);
        s7.intoArray(c, cAt + 7 * VECTOR);
    }
}
