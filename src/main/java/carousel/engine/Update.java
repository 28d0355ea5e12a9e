package carousel.engine;

import carousel.tensor.Tensor;

/**
 * One optimizer step over a whole flat buffer.
 *
 * @param rule what is computed
 * @param step the number of this step, counted from 1
 * @param learningRate the rate of this step
 * @param maxNorm gradients are first scaled down to this global L2 norm where theirs is larger (Pascanu, Mikolov &amp; Bengio
 *     2013); 0 for no clipping
 * @param squaredNorm a tensor {@code [1]} with the square of the gradients' norm, from {@link Engine#squaredNorm}; read on
 *     the engine's side, so that clipping needs no round trip to the host. May be null when {@code maxNorm} is 0.
 */
public record Update(UpdateRule rule, long step, double learningRate, double maxNorm, Tensor squaredNorm) {
    public Update {
        if (step < 1) {
            throw new IllegalArgumentException("the step of an update is counted from 1 but got " + step);
        }
        if (!(learningRate >= 0) || Double.isInfinite(learningRate)) {
            throw new IllegalArgumentException(
                    "the learning rate should be 0 or a positive finite number but got " + learningRate);
        }
        if (!(maxNorm >= 0) || Double.isInfinite(maxNorm)) {
            throw new IllegalArgumentException(
                    "the largest gradient norm should be 0 (no clipping) or a positive finite number but got "
                            + maxNorm);
        }
        if (maxNorm > 0 && squaredNorm == null) {
            throw new IllegalArgumentException(
                    "clipping to a norm of " + maxNorm + " needs the gradients' squared norm");
        }
    }

    /**
     * What gradients are multiplied by. Not a number when the norm is not finite: gradients that have overflowed must not pass for
     * gradients of zero.
     *
     * @param square the value of {@link #squaredNorm()}; any where nothing is clipped
     */
    public double clipFactor(double square) {
        if (maxNorm == 0) {
            return 1;
        }
        double norm = Math.sqrt(square);
        if (!Double.isFinite(norm)) {
            return Double.NaN;
        }
        return norm > maxNorm ? maxNorm / norm : 1;
    }
}
