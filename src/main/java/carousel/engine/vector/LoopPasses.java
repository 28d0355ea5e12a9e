package carousel.engine.vector;

import static carousel.engine.vector.Kernels.BLOCK;
import static carousel.engine.vector.Kernels.LANES;

import carousel.engine.Gate;
import carousel.engine.LstmSpec;
import carousel.engine.Philox;

/** The {@link Pass}es in plain loops, and what both kinds do with single numbers. */
final class LoopPasses {
    private static final int I = Gate.INPUT.ordinal() * LANES;
    private static final int F = Gate.FORGET.ordinal() * LANES;
    private static final int G = Gate.CANDIDATE.ordinal() * LANES;
    private static final int O = Gate.OUTPUT.ordinal() * LANES;

    private static final ThreadLocal<int[]> WORDS = ThreadLocal.withInitial(() -> new int[Philox.WORDS]);

    private final CellOptions options;
    private final float candidateScale;
    private final float recurrentScale;
    private final float heldCell;
    private final float heldHidden;

    private LoopPasses(CellOptions options) {
        this.options = options;
        candidateScale = options.candidateScale();
        recurrentScale = options.recurrentScale();
        heldCell = (float) options.zoneoutCell();
        heldHidden = (float) options.zoneoutHidden();
    }

    static CellPasses of(CellOptions options) {
        LoopPasses passes = new LoopPasses(options);
        return new CellPasses(
                one(passes::intoCell),
                one(passes::outOfCell),
                one(passes::hidden),
                one(passes::splitHidden),
                one(passes::joinHidden),
                one(passes::backToCell),
                one(passes::backToGates),
                one(passes::backToShares));
    }

    /** All units of a row at a time. */
    private interface Row {
        void run(CellStep step, int r);
    }

    private static Pass[] one(Row row) {
        return new Pass[] {
            new Pass() {
                @Override
                void run(CellStep step) {
                    for (int r = 0; r < step.rows; r++) {
                        row.run(step, r);
                    }
                }
            }
        };
    }

    private static float limited(float x, float limit) {
        return limit == 0 ? x : x > limit ? limit : x < -limit ? -limit : x;
    }

    private static float choose(int word, int bit, float set, float clear) {
        return (word >>> bit & 1) != 0 ? set : clear;
    }

    /** {@code d_g g}. */
    private float kept(CellStep s, int r, int l, float g) {
        return options.candidateDropout() > 0 && s.bits != null
                ? g * choose(s.bits[s.bitsAt + r], l, 0, candidateScale)
                : g;
    }

    private float heldCell(CellStep s, int r, int l) {
        return s.bits == null ? heldCell : choose(s.bits[s.bitsAt + r], LANES + l, 1, 0);
    }

    private void intoCell(CellStep s, int r) {
        int z = s.zAt + r * BLOCK;
        if (options.normalized()) {
            int at = s.statisticsAt + r * CellStep.STATISTICS;
            for (int j = 0; j < BLOCK; j++) {
                float u = (s.u[s.uAt + r * BLOCK + j] - s.statistics[at]) * s.statistics[at + 1];
                float v = (s.v[s.vAt + r * BLOCK + j] - s.statistics[at + 2]) * s.statistics[at + 3];
                float share = Math.fma(u, s.gains[s.gainsAt + j], s.bias[s.biasAt + j]);
                s.z[z + j] = Math.fma(v, s.gains[s.gainsAt + CellStep.RECURRENT_GAINS + j], share);
            }
        }
        for (int l = 0; l < LANES; l++) {
            float before = s.c[s.cAt + r * LANES + l];
            if (options.peepholes()) {
                s.z[z + I + l] = Math.fma(before, s.peepholes[s.peepholesAt + l], s.z[z + I + l]);
                s.z[z + F + l] = Math.fma(before, s.peepholes[s.peepholesAt + LANES + l], s.z[z + F + l]);
            }
            float i = gate(s, r, I + l, options.gates());
            float f = gate(s, r, F + l, options.gates());
            float g = gate(s, r, G + l, options.candidate());
            if (options.coupled()) {
                f = 1 - i;
                s.z[z + F + l] = f;
            }
            float state = limited(Math.fma(f, before, i * kept(s, r, l, g)), options.cellClip());
            s.fresh[s.freshAt + r * LANES + l] = state;
            if (options.peepholes()) {
                s.z[z + O + l] = Math.fma(state, s.peepholes[s.peepholesAt + 2 * LANES + l], s.z[z + O + l]);
            }
            gate(s, r, O + l, options.gates());
        }
    }

    /** Replaces a pre-activation by its gate. */
    private float gate(CellStep s, int r, int column, CellFunction function) {
        int at = s.zAt + r * BLOCK + column;
        float x = s.z[at];
        float within = limited(x, options.gateClip());
        float y = function.value(within);
        s.z[at] = y;
        if (s.slopes != null) {
            boolean limits = options.gateClip() > 0 && Math.abs(x) > options.gateClip();
            s.slopes[s.slopesAt + r * CellStep.SLOPES + column] = limits ? 0 : function.slope(within, y);
        }
        return y;
    }

    private void outOfCell(CellStep s, int r) {
        int z = s.zAt + r * BLOCK;
        int statistics = s.statisticsAt + r * CellStep.STATISTICS;
        for (int l = 0; l < LANES; l++) {
            int e = r * LANES + l;
            float state = s.fresh[s.freshAt + e];
            float seen = state;
            if (options.normalized()) {
                seen = Math.fma(
                        (state - s.statistics[statistics + 4]) * s.statistics[statistics + 5],
                        s.gains[s.gainsAt + CellStep.CELL_GAINS + l],
                        s.gains[s.gainsAt + CellStep.CELL_OFFSETS + l]);
            }
            float shown = options.output().value(seen);
            if (s.slopes != null) {
                s.slopes[s.slopesAt + r * CellStep.SLOPES + BLOCK + l] =
                        options.output().slope(seen, shown);
            }
            s.m[s.mAt + r * BLOCK + l] = s.z[z + O + l] * shown;
            if (heldCell > 0) {
                float hold = heldCell(s, r, l);
                state = Math.fma(hold, s.c[s.cAt + e], (1 - hold) * state);
            }
            s.c[s.cAt + e] = state;
            if (s.states != null) {
                s.states[s.statesAt + r * 2 * LANES + l] = state;
                s.states[s.statesAt + r * 2 * LANES + LANES + l] = shown;
            }
        }
        if (s.gates != null) {
            System.arraycopy(s.z, z, s.gates, s.gatesAt + r * BLOCK, BLOCK);
        }
    }

    private void hidden(CellStep s, int r) {
        for (int l = 0; l < LANES; l++) {
            int e = r * LANES + l;
            int at = s.hAt + r * BLOCK + l;
            float h = s.h[at];
            if (heldHidden > 0) {
                float hold = heldHidden(s, r, l);
                h = Math.fma(hold, s.carried[s.carriedAt + e], (1 - hold) * h);
            }
            s.carried[s.carriedAt + e] = h;
            s.h[at] = s.unseenBits == null ? h : h * unseen(s, r, l);
        }
    }

    private float heldHidden(CellStep s, int r, int l) {
        return s.heldBits == null ? heldHidden : choose(s.heldBits[s.heldAt + r], l, 1, 0);
    }

    private float unseen(CellStep s, int r, int l) {
        return choose(s.unseenBits[s.unseenAt + r], l, 0, recurrentScale);
    }

    private void splitHidden(CellStep s, int r) {
        for (int l = 0; l < LANES; l++) {
            int at = s.dhAt + r * BLOCK + l;
            float hold = heldHidden(s, r, l);
            float d = s.dh[at];
            s.dNew[at] = (1 - hold) * d;
            s.dh[at] = hold * d;
        }
    }

    private void joinHidden(CellStep s, int r) {
        for (int l = 0; l < LANES; l++) {
            int at = s.dhAt + r * BLOCK + l;
            s.dh[at] += s.unseenBits == null ? s.dSeen[at] : s.dSeen[at] * unseen(s, r, l);
        }
    }

    private void backToCell(CellStep s, int r) {
        for (int l = 0; l < LANES; l++) {
            int e = r * LANES + l;
            int at = s.gatesAt + r * BLOCK + l;
            int shownAt = s.statesAt + r * 2 * LANES + LANES + l;
            float o = s.gates[at + O];
            float shown = s.states[shownAt];
            float d = s.dm[s.dmAt + r * BLOCK + l];
            if (s.keepM) {
                s.states[shownAt] = o * shown;
            }
            float ds = d * o * slope(s, r, BLOCK + l, 1 - shown * shown);
            s.gates[at + O] = d * shown * slope(s, r, O + l, o * (1 - o));
            float state = Math.fma(
                    s.gates[at + F],
                    s.previous[s.previousAt + r * s.previousPitch + l],
                    s.gates[at + I] * kept(s, r, l, s.gates[at + G]));
            s.fresh[s.freshAt + e] = state;
            if (options.normalized()) {
                float n = normalizedCell(s, r, l);
                add(s.sums, s.sumsAt + CellStep.CELL_GAIN_SUMS + l, ds, n);
                s.sums[s.sumsAt + CellStep.CELL_OFFSET_SUMS + l] += ds;
                ds *= s.gains[s.gainsAt + CellStep.CELL_GAINS + l];
                s.terms[s.termsAt + r * 2 * LANES + l] = ds;
                s.terms[s.termsAt + r * 2 * LANES + LANES + l] = ds * n;
            }
            s.ds[s.dsAt + e] = ds;
        }
    }

    private static float slope(CellStep s, int r, int column, float usual) {
        return s.slopes == null ? usual : s.slopes[s.slopesAt + r * CellStep.SLOPES + column];
    }

    private static void add(float[] sums, int at, float a, float b) {
        sums[at] = Math.fma(a, b, sums[at]);
    }

    /** {@code LN(c')}. */
    private float normalizedCell(CellStep s, int r, int l) {
        int at = s.statisticsAt + r * CellStep.STATISTICS;
        float state = limited(s.fresh[s.freshAt + r * LANES + l], options.cellClip());
        return (state - s.statistics[at + 4]) * s.statistics[at + 5];
    }

    private void backToGates(CellStep s, int r) {
        for (int l = 0; l < LANES; l++) {
            int e = r * LANES + l;
            int at = s.gatesAt + r * BLOCK + l;
            float d = s.ds[s.dsAt + e];
            if (options.normalized()) {
                int mean = s.meansAt + r * CellStep.MEANS + 4;
                d = d - s.means[mean] - normalizedCell(s, r, l) * s.means[mean + 1];
                d *= s.statistics[s.statisticsAt + r * CellStep.STATISTICS + 5];
            }
            float carried = s.dc[s.dcAt + e];
            float hold = heldCell > 0 ? heldCell(s, r, l) : 0;
            float stays = hold * carried;
            d += (1 - hold) * carried;
            if (options.peepholes()) {
                d = Math.fma(s.peepholes[s.peepholesAt + 2 * LANES + l], s.gates[at + O], d);
            }
            float state = s.fresh[s.freshAt + e];
            if (options.cellClip() > 0 && Math.abs(state) > options.cellClip()) {
                d = 0;
            }
            gatesBack(s, r, l, d, Math.fma(d, s.gates[at + F], stays));
        }
        if (options.normalized()) {
            normalizedGateTerms(s, r);
        }
    }

    private void gatesBack(CellStep s, int r, int l, float d, float through) {
        int e = r * LANES + l;
        int at = s.gatesAt + r * BLOCK + l;
        float i = s.gates[at + I];
        float f = s.gates[at + F];
        float g = s.gates[at + G];
        float before = s.previous[s.previousAt + r * s.previousPitch + l];
        float dI = kept(s, r, l, d * g);
        float dG = kept(s, r, l, d * i);
        float dF = d * before;
        if (options.coupled()) {
            dI -= dF;
            dF = 0;
        }
        float input = dI * slope(s, r, I + l, i * (1 - i));
        float forget = dF * slope(s, r, F + l, f * (1 - f));
        s.gates[at + I] = input;
        s.gates[at + F] = forget;
        s.gates[at + G] = dG * slope(s, r, G + l, 1 - g * g);
        s.dc[s.dcAt + e] = through;
        if (options.peepholes()) {
            through = Math.fma(s.peepholes[s.peepholesAt + l], input, through);
            s.dc[s.dcAt + e] = Math.fma(s.peepholes[s.peepholesAt + LANES + l], forget, through);
            int to = s.sumsAt + CellStep.PEEPHOLE_SUMS + l;
            add(s.sums, to, before, input);
            add(s.sums, to + LANES, before, forget);
            add(s.sums, to + 2 * LANES, limited(s.fresh[s.freshAt + e], options.cellClip()), s.gates[at + O]);
        }
    }

    private static void normalizedGateTerms(CellStep s, int r) {
        int at = s.statisticsAt + r * CellStep.STATISTICS;
        int to = s.termsAt + r * BLOCK;
        for (int j = 0; j < BLOCK; j++) {
            float d = s.gates[s.gatesAt + r * BLOCK + j];
            float u = (s.u[s.uAt + r * BLOCK + j] - s.statistics[at]) * s.statistics[at + 1];
            float v = (s.v[s.vAt + r * BLOCK + j] - s.statistics[at + 2]) * s.statistics[at + 3];
            s.sums[s.sumsAt + CellStep.BIAS_SUMS + j] += d;
            add(s.sums, s.sumsAt + CellStep.INPUT_GAIN_SUMS + j, d, u);
            add(s.sums, s.sumsAt + CellStep.RECURRENT_GAIN_SUMS + j, d, v);
            float dU = d * s.gains[s.gainsAt + j];
            float dV = d * s.gains[s.gainsAt + CellStep.RECURRENT_GAINS + j];
            int l = to + j % LANES;
            if (j < LANES) {
                s.terms[l] = dU;
                s.terms[l + LANES] = dU * u;
                s.terms[l + 2 * LANES] = dV;
                s.terms[l + 3 * LANES] = dV * v;
            } else {
                s.terms[l] += dU;
                s.terms[l + LANES] += dU * u;
                s.terms[l + 2 * LANES] += dV;
                s.terms[l + 3 * LANES] += dV * v;
            }
        }
    }

    private void backToShares(CellStep s, int r) {
        int at = s.statisticsAt + r * CellStep.STATISTICS;
        int mean = s.meansAt + r * CellStep.MEANS;
        for (int j = 0; j < BLOCK; j++) {
            int uAt = s.uAt + r * BLOCK + j;
            int vAt = s.vAt + r * BLOCK + j;
            float d = s.gates[s.gatesAt + r * BLOCK + j];
            float u = (s.u[uAt] - s.statistics[at]) * s.statistics[at + 1];
            float v = (s.v[vAt] - s.statistics[at + 2]) * s.statistics[at + 3];
            float dU = d * s.gains[s.gainsAt + j] - s.means[mean] - u * s.means[mean + 1];
            float dV =
                    d * s.gains[s.gainsAt + CellStep.RECURRENT_GAINS + j] - s.means[mean + 2] - v * s.means[mean + 3];
            s.u[uAt] = dU * s.statistics[at + 1];
            s.v[vAt] = dV * s.statistics[at + 3];
        }
    }

    /** See {@link Kernels#draw}. */
    static void draw(RandomBits numbers, long[] blocks, int count) {
        int[] words = WORDS.get();
        int callHigh = (int) (numbers.call() >>> 32);
        for (int k = 0; k < count; k++) {
            Philox.block((int) blocks[k], numbers.stream(), (int) numbers.call(), callHigh, numbers.seed(), words);
            int bits = 0;
            for (int w = 0; w < Philox.WORDS; w++) {
                // RandomKey.drops without a branch: the difference is negative where it says yes.
                bits |= (words[w] >>> 8) - numbers.threshold() >>> 31 << w;
            }
            blocks[k] = bits;
        }
    }

    /** See {@link Kernels#statistics}. */
    static void statistics(
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
        for (int r = 0; r < rows; r++) {
            int row = qAt + r * width;
            for (int l = 0; l < LANES; l++) {
                float even = 0;
                float odd = 0;
                for (int t = 0; t < strips; t++) {
                    int from = row + t * stripPitch + l;
                    even += width == BLOCK ? q[from + I] + q[from + G] : q[from];
                    odd += width == BLOCK ? q[from + F] + q[from + O] : 0;
                }
                lanes[l] = even + odd;
            }
            float mean = (float) (sum(lanes, 0) / count);
            for (int l = 0; l < LANES; l++) {
                float sum = 0;
                float squares = 0;
                for (int t = 0; t < strips; t++) {
                    int from = row + t * stripPitch + l;
                    float mask = valid[t * LANES + l];
                    float i = (q[from] - mean) * mask;
                    if (width == BLOCK) {
                        float f = (q[from + F] - mean) * mask;
                        float g = (q[from + G] - mean) * mask;
                        float o = (q[from + O] - mean) * mask;
                        sum += i + f + (g + o);
                        squares += Math.fma(i, i, f * f) + Math.fma(g, g, o * o);
                    } else {
                        sum += i;
                        squares = Math.fma(i, i, squares);
                    }
                }
                lanes[l] = sum;
                lanes[LANES + l] = squares;
            }
            conclude(mean, lanes, count, into, at + r * CellStep.STATISTICS);
        }
    }

    /** The sum of L numbers, four at a time so that one addition need not wait for the last. */
    static double sum(float[] lanes, int at) {
        double sum0 = 0;
        double sum1 = 0;
        double sum2 = 0;
        double sum3 = 0;
        for (int l = at; l < at + LANES; l += 4) {
            sum0 += lanes[l];
            sum1 += lanes[l + 1];
            sum2 += lanes[l + 2];
            sum3 += lanes[l + 3];
        }
        return sum0 + sum1 + (sum2 + sum3);
    }

    /** Mean and reciprocal deviation from the sums, in lanes, of what lies above a rough mean and of its square. */
    static void conclude(float rough, float[] lanes, int count, float[] into, int at) {
        double above = sum(lanes, 0) / count;
        double variance = Math.max(0, sum(lanes, LANES) / count - above * above);
        into[at] = (float) (rough + above);
        into[at + 1] = (float) (1 / Math.sqrt(variance + LstmSpec.NORMALIZATION_EPSILON));
    }

    /** See {@link Kernels#means}. */
    static void means(
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
        for (int r = 0; r < rows; r++) {
            int row = termsAt + r * quantities * LANES;
            for (int l = 0; l < quantities * LANES; l++) {
                float sum = terms[row + l];
                for (int t = 1; t < strips; t++) {
                    sum += terms[row + t * stripPitch + l];
                }
                lanes[l] = sum;
            }
            for (int k = 0; k < quantities; k++) {
                into[at + r * CellStep.MEANS + k] = (float) (sum(lanes, k * LANES) / count);
            }
        }
    }
}
