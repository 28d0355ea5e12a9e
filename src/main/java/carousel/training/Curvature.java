package carousel.training;

import carousel.data.Batch;
import carousel.engine.Engine;
import carousel.engine.EngineException;
import carousel.engine.Loss;
import carousel.engine.ParameterView;
import carousel.engine.RandomSequence;
import carousel.layer.Model;
import carousel.layer.Pass;
import carousel.tensor.Scope;
import carousel.tensor.Tensor;

/**
 * How sharply a model's loss on a batch bends where it bends most: the eigenvalue of largest magnitude of its Hessian with respect to
 * the parameters, without dropout. Where it is positive, steps of plain gradient descent longer than {@code 2 / eigenvalue} overshoot
 * along its eigenvector (LeCun, Simard &amp; Pearlmutter 1993); where it is negative, the model is at a saddle.
 *
 * @param eigenvalue {@code lambda}
 * @param residual {@code |H v - lambda v|} for the unit vector v found: an eigenvalue lies that near, for H is symmetric
 * @param products how many products with the Hessian it took, each some three gradients long
 */
public record Curvature(double eigenvalue, double residual, int products) {
    /** The stream of the random numbers that the first direction is drawn from. */
    private static final int FIRST_DIRECTION = 23;

    /**
     * Finds it by the power method from a direction drawn from the seed: the same call gives the same answer. The model's gradients
     * are cleared.
     *
     * @param batch as a {@link Trainer} takes it
     * @param mostProducts where it stops, 1 or more, if the residual is not small by then
     * @param tolerance it ends as soon as the residual is this part of the eigenvalue's magnitude; more than 0
     * @throws EngineException where the model's engine does not compute second derivatives
     */
    public static Curvature largest(
            Model model, Loss loss, Batch batch, int mostProducts, double tolerance, long seed) {
        if (mostProducts < 1) {
            throw new IllegalArgumentException(
                    "the number of products with the Hessian should be 1 or more but got " + mostProducts);
        }
        if (!(tolerance > 0)) {
            throw new IllegalArgumentException(
                    "the tolerance of the residual should be more than 0 but got " + tolerance);
        }
        double[] direction = firstDirection(model, seed);
        double eigenvalue = 0;
        double residual = 0;
        for (int products = 1; products <= mostProducts; products++) {
            double[] product = product(model, loss, batch, direction);
            eigenvalue = dot(direction, product);
            double length = Math.sqrt(dot(product, product));
            residual = Math.sqrt(Math.max(0, length * length - eigenvalue * eigenvalue));
            if (!Double.isFinite(length)) {
                throw new IllegalArgumentException(
                        "the loss has no finite second derivatives on this batch: its curvature"
                                + " along the first directions is " + eigenvalue);
            }
            if (products == mostProducts || length == 0 || residual <= tolerance * Math.abs(eigenvalue)) {
                model.clearGradients();
                return new Curvature(eigenvalue, residual, products);
            }
            for (int e = 0; e < direction.length; e++) {
                direction[e] = product[e] / length;
            }
        }
        throw new AssertionError(eigenvalue + ", " + residual);
    }

    private static double[] firstDirection(Model model, long seed) {
        RandomSequence random = new RandomSequence(seed, FIRST_DIRECTION, 0);
        double[] direction = new double[Math.toIntExact(model.parameters().elements())];
        for (ParameterView view : model.views()) {
            for (int e = Math.toIntExact(view.offset()); e < view.end(); e++) {
                direction[e] = random.nextGaussian();
            }
        }
        double length = Math.sqrt(dot(direction, direction));
        for (int e = 0; e < direction.length; e++) {
            direction[e] /= length;
        }
        return direction;
    }

    private static double[] product(Model model, Loss loss, Batch batch, double[] direction) {
        Engine engine = model.engine();
        try (Scope scope = engine.openScope("curvature")) {
            Tensor input = Evaluator.input(model, scope, batch);
            Pass pass = Pass.inference(engine, scope, input, batch.lengths())
                    .withMask(batch.mask())
                    .withResets(batch.resets());
            Evaluator.readSource(model, scope, batch, pass);
            Tensor predictions = Model.rows(model.forward(pass));
            Tensor v = scope.allocate("direction", direction.length);
            engine.write(v, direction);
            Tensor product = scope.allocate("H v", direction.length);
            engine.fill(product, 0);
            model.hessianVectorProduct(
                    pass,
                    loss,
                    Evaluator.targets(engine, scope, loss, batch, predictions),
                    Evaluator.rowWeights(model, scope, pass),
                    v,
                    scope.allocate("report", 3),
                    product);
            double[] values = new double[direction.length];
            engine.read(product, values);
            return values;
        }
    }

    private static double dot(double[] a, double[] b) {
        double sum = 0;
        for (int e = 0; e < a.length; e++) {
            sum += a[e] * b[e];
        }
        return sum;
    }
}
