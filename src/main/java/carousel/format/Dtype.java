package carousel.format;

/**
 * How a safetensors file stores the elements of a tensor; the names are those of the format. In the order of the
 * format's reference implementation, which lays tensors out by descending type and then by name.
 */
public enum Dtype {
    BOOL(8),
    F4(4),
    F6_E2M3(6),
    F6_E3M2(6),
    U8(8),
    I8(8),
    F8_E5M2(8),
    F8_E4M3(8),
    F8_E8M0(8),
    F8_E4M3FNUZ(8),
    F8_E5M2FNUZ(8),
    I16(16),
    U16(16),
    F16(16),
    BF16(16),
    I32(32),
    U32(32),
    F32(32),
    /** Two F32: real and imaginary part. */
    C64(64),
    F64(64),
    I64(64),
    U64(64);

    private final int bits;

    Dtype(int bits) {
        this.bits = bits;
    }

    /** Bits per element. Elements of fewer than 8 bits are packed. */
    public int bits() {
        return bits;
    }
}
