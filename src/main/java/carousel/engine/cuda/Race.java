package carousel.engine.cuda;

import carousel.engine.EngineException;
import carousel.tensor.OutOfTensorMemoryException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.Function;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Which of several ways of computing the same is the fastest: each is run and measured, and one that cannot be done drops out. One of
 * them can always be done: where it fails, the device is to blame.
 *
 * @param <W> a way
 */
public final class Race<W> {
    private static final Logger LOG = LoggerFactory.getLogger(Race.class);

    private final W sure;
    private final Function<W, String> word;
    private final Course<W> course;

    /** Thrown for a way that can be run and is not to be; the message is what is said of it. */
    public static final class Unfit extends RuntimeException {
        private static final long serialVersionUID = 1;

        public Unfit(String message) {
            super(message);
        }
    }

    /** Where ways are run. */
    public interface Course<W> {
        /** Milliseconds of one pass, or an {@link EngineException} where it cannot be done, or {@link Unfit}. */
        float milliseconds(W way);

        /** Whether a failure says nothing about the device. Where this is false, the sure way is run again to see. */
        boolean harmless(EngineException failure);

        /** What is said of a way after a failure: not taken. */
        String reason(EngineException failure);
    }

    /**
     * Who won.
     *
     * @param times in words, for the end of a line: {@code , 0.4 ms against ...}
     * @param failed with the reasons
     * @param complete whether there was memory to measure all others
     */
    public record Result<W>(W best, String times, Map<W, String> failed, boolean complete) {}

    /**
     * @param sure the way that can always be done
     * @param word the name of a way
     */
    public Race(W sure, Function<W, String> word, Course<W> course) {
        this.sure = sure;
        this.word = word;
        this.course = course;
    }

    /** Runs these, in this order; the first of the fastest wins. */
    public Result<W> run(List<W> ways) {
        Map<W, Float> times = new LinkedHashMap<>();
        Map<W, String> failed = new LinkedHashMap<>();
        List<String> others = new ArrayList<>();
        boolean complete = true;
        for (W way : ways) {
            try {
                times.put(way, course.milliseconds(way));
            } catch (EngineException failure) {
                if (way.equals(sure) || !course.harmless(failure) && !worksAfter(failure)) {
                    throw failure;
                }
                LOG.debug("{} drops out", word.apply(way), failure);
                failed.put(way, course.reason(failure));
            } catch (Unfit unfit) {
                failed.put(way, unfit.getMessage());
            } catch (OutOfTensorMemoryException tooLarge) {
                LOG.debug("no memory to measure {}", word.apply(way), tooLarge);
                others.add(word.apply(way) + " not measured for want of memory");
                complete = false;
            }
        }
        failed.forEach((way, reason) -> others.add(word.apply(way) + " " + reason));
        W best = sure;
        for (Map.Entry<W, Float> time : times.entrySet()) {
            if (time.getValue() < times.getOrDefault(best, Float.MAX_VALUE)) {
                best = time.getKey();
            }
        }
        return new Result<>(best, words(best, times, others), failed, complete);
    }

    /**
     * Whether the device goes on after a failure: some, such as of a kernel that finds no room, are of the way alone. Where that cannot be
     * seen the device is to blame, and what kept it from being seen is added to the failure.
     */
    private boolean worksAfter(EngineException failure) {
        try {
            course.milliseconds(sure);
            return true;
        } catch (EngineException | OutOfTensorMemoryException broken) {
            failure.addSuppressed(broken);
            return false;
        }
    }

    private String words(W best, Map<W, Float> times, List<String> others) {
        StringBuilder words = new StringBuilder();
        Float least = times.remove(best);
        if (least != null) {
            words.append(String.format(Locale.ROOT, ", %.3f ms", least));
        }
        List<String> against = new ArrayList<>();
        times.forEach((way, time) -> against.add(String.format(Locale.ROOT, "%s %.3f ms", word.apply(way), time)));
        against.addAll(others);
        if (!against.isEmpty()) {
            words.append(" against ").append(String.join(", ", against));
        }
        return words.toString();
    }
}
