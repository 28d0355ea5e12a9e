package carousel.layer;

/**
 * A vector for each token of the vocabulary.
 *
 * @param width numbers per token, 1 or more
 * @param initializer of the table {@code [V, E]}
 * @param maskZero whether the steps with token 0 are left out, as {@link Masking} leaves steps out
 */
public record Embedding(int width, Initializer initializer, boolean maskZero) implements Layer {
    public Embedding {
        if (width < 1) {
            throw new IllegalArgumentException("the width of an embedding should be 1 or more but got " + width);
        }
    }

    /** Without masking. */
    public Embedding(int width, Initializer initializer) {
        this(width, initializer, false);
    }

    /** Starting standard normal, as in PyTorch. */
    public static Embedding of(int width) {
        return new Embedding(width, new Initializer.Normal(0, 1));
    }

    public Embedding withMaskZero(boolean value) {
        return new Embedding(width, initializer, value);
    }

    @Override
    public String kind() {
        return "embedding";
    }

    @Override
    public Form output(Form input) {
        if (input.kind() != Form.Kind.TOKENS) {
            throw new IllegalArgumentException("an embedding reads tokens but got " + input);
        }
        return Form.sequence(width);
    }

    @Override
    public String summary() {
        return "Embedding(" + width + (maskZero ? ", token 0 masked)" : ")");
    }
}
