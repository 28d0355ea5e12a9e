package carousel.layer;

import carousel.engine.Engine;
import carousel.tensor.Scope;
import carousel.tensor.Tensor;
import java.util.Arrays;

/**
 * What an encoder-decoder model answers to sources, token by token: it reads a source once, then the decoder reads the start token
 * and, step by step, the likeliest token of the step before, until that is the end token.
 *
 * <pre>{@code
 * GreedyDecoder decoder = new GreedyDecoder(model, start, end, 20);
 * int[][] answers = decoder.decode(timeSteps, tokens, lengths);      // [T, n] tokens of n sources
 * }</pre>
 *
 * It keeps no memory on the engine between calls. Not for use by several threads at once, like the engine.
 */
public final class GreedyDecoder {
    private final Model model;
    private final Engine engine;
    private final int start;
    private final int end;
    private final int limit;

    /**
     * @param model with an encoder, and a decoder that reads tokens and puts out a number for each of them
     * @param start the decoder's first token
     * @param end the token that ends an answer
     * @param limit the most tokens of an answer, the end token not counted, 1 or more
     * @throws IllegalArgumentException when one of them is not
     */
    public GreedyDecoder(Model model, int start, int end, int limit) {
        ModelSpec spec = model.spec();
        if (spec.encoder() == null) {
            throw new IllegalArgumentException(
                    "a GreedyDecoder should have a model with an encoder but got " + spec + ": take an LstmSession");
        }
        int vocabulary = spec.input().features();
        if (spec.input().kind() != Form.Kind.TOKENS || spec.output().features() != vocabulary) {
            throw new IllegalArgumentException(
                    "a decoder should read tokens and put out a number for each of them but reads " + spec.input()
                            + " and puts out " + spec.output());
        }
        requireToken("start", start, vocabulary);
        requireToken("end", end, vocabulary);
        if (limit < 1) {
            throw new IllegalArgumentException("the limit of an answer should be 1 token or more but got " + limit);
        }
        this.model = model;
        this.engine = model.engine();
        this.start = start;
        this.end = end;
        this.limit = limit;
    }

    private static void requireToken(String what, int token, int vocabulary) {
        if (token < 0 || token >= vocabulary) {
            throw new IllegalArgumentException(
                    "the " + what + " token should be in the [0, " + (vocabulary - 1) + "] range but got " + token);
        }
    }

    /**
     * Answers sources of tokens.
     *
     * @param timeSteps {@code T}, 1 or more, of the longest source
     * @param tokens {@code [T, n]}, time-major
     * @param lengths {@code [n]}, in [0, T]; null where all have T
     * @return the answer to each source, without start and end
     */
    public int[][] decode(int timeSteps, int[] tokens, int[] lengths) {
        int sources = sources(Form.Kind.TOKENS, timeSteps, tokens.length, lengths);
        try (Scope scope = engine.openScope("decoding")) {
            Tensor source = scope.allocateIntegers("source", timeSteps, sources);
            engine.write(source, tokens);
            return decode(scope, source, lengths, sources);
        }
    }

    /**
     * Answers sources of real numbers.
     *
     * @param x {@code [T, n, C]}, time-major
     */
    public int[][] decode(int timeSteps, float[] x, int[] lengths) {
        int sources = sources(Form.Kind.SEQUENCE, timeSteps, x.length, lengths);
        try (Scope scope = engine.openScope("decoding")) {
            Tensor source =
                    scope.allocate("source", timeSteps, sources, encoderInput().features());
            engine.write(source, x);
            return decode(scope, source, lengths, sources);
        }
    }

    private Form encoderInput() {
        return model.spec().encoder().input();
    }

    /** How many sources there are, where all fits. */
    private int sources(Form.Kind kind, int timeSteps, int values, int[] lengths) {
        Form form = encoderInput();
        if (form.kind() != kind) {
            throw new IllegalArgumentException("the encoder reads " + form + " but got "
                    + (kind == Form.Kind.TOKENS ? "tokens" : "real numbers") + ": call the other method");
        }
        int width = kind == Form.Kind.TOKENS ? 1 : form.features();
        long perSource = (long) timeSteps * width;
        if (timeSteps < 1 || values == 0 || values % perSource != 0) {
            throw new IllegalArgumentException("sources of " + timeSteps + " steps should have a multiple of "
                    + perSource + " values, and 1 step or more, but got " + values);
        }
        int sources = (int) (values / perSource);
        if (lengths != null && lengths.length != sources) {
            throw new IllegalArgumentException(
                    "each of the " + sources + " sources should have a length but got " + lengths.length);
        }
        return sources;
    }

    private int[][] decode(Scope scope, Tensor source, int[] lengths, int sources) {
        ModelState state = new ModelState(model, scope, sources);
        try (Scope encoding = engine.openScope("encoding")) {
            model.encode(Pass.inference(engine, encoding, source, lengths), state);
        }
        int[][] answers = new int[sources][limit];
        int[] counts = new int[sources];
        boolean[] ended = new boolean[sources];
        int[] tokens = new int[sources];
        Arrays.fill(tokens, start);
        int going = sources;
        for (int step = 0; step < limit && going > 0; step++) {
            float[] outputs = step(state, tokens);
            int width = outputs.length / sources;
            for (int n = 0; n < sources; n++) {
                tokens[n] = ended[n] ? end : largest(outputs, n * width, width);
                if (!ended[n] && tokens[n] == end) {
                    ended[n] = true;
                    going--;
                } else if (!ended[n]) {
                    answers[n][counts[n]++] = tokens[n];
                }
            }
        }
        for (int n = 0; n < sources; n++) {
            answers[n] = Arrays.copyOf(answers[n], counts[n]);
        }
        return answers;
    }

    /** Takes the decoder one step on and returns what it puts out, {@code [n, K]}. */
    private float[] step(ModelState state, int[] tokens) {
        try (Scope scope = engine.openScope("decoding step")) {
            Tensor input = scope.allocateIntegers("tokens", 1, tokens.length);
            engine.write(input, tokens);
            Tensor output =
                    model.forward(Pass.inference(engine, scope, input, null).carrying(state));
            float[] values = new float[Math.toIntExact(output.elements())];
            engine.read(output, values);
            state.advance();
            return values;
        }
    }

    /** The place of the largest value, the first one among equals, counted from the first. */
    private static int largest(float[] values, int first, int count) {
        int largest = 0;
        for (int k = 0; k < count; k++) {
            if (Float.isNaN(values[first + k])) {
                throw new IllegalArgumentException(
                        "the model's outputs should be numbers but one is NaN: its weights are damaged");
            }
            if (values[first + k] > values[first + largest]) {
                largest = k;
            }
        }
        return largest;
    }
}
