package carousel.optimizer;

/**
 * Multiplies the learning rate by {@code factor} each time the validation loss has not fallen for {@code patience} epochs.
 *
 * @param factor in (0, 1)
 * @param patience epochs, 1 or more
 * @param smallestFactor the rate is never reduced below the schedule's times this, in [0, 1]
 */
public record ReduceOnPlateau(double factor, int patience, double smallestFactor) {
    public ReduceOnPlateau {
        if (!(factor > 0 && factor < 1)) {
            throw new IllegalArgumentException(
                    "the factor of a reduction should be in the (0, 1) range but got " + factor);
        }
        if (patience < 1) {
            throw new IllegalArgumentException("patience should be 1 or more but got " + patience);
        }
        if (!(smallestFactor >= 0 && smallestFactor <= 1)) {
            throw new IllegalArgumentException(
                    "the smallest factor should be in the [0, 1] range but got " + smallestFactor);
        }
    }

    /** The factor after one more reduction. */
    public double reduce(double current) {
        return Math.max(smallestFactor, current * factor);
    }
}
