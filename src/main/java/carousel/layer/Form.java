package carousel.layer;

/**
 * What flows between two layers, without the sizes that differ from batch to batch.
 *
 * @param kind how the data is arranged
 * @param features {@code C}, numbers per step or per sequence; for tokens the size of the vocabulary. 1 or more.
 */
public record Form(Kind kind, int features) {
    /** How data is arranged. */
    public enum Kind {
        /** {@code [T, N, C]}: a vector of features for each time step. */
        SEQUENCE,
        /** {@code [N, C]}: one vector for each sequence. */
        VECTOR,
        /** {@code [T, N]} integers: one token for each time step. */
        TOKENS
    }

    public Form {
        if (features < 1) {
            throw new IllegalArgumentException("the number of features should be 1 or more but got " + features);
        }
    }

    /** Sequences with this many features per time step. */
    public static Form sequence(int features) {
        return new Form(Kind.SEQUENCE, features);
    }

    /** One vector of features for each sequence. */
    public static Form vector(int features) {
        return new Form(Kind.VECTOR, features);
    }

    /** Sequences of tokens, each in {@code [0, vocabulary)}. */
    public static Form tokens(int vocabulary) {
        return new Form(Kind.TOKENS, vocabulary);
    }

    /** In the words of Keras' summaries, for instance {@code (time, batch, 28)}. */
    @Override
    public String toString() {
        return switch (kind) {
            case SEQUENCE -> "(time, batch, " + features + ")";
            case VECTOR -> "(batch, " + features + ")";
            case TOKENS -> "(time, batch) of " + features + " tokens";
        };
    }
}
