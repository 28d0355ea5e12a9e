package carousel.engine;

import carousel.tensor.Tensor;

/**
 * What a stack writes, allocated by the caller; or, for the backward pass, the gradients of the loss with respect to it.
 *
 * @param y {@code [T, N, cells * P]}, the outputs of the last layer, zero past the end of a sequence. As a gradient it may
 *     be null for zero, and is ignored past the end.
 * @param last each cell's state after the last step it reads: at the true end of each sequence, or at time 0 for a cell
 *     that reads in reverse. May be null: not wanted, or a zero gradient. Its {@code h} or {@code c} alone may be null too.
 */
public record LstmOutput(Tensor y, LstmState last) {}
