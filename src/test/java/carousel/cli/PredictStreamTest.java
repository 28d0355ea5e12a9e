package carousel.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.engine.Engine;
import carousel.engine.Engines;
import carousel.format.ModelFile;
import carousel.layer.Dense;
import carousel.layer.Form;
import carousel.layer.Lstm;
import carousel.layer.Model;
import carousel.layer.ModelSpec;
import com.google.gson.JsonParser;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.io.Writer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** {@code predict --stream}, and {@code predict} with a model that does not say what it was trained for. */
class PredictStreamTest {
    @TempDir
    private Path folder;

    private Path model;

    /** Answers at each step and knows nothing of how it was trained. */
    @BeforeEach
    void write() throws IOException {
        model = folder.resolve("model.safetensors");
        try (Engine engine = Engines.open("vector");
                Model fresh = Model.create(
                        engine, ModelSpec.of(Form.sequence(2), Lstm.of(6).withReturnSequences(true), Dense.of(3)), 4)) {
            ModelFile.write(model, fresh, Map.of());
        }
    }

    private static CommandLineRun with(String input, Object... arguments) {
        InputStream before = System.in;
        System.setIn(new ByteArrayInputStream(input.getBytes(StandardCharsets.UTF_8)));
        try {
            return CommandLineRun.of(arguments);
        } finally {
            System.setIn(before);
        }
    }

    private CommandLineRun stream(String input, Object... more) {
        Object[] all = new Object[4 + more.length];
        System.arraycopy(new Object[] {"predict", "--model", model, "--stream"}, 0, all, 0, 4);
        System.arraycopy(more, 0, all, 4, more.length);
        return with(input, all);
    }

    private static String number(String line) {
        return line.substring(line.indexOf(": ") + 2);
    }

    @Test
    void linesAreStepsOfOneSequenceUntilAnEmptyOne() throws IOException {
        Path file = Files.writeString(folder.resolve("steps.txt"), "1 2\n0.5 -1\n3 0\n");
        List<String> whole = CommandLineRun.of("predict", "--model", model, "--input", file)
                .succeeds()
                .out()
                .lines()
                .toList();
        assertEquals(3, whole.size());
        assertTrue(whole.get(1).startsWith("0, step 2: "), whole.get(1));
        List<String> lines =
                stream("1 2\n0.5, -1\n3 0\n\n1 2\n").succeeds().out().lines().toList();
        assertEquals(
                List.of(number(whole.get(0)), number(whole.get(1)), number(whole.get(2)), number(whole.get(0))), lines);
    }

    @Test
    void namesKeepSequencesApart() {
        List<String> one = stream("1 2\n0.5 -1\n3 0\n").succeeds().out().lines().toList();
        List<String> lines = stream("a: 1 2\nb b: 1 2\nb b: 0.5 -1\na: 0.5 -1\nb b:\na: 3 0\nb b: 1 2\n7: 1 2\n")
                .succeeds()
                .out()
                .lines()
                .toList();
        assertEquals(
                List.of(
                        "a: " + one.get(0),
                        "b b: " + one.get(0),
                        "b b: " + one.get(1),
                        "a: " + one.get(1),
                        "a: " + one.get(2),
                        "b b: " + one.get(0),
                        "7: " + one.get(0)),
                lines);
        List<String> json =
                stream("a: 1 2\na: 0.5 -1\n", "--json").succeeds().out().lines().toList();
        assertEquals(
                "a",
                JsonParser.parseString(json.get(1))
                        .getAsJsonObject()
                        .get("client")
                        .getAsString());
        assertEquals(
                2,
                JsonParser.parseString(json.get(1))
                        .getAsJsonObject()
                        .get("step")
                        .getAsInt());
        assertEquals(
                3,
                JsonParser.parseString(json.get(1))
                        .getAsJsonObject()
                        .getAsJsonArray("values")
                        .size());
    }

    @Test
    void aLineThatCannotBeReadChangesNothingAndIsToldAtTheEnd() {
        List<String> one = stream("1 2\n0.5 -1\n").succeeds().out().lines().toList();
        CommandLineRun run = stream("1 2\n1 x\n1 2 3\nnan 1\n0.5 -1\n", "--clients", 1);
        assertEquals(Main.FAILURE, run.code());
        assertEquals(one, run.out().lines().toList());
        List<String> errors = run.err().lines().toList();
        assertEquals(3, errors.size(), run.err());
        assertTrue(errors.get(0).contains("line 2: 'x' is not a number"), run.err());
        assertTrue(errors.get(1).contains("line 3: a time step should have 2 numbers but has 3"), run.err());
        assertTrue(errors.get(2).contains("line 4"), run.err());
        CommandLineRun more = stream("a: 1 2\nb: 1 2\na: 0.5 -1\n", "--clients", 1);
        assertEquals(2, more.out().lines().count());
        assertTrue(more.err().contains("at most 1 sequences but 'b' is one more: raise --clients"), more.err());
    }

    @Test
    void modelsOfOtherProgramsAreToBeConvertedFirst() throws IOException {
        Path onnx = Files.writeString(folder.resolve("m.onnx"), "x");
        CommandLineRun.of("predict", "--model", onnx, "--stream")
                .failsWith(Main.BAD_USAGE, "carousel convert '" + onnx + "'");
    }

    @Test
    void outputThatIsLostIsNoSuccess() {
        StringWriter err = new StringWriter();
        Writer full = new Writer() {
            @Override
            public void write(char[] characters, int from, int count) throws IOException {
                throw new IOException("No space left on device");
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
        assertEquals(Main.FAILURE, Main.run(new PrintWriter(full), new PrintWriter(err), "--help"));
        assertTrue(err.toString().contains("the output could not be written"), err.toString());
    }

    @Test
    void whatDoesNotGoTogetherIsRefused() {
        stream("", "--input", "x").failsWith(Main.BAD_USAGE, "--stream reads the standard input");
        stream("", "--count", 3).failsWith(Main.BAD_USAGE, "--stream reads the standard input");
        CommandLineRun.of("predict", "--model", model, "--clients", 3).failsWith(Main.BAD_USAGE, "--clients goes with");
        CommandLineRun.of("predict", "--model", model).failsWith(Main.BAD_USAGE, "give --input or --stream");
        CommandLineRun.of("evaluate", "--model", model).failsWith(Main.FAILURE, "does not say what it was trained for");
        CommandLineRun.of("generate", "--model", model).failsWith(Main.FAILURE, "does not say what it was trained for");
        CommandLineRun.of("predict", "--model", model, "--data", folder)
                .failsWith(Main.BAD_USAGE, "--data goes with a model that was trained here");
    }
}
