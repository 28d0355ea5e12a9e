package carousel.cli;

import carousel.data.Forecasts;
import carousel.data.PreparedSeries;
import carousel.data.SeriesParts.Part;
import carousel.data.SeriesScaling.Transform;
import carousel.data.SeriesWindows;
import carousel.training.Evaluator;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;

/**
 * How far a model's forecasts have been off, so many steps ahead, in the parts of a series that it was not fitted to: where the
 * middle {@value #PERCENT} percent of the errors lie. With a logarithm they are taken as factors. It is what was measured, no more:
 * a series that changes its ways will be further off.
 *
 * @param count of the forecasts it was measured by
 * @param factors whether low and high are factors; otherwise they are differences
 * @param low by steps ahead, counted from 0
 * @param high the same
 */
record ErrorBand(int count, boolean factors, double[] low, double[] high) {
    static final int PERCENT = 80;

    /** With fewer forecasts a tenth of them says nothing. */
    private static final int LEAST = 20;

    /**
     * One for each target.
     *
     * @param prepared with validation and test parts that the model was not fitted to
     * @return no elements where there are too few forecasts to measure
     */
    static List<ErrorBand> measure(PreparedSeries prepared, Evaluator evaluator) {
        List<List<Forecasts>> parts = new ArrayList<>();
        for (Part part : List.of(Part.VALIDATION, Part.TEST)) {
            SeriesWindows windows = prepared.windows(part, 1);
            parts.add(prepared.forecasts(windows, evaluator.predict(Task.sequential(windows))));
        }
        Transform transform = prepared.settings().transform();
        List<ErrorBand> bands = new ArrayList<>();
        for (int j = 0; j < prepared.series().targets().size(); j++) {
            int target = j;
            ErrorBand band = of(
                    parts.stream().map(part -> part.get(target)).toList(),
                    prepared.settings().horizon(),
                    transform.logarithmic());
            if (band == null) {
                return List.of();
            }
            bands.add(band);
        }
        return bands;
    }

    private static ErrorBand of(List<Forecasts> parts, int horizon, boolean factors) {
        double[] low = new double[horizon];
        double[] high = new double[horizon];
        int least = Integer.MAX_VALUE;
        for (int h = 0; h < horizon; h++) {
            int ahead = h;
            double[] errors = parts.stream()
                    .flatMapToDouble(part -> IntStream.range(0, part.actual().length)
                            .mapToDouble(w -> factors
                                    ? part.actual()[w][ahead] / part.forecast()[w][ahead]
                                    : part.actual()[w][ahead] - part.forecast()[w][ahead]))
                    .filter(Double::isFinite)
                    .sorted()
                    .toArray();
            least = Math.min(least, errors.length);
            if (least < LEAST) {
                return null;
            }
            low[h] = quantile(errors, (100 - PERCENT) / 200.0);
            high[h] = quantile(errors, (100 + PERCENT) / 200.0);
        }
        return new ErrorBand(least, factors, low, high);
    }

    /** On the line between the two nearest. */
    private static double quantile(double[] sorted, double share) {
        double at = share * (sorted.length - 1);
        int below = (int) at;
        int above = Math.min(below + 1, sorted.length - 1);
        return sorted[below] + (at - below) * (sorted[above] - sorted[below]);
    }

    /** The lower ends for forecasts; NaN beyond the steps that were measured. */
    double[] lower(double[] forecast) {
        return around(forecast, low);
    }

    /** The upper ends. */
    double[] upper(double[] forecast) {
        return around(forecast, high);
    }

    private double[] around(double[] forecast, double[] errors) {
        double[] ends = new double[forecast.length];
        Arrays.setAll(
                ends,
                h -> h >= errors.length ? Double.NaN : factors ? forecast[h] * errors[h] : forecast[h] + errors[h]);
        return ends;
    }
}
