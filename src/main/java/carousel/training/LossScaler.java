package carousel.training;

/** Where a {@link LossScale} stands. */
final class LossScaler {
    private final LossScale policy;
    private double scale;
    private int goodSteps;
    private long skippedSteps;

    LossScaler(LossScale policy) {
        this.policy = policy;
        this.scale = policy.start();
    }

    boolean isDynamic() {
        return policy.isDynamic();
    }

    /** Of the next step. */
    double scale() {
        return scale;
    }

    /** How many steps have been skipped so far. */
    long skippedSteps() {
        return skippedSteps;
    }

    /** A step was taken. */
    void took() {
        if (!policy.isDynamic()) {
            return;
        }
        goodSteps++;
        if (goodSteps >= policy.growthSteps()) {
            goodSteps = 0;
            scale = Math.min(LossScale.LARGEST, 2 * scale);
        }
    }

    /** A step was skipped. Returns false where the scale cannot be halved any more. */
    boolean skipped() {
        skippedSteps++;
        goodSteps = 0;
        if (scale == LossScale.SMALLEST) {
            return false;
        }
        scale /= 2;
        return true;
    }

    /** Null where there is nothing to keep. */
    LossScale.State state() {
        return policy.isDynamic() || skippedSteps > 0 ? new LossScale.State(scale, goodSteps, skippedSteps) : null;
    }

    /** Goes on from a checkpoint; null for one that has nothing about it. */
    void restore(LossScale.State state) {
        skippedSteps = state == null ? 0 : state.skippedSteps();
        boolean known = state != null && policy.isDynamic();
        scale = known ? state.scale() : policy.start();
        goodSteps = known ? state.goodSteps() : 0;
    }
}
