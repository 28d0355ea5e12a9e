package carousel.lesson;

import carousel.data.Batch;
import carousel.engine.Engine;
import carousel.engine.LstmInput;
import carousel.engine.LstmInputGradient;
import carousel.engine.LstmLayout;
import carousel.engine.LstmOutput;
import carousel.engine.LstmSpec;
import carousel.engine.LstmState;
import carousel.engine.LstmTape;
import carousel.engine.ParameterView;
import carousel.layer.Lstm;
import carousel.layer.Model;
import carousel.tensor.Scope;
import carousel.tensor.Shape;
import carousel.tensor.Tensor;
import java.util.function.UnaryOperator;

/**
 * Looks into an LSTM's backward pass. An engine takes a gradient through a whole sequence at once and shows its two ends; here
 * the sequence is cut into steps of their own, each with its tape, so that the gradient is seen at every seam.
 */
final class LstmThroughTime {
    private LstmThroughTime() {}

    /**
     * The norms of the gradient of a batch's squared error.
     *
     * @param model one LSTM of one forward layer and a dense layer
     */
    static GradientNorms norms(Model model, Batch batch) {
        Engine engine = model.engine();
        LstmSpec spec = ((Lstm) model.spec().layers().get(0))
                .spec()
                .withInputSize(model.spec().input().features());
        int timeSteps = batch.timeSteps();
        int batchSize = batch.batchSize();
        try (Scope scope = engine.openScope("gradients through time")) {
            Tensor x = scope.allocate("x", timeSteps, batchSize, batch.features());
            engine.write(x, batch.inputs());
            Tensor parameters = model.parameters()
                    .view(
                            "lstm",
                            view(model, "lstm.weight_ih_l0").offset(),
                            Shape.of(Math.toIntExact(LstmLayout.of(spec).elements())));
            OutputLayer output = new OutputLayer(
                    engine,
                    view(model, "dense.weight").in(model.parameters()),
                    view(model, "dense.bias").in(model.parameters()));
            OutputLayer unwanted = new OutputLayer(
                    engine,
                    scope.allocate("dW", output.weights().shape().toArray()),
                    scope.allocate("db", output.bias().shape().toArray()));
            engine.fill(unwanted.weights(), 0);
            engine.fill(unwanted.bias(), 0);
            LstmState gradients = gradients(
                    engine,
                    scope,
                    spec,
                    parameters,
                    x,
                    h -> output.gradient(scope, h, batch, unwanted).dh());
            return new GradientNorms(
                    GradientNorms.ofSteps(read(engine, gradients.h()), timeSteps, batchSize),
                    GradientNorms.ofSteps(read(engine, gradients.c()), timeSteps, batchSize));
        }
    }

    /**
     * The gradient of a loss on {@code h_T} with respect to the state after every step, from zeros at the start.
     *
     * @param spec one forward layer without projection
     * @param x {@code [T, N, C]}
     * @param loss takes {@code h_T [N, H]} to its gradient, {@code [N, H]}
     * @return {@code dh} and {@code dc}, {@code [T + 1, N, H]} each, index 0 being the initial state
     */
    static LstmState gradients(
            Engine engine, Scope scope, LstmSpec spec, Tensor parameters, Tensor x, UnaryOperator<Tensor> loss) {
        int timeSteps = x.shape().extent(0);
        int batchSize = x.shape().extent(1);
        int hiddenSize = spec.hiddenSize();
        LstmState states = states(scope, "", timeSteps, batchSize, hiddenSize);
        LstmState gradients = states(scope, "d", timeSteps, batchSize, hiddenSize);
        Tensor y = scope.allocate("y", timeSteps, batchSize, hiddenSize);
        engine.fill(states.h(), 0);
        engine.fill(states.c(), 0);
        LstmTape[] tapes = new LstmTape[timeSteps];
        for (int t = 0; t < timeSteps; t++) {
            tapes[t] = engine.openTape(scope, spec, 1, batchSize);
            LstmInput input = LstmInput.of(step(x, t)).withInitial(at(states, t));
            engine.lstmForward(spec, parameters, input, new LstmOutput(step(y, t), at(states, t + 1)), tapes[t]);
        }
        LstmState last = at(gradients, timeSteps);
        Tensor dh = loss.apply(at(states, timeSteps).h().reshape(batchSize, hiddenSize));
        engine.copyColumns(dh, 0, last.h().reshape(batchSize, hiddenSize), 0, hiddenSize);
        engine.fill(last.c(), 0);
        for (int t = timeSteps - 1; t >= 0; t--) {
            LstmOutput outputGradient = new LstmOutput(null, at(gradients, t + 1));
            engine.lstmBackward(tapes[t], outputGradient, null, new LstmInputGradient(null, at(gradients, t)));
        }
        return gradients;
    }

    private static LstmState states(Scope scope, String prefix, int timeSteps, int batchSize, int hiddenSize) {
        return new LstmState(
                scope.allocate(prefix + "h", timeSteps + 1, batchSize, hiddenSize),
                scope.allocate(prefix + "c", timeSteps + 1, batchSize, hiddenSize));
    }

    private static LstmState at(LstmState states, int t) {
        return new LstmState(step(states.h(), t), step(states.c(), t));
    }

    /** Row t of {@code [T, N, .]} as {@code [1, N, .]}. */
    private static Tensor step(Tensor sequence, int t) {
        int batchSize = sequence.shape().extent(1);
        int width = sequence.shape().extent(2);
        return sequence.view(sequence.name(), (long) t * batchSize * width, Shape.of(1, batchSize, width));
    }

    private static ParameterView view(Model model, String name) {
        return model.views().stream()
                .filter(view -> view.name().equals(name))
                .findFirst()
                .orElseThrow(() -> new IllegalArgumentException("the model has no parameter '" + name + "'"));
    }

    private static double[] read(Engine engine, Tensor tensor) {
        double[] values = new double[Math.toIntExact(tensor.elements())];
        engine.read(tensor, values);
        return values;
    }
}
