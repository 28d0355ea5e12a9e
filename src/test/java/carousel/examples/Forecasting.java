package carousel.examples;

import carousel.data.DataException;
import carousel.data.ForecastComparison;
import carousel.data.PreparedSeries;
import carousel.data.SequentialBatches;
import carousel.data.Series;
import carousel.data.SeriesParts;
import carousel.data.SeriesWindows;
import carousel.data.ShuffledBatches;
import carousel.engine.Engine;
import carousel.engine.Engines;
import carousel.engine.Loss;
import carousel.layer.Dense;
import carousel.layer.Form;
import carousel.layer.Lstm;
import carousel.layer.Model;
import carousel.layer.ModelSpec;
import carousel.optimizer.Optimizer;
import carousel.training.Trainer;
import java.util.Random;

/** The next values of a series, judged beside forecasts that need no model: the last value, and the one a season before. */
public final class Forecasting {
    private static final int WINDOW = 24;
    private static final int HORIZON = 6;
    private static final int SEASON = 12;

    private Forecasting() {}

    public static void main(String[] arguments) throws DataException {
        ForecastComparison comparison = compare("auto", 40);
        System.out.println(
                "mean absolute error of the model " + comparison.model().mae() + ", of the last value "
                        + comparison.lastValue().mae() + ", of the same season "
                        + comparison.seasonal().mae());
    }

    static ForecastComparison compare(String engineName, int epochs) throws DataException {
        Series series = Series.of("sales", sales(600));
        // Cut in time: the last 60 steps are the test, the 60 before choose the best epoch.
        SeriesParts parts = SeriesParts.ofCounts(series.length(), 60, 60);
        PreparedSeries prepared = PreparedSeries.fit(series, parts, PreparedSeries.Settings.of(WINDOW, HORIZON));
        SeriesWindows training = prepared.windows(SeriesParts.Part.TRAINING, 1);
        SeriesWindows test = prepared.walkForward(SeriesParts.Part.TEST);
        ModelSpec spec = ModelSpec.of(Form.sequence(training.features()), Lstm.of(32), Dense.of(training.targetSize()));
        try (Engine engine = Engines.open(engineName);
                Model model = Model.create(engine, spec, 1);
                Trainer trainer = Trainer.of(model)
                        .loss(Loss.MEAN_SQUARED_ERROR)
                        .optimizer(Optimizer.adam(0.005).withMaxNorm(1))
                        .keepBest()
                        .open()) {
            trainer.fit(
                    new ShuffledBatches(training, 32, 1, ShuffledBatches.Mode.PER_EPOCH),
                    new SequentialBatches(prepared.windows(SeriesParts.Part.VALIDATION, 1), 64),
                    epochs);
            return prepared.compare(test, trainer.predict(new SequentialBatches(test, 64)), SEASON)
                    .get(0);
        }
    }

    /** A season that grows and shrinks, a slow wave, and noise. */
    private static double[] sales(int months) {
        Random random = new Random(1);
        double[] sales = new double[months];
        for (int month = 0; month < months; month++) {
            double season = Math.sin(2 * Math.PI * month / SEASON) * (2 + Math.sin(2 * Math.PI * month / 90));
            sales[month] = 20 + 4 * Math.sin(2 * Math.PI * month / 70) + 2 * season + 0.5 * random.nextGaussian();
        }
        return sales;
    }
}
