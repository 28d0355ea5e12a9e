package carousel.gradient;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.engine.Engine;
import carousel.engine.Engines;
import carousel.engine.Loss;
import carousel.engine.RandomSequence;
import carousel.fixture.LstmData;
import carousel.fixture.Tolerance;
import carousel.layer.Form;
import carousel.layer.Model;
import carousel.layer.ModelSpec;
import carousel.layer.Pass;
import carousel.tensor.Scope;
import carousel.tensor.Tensor;
import java.util.Arrays;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Products with the Hessian of whole models' losses. */
class HessianTest {
    private static final double STEP = 1e-5;
    private static final long SEED = 5;

    /** The gradient, and the Hessian's product with the direction where one is given. */
    private record Answer(double loss, double[] gradient, double[] product) {}

    /** One model with one batch of numbers. */
    private record Problem(Model model, Loss loss, double[] x, int[] lengths, double[] targets, boolean training) {
        Answer at(double[] parameters, double[] direction) {
            Engine engine = model.engine();
            model.writeParameters(parameters);
            model.clearGradients();
            try (Scope scope = engine.openScope("batch")) {
                Tensor input = ModelGradientTest.input(model, scope, x);
                Pass pass = training
                        ? Pass.training(engine, scope, input, lengths, SEED, 7)
                        : Pass.inference(engine, scope, input, lengths);
                // Inference passes have no way back; without dropout they are what a training pass is without it.
                Tensor output = model.forward(training ? pass : Pass.inference(engine, scope, input, lengths));
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
    @MethodSource("carousel.gradient.ModelGradientTest#models")
    void productsAreDifferencesOfGradients(String name, ModelSpec spec) {
        boolean sequences = spec.input().kind() != Form.Kind.VECTOR;
        for (Loss loss : Loss.values()) {
            for (int[] lengths : sequences ? new int[][] {null, {3, 0, 4}} : new int[][] {null}) {
                RandomSequence random = new RandomSequence(SEED, 1, loss.ordinal());
                try (Engine engine = Engines.open("reference");
                        Model model = Model.create(engine, spec, SEED)) {
                    int count = model.readParameters().length;
                    double[] parameters = LstmData.uniform(random, count);
                    double[] u = LstmData.uniform(random, count);
                    double[] v = LstmData.uniform(random, count);
                    double[] x = LstmData.uniform(random, 36);
                    double[] targets = LstmData.uniform(random, 72);
                    Problem problem = new Problem(model, loss, x, lengths, targets, true);
                    Answer exact = problem.at(parameters, v);
                    Answer plain = problem.at(parameters, null);
                    assertEquals(plain.loss(), exact.loss(), "the loss");
                    assertArrayEquals(plain.gradient(), exact.gradient(), 1e-15, "the gradient");
                    double[] slopes = slopes(problem, parameters, v);
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

    private static double[] slopes(Problem problem, double[] parameters, double[] v) {
        double[] ahead = problem.at(moved(parameters, v, STEP), null).gradient();
        double[] behind = problem.at(moved(parameters, v, -STEP), null).gradient();
        double[] farAhead = problem.at(moved(parameters, v, 2 * STEP), null).gradient();
        double[] farBehind = problem.at(moved(parameters, v, -2 * STEP), null).gradient();
        double[] slopes = new double[v.length];
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
    @MethodSource("carousel.gradient.ModelGradientTest#models")
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
            Answer one = new Problem(model, loss, x, null, targets, false).at(parameters, v);
            Answer other = new Problem(undropped, loss, x, null, targets, true).at(parameters, v);
            assertArrayEquals(other.gradient(), one.gradient(), "the gradient");
            assertArrayEquals(other.product(), one.product(), "the product");
        }
    }
}
