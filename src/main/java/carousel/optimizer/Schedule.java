package carousel.optimizer;

import java.io.Serializable;

/**
 * The learning rate of each step, a pure function of the step's number, so that a resumed run goes on exactly. Steps are
 * counted from 0 here: {@code rate(0)} is that of the first step.
 */
public sealed interface Schedule extends Serializable {
    /** The learning rate of a step. */
    double rate(long step);

    /** This rate and no other. */
    static Schedule constant(double rate) {
        return new Constant(rate);
    }

    /** Always the same. */
    record Constant(double rate) implements Schedule {
        public Constant {
            requirePositive(rate);
        }

        @Override
        public double rate(long step) {
            return rate;
        }
    }

    /** {@code initial * factor^(step / every)}, whole steps of {@code every}. */
    record Step(double initial, double factor, long every) implements Schedule {
        public Step {
            requirePositive(initial);
            requireFactor(factor);
            requireAtLeastOne("the steps between two drops", every);
        }

        @Override
        public double rate(long step) {
            return initial * StrictMath.pow(factor, Math.floorDiv(step, every));
        }
    }

    /** {@code initial * factor^(step / over)}, smoothly: after {@code over} steps the rate is {@code initial * factor}. */
    record Exponential(double initial, double factor, long over) implements Schedule {
        public Exponential {
            requirePositive(initial);
            requireFactor(factor);
            requireAtLeastOne("the steps of the decay", over);
        }

        @Override
        public double rate(long step) {
            return initial * StrictMath.pow(factor, (double) step / over);
        }
    }

    /**
     * Rises linearly over {@code warmUp} steps to {@code peak}, then falls along half a cosine to {@code last} at step {@code
     * total} and stays there (Loshchilov &amp; Hutter 2017, without restarts).
     */
    record Cosine(double peak, double last, long warmUp, long total) implements Schedule {
        public Cosine {
            requirePositive(peak);
            if (!(last >= 0 && last <= peak)) {
                throw new IllegalArgumentException(
                        "the last learning rate should be in the [0, " + peak + "] range but got " + last);
            }
            requireAtLeastOne("the steps of a cosine schedule", total);
            if (warmUp < 0 || warmUp >= total) {
                throw new IllegalArgumentException("the warm-up should be in the [0, " + (total - 1)
                        + "] range, less than all steps, but got " + warmUp);
            }
        }

        @Override
        public double rate(long step) {
            if (step < warmUp) {
                return peak * (step + 1) / warmUp;
            }
            double done = Math.min(1, (double) (step - warmUp) / (total - warmUp));
            return last + (peak - last) * (1 + StrictMath.cos(Math.PI * done)) / 2;
        }
    }

    private static void requirePositive(double value) {
        if (!(value > 0) || Double.isInfinite(value)) {
            throw new IllegalArgumentException("the learning rate should be a positive finite number but got " + value);
        }
    }

    private static void requireFactor(double value) {
        if (!(value > 0 && value <= 1)) {
            throw new IllegalArgumentException(
                    "the factor of a schedule should be in the (0, 1] range but got " + value);
        }
    }

    private static void requireAtLeastOne(String what, long value) {
        if (value < 1) {
            throw new IllegalArgumentException(what + " should be 1 or more but got " + value);
        }
    }
}
