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
 * check bounds before the loop instead of in it, where that took more instructions than the product. So the columns of a left factor
 * whose outer product is wanted lie in groups, see {@link Kernels#intoGroups}, and a product has two loops with the same body: one for the
 * terms before a border of the left factor's blocks, and one of exactly as many terms as a block has, in another over the blocks. Were the number of terms
 * in that one not a constant, C2 would allocate the sums. What is left after the last whole block is a pass of its own.
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
        int until = wholeEnd(from, to);
        for (int v = 0; v < BLOCK; v += PAIR) {
            int right = bAt + v * bDepth;
            for (int r = 0; r < paired; ) {
                int block = block(paired - r);
                int left = aAt + r * BLOCK;
                int start = sAt + r * sPitch + v;
                int sums = cAt + r * BLOCK + v;
                rows(block, a, left, aBlock, from, until, b, right, s, start, sPitch, c, sums);
                if (until < to) {
                    rows(block, a, left, aBlock, until, to, b, right, c, sums, BLOCK, c, sums);
                }
                r += block;
            }
        }
        for (int r = paired; r < rows; r++) {
            int left = aAt + r * BLOCK;
            int sums = cAt + r * BLOCK;
            oneRow(a, left, aBlock, from, until, b, bAt, bDepth * LANES, s, sAt + r * sPitch, c, sums);
            if (until < to) {
                oneRow(a, left, aBlock, until, to, b, bAt, bDepth * LANES, c, sums, c, sums);
            }
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
        int until = wholeEnd(from, to);
        for (int r = 0; r < rows; ) {
            int block = r < paired ? block(paired - r) : 1;
            int left = aAt + r * BLOCK;
            int sums = cAt + r * BLOCK;
            rows(block, a, left, aBlock, from, until, b, bAt, s, sAt + r * sPitch, sPitch, c, sums);
            if (until < to) {
                rows(block, a, left, aBlock, until, to, b, bAt, c, sums, BLOCK, c, sums);
            }
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
    static void outer(
            int columns, float[] a, int aPitch, int depth, float[] b, int bAt, float[] c, int cAt, float[] room) {
        if (columns >= 4) {
            sideBySide(depth, b, bAt, room);
        }
        for (int v = 0; v < BLOCK && columns >= 4; v += PAIR) {
            int right = v * depth;
            int at = 0;
            int j = 0;
            for (; columns - j >= GROUP; j += GROUP, at += aPitch) {
                sixColumns(a, at, depth, room, right, c, cAt + j * BLOCK + v);
            }
            if (columns - j >= 4) {
                fourColumns(a, at, depth, room, right, c, cAt + j * BLOCK + v);
            }
        }
        int last = columns % GROUP;
        for (int j = columns - last + (last >= 4 ? 4 : 0); j < columns; j++) {
            oneColumn(a, j / GROUP * aPitch + j % GROUP, depth, b, bAt, c, cAt + j * BLOCK);
        }
    }

    /**
     * Copies rows of 4L numbers into four parts {@code [rows][L]}, one after the other: in the rows a pair of vectors takes every fourth cache
     * line, which is a quarter of the cache's sets. All four at once, for then the rows are read from end to end.
     */
    private static void sideBySide(int rows, float[] b, int bAt, float[] to) {
        int depth = Math.min(rows, Kernels.MOST_TERMS);
        int to1 = rows * LANES;
        int to2 = to1 + rows * LANES;
        int to3 = to2 + rows * LANES;
        for (int k = 0; k < depth; k++) {
            int from = bAt + k * BLOCK;
            int q = k * LANES;
            FloatVector.fromArray(SPECIES, b, from).intoArray(to, q);
            FloatVector.fromArray(SPECIES, b, from + VECTOR).intoArray(to, q + VECTOR);
            FloatVector.fromArray(SPECIES, b, from + LANES).intoArray(to, to1 + q);
            FloatVector.fromArray(SPECIES, b, from + LANES + VECTOR).intoArray(to, to1 + q + VECTOR);
            FloatVector.fromArray(SPECIES, b, from + 2 * LANES).intoArray(to, to2 + q);
            FloatVector.fromArray(SPECIES, b, from + 2 * LANES + VECTOR).intoArray(to, to2 + q + VECTOR);
            FloatVector.fromArray(SPECIES, b, from + 3 * LANES).intoArray(to, to3 + q);
            FloatVector.fromArray(SPECIES, b, from + 3 * LANES + VECTOR).intoArray(to, to3 + q + VECTOR);
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

    /** Up to where the first pass over some terms goes: what follows the last whole block of the left factor has a pass of its own. */
    private static int wholeEnd(int from, int to) {
        int whole = to & ~BLOCK_MASK;
        return whole > from ? whole : to;
    }

    /** The first block of the left factor that a pass takes as a whole; what comes before it are terms of one block. */
    private static int firstWhole(int from, int to) {
        int block = from >> BLOCK_SHIFT;
        return (from & BLOCK_MASK) == 0 && to - from >= BLOCK ? block : block + 1;
    }

    /** How many terms come before the first whole block; less than a block, which the bound tells the compiler. */
    private static int headTerms(int from, int to, int firstWhole) {
        return Math.min(Math.min(to, firstWhole * BLOCK) - from, BLOCK);
    }

    /** Six rows, four or one, of a pair of vectors. */
    private static void rows(
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
        if (rows == 6) {
            sixRows(a, aAt, aBlock, from, to, b, bAt, s, sAt, sPitch, c, cAt);
        } else if (rows == 4) {
            fourRows(a, aAt, aBlock, from, to, b, bAt, s, sAt, sPitch, c, cAt);
        } else {
            onePair(a, aAt, aBlock, from, to, b, bAt, s, sAt, c, cAt);
        }
    }

    private static void oneRow(
            float[] a,
            int aAt,
            int aBlock,
            int from,
            int to,
            float[] b,
            int bAt,
            int bPart,
            float[] s,
            int sAt,
            float[] c,
            int cAt) {
        FloatVector s0 = FloatVector.fromArray(SPECIES, s, sAt);
        FloatVector s1 = FloatVector.fromArray(SPECIES, s, sAt + VECTOR);
        FloatVector s2 = FloatVector.fromArray(SPECIES, s, sAt + 2 * VECTOR);
        FloatVector s3 = FloatVector.fromArray(SPECIES, s, sAt + 3 * VECTOR);
        FloatVector s4 = FloatVector.fromArray(SPECIES, s, sAt + 4 * VECTOR);
        FloatVector s5 = FloatVector.fromArray(SPECIES, s, sAt + 5 * VECTOR);
        FloatVector s6 = FloatVector.fromArray(SPECIES, s, sAt + 6 * VECTOR);
        FloatVector s7 = FloatVector.fromArray(SPECIES, s, sAt + 7 * VECTOR);
        int left = aAt + (from >> BLOCK_SHIFT) * aBlock + (from & BLOCK_MASK);
        int b0 = bAt + from * LANES;
        int b1 = b0 + bPart;
        int b2 = b1 + bPart;
        int b3 = b2 + bPart;
        int first = firstWhole(from, to);
        int terms = headTerms(from, to, first);
        for (int k = 0; k < terms; k++) {
            int q = k * LANES;
            FloatVector x = FloatVector.broadcast(SPECIES, a[left + k]);
            s0 = x.fma(FloatVector.fromArray(SPECIES, b, b0 + q), s0);
            s1 = x.fma(FloatVector.fromArray(SPECIES, b, b0 + q + VECTOR), s1);
            s2 = x.fma(FloatVector.fromArray(SPECIES, b, b1 + q), s2);
            s3 = x.fma(FloatVector.fromArray(SPECIES, b, b1 + q + VECTOR), s3);
            s4 = x.fma(FloatVector.fromArray(SPECIES, b, b2 + q), s4);
            s5 = x.fma(FloatVector.fromArray(SPECIES, b, b2 + q + VECTOR), s5);
            s6 = x.fma(FloatVector.fromArray(SPECIES, b, b3 + q), s6);
            s7 = x.fma(FloatVector.fromArray(SPECIES, b, b3 + q + VECTOR), s7);
        }
        int lastBlock = to >> BLOCK_SHIFT;
        for (int block = first; block < lastBlock; block++) {
            left = aAt + block * aBlock;
            b0 = bAt + block * BLOCK * LANES;
            b1 = b0 + bPart;
            b2 = b1 + bPart;
            b3 = b2 + bPart;
            for (int k = 0; k < BLOCK; k++) {
                int q = k * LANES;
                FloatVector x = FloatVector.broadcast(SPECIES, a[left + k]);
                s0 = x.fma(FloatVector.fromArray(SPECIES, b, b0 + q), s0);
                s1 = x.fma(FloatVector.fromArray(SPECIES, b, b0 + q + VECTOR), s1);
                s2 = x.fma(FloatVector.fromArray(SPECIES, b, b1 + q), s2);
                s3 = x.fma(FloatVector.fromArray(SPECIES, b, b1 + q + VECTOR), s3);
                s4 = x.fma(FloatVector.fromArray(SPECIES, b, b2 + q), s4);
                s5 = x.fma(FloatVector.fromArray(SPECIES, b, b2 + q + VECTOR), s5);
                s6 = x.fma(FloatVector.fromArray(SPECIES, b, b3 + q), s6);
                s7 = x.fma(FloatVector.fromArray(SPECIES, b, b3 + q + VECTOR), s7);
            }
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
        int left = aAt + (from >> BLOCK_SHIFT) * aBlock + (from & BLOCK_MASK);
        int right = bAt + from * LANES;
        int first = firstWhole(from, to);
        int terms = headTerms(from, to, first);
        for (int k = 0; k < terms; k++) {
            int q = right + k * LANES;
            int p = left + k;
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
        int lastBlock = to >> BLOCK_SHIFT;
        for (int block = first; block < lastBlock; block++) {
            left = aAt + block * aBlock;
            right = bAt + block * BLOCK * LANES;
            for (int k = 0; k < BLOCK; k++) {
                int q = right + k * LANES;
                int p = left + k;
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
        FloatVector s00 = FloatVector.fromArray(SPECIES, s, sAt);
        FloatVector s01 = FloatVector.fromArray(SPECIES, s, sAt + VECTOR);
        FloatVector s10 = FloatVector.fromArray(SPECIES, s, sAt + sPitch);
        FloatVector s11 = FloatVector.fromArray(SPECIES, s, sAt + sPitch + VECTOR);
        FloatVector s20 = FloatVector.fromArray(SPECIES, s, sAt + 2 * sPitch);
        FloatVector s21 = FloatVector.fromArray(SPECIES, s, sAt + 2 * sPitch + VECTOR);
        FloatVector s30 = FloatVector.fromArray(SPECIES, s, sAt + 3 * sPitch);
        FloatVector s31 = FloatVector.fromArray(SPECIES, s, sAt + 3 * sPitch + VECTOR);
        int left = aAt + (from >> BLOCK_SHIFT) * aBlock + (from & BLOCK_MASK);
        int right = bAt + from * LANES;
        int first = firstWhole(from, to);
        int terms = headTerms(from, to, first);
        for (int k = 0; k < terms; k++) {
            int q = right + k * LANES;
            int p = left + k;
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
        int lastBlock = to >> BLOCK_SHIFT;
        for (int block = first; block < lastBlock; block++) {
            left = aAt + block * aBlock;
            right = bAt + block * BLOCK * LANES;
            for (int k = 0; k < BLOCK; k++) {
                int q = right + k * LANES;
                int p = left + k;
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
            float[] a,
            int aAt,
            int aBlock,
            int from,
            int to,
            float[] b,
            int bAt,
            float[] s,
            int sAt,
            float[] c,
            int cAt) {
        FloatVector s0 = FloatVector.fromArray(SPECIES, s, sAt);
        FloatVector s1 = FloatVector.fromArray(SPECIES, s, sAt + VECTOR);
        int left = aAt + (from >> BLOCK_SHIFT) * aBlock + (from & BLOCK_MASK);
        int right = bAt + from * LANES;
        int first = firstWhole(from, to);
        int terms = headTerms(from, to, first);
        for (int k = 0; k < terms; k++) {
            int q = right + k * LANES;
            FloatVector x = FloatVector.broadcast(SPECIES, a[left + k]);
            s0 = x.fma(FloatVector.fromArray(SPECIES, b, q), s0);
            s1 = x.fma(FloatVector.fromArray(SPECIES, b, q + VECTOR), s1);
        }
        int lastBlock = to >> BLOCK_SHIFT;
        for (int block = first; block < lastBlock; block++) {
            left = aAt + block * aBlock;
            right = bAt + block * BLOCK * LANES;
            for (int k = 0; k < BLOCK; k++) {
                int q = right + k * LANES;
                FloatVector x = FloatVector.broadcast(SPECIES, a[left + k]);
                s0 = x.fma(FloatVector.fromArray(SPECIES, b, q), s0);
                s1 = x.fma(FloatVector.fromArray(SPECIES, b, q + VECTOR), s1);
            }
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
            int q = bAt + k * LANES;
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
            int q = bAt + k * LANES;
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
