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
        super("the loss became " + loss + " at step " + step + " with a learning rate of " + learningRate
                + ": lower the learning rate or clip the gradients");
        this.step = step;
    }

    /** The step whose loss it was, counted from 1. */
    public long step() {
        return step;
    }
}
