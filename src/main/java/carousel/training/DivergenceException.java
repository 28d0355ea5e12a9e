package carousel.training;

/** The loss is no longer a number: nothing that follows would be worth anything. */
public final class DivergenceException extends RuntimeException {
    private static final long serialVersionUID = 1;

    private final long step;

    /**
     * @param step whose loss it was, counted from 1
     * @param loss infinite or not a number
     */
    public DivergenceException(long step, double loss, double learningRate) {
        this("the loss became " + loss, step, learningRate, "lower the learning rate or clip the gradients");
    }

    private DivergenceException(String what, long step, double learningRate, String remedy) {
        super(what + " at step " + step + " with a learning rate of " + learningRate + ": " + remedy);
        this.step = step;
    }

    /** A parameter is no longer a finite number after this step, counted from 1. */
    static DivergenceException ofParameters(long step, double learningRate) {
        return new DivergenceException(
                "a parameter became infinite or not a number",
                step,
                learningRate,
                "lower the learning rate or clip the gradients");
    }

    /** The loss of this step, counted from 1, is finite and its gradients are not, with no loss scale left to lower. */
    static DivergenceException ofGradients(long step, double learningRate) {
        return new DivergenceException(
                "the gradients were not finite, even with the loss scale down to 1,",
                step,
                learningRate,
                "lower the learning rate, or compute in BF16 or FP32");
    }

    /** The step it was noticed at, counted from 1. */
    public long step() {
        return step;
    }
}
