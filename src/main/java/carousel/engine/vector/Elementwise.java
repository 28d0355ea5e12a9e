package carousel.engine.vector;

import static carousel.tensor.HostStorage.floats;
import static carousel.tensor.HostStorage.start;

import carousel.engine.Philox;
import carousel.engine.RandomKey;
import carousel.engine.Update;
import carousel.tensor.Tensor;

/** Work on flat buffers, in chunks of a fixed size. */
final class Elementwise {
    /** Elements in a task; a multiple of {@link Philox#WORDS}. */
    private static final int CHUNK = 1 << 14;

    private final Kernels kernels;
    private final Workers workers;
    private final WorkerBuffers[] buffers;
    private final Dropout dropout = new Dropout();
    private final Addition addition = new Addition();
    private final SquaredNorm squaredNorm = new SquaredNorm();
    private final Move move = new Move();

    Elementwise(Kernels kernels, Workers workers, WorkerBuffers[] buffers) {
        this.kernels = kernels;
        this.workers = workers;
        this.buffers = buffers;
    }

    private static int chunks(int count) {
        return (int) (((long) count + CHUNK - 1) / CHUNK);
    }

    /** See {@link carousel.engine.Engine#dropout}. {@code x} and {@code y} may be the same. */
    void dropout(float[] x, int xAt, int count, double rate, RandomKey key, int period, float[] y, int yAt) {
        dropout.x = x;
        dropout.xAt = xAt;
        dropout.y = y;
        dropout.yAt = yAt;
        dropout.count = count;
        dropout.threshold = RandomKey.threshold(rate);
        dropout.scale = (float) (1 / (1 - rate));
        dropout.key = key;
        dropout.period = period;
        workers.run(chunks(count), dropout);
        dropout.x = null;
        dropout.y = null;
    }

    private final class Dropout implements Workers.Task {
        private float[] x;
        private int xAt;
        private float[] y;
        private int yAt;
        private int count;
        private int threshold;
        private float scale;
        private RandomKey key;
        private int period;

        @Override
        public void run(int index, int worker) {
            int[] words = buffers[worker].words;
            int from = index * CHUNK;
            int to = (int) Math.min(count, (long) from + CHUNK);
            int draw = from % period;
            for (int e = from; e < to; e++) {
                int word = draw % Philox.WORDS;
                if (word == 0 || e == from) {
                    key.block(draw / Philox.WORDS, words);
                }
                boolean drops = RandomKey.drops(words[word], threshold);
                y[yAt + e] = drops ? 0 : x[xAt + e] * scale;
                draw = draw + 1 == period ? 0 : draw + 1;
            }
        }
    }

    /** {@code y += x}. */
    void add(Tensor x, Tensor y) {
        addition.x = floats(x);
        addition.xAt = start(x);
        addition.y = floats(y);
        addition.yAt = start(y);
        addition.count = Math.toIntExact(x.elements());
        workers.run(chunks(addition.count), addition);
        addition.x = null;
        addition.y = null;
    }

    private final class Addition implements Workers.Task {
        private float[] x;
        private int xAt;
        private float[] y;
        private int yAt;
        private int count;

        @Override
        public void run(int index, int worker) {
            int from = index * CHUNK;
            kernels.add(y, yAt + from, x, xAt + from, (int) Math.min(CHUNK, (long) count - from));
        }
    }

    /** The sum of squares, in double precision. */
    double squaredNorm(Tensor tensor) {
        squaredNorm.x = floats(tensor);
        squaredNorm.xAt = start(tensor);
        squaredNorm.count = Math.toIntExact(tensor.elements());
        int chunks = chunks(squaredNorm.count);
        if (squaredNorm.sums.length < chunks) {
            squaredNorm.sums = new double[chunks];
        }
        workers.run(chunks, squaredNorm);
        squaredNorm.x = null;
        double total = 0;
        for (int k = 0; k < chunks; k++) {
            total += squaredNorm.sums[k];
        }
        return total;
    }

    private static final class SquaredNorm implements Workers.Task {
        private float[] x;
        private int xAt;
        private int count;
        private double[] sums = new double[0];

        @Override
        public void run(int index, int worker) {
            int from = index * CHUNK;
            int to = (int) Math.min(count, (long) from + CHUNK);
            sums[index] = sumOfSquares(x, xAt + from, xAt + to);
        }
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
     * See {@link carousel.engine.UpdateRule}.
     *
     * @param clip what the gradients are multiplied by
     */
    void update(Update update, double clip, Tensor parameters, Tensor gradients, Tensor first, Tensor second) {
        int moments = update.rule().moments();
        move.step.set(update, clip);
        move.p = floats(parameters);
        move.pAt = start(parameters);
        move.d = floats(gradients);
        move.dAt = start(gradients);
        move.m = moments >= 1 ? floats(first) : null;
        move.mAt = moments >= 1 ? start(first) : 0;
        move.v = moments >= 2 ? floats(second) : null;
        move.vAt = moments >= 2 ? start(second) : 0;
        move.count = Math.toIntExact(parameters.elements());
        workers.run(chunks(move.count), move);
        move.p = null;
        move.d = null;
        move.m = null;
        move.v = null;
    }

    private final class Move implements Workers.Task {
        private final UpdateStep step = new UpdateStep();
        private float[] p;
        private int pAt;
        private float[] d;
        private int dAt;
        private float[] m;
        private int mAt;
        private float[] v;
        private int vAt;
        private int count;

        @Override
        public void run(int index, int worker) {
            int from = index * CHUNK;
            int length = (int) Math.min(CHUNK, (long) count - from);
            kernels.update(step, p, pAt + from, d, dAt + from, m, mAt + from, v, vAt + from, length);
        }
    }
}
