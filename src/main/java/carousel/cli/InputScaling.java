package carousel.cli;

import carousel.data.SeriesScaling;
import carousel.data.SeriesScaling.Column;

/**
 * How numbers that a person gives become those that a model was trained with: {@code (value - offset) / scale}, for each feature
 * of a time step.
 *
 * @param allowed what a number should be, for messages
 * @param least the least number allowed
 * @param most the largest
 * @param columns of the features; null where all of them have the one scale
 * @param scale of all features
 */
record InputScaling(String allowed, float least, float most, SeriesScaling columns, double scale) {
    /** Numbers as they are. */
    static final InputScaling NONE = new InputScaling("finite", -Float.MAX_VALUE, Float.MAX_VALUE, null, 1);

    /** Pixels. */
    static final InputScaling PIXELS = new InputScaling("a pixel in the [0, 255] range", 0, 255, null, 255);

    static InputScaling of(SeriesScaling columns) {
        return new InputScaling(NONE.allowed, NONE.least, NONE.most, columns, 1);
    }

    /** Whether a number is allowed; not a NaN. */
    boolean allows(float value) {
        return value >= least && value <= most;
    }

    float scaled(int feature, float value) {
        Column column = columns == null ? null : columns.columns().get(feature);
        return (float) (column == null ? value / scale : column.scaled(value));
    }
}
