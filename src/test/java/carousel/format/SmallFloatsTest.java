package carousel.format;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

class SmallFloatsTest {
    @Test
    void everyFloat16HasTheValueOfItsFields() {
        for (int bits = 0; bits < 1 << 16; bits++) {
            assertField(bits, SmallFloats.float16((short) bits), 5, 10);
        }
    }

    @Test
    void everyBfloat16HasTheValueOfItsFields() {
        for (int bits = 0; bits < 1 << 16; bits++) {
            assertField(bits, SmallFloats.bfloat16((short) bits), 8, 7);
        }
    }

    @Test
    void knownFloat16Values() {
        assertEquals(1f, SmallFloats.float16((short) 0x3C00));
        assertEquals(65504f, SmallFloats.float16((short) 0x7BFF));
        assertEquals(0x1p-24f, SmallFloats.float16((short) 0x0001));
        assertEquals(-2f, SmallFloats.float16((short) 0xC000));
        assertEquals(-0f, SmallFloats.float16((short) 0x8000));
    }

    @Test
    void everyValueIsWrittenAsItIs() {
        for (int bits = 0; bits < 1 << 16; bits++) {
            float half = SmallFloats.float16((short) bits);
            if (!Float.isNaN(half)) {
                assertEquals((short) bits, SmallFloats.toFloat16(half), () -> "float16 " + half);
            }
            float brain = SmallFloats.bfloat16((short) bits);
            if (!Float.isNaN(brain)) {
                assertEquals((short) bits, SmallFloats.toBfloat16(brain), () -> "bfloat16 " + brain);
            }
        }
        assertTrue(Float.isNaN(SmallFloats.float16(SmallFloats.toFloat16(Double.NaN))));
        assertTrue(Float.isNaN(SmallFloats.bfloat16(SmallFloats.toBfloat16(Double.NaN))));
    }

    /** The nearest of two neighbours, and of two that are equally near the one with the even last bit. */
    @Test
    void whatLiesBetweenGoesToTheNearest() {
        for (int bits = 0; bits < 0x7BFF; bits++) {
            between(SmallFloats.float16((short) bits), SmallFloats.float16((short) (bits + 1)), bits, true);
        }
        for (int bits = 0; bits < 0x7F7F; bits++) {
            between(SmallFloats.bfloat16((short) bits), SmallFloats.bfloat16((short) (bits + 1)), bits, false);
        }
        assertEquals(0x7BFF, SmallFloats.toFloat16(65519.9));
        assertEquals(0x7C00, SmallFloats.toFloat16(65520));
        assertEquals(0x7C00, SmallFloats.toFloat16(1e300));
    }

    private static void between(double low, double high, int bits, boolean half) {
        double middle = (low + high) / 2;
        int even = (bits & 1) == 0 ? bits : bits + 1;
        for (double[] point :
                new double[][] {{Math.nextDown(middle), bits}, {middle, even}, {Math.nextUp(middle), bits + 1}}) {
            short got = half ? SmallFloats.toFloat16(point[0]) : SmallFloats.toBfloat16(point[0]);
            assertEquals((short) point[1], got, () -> point[0] + " between " + low + " and " + high);
            short negative = half ? SmallFloats.toFloat16(-point[0]) : SmallFloats.toBfloat16(-point[0]);
            assertEquals((short) ((int) point[1] | 0x8000), negative);
        }
    }

    /** Sign, biased exponent and fraction, put together in double arithmetic. */
    private static void assertField(int bits, float actual, int exponentBits, int fractionBits) {
        int exponent = bits >> fractionBits & (1 << exponentBits) - 1;
        double fraction = (bits & (1 << fractionBits) - 1) / (double) (1 << fractionBits);
        int bias = (1 << exponentBits - 1) - 1;
        double sign = bits < 0x8000 ? 1 : -1;
        String what = Integer.toHexString(bits);
        if (exponent == (1 << exponentBits) - 1) {
            if (fraction == 0) {
                assertEquals(sign * Double.POSITIVE_INFINITY, actual, what);
            } else {
                assertTrue(Float.isNaN(actual), what);
            }
            return;
        }
        double magnitude =
                exponent == 0 ? fraction * Math.pow(2, 1 - bias) : (1 + fraction) * Math.pow(2, exponent - bias);
        // Compares zeros by sign as well.
        assertEquals(Double.valueOf(sign * magnitude), Double.valueOf(actual), what);
    }
}
