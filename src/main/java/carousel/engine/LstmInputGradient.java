package carousel.engine;

import carousel.tensor.Tensor;

/**
 * The activation gradients that a backward pass writes (it overwrites them; parameter gradients accumulate).
 *
 * @param dx {@code [T, N, C]}, zero past the end of a sequence; null when not wanted
 * @param initial gradients of the initial state; null when not wanted, and so may be its {@code h} or {@code c}
 */
public record LstmInputGradient(Tensor dx, LstmState initial) {
    public static final LstmInputGradient NONE = new LstmInputGradient(null, null);
}
