package carousel.layer;

/**
 * Turns each sequence around: its last valid step comes first. Behind an LSTM that reads in reverse it puts the outputs in the
 * order of reading, as Keras has them with {@code go_backwards}.
 */
public record TimeReversal() implements Layer {
    @Override
    public String kind() {
        return "time_reversal";
    }

    @Override
    public Form output(Form input) {
        if (input.kind() != Form.Kind.SEQUENCE) {
            throw new IllegalArgumentException(
                    "a time reversal reads sequences (time, batch, features) but got " + input);
        }
        return input;
    }

    @Override
    public String summary() {
        return "TimeReversal()";
    }
}
