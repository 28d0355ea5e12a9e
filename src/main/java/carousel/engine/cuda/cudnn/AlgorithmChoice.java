package carousel.engine.cuda.cudnn;

import carousel.engine.EngineException;
import carousel.engine.LstmSpec;
import carousel.engine.cuda.Attempts;
import carousel.engine.cuda.ChoiceMemory;
import carousel.engine.cuda.MeasuredChoice;
import carousel.engine.cuda.Race;
import carousel.engine.cuda.Rehearsal;
import carousel.engine.cuda.Sizes;
import carousel.tensor.Precision;
import java.util.Arrays;
import java.util.Optional;
import java.util.function.Supplier;

/**
 * Which algorithm runs which shape. cuDNN's own rules, and those that others made for it, are off by up to five times in both directions.
 *
 * <p>Algorithms differ in the last bits of their results: pin one with {@value Algorithm#PROPERTY} where another machine must not.
 */
final class AlgorithmChoice extends MeasuredChoice<AlgorithmChoice.Shape, Algorithm> {
    private static final String NOT_TAKEN = "not taken";

    private final Optional<Algorithm> pinned;

    /**
     * What decides which algorithm is the fastest.
     *
     * @param whole whether all sequences have all time steps
     * @param training whether the backward pass is part of it
     */
    record Shape(LstmSpec stack, int timeSteps, int batchSize, boolean whole, boolean training) {
        @Override
        public String toString() {
            return words(stack) + " T=" + timeSteps + " N=" + batchSize + (whole ? "" : " with lengths")
                    + (training ? " training" : " inference");
        }
    }

    /**
     * @param pinned the algorithm of all stacks; nothing for the fastest of each shape
     * @param memory opened when it is needed
     */
    AlgorithmChoice(
            Optional<Algorithm> pinned,
            Precision precision,
            Supplier<ChoiceMemory> memory,
            Attempts.Trial<Shape, Algorithm> trial) {
        super("cuDNN's algorithm for", precision, Algorithm.STANDARD, memory, trial);
        this.pinned = pinned;
    }

    /** Why an algorithm cannot run these, if so. */
    private Optional<String> limit(Algorithm algorithm, LstmSpec stack, boolean whole) {
        return algorithm.limit(stack, precision() == Precision.FP64, whole);
    }

    /** Why the algorithm that is asked for cannot run a stack, whatever its sequences. */
    Optional<EngineException> refusal(LstmSpec stack) {
        return pinned.flatMap(algorithm -> limit(algorithm, stack, true).map(algorithm::refused));
    }

    /** The algorithm for a shape; measures where it must. */
    Algorithm of(Shape shape) {
        return chosen(shape);
    }

    @Override
    protected String word(Algorithm algorithm) {
        return algorithm.word();
    }

    @Override
    protected Race.Course<Algorithm> course(Shape shape, Attempts<Algorithm> attempts) {
        double allowed = Rehearsal.allowed(precision(), shape.stack(), new Sizes(shape.timeSteps(), shape.batchSize()));
        return new Attempts.CheckedCourse<>(attempts, Algorithm.STANDARD, "the standard algorithm", allowed) {
            @Override
            public boolean harmless(EngineException failure) {
                return Dnn.notTaken(failure);
            }

            @Override
            public String reason(EngineException failure) {
                return Dnn.notTaken(failure) ? NOT_TAKEN : super.reason(failure);
            }
        };
    }

    @Override
    protected boolean expected(String reason) {
        return reason.equals(NOT_TAKEN);
    }

    @Override
    protected Algorithm choose(Shape shape, StringBuilder why) {
        if (pinned.isPresent()) {
            Algorithm algorithm = pinned.get();
            limit(algorithm, shape.stack(), shape.whole()).ifPresent(limit -> {
                throw algorithm.refused(limit);
            });
            why.append(", as ").append(Algorithm.PROPERTY).append(" asks for");
            return algorithm;
        }
        return fastest(
                shape,
                Arrays.stream(Algorithm.values())
                        .filter(algorithm ->
                                limit(algorithm, shape.stack(), shape.whole()).isEmpty())
                        .toList(),
                why);
    }
}
