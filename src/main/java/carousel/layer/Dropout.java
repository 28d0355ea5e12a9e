package carousel.layer;

/**
 * In training drops each number with this probability and scales the rest up by {@code 1 / (1 - rate)} (Srivastava et al.
 * 2014); otherwise passes its input on.
 *
 * @param rate in [0, 1)
 */
public record Dropout(double rate) implements Layer {
    public Dropout {
        if (!(rate >= 0 && rate < 1)) {
            throw new IllegalArgumentException("dropout should be in the [0, 1) range but got " + rate);
        }
    }

    @Override
    public String kind() {
        return "dropout";
    }

    @Override
    public Form output(Form input) {
        if (input.kind() == Form.Kind.TOKENS) {
            throw new IllegalArgumentException(
                    "dropout reads numbers but got " + input + ": put an embedding before it");
        }
        return input;
    }

    @Override
    public String summary() {
        return "Dropout(" + rate + ")";
    }
}
