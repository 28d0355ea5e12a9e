package carousel.spark;

import carousel.optimizer.Optimizer;
import java.io.Serializable;

/**
 * What the driver says at the beginning of a step, or of several that are taken together.
 *
 * @param seed of dropout
 * @param step steps done before
 * @param members of each step's batch, by their numbers in the whole dataset
 * @param firsts the number of each partition's first sequence, and behind them how many there are
 * @param optimizer what partitions step with by themselves; null where they only give their gradient
 * @param rateFactor the schedule's learning rate is multiplied by this
 * @param singles the parameters, and behind them moments where there is an optimizer that has some; null for a model in double
 * @param doubles the same for a model in double
 */
record Round(
        long seed,
        long step,
        int[][] members,
        int[] firsts,
        Optimizer optimizer,
        double rateFactor,
        float[] singles,
        double[] doubles)
        implements Serializable {

    /** One part of the vector, as it is written to an engine: see {@link Vector}. */
    Vector vector() {
        return new Vector(singles, doubles);
    }
}
