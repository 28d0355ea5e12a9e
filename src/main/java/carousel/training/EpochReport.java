package carousel.training;

/**
 * One line of a history.
 *
 * @param epoch counted from 1
 * @param step steps done so far
 * @param loss mean over the epoch's training batches, as they were when they were trained on
 * @param accuracy likewise; NaN where the loss has no notion of it
 * @param validationLoss after the epoch, on the validation data; NaN without any
 * @param validationAccuracy likewise
 * @param learningRate of the last step
 * @param seconds the epoch took, validation included
 */
public record EpochReport(
        int epoch,
        long step,
        double loss,
        double accuracy,
        double validationLoss,
        double validationAccuracy,
        double learningRate,
        double seconds) {

    /** Whether there was validation data. */
    public boolean validated() {
        return !Double.isNaN(validationLoss);
    }
}
