package carousel.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
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
    private final StringWriter out = new StringWriter();
    private final StringWriter err = new StringWriter();

    @TempDir
    private Path folder;

    private int run(String... more) {
        List<String> arguments = new ArrayList<>(List.of(more));
        arguments.add(0, "gradients");
        addUnlessGiven(arguments, "--time-steps", "5");
        addUnlessGiven(arguments, "--hidden", "4");
        addUnlessGiven(arguments, "--out", folder.resolve("curves.png").toString());
        return Main.run(new PrintWriter(out), new PrintWriter(err), arguments.toArray(String[]::new));
    }

    private static void addUnlessGiven(List<String> arguments, String option, String value) {
        if (!arguments.contains(option)) {
            arguments.addAll(List.of(option, value));
        }
    }

    @Test
    void printsATableAndDrawsThePicture() throws IOException {
        assertEquals(0, run("--steps", "20", "--batch", "3"), err.toString());
        assertTrue(out.toString().contains("after 20 steps"), out.toString());
        List<String> firstColumn = out.toString()
                .lines()
                .filter(line -> line.matches(" +\\d+( +[0-9.e+-]+){4}"))
                .map(line -> line.strip().split(" +")[0])
                .toList();
        assertEquals(List.of("0", "1", "2", "5"), firstColumn);
        assertTrue(out.toString().contains("RNN: over 5 steps the gradient"));
        assertTrue(out.toString().contains("always answering 1 has 0.1667"));
        assertTrue(out.toString().contains("'" + folder.resolve("curves.png") + "'"));
        assertTrue(err.toString().contains("LSTM step 20/20 - loss: "), err.toString());
        assertEquals(1000, ImageIO.read(folder.resolve("curves.png").toFile()).getWidth());
    }

    @Test
    void withoutTrainingThereAreTheUntrainedNetworksAlone() {
        assertEquals(0, run("--steps", "0"), err.toString());
        assertFalse(out.toString().contains("after"), out.toString());
        assertEquals(
                4,
                out.toString()
                        .lines()
                        .filter(line -> line.matches(" +\\d+( +[0-9.e+-]+){2}"))
                        .count());
    }

    @Test
    void jsonIsOneObjectAndNothingElse() {
        assertEquals(0, run("--steps", "3", "--json", "--engine", "reference"), err.toString());
        JsonObject facts = JsonParser.parseString(out.toString()).getAsJsonObject();
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
            --engine        | abc  | auto, vector, reference
            --hidden        | x    | --hidden
            """)
    void badValuesAreRefusedInOneSentence(String option, String value, String range) throws IOException {
        assertEquals(2, run(option, value));
        assertEquals(1, err.toString().lines().count(), err.toString());
        assertTrue(err.toString().contains(value), err.toString());
        assertTrue(err.toString().contains(range), err.toString());
        assertEquals("", out.toString());
        assertNothingWritten();
    }

    @Test
    void aPictureThatCannotBeWrittenIsRefusedBeforeTheTraining() throws IOException {
        Path missing = folder.resolve("missing").resolve("curves.png");
        // Training for so long would never end.
        assertEquals(1, run("--out", missing.toString(), "--steps", "1000000000000"));
        assertEquals(1, err.toString().lines().count(), err.toString());
        assertTrue(err.toString().contains("'" + missing + "'"), err.toString());
        assertTrue(err.toString().contains("does not exist"), err.toString());
        assertNothingWritten();
    }

    @Test
    void aPictureInPlaceOfAFolderIsRefusedBeforeTheTraining() throws IOException {
        assertEquals(1, run("--out", folder.toString(), "--steps", "1000000000000"));
        assertTrue(err.toString().contains("is a folder"), err.toString());
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
