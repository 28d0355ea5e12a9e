package carousel.training;

import carousel.optimizer.Plateau;
import java.util.List;
import java.util.Objects;

/**
 * All that a trainer knows besides tensors, for a checkpoint. Random numbers and batches are functions of the seed and the step,
 * so the position is the step.
 *
 * @param step steps done
 * @param seed of dropout
 * @param rateFactor what reductions on plateaus have made of the learning rate
 * @param ratePlateau null without a reduction on plateaus
 * @param stopPlateau null without early stopping
 * @param bestLoss the lowest validation loss so far; infinite before the first
 * @param bestStep the step it was reached at
 * @param lossSum of the unfinished epoch so far, like the next two
 * @param recentLossSum since it was last shown, like the next two
 * @param epochs reports of the finished epochs
 * @param stoppedEarly whether early stopping has ended the run
 * @param lossScale null without a dynamic one, and in checkpoints from before there were any
 */
public record TrainingState(
        long step,
        long seed,
        double rateFactor,
        Plateau.Snapshot ratePlateau,
        Plateau.Snapshot stopPlateau,
        double bestLoss,
        long bestStep,
        double lossSum,
        double rightSum,
        double weightSum,
        double recentLossSum,
        double recentRightSum,
        double recentWeightSum,
        List<EpochReport> epochs,
        boolean stoppedEarly,
        LossScale.State lossScale) {

    /** Throws {@link IllegalArgumentException} for what no trainer saves, as a damaged file may have it. */
    public TrainingState {
        if (step < 0
                || lossScale != null && lossScale.skippedSteps() > step
                || !(rateFactor > 0)
                || epochs == null
                || epochs.stream().anyMatch(Objects::isNull)) {
            throw new IllegalArgumentException("its state is not whole");
        }
        epochs = List.copyOf(epochs);
    }
}
