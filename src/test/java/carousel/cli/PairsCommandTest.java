package carousel.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.training.Checkpoint;
import carousel.training.RunFolder;
import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** {@code train --task reverse}, {@code copy} and {@code addition}; {@code evaluate} and {@code predict}. */
class PairsCommandTest {
    @TempDir
    private Path folder;

    private static CommandLineRun train(String task, Path out, int steps, Object... more) {
        Object[] first = {
            "train", "--engine", "vector", "--task", task, "--hidden", 48, "--batch", 32, "--steps", steps, "--out", out
        };
        return CommandLineRun.of(
                Stream.concat(Arrays.stream(first), Arrays.stream(more)).toArray());
    }

    @Test
    void whatIsTrainedIsJudgedAndAnswers() throws Exception {
        Path run = folder.resolve("run");
        String trained = train("reverse", run, 400, "--length", 3).succeeds().out();
        double exact = lastNumber(trained, "Testing Exact Match: ");
        assertTrue(exact > 0.9, trained);
        JsonObject judged = JsonParser.parseString(
                        CommandLineRun.of("evaluate", "--engine", "vector", "--model", run, "--json")
                                .succeeds()
                                .out())
                .getAsJsonObject();
        assertEquals("reverse", judged.get("task").getAsString());
        assertEquals(exact, judged.get("exactMatch").getAsDouble(), 5e-5);
        Path sources = Files.writeString(folder.resolve("sources.txt"), "abc\n\n  ja\n");
        String[] answers = CommandLineRun.of("predict", "--engine", "vector", "--model", run, "--input", sources)
                .succeeds()
                .out()
                .split("\\R");
        assertArrayEquals(new String[] {"abc -> cba", "ja -> aj"}, answers);
        JsonArray examples = JsonParser.parseString(
                        CommandLineRun.of("predict", "--engine", "vector", "--model", run, "--count", 50, "--json")
                                .succeeds()
                                .out())
                .getAsJsonObject()
                .getAsJsonArray("predictions");
        assertEquals(50, examples.size());
        int right = 0;
        for (int k = 0; k < 50; k++) {
            JsonObject example = examples.get(k).getAsJsonObject();
            assertEquals(
                    new StringBuilder(example.get("source").getAsString())
                            .reverse()
                            .toString(),
                    example.get("truth").getAsString());
            right += example.get("answer").equals(example.get("truth")) ? 1 : 0;
        }
        assertTrue(right >= 40, examples.toString());
        Files.writeString(sources, "abc\nabx\n");
        CommandLineRun.of("predict", "--engine", "vector", "--model", run, "--input", sources)
                .failsWith(1, "line 2", "sources.txt", "a to j", "'x'");
        Files.writeString(sources, "abcd\n");
        CommandLineRun.of("predict", "--engine", "vector", "--model", run, "--input", sources)
                .failsWith(1, "line 1", "1 to 3 of the symbols");
        CommandLineRun.of("predict", "--engine", "vector", "--model", run, "--input", folder.resolve("none"))
                .failsWith(1, "none");
        CommandLineRun.of("predict", "--engine", "vector", "--model", run, "--stream")
                .failsWith(2, "--stream", "reverse", "--input -");
    }

    private static double lastNumber(String text, String before) {
        String rest = text.substring(text.lastIndexOf(before) + before.length());
        return Double.parseDouble(rest.split("\\s")[0]);
    }

    @Test
    void aRunThatIsResumedEndsAsOneThatWasNot() throws Exception {
        for (String task : new String[] {"copy", "addition"}) {
            Path whole = folder.resolve(task + "-whole");
            Path parts = folder.resolve(task + "-parts");
            train(task, whole, 30).succeeds();
            train(task, parts, 12).succeeds();
            CommandLineRun.of("train", "--resume", parts, "--steps", 30).succeeds();
            assertArrayEquals(parameters(whole), parameters(parts), task);
        }
    }

    private static double[] parameters(Path run) throws Exception {
        return Checkpoint.read(run.resolve(RunFolder.CHECKPOINT)).checkpoint().parameters();
    }

    @Test
    void optionsThatDoNotFitAreRefused() {
        Path out = folder.resolve("out");
        train("addition", out, 1, "--bidirectional").failsWith(2, "--bidirectional", "addition", "leave it out");
        train("addition", out, 1, "--length", 10).failsWith(2, "digits", "[2, 9]", "10");
        train("copy", out, 1, "--length", 1).failsWith(2, "--length", "1");
        train("copy", out, 1, "--length", 2).failsWith(2, "1000 different");
        train("copy", out, 1, "--time-steps", 5).failsWith(2, "--time-steps goes with", "copy");
        train("adding", out, 1, "--length", 5).failsWith(2, "--length goes with", "adding");
    }
}
