package carousel.engine;

import carousel.tensor.Scope;
import carousel.tensor.Tensor;

/**
 * How an engine's passes, and its gradients, change along a direction: forward-over-reverse differentiation, exact and without
 * differences (Pearlmutter 1994, Fast exact multiplication by the Hessian). With the parameters' direction {@code v} as their
 * tangent, the tangent of a loss's gradient is the product {@code H v} of its Hessian, at the price of some two gradients more.
 *
 * <p>The rules of {@link Engine} hold here too: the caller allocates, parameter gradients and their tangents are added to and
 * everything else is overwritten, sums have a fixed order. At a kink of a function, and where a limit acts or is just reached,
 * second derivatives count as zero.
 */
public interface SecondOrder {
    /** Memory for what {@link #lstmForward} over {@code T} steps and {@code N} sequences saves for {@link #lstmBackward}. */
    LstmTape openTape(Scope scope, LstmSpec spec, int timeSteps, int batchSize);

    /**
     * {@link Engine#lstmForward} and its Jacobian's product with the direction.
     *
     * @param input of the tangent only {@code x} and the initial state count; either may be null for zero, and so may be the state's
     *     {@code h} or {@code c}, whether or not the value has an initial state
     * @param output both {@code y} are needed; the last states may be null, or parts of them
     * @param tape null where there is no way back
     */
    void lstmForward(
            LstmSpec spec, Dual<Tensor> parameters, Dual<LstmInput> input, Dual<LstmOutput> output, LstmTape tape);

    /**
     * {@link Engine#lstmBackward} through the last pass recorded on a tape of this, and how its gradients change along the direction.
     *
     * @param outputGradient the loss's gradient with respect to {@code y} and the last state, and how that changes
     * @param parameterGradients both added to; either may be null
     * @param inputGradient where the gradients of x and of the initial state go, and their tangents
     */
    void lstmBackward(
            LstmTape tape,
            Dual<LstmOutput> outputGradient,
            Dual<Tensor> parameterGradients,
            Dual<LstmInputGradient> inputGradient);

    /**
     * The tangent of {@link Engine#activationBackward}'s dx. (That of {@link Engine#activationForward}'s y is what {@code
     * activationBackward} gives for x's tangent in the place of dy, for every function's Jacobian is symmetric.)
     *
     * @param y {@code [M, K]}, with its tangent
     * @param dy {@code [M, K]}
     * @param dxTangent {@code [M, K]}; may be dy's tangent
     */
    void activationBackward(ActivationFunction function, Dual<Tensor> y, Dual<Tensor> dy, Tensor dxTangent);

    /**
     * The tangent of the gradient that {@link Engine#loss} gives: it depends on the predictions and not on the targets.
     *
     * @param predictions {@code [M, K]}, with their tangent
     * @param rowWeights {@code [M]}, or null for 1 each
     * @param dPredictionsTangent {@code [M, K]}
     */
    void loss(Loss loss, Dual<Tensor> predictions, Tensor rowWeights, Tensor dPredictionsTangent);
}
