package carousel.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.training.RunFolder;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.io.Writer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** {@code train --task text}, {@code evaluate} and {@code generate}. */
class TextCommandTest {
    /** Every character follows from the three before it, and none from the last one alone. */
    private static final String VERSE = "abcab\u00e9acb\u00e9\n";

    private static final Pattern LOSS =
            Pattern.compile("Testing Loss: (\\S+) nats a (\\w+) \\((\\S+) bits a \\w+, perplexity (\\S+)\\)");

    @TempDir
    private Path folder;

    private Path text;

    @BeforeEach
    void write() throws IOException {
        text = Files.writeString(folder.resolve("verse.txt"), VERSE.repeat(300));
    }

    private CommandLineRun train(Path out, Object... more) {
        Object[] first = {
            "train",
            "--task",
            "text",
            "--data",
            text,
            "--hidden",
            16,
            "--layers",
            1,
            "--batch",
            8,
            "--time-steps",
            10,
            "--embedding",
            8,
            "--dropout",
            0.1,
            "--learning-rate",
            0.02,
            "--out",
            out
        };
        return CommandLineRun.of(
                Stream.concat(Arrays.stream(first), Arrays.stream(more)).toArray());
    }

    private static double loss(CommandLineRun run, String unit) {
        Matcher matcher = LOSS.matcher(run.out());
        assertTrue(matcher.find(), run.out());
        double nats = Double.parseDouble(matcher.group(1));
        assertEquals(unit, matcher.group(2));
        assertEquals(nats / Math.log(2), Double.parseDouble(matcher.group(3)), 1e-3);
        assertEquals(Math.exp(nats), Double.parseDouble(matcher.group(4)), 1e-3 * Math.exp(nats));
        return nats;
    }

    @Test
    void aTextIsLearnedAndWrittenOn() {
        Path out = folder.resolve("run");
        double nats = loss(train(out, "--epochs", 8).succeeds(), "character");
        // By the last character alone the next one costs more than half a nat.
        assertTrue(nats < 0.1, () -> "learned little: " + nats);

        CommandLineRun evaluated = CommandLineRun.of("evaluate", "--model", out).succeeds();
        assertEquals(nats, loss(evaluated, "character"));
        assertTrue(evaluated.out().contains("the last 330 characters of verse.txt"), evaluated.out());
        JsonObject json = JsonParser.parseString(CommandLineRun.of("evaluate", "--model", out, "--json")
                        .succeeds()
                        .out())
                .getAsJsonObject();
        assertEquals(nats, json.get("loss").getAsDouble(), 1e-4);

        String written = CommandLineRun.of(
                        "generate", "--model", out, "--prompt", "abcab", "--length", 60, "--temperature", 0)
                .succeeds()
                .out();
        assertEquals(VERSE.repeat(7).substring(0, 65) + System.lineSeparator(), written, "the prompt and what follows");
    }

    @Test
    void theSameSeedWritesTheSameAndAnotherSomethingElse() {
        Path out = folder.resolve("run");
        train(out, "--steps", 3).succeeds();
        String first = generate(out, 1);
        assertEquals(first, generate(out, 1));
        assertNotEquals(first, generate(out, 2));
        String narrow = CommandLineRun.of("generate", "--model", out, "--length", 80, "--top-k", 1, "--seed", 1)
                .succeeds()
                .out();
        assertEquals(
                narrow,
                CommandLineRun.of("generate", "--model", out, "--length", 80, "--top-p", 1e-9, "--seed", 2)
                        .succeeds()
                        .out(),
                "both take the likeliest always");
    }

    private static String generate(Path model, long seed) {
        return CommandLineRun.of("generate", "--model", model, "--length", 80, "--temperature", 2, "--seed", seed)
                .succeeds()
                .out();
    }

    @Test
    void bytesAreAnAlphabetToo() throws IOException {
        byte[] content = new byte[3_000];
        for (int k = 0; k < content.length; k++) {
            content[k] = (byte) (k % 5 * 50);
        }
        Files.write(text, content);
        Path out = folder.resolve("run");
        train(out, "--steps", 1).failsWith(Main.FAILURE, "should be text in UTF-8", "as bytes");
        double nats = loss(
                train(folder.resolve("bytes"), "--unit", "byte", "--epochs", 20).succeeds(), "byte");
        assertTrue(nats < 0.1, () -> "learned little: " + nats);
        // Two bytes of a character that come one after the other are one character.
        Files.write(text, "\u00e9".repeat(500).getBytes(StandardCharsets.UTF_8));
        Path accents = folder.resolve("accents");
        train(accents, "--unit", "byte", "--epochs", 40).succeeds();
        String written = CommandLineRun.of(
                        "generate", "--model", accents, "--prompt", "\u00e9", "--length", 8, "--temperature", 0)
                .succeeds()
                .out();
        assertEquals("\u00e9".repeat(5) + System.lineSeparator(), written);
    }

    @Test
    void aResumedRunEndsWithTheSameBits() throws IOException {
        Path whole = folder.resolve("whole");
        train(whole, "--steps", 50).succeeds();
        Path parts = folder.resolve("parts");
        train(parts, "--steps", 37).succeeds();
        CommandLineRun.of("train", "--resume", parts, "--steps", 50).succeeds();
        assertArrayEquals(
                Files.readAllBytes(whole.resolve(RunFolder.MODEL)), Files.readAllBytes(parts.resolve(RunFolder.MODEL)));
        CommandLineRun.of("train", "--resume", parts, "--unit", "byte")
                .failsWith(Main.BAD_USAGE, "--unit should be character");
        Files.writeString(text, VERSE.repeat(299) + "zzz");
        CommandLineRun.of("train", "--resume", parts, "--steps", 60).failsWith(Main.FAILURE, "'z' (U+007A)");
    }

    /** A reader that has gone ends what would go on for hours. */
    @Test
    void generationEndsWithItsReader() {
        Path out = folder.resolve("run");
        train(out, "--steps", 1).succeeds();
        StringWriter err = new StringWriter();
        Writer gone = new Writer() {
            private int left = 20;

            @Override
            public void write(char[] characters, int from, int count) throws IOException {
                left -= count;
                if (left < 0) {
                    throw new IOException("Broken pipe");
                }
            }

            @Override
            public void flush() {
                // Nothing is kept back.
            }

            @Override
            public void close() {
                // Nothing to be closed.
            }
        };
        int code = assertTimeoutPreemptively(
                Duration.ofSeconds(60),
                () -> Main.run(
                        new PrintWriter(gone),
                        new PrintWriter(err),
                        "generate",
                        "--model",
                        out.toString(),
                        "--length",
                        "2000000000"));
        assertEquals(Main.FAILURE, code);
        assertTrue(err.toString().contains("its reader has gone"), err.toString());
    }

    @Test
    void whatDoesNotFitIsRefused() {
        CommandLineRun.of("train", "--task", "text").failsWith(Main.BAD_USAGE, "needs --data with a text file");
        train(folder.resolve("x"), "--pixels").failsWith(Main.BAD_USAGE, "--pixels goes with --task digits or mnist");
        train(folder.resolve("x"), "--bidirectional", "--steps", 1)
                .failsWith(Main.BAD_USAGE, "--bidirectional goes with");
        assertFalse(Files.exists(folder.resolve("x")), "no run folder is left behind");
        CommandLineRun.of("train", "--unit", "byte").failsWith(Main.BAD_USAGE, "--unit goes with --task text");
        train(folder.resolve("x"), "--unit", "word").failsWith(Main.BAD_USAGE, "character, byte but got 'word'");
        Path out = folder.resolve("run");
        train(out, "--steps", 1).succeeds();
        CommandLineRun.of("generate", "--model", out, "--prompt", "xyz").failsWith(Main.BAD_USAGE, "'x' (U+0078)");
        CommandLineRun.of("generate", "--model", out, "--top-p", 0)
                .failsWith(Main.BAD_USAGE, "(0, 1] range but got 0.0");
        CommandLineRun.of("generate", "--model", out, "--temperature", -1).failsWith(Main.BAD_USAGE, "got -1.0");
        CommandLineRun.of("generate", "--model", out, "--data", text).failsWith(Main.BAD_USAGE, "reads no data");
        CommandLineRun.of("generate", "--model", out, "--length", 0).failsWith(Main.BAD_USAGE, "got 0");
        CommandLineRun.of("predict", "--model", out).failsWith(Main.BAD_USAGE, "use generate");
        CommandLineRun.of("predict", "--model", out, "--stream").failsWith(Main.BAD_USAGE, "use generate");
    }

    @Test
    void aVocabularyThatDoesNotFitTheModelIsRefused() throws IOException {
        Path out = folder.resolve("run");
        train(out, "--steps", 1).succeeds();
        Path model = out.resolve(RunFolder.MODEL);
        String before = Files.readString(model, StandardCharsets.ISO_8859_1);
        // The same character twice.
        String after = before.replaceFirst("ab", "aa");
        assertTrue(before.indexOf("ab") > before.indexOf("characters"), "where the characters are");
        Files.writeString(model, after, StandardCharsets.ISO_8859_1);
        CommandLineRun.of("generate", "--model", out).failsWith(Main.FAILURE, "by its settings", "it is damaged");
    }

    /** The first character of a line follows from nothing where the lines are documents, and from the line before where not. */
    @Test
    void linesMayBeDocuments() throws IOException {
        StringBuilder lines = new StringBuilder();
        String letters = "abcdefgh";
        for (int k = 0; k < 500; k++) {
            String letter = letters.substring(k % 8, k % 8 + 1);
            lines.append(letter.repeat(5)).append('\n');
        }
        Files.writeString(text, lines);
        Path one = folder.resolve("one");
        Path many = folder.resolve("many");
        double whole = loss(train(one, "--steps", 150).succeeds(), "character");
        double apart =
                loss(train(many, "--steps", 150, "--document-separator", "\\n").succeeds(), "character");
        // At the end of a line the next letter is known from the letters before it either way; behind it nothing is.
        assertTrue(Math.abs(whole - apart) > 1e-4, "whole " + whole + ", apart " + apart);
        CommandLineRun evaluated =
                CommandLineRun.of("evaluate", "--model", many).succeeds();
        assertEquals(apart, loss(evaluated, "character"), 1e-4);

        Path parts = folder.resolve("parts");
        train(parts, "--steps", 37, "--document-separator", "\\n").succeeds();
        CommandLineRun.of("train", "--resume", parts, "--steps", 150).succeeds();
        assertArrayEquals(
                Files.readAllBytes(many.resolve(RunFolder.MODEL)), Files.readAllBytes(parts.resolve(RunFolder.MODEL)));
        CommandLineRun.of("train", "--resume", parts, "--document-separator", "a")
                .failsWith(Main.BAD_USAGE, "--document-separator should be \\n as in the run");
        train(folder.resolve("x"), "--steps", 1, "--document-separator", "ab")
                .failsWith(Main.BAD_USAGE, "--document-separator should be one character but got 'ab', which is 2");
        train(folder.resolve("y"), "--steps", 1, "--document-separator", "?")
                .failsWith(Main.BAD_USAGE, "'?' (U+003F)", "should be one of the 9");
        CommandLineRun.of("train", "--resume", parts, "--document-separator", "\n")
                .succeeds();
        CommandLineRun.of("train", "--document-separator", "a")
                .failsWith(Main.BAD_USAGE, "--document-separator goes with --task text");
    }

    /** A model of documents writes them as it read them: each from a state that knows nothing of the last. */
    @Test
    void documentsAreWrittenFromAFreshState() throws IOException {
        String line = "a".repeat(10) + "b".repeat(10);
        Path text = Files.writeString(folder.resolve("lines.txt"), (line + "\n").repeat(3_000));
        Path run = folder.resolve("lines");
        CommandLineRun.of(
                        "train",
                        "--task",
                        "text",
                        "--data",
                        text,
                        "--document-separator",
                        "\\n",
                        "--hidden",
                        32,
                        "--layers",
                        1,
                        "--dropout",
                        0,
                        "--embedding",
                        8,
                        "--time-steps",
                        42,
                        "--batch",
                        32,
                        "--learning-rate",
                        0.01,
                        "--steps",
                        400,
                        "--out",
                        run)
                .succeeds();
        CommandLineRun alone = CommandLineRun.of("generate", "--model", run, "--temperature", 0, "--length", 83)
                .succeeds();
        assertEquals((line + "\n").repeat(4).strip(), alone.out().strip());
        CommandLineRun prompted = CommandLineRun.of(
                        "generate", "--model", run, "--temperature", 0, "--length", 38, "--prompt", "aaa")
                .succeeds();
        assertEquals((line + "\n").repeat(2).strip(), prompted.out().strip());
    }
}
