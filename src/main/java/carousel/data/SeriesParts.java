package carousel.data;

/**
 * A series cut in time: steps {@code [0, trainingEnd)} to learn from, {@code [trainingEnd, validationEnd)} to judge by while
 * learning, {@code [validationEnd, end)} to judge by in the end. Validation and test may be empty.
 */
public record SeriesParts(int trainingEnd, int validationEnd, int end) {
    /** One of the three. */
    public enum Part {
        TRAINING,
        VALIDATION,
        TEST
    }

    public SeriesParts {
        if (trainingEnd < 1 || validationEnd < trainingEnd || end < validationEnd) {
            throw new IllegalArgumentException("the ends of a series' parts should be 1 or more and in order but got "
                    + trainingEnd + ", " + validationEnd + " and " + end);
        }
    }

    /** All of a series for training. */
    public static SeriesParts whole(int length) {
        return new SeriesParts(length, length, length);
    }

    /**
     * The last steps for validation and for testing.
     *
     * @param validation 0 or more
     * @param test 0 or more; together less than the length
     * @throws IllegalArgumentException if they are not
     */
    public static SeriesParts ofCounts(int length, int validation, int test) {
        if (validation < 0 || test < 0 || (long) validation + test >= length) {
            throw new IllegalArgumentException(
                    "the steps for validation and test should be 0 or more and leave some of " + length
                            + " for training but got " + validation + " and " + test);
        }
        return new SeriesParts(length - test - validation, length - test, length);
    }

    /**
     * The last shares of the steps for validation and for testing, each a whole number of horizons, so that forecasts side
     * by side cover a part: rounded down, but one horizon for a share above 0.
     *
     * @param validation in [0, 1)
     * @param test in [0, 1); together below 1
     * @throws IllegalArgumentException if they are not, or nothing is left for training
     */
    public static SeriesParts ofShares(int length, double validation, double test, int horizon) {
        if (!(validation >= 0 && test >= 0 && validation + test < 1)) {
            throw new IllegalArgumentException(
                    "the shares for validation and test should be 0 or more and together below 1 but got " + validation
                            + " and " + test);
        }
        SeriesWindows.requireHorizon(horizon);
        return ofCounts(length, whole(length * validation, horizon), whole(length * test, horizon));
    }

    private static int whole(double steps, int horizon) {
        return steps == 0 ? 0 : (int) Math.min(Integer.MAX_VALUE, Math.max(1, (long) steps / horizon) * horizon);
    }

    /** The first step of a part. */
    public int begin(Part part) {
        return switch (part) {
            case TRAINING -> 0;
            case VALIDATION -> trainingEnd;
            case TEST -> validationEnd;
        };
    }

    /** The step after a part's last. */
    public int end(Part part) {
        return switch (part) {
            case TRAINING -> trainingEnd;
            case VALIDATION -> validationEnd;
            case TEST -> end;
        };
    }
}
