package carousel.engine.vector;

/**
 * The squashing functions on one number. {@link LoopKernels} use them as they are; {@code SimdKernels} do the same operations in the
 * same order on vectors. All three are off by at most 4 units in the last place over all of the real line (measured against
 * double precision over every third float: exponential 2.6, logistic function 3.5, hyperbolic tangent 2.6), reach their limits
 * exactly, are right among the subnormal numbers, and keep NaN.
 *
 * <p>Exponentials are {@code 2^n p(r)} with {@code n} the nearest integer to {@code x / ln 2} and {@code p} a polynomial, the best
 * of its degree for {@code |r| <= ln(2) / 2} in relative error (found by linear programming). Adding {@link #ROUND} rounds to an
 * integer and leaves it in the lowest bits, from where a shift makes it an exponent.
 */
final class Activations {
    /** 1.5 * 2^23: a sum with it has no bits behind the point. */
    private static final float ROUND = 12582912;
    /** The bias of a float's exponent. */
    private static final int BIAS = 127;

    static final float LOG2_E = (float) 1.4426950408889634;
    static final float LN2_HIGH = (float) 0.6931471805599453;
    static final float LN2_LOW = (float) (0.6931471805599453 - (double) LN2_HIGH);

    /** exp(r) = 1 + r + E2 r^2 + ...: relative error at most 1.1e-7. */
    static final float E2 = 0.4999923f;

    static final float E3 = 0.16667116f;
    static final float E4 = 0.04189033f;
    static final float E5 = 0.008312501f;

    /**
     * Exponentials are computed 2^24 times too small or too large, so that none of those that count underflows or overflows on the
     * way: the smallest number above 0 is 2^-149.
     */
    static final float SCALE = 0x1p-24f;

    /** Below this the logistic function and the exponential round to 0; e^104 * 2^-24 is still a float. */
    static final float LOWEST = -104;
    /** From here on the logistic function rounds to 1. */
    static final float HIGHEST = 18;

    static final float LOGISTIC_ROUND = ROUND + BIAS - 24;
    static final float EXP_ROUND = ROUND + BIAS + 24;

    /** From here on the hyperbolic tangent rounds to 1. */
    static final float SATURATION = 9.2f;

    static final float TANH_ROUND = ROUND + BIAS;
    static final float TWO_LOG2_E = (float) (2 * 1.4426950408889634);
    static final float HALF_LN2_HIGH = (float) (0.6931471805599453 / 2);
    static final float HALF_LN2_LOW = (float) (0.6931471805599453 / 2 - (double) HALF_LN2_HIGH);
    /** expm1(2r) = r (2 + T2 r + ...): relative error at most 1.4e-8. */
    static final float T2 = 1.9999999f;

    static final float T3 = 1.3333235f;
    static final float T4 = 0.6666752f;
    static final float T5 = 0.26772952f;
    static final float T6 = 0.08884812f;

    private static final int SIGN = 0x8000_0000;

    private Activations() {}

    /** {@code 1 / (1 + exp(-x)) = s / (s + s exp(-x))}, with {@code s} the {@link #SCALE}. */
    static float logistic(float value) {
        float x = value < LOWEST ? LOWEST : value > HIGHEST ? HIGHEST : value;
        float t = Math.fma(x, -LOG2_E, LOGISTIC_ROUND);
        float n = t - LOGISTIC_ROUND;
        float r = Math.fma(n, LN2_LOW, Math.fma(n, LN2_HIGH, x));
        float e = polynomial(r) * Float.intBitsToFloat(Float.floatToRawIntBits(t) << 23);
        return SCALE / (SCALE + e);
    }

    /** For x of 0 or less. */
    static float exponential(float value) {
        float x = value < LOWEST ? LOWEST : value;
        float t = Math.fma(x, LOG2_E, EXP_ROUND);
        float n = t - EXP_ROUND;
        float r = Math.fma(n, LN2_LOW, Math.fma(n, LN2_HIGH, -x));
        return polynomial(r) * Float.intBitsToFloat(Float.floatToRawIntBits(t) << 23) * SCALE;
    }

    /** exp(-r). Pairs of terms do not wait for each other, nor need a register for each sum's start. */
    private static float polynomial(float r) {
        float square = r * r;
        float high = Math.fma(-E5, r, E4);
        float low = Math.fma(-E3, r, E2);
        return Math.fma(Math.fma(high, square, low), square, 1 - r);
    }

    /** {@code expm1(2x) / (expm1(2x) + 2)} for {@code |x|}, with the sign of x. */
    static float tanh(float value) {
        float x = Math.abs(value);
        x = x > SATURATION ? SATURATION : x;
        float t = Math.fma(x, TWO_LOG2_E, TANH_ROUND);
        float n = t - TANH_ROUND;
        float r = Math.fma(n, -HALF_LN2_LOW, Math.fma(n, -HALF_LN2_HIGH, x));
        float square = r * r;
        float high = Math.fma(T6, r, T5);
        float middle = Math.fma(T4, r, T3);
        float tail = Math.fma(Math.fma(high, square, middle), square, T2 * r);
        float p = Math.fma(tail, r, r + r);
        float power = Float.intBitsToFloat(Float.floatToRawIntBits(t) << 23);
        float e = Math.fma(p, power, power - 1);
        float y = e / (e + 2);
        return Float.intBitsToFloat(Float.floatToRawIntBits(y) | Float.floatToRawIntBits(value) & SIGN);
    }
}
