package carousel.training;

import static carousel.fixture.Refusals.assertRefused;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.data.AddingProblem;
import carousel.data.Batch;
import carousel.data.SequentialBatches;
import carousel.engine.Engine;
import carousel.engine.Engines;
import carousel.engine.Loss;
import carousel.engine.ParameterView;
import carousel.layer.Dense;
import carousel.layer.Form;
import carousel.layer.Lstm;
import carousel.layer.Model;
import carousel.layer.ModelSpec;
import carousel.layer.Pass;
import carousel.tensor.Scope;
import carousel.tensor.Tensor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The largest eigenvalue that products with the Hessian find, against all eigenvalues of the whole matrix. */
class CurvatureTest {
    private static final ModelSpec SPEC = ModelSpec.of(Form.sequence(2), Lstm.of(3), Dense.of(1));
    private static final double STEP = 1e-4;

    private static Batch batch() {
        SequentialBatches batches = new SequentialBatches(new AddingProblem(6, 3).dataset(0, 16), 16);
        return batches.batch(0);
    }

    @ParameterizedTest
    @ValueSource(strings = {"reference", "vector"})
    void powerMethodFindsTheLargestEigenvalue(String name) {
        double expected = largest(eigenvalues(hessian()));
        assertTrue(Math.abs(expected) > 0.1, "nothing was checked");
        try (Engine engine = Engines.open(name);
                Model model = Model.create(engine, SPEC, 5)) {
            double tolerance = name.equals("reference") ? 1e-7 : 1e-4;
            Curvature found = Curvature.largest(model, Loss.MEAN_SQUARED_ERROR, batch(), 300, tolerance, 1);
            assertEquals(expected, found.eigenvalue(), 10 * tolerance * Math.abs(expected));
            assertTrue(found.residual() <= tolerance * Math.abs(found.eigenvalue()), found.toString());
            assertTrue(found.products() < 300, found.toString());
            assertEquals(found, Curvature.largest(model, Loss.MEAN_SQUARED_ERROR, batch(), 300, tolerance, 1));
            assertTrue(Arrays.stream(read(engine, model.gradients())).allMatch(d -> d == 0), "gradients are left");
            Curvature stopped = Curvature.largest(model, Loss.MEAN_SQUARED_ERROR, batch(), 2, 1e-30, 1);
            assertEquals(2, stopped.products());
        }
    }

    /** Steps of gradient descent a little shorter than 2 over the curvature come to rest at a minimum, longer ones leave it. */
    @Test
    void curvatureSaysWhichStepsOvershoot() {
        try (Engine engine = Engines.open("reference");
                Model model = Model.create(engine, SPEC, 5)) {
            // To the neighbourhood of a minimum first, where the loss is nearly a paraboloid.
            descend(model, 0.5, 4000);
            double[] there = model.readParameters();
            Curvature curvature = Curvature.largest(model, Loss.MEAN_SQUARED_ERROR, batch(), 500, 1e-6, 2);
            double loss = descend(model, 0, 1);
            assertTrue(curvature.eigenvalue() > 0, curvature.toString());
            assertTrue(descend(model, 1.8 / curvature.eigenvalue(), 40) <= loss, "shorter steps");
            model.writeParameters(there);
            assertTrue(descend(model, 2.6 / curvature.eigenvalue(), 40) > loss, "longer steps");
        }
    }

    /** Plain gradient descent; the loss before the last step. */
    private static double descend(Model model, double rate, int steps) {
        double loss = Double.NaN;
        for (int step = 0; step < steps; step++) {
            double[] parameters = model.readParameters();
            double[] gradient = new double[parameters.length];
            loss = gradient(model, gradient);
            for (int e = 0; e < gradient.length; e++) {
                parameters[e] -= rate * gradient[e];
            }
            model.writeParameters(parameters);
        }
        return loss;
    }

    private static double gradient(Model model, double[] gradient) {
        Engine engine = model.engine();
        Batch batch = batch();
        model.clearGradients();
        try (Scope scope = engine.openScope("step")) {
            Pass pass = Pass.training(engine, scope, Evaluator.input(model, scope, batch), batch.lengths(), 1, 1);
            Tensor output = model.forward(pass);
            Tensor report = scope.allocate("report", 3);
            Tensor dOutput = scope.allocate("output gradient", output.shape().toArray());
            engine.loss(
                    Loss.MEAN_SQUARED_ERROR,
                    output,
                    Evaluator.targets(engine, scope, Loss.MEAN_SQUARED_ERROR, batch, output),
                    null,
                    report,
                    dOutput);
            model.backward(pass, dOutput);
            engine.read(model.gradients(), gradient);
            double[] sums = read(engine, report);
            return sums[0] / sums[2];
        }
    }

    private static double[] read(Engine engine, Tensor tensor) {
        double[] values = new double[Math.toIntExact(tensor.elements())];
        engine.read(tensor, values);
        return values;
    }

    /** The whole matrix, by differences of gradients. */
    private static double[][] hessian() {
        try (Engine engine = Engines.open("reference");
                Model model = Model.create(engine, SPEC, 5)) {
            List<Integer> indices = new ArrayList<>();
            for (ParameterView view : model.views()) {
                for (int e = (int) view.offset(); e < view.end(); e++) {
                    indices.add(e);
                }
            }
            double[] parameters = model.readParameters();
            double[][] matrix = new double[indices.size()][indices.size()];
            for (int row = 0; row < matrix.length; row++) {
                double[] ahead = gradientAt(model, parameters, indices.get(row), STEP);
                double[] behind = gradientAt(model, parameters, indices.get(row), -STEP);
                for (int k = 0; k < matrix.length; k++) {
                    matrix[row][k] = (ahead[indices.get(k)] - behind[indices.get(k)]) / (2 * STEP);
                }
            }
            return matrix;
        }
    }

    private static double[] gradientAt(Model model, double[] parameters, int element, double step) {
        double[] moved = parameters.clone();
        moved[element] += step;
        model.writeParameters(moved);
        double[] gradient = new double[moved.length];
        gradient(model, gradient);
        return gradient;
    }

    private static double largest(double[] values) {
        return Arrays.stream(values).reduce(0, (a, b) -> Math.abs(a) > Math.abs(b) ? a : b);
    }

    /** Jacobi's method: rotations that take one element off the diagonal to zero at a time. */
    private static double[] eigenvalues(double[][] a) {
        for (int sweep = 0; sweep < 60; sweep++) {
            for (int p = 0; p < a.length; p++) {
                for (int q = p + 1; q < a.length; q++) {
                    if (a[p][q] != 0) {
                        rotate(a, p, q);
                    }
                }
            }
        }
        double[] values = new double[a.length];
        Arrays.setAll(values, k -> a[k][k]);
        return values;
    }

    private static void rotate(double[][] a, int p, int q) {
        double angle = 0.5 * Math.atan2(2 * a[p][q], a[q][q] - a[p][p]);
        double cosine = Math.cos(angle);
        double sine = Math.sin(angle);
        for (int k = 0; k < a.length; k++) {
            double left = a[k][p];
            double right = a[k][q];
            a[k][p] = cosine * left - sine * right;
            a[k][q] = sine * left + cosine * right;
        }
        for (int k = 0; k < a.length; k++) {
            double left = a[p][k];
            double right = a[q][k];
            a[p][k] = cosine * left - sine * right;
            a[q][k] = sine * left + cosine * right;
        }
    }

    @Test
    void badUsageIsRefused() {
        try (Engine engine = Engines.open("reference");
                Model model = Model.create(engine, SPEC, 5)) {
            assertRefused(
                    IllegalArgumentException.class,
                    () -> Curvature.largest(model, Loss.MEAN_SQUARED_ERROR, batch(), 0, 1e-3, 1),
                    "1 or more but got 0");
            assertRefused(
                    IllegalArgumentException.class,
                    () -> Curvature.largest(model, Loss.MEAN_SQUARED_ERROR, batch(), 5, Double.NaN, 1),
                    "more than 0 but got NaN");
        }
    }
}
