package carousel.format.onnx;

import ai.onnx.proto.OnnxMl.TensorProto;

/** The element types of ONNX that are understood here. Real ones are kept as doubles, the others as longs. */
public enum OnnxType {
    FLOAT(TensorProto.DataType.FLOAT_VALUE, Float.BYTES),
    DOUBLE(TensorProto.DataType.DOUBLE_VALUE, Double.BYTES),
    FLOAT16(TensorProto.DataType.FLOAT16_VALUE, Short.BYTES),
    BFLOAT16(TensorProto.DataType.BFLOAT16_VALUE, Short.BYTES),
    INT32(TensorProto.DataType.INT32_VALUE, Integer.BYTES),
    INT64(TensorProto.DataType.INT64_VALUE, Long.BYTES),
    /** 0 or 1. */
    BOOL(TensorProto.DataType.BOOL_VALUE, Byte.BYTES);

    private final int code;
    private final int bytes;

    OnnxType(int code, int bytes) {
        this.code = code;
        this.bytes = bytes;
    }

    /** The number that stands for it in files. */
    int code() {
        return code;
    }

    /** Bytes per element in a file's raw data. */
    int bytes() {
        return bytes;
    }

    boolean real() {
        return ordinal() <= BFLOAT16.ordinal();
    }

    /** The nearest value of this real type. */
    double round(double value) {
        return switch (this) {
            case FLOAT -> (float) value;
            case FLOAT16 -> nearest(value, 10, -14, 65504);
            case BFLOAT16 -> nearest(value, 7, -126, 0x1.fep127);
            default -> value;
        };
    }

    /** To this many bits of fraction, ties to even, with subnormal numbers, and infinite beyond the largest. */
    private static double nearest(double value, int fractionBits, int smallestExponent, double largest) {
        if (value == 0 || !Double.isFinite(value)) {
            return value;
        }
        double unit = Math.scalb(1.0, Math.max(Math.getExponent(value), smallestExponent) - fractionBits);
        double rounded = Math.rint(value / unit) * unit;
        return Math.abs(rounded) > largest ? Math.copySign(Double.POSITIVE_INFINITY, value) : rounded;
    }

    /** The value of this integer type that has the same low bits, or for BOOL whether it is anything but 0. */
    long wrap(long value) {
        return switch (this) {
            case INT32 -> (int) value;
            case BOOL -> value == 0 ? 0 : 1;
            default -> value;
        };
    }

    /**
     * The type with this number.
     *
     * @throws IllegalArgumentException when it is none of these
     */
    static OnnxType of(int code) {
        for (OnnxType type : values()) {
            if (type.code == code) {
                return type;
            }
        }
        TensorProto.DataType known = TensorProto.DataType.forNumber(code);
        throw new IllegalArgumentException("the element type " + (known == null ? code : known.name())
                + " is not supported: FLOAT, DOUBLE, FLOAT16, BFLOAT16, INT32, INT64 and BOOL are");
    }
}
