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
import carousel.layer.LayerState;
import carousel.layer.Lstm;
import carousel.layer.Model;
import carousel.layer.ModelSpec;
import carousel.layer.ModelState;
import carousel.layer.Pass;
import carousel.layer.Residual;
import carousel.layer.TimeReversal;
import carousel.tensor.Scope;
import carousel.tensor.Tensor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

/** Every parameter of whole models on the reference engine, for the randomly weighted loss {@code L = sum dy y}. */
class ModelGradientTest {
    private static final int TIME_STEPS = 4;
    private static final int BATCH_SIZE = 3;
    private static final int[] LENGTHS = {3, 0, 4};
    private static final boolean YES = true;
    private static final boolean NO = false;
    /** Time-major: a hole, left padding, another hole. */
    static final boolean[] MASK = {YES, NO, YES, NO, NO, YES, YES, YES, NO, YES, YES, YES};

    private static final boolean[] SOURCE_MASK = {YES, YES, NO, NO, YES, YES, YES, NO, NO, YES, YES, YES};

    /** Twice in one sequence, at the start among them; at the last step; in mid-sequence. */
    private static final boolean[] RESETS = {YES, NO, NO, NO, NO, YES, YES, NO, NO, NO, YES, NO};

    private static final List<Steps> STEPS =
            List.of(new Steps(null, null, null), new Steps(LENGTHS, null, null), new Steps(LENGTHS, MASK, RESETS));

    private static final long SEED = 5;
    private static final long STEP = 7;

    /** What is said of the steps of a batch; null for nothing. */
    private record Steps(int[] lengths, boolean[] mask, boolean[] resets) {
        @Override
        public String toString() {
            return "lengths " + Arrays.toString(lengths) + ", mask " + Arrays.toString(mask) + ", resets "
                    + Arrays.toString(resets);
        }
    }

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
                model(
                        "residual connections",
                        Form.sequence(2),
                        Lstm.of(lstm).withReturnSequences(true),
                        Residual.of(
                                Lstm.of(lstm).withReturnSequences(true),
                                new Dropout(0.4, true),
                                Residual.of(new Activation(ActivationFunction.TANH), new Dropout(0))),
                        Residual.of(Lstm.of(both).withReturnSequences(true), new TimeReversal(), Dense.of(3)),
                        Residual.of(new Activation(ActivationFunction.SIGMOID), Dense.of(3)),
                        new Dropout(0.3, true)),
                model(
                        "a residual connection first, and around vectors",
                        Form.sequence(2),
                        Residual.of(Dense.of(3), Lstm.of(both).withReturnSequences(true), Dense.of(2)),
                        Lstm.of(lstm),
                        Residual.of(Dense.of(2), Dense.of(3))),
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

    /** The same model, with no element ever dropped. */
    static ModelSpec withoutDropout(ModelSpec spec) {
        return new ModelSpec(spec.input(), withoutDropout(spec.layers()));
    }

    private static List<Layer> withoutDropout(List<Layer> layers) {
        List<Layer> changed = new ArrayList<>();
        for (Layer layer : layers) {
            if (layer instanceof Residual residual) {
                changed.add(new Residual(withoutDropout(residual.layers())));
            } else if (layer instanceof Dropout) {
                changed.add(new Dropout(0));
            } else {
                changed.add(layer instanceof Lstm lstm ? lstm.withDropout(0) : layer);
            }
        }
        return changed;
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
        for (Steps steps : sequences ? STEPS : List.of(STEPS.get(0))) {
            RandomSequence random = new RandomSequence(SEED, 1, 0);
            try (Engine engine = Engines.open("reference");
                    Model model = Model.create(engine, spec, SEED)) {
                // Gaps between parameters hold something too: their gradient has to stay zero.
                double[] parameters = LstmData.uniform(random, model.readParameters().length);
                model.writeParameters(parameters);
                double[] x = LstmData.uniform(random, TIME_STEPS * BATCH_SIZE * 3);
                double[] dy = LstmData.uniform(random, TIME_STEPS * BATCH_SIZE * 6);
                double[] gradients = new double[parameters.length];
                run(model, x, steps, carried, dy, gradients);
                FiniteDifferences.check(name + ", " + steps, gradients, parameters, perturbed -> {
                    model.writeParameters(perturbed);
                    return run(model, x, steps, carried, dy, null);
                });
                for (ParameterView view : model.views()) {
                    // Of sequences of one step nothing recurs.
                    assertTrue(
                            steps.resets != null && view.name().contains("weight_hh")
                                    || Arrays.stream(gradients, (int) view.offset(), (int) view.end())
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

    /** Of what a carried state holds: what the layers have learned goes only into sequences that start anew. */
    @ParameterizedTest
    @CsvSource({"false, false", "true, false", "false, true", "true, true"})
    void aCarriedStateHasAGradient(boolean masked, boolean anew) {
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
            boolean[] resets = anew ? RESETS : null;
            carriedRun(model, state, values, resets, x, dy, gradient);
            FiniteDifferences.check(
                    "the carried state",
                    gradient,
                    values,
                    perturbed -> carriedRun(model, state, perturbed, resets, x, dy, null));
            double[] learned = new double[model.readParameters().length];
            engine.read(model.gradients(), learned);
            FiniteDifferences.check("parameters beside a carried state", learned, model.readParameters(), perturbed -> {
                model.writeParameters(perturbed);
                return carriedRun(model, state, values, resets, x, dy, null);
            });
            for (ParameterView view : model.views()) {
                if (view.name().endsWith("_0")) {
                    assertEquals(
                            anew,
                            Arrays.stream(learned, (int) view.offset(), (int) view.end())
                                    .anyMatch(d -> d != 0),
                            view.name() + " is what sequences that start anew start from, and no others");
                }
            }
        }
    }

    /** The loss, and the gradient of the state where it is wanted, in the order of {@link ModelState#read()}. */
    private static double carriedRun(
            Model model,
            ModelState state,
            double[] values,
            boolean[] resets,
            double[] x,
            double[] dy,
            double[] gradient) {
        Engine engine = model.engine();
        state.write(values);
        try (Scope scope = engine.openScope("step")) {
            Pass pass = Pass.training(engine, scope, input(engine, model.spec().input(), scope, x), LENGTHS, SEED, STEP)
                    .withResets(resets)
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
    private static double run(Model model, double[] x, Steps steps, boolean carried, double[] dy, double[] gradients) {
        Engine engine = model.engine();
        try (Scope scope = engine.openScope("step")) {
            Pass pass = Pass.training(
                            engine, scope, input(engine, model.spec().input(), scope, x), steps.lengths, SEED, STEP)
                    .withMask(steps.mask);
            if (model.spec().encoder() != null) {
                double[] source = new double[x.length];
                Arrays.setAll(source, e -> x[x.length - 1 - e]);
                // Of other lengths than the decoder's sequences, none in one of the two.
                int[] valid = steps.lengths == null ? null : new int[] {4, 3, 0};
                boolean[] mask = steps.mask == null ? null : SOURCE_MASK;
                pass.reading(input(engine, model.spec().encoder().input(), scope, source), valid, mask);
            } else {
                // A decoder's sequences do not start anew.
                pass.withResets(steps.resets);
            }
            if (carried) {
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

    static Tensor input(Engine engine, Form form, Scope scope, double[] x) {
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
