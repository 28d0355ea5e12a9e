package carousel.engine.vector;

import carousel.engine.Loss;
import carousel.engine.Shapes;
import java.util.Arrays;

/** The losses, a row at a time in double precision: see {@link Loss}. */
final class Losses {
    /** Rows in a task. */
    private static final int CHUNK = 64;

    private final Workers workers;
    private double[] partials = new double[0];

    Losses(Workers workers) {
        this.workers = workers;
    }

    /**
     * One call's tensors.
     *
     * @param labels for a loss with labels, otherwise null
     * @param targets for a loss without, otherwise null
     * @param first where labels or targets start
     * @param rowWeights null for 1 each
     * @param gradient null when not wanted
     */
    record Batch(
            Linear.Matrix predictions,
            int[] labels,
            float[] targets,
            int first,
            Elementwise.Span rowWeights,
            Linear.Matrix gradient) {
        double weight(int row) {
            return rowWeights == null ? 1 : rowWeights.values()[rowWeights.start() + row];
        }
    }

    /** Sums of the weighted losses, of the weighted shares of right predictions, and of the weights. */
    double[] compute(Loss loss, Batch batch) {
        int rows = batch.predictions.rows();
        double weights = 0;
        for (int m = 0; m < rows; m++) {
            weights += batch.weight(m);
        }
        double total = weights;
        int chunks = (rows + CHUNK - 1) / CHUNK;
        if (partials.length < 2 * chunks) {
            partials = new double[2 * chunks];
        }
        double[] sums = partials;
        workers.run(chunks, (index, worker) -> {
            double lossSum = 0;
            double rightSum = 0;
            for (int m = index * CHUNK; m < Math.min(rows, (index + 1) * CHUNK); m++) {
                double weight = batch.weight(m);
                if (weight == 0) {
                    // A row left out may hold anything, even a label that is none.
                    clear(batch, m);
                    continue;
                }
                double share = total == 0 ? 0 : weight / total;
                switch (loss) {
                    case SOFTMAX_CROSS_ENTROPY -> {
                        lossSum += weight * softmaxCrossEntropy(batch, m, share);
                        rightSum += labelIsLargest(batch, m) ? weight : 0;
                    }
                    case MEAN_SQUARED_ERROR -> lossSum += weight * meanSquaredError(batch, m, share);
                    case SIGMOID_CROSS_ENTROPY -> {
                        lossSum += weight * sigmoidCrossEntropy(batch, m, share);
                        rightSum += weight * rightElements(batch, m) / batch.predictions.columns();
                    }
                }
            }
            sums[2 * index] = lossSum;
            sums[2 * index + 1] = rightSum;
        });
        double[] report = {0, 0, weights};
        for (int k = 0; k < chunks; k++) {
            report[0] += sums[2 * k];
            report[1] += sums[2 * k + 1];
        }
        return report;
    }

    private static void clear(Batch batch, int m) {
        if (batch.gradient != null) {
            int at = batch.gradient.at(m);
            Arrays.fill(batch.gradient.values(), at, at + batch.gradient.columns(), 0);
        }
    }

    private static int largest(Batch batch, int m) {
        float[] p = batch.predictions.values();
        int at = batch.predictions.at(m);
        int largest = 0;
        for (int k = 1; k < batch.predictions.columns(); k++) {
            if (p[at + k] > p[at + largest]) {
                largest = k;
            }
        }
        return largest;
    }

    private static boolean labelIsLargest(Batch batch, int m) {
        return largest(batch, m) == batch.labels[batch.first + m];
    }

    /** The gradient is {@code share (softmax(p) - onehot(label))}. */
    private static double softmaxCrossEntropy(Batch batch, int m, double share) {
        int columns = batch.predictions.columns();
        int label = batch.labels[batch.first + m];
        if (label < 0 || label >= columns) {
            throw Shapes.badLabel(m, label, columns);
        }
        float[] p = batch.predictions.values();
        int at = batch.predictions.at(m);
        // Shifting by the largest keeps exp from overflowing and changes nothing else.
        double shift = p[at + largest(batch, m)];
        float[] d = batch.gradient == null ? null : batch.gradient.values();
        int to = batch.gradient == null ? 0 : batch.gradient.at(m);
        double sum = 0;
        for (int k = 0; k < columns; k++) {
            double term = Math.exp(p[at + k] - shift);
            sum += term;
            if (d != null) {
                d[to + k] = (float) term;
            }
        }
        if (d != null) {
            double scale = share / sum;
            for (int k = 0; k < columns; k++) {
                d[to + k] = (float) (d[to + k] * scale);
            }
            d[to + label] = (float) (share * (Math.exp(p[at + label] - shift) / sum - 1));
        }
        return Math.log(sum) + shift - p[at + label];
    }

    /** The gradient is {@code share 2/K (p - t)}. */
    private static double meanSquaredError(Batch batch, int m, double share) {
        int columns = batch.predictions.columns();
        float[] p = batch.predictions.values();
        int at = batch.predictions.at(m);
        int target = batch.first + m * columns;
        double sum = 0;
        for (int k = 0; k < columns; k++) {
            double difference = (double) p[at + k] - batch.targets[target + k];
            sum += difference * difference;
            if (batch.gradient != null) {
                batch.gradient.values()[batch.gradient.at(m) + k] = (float) (share * 2 * difference / columns);
            }
        }
        return sum / columns;
    }

    /** The gradient is {@code share 1/K (sigma(p) - t)}. */
    private static double sigmoidCrossEntropy(Batch batch, int m, double share) {
        int columns = batch.predictions.columns();
        float[] p = batch.predictions.values();
        int at = batch.predictions.at(m);
        int target = batch.first + m * columns;
        double sum = 0;
        for (int k = 0; k < columns; k++) {
            double logit = p[at + k];
            double wanted = batch.targets[target + k];
            sum += Math.max(logit, 0) - logit * wanted + Math.log1p(Math.exp(-Math.abs(logit)));
            if (batch.gradient != null) {
                batch.gradient.values()[batch.gradient.at(m) + k] =
                        (float) (share * (1 / (1 + Math.exp(-logit)) - wanted) / columns);
            }
        }
        return sum / columns;
    }

    private static int rightElements(Batch batch, int m) {
        int columns = batch.predictions.columns();
        int right = 0;
        for (int k = 0; k < columns; k++) {
            boolean said = batch.predictions.values()[batch.predictions.at(m) + k] > 0;
            boolean wanted = batch.targets[batch.first + m * columns + k] > 0.5f;
            right += said == wanted ? 1 : 0;
        }
        return right;
    }
}
