package carousel.engine.vector;

import static carousel.engine.vector.SimdKernels.SPECIES;
import static carousel.engine.vector.SimdKernels.VECTOR;

import jdk.incubator.vector.FloatVector;

/** The update rules of {@link UpdateLoops} on vectors, operation by operation. */
final class SimdUpdates {
    private SimdUpdates() {}

    /** @param count a multiple of the number of lanes */
    static void update(
            UpdateStep step,
            float[] p,
            int pAt,
            float[] d,
            int dAt,
            float[] m,
            int mAt,
            float[] v,
            int vAt,
            int count) {
        switch (step.kind) {
            case DESCENT -> {
                for (int e = 0; e < count; e += VECTOR) {
                    FloatVector gradient = load(d, dAt + e).mul(step.clip);
                    load(p, pAt + e).sub(gradient.mul(step.rate)).intoArray(p, pAt + e);
                }
            }
            case MOMENTUM, NESTEROV -> momentum(step, p, pAt, d, dAt, m, mAt, count);
            case ADAM -> adam(step, p, pAt, d, dAt, m, mAt, v, vAt, count);
            case RMS_PROP -> rmsProp(step, p, pAt, d, dAt, m, mAt, count);
        }
    }

    private static void momentum(
            UpdateStep step, float[] p, int pAt, float[] d, int dAt, float[] m, int mAt, int count) {
        FloatVector keep = FloatVector.broadcast(SPECIES, step.keep1);
        boolean nesterov = step.kind == UpdateStep.Kind.NESTEROV;
        for (int e = 0; e < count; e += VECTOR) {
            FloatVector gradient = load(d, dAt + e).mul(step.clip);
            FloatVector moment = load(m, mAt + e).fma(keep, gradient);
            moment.intoArray(m, mAt + e);
            FloatVector direction = nesterov ? moment.fma(keep, gradient) : moment;
            load(p, pAt + e).sub(direction.mul(step.rate)).intoArray(p, pAt + e);
        }
    }

    private static void adam(
            UpdateStep step,
            float[] p,
            int pAt,
            float[] d,
            int dAt,
            float[] m,
            int mAt,
            float[] v,
            int vAt,
            int count) {
        FloatVector keep1 = FloatVector.broadcast(SPECIES, step.keep1);
        FloatVector keep2 = FloatVector.broadcast(SPECIES, step.keep2);
        FloatVector take2 = FloatVector.broadcast(SPECIES, step.take2);
        FloatVector correction = FloatVector.broadcast(SPECIES, step.correction);
        FloatVector rate = FloatVector.broadcast(SPECIES, step.rate);
        for (int e = 0; e < count; e += VECTOR) {
            FloatVector gradient = load(d, dAt + e).mul(step.clip);
            FloatVector first = load(m, mAt + e).fma(keep1, gradient.mul(step.take1));
            FloatVector second = load(v, vAt + e).fma(keep2, take2.mul(gradient).mul(gradient));
            first.intoArray(m, mAt + e);
            second.intoArray(v, vAt + e);
            FloatVector change =
                    rate.mul(first).div(second.mul(correction).sqrt().add(step.epsilon));
            load(p, pAt + e).mul(step.shrink).sub(change).intoArray(p, pAt + e);
        }
    }

    private static void rmsProp(
            UpdateStep step, float[] p, int pAt, float[] d, int dAt, float[] m, int mAt, int count) {
        FloatVector keep = FloatVector.broadcast(SPECIES, step.keep1);
        FloatVector take = FloatVector.broadcast(SPECIES, step.take1);
        for (int e = 0; e < count; e += VECTOR) {
            FloatVector gradient = load(d, dAt + e).mul(step.clip);
            FloatVector moment = load(m, mAt + e).fma(keep, take.mul(gradient).mul(gradient));
            moment.intoArray(m, mAt + e);
            FloatVector change = gradient.mul(step.rate).div(moment.sqrt().add(step.epsilon));
            load(p, pAt + e).sub(change).intoArray(p, pAt + e);
        }
    }

    private static FloatVector load(float[] values, int at) {
        return FloatVector.fromArray(SPECIES, values, at);
    }
}
