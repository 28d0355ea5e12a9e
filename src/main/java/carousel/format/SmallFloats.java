package carousel.format;

/** The two 16-bit floating point formats. Every value of both is a float, so nothing is rounded. */
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
}
