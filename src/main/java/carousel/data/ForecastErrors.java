package carousel.data;

/**
 * How far forecasts are from what came, in the units of the series.
 *
 * @param count of values; missing ones are not counted
 * @param mae mean absolute error
 * @param rmse root of the mean squared error
 * @param mape mean absolute error in percent of the actual values; NaN if one of them is 0
 * @param smape mean of {@code 200 |f - a| / (|f| + |a|)}, in percent, from 0 to 200; 0 where both are 0
 * @param mase mean absolute error as a multiple of the naive forecast's in training, with a season the seasonal naive
 *     forecast's (Hyndman &amp; Koehler, 2006); NaN if that has none
 */
public record ForecastErrors(long count, double mae, double rmse, double mape, double smape, double mase) {
    /** @param naiveError the mean absolute error of the naive forecast in training, one step ahead */
    static ForecastErrors of(double[][] actual, double[][] forecast, double naiveError) {
        long count = 0;
        double absolute = 0;
        double squared = 0;
        double relative = 0;
        double symmetric = 0;
        for (int w = 0; w < actual.length; w++) {
            for (int h = 0; h < actual[w].length; h++) {
                double a = actual[w][h];
                if (Double.isNaN(a)) {
                    continue;
                }
                double error = Math.abs(forecast[w][h] - a);
                count++;
                absolute += error;
                squared += error * error;
                relative += error / Math.abs(a);
                symmetric += error == 0 ? 0 : error / (Math.abs(a) + Math.abs(forecast[w][h]));
                if (a == 0) {
                    relative = Double.NaN;
                }
            }
        }
        return new ForecastErrors(
                count,
                absolute / count,
                Math.sqrt(squared / count),
                100 * relative / count,
                200 * symmetric / count,
                naiveError > 0 ? absolute / count / naiveError : Double.NaN);
    }
}
