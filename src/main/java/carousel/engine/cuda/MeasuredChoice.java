package carousel.engine.cuda;

import carousel.engine.LstmSpec;
import carousel.tensor.OutOfTensorMemoryException;
import carousel.tensor.Precision;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Supplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Which way computes which shape. Each way that may compute it is run, once, and the fastest stays: for the engine's life, and in a {@link
 * ChoiceMemory} for later processes. Before a way is measured its results are compared with those of the sure one; a way that deviates or
 * fails is not used.
 *
 * @param <S> a shape; what it says of itself begins its line, and with the precision before it is what it is remembered by
 * @param <W> a way
 */
public abstract class MeasuredChoice<S, W> {
    private static final Logger LOG = LoggerFactory.getLogger(MeasuredChoice.class);

    private final String title;
    private final Precision precision;
    private final W sure;
    private final Supplier<ChoiceMemory> opening;
    private final Attempts.Trial<S, W> trial;
    private final Map<S, W> choices = new HashMap<>();
    /** Of which some way was not measured for want of memory. */
    private final Set<S> poor = new HashSet<>();

    private final Lines lines = new Lines();
    private ChoiceMemory memory;

    /**
     * @param title of a line in the log: "fused path for"
     * @param sure the way that can always be taken
     * @param memory opened when it is needed
     * @param trial opened to measure
     */
    protected MeasuredChoice(
            String title, Precision precision, W sure, Supplier<ChoiceMemory> memory, Attempts.Trial<S, W> trial) {
        this.title = title;
        this.precision = precision;
        this.sure = sure;
        this.opening = memory;
        this.trial = trial;
    }

    /** For each shape so far, or the last {@value Lines#MOST}, which way computes it and why. */
    public final List<String> lines() {
        return lines.all();
    }

    /** What of a stack counts for times, in words. */
    public static String words(LstmSpec stack) {
        return "C=" + stack.inputSize() + " H=" + stack.hiddenSize()
                + (stack.projected() ? " P=" + stack.projectionSize() : "")
                + (stack.layers() > 1 ? " layers=" + stack.layers() : "")
                + (stack.direction().cells() > 1 ? " bidirectional" : "")
                + (stack.bias() ? "" : " without bias")
                + (stack.cellClip() > 0 ? " with clip" : "")
                + (stack.dropout() > 0 ? " with dropout" : "");
    }

    /**
     * Forgets choices for which there was no memory to measure every way, and says whether there were any: for when there is more memory
     * again.
     */
    public final boolean forgetPoor() {
        choices.keySet().removeAll(poor);
        boolean any = !poor.isEmpty();
        poor.clear();
        return any;
    }

    protected final Precision precision() {
        return precision;
    }

    /** The name of a way. */
    protected abstract String word(W way);

    /** Whether a reason why a way is not used is nothing to be warned of. */
    protected boolean expected(String reason) {
        return false;
    }

    /** What is done with ways that are tried. */
    protected abstract Race.Course<W> course(S shape, Attempts<W> attempts);

    /**
     * The way for a shape that has not come up before.
     *
     * @param why gets the end of its line
     */
    protected abstract W choose(S shape, StringBuilder why);

    /** The way for a shape. */
    protected final W chosen(S shape) {
        W chosen = choices.get(shape);
        if (chosen == null) {
            StringBuilder why = new StringBuilder();
            chosen = choose(shape, why);
            String line = shape + ": " + word(chosen) + why;
            lines.add(line);
            LOG.info("{} {}", title, line);
            choices.put(shape, chosen);
        }
        return chosen;
    }

    /**
     * The fastest way for a shape: the one that is remembered, or the one that wins.
     *
     * @param candidates that may be taken, the sure one first; if it is alone it is not measured
     */
    protected final W fastest(S shape, List<W> candidates, StringBuilder why) {
        if (candidates.size() == 1) {
            why.append(", the only one that takes it");
            return sure;
        }
        if (memory == null) {
            memory = opening.get();
        }
        String key = precision + " " + shape;
        Optional<W> recalled = memory.recall(key)
                .flatMap(word -> candidates.stream()
                        .filter(way -> word(way).equals(word))
                        .findFirst());
        if (recalled.isPresent()) {
            why.append(", as remembered in ").append(memory.place());
            return recalled.get();
        }
        Race.Result<W> result;
        try {
            result = race(shape, candidates);
        } catch (OutOfTensorMemoryException tooLarge) {
            LOG.debug("no memory to measure {}", shape, tooLarge);
            LOG.warn("{} {}: {}, since there is no memory to measure another", title, shape, word(sure));
            poor.add(shape);
            why.append(", the others not measured for want of memory");
            return sure;
        }
        why.append(result.times());
        if (!result.complete()) {
            poor.add(shape);
        } else if (result.failed().values().stream().allMatch(this::expected)) {
            // Otherwise it is measured again, and said again, in the next process.
            memory.remember(key, word(result.best()));
        }
        return result.best();
    }

    /** Runs these on a shape. */
    protected final Race.Result<W> race(S shape, List<W> ways) {
        try (Attempts<W> attempts = trial.open(shape)) {
            Race.Result<W> result = new Race<>(sure, this::word, course(shape, attempts)).run(ways);
            result.failed().forEach((way, reason) -> {
                if (!expected(reason)) {
                    LOG.warn("{} is not used for {}: {}", word(way), shape, reason);
                }
            });
            return attempts.poor() ? new Race.Result<>(result.best(), result.times(), result.failed(), false) : result;
        }
    }
}
