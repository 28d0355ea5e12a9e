package carousel.cli;

import java.util.List;
import java.util.Locale;

/**
 * What a task or preset trains with where nothing is said. Steps or epochs, the other being 0.
 *
 * @param timeSteps of a sequence, or 0 where the data says
 * @param sgdRate the rate of the rules that do not normalise the gradient
 */
record Defaults(
        int hidden,
        int layers,
        double dropout,
        int batch,
        int timeSteps,
        long steps,
        int epochs,
        String optimizer,
        double adamRate,
        double sgdRate,
        double clip,
        double decay) {

    /** One layer and Adam, for so many epochs. */
    static Defaults ofEpochs(int hidden, int batch, int epochs, double adamRate) {
        return new Defaults(hidden, 1, 0, batch, 0, 0, epochs, "adam", adamRate, 0.1, 1, 1);
    }

    double rate(String rule) {
        boolean normalised = List.of("adam", "adamw", "rmsprop").contains(rule.toLowerCase(Locale.ROOT));
        return normalised ? adamRate : sgdRate;
    }
}
