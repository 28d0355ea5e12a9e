package carousel.layer;

import carousel.tensor.Shape;
import carousel.tensor.Tensor;

/**
 * The steps of a batch that count. Engines know sequences that end early but not steps left out anywhere; so the steps that count
 * are moved together to the start, the pass's lengths become their numbers, and what comes out of the last layer that reads
 * lengths is moved back: there a step that was left out shows the output before it, or zeros.
 */
final class StepMask {
    private final int timeSteps;
    private final int batchSize;
    private final int[] lengths;
    /** {@code [T N]}: where a row of the shortened sequences comes from; behind their ends row 0, which nothing reads. */
    private final int[] origins;

    private final boolean[] counts;
    private StepRows together;
    private StepRows apart;

    /**
     * @param counts {@code [T N]}: whether a step counts
     * @param valid valid steps of each sequence, those behind counting never; null for all
     */
    StepMask(boolean[] counts, int batchSize, int[] valid) {
        this.timeSteps = counts.length / batchSize;
        this.batchSize = batchSize;
        this.counts = counts.clone();
        this.lengths = new int[batchSize];
        this.origins = new int[counts.length];
        for (int n = 0; n < batchSize; n++) {
            for (int t = 0; t < timeSteps; t++) {
                int row = t * batchSize + n;
                if (valid != null && t >= valid[n]) {
                    this.counts[row] = false;
                } else if (counts[row]) {
                    origins[lengths[n]++ * batchSize + n] = row;
                }
            }
        }
    }

    /** The number of steps of each sequence that count. */
    int[] lengths() {
        return lengths;
    }

    /** Moves the steps of {@code [T, N, C]} that count together. */
    Tensor together(Pass pass, Tensor x) {
        together = StepRows.of(pass, "masked", origins);
        return together.take(pass, "masked", x);
    }

    /** How the result of {@link #together} changes with what it reads. */
    Tensor togetherTangent(Pass pass, Tensor x) {
        return together.take(pass, "tangent of masked", x);
    }

    /** The gradient of what {@link #together} read. Steps that do not count have none. */
    Tensor togetherBackward(Pass pass, Tensor dy) {
        return together.giveBack(pass, "gradient of masked", dy);
    }

    /**
     * Moves outputs back to their own steps.
     *
     * @param y {@code [T, N, C]}, zero past the ends of the shortened sequences
     * @param held whether a step left out shows the output before it and zeros only where there is none; otherwise zeros
     * @param before {@code [N, C]}: the outputs before the first step, where the sequences go on from a state; null for none
     * @param valid as above: behind the end of a sequence there are zeros
     */
    Tensor apart(Pass pass, Tensor y, boolean held, Tensor before, int[] valid) {
        int[] rows = new int[counts.length];
        for (int n = 0; n < batchSize; n++) {
            int done = 0;
            for (int t = 0; t < timeSteps; t++) {
                int row = t * batchSize + n;
                done += counts[row] ? 1 : 0;
                boolean shown = counts[row] || held && (valid == null || t < valid[n]);
                if (shown && (done > 0 || before != null)) {
                    // What came before the first step lies behind the last.
                    rows[row] = (done > 0 ? done - 1 : timeSteps) * batchSize + n;
                } else {
                    // Where a step is left out the shortened sequence ends before T, and what follows its end is zero.
                    rows[row] = lengths[n] * batchSize + n;
                }
            }
        }
        apart = StepRows.of(pass, "unmasked", rows);
        return apart.take(pass, "unmasked", before == null ? y : followed(pass, y, before));
    }

    /** {@code y [T, N, C]} with one more step behind it. */
    private Tensor followed(Pass pass, Tensor y, Tensor step) {
        int width = step.shape().extent(1);
        int rows = timeSteps * batchSize;
        Tensor both = pass.scope().allocate("y and before", rows + batchSize, width);
        Tensor first = both.view("y", 0, Shape.of(rows, width));
        Tensor second = both.view("before", (long) rows * width, Shape.of(batchSize, width));
        pass.engine().copyColumns(Model.rows(y), 0, first, 0, width);
        pass.engine().copyColumns(step, 0, second, 0, width);
        return both;
    }

    /** The gradient of y in {@link #apart}; there is none of what came before. */
    Tensor apartBackward(Pass pass, Tensor dy) {
        return apart.giveBack(pass, "gradient of unmasked", dy);
    }
}
