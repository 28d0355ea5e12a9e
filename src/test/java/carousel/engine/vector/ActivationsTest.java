package carousel.engine.vector;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.function.DoubleUnaryOperator;
import org.junit.jupiter.api.Test;

/** The functions on one number; {@link KernelsTest} sees that vectors give the same. */
class ActivationsTest {
    /** From one float that is looked at to the next: a prime, so that all kinds of last bits occur. */
    private static final int STRIDE = 997;

    @FunctionalInterface
    private interface FloatFunction {
        float apply(float x);
    }

    /** The largest error over floats of all magnitudes from {@code low} to {@code high}, in units of the true value's last place. */
    private static double worst(FloatFunction function, DoubleUnaryOperator truth, float low, float high) {
        double worst = 0;
        for (int bits = Float.floatToIntBits(low); bits <= Float.floatToIntBits(high); bits += STRIDE) {
            float x = Float.intBitsToFloat(bits);
            for (float signed : new float[] {x, -x}) {
                double expected = truth.applyAsDouble(signed);
                double error = Math.abs(function.apply(signed) - expected) / Math.ulp((float) expected);
                worst = Math.max(worst, error);
            }
        }
        return worst;
    }

    @Test
    void tanhIsWithinFourUnitsInTheLastPlace() {
        double worst = worst(Activations::tanh, StrictMath::tanh, 0, Float.MAX_VALUE);
        assertTrue(worst <= 4, "largest error " + worst);
    }

    @Test
    void logisticFunctionIsWithinFourUnitsInTheLastPlace() {
        double worst = worst(Activations::logistic, x -> 1 / (1 + StrictMath.exp(-x)), 0, Float.MAX_VALUE);
        assertTrue(worst <= 4, "largest error " + worst);
    }

    @Test
    void exponentialIsWithinFourUnitsInTheLastPlace() {
        double worst = worst(x -> Activations.exponential(-Math.abs(x)), x -> StrictMath.exp(-Math.abs(x)), 0, 200);
        assertTrue(worst <= 4, "largest error " + worst);
    }

    @Test
    void tanhIsOddAndGrows() {
        float last = 0;
        for (double x = 1e-6; x < 30; x *= 1.0002) {
            float value = Activations.tanh((float) x);
            assertEquals(-value, Activations.tanh((float) -x), "tanh is odd");
            assertTrue(value >= last * (1 - 1e-6f), "tanh falls at " + x);
            last = value;
        }
    }

    @Test
    void limitsAreReachedExactlyAndNeverPassed() {
        for (float x : new float[] {18, 20, 104, 1e30f, Float.MAX_VALUE, Float.POSITIVE_INFINITY}) {
            assertEquals(1, Activations.tanh(x));
            assertEquals(-1, Activations.tanh(-x));
            assertEquals(1, Activations.logistic(x));
        }
        for (float x : new float[] {-104, -1e30f, Float.NEGATIVE_INFINITY}) {
            assertEquals(0, Activations.logistic(x));
            assertEquals(0, Activations.exponential(x));
        }
        for (double x = 0; x < 120; x += 0.0001) {
            float y = (float) x;
            assertTrue(Activations.tanh(y) <= 1 && Activations.logistic(y) <= 1, "at " + x);
            assertTrue(Activations.logistic(-y) >= 0 && Activations.exponential(-y) <= 1, "at " + x);
        }
        assertEquals(0f, Activations.tanh(0f));
        assertEquals(-0f, Activations.tanh(-0f));
        assertEquals(0.5f, Activations.logistic(0));
        assertEquals(1f, Activations.exponential(0));
    }

    @Test
    void subnormalNumbersAreRight() {
        assertEquals(Float.MIN_VALUE, Activations.tanh(Float.MIN_VALUE));
        assertEquals(1e-40f, Activations.tanh(1e-40f));
        assertEquals(0.5f, Activations.logistic(-1e-40f));
        assertEquals((float) StrictMath.exp(-95), Activations.logistic(-95), 4 * Float.MIN_VALUE);
        assertEquals((float) StrictMath.exp(-103), Activations.exponential(-103), Float.MIN_VALUE);
    }

    @Test
    void notANumberStaysNotANumber() {
        for (int bits : new int[] {0x7fc00000, 0x7f800001, 0xffc00001, 0x7fffffff, 0xffffffff}) {
            float nan = Float.intBitsToFloat(bits);
            assertTrue(Float.isNaN(Activations.tanh(nan)));
            assertTrue(Float.isNaN(Activations.logistic(nan)));
            assertTrue(Float.isNaN(Activations.exponential(nan)));
        }
    }
}
