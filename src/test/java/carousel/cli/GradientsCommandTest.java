package carousel.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class GradientsCommandTest {
    @TempDir
    private Path folder;

    private CommandLineRun run(String... more) {
        List<String> arguments = new ArrayList<>(List.of(more));
        arguments.add(0, "gradients");
        addUnlessGiven(arguments, "--time-steps", "5");
        addUnlessGiven(arguments, "--hidden", "4");
        addUnlessGiven(arguments, "--out", folder.resolve("curves.png").toString());
        return CommandLineRun.of(arguments.toArray());
    }

    private static void addUnlessGiven(List<String> arguments, String option, String value) {
        if (!arguments.contains(option)) {
            arguments.addAll(List.of(option, value));
        }
    }

    @Test
    void printsATableAndDrawsThePicture() throws IOException {
        CommandLineRun run = run("--steps", "20", "--batch", "3");
        assertEquals(0, run.code(), run::toString);
        List<String> firstColumn = run.out()
                .lines()
                .filter(line -> line.matches(" +\\d+( +[0-9.e+-]+){4}"))
                .map(line -> line.strip().split(" +")[0])
                .toList();
        assertEquals(List.of("0", "1", "2", "5"), firstColumn);
        for (String part : List.of(
                "after 20 steps",
                "RNN: over 5 steps the gradient",
                "always answering 1 has 0.1667",
                "'" + folder.resolve("curves.png") + "'")) {
            assertTrue(run.out().contains(part), run::toString);
        }
        assertTrue(run.err().contains("LSTM step 20/20 - loss: "), run::toString);
        assertEquals(1000, ImageIO.read(folder.resolve("curves.png").toFile()).getWidth());
    }

    @Test
    void withoutTrainingThereAreTheUntrainedNetworksAlone() {
        CommandLineRun run = run("--steps", "0").succeeds();
        assertFalse(run.out().contains("after"), run::toString);
        assertEquals(
                4,
                run.out()
                        .lines()
                        .filter(line -> line.matches(" +\\d+( +[0-9.e+-]+){2}"))
                        .count());
    }

    @Test
    void jsonIsOneObjectAndNothingElse() {
        CommandLineRun run = run("--steps", "3", "--json", "--engine", "reference");
        assertEquals(0, run.code(), run::toString);
        JsonObject facts = JsonParser.parseString(run.out()).getAsJsonObject();
        assertEquals("reference", facts.get("engine").getAsString());
        assertEquals(5, facts.getAsJsonObject("settings").get("timeSteps").getAsInt());
        assertEquals(1 / 6.0, facts.get("trivialError").getAsDouble(), 1e-12);
        JsonObject rnn = facts.getAsJsonObject("rnn");
        JsonObject lstm = facts.getAsJsonObject("lstm");
        assertEquals(6, rnn.getAsJsonObject("after").getAsJsonArray("hidden").size());
        assertTrue(rnn.getAsJsonObject("after").get("cell").isJsonNull());
        assertEquals(6, lstm.getAsJsonObject("before").getAsJsonArray("cell").size());
        assertTrue(lstm.get("error").getAsDouble() > 0);
        assertTrue(Files.exists(Path.of(facts.get("picture").getAsString())));
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
            --hidden        | 0    | [1, 4096]
            --time-steps    | 0    | [2, 1000000]
            --time-steps    | 1    | [2, 1000000]
            --steps         | -1   | 0
            --batch         | 0    | [1, 65536]
            --learning-rate | -0.1 | (0, 1]
            --learning-rate | NaN  | (0, 1]
            --threads       | 0    | [1, 1024]
            --engine        | abc  | vector, reference
            --hidden        | x    | --hidden
            """)
    void badValuesAreRefusedInOneSentence(String option, String value, String range) throws IOException {
        run(option, value).failsWith(2, value, range);
        assertNothingWritten();
    }

    /** Training for so long would never end. */
    @Test
    void aPictureThatCannotBeWrittenIsRefusedBeforeTheTraining() throws IOException {
        Path missing = folder.resolve("missing").resolve("curves.png");
        run("--out", missing.toString(), "--steps", "1000000000000")
                .failsWith(1, "'" + missing + "'", "does not exist");
        run("--out", folder.toString(), "--steps", "1000000000000").failsWith(1, "is a folder");
        assertNothingWritten();
    }

    private void assertNothingWritten() throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            assertEquals(0, files.count());
        }
    }

    @Test
    void shownStepsGrowByDecadesAndEndAtTheLast() {
        assertArrayEquals(new int[] {0, 1, 2, 5, 10, 20, 50, 100}, GradientsCommand.shownSteps(100));
        assertArrayEquals(new int[] {0, 1, 2, 5, 7}, GradientsCommand.shownSteps(7));
        assertArrayEquals(new int[] {0, 1, 2}, GradientsCommand.shownSteps(2));
    }
}
