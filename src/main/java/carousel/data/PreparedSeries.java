package carousel.data;

import carousel.data.SeriesParts.Part;
import carousel.data.SeriesScaling.Column;
import carousel.data.SeriesScaling.Kind;
import carousel.data.SeriesScaling.Transform;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.function.Function;

/**
 * A series as a network learns from it: cut into parts, without missing values, transformed and scaled; and the way back,
 * from what the network says to forecasts in the series' units.
 *
 * <p>Nothing of a later part gets into an earlier one, and nothing of what a forecast is judged by into its window: missing values
 * are filled as asked in the training part and with the value before in the others, and scaling and season come from the
 * training part alone.
 */
public final class PreparedSeries {
    /** The longest windows. */
    public static final int MAX_TIME_STEPS = 1_000_000;

    private final Series series;
    private final SeriesParts parts;
    private final Settings settings;
    private final SeriesScaling scaling;
    /** {@code [columns][length]}, missing ones filled. */
    private final double[][] filled;
    /** {@code [columns][length]}. */
    private final float[][] scaled;

    /**
     * How a series is prepared.
     *
     * @param timeSteps T, the steps that a forecast is made from, in [1, {@value PreparedSeries#MAX_TIME_STEPS}]
     * @param horizon the steps that a forecast is made for, 1 or more
     * @param scaling of all columns
     * @param transform of the targets
     */
    public record Settings(
            int timeSteps, int horizon, MissingValues missing, SeriesScaling.Kind scaling, Transform transform) {
        public Settings {
            if (timeSteps < 1 || timeSteps > MAX_TIME_STEPS) {
                throw new IllegalArgumentException("the time steps of a forecast should be in the [1, " + MAX_TIME_STEPS
                        + "] range but got " + timeSteps);
            }
            SeriesWindows.requireHorizon(horizon);
        }

        /** Missing values interpolated, columns standardised, targets not transformed. */
        public static Settings of(int timeSteps, int horizon) {
            return new Settings(timeSteps, horizon, MissingValues.INTERPOLATE, Kind.STANDARD, Transform.NONE);
        }
    }

    private PreparedSeries(Series series, SeriesParts parts, Settings settings, SeriesScaling given)
            throws DataException {
        this.series = series;
        this.parts = parts;
        this.settings = settings;
        int columns = series.columnNames().size();
        filled = new double[columns][];
        double[][] transformed = new double[columns][];
        for (int column = 0; column < columns; column++) {
            filled[column] = fill(column);
            transformed[column] = transform(column).apply(positive(column));
        }
        this.scaling = given == null ? fit(transformed) : given;
        scaled = new float[columns][series.length()];
        for (int column = 0; column < columns; column++) {
            for (int step = 0; step < series.length(); step++) {
                float value = (float) scaling.columns().get(column).scaled(transformed[column][step]);
                if (!Float.isFinite(value)) {
                    throw refused(
                            column,
                            step,
                            "should be near to the values of the training part, which are in a range of about "
                                    + scaling.columns().get(column).scale());
                }
                scaled[column][step] = value;
            }
        }
    }

    /**
     * Fits the scaling to the training part.
     *
     * @throws DataException if the training part has too few steps, a column has no value in it, a value is missing that may
     *     not be, or one is not above 0 whose logarithm is to be taken
     */
    public static PreparedSeries fit(Series series, SeriesParts parts, Settings settings) throws DataException {
        requireLength(series, parts);
        long needed = (long) settings.timeSteps()
                + settings.horizon()
                + (settings.transform().differences() ? 1 : 0);
        if (parts.trainingEnd() < needed) {
            throw new DataException("the training part of " + series.name() + " should have " + needed
                    + " or more steps for windows of " + settings.timeSteps() + " and a horizon of "
                    + settings.horizon() + " but has " + parts.trainingEnd() + ": lower them or give a longer series");
        }
        return new PreparedSeries(series, parts, settings, null);
    }

    /**
     * Takes the scaling that came with a model.
     *
     * @throws DataException if its columns are not those of the series, or the series can't be prepared
     */
    public static PreparedSeries with(SeriesScaling scaling, Series series, SeriesParts parts, Settings settings)
            throws DataException {
        requireLength(series, parts);
        List<String> names = scaling.columns().stream().map(Column::name).toList();
        if (!names.equals(series.columnNames())) {
            throw new DataException(series.name() + " should have the columns "
                    + CsvTable.listed(names) + " that the model was trained with but has "
                    + CsvTable.listed(series.columnNames()) + ": name them alike");
        }
        for (int column = 0; column < names.size(); column++) {
            Transform expected = series.targets().contains(column) ? settings.transform() : Transform.NONE;
            if (scaling.columns().get(column).transform() != expected) {
                throw new IllegalArgumentException("the transform of " + DataException.quote(names.get(column))
                        + " should be " + scaling.columns().get(column).transform()
                        + ", as the model was trained with, but got " + expected);
            }
        }
        return new PreparedSeries(series, parts, settings, scaling);
    }

    private static void requireLength(Series series, SeriesParts parts) {
        if (parts.end() != series.length()) {
            throw new IllegalArgumentException("the parts of " + series.name() + " should end at its length "
                    + series.length() + " but got " + parts.end());
        }
    }

    private double[] fill(int column) throws DataException {
        double[] values = series.values(column);
        for (int step = 0; step < values.length && settings.missing() == MissingValues.REFUSE; step++) {
            if (Double.isNaN(values[step])) {
                throw refused(column, step, "should not be missing");
            }
        }
        boolean known = settings.missing().fill(values, 0, parts.trainingEnd());
        if (!known) {
            throw new DataException("the training part of " + series.name() + " should have values in column "
                    + DataException.quote(series.columnNames().get(column)) + " but all "
                    + parts.trainingEnd() + " are missing: choose other columns or parts");
        }
        // Between the value before and the one after would tell a forecast something of what it is judged by.
        MissingValues.PREVIOUS.fill(values, parts.trainingEnd(), parts.validationEnd());
        MissingValues.PREVIOUS.fill(values, parts.validationEnd(), parts.end());
        return values;
    }

    private Transform transform(int column) {
        return series.targets().contains(column) ? settings.transform() : Transform.NONE;
    }

    private double[] positive(int column) throws DataException {
        for (int step = 0; step < series.length() && transform(column).logarithmic(); step++) {
            if (!(filled[column][step] > 0)) {
                throw refused(column, step, "should be above 0 for its logarithm to be taken");
            }
        }
        return filled[column];
    }

    private DataException refused(int column, int step, String allowed) {
        double value = filled[column] == null ? Double.NaN : filled[column][step];
        return new DataException(
                "the value of " + DataException.quote(series.columnNames().get(column)) + " at "
                        + DataException.quote(series.label(step)) + " in " + series.name() + " " + allowed + " but is "
                        + (Double.isNaN(value) ? "missing" : value) + ": correct it or choose another treatment");
    }

    private SeriesScaling fit(double[][] transformed) {
        List<Column> columns = new ArrayList<>();
        for (int column = 0; column < transformed.length; column++) {
            Transform transform = transform(column);
            columns.add(SeriesScaling.fit(
                    settings.scaling(),
                    series.columnNames().get(column),
                    transform,
                    transformed[column],
                    transform.differences() ? 1 : 0,
                    parts.trainingEnd()));
        }
        return new SeriesScaling(settings.scaling(), columns);
    }

    /** The series as it was read. */
    public Series series() {
        return series;
    }

    /** How the series is cut. */
    public SeriesParts parts() {
        return parts;
    }

    /** How the series is prepared. */
    public Settings settings() {
        return settings;
    }

    /** How the columns are scaled: goes with the model. */
    public SeriesScaling scaling() {
        return scaling;
    }

    /**
     * All windows of a part, one target step after the other. Inputs of a window in the validation or test part reach back
     * before it.
     *
     * @param stride the steps from one window to the next, 1 or more
     * @throws IllegalArgumentException if the part has not one window
     */
    public SeriesWindows windows(Part part, int stride) {
        if (stride < 1) {
            throw new IllegalArgumentException("the stride of windows should be 1 or more but got " + stride);
        }
        int first = Math.max(
                parts.begin(part), settings.timeSteps() + (settings.transform().differences() ? 1 : 0));
        int room = parts.end(part) - settings.horizon() - first;
        if (room < 0) {
            throw new IllegalArgumentException("the " + part.name().toLowerCase(Locale.ROOT) + " part of "
                    + series.name() + " should have 1 or more windows of " + settings.timeSteps()
                    + " steps and a horizon of " + settings.horizon() + " but has only "
                    + (parts.end(part) - parts.begin(part)) + " steps");
        }
        String name = series.name() + " " + part.name().toLowerCase(Locale.ROOT);
        return new SeriesWindows(
                name,
                columns(series.inputs()),
                columns(series.targets()),
                settings.timeSteps(),
                settings.horizon(),
                first,
                stride,
                1 + room / stride);
    }

    /**
     * The windows of a part whose targets lie side by side, so that each value of the part is forecast exactly once, as if
     * time went on by one horizon after the other.
     *
     * @throws IllegalArgumentException if the part is not a whole number of horizons
     */
    public SeriesWindows walkForward(Part part) {
        SeriesWindows windows = windows(part, settings.horizon());
        int steps = parts.end(part) - windows.firstTarget(0);
        if (steps % settings.horizon() != 0) {
            throw new IllegalArgumentException("the steps of a part of " + series.name()
                    + " should be a multiple of the horizon " + settings.horizon() + " but got " + steps
                    + ": give it " + (steps - steps % settings.horizon()) + " or "
                    + (steps + settings.horizon() - steps % settings.horizon()));
        }
        return windows;
    }

    private float[][] columns(List<Integer> which) {
        return which.stream().map(column -> scaled[column]).toArray(float[][]::new);
    }

    /**
     * A model's forecasts for some windows of this series.
     *
     * @param predictions what the model says {@code [windows, horizon * J]}, scaled, row-major
     * @return one for each target column
     */
    public List<Forecasts> forecasts(SeriesWindows windows, float[] predictions) {
        int targets = series.targets().size();
        if (predictions.length != (long) windows.size() * windows.targetSize()) {
            throw new IllegalArgumentException("the predictions for " + windows.name() + " should be " + windows.size()
                    + " x " + windows.targetSize() + " but got " + predictions.length);
        }
        List<Forecasts> forecasts = new ArrayList<>();
        for (int j = 0; j < targets; j++) {
            double[][] restored = new double[windows.size()][];
            for (int w = 0; w < restored.length; w++) {
                double[] y = new double[windows.horizon()];
                for (int h = 0; h < y.length; h++) {
                    y[h] = predictions[w * windows.targetSize() + h * targets + j];
                }
                restored[w] = restored(j, windows.firstTarget(w), y);
            }
            forecasts.add(beside(windows, j, restored, period(j)));
        }
        return forecasts;
    }

    private double[] restored(int target, int first, double[] y) {
        int column = series.targets().get(target);
        return scaling.columns().get(column).restored(y, filled[column][first - 1]);
    }

    private Forecasts beside(SeriesWindows windows, int target, double[][] forecast, int period) {
        int column = series.targets().get(target);
        int[] first = new int[windows.size()];
        double[][] actual = new double[windows.size()][windows.horizon()];
        for (int w = 0; w < first.length; w++) {
            first[w] = windows.firstTarget(w);
            for (int h = 0; h < actual[w].length; h++) {
                actual[w][h] = series.value(column, first[w] + h);
            }
        }
        return new Forecasts(
                series.columnNames().get(column), first, actual, forecast, naiveError(column, Math.max(1, period)));
    }

    private double naiveError(int column, int lag) {
        double sum = 0;
        for (int step = lag; step < parts.trainingEnd(); step++) {
            sum += Math.abs(filled[column][step] - filled[column][step - lag]);
        }
        return sum / (parts.trainingEnd() - lag);
    }

    /**
     * The season of a target, from the autocorrelation of the training part.
     *
     * @param target in [0, J)
     * @return steps, 2 or more; 0 for none
     */
    public int period(int target) {
        double[] training = Arrays.copyOf(filled[series.targets().get(target)], parts.trainingEnd());
        List<Integer> usual =
                series.times() == null ? List.of() : series.times().usualPeriods();
        return SeasonalPeriod.detect(training, usual);
    }

    /** The last known value as forecast for every step of a window. */
    public Forecasts lastValue(SeriesWindows windows, int target) {
        return naive(windows, target, 1, period(target));
    }

    /**
     * The value one season before as forecast; of the last season that was known at the window's end.
     *
     * @param period steps of a season, at most those of the training part
     * @throws IllegalArgumentException if it is out of range
     */
    public Forecasts seasonalNaive(SeriesWindows windows, int target, int period) {
        requirePeriod(period);
        return naive(windows, target, period, period);
    }

    private void requirePeriod(int period) {
        if (period < 1 || period >= parts.trainingEnd()) {
            throw new IllegalArgumentException("the period of a season of " + series.name() + " should be in the [1, "
                    + (parts.trainingEnd() - 1) + "] range but got " + period);
        }
    }

    private Forecasts naive(SeriesWindows windows, int target, int lag, int period) {
        double[] values = filled[series.targets().get(target)];
        double[][] forecast = new double[windows.size()][windows.horizon()];
        for (int w = 0; w < forecast.length; w++) {
            int first = windows.firstTarget(w);
            for (int h = 0; h < forecast[w].length; h++) {
                int known = first + h - lag * (1 + h / lag);
                // Before the first season there is only the last value.
                forecast[w][h] = values[known < 0 ? first - 1 : known];
            }
        }
        return beside(windows, target, forecast, period);
    }

    /**
     * A model's errors beside the naive forecasts'.
     *
     * @param predictions as in {@link #forecasts}
     * @param period of the season; 0 to find it out
     * @return one for each target column
     */
    public List<ForecastComparison> compare(SeriesWindows windows, float[] predictions, int period) {
        if (period != 0) {
            requirePeriod(period);
        }
        List<ForecastComparison> comparisons = new ArrayList<>();
        int target = 0;
        for (Forecasts model : forecasts(windows, predictions)) {
            int season = period == 0 ? period(target) : period;
            Forecasts same = beside(windows, target, model.forecast(), season);
            comparisons.add(new ForecastComparison(
                    model.column(),
                    season,
                    same.errors(),
                    naive(windows, target, 1, season).errors(),
                    season == 0 ? null : naive(windows, target, season, season).errors()));
            target++;
        }
        return comparisons;
    }

    /**
     * The steps after the series' end, in its units. Beyond one horizon the model's own forecasts are its inputs.
     *
     * @param steps 1 or more; more than one horizon only where all inputs are targets
     * @param model takes a batch of one window, valid until it returns, and gives {@code horizon * J} scaled values
     * @return {@code [J][steps]}
     * @throws IllegalArgumentException if the steps are out of range, or the series has less than one window
     */
    public double[][] forecast(int steps, Function<Batch, float[]> model) {
        int targets = series.targets().size();
        int timeSteps = settings.timeSteps();
        if (steps < 1 || steps > settings.horizon() && !series.targets().containsAll(series.inputs())) {
            throw new IllegalArgumentException("the steps to forecast of " + series.name() + " should be "
                    + (steps < 1
                            ? "1 or more"
                            : "at most " + settings.horizon() + ", the horizon, because not all inputs are targets,")
                    + " but got " + steps);
        }
        int first = settings.transform().differences() ? 1 : 0;
        if (series.length() - first < timeSteps) {
            throw new IllegalArgumentException("the series " + series.name() + " should have " + (timeSteps + first)
                    + " or more steps to forecast from but has " + series.length());
        }
        float[][] inputs = new float[series.inputs().size()][];
        for (int c = 0; c < inputs.length; c++) {
            float[] column = scaled[series.inputs().get(c)];
            inputs[c] = Arrays.copyOfRange(column, column.length - timeSteps, column.length + steps);
        }
        double[][] said = new double[targets][steps];
        Batch window = new Batch(timeSteps, 1, inputs.length, settings.horizon() * targets, false);
        for (int done = 0; done < steps; done += settings.horizon()) {
            SeriesWindows.readInputs(inputs, done, timeSteps, window, 0);
            float[] next = model.apply(window);
            if (next.length != settings.horizon() * targets) {
                throw new IllegalArgumentException("the model should give " + settings.horizon() * targets
                        + " values for a window but gave " + next.length);
            }
            for (int h = 0; h < settings.horizon() && done + h < steps; h++) {
                for (int j = 0; j < targets; j++) {
                    said[j][done + h] = next[h * targets + j];
                    int c = series.inputs().indexOf(series.targets().get(j));
                    if (c >= 0) {
                        inputs[c][timeSteps + done + h] = next[h * targets + j];
                    }
                }
            }
        }
        for (int j = 0; j < targets; j++) {
            said[j] = restored(j, series.length(), said[j]);
        }
        return said;
    }
}
