package carousel.engine.reference;

import java.util.Arrays;

/** A number and its derivative along a direction, with the rules of differentiation for the arithmetic of a cell. */
record DualNumber(double value, double tangent) {
    static final DualNumber ZERO = constant(0);

    static DualNumber constant(double value) {
        return new DualNumber(value, 0);
    }

    DualNumber plus(DualNumber other) {
        return new DualNumber(value + other.value, tangent + other.tangent);
    }

    DualNumber minus(DualNumber other) {
        return new DualNumber(value - other.value, tangent - other.tangent);
    }

    DualNumber times(DualNumber other) {
        return new DualNumber(value * other.value, tangent * other.value + value * other.tangent);
    }

    DualNumber times(double factor) {
        return new DualNumber(value * factor, tangent * factor);
    }

    DualNumber over(DualNumber other) {
        double quotient = value / other.value;
        return new DualNumber(quotient, (tangent - quotient * other.tangent) / other.value);
    }

    DualNumber over(double divisor) {
        return new DualNumber(value / divisor, tangent / divisor);
    }

    DualNumber root() {
        double root = Math.sqrt(value);
        return new DualNumber(root, tangent / (2 * root));
    }

    /** An array of zeros. */
    static DualNumber[] zeros(int size) {
        DualNumber[] numbers = new DualNumber[size];
        Arrays.fill(numbers, ZERO);
        return numbers;
    }
}
