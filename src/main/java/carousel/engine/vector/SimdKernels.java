package carousel.engine.vector;

import carousel.engine.Gate;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;

/** Kernels on the Vector API, to be touched only where the JVM has its module. */
final class SimdKernels implements Kernels {
    /** The processor's own width, but not more than 512 bits, for which the layouts are made. */
    static final VectorSpecies<Float> SPECIES =
            FloatVector.SPECIES_PREFERRED.length() > FloatVector.SPECIES_512.length()
                    ? FloatVector.SPECIES_512
                    : FloatVector.SPECIES_PREFERRED;

    /** Numbers in a vector: a divisor of {@link Kernels#LANES}. */
    static final int VECTOR = SPECIES.length();

    /** Whether the products are those for 16 vector registers: with vectors of 256 bits a processor may have no more. */
    private static final boolean PAIRS = SPECIES.vectorBitSize() == 256;

    /** Bits of a vector from which on its products of long integers are sure to be faster than one after the other. */
    private static final int LEAST_FOR_LONGS = 256;

    @Override
    public String description() {
        return SPECIES.vectorBitSize() + "-bit";
    }

    @Override
    public void product(
            int rows,
            float[] a,
            int aAt,
            int aBlock,
            int from,
            int to,
            float[] b,
            int bAt,
            int bDepth,
            int width,
            float[] s,
            int sAt,
            int sPitch,
            float[] c,
            int cAt,
            int next,
            int nextCount) {
        if (PAIRS && width == Gate.COUNT) {
            SimdPairProducts.wide(rows, a, aAt, aBlock, from, to, b, bAt, bDepth, s, sAt, sPitch, c, cAt);
        } else if (PAIRS) {
            SimdPairProducts.narrow(rows, a, aAt, aBlock, from, to, b, bAt, s, sAt, sPitch, c, cAt);
        } else if (width == Gate.COUNT) {
            SimdProducts.wide(rows, a, aAt, aBlock, from, to, b, bAt, s, sAt, sPitch, c, cAt, next, nextCount);
        } else {
            SimdProducts.narrow(rows, a, aAt, aBlock, from, to, b, bAt, s, sAt, sPitch, c, cAt);
        }
    }

    @Override
    public void rowProduct(
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
        if (PAIRS) {
            SimdPairProducts.row(strips, a, aAt, aBlock, from, to, b, bAt, bDepth, s, sAt, sStrip, c, cAt, backwards);
        } else {
            SimdProducts.row(
                    strips, a, aAt, aBlock, from, to, b, bAt, bDepth * BLOCK, s, sAt, sStrip, c, cAt, backwards);
        }
    }

    @Override
    public void outerProduct(
            int columns,
            float[] a,
            int aPitch,
            int depth,
            float[] b,
            int bAt,
            float[] c,
            int cAt,
            int next,
            int nextCount,
            float[] room) {
        if (PAIRS) {
            SimdPairProducts.outer(columns, a, aPitch, depth, b, bAt, c, cAt, room);
        } else {
            SimdProducts.outer(columns, a, aPitch, depth, b, bAt, c, cAt, next, nextCount);
        }
    }

    @Override
    public int side() {
        return PAIRS ? LANES : BLOCK;
    }

    @Override
    public int group() {
        return PAIRS ? SimdPairProducts.GROUP : 0;
    }

    @Override
    public void intoGroups(float[] row, int columns, float[] a, int m, int aPitch) {
        SimdPairProducts.intoGroups(row, columns, a, m, aPitch);
    }

    @Override
    public void rowSum(int depth, float[] b, int bAt, float[] c, int cAt) {
        SimdProducts.rowSum(depth, b, bAt, c, cAt);
    }

    @Override
    public void cellForward(
            int rows,
            float[] z,
            int zAt,
            float[] c,
            int cAt,
            float clip,
            float[] gates,
            int gatesAt,
            int gatesPitch,
            float[] states,
            int statesAt,
            float[] m,
            int mAt,
            int mPitch) {
        SimdCells.forward(rows, z, zAt, c, cAt, clip, gates, gatesAt, gatesPitch, states, statesAt, m, mAt, mPitch);
    }

    @Override
    public void cellBackward(
            int rows,
            float[] dm,
            int dmAt,
            float[] dc,
            int dcAt,
            float[] gates,
            int gatesAt,
            float[] states,
            int statesAt,
            float[] previous,
            int previousAt,
            int previousPitch,
            float clip,
            boolean keepM) {
        SimdCells.backward(
                rows,
                dm,
                dmAt,
                dc,
                dcAt,
                gates,
                gatesAt,
                states,
                statesAt,
                previous,
                previousAt,
                previousPitch,
                clip,
                keepM);
    }

    @Override
    public CellPasses passes(CellOptions options) {
        return SimdPasses.of(options);
    }

    @Override
    public void statistics(
            int rows,
            int strips,
            float[] q,
            int qAt,
            int stripPitch,
            int width,
            float[] valid,
            int count,
            float[] lanes,
            float[] into,
            int at) {
        SimdPasses.statistics(rows, strips, q, qAt, stripPitch, width, valid, count, lanes, into, at);
    }

    @Override
    public void means(
            int rows,
            int strips,
            float[] terms,
            int termsAt,
            int stripPitch,
            int quantities,
            int count,
            float[] lanes,
            float[] into,
            int at) {
        SimdPasses.means(rows, strips, terms, termsAt, stripPitch, quantities, count, lanes, into, at);
    }

    @Override
    public void draw(RandomBits numbers, long[] blocks, int count) {
        if (SPECIES.vectorBitSize() >= LEAST_FOR_LONGS) {
            SimdPasses.draw(numbers, blocks, count);
        } else {
            LoopPasses.draw(numbers, blocks, count);
        }
    }

    @Override
    public void add(float[] x, int xAt, float[] y, int yAt, int count) {
        int whole = SPECIES.loopBound(count);
        for (int e = 0; e < whole; e += VECTOR) {
            FloatVector.fromArray(SPECIES, x, xAt + e)
                    .add(FloatVector.fromArray(SPECIES, y, yAt + e))
                    .intoArray(x, xAt + e);
        }
        for (int e = whole; e < count; e++) {
            x[xAt + e] += y[yAt + e];
        }
    }

    @Override
    public void scale(float[] x, int xAt, float factor, float[] y, int yAt, int count) {
        int whole = SPECIES.loopBound(count);
        for (int e = 0; e < whole; e += VECTOR) {
            FloatVector.fromArray(SPECIES, x, xAt + e).mul(factor).intoArray(y, yAt + e);
        }
        for (int e = whole; e < count; e++) {
            y[yAt + e] = x[xAt + e] * factor;
        }
    }

    @Override
    public void exponentials(float[] x, int xAt, float shift, float[] y, int yAt, int count) {
        SimdCells.exponentials(x, xAt, shift, y, yAt, count);
    }

    @Override
    public void update(
            UpdateStep step,
            float[] p,
            int pAt,
            float[] d,
            int dAt,
            float[] m,
            int mAt,
            float[] v,
            int vAt,
            int count) {
        int whole = SPECIES.loopBound(count);
        SimdUpdates.update(step, p, pAt, d, dAt, m, mAt, v, vAt, whole);
        UpdateLoops.update(step, p, pAt + whole, d, dAt + whole, m, mAt + whole, v, vAt + whole, count - whole);
    }

    @Override
    public void tanh(float[] x, int xAt, float[] y, int yAt, int count) {
        SimdCells.tanh(x, xAt, y, yAt, count);
    }

    @Override
    public void logistic(float[] x, int xAt, float[] y, int yAt, int count) {
        SimdCells.logistic(x, xAt, y, yAt, count);
    }
}
