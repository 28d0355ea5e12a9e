package carousel.lesson;

/**
 * What was measured of two networks that differ in their cell only.
 *
 * @param rnn the plain one
 * @param lstm the other
 * @param trivialError the mean squared error of always answering 1
 */
public record LessonReport(Network rnn, Network lstm, double trivialError) {
    /**
     * One network.
     *
     * @param parameters how many numbers are trained
     * @param before its gradients as it was drawn
     * @param after its gradients when trained; null without training
     * @param error its mean squared error on the test sequences, trained or not
     * @param seconds its training took
     */
    public record Network(long parameters, GradientNorms before, GradientNorms after, double error, double seconds) {}
}
