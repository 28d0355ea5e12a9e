package carousel.training;

import carousel.data.Batch;

/** Called by a {@link Trainer} on its thread. What it throws ends the training. */
public interface Callback {
    /** Before the first step, also of a resumed run. */
    default void onStart(Trainer trainer) {}

    /**
     * After each step, or after several that {@link RemoteSteps} take together.
     *
     * @param batch what the last of them was trained on; null where that is on other machines only
     */
    default void onStep(Trainer trainer, Batch batch) {}

    /** After each epoch. */
    default void onEpoch(Trainer trainer, EpochReport report) {}

    /** After the last step, before the best parameters are put back. */
    default void onEnd(Trainer trainer) {}
}
