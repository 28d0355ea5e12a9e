package carousel.engine;

/**
 * A quantity and its derivative along a direction. Of {@code value + r tangent} for a small real {@code r}, what is computed keeps
 * the term without r and the one with it: a forward pass over duals is the differential operator that Pearlmutter (1994) writes
 * {@code R{.}}.
 *
 * @param value the quantity
 * @param tangent in the shape of the value; null for zero, or, of a result, where it is not wanted
 */
public record Dual<T>(T value, T tangent) {
    /** A quantity that does not change along the direction. */
    public static <T> Dual<T> constant(T value) {
        return new Dual<>(value, null);
    }
}
