package carousel.engine.vector;

import carousel.engine.ActivationFunction;
import carousel.engine.Loss;
import java.util.Arrays;

/** Tangents of the gradients of activations and losses, some whole rows at a time; sums over a row are in double precision. */
final class DualRows {
    /** Elements that a task takes where they are whole rows. */
    private static final int CHUNK = 1 << 13;

    private final Kernels kernels;
    private final Workers workers;
    private final WorkerBuffers[] buffers;

    DualRows(Kernels kernels, Workers workers, WorkerBuffers[] buffers) {
        this.kernels = kernels;
        this.workers = workers;
        this.buffers = buffers;
    }

    /** What is done with a row that begins at this element. */
    private interface Row {
        void compute(int row, int at, WorkerBuffers buffer);
    }

    private void forEach(int rows, int columns, Row row) {
        int each = Math.max(1, CHUNK / columns);
        workers.run((rows + each - 1) / each, (index, worker) -> {
            for (int m = index * each; m < Math.min(rows, (index + 1) * each); m++) {
                row.compute(m, m * columns, buffers[worker]);
            }
        });
    }

    /** See {@link carousel.engine.SecondOrder#activationBackward}. */
    void activation(
            ActivationFunction function,
            int rows,
            int columns,
            DualFloats y,
            DualFloats dy,
            float[] target,
            int targetAt) {
        forEach(rows, columns, (m, at, buffer) -> {
            double mean = 0;
            double meanTangent = 0;
            for (int k = at; function == ActivationFunction.SOFTMAX && k < at + columns; k++) {
                double value = y.value()[y.at() + k];
                mean += dy.value()[dy.at() + k] * value;
                meanTangent += tangent(dy, k) * value + dy.value()[dy.at() + k] * (double) tangent(y, k);
            }
            for (int k = at; k < at + columns; k++) {
                float value = y.value()[y.at() + k];
                float change = tangent(y, k);
                float d = dy.value()[dy.at() + k];
                float dChange = tangent(dy, k);
                target[targetAt + k] = switch (function) {
                    case RELU -> value > 0 ? dChange : 0;
                    case SIGMOID -> dChange * value * (1 - value) + d * change * (1 - 2 * value);
                    case TANH -> dChange * (1 - value * value) - 2 * d * change * value;
                    case SOFTMAX -> (float) (change * (d - mean) + value * (dChange - meanTangent));
                };
            }
        });
    }

    private static float tangent(DualFloats numbers, int element) {
        return numbers.tangent() == null ? 0 : numbers.tangent()[numbers.tangentAt() + element];
    }

    /** See {@link carousel.engine.SecondOrder#loss}. */
    void loss(
            Loss loss,
            int rows,
            int columns,
            DualFloats predictions,
            float[] weights,
            int weightsAt,
            float[] target,
            int targetAt) {
        double total = 0;
        for (int m = 0; m < rows; m++) {
            total += weights == null ? 1 : weights[weightsAt + m];
        }
        double weightSum = total;
        forEach(rows, columns, (m, at, buffer) -> {
            double weight = weights == null ? 1 : weights[weightsAt + m];
            if (weight == 0) {
                // A row left out may hold anything.
                Arrays.fill(target, targetAt + at, targetAt + at + columns, 0);
                return;
            }
            double share = weight / weightSum;
            float[] p = predictions.value();
            int pAt = predictions.at() + at;
            float[] change = predictions.tangent();
            int changeAt = predictions.tangentAt() + at;
            switch (loss) {
                case SOFTMAX_CROSS_ENTROPY -> {
                    float[] terms = buffer.sums.take(columns);
                    float shift = p[pAt + Losses.largest(p, pAt, columns)];
                    kernels.exponentials(p, pAt, shift, terms, 0, columns);
                    double sum = Losses.sum(terms, 0, columns);
                    double mean = 0;
                    for (int k = 0; k < columns; k++) {
                        mean += terms[k] / sum * change[changeAt + k];
                    }
                    for (int k = 0; k < columns; k++) {
                        target[targetAt + at + k] = (float) (share * terms[k] / sum * (change[changeAt + k] - mean));
                    }
                }
                case MEAN_SQUARED_ERROR -> {
                    for (int k = 0; k < columns; k++) {
                        target[targetAt + at + k] = (float) (share * 2 * change[changeAt + k] / columns);
                    }
                }
                case SIGMOID_CROSS_ENTROPY -> {
                    for (int k = 0; k < columns; k++) {
                        double probability = 1 / (1 + Math.exp(-p[pAt + k]));
                        double slope = probability * (1 - probability);
                        target[targetAt + at + k] = (float) (share * slope * change[changeAt + k] / columns);
                    }
                }
            }
        });
    }
}
