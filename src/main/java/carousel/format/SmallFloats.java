package carousel.format;

/** The two 16-bit floating point formats. Every value of both is a float, so nothing is rounded in reading. */
public final class SmallFloats {
    private SmallFloats() {}

    /** IEEE 754 binary16: 1 sign bit, 5 exponent bits with bias 15, 10 fraction bits. */
    public static float float16(short bits) {
        int sign = (bits & 0x8000) << 16;
        int exponent = bits >>> 10 & 0x1F;
        int fraction = bits & 0x3FF;
        if (exponent == 0x1F) {
            return Float.intBitsToFloat(sign | 0x7F80_0000 | fraction << 13);
        }
        if (exponent == 0) {
            // Subnormal here but normal as a float: the multiplication is exact.
            float magnitude = fraction * 0x1p-24f;
            return sign == 0 ? magnitude : -magnitude;
        }
        return Float.intBitsToFloat(sign | exponent + (127 - 15) << 23 | fraction << 13);
    }

    /** The upper half of a float: 1 sign bit, 8 exponent bits, 7 fraction bits. */
    public static float bfloat16(short bits) {
        return Float.intBitsToFloat(bits << 16);
    }

    /** The nearest binary16, ties to even; infinity from 65520 on. */
    static short toFloat16(double value) {
        float rounded = (float) round(value, 10, -14);
        int sign = Float.floatToRawIntBits(rounded) >>> 16 & 0x8000;
        float magnitude = Math.abs(rounded);
        if (Float.isNaN(magnitude)) {
            return (short) (sign | 0x7E00);
        }
        if (magnitude > 65504) {
            return (short) (sign | 0x7C00);
        }
        if (magnitude < 0x1p-14f) {
            return (short) (sign | (int) (magnitude * 0x1p24f));
        }
        return (short) (sign | (Float.floatToRawIntBits(magnitude) >>> 13) - (127 - 15 << 10));
    }

    /** The nearest bfloat16, ties to even; infinity where that is nearest. */
    static short toBfloat16(double value) {
        return (short) (Float.floatToRawIntBits((float) round(value, 7, -126)) >>> 16);
    }

    /** To so many fraction bits, and to a multiple of the last of them at the least exponent. */
    private static double round(double value, int fractionBits, int leastExponent) {
        if (value == 0 || Double.isNaN(value) || Double.isInfinite(value)) {
            return value;
        }
        int exponent = Math.max(Math.getExponent(value), leastExponent);
        return Math.scalb(Math.rint(Math.scalb(value, fractionBits - exponent)), exponent - fractionBits);
    }
}
