package carousel.training;

import carousel.data.Batch;
import carousel.engine.Loss;
import carousel.layer.Model;
import carousel.optimizer.Optimizer;
import java.util.Optional;
import java.util.function.BooleanSupplier;

/**
 * Steps that are taken on other machines, on data that is there. A {@link Trainer} that has some keeps the model, the optimizer and
 * all that it knows of a run; what comes back is what its own engine would have computed, to rounding.
 */
public interface RemoteSteps extends AutoCloseable {
    /** How many steps there are between two moments at which the parameters of all machines are the same, 1 or more. */
    int together();

    /**
     * Says what is trained, and how, before anything else is asked.
     *
     * @throws RuntimeException where the steps cannot be taken
     */
    void begin(Model model, Loss loss, Optimizer optimizer);

    /**
     * Where {@link #together()} is 1, leaves in {@link Model#gradients()} the gradient of a step's mean loss, of its whole batch, at the model's parameters.
     *
     * @param seed of dropout
     * @param step steps done before it
     * @return sums of the batch's losses, of what is right, and of weights, as {@link carousel.engine.Engine#loss} reports them
     */
    double[] gradient(long seed, long step);

    /**
     * Takes steps where {@link #together()} is more than 1, and leaves the parameters and the optimizer's moments as they are after them.
     *
     * @param moments in and out
     * @param seed of dropout
     * @param step steps done before them
     * @param count 1 to {@link #together()}
     * @param rateFactor what the schedule's learning rate is multiplied by
     * @return for each step what {@link #gradient} returns
     */
    double[][] advance(Optimizer.State moments, long seed, long step, int count, double rateFactor);

    /**
     * Loss and accuracy on the data held out, at the model's parameters.
     *
     * @param stopped whether the answer is no longer needed
     * @return nothing when it came true
     * @throws IllegalStateException when none is held out there
     */
    Optional<Evaluation> validate(BooleanSupplier stopped);

    /** The batch of a step, for who wants to see it; null where it is only on the other machines. */
    Batch batch(long step);

    /** What these steps remember from one call to the next, for a checkpoint; null for nothing. */
    double[] memory();

    /** Goes back, or forward, to what a checkpoint has; null for nothing. */
    void restore(double[] memory);

    /** Gives back what the other machines hold. */
    @Override
    void close();
}
