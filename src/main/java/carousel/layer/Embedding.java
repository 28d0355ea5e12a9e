package carousel.layer;

/**
 * A vector for each token of the vocabulary.
 *
 * @param width numbers per token, 1 or more
 * @param initializer of the table {@code [V, E]}
 */
public record Embedding(int width, Initializer initializer) implements Layer {
    public Embedding {
        if (width < 1) {
            throw new IllegalArgumentException("the width of an embedding should be 1 or more but got " + width);
        }
    }

    /** Starting standard normal, as in PyTorch. */
    public static Embedding of(int width) {
        return new Embedding(width, new Initializer.Normal(0, 1));
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
        return "Embedding(" + width + ")";
    }
}
