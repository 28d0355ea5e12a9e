package carousel.engine.reference;

import carousel.engine.CellActivation;
import carousel.engine.Gate;
import carousel.engine.LstmActivations;
import carousel.engine.LstmLayout;
import carousel.engine.LstmSpec;
import carousel.engine.ParameterView;
import carousel.engine.RandomKey;
import carousel.engine.reference.ReferenceCell.Sequence;
import java.util.Arrays;

/**
 * The equations of {@link ReferenceCell}, forward and backward, over numbers that carry their derivative along a direction. Values
 * are computed by the same operations in the same order as there; so they are the same to the last bit, and what is left to prove
 * is the derivatives.
 */
final class ReferenceDualCell {
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
    private final LstmLayout.Cell views;
    private final DualNumber[] w;
    private final DualNumber[] r;
    private final DualNumber[] b;
    private final DualNumber[] p;
    private final DualNumber[] peepholes;
    private final DualNumber[] gateNorm;
    private final DualNumber[] cellNorm;
    /** {@code d_R}. */
    private final double[] keptWeights;
    /** {@code d_R * R}. */
    private final DualNumber[] recurrent;

    /**
     * @param state which cell: layer * cells + cell
     * @param parameters the whole stack's parameters
     * @param dropout of the call, or null
     */
    ReferenceDualCell(
            LstmSpec spec, LstmLayout layout, int state, Numbers parameters, RandomKey dropout, int batchSize) {
        int layer = state / spec.direction().cells();
        int index = state % spec.direction().cells();
        this.views = layout.cell(state);
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
        this.w = parameters.read(views.inputWeights());
        this.r = parameters.read(views.recurrentWeights());
        this.b = parameters.read(views.bias());
        this.p = parameters.read(views.projection());
        this.peepholes = parameters.read(views.peepholes());
        this.gateNorm = parameters.read(views.gateNormalization());
        this.cellNorm = parameters.read(views.cellNormalization());
        this.keptWeights = masks.recurrentWeights(rows);
        this.recurrent = new DualNumber[rows * outputs];
        Arrays.setAll(recurrent, element -> r[element].times(keptWeights[element]));
    }

    /**
     * Runs sequence {@code n}.
     *
     * @param x {@code [T, N, inputs]}
     * @param y {@code [T, N, width]}; this cell writes its {@code outputs} columns from {@code column}
     * @param h in: the initial state, out: the last one, {@code [outputs]}
     * @param c likewise, {@code [hidden]}
     * @param before gets the state before each step; null where there is no way back
     */
    void forward(
            Sequence n,
            DualRows x,
            DualRows y,
            int column,
            DualNumber[] h,
            DualNumber[] c,
            ReferenceDualTape.Cell before) {
        for (int step = 0; step < n.length(); step++) {
            int t = n.time(step, reversed);
            if (before != null) {
                before.h().write(t, n.index(), 0, h);
                before.c().write(t, n.index(), 0, c);
            }
            Step now = new Step(t, n.index(), x.read(t, n.index(), 0, inputs), h, c);
            System.arraycopy(now.h, 0, h, 0, outputs);
            System.arraycopy(now.c, 0, c, 0, hidden);
            y.write(t, n.index(), column, h);
        }
        for (int t = n.length(); t < n.timeSteps(); t++) {
            y.write(t, n.index(), column, DualNumber.zeros(outputs));
        }
    }

    /** One step from the state before it. */
    private final class Step {
        private final int t;
        private final int n;
        private final DualNumber[] x;
        private final DualNumber[] hPrevious;
        private final DualNumber[] cPrevious;
        private final DualNumber[] hSeen = new DualNumber[outputs];
        private final Normalized u;
        private final Normalized v;
        private final DualNumber[] a = new DualNumber[rows];
        private final DualNumber[] i = new DualNumber[hidden];
        private final DualNumber[] f = new DualNumber[hidden];
        private final DualNumber[] g = new DualNumber[hidden];
        private final DualNumber[] o = new DualNumber[hidden];
        private final DualNumber[] unlimited = new DualNumber[hidden];
        private final Normalized cell;
        private final DualNumber[] s = new DualNumber[hidden];
        private final DualNumber[] psi = new DualNumber[hidden];
        private final DualNumber[] m = new DualNumber[hidden];
        private final DualNumber[] h = new DualNumber[outputs];
        private final DualNumber[] c = new DualNumber[hidden];

        Step(int t, int n, DualNumber[] x, DualNumber[] hPrevious, DualNumber[] cPrevious) {
            this.t = t;
            this.n = n;
            this.x = x;
            this.hPrevious = hPrevious.clone();
            this.cPrevious = cPrevious.clone();
            for (int k = 0; k < outputs; k++) {
                hSeen[k] = hPrevious[k].times(masks.recurrent(n, k));
            }
            u = new Normalized(product(w, x, rows));
            v = new Normalized(product(recurrent, hSeen, rows));
            for (int row = 0; row < rows; row++) {
                DualNumber bias = b == null ? DualNumber.ZERO : b[row];
                a[row] = normalized
                        ? bias.plus(gateNorm[row].times(u.n[row])).plus(gateNorm[rows + row].times(v.n[row]))
                        : bias.plus(u.q[row]).plus(v.q[row]);
            }
            DualNumber[] limited = new DualNumber[hidden];
            for (int j = 0; j < hidden; j++) {
                limited[j] = carry(j);
            }
            cell = new Normalized(limited);
            for (int j = 0; j < hidden; j++) {
                s[j] = normalized ? cellNorm[j].times(cell.n[j]).plus(cellNorm[hidden + j]) : cell.q[j];
                psi[j] = apply(activations.output(), s[j]);
                m[j] = o[j].times(psi[j]);
                double held = masks.zoneoutCell(t, n, j);
                c[j] = cPrevious[j].times(held).plus(cell.q[j].times(1 - held));
            }
            DualNumber[] shown = projected ? product(p, m, outputs) : m;
            for (int k = 0; k < outputs; k++) {
                double held = masks.zoneoutHidden(t, n, k);
                h[k] = hPrevious[k].times(held).plus(shown[k].times(1 - held));
            }
        }

        /** The gates of unit j and its new cell. */
        private DualNumber carry(int j) {
            DualNumber before = cPrevious[j];
            int input = Gate.INPUT.firstRow(hidden) + j;
            int forget = Gate.FORGET.firstRow(hidden) + j;
            int output = Gate.OUTPUT.firstRow(hidden) + j;
            if (peepholes != null) {
                a[input] = a[input].plus(peephole(INPUT_SEES, j).times(before));
                a[forget] = a[forget].plus(peephole(FORGET_SEES, j).times(before));
            }
            i[j] = apply(activations.gates(), limit(a[input], gateClip));
            f[j] = coupled
                    ? DualNumber.constant(1).minus(i[j])
                    : apply(activations.gates(), limit(a[forget], gateClip));
            g[j] = apply(activations.candidate(), limit(a[Gate.CANDIDATE.firstRow(hidden) + j], gateClip));
            unlimited[j] = f[j].times(before).plus(i[j].times(g[j].times(masks.candidate(t, n, j))));
            DualNumber carried = limit(unlimited[j], clip);
            if (peepholes != null) {
                a[output] = a[output].plus(peephole(OUTPUT_SEES, j).times(carried));
            }
            o[j] = apply(activations.gates(), limit(a[output], gateClip));
            return carried;
        }
    }

    /**
     * Goes back through sequence {@code n}.
     *
     * @param dy the gradient of y
     * @param dx gets this cell's share added; null when not wanted
     * @param gradients of the stack's parameters, added to
     * @param dh in: the gradient of the last state, out: of the initial one
     * @param dc likewise
     * @param before the state before each step
     */
    void backward(
            Sequence n,
            DualRows x,
            DualRows dy,
            int column,
            DualRows dx,
            Numbers gradients,
            DualNumber[] dh,
            DualNumber[] dc,
            ReferenceDualTape.Cell before) {
        for (int step = n.length() - 1; step >= 0; step--) {
            int t = n.time(step, reversed);
            Step now = new Step(
                    t,
                    n.index(),
                    x.read(t, n.index(), 0, inputs),
                    before.h().read(t, n.index(), 0, outputs),
                    before.c().read(t, n.index(), 0, hidden));
            DualNumber[] shown = dy.read(t, n.index(), column, outputs);
            DualNumber[] dHidden = new DualNumber[outputs];
            for (int k = 0; k < outputs; k++) {
                dh[k] = dh[k].plus(shown[k]);
                dHidden[k] = dh[k].times(1 - masks.zoneoutHidden(t, n.index(), k));
            }
            DualNumber[] dm = dHidden;
            if (projected) {
                dm = transposedProduct(p, dHidden, hidden);
                gradients.addOuter(views.projection(), dHidden, now.m);
            }
            DualNumber[] ds = new DualNumber[hidden];
            for (int j = 0; j < hidden; j++) {
                ds[j] = gradient(activations.output(), now.s[j], now.psi[j], dm[j].times(now.o[j]));
            }
            if (normalized) {
                for (int j = 0; j < hidden; j++) {
                    gradients.add(views.cellNormalization(), j, ds[j].times(now.cell.n[j]));
                    gradients.add(views.cellNormalization(), hidden + j, ds[j]);
                    ds[j] = ds[j].times(cellNorm[j]);
                }
                now.cell.backward(ds);
            }
            DualNumber[] da = new DualNumber[rows];
            for (int j = 0; j < hidden; j++) {
                cellBackward(now, j, dm[j].times(now.psi[j]), ds[j], da, dc, gradients);
            }
            DualNumber[] du = da.clone();
            DualNumber[] dv = da.clone();
            for (int row = 0; row < rows; row++) {
                if (b != null) {
                    gradients.add(views.bias(), row, da[row]);
                }
                if (normalized) {
                    gradients.add(views.gateNormalization(), row, da[row].times(now.u.n[row]));
                    gradients.add(views.gateNormalization(), rows + row, da[row].times(now.v.n[row]));
                    du[row] = du[row].times(gateNorm[row]);
                    dv[row] = dv[row].times(gateNorm[rows + row]);
                }
            }
            if (normalized) {
                now.u.backward(du);
                now.v.backward(dv);
            }
            gradients.addOuter(views.inputWeights(), du, now.x);
            for (int row = 0; row < rows; row++) {
                for (int k = 0; k < outputs; k++) {
                    DualNumber share = dv[row].times(now.hSeen[k]).times(keptWeights[row * outputs + k]);
                    gradients.add(views.recurrentWeights(), row * outputs + k, share);
                }
            }
            if (dx != null) {
                DualNumber[] sum = dx.read(t, n.index(), 0, inputs);
                addTransposedProduct(w, du, sum);
                dx.write(t, n.index(), 0, sum);
            }
            DualNumber[] dSeen = transposedProduct(recurrent, dv, outputs);
            for (int k = 0; k < outputs; k++) {
                dh[k] = dh[k].times(masks.zoneoutHidden(t, n.index(), k))
                        .plus(dSeen[k].times(masks.recurrent(n.index(), k)));
            }
        }
    }

    /** One unit's way back from {@code do} and {@code ds} to {@code da} and {@code dc_prev}. */
    private void cellBackward(
            Step now, int j, DualNumber dO, DualNumber ds, DualNumber[] da, DualNumber[] dc, Numbers gradients) {
        int input = Gate.INPUT.firstRow(hidden) + j;
        int forget = Gate.FORGET.firstRow(hidden) + j;
        int candidate = Gate.CANDIDATE.firstRow(hidden) + j;
        int output = Gate.OUTPUT.firstRow(hidden) + j;
        DualNumber before = now.cPrevious[j];
        double held = masks.zoneoutCell(now.t, now.n, j);
        double kept = masks.candidate(now.t, now.n, j);
        da[output] = gateGradient(activations.gates(), now.a[output], now.o[j], dO);
        DualNumber dCell = dc[j].times(1 - held).plus(ds);
        if (peepholes != null) {
            dCell = dCell.plus(da[output].times(peephole(OUTPUT_SEES, j)));
        }
        if (now.cell.q[j].value() != now.unlimited[j].value()) {
            dCell = DualNumber.ZERO;
        }
        DualNumber dI = dCell.times(now.g[j].times(kept)).minus(coupled ? dCell.times(before) : DualNumber.ZERO);
        DualNumber dG = dCell.times(now.i[j]).times(kept);
        da[input] = gateGradient(activations.gates(), now.a[input], now.i[j], dI);
        da[forget] = coupled
                ? DualNumber.ZERO
                : gateGradient(activations.gates(), now.a[forget], now.f[j], dCell.times(before));
        da[candidate] = gateGradient(activations.candidate(), now.a[candidate], now.g[j], dG);
        dc[j] = dc[j].times(held).plus(dCell.times(now.f[j]));
        if (peepholes != null) {
            dc[j] = dc[j].plus(
                    da[input].times(peephole(INPUT_SEES, j)).plus(da[forget].times(peephole(FORGET_SEES, j))));
            gradients.add(views.peepholes(), INPUT_SEES * hidden + j, da[input].times(before));
            gradients.add(views.peepholes(), FORGET_SEES * hidden + j, da[forget].times(before));
            gradients.add(views.peepholes(), OUTPUT_SEES * hidden + j, da[output].times(now.cell.q[j]));
        }
    }

    private DualNumber peephole(int row, int j) {
        return peepholes[row * hidden + j];
    }

    /** {@code f(x)}, and {@code f'(x)} times the tangent of x. */
    private static DualNumber apply(CellActivation activation, DualNumber x) {
        double y = activation.value(x.value());
        return new DualNumber(y, activation.gradient(x.value(), y, x.tangent()));
    }

    /** {@code dy f'(x)}: its tangent has a share of dy's and, by the second derivative, one of x's. */
    private static DualNumber gradient(CellActivation activation, DualNumber x, DualNumber y, DualNumber dy) {
        return new DualNumber(
                activation.gradient(x.value(), y.value(), dy.value()),
                activation.gradient(x.value(), y.value(), dy.tangent())
                        + activation.curvature(x.value(), y.value(), dy.value() * x.tangent()));
    }

    /** The gradient of a pre-activation from that of its gate {@code y}. */
    private DualNumber gateGradient(CellActivation activation, DualNumber a, DualNumber y, DualNumber dy) {
        return limit(a, gateClip).value() == a.value() ? gradient(activation, a, y, dy) : DualNumber.ZERO;
    }

    /** Limits a value to plus or minus the bound, 0 being none; where the limit acts nothing changes any more. */
    private static DualNumber limit(DualNumber a, double bound) {
        if (bound == 0) {
            return a;
        }
        double limited = Math.max(-bound, Math.min(bound, a.value()));
        return limited == a.value() ? a : DualNumber.constant(limited);
    }

    /** {@code A x}. */
    private static DualNumber[] product(DualNumber[] matrix, DualNumber[] x, int rows) {
        DualNumber[] y = new DualNumber[rows];
        for (int row = 0; row < rows; row++) {
            y[row] = DualNumber.ZERO;
            for (int k = 0; k < x.length; k++) {
                y[row] = y[row].plus(matrix[row * x.length + k].times(x[k]));
            }
        }
        return y;
    }

    /** {@code A^T y}. */
    private static DualNumber[] transposedProduct(DualNumber[] matrix, DualNumber[] y, int columns) {
        DualNumber[] x = DualNumber.zeros(columns);
        addTransposedProduct(matrix, y, x);
        return x;
    }

    /** {@code x += A^T y}. */
    private static void addTransposedProduct(DualNumber[] matrix, DualNumber[] y, DualNumber[] x) {
        for (int row = 0; row < y.length; row++) {
            for (int k = 0; k < x.length; k++) {
                x[k] = x[k].plus(matrix[row * x.length + k].times(y[row]));
            }
        }
    }

    /** A vector {@code q} and, where the cell is normalised, {@code LN(q)} without gain and offset. */
    private final class Normalized {
        private final DualNumber[] q;
        private final DualNumber[] n;
        private final DualNumber deviation;

        Normalized(DualNumber[] q) {
            this.q = q;
            DualNumber sum = DualNumber.ZERO;
            for (DualNumber value : q) {
                sum = sum.plus(value);
            }
            DualNumber mean = sum.over(q.length);
            DualNumber squares = DualNumber.ZERO;
            for (DualNumber value : q) {
                squares = squares.plus(value.minus(mean).times(value.minus(mean)));
            }
            DualNumber variance = squares.over(q.length);
            deviation = variance.plus(DualNumber.constant(LstmSpec.NORMALIZATION_EPSILON))
                    .root();
            n = new DualNumber[q.length];
            Arrays.setAll(n, e -> q[e].minus(mean).over(deviation));
        }

        /** Replaces the gradient of n by that of q: {@code dq = (dn - mean(dn) - n mean(dn * n)) / deviation}. */
        void backward(DualNumber[] d) {
            DualNumber sum = DualNumber.ZERO;
            DualNumber product = DualNumber.ZERO;
            for (int e = 0; e < d.length; e++) {
                sum = sum.plus(d[e]);
                product = product.plus(d[e].times(n[e]));
            }
            for (int e = 0; e < d.length; e++) {
                DualNumber along = n[e].times(product).over(d.length);
                d[e] = d[e].minus(sum.over(d.length)).minus(along).over(deviation);
            }
        }
    }

    /**
     * A tensor {@code [T, N, width]} and its tangent as rows.
     *
     * @param value null for zero, or where it is not wanted
     * @param tangent likewise
     */
    record DualRows(ReferenceCell.Rows value, ReferenceCell.Rows tangent) {
        DualNumber[] read(int t, int n, int column, int count) {
            DualNumber[] numbers = new DualNumber[count];
            Arrays.setAll(numbers, k -> new DualNumber(read(value, t, n, column + k), read(tangent, t, n, column + k)));
            return numbers;
        }

        private static double read(ReferenceCell.Rows rows, int t, int n, int column) {
            return rows == null ? 0 : rows.values()[rows.at(t, n) + column];
        }

        void write(int t, int n, int column, DualNumber[] numbers) {
            for (int k = 0; k < numbers.length; k++) {
                if (value != null) {
                    value.values()[value.at(t, n) + column + k] = numbers[k].value();
                }
                if (tangent != null) {
                    tangent.values()[tangent.at(t, n) + column + k] = numbers[k].tangent();
                }
            }
        }
    }

    /**
     * Parameters, or their gradients, and their tangents.
     *
     * @param value from {@code start}; null where they are not wanted
     * @param tangent from {@code tangentStart}; null for zero or where they are not wanted
     */
    record Numbers(double[] value, int start, double[] tangent, int tangentStart) {
        /** A copy of some of them; null of none. */
        DualNumber[] read(ParameterView view) {
            if (view == null) {
                return null;
            }
            int first = Math.toIntExact(view.offset());
            DualNumber[] numbers = new DualNumber[Math.toIntExact(view.shape().elements())];
            Arrays.setAll(
                    numbers,
                    e -> new DualNumber(
                            value[start + first + e], tangent == null ? 0 : tangent[tangentStart + first + e]));
            return numbers;
        }

        void add(ParameterView view, int element, DualNumber number) {
            int e = Math.toIntExact(view.offset()) + element;
            if (value != null) {
                value[start + e] += number.value();
            }
            if (tangent != null) {
                tangent[tangentStart + e] += number.tangent();
            }
        }

        /** {@code A += left right^T}. */
        void addOuter(ParameterView view, DualNumber[] left, DualNumber[] right) {
            for (int row = 0; row < left.length; row++) {
                for (int k = 0; k < right.length; k++) {
                    add(view, row * right.length + k, left[row].times(right[k]));
                }
            }
        }
    }
}
