package carousel.data;

/**
 * One long row of tokens, read as {@code N} streams side by side: row n of the batches runs through the n-th of N equal stretches,
 * {@code T} tokens a batch, each step's label being the token that follows. A model that carries its state from batch to batch
 * reads each stretch as one long sequence (truncated back-propagation through time, Williams &amp; Peng 1990). The last batch of an
 * epoch is shorter; the fewer than N tokens that no stretch has room for are left out.
 *
 * <p>Where the tokens are many documents, each with a token at its end that says so, the token after that is one at which the batch
 * {@link Batch#resets() starts anew}, wherever it stands in the batch.
 */
public final class TokenStreams implements BatchSource {
    private static final int NONE = -1;

    private final String name;
    private final int[] tokens;
    private final int vocabulary;
    private final int stretch;
    /** The token that a document ends with, or {@link #NONE}. */
    private final int separator;

    private final Batch full;
    /** What a stretch leaves over after its full batches; null when nothing is left. */
    private final Batch rest;

    /**
     * @param tokens each in [0, vocabulary), 2 or more
     * @param batchSize N, at most the number of tokens less one
     * @param timeSteps T, shortened to the stretch where that is shorter
     * @throws IllegalArgumentException if one of them is out of range
     */
    public TokenStreams(String name, int[] tokens, int vocabulary, int batchSize, int timeSteps) {
        this(name, tokens, vocabulary, batchSize, timeSteps, NONE);
    }

    private TokenStreams(String name, int[] tokens, int vocabulary, int batchSize, int timeSteps, int separator) {
        if (tokens.length < 2) {
            throw new IllegalArgumentException(
                    name + " should have 2 or more tokens but has " + tokens.length + ": give a longer text");
        }
        if (batchSize < 1 || batchSize > tokens.length - 1) {
            throw new IllegalArgumentException("the batch size for " + name + " should be in the [1, "
                    + (tokens.length - 1) + "] range but got " + batchSize);
        }
        if (timeSteps < 1) {
            throw new IllegalArgumentException(
                    "the time steps for " + name + " should be 1 or more but got " + timeSteps);
        }
        this.name = name;
        this.tokens = tokens.clone();
        this.vocabulary = vocabulary;
        this.separator = separator;
        this.stretch = (tokens.length - 1) / batchSize;
        int steps = Math.min(timeSteps, stretch);
        this.full = newBatch(steps, batchSize);
        int left = stretch % steps;
        this.rest = left == 0 ? null : newBatch(left, batchSize);
    }

    /**
     * The same for tokens that are documents one after the other: what a model has read of one says nothing about the next.
     *
     * @param separator the token that each document ends with, in [0, vocabulary)
     * @throws IllegalArgumentException if one of them is out of range
     */
    public static TokenStreams ofDocuments(
            String name, int[] tokens, int vocabulary, int batchSize, int timeSteps, int separator) {
        if (separator < 0 || separator >= vocabulary) {
            throw new IllegalArgumentException("the token that ends the documents of " + name + " should be in the [0, "
                    + (vocabulary - 1) + "] range but got " + separator);
        }
        return new TokenStreams(name, tokens, vocabulary, batchSize, timeSteps, separator);
    }

    private Batch newBatch(int steps, int streams) {
        Batch batch = Batch.ofTokens(steps, streams, vocabulary);
        return separator == NONE ? batch : batch.withResets(new boolean[batch.tokens().length]);
    }

    @Override
    public String name() {
        return name;
    }

    @Override
    public long batchesPerEpoch() {
        return (stretch + (long) full.timeSteps() - 1) / full.timeSteps();
    }

    @Override
    public int batchSize() {
        return full.batchSize();
    }

    @Override
    public int timeSteps() {
        return full.timeSteps();
    }

    @Override
    public int features() {
        return vocabulary;
    }

    @Override
    public int classes() {
        return vocabulary;
    }

    @Override
    public int targetSize() {
        return 0;
    }

    @Override
    public boolean variableLengths() {
        return false;
    }

    @Override
    public boolean contiguous() {
        return true;
    }

    @Override
    public Batch batch(long number) {
        if (number < 0) {
            throw new IllegalArgumentException("the number of a batch should be 0 or more but got " + number);
        }
        long inEpoch = number % batchesPerEpoch();
        int start = Math.toIntExact(inEpoch * full.timeSteps());
        Batch batch = inEpoch == batchesPerEpoch() - 1 && rest != null ? rest : full;
        for (int t = 0; t < batch.timeSteps(); t++) {
            for (int n = 0; n < batch.batchSize(); n++) {
                int at = n * stretch + start + t;
                batch.tokens()[t * batch.batchSize() + n] = tokens[at];
                batch.labels()[t * batch.batchSize() + n] = tokens[at + 1];
                if (batch.resets() != null) {
                    batch.resets()[t * batch.batchSize() + n] = at > 0 && tokens[at - 1] == separator;
                }
            }
        }
        return batch;
    }
}
