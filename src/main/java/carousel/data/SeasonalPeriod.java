package carousel.data;

import java.util.List;

/** Finds out how many steps make a season. */
final class SeasonalPeriod {
    /** Longer seasons are not looked for. */
    private static final int LONGEST = 1500;

    /** So many values are enough. */
    private static final int MOST_VALUES = 20_000;

    /** The least autocorrelation that passes for a season. */
    private static final double LEAST = 0.2;

    /** How far from the calendar's period a peak may be: noise moves wide peaks. */
    private static final double SNAP = 0.02;

    private SeasonalPeriod() {}

    /**
     * The lag of the highest autocorrelation after its first fall to 0, of the values without their linear trend.
     *
     * @param values finite; those of the training part
     * @param usual periods by the calendar; a peak close to one of them is taken for it
     * @return 2 or more, at most half the values; 0 for none
     */
    static int detect(double[] values, List<Integer> usual) {
        int n = Math.min(values.length, MOST_VALUES);
        double[] y = new double[n];
        double largest = 0;
        for (int k = 0; k < n; k++) {
            y[k] = values[values.length - n + k];
            largest = Math.max(largest, Math.abs(y[k]));
        }
        if (n < 6 || largest == 0) {
            return 0;
        }
        // Squares of the largest floats are no danger, but of the smallest doubles are.
        for (int k = 0; k < n; k++) {
            y[k] /= largest;
        }
        detrend(y);
        double variance = product(y, 0);
        int last = Math.min(n / 2, LONGEST);
        int lag = 1;
        while (lag <= last && product(y, lag) > 0) {
            lag++;
        }
        int best = 0;
        double highest = Math.max(LEAST, 2 / Math.sqrt(n)) * variance;
        for (; lag <= last; lag++) {
            double correlation = product(y, lag);
            if (correlation > highest) {
                highest = correlation;
                best = lag;
            }
        }
        if (variance <= 1e-20 * n || best < 2) {
            return 0;
        }
        for (int period : usual) {
            if (Math.abs(best - period) <= SNAP * period && period <= n / 2) {
                return period;
            }
        }
        return best;
    }

    private static double product(double[] y, int lag) {
        double sum = 0;
        for (int k = lag; k < y.length; k++) {
            sum += y[k] * y[k - lag];
        }
        return sum;
    }

    private static void detrend(double[] y) {
        double middle = (y.length - 1) / 2.0;
        double mean = 0;
        double slope = 0;
        double squares = 0;
        for (int k = 0; k < y.length; k++) {
            mean += y[k] / y.length;
            slope += (k - middle) * y[k];
            squares += (k - middle) * (k - middle);
        }
        slope /= squares;
        for (int k = 0; k < y.length; k++) {
            y[k] -= mean + slope * (k - middle);
        }
    }
}
