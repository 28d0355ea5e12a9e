package carousel.engine.vector;

import carousel.engine.LstmInput;

/**
 * The steps that each sequence of a batch has. A cell's steps are counted in the order in which it reads; in reverse, step 0
 * is at the sequence's true end.
 *
 * @param lengths null when all have {@code timeSteps} steps
 */
record Sequences(int timeSteps, int batchSize, int[] lengths) {
    static Sequences of(LstmInput input) {
        return new Sequences(input.x().shape().extent(0), input.x().shape().extent(1), input.lengths());
    }

    int length(int n) {
        return lengths == null ? timeSteps : lengths[n];
    }

    /** The time of a cell's step; of a time, likewise, the step. */
    int time(int step, int n, boolean reversed) {
        return reversed ? length(n) - 1 - step : step;
    }
}
