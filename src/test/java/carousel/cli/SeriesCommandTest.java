package carousel.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.data.CsvOptions;
import carousel.data.CsvTable;
import carousel.golden.PublishedData;
import carousel.training.Checkpoint;
import carousel.training.RunFolder;
import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.awt.image.BufferedImage;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.YearMonth;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.function.IntToDoubleFunction;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.IntStream;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** {@code train --task series}, {@code evaluate} and {@code forecast}. */
class SeriesCommandTest {
    private static final int LENGTH = 160;

    /** The first step of the test part: the last 15 percent, rounded down to horizons of 1. */
    private static final int TEST_BEGIN = LENGTH - 24;

    private static final Pattern LINE =
            Pattern.compile("Testing RMSE: (\\S+) \\(last value (\\S+), same season ([^)]+)\\)");

    @TempDir
    private Path folder;

    private Path data;

    @BeforeEach
    void write() throws IOException {
        data = monthly(folder.resolve("sales.csv"), LENGTH, SeriesCommandTest::sales);
    }

    /** A wave of eight steps on a trend. */
    private static double sales(int step) {
        return 50 + 0.5 * step + 10 * Math.sin(Math.PI * step / 4);
    }

    private static Path monthly(Path file, int length, IntToDoubleFunction values) throws IOException {
        StringBuilder text = new StringBuilder("Month,Sales\n");
        for (int step = 0; step < length; step++) {
            text.append(YearMonth.of(2001, 1).plusMonths(step))
                    .append(',')
                    .append(cell(values.applyAsDouble(step)))
                    .append('\n');
        }
        return Files.writeString(file, text);
    }

    private static String cell(double value) {
        return Double.isNaN(value) ? "" : String.format(Locale.ROOT, "%.4f", value);
    }

    private CommandLineRun train(Path out, Object... more) {
        return train(data, out, more);
    }

    /** A small and fast run. */
    private static CommandLineRun train(Path file, Path out, Object... more) {
        List<Object> arguments = new ArrayList<>(List.of("train", "--task", "series", "--data", file, "--out", out));
        arguments.addAll(List.of(more));
        List<Object> otherwise =
                List.of("--hidden", 8, "--batch", 16, "--learning-rate", 0.02, "--transform", "difference");
        for (int k = 0; k < otherwise.size(); k += 2) {
            if (!arguments.contains(otherwise.get(k))) {
                arguments.addAll(otherwise.subList(k, k + 2));
            }
        }
        return CommandLineRun.of(arguments.toArray());
    }

    /** From the table's first line to the last line of all but the run's folder. */
    private static List<String> table(CommandLineRun run) {
        List<String> lines = run.out()
                .lines()
                .dropWhile(line -> !line.startsWith("Forecasts of "))
                .takeWhile(line -> !line.startsWith("Run folder"))
                .toList();
        assertFalse(lines.isEmpty(), run::out);
        return lines;
    }

    /** The root mean squared errors of the model, the last value and the same season. */
    private static double[] errors(CommandLineRun run) {
        Matcher matcher = LINE.matcher(run.out());
        assertTrue(matcher.find(), run.out());
        return IntStream.rangeClosed(1, 3)
                .mapToDouble(group -> Double.parseDouble(matcher.group(group)))
                .toArray();
    }

    private static JsonObject json(Object... arguments) {
        return JsonParser.parseString(CommandLineRun.of(arguments).succeeds().out())
                .getAsJsonObject();
    }

    @Test
    void aSeriesIsLearnedAndEvaluatedInItsOwnUnits() {
        Path out = folder.resolve("run");
        CommandLineRun trained = train(out, "--steps", 300).succeeds();
        double[] errors = errors(trained);
        // A season later everything is 8 x 0.5 higher; from one step to the next the wave moves by up to 8.
        assertEquals(4, errors[2], 0.01);
        double squares = 0;
        for (int step = TEST_BEGIN; step < LENGTH; step++) {
            squares += Math.pow(sales(step) - sales(step - 1), 2);
        }
        assertEquals(Math.sqrt(squares / 24), errors[1], 0.01);
        assertTrue(errors[0] < 1, () -> "learned little: " + errors[0]);
        assertTrue(trained.out().contains("the last 24 steps of sales.csv, 2012-05 to 2014-04"), trained.out());
        assertTrue(trained.out().contains("same season (8)"), trained.out());
        assertTrue(trained.out().contains(" % smaller than that of repeating the same season"), trained.out());

        CommandLineRun evaluated = CommandLineRun.of("evaluate", "--model", out).succeeds();
        assertEquals(table(trained), table(evaluated));
        JsonArray targets = json("evaluate", "--model", out, "--json").getAsJsonArray("targets");
        assertEquals(1, targets.size());
        JsonObject target = targets.get(0).getAsJsonObject();
        assertEquals("Sales", target.get("column").getAsString());
        assertEquals(8, target.get("period").getAsInt());
        assertEquals(errors[0], target.getAsJsonObject("model").get("rmse").getAsDouble(), 1e-3 * errors[0]);
        assertEquals(24, target.getAsJsonObject("lastValue").get("count").getAsInt());
        assertEquals(4, target.getAsJsonObject("sameSeason").get("mae").getAsDouble(), 0.01);
        assertTrue(target.get("skill").getAsDouble() > 0.5);
    }

    @Test
    void forecastsGoOnWhereTheSeriesEnds() throws IOException {
        Path out = folder.resolve("run");
        train(out, "--steps", 300).succeeds();
        Path csv = folder.resolve("next.csv");
        CommandLineRun run = CommandLineRun.of("forecast", "--model", out, "--steps", 12, "--csv", csv)
                .succeeds();
        assertTrue(run.out().contains("12 steps after 2014-04, the last of 160 in sales.csv"), run.out());
        assertTrue(run.out().contains("Beyond step 1, the horizon, forecasts are made from forecasts."), run.out());
        assertTrue(run.out().contains("80 % of the 48 forecasts"), run.out());

        CsvTable table = CsvTable.read(csv, CsvOptions.DETECTED);
        assertEquals(List.of("date", "Sales", "Sales low", "Sales high"), table.columnNames());
        assertEquals(12, table.rows());
        JsonArray forecasts = json("forecast", "--model", out, "--steps", 12, "--json")
                .getAsJsonArray("targets")
                .get(0)
                .getAsJsonObject()
                .getAsJsonArray("forecasts");
        for (int row = 0; row < 12; row++) {
            String month = YearMonth.of(2014, 5).plusMonths(row).toString();
            assertEquals(month, table.cell(row, 0));
            assertEquals(sales(LENGTH + row), table.number(row, 1), 4, "of " + month);
            JsonObject same = forecasts.get(row).getAsJsonObject();
            assertEquals(month, same.get("label").getAsString());
            assertEquals(same.get("value").getAsDouble(), table.number(row, 1), 1e-4);
            assertEquals(row > 0, table.isMissing(row, 2), "measured to the horizon only");
            assertEquals(row == 0, same.has("low"));
            assertTrue(run.out().contains(month + "  "), () -> month + " is not in " + run.out());
        }
        assertTrue(table.number(0, 2) < table.number(0, 3));
        BufferedImage picture = ImageIO.read(out.resolve("forecast.png").toFile());
        assertEquals(1000, picture.getWidth());
        assertTrue(
                IntStream.range(0, picture.getWidth() * picture.getHeight())
                                .filter(k -> picture.getRGB(k % 1000, k / 1000) == 0xFFD55E00)
                                .count()
                        > 50,
                "the forecast's curve is there");

        Path png = folder.resolve("elsewhere.png");
        assertTrue(json("forecast", "--model", out, "--png", png, "--json")
                .get("png")
                .getAsString()
                .endsWith("elsewhere.png"));
        assertTrue(Files.size(png) > 1000);
    }

    @Test
    void aSeriesThatHasGrownIsForecastFromItsNewEndAndTestedOnWhatIsNew() throws IOException {
        Path out = folder.resolve("run");
        train(out, "--steps", 100, "--horizon", 2).succeeds();
        Path grown = monthly(folder.resolve("grown.csv"), LENGTH + 5, SeriesCommandTest::sales);
        CommandLineRun run =
                CommandLineRun.of("forecast", "--model", out, "--data", grown).succeeds();
        assertTrue(run.out().contains("2 steps after 2014-09"), run.out());
        assertTrue(run.out().contains("2014-10"), run.out());
        CommandLineRun evaluated =
                CommandLineRun.of("evaluate", "--model", out, "--data", grown).succeeds();
        // 24 and 5 steps are no whole number of horizons.
        assertTrue(evaluated.out().contains("the last 28 steps of grown.csv"), evaluated.out());
        // Shorter than its training was: nothing to test with, but enough to forecast from.
        Path shortened = monthly(folder.resolve("short.csv"), 60, SeriesCommandTest::sales);
        CommandLineRun.of("evaluate", "--model", out, "--data", shortened)
                .failsWith(1, "short.csv should have 138 or more steps", "but has 60");
        assertFalse(CommandLineRun.of("forecast", "--model", out, "--data", shortened)
                .succeeds()
                .out()
                .contains("low"));
        Path tiny = monthly(folder.resolve("tiny.csv"), 9, SeriesCommandTest::sales);
        CommandLineRun.of("forecast", "--model", out, "--data", tiny)
                .failsWith(2, "tiny.csv should have 17 or more steps to forecast from but has 9");
    }

    @Test
    void anInterruptedRunEndsWithTheSameBits() throws IOException {
        Path whole = folder.resolve("whole");
        Path parts = folder.resolve("parts");
        CommandLineRun once = train(whole, "--steps", 90).succeeds();
        train(parts, "--steps", 40).succeeds();
        CommandLineRun twice =
                CommandLineRun.of("train", "--resume", parts, "--steps", 90).succeeds();
        assertEquals(table(once), table(twice));
        assertArrayEquals(
                Checkpoint.read(whole.resolve(RunFolder.CHECKPOINT))
                        .checkpoint()
                        .parameters(),
                Checkpoint.read(parts.resolve(RunFolder.CHECKPOINT))
                        .checkpoint()
                        .parameters());
        CommandLineRun.of("train", "--resume", parts, "--horizon", 2)
                .failsWith(2, "--horizon should be 1 as in the run of", "but got 2");
        CommandLineRun.of("train", "--resume", parts, "--window", 16, "--target", "Sales", "--steps", 91)
                .succeeds();
        monthly(data, LENGTH, step -> step == 70 ? 1 : sales(step));
        CommandLineRun.of("train", "--resume", parts, "--steps", 120)
                .failsWith(2, "the data of '" + parts + "' has changed", "start a new run");
    }

    @Test
    void theTestPartLeavesNoTraceInTheModel() throws IOException {
        Path first = folder.resolve("first");
        Path second = folder.resolve("second");
        CommandLineRun before = train(first, "--steps", 60).succeeds();
        monthly(data, LENGTH, step -> step < TEST_BEGIN ? sales(step) : step == TEST_BEGIN ? Double.NaN : 1e4 - step);
        CommandLineRun after = train(second, "--steps", 60).succeeds();
        assertArrayEquals(
                Files.readAllBytes(first.resolve(RunFolder.MODEL)),
                Files.readAllBytes(second.resolve(RunFolder.MODEL)));
        assertNotEquals(table(before), table(after));
        // That the comparison would see a difference: the last training value.
        Path third = folder.resolve("third");
        monthly(data, LENGTH, step -> step == LENGTH - 49 ? 0 : sales(step));
        train(third, "--steps", 60).succeeds();
        assertFalse(Arrays.equals(
                Files.readAllBytes(first.resolve(RunFolder.MODEL)),
                Files.readAllBytes(third.resolve(RunFolder.MODEL))));
    }

    @Test
    void severalColumnsAreForecastTogether() throws IOException {
        StringBuilder text = new StringBuilder("a;b;c\n");
        for (int step = 0; step < 120; step++) {
            text.append(String.format(
                    Locale.GERMANY,
                    "%.3f;%.3f;%.3f%n",
                    Math.sin(step * 0.7),
                    5 + Math.cos(step * 0.7),
                    Math.sin(step * 0.7 + 0.7)));
        }
        Path file = Files.writeString(folder.resolve("three.csv"), text);
        train(file, folder.resolve("none"))
                .failsWith(1, "should have one column of numbers to forecast but has 'a', 'b', 'c'");
        Path out = folder.resolve("run");
        CommandLineRun trained = train(file, out, "--target", "a,b", "--horizon", 3, "--window", 6, "--steps", 200)
                .succeeds();
        assertTrue(trained.out().contains("[6 x 3]"), trained.out());
        List<String> lines = table(trained);
        assertTrue(lines.get(lines.size() - 2).startsWith("Testing RMSE of a: "), trained.out());
        assertTrue(lines.get(lines.size() - 1).startsWith("Testing RMSE of b: "), trained.out());
        assertEquals(lines, table(CommandLineRun.of("evaluate", "--model", out).succeeds()));
        JsonArray targets = json("forecast", "--model", out, "--json").getAsJsonArray("targets");
        assertEquals(2, targets.size());
        for (int h = 0; h < 3; h++) {
            JsonObject a = targets.get(0)
                    .getAsJsonObject()
                    .getAsJsonArray("forecasts")
                    .get(h)
                    .getAsJsonObject();
            assertEquals(Math.sin((120 + h) * 0.7), a.get("value").getAsDouble(), 0.3);
            assertEquals(Integer.toString(121 + h), a.get("label").getAsString());
            assertTrue(a.get("low").getAsDouble() < a.get("high").getAsDouble());
        }
        BufferedImage picture = ImageIO.read(out.resolve("forecast.png").toFile());
        assertEquals(2 * 480, picture.getHeight(), "a chart for each");
        CommandLineRun.of("forecast", "--model", out, "--steps", 4)
                .failsWith(2, "at most 3, the horizon, because not all inputs are targets", "got 4");
        // With all inputs targets it may go on.
        Path both = folder.resolve("both");
        train(file, both, "--target", "a,b", "--inputs", "b,a", "--window", 6, "--steps", 5)
                .succeeds();
        assertTrue(CommandLineRun.of("forecast", "--model", both, "--steps", 4)
                .succeeds()
                .out()
                .contains("row"));
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
        --target Profit            | 1 | should have a column 'Profit' but has 'Month', 'Sales'
        --target Month             | 1 | has dates in column 'Month', which should not be a target
        --date Week                | 1 | should have a column 'Week' but has 'Month', 'Sales'
        --window 200               | 1 | the training part of sales.csv should have 202 or more steps
        --horizon 90               | 1 | sales.csv should have more than 2 x 90 steps
        --horizon 0                | 2 | --horizon should be in the [1, 1000000] range but got 0
        --window 0                 | 2 | --window should be in the [1, 1000000] range but got 0
        --period 1                 | 2 | --period should be in the [2, 1000000] range but got 1
        --period 112               | 2 | --period should be in the [2, 111] range but got 112
        --scaling big              | 2 | --scaling should be one of none, standard, min-max but got 'big'
        --missing drop             | 2 | --missing should be one of interpolate, previous, refuse but got 'drop'
        --separator dot            | 2 | --separator should be one of comma, semicolon, tab but got 'dot'
        --header maybe             | 2 | --header should be one of yes, no but got 'maybe'
        --label x                  | 2 | --label goes with --task sequences but got --task series
        --pixels                   | 2 | --pixels goes with --task digits or mnist but got --task series
        """)
    void badSettingsAreRefusedInOneSentence(String options, int code, String sentence) {
        train(folder.resolve("run"), (Object[]) options.split(" ")).failsWith(code, sentence);
        assertFalse(Files.exists(folder.resolve("run")), "nothing is left behind");
    }

    @Test
    void badSeriesAreRefusedInOneSentence() throws IOException {
        Path out = folder.resolve("run");
        monthly(data, 2, SeriesCommandTest::sales);
        train(out).failsWith(1, "sales.csv should have more than 2 x 1 steps", "but has 2");
        monthly(data, 10, SeriesCommandTest::sales);
        train(out, "--window", 9).failsWith(1, "should have 11 or more steps for windows of 9", "but has 8");
        monthly(data, LENGTH, step -> step == 150 ? Double.NaN : sales(step));
        train(out, "--missing", "refuse").failsWith(1, "'Sales' at '2013-07' in sales.csv should not be missing");
        train(out, "--missing", "previous", "--steps", 1).succeeds();
        monthly(data, LENGTH, step -> sales(step) - 60);
        train(folder.resolve("log"), "--transform", "LOG_DIFFERENCE")
                .failsWith(1, "should be above 0 for its logarithm to be taken", "choose another treatment");
        Path absent = folder.resolve("absent.csv");
        train(absent, folder.resolve("none")).failsWith(1, "absent.csv does not exist");
        CommandLineRun.of("train", "--task", "series")
                .failsWith(2, "--task series needs --data with a CSV file but got none");
        CommandLineRun.of("train", "--data", data)
                .failsWith(2, "is a file, but without --task", "--task series", "--task sequences", "--task text");
        // A changed column is another series.
        Path renamed = Files.writeString(
                folder.resolve("renamed.csv"), Files.readString(data).replace("Sales", "Costs"));
        CommandLineRun.of("forecast", "--model", out, "--data", renamed)
                .failsWith(1, "should have a column 'Sales' but has 'Month', 'Costs'");
    }

    @Test
    void otherCommandsSayWhatToUse() {
        Path out = folder.resolve("run");
        train(out, "--steps", 1).succeeds();
        CommandLineRun.of("predict", "--model", out)
                .failsWith(2, "predict takes no model of the task series: use forecast");
        CommandLineRun.of("generate", "--model", out).failsWith(2, "one of the task series: use forecast");
        CommandLineRun.of("forecast", "--model", out, "--steps", 0)
                .failsWith(2, "--steps should be in the [1, 100000] range but got 0");
        Path missing = folder.resolve("no").resolve("where.csv");
        CommandLineRun.of("forecast", "--model", out, "--csv", missing).failsWith(1, "cannot write '" + missing + "'");
        Path adding = folder.resolve("adding");
        CommandLineRun.of("train", "--task", "adding", "--time-steps", 4, "--steps", 1, "--hidden", 2, "--out", adding)
                .succeeds();
        CommandLineRun.of("forecast", "--model", adding)
                .failsWith(2, "forecast takes a model of the task series but got one of the task adding: use predict");
    }

    @ParameterizedTest
    @CsvSource({
        "'horizon\\\":1', 'horizon\\\":0', the horizon of a forecast should be 1 or more steps but got 0",
        "'trainingEnd\\\":112', 'trainingEnd\\\":912', 'training end should be in the [1, 136] range but got 912'",
        "'transform\\\":\\\"difference', 'transform\\\":\\\"integrated', --transform should be one of",
        "'fitted\\\"', 'fatted\\\"', the scaling or the columns of the series are missing"
    })
    void damagedSettingsAreRefused(String from, String to, String sentence) throws IOException {
        Path out = folder.resolve("run");
        damage(out, from, to);
        CommandLineRun.of("forecast", "--model", out).failsWith(1, "has settings that cannot be read", sentence);
    }

    @Test
    void settingsThatDoNotFitTheModelAreRefused() throws IOException {
        Path out = folder.resolve("run");
        damage(out, "horizon\\\":1", "horizon\\\":2");
        for (String command : new String[] {"forecast", "evaluate"}) {
            CommandLineRun.of(command, "--model", out)
                    .failsWith(1, "should put out 2 numbers by its settings but its model puts out 1");
        }
        Path other = folder.resolve("other");
        damage(other, "series\\\":{", "sorios\\\":{");
        CommandLineRun.of("forecast", "--model", other).failsWith(1, "settings of which some are missing");
    }

    private void damage(Path out, String from, String to) throws IOException {
        train(out, "--steps", 1).succeeds();
        Path model = out.resolve(RunFolder.MODEL);
        String before = Files.readString(model, StandardCharsets.ISO_8859_1);
        String after = before.replaceFirst(Pattern.quote(from), Matcher.quoteReplacement(to));
        assertNotEquals(before, after);
        Files.writeString(model, after, StandardCharsets.ISO_8859_1);
    }

    @Test
    void aPictureThatNobodyAskedForMayFail() throws IOException {
        Path out = folder.resolve("run");
        train(out, "--steps", 1).succeeds();
        Files.createDirectory(out.resolve("forecast.png"));
        CommandLineRun run = CommandLineRun.of("forecast", "--model", out).succeeds();
        assertTrue(run.out().contains("No picture: cannot write"), run.out());
        CommandLineRun.of("forecast", "--model", out, "--png", out.resolve("forecast.png"))
                .failsWith(1, "cannot write");
    }

    @Test
    void aNaiveForecastThatWinsIsNamed() throws IOException {
        // A walk that nobody can tell the next step of.
        monthly(data, LENGTH, step -> {
            long walk = 0;
            for (int k = 0; k <= step; k++) {
                walk += Integer.bitCount(k * 0x9E3779B9) % 2 == 0 ? 1 : -1;
            }
            return walk + 100;
        });
        CommandLineRun run = train(folder.resolve("run"), "--steps", 1, "--learning-rate", 0.5)
                .succeeds();
        assertTrue(
                Pattern.compile("Repeating the .* is no worse: this model's mean absolute error is \\S+ % larger\\.")
                        .matcher(run.out())
                        .find(),
                run.out());
    }

    @Test
    void aTrendThatWasNotTakenAwayIsHintedAt() {
        String hint = "try --transform difference";
        CommandLineRun lost = train(folder.resolve("none"), "--steps", 1, "--transform", "none")
                .succeeds();
        assertTrue(lost.out().contains(hint), lost.out());
        CommandLineRun won = train(folder.resolve("difference"), "--steps", 300).succeeds();
        assertFalse(won.out().contains(hint), won.out());
    }

    @Test
    void dailyTemperaturesAreForecastBetterThanByTheLastValue() {
        Path file = PublishedData.file("series", "daily-min-temperatures.csv");
        CommandLineRun run = CommandLineRun.of(
                        "train", "--task", "series", "--data", file, "--steps", 400, "--out", folder.resolve("run"))
                .succeeds();
        double[] errors = errors(run);
        assertEquals(2.574, errors[1], 0.001);
        assertTrue(errors[0] < 0.92 * errors[1], run.out());
        assertTrue(errors[0] < 0.92 * errors[2], run.out());
    }
}
