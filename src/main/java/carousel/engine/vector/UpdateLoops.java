package carousel.engine.vector;

/** The update rules in plain loops, which the compiler vectorises where it can. SIMD kernels end with them, too. */
final class UpdateLoops {
    private UpdateLoops() {}

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
        float clip = step.clip;
        float rate = step.rate;
        float keep1 = step.keep1;
        float take1 = step.take1;
        float epsilon = step.epsilon;
        switch (step.kind) {
            case DESCENT -> {
                for (int e = 0; e < count; e++) {
                    p[pAt + e] -= rate * (clip * d[dAt + e]);
                }
            }
            case MOMENTUM -> {
                for (int e = 0; e < count; e++) {
                    float moment = Math.fma(keep1, m[mAt + e], clip * d[dAt + e]);
                    m[mAt + e] = moment;
                    p[pAt + e] -= rate * moment;
                }
            }
            case NESTEROV -> {
                for (int e = 0; e < count; e++) {
                    float gradient = clip * d[dAt + e];
                    float moment = Math.fma(keep1, m[mAt + e], gradient);
                    m[mAt + e] = moment;
                    p[pAt + e] -= rate * Math.fma(keep1, moment, gradient);
                }
            }
            case ADAM -> adam(step, p, pAt, d, dAt, m, mAt, v, vAt, count);
            case RMS_PROP -> {
                for (int e = 0; e < count; e++) {
                    float gradient = clip * d[dAt + e];
                    float moment = Math.fma(keep1, m[mAt + e], take1 * gradient * gradient);
                    m[mAt + e] = moment;
                    p[pAt + e] -= rate * gradient / ((float) Math.sqrt(moment) + epsilon);
                }
            }
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
        float clip = step.clip;
        float rate = step.rate;
        float keep1 = step.keep1;
        float take1 = step.take1;
        float keep2 = step.keep2;
        float take2 = step.take2;
        float correction = step.correction;
        float epsilon = step.epsilon;
        float shrink = step.shrink;
        for (int e = 0; e < count; e++) {
            float gradient = clip * d[dAt + e];
            float first = Math.fma(keep1, m[mAt + e], take1 * gradient);
            float second = Math.fma(keep2, v[vAt + e], take2 * gradient * gradient);
            m[mAt + e] = first;
            v[vAt + e] = second;
            p[pAt + e] = p[pAt + e] * shrink - rate * first / ((float) Math.sqrt(second * correction) + epsilon);
        }
    }
}
