package carousel.engine.reference;

import carousel.engine.ActivationFunction;

/** The functions of {@link ActivationFunction} for one row, and their gradients. Results may lie where the inputs do. */
final class ReferenceActivation {
    private ReferenceActivation() {}

    static void forward(ActivationFunction function, double[] x, int from, int columns, double[] y, int to) {
        if (function == ActivationFunction.SOFTMAX) {
            softmax(x, from, columns, y, to);
            return;
        }
        for (int k = 0; k < columns; k++) {
            double value = x[from + k];
            y[to + k] = switch (function) {
                case RELU -> Math.max(value, 0);
                case SIGMOID -> 1 / (1 + Math.exp(-value));
                case TANH -> Math.tanh(value);
                case SOFTMAX -> throw new AssertionError(function);
            };
        }
    }

    private static void softmax(double[] x, int from, int columns, double[] y, int to) {
        double shift = Double.NEGATIVE_INFINITY;
        for (int k = 0; k < columns; k++) {
            shift = Math.max(shift, x[from + k]);
        }
        double sum = 0;
        for (int k = 0; k < columns; k++) {
            y[to + k] = Math.exp(x[from + k] - shift);
            sum += y[to + k];
        }
        for (int k = 0; k < columns; k++) {
            y[to + k] /= sum;
        }
    }

    /** @param from where the row begins in y */
    static void backward(
            ActivationFunction function,
            double[] y,
            int from,
            int columns,
            double[] dy,
            int gradient,
            double[] dx,
            int to) {
        double mean = 0;
        for (int k = 0; k < columns; k++) {
            mean += dy[gradient + k] * y[from + k];
        }
        for (int k = 0; k < columns; k++) {
            double value = y[from + k];
            double d = dy[gradient + k];
            dx[to + k] = switch (function) {
                case RELU -> value > 0 ? d : 0;
                case SIGMOID -> d * value * (1 - value);
                case TANH -> d * (1 - value * value);
                case SOFTMAX -> value * (d - mean);
            };
        }
    }
}
