package carousel.gradient;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
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
import carousel.layer.LayerState;
import carousel.layer.Lstm;
import carousel.layer.Model;
import carousel.layer.ModelSpec;
import carousel.layer.ModelState;
import carousel.layer.Pass;
import carousel.layer.TimeReversal;
import carousel.tensor.Scope;
import carousel.tensor.Tensor;
import java.util.Arrays;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Every parameter of whole models on the reference engine, for the randomly weighted loss {@code L = sum dy y}. */
class ModelGradientTest {
    private static final int TIME_STEPS = 4;
    private static final int BATCH_SIZE = 3;
    private static final int[] LENGTHS = {3, 0, 4};
    private static final long SEED = 5;
    private static final long STEP = 7;

    private static Stream<Arguments> models() {
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
                        new Dense(3, false, new Initializer.GlorotUniform(), new Initializer.Constant(0))),
                model(
                        "learned initial states",
                        Form.sequence(2),
                        learned(lstm.withLayers(2).withProjectionSize(2)).withReturnSequences(true),
                        learned(lstm),
                        Dense.of(2)),
                model(
                        "learned initial states, both ways and in reverse",
                        Form.sequence(2),
                        learned(both.withLayers(2)).withReturnSequences(true),
                        learned(lstm.withDirection(Direction.REVERSE)),
                        Dense.of(2)),
                model(
                        "a learned initial state that masked steps show",
                        Form.tokens(3),
                        Embedding.of(3).withMaskZero(true),
                        learned(lstm.withLayers(2)).withReturnSequences(true),
                        Dense.of(2)),
                pair(
                        "encoder and decoder",
                        ModelSpec.of(Form.tokens(4), Embedding.of(3), Lstm.of(lstm)),
                        ModelSpec.of(
                                Form.tokens(5), Embedding.of(2), Lstm.of(lstm).withReturnSequences(true), Dense.of(2))),
                pair(
                        "encoder and decoder of two stacks",
                        ModelSpec.of(
                                Form.sequence(2),
                                new Dropout(0.2),
                                learned(lstm.withLayers(2).withProjectionSize(2).withDropout(0.3))
                                        .withReturnSequences(true),
                                Dense.of(2),
                                learned(lstm.withDirection(Direction.REVERSE)).withReturnSequences(true)),
                        ModelSpec.of(
                                Form.sequence(3),
                                Lstm.of(lstm.withLayers(2).withProjectionSize(2).withDropout(0.4))
                                        .withReturnSequences(true),
                                new Dropout(0.3),
                                Lstm.of(lstm).withReturnSequences(true),
                                Dense.of(2))),
                pair(
                        "encoder and decoder that leave out steps",
                        ModelSpec.of(Form.tokens(9), Embedding.of(2).withMaskZero(true), Lstm.of(lstm)),
                        ModelSpec.of(
                                Form.tokens(3),
                                Embedding.of(2).withMaskZero(true),
                                Lstm.of(lstm).withReturnSequences(true),
                                Dense.of(2))));
    }

    private static Lstm learned(LstmSpec spec) {
        return Lstm.of(spec).withLearnedInitialState(true);
    }

    private static Arguments pair(String name, ModelSpec encoder, ModelSpec decoder) {
        return Arguments.of(name, ModelSpec.encoderDecoder(encoder, decoder));
    }

    private static Arguments model(String name, Form input, Layer... layers) {
        return Arguments.of(name, ModelSpec.of(input, layers));
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("models")
    void gradientsAreThoseOfTheForwardPass(String name, ModelSpec spec) {
        check(name, spec, false);
        if (name.startsWith("learned") && !name.contains("reverse") || name.startsWith("a learned")) {
            check(name + ", carried by a fresh state", spec, true);
        }
    }

    private static void check(String name, ModelSpec spec, boolean carried) {
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
                run(model, x, lengths, carried, dy, gradients);
                FiniteDifferences.check(
                        name + ", lengths " + Arrays.toString(lengths), gradients, parameters, perturbed -> {
                            model.writeParameters(perturbed);
                            return run(model, x, lengths, carried, dy, null);
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

    /** Of what a carried state holds, whatever the layers have learned: none of it goes into their parameters. */
    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void aCarriedStateHasAGradient(boolean masked) {
        ModelSpec spec = ModelSpec.of(
                Form.tokens(3),
                Embedding.of(3).withMaskZero(masked),
                learned(LstmSpec.of(1, 3).withLayers(2).withProjectionSize(2)).withReturnSequences(true),
                Dense.of(2),
                Lstm.of(4).withReturnSequences(true),
                Dense.of(2));
        RandomSequence random = new RandomSequence(SEED, 2, 0);
        try (Engine engine = Engines.open("reference");
                Model model = Model.create(engine, spec, SEED);
                Scope scope = engine.openScope("carried")) {
            model.writeParameters(LstmData.uniform(random, model.readParameters().length));
            ModelState state = new ModelState(model, scope, BATCH_SIZE);
            double[] x = LstmData.uniform(random, TIME_STEPS * BATCH_SIZE);
            double[] dy = LstmData.uniform(random, TIME_STEPS * BATCH_SIZE * 2);
            double[] values = LstmData.uniform(random, state.elements());
            double[] gradient = new double[state.elements()];
            carriedRun(model, state, values, x, dy, gradient);
            FiniteDifferences.check(
                    "the carried state",
                    gradient,
                    values,
                    perturbed -> carriedRun(model, state, perturbed, x, dy, null));
            for (ParameterView view : model.views()) {
                if (view.name().endsWith("_0")) {
                    double[] learned = new double[Math.toIntExact(view.shape().elements())];
                    engine.read(view.in(model.gradients()), learned);
                    assertArrayEquals(
                            new double[learned.length], learned, view.name() + " is not what was started from");
                }
            }
        }
    }

    /** The loss, and the gradient of the state where it is wanted, in the order of {@link ModelState#read()}. */
    private static double carriedRun(
            Model model, ModelState state, double[] values, double[] x, double[] dy, double[] gradient) {
        Engine engine = model.engine();
        state.write(values);
        try (Scope scope = engine.openScope("step")) {
            Pass pass = Pass.training(engine, scope, input(engine, model.spec().input(), scope, x), LENGTHS, SEED, STEP)
                    .carrying(state)
                    .keepingStates();
            Tensor output = model.forward(pass);
            double[] y = new double[Math.toIntExact(output.elements())];
            engine.read(output, y);
            if (gradient != null) {
                Tensor dOutput = scope.allocate("dy", output.shape().toArray());
                engine.write(dOutput, dy);
                model.clearGradients();
                model.backward(pass, dOutput);
                int filled = 0;
                for (int layer : new int[] {1, 3}) {
                    LayerState found = pass.initialGradient(layer);
                    System.arraycopy(found.h(), 0, gradient, filled, found.h().length);
                    filled += found.h().length;
                    System.arraycopy(found.c(), 0, gradient, filled, found.c().length);
                    filled += found.c().length;
                }
                assertEquals(gradient.length, filled);
            }
            return FiniteDifferences.dot(y, dy);
        }
    }

    /** The loss; and where gradients are given, what a backward pass adds to zeros. */
    private static double run(
            Model model, double[] x, int[] lengths, boolean carried, double[] dy, double[] gradients) {
        Engine engine = model.engine();
        try (Scope scope = engine.openScope("step")) {
            Pass pass =
                    Pass.training(engine, scope, input(engine, model.spec().input(), scope, x), lengths, SEED, STEP);
            if (model.spec().encoder() != null) {
                double[] source = new double[x.length];
                Arrays.setAll(source, e -> x[x.length - 1 - e]);
                // Of other lengths than the decoder's sequences, none in one of the two.
                int[] valid = lengths == null ? null : new int[] {4, 3, 0};
                pass.reading(input(engine, model.spec().encoder().input(), scope, source), valid);
            } else if (carried) {
                pass.carrying(new ModelState(model, scope, BATCH_SIZE));
            }
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

    private static Tensor input(Engine engine, Form form, Scope scope, double[] x) {
        int steps = TIME_STEPS * BATCH_SIZE;
        if (form.kind() == Form.Kind.TOKENS) {
            Tensor tokens = scope.allocateIntegers("tokens", TIME_STEPS, BATCH_SIZE);
            engine.write(
                    tokens,
                    Arrays.stream(x, 0, steps)
                            .mapToInt(value -> (int) ((value + 1) / 2 * form.features()))
                            .toArray());
            return tokens;
        }
        Tensor tensor = form.kind() == Form.Kind.VECTOR
                ? scope.allocate("x", BATCH_SIZE, form.features())
                : scope.allocate("x", TIME_STEPS, BATCH_SIZE, form.features());
        engine.write(tensor, Arrays.copyOf(x, Math.toIntExact(tensor.elements())));
        return tensor;
    }
}
