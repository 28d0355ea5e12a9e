package carousel.engine.vector;

import static carousel.tensor.HostStorage.floats;
import static carousel.tensor.HostStorage.integers;
import static carousel.tensor.HostStorage.start;

import carousel.engine.Loss;
import carousel.engine.Shapes;
import carousel.tensor.Tensor;
import java.util.Arrays;

/** The losses, a row at a time: see {@link Loss}. Exponentials of a softmax are single, sums and all else is double precision. */
final class Losses implements Workers.Task {
    /** Rows in a task. */
    private static final int CHUNK = 64;

    private final Kernels kernels;
    private final Workers workers;
    private final WorkerBuffers[] buffers;
    private double[] partials = new double[0];
    private Loss loss;
    private int rows;
    private int columns;
    private double totalWeight;
    private float[] predictions;
    private int predictionsAt;
    private int[] labels;
    private float[] targets;
    private int targetsAt;
    private float[] rowWeights;
    private int rowWeightsAt;
    private float[] gradient;
    private int gradientAt;

    Losses(Kernels kernels, Workers workers, WorkerBuffers[] buffers) {
        this.kernels = kernels;
        this.workers = workers;
        this.buffers = buffers;
    }

    /** Reports the sums of the weighted losses, of the weighted shares of right predictions, and of the weights. */
    void compute(Loss what, Tensor p, Tensor wanted, Tensor weights, Tensor report, Tensor dPredictions) {
        loss = what;
        rows = p.shape().extent(0);
        columns = p.shape().extent(1);
        predictions = floats(p);
        predictionsAt = start(p);
        labels = what.labelled() ? integers(wanted) : null;
        targets = what.labelled() ? null : floats(wanted);
        targetsAt = start(wanted);
        rowWeights = weights == null ? null : floats(weights);
        rowWeightsAt = weights == null ? 0 : start(weights);
        gradient = dPredictions == null ? null : floats(dPredictions);
        gradientAt = dPredictions == null ? 0 : start(dPredictions);
        double total = 0;
        for (int m = 0; m < rows; m++) {
            total += weight(m);
        }
        totalWeight = total;
        int chunks = (rows + CHUNK - 1) / CHUNK;
        if (partials.length < 2 * chunks) {
            partials = new double[2 * chunks];
        }
        workers.run(chunks, this);
        double lossSum = 0;
        double rightSum = 0;
        for (int k = 0; k < chunks; k++) {
            lossSum += partials[2 * k];
            rightSum += partials[2 * k + 1];
        }
        float[] into = floats(report);
        int at = start(report);
        into[at] = (float) lossSum;
        into[at + 1] = (float) rightSum;
        into[at + 2] = (float) total;
        predictions = null;
        labels = null;
        targets = null;
        rowWeights = null;
        gradient = null;
    }

    private double weight(int row) {
        return rowWeights == null ? 1 : rowWeights[rowWeightsAt + row];
    }

    @Override
    public void run(int index, int worker) {
        double lossSum = 0;
        double rightSum = 0;
        for (int m = index * CHUNK; m < Math.min(rows, (index + 1) * CHUNK); m++) {
            double weight = weight(m);
            if (weight == 0) {
                // A row left out may hold anything, even a label that is none.
                if (gradient != null) {
                    Arrays.fill(gradient, gradientAt + m * columns, gradientAt + (m + 1) * columns, 0);
                }
                continue;
            }
            double share = totalWeight == 0 ? 0 : weight / totalWeight;
            switch (loss) {
                case SOFTMAX_CROSS_ENTROPY -> {
                    int largest = largest(predictions, predictionsAt + m * columns, columns);
                    lossSum += weight * softmaxCrossEntropy(m, largest, share, buffers[worker]);
                    rightSum += largest == labels[targetsAt + m] ? weight : 0;
                }
                case MEAN_SQUARED_ERROR -> lossSum += weight * meanSquaredError(m, share);
                case SIGMOID_CROSS_ENTROPY -> {
                    lossSum += weight * sigmoidCrossEntropy(m, share);
                    rightSum += weight * rightElements(m) / columns;
                }
            }
        }
        partials[2 * index] = lossSum;
        partials[2 * index + 1] = rightSum;
    }

    /** Where in a row its largest element is, the first one among equals. */
    static int largest(float[] values, int at, int count) {
        int largest = 0;
        for (int k = 1; k < count; k++) {
            if (values[at + k] > values[at + largest]) {
                largest = k;
            }
        }
        return largest;
    }

    /** The gradient is {@code share (softmax(p) - onehot(label))}. */
    private double softmaxCrossEntropy(int m, int largest, double share, WorkerBuffers buffer) {
        int label = labels[targetsAt + m];
        if (label < 0 || label >= columns) {
            throw Shapes.badLabel(m, label, columns);
        }
        int at = predictionsAt + m * columns;
        // Shifting by the largest keeps the exponentials from overflowing and changes nothing else.
        float shift = predictions[at + largest];
        float[] terms = gradient == null ? buffer.sums.take(columns) : gradient;
        int to = gradient == null ? 0 : gradientAt + m * columns;
        kernels.exponentials(predictions, at, shift, terms, to, columns);
        double sum = sum(terms, to, columns);
        if (gradient != null) {
            double right = share * (terms[to + label] / sum - 1);
            kernels.scale(terms, to, (float) (share / sum), terms, to, columns);
            terms[to + label] = (float) right;
        }
        return Math.log(sum) + ((double) shift - predictions[at + label]);
    }

    /** Two sums side by side, so that one addition need not wait for the last. */
    static double sum(float[] values, int at, int count) {
        double even = 0;
        double odd = 0;
        int e = 0;
        for (; e + 2 <= count; e += 2) {
            even += values[at + e];
            odd += values[at + e + 1];
        }
        return e < count ? even + odd + values[at + e] : even + odd;
    }

    /** The gradient is {@code share 2/K (p - t)}. */
    private double meanSquaredError(int m, double share) {
        double sum = 0;
        for (int k = m * columns; k < (m + 1) * columns; k++) {
            double difference = (double) predictions[predictionsAt + k] - targets[targetsAt + k];
            sum += difference * difference;
            if (gradient != null) {
                gradient[gradientAt + k] = (float) (share * 2 * difference / columns);
            }
        }
        return sum / columns;
    }

    /** The gradient is {@code share 1/K (sigma(p) - t)}. */
    private double sigmoidCrossEntropy(int m, double share) {
        double sum = 0;
        for (int k = m * columns; k < (m + 1) * columns; k++) {
            double logit = predictions[predictionsAt + k];
            double wanted = targets[targetsAt + k];
            sum += Math.max(logit, 0) - logit * wanted + Math.log1p(Math.exp(-Math.abs(logit)));
            if (gradient != null) {
                gradient[gradientAt + k] = (float) (share * (1 / (1 + Math.exp(-logit)) - wanted) / columns);
            }
        }
        return sum / columns;
    }

    private int rightElements(int m) {
        int right = 0;
        for (int k = m * columns; k < (m + 1) * columns; k++) {
            boolean said = predictions[predictionsAt + k] > 0;
            boolean wanted = targets[targetsAt + k] > 0.5f;
            right += said == wanted ? 1 : 0;
        }
        return right;
    }
}
