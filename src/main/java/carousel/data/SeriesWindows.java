package carousel.data;

import java.util.Objects;

/**
 * Windows over a series: T steps of its inputs, and as targets the values of the {@code horizon} steps that follow. Target
 * {@code h * J + j} is target column j of J, h steps after the window's end. A window belongs to a part of the series by its
 * targets, all of which are in the part; its inputs may reach back into the part before. Values are scaled.
 */
public final class SeriesWindows implements SequenceDataset {
    private final String name;
    private final float[][] inputs;
    private final float[][] targets;
    private final int timeSteps;
    private final int horizon;
    private final int first;
    private final int stride;
    private final int size;

    /**
     * @param inputs {@code [C][length]}
     * @param targets {@code [J][length]}
     * @param first the step of the first window's first target
     * @param size the number of windows, each {@code stride} steps after the one before
     */
    SeriesWindows(
            String name,
            float[][] inputs,
            float[][] targets,
            int timeSteps,
            int horizon,
            int first,
            int stride,
            int size) {
        this.name = name;
        this.inputs = inputs;
        this.targets = targets;
        this.timeSteps = timeSteps;
        this.horizon = horizon;
        this.first = first;
        this.stride = stride;
        this.size = size;
    }

    static void requireHorizon(int horizon) {
        if (horizon < 1) {
            throw new IllegalArgumentException(
                    "the horizon of a forecast should be 1 or more steps but got " + horizon);
        }
    }

    /** How many steps a window forecasts. */
    public int horizon() {
        return horizon;
    }

    /** The step of the series that a window's first target is; its last input is one before. */
    public int firstTarget(int index) {
        return first + Objects.checkIndex(index, size) * stride;
    }

    @Override
    public String name() {
        return name;
    }

    @Override
    public int size() {
        return size;
    }

    @Override
    public int timeSteps() {
        return timeSteps;
    }

    @Override
    public int features() {
        return inputs.length;
    }

    @Override
    public int classes() {
        return 0;
    }

    @Override
    public int targetSize() {
        return horizon * targets.length;
    }

    @Override
    public void read(int index, Batch into, int row) {
        int target = firstTarget(index);
        Objects.checkIndex(row, into.batchSize());
        readInputs(inputs, target - timeSteps, timeSteps, into, row);
        for (int h = 0; h < horizon; h++) {
            for (int j = 0; j < targets.length; j++) {
                into.targets()[row * targetSize() + h * targets.length + j] = targets[j][target + h];
            }
        }
    }

    static void readInputs(float[][] inputs, int from, int timeSteps, Batch into, int row) {
        for (int t = 0; t < timeSteps; t++) {
            int x = (t * into.batchSize() + row) * inputs.length;
            for (int c = 0; c < inputs.length; c++) {
                into.inputs()[x + c] = inputs[c][from + t];
            }
        }
    }
}
