package carousel.layer;

/**
 * In training drops each number with this probability and scales the rest up by {@code 1 / (1 - rate)} (Srivastava et al.
 * 2014); otherwise passes its input on.
 *
 * @param rate in [0, 1)
 * @param locked whether all steps of a sequence drop the same numbers, drawn once, {@code [N, C]}, and not each step its own
 *     (variational dropout, Gal &amp; Ghahramani 2016, which Merity et al. 2018 call locked); each batch draws anew
 */
public record Dropout(double rate, boolean locked) implements Layer {
    public Dropout {
        if (!(rate >= 0 && rate < 1)) {
            throw new IllegalArgumentException("dropout should be in the [0, 1) range but got " + rate);
        }
    }

    /** Each step drops its own numbers. */
    public Dropout(double rate) {
        this(rate, false);
    }

    public Dropout withLocked(boolean value) {
        return new Dropout(rate, value);
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
        return "Dropout(" + rate + (locked ? ", locked over time)" : ")");
    }
}
