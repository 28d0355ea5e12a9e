package carousel.engine.vector;

import static carousel.engine.vector.Kernels.BLOCK;
import static carousel.engine.vector.Kernels.LANES;
import static carousel.engine.vector.SimdKernels.SPECIES;
import static carousel.engine.vector.SimdKernels.VECTOR;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;

/** The elementwise part of a time step, and the functions of {@link Activations}, on vectors. */
final class SimdCells {
    private SimdCells() {}

    /** A constant. The compiler keeps it in a register; one in a static field it would load again and again. */
    private static FloatVector all(float value) {
        return FloatVector.broadcast(SPECIES, value);
    }

    /**
     * One of the functions over some gates of a number of rows, in place. The compiler inlines only so much into one method, and the
     * vectors of what it does not inline it allocates: one such function is safe, four are not. It would inline the passes themselves,
     * too, were it not for their being called through this class at a place that sees all three of them.
     */
    private abstract static class Pass {
        /** Vector by vector of a row, and for each all rows: then an index is the counter times a constant, and its check leaves the loop. */
        abstract void run(float[] z, int zAt, int rows);
    }

    private static final class InputAndForgetGates extends Pass {
        @Override
        void run(float[] z, int zAt, int rows) {
            for (int v = 0; v < 2 * LANES; v += VECTOR) {
                for (int r = 0; r < rows; r++) {
                    int at = zAt + v + r * BLOCK;
                    logistic(FloatVector.fromArray(SPECIES, z, at)).intoArray(z, at);
                }
            }
        }
    }

    private static final class Candidates extends Pass {
        @Override
        void run(float[] z, int zAt, int rows) {
            for (int v = 2 * LANES; v < 3 * LANES; v += VECTOR) {
                for (int r = 0; r < rows; r++) {
                    int at = zAt + v + r * BLOCK;
                    tanh(FloatVector.fromArray(SPECIES, z, at)).intoArray(z, at);
                }
            }
        }
    }

    private static final class OutputGates extends Pass {
        @Override
        void run(float[] z, int zAt, int rows) {
            for (int v = 3 * LANES; v < BLOCK; v += VECTOR) {
                for (int r = 0; r < rows; r++) {
                    int at = zAt + v + r * BLOCK;
                    logistic(FloatVector.fromArray(SPECIES, z, at)).intoArray(z, at);
                }
            }
        }
    }

    private static final Pass[] PASSES = {new InputAndForgetGates(), new Candidates(), new OutputGates()};

    /** See {@link Kernels#cellForward}. */
    static void forward(
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
        for (Pass pass : PASSES) {
            pass.run(z, zAt, rows);
        }
        for (int e = 0; e < rows * LANES; e += VECTOR) {
            int r = e / LANES;
            int part = e % LANES;
            int pre = zAt + r * BLOCK + part;
            FloatVector i = FloatVector.fromArray(SPECIES, z, pre);
            FloatVector f = FloatVector.fromArray(SPECIES, z, pre + LANES);
            FloatVector g = FloatVector.fromArray(SPECIES, z, pre + 2 * LANES);
            FloatVector o = FloatVector.fromArray(SPECIES, z, pre + 3 * LANES);
            FloatVector state = f.fma(FloatVector.fromArray(SPECIES, c, cAt + e), i.mul(g));
            if (clip > 0) {
                state = state.blend(clip, state.compare(VectorOperators.GT, clip));
                state = state.blend(-clip, state.compare(VectorOperators.LT, -clip));
            }
            state.intoArray(c, cAt + e);
            FloatVector squashed = tanh(state);
            if (gates != null) {
                int at = gatesAt + r * gatesPitch + part;
                i.intoArray(gates, at);
                f.intoArray(gates, at + LANES);
                g.intoArray(gates, at + 2 * LANES);
                o.intoArray(gates, at + 3 * LANES);
                int stateAt = statesAt + r * gatesPitch / 2 + part;
                state.intoArray(states, stateAt);
                squashed.intoArray(states, stateAt + LANES);
            }
            o.mul(squashed).intoArray(m, mAt + r * mPitch + part);
        }
    }

    /** See {@link Kernels#cellBackward}. */
    static void backward(
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
        FloatVector one = FloatVector.broadcast(SPECIES, 1);
        for (int e = 0; e < rows * LANES; e += VECTOR) {
            int r = e / LANES;
            int part = e % LANES;
            int at = gatesAt + r * BLOCK + part;
            FloatVector i = FloatVector.fromArray(SPECIES, gates, at);
            FloatVector f = FloatVector.fromArray(SPECIES, gates, at + LANES);
            FloatVector g = FloatVector.fromArray(SPECIES, gates, at + 2 * LANES);
            FloatVector o = FloatVector.fromArray(SPECIES, gates, at + 3 * LANES);
            int squashedAt = statesAt + r * 2 * LANES + LANES + part;
            FloatVector squashed = FloatVector.fromArray(SPECIES, states, squashedAt);
            FloatVector before = FloatVector.fromArray(SPECIES, previous, previousAt + r * previousPitch + part);
            FloatVector through = FloatVector.fromArray(SPECIES, dm, dmAt + r * BLOCK + part);
            if (keepM) {
                o.mul(squashed).intoArray(states, squashedAt);
            }
            FloatVector d =
                    through.mul(o).fma(one.sub(squashed.mul(squashed)), FloatVector.fromArray(SPECIES, dc, dcAt + e));
            if (clip > 0) {
                FloatVector raw = f.fma(before, i.mul(g)).abs();
                d = d.blend(0, raw.compare(VectorOperators.GT, clip));
            }
            d.mul(g).mul(i.mul(one.sub(i))).intoArray(gates, at);
            d.mul(before).mul(f.mul(one.sub(f))).intoArray(gates, at + LANES);
            d.mul(i).mul(one.sub(g.mul(g))).intoArray(gates, at + 2 * LANES);
            through.mul(squashed).mul(o.mul(one.sub(o))).intoArray(gates, at + 3 * LANES);
            d.mul(f).intoArray(dc, dcAt + e);
        }
    }

    /** See {@link Activations#logistic}. */
    static FloatVector logistic(FloatVector value) {
        FloatVector x = value.blend(all(Activations.LOWEST), value.lt(all(Activations.LOWEST)));
        x = x.blend(all(Activations.HIGHEST), value.compare(VectorOperators.GT, all(Activations.HIGHEST)));
        FloatVector t = x.fma(all(-Activations.LOG2_E), all(Activations.LOGISTIC_ROUND));
        FloatVector n = t.sub(all(Activations.LOGISTIC_ROUND));
        FloatVector r = n.fma(all(Activations.LN2_LOW), n.fma(all(Activations.LN2_HIGH), x));
        FloatVector e = polynomial(r).mul(power(t));
        return all(Activations.SCALE).div(all(Activations.SCALE).add(e));
    }

    /** See {@link Activations#exponential}. */
    static FloatVector exponential(FloatVector value) {
        FloatVector x = value.blend(all(Activations.LOWEST), value.lt(all(Activations.LOWEST)));
        FloatVector t = x.fma(all(Activations.LOG2_E), all(Activations.EXP_ROUND));
        FloatVector n = t.sub(all(Activations.EXP_ROUND));
        FloatVector r = n.fma(all(Activations.LN2_LOW), n.fma(all(Activations.LN2_HIGH), x.neg()));
        return polynomial(r).mul(power(t)).mul(all(Activations.SCALE));
    }

    private static FloatVector polynomial(FloatVector r) {
        FloatVector square = r.mul(r);
        FloatVector high = r.fma(all(-Activations.E5), all(Activations.E4));
        FloatVector low = r.fma(all(-Activations.E3), all(Activations.E2));
        return high.fma(square, low).fma(square, all(1).sub(r));
    }

    /** The power of two whose exponent lies in the lowest bits. */
    private static FloatVector power(FloatVector t) {
        return t.reinterpretAsInts().lanewise(VectorOperators.LSHL, 23).reinterpretAsFloats();
    }

    /** See {@link Activations#tanh}. */
    static FloatVector tanh(FloatVector value) {
        FloatVector x = value.abs();
        x = x.blend(all(Activations.SATURATION), x.compare(VectorOperators.GT, all(Activations.SATURATION)));
        FloatVector t = x.fma(all(Activations.TWO_LOG2_E), all(Activations.TANH_ROUND));
        FloatVector n = t.sub(all(Activations.TANH_ROUND));
        FloatVector r = n.fma(all(-Activations.HALF_LN2_LOW), n.fma(all(-Activations.HALF_LN2_HIGH), x));
        FloatVector square = r.mul(r);
        FloatVector high = r.fma(all(Activations.T6), all(Activations.T5));
        FloatVector middle = r.fma(all(Activations.T4), all(Activations.T3));
        FloatVector tail = high.fma(square, middle).fma(square, r.mul(all(Activations.T2)));
        FloatVector p = tail.fma(r, r.add(r));
        FloatVector power = power(t);
        FloatVector e = p.fma(power, power.sub(all(1)));
        FloatVector y = e.div(e.add(all(2)));
        return y.reinterpretAsInts()
                .or(value.reinterpretAsInts().and(0x8000_0000))
                .reinterpretAsFloats();
    }

    static void exponentials(float[] x, int xAt, float shift, float[] y, int yAt, int count) {
        int whole = SPECIES.loopBound(count);
        for (int e = 0; e < whole; e += VECTOR) {
            exponential(FloatVector.fromArray(SPECIES, x, xAt + e).sub(shift)).intoArray(y, yAt + e);
        }
        for (int e = whole; e < count; e++) {
            y[yAt + e] = Activations.exponential(x[xAt + e] - shift);
        }
    }

    static void tanh(float[] x, int xAt, float[] y, int yAt, int count) {
        int whole = SPECIES.loopBound(count);
        for (int e = 0; e < whole; e += VECTOR) {
            tanh(FloatVector.fromArray(SPECIES, x, xAt + e)).intoArray(y, yAt + e);
        }
        for (int e = whole; e < count; e++) {
            y[yAt + e] = Activations.tanh(x[xAt + e]);
        }
    }

    static void logistic(float[] x, int xAt, float[] y, int yAt, int count) {
        int whole = SPECIES.loopBound(count);
        for (int e = 0; e < whole; e += VECTOR) {
            logistic(FloatVector.fromArray(SPECIES, x, xAt + e)).intoArray(y, yAt + e);
        }
        for (int e = whole; e < count; e++) {
            y[yAt + e] = Activations.logistic(x[xAt + e]);
        }
    }
}
