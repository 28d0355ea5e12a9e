package carousel.gradient;

import static carousel.fixture.Refusals.assertRefused;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.engine.Engine;
import carousel.engine.Engines;
import carousel.engine.Loss;
import carousel.engine.RandomSequence;
import carousel.fixture.LstmData;
import carousel.fixture.Tolerance;
import carousel.layer.Dense;
import carousel.layer.Form;
import carousel.layer.Lstm;
import carousel.layer.Masking;
import carousel.layer.Model;
import carousel.layer.ModelSpec;
import carousel.layer.ModelState;
import carousel.layer.Pass;
import carousel.tensor.Scope;
import carousel.tensor.Tensor;
import java.util.Arrays;
import java.util.function.DoubleFunction;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Products with the Hessian of whole models' losses. */
class HessianTest {
    private static final double STEP = 1e-5;
    private static final long SEED = 5;

    /** The models of which there are second derivatives. */
    private static Stream<Arguments> models() {
        return ModelGradientTest.models().filter(arguments -> {
            ModelSpec spec = (ModelSpec) arguments.get()[1];
            return spec.encoder() == null && !learns(spec);
        });
    }

    private static boolean learns(ModelSpec spec) {
        return spec.layers().stream()
                .flatMap(layer -> layer.leaves().stream())
                .anyMatch(leaf -> leaf instanceof Lstm lstm && lstm.learnedInitialState());
    }

    /** The gradient, and the Hessian's product with the direction where one is given. */
    private record Answer(double loss, double[] gradient, double[] product) {}

    /** One model with one batch of numbers. */
    private record Problem(
            Model model, Loss loss, double[] x, int[] lengths, double[] targets, boolean training, boolean[] mask) {
        Answer at(double[] parameters, double[] direction) {
            Engine engine = model.engine();
            model.writeParameters(parameters);
            model.clearGradients();
            try (Scope scope = engine.openScope("batch")) {
                Tensor input = ModelGradientTest.input(engine, model.spec().input(), scope, x);
                Pass pass = training
                        ? Pass.training(engine, scope, input, lengths, SEED, 7)
                        : Pass.inference(engine, scope, input, lengths);
                pass.withMask(mask);
                // Inference passes have no way back; without dropout they are what a training pass is without it.
                Tensor output = model.forward(
                        training
                                ? pass
                                : Pass.inference(engine, scope, input, lengths).withMask(mask));
                int columns = Model.rows(output).shape().extent(1);
                int rows = Math.toIntExact(output.elements()) / columns;
                Tensor wanted = loss.labelled()
                        ? scope.allocateIntegers("labels", rows)
                        : scope.allocate("targets", rows, columns);
                if (loss.labelled()) {
                    engine.write(
                            wanted,
                            Arrays.stream(targets, 0, rows)
                                    .mapToInt(value -> (int) (Math.abs(value) * columns))
                                    .toArray());
                } else {
                    engine.write(
                            wanted,
                            Arrays.stream(targets, 0, rows * columns)
                                    .map(Math::abs)
                                    .toArray());
                }
                double[] weights = Arrays.stream(targets, 0, rows)
                        .map(value -> value > 0.5 ? 0 : 1 + value)
                        .toArray();
                Tensor rowWeights = scope.allocate("weights", rows);
                engine.write(rowWeights, weights);
                Tensor report = scope.allocate("report", 3);
                double[] product = null;
                if (direction == null) {
                    Tensor gradient =
                            scope.allocate("output gradient", output.shape().toArray());
                    engine.loss(loss, Model.rows(output), wanted, rowWeights, report, Model.rows(gradient));
                    model.backward(pass, gradient);
                } else {
                    Tensor v = scope.allocate("v", direction.length);
                    engine.write(v, direction);
                    Tensor hv = scope.allocate("H v", direction.length);
                    engine.fill(hv, 0);
                    model.hessianVectorProduct(pass, loss, wanted, rowWeights, v, report, hv);
                    product = read(engine, hv);
                }
                double[] sums = read(engine, report);
                return new Answer(sums[0] / sums[2], read(engine, model.gradients()), product);
            }
        }
    }

    private static double[] read(Engine engine, Tensor tensor) {
        double[] values = new double[Math.toIntExact(tensor.elements())];
        engine.read(tensor, values);
        return values;
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("models")
    void productsAreDifferencesOfGradients(String name, ModelSpec spec) {
        boolean sequences = spec.input().kind() != Form.Kind.VECTOR;
        for (Loss loss : Loss.values()) {
            for (int kind = 0; kind < (sequences ? 3 : 1); kind++) {
                int[] lengths = kind == 0 ? null : new int[] {3, 0, 4};
                boolean[] mask = kind == 2 ? ModelGradientTest.MASK : null;
                RandomSequence random = new RandomSequence(SEED, 1, loss.ordinal());
                try (Engine engine = Engines.open("reference");
                        Model model = Model.create(engine, spec, SEED)) {
                    int count = model.readParameters().length;
                    double[] parameters = LstmData.uniform(random, count);
                    double[] u = LstmData.uniform(random, count);
                    double[] v = LstmData.uniform(random, count);
                    double[] x = LstmData.uniform(random, 36);
                    double[] targets = LstmData.uniform(random, 72);
                    Problem problem = new Problem(model, loss, x, lengths, targets, true, mask);
                    Answer exact = problem.at(parameters, v);
                    Answer plain = problem.at(parameters, null);
                    assertEquals(plain.loss(), exact.loss(), "the loss");
                    assertArrayEquals(plain.gradient(), exact.gradient(), 1e-15, "the gradient");
                    double[] slopes = slopes(
                            r -> problem.at(moved(parameters, v, r), null).gradient());
                    double largest = Tolerance.largest(slopes);
                    assertTrue(largest > 0, "nothing was checked");
                    for (int e = 0; e < count; e++) {
                        assertEquals(slopes[e], exact.product()[e], 1e-7 * largest, loss + ", element " + e);
                    }
                    double uhv = FiniteDifferences.dot(exact.product(), u);
                    double vhu = FiniteDifferences.dot(problem.at(parameters, u).product(), v);
                    assertEquals(uhv, vhu, 1e-13 * count * largest, "u H v and v H u");
                }
            }
        }
    }

    private static double[] slopes(DoubleFunction<double[]> gradient) {
        double[] ahead = gradient.apply(STEP);
        double[] behind = gradient.apply(-STEP);
        double[] farAhead = gradient.apply(2 * STEP);
        double[] farBehind = gradient.apply(-2 * STEP);
        double[] slopes = new double[ahead.length];
        Arrays.setAll(slopes, e -> (8 * (ahead[e] - behind[e]) - (farAhead[e] - farBehind[e])) / (12 * STEP));
        return slopes;
    }

    private static double[] moved(double[] values, double[] direction, double r) {
        double[] moved = new double[values.length];
        Arrays.setAll(moved, e -> values[e] + r * direction[e]);
        return moved;
    }

    /** A pass for inference drops nothing, and gives the same as one for training of the model without dropout. */
    @ParameterizedTest(name = "{0}")
    @MethodSource("models")
    void inferencePassesDropNothing(String name, ModelSpec spec) {
        RandomSequence random = new RandomSequence(SEED, 2, 0);
        try (Engine engine = Engines.open("reference");
                Model model = Model.create(engine, spec, SEED);
                Model undropped = Model.create(engine, ModelGradientTest.withoutDropout(spec), SEED)) {
            int count = model.readParameters().length;
            double[] parameters = LstmData.uniform(random, count);
            double[] v = LstmData.uniform(random, count);
            double[] x = LstmData.uniform(random, 36);
            double[] targets = LstmData.uniform(random, 72);
            Loss loss = Loss.MEAN_SQUARED_ERROR;
            Answer one = new Problem(model, loss, x, null, targets, false, null).at(parameters, v);
            Answer other = new Problem(undropped, loss, x, null, targets, true, null).at(parameters, v);
            assertArrayEquals(other.gradient(), one.gradient(), "the gradient");
            assertArrayEquals(other.product(), one.product(), "the product");
        }
    }

    /** In single precision, up to its rounding. */
    @ParameterizedTest(name = "{0}")
    @MethodSource("models")
    void theVectorEngineGivesTheSameProducts(String name, ModelSpec spec) {
        boolean sequences = spec.input().kind() != Form.Kind.VECTOR;
        for (Loss loss : Loss.values()) {
            Answer[] answers = new Answer[2];
            for (int k = 0; k < answers.length; k++) {
                RandomSequence random = new RandomSequence(SEED, 3, loss.ordinal());
                try (Engine engine = Engines.open(k == 0 ? "reference" : "vector");
                        Model model = Model.create(engine, spec, SEED)) {
                    int count = model.readParameters().length;
                    double[] parameters = LstmData.uniform(random, count);
                    double[] v = LstmData.uniform(random, count);
                    double[] x = LstmData.uniform(random, 36);
                    double[] targets = LstmData.uniform(random, 72);
                    int[] lengths = sequences ? new int[] {2, 4, 1} : null;
                    answers[k] = new Problem(model, loss, x, lengths, targets, true, null).at(parameters, v);
                }
            }
            assertEquals(answers[0].loss(), answers[1].loss(), 1e-5 * Math.abs(answers[0].loss()), "the loss");
            double gradient = Tolerance.largest(answers[0].gradient());
            double product = Tolerance.largest(answers[0].product());
            assertArrayEquals(answers[0].gradient(), answers[1].gradient(), 1e-5 * gradient, "the gradient");
            assertArrayEquals(answers[0].product(), answers[1].product(), 1e-5 * product, "the product");
        }
    }

    /** A carried state counts as constant; a masked step before the first shows it, and does not change with the parameters. */
    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void carriedStatesAreConstant(boolean masked) {
        Lstm lstm = Lstm.of(3).withReturnSequences(true);
        ModelSpec spec = masked
                ? ModelSpec.of(Form.sequence(2), new Masking(0), lstm, Dense.of(2))
                : ModelSpec.of(Form.sequence(2), lstm, Dense.of(2));
        RandomSequence random = new RandomSequence(SEED, 4, 0);
        double[] x = LstmData.uniform(random, 24);
        // The first step of the first sequence is left out where there is a mask.
        Arrays.fill(x, 0, 2, 0);
        double[] targets = LstmData.uniform(random, 24);
        double[] carried = LstmData.uniform(random, 18);
        try (Engine engine = Engines.open("reference");
                Model model = Model.create(engine, spec, SEED)) {
            double[] parameters = model.readParameters();
            double[] v = LstmData.uniform(random, parameters.length);
            double[] product = carrying(model, x, carried, targets, parameters, v);
            double[] slopes = slopes(r -> carrying(model, x, carried, targets, moved(parameters, v, r), null));
            assertArrayEquals(slopes, product, 1e-8 * Tolerance.largest(slopes));
            double[] other = slopes(r -> carrying(model, x, new double[18], targets, moved(parameters, v, r), null));
            assertTrue(Math.abs(other[0] - slopes[0]) > 1e-3, "the state has no effect");
        }
    }

    /** The product with a direction, or without one the gradient. */
    private static double[] carrying(
            Model model, double[] x, double[] carried, double[] targets, double[] parameters, double[] direction) {
        Engine engine = model.engine();
        model.writeParameters(parameters);
        model.clearGradients();
        try (Scope scope = engine.openScope("batch")) {
            ModelState state = new ModelState(model, scope, 3);
            state.write(carried);
            Tensor input = scope.allocate("x", 4, 3, 2);
            engine.write(input, x);
            Pass pass = Pass.training(engine, scope, input, null, SEED, 1).carrying(state);
            Tensor wanted = scope.allocate("targets", 12, 2);
            engine.write(wanted, targets);
            Tensor report = scope.allocate("report", 3);
            if (direction == null) {
                Tensor output = model.forward(pass);
                Tensor gradient =
                        scope.allocate("output gradient", output.shape().toArray());
                engine.loss(Loss.MEAN_SQUARED_ERROR, Model.rows(output), wanted, null, report, Model.rows(gradient));
                model.backward(pass, gradient);
                return read(engine, model.gradients());
            }
            Tensor v = scope.allocate("v", direction.length);
            engine.write(v, direction);
            Tensor product = scope.allocate("H v", direction.length);
            engine.fill(product, 0);
            model.hessianVectorProduct(pass, Loss.MEAN_SQUARED_ERROR, wanted, null, v, report, product);
            return read(engine, product);
        }
    }

    @Test
    void whatHasNoSecondDerivativesYetIsRefused() {
        Lstm lstm = Lstm.of(3);
        ModelSpec plain = ModelSpec.of(Form.sequence(2), lstm);
        refuses(ModelSpec.of(Form.sequence(2), lstm.withLearnedInitialState(true)), null, "a learned initial state");
        refuses(plain, new boolean[] {false, true}, "but got resets");
        refuses(
                ModelSpec.encoderDecoder(plain, ModelSpec.of(Form.sequence(2), lstm.withReturnSequences(true))),
                null,
                "a model without an encoder");
    }

    private static void refuses(ModelSpec spec, boolean[] resets, String reason) {
        try (Engine engine = Engines.open("reference");
                Model model = Model.create(engine, spec, SEED);
                Scope scope = engine.openScope("batch")) {
            Tensor x = scope.allocate("x", 2, 1, 2);
            engine.fill(x, 1);
            Pass pass = Pass.inference(engine, scope, x, null).withResets(resets);
            if (spec.encoder() != null) {
                pass.reading(x, null);
            }
            Tensor v = scope.allocate("v", model.parameters().shape().toArray());
            engine.fill(v, 1);
            assertRefused(
                    IllegalArgumentException.class,
                    () -> model.hessianVectorProduct(pass, Loss.MEAN_SQUARED_ERROR, null, null, v, null, v),
                    reason);
        }
    }
}
