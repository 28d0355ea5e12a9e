package carousel.lesson;

/**
 * How large the gradient of the last step's loss is with respect to the state that each step hands to the next. Element
 * {@code k} belongs to the state k steps before the end, from 0, what the loss itself sees, to T, the initial state. Every
 * norm is {@code sqrt(1/N sum_n |dL_n/ds_n|^2)}, the root mean square over the N sequences of a batch of the L2 norm of the
 * gradient of the sequence's own loss {@code L_n}.
 *
 * @param hidden {@code s = h}, {@code [T + 1]}
 * @param cell {@code s = c}, {@code [T + 1]}; null for a network without a cell state. Element 0 is 0, as the loss sees h alone.
 */
public record GradientNorms(double[] hidden, double[] cell) {
    public GradientNorms {
        if (cell != null && cell.length != hidden.length) {
            throw new IllegalArgumentException(
                    "there should be as many norms of h as of c but got " + hidden.length + " and " + cell.length);
        }
    }

    /** T, how many steps back the norms reach. */
    public int timeSteps() {
        return hidden.length - 1;
    }

    /** The norm with respect to the whole state: h alone, or h and c together. */
    public double state(int stepsBack) {
        return cell == null ? hidden[stepsBack] : Math.hypot(hidden[stepsBack], cell[stepsBack]);
    }

    /** What is left of the gradient so many steps before the end, as a fraction of what it is at the end. */
    public double left(int stepsBack) {
        return state(stepsBack) / state(0);
    }

    /** The fraction of the squared norm that is with respect to the cell state; 0 for a network without one. */
    public double cellShare(int stepsBack) {
        if (cell == null) {
            return 0;
        }
        double fraction = cell[stepsBack] / state(stepsBack);
        return fraction * fraction;
    }

    /**
     * The norms of gradients of a batch's mean loss.
     *
     * @param gradients {@code [T + 1, N, H]}, first step first
     */
    static double[] ofSteps(double[] gradients, int timeSteps, int batchSize) {
        int size = gradients.length / (timeSteps + 1);
        double[] norms = new double[timeSteps + 1];
        for (int t = 0; t <= timeSteps; t++) {
            double squares = 0;
            for (int e = t * size; e < (t + 1) * size; e++) {
                // The mean loss has 1/N of each sequence's gradient.
                double gradient = gradients[e] * batchSize;
                squares += gradient * gradient;
            }
            norms[timeSteps - t] = Math.sqrt(squares / batchSize);
        }
        return norms;
    }
}
