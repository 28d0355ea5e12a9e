package carousel.tensor;

/**
 * In which arithmetic an engine computes. {@link #epsilon()} is the unit roundoff of the products, from which tests
 * derive their tolerances; sums are accumulated in single precision or better everywhere.
 *
 * <p>Below single precision only what products multiply is rounded: tensors, and with them parameters, gradients, moments and
 * states, hold single precision in all of them. So the parameters are what the literature calls master weights (Micikevicius et
 * al. 2018).
 */
public enum Precision {
    FP64(ElementType.FLOAT64, ElementType.FLOAT64, 0x1p-53),
    FP32(ElementType.FLOAT32, ElementType.FLOAT32, 0x1p-24),
    /** Operands rounded to 10 bits of mantissa by tensor cores. */
    TF32(ElementType.FLOAT32, ElementType.FLOAT32, 0x1p-11),
    /** Operands with the range of single precision and 7 bits of mantissa: training needs no scaled gradients. */
    BF16(ElementType.FLOAT32, ElementType.BFLOAT16, 0x1p-8),
    /** Operands from 6e-8 to 65504 with 10 bits of mantissa: small gradients vanish unless they are scaled. */
    FP16(ElementType.FLOAT32, ElementType.FLOAT16, 0x1p-11);

    private final ElementType storage;
    private final ElementType operands;
    private final double epsilon;

    Precision(ElementType storage, ElementType operands, double epsilon) {
        this.storage = storage;
        this.operands = operands;
        this.epsilon = epsilon;
    }

    /** The type in which tensors hold real numbers. */
    public ElementType storage() {
        return storage;
    }

    /** The type in which products are given what they multiply. */
    public ElementType operands() {
        return operands;
    }

    /** Half the distance from 1 to the next number. */
    public double epsilon() {
        return epsilon;
    }
}
