package carousel.gradient;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.function.ToDoubleFunction;

/**
 * Compares gradients with central differences of fourth order,
 *
 * <pre>
 *   f'(x) = (8 (f(x + h) - f(x - h)) - (f(x + 2h) - f(x - 2h))) / 12h + O(h^4)
 * </pre>
 *
 * which leave, at a step of {@value #STEP} in double precision, an error of some 1e-11: far below what is allowed.
 */
final class FiniteDifferences {
    static final double STEP = 2e-4;

    /** For functions that bend more, such as normalisations of few and small numbers. */
    static final double SMALL_STEP = 1e-5;

    /** Measured over all cases: 3.0e-8. */
    private static final double ALLOWED = 1e-6;
    /** Elements below this part of the largest one are compared with it instead: they may come out of cancellation. */
    private static final double FLOOR = 1e-4;

    private FiniteDifferences() {}

    /**
     * Checks every element of a gradient.
     *
     * @param values changed and restored one by one
     * @param loss of whatever {@code values} hold
     */
    static void check(String what, double[] gradient, double[] values, ToDoubleFunction<double[]> loss) {
        check(what, gradient, values, loss, STEP);
    }

    /** The same with another step. */
    static void check(String what, double[] gradient, double[] values, ToDoubleFunction<double[]> loss, double step) {
        double largest = 0;
        for (double element : gradient) {
            largest = Math.max(largest, Math.abs(element));
        }
        for (int e = 0; e < values.length; e++) {
            if (Double.isNaN(values[e])) {
                assertTrue(gradient[e] == 0, what + " at element " + e + ", which is never read, is " + gradient[e]);
                continue;
            }
            double numeric = derivative(values, e, loss, step);
            double scale = Math.max(Math.max(Math.abs(gradient[e]), Math.abs(numeric)), FLOOR * largest);
            double error = Math.abs(gradient[e] - numeric);
            assertTrue(
                    error <= ALLOWED * scale,
                    what + " at element " + e + " is " + gradient[e] + " where differences say " + numeric
                            + ", a relative error of " + error / scale);
        }
    }

    private static double derivative(double[] values, int e, ToDoubleFunction<double[]> loss, double step) {
        double value = values[e];
        values[e] = value + step;
        double ahead = loss.applyAsDouble(values);
        values[e] = value - step;
        double behind = loss.applyAsDouble(values);
        values[e] = value + 2 * step;
        double farAhead = loss.applyAsDouble(values);
        values[e] = value - 2 * step;
        double farBehind = loss.applyAsDouble(values);
        values[e] = value;
        return (8 * (ahead - behind) - (farAhead - farBehind)) / (12 * step);
    }

    /** {@code sum_e a_e b_e}, over what is not padding. */
    static double dot(double[] a, double[] b) {
        double sum = 0;
        for (int e = 0; e < a.length; e++) {
            if (!Double.isNaN(b[e])) {
                sum += a[e] * b[e];
            }
        }
        return sum;
    }
}
