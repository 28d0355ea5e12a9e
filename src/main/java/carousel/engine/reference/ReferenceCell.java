package carousel.engine.reference;

import carousel.engine.CellActivation;
import carousel.engine.Gate;
import carousel.engine.LstmActivations;
import carousel.engine.LstmLayout;
import carousel.engine.LstmSpec;
import carousel.engine.ParameterView;
import carousel.engine.RandomKey;
import java.util.Arrays;

/**
 * One LSTM cell, that is, one direction of one layer: its equations over one sequence, forward and backward.
 *
 * <p>Forward, those of {@link LstmSpec} for each step with input {@code x}.
 *
 * <p>Backward, with {@code dh} the sum of what the loss and the next step say about {@code h}, and {@code dc} what the next
 * step says about {@code c} (Hochreiter &amp; Schmidhuber 1997; in full, Graves &amp; Schmidhuber 2005):
 *
 * <pre>
 *   dh'  = (1 - z_h) * dh
 *   dm   = W_p^T dh'                   dW_p += dh' m^T                with m = o * psi(s)
 *   do   = dm * psi(s)                 da_o = do * sigma'(a_o)
 *   ds   = dm * o * psi'(s)            or, normalised, dgamma_c += ds * LN(c')   dbeta_c += ds   and dLN(gamma_c * ds)
 *   dc'  = (1 - z_c) * dc + ds + da_o * p_o     then 0 where the limit acted
 *   di   = dc' * d_g * g      df = dc' * c_prev      dg = dc' * i * d_g
 *   di  -= df          df = 0          where the gates are coupled
 *   da_i = di * sigma'(a_i)            and so for f;   da_g = dg * phi'(a_g);   each 0 where the clip acted
 *   db  += da
 *   dp_i += da_i * c_prev              dp_f += da_f * c_prev      dp_o += da_o * c'
 *   du = dv = da        or, normalised, dgamma_u += da * LN(u)   du = dLN(gamma_u * da)   and so for v
 *   dW  += du x^T       dR += d_R * (dv (d_h * h_prev)^T)
 *   dx   = W^T du       dh_prev = z_h * dh + d_h * ((d_R * R)^T dv)
 *   dc_prev = z_c * dc + dc' * f + da_i * p_i + da_f * p_f
 * </pre>
 *
 * with {@code sigma' = sigma (1 - sigma)}, {@code tanh' = 1 - tanh^2} and {@code dLN} the gradient through a normalisation,
 * {@link ReferenceStep.Normalized#backward}. The last equation is the carousel: from step to step, without all that was added
 * later, {@code dc} is only ever multiplied by {@code f}.
 */
final class ReferenceCell {
    /** The rows of the peepholes. */
    private static final int INPUT_SEES = 0;

    private static final int FORGET_SEES = 1;
    private static final int OUTPUT_SEES = 2;

    private final int inputs;
    private final int hidden;
    private final int outputs;
    private final int rows;
    private final boolean projected;
    private final boolean normalized;
    private final double clip;
    private final double gateClip;
    private final boolean coupled;
    private final LstmActivations activations;
    private final boolean reversed;
    private final ReferenceMasks masks;
    private final double[] weights;
    private final int w;
    private final int r;
    private final int b;
    private final int p;
    private final int peepholes;
    private final int gateNorm;
    private final int cellNorm;
    /** {@code d_R}. */
    private final double[] keptWeights;
    /** {@code d_R * R}. */
    private final double[] recurrent;

    /**
     * @param state which cell: layer * cells + cell
     * @param parameters the whole stack's parameters, from index {@code start}
     * @param dropout of the call, or null
     */
    ReferenceCell(
            LstmSpec spec,
            LstmLayout layout,
            int state,
            double[] parameters,
            int start,
            RandomKey dropout,
            int batchSize) {
        int layer = state / spec.direction().cells();
        int index = state % spec.direction().cells();
        LstmLayout.Cell cell = layout.cell(state);
        this.inputs = spec.layerInputSize(layer);
        this.hidden = spec.hiddenSize();
        this.outputs = spec.outputSize();
        this.rows = Gate.COUNT * hidden;
        this.projected = spec.projected();
        this.normalized = spec.layerNormalization();
        this.clip = spec.cellClip();
        this.gateClip = spec.gateClip();
        this.coupled = spec.coupledGates();
        this.activations = spec.activations();
        this.reversed = spec.direction().reversed(index);
        this.masks = new ReferenceMasks(spec, dropout, layer, index, batchSize);
        this.weights = parameters;
        this.w = at(start, cell.inputWeights());
        this.r = at(start, cell.recurrentWeights());
        this.b = at(start, cell.bias());
        this.p = at(start, cell.projection());
        this.peepholes = at(start, cell.peepholes());
        this.gateNorm = at(start, cell.gateNormalization());
        this.cellNorm = at(start, cell.cellNormalization());
        this.keptWeights = masks.recurrentWeights(rows);
        this.recurrent = new double[rows * outputs];
        Arrays.setAll(recurrent, element -> weights[r + element] * keptWeights[element]);
    }

    private static int at(int start, ParameterView view) {
        return view == null ? -1 : start + Math.toIntExact(view.offset());
    }

    private ReferenceStep newStep() {
        return new ReferenceStep(inputs, hidden, outputs, rows);
    }

    /**
     * Runs sequence {@code n}.
     *
     * @param x {@code [T, N, inputs]}
     * @param y {@code [T, N, width]}; this cell writes its {@code outputs} columns from {@code column}
     * @param h in: the initial state, out: the last one, {@code [outputs]}
     * @param c likewise, {@code [hidden]}
     */
    void forward(Sequence n, Rows x, Rows y, int column, double[] h, double[] c, ReferenceTape.Cell trace) {
        ReferenceStep now = newStep();
        for (int step = 0; step < n.length(); step++) {
            int t = n.time(step, reversed);
            if (trace != null) {
                trace.before(t, n.index(), h, c);
            }
            compute(now, t, n.index(), x, h, 0, c, 0);
            System.arraycopy(now.h, 0, h, 0, outputs);
            System.arraycopy(now.c, 0, c, 0, hidden);
            System.arraycopy(h, 0, y.values(), y.at(t, n.index()) + column, outputs);
        }
        for (int t = n.length(); t < n.timeSteps(); t++) {
            Arrays.fill(y.values(), y.at(t, n.index()) + column, y.at(t, n.index()) + column + outputs, 0);
        }
    }

    /** One step from the state before it. */
    private void compute(ReferenceStep now, int t, int n, Rows x, double[] h, int hAt, double[] c, int cAt) {
        System.arraycopy(x.values(), x.at(t, n), now.x, 0, inputs);
        System.arraycopy(h, hAt, now.hPrevious, 0, outputs);
        System.arraycopy(c, cAt, now.cPrevious, 0, hidden);
        for (int k = 0; k < outputs; k++) {
            now.hSeen[k] = masks.recurrent(n, k) * now.hPrevious[k];
        }
        multiply(weights, w, now.x, now.u.q);
        multiply(recurrent, 0, now.hSeen, now.v.q);
        if (normalized) {
            now.u.normalize(LstmSpec.NORMALIZATION_EPSILON);
            now.v.normalize(LstmSpec.NORMALIZATION_EPSILON);
        }
        for (int row = 0; row < rows; row++) {
            double bias = b < 0 ? 0 : weights[b + row];
            now.a[row] = normalized
                    ? bias + weights[gateNorm + row] * now.u.n[row] + weights[gateNorm + rows + row] * now.v.n[row]
                    : bias + now.u.q[row] + now.v.q[row];
        }
        for (int j = 0; j < hidden; j++) {
            double before = now.cPrevious[j];
            if (peepholes >= 0) {
                now.a[Gate.INPUT.firstRow(hidden) + j] += peephole(INPUT_SEES, j) * before;
                now.a[Gate.FORGET.firstRow(hidden) + j] += peephole(FORGET_SEES, j) * before;
            }
            now.i[j] = gate(now.a[Gate.INPUT.firstRow(hidden) + j]);
            now.f[j] = coupled ? 1 - now.i[j] : gate(now.a[Gate.FORGET.firstRow(hidden) + j]);
            now.g[j] = candidate(now.a[Gate.CANDIDATE.firstRow(hidden) + j]);
            now.keptCandidate[j] = masks.candidate(t, n, j);
            now.unlimited[j] = now.f[j] * before + now.i[j] * (now.keptCandidate[j] * now.g[j]);
            now.cell.q[j] = limit(now.unlimited[j], clip);
            if (peepholes >= 0) {
                now.a[Gate.OUTPUT.firstRow(hidden) + j] += peephole(OUTPUT_SEES, j) * now.cell.q[j];
            }
            now.o[j] = gate(now.a[Gate.OUTPUT.firstRow(hidden) + j]);
        }
        if (normalized) {
            now.cell.normalize(LstmSpec.NORMALIZATION_EPSILON);
        }
        for (int j = 0; j < hidden; j++) {
            now.s[j] =
                    normalized ? weights[cellNorm + j] * now.cell.n[j] + weights[cellNorm + hidden + j] : now.cell.q[j];
            now.psi[j] = activations.output().value(now.s[j]);
            now.m[j] = now.o[j] * now.psi[j];
            double held = masks.zoneoutCell(t, n, j);
            now.c[j] = held * now.cPrevious[j] + (1 - held) * now.cell.q[j];
        }
        if (projected) {
            multiply(weights, p, now.m, now.hidden);
        } else {
            System.arraycopy(now.m, 0, now.hidden, 0, hidden);
        }
        for (int k = 0; k < outputs; k++) {
            double held = masks.zoneoutHidden(t, n, k);
            now.h[k] = held * now.hPrevious[k] + (1 - held) * now.hidden[k];
        }
    }

    /** {@code y = A x}. */
    private static void multiply(double[] matrix, int start, double[] x, double[] y) {
        for (int row = 0; row < y.length; row++) {
            double sum = 0;
            for (int k = 0; k < x.length; k++) {
                sum += matrix[start + row * x.length + k] * x[k];
            }
            y[row] = sum;
        }
    }

    /** {@code x += A^T y}. */
    private static void multiplyTransposed(double[] matrix, int start, double[] y, double[] x, int xAt, int columns) {
        for (int row = 0; row < y.length; row++) {
            for (int k = 0; k < columns; k++) {
                x[xAt + k] += matrix[start + row * columns + k] * y[row];
            }
        }
    }

    /**
     * Goes back through sequence {@code n}.
     *
     * @param dy the gradient of y, or null for zero
     * @param dx gets this cell's share added; null when not wanted
     * @param gradients where this stack's parameter gradients are, from the same index as the parameters; null when not
     *     wanted
     * @param dh in: the gradient of the last state, out: of the initial one
     * @param dc likewise
     */
    void backward(
            Sequence n,
            Rows x,
            Rows dy,
            int column,
            Rows dx,
            Gradients gradients,
            double[] dh,
            double[] dc,
            ReferenceTape.Cell trace) {
        ReferenceStep now = newStep();
        // Where no gradients are wanted they go where nobody looks.
        double[] d = gradients == null ? new double[weights.length] : gradients.values();
        int shift = gradients == null ? 0 : gradients.shift();
        double[] dHidden = new double[outputs];
        double[] dm = new double[hidden];
        double[] ds = new double[hidden];
        double[] da = new double[rows];
        double[] du = new double[rows];
        double[] dv = new double[rows];
        double[] dSeen = new double[outputs];
        for (int step = n.length() - 1; step >= 0; step--) {
            int t = n.time(step, reversed);
            compute(
                    now,
                    t,
                    n.index(),
                    x,
                    trace.h().values(),
                    trace.h().at(t, n.index()),
                    trace.c().values(),
                    trace.c().at(t, n.index()));
            for (int k = 0; k < outputs; k++) {
                dh[k] += dy == null ? 0 : dy.values()[dy.at(t, n.index()) + column + k];
                dHidden[k] = (1 - masks.zoneoutHidden(t, n.index(), k)) * dh[k];
            }
            if (projected) {
                Arrays.fill(dm, 0);
                multiplyTransposed(weights, p, dHidden, dm, 0, hidden);
                addOuter(d, shift + p, dHidden, now.m);
            } else {
                System.arraycopy(dHidden, 0, dm, 0, hidden);
            }
            for (int j = 0; j < hidden; j++) {
                ds[j] = activations.output().gradient(now.s[j], now.psi[j], dm[j] * now.o[j]);
            }
            if (normalized) {
                for (int j = 0; j < hidden; j++) {
                    d[shift + cellNorm + j] += ds[j] * now.cell.n[j];
                    d[shift + cellNorm + hidden + j] += ds[j];
                    ds[j] *= weights[cellNorm + j];
                }
                now.cell.backward(ds);
            }
            for (int j = 0; j < hidden; j++) {
                cellBackward(now, t, n.index(), j, dm[j] * now.psi[j], ds[j], da, dc, d, shift);
            }
            for (int row = 0; row < rows; row++) {
                if (b >= 0) {
                    d[shift + b + row] += da[row];
                }
                du[row] = da[row];
                dv[row] = da[row];
                if (normalized) {
                    d[shift + gateNorm + row] += da[row] * now.u.n[row];
                    d[shift + gateNorm + rows + row] += da[row] * now.v.n[row];
                    du[row] *= weights[gateNorm + row];
                    dv[row] *= weights[gateNorm + rows + row];
                }
            }
            if (normalized) {
                now.u.backward(du);
                now.v.backward(dv);
            }
            addOuter(d, shift + w, du, now.x);
            for (int row = 0; row < rows; row++) {
                for (int k = 0; k < outputs; k++) {
                    d[shift + r + row * outputs + k] += keptWeights[row * outputs + k] * (dv[row] * now.hSeen[k]);
                }
            }
            if (dx != null) {
                multiplyTransposed(weights, w, du, dx.values(), dx.at(t, n.index()), inputs);
            }
            Arrays.fill(dSeen, 0);
            multiplyTransposed(recurrent, 0, dv, dSeen, 0, outputs);
            for (int k = 0; k < outputs; k++) {
                dh[k] = masks.zoneoutHidden(t, n.index(), k) * dh[k] + masks.recurrent(n.index(), k) * dSeen[k];
            }
        }
    }

    /** One unit's way back from {@code do} and {@code ds} to {@code da} and {@code dc_prev}. */
    private void cellBackward(
            ReferenceStep now,
            int t,
            int n,
            int j,
            double dO,
            double ds,
            double[] da,
            double[] dc,
            double[] d,
            int shift) {
        double before = now.cPrevious[j];
        double held = masks.zoneoutCell(t, n, j);
        double daO = gradient(activations.gates(), now.a[Gate.OUTPUT.firstRow(hidden) + j], now.o[j], dO);
        double dCell = (1 - held) * dc[j] + ds;
        if (peepholes >= 0) {
            dCell += daO * peephole(OUTPUT_SEES, j);
        }
        if (now.cell.q[j] != now.unlimited[j]) {
            dCell = 0;
        }
        double dI = dCell * (now.keptCandidate[j] * now.g[j]) - (coupled ? dCell * before : 0);
        double daI = gradient(activations.gates(), now.a[Gate.INPUT.firstRow(hidden) + j], now.i[j], dI);
        double daF = coupled
                ? 0
                : gradient(activations.gates(), now.a[Gate.FORGET.firstRow(hidden) + j], now.f[j], dCell * before);
        double dG = dCell * now.i[j] * now.keptCandidate[j];
        da[Gate.INPUT.firstRow(hidden) + j] = daI;
        da[Gate.FORGET.firstRow(hidden) + j] = daF;
        da[Gate.CANDIDATE.firstRow(hidden) + j] =
                gradient(activations.candidate(), now.a[Gate.CANDIDATE.firstRow(hidden) + j], now.g[j], dG);
        da[Gate.OUTPUT.firstRow(hidden) + j] = daO;
        dc[j] = held * dc[j] + dCell * now.f[j];
        if (peepholes >= 0) {
            dc[j] += daI * peephole(INPUT_SEES, j) + daF * peephole(FORGET_SEES, j);
            int dp = shift + peepholes + j;
            d[dp + INPUT_SEES * hidden] += daI * before;
            d[dp + FORGET_SEES * hidden] += daF * before;
            d[dp + OUTPUT_SEES * hidden] += daO * now.cell.q[j];
        }
    }

    /** {@code A += left right^T}. */
    private static void addOuter(double[] matrix, int start, double[] left, double[] right) {
        for (int row = 0; row < left.length; row++) {
            for (int k = 0; k < right.length; k++) {
                matrix[start + row * right.length + k] += left[row] * right[k];
            }
        }
    }

    /** The weight with which a gate, one of the rows of the peepholes, sees element j of the cell. */
    private double peephole(int row, int j) {
        return weights[peepholes + row * hidden + j];
    }

    private double gate(double a) {
        return activations.gates().value(limit(a, gateClip));
    }

    private double candidate(double a) {
        return activations.candidate().value(limit(a, gateClip));
    }

    /** The gradient of a pre-activation from that of its gate {@code y}. */
    private double gradient(CellActivation activation, double a, double y, double dy) {
        return limit(a, gateClip) == a ? activation.gradient(a, y, dy) : 0;
    }

    /** Limits a value to plus or minus the bound, 0 being none. */
    private static double limit(double value, double bound) {
        return bound == 0 ? value : Math.max(-bound, Math.min(bound, value));
    }

    /** One sequence of a batch and its number of valid steps. */
    record Sequence(int index, int length, int timeSteps) {
        /** The time of the k-th step: a cell that reads in reverse starts at the true end. */
        int time(int step, boolean reversed) {
            return reversed ? length - 1 - step : step;
        }
    }

    /** A tensor {@code [T, N, width]} in an array from {@code start}. */
    record Rows(double[] values, int start, int batchSize, int width) {
        /** Where row (t, n) starts. */
        int at(int t, int n) {
            return start + (t * batchSize + n) * width;
        }
    }

    /** Parameter gradients: that of the parameter at index k of the parameters' array is at {@code shift + k}. */
    record Gradients(double[] values, int shift) {}
}
