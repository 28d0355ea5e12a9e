package carousel.engine.cuda.cudnn;

import carousel.engine.EngineException;
import carousel.engine.LstmSpec;
import carousel.engine.cuda.Attempts;
import carousel.engine.cuda.ChoiceMemory;
import carousel.engine.cuda.Lines;
import carousel.engine.cuda.Race;
import carousel.engine.cuda.Rehearsal;
import carousel.tensor.OutOfTensorMemoryException;
import carousel.tensor.Precision;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Supplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Which algorithm runs which shape. cuDNN's own rules, and those that others made for it, are off by up to five times in both directions;
 * so each algorithm that may run a shape is run, once, and the fastest stays: for the engine's life, and in a {@link ChoiceMemory} for later
 * processes. Before an algorithm is measured its results are compared with those of {@link Algorithm#STANDARD}; one that deviates is never
 * used. Algorithms differ in the last bits of their results: pin one with {@value Algorithm#PROPERTY} where another machine must not.
 */
final class AlgorithmChoice {
    private static final Logger LOG = LoggerFactory.getLogger(AlgorithmChoice.class);

    private final Optional<Algorithm> pinned;
    private final Precision precision;
    private final Supplier<ChoiceMemory> opening;
    private final Trial trial;
    private final Map<Shape, Algorithm> choices = new HashMap<>();
    private final Lines lines = new Lines();
    private ChoiceMemory memory;

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

    /** Opens what it takes to try algorithms. */
    interface Trial {
        Attempts<Algorithm> open(Shape shape);
    }

    /**
     * @param pinned the algorithm of all stacks; nothing for the fastest of each shape
     * @param memory opened when it is needed
     */
    AlgorithmChoice(Optional<Algorithm> pinned, Precision precision, Supplier<ChoiceMemory> memory, Trial trial) {
        this.pinned = pinned;
        this.precision = precision;
        this.opening = memory;
        this.trial = trial;
    }

    /** For each shape so far, or the last {@value Lines#MOST}, which algorithm runs it and why. */
    List<String> lines() {
        return lines.all();
    }

    /** Why an algorithm cannot run these, if so. */
    private Optional<String> limit(Algorithm algorithm, LstmSpec stack, boolean whole) {
        return algorithm.limit(stack, precision == Precision.FP64, whole);
    }

    /** Why the algorithm that is asked for cannot run a stack, whatever its sequences. */
    Optional<EngineException> refusal(LstmSpec stack) {
        return pinned.flatMap(algorithm -> limit(algorithm, stack, true).map(algorithm::refused));
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
        limit(algorithm, shape.stack(), shape.whole()).ifPresent(limit -> {
            throw algorithm.refused(limit);
        });
        why.append(", as ").append(Algorithm.PROPERTY).append(" asks for");
        return algorithm;
    }

    private Algorithm fastest(Shape shape, StringBuilder why) {
        List<Algorithm> candidates = new ArrayList<>();
        for (Algorithm algorithm : Algorithm.values()) {
            if (limit(algorithm, shape.stack(), shape.whole()).isEmpty()) {
                candidates.add(algorithm);
            }
        }
        if (candidates.size() == 1) {
            why.append(", the only one that takes it");
            return candidates.get(0);
        }
        if (memory == null) {
            memory = opening.get();
        }
        String key = precision + " " + shape;
        Optional<Algorithm> recalled = memory.recall(key).flatMap(Algorithm::of).filter(candidates::contains);
        if (recalled.isPresent()) {
            why.append(", as remembered in ").append(memory.place());
            return recalled.get();
        }
        Race.Result<Algorithm> result;
        try (Attempts<Algorithm> attempts = trial.open(shape)) {
            result = new Race<>(Algorithm.STANDARD, Algorithm::word, course(shape, attempts)).run(candidates);
        } catch (OutOfTensorMemoryException tooLarge) {
            LOG.debug("no memory to measure {}", shape, tooLarge);
            why.append(", the others not measured for want of memory");
            return Algorithm.STANDARD;
        }
        why.append(result.times());
        if (result.complete()) {
            memory.remember(key, result.best().word());
        }
        return result.best();
    }

    private Race.Course<Algorithm> course(Shape shape, Attempts<Algorithm> attempts) {
        LstmSpec stack = shape.stack();
        double allowed = stack.layers()
                * Rehearsal.allowed(precision, stack.hiddenSize() + stack.inputSize(), shape.timeSteps());
        return new Attempts.CheckedCourse<>(attempts, Algorithm.STANDARD, "the standard algorithm", allowed) {
            @Override
            public boolean harmless(EngineException failure) {
                return Dnn.notTaken(failure);
            }

            @Override
            public String reason(EngineException failure) {
                return Dnn.notTaken(failure) ? "not taken" : super.reason(failure);
            }
        };
    }
}
