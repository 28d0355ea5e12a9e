package carousel.contract;

import carousel.engine.ActivationFunction;
import carousel.engine.Engine;
import carousel.engine.Loss;
import carousel.engine.LstmInput;
import carousel.engine.LstmInputGradient;
import carousel.engine.LstmOutput;
import carousel.engine.LstmSpec;
import carousel.engine.LstmTape;
import carousel.engine.RandomKey;
import carousel.engine.SecondOrder;
import carousel.engine.Update;
import carousel.tensor.MemoryUse;
import carousel.tensor.Precision;
import carousel.tensor.Scope;
import carousel.tensor.Tensor;
import java.util.Optional;

/**
 * Passes every call on to another engine. It claims single precision whatever the other computes in, so that a bug
 * planted in a subclass has to show through the tolerances of a float engine.
 */
class DelegatingEngine implements Engine {
    private final Engine engine;

    DelegatingEngine(Engine engine) {
        this.engine = engine;
    }

    final double[] values(Tensor tensor) {
        double[] values = new double[Math.toIntExact(tensor.elements())];
        engine.read(tensor, values);
        return values;
    }

    @Override
    public String name() {
        return engine.name();
    }

    @Override
    public String description() {
        return engine.description();
    }

    @Override
    public Precision precision() {
        return Precision.FP32;
    }

    @Override
    public Optional<String> refusal(LstmSpec spec) {
        return engine.refusal(spec);
    }

    @Override
    public MemoryUse memory() {
        return engine.memory();
    }

    @Override
    public Scope openScope(String name) {
        return engine.openScope(name);
    }

    @Override
    public void write(Tensor target, float[] source) {
        engine.write(target, source);
    }

    @Override
    public void write(Tensor target, double[] source) {
        engine.write(target, source);
    }

    @Override
    public void write(Tensor target, int[] source) {
        engine.write(target, source);
    }

    @Override
    public void read(Tensor source, float[] target) {
        engine.read(source, target);
    }

    @Override
    public void read(Tensor source, double[] target) {
        engine.read(source, target);
    }

    @Override
    public void fill(Tensor target, double value) {
        engine.fill(target, value);
    }

    @Override
    public void scale(Tensor x, double factor) {
        engine.scale(x, factor);
    }

    @Override
    public void copyColumns(Tensor source, int sourceColumn, Tensor target, int targetColumn, int columns) {
        engine.copyColumns(source, sourceColumn, target, targetColumn, columns);
    }

    @Override
    public LstmTape openTape(Scope scope, LstmSpec spec, int timeSteps, int batchSize) {
        return engine.openTape(scope, spec, timeSteps, batchSize);
    }

    @Override
    public void lstmForward(LstmSpec spec, Tensor parameters, LstmInput input, LstmOutput output, LstmTape tape) {
        engine.lstmForward(spec, parameters, input, output, tape);
    }

    @Override
    public void lstmBackward(
            LstmTape tape, LstmOutput outputGradient, Tensor parameterGradients, LstmInputGradient inputGradient) {
        engine.lstmBackward(tape, outputGradient, parameterGradients, inputGradient);
    }

    @Override
    public void linearForward(Tensor x, Tensor weights, Tensor bias, Tensor y) {
        engine.linearForward(x, weights, bias, y);
    }

    @Override
    public void linearBackward(
            Tensor x, Tensor weights, Tensor dy, Tensor weightsGradient, Tensor biasGradient, Tensor dx) {
        engine.linearBackward(x, weights, dy, weightsGradient, biasGradient, dx);
    }

    @Override
    public void embeddingForward(Tensor ids, Tensor table, Tensor y) {
        engine.embeddingForward(ids, table, y);
    }

    @Override
    public void embeddingBackward(Tensor ids, Tensor dy, Tensor tableGradient) {
        engine.embeddingBackward(ids, dy, tableGradient);
    }

    @Override
    public void dropout(Tensor x, double rate, RandomKey key, long period, Tensor y) {
        engine.dropout(x, rate, key, period, y);
    }

    @Override
    public void add(Tensor x, Tensor y) {
        engine.add(x, y);
    }

    @Override
    public void activationForward(ActivationFunction function, Tensor x, Tensor y) {
        engine.activationForward(function, x, y);
    }

    @Override
    public void activationBackward(ActivationFunction function, Tensor y, Tensor dy, Tensor dx) {
        engine.activationBackward(function, y, dy, dx);
    }

    @Override
    public void loss(
            Loss loss, Tensor predictions, Tensor targets, Tensor rowWeights, Tensor report, Tensor dPredictions) {
        engine.loss(loss, predictions, targets, rowWeights, report, dPredictions);
    }

    @Override
    public void squaredNorm(Tensor x, Tensor result) {
        engine.squaredNorm(x, result);
    }

    @Override
    public void update(Update update, Tensor parameters, Tensor gradients, Tensor firstMoment, Tensor secondMoment) {
        engine.update(update, parameters, gradients, firstMoment, secondMoment);
    }

    @Override
    public SecondOrder secondOrder() {
        return engine.secondOrder();
    }

    @Override
    public void synchronize() {
        engine.synchronize();
    }

    @Override
    public void close() {
        engine.close();
    }
}
