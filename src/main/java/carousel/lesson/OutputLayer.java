package carousel.lesson;

import carousel.data.Batch;
import carousel.engine.Engine;
import carousel.engine.Loss;
import carousel.tensor.Scope;
import carousel.tensor.Tensor;

/**
 * What both networks answer with: {@code p = h_T W^T + b}, measured by its mean squared error.
 *
 * @param weights {@code W [K, H]}
 * @param bias {@code b [K]}
 */
record OutputLayer(Engine engine, Tensor weights, Tensor bias) {
    private static final int REPORT = 3;

    /**
     * The batch's loss and its gradient.
     *
     * @param loss summed over the sequences
     * @param dh {@code [N, H]}, the gradient of the mean loss with respect to {@code h_T}
     */
    record Gradient(double loss, Tensor dh) {}

    /** The squared error of a batch, summed over its sequences. */
    double loss(Scope scope, Tensor h, Batch batch) {
        Tensor report = scope.allocate("report", REPORT);
        Tensor predictions = predictions(scope, h);
        engine.loss(Loss.MEAN_SQUARED_ERROR, predictions, targets(scope, batch), null, report, null);
        return first(report);
    }

    /**
     * The batch's loss and its gradient.
     *
     * @param gradients where the gradients of weights and bias are added
     */
    Gradient gradient(Scope scope, Tensor h, Batch batch, OutputLayer gradients) {
        Tensor report = scope.allocate("report", REPORT);
        Tensor predictions = predictions(scope, h);
        Tensor dPredictions =
                scope.allocate("prediction gradient", predictions.shape().toArray());
        engine.loss(Loss.MEAN_SQUARED_ERROR, predictions, targets(scope, batch), null, report, dPredictions);
        Tensor dh = scope.allocate("dh", h.shape().toArray());
        engine.linearBackward(h, weights, dPredictions, gradients.weights, gradients.bias, dh);
        return new Gradient(first(report), dh);
    }

    private Tensor predictions(Scope scope, Tensor h) {
        Tensor predictions = scope.allocate(
                "predictions", h.shape().extent(0), weights.shape().extent(0));
        engine.linearForward(h, weights, bias, predictions);
        return predictions;
    }

    private Tensor targets(Scope scope, Batch batch) {
        Tensor targets = scope.allocate("targets", batch.batchSize(), batch.targetSize());
        engine.write(targets, batch.targets());
        return targets;
    }

    private double first(Tensor report) {
        double[] values = new double[REPORT];
        engine.read(report, values);
        return values[0];
    }
}
