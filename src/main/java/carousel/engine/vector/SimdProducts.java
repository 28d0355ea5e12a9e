package carousel.engine.vector;

import static carousel.engine.vector.Kernels.BLOCK;
import static carousel.engine.vector.Kernels.LANES;
import static carousel.engine.vector.Kernels.MOST_TERMS;
import static carousel.engine.vector.SimdKernels.SPECIES;
import static carousel.engine.vector.SimdKernels.VECTOR;

import jdk.incubator.vector.FloatVector;

/**
 * The matrix products of {@link SimdKernels} where there may be 32 vector registers. A block of sums, up to six rows by four vectors, stays in registers over all
 * terms; each term costs four loads of b, a broadcast a row, and a multiply-add a sum. The blocks are written out because a
 * vector stays in a register only as a local variable of one method. Rows of the left factor lie a constant distance apart, so
 * that one index serves all: with an index a row the compiler runs out of integer registers and moves them through those of
 * the vectors, at a third of the speed. That it sees how few terms there are ({@link Kernels#MOST_TERMS}) spares it those of a
 * loop that may have to stop for the garbage collector.
 *
 * <p>Java has no prefetch. So while a block is summed, each term also reads one number of the strip that will be wanted next, which
 * by then has come from the third-level cache. The reads are integer operations, for which the processor has units to spare; that
 * the methods return what they read, for nobody, keeps the compiler from leaving it out, for they are too large to be inlined.
 */
final class SimdProducts {
    private static final int BLOCK_SHIFT = Integer.numberOfTrailingZeros(BLOCK);
    private static final int BLOCK_MASK = BLOCK - 1;

    /** How far a block reads ahead with each term: half a cache line, so that eight blocks of rows read a strip ahead of theirs. */
    private static final int AHEAD = 8;

    private SimdProducts() {}

    /** See {@link Kernels#product}; a strip of a whole block, four vectors at a time. */
    static void wide(
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
            int cAt,
            int next,
            int nextCount) {
        for (int v = 0; v < BLOCK; v += 4 * VECTOR) {
            wideRows(rows, a, aAt, aBlock, from, to, b, bAt + v, s, sAt + v, sPitch, c, cAt + v, next, nextCount);
        }
    }

    private static void wideRows(
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
            int cAt,
            int next,
            int nextCount) {
        if (rows == 0) {
            return;
        }
        int r = 0;
        // What comes next is read in equal shares. A block of rows reads AHEAD numbers further for each term.
        int most = Math.max(0, nextCount - (to - from) * AHEAD);
        int share = most / rows;
        int first = nextCount < (to - from) * AHEAD ? 0 : next;
        // Eight are better served by four and four than by six and two.
        for (; rows - r >= 6 && rows - r != 8; r += 6) {
            sixWide(
                    a,
                    aAt + r * BLOCK,
                    aBlock,
                    from,
                    to,
                    b,
                    bAt,
                    s,
                    sAt + r * sPitch,
                    sPitch,
                    c,
                    cAt + r * BLOCK,
                    first + r * share);
        }
        for (; rows - r >= 4; r += 4) {
            fourWide(
                    a,
                    aAt + r * BLOCK,
                    aBlock,
                    from,
                    to,
                    b,
                    bAt,
                    s,
                    sAt + r * sPitch,
                    sPitch,
                    c,
                    cAt + r * BLOCK,
                    first + r * share);
        }
        for (; rows - r >= 2; r += 2) {
            twoWide(
                    a,
                    aAt + r * BLOCK,
                    aBlock,
                    from,
                    to,
                    b,
                    bAt,
                    s,
                    sAt + r * sPitch,
                    sPitch,
                    c,
                    cAt + r * BLOCK,
                    first + r * share);
        }
        if (r < rows) {
            oneWide(a, aAt + r * BLOCK, aBlock, from, to, b, bAt, s, sAt + r * sPitch, sPitch, c, cAt + r * BLOCK);
        }
    }

    /** See {@link Kernels#rowProduct}; four strips at a time, since one alone has too few sums to keep the loads busy. */
    static void row(
            int strips,
            float[] a,
            int aAt,
            int aBlock,
            int from,
            int to,
            float[] b,
            int bAt,
            int bStrip,
            float[] s,
            int sAt,
            int sStrip,
            float[] c,
            int cAt,
            boolean backwards) {
        int groups = strips / 4 + strips % 4;
        for (int turn = 0; turn < groups; turn++) {
            int group = backwards ? groups - 1 - turn : turn;
            boolean four = group < strips / 4;
            int t = four ? 4 * group : group + strips / 4 * 3;
            float[] start = s;
            int startAt = sAt + t * sStrip;
            int pitch = sStrip;
            int first = from;
            do {
                int last = Math.min(to, first + MOST_TERMS);
                int right = bAt + t * bStrip;
                for (int v = 0; four && v < BLOCK; v += 4 * VECTOR) {
                    fourStrips(
                            a,
                            aAt,
                            aBlock,
                            first,
                            last,
                            b,
                            right + v,
                            bStrip,
                            start,
                            startAt + v,
                            pitch,
                            c,
                            cAt + t * BLOCK + v);
                }
                if (!four) {
                    wide(1, a, aAt, aBlock, first, last, b, right, start, startAt, 0, c, cAt + t * BLOCK, 0, 0);
                }
                start = c;
                startAt = cAt + t * BLOCK;
                pitch = BLOCK;
                first = last;
            } while (first < to);
        }
    }

    /** See {@link Kernels#product}; a strip of a quarter of a block, a vector at a time. */
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
        for (int v = 0; v < LANES; v += VECTOR) {
            int r = 0;
            for (; rows - r >= 6; r += 6) {
                sixNarrow(
                        a,
                        aAt + r * BLOCK,
                        aBlock,
                        from,
                        to,
                        b,
                        bAt + v,
                        s,
                        sAt + r * sPitch + v,
                        sPitch,
                        c,
                        cAt + r * BLOCK + v);
            }
            for (; r < rows; r++) {
                oneNarrow(
                        a,
                        aAt + r * BLOCK,
                        aBlock,
                        from,
                        to,
                        b,
                        bAt + v,
                        s,
                        sAt + r * sPitch + v,
                        sPitch,
                        c,
                        cAt + r * BLOCK + v);
            }
        }
    }

    /** See {@link Kernels#outerProduct}; four vectors at a time. */
    static void outer(
            int columns,
            float[] a,
            int aPitch,
            int depth,
            float[] b,
            int bAt,
            float[] c,
            int cAt,
            int next,
            int nextCount) {
        for (int v = 0; v < BLOCK; v += 4 * VECTOR) {
            outerColumns(columns, a, aPitch, depth, b, bAt + v, c, cAt + v, next, nextCount);
        }
    }

    private static void outerColumns(
            int columns,
            float[] a,
            int aPitch,
            int depth,
            float[] b,
            int bAt,
            float[] c,
            int cAt,
            int next,
            int nextCount) {
        int j = 0;
        int share = Math.max(0, nextCount - depth * AHEAD) / columns;
        int first = nextCount < depth * AHEAD ? 0 : next;
        for (; columns - j >= 6 && columns - j != 8; j += 6) {
            sixColumns(a, j, aPitch, depth, b, bAt, c, cAt + j * BLOCK, first + j * share);
        }
        for (; columns - j >= 4; j += 4) {
            fourColumns(a, j, aPitch, depth, b, bAt, c, cAt + j * BLOCK, first + j * share);
        }
        for (; columns - j >= 2; j += 2) {
            twoColumns(a, j, aPitch, depth, b, bAt, c, cAt + j * BLOCK, first + j * share);
        }
        if (j < columns) {
            oneColumn(a, j, aPitch, depth, b, bAt, c, cAt + j * BLOCK);
        }
    }

    /** See {@link Kernels#rowSum}; four vectors at a time. */
    static void rowSum(int depth, float[] b, int bAt, float[] c, int cAt) {
        for (int v = 0; v < BLOCK; v += 4 * VECTOR) {
            FloatVector s0 = FloatVector.fromArray(SPECIES, c, cAt + v);
            FloatVector s1 = FloatVector.fromArray(SPECIES, c, cAt + v + VECTOR);
            FloatVector s2 = FloatVector.fromArray(SPECIES, c, cAt + v + 2 * VECTOR);
            FloatVector s3 = FloatVector.fromArray(SPECIES, c, cAt + v + 3 * VECTOR);
            for (int m = 0; m < depth; m++) {
                int q = bAt + m * BLOCK + v;
                s0 = s0.add(FloatVector.fromArray(SPECIES, b, q));
                s1 = s1.add(FloatVector.fromArray(SPECIES, b, q + VECTOR));
                s2 = s2.add(FloatVector.fromArray(SPECIES, b, q + 2 * VECTOR));
                s3 = s3.add(FloatVector.fromArray(SPECIES, b, q + 3 * VECTOR));
            }
            s0.intoArray(c, cAt + v);
            s1.intoArray(c, cAt + v + VECTOR);
            s2.intoArray(c, cAt + v + 2 * VECTOR);
            s3.intoArray(c, cAt + v + 3 * VECTOR);
        }
    }

    private static int sixWide(
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
            int cAt,
            int next) {
        int touched = 0;
        FloatVector s00 = FloatVector.fromArray(SPECIES, s, sAt);
        FloatVector s01 = FloatVector.fromArray(SPECIES, s, sAt + VECTOR);
        FloatVector s02 = FloatVector.fromArray(SPECIES, s, sAt + 2 * VECTOR);
        FloatVector s03 = FloatVector.fromArray(SPECIES, s, sAt + 3 * VECTOR);
        FloatVector s10 = FloatVector.fromArray(SPECIES, s, sAt + sPitch);
        FloatVector s11 = FloatVector.fromArray(SPECIES, s, sAt + sPitch + VECTOR);
        FloatVector s12 = FloatVector.fromArray(SPECIES, s, sAt + sPitch + 2 * VECTOR);
        FloatVector s13 = FloatVector.fromArray(SPECIES, s, sAt + sPitch + 3 * VECTOR);
        FloatVector s20 = FloatVector.fromArray(SPECIES, s, sAt + 2 * sPitch);
        FloatVector s21 = FloatVector.fromArray(SPECIES, s, sAt + 2 * sPitch + VECTOR);
        FloatVector s22 = FloatVector.fromArray(SPECIES, s, sAt + 2 * sPitch + 2 * VECTOR);
        FloatVector s23 = FloatVector.fromArray(SPECIES, s, sAt + 2 * sPitch + 3 * VECTOR);
        FloatVector s30 = FloatVector.fromArray(SPECIES, s, sAt + 3 * sPitch);
        FloatVector s31 = FloatVector.fromArray(SPECIES, s, sAt + 3 * sPitch + VECTOR);
        FloatVector s32 = FloatVector.fromArray(SPECIES, s, sAt + 3 * sPitch + 2 * VECTOR);
        FloatVector s33 = FloatVector.fromArray(SPECIES, s, sAt + 3 * sPitch + 3 * VECTOR);
        FloatVector s40 = FloatVector.fromArray(SPECIES, s, sAt + 4 * sPitch);
        FloatVector s41 = FloatVector.fromArray(SPECIES, s, sAt + 4 * sPitch + VECTOR);
        FloatVector s42 = FloatVector.fromArray(SPECIES, s, sAt + 4 * sPitch + 2 * VECTOR);
        FloatVector s43 = FloatVector.fromArray(SPECIES, s, sAt + 4 * sPitch + 3 * VECTOR);
        FloatVector s50 = FloatVector.fromArray(SPECIES, s, sAt + 5 * sPitch);
        FloatVector s51 = FloatVector.fromArray(SPECIES, s, sAt + 5 * sPitch + VECTOR);
        FloatVector s52 = FloatVector.fromArray(SPECIES, s, sAt + 5 * sPitch + 2 * VECTOR);
        FloatVector s53 = FloatVector.fromArray(SPECIES, s, sAt + 5 * sPitch + 3 * VECTOR);
        int p = aAt + (from >> BLOCK_SHIFT) * aBlock + (from & BLOCK_MASK);
        int left = BLOCK - (from & BLOCK_MASK);
        int start = bAt + from * BLOCK;
        int depth = Math.min(to - from, MOST_TERMS);
        for (int k = 0; k < depth; k++) {
            int q = start + k * BLOCK;
            touched ^= Float.floatToRawIntBits(b[next + k * AHEAD]);
            FloatVector b0 = FloatVector.fromArray(SPECIES, b, q);
            FloatVector b1 = FloatVector.fromArray(SPECIES, b, q + VECTOR);
            FloatVector b2 = FloatVector.fromArray(SPECIES, b, q + 2 * VECTOR);
            FloatVector b3 = FloatVector.fromArray(SPECIES, b, q + 3 * VECTOR);
            FloatVector x0 = FloatVector.broadcast(SPECIES, a[p]);
            s00 = x0.fma(b0, s00);
            s01 = x0.fma(b1, s01);
            s02 = x0.fma(b2, s02);
            s03 = x0.fma(b3, s03);
            FloatVector x1 = FloatVector.broadcast(SPECIES, a[p + BLOCK]);
            s10 = x1.fma(b0, s10);
            s11 = x1.fma(b1, s11);
            s12 = x1.fma(b2, s12);
            s13 = x1.fma(b3, s13);
            FloatVector x2 = FloatVector.broadcast(SPECIES, a[p + 2 * BLOCK]);
            s20 = x2.fma(b0, s20);
            s21 = x2.fma(b1, s21);
            s22 = x2.fma(b2, s22);
            s23 = x2.fma(b3, s23);
            FloatVector x3 = FloatVector.broadcast(SPECIES, a[p + 3 * BLOCK]);
            s30 = x3.fma(b0, s30);
            s31 = x3.fma(b1, s31);
            s32 = x3.fma(b2, s32);
            s33 = x3.fma(b3, s33);
            FloatVector x4 = FloatVector.broadcast(SPECIES, a[p + 4 * BLOCK]);
            s40 = x4.fma(b0, s40);
            s41 = x4.fma(b1, s41);
            s42 = x4.fma(b2, s42);
            s43 = x4.fma(b3, s43);
            FloatVector x5 = FloatVector.broadcast(SPECIES, a[p + 5 * BLOCK]);
            s50 = x5.fma(b0, s50);
            s51 = x5.fma(b1, s51);
            s52 = x5.fma(b2, s52);
            s53 = x5.fma(b3, s53);
            p++;
            if (--left == 0) {
                left = BLOCK;
                p += aBlock - BLOCK;
            }
        }
        s00.intoArray(c, cAt);
        s01.intoArray(c, cAt + VECTOR);
        s02.intoArray(c, cAt + 2 * VECTOR);
        s03.intoArray(c, cAt + 3 * VECTOR);
        s10.intoArray(c, cAt + BLOCK);
        s11.intoArray(c, cAt + BLOCK + VECTOR);
        s12.intoArray(c, cAt + BLOCK + 2 * VECTOR);
        s13.intoArray(c, cAt + BLOCK + 3 * VECTOR);
        s20.intoArray(c, cAt + 2 * BLOCK);
        s21.intoArray(c, cAt + 2 * BLOCK + VECTOR);
        s22.intoArray(c, cAt + 2 * BLOCK + 2 * VECTOR);
        s23.intoArray(c, cAt + 2 * BLOCK + 3 * VECTOR);
        s30.intoArray(c, cAt + 3 * BLOCK);
        s31.intoArray(c, cAt + 3 * BLOCK + VECTOR);
        s32.intoArray(c, cAt + 3 * BLOCK + 2 * VECTOR);
        s33.intoArray(c, cAt + 3 * BLOCK + 3 * VECTOR);
        s40.intoArray(c, cAt + 4 * BLOCK);
        s41.intoArray(c, cAt + 4 * BLOCK + VECTOR);
        s42.intoArray(c, cAt + 4 * BLOCK + 2 * VECTOR);
        s43.intoArray(c, cAt + 4 * BLOCK + 3 * VECTOR);
        s50.intoArray(c, cAt + 5 * BLOCK);
        s51.intoArray(c, cAt + 5 * BLOCK + VECTOR);
        s52.intoArray(c, cAt + 5 * BLOCK + 2 * VECTOR);
        s53.intoArray(c, cAt + 5 * BLOCK + 3 * VECTOR);
        return touched;
    }

    private static int fourWide(
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
            int cAt,
            int next) {
        int touched = 0;
        FloatVector s00 = FloatVector.fromArray(SPECIES, s, sAt);
        FloatVector s01 = FloatVector.fromArray(SPECIES, s, sAt + VECTOR);
        FloatVector s02 = FloatVector.fromArray(SPECIES, s, sAt + 2 * VECTOR);
        FloatVector s03 = FloatVector.fromArray(SPECIES, s, sAt + 3 * VECTOR);
        FloatVector s10 = FloatVector.fromArray(SPECIES, s, sAt + sPitch);
        FloatVector s11 = FloatVector.fromArray(SPECIES, s, sAt + sPitch + VECTOR);
        FloatVector s12 = FloatVector.fromArray(SPECIES, s, sAt + sPitch + 2 * VECTOR);
        FloatVector s13 = FloatVector.fromArray(SPECIES, s, sAt + sPitch + 3 * VECTOR);
        FloatVector s20 = FloatVector.fromArray(SPECIES, s, sAt + 2 * sPitch);
        FloatVector s21 = FloatVector.fromArray(SPECIES, s, sAt + 2 * sPitch + VECTOR);
        FloatVector s22 = FloatVector.fromArray(SPECIES, s, sAt + 2 * sPitch + 2 * VECTOR);
        FloatVector s23 = FloatVector.fromArray(SPECIES, s, sAt + 2 * sPitch + 3 * VECTOR);
        FloatVector s30 = FloatVector.fromArray(SPECIES, s, sAt + 3 * sPitch);
        FloatVector s31 = FloatVector.fromArray(SPECIES, s, sAt + 3 * sPitch + VECTOR);
        FloatVector s32 = FloatVector.fromArray(SPECIES, s, sAt + 3 * sPitch + 2 * VECTOR);
        FloatVector s33 = FloatVector.fromArray(SPECIES, s, sAt + 3 * sPitch + 3 * VECTOR);
        int p = aAt + (from >> BLOCK_SHIFT) * aBlock + (from & BLOCK_MASK);
        int left = BLOCK - (from & BLOCK_MASK);
        int start = bAt + from * BLOCK;
        int depth = Math.min(to - from, MOST_TERMS);
        for (int k = 0; k < depth; k++) {
            int q = start + k * BLOCK;
            touched ^= Float.floatToRawIntBits(b[next + k * AHEAD]);
            FloatVector b0 = FloatVector.fromArray(SPECIES, b, q);
            FloatVector b1 = FloatVector.fromArray(SPECIES, b, q + VECTOR);
            FloatVector b2 = FloatVector.fromArray(SPECIES, b, q + 2 * VECTOR);
            FloatVector b3 = FloatVector.fromArray(SPECIES, b, q + 3 * VECTOR);
            FloatVector x0 = FloatVector.broadcast(SPECIES, a[p]);
            s00 = x0.fma(b0, s00);
            s01 = x0.fma(b1, s01);
            s02 = x0.fma(b2, s02);
            s03 = x0.fma(b3, s03);
            FloatVector x1 = FloatVector.broadcast(SPECIES, a[p + BLOCK]);
            s10 = x1.fma(b0, s10);
            s11 = x1.fma(b1, s11);
            s12 = x1.fma(b2, s12);
            s13 = x1.fma(b3, s13);
            FloatVector x2 = FloatVector.broadcast(SPECIES, a[p + 2 * BLOCK]);
            s20 = x2.fma(b0, s20);
            s21 = x2.fma(b1, s21);
            s22 = x2.fma(b2, s22);
            s23 = x2.fma(b3, s23);
            FloatVector x3 = FloatVector.broadcast(SPECIES, a[p + 3 * BLOCK]);
            s30 = x3.fma(b0, s30);
            s31 = x3.fma(b1, s31);
            s32 = x3.fma(b2, s32);
            s33 = x3.fma(b3, s33);
            p++;
            if (--left == 0) {
                left = BLOCK;
                p += aBlock - BLOCK;
            }
        }
        s00.intoArray(c, cAt);
        s01.intoArray(c, cAt + VECTOR);
        s02.intoArray(c, cAt + 2 * VECTOR);
        s03.intoArray(c, cAt + 3 * VECTOR);
        s10.intoArray(c, cAt + BLOCK);
        s11.intoArray(c, cAt + BLOCK + VECTOR);
        s12.intoArray(c, cAt + BLOCK + 2 * VECTOR);
        s13.intoArray(c, cAt + BLOCK + 3 * VECTOR);
        s20.intoArray(c, cAt + 2 * BLOCK);
        s21.intoArray(c, cAt + 2 * BLOCK + VECTOR);
        s22.intoArray(c, cAt + 2 * BLOCK + 2 * VECTOR);
        s23.intoArray(c, cAt + 2 * BLOCK + 3 * VECTOR);
        s30.intoArray(c, cAt + 3 * BLOCK);
        s31.intoArray(c, cAt + 3 * BLOCK + VECTOR);
        s32.intoArray(c, cAt + 3 * BLOCK + 2 * VECTOR);
        s33.intoArray(c, cAt + 3 * BLOCK + 3 * VECTOR);
        return touched;
    }

    private static int twoWide(
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
            int cAt,
            int next) {
        int touched = 0;
        FloatVector s00 = FloatVector.fromArray(SPECIES, s, sAt);
        FloatVector s01 = FloatVector.fromArray(SPECIES, s, sAt + VECTOR);
        FloatVector s02 = FloatVector.fromArray(SPECIES, s, sAt + 2 * VECTOR);
        FloatVector s03 = FloatVector.fromArray(SPECIES, s, sAt + 3 * VECTOR);
        FloatVector s10 = FloatVector.fromArray(SPECIES, s, sAt + sPitch);
        FloatVector s11 = FloatVector.fromArray(SPECIES, s, sAt + sPitch + VECTOR);
        FloatVector s12 = FloatVector.fromArray(SPECIES, s, sAt + sPitch + 2 * VECTOR);
        FloatVector s13 = FloatVector.fromArray(SPECIES, s, sAt + sPitch + 3 * VECTOR);
        int p = aAt + (from >> BLOCK_SHIFT) * aBlock + (from & BLOCK_MASK);
        int left = BLOCK - (from & BLOCK_MASK);
        int start = bAt + from * BLOCK;
        int depth = Math.min(to - from, MOST_TERMS);
        for (int k = 0; k < depth; k++) {
            int q = start + k * BLOCK;
            touched ^= Float.floatToRawIntBits(b[next + k * AHEAD]);
            FloatVector b0 = FloatVector.fromArray(SPECIES, b, q);
            FloatVector b1 = FloatVector.fromArray(SPECIES, b, q + VECTOR);
            FloatVector b2 = FloatVector.fromArray(SPECIES, b, q + 2 * VECTOR);
            FloatVector b3 = FloatVector.fromArray(SPECIES, b, q + 3 * VECTOR);
            FloatVector x0 = FloatVector.broadcast(SPECIES, a[p]);
            s00 = x0.fma(b0, s00);
            s01 = x0.fma(b1, s01);
            s02 = x0.fma(b2, s02);
            s03 = x0.fma(b3, s03);
            FloatVector x1 = FloatVector.broadcast(SPECIES, a[p + BLOCK]);
            s10 = x1.fma(b0, s10);
            s11 = x1.fma(b1, s11);
            s12 = x1.fma(b2, s12);
            s13 = x1.fma(b3, s13);
            p++;
            if (--left == 0) {
                left = BLOCK;
                p += aBlock - BLOCK;
            }
        }
        s00.intoArray(c, cAt);
        s01.intoArray(c, cAt + VECTOR);
        s02.intoArray(c, cAt + 2 * VECTOR);
        s03.intoArray(c, cAt + 3 * VECTOR);
        s10.intoArray(c, cAt + BLOCK);
        s11.intoArray(c, cAt + BLOCK + VECTOR);
        s12.intoArray(c, cAt + BLOCK + 2 * VECTOR);
        s13.intoArray(c, cAt + BLOCK + 3 * VECTOR);
        return touched;
    }

    private static void oneWide(
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
        FloatVector s02 = FloatVector.fromArray(SPECIES, s, sAt + 2 * VECTOR);
        FloatVector s03 = FloatVector.fromArray(SPECIES, s, sAt + 3 * VECTOR);
        int p = aAt + (from >> BLOCK_SHIFT) * aBlock + (from & BLOCK_MASK);
        int left = BLOCK - (from & BLOCK_MASK);
        int start = bAt + from * BLOCK;
        int depth = Math.min(to - from, MOST_TERMS);
        for (int k = 0; k < depth; k++) {
            int q = start + k * BLOCK;
            FloatVector b0 = FloatVector.fromArray(SPECIES, b, q);
            FloatVector b1 = FloatVector.fromArray(SPECIES, b, q + VECTOR);
            FloatVector b2 = FloatVector.fromArray(SPECIES, b, q + 2 * VECTOR);
            FloatVector b3 = FloatVector.fromArray(SPECIES, b, q + 3 * VECTOR);
            FloatVector x0 = FloatVector.broadcast(SPECIES, a[p]);
            s00 = x0.fma(b0, s00);
            s01 = x0.fma(b1, s01);
            s02 = x0.fma(b2, s02);
            s03 = x0.fma(b3, s03);
            p++;
            if (--left == 0) {
                left = BLOCK;
                p += aBlock - BLOCK;
            }
        }
        s00.intoArray(c, cAt);
        s01.intoArray(c, cAt + VECTOR);
        s02.intoArray(c, cAt + 2 * VECTOR);
        s03.intoArray(c, cAt + 3 * VECTOR);
    }

    private static void fourStrips(
            float[] a,
            int aAt,
            int aBlock,
            int from,
            int to,
            float[] b,
            int bAt,
            int bStrip,
            float[] s,
            int sAt,
            int sStrip,
            float[] c,
            int cAt) {
        FloatVector s00 = FloatVector.fromArray(SPECIES, s, sAt);
        FloatVector s01 = FloatVector.fromArray(SPECIES, s, sAt + VECTOR);
        FloatVector s02 = FloatVector.fromArray(SPECIES, s, sAt + 2 * VECTOR);
        FloatVector s03 = FloatVector.fromArray(SPECIES, s, sAt + 3 * VECTOR);
        FloatVector s10 = FloatVector.fromArray(SPECIES, s, sAt + sStrip);
        FloatVector s11 = FloatVector.fromArray(SPECIES, s, sAt + sStrip + VECTOR);
        FloatVector s12 = FloatVector.fromArray(SPECIES, s, sAt + sStrip + 2 * VECTOR);
        FloatVector s13 = FloatVector.fromArray(SPECIES, s, sAt + sStrip + 3 * VECTOR);
        FloatVector s20 = FloatVector.fromArray(SPECIES, s, sAt + 2 * sStrip);
        FloatVector s21 = FloatVector.fromArray(SPECIES, s, sAt + 2 * sStrip + VECTOR);
        FloatVector s22 = FloatVector.fromArray(SPECIES, s, sAt + 2 * sStrip + 2 * VECTOR);
        FloatVector s23 = FloatVector.fromArray(SPECIES, s, sAt + 2 * sStrip + 3 * VECTOR);
        FloatVector s30 = FloatVector.fromArray(SPECIES, s, sAt + 3 * sStrip);
        FloatVector s31 = FloatVector.fromArray(SPECIES, s, sAt + 3 * sStrip + VECTOR);
        FloatVector s32 = FloatVector.fromArray(SPECIES, s, sAt + 3 * sStrip + 2 * VECTOR);
        FloatVector s33 = FloatVector.fromArray(SPECIES, s, sAt + 3 * sStrip + 3 * VECTOR);
        for (int k = from; k < to; k++) {
            FloatVector x = FloatVector.broadcast(SPECIES, a[aAt + (k >> BLOCK_SHIFT) * aBlock + (k & BLOCK_MASK)]);
            int q0 = bAt + k * BLOCK;
            int q1 = q0 + bStrip;
            int q2 = q1 + bStrip;
            int q3 = q2 + bStrip;
            s00 = x.fma(FloatVector.fromArray(SPECIES, b, q0), s00);
            s01 = x.fma(FloatVector.fromArray(SPECIES, b, q0 + VECTOR), s01);
            s02 = x.fma(FloatVector.fromArray(SPECIES, b, q0 + 2 * VECTOR), s02);
            s03 = x.fma(FloatVector.fromArray(SPECIES, b, q0 + 3 * VECTOR), s03);
            s10 = x.fma(FloatVector.fromArray(SPECIES, b, q1), s10);
            s11 = x.fma(FloatVector.fromArray(SPECIES, b, q1 + VECTOR), s11);
            s12 = x.fma(FloatVector.fromArray(SPECIES, b, q1 + 2 * VECTOR), s12);
            s13 = x.fma(FloatVector.fromArray(SPECIES, b, q1 + 3 * VECTOR), s13);
            s20 = x.fma(FloatVector.fromArray(SPECIES, b, q2), s20);
            s21 = x.fma(FloatVector.fromArray(SPECIES, b, q2 + VECTOR), s21);
            s22 = x.fma(FloatVector.fromArray(SPECIES, b, q2 + 2 * VECTOR), s22);
            s23 = x.fma(FloatVector.fromArray(SPECIES, b, q2 + 3 * VECTOR), s23);
            s30 = x.fma(FloatVector.fromArray(SPECIES, b, q3), s30);
            s31 = x.fma(FloatVector.fromArray(SPECIES, b, q3 + VECTOR), s31);
            s32 = x.fma(FloatVector.fromArray(SPECIES, b, q3 + 2 * VECTOR), s32);
            s33 = x.fma(FloatVector.fromArray(SPECIES, b, q3 + 3 * VECTOR), s33);
        }
        s00.intoArray(c, cAt);
        s01.intoArray(c, cAt + VECTOR);
        s02.intoArray(c, cAt + 2 * VECTOR);
        s03.intoArray(c, cAt + 3 * VECTOR);
        s10.intoArray(c, cAt + BLOCK);
        s11.intoArray(c, cAt + BLOCK + VECTOR);
        s12.intoArray(c, cAt + BLOCK + 2 * VECTOR);
        s13.intoArray(c, cAt + BLOCK + 3 * VECTOR);
        s20.intoArray(c, cAt + 2 * BLOCK);
        s21.intoArray(c, cAt + 2 * BLOCK + VECTOR);
        s22.intoArray(c, cAt + 2 * BLOCK + 2 * VECTOR);
        s23.intoArray(c, cAt + 2 * BLOCK + 3 * VECTOR);
        s30.intoArray(c, cAt + 3 * BLOCK);
        s31.intoArray(c, cAt + 3 * BLOCK + VECTOR);
        s32.intoArray(c, cAt + 3 * BLOCK + 2 * VECTOR);
        s33.intoArray(c, cAt + 3 * BLOCK + 3 * VECTOR);
    }

    private static void sixNarrow(
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
        FloatVector s10 = FloatVector.fromArray(SPECIES, s, sAt + sPitch);
        FloatVector s20 = FloatVector.fromArray(SPECIES, s, sAt + 2 * sPitch);
        FloatVector s30 = FloatVector.fromArray(SPECIES, s, sAt + 3 * sPitch);
        FloatVector s40 = FloatVector.fromArray(SPECIES, s, sAt + 4 * sPitch);
        FloatVector s50 = FloatVector.fromArray(SPECIES, s, sAt + 5 * sPitch);
        int p = aAt + (from >> BLOCK_SHIFT) * aBlock + (from & BLOCK_MASK);
        int left = BLOCK - (from & BLOCK_MASK);
        int start = bAt + from * LANES;
        int depth = Math.min(to - from, MOST_TERMS);
        for (int k = 0; k < depth; k++) {
            int q = start + k * LANES;
            FloatVector b0 = FloatVector.fromArray(SPECIES, b, q);
            FloatVector x0 = FloatVector.broadcast(SPECIES, a[p]);
            s00 = x0.fma(b0, s00);
            FloatVector x1 = FloatVector.broadcast(SPECIES, a[p + BLOCK]);
            s10 = x1.fma(b0, s10);
            FloatVector x2 = FloatVector.broadcast(SPECIES, a[p + 2 * BLOCK]);
            s20 = x2.fma(b0, s20);
            FloatVector x3 = FloatVector.broadcast(SPECIES, a[p + 3 * BLOCK]);
            s30 = x3.fma(b0, s30);
            FloatVector x4 = FloatVector.broadcast(SPECIES, a[p + 4 * BLOCK]);
            s40 = x4.fma(b0, s40);
            FloatVector x5 = FloatVector.broadcast(SPECIES, a[p + 5 * BLOCK]);
            s50 = x5.fma(b0, s50);
            p++;
            if (--left == 0) {
                left = BLOCK;
                p += aBlock - BLOCK;
            }
        }
        s00.intoArray(c, cAt);
        s10.intoArray(c, cAt + BLOCK);
        s20.intoArray(c, cAt + 2 * BLOCK);
        s30.intoArray(c, cAt + 3 * BLOCK);
        s40.intoArray(c, cAt + 4 * BLOCK);
        s50.intoArray(c, cAt + 5 * BLOCK);
    }

    private static void oneNarrow(
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
        int p = aAt + (from >> BLOCK_SHIFT) * aBlock + (from & BLOCK_MASK);
        int left = BLOCK - (from & BLOCK_MASK);
        int start = bAt + from * LANES;
        int depth = Math.min(to - from, MOST_TERMS);
        for (int k = 0; k < depth; k++) {
            int q = start + k * LANES;
            FloatVector b0 = FloatVector.fromArray(SPECIES, b, q);
            FloatVector x0 = FloatVector.broadcast(SPECIES, a[p]);
            s00 = x0.fma(b0, s00);
            p++;
            if (--left == 0) {
                left = BLOCK;
                p += aBlock - BLOCK;
            }
        }
        s00.intoArray(c, cAt);
    }

    private static int sixColumns(
            float[] a, int aAt, int aPitch, int depth, float[] b, int bAt, float[] c, int cAt, int next) {
        int touched = 0;
        FloatVector s00 = FloatVector.fromArray(SPECIES, c, cAt);
        FloatVector s01 = FloatVector.fromArray(SPECIES, c, cAt + VECTOR);
        FloatVector s02 = FloatVector.fromArray(SPECIES, c, cAt + 2 * VECTOR);
        FloatVector s03 = FloatVector.fromArray(SPECIES, c, cAt + 3 * VECTOR);
        FloatVector s10 = FloatVector.fromArray(SPECIES, c, cAt + BLOCK);
        FloatVector s11 = FloatVector.fromArray(SPECIES, c, cAt + BLOCK + VECTOR);
        FloatVector s12 = FloatVector.fromArray(SPECIES, c, cAt + BLOCK + 2 * VECTOR);
        FloatVector s13 = FloatVector.fromArray(SPECIES, c, cAt + BLOCK + 3 * VECTOR);
        FloatVector s20 = FloatVector.fromArray(SPECIES, c, cAt + 2 * BLOCK);
        FloatVector s21 = FloatVector.fromArray(SPECIES, c, cAt + 2 * BLOCK + VECTOR);
        FloatVector s22 = FloatVector.fromArray(SPECIES, c, cAt + 2 * BLOCK + 2 * VECTOR);
        FloatVector s23 = FloatVector.fromArray(SPECIES, c, cAt + 2 * BLOCK + 3 * VECTOR);
        FloatVector s30 = FloatVector.fromArray(SPECIES, c, cAt + 3 * BLOCK);
        FloatVector s31 = FloatVector.fromArray(SPECIES, c, cAt + 3 * BLOCK + VECTOR);
        FloatVector s32 = FloatVector.fromArray(SPECIES, c, cAt + 3 * BLOCK + 2 * VECTOR);
        FloatVector s33 = FloatVector.fromArray(SPECIES, c, cAt + 3 * BLOCK + 3 * VECTOR);
        FloatVector s40 = FloatVector.fromArray(SPECIES, c, cAt + 4 * BLOCK);
        FloatVector s41 = FloatVector.fromArray(SPECIES, c, cAt + 4 * BLOCK + VECTOR);
        FloatVector s42 = FloatVector.fromArray(SPECIES, c, cAt + 4 * BLOCK + 2 * VECTOR);
        FloatVector s43 = FloatVector.fromArray(SPECIES, c, cAt + 4 * BLOCK + 3 * VECTOR);
        FloatVector s50 = FloatVector.fromArray(SPECIES, c, cAt + 5 * BLOCK);
        FloatVector s51 = FloatVector.fromArray(SPECIES, c, cAt + 5 * BLOCK + VECTOR);
        FloatVector s52 = FloatVector.fromArray(SPECIES, c, cAt + 5 * BLOCK + 2 * VECTOR);
        FloatVector s53 = FloatVector.fromArray(SPECIES, c, cAt + 5 * BLOCK + 3 * VECTOR);
        int p = aAt;
        int terms = Math.min(depth, MOST_TERMS);
        for (int m = 0; m < terms; m++) {
            int q = bAt + m * BLOCK;
            touched ^= Float.floatToRawIntBits(b[next + m * AHEAD]);
            FloatVector b0 = FloatVector.fromArray(SPECIES, b, q);
            FloatVector b1 = FloatVector.fromArray(SPECIES, b, q + VECTOR);
            FloatVector b2 = FloatVector.fromArray(SPECIES, b, q + 2 * VECTOR);
            FloatVector b3 = FloatVector.fromArray(SPECIES, b, q + 3 * VECTOR);
            FloatVector x0 = FloatVector.broadcast(SPECIES, a[p]);
            s00 = x0.fma(b0, s00);
            s01 = x0.fma(b1, s01);
            s02 = x0.fma(b2, s02);
            s03 = x0.fma(b3, s03);
            FloatVector x1 = FloatVector.broadcast(SPECIES, a[p + 1]);
            s10 = x1.fma(b0, s10);
            s11 = x1.fma(b1, s11);
            s12 = x1.fma(b2, s12);
            s13 = x1.fma(b3, s13);
            FloatVector x2 = FloatVector.broadcast(SPECIES, a[p + 2]);
            s20 = x2.fma(b0, s20);
            s21 = x2.fma(b1, s21);
            s22 = x2.fma(b2, s22);
            s23 = x2.fma(b3, s23);
            FloatVector x3 = FloatVector.broadcast(SPECIES, a[p + 3]);
            s30 = x3.fma(b0, s30);
            s31 = x3.fma(b1, s31);
            s32 = x3.fma(b2, s32);
            s33 = x3.fma(b3, s33);
            FloatVector x4 = FloatVector.broadcast(SPECIES, a[p + 4]);
            s40 = x4.fma(b0, s40);
            s41 = x4.fma(b1, s41);
            s42 = x4.fma(b2, s42);
            s43 = x4.fma(b3, s43);
            FloatVector x5 = FloatVector.broadcast(SPECIES, a[p + 5]);
            s50 = x5.fma(b0, s50);
            s51 = x5.fma(b1, s51);
            s52 = x5.fma(b2, s52);
            s53 = x5.fma(b3, s53);
            p += aPitch;
        }
        s00.intoArray(c, cAt);
        s01.intoArray(c, cAt + VECTOR);
        s02.intoArray(c, cAt + 2 * VECTOR);
        s03.intoArray(c, cAt + 3 * VECTOR);
        s10.intoArray(c, cAt + BLOCK);
        s11.intoArray(c, cAt + BLOCK + VECTOR);
        s12.intoArray(c, cAt + BLOCK + 2 * VECTOR);
        s13.intoArray(c, cAt + BLOCK + 3 * VECTOR);
        s20.intoArray(c, cAt + 2 * BLOCK);
        s21.intoArray(c, cAt + 2 * BLOCK + VECTOR);
        s22.intoArray(c, cAt + 2 * BLOCK + 2 * VECTOR);
        s23.intoArray(c, cAt + 2 * BLOCK + 3 * VECTOR);
        s30.intoArray(c, cAt + 3 * BLOCK);
        s31.intoArray(c, cAt + 3 * BLOCK + VECTOR);
        s32.intoArray(c, cAt + 3 * BLOCK + 2 * VECTOR);
        s33.intoArray(c, cAt + 3 * BLOCK + 3 * VECTOR);
        s40.intoArray(c, cAt + 4 * BLOCK);
        s41.intoArray(c, cAt + 4 * BLOCK + VECTOR);
        s42.intoArray(c, cAt + 4 * BLOCK + 2 * VECTOR);
        s43.intoArray(c, cAt + 4 * BLOCK + 3 * VECTOR);
        s50.intoArray(c, cAt + 5 * BLOCK);
        s51.intoArray(c, cAt + 5 * BLOCK + VECTOR);
        s52.intoArray(c, cAt + 5 * BLOCK + 2 * VECTOR);
        s53.intoArray(c, cAt + 5 * BLOCK + 3 * VECTOR);
        return touched;
    }

    private static int fourColumns(
            float[] a, int aAt, int aPitch, int depth, float[] b, int bAt, float[] c, int cAt, int next) {
        int touched = 0;
        FloatVector s00 = FloatVector.fromArray(SPECIES, c, cAt);
        FloatVector s01 = FloatVector.fromArray(SPECIES, c, cAt + VECTOR);
        FloatVector s02 = FloatVector.fromArray(SPECIES, c, cAt + 2 * VECTOR);
        FloatVector s03 = FloatVector.fromArray(SPECIES, c, cAt + 3 * VECTOR);
        FloatVector s10 = FloatVector.fromArray(SPECIES, c, cAt + BLOCK);
        FloatVector s11 = FloatVector.fromArray(SPECIES, c, cAt + BLOCK + VECTOR);
        FloatVector s12 = FloatVector.fromArray(SPECIES, c, cAt + BLOCK + 2 * VECTOR);
        FloatVector s13 = FloatVector.fromArray(SPECIES, c, cAt + BLOCK + 3 * VECTOR);
        FloatVector s20 = FloatVector.fromArray(SPECIES, c, cAt + 2 * BLOCK);
        FloatVector s21 = FloatVector.fromArray(SPECIES, c, cAt + 2 * BLOCK + VECTOR);
        FloatVector s22 = FloatVector.fromArray(SPECIES, c, cAt + 2 * BLOCK + 2 * VECTOR);
        FloatVector s23 = FloatVector.fromArray(SPECIES, c, cAt + 2 * BLOCK + 3 * VECTOR);
        FloatVector s30 = FloatVector.fromArray(SPECIES, c, cAt + 3 * BLOCK);
        FloatVector s31 = FloatVector.fromArray(SPECIES, c, cAt + 3 * BLOCK + VECTOR);
        FloatVector s32 = FloatVector.fromArray(SPECIES, c, cAt + 3 * BLOCK + 2 * VECTOR);
        FloatVector s33 = FloatVector.fromArray(SPECIES, c, cAt + 3 * BLOCK + 3 * VECTOR);
        int p = aAt;
        int terms = Math.min(depth, MOST_TERMS);
        for (int m = 0; m < terms; m++) {
            int q = bAt + m * BLOCK;
            touched ^= Float.floatToRawIntBits(b[next + m * AHEAD]);
            FloatVector b0 = FloatVector.fromArray(SPECIES, b, q);
            FloatVector b1 = FloatVector.fromArray(SPECIES, b, q + VECTOR);
            FloatVector b2 = FloatVector.fromArray(SPECIES, b, q + 2 * VECTOR);
            FloatVector b3 = FloatVector.fromArray(SPECIES, b, q + 3 * VECTOR);
            FloatVector x0 = FloatVector.broadcast(SPECIES, a[p]);
            s00 = x0.fma(b0, s00);
            s01 = x0.fma(b1, s01);
            s02 = x0.fma(b2, s02);
            s03 = x0.fma(b3, s03);
            FloatVector x1 = FloatVector.broadcast(SPECIES, a[p + 1]);
            s10 = x1.fma(b0, s10);
            s11 = x1.fma(b1, s11);
            s12 = x1.fma(b2, s12);
            s13 = x1.fma(b3, s13);
            FloatVector x2 = FloatVector.broadcast(SPECIES, a[p + 2]);
            s20 = x2.fma(b0, s20);
            s21 = x2.fma(b1, s21);
            s22 = x2.fma(b2, s22);
            s23 = x2.fma(b3, s23);
            FloatVector x3 = FloatVector.broadcast(SPECIES, a[p + 3]);
            s30 = x3.fma(b0, s30);
            s31 = x3.fma(b1, s31);
            s32 = x3.fma(b2, s32);
            s33 = x3.fma(b3, s33);
            p += aPitch;
        }
        s00.intoArray(c, cAt);
        s01.intoArray(c, cAt + VECTOR);
        s02.intoArray(c, cAt + 2 * VECTOR);
        s03.intoArray(c, cAt + 3 * VECTOR);
        s10.intoArray(c, cAt + BLOCK);
        s11.intoArray(c, cAt + BLOCK + VECTOR);
        s12.intoArray(c, cAt + BLOCK + 2 * VECTOR);
        s13.intoArray(c, cAt + BLOCK + 3 * VECTOR);
        s20.intoArray(c, cAt + 2 * BLOCK);
        s21.intoArray(c, cAt + 2 * BLOCK + VECTOR);
        s22.intoArray(c, cAt + 2 * BLOCK + 2 * VECTOR);
        s23.intoArray(c, cAt + 2 * BLOCK + 3 * VECTOR);
        s30.intoArray(c, cAt + 3 * BLOCK);
        s31.intoArray(c, cAt + 3 * BLOCK + VECTOR);
        s32.intoArray(c, cAt + 3 * BLOCK + 2 * VECTOR);
        s33.intoArray(c, cAt + 3 * BLOCK + 3 * VECTOR);
        return touched;
    }

    private static int twoColumns(
            float[] a, int aAt, int aPitch, int depth, float[] b, int bAt, float[] c, int cAt, int next) {
        int touched = 0;
        FloatVector s00 = FloatVector.fromArray(SPECIES, c, cAt);
        FloatVector s01 = FloatVector.fromArray(SPECIES, c, cAt + VECTOR);
        FloatVector s02 = FloatVector.fromArray(SPECIES, c, cAt + 2 * VECTOR);
        FloatVector s03 = FloatVector.fromArray(SPECIES, c, cAt + 3 * VECTOR);
        FloatVector s10 = FloatVector.fromArray(SPECIES, c, cAt + BLOCK);
        FloatVector s11 = FloatVector.fromArray(SPECIES, c, cAt + BLOCK + VECTOR);
        FloatVector s12 = FloatVector.fromArray(SPECIES, c, cAt + BLOCK + 2 * VECTOR);
        FloatVector s13 = FloatVector.fromArray(SPECIES, c, cAt + BLOCK + 3 * VECTOR);
        int p = aAt;
        int terms = Math.min(depth, MOST_TERMS);
        for (int m = 0; m < terms; m++) {
            int q = bAt + m * BLOCK;
            touched ^= Float.floatToRawIntBits(b[next + m * AHEAD]);
            FloatVector b0 = FloatVector.fromArray(SPECIES, b, q);
            FloatVector b1 = FloatVector.fromArray(SPECIES, b, q + VECTOR);
            FloatVector b2 = FloatVector.fromArray(SPECIES, b, q + 2 * VECTOR);
            FloatVector b3 = FloatVector.fromArray(SPECIES, b, q + 3 * VECTOR);
            FloatVector x0 = FloatVector.broadcast(SPECIES, a[p]);
            s00 = x0.fma(b0, s00);
            s01 = x0.fma(b1, s01);
            s02 = x0.fma(b2, s02);
            s03 = x0.fma(b3, s03);
            FloatVector x1 = FloatVector.broadcast(SPECIES, a[p + 1]);
            s10 = x1.fma(b0, s10);
            s11 = x1.fma(b1, s11);
            s12 = x1.fma(b2, s12);
            s13 = x1.fma(b3, s13);
            p += aPitch;
        }
        s00.intoArray(c, cAt);
        s01.intoArray(c, cAt + VECTOR);
        s02.intoArray(c, cAt + 2 * VECTOR);
        s03.intoArray(c, cAt + 3 * VECTOR);
        s10.intoArray(c, cAt + BLOCK);
        s11.intoArray(c, cAt + BLOCK + VECTOR);
        s12.intoArray(c, cAt + BLOCK + 2 * VECTOR);
        s13.intoArray(c, cAt + BLOCK + 3 * VECTOR);
        return touched;
    }

    private static void oneColumn(float[] a, int aAt, int aPitch, int depth, float[] b, int bAt, float[] c, int cAt) {
        FloatVector s00 = FloatVector.fromArray(SPECIES, c, cAt);
        FloatVector s01 = FloatVector.fromArray(SPECIES, c, cAt + VECTOR);
        FloatVector s02 = FloatVector.fromArray(SPECIES, c, cAt + 2 * VECTOR);
        FloatVector s03 = FloatVector.fromArray(SPECIES, c, cAt + 3 * VECTOR);
        int p = aAt;
        int terms = Math.min(depth, MOST_TERMS);
        for (int m = 0; m < terms; m++) {
            int q = bAt + m * BLOCK;
            FloatVector b0 = FloatVector.fromArray(SPECIES, b, q);
            FloatVector b1 = FloatVector.fromArray(SPECIES, b, q + VECTOR);
            FloatVector b2 = FloatVector.fromArray(SPECIES, b, q + 2 * VECTOR);
            FloatVector b3 = FloatVector.fromArray(SPECIES, b, q + 3 * VECTOR);
            FloatVector x0 = FloatVector.broadcast(SPECIES, a[p]);
            s00 = x0.fma(b0, s00);
            s01 = x0.fma(b1, s01);
            s02 = x0.fma(b2, s02);
            s03 = x0.fma(b3, s03);
            p += aPitch;
        }
        s00.intoArray(c, cAt);
        s01.intoArray(c, cAt + VECTOR);
        s02.intoArray(c, cAt + 2 * VECTOR);
        s03.intoArray(c, cAt + 3 * VECTOR);
    }
}
