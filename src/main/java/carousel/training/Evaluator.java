package carousel.training;

import carousel.data.Batch;
import carousel.data.BatchSource;
import carousel.engine.ActivationFunction;
import carousel.engine.Engine;
import carousel.engine.Loss;
import carousel.layer.Activation;
import carousel.layer.Form;
import carousel.layer.Layer;
import carousel.layer.Model;
import carousel.layer.ModelSpec;
import carousel.layer.ModelState;
import carousel.layer.Pass;
import carousel.tensor.Scope;
import carousel.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.BooleanSupplier;

/** Takes batches through a model without training it. */
public final class Evaluator {
    private final Model model;
    private final Loss loss;

    /**
     * @param loss what the model was trained with: it says what the outputs mean
     * @throws IllegalArgumentException when the model ends with the softmax or sigmoid that this loss applies itself
     */
    public Evaluator(Model model, Loss loss) {
        requireAppliedOnce(model.spec(), loss);
        this.model = model;
        this.loss = loss;
    }

    private static void requireAppliedOnce(ModelSpec spec, Loss loss) {
        ActivationFunction applied = switch (loss) {
            case SOFTMAX_CROSS_ENTROPY -> ActivationFunction.SOFTMAX;
            case SIGMOID_CROSS_ENTROPY -> ActivationFunction.SIGMOID;
            case MEAN_SQUARED_ERROR -> null;
        };
        Layer last = spec.layers().get(spec.layers().size() - 1);
        if (last instanceof Activation activation && activation.function() == applied) {
            throw new IllegalArgumentException("the loss " + loss + " applies the " + applied.word()
                    + " itself but the model ends with " + last.summary() + ": leave the last activation out");
        }
    }

    /** Loss and accuracy over one epoch of a source. */
    public Evaluation evaluate(BatchSource source) {
        return evaluateUnless(() -> false, source).orElseThrow();
    }

    /** The same, or nothing when the condition comes true between two batches. */
    Optional<Evaluation> evaluateUnless(BooleanSupplier stopped, BatchSource source) {
        Totals totals = new Totals();
        try (Scope carried = model.engine().openScope("carried state")) {
            ModelState state = carriedState(carried, source);
            for (long number = 0; number < source.batchesPerEpoch(); number++) {
                if (stopped.getAsBoolean()) {
                    return Optional.empty();
                }
                add(source.batch(number), state, totals);
            }
        }
        return Optional.of(totals.evaluation(loss));
    }

    /** A state for a source whose batches go on where the ones before ended, otherwise null. */
    private ModelState carriedState(Scope scope, BatchSource source) {
        return source.contiguous() ? new ModelState(model, scope, source.batchSize()) : null;
    }

    /** Loss and accuracy on one batch. */
    public Evaluation evaluate(Batch batch) {
        Totals totals = new Totals();
        add(batch, null, totals);
        return totals.evaluation(loss);
    }

    private void add(Batch batch, ModelState state, Totals totals) {
        Engine engine = model.engine();
        try (Scope scope = engine.openScope("evaluation")) {
            Pass pass = inference(scope, batch, state);
            Tensor predictions = forward(pass, state);
            Tensor report = scope.allocate("report", 3);
            engine.loss(
                    loss,
                    predictions,
                    targets(engine, scope, loss, batch, predictions),
                    rowWeights(model, scope, pass),
                    report,
                    null);
            totals.add(engine, report);
        }
    }

    /**
     * What the model makes of a batch: probabilities for the cross-entropies (of the classes, or of each output), otherwise the
     * outputs themselves.
     *
     * @return {@code [M, K]}, row-major; M is N, or T * N for a model that answers at each step
     */
    public float[] predict(Batch batch) {
        return predict(batch, null);
    }

    private float[] predict(Batch batch, ModelState state) {
        Engine engine = model.engine();
        try (Scope scope = engine.openScope("prediction")) {
            Tensor predictions = forward(inference(scope, batch, state), state);
            float[] values = new float[Math.toIntExact(predictions.elements())];
            engine.read(predictions, values);
            return predictions(values, predictions.shape().extent(1), loss);
        }
    }

    /**
     * What the model makes of one epoch of a source: see {@link #predict(Batch)}.
     *
     * @return the rows of all batches, one after the other
     */
    public float[] predict(BatchSource source) {
        List<float[]> parts = new ArrayList<>();
        int size = 0;
        try (Scope carried = model.engine().openScope("carried state")) {
            ModelState state = carriedState(carried, source);
            for (long number = 0; number < source.batchesPerEpoch(); number++) {
                float[] part = predict(source.batch(number), state);
                parts.add(part);
                size = Math.addExact(size, part.length);
            }
        }
        float[] all = new float[size];
        int filled = 0;
        for (float[] part : parts) {
            System.arraycopy(part, 0, all, filled, part.length);
            filled += part.length;
        }
        return all;
    }

    /**
     * What a model's outputs mean under the loss it was trained with: see {@link #predict(Batch)}.
     *
     * @param outputs {@code [M, K]}, row-major; overwritten
     * @return the same array
     */
    public static float[] predictions(float[] outputs, int columns, Loss loss) {
        switch (loss) {
            case SOFTMAX_CROSS_ENTROPY -> {
                for (int row = 0; row < outputs.length; row += columns) {
                    softmax(outputs, row, columns);
                }
            }
            case SIGMOID_CROSS_ENTROPY -> {
                for (int e = 0; e < outputs.length; e++) {
                    outputs[e] = (float) (1 / (1 + Math.exp(-outputs[e])));
                }
            }
            case MEAN_SQUARED_ERROR -> {
                // The outputs are the prediction.
            }
        }
        return outputs;
    }

    private static void softmax(float[] values, int from, int columns) {
        double largest = Double.NEGATIVE_INFINITY;
        for (int k = 0; k < columns; k++) {
            largest = Math.max(largest, values[from + k]);
        }
        double sum = 0;
        for (int k = 0; k < columns; k++) {
            sum += Math.exp(values[from + k] - largest);
        }
        for (int k = 0; k < columns; k++) {
            values[from + k] = (float) (Math.exp(values[from + k] - largest) / sum);
        }
    }

    private Pass inference(Scope scope, Batch batch, ModelState state) {
        Pass pass = Pass.inference(model.engine(), scope, input(model, scope, batch), batch.lengths())
                .withMask(batch.mask())
                .withResets(batch.resets())
                .carrying(state);
        readSource(model, scope, batch, pass);
        return pass;
    }

    /** What the model makes of a batch, as rows; a state is gone on from and then moved on. */
    private Tensor forward(Pass pass, ModelState state) {
        Tensor output = model.forward(pass);
        if (state != null) {
            state.advance();
        }
        return Model.rows(output);
    }

    /** Copies a batch's inputs to the engine, {@code [T, N, C]}, or its tokens, {@code [T, N]}. */
    static Tensor input(Model model, Scope scope, Batch batch) {
        return input(model, model.spec().input(), scope, batch);
    }

    /** Gives the encoder of a model, where it has one, the batch's source. */
    static void readSource(Model model, Scope scope, Batch batch, Pass pass) {
        ModelSpec encoder = model.spec().encoder();
        if ((encoder == null) != (batch.source() == null)) {
            throw new IllegalArgumentException(
                    encoder == null
                            ? "the data has sources for an encoder but the model has none: make it with"
                                    + " ModelSpec.encoderDecoder"
                            : "the model's encoder needs a source beside each sequence but the data has none: use the"
                                    + " data it was made for");
        }
        if (encoder != null) {
            Batch source = batch.source();
            if (source.resets() != null) {
                throw new IllegalArgumentException(
                        "an encoder's sources should be read from their beginning to their end" + " but the batch has "
                                + source + " that start anew in their midst: leave the resets out");
            }
            pass.reading(input(model, encoder.input(), scope, source), source.lengths(), source.mask());
        }
    }

    private static Tensor input(Model model, Form form, Scope scope, Batch batch) {
        Form.Kind kind = batch.tokens() == null ? Form.Kind.SEQUENCE : Form.Kind.TOKENS;
        if (form.kind() != kind || form.features() != batch.features()) {
            throw new IllegalArgumentException("the model reads " + form + " but the data has " + batch.features()
                    + (batch.tokens() == null ? " features per time step" : " tokens")
                    + ": use the data it was made for");
        }
        if (batch.tokens() != null) {
            Tensor ids = scope.allocateIntegers("tokens", batch.timeSteps(), batch.batchSize());
            model.engine().write(ids, batch.tokens());
            return ids;
        }
        Tensor x = scope.allocate("x", batch.timeSteps(), batch.batchSize(), batch.features());
        model.engine().write(x, batch.inputs());
        return x;
    }

    /**
     * Copies a batch's labels or targets to the engine, in the shape that the loss takes. For a model that answers at each step
     * a sequence's targets are those of its steps, one after the other.
     */
    static Tensor targets(Engine engine, Scope scope, Loss loss, Batch batch, Tensor predictions) {
        int rows = predictions.shape().extent(0);
        int columns = predictions.shape().extent(1);
        if (loss.labelled()) {
            requireTargets(batch.labels() == null ? 0 : batch.labels().length, rows, "labels");
            Tensor labels = scope.allocateIntegers("labels", rows);
            engine.write(labels, batch.labels());
            return labels;
        }
        requireTargets(batch.targets() == null ? 0 : batch.targets().length, rows * columns, "targets");
        Tensor targets = scope.allocate("targets", rows, columns);
        engine.write(targets, timeMajor(batch.targets(), batch.batchSize(), columns));
        return targets;
    }

    /** {@code [N, T, K]}, sequence by sequence as a batch has them, as {@code [T, N, K]}, the order of the outputs. */
    private static float[] timeMajor(float[] values, int batchSize, int columns) {
        int timeSteps = values.length / (batchSize * columns);
        if (timeSteps == 1) {
            return values;
        }
        float[] ordered = new float[values.length];
        for (int n = 0; n < batchSize; n++) {
            for (int t = 0; t < timeSteps; t++) {
                System.arraycopy(
                        values, (n * timeSteps + t) * columns, ordered, (t * batchSize + n) * columns, columns);
            }
        }
        return ordered;
    }

    private static void requireTargets(int got, int wanted, String what) {
        if (got != wanted) {
            throw new IllegalArgumentException(
                    "the model's outputs need " + wanted + " " + what + " but the batch has " + got);
        }
    }

    /**
     * For a model that answers at each step: 1 for each step that counts and 0 for the others, past the end of a sequence or left
     * out. Otherwise null, all count.
     *
     * @param pass that has gone through the model
     */
    static Tensor rowWeights(Model model, Scope scope, Pass pass) {
        boolean[] counted = model.spec().output().kind() == Form.Kind.SEQUENCE ? pass.countedSteps() : null;
        if (counted == null) {
            return null;
        }
        float[] weights = new float[counted.length];
        for (int row = 0; row < weights.length; row++) {
            weights[row] = counted[row] ? 1 : 0;
        }
        Tensor tensor = scope.allocate("row weights", weights.length);
        model.engine().write(tensor, weights);
        return tensor;
    }

    /** Sums of loss, rightness and weight, as {@link Engine#loss} reports them. */
    static final class Totals {
        private final double[] row = new double[3];
        private double lossSum;
        private double rightSum;
        private double weightSum;

        void add(Engine engine, Tensor report) {
            engine.read(report, row);
            add(row[0], row[1], row[2]);
        }

        void add(double loss, double right, double weight) {
            lossSum += loss;
            rightSum += right;
            weightSum += weight;
        }

        void clear() {
            lossSum = 0;
            rightSum = 0;
            weightSum = 0;
        }

        double lossSum() {
            return lossSum;
        }

        double rightSum() {
            return rightSum;
        }

        double weightSum() {
            return weightSum;
        }

        Evaluation evaluation(Loss loss) {
            double accuracy = loss == Loss.MEAN_SQUARED_ERROR ? Double.NaN : rightSum / weightSum;
            return new Evaluation(lossSum / weightSum, accuracy, weightSum);
        }
    }
}
