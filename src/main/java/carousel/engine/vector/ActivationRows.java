package carousel.engine.vector;

import static carousel.tensor.HostStorage.floats;
import static carousel.tensor.HostStorage.start;

import carousel.engine.ActivationFunction;
import carousel.tensor.Tensor;

/**
 * The functions of {@link ActivationFunction} and their gradients, some whole rows at a time. Sums over a row are in double
 * precision.
 */
final class ActivationRows {
    /** Elements that a task takes where they are whole rows. */
    private static final int CHUNK = 1 << 14;

    private final Kernels kernels;
    private final Workers workers;
    private final Forward forward = new Forward();
    private final Backward backward = new Backward();

    ActivationRows(Kernels kernels, Workers workers) {
        this.kernels = kernels;
        this.workers = workers;
    }

    /** See {@link carousel.engine.Engine#activationForward}. */
    void forward(ActivationFunction function, Tensor x, Tensor y) {
        forward.function = function;
        forward.x = floats(x);
        forward.xAt = start(x);
        forward.y = floats(y);
        forward.yAt = start(y);
        forward.run(x);
        forward.x = null;
        forward.y = null;
    }

    /** See {@link carousel.engine.Engine#activationBackward}. */
    void backward(ActivationFunction function, Tensor y, Tensor dy, Tensor dx) {
        backward.function = function;
        backward.y = floats(y);
        backward.yAt = start(y);
        backward.dy = floats(dy);
        backward.dyAt = start(dy);
        backward.dx = floats(dx);
        backward.dxAt = start(dx);
        backward.run(y);
        backward.y = null;
        backward.dy = null;
        backward.dx = null;
    }

    private abstract class Rows implements Workers.Task {
        ActivationFunction function;
        int columns;
        private int rows;
        private int rowsOfTask;

        /** Runs over all rows of tensors like this one. */
        final void run(Tensor like) {
            rows = like.shape().extent(0);
            columns = like.shape().extent(1);
            if (columns == 0) {
                return;
            }
            rowsOfTask = Math.max(1, CHUNK / columns);
            workers.run((int) (((long) rows + rowsOfTask - 1) / rowsOfTask), this);
        }

        @Override
        public final void run(int index, int worker) {
            int first = index * rowsOfTask;
            int count = Math.min(rowsOfTask, rows - first);
            if (function != ActivationFunction.SOFTMAX) {
                elements(first * columns, count * columns);
                return;
            }
            for (int m = first; m < first + count; m++) {
                softmax(m * columns);
            }
        }

        /** A function of each element by itself. */
        abstract void elements(int from, int count);

        /** The row that begins here. */
        abstract void softmax(int row);
    }

    private final class Forward extends Rows {
        private float[] x;
        private int xAt;
        private float[] y;
        private int yAt;

        @Override
        void elements(int from, int count) {
            switch (function) {
                case RELU -> rectify(x, xAt + from, y, yAt + from, count);
                case SIGMOID -> kernels.logistic(x, xAt + from, y, yAt + from, count);
                case TANH -> kernels.tanh(x, xAt + from, y, yAt + from, count);
                case SOFTMAX -> throw new AssertionError(function);
            }
        }

        @Override
        void softmax(int row) {
            int from = xAt + row;
            int to = yAt + row;
            // Shifting by the largest keeps the exponentials from overflowing and changes nothing else.
            float shift = x[from + Losses.largest(x, from, columns)];
            kernels.exponentials(x, from, shift, y, to, columns);
            kernels.scale(y, to, (float) (1 / Losses.sum(y, to, columns)), y, to, columns);
        }
    }

    /** What is not a number stays so. */
    private static void rectify(float[] x, int xAt, float[] y, int yAt, int count) {
        for (int e = 0; e < count; e++) {
            y[yAt + e] = Math.max(x[xAt + e], 0);
        }
    }

    private final class Backward extends Rows {
        private float[] y;
        private int yAt;
        private float[] dy;
        private int dyAt;
        private float[] dx;
        private int dxAt;

        @Override
        void elements(int from, int count) {
            switch (function) {
                case RELU -> rectifyBackward(y, yAt + from, dy, dyAt + from, dx, dxAt + from, count);
                case SIGMOID -> logisticBackward(y, yAt + from, dy, dyAt + from, dx, dxAt + from, count);
                case TANH -> tanhBackward(y, yAt + from, dy, dyAt + from, dx, dxAt + from, count);
                case SOFTMAX -> throw new AssertionError(function);
            }
        }

        @Override
        void softmax(int row) {
            int from = yAt + row;
            int gradient = dyAt + row;
            int to = dxAt + row;
            double mean = dot(dy, gradient, y, from, columns);
            for (int k = 0; k < columns; k++) {
                dx[to + k] = (float) (y[from + k] * (dy[gradient + k] - mean));
            }
        }
    }

    private static void rectifyBackward(float[] y, int yAt, float[] dy, int dyAt, float[] dx, int dxAt, int count) {
        for (int e = 0; e < count; e++) {
            dx[dxAt + e] = y[yAt + e] > 0 ? dy[dyAt + e] : 0;
        }
    }

    private static void logisticBackward(float[] y, int yAt, float[] dy, int dyAt, float[] dx, int dxAt, int count) {
        for (int e = 0; e < count; e++) {
            float value = y[yAt + e];
            dx[dxAt + e] = dy[dyAt + e] * (value * (1 - value));
        }
    }

    private static void tanhBackward(float[] y, int yAt, float[] dy, int dyAt, float[] dx, int dxAt, int count) {
        for (int e = 0; e < count; e++) {
            float value = y[yAt + e];
            dx[dxAt + e] = dy[dyAt + e] * (1 - value * value);
        }
    }

    /** Two sums side by side, so that one addition need not wait for the last. */
    private static double dot(float[] a, int aAt, float[] b, int bAt, int count) {
        double even = 0;
        double odd = 0;
        int e = 0;
        for (; e + 2 <= count; e += 2) {
            even += (double) a[aAt + e] * b[bAt + e];
            odd += (double) a[aAt + e + 1] * b[bAt + e + 1];
        }
        return e < count ? even + odd + (double) a[aAt + e] * b[bAt + e] : even + odd;
    }
}
