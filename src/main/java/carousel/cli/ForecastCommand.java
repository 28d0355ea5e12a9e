package carousel.cli;

import carousel.data.PreparedSeries;
import carousel.data.Series;
import carousel.data.SeriesParts;
import carousel.engine.Engine;
import carousel.format.AtomicFile;
import carousel.format.Charts;
import carousel.layer.Model;
import carousel.training.Evaluator;
import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import de.siegmar.fastcsv.writer.CsvWriter;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.math.BigDecimal;
import java.math.MathContext;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.stream.IntStream;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code carousel forecast}. */
@Command(
        name = "forecast",
        mixinStandardHelpOptions = true,
        sortOptions = false,
        description = "Forecasts the values that follow a series' last, with a model of the task series.")
final class ForecastCommand implements Callable<Integer> {
    private static final int MOST_STEPS = 100_000;

    /** A picture of more targets would have no end. */
    private static final int MOST_CHARTS = 8;

    /** So much of the known values is shown at least. */
    private static final int SHOWN = 60;

    /** What a model says has no more digits than a float. */
    private static final MathContext DIGITS = new MathContext(7);

    @CommandLine.Spec
    private CommandLine.Model.CommandSpec spec;

    @Mixin
    private SavedRun saved;

    @Option(
            names = "--steps",
            paramLabel = "N",
            description =
                    "Steps to forecast; beyond the horizon forecasts are made from forecasts. Default: the horizon.")
    private Integer steps;

    @Option(names = "--csv", paramLabel = "FILE", description = "Also write the forecasts into this CSV file.")
    private Path csv;

    @Option(
            names = "--png",
            paramLabel = "FILE",
            description = "Where they are drawn behind the last known values. Default: forecast.png beside the model.")
    private Path png;

    @Option(names = "--overwrite", description = "Replace the files of --csv and --png where they exist.")
    private boolean overwrite;

    @Mixin
    private EngineChoice engineChoice;

    @Option(names = "--json", description = "Print one JSON object and nothing else.")
    private boolean json;

    /**
     * What follows the series.
     *
     * @param labels a date, or a number, for each step
     * @param values {@code [targets][steps]}, in the series' units
     * @param bands for each target; none where they could not be measured
     */
    private record Outlook(Series series, List<String> labels, double[][] values, List<ErrorBand> bands) {
        String name(int target) {
            return series.columnNames().get(series.targets().get(target));
        }

        String after() {
            return series.label(series.length() - 1);
        }

        /** What a label is: a row's number where there are no dates. */
        String labelTitle() {
            return series.times() == null ? "row" : "date";
        }

        /** The numbers of a target: the forecasts, and where there is a band its lower and its upper ends. */
        double[][] columns(int target) {
            double[] forecast = values[target];
            return bands.isEmpty()
                    ? new double[][] {forecast}
                    : new double[][] {
                        forecast,
                        bands.get(target).lower(forecast),
                        bands.get(target).upper(forecast)
                    };
        }

        /** The names of those. */
        List<String> titles(int target) {
            return bands.isEmpty()
                    ? List.of(name(target))
                    : List.of(name(target), name(target) + " low", name(target) + " high");
        }
    }

    @Override
    public Integer call() throws IOException {
        Check.path("--csv", csv);
        Check.path("--png", png);
        SavedRun.Contents contents = saved.readTrained();
        RunConfig config = contents.config();
        if (!(config.taskKind() instanceof SeriesTask)) {
            throw new IllegalArgumentException("forecast takes a model of the task series but got one of the task "
                    + config.task() + ": use " + config.taskKind().useInstead());
        }
        int horizon = config.series().horizon();
        int count = steps == null ? horizon : Check.range("--steps", steps, 1, MOST_STEPS);
        for (Path file : new Path[] {csv, png}) {
            if (file != null && Files.isRegularFile(file) && !overwrite) {
                throw new IllegalArgumentException(
                        "'" + file + "' exists already: choose another name, or give --overwrite");
            }
            if (file != null) {
                AtomicFile.requireWritable(file);
            }
        }
        Outlook outlook;
        String engineName;
        try (Engine engine = engineChoice.open("auto", contents.model().spec());
                Model model = contents.model().open(engine)) {
            engineName = engine.description();
            outlook = forecast(
                    config, count, new Evaluator(model, config.taskKind().loss()));
        }
        requireFinite(outlook);
        if (csv != null) {
            AtomicFile.write(csv, csv(outlook).getBytes(StandardCharsets.UTF_8));
        }
        Path picture = png != null ? png : contents.model().path().resolveSibling("forecast.png");
        Optional<String> undrawn = draw(picture, config, outlook);
        PrintWriter screen = spec.commandLine().getOut();
        if (json) {
            screen.println(facts(outlook, horizon, undrawn.isPresent() ? null : picture));
        } else {
            print(screen, outlook, horizon, engineName);
            if (csv != null) {
                screen.println("The forecasts are in '" + csv + "'.");
            }
            screen.println(
                    undrawn.map(reason -> "No picture: " + reason).orElse("They are drawn in '" + picture + "'."));
        }
        screen.flush();
        return 0;
    }

    private static Outlook forecast(RunConfig config, int count, Evaluator evaluator) throws IOException {
        Series series = config.series().read(config.data());
        // All of it is known by now: a missing value may be filled from both sides, whatever part it was in.
        PreparedSeries whole = SeriesTask.prepared(config, series, SeriesParts.whole(series.length()));
        double[][] values = whole.forecast(count, evaluator::predict);
        List<ErrorBand> bands = SeriesTask.reachesTest(config, series)
                ? ErrorBand.measure(SeriesTask.prepared(config, series), evaluator)
                : List.of();
        return new Outlook(series, series.nextLabels(count), values, bands);
    }

    /** Forecasts of growth, made from forecasts, may grow beyond all numbers. */
    private static void requireFinite(Outlook outlook) {
        for (int target = 0; target < outlook.values().length; target++) {
            double[] values = outlook.values()[target];
            for (int step = 0; step < values.length; step++) {
                if (!Double.isFinite(values[step])) {
                    throw new IllegalArgumentException("the forecasts of '" + outlook.name(target)
                            + "' should be finite but that of step " + (step + 1) + " is " + values[step]
                            + ": ask for fewer with --steps");
                }
            }
        }
    }

    private static String number(double value) {
        return Double.isNaN(value)
                ? ""
                : new BigDecimal(value).round(DIGITS).stripTrailingZeros().toPlainString();
    }

    private static void print(PrintWriter screen, Outlook outlook, int horizon, String engine) {
        int count = outlook.labels().size();
        screen.println(count + (count == 1 ? " step" : " steps") + " after " + outlook.after() + ", the last of "
                + outlook.series().length() + " in " + outlook.series().name() + ", on " + engine);
        if (count > horizon) {
            screen.println("Beyond step " + horizon + ", the horizon, forecasts are made from forecasts.");
        }
        if (!outlook.bands().isEmpty()) {
            screen.println("Between low and high lay " + ErrorBand.PERCENT + " % of the "
                    + outlook.bands().get(0).count() + " forecasts for steps held out from training"
                    + (count > horizon ? "; beyond the horizon it was not measured." : "."));
        }
        screen.println();
        List<List<String>> columns = new ArrayList<>();
        columns.add(column(
                "step",
                IntStream.rangeClosed(1, count).mapToObj(Integer::toString).toList()));
        columns.add(column(outlook.labelTitle(), outlook.labels()));
        for (int target = 0; target < outlook.values().length; target++) {
            double[][] numbers = outlook.columns(target);
            for (int k = 0; k < numbers.length; k++) {
                columns.add(column(
                        k == 0 ? outlook.name(target) : k == 1 ? "low" : "high",
                        Arrays.stream(numbers[k])
                                .mapToObj(value -> Double.isNaN(value) ? "" : SeriesTask.figure(value))
                                .toList()));
            }
        }
        int[] widths = columns.stream()
                .mapToInt(
                        column -> column.stream().mapToInt(String::length).max().getAsInt())
                .toArray();
        for (int row = 0; row <= count; row++) {
            StringBuilder line = new StringBuilder();
            for (int k = 0; k < widths.length; k++) {
                line.append(k == 0 ? "" : "  ")
                        .append(String.format(
                                Locale.ROOT,
                                "%" + widths[k] + "s",
                                columns.get(k).get(row)));
            }
            screen.println(line.toString().stripTrailing());
        }
        screen.println();
    }

    private static List<String> column(String title, List<String> cells) {
        List<String> column = new ArrayList<>(List.of(title));
        column.addAll(cells);
        return column;
    }

    private static String csv(Outlook outlook) throws IOException {
        StringWriter text = new StringWriter();
        try (CsvWriter writer = CsvWriter.builder().build(text)) {
            List<String> header = new ArrayList<>(List.of(outlook.labelTitle()));
            for (int target = 0; target < outlook.values().length; target++) {
                header.addAll(outlook.titles(target));
            }
            writer.writeRecord(header);
            for (int step = 0; step < outlook.labels().size(); step++) {
                List<String> row = new ArrayList<>(List.of(outlook.labels().get(step)));
                for (int target = 0; target < outlook.values().length; target++) {
                    for (double[] numbers : outlook.columns(target)) {
                        row.add(number(numbers[step]));
                    }
                }
                writer.writeRecord(row);
            }
        }
        return text.toString();
    }

    /**
     * Draws the end of the series and what follows.
     *
     * @return why there is no picture; empty where there is one
     */
    private Optional<String> draw(Path file, RunConfig config, Outlook outlook) throws IOException {
        int count = outlook.labels().size();
        int known = Math.min(outlook.series().length(), Math.max(SHOWN, 2 * Math.max(count, config.timeSteps())));
        List<Charts.Chart> charts = new ArrayList<>();
        for (int target = 0; target < Math.min(MOST_CHARTS, outlook.values().length); target++) {
            charts.add(chart(outlook, target, known));
        }
        try {
            return Charts.write(file, charts);
        } catch (IOException e) {
            if (png != null) {
                throw e;
            }
            // Nobody asked for it: a run folder may be there to be read only.
            return Optional.of(e.getMessage());
        }
    }

    private static Charts.Chart chart(Outlook outlook, int target, int known) {
        Series series = outlook.series();
        int column = series.targets().get(target);
        int first = series.length() - known;
        double[] past = new double[known];
        for (int k = 0; k < known; k++) {
            past[k] = series.value(column, first + k);
        }
        List<Charts.Curve> curves = new ArrayList<>();
        curves.add(new Charts.Curve("Known", steps(1 - known, known), past));
        double[][] numbers = outlook.columns(target);
        String[] names = {"Forecast", "Low", "High"};
        for (int k = 0; k < numbers.length; k++) {
            curves.add(new Charts.Curve(names[k], steps(1, numbers[k].length), numbers[k]));
        }
        return new Charts.Chart(
                "Forecast of " + outlook.name(target),
                "Steps after " + outlook.after(),
                outlook.name(target),
                false,
                curves);
    }

    private static double[] steps(int first, int count) {
        return IntStream.range(first, first + count).asDoubleStream().toArray();
    }

    private JsonObject facts(Outlook outlook, int horizon, Path picture) {
        JsonObject facts = new JsonObject();
        facts.addProperty("data", outlook.series().name());
        facts.addProperty("after", outlook.after());
        facts.addProperty("horizon", horizon);
        JsonArray targets = new JsonArray();
        for (int target = 0; target < outlook.values().length; target++) {
            JsonObject entry = new JsonObject();
            entry.addProperty("column", outlook.name(target));
            double[][] numbers = outlook.columns(target);
            JsonArray steps = new JsonArray();
            for (int step = 0; step < outlook.labels().size(); step++) {
                JsonObject object = new JsonObject();
                object.addProperty("step", step + 1);
                object.addProperty("label", outlook.labels().get(step));
                object.addProperty("value", numbers[0][step]);
                if (numbers.length > 1 && !Double.isNaN(numbers[1][step])) {
                    object.addProperty("low", numbers[1][step]);
                    object.addProperty("high", numbers[2][step]);
                }
                steps.add(object);
            }
            entry.add("forecasts", steps);
            targets.add(entry);
        }
        facts.add("targets", targets);
        facts.addProperty("csv", csv == null ? null : csv.toString());
        facts.addProperty("png", picture == null ? null : picture.toString());
        return facts;
    }
}
