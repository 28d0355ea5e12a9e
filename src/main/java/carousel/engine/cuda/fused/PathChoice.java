package carousel.engine.cuda.fused;

import carousel.engine.cuda.Attempts;
import carousel.engine.cuda.ChoiceMemory;
import carousel.engine.cuda.MeasuredChoice;
import carousel.engine.cuda.Race;
import carousel.engine.cuda.Rehearsal;
import carousel.engine.cuda.Sizes;
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
 * Which path runs the layers of which shape. Which one is the fastest depends on more than can be told from the shape. Sizes of which batches have
 * many are {@linkplain Shape#rounded rounded up}, so that shapes that are almost the same are measured once. A way is a kernel, or
 * nothing for the pointwise path.
 *
 * <p>Paths differ in the last bits of their results: pin one with {@value FusedPath#PROPERTY} where another run of the program must
 * not.
 */
final class PathChoice extends MeasuredChoice<PathChoice.Shape, Optional<ResidentKernel>> {
    private static final Logger LOG = LoggerFactory.getLogger(PathChoice.class);

    private final Optional<FusedPath> pinned;
    private final Gpu gpu;
    /** Why a kernel that was asked for is not used; nothing where it is. */
    private final Map<ResidentKernel, Optional<String>> refusals = new HashMap<>();

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
        /** The shape that stands for this one: sizes {@linkplain Sizes#rounded rounded}, inputs up to the room that kernels have for them. */
        Shape rounded(Precision precision) {
            Sizes sizes = new Sizes(timeSteps, batchSize).rounded();
            return new Shape(
                    hidden,
                    beyond == null ? ResidentKernel.roomForInputs(precision, hidden, inputs) : 0,
                    sizes.timeSteps(),
                    sizes.batchSize(),
                    cells,
                    whole,
                    training,
                    beyond);
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

    /**
     * @param pinned the path of every layer that it fits; nothing for the fastest
     * @param memory opened when it is needed
     */
    PathChoice(
            Optional<FusedPath> pinned,
            Precision precision,
            Gpu gpu,
            Supplier<ChoiceMemory> memory,
            Attempts.Trial<Shape, Optional<ResidentKernel>> trial) {
        super("fused path for", precision, Optional.empty(), memory, trial);
        this.pinned = pinned;
        this.gpu = gpu;
    }

    /** How far results of two paths may be apart, as a part of the largest. */
    static double allowed(Precision precision, Shape shape) {
        return Rehearsal.allowed(precision, shape.hidden() + shape.inputs(), shape.timeSteps());
    }

    /** The kernel for a shape, nothing for the pointwise path; measures where it must. */
    Optional<ResidentKernel> of(Shape exact) {
        return chosen(exact.rounded(precision()));
    }

    @Override
    protected String word(Optional<ResidentKernel> kernel) {
        return kernel.map(ResidentKernel::path).orElse(FusedPath.POINTWISE).word();
    }

    @Override
    protected Race.Course<Optional<ResidentKernel>> course(Shape shape, Attempts<Optional<ResidentKernel>> attempts) {
        return new Attempts.CheckedCourse<>(
                attempts, Optional.empty(), "the pointwise path", allowed(precision(), shape));
    }

    @Override
    protected Optional<ResidentKernel> choose(Shape shape, StringBuilder why) {
        if (shape.beyond() != null) {
            why.append(", the only one that takes ").append(shape.beyond());
            return Optional.empty();
        }
        List<ResidentKernel> candidates = ResidentKernel.candidates(precision(), shape, gpu);
        if (pinned.isPresent()) {
            return asAsked(shape, candidates, why);
        }
        if (candidates.stream().anyMatch(kernel -> kernel.path() == FusedPath.RESIDENT)) {
            // What fits one block has nothing to win from tens of them that send each other everything.
            candidates.removeIf(ResidentKernel::together);
        }
        List<Optional<ResidentKernel>> ways = new ArrayList<>();
        ways.add(Optional.empty());
        candidates.forEach(candidate -> ways.add(Optional.of(candidate)));
        return fastest(shape, ways, why);
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
                    : Optional.of(ResidentKernel.limit(path, precision(), shape, gpu));
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
                known = Optional.ofNullable(race(shape.least(), List.of(Optional.of(kernel)))
                        .failed()
                        .get(Optional.of(kernel)));
            } catch (OutOfTensorMemoryException tooLarge) {
                LOG.debug("no memory to try {}", kernel, tooLarge);
                return Optional.empty();
            }
            refusals.put(kernel, known);
        }
        return known;
    }
}
