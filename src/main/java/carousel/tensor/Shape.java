package carousel.tensor;

import java.util.Arrays;

/**
 * The extents of a tensor, row-major: the last dimension is contiguous in memory. A shape of rank 0 holds one element.
 * Extents may be zero, for an empty batch.
 */
public final class Shape {
    private final int[] extents;
    private final long elements;

    private Shape(int[] extents) {
        long product = 1;
        for (int extent : extents) {
            if (extent < 0) {
                throw new IllegalArgumentException(
                        "extents of a shape must be 0 or more but got " + Arrays.toString(extents));
            }
            try {
                product = Math.multiplyExact(product, extent);
            } catch (ArithmeticException overflow) {
                throw new IllegalArgumentException(
                        "the shape " + Arrays.toString(extents) + " has more than 2^63 - 1 elements", overflow);
            }
        }
        this.extents = extents;
        this.elements = product;
    }

    /** The shape with these extents, outermost first. Throws {@link IllegalArgumentException} for a negative one. */
    public static Shape of(int... extents) {
        return new Shape(extents.clone());
    }

    public int rank() {
        return extents.length;
    }

    /** The extent of one dimension, 0 being the outermost. */
    public int extent(int dimension) {
        return extents[dimension];
    }

    /** The product of all extents. */
    public long elements() {
        return elements;
    }

    public int[] toArray() {
        return extents.clone();
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof Shape shape && Arrays.equals(extents, shape.extents);
    }

    @Override
    public int hashCode() {
        return Arrays.hashCode(extents);
    }

    /** For instance {@code [28, 128, 64]}. */
    @Override
    public String toString() {
        return Arrays.toString(extents);
    }
}
