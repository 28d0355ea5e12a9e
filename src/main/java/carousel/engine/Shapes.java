package carousel.engine;

import carousel.tensor.ElementType;
import carousel.tensor.Shape;
import carousel.tensor.Tensor;

/** The checks of the seam, which every engine makes before it computes: one place, so that all refuse the same. */
public final class Shapes {
    private Shapes() {}

    /** Throws {@link IllegalArgumentException} unless the tensor has this shape of one dimension. */
    public static void require(String what, Tensor tensor, int extent) {
        if (tensor == null || tensor.shape().rank() != 1 || tensor.shape().extent(0) != extent) {
            throw wrongShape(what, tensor, extent);
        }
    }

    /** Throws {@link IllegalArgumentException} unless the tensor has this shape of two dimensions. */
    public static void require(String what, Tensor tensor, int rows, int columns) {
        if (tensor == null
                || tensor.shape().rank() != 2
                || tensor.shape().extent(0) != rows
                || tensor.shape().extent(1) != columns) {
            throw wrongShape(what, tensor, rows, columns);
        }
    }

    /** Throws {@link IllegalArgumentException} unless the tensor has this shape of three dimensions. */
    public static void require(String what, Tensor tensor, int outer, int rows, int columns) {
        if (tensor == null
                || tensor.shape().rank() != 3
                || tensor.shape().extent(0) != outer
                || tensor.shape().extent(1) != rows
                || tensor.shape().extent(2) != columns) {
            throw wrongShape(what, tensor, outer, rows, columns);
        }
    }

    /** Throws {@link IllegalArgumentException} unless the tensor has this shape. */
    public static void require(String what, Tensor tensor, Shape expected) {
        if (tensor == null || !tensor.shape().equals(expected)) {
            throw wrongShape(what, tensor, expected.toArray());
        }
    }

    private static IllegalArgumentException wrongShape(String what, Tensor tensor, int... extents) {
        return new IllegalArgumentException(
                what + " should be " + Shape.of(extents) + (tensor == null ? " but is missing" : " but got " + tensor));
    }

    /** Throws {@link IllegalArgumentException} unless the tensor has this many elements, under any shape. */
    public static void requireElements(String what, Tensor tensor, long elements) {
        if (tensor == null || tensor.elements() != elements) {
            throw new IllegalArgumentException(what + " should have " + elements + " elements but "
                    + (tensor == null ? "is missing" : "got " + tensor));
        }
    }

    /** Checks an LSTM forward pass and returns nothing; after it, every shape is as the Javadoc of the seam says. */
    public static void requireForward(
            LstmSpec spec, Tensor parameters, LstmInput input, LstmOutput output, LstmTape tape) {
        requireForward(spec, LstmLayout.of(spec), parameters, input, output, tape);
    }

    /** The same for an engine that has the specification's layout at hand. */
    public static void requireForward(
            LstmSpec spec, LstmLayout layout, Tensor parameters, LstmInput input, LstmOutput output, LstmTape tape) {
        requireElements("parameters", parameters, layout.elements());
        Tensor x = input.x();
        if (x == null || x.shape().rank() != 3 || x.shape().extent(2) != spec.inputSize()) {
            throw new IllegalArgumentException("x should be [T, N, " + spec.inputSize() + "] but got " + x);
        }
        int timeSteps = x.shape().extent(0);
        int batchSize = x.shape().extent(1);
        if (timeSteps < 1 || batchSize < 1) {
            throw new IllegalArgumentException("x should have 1 or more time steps and sequences but got " + x);
        }
        requireLengths(input.lengths(), timeSteps, batchSize);
        if (input.deviceLengths() != null) {
            if (input.lengths() != null) {
                throw new IllegalArgumentException(
                        "lengths should be given once, as an array or as a tensor, but got both");
            }
            require("the tensor of lengths", input.deviceLengths(), batchSize);
            if (input.deviceLengths().type() != ElementType.INT32) {
                throw new IllegalArgumentException(
                        "the tensor of lengths should be of integers but got " + input.deviceLengths());
            }
        }
        require("y", output.y(), timeSteps, batchSize, spec.sequenceWidth());
        requireState("h of the initial state", "c of the initial state", spec, input.initial(), batchSize, false);
        requireState("h of the last state", "c of the last state", spec, output.last(), batchSize, true);
        if (tape != null
                && !(tape.spec().equals(spec) && tape.timeSteps() == timeSteps && tape.batchSize() == batchSize)) {
            throw new IllegalArgumentException("the tape was opened for " + tape.timeSteps() + " steps of "
                    + tape.batchSize() + " sequences of " + tape.spec() + " but got " + x + " and " + spec);
        }
    }

    /** Checks an LSTM backward pass; the tape has been recorded. */
    public static void requireBackward(
            LstmTape tape, LstmOutput outputGradient, Tensor parameterGradients, LstmInputGradient inputGradient) {
        requireBackward(tape, LstmLayout.of(tape.spec()), outputGradient, parameterGradients, inputGradient);
    }

    /** The same for an engine that has the specification's layout at hand. */
    public static void requireBackward(
            LstmTape tape,
            LstmLayout layout,
            LstmOutput outputGradient,
            Tensor parameterGradients,
            LstmInputGradient inputGradient) {
        LstmSpec spec = tape.spec();
        if (parameterGradients != null) {
            requireElements("parameter gradients", parameterGradients, layout.elements());
        }
        if (outputGradient.y() != null) {
            require("the gradient of y", outputGradient.y(), tape.timeSteps(), tape.batchSize(), spec.sequenceWidth());
        }
        requireState(
                "h of the last state's gradient",
                "c of the last state's gradient",
                spec,
                outputGradient.last(),
                tape.batchSize(),
                true);
        if (inputGradient.dx() != null) {
            require("dx", inputGradient.dx(), tape.timeSteps(), tape.batchSize(), spec.inputSize());
        }
        requireState(
                "h of the initial state's gradient",
                "c of the initial state's gradient",
                spec,
                inputGradient.initial(),
                tape.batchSize(),
                true);
    }

    /** Checks a forward pass with tangents: the values as {@link #requireForward}, their tangents as they are. */
    public static void requireForward(
            LstmSpec spec, Dual<Tensor> parameters, Dual<LstmInput> input, Dual<LstmOutput> output, LstmTape tape) {
        if (output.value() == null || output.tangent() == null) {
            throw new IllegalArgumentException("the outputs and their tangent should both be given but one is missing");
        }
        requireForward(spec, parameters.value(), input.value(), output.value(), tape);
        int timeSteps = input.value().x().shape().extent(0);
        int batchSize = input.value().x().shape().extent(1);
        if (parameters.tangent() != null) {
            requireElements(
                    "the tangent of the parameters",
                    parameters.tangent(),
                    parameters.value().elements());
        }
        LstmInput direction = input.tangent();
        if (direction != null && direction.x() != null) {
            require("the tangent of x", direction.x(), timeSteps, batchSize, spec.inputSize());
        }
        requireState(
                "h of the initial state's tangent",
                "c of the initial state's tangent",
                spec,
                direction == null ? null : direction.initial(),
                batchSize,
                true);
        require("the tangent of y", output.tangent().y(), timeSteps, batchSize, spec.sequenceWidth());
        requireState(
                "h of the last state's tangent",
                "c of the last state's tangent",
                spec,
                output.tangent().last(),
                batchSize,
                true);
    }

    /** Checks a backward pass with tangents, values and tangents alike. */
    public static void requireBackward(
            LstmTape tape,
            Dual<LstmOutput> outputGradient,
            Dual<Tensor> parameterGradients,
            Dual<LstmInputGradient> inputGradient) {
        LstmOutput none = new LstmOutput(null, null);
        requireBackward(
                tape,
                outputGradient.value() == null ? none : outputGradient.value(),
                parameterGradients.value(),
                inputGradient.value() == null ? LstmInputGradient.NONE : inputGradient.value());
        requireBackward(
                tape,
                outputGradient.tangent() == null ? none : outputGradient.tangent(),
                parameterGradients.tangent(),
                inputGradient.tangent() == null ? LstmInputGradient.NONE : inputGradient.tangent());
    }

    /** Checks the tangent of an activation's gradient. */
    public static void requireActivationBackward(Dual<Tensor> y, Dual<Tensor> dy, Tensor dxTangent) {
        requireActivationBackward(y.value(), dy.value(), dxTangent);
        if (y.tangent() != null) {
            require("the tangent of y", y.tangent(), y.value().shape());
        }
        if (dy.tangent() != null) {
            require("the tangent of dy", dy.tangent(), y.value().shape());
        }
    }

    /** Checks the tangent of a loss's gradient. */
    public static void requireLoss(Dual<Tensor> predictions, Tensor rowWeights, Tensor dPredictionsTangent) {
        requireRank("predictions", predictions.value(), 2);
        require(
                "the tangent of the predictions",
                predictions.tangent(),
                predictions.value().shape());
        if (rowWeights != null) {
            require("row weights", rowWeights, predictions.value().shape().extent(0));
        }
        require(
                "the tangent of the predictions' gradient",
                dPredictionsTangent,
                predictions.value().shape());
    }

    private static void requireState(
            String h, String c, LstmSpec spec, LstmState state, int batchSize, boolean partly) {
        if (state == null) {
            return;
        }
        if (state.h() != null || !partly) {
            require(h, state.h(), spec.states(), batchSize, spec.outputSize());
        }
        if (state.c() != null || !partly) {
            require(c, state.c(), spec.states(), batchSize, spec.hiddenSize());
        }
    }

    private static void requireLengths(int[] lengths, int timeSteps, int batchSize) {
        if (lengths == null) {
            return;
        }
        if (lengths.length != batchSize) {
            throw new IllegalArgumentException(
                    "there should be " + batchSize + " lengths, one a sequence, but got " + lengths.length);
        }
        for (int n = 0; n < batchSize; n++) {
            if (lengths[n] < 0 || lengths[n] > timeSteps) {
                throw new IllegalArgumentException("the length of sequence " + n + " should be in the [0, " + timeSteps
                        + "] range but got " + lengths[n]);
            }
        }
    }

    /** Checks a copy of columns between {@code [M, .]} and {@code [M, .]}. */
    public static void requireColumns(Tensor source, int sourceColumn, Tensor target, int targetColumn, int columns) {
        requireRank("source", source, 2);
        requireRank("target", target, 2);
        if (source.shape().extent(0) != target.shape().extent(0)) {
            throw new IllegalArgumentException(
                    "source and target should have as many rows but got " + source + " and " + target);
        }
        if (columns < 0
                || sourceColumn < 0
                || targetColumn < 0
                || columns > source.shape().extent(1) - sourceColumn
                || columns > target.shape().extent(1) - targetColumn) {
            throw new IllegalArgumentException(columns + " columns from " + sourceColumn + " of " + source + " to "
                    + targetColumn + " of " + target + " reach outside");
        }
    }

    /** Checks {@code y [M, O] = x [M, I] W [O, I]^T + b [O]}. */
    public static void requireLinear(Tensor x, Tensor weights, Tensor bias, Tensor y) {
        requireRank("x", x, 2);
        requireRank("weights", weights, 2);
        int inputs = x.shape().extent(1);
        int outputs = weights.shape().extent(0);
        require("weights", weights, outputs, inputs);
        if (bias != null) {
            require("bias", bias, outputs);
        }
        require("y", y, x.shape().extent(0), outputs);
    }

    /** Checks {@code y [M, E] = table [V, E] [ids [M]]}. */
    public static void requireEmbedding(Tensor ids, Tensor table, Tensor y) {
        requireRank("ids", ids, 1);
        requireRank("table", table, 2);
        require("y", y, ids.shape().extent(0), table.shape().extent(1));
    }

    /** The sentence about an id that the embedding table does not have. */
    public static IllegalArgumentException badId(int row, int id, int vocabulary) {
        return new IllegalArgumentException(
                "id " + row + " should be in the [0, " + (vocabulary - 1) + "] range but got " + id);
    }

    /** Checks a dropout call. */
    public static void requireDropout(Tensor x, double rate, long period, Tensor y) {
        if (period < 1) {
            throw new IllegalArgumentException("the period of dropout should be 1 element or more but got " + period);
        }
        if (!(rate >= 0 && rate < 1)) {
            throw new IllegalArgumentException("dropout should be in the [0, 1) range but got " + rate);
        }
        requireElements("y", y, x.elements());
    }

    /** Checks {@code y [M, K] = f(x [M, K])}. */
    public static void requireActivation(Tensor x, Tensor y) {
        requireRank("x", x, 2);
        require("y", y, x.shape());
    }

    /** Checks the way back. */
    public static void requireActivationBackward(Tensor y, Tensor dy, Tensor dx) {
        requireRank("y", y, 2);
        require("dy", dy, y.shape());
        require("dx", dx, y.shape());
    }

    /** Checks a loss call. */
    public static void requireLoss(
            Loss loss, Tensor predictions, Tensor targets, Tensor rowWeights, Tensor report, Tensor dPredictions) {
        requireRank("predictions", predictions, 2);
        int rows = predictions.shape().extent(0);
        int columns = predictions.shape().extent(1);
        if (loss.labelled()) {
            require("labels", targets, rows);
        } else {
            require("targets", targets, rows, columns);
        }
        if (rowWeights != null) {
            require("row weights", rowWeights, rows);
        }
        require("report", report, 3);
        if (dPredictions != null) {
            require("the gradient of the predictions", dPredictions, rows, columns);
        }
    }

    /** The sentence about a label that is no class. */
    public static IllegalArgumentException badLabel(int row, int label, int classes) {
        return new IllegalArgumentException(
                "the label of row " + row + " should be in the [0, " + (classes - 1) + "] range but got " + label);
    }

    /** Checks an optimizer step. */
    public static void requireUpdate(
            Update update, Tensor parameters, Tensor gradients, Tensor firstMoment, Tensor secondMoment) {
        requireElements("gradients", gradients, parameters.elements());
        if (update.rule().moments() >= 1) {
            requireElements("first moment", firstMoment, parameters.elements());
        }
        if (update.rule().moments() >= 2) {
            requireElements("second moment", secondMoment, parameters.elements());
        }
        if (update.maxNorm() > 0) {
            require("squared norm", update.squaredNorm(), 1);
        }
    }

    private static void requireRank(String what, Tensor tensor, int rank) {
        if (tensor == null || tensor.shape().rank() != rank) {
            throw new IllegalArgumentException(what + " should have " + rank + " dimensions but "
                    + (tensor == null ? "is missing" : "got " + tensor));
        }
    }
}
