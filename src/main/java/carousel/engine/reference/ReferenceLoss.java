package carousel.engine.reference;

import carousel.engine.Loss;
import carousel.engine.Shapes;

/** The three losses of {@link Loss} for one row, with their gradients before weighting. */
final class ReferenceLoss {
    private ReferenceLoss() {}

    /**
     * @param loss of the row
     * @param right how right the row is, in [0, 1]
     */
    record Row(double loss, double right) {}

    /** With {@code q = softmax(p)}: {@code -log q_label}, gradient {@code q - onehot(label)}. */
    static Row softmaxCrossEntropy(double[] p, int from, int columns, int row, int label, double[] d, int to) {
        if (label < 0 || label >= columns) {
            throw Shapes.badLabel(row, label, columns);
        }
        int largest = 0;
        for (int k = 1; k < columns; k++) {
            if (p[from + k] > p[from + largest]) {
                largest = k;
            }
        }
        // Shifting by the largest keeps exp from overflowing and changes nothing else.
        double shift = p[from + largest];
        double sum = 0;
        for (int k = 0; k < columns; k++) {
            d[to + k] = Math.exp(p[from + k] - shift);
            sum += d[to + k];
        }
        for (int k = 0; k < columns; k++) {
            d[to + k] = d[to + k] / sum - (k == label ? 1 : 0);
        }
        return new Row(Math.log(sum) + shift - p[from + label], largest == label ? 1 : 0);
    }

    /** {@code 1/K sum_k (p_k - t_k)^2}, gradient {@code 2/K (p - t)}. */
    static Row meanSquaredError(double[] p, int from, int columns, double[] t, int target, double[] d, int to) {
        double sum = 0;
        for (int k = 0; k < columns; k++) {
            double difference = p[from + k] - t[target + k];
            sum += difference * difference;
            d[to + k] = 2 * difference / columns;
        }
        return new Row(sum / columns, 0);
    }

    /** {@code 1/K sum_k max(p, 0) - p t + log(1 + exp(-|p|))}, gradient {@code 1/K (sigma(p) - t)}. */
    static Row sigmoidCrossEntropy(double[] p, int from, int columns, double[] t, int target, double[] d, int to) {
        double sum = 0;
        int right = 0;
        for (int k = 0; k < columns; k++) {
            double logit = p[from + k];
            double wanted = t[target + k];
            sum += Math.max(logit, 0) - logit * wanted + Math.log1p(Math.exp(-Math.abs(logit)));
            d[to + k] = (1 / (1 + Math.exp(-logit)) - wanted) / columns;
            right += logit > 0 == wanted > 0.5 ? 1 : 0;
        }
        return new Row(sum / columns, (double) right / columns);
    }
}
