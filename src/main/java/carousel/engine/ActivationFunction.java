package carousel.engine;

import java.util.Locale;

/**
 * A function of {@code x [M, K]} without parameters, and the gradient {@code dx} of a loss with respect to {@code x}, which follows
 * from the function's value {@code y} and the loss's gradient {@code dy} alone. Where x is not a number, y is none.
 */
public enum ActivationFunction {
    /** {@code y = max(x, 0)}; {@code dx = dy} where {@code y > 0}, 0 elsewhere (Glorot, Bordes &amp; Bengio 2011). */
    RELU,
    /** {@code y = 1 / (1 + exp(-x))}; {@code dx = dy y (1 - y)}. */
    SIGMOID,
    /** {@code y = tanh(x)}; {@code dx = dy (1 - y^2)}. */
    TANH,
    /**
     * Over the last dimension: {@code y_k = exp(x_k - s) / sum_j exp(x_j - s)} with {@code s} the row's maximum, which keeps the
     * exponentials from overflowing and changes nothing else; {@code dx_k = y_k (dy_k - sum_j dy_j y_j)}.
     */
    SOFTMAX;

    /** Its name in lower case, as it stands in files, summaries and messages. */
    public String word() {
        return name().toLowerCase(Locale.ROOT);
    }
}
