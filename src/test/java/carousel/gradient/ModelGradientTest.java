package carousel.gradient;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.engine.ActivationFunction;
import carousel.engine.Direction;
import carousel.engine.Engine;
import carousel.engine.Engines;
import carousel.engine.LstmSpec;
import carousel.engine.ParameterView;
import carousel.engine.RandomSequence;
import carousel.fixture.LstmData;
import carousel.layer.Activation;
import carousel.layer.Dense;
import carousel.layer.Dropout;
import carousel.layer.Embedding;
import carousel.layer.Form;
import carousel.layer.Initializer;
import carousel.layer.Layer;
import carousel.layer.Lstm;
import carousel.layer.Model;
import carousel.layer.ModelSpec;
import carousel.layer.Pass;
import carousel.layer.TimeReversal;
import carousel.tensor.Scope;
import carousel.tensor.Tensor;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Every parameter of whole models on the reference engine, for the randomly weighted loss {@code L = sum dy y}. */
class ModelGradientTest {
    private static final int TIME_STEPS = 4;
    private static final int BATCH_SIZE = 3;
    private static final int[] LENGTHS = {3, 0, 4};
    private static final long SEED = 5;
    private static final long STEP = 7;

    static Stream<Arguments> models() {
        LstmSpec lstm = LstmSpec.of(1, 3);
        LstmSpec both = lstm.withDirection(Direction.BIDIRECTIONAL);
        return Stream.of(
                model("stacked, last output", Form.sequence(2), Lstm.of(lstm.withLayers(2)), Dense.of(3)),
                model("bidirectional, last output", Form.sequence(2), Lstm.of(both.withLayers(2)), Dense.of(2)),
                model("reverse, last output", Form.sequence(2), Lstm.of(lstm.withDirection(Direction.REVERSE))),
                model("dense at each step", Form.sequence(2), Lstm.of(both).withReturnSequences(true), Dense.of(2)),
                model("embedding", Form.tokens(6), Embedding.of(3), Lstm.of(lstm), new Dropout(0.4), Dense.of(2)),
                model("embedding read directly", Form.tokens(6), Embedding.of(3), Dense.of(2), new Dropout(0)),
                model(
                        "token 0 masked, an answer at each step",
                        Form.tokens(6),
                        Embedding.of(3).withMaskZero(true),
                        Lstm.of(lstm).withReturnSequences(true),
                        Dense.of(2)),
                model(
                        "token 0 masked, both ways",
                        Form.tokens(3),
                        Embedding.of(3).withMaskZero(true),
                        Dense.of(2),
                        Lstm.of(both.withLayers(2)).withReturnSequences(true)),
                model(
                        "time reversals",
                        Form.sequence(2),
                        Lstm.of(lstm).withReturnSequences(true),
                        new TimeReversal(),
                        Lstm.of(lstm).withReturnSequences(true),
                        Dense.of(2),
                        new TimeReversal()),
                model("vectors", Form.vector(3), Dense.of(4), new Dropout(0.3), Dense.of(2)),
                model(
                        "activations on vectors",
                        Form.vector(3),
                        new Activation(ActivationFunction.TANH),
                        Dense.of(5),
                        new Activation(ActivationFunction.RELU),
                        Dense.of(3),
                        new Activation(ActivationFunction.SOFTMAX)),
                model(
                        "activations at each step",
                        Form.sequence(2),
                        Lstm.of(lstm).withReturnSequences(true),
                        new Activation(ActivationFunction.SIGMOID),
                        new Activation(ActivationFunction.SOFTMAX),
                        Lstm.of(lstm),
                        new Activation(ActivationFunction.TANH),
                        Dense.of(2)),
                model(
                        "all at once",
                        Form.sequence(3),
                        new Dropout(0.2),
                        Dense.of(3),
                        Lstm.of(both.withLayers(2).withDropout(0.3)).withReturnSequences(true),
                        new Dropout(0.5),
                        Lstm.of(lstm.withLayers(2)
                                .withDirection(Direction.BIDIRECTIONAL)
                                .withProjectionSize(2)
                                .withDropout(0.4)
                                .withBias(false)),
                        new Dense(3, false, new Initializer.GlorotUniform(), new Initializer.Constant(0))));
    }

    /** The same model, with no element ever dropped. */
    static ModelSpec withoutDropout(ModelSpec spec) {
        List<Layer> layers = spec.layers().stream()
                .map(layer -> layer instanceof Dropout
                        ? new Dropout(0)
                        : layer instanceof Lstm lstm ? lstm.withDropout(0) : layer)
                .toList();
        return new ModelSpec(spec.input(), layers);
    }

    private static Arguments model(String name, Form input, Layer... layers) {
        return Arguments.of(name, ModelSpec.of(input, layers));
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("models")
    void gradientsAreThoseOfTheForwardPass(String name, ModelSpec spec) {
        boolean sequences = spec.input().kind() != Form.Kind.VECTOR;
        for (int[] lengths : sequences ? new int[][] {null, LENGTHS} : new int[][] {null}) {
            RandomSequence random = new RandomSequence(SEED, 1, 0);
            try (Engine engine = Engines.open("reference");
                    Model model = Model.create(engine, spec, SEED)) {
                // Gaps between parameters hold something too: their gradient has to stay zero.
                double[] parameters = LstmData.uniform(random, model.readParameters().length);
                model.writeParameters(parameters);
                double[] x = LstmData.uniform(random, TIME_STEPS * BATCH_SIZE * 3);
                double[] dy = LstmData.uniform(random, TIME_STEPS * BATCH_SIZE * 6);
                double[] gradients = new double[parameters.length];
                run(model, x, lengths, dy, gradients);
                FiniteDifferences.check(
                        name + ", lengths " + Arrays.toString(lengths), gradients, parameters, perturbed -> {
                            model.writeParameters(perturbed);
                            return run(model, x, lengths, dy, null);
                        });
                for (ParameterView view : model.views()) {
                    assertTrue(
                            Arrays.stream(gradients, (int) view.offset(), (int) view.end())
                                    .anyMatch(d -> d != 0),
                            view.name() + " has no gradient: nothing was checked");
                }
                double all = Arrays.stream(gradients).map(Math::abs).sum();
                double ofViews = model.views().stream()
                        .mapToDouble(view -> Arrays.stream(gradients, (int) view.offset(), (int) view.end())
                                .map(Math::abs)
                                .sum())
                        .sum();
                assertEquals(all, ofViews, 1e-12 * all, "what lies between the parameters has a gradient");
            }
        }
    }

    /** The loss; and where gradients are given, what a backward pass adds to zeros. */
    private static double run(Model model, double[] x, int[] lengths, double[] dy, double[] gradients) {
        Engine engine = model.engine();
        try (Scope scope = engine.openScope("step")) {
            Pass pass = Pass.training(engine, scope, input(model, scope, x), lengths, SEED, STEP);
            Tensor output = model.forward(pass);
            double[] y = new double[Math.toIntExact(output.elements())];
            engine.read(output, y);
            double[] weights = Arrays.copyOf(dy, y.length);
            if (gradients != null) {
                Tensor dOutput = scope.allocate("dy", output.shape().toArray());
                engine.write(dOutput, weights);
                model.clearGradients();
                model.backward(pass, dOutput);
                engine.read(model.gradients(), gradients);
            }
            return FiniteDifferences.dot(y, weights);
        }
    }

    static Tensor input(Model model, Scope scope, double[] x) {
        Form form = model.spec().input();
        int steps = TIME_STEPS * BATCH_SIZE;
        if (form.kind() == Form.Kind.TOKENS) {
            Tensor tokens = scope.allocateIntegers("tokens", TIME_STEPS, BATCH_SIZE);
            model.engine()
                    .write(
                            tokens,
                            Arrays.stream(x, 0, steps)
                                    .mapToInt(value -> (int) ((value + 1) / 2 * form.features()))
                                    .toArray());
            return tokens;
        }
        Tensor tensor = form.kind() == Form.Kind.VECTOR
                ? scope.allocate("x", BATCH_SIZE, form.features())
                : scope.allocate("x", TIME_STEPS, BATCH_SIZE, form.features());
        model.engine().write(tensor, Arrays.copyOf(x, Math.toIntExact(tensor.elements())));
        return tensor;
    }
}
