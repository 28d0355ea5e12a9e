package carousel.engine.reference;

import carousel.engine.Gate;
import carousel.engine.LstmLayout;
import carousel.engine.LstmSpec;
import carousel.engine.ParameterView;
import java.util.Arrays;

/**
 * One LSTM cell, that is, one direction of one layer: its equations over one sequence, forward and backward.
 *
 * <p>Forward, for each step with input {@code x}, {@code sigma} the logistic function and {@code *} elementwise:
 *
 * <pre>
 *   a = b + W x + R h_prev
 *   i = sigma(a_i)   f = sigma(a_f)   g = tanh(a_g)   o = sigma(a_o)
 *   c = limit(f * c_prev + i * g)
 *   m = o * tanh(c)
 *   h = W_p m                          without a projection, h = m
 * </pre>
 *
 * <p>Backward, with {@code dh} the sum of what the loss and the next step say about {@code h}, and {@code dc} what the next
 * step says about {@code c} (Hochreiter &amp; Schmidhuber 1997; in full, Graves &amp; Schmidhuber 2005):
 *
 * <pre>
 *   dm   = W_p^T dh                    dW_p += dh m^T
 *   do   = dm * tanh(c)
 *   dc  += dm * o * (1 - tanh(c)^2)    then 0 where the limit acted
 *   di   = dc * g      df = dc * c_prev      dg = dc * i
 *   da_i = di * i * (1 - i)            and so for f and o;   da_g = dg * (1 - g^2)
 *   db  += da          dW += da x^T    dR += da h_prev^T
 *   dx   = W^T da      dh_prev = R^T da      dc_prev = dc * f
 * </pre>
 *
 * The last equation is the carousel: from step to step, {@code dc} is only ever multiplied by {@code f}.
 */
final class ReferenceCell {
    private final int inputs;
    private final int hidden;
    private final int outputs;
    private final boolean projected;
    private final double clip;
    private final boolean reversed;
    private final double[] weights;
    private final int w;
    private final int r;
    private final int b;
    private final int p;

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
        this.reversed = spec.direction().reversed(state % spec.direction().cells());
        this.weights = parameters;
        this.w = at(start, cell.inputWeights());
        this.r = at(start, cell.recurrentWeights());
        this.b = at(start, cell.bias());
        this.p = at(start, cell.projection());
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
                double i = sigmoid(a[Gate.INPUT.firstRow(hidden) + j]);
                double f = sigmoid(a[Gate.FORGET.firstRow(hidden) + j]);
                double g = Math.tanh(a[Gate.CANDIDATE.firstRow(hidden) + j]);
                double o = sigmoid(a[Gate.OUTPUT.firstRow(hidden) + j]);
                c[j] = limit(f * c[j] + i * g);
                m[j] = o * Math.tanh(c[j]);
                if (trace != null) {
                    trace.gates(t, n.index(), j, i, f, g, o);
                }
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
            int gates = trace.gates().at(t, n.index());
            int hBefore = trace.h().at(t, n.index());
            int cBefore = trace.c().at(t, n.index());
            double[] gate = trace.gates().values();
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
                double i = gate[gates + Gate.INPUT.firstRow(hidden) + j];
                double f = gate[gates + Gate.FORGET.firstRow(hidden) + j];
                double g = gate[gates + Gate.CANDIDATE.firstRow(hidden) + j];
                double o = gate[gates + Gate.OUTPUT.firstRow(hidden) + j];
                double unlimited = f * cPrevious[cBefore + j] + i * g;
                double tanhC = Math.tanh(limit(unlimited));
                m[j] = o * tanhC;
                double dOutput = dm[j] * tanhC;
                double dCell = dc[j] + dm[j] * o * (1 - tanhC * tanhC);
                if (limit(unlimited) != unlimited) {
                    dCell = 0;
                }
                da[Gate.INPUT.firstRow(hidden) + j] = dCell * g * i * (1 - i);
                da[Gate.FORGET.firstRow(hidden) + j] = dCell * cPrevious[cBefore + j] * f * (1 - f);
                da[Gate.CANDIDATE.firstRow(hidden) + j] = dCell * i * (1 - g * g);
                da[Gate.OUTPUT.firstRow(hidden) + j] = dOutput * o * (1 - o);
                dc[j] = dCell * f;
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

    private double limit(double value) {
        return clip == 0 ? value : Math.max(-clip, Math.min(clip, value));
    }

    private static double sigmoid(double x) {
        return 1 / (1 + Math.exp(-x));
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
