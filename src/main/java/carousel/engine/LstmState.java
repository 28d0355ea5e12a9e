package carousel.engine;

import carousel.tensor.Tensor;

/**
 * The state of a stack at one moment, or the gradient of a loss with respect to it. With {@code S = layers * cells},
 *
 * @param h {@code [S, N, P]}: what the cells show
 * @param c {@code [S, N, H]}: what they carry
 */
public record LstmState(Tensor h, Tensor c) {}
