package carousel.cli;

import carousel.data.Vocabulary;
import carousel.engine.Engine;
import carousel.engine.RandomSequence;
import carousel.layer.LstmSession;
import carousel.layer.Model;
import carousel.training.TokenSampler;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.CharsetDecoder;
import java.nio.charset.CodingErrorAction;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.concurrent.Callable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code carousel generate}. */
@Command(
        name = "generate",
        mixinStandardHelpOptions = true,
        sortOptions = false,
        description = "Writes text with a model of the task text, character by character as it comes.")
final class GenerateCommand implements Callable<Integer> {
    /** The stream of the random numbers that tokens are drawn from. */
    private static final int TOKENS = 1;

    @CommandLine.Spec
    private CommandLine.Model.CommandSpec spec;

    @Mixin
    private SavedRun saved;

    @Option(
            names = "--prompt",
            paramLabel = "TEXT",
            description = "What the text begins with, on a new line where the model knows lines. Default: nothing.")
    private String prompt;

    @Option(
            names = "--length",
            paramLabel = "N",
            description = "Characters to write after the prompt. Default: ${DEFAULT-VALUE}.")
    private int length = 500;

    @Option(
            names = "--temperature",
            paramLabel = "T",
            description = "Below 1 for the likelier, above 1 for more surprise, 0 for the likeliest always. Default: "
                    + "${DEFAULT-VALUE}.")
    private double temperature = 0.8;

    @Option(names = "--top-k", paramLabel = "K", description = "Draw from the K likeliest only; 0 for all. Default: 0.")
    private int topK;

    @Option(
            names = "--top-p",
            paramLabel = "P",
            description = "Draw from the fewest that together have this probability. Default: 1.")
    private double topP = 1;

    @Option(names = "--seed", paramLabel = "N", description = "The same seed gives the same text. Default: 1.")
    private long seed = 1;

    @Mixin
    private EngineChoice engineChoice;

    /** No token. */
    private static final int NONE = -1;

    @Override
    public Integer call() throws IOException {
        Check.range("--length", length, 1, Integer.MAX_VALUE);
        Check.notNegative("--temperature", temperature);
        Check.range("--top-k", topK, 0, Integer.MAX_VALUE);
        if (!(topP > 0 && topP <= 1)) {
            throw new IllegalArgumentException("--top-p should be in the (0, 1] range but got " + topP);
        }
        TokenSampler sampler = new TokenSampler(temperature, topK, topP);
        saved.refuseData("generate");
        SavedRun.Contents contents = saved.readTrained();
        if (!(contents.config().taskKind() instanceof TextTask)) {
            throw new IllegalArgumentException("generate takes a model of the task text but got one of the task "
                    + contents.config().task() + ": use "
                    + contents.config().taskKind().useInstead());
        }
        Vocabulary vocabulary = contents.config().text().vocabulary();
        String separator = contents.config().text().separator();
        int[] beginning = beginning(vocabulary, separator);
        int end = separator == null ? NONE : vocabulary.encode(separator)[0];
        PrintWriter out = spec.commandLine().getOut();
        try (Engine engine = engineChoice.open("auto", contents.model().spec());
                Model model = contents.model().open(engine);
                LstmSession session = new LstmSession(model, 1)) {
            int[] client = {0};
            if (prompt != null) {
                out.print(prompt);
                out.flush();
            }
            float[] logits = read(session, client, beginning, end, vocabulary.size());
            RandomSequence random = new RandomSequence(seed, TOKENS, 0);
            Utf8 text = new Utf8();
            for (int k = 0; k < length; k++) {
                int token = sampler.sample(logits, random);
                out.print(text.next(vocabulary.decode(token), k == length - 1));
                Main.requireReader(out);
                logits = session.run(client, 1, new int[] {token});
                if (token == end) {
                    session.reset(client[0]);
                }
            }
            out.println();
            out.flush();
        }
        return 0;
    }

    /** What comes after some tokens. As in training, what is read of one document says nothing about the next. */
    private static float[] read(LstmSession session, int[] client, int[] tokens, int end, int vocabulary) {
        float[] logits = null;
        int first = 0;
        for (int k = 0; k < tokens.length; k++) {
            if (tokens[k] == end || k == tokens.length - 1) {
                int[] part = Arrays.copyOfRange(tokens, first, k + 1);
                float[] all = session.run(client, part.length, part);
                logits = Arrays.copyOfRange(all, all.length - vocabulary, all.length);
                first = k + 1;
                if (tokens[k] == end) {
                    session.reset(client[0]);
                }
            }
        }
        return logits;
    }

    /**
     * What the model reads before it writes: the end of another document, where it was trained on documents, or else a line feed where
     * it knows one, so that the prompt begins a line as it would in a text, and not in the middle of nowhere; then the prompt.
     */
    private int[] beginning(Vocabulary vocabulary, String separator) {
        if (separator != null) {
            return vocabulary.encode(separator + (prompt == null ? "" : prompt));
        }
        boolean lines = vocabulary.unit() == Vocabulary.Unit.BYTE
                || vocabulary.characters().indexOf('\n') >= 0;
        String text = (lines ? "\n" : "") + (prompt == null ? "" : prompt);
        return text.isEmpty() ? new int[] {0} : vocabulary.encode(text);
    }

    /** Bytes that come one after the other as text: an unfinished character waits for the rest of it. */
    private static final class Utf8 {
        private final CharsetDecoder decoder = StandardCharsets.UTF_8
                .newDecoder()
                .onMalformedInput(CodingErrorAction.REPLACE)
                .onUnmappableCharacter(CodingErrorAction.REPLACE);
        private final ByteBuffer waiting = ByteBuffer.allocate(16);

        String next(byte[] bytes, boolean last) {
            waiting.put(bytes).flip();
            CharBuffer text = CharBuffer.allocate(32);
            decoder.decode(waiting, text, last);
            if (last) {
                decoder.flush(text);
            }
            waiting.compact();
            return text.flip().toString();
        }
    }
}
