package carousel.engine.cuda.cudnn;

import carousel.engine.EngineException;
import carousel.engine.LstmSpec;
import carousel.engine.cuda.Race;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Which algorithm runs which shape. cuDNN's own rules, and those that others made for it, are off by up to five times in both directions;
 * so each algorithm that may run a shape is run, once, and the fastest stays for the engine's life. Where two are about as fast, another
 * run of the program may choose the other one, and its results then differ in their last bits: pin one with {@value Algorithm#PROPERTY}
 * where they must not.
 */
final class AlgorithmChoice {
    private static final Logger LOG = LoggerFactory.getLogger(AlgorithmChoice.class);

    private final Optional<Algorithm> pinned;
    private final boolean wide;
    private final Trial trial;
    private final Map<Shape, Algorithm> choices = new LinkedHashMap<>();
    private final List<String> lines = new ArrayList<>();

    /**
     * What decides which algorithm is the fastest.
     *
     * @param whole whether all sequences have all time steps
     * @param training whether the backward pass is part of it
     */
    record Shape(LstmSpec stack, int timeSteps, int batchSize, boolean whole, boolean training) {
        @Override
        public String toString() {
            return "C=" + stack.inputSize() + " H=" + stack.hiddenSize()
                    + (stack.projected() ? " P=" + stack.projectionSize() : "")
                    + (stack.layers() > 1 ? " layers=" + stack.layers() : "")
                    + (stack.direction().cells() > 1 ? " bidirectional" : "") + " T=" + timeSteps + " N=" + batchSize
                    + (whole ? "" : " with lengths") + (training ? " training" : " inference");
        }
    }

    /** Measures. */
    interface Trial {
        /** Milliseconds of one pass, or an {@link EngineException} where it cannot be done. */
        float milliseconds(Shape shape, Algorithm algorithm);
    }

    /** @param wide whether numbers are doubles */
    AlgorithmChoice(Optional<Algorithm> pinned, boolean wide, Trial trial) {
        this.pinned = pinned;
        this.wide = wide;
        this.trial = trial;
    }

    /** For each shape so far, which algorithm runs it and why. */
    List<String> lines() {
        return List.copyOf(lines);
    }

    /** Why the algorithm that is asked for cannot run a stack, whatever its sequences. */
    Optional<EngineException> refusal(LstmSpec stack) {
        return pinned.flatMap(algorithm -> algorithm.limit(stack, wide, true).map(algorithm::refused));
    }

    /** The algorithm for a shape; measures where it must. */
    Algorithm of(Shape shape) {
        Algorithm chosen = choices.get(shape);
        if (chosen == null) {
            StringBuilder why = new StringBuilder();
            chosen = pinned.isPresent() ? asAsked(shape, why) : fastest(shape, why);
            String line = shape + ": " + chosen.word() + why;
            lines.add(line);
            LOG.info("cuDNN's algorithm for {}", line);
            choices.put(shape, chosen);
        }
        return chosen;
    }

    private Algorithm asAsked(Shape shape, StringBuilder why) {
        Algorithm algorithm = pinned.orElseThrow();
        algorithm.limit(shape.stack(), wide, shape.whole()).ifPresent(limit -> {
            throw algorithm.refused(limit);
        });
        why.append(", as ").append(Algorithm.PROPERTY).append(" asks for");
        return algorithm;
    }

    private Algorithm fastest(Shape shape, StringBuilder why) {
        List<Algorithm> candidates = new ArrayList<>();
        for (Algorithm algorithm : Algorithm.values()) {
            if (algorithm.limit(shape.stack(), wide, shape.whole()).isEmpty()) {
                candidates.add(algorithm);
            }
        }
        if (candidates.size() == 1) {
            why.append(", the only one that takes it");
            return candidates.get(0);
        }
        Race.Result<Algorithm> result = new Race<>(Algorithm.STANDARD, Algorithm::word, new Race.Course<Algorithm>() {
                    @Override
                    public float milliseconds(Algorithm algorithm) {
                        return trial.milliseconds(shape, algorithm);
                    }

                    @Override
                    public boolean harmless(EngineException failure) {
                        return Dnn.notTaken(failure);
                    }

                    @Override
                    public String reason(EngineException failure) {
                        return "not taken";
                    }
                })
                .run(candidates);
        why.append(result.times());
        return result.best();
    }
}
