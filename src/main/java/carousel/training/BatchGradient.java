package carousel.training;

import carousel.data.Batch;
import carousel.engine.Engine;
import carousel.engine.Loss;
import carousel.layer.Model;
import carousel.layer.ModelState;
import carousel.layer.Pass;
import carousel.tensor.Scope;
import carousel.tensor.Tensor;

/** The gradient of one batch: what every way to train has in common. */
public final class BatchGradient {
    private BatchGradient() {}

    /**
     * Takes a batch through a model and back, and leaves in {@link Model#gradients()} the gradient of its mean loss.
     *
     * @param scope for all that this allocates
     * @param seed of dropout
     * @param step the number of the training step
     * @param state gone on from and then moved on: the gradient ends at the batch's first step. Null for none.
     * @param scale the gradient of the outputs is multiplied by this on its way, and that of the parameters divided; 1 for no scale
     * @param report {@code [3]}, as {@link Engine#loss} gives it
     * @throws IllegalArgumentException when the batch does not fit the model
     */
    public static void compute(
            Model model,
            Loss loss,
            Batch batch,
            Scope scope,
            long seed,
            long step,
            ModelState state,
            double scale,
            Tensor report) {
        Engine engine = model.engine();
        Tensor input = Evaluator.input(model, scope, batch);
        Pass pass = Pass.training(engine, scope, input, batch.lengths(), seed, step)
                .withMask(batch.mask())
                .withResets(batch.resets())
                .carrying(state);
        Evaluator.readSource(model, scope, batch, pass);
        Tensor output = model.forward(pass);
        Tensor predictions = Model.rows(output);
        Tensor gradient = scope.allocate("output gradient", output.shape().toArray());
        engine.loss(
                loss,
                predictions,
                Evaluator.targets(engine, scope, loss, batch, predictions),
                Evaluator.rowWeights(model, scope, pass),
                report,
                Model.rows(gradient));
        if (scale != 1) {
            engine.scale(gradient, scale);
        }
        model.clearGradients();
        model.backward(pass, gradient);
        if (scale != 1) {
            engine.scale(model.gradients(), 1 / scale);
        }
        if (state != null) {
            state.advance();
        }
    }
}
