package carousel.engine.vector;

import carousel.engine.Philox;
import carousel.engine.RandomKey;
import carousel.engine.Update;
import carousel.engine.UpdateRule;

/** Work on flat buffers, in chunks of a fixed size. */
final class Elementwise {
    /** Elements in a task; a multiple of {@link Philox#WORDS}. */
    private static final int CHUNK = 1 << 14;

    /** Elements of an update that are copied out, moved, and copied back at a time. */
    private static final int STRIP = 1 << 11;

    private final Workers workers;
    private final WorkerBuffers[] buffers;
    private double[] partials = new double[0];

    Elementwise(Workers workers, WorkerBuffers[] buffers) {
        this.workers = workers;
        this.buffers = buffers;
    }

    /** A flat piece of an array. */
    record Span(float[] values, int start, int count) {}

    private static int chunks(int count) {
        return (int) (((long) count + CHUNK - 1) / CHUNK);
    }

    /** See {@link carousel.engine.Engine#dropout}. {@code x} and {@code y} may be the same. */
    void dropout(Span x, double rate, RandomKey key, Span y) {
        int threshold = RandomKey.threshold(rate);
        float scale = (float) (1 / (1 - rate));
        workers.run(chunks(x.count), (index, worker) -> {
            int[] words = new int[Philox.WORDS];
            int from = index * CHUNK;
            int to = (int) Math.min(x.count, (long) from + CHUNK);
            for (int e = from; e < to; e++) {
                int word = e % Philox.WORDS;
                if (word == 0) {
                    key.block(e / Philox.WORDS, words);
                }
                boolean drops = RandomKey.drops(words[word], threshold);
                y.values[y.start + e] = drops ? 0 : x.values[x.start + e] * scale;
            }
        });
    }

    /** The sum of squares, in double precision. */
    double squaredNorm(Span x) {
        int chunks = chunks(x.count);
        if (partials.length < chunks) {
            partials = new double[chunks];
        }
        double[] sums = partials;
        workers.run(chunks, (index, worker) -> {
            int from = index * CHUNK;
            int to = (int) Math.min(x.count, (long) from + CHUNK);
            sums[index] = sumOfSquares(x.values, x.start + from, x.start + to);
        });
        double total = 0;
        for (int k = 0; k < chunks; k++) {
            total += sums[k];
        }
        return total;
    }

    /** Four sums side by side, so that one addition need not wait for the last. */
    private static double sumOfSquares(float[] values, int from, int to) {
        double sum0 = 0;
        double sum1 = 0;
        double sum2 = 0;
        double sum3 = 0;
        int e = from;
        for (; e + 4 <= to; e += 4) {
            sum0 += (double) values[e] * values[e];
            sum1 += (double) values[e + 1] * values[e + 1];
            sum2 += (double) values[e + 2] * values[e + 2];
            sum3 += (double) values[e + 3] * values[e + 3];
        }
        for (; e < to; e++) {
            sum0 += (double) values[e] * values[e];
        }
        return sum0 + sum1 + (sum2 + sum3);
    }

    /**
     * See {@link UpdateRule}.
     *
     * @param factor what the gradients are multiplied by
     * @param first null for a rule without moments
     * @param second null for a rule with fewer than two
     */
    void update(Update update, double factor, Span parameters, Span gradients, Span first, Span second) {
        float clip = (float) factor;
        int moments = update.rule().moments();
        workers.run(chunks(parameters.count), (index, worker) -> {
            float[][] rows = buffers[worker].single.rows(4, STRIP);
            int to = (int) Math.min(parameters.count, (long) index * CHUNK + CHUNK);
            for (int e = index * CHUNK; e < to; e += STRIP) {
                int count = Math.min(STRIP, to - e);
                load(parameters, e, rows[0], count);
                load(gradients, e, rows[1], count);
                if (moments >= 1) {
                    load(first, e, rows[2], count);
                }
                if (moments >= 2) {
                    load(second, e, rows[3], count);
                }
                move(update, clip, rows[0], rows[1], rows[2], rows[3], count);
                store(rows[0], parameters, e, count);
                if (moments >= 1) {
                    store(rows[2], first, e, count);
                }
                if (moments >= 2) {
                    store(rows[3], second, e, count);
                }
            }
        });
    }

    private static void load(Span from, int element, float[] row, int count) {
        System.arraycopy(from.values, from.start + element, row, 0, count);
    }

    private static void store(float[] row, Span to, int element, int count) {
        System.arraycopy(row, 0, to.values, to.start + element, count);
    }

    private static void move(Update update, float clip, float[] p, float[] d, float[] m, float[] v, int count) {
        float rate = (float) update.learningRate();
        if (update.rule() instanceof UpdateRule.Sgd sgd) {
            float momentum = (float) sgd.momentum();
            if (momentum == 0) {
                descend(p, d, clip, rate, count);
            } else if (sgd.nesterov()) {
                nesterov(p, d, m, clip, rate, momentum, count);
            } else {
                momentum(p, d, m, clip, rate, momentum, count);
            }
        } else if (update.rule() instanceof UpdateRule.Adam adam) {
            if (adam.weightDecay() > 0) {
                float keep = (float) (1 - update.learningRate() * adam.weightDecay());
                for (int e = 0; e < count; e++) {
                    p[e] *= keep;
                }
            }
            adamMoments(
                    d,
                    m,
                    v,
                    clip,
                    (float) adam.beta1(),
                    (float) (1 - adam.beta1()),
                    (float) adam.beta2(),
                    (float) (1 - adam.beta2()),
                    count);
            double correction1 = 1 - Math.pow(adam.beta1(), update.step());
            double correction2 = 1 - Math.pow(adam.beta2(), update.step());
            adam(
                    p,
                    m,
                    v,
                    (float) (update.learningRate() / correction1),
                    (float) (1 / correction2),
                    (float) adam.epsilon(),
                    count);
        } else if (update.rule() instanceof UpdateRule.RmsProp rms) {
            rmsProp(p, d, m, clip, rate, (float) rms.decay(), (float) (1 - rms.decay()), (float) rms.epsilon(), count);
        }
    }

    private static void descend(float[] p, float[] d, float clip, float rate, int count) {
        for (int e = 0; e < count; e++) {
            p[e] -= rate * (clip * d[e]);
        }
    }

    private static void momentum(float[] p, float[] d, float[] m, float clip, float rate, float momentum, int count) {
        for (int e = 0; e < count; e++) {
            float moment = Math.fma(momentum, m[e], clip * d[e]);
            m[e] = moment;
            p[e] -= rate * moment;
        }
    }

    private static void nesterov(float[] p, float[] d, float[] m, float clip, float rate, float momentum, int count) {
        for (int e = 0; e < count; e++) {
            float gradient = clip * d[e];
            float moment = Math.fma(momentum, m[e], gradient);
            m[e] = moment;
            p[e] -= rate * Math.fma(momentum, moment, gradient);
        }
    }

    private static void adamMoments(
            float[] d,
            float[] m,
            float[] v,
            float clip,
            float keep1,
            float take1,
            float keep2,
            float take2,
            int count) {
        for (int e = 0; e < count; e++) {
            float gradient = clip * d[e];
            m[e] = Math.fma(keep1, m[e], take1 * gradient);
            v[e] = Math.fma(keep2, v[e], take2 * gradient * gradient);
        }
    }

    private static void adam(float[] p, float[] m, float[] v, float rate, float correction, float epsilon, int count) {
        for (int e = 0; e < count; e++) {
            p[e] -= rate * m[e] / ((float) Math.sqrt(v[e] * correction) + epsilon);
        }
    }

    private static void rmsProp(
            float[] p, float[] d, float[] m, float clip, float rate, float keep, float take, float epsilon, int count) {
        for (int e = 0; e < count; e++) {
            float gradient = clip * d[e];
            float moment = Math.fma(keep, m[e], take * gradient * gradient);
            m[e] = moment;
            p[e] -= rate * gradient / ((float) Math.sqrt(moment) + epsilon);
        }
    }
}
