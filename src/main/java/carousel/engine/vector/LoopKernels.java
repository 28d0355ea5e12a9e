package carousel.engine.vector;

import carousel.engine.Gate;

/** Kernels that the JVM's compiler vectorises where it can: they need no module. */
final class LoopKernels implements Kernels {
    private static final int I = Gate.INPUT.ordinal() * LANES;
    private static final int F = Gate.FORGET.ordinal() * LANES;
    private static final int G = Gate.CANDIDATE.ordinal() * LANES;
    private static final int O = Gate.OUTPUT.ordinal() * LANES;

    @Override
    public String description() {
        return "compiler-vectorised";
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
            int width,
            float[] s,
            int sAt,
            int sPitch,
            float[] c,
            int cAt,
            int next,
            int nextCount) {
        int columns = width * LANES;
        Rows local = ROWS.get();
        float[] sums = local.sums;
        for (int k0 = from; k0 < to; k0 += Rows.DEPTH) {
            int depth = Math.min(Rows.DEPTH, to - k0);
            local.load(b, bAt + k0 * columns, columns, depth);
            for (int r = 0; r < rows; r++) {
                int row = cAt + r * BLOCK;
                if (k0 == from) {
                    System.arraycopy(s, sAt + r * sPitch, sums, 0, columns);
                } else {
                    System.arraycopy(c, row, sums, 0, columns);
                }
                int k = 0;
                for (; k + 4 <= depth; k += 4) {
                    fourTerms(
                            a[at(aAt, aBlock, r, k0 + k)],
                            a[at(aAt, aBlock, r, k0 + k + 1)],
                            a[at(aAt, aBlock, r, k0 + k + 2)],
                            a[at(aAt, aBlock, r, k0 + k + 3)],
                            local.rows,
                            k,
                            sums,
                            columns);
                }
                for (; k < depth; k++) {
                    oneTerm(a[at(aAt, aBlock, r, k0 + k)], local.rows[k], sums, columns);
                }
                System.arraycopy(sums, 0, c, row, columns);
            }
        }
    }

    /** Where element k of row r of blocked rows lies. */
    private static int at(int start, int blockPitch, int r, int k) {
        return start + k / BLOCK * blockPitch + r * BLOCK + k % BLOCK;
    }

    /**
     * Rows of a right factor and of sums, each in an array of its own: the compiler's vector loops come to speed only where all that
     * they touch begins at index 0.
     */
    private static final class Rows {
        /** Rows held at a time: they stay in the first-level cache. */
        private static final int DEPTH = 64;

        private final float[][] rows = new float[DEPTH][BLOCK];
        private final float[] sums = new float[BLOCK];

        void load(float[] b, int bAt, int columns, int depth) {
            for (int k = 0; k < depth; k++) {
                System.arraycopy(b, bAt + k * columns, rows[k], 0, columns);
            }
        }
    }

    private static final ThreadLocal<Rows> ROWS = ThreadLocal.withInitial(Rows::new);

    private static void fourTerms(
            float a0, float a1, float a2, float a3, float[][] rows, int k, float[] sums, int columns) {
        fourTerms(a0, a1, a2, a3, rows[k], rows[k + 1], rows[k + 2], rows[k + 3], sums, columns);
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
            int columns) {
        for (int j = 0; j < columns; j++) {
            c[j] = Math.fma(a3, b3[j], Math.fma(a2, b2[j], Math.fma(a1, b1[j], Math.fma(a0, b0[j], c[j]))));
        }
    }

    private static void oneTerm(float a, float[] b, float[] c, int columns) {
        for (int j = 0; j < columns; j++) {
            c[j] = Math.fma(a, b[j], c[j]);
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
            int bStrip,
            float[] s,
            int sAt,
            int sStrip,
            float[] c,
            int cAt) {
        for (int t = 0; t < strips; t++) {
            product(
                    1,
                    a,
                    aAt,
                    aBlock,
                    from,
                    to,
                    b,
                    bAt + t * bStrip,
                    Gate.COUNT,
                    s,
                    sAt + t * sStrip,
                    0,
                    c,
                    cAt + t * BLOCK,
                    0,
                    0);
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
            int nextCount) {
        Rows local = ROWS.get();
        float[] sums = local.sums;
        for (int m0 = 0; m0 < depth; m0 += Rows.DEPTH) {
            int count = Math.min(Rows.DEPTH, depth - m0);
            local.load(b, bAt + m0 * BLOCK, BLOCK, count);
            for (int j = 0; j < columns; j++) {
                System.arraycopy(c, cAt + j * BLOCK, sums, 0, BLOCK);
                int m = 0;
                for (; m + 4 <= count; m += 4) {
                    int at = (m0 + m) * aPitch + j;
                    fourTerms(
                            a[at], a[at + aPitch], a[at + 2 * aPitch], a[at + 3 * aPitch], local.rows, m, sums, BLOCK);
                }
                for (; m < count; m++) {
                    oneTerm(a[(m0 + m) * aPitch + j], local.rows[m], sums, BLOCK);
                }
                System.arraycopy(sums, 0, c, cAt + j * BLOCK, BLOCK);
            }
        }
    }

    @Override
    public void rowSum(int depth, float[] b, int bAt, float[] c, int cAt) {
        for (int m = 0; m < depth; m++) {
            add(c, cAt, b, bAt + m * BLOCK, BLOCK);
        }
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
            int mPitch,
            float[] y,
            int[] yRows,
            int yFrom,
            int yColumn) {
        for (int r = 0; r < rows; r++) {
            int pre = zAt + r * BLOCK;
            for (int l = 0; l < LANES; l++) {
                float i = Activations.logistic(z[pre + I + l]);
                float f = Activations.logistic(z[pre + F + l]);
                float g = Activations.tanh(z[pre + G + l]);
                float o = Activations.logistic(z[pre + O + l]);
                float state = Math.fma(f, c[cAt + r * LANES + l], i * g);
                if (clip > 0) {
                    state = state > clip ? clip : state < -clip ? -clip : state;
                }
                float squashed = Activations.tanh(state);
                c[cAt + r * LANES + l] = state;
                if (gates != null) {
                    int at = gatesAt + r * gatesPitch + l;
                    gates[at + I] = i;
                    gates[at + F] = f;
                    gates[at + G] = g;
                    gates[at + O] = o;
                    int stateAt = statesAt + r * gatesPitch / 2 + l;
                    states[stateAt] = state;
                    states[stateAt + LANES] = squashed;
                }
                m[mAt + r * mPitch + l] = o * squashed;
                if (y != null) {
                    y[yRows[yFrom + r] + yColumn + l] = o * squashed;
                }
            }
        }
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
        for (int r = 0; r < rows; r++) {
            for (int l = 0; l < LANES; l++) {
                int at = gatesAt + r * BLOCK + l;
                float i = gates[at + I];
                float f = gates[at + F];
                float g = gates[at + G];
                float o = gates[at + O];
                int squashedAt = statesAt + r * 2 * LANES + LANES + l;
                float squashed = states[squashedAt];
                float before = previous[previousAt + r * previousPitch + l];
                float through = dm[dmAt + r * BLOCK + l];
                if (keepM) {
                    states[squashedAt] = o * squashed;
                }
                float d = Math.fma(through * o, 1 - squashed * squashed, dc[dcAt + r * LANES + l]);
                if (clip > 0 && Math.abs(Math.fma(f, before, i * g)) > clip) {
                    d = 0;
                }
                gates[at + I] = d * g * (i * (1 - i));
                gates[at + F] = d * before * (f * (1 - f));
                gates[at + G] = d * i * (1 - g * g);
                gates[at + O] = through * squashed * (o * (1 - o));
                dc[dcAt + r * LANES + l] = d * f;
            }
        }
    }

    @Override
    public void add(float[] x, int xAt, float[] y, int yAt, int count) {
        for (int e = 0; e < count; e++) {
            x[xAt + e] += y[yAt + e];
        }
    }

    @Override
    public void exponentials(float[] x, int xAt, float shift, float[] y, int yAt, int count) {
        for (int e = 0; e < count; e++) {
            y[yAt + e] = Activations.exponential(x[xAt + e] - shift);
        }
    }

    @Override
    public void scale(float[] x, int xAt, float factor, float[] y, int yAt, int count) {
        for (int e = 0; e < count; e++) {
            y[yAt + e] = x[xAt + e] * factor;
        }
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
        UpdateLoops.update(step, p, pAt, d, dAt, m, mAt, v, vAt, count);
    }

    @Override
    public void tanh(float[] x, float[] y, int count) {
        for (int e = 0; e < count; e++) {
            y[e] = Activations.tanh(x[e]);
        }
    }

    @Override
    public void logistic(float[] x, float[] y, int count) {
        for (int e = 0; e < count; e++) {
            y[e] = Activations.logistic(x[e]);
        }
    }
}
