package carousel.engine;

/**
 * What a model's predictions {@code p [M, K]} are measured with. Each row {@code m} has a loss and a weight {@code w_m}; the
 * loss of the batch is {@code sum_m w_m loss_m / sum_m w_m}.
 */
public enum Loss {
    /**
     * {@code loss_m = log sum_k exp(p_mk) - p_m,label}; targets are integer labels {@code [M]} in [0, K). A row is right when
     * its largest logit, the first one among equals, is the label's.
     */
    SOFTMAX_CROSS_ENTROPY,
    /** {@code loss_m = 1/K sum_k (p_mk - t_mk)^2}; targets {@code [M, K]}. There is no notion of a right row. */
    MEAN_SQUARED_ERROR,
    /**
     * {@code loss_m = 1/K sum_k max(p, 0) - p t + log(1 + exp(-|p|))}; targets {@code [M, K]} in [0, 1]. A row counts by the
     * share of its elements with {@code p > 0} exactly where {@code t > 0.5}.
     */
    SIGMOID_CROSS_ENTROPY;

    /** Whether targets are integer labels {@code [M]}; otherwise they are real numbers {@code [M, K]}. */
    public boolean labelled() {
        return this == SOFTMAX_CROSS_ENTROPY;
    }
}
