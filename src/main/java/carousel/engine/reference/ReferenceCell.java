package carousel.engine.reference;

import carousel.engine.CellActivation;
import carousel.engine.Gate;
import carousel.engine.LstmActivations;
import carousel.engine.LstmLayout;
import carousel.engine.LstmSpec;
import carousel.engine.ParameterView;
import java.util.Arrays;

/**
 * One LSTM cell, that is, one direction of one layer: its equations over one sequence, forward and backward.
 *
 * <p>Forward, for each step with input {@code x}, {@code sigma} the logistic function, {@code phi} and {@code psi} the
 * hyperbolic tangent unless other activations are asked for, and {@code *} elementwise:
 *
 * <pre>
 *   a = b + W x + R h_prev
 *   a_i += p_i * c_prev   a_f += p_f * c_prev   a_o += p_o * c      where there are peepholes
 *   i = sigma(a_i)   f = sigma(a_f)   g = phi(a_g)   o = sigma(a_o)     of a limited, where the gates have a clip
 *   f = 1 - i                          where the gates are coupled
 *   c = limit(f * c_prev + i * g)
 *   m = o * psi(c)
 *   h = W_p m                          without a projection, h = m
 * </pre>
 *
 * <p>Backward, with {@code dh} the sum of what the loss and the next step say about {@code h}, and {@code dc} what the next
 * step says about {@code c} (Hochreiter &amp; Schmidhuber 1997; in full, Graves &amp; Schmidhuber 2005):
 *
 * <pre>
 *   dm   = W_p^T dh                    dW_p += dh m^T
 *   do   = dm * psi(c)                 da_o = do * sigma'(a_o)
 *   dc  += dm * o * psi'(c) + da_o * p_o     then 0 where the limit acted
 *   di   = dc * g      df = dc * c_prev      dg = dc * i
 *   di  -= df          df = 0          where the gates are coupled
 *   da_i = di * sigma'(a_i)            and so for f;   da_g = dg * phi'(a_g);   each 0 where the clip acted
 *   db  += da          dW += da x^T    dR += da h_prev^T
 *   dp_i += da_i * c_prev              dp_f += da_f * c_prev      dp_o += da_o * c
 *   dx   = W^T da      dh_prev = R^T da      dc_prev = dc * f + da_i * p_i + da_f * p_f
 * </pre>
 *
 * with {@code sigma' = sigma (1 - sigma)} and {@code tanh' = 1 - tanh^2}. The last equation is the carousel: from step to
 * step, without peepholes, {@code dc} is only ever multiplied by {@code f}.
 */
final class ReferenceCell {
    /** The rows of the peepholes. */
    private static final int INPUT_SEES = 0;

    private static final int FORGET_SEES = 1;
    private static final int OUTPUT_SEES = 2;

    private final int inputs;
    private final int hidden;
    private final int outputs;
    private final boolean projected;
    private final double clip;
    private final double gateClip;
    private final boolean coupled;
    private final LstmActivations activations;
    private final boolean reversed;
    private final double[] weights;
    private final int w;
    private final int r;
    private final int b;
    private final int p;
    private final int peepholes;

    /**
     * @param state which cell: layer * cells + cell
     * @param parameters the whole stack's parameters, from index {@code start}
     */
    ReferenceCell(LstmSpec spec, LstmLayout layout, int state, double[] parameters, int start) {
        int layer = state / spec.direction().cells();
        LstmLayout.Cell cell = layout.cell(state);
        this.inputs = spec.layerInputSize(layer);
        this.hidden = spec.hiddenSize();
        this.outputs = spec.outputSize();
        this.projected = spec.projected();
        this.clip = spec.cellClip();
        this.gateClip = spec.gateClip();
        this.coupled = spec.coupledGates();
        this.activations = spec.activations();
        this.reversed = spec.direction().reversed(state % spec.direction().cells());
        this.weights = parameters;
        this.w = at(start, cell.inputWeights());
        this.r = at(start, cell.recurrentWeights());
        this.b = at(start, cell.bias());
        this.p = at(start, cell.projection());
        this.peepholes = at(start, cell.peepholes());
    }

    private static int at(int start, ParameterView view) {
        return view == null ? -1 : start + Math.toIntExact(view.offset());
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
        double[] a = new double[Gate.COUNT * hidden];
        double[] m = new double[hidden];
        for (int step = 0; step < n.length(); step++) {
            int t = n.time(step, reversed);
            int xRow = x.at(t, n.index());
            for (int row = 0; row < Gate.COUNT * hidden; row++) {
                double sum = b < 0 ? 0 : weights[b + row];
                for (int k = 0; k < inputs; k++) {
                    sum += weights[w + row * inputs + k] * x.values()[xRow + k];
                }
                for (int k = 0; k < outputs; k++) {
                    sum += weights[r + row * outputs + k] * h[k];
                }
                a[row] = sum;
            }
            if (trace != null) {
                trace.before(t, n.index(), h, c);
            }
            for (int j = 0; j < hidden; j++) {
                if (peepholes >= 0) {
                    a[Gate.INPUT.firstRow(hidden) + j] += peephole(INPUT_SEES, j) * c[j];
                    a[Gate.FORGET.firstRow(hidden) + j] += peephole(FORGET_SEES, j) * c[j];
                }
                double i = gate(a[Gate.INPUT.firstRow(hidden) + j]);
                double f = coupled ? 1 - i : gate(a[Gate.FORGET.firstRow(hidden) + j]);
                double g = candidate(a[Gate.CANDIDATE.firstRow(hidden) + j]);
                c[j] = limit(f * c[j] + i * g, clip);
                if (peepholes >= 0) {
                    a[Gate.OUTPUT.firstRow(hidden) + j] += peephole(OUTPUT_SEES, j) * c[j];
                }
                double o = gate(a[Gate.OUTPUT.firstRow(hidden) + j]);
                m[j] = o * activations.output().value(c[j]);
            }
            if (trace != null) {
                trace.preActivations(t, n.index(), a);
            }
            if (projected) {
                for (int k = 0; k < outputs; k++) {
                    double sum = 0;
                    for (int j = 0; j < hidden; j++) {
                        sum += weights[p + k * hidden + j] * m[j];
                    }
                    h[k] = sum;
                }
            } else {
                System.arraycopy(m, 0, h, 0, hidden);
            }
            System.arraycopy(h, 0, y.values(), y.at(t, n.index()) + column, outputs);
        }
        for (int t = n.length(); t < n.timeSteps(); t++) {
            Arrays.fill(y.values(), y.at(t, n.index()) + column, y.at(t, n.index()) + column + outputs, 0);
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
        double[] da = new double[Gate.COUNT * hidden];
        double[] m = new double[hidden];
        double[] dm = new double[hidden];
        for (int step = n.length() - 1; step >= 0; step--) {
            int t = n.time(step, reversed);
            if (dy != null) {
                for (int k = 0; k < outputs; k++) {
                    dh[k] += dy.values()[dy.at(t, n.index()) + column + k];
                }
            }
            int aRow = trace.a().at(t, n.index());
            int hBefore = trace.h().at(t, n.index());
            int cBefore = trace.c().at(t, n.index());
            double[] a = trace.a().values();
            double[] cPrevious = trace.c().values();
            if (projected) {
                for (int j = 0; j < hidden; j++) {
                    double sum = 0;
                    for (int k = 0; k < outputs; k++) {
                        sum += weights[p + k * hidden + j] * dh[k];
                    }
                    dm[j] = sum;
                }
            } else {
                System.arraycopy(dh, 0, dm, 0, hidden);
            }
            for (int j = 0; j < hidden; j++) {
                double aI = a[aRow + Gate.INPUT.firstRow(hidden) + j];
                double aF = a[aRow + Gate.FORGET.firstRow(hidden) + j];
                double aG = a[aRow + Gate.CANDIDATE.firstRow(hidden) + j];
                double aO = a[aRow + Gate.OUTPUT.firstRow(hidden) + j];
                double before = cPrevious[cBefore + j];
                double i = gate(aI);
                double f = coupled ? 1 - i : gate(aF);
                double g = candidate(aG);
                double o = gate(aO);
                double unlimited = f * before + i * g;
                double cell = limit(unlimited, clip);
                double shown = activations.output().value(cell);
                m[j] = o * shown;
                double daO = gradient(activations.gates(), aO, o, dm[j] * shown);
                double dCell = dc[j] + activations.output().gradient(cell, shown, dm[j] * o);
                if (peepholes >= 0) {
                    dCell += daO * peephole(OUTPUT_SEES, j);
                }
                if (cell != unlimited) {
                    dCell = 0;
                }
                double dI = coupled ? dCell * g - dCell * before : dCell * g;
                double daI = gradient(activations.gates(), aI, i, dI);
                double daF = coupled ? 0 : gradient(activations.gates(), aF, f, dCell * before);
                da[Gate.INPUT.firstRow(hidden) + j] = daI;
                da[Gate.FORGET.firstRow(hidden) + j] = daF;
                da[Gate.CANDIDATE.firstRow(hidden) + j] = gradient(activations.candidate(), aG, g, dCell * i);
                da[Gate.OUTPUT.firstRow(hidden) + j] = daO;
                dc[j] = dCell * f;
                if (peepholes >= 0) {
                    dc[j] += daI * peephole(INPUT_SEES, j) + daF * peephole(FORGET_SEES, j);
                    if (gradients != null) {
                        double[] d = gradients.values();
                        int dp = gradients.shift() + peepholes + j;
                        d[dp + INPUT_SEES * hidden] += daI * before;
                        d[dp + FORGET_SEES * hidden] += daF * before;
                        d[dp + OUTPUT_SEES * hidden] += daO * cell;
                    }
                }
            }
            int xRow = x.at(t, n.index());
            if (gradients != null) {
                accumulate(gradients, da, dh, m, x.values(), xRow, trace.h().values(), hBefore);
            }
            if (dx != null) {
                int dxRow = dx.at(t, n.index());
                for (int row = 0; row < Gate.COUNT * hidden; row++) {
                    for (int k = 0; k < inputs; k++) {
                        dx.values()[dxRow + k] += weights[w + row * inputs + k] * da[row];
                    }
                }
            }
            Arrays.fill(dh, 0);
            for (int row = 0; row < Gate.COUNT * hidden; row++) {
                for (int k = 0; k < outputs; k++) {
                    dh[k] += weights[r + row * outputs + k] * da[row];
                }
            }
        }
    }

    private void accumulate(
            Gradients gradients,
            double[] da,
            double[] dh,
            double[] m,
            double[] x,
            int xRow,
            double[] hPrevious,
            int hBefore) {
        double[] d = gradients.values();
        int shift = gradients.shift();
        for (int row = 0; row < Gate.COUNT * hidden; row++) {
            if (b >= 0) {
                d[shift + b + row] += da[row];
            }
            for (int k = 0; k < inputs; k++) {
                d[shift + w + row * inputs + k] += da[row] * x[xRow + k];
            }
            for (int k = 0; k < outputs; k++) {
                d[shift + r + row * outputs + k] += da[row] * hPrevious[hBefore + k];
            }
        }
        if (projected) {
            for (int k = 0; k < outputs; k++) {
                for (int j = 0; j < hidden; j++) {
                    d[shift + p + k * hidden + j] += dh[k] * m[j];
                }
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
