package carousel.training;

/**
 * How a model does on a data set.
 *
 * @param loss the mean loss
 * @param accuracy the share that is right, in [0, 1]; NaN where the loss has no notion of it
 * @param count how much was looked at: sequences, or time steps for a model that answers at each
 */
public record Evaluation(double loss, double accuracy, double count) {}
