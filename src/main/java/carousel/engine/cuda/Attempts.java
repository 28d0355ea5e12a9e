package carousel.engine.cuda;

import carousel.engine.EngineException;
import java.util.Locale;
import java.util.Map;

/**
 * Ways of computing the same, tried on the same numbers; one of them is sure.
 *
 * @param <W> a way
 */
public interface Attempts<W> extends AutoCloseable {
    /** How long a pass takes, or an {@link EngineException}. */
    float milliseconds(W way);

    /**
     * How far a way's results are from those of the sure one, by their names: the largest difference as a part of the largest number,
     * or what is not a number where the difference is none.
     */
    Map<String, Double> deviations(W way);

    /** Whether some way did not show what it can for want of memory; asked before {@link #close}. */
    default boolean poor() {
        return false;
    }

    @Override
    void close();

    /**
     * Opens what it takes to try ways.
     *
     * @param <S> what they are tried on
     * @param <W> a way
     */
    interface Trial<S, W> {
        Attempts<W> open(S shape);
    }

    /**
     * A race in which every way but the sure one is compared with it before it is measured.
     *
     * @param <W> a way
     */
    class CheckedCourse<W> implements Race.Course<W> {
        private final Attempts<W> attempts;
        private final W sure;
        private final String sureWords;
        private final double allowed;

        /**
         * @param sureWords what the sure way is called in a sentence
         * @param allowed how far results may be from those of the sure way, see {@link #deviations}
         */
        public CheckedCourse(Attempts<W> attempts, W sure, String sureWords, double allowed) {
            this.attempts = attempts;
            this.sure = sure;
            this.sureWords = sureWords;
            this.allowed = allowed;
        }

        @Override
        public float milliseconds(W way) {
            if (!way.equals(sure)) {
                attempts.deviations(way).forEach(this::check);
            }
            return attempts.milliseconds(way);
        }

        private void check(String what, double deviation) {
            // Not the other way round: what is not a number is too far as well.
            if (!(deviation <= allowed)) {
                throw new Race.Unfit(String.format(
                        Locale.ROOT,
                        "deviates from %s by %.2g of the largest in %s where %.2g is allowed",
                        sureWords,
                        deviation,
                        what,
                        allowed));
            }
        }

        @Override
        public boolean harmless(EngineException failure) {
            return false;
        }

        @Override
        public String reason(EngineException failure) {
            return "fails (" + failure.getMessage() + ")";
        }
    }
}
