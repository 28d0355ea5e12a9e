package carousel.training;

import carousel.tensor.Precision;

/**
 * What the loss's gradient is multiplied by on its way back, so that small gradients do not vanish in half precision (Micikevicius et
 * al. 2018): a power of two, by which the parameters' gradients are divided again before they are clipped and used. Where numbers
 * neither over- nor underflow, a training with a scale is bit by bit the same as one without.
 *
 * <p>A dynamic scale finds its own size. A step whose gradients are not all finite is skipped, which leaves parameters and moments as
 * they were and counts for no bias correction, and halves the scale; after so many steps without one the scale doubles. It stays between
 * {@value #SMALLEST} and {@value #LARGEST}: gradients that are not finite without any scale end the training with a {@link
 * DivergenceException}. To know, the host waits for the engine once in every step.
 *
 * <p>Only {@link Precision#FP16} needs one. BF16 has the range of single precision, in which gradients do not vanish.
 *
 * @param start the first scale, and that of all steps where it is fixed
 * @param growthSteps steps without an overflow after which the scale doubles; 0 for a fixed scale
 */
public record LossScale(double start, int growthSteps) {
    /** With the scale at this, an overflow ends the training. */
    public static final double SMALLEST = 1;
    /** The scale does not grow beyond this, 2^24. */
    public static final double LARGEST = 1 << 24;

    private static final double USUAL_START = 1 << 16;
    private static final int USUAL_GROWTH_STEPS = 2000;

    /** Where a dynamic scale stands, for a checkpoint. */
    public record State(double scale, int goodSteps, long skippedSteps) {
        /** Throws {@link IllegalArgumentException} for what no trainer saves, as a damaged file may have it. */
        public State {
            if (!isScale(scale) || goodSteps < 0 || skippedSteps < 0) {
                throw new IllegalArgumentException("its loss scale is not whole");
            }
        }
    }

    public LossScale {
        if (!isScale(start)) {
            throw new IllegalArgumentException(
                    "the loss scale should be a power of two from 1 to 16777216 (2^24) but got " + start);
        }
        if (growthSteps < 0) {
            throw new IllegalArgumentException(
                    "the steps after which the loss scale doubles should be 1 or more, or 0 for a fixed scale, but got "
                            + growthSteps);
        }
    }

    private static boolean isScale(double value) {
        return value >= SMALLEST && value <= LARGEST && value == Math.scalb(1.0, Math.getExponent(value));
    }

    /** The loss's gradient as it is. */
    public static LossScale none() {
        return fixed(1);
    }

    /** The same scale for all steps; gradients that are not finite are not looked for. */
    public static LossScale fixed(double scale) {
        return new LossScale(scale, 0);
    }

    /** Starts at 2^16 and doubles after 2000 steps without an overflow. */
    public static LossScale dynamic() {
        return new LossScale(USUAL_START, USUAL_GROWTH_STEPS);
    }

    /** What an engine of this precision needs: a dynamic scale for FP16, none for all others. */
    public static LossScale of(Precision precision) {
        return precision == Precision.FP16 ? dynamic() : none();
    }

    /** Whether the scale changes and steps are skipped. */
    public boolean isDynamic() {
        return growthSteps > 0;
    }
}
