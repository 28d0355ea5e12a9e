package carousel.data;

import carousel.engine.RandomSequence;

/**
 * Sequences of tokens with the sequences they are to be turned into, for models with an encoder and a decoder: a copy, the reverse
 * (as in Sutskever, Vinyals &amp; Le 2014), or the sum of two numbers (as in Zaremba &amp; Sutskever, "Learning to execute", 2014,
 * and in Keras' example of addition). The decoder reads the start token and then the answer, and should say the answer and then the
 * end token.
 *
 * <p>Pair k is a pure function of the seed and k, so there is no end of them. A tenth of all sources, drawn by the seed, is held out:
 * {@link #heldOut} has these only, and all pairs with numbers below 2^40 have the others only. Of sums, a + b and b + a are held out
 * together.
 */
public final class SequencePairs extends DrawnSequences {
    /** The most digits of a number. */
    public static final int MAX_DIGITS = 9;

    /** The most different symbols, the letters from a to z. */
    public static final int MAX_SYMBOLS = 26;

    /** The longest sequences. */
    public static final int MAX_LENGTH = 10_000;

    /** With fewer sources it could be that none are held out. */
    private static final int LEAST_SOURCES = 1_000;

    /** One source of so many is held out. */
    private static final int HELD_OUT_PARTS = 10;

    private static final int PLUS = 10;

    private enum Kind {
        COPY,
        REVERSE,
        ADDITION
    }

    private final Kind kind;
    private final int symbols;
    private final int shortest;
    private final int longest;
    private final long seed;

    private SequencePairs(Kind kind, int symbols, int shortest, int longest, long seed) {
        this.kind = kind;
        this.symbols = symbols;
        this.shortest = shortest;
        this.longest = longest;
        this.seed = seed;
    }

    /**
     * Letters that are to be repeated.
     *
     * @param symbols how many different letters there are, in [2, {@value #MAX_SYMBOLS}]
     * @param shortest the length of the shortest sequences, 1 or more
     * @param longest that of the longest, up to {@value #MAX_LENGTH}; all between are as frequent
     * @throws IllegalArgumentException when one is out of range, or the longest make fewer than 1,000 different sources
     */
    public static SequencePairs copy(int symbols, int shortest, int longest, long seed) {
        return letters(Kind.COPY, symbols, shortest, longest, seed);
    }

    /** Letters that are to be said from the last one to the first: see {@link #copy}. */
    public static SequencePairs reverse(int symbols, int shortest, int longest, long seed) {
        return letters(Kind.REVERSE, symbols, shortest, longest, seed);
    }

    /**
     * Sums such as {@code 12+345}, whose answer is {@code 357}. Each number has 1 to so many digits, all of them as often. Sums of two
     * digits are too few to hold some of them out.
     *
     * @param digits in [2, {@value #MAX_DIGITS}]
     * @throws IllegalArgumentException when it is not
     */
    public static SequencePairs addition(int digits, long seed) {
        if (digits < 2 || digits > MAX_DIGITS) {
            throw new IllegalArgumentException(
                    "the digits of a number to add should be in the [2, " + MAX_DIGITS + "] range but got " + digits);
        }
        return new SequencePairs(Kind.ADDITION, PLUS + 1, 1, digits, seed);
    }

    private static SequencePairs letters(Kind kind, int symbols, int shortest, int longest, long seed) {
        if (symbols < 2 || symbols > MAX_SYMBOLS) {
            throw new IllegalArgumentException(
                    "the number of letters should be in the [2, " + MAX_SYMBOLS + "] range but got " + symbols);
        }
        if (shortest < 1 || longest < shortest || longest > MAX_LENGTH) {
            throw new IllegalArgumentException(
                    "the lengths of sequences of letters should be from 1 or more up to at most " + MAX_LENGTH
                            + " but got " + shortest + " to " + longest);
        }
        if (Math.pow(symbols, longest) < LEAST_SOURCES) {
            throw new IllegalArgumentException("there should be " + LEAST_SOURCES
                    + " different sequences or more, so that some can be held out, but " + symbols
                    + " letters make fewer of length " + longest + ": take longer sequences or more letters");
        }
        return new SequencePairs(kind, symbols, shortest, longest, seed);
    }

    /** V: what is said, then the start token and the end token. Encoder and decoder have the same. */
    public int vocabulary() {
        return symbols + 2;
    }

    /** What the decoder reads first. */
    public int start() {
        return symbols;
    }

    /** What the decoder should say last. */
    public int end() {
        return symbols + 1;
    }

    /** The most tokens of a source. */
    public int longestSource() {
        return kind == Kind.ADDITION ? 2 * longest + 1 : longest;
    }

    /** The most tokens of an answer, without start and end. */
    public int longestAnswer() {
        return kind == Kind.ADDITION ? longest + 1 : longest;
    }

    /**
     * What is to be answered, without start and end.
     *
     * @throws IllegalArgumentException when it is no source of these
     */
    public int[] answer(int... source) {
        return switch (kind) {
            case COPY -> {
                requireLetters(source);
                yield source.clone();
            }
            case REVERSE -> {
                requireLetters(source);
                int[] reverse = new int[source.length];
                for (int k = 0; k < reverse.length; k++) {
                    reverse[k] = source[source.length - 1 - k];
                }
                yield reverse;
            }
            case ADDITION -> {
                int plus = plus(source);
                yield digits(number(source, 0, plus) + number(source, plus + 1, source.length));
            }
        };
    }

    private void requireLetters(int[] source) {
        boolean known = true;
        for (int token : source) {
            known &= token >= 0 && token < symbols;
        }
        if (!known || source.length < 1 || source.length > longest) {
            throw new IllegalArgumentException("the source should be 1 to " + longest + " of the symbols "
                    + character(0) + " to " + character(symbols - 1) + " but got " + shown(source)
                    + ": longer ones are for a model that was trained on longer ones");
        }
    }

    /** Where the plus sign is in a sum. */
    private int plus(int[] source) {
        int plus = -1;
        boolean known = true;
        for (int k = 0; k < source.length; k++) {
            known &= source[k] >= 0 && source[k] <= PLUS && (source[k] != PLUS || plus < 0);
            plus = source[k] == PLUS ? k : plus;
        }
        int second = source.length - 1 - plus;
        if (!known || plus < 1 || plus > longest || second < 1 || second > longest) {
            throw new IllegalArgumentException("the source should be two numbers of 1 to " + longest
                    + " digits with a plus sign between them but got " + shown(source));
        }
        return plus;
    }

    private String shown(int[] source) {
        StringBuilder text = new StringBuilder();
        for (int k = 0; k < Math.min(source.length, 40); k++) {
            int token = source[k];
            boolean named = token >= 0 && token < symbols;
            text.append(named ? String.valueOf(character(token)) : "[" + token + "]");
        }
        return "'" + text + "'" + (source.length > 40 ? " and more" : "");
    }

    private static int number(int[] digits, int from, int to) {
        int number = 0;
        for (int k = from; k < to; k++) {
            number = 10 * number + digits[k];
        }
        return number;
    }

    private static int[] digits(int number) {
        return Integer.toString(number)
                .chars()
                .map(character -> character - '0')
                .toArray();
    }

    /** Tokens as people write them: {@code 12+345}, {@code abba}; start and end are left out. */
    public String text(int... tokens) {
        StringBuilder text = new StringBuilder();
        for (int token : tokens) {
            if (token < 0 || token >= vocabulary()) {
                throw new IllegalArgumentException(
                        "a token should be in the [0, " + (vocabulary() - 1) + "] range but got " + token);
            }
            if (token < symbols) {
                text.append(character(token));
            }
        }
        return text.toString();
    }

    private char character(int token) {
        if (kind != Kind.ADDITION) {
            return (char) ('a' + token);
        }
        return token == PLUS ? '+' : (char) ('0' + token);
    }

    /**
     * The tokens of a source that people have written: the counterpart of {@link #text}.
     *
     * @throws IllegalArgumentException when it is no source of these
     */
    public int[] source(String text) {
        int[] tokens = text.chars().map(this::token).toArray();
        // It checks the rest.
        answer(tokens);
        return tokens;
    }

    private int token(int character) {
        for (int token = 0; token < symbols; token++) {
            if (character(token) == character) {
                return token;
            }
        }
        throw new IllegalArgumentException("the source should be made of "
                + (kind == Kind.ADDITION ? "digits and a plus sign" : "the letters a to " + character(symbols - 1))
                + " but got '" + (char) character + "'");
    }

    @Override
    String name() {
        return switch (kind) {
            case COPY -> "copies of " + shortest + " to " + longest + " letters";
            case REVERSE -> "reverses of " + shortest + " to " + longest + " letters";
            case ADDITION -> "sums of numbers of up to " + longest + " digits";
        };
    }

    @Override
    int timeSteps() {
        return longestAnswer() + 1;
    }

    @Override
    int features() {
        return vocabulary();
    }

    @Override
    int classes() {
        return vocabulary();
    }

    @Override
    boolean variableLengths() {
        return true;
    }

    @Override
    Batch newBatch(int batchSize) {
        return Batch.ofTokens(timeSteps(), batchSize, vocabulary(), true)
                .withSource(Batch.ofTokens(longestSource(), batchSize, vocabulary(), true));
    }

    @Override
    void draw(long sequence, Batch into, int row) {
        RandomSequence random = new RandomSequence(seed, RandomStreams.PAIRS, sequence);
        int[] source;
        do {
            source = kind == Kind.ADDITION ? drawSum(random) : drawLetters(random);
        } while (isHeldOut(source) != sequence >= HELD_OUT);
        int[] answer = answer(source);
        int[] read = new int[answer.length + 1];
        int[] said = new int[answer.length + 1];
        read[0] = start();
        System.arraycopy(answer, 0, read, 1, answer.length);
        System.arraycopy(answer, 0, said, 0, answer.length);
        said[answer.length] = end();
        fill(into.source().tokens(), source, into.batchSize(), row);
        into.source().lengths()[row] = source.length;
        fill(into.tokens(), read, into.batchSize(), row);
        fill(into.labels(), said, into.batchSize(), row);
        into.lengths()[row] = read.length;
    }

    /** Writes a row of {@code [T, N]}, with zeros behind its end. */
    private static void fill(int[] values, int[] sequence, int batchSize, int row) {
        for (int t = 0; t < values.length / batchSize; t++) {
            values[t * batchSize + row] = t < sequence.length ? sequence[t] : 0;
        }
    }

    private int[] drawLetters(RandomSequence random) {
        int[] letters = new int[shortest + random.nextInt(longest - shortest + 1)];
        for (int k = 0; k < letters.length; k++) {
            letters[k] = random.nextInt(symbols);
        }
        return letters;
    }

    private int[] drawSum(RandomSequence random) {
        int[] first = digits(drawNumber(random));
        int[] second = digits(drawNumber(random));
        int[] sum = new int[first.length + 1 + second.length];
        System.arraycopy(first, 0, sum, 0, first.length);
        sum[first.length] = PLUS;
        System.arraycopy(second, 0, sum, first.length + 1, second.length);
        return sum;
    }

    private int drawNumber(RandomSequence random) {
        int digits = 1 + random.nextInt(longest);
        int number = 0;
        for (int k = 0; k < digits; k++) {
            number = 10 * number + random.nextInt(10);
        }
        return number;
    }

    private boolean isHeldOut(int[] source) {
        long key = 0;
        if (kind == Kind.ADDITION) {
            int plus = plus(source);
            long first = number(source, 0, plus);
            long second = number(source, plus + 1, source.length);
            if (Math.max(first, second) < 10) {
                return false;
            }
            key = Math.min(first, second) << Integer.SIZE | Math.max(first, second);
        } else {
            // Sources of one key are held out together or not at all.
            for (int token : source) {
                key = 31 * key + token + 1;
            }
        }
        return new RandomSequence(seed, RandomStreams.PAIRS_HELD_OUT, key).nextInt(HELD_OUT_PARTS) == 0;
    }
}
