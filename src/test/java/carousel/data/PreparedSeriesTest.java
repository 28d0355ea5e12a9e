package carousel.data;

import static carousel.fixture.Refusals.assertRefused;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.data.PreparedSeries.Settings;
import carousel.data.SeriesParts.Part;
import carousel.data.SeriesScaling.Kind;
import carousel.data.SeriesScaling.Transform;
import carousel.engine.RandomSequence;
import carousel.golden.PublishedData;
import java.io.IOException;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

class PreparedSeriesTest {
    private static final double NAN = Double.NaN;

    @Test
    void windowsHoldTheStepsBeforeTheirTargets() throws DataException {
        Series series = Series.of(CsvTableTest.table(lines(10)), "ten", columns(List.of("b"), List.of("b", "a")));
        PreparedSeries prepared = PreparedSeries.fit(series, SeriesParts.ofCounts(10, 2, 2), unscaled(3, 2));
        SeriesWindows training = prepared.windows(Part.TRAINING, 1);
        assertEquals(2, training.size());
        assertEquals(3, training.timeSteps());
        assertEquals(2, training.features());
        assertEquals(2, training.targetSize());
        assertEquals(0, training.classes());
        Batch batch = new SequentialBatches(training, 2).batch(0);
        // [T, N, C]: window 0 has steps 0 to 2, window 1 steps 1 to 3; b is ten times a.
        assertArrayEquals(new float[] {0, 0, 10, 1, 10, 1, 20, 2, 20, 2, 30, 3}, batch.inputs());
        assertArrayEquals(new float[] {30, 40, 40, 50}, batch.targets());

        SeriesWindows test = prepared.windows(Part.TEST, 1);
        assertEquals(1, test.size());
        assertEquals(8, test.firstTarget(0));
        Batch last = new SequentialBatches(test, 1).batch(0);
        assertArrayEquals(new float[] {50, 5, 60, 6, 70, 7}, last.inputs());
        assertArrayEquals(new float[] {80, 90}, last.targets());
        assertEquals(6, prepared.windows(Part.VALIDATION, 1).firstTarget(0));
    }

    @Test
    void severalTargetsLieStepByStep() throws DataException {
        Series series = Series.of(CsvTableTest.table(lines(8)), "eight", columns(List.of("a", "b"), List.of("a")));
        PreparedSeries prepared = PreparedSeries.fit(series, SeriesParts.whole(8), unscaled(2, 3));
        Batch batch = new SequentialBatches(prepared.windows(Part.TRAINING, 2), 1).batch(1);
        assertArrayEquals(new float[] {2, 3}, batch.inputs());
        assertArrayEquals(new float[] {4, 40, 5, 50, 6, 60}, batch.targets());
    }

    /** Many shapes: within its part each target of a walk forward is there exactly once, and no window looks ahead. */
    @Test
    void walkForwardCoversAPartExactlyOnce() throws DataException {
        for (int k = 0; k < 300; k++) {
            RandomSequence random = new RandomSequence(3, 0, k);
            int timeSteps = 1 + random.nextInt(5);
            int horizon = 1 + random.nextInt(4);
            int length = 3 * (timeSteps + horizon) + random.nextInt(40);
            SeriesParts parts = SeriesParts.ofShares(length, 0.2 * random.nextDouble(), 0.3, horizon);
            double[] values = new double[length];
            Arrays.setAll(values, step -> step);
            PreparedSeries prepared =
                    PreparedSeries.fit(Series.of("steps", values), parts, unscaled(timeSteps, horizon));
            for (SeriesWindows windows : List.of(prepared.walkForward(Part.TEST), prepared.windows(Part.TEST, 1))) {
                int[] seen = new int[length];
                Batch batch = windows.newBatch(1);
                for (int w = 0; w < windows.size(); w++) {
                    windows.read(w, batch, 0);
                    assertEquals(windows.firstTarget(w) - 1, batch.inputs()[timeSteps - 1]);
                    for (float target : batch.targets()) {
                        seen[(int) target]++;
                    }
                }
                boolean once = windows.size() * horizon == parts.end() - parts.validationEnd();
                assertTrue(once || windows.firstTarget(windows.size() - 1) == length - horizon);
                for (int step = 0; step < length; step++) {
                    boolean inPart = step >= parts.validationEnd();
                    assertTrue(once ? seen[step] == (inPart ? 1 : 0) : inPart == seen[step] > 0, "case " + k);
                }
            }
            assertEquals(
                    (parts.end() - parts.validationEnd()) / horizon,
                    prepared.walkForward(Part.TEST).size());
        }
    }

    @Test
    void refusesAWalkThatWouldLeaveValuesOut() throws DataException {
        PreparedSeries prepared =
                PreparedSeries.fit(Series.of("s", new double[20]), SeriesParts.ofCounts(20, 0, 7), unscaled(2, 3));
        assertRefused(
                IllegalArgumentException.class, () -> prepared.walkForward(Part.TEST), "multiple", "give it 6 or 9");
        assertRefused(
                IllegalArgumentException.class, () -> prepared.windows(Part.VALIDATION, 1), "validation", "only 0");
        assertThrows(IllegalArgumentException.class, () -> prepared.windows(Part.TEST, 0));
    }

    /** Whatever is changed in later parts, what is learnt from stays the same to the last bit. */
    @ParameterizedTest
    @EnumSource
    void laterPartsDoNotLeakIntoEarlierOnes(Transform transform) throws DataException {
        int length = 60;
        SeriesParts parts = SeriesParts.ofCounts(length, 10, 12);
        Settings settings = new Settings(4, 2, MissingValues.INTERPOLATE, Kind.STANDARD, transform);
        RandomSequence random = new RandomSequence(9, 0, transform.ordinal());
        double[] values = new double[length];
        for (int k = 0; k < length; k++) {
            values[k] = random.nextInt(5) == 0 ? NAN : random.uniform(1, 9);
        }
        values[0] = 3;
        values[parts.trainingEnd() - 1] = NAN;
        values[parts.validationEnd() - 1] = NAN;
        PreparedSeries before = PreparedSeries.fit(Series.of("s", values), parts, settings);
        for (int from : new int[] {parts.trainingEnd(), parts.validationEnd()}) {
            double[] changed = values.clone();
            for (int k = from; k < length; k++) {
                changed[k] = random.uniform(5, 50);
            }
            PreparedSeries after = PreparedSeries.fit(Series.of("s", changed), parts, settings);
            assertEquals(before.scaling(), after.scaling());
            assertEquals(before.period(0), after.period(0));
            assertEquals(contents(before.windows(Part.TRAINING, 1)), contents(after.windows(Part.TRAINING, 1)));
            assertNotEquals(contents(before.windows(Part.TEST, 1)), contents(after.windows(Part.TEST, 1)));
            boolean sameValidation =
                    contents(before.windows(Part.VALIDATION, 1)).equals(contents(after.windows(Part.VALIDATION, 1)));
            assertEquals(from == parts.validationEnd(), sameValidation);
        }
    }

    /** Whatever a forecast is judged by, its window and the naive forecasts beside it stay the same, gaps or not. */
    @Test
    void whatAForecastIsJudgedByDoesNotLeakIntoItsWindow() throws DataException {
        int length = 60;
        SeriesParts parts = SeriesParts.ofCounts(length, 10, 12);
        RandomSequence random = new RandomSequence(10, 0, 0);
        double[] values = new double[length];
        for (int k = 0; k < length; k++) {
            values[k] = k > 0 && random.nextInt(3) == 0 ? NAN : random.uniform(1, 9);
        }
        PreparedSeries before = PreparedSeries.fit(Series.of("s", values), parts, unscaled(4, 2));
        for (Part part : new Part[] {Part.VALIDATION, Part.TEST}) {
            SeriesWindows windows = before.windows(part, 1);
            for (int w = 0; w < windows.size(); w++) {
                double[] changed = values.clone();
                for (int k = windows.firstTarget(w); k < length; k++) {
                    changed[k] = 100;
                }
                PreparedSeries after = PreparedSeries.fit(Series.of("s", changed), parts, unscaled(4, 2));
                Batch one = windows.newBatch(1);
                Batch other = windows.newBatch(1);
                windows.read(w, one, 0);
                after.windows(part, 1).read(w, other, 0);
                assertArrayEquals(one.inputs(), other.inputs(), part + ", window " + w);
                assertArrayEquals(
                        before.lastValue(windows, 0).forecast()[w],
                        after.lastValue(after.windows(part, 1), 0).forecast()[w]);
            }
        }
    }

    @Test
    void errorsAreThoseOfAHandCalculation() throws DataException {
        // Training 1 3 2 4: the last value's error is (2 + 1 + 2) / 3 = 5/3. Test: 10 missing 20 0.
        Series series = Series.of("s", 1, 3, 2, 4, 10, NAN, 20, 0);
        PreparedSeries prepared = PreparedSeries.fit(series, SeriesParts.ofCounts(8, 0, 4), unscaled(1, 2));
        SeriesWindows windows = prepared.walkForward(Part.TEST);
        Forecasts forecasts =
                prepared.forecasts(windows, new float[] {8, 100, 23, 1}).get(0);
        assertArrayEquals(new int[] {4, 6}, forecasts.firstTargets());
        ForecastErrors errors = forecasts.errors();
        assertEquals(3, errors.count(), "a missing value can't be compared");
        assertEquals((2 + 3 + 1) / 3.0, errors.mae(), 1e-12);
        assertEquals(Math.sqrt((4 + 9 + 1) / 3.0), errors.rmse(), 1e-12);
        assertEquals(NAN, errors.mape(), "one of the values is 0");
        assertEquals(200 * (2 / 18.0 + 3 / 43.0 + 1) / 3, errors.smape(), 1e-12);
        assertEquals(2 / (5 / 3.0), errors.mase(), 1e-12);
        ForecastErrors first = forecasts.errors(1);
        assertEquals(2, first.count());
        assertEquals(100 * (0.2 + 0.15) / 2, first.mape(), 1e-12);
        assertEquals(1, forecasts.errors(2).count());

        // The last known values: 4 for both steps of the first window, and for the second that before the missing one.
        Forecasts last = prepared.lastValue(windows, 0);
        assertArrayEquals(new double[] {4, 4}, last.forecast()[0]);
        assertArrayEquals(new double[] {10, 10}, last.forecast()[1]);
        // Season of 3: steps 1 and 2 for steps 4 and 5, then 3 and 4 for 6 and 7.
        Forecasts seasonal = prepared.seasonalNaive(windows, 0, 3);
        assertArrayEquals(new double[] {3, 2}, seasonal.forecast()[0]);
        assertArrayEquals(new double[] {4, 10}, seasonal.forecast()[1]);
        // Season of 1 again the last value; the forecast of a season shorter than the horizon repeats.
        assertArrayEquals(
                new double[] {4, 4}, prepared.seasonalNaive(windows, 0, 1).forecast()[0]);
        ForecastComparison comparison =
                prepared.compare(windows, new float[] {8, 100, 23, 1}, 3).get(0);
        assertEquals(errors.mae(), comparison.model().mae());
        assertEquals(2 / 3.0, comparison.model().mase(), 1e-12, "one season of training: |4 - 1| = 3");
        assertEquals((6 + 10 + 10) / 3.0, comparison.lastValue().mae(), 1e-12);
        assertEquals((7 + 16 + 10) / 3.0, comparison.seasonal().mae(), 1e-12);
        assertEquals(1 - 2 / (26 / 3.0), comparison.skill(), 1e-12);
        assertThrows(IllegalArgumentException.class, () -> prepared.seasonalNaive(windows, 0, 4));
        assertThrows(IllegalArgumentException.class, () -> prepared.compare(windows, new float[3], 0));
    }

    /** Predicting the scaled targets themselves gives the values of the file back, through every transform. */
    @ParameterizedTest
    @EnumSource
    void rightPredictionsAreTheValues(Transform transform) throws DataException {
        RandomSequence random = new RandomSequence(4, 0, transform.ordinal());
        for (Kind kind : Kind.values()) {
            double[] values = new double[50];
            Arrays.setAll(values, k -> random.uniform(100, 900));
            PreparedSeries prepared = PreparedSeries.fit(
                    Series.of("s", values),
                    SeriesParts.ofCounts(50, 0, 12),
                    new Settings(5, 3, MissingValues.REFUSE, kind, transform));
            for (Part part : List.of(Part.TRAINING, Part.TEST)) {
                SeriesWindows windows = prepared.windows(part, 1);
                Batch batch = new SequentialBatches(windows, 1000).batch(0);
                ForecastErrors errors =
                        prepared.forecasts(windows, batch.targets()).get(0).errors();
                assertTrue(errors.rmse() < 0.01, transform + " " + kind + " " + part + " " + errors);
                assertEquals(windows.size() * 3L, errors.count());
            }
            // A model saved with its scaling goes on alike.
            PreparedSeries again = PreparedSeries.with(
                    SeriesScaling.fromMap(prepared.scaling().toMap()),
                    prepared.series(),
                    prepared.parts(),
                    prepared.settings());
            assertEquals(contents(prepared.windows(Part.TEST, 3)), contents(again.windows(Part.TEST, 3)));
        }
    }

    @ParameterizedTest
    @CsvSource({"NONE", "DIFFERENCE", "LOG", "LOG_DIFFERENCE"})
    void forecastsGoOnFromTheirOwnForecasts(Transform transform) throws DataException {
        Series series = Series.of("s", 1, 2, 4, 8, 16, 32);
        PreparedSeries prepared = PreparedSeries.fit(
                series, SeriesParts.whole(6), new Settings(2, 2, MissingValues.REFUSE, Kind.NONE, transform));
        double[][] next = prepared.forecast(5, batch -> {
            assertEquals(2, batch.timeSteps());
            float last = batch.inputs()[1];
            return switch (transform) {
                case NONE -> new float[] {2 * last, 4 * last};
                case DIFFERENCE -> new float[] {2 * last, 4 * last};
                case LOG -> new float[] {last + (float) Math.log(2), last + 2 * (float) Math.log(2)};
                case LOG_DIFFERENCE -> new float[] {last, last};
            };
        });
        assertArrayEquals(new double[] {64, 128, 256, 512, 1024}, next[0], 0.01);
        assertThrows(IllegalArgumentException.class, () -> prepared.forecast(0, batch -> new float[2]));
        assertThrows(IllegalArgumentException.class, () -> prepared.forecast(1, batch -> new float[3]));
    }

    @Test
    void forecastsBeyondTheHorizonNeedAllInputs() throws DataException {
        Series series = Series.of(CsvTableTest.table(lines(10)), "ten", columns(List.of("b"), List.of("a", "b")));
        PreparedSeries prepared = PreparedSeries.fit(series, SeriesParts.whole(10), unscaled(2, 2));
        assertArrayEquals(new double[] {5, 6}, prepared.forecast(2, batch -> new float[] {5, 6})[0]);
        assertRefused(
                IllegalArgumentException.class,
                () -> prepared.forecast(3, batch -> new float[2]),
                "at most 2",
                "not all inputs are targets");
    }

    @Test
    void refusesSeriesThatCannotBePrepared() {
        Settings log = new Settings(2, 1, MissingValues.PREVIOUS, Kind.NONE, Transform.LOG);
        assertRefused(
                DataException.class,
                () -> PreparedSeries.fit(Series.of("s", 1, 2, 0, 4), SeriesParts.whole(4), log),
                "'s' at '3'",
                "above 0",
                "is 0.0");
        Settings refuse = new Settings(2, 1, MissingValues.REFUSE, Kind.NONE, Transform.NONE);
        assertRefused(
                DataException.class,
                () -> PreparedSeries.fit(Series.of("s", 1, NAN, 3, 4), SeriesParts.whole(4), refuse),
                "'s' at '2'",
                "is missing");
        assertRefused(
                DataException.class,
                () -> PreparedSeries.fit(
                        Series.of("s", NAN, NAN, NAN, 4), SeriesParts.ofCounts(4, 0, 1), unscaled(1, 1)),
                "training part",
                "all 3 are missing");
        assertRefused(
                DataException.class,
                () -> PreparedSeries.fit(Series.of("s", 1, 2, 3, 4), SeriesParts.ofCounts(4, 1, 1), unscaled(2, 1)),
                "3 or more steps",
                "but has 2");
        assertRefused(
                DataException.class,
                () -> PreparedSeries.fit(
                        Series.of("s", 1e-30, 2e-30, 3e-30, 1e30), SeriesParts.ofCounts(4, 0, 1), Settings.of(1, 1)),
                "'s' at '4'",
                "near to the values of the training part");
        assertThrows(
                IllegalArgumentException.class,
                () -> PreparedSeries.fit(Series.of("s", 1, 2, 3, 4), SeriesParts.whole(3), unscaled(1, 1)));
        assertThrows(IllegalArgumentException.class, () -> Settings.of(0, 1));
        assertThrows(IllegalArgumentException.class, () -> Settings.of(1, 0));
    }

    @Test
    void refusesAScalingOfAnotherSeries() throws DataException {
        Series series = Series.of("s", 1, 2, 3, 4, 5);
        SeriesParts parts = SeriesParts.whole(5);
        SeriesScaling scaling = PreparedSeries.fit(
                        Series.of("other", 1, 2, 3, 4), SeriesParts.whole(4), Settings.of(1, 1))
                .scaling();
        assertRefused(
                DataException.class,
                () -> PreparedSeries.with(scaling, series, parts, Settings.of(1, 1)),
                "'other'",
                "'s'");
        SeriesScaling own = PreparedSeries.fit(series, parts, Settings.of(1, 1)).scaling();
        assertThrows(
                IllegalArgumentException.class,
                () -> PreparedSeries.with(
                        own, series, parts, new Settings(1, 1, MissingValues.REFUSE, Kind.STANDARD, Transform.LOG)));
    }

    @Test
    void partsAreWholeHorizons() {
        assertEquals(new SeriesParts(70, 82, 100), SeriesParts.ofShares(100, 0.15, 0.2, 6));
        assertEquals(new SeriesParts(88, 88, 100), SeriesParts.ofShares(100, 0, 0.01, 12));
        assertEquals(new SeriesParts(100, 100, 100), SeriesParts.ofShares(100, 0, 0, 12));
        assertEquals(new SeriesParts(5, 7, 10), SeriesParts.ofCounts(10, 2, 3));
        assertThrows(IllegalArgumentException.class, () -> SeriesParts.ofShares(10, 0, 0.1, 12));
        assertThrows(IllegalArgumentException.class, () -> SeriesParts.ofShares(10, 0.5, 0.5, 1));
        assertThrows(IllegalArgumentException.class, () -> SeriesParts.ofShares(10, NAN, 0.5, 1));
        assertThrows(IllegalArgumentException.class, () -> SeriesParts.ofCounts(10, 5, 5));
        assertThrows(IllegalArgumentException.class, () -> new SeriesParts(3, 2, 4));
    }

    @Test
    void findsTheSeason() {
        double[] season = new double[100];
        Arrays.setAll(season, k -> 0.5 * k + 10 * Math.sin(2 * Math.PI * k / 7) + new int[] {0, 3, 1}[k % 3]);
        assertEquals(7, SeasonalPeriod.detect(season, List.of()));
        double[] none = new double[200];
        RandomSequence random = new RandomSequence(1, 0, 0);
        Arrays.setAll(none, k -> random.nextGaussian());
        assertEquals(0, SeasonalPeriod.detect(none, List.of()));
        Arrays.setAll(none, k -> 3.7 * k - 100);
        assertEquals(0, SeasonalPeriod.detect(none, List.of()), "a straight line has no season");
        assertEquals(0, SeasonalPeriod.detect(new double[50], List.of()));
        assertEquals(0, SeasonalPeriod.detect(new double[] {1, 2}, List.of()));
    }

    @Test
    void publishedSeriesHaveTheirSeasons() throws IOException {
        Series airline = Series.read(PublishedData.file("series", "airline-passengers.csv"), Series.Columns.DETECTED);
        PreparedSeries months = PreparedSeries.fit(
                airline,
                SeriesParts.ofCounts(144, 0, 24),
                new Settings(12, 12, MissingValues.REFUSE, Kind.STANDARD, Transform.LOG));
        assertEquals(12, months.period(0));
        SeriesWindows windows = months.walkForward(Part.TEST);
        assertEquals(2, windows.size());
        ForecastComparison comparison =
                months.compare(windows, new float[24], 0).get(0);
        assertEquals(24, comparison.model().count());
        // Mean of |x(t) - x(t - 12)| over 1959 and 1960.
        assertEquals(47.5833, comparison.seasonal().mae(), 1e-4);
        // And of |x(t) - the December before|.
        assertEquals(83.6667, comparison.lastValue().mae(), 1e-4);

        Series temperatures =
                Series.read(PublishedData.file("series", "daily-min-temperatures.csv"), Series.Columns.DETECTED);
        PreparedSeries days =
                PreparedSeries.fit(temperatures, SeriesParts.ofCounts(3650, 365, 365), Settings.of(30, 1));
        assertEquals(365, days.period(0));
        assertEquals(365, days.walkForward(Part.TEST).size());
    }

    private static Settings unscaled(int timeSteps, int horizon) {
        return new Settings(timeSteps, horizon, MissingValues.INTERPOLATE, Kind.NONE, Transform.NONE);
    }

    /** Columns a and b: k and 10 k. */
    private static String lines(int count) {
        StringBuilder text = new StringBuilder("a,b\n");
        for (int k = 0; k < count; k++) {
            text.append(k).append(',').append(10 * k).append('\n');
        }
        return text.toString();
    }

    private static Series.Columns columns(List<String> targets, List<String> inputs) {
        return new Series.Columns(CsvOptions.DETECTED, null, targets, inputs);
    }

    private static String contents(SequenceDataset dataset) {
        Batch batch = new SequentialBatches(dataset, dataset.size()).batch(0);
        return Arrays.toString(batch.inputs()) + Arrays.toString(batch.targets());
    }
}
