package carousel.engine;

/**
 * The three functions of an LSTM cell, which ONNX lists as f, g and h: {@code i, f, o = gates(a)}, {@code g = candidate(a)} and
 * {@code h = o * output(c)}.
 *
 * @param gates of the input, the forget and the output gate
 * @param candidate of the new content
 * @param output between the cell and what is shown of it
 */
public record LstmActivations(CellActivation gates, CellActivation candidate, CellActivation output) {
    /** Sigmoid, tanh and tanh: the LSTM that everybody means. */
    public static final LstmActivations STANDARD =
            new LstmActivations(CellActivation.SIGMOID, CellActivation.TANH, CellActivation.TANH);

    public LstmActivations {
        if (gates == null || candidate == null || output == null) {
            throw new IllegalArgumentException("all three activations must be given: gates, candidate and output");
        }
    }

    /** As in summaries: {@code Sigmoid, Tanh, Relu}. */
    @Override
    public String toString() {
        return gates + ", " + candidate + ", " + output;
    }
}
