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
