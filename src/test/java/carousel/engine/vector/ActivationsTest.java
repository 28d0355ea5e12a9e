package carousel.engine.vector;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

class ActivationsTest {
    @Test
    void tanhIsWithin3e7OfTheTrueValue() {
        double worst = 0;
        for (double x = 1e-6; x < 30; x *= 1.00002) {
            double error = Math.abs(tanh((float) x) - StrictMath.tanh((float) x));
            assertEquals(-tanh((float) x), tanh((float) -x), "tanh is odd");
            worst = Math.max(worst, error);
        }
        assertTrue(worst < 3e-7, "largest error " + worst);
    }

    @Test
    void logisticFunctionIsWithin16e8OfTheTrueValue() {
        double worst = 0;
        for (double x = -40; x < 40; x += 0.0003) {
            worst = Math.max(worst, Math.abs(logistic((float) x) - 1 / (1 + StrictMath.exp(-(double) (float) x))));
        }
        assertTrue(worst < 1.6e-7, "largest error " + worst);
    }

    @Test
    void limitsAreReachedExactlyAndNeverPassed() {
        for (float x : new float[] {7.9988117f, 8, 20, 1e30f, Float.MAX_VALUE, Float.POSITIVE_INFINITY}) {
            assertEquals(1, tanh(x));
            assertEquals(-1, tanh(-x));
            assertEquals(1, logistic(2 * x));
            assertEquals(0, logistic(-2 * x));
        }
        for (double x = 0; x < 10; x += 0.0001) {
            assertTrue(tanh((float) x) <= 1 && logistic((float) x) <= 1 && logistic((float) -x) >= 0, "at " + x);
        }
        assertEquals(0, tanh(0));
        assertEquals(0.5f, logistic(0));
    }

    @Test
    void notANumberStaysNotANumber() {
        assertTrue(Float.isNaN(tanh(Float.NaN)));
        assertTrue(Float.isNaN(logistic(Float.NaN)));
    }

    private static float tanh(float x) {
        float[] y = new float[1];
        Activations.tanh(new float[] {x}, y, 1);
        return y[0];
    }

    private static float logistic(float x) {
        float[] a = {x};
        Activations.squash(a, new float[] {0.5f}, new float[] {0.5f}, 1);
        return a[0];
    }
}
