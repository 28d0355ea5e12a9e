package carousel.engine.vector;

/**
 * The squashing functions in arithmetic that vectorises. The hyperbolic tangent is a quotient of polynomials, odd of degree
 * 13 over even of degree 6, with the coefficients of the linear algebra library Eigen ({@code generic_fast_tanh_float}). Over
 * all of the real line tanh is off by less than 3e-7 and the logistic function by less than 1.6e-7; both reach their limits
 * exactly, never pass them, and keep NaN.
 */
final class Activations {
    /** From here on the quotient rounds to 1. */
    private static final float SATURATION = 7.9988117f;

    private static final float P1 = 4.89352455891786e-03f;
    private static final float P3 = 6.37261928875436e-04f;
    private static final float P5 = 1.48572235717979e-05f;
    private static final float P7 = 5.12229709037114e-08f;
    private static final float P9 = -8.60467152213735e-11f;
    private static final float P11 = 2.00018790482477e-13f;
    private static final float P13 = -2.76076847742355e-16f;

    private static final float Q0 = 4.89352518554385e-03f;
    private static final float Q2 = 2.26843463243900e-03f;
    private static final float Q4 = 1.18534705686654e-04f;
    private static final float Q6 = 1.19825839466702e-06f;

    private Activations() {}

    /** {@code y_j = tanh(x_j)} for {@code j < count}. */
    static void tanh(float[] x, float[] y, int count) {
        for (int j = 0; j < count; j++) {
            y[j] = tanh(x[j]);
        }
    }

    /**
     * {@code a_j = scale_j tanh(scale_j a_j) + shift_j} for {@code j < count}: with scale 1 and shift 0 the hyperbolic tangent,
     * with 1/2 and 1/2 the logistic function, so that all gates of a row go through one loop.
     */
    static void squash(float[] a, float[] scale, float[] shift, int count) {
        for (int j = 0; j < count; j++) {
            a[j] = Math.fma(scale[j], tanh(scale[j] * a[j]), shift[j]);
        }
    }

    private static float tanh(float value) {
        float x = Math.max(-SATURATION, Math.min(SATURATION, value));
        float u = x * x;
        float p = Math.fma(u, P13, P11);
        p = Math.fma(p, u, P9);
        p = Math.fma(p, u, P7);
        p = Math.fma(p, u, P5);
        p = Math.fma(p, u, P3);
        p = Math.fma(p, u, P1);
        float q = Math.fma(u, Q6, Q4);
        q = Math.fma(q, u, Q2);
        q = Math.fma(q, u, Q0);
        return x * p / q;
    }
}
