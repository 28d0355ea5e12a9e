package carousel.cli;

import carousel.data.BatchSource;
import carousel.data.DataException;
import carousel.data.ForecastComparison;
import carousel.data.ForecastErrors;
import carousel.data.MissingValues;
import carousel.data.PreparedSeries;
import carousel.data.Series;
import carousel.data.SeriesParts;
import carousel.data.SeriesParts.Part;
import carousel.data.SeriesScaling;
import carousel.data.SeriesWindows;
import carousel.data.ShuffledBatches;
import carousel.engine.Loss;
import carousel.layer.Dense;
import carousel.layer.Form;
import carousel.layer.Model;
import carousel.layer.ModelSpec;
import carousel.training.Evaluation;
import carousel.training.Evaluator;
import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** The next values of a series, from a window of those before. */
final class SeriesTask extends Task {
    /** The share of a series that is held out for validation, and that for the test. */
    private static final double HELD_OUT = 0.15;

    /** The window where two seasons are not shorter, or none is found. */
    private static final int USUAL_WINDOW = 60;

    SeriesTask() {
        super(
                "series",
                Loss.MEAN_SQUARED_ERROR,
                "--data",
                "--target",
                "--inputs",
                "--date",
                "--window",
                "--horizon",
                "--transform",
                "--period",
                "--scaling",
                "--missing",
                "--separator",
                "--header",
                "--decimal-mark");
    }

    /**
     * What only a model of a series is trained with.
     *
     * @param targets the columns to forecast; null before the file has been read, where nothing is said
     * @param inputs the columns to forecast from; the same
     * @param date the column of dates; null to find it
     * @param horizon the steps that a forecast is made for
     * @param period of the season that the seasonal naive forecast repeats; 0 to find it
     * @param trainingEnd the step that the training ends before; 0 before the file has been read
     * @param validationEnd the step that the validation ends before, and the test begins with
     * @param fitted the scaling: {@link SeriesScaling#toMap}; null before the file has been read
     */
    record Settings(
            TableForm table,
            List<String> targets,
            List<String> inputs,
            String date,
            int horizon,
            String transform,
            int period,
            String scaling,
            String missing,
            int trainingEnd,
            int validationEnd,
            Map<String, Object> fitted) {

        /** What the training file and its parts say. */
        Settings found(PreparedSeries prepared) {
            Series series = prepared.series();
            return new Settings(
                    table,
                    targets != null ? targets : names(series, series.targets()),
                    inputs != null ? inputs : names(series, series.inputs()),
                    date,
                    horizon,
                    transform,
                    period,
                    scaling,
                    missing,
                    prepared.parts().trainingEnd(),
                    prepared.parts().validationEnd(),
                    prepared.scaling().toMap());
        }

        private static List<String> names(Series series, List<Integer> columns) {
            return columns.stream().map(series.columnNames()::get).toList();
        }

        PreparedSeries.Settings prepared(int window) {
            return new PreparedSeries.Settings(
                    window,
                    horizon,
                    Check.choice("--missing", missing, MissingValues.class),
                    Check.choice("--scaling", scaling, SeriesScaling.Kind.class),
                    Check.choice("--transform", transform, SeriesScaling.Transform.class));
        }

        Series read(String file) throws DataException {
            return Series.read(Path.of(file), new Series.Columns(table.options(), date, targets, inputs));
        }
    }

    @Override
    String dataNeeded() {
        return "a CSV file";
    }

    @Override
    String useInstead() {
        return "forecast";
    }

    @Override
    Defaults defaults(String preset) {
        return new Defaults(32, 1, 0, 32, 0, 2_000, 0, "adam", 0.005, 0.1, 1, 1);
    }

    @Override
    Data data(RunConfig config) throws IOException {
        Settings settings = config.series();
        Series series = settings.read(config.data());
        SeriesParts parts = settings.trainingEnd() > 0 ? parts(series, settings) : newParts(series, settings);
        if (settings.period() > 0) {
            Check.range("--period", settings.period(), 2, parts.trainingEnd() - 1);
        }
        int window = config.timeSteps() > 0 ? config.timeSteps() : window(series, parts, settings);
        PreparedSeries prepared = PreparedSeries.fit(series, parts, settings.prepared(window));
        SeriesWindows windows = prepared.windows(Part.TRAINING, 1);
        RunConfig found = config.withTimeSteps(window).withSeries(settings.found(prepared));
        BatchSource training = new ShuffledBatches(
                windows, Math.min(config.batch(), windows.size()), config.seed(), ShuffledBatches.Mode.PER_EPOCH);
        ModelSpec model = ModelSpec.of(
                Form.sequence(windows.features()), lstm(config, windows.features()), Dense.of(windows.targetSize()));
        return new Data(found, model, training, sequential(prepared.windows(Part.VALIDATION, 1)), test(prepared));
    }

    private static SeriesParts newParts(Series series, Settings settings) throws DataException {
        if (series.length() <= 2L * settings.horizon()) {
            throw new DataException(series.name() + " should have more than 2 x " + settings.horizon()
                    + " steps, one horizon to validate with and one to test with, but has " + series.length()
                    + ": lower --horizon or give a longer series");
        }
        return SeriesParts.ofShares(series.length(), HELD_OUT, HELD_OUT, settings.horizon());
    }

    /** The parts that the model was trained with; what has been added to the series since then is tested too. */
    private static SeriesParts parts(Series series, Settings settings) throws DataException {
        int begin = settings.validationEnd();
        if (series.length() - begin < settings.horizon()) {
            throw new DataException(series.name() + " should have " + (begin + settings.horizon())
                    + " or more steps, of which the model's test begins after " + begin + ", but has "
                    + series.length() + ": give the series that it was trained on, or that with later values");
        }
        // Forecasts side by side need whole horizons.
        int whole = begin + (series.length() - begin) % settings.horizon();
        return new SeriesParts(settings.trainingEnd(), whole, series.length());
    }

    /** Two seasons, unless they are long. */
    private static int window(Series series, SeriesParts parts, Settings settings) throws DataException {
        int period = settings.period();
        if (period == 0) {
            period = PreparedSeries.fit(series, parts, settings.prepared(1)).period(0);
        }
        int wanted = period > 0 && 2 * period < USUAL_WINDOW ? 2 * period : USUAL_WINDOW;
        return Math.max(1, Math.min(wanted, parts.trainingEnd() / 3));
    }

    /** Whether a series has a test part for a trained model. */
    static boolean reachesTest(RunConfig config, Series series) {
        return series.length() - config.series().validationEnd()
                >= config.series().horizon();
    }

    /** A series as a trained model sees it, cut where its training cut it. */
    static PreparedSeries prepared(RunConfig config, Series series) throws DataException {
        return prepared(config, series, parts(series, config.series()));
    }

    /** The same, cut otherwise. */
    static PreparedSeries prepared(RunConfig config, Series series, SeriesParts parts) throws DataException {
        return PreparedSeries.with(
                SeriesScaling.fromMap(config.series().fitted()),
                series,
                parts,
                config.series().prepared(config.timeSteps()));
    }

    private static Test test(PreparedSeries prepared) {
        Series series = prepared.series();
        int begin = prepared.parts().validationEnd();
        return new Test(
                sequential(prepared.walkForward(Part.TEST)),
                String.format(
                        Locale.ROOT,
                        "the last %,d steps of %s, %s to %s,",
                        series.length() - begin,
                        series.name(),
                        series.label(begin),
                        series.label(series.length() - 1)),
                prepared);
    }

    @Override
    Test test(RunConfig config) throws IOException {
        Series series = config.series().read(config.data());
        return test(prepared(config, series));
    }

    @Override
    void requireWhole(RunConfig config) {
        Settings settings = config.series();
        settings.table().options();
        settings.prepared(config.timeSteps());
        if (settings.fitted() == null || settings.targets() == null || settings.inputs() == null) {
            throw new IllegalArgumentException("the scaling or the columns of the series are missing");
        }
        Check.range("training end", settings.trainingEnd(), 1, settings.validationEnd());
        Check.range("period", settings.period(), 0, Integer.MAX_VALUE);
    }

    @Override
    long outputs(RunConfig config) {
        return (long) config.series().horizon() * config.series().targets().size();
    }

    @Override
    Result result(RunConfig config, Test test, Evaluation evaluation, Model model) {
        float[] predictions = new Evaluator(model, loss()).predict(test.source());
        PreparedSeries prepared = test.series();
        List<ForecastComparison> comparisons = prepared.compare(
                prepared.walkForward(Part.TEST), predictions, config.series().period());
        List<String> lines = new ArrayList<>();
        lines.add("Forecasts of " + test.size() + " " + config.series().horizon()
                + (config.series().horizon() == 1 ? " step" : " steps") + " at a time:");
        boolean differences = prepared.settings().transform().differences();
        for (ForecastComparison comparison : comparisons) {
            addTable(lines, comparison);
            if (comparison.skill() < 0 && !differences) {
                lines.add(
                        "Where the series has a trend, try --transform difference, or log-difference for one in percent.");
            }
        }
        JsonArray targets = new JsonArray();
        for (ForecastComparison comparison : comparisons) {
            lines.add(testLine(comparison, comparisons.size() > 1));
            targets.add(facts(comparison));
        }
        JsonObject facts = new JsonObject();
        facts.add("targets", targets);
        return new Result(lines, facts);
    }

    private static void addTable(List<String> lines, ForecastComparison comparison) {
        String row = "%-22s %11s %11s %8s %8s %8s";
        lines.add("");
        lines.add(String.format(Locale.ROOT, row, comparison.column(), "MAE", "RMSE", "MAPE %", "sMAPE %", "MASE"));
        lines.add(row(row, "this model", comparison.model()));
        lines.add(row(row, "last value", comparison.lastValue()));
        if (comparison.seasonal() != null) {
            lines.add(row(row, "same season (" + comparison.period() + ")", comparison.seasonal()));
        }
        double skill = comparison.skill();
        if (!Double.isNaN(skill)) {
            boolean seasonal = comparison.seasonal() != null
                    && comparison.seasonal().mae() < comparison.lastValue().mae();
            String naive = seasonal ? "the same season's value" : "the last value";
            lines.add(
                    skill > 0
                            ? String.format(
                                    Locale.ROOT,
                                    "Its mean absolute error is %.1f %% smaller than that of repeating %s.",
                                    100 * skill,
                                    naive)
                            : String.format(
                                    Locale.ROOT,
                                    "Repeating %s is no worse: this model's mean absolute error is %.1f %% larger.",
                                    naive,
                                    -100 * skill));
        }
    }

    private static String row(String format, String name, ForecastErrors errors) {
        return String.format(
                Locale.ROOT,
                format,
                name,
                figure(errors.mae()),
                figure(errors.rmse()),
                figure(errors.mape()),
                figure(errors.smape()),
                figure(errors.mase()));
    }

    private static String testLine(ForecastComparison comparison, boolean named) {
        return String.format(
                Locale.ROOT,
                "Testing RMSE%s: %s (last value %s%s)",
                named ? " of " + comparison.column() : "",
                figure(comparison.model().rmse()),
                figure(comparison.lastValue().rmse()),
                comparison.seasonal() == null
                        ? ""
                        : ", same season " + figure(comparison.seasonal().rmse()));
    }

    /** Of the scaled values, which only the training looks at. */
    @Override
    String testLine(RunConfig config, Evaluation test) {
        return String.format(Locale.ROOT, "Testing Mean Squared Error: %.6f", test.loss());
    }

    /** Four digits that count, and all those before the point. */
    static String figure(double value) {
        if (Double.isNaN(value)) {
            return "-";
        }
        if (value == 0 || Math.abs(value) >= 1e9 || Math.abs(value) < 1e-6) {
            return value == 0 ? "0" : String.format(Locale.ROOT, "%.3e", value);
        }
        int before = (int) Math.floor(Math.log10(Math.abs(value))) + 1;
        return String.format(Locale.ROOT, "%." + Math.max(0, 4 - before) + "f", value);
    }

    private static JsonObject facts(ForecastComparison comparison) {
        JsonObject facts = new JsonObject();
        facts.addProperty("column", comparison.column());
        facts.addProperty("period", comparison.period());
        facts.add("model", facts(comparison.model()));
        facts.add("lastValue", facts(comparison.lastValue()));
        if (comparison.seasonal() != null) {
            facts.add("sameSeason", facts(comparison.seasonal()));
        }
        facts.addProperty("skill", finite(comparison.skill()));
        return facts;
    }

    private static JsonObject facts(ForecastErrors errors) {
        JsonObject facts = new JsonObject();
        facts.addProperty("count", errors.count());
        facts.addProperty("mae", finite(errors.mae()));
        facts.addProperty("rmse", finite(errors.rmse()));
        facts.addProperty("mape", finite(errors.mape()));
        facts.addProperty("smape", finite(errors.smape()));
        facts.addProperty("mase", finite(errors.mase()));
        return facts;
    }

    /** JSON has no NaN. */
    private static Double finite(double value) {
        return Double.isFinite(value) ? value : null;
    }
}
