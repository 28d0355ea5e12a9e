package carousel.engine.cuda.fused;

import carousel.engine.EngineException;
import carousel.engine.cuda.Race;
import carousel.tensor.OutOfTensorMemoryException;
import carousel.tensor.Precision;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.function.Supplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Which path runs the layers of which shape. Which one is the fastest depends on more than can be told from the shape, so each that can
 * run it is run, once, and the fastest stays: for the engine's life, and in a {@link PathMemory} for later processes. Before a kernel is
 * measured its results are compared with those of the pointwise path; one that deviates or fails is never used.
 *
 * <p>Paths differ in the last bits of their results: pin one with {@value FusedPath#PROPERTY} where another run of the program must
 * not.
 */
final class PathChoice {
    private static final Logger LOG = LoggerFactory.getLogger(PathChoice.class);

    /** The unit roundoff of sums. */
    private static final double SINGLE = Precision.FP32.epsilon();

    private static final double FACTOR = 4;
    /** What the gates, the cell and its output cost, in products and sums. */
    private static final int CELL = 16;

    private final Optional<FusedPath> pinned;
    private final Precision precision;
    private final Gpu gpu;
    private final Supplier<PathMemory> opening;
    private final Trial trial;
    private final Map<Shape, Optional<ResidentKernel>> choices = new LinkedHashMap<>();
    private final List<String> lines = new ArrayList<>();
    private PathMemory memory;

    /**
     * What decides which path is the fastest.
     *
     * @param cells of a layer, one for each direction
     * @param whole whether all sequences have all time steps
     * @param training whether the backward pass is part of it
     * @param beyond what kernels with resident weights do not compute, in words; null where they compute all of it
     */
    record Shape(int hidden, int timeSteps, int batchSize, int cells, boolean whole, boolean training, String beyond) {
        @Override
        public String toString() {
            return "H=" + hidden + (cells > 1 ? " bidirectional" : "") + " T=" + timeSteps + " N=" + batchSize
                    + (beyond == null ? "" : " with " + beyond) + (whole ? "" : " with lengths")
                    + (training ? " training" : " inference");
        }
    }

    /** Opens what it takes to try paths. */
    interface Trial {
        Attempts open(Shape shape);
    }

    /** The paths of one shape, tried on the same random numbers. */
    interface Attempts extends AutoCloseable {
        /** How long a pass takes, or an {@link EngineException}; null is the pointwise path. */
        float milliseconds(ResidentKernel kernel);

        /**
         * How far a kernel's results are from those of the pointwise path, by their names: the largest difference as a part of
         * the largest number, or what is not a number where the difference is none.
         */
        Map<String, Double> deviations(ResidentKernel kernel);

        @Override
        void close();
    }

    /**
     * @param pinned the path of every layer that it fits; nothing for the fastest
     * @param memory opened when it is needed
     */
    PathChoice(Optional<FusedPath> pinned, Precision precision, Gpu gpu, Supplier<PathMemory> memory, Trial trial) {
        this.pinned = pinned;
        this.precision = precision;
        this.gpu = gpu;
        this.opening = memory;
        this.trial = trial;
    }

    /**
     * How far results of two paths may be apart, as a part of the largest: both round operands alike and add in another order. Weights
     * are so small that an error fades with time instead of growing, and adds up with those of some steps.
     */
    static double allowed(Precision precision, Shape shape) {
        double product = precision.epsilon() + SINGLE * Math.sqrt(shape.hidden() + CELL);
        return FACTOR * product * Math.sqrt(1 + Math.log(shape.timeSteps()));
    }

    /** For each shape so far, which path runs it and why. */
    List<String> lines() {
        return List.copyOf(lines);
    }

    /** The kernel for a shape, nothing for the pointwise path; measures where it must. */
    Optional<ResidentKernel> of(Shape shape) {
        Optional<ResidentKernel> chosen = choices.get(shape);
        if (chosen == null) {
            StringBuilder why = new StringBuilder();
            chosen = choose(shape, why);
            String line = shape + ": " + path(chosen.orElse(null)).word() + why;
            lines.add(line);
            LOG.info("fused path for {}", line);
            choices.put(shape, chosen);
        }
        return chosen;
    }

    private static FusedPath path(ResidentKernel kernel) {
        return kernel == null ? FusedPath.POINTWISE : kernel.path();
    }

    private Optional<ResidentKernel> choose(Shape shape, StringBuilder why) {
        if (shape.beyond() != null) {
            why.append(", the only one that takes ").append(shape.beyond());
            return Optional.empty();
        }
        List<ResidentKernel> candidates = ResidentKernel.candidates(precision, shape.hidden(), shape.cells(), gpu);
        if (pinned.isPresent()) {
            return asAsked(shape, candidates, why);
        }
        if (candidates.stream().anyMatch(kernel -> kernel.path() == FusedPath.RESIDENT)) {
            // What fits one block has nothing to win from tens of them that send each other everything.
            candidates.removeIf(ResidentKernel::together);
        }
        if (candidates.isEmpty()) {
            why.append(", the only one that takes it");
            return Optional.empty();
        }
        if (memory == null) {
            memory = opening.get();
        }
        String key = precision + " " + shape;
        Optional<FusedPath> recalled = memory.recall(key);
        if (recalled.isPresent()) {
            Optional<ResidentKernel> kernel = candidates.stream()
                    .filter(candidate -> candidate.path() == recalled.get())
                    .findFirst();
            if (kernel.isPresent() || recalled.get() == FusedPath.POINTWISE) {
                why.append(", as remembered in ").append(memory.place());
                return kernel;
            }
        }
        Race.Result<Optional<ResidentKernel>> result;
        try {
            result = race(shape, candidates);
        } catch (OutOfTensorMemoryException tooLarge) {
            LOG.debug("no memory to measure {}", shape, tooLarge);
            why.append(", the others not measured for want of memory");
            return Optional.empty();
        }
        why.append(result.times());
        if (result.complete()) {
            memory.remember(key, path(result.best().orElse(null)));
        }
        return result.best();
    }

    private Optional<ResidentKernel> asAsked(Shape shape, List<ResidentKernel> candidates, StringBuilder why) {
        FusedPath asked = pinned.orElseThrow();
        Optional<ResidentKernel> kernel = candidates.stream()
                .filter(candidate -> candidate.path() == asked)
                .findFirst();
        if (kernel.isPresent() || asked == FusedPath.POINTWISE) {
            why.append(", as ").append(FusedPath.PROPERTY).append(" asks for");
        } else {
            why.append(", for ").append(asked.word()).append(", which ");
            why.append(FusedPath.PROPERTY).append(" asks for, ");
            why.append(ResidentKernel.limit(asked, precision, shape.hidden(), shape.cells(), gpu));
        }
        return kernel;
    }

    private Race.Result<Optional<ResidentKernel>> race(Shape shape, List<ResidentKernel> candidates) {
        List<Optional<ResidentKernel>> ways = new ArrayList<>();
        ways.add(Optional.empty());
        candidates.forEach(candidate -> ways.add(Optional.of(candidate)));
        try (Attempts attempts = trial.open(shape)) {
            Race.Result<Optional<ResidentKernel>> result = new Race<>(
                            Optional.<ResidentKernel>empty(),
                            way -> path(way.orElse(null)).word(),
                            course(shape, attempts))
                    .run(ways);
            result.failed()
                    .forEach((way, reason) -> LOG.warn(
                            "the kernels of the path {} are not used for {}: {}",
                            path(way.orElse(null)).word(),
                            shape,
                            reason));
            return result;
        }
    }

    private Race.Course<Optional<ResidentKernel>> course(Shape shape, Attempts attempts) {
        return new Race.Course<>() {
            @Override
            public float milliseconds(Optional<ResidentKernel> way) {
                if (way.isPresent()) {
                    check(shape, attempts.deviations(way.get()));
                }
                return attempts.milliseconds(way.orElse(null));
            }

            @Override
            public boolean harmless(EngineException failure) {
                return false;
            }

            @Override
            public String reason(EngineException failure) {
                return "fails (" + failure.getMessage() + ")";
            }
        };
    }

    private void check(Shape shape, Map<String, Double> deviations) {
        double allowed = allowed(precision, shape);
        deviations.forEach((what, deviation) -> {
            // Not the other way round: what is not a number is too far as well.
            if (!(deviation <= allowed)) {
                throw new Race.Unfit(String.format(
                        Locale.ROOT,
                        "deviates from the pointwise path by %.2g of the largest in %s where %.2g is allowed",
                        deviation,
                        what,
                        allowed));
            }
        });
    }
}
