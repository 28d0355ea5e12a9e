package carousel.engine.vector;

import carousel.engine.CellActivation;
import carousel.engine.CellActivation.Kind;

/**
 * A {@link CellActivation} on one number in single precision. {@link LoopPasses} use it as it is; {@code SimdFunctions} do the same
 * operations in the same order on vectors.
 *
 * @param kind which function
 * @param alpha its first parameter
 * @param beta its second parameter
 */
record CellFunction(Kind kind, float alpha, float beta) {
    /** log((1 + s) / (1 - s)) = s (2 + L3 s^2 + ...), relative error at most 1.4e-8 for s of 0 to 1/3. */
    static final float L3 = 2 / 3f;

    static final float L5 = 2 / 5f;
    static final float L7 = 2 / 7f;
    static final float L9 = 2 / 9f;
    static final float L11 = 2 / 11f;
    static final float L13 = 2 / 13f;

    static CellFunction of(CellActivation activation) {
        return new CellFunction(activation.kind(), (float) activation.alpha(), (float) activation.beta());
    }

    /** {@code f(x)}. */
    float value(float x) {
        return switch (kind) {
            case SIGMOID -> Activations.logistic(x);
            case TANH -> Activations.tanh(x);
            case RELU -> x <= 0 ? 0 : x;
            case AFFINE -> Math.fma(alpha, x, beta);
            case LEAKY_RELU -> x < 0 ? alpha * x : x;
            case THRESHOLDED_RELU -> x <= alpha ? 0 : x;
            case SCALED_TANH -> alpha * Activations.tanh(beta * x);
            case HARD_SIGMOID -> {
                float line = Math.fma(alpha, x, beta);
                yield line < 0 ? 0 : line > 1 ? 1 : line;
            }
            case ELU -> x < 0 ? alpha * expm1(x) : x;
            case SOFTSIGN -> x / (1 + Math.abs(x));
            case SOFTPLUS -> softplus(x);
        };
    }

    /** {@code f'(x)}, where {@code y} is {@link #value} of x. */
    float slope(float x, float y) {
        return switch (kind) {
            case SIGMOID -> y * (1 - y);
            case TANH -> 1 - y * y;
            case RELU -> x > 0 ? 1 : 0;
            case AFFINE -> alpha;
            case LEAKY_RELU -> x < 0 ? alpha : 1;
            case THRESHOLDED_RELU -> x > alpha ? 1 : 0;
            case SCALED_TANH -> {
                float tanh = Activations.tanh(beta * x);
                yield (1 - tanh * tanh) * alpha * beta;
            }
            case HARD_SIGMOID -> y > 0 && y < 1 ? alpha : 0;
            case ELU -> x < 0 ? Math.fma(alpha, expm1(x), alpha) : 1;
            case SOFTSIGN -> {
                float quotient = 1 / (1 + Math.abs(x));
                yield quotient * quotient;
            }
            case SOFTPLUS -> {
                float e = Activations.exponential(-Math.abs(x));
                yield (x < 0 ? e : 1) / (1 + e);
            }
        };
    }

    /** {@code e^x - 1 = 2 t / (1 - t)} with {@code t = tanh(x / 2)}: exact also where x is next to 0. For x of 0 or less. */
    private static float expm1(float x) {
        float t = Activations.tanh(0.5f * x);
        return (t + t) / (1 - t);
    }

    /** {@code max(0, x) + log(1 + e)} with {@code e = exp(-|x|)}, and {@code 1 + e = (1 + s) / (1 - s)}. */
    private static float softplus(float x) {
        float e = Activations.exponential(-Math.abs(x));
        float s = e / (2 + e);
        float square = s * s;
        float sum = Math.fma(L13, square, L11);
        sum = Math.fma(sum, square, L9);
        sum = Math.fma(sum, square, L7);
        sum = Math.fma(sum, square, L5);
        sum = Math.fma(sum, square, L3);
        sum = Math.fma(sum, square, 2);
        return Math.fma(sum, s, x <= 0 ? 0 : x);
    }
}
