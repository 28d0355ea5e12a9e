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
 * @param vector the parameters, and behind them moments where there is an optimizer that has some
 */
record Round(long seed, long step, int[][] members, int[] firsts, Optimizer optimizer, double rateFactor, Vector vector)
        implements Serializable {}
