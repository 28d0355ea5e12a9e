package carousel.engine.vector;

/** The elementwise part of a cell's step, one row of {@code H} cells at a time: see {@link carousel.engine.LstmSpec}. */
final class CellLoops {
    private CellLoops() {}

    /** {@code c = f * c + i * g}. */
    static void carry(float[] i, float[] f, float[] g, float[] c, int count) {
        for (int j = 0; j < count; j++) {
            c[j] = Math.fma(f[j], c[j], i[j] * g[j]);
        }
    }

    /** Limits c to {@code [-limit, limit]}. */
    static void clip(float[] c, float limit, int count) {
        for (int j = 0; j < count; j++) {
            c[j] = Math.max(-limit, Math.min(limit, c[j]));
        }
    }

    /** {@code z = x * y}. */
    static void multiply(float[] x, float[] y, float[] z, int count) {
        for (int j = 0; j < count; j++) {
            z[j] = x[j] * y[j];
        }
    }

    /** {@code x += y}. */
    static void add(float[] x, float[] y, int count) {
        for (int j = 0; j < count; j++) {
            x[j] += y[j];
        }
    }

    /**
     * Back through {@code h = o * tanh(c)}: {@code dc} grows by what comes through h, and {@code o} becomes the gradient of its
     * pre-activation.
     */
    static void outputGradient(float[] o, float[] tanhC, float[] dh, float[] dc, int count) {
        for (int j = 0; j < count; j++) {
            float gate = o[j];
            float t = tanhC[j];
            float d = dh[j];
            dc[j] = Math.fma(d * gate, 1 - t * t, dc[j]);
            o[j] = d * t * gate * (1 - gate);
        }
    }

    /** Where the limit acted on c, no gradient passes. Recomputes c before the limit as {@link #carry} did. */
    static void clipGradient(float[] i, float[] f, float[] g, float[] cPrevious, float limit, float[] dc, int count) {
        for (int j = 0; j < count; j++) {
            if (Math.abs(Math.fma(f[j], cPrevious[j], i[j] * g[j])) > limit) {
                dc[j] = 0;
            }
        }
    }

    /** {@code i} and {@code g} become the gradients of their pre-activations. */
    static void inputGradient(float[] i, float[] g, float[] dc, int count) {
        for (int j = 0; j < count; j++) {
            float gate = i[j];
            float candidate = g[j];
            float d = dc[j];
            i[j] = d * candidate * gate * (1 - gate);
            g[j] = d * gate * (1 - candidate * candidate);
        }
    }

    /** {@code f} becomes the gradient of its pre-activation, and {@code dc} that of the previous c. */
    static void forgetGradient(float[] f, float[] cPrevious, float[] dc, int count) {
        for (int j = 0; j < count; j++) {
            float gate = f[j];
            float d = dc[j];
            f[j] = d * cPrevious[j] * gate * (1 - gate);
            dc[j] = d * gate;
        }
    }
}
