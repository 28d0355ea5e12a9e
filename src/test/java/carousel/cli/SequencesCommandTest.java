package carousel.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.engine.RandomSequence;
import carousel.golden.PublishedData;
import carousel.training.Checkpoint;
import carousel.training.RunFolder;
import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** {@code train --task sequences}, {@code evaluate} and {@code predict}. */
class SequencesCommandTest {
    private static final List<String> SHAPES = List.of("falling", "hill", "rising");

    @TempDir
    private Path folder;

    private Path training;
    private Path testing;

    @BeforeEach
    void write() throws IOException {
        training = Files.writeString(folder.resolve("train.csv"), rows(90, 1));
        testing = Files.writeString(folder.resolve("test.csv"), rows(30, 2));
    }

    /** Lines of a shape's name and 6 to 14 noisy values, far from 0. */
    private static String rows(int count, long seed) {
        StringBuilder text = new StringBuilder();
        for (int k = 0; k < count; k++) {
            text.append(SHAPES.get(k % 3));
            for (double value : shape(k, seed)) {
                text.append(String.format(Locale.ROOT, ",%.3f", value));
            }
            text.append('\n');
        }
        return text.toString();
    }

    private static double[] shape(int k, long seed) {
        RandomSequence random = new RandomSequence(seed, 0, k);
        double[] values = new double[6 + random.nextInt(9)];
        for (int t = 0; t < values.length; t++) {
            double at = t / (values.length - 1.0);
            double y = k % 3 == 0 ? 1 - at : k % 3 == 1 ? 2 * Math.min(at, 1 - at) : at;
            values[t] = 300 + 100 * y + 10 * random.nextGaussian();
        }
        return values;
    }

    private CommandLineRun train(Path out, Object... more) {
        List<Object> arguments =
                new ArrayList<>(List.of("train", "--task", "sequences", "--data", training, "--out", out));
        arguments.addAll(List.of("--hidden", 10, "--batch", 16, "--learning-rate", 0.02));
        arguments.addAll(List.of(more));
        return CommandLineRun.of(arguments.toArray());
    }

    private static double accuracy(CommandLineRun run) {
        Matcher matcher = Pattern.compile("Testing Accuracy: (\\d\\.\\d{4})").matcher(run.out());
        assertTrue(matcher.find(), run.out());
        return Double.parseDouble(matcher.group(1));
    }

    private static JsonObject json(Object... arguments) {
        return JsonParser.parseString(CommandLineRun.of(arguments).succeeds().out())
                .getAsJsonObject();
    }

    @Test
    void shapesOfDifferentLengthsAreToldApart() {
        Path out = folder.resolve("run");
        CommandLineRun trained = train(out, "--test", testing, "--steps", 120).succeeds();
        assertTrue(trained.out().contains("[14 x 1]"), trained.out());
        assertTrue(accuracy(trained) >= 0.9, trained.out());
        CommandLineRun evaluated = CommandLineRun.of("evaluate", "--model", out).succeeds();
        assertEquals(accuracy(trained), accuracy(evaluated));
        assertTrue(evaluated.out().contains("30 sequences of test.csv"), evaluated.out());
        // Another file is test as a whole.
        CommandLineRun other = CommandLineRun.of("evaluate", "--model", out, "--data", training)
                .succeeds();
        assertTrue(other.out().contains("90 sequences of train.csv"), other.out());

        CommandLineRun predicted =
                CommandLineRun.of("predict", "--model", out, "--count", 3).succeeds();
        assertTrue(
                Pattern.compile("0: falling \\(\\d\\.\\d{4}\\), label falling\\R1: hill .*, label hill\\R2: rising .*")
                        .matcher(predicted.out().strip())
                        .matches(),
                predicted.out());
        JsonObject first = json("predict", "--model", out, "--count", 1, "--json")
                .getAsJsonArray("predictions")
                .get(0)
                .getAsJsonObject();
        assertEquals("falling", first.get("name").getAsString());
        assertEquals("falling", first.get("labelName").getAsString());
    }

    @Test
    void numbersAsTextAreScaledAsInTraining() throws IOException {
        Path out = folder.resolve("run");
        train(out, "--test", testing, "--steps", 60).succeeds();
        JsonArray known =
                json("predict", "--model", out, "--count", 3, "--json").getAsJsonArray("predictions");
        List<String> lines = Files.readAllLines(testing);
        StringBuilder text = new StringBuilder();
        for (int k = 0; k < 3; k++) {
            text.append(lines.get(k).substring(lines.get(k).indexOf(',') + 1).replace(',', '\n'))
                    .append("\n\n");
        }
        Path numbers = Files.writeString(folder.resolve("numbers.txt"), text);
        JsonArray given =
                json("predict", "--model", out, "--input", numbers, "--json").getAsJsonArray("predictions");
        assertEquals(3, given.size());
        for (int k = 0; k < 3; k++) {
            assertProbabilities(known.get(k).getAsJsonObject(), given.get(k).getAsJsonObject(), 1e-6);
        }
        String[] answers = stream(text.toString(), out).out().split("\\R");
        int last = -1;
        for (int k = 0; k < 3; k++) {
            last += lines.get(k).split(",").length - 1;
            assertProbabilities(
                    known.get(k).getAsJsonObject(),
                    JsonParser.parseString(answers[last]).getAsJsonObject(),
                    1e-5);
        }
        assertEquals(last + 1, answers.length, "a line for each step");
    }

    private static void assertProbabilities(JsonObject expected, JsonObject actual, double tolerance) {
        assertEquals(expected.get("name"), actual.get("name"));
        JsonArray probabilities = expected.getAsJsonArray("probabilities");
        for (int k = 0; k < probabilities.size(); k++) {
            assertEquals(
                    probabilities.get(k).getAsDouble(),
                    actual.getAsJsonArray("probabilities").get(k).getAsDouble(),
                    tolerance);
        }
    }

    private static CommandLineRun stream(String input, Path model) {
        InputStream before = System.in;
        System.setIn(new ByteArrayInputStream(input.getBytes(StandardCharsets.UTF_8)));
        try {
            return CommandLineRun.of("predict", "--model", model, "--stream", "--json")
                    .succeeds();
        } finally {
            System.setIn(before);
        }
    }

    @Test
    void sequencesOfManyLinesAndFeaturesHaveSomeHeldOut() throws IOException {
        StringBuilder text = new StringBuilder("run;kind;second;noise;height\n");
        for (int k = 0; k < 90; k++) {
            double[] values = shape(k, 3);
            for (int t = 0; t < values.length; t++) {
                text.append(String.format(
                        Locale.GERMANY, "r%d;%s;%d;%,.1f;%.3f%n", k, SHAPES.get(k % 3), t, t % 2 + 0.5, values[t]));
            }
        }
        Files.writeString(training, text);
        Path out = folder.resolve("run");
        CommandLineRun trained = train(
                        out,
                        "--id",
                        "run",
                        "--time",
                        "second",
                        "--label",
                        "kind",
                        "--steps",
                        120,
                        "--scaling",
                        "min-max")
                .succeeds();
        assertTrue(trained.out().contains("66 of train.csv: "), trained.out());
        assertTrue(trained.out().contains("[14 x 2]"), trained.out());
        assertTrue(accuracy(trained) >= 0.8, trained.out());
        CommandLineRun evaluated = CommandLineRun.of("evaluate", "--model", out).succeeds();
        assertTrue(evaluated.out().contains("15 held-out sequences of train.csv"), evaluated.out());
        assertEquals(accuracy(trained), accuracy(evaluated));
        CommandLineRun.of("train", "--resume", out, "--features", "height")
                .failsWith(2, "--features should be left out as in the run of", "but got [height]");

        String narrow = text.toString().replaceAll("(?m)^([^;]*;[^;]*;[^;]*);[^;]*", "$1");
        Path other = Files.writeString(folder.resolve("narrow.csv"), narrow);
        CommandLineRun.of("evaluate", "--model", out, "--data", other)
                .failsWith(1, "narrow.csv' should have 2 features a time step", "but has 1");
    }

    @Test
    void anInterruptedRunEndsWithTheSameBits() throws IOException {
        Path whole = folder.resolve("whole");
        Path parts = folder.resolve("parts");
        train(whole, "--steps", 50).succeeds();
        train(parts, "--steps", 20).succeeds();
        CommandLineRun.of("train", "--resume", parts, "--steps", 50).succeeds();
        assertArrayEquals(
                Checkpoint.read(whole.resolve(RunFolder.CHECKPOINT))
                        .checkpoint()
                        .parameters(),
                Checkpoint.read(parts.resolve(RunFolder.CHECKPOINT))
                        .checkpoint()
                        .parameters());
        CommandLineRun.of("train", "--resume", parts, "--label", "last")
                .failsWith(2, "--label should be first as in the run of", "but got last");
        CommandLineRun.of("train", "--resume", parts, "--test", testing)
                .failsWith(2, "the run holds out some of its data to test with but got --test");
        Path tested = folder.resolve("tested");
        CommandLineRun whileTrained =
                train(tested, "--test", testing, "--steps", 20).succeeds();
        Path moved = Files.move(testing, folder.resolve("moved.csv"));
        assertEquals(
                accuracy(whileTrained),
                accuracy(CommandLineRun.of("train", "--resume", tested, "--test", moved)
                        .succeeds()));
        Files.writeString(training, rows(90, 4));
        CommandLineRun.of("train", "--resume", parts, "--steps", 60)
                .failsWith(2, "the data of '" + parts + "' has changed");
    }

    @Test
    void theTestFileLeavesNoTraceInTheModel() throws IOException {
        Path first = folder.resolve("first");
        Path second = folder.resolve("second");
        train(first, "--test", testing, "--steps", 30).succeeds();
        Files.writeString(testing, rows(5, 9).replaceAll("(?m),(\\d)", ",-$1"));
        train(second, "--test", testing, "--steps", 30).succeeds();
        assertArrayEquals(
                Files.readAllBytes(first.resolve(RunFolder.MODEL)),
                Files.readAllBytes(second.resolve(RunFolder.MODEL)));
        Path third = folder.resolve("third");
        train(third, "--test", testing, "--steps", 30, "--seed", 2).succeeds();
        assertFalse(Arrays.equals(
                Files.readAllBytes(first.resolve(RunFolder.MODEL)),
                Files.readAllBytes(third.resolve(RunFolder.MODEL))));
    }

    @Test
    void badFilesAndSettingsAreRefusedInOneSentence() throws IOException {
        Path out = folder.resolve("run");
        train(out, "--label", "colour").failsWith(1, "should have a column 'colour'");
        train(out, "--id", 1).failsWith(2, "--id goes with --label");
        train(out, "--time", "t").failsWith(2, "--time goes with --id but got 't' without it");
        train(out, "--features", "a,b").failsWith(2, "--features goes with --id but got [a, b] without it");
        train(out, "--horizon", 2).failsWith(2, "--horizon goes with --task series but got --task sequences");
        train(out, "--test", "").failsWith(2, "--test should name a path but is empty");
        train(out, "--test", folder.resolve("absent.csv")).failsWith(1, "absent.csv does not exist");
        CommandLineRun.of("train", "--task", "sequences")
                .failsWith(2, "--task sequences needs --data with a CSV file but got none");

        Files.writeString(testing, rows(3, 2) + "valley,1,2,3\n");
        train(out, "--test", testing)
                .failsWith(1, "test.csv, line 4", "'falling', 'hill', 'rising'", "but got 'valley'");
        Files.writeString(testing, rows(3, 2) + ",1,2,3\n");
        train(out, "--test", testing).failsWith(1, "test.csv, line 4", "should have a label");
        Files.writeString(testing, rows(3, 2) + "hill,1,high,3\n");
        train(out, "--test", testing).failsWith(1, "test.csv, line 4", "should hold numbers", "'high'");
        Files.writeString(testing, rows(3, 2) + "hill,1,,3\n");
        train(out, "--test", testing, "--missing", "refuse").failsWith(1, "test.csv, line 4", "lacks that of step 2");

        Files.writeString(training, "a,1,2\nb,2,1\n");
        train(out).failsWith(1, "should hold 3 or more sequences, some to be held out, but holds 2", "--test");
        Files.writeString(training, "a,1,2\na,2,1\na,2,1\n");
        train(out).failsWith(1, "should have labels of 2 to 10000 classes but has 1");
        // Numbers where the label should be: each sequence has one of its own.
        Files.writeString(training, "1,1,2\n2,2,1\n3,2,1\n4,1,1\n");
        train(out).failsWith(1, "two or more sequences for each label", "4 sequences have 4 labels", "--label");
        assertFalse(Files.exists(out), "nothing is left behind");
    }

    @Test
    void syntheticControlChartsAreClassified() {
        Path train = PublishedData.file("series", "synthetic-control-train.csv");
        Path test = PublishedData.file("series", "synthetic-control-test.csv");
        CommandLineRun run = CommandLineRun.of(
                        "train",
                        "--task",
                        "sequences",
                        "--data",
                        train,
                        "--test",
                        test,
                        "--steps",
                        400,
                        "--out",
                        folder.resolve("run"))
                .succeeds();
        assertTrue(accuracy(run) >= 0.95, run.out());
    }
}
