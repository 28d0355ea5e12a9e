package carousel.engine.cuda.fused;

import carousel.engine.EngineException;
import carousel.engine.cuda.Race;
import carousel.tensor.OutOfTensorMemoryException;
import carousel.tensor.Precision;
import java.util.ArrayList;
import java.util.HashMap;
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
 * measured its results are compared with those of the pointwise path; one that deviates or fails is never used. Sizes of which batches have
 * many are {@linkplain Shape#rounded rounded up}, so that shapes that are almost the same are measured once.
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

    /** Steps of the grid of sizes between a power of two and the next. */
    private static final int STEPS = 4;
    /** Sequences of a batch tile of the most kernels, and of all. */
    private static final int SMALL_TILE = 8;

    private static final int TILE = 16;

    private final Optional<FusedPath> pinned;
    private final Precision precision;
    private final Gpu gpu;
    private final Supplier<PathMemory> opening;
    private final Trial trial;
    private final Map<Shape, Optional<ResidentKernel>> choices = new LinkedHashMap<>();
    /** Why a kernel that was asked for is not used; nothing where it is. */
    private final Map<ResidentKernel, Optional<String>> refusals = new HashMap<>();

    private final Lines lines = new Lines();
    private PathMemory memory;

    /**
     * What decides which path is the fastest.
     *
     * @param inputs columns of the layer's input; 0 where they do not count
     * @param cells of a layer, one for each direction
     * @param whole whether all sequences have all time steps
     * @param training whether the backward pass is part of it
     * @param beyond what kernels with resident weights do not compute, in words; null where they compute all of it
     */
    record Shape(
            int hidden,
            int inputs,
            int timeSteps,
            int batchSize,
            int cells,
            boolean whole,
            boolean training,
            String beyond) {
        /**
         * The shape that stands for this one: sizes rounded up, time steps to a grid of {@value PathChoice#STEPS} steps between powers of
         * two, sequences to whole batch tiles on that grid, inputs to the room that kernels have for them. None grows by more than a quarter but the
         * sequences of small batches.
         */
        Shape rounded(Precision precision) {
            int steps = onGrid(timeSteps);
            int sequences = batchSize <= SMALL_TILE ? SMALL_TILE : TILE * onGrid((batchSize + TILE - 1) / TILE);
            if ((long) steps * sequences > Integer.MAX_VALUE) {
                // Rows are counted by an int.
                steps = timeSteps;
                sequences = batchSize;
            }
            return new Shape(
                    hidden,
                    beyond == null ? ResidentKernel.roomForInputs(precision, hidden, inputs) : 0,
                    steps,
                    sequences,
                    cells,
                    whole,
                    training,
                    beyond);
        }

        private static int onGrid(int size) {
            int step = Math.max(1, Integer.highestOneBit(size) / STEPS);
            return (size + step - 1) / step * step;
        }

        /** One step of one sequence of it: enough to see whether a GPU takes a kernel. */
        Shape least() {
            return new Shape(hidden, inputs, 1, 1, cells, whole, training, beyond);
        }

        @Override
        public String toString() {
            return "H=" + hidden + (inputs > 0 ? " C<=" + inputs : "") + (cells > 1 ? " bidirectional" : "") + " T<="
                    + timeSteps + " N<=" + batchSize
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
        double product = precision.epsilon() + SINGLE * Math.sqrt(shape.hidden() + shape.inputs() + CELL);
        return FACTOR * product * Math.sqrt(1 + Math.log(shape.timeSteps()));
    }

    /** For each shape so far, or the last {@value Lines#MOST}, which path runs it and why. */
    List<String> lines() {
        return lines.all();
    }

    /** The kernel for a shape, nothing for the pointwise path; measures where it must. */
    Optional<ResidentKernel> of(Shape exact) {
        Shape shape = exact.rounded(precision);
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
        List<ResidentKernel> candidates = ResidentKernel.candidates(precision, shape, gpu);
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
            Optional<ResidentKernel> kernel = of(recalled.get(), candidates);
            if (kernel.isPresent() || recalled.get() == FusedPath.POINTWISE) {
                why.append(", as remembered in ").append(memory.place());
                return kernel;
            }
        }
        Race.Result<Optional<ResidentKernel>> result;
        try {
            result = race(shape, candidates, true);
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
        if (asked == FusedPath.POINTWISE) {
            why.append(", as ").append(FusedPath.PROPERTY).append(" asks for");
            return Optional.empty();
        }
        // Inputs that are too wide for a kernel are multiplied before.
        for (FusedPath path : asked.withInputs() ? List.of(asked, asked.plain()) : List.of(asked)) {
            Optional<ResidentKernel> kernel = of(path, candidates);
            Optional<String> refusal = kernel.isPresent()
                    ? refusal(shape, kernel.get())
                    : Optional.of(ResidentKernel.limit(path, precision, shape, gpu));
            if (refusal.isEmpty()) {
                why.append(path == asked ? ", as " + FusedPath.PROPERTY + " asks for" : "");
                return kernel;
            }
            why.append(
                    path == asked
                            ? ", for " + asked.word() + ", which " + FusedPath.PROPERTY + " asks for, "
                            : ", and " + path.word() + " ");
            why.append(refusal.get());
        }
        return Optional.empty();
    }

    private static Optional<ResidentKernel> of(FusedPath path, List<ResidentKernel> candidates) {
        return candidates.stream().filter(candidate -> candidate.path() == path).findFirst();
    }

    /**
     * Why a kernel that is not raced cannot be used. Whether a GPU takes clusters beyond those that all take is not in its attributes, and
     * JCuda has no call that says so: it is tried once on the least shape.
     */
    private Optional<String> refusal(Shape shape, ResidentKernel kernel) {
        if (!kernel.largeCluster()) {
            return Optional.empty();
        }
        Optional<String> known = refusals.get(kernel);
        if (known == null) {
            try {
                known = Optional.ofNullable(
                        race(shape.least(), List.of(kernel), false).failed().get(Optional.of(kernel)));
            } catch (OutOfTensorMemoryException tooLarge) {
                LOG.debug("no memory to try {}", kernel, tooLarge);
                return Optional.empty();
            }
            refusals.put(kernel, known);
        }
        return known;
    }

    /** @param timed whether they are measured; otherwise only checked */
    private Race.Result<Optional<ResidentKernel>> race(Shape shape, List<ResidentKernel> candidates, boolean timed) {
        List<Optional<ResidentKernel>> ways = new ArrayList<>();
        if (timed) {
            ways.add(Optional.empty());
        }
        candidates.forEach(candidate -> ways.add(Optional.of(candidate)));
        try (Attempts attempts = trial.open(shape)) {
            Race.Result<Optional<ResidentKernel>> result = new Race<>(
                            Optional.<ResidentKernel>empty(),
                            way -> path(way.orElse(null)).word(),
                            course(shape, attempts, timed))
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

    private Race.Course<Optional<ResidentKernel>> course(Shape shape, Attempts attempts, boolean timed) {
        return new Race.Course<>() {
            @Override
            public float milliseconds(Optional<ResidentKernel> way) {
                if (way.isPresent()) {
                    check(shape, attempts.deviations(way.get()));
                    if (!timed) {
                        return 0;
                    }
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
