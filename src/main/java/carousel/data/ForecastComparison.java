package carousel.data;

/**
 * A model's errors beside those of forecasts that need no model, on exactly the same values.
 *
 * @param column the target's name
 * @param period of the season; 0 without one
 * @param lastValue of repeating the last known value
 * @param seasonal of repeating the value one season before; null without a season
 */
public record ForecastComparison(
        String column, int period, ForecastErrors model, ForecastErrors lastValue, ForecastErrors seasonal) {

    /**
     * How much smaller the model's mean absolute error is than that of the better one of the two: 1 is perfect, 0 no better,
     * below 0 worse. NaN where they make no error.
     */
    public double skill() {
        double naive = seasonal == null ? lastValue.mae() : Math.min(lastValue.mae(), seasonal.mae());
        return naive > 0 ? 1 - model.mae() / naive : Double.NaN;
    }
}
