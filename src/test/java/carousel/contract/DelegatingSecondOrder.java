package carousel.contract;

import carousel.engine.ActivationFunction;
import carousel.engine.Dual;
import carousel.engine.Loss;
import carousel.engine.LstmInput;
import carousel.engine.LstmInputGradient;
import carousel.engine.LstmOutput;
import carousel.engine.LstmSpec;
import carousel.engine.LstmTape;
import carousel.engine.SecondOrder;
import carousel.tensor.Scope;
import carousel.tensor.Tensor;

/** Passes every call on to another engine's: see {@link DelegatingEngine}. */
class DelegatingSecondOrder implements SecondOrder {
    private final SecondOrder second;

    DelegatingSecondOrder(SecondOrder second) {
        this.second = second;
    }

    @Override
    public LstmTape openTape(Scope scope, LstmSpec spec, int timeSteps, int batchSize) {
        return second.openTape(scope, spec, timeSteps, batchSize);
    }

    @Override
    public void lstmForward(
            LstmSpec spec, Dual<Tensor> parameters, Dual<LstmInput> input, Dual<LstmOutput> output, LstmTape tape) {
        second.lstmForward(spec, parameters, input, output, tape);
    }

    @Override
    public void lstmBackward(
            LstmTape tape,
            Dual<LstmOutput> outputGradient,
            Dual<Tensor> parameterGradients,
            Dual<LstmInputGradient> inputGradient) {
        second.lstmBackward(tape, outputGradient, parameterGradients, inputGradient);
    }

    @Override
    public void activationBackward(ActivationFunction function, Dual<Tensor> y, Dual<Tensor> dy, Tensor dxTangent) {
        second.activationBackward(function, y, dy, dxTangent);
    }

    @Override
    public void loss(Loss loss, Dual<Tensor> predictions, Tensor rowWeights, Tensor dPredictionsTangent) {
        second.loss(loss, predictions, rowWeights, dPredictionsTangent);
    }
}
