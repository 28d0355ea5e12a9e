package carousel.engine.vector;

import carousel.engine.CellActivation;
import carousel.engine.Gate;
import carousel.engine.LstmSpec;

/**
 * One step of one sequence in one cell, forward and back, elementwise, with tangents: the equations of {@code ReferenceCell} between
 * its products, with the names they have there. One thread works in it.
 */
final class DualStep {
    private final Kernels kernels;
    private final LstmSpec spec;
    private final int hidden;
    private final int rows;
    private final int input;
    private final int forget;
    private final int candidate;
    private final int output;
    private final float clip;
    private final float gateClip;
    private final boolean coupled;
    /** The shares of the pre-activations; without normalisation {@code u.q} is all of them but the peepholes'. */
    final DualNormalization u;

    final DualNormalization v;
    final DualFloats before;
    /** {@code d_g} and {@code z_c}, for the caller to fill. */
    final float[] kept;

    final float[] held;
    /** The new cell state and {@code o * psi(s)}. */
    final DualFloats c;

    final DualFloats m;
    /** The gradients that a way back starts from and ends with. */
    final DualFloats dm;

    final DualFloats dc;
    final DualFloats du;
    final DualFloats dv;
    private final DualFloats a;
    private final DualFloats i;
    private final DualFloats f;
    private final DualFloats g;
    private final DualFloats o;
    private final DualNormalization cell;
    private final DualFloats s;
    private final DualFloats psi;
    private final DualFloats da;
    private final DualFloats ds;
    private final DualFloats local;
    private final DualFloats other;
    /** 1 where a limit lets through, otherwise 0: of pre-activations, and of the cell. */
    private final float[] open;

    private final float[] openCell;

    DualStep(Kernels kernels, LstmSpec spec) {
        this.kernels = kernels;
        this.spec = spec;
        this.hidden = spec.hiddenSize();
        this.rows = Gate.COUNT * hidden;
        this.input = Gate.INPUT.firstRow(hidden);
        this.forget = Gate.FORGET.firstRow(hidden);
        this.candidate = Gate.CANDIDATE.firstRow(hidden);
        this.output = Gate.OUTPUT.firstRow(hidden);
        this.clip = (float) spec.cellClip();
        this.gateClip = (float) spec.gateClip();
        this.coupled = spec.coupledGates();
        u = new DualNormalization(rows);
        v = new DualNormalization(rows);
        before = DualFloats.zeros(hidden);
        kept = new float[hidden];
        held = new float[hidden];
        c = DualFloats.zeros(hidden);
        m = DualFloats.zeros(hidden);
        dm = DualFloats.zeros(hidden);
        dc = DualFloats.zeros(hidden);
        du = DualFloats.zeros(rows);
        dv = DualFloats.zeros(rows);
        a = DualFloats.zeros(rows);
        i = DualFloats.zeros(hidden);
        f = DualFloats.zeros(hidden);
        g = DualFloats.zeros(hidden);
        o = DualFloats.zeros(hidden);
        cell = new DualNormalization(hidden);
        s = DualFloats.zeros(hidden);
        psi = DualFloats.zeros(hidden);
        da = DualFloats.zeros(rows);
        ds = DualFloats.zeros(hidden);
        local = DualFloats.zeros(hidden);
        other = DualFloats.zeros(hidden);
        open = new float[rows];
        openCell = new float[hidden];
    }

    /**
     * A cell's parameters that are not matrices of a product.
     *
     * @param bias {@code b [4H]}
     * @param peepholes of i, f and o, {@code [3, H]}; null without
     * @param gateNorm {@code gamma_u, gamma_v [2, 4H]}; null without
     * @param cellNorm {@code gamma_c, beta_c [2, H]}; null without
     */
    record Small(DualFloats bias, DualFloats peepholes, DualFloats gateNorm, DualFloats cellNorm) {}

    /** From {@code u}, {@code v} and the previous cell to c and m. */
    void forward(Small weights) {
        if (spec.layerNormalization()) {
            u.forward();
            v.forward();
            weights.bias().copy(0, a, 0, rows);
            DualFloats.addProduct(weights.gateNorm(), 0, u.n, 0, a, 0, rows);
            DualFloats.addProduct(weights.gateNorm(), rows, v.n, 0, a, 0, rows);
        } else {
            u.q.copy(0, a, 0, rows);
        }
        if (spec.peepholes()) {
            DualFloats.addProduct(weights.peepholes(), 0, before, 0, a, input, hidden);
            DualFloats.addProduct(weights.peepholes(), hidden, before, 0, a, forget, hidden);
        }
        limit(a, 0, output, gateClip, open);
        apply(spec.activations().gates(), a, input, i);
        if (coupled) {
            for (int j = 0; j < hidden; j++) {
                f.value()[j] = 1 - i.value()[j];
                f.tangent()[j] = -i.tangent()[j];
            }
        } else {
            apply(spec.activations().gates(), a, forget, f);
        }
        apply(spec.activations().candidate(), a, candidate, g);
        keepCandidate();
        DualFloats.multiply(f, 0, before, 0, cell.q, 0, hidden);
        DualFloats.addProduct(i, 0, local, 0, cell.q, 0, hidden);
        limit(cell.q, 0, hidden, clip, openCell);
        if (spec.peepholes()) {
            DualFloats.addProduct(weights.peepholes(), 2 * hidden, cell.q, 0, a, output, hidden);
        }
        limit(a, output, hidden, gateClip, open);
        apply(spec.activations().gates(), a, output, o);
        if (spec.layerNormalization()) {
            cell.forward();
            weights.cellNorm().copy(hidden, s, 0, hidden);
            DualFloats.addProduct(weights.cellNorm(), 0, cell.n, 0, s, 0, hidden);
        } else {
            cell.q.copy(0, s, 0, hidden);
        }
        apply(spec.activations().output(), s, 0, psi);
        DualFloats.multiply(o, 0, psi, 0, m, 0, hidden);
        if (spec.zoneoutCell() > 0) {
            DualFloats.mix(held, 0, before, 0, cell.q, 0, c, 0, hidden);
        } else {
            cell.q.copy(0, c, 0, hidden);
        }
    }

    /**
     * After {@link #forward}: from {@code dm} and {@code dc} to {@code du}, {@code dv} and, in {@code dc}, the previous cell's gradient.
     *
     * @param gradients of the small parameters, added to
     */
    void backward(Small weights, Small gradients) {
        DualFloats.multiply(dm, 0, o, 0, local, 0, hidden);
        gradient(spec.activations().output(), s, 0, psi, local, ds, 0);
        if (spec.layerNormalization()) {
            DualFloats.addProduct(ds, 0, cell.n, 0, gradients.cellNorm(), 0, hidden);
            DualFloats.add(ds, 0, gradients.cellNorm(), hidden, hidden);
            DualFloats.multiply(ds, 0, weights.cellNorm(), 0, ds, 0, hidden);
            cell.backward(ds);
        }
        DualFloats.multiply(dm, 0, psi, 0, local, 0, hidden);
        gateGradient(spec.activations().gates(), output, o, local);
        // From here on ds is the gradient of the new cell.
        if (spec.zoneoutCell() > 0) {
            for (int j = 0; j < hidden; j++) {
                ds.value()[j] += (1 - held[j]) * dc.value()[j];
                ds.tangent()[j] += (1 - held[j]) * dc.tangent()[j];
            }
        } else {
            DualFloats.add(dc, 0, ds, 0, hidden);
        }
        if (spec.peepholes()) {
            DualFloats.addProduct(da, output, weights.peepholes(), 2 * hidden, ds, 0, hidden);
        }
        if (clip > 0) {
            DualFloats.scale(ds, 0, openCell, 0, ds, 0, hidden);
        }
        keepCandidate();
        DualFloats.multiply(ds, 0, local, 0, local, 0, hidden);
        DualFloats.multiply(ds, 0, before, 0, other, 0, hidden);
        if (coupled) {
            for (int j = 0; j < hidden; j++) {
                local.value()[j] -= other.value()[j];
                local.tangent()[j] -= other.tangent()[j];
            }
            da.clear(forget, hidden);
        } else {
            gateGradient(spec.activations().gates(), forget, f, other);
        }
        gateGradient(spec.activations().gates(), input, i, local);
        DualFloats.multiply(ds, 0, i, 0, local, 0, hidden);
        if (spec.candidateDropout() > 0) {
            DualFloats.scale(local, 0, kept, 0, local, 0, hidden);
        }
        gateGradient(spec.activations().candidate(), candidate, g, local);
        if (spec.zoneoutCell() > 0) {
            DualFloats.scale(dc, 0, held, 0, dc, 0, hidden);
            DualFloats.addProduct(ds, 0, f, 0, dc, 0, hidden);
        } else {
            DualFloats.multiply(ds, 0, f, 0, dc, 0, hidden);
        }
        if (spec.peepholes()) {
            DualFloats.addProduct(da, input, weights.peepholes(), 0, dc, 0, hidden);
            DualFloats.addProduct(da, forget, weights.peepholes(), hidden, dc, 0, hidden);
            DualFloats.addProduct(da, input, before, 0, gradients.peepholes(), 0, hidden);
            DualFloats.addProduct(da, forget, before, 0, gradients.peepholes(), hidden, hidden);
            DualFloats.addProduct(da, output, cell.q, 0, gradients.peepholes(), 2 * hidden, hidden);
        }
        DualFloats.add(da, 0, gradients.bias(), 0, rows);
        if (spec.layerNormalization()) {
            DualFloats.addProduct(da, 0, u.n, 0, gradients.gateNorm(), 0, rows);
            DualFloats.addProduct(da, 0, v.n, 0, gradients.gateNorm(), rows, rows);
            DualFloats.multiply(da, 0, weights.gateNorm(), 0, du, 0, rows);
            DualFloats.multiply(da, 0, weights.gateNorm(), rows, dv, 0, rows);
            u.backward(du);
            v.backward(dv);
        } else {
            da.copy(0, du, 0, rows);
        }
    }

    /** {@code d_g * g}, in {@link #local}. */
    private void keepCandidate() {
        if (spec.candidateDropout() > 0) {
            DualFloats.scale(g, 0, kept, 0, local, 0, hidden);
        } else {
            g.copy(0, local, 0, hidden);
        }
    }

    /** Limits numbers to plus or minus the bound, 0 being none, and notes where it lets through. */
    private static void limit(DualFloats x, int from, int count, float bound, float[] open) {
        for (int e = from; bound > 0 && e < from + count; e++) {
            float value = x.value()[e];
            boolean through = value >= -bound && value <= bound;
            open[e] = through ? 1 : 0;
            if (!through) {
                x.value()[e] = Math.max(-bound, Math.min(bound, value));
                x.tangent()[e] = 0;
            }
        }
    }

    /** {@code y = function(x)}. */
    private void apply(CellActivation function, DualFloats x, int from, DualFloats y) {
        switch (function.kind()) {
            case SIGMOID -> {
                kernels.logistic(x.value(), from, y.value(), 0, hidden);
                for (int j = 0; j < hidden; j++) {
                    float value = y.value()[j];
                    y.tangent()[j] = x.tangent()[from + j] * value * (1 - value);
                }
            }
            case TANH -> {
                kernels.tanh(x.value(), from, y.value(), 0, hidden);
                for (int j = 0; j < hidden; j++) {
                    float value = y.value()[j];
                    y.tangent()[j] = x.tangent()[from + j] * (1 - value * value);
                }
            }
            default -> {
                for (int j = 0; j < hidden; j++) {
                    double value = function.value(x.value()[from + j]);
                    y.value()[j] = (float) value;
                    y.tangent()[j] = (float) function.gradient(x.value()[from + j], value, x.tangent()[from + j]);
                }
            }
        }
    }

    private void gateGradient(CellActivation function, int from, DualFloats y, DualFloats dy) {
        gradient(function, a, from, y, dy, da, from);
        if (gateClip > 0) {
            DualFloats.scale(da, from, open, from, da, from, hidden);
        }
    }

    /** {@code dx = dy function'(x)}, from {@code y = function(x)}. */
    private void gradient(
            CellActivation function, DualFloats x, int from, DualFloats y, DualFloats dy, DualFloats dx, int to) {
        switch (function.kind()) {
            case SIGMOID -> {
                for (int j = 0; j < hidden; j++) {
                    float value = y.value()[j];
                    float slope = value * (1 - value);
                    float bend = dy.value()[j] * x.tangent()[from + j] * (1 - 2 * value);
                    dx.value()[to + j] = dy.value()[j] * slope;
                    dx.tangent()[to + j] = (dy.tangent()[j] + bend) * slope;
                }
            }
            case TANH -> {
                for (int j = 0; j < hidden; j++) {
                    float value = y.value()[j];
                    float slope = 1 - value * value;
                    float bend = -2 * dy.value()[j] * x.tangent()[from + j] * value;
                    dx.value()[to + j] = dy.value()[j] * slope;
                    dx.tangent()[to + j] = (dy.tangent()[j] + bend) * slope;
                }
            }
            default -> {
                for (int j = 0; j < hidden; j++) {
                    double at = x.value()[from + j];
                    double value = function.value(at);
                    double bend = function.curvature(at, value, (double) dy.value()[j] * x.tangent()[from + j]);
                    dx.value()[to + j] = (float) function.gradient(at, value, dy.value()[j]);
                    dx.tangent()[to + j] = (float) (function.gradient(at, value, dy.tangent()[j]) + bend);
                }
            }
        }
    }
}
