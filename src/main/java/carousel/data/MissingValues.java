package carousel.data;

/** What becomes of missing values. */
public enum MissingValues {
    /** On the line between the known values before and after; at the ends the nearest known value. */
    INTERPOLATE,
    /** The known value before, which needs no look ahead; at the beginning the first known value. */
    PREVIOUS,
    /** The file is refused. */
    REFUSE;

    /**
     * Fills NaNs from within {@code [from, to)} and, where there is one, the value before.
     *
     * @return whether there was anything known to fill with
     */
    boolean fill(double[] values, int from, int to) {
        int known = from - 1;
        for (int k = from; k < to; k++) {
            if (Double.isNaN(values[k])) {
                continue;
            }
            for (int gap = known + 1; gap < k; gap++) {
                if (known < 0) {
                    values[gap] = values[k];
                } else if (this == INTERPOLATE) {
                    double share = (gap - known) / (double) (k - known);
                    values[gap] = values[known] * (1 - share) + values[k] * share;
                } else {
                    values[gap] = values[known];
                }
            }
            known = k;
        }
        for (int gap = known + 1; gap < to && known >= 0; gap++) {
            values[gap] = values[known];
        }
        return known >= 0;
    }
}
