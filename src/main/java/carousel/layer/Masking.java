package carousel.layer;

/**
 * Leaves out the steps of a sequence whose features all have one value, wherever they are: the layers after it, up to the last
 * LSTM, do not read them. Where that LSTM answers at every step, a step left out shows the output before it and zeros before the
 * first, as in Keras; a stack that reads in reverse or both ways shows zeros, and so does a residual connection. A loss at every
 * step does not count those steps, see {@link Pass#countedSteps()}. {@link Pass#withMask} leaves out steps that are known beforehand.
 *
 * @param value compared in single precision
 */
public record Masking(double value) implements Layer {
    public Masking {
        if (!Double.isFinite(value)) {
            throw new IllegalArgumentException("the value to be masked should be a finite number but got " + value);
        }
    }

    @Override
    public String kind() {
        return "masking";
    }

    @Override
    public Form output(Form input) {
        if (input.kind() != Form.Kind.SEQUENCE) {
            throw new IllegalArgumentException("masking reads sequences (time, batch, features) but got " + input
                    + (input.kind() == Form.Kind.TOKENS ? ": use an embedding that masks token 0" : ""));
        }
        return input;
    }

    @Override
    public String summary() {
        return "Masking(" + value + ")";
    }
}
