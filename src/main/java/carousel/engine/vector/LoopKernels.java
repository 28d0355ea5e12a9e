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
            int bDepth,
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
        for (int k = from; k < to; ) {
            // Within a block of the left factor, so that a row's terms lie side by side.
            int depth = Math.min(BLOCK - k % BLOCK, to - k);
            local.factor(b, bAt + k * columns, columns, depth);
            for (int r = 0; r < rows; r += Rows.MOST) {
                int count = Math.min(Rows.MOST, rows - r);
                int row = cAt + r * BLOCK;
                if (k == from) {
                    local.load(s, sAt + r * sPitch, sPitch, columns, count);
                } else {
                    local.load(c, row, BLOCK, columns, count);
                }
                local.add(a, aAt + k / BLOCK * aBlock + r * BLOCK + k % BLOCK, BLOCK, 1, columns, count, depth);
                local.store(c, row, columns, count);
            }
            k += depth;
        }
    }

    /**
     * Rows of a right factor and of sums, each in an array of its own: the compiler's vector loops come to speed only where all that
     * they touch begins at index 0.
     */
    private static final class Rows {
        /** Rows of sums at a time: some triples. */
        private static final int MOST = 18;

        /** Of the right factor: they stay in the first-level cache. */
        private final float[][] factor = new float[BLOCK][BLOCK];

        private final float[][] sums = new float[MOST][BLOCK];

        void factor(float[] b, int at, int columns, int depth) {
            for (int k = 0; k < depth; k++) {
                System.arraycopy(b, at + k * columns, factor[k], 0, columns);
            }
        }

        void load(float[] from, int at, int pitch, int columns, int count) {
            for (int r = 0; r < count; r++) {
                System.arraycopy(from, at + r * pitch, sums[r], 0, columns);
            }
        }

        void store(float[] into, int at, int columns, int count) {
            for (int r = 0; r < count; r++) {
                System.arraycopy(sums[r], 0, into, at + r * BLOCK, columns);
            }
        }

        /** {@code sums[r][j] += a[at + r * rowPitch + k * termPitch] * factor[k][j]}, in the order of k. */
        void add(float[] a, int at, int rowPitch, int termPitch, int columns, int count, int depth) {
            int r = 0;
            for (; r + 3 <= count; r += 3) {
                int p = at + r * rowPitch;
                int q = p + rowPitch;
                int u = q + rowPitch;
                int k = 0;
                for (; k + 2 <= depth; k += 2) {
                    threeRowsTwoTerms(
                            a[p],
                            a[p + termPitch],
                            a[q],
                            a[q + termPitch],
                            a[u],
                            a[u + termPitch],
                            factor[k],
                            factor[k + 1],
                            sums[r],
                            sums[r + 1],
                            sums[r + 2],
                            columns);
                    p += 2 * termPitch;
                    q += 2 * termPitch;
                    u += 2 * termPitch;
                }
                if (k < depth) {
                    oneTerm(a[p], factor[k], sums[r], columns);
                    oneTerm(a[q], factor[k], sums[r + 1], columns);
                    oneTerm(a[u], factor[k], sums[r + 2], columns);
                }
            }
            for (; r < count; r++) {
                int p = at + r * rowPitch;
                int k = 0;
                for (; k + 4 <= depth; k += 4) {
                    fourTerms(
                            a[p],
                            a[p + termPitch],
                            a[p + 2 * termPitch],
                            a[p + 3 * termPitch],
                            factor[k],
                            factor[k + 1],
                            factor[k + 2],
                            factor[k + 3],
                            sums[r],
                            columns);
                    p += 4 * termPitch;
                }
                for (; k < depth; k++) {
                    oneTerm(a[p], factor[k], sums[r], columns);
                    p += termPitch;
                }
            }
        }
    }

    private static final ThreadLocal<Rows> ROWS = ThreadLocal.withInitial(Rows::new);

    /** The largest body that C2 still unrolls: six products for two loads of b. */
    private static void threeRowsTwoTerms(
            float p0,
            float p1,
            float q0,
            float q1,
            float u0,
            float u1,
            float[] b0,
            float[] b1,
            float[] p,
            float[] q,
            float[] u,
            int columns) {
        for (int j = 0; j < columns; j++) {
            float x = b0[j];
            float y = b1[j];
            p[j] = Math.fma(p1, y, Math.fma(p0, x, p[j]));
            q[j] = Math.fma(q1, y, Math.fma(q0, x, q[j]));
            u[j] = Math.fma(u1, y, Math.fma(u0, x, u[j]));
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
            int bDepth,
            float[] s,
            int sAt,
            int sStrip,
            float[] c,
            int cAt,
            boolean backwards) {
        for (int t = 0; t < strips; t++) {
            product(
                    1,
                    a,
                    aAt,
                    aBlock,
                    from,
                    to,
                    b,
                    bAt + t * bDepth * BLOCK,
                    bDepth,
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
            int nextCount,
            float[] room) {
        Rows local = ROWS.get();
        for (int m = 0; m < depth; m += BLOCK) {
            int terms = Math.min(BLOCK, depth - m);
            local.factor(b, bAt + m * BLOCK, BLOCK, terms);
            for (int j = 0; j < columns; j += Rows.MOST) {
                int count = Math.min(Rows.MOST, columns - j);
                int row = cAt + j * BLOCK;
                local.load(c, row, BLOCK, BLOCK, count);
                local.add(a, m * aPitch + j, 1, aPitch, BLOCK, count, terms);
                local.store(c, row, BLOCK, count);
            }
        }
    }

    @Override
    public int side() {
        return BLOCK;
    }

    @Override
    public int group() {
        return 0;
    }

    @Override
    public void intoGroups(float[] row, int columns, float[] a, int m, int aPitch) {
        throw new UnsupportedOperationException("rows of a left factor are not grouped");
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
            int mPitch) {
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
    public CellPasses passes(CellOptions options) {
        return LoopPasses.of(options);
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
        LoopPasses.statistics(rows, strips, q, qAt, stripPitch, width, valid, count, lanes, into, at);
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
        LoopPasses.means(rows, strips, terms, termsAt, stripPitch, quantities, count, lanes, into, at);
    }

    @Override
    public void draw(RandomBits numbers, long[] blocks, int count) {
        LoopPasses.draw(numbers, blocks, count);
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
    public void tanh(float[] x, int xAt, float[] y, int yAt, int count) {
        for (int e = 0; e < count; e++) {
            y[yAt + e] = Activations.tanh(x[xAt + e]);
        }
    }

    @Override
    public void logistic(float[] x, int xAt, float[] y, int yAt, int count) {
        for (int e = 0; e < count; e++) {
            y[yAt + e] = Activations.logistic(x[xAt + e]);
        }
    }
}
