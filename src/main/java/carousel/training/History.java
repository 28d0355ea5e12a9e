package carousel.training;

import java.util.List;

/**
 * How a training run went.
 *
 * @param epochs one report for each finished epoch, and one for a last, partial epoch
 * @param end why it ended
 * @param steps steps done in total
 */
public record History(List<EpochReport> epochs, End end, long steps) {
    /** Why a run ended. */
    public enum End {
        /** All steps are done. */
        FINISHED,
        /** The validation loss stopped falling. */
        STOPPED_EARLY,
        /** {@link Trainer#requestStop()} was called. */
        STOPPED_ON_REQUEST
    }

    public History {
        epochs = List.copyOf(epochs);
    }
}
