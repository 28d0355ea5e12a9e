package carousel.data;

/**
 * Forecasts of one target column from the windows of a part, beside what came, in the units of the series.
 *
 * @param column its name
 * @param firstTargets the step of each window's first target
 * @param actual {@code [windows][horizon]}; NaN where the file has no value
 * @param forecast {@code [windows][horizon]}
 * @param naiveError what {@link ForecastErrors#mase} is measured by
 */
public record Forecasts(String column, int[] firstTargets, double[][] actual, double[][] forecast, double naiveError) {
    /** Over all windows and steps. */
    public ForecastErrors errors() {
        return ForecastErrors.of(actual, forecast, naiveError);
    }

    /**
     * Of the forecasts for one step alone.
     *
     * @param ahead in [1, horizon]
     */
    public ForecastErrors errors(int ahead) {
        return ForecastErrors.of(column(actual, ahead - 1), column(forecast, ahead - 1), naiveError);
    }

    private static double[][] column(double[][] values, int h) {
        double[][] column = new double[values.length][];
        for (int w = 0; w < values.length; w++) {
            column[w] = new double[] {values[w][h]};
        }
        return column;
    }
}
