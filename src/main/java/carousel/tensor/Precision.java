package carousel.tensor;

/**
 * In which arithmetic an engine computes. {@link #epsilon()} is the unit roundoff of the products, from which tests
 * derive their tolerances; sums are accumulated in single precision or better everywhere.
 */
public enum Precision {
    FP64(ElementType.FLOAT64, 0x1p-53),
    FP32(ElementType.FLOAT32, 0x1p-24),
    /** Single precision storage, products rounded to 10 bits of mantissa by tensor cores. */
    TF32(ElementType.FLOAT32, 0x1p-11),
    BF16(ElementType.BFLOAT16, 0x1p-8),
    FP16(ElementType.FLOAT16, 0x1p-11);

    private final ElementType storage;
    private final double epsilon;

    Precision(ElementType storage, double epsilon) {
        this.storage = storage;
        this.epsilon = epsilon;
    }

    /** The type in which activations are stored. */
    public ElementType storage() {
        return storage;
    }

    /** Half the distance from 1 to the next number. */
    public double epsilon() {
        return epsilon;
    }
}
