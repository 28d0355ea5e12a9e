package carousel.engine.cuda.fused;

import static carousel.fixture.Refusals.assertRefused;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;

import carousel.engine.EngineException;
import carousel.engine.cuda.Attempts;
import carousel.engine.cuda.ChoiceMemory;
import carousel.engine.cuda.Lines;
import carousel.fixture.Property;
import carousel.tensor.OutOfTensorMemoryException;
import carousel.tensor.Precision;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Which path is chosen and what is said about it, with times that are made up. */
class PathChoiceTest {
    private static final PathChoice.Shape SHAPE = new PathChoice.Shape(40, 70, 7, 9, 2, false, true, null);
    private static final String SHAPE_WORDS = "H=40 bidirectional T<=7 N<=16 with lengths training: ";

    /** The same cell with inputs that kernels have room for, in BF16. */
    private static final PathChoice.Shape NARROW = new PathChoice.Shape(40, 3, 7, 9, 2, false, true, null);

    private static final String NARROW_WORDS = "H=40 C<=32 bidirectional T<=7 N<=16 with lengths training: ";

    @TempDir
    private Path folder;

    private Property property;
    private final Fake trial = new Fake();

    /** Times and deviations by path, and who was tried. */
    private static final class Fake implements Attempts.Trial<PathChoice.Shape, Optional<ResidentKernel>> {
        private final Map<FusedPath, Float> times = new HashMap<>(Map.of(
                FusedPath.POINTWISE, 3f,
                FusedPath.RESIDENT, 2f,
                FusedPath.RESIDENT_INPUTS, 0.5f,
                FusedPath.CLUSTER, 1f,
                FusedPath.CLUSTER_INPUTS, 5f,
                FusedPath.GRID, 4f));
        private final Map<FusedPath, Double> deviations = new HashMap<>();
        private final Map<FusedPath, RuntimeException> failures = new HashMap<>();
        private final List<String> calls = new ArrayList<>();
        private final List<PathChoice.Shape> shapes = new ArrayList<>();
        /** Kernels that the GPU does not launch. */
        private final List<ResidentKernel> refused = new ArrayList<>();

        private RuntimeException opening;
        private int open;

        @Override
        public Attempts<Optional<ResidentKernel>> open(PathChoice.Shape shape) {
            if (opening != null) {
                throw opening;
            }
            open++;
            shapes.add(shape);
            return new Attempts<>() {
                @Override
                public float milliseconds(Optional<ResidentKernel> kernel) {
                    FusedPath path = kernel.map(ResidentKernel::path).orElse(FusedPath.POINTWISE);
                    calls.add(path.word());
                    if (failures.containsKey(path)) {
                        throw failures.get(path);
                    }
                    return times.get(path);
                }

                @Override
                public Map<String, Double> deviations(Optional<ResidentKernel> kernel) {
                    if (refused.contains(kernel.orElseThrow())) {
                        throw new EngineException("no such clusters here");
                    }
                    return Map.of(
                            "y", 0.0, "da", deviations.getOrDefault(kernel.get().path(), 0.0));
                }

                @Override
                public void close() {
                    open--;
                }
            };
        }
    }

    @BeforeEach
    void useAFile() {
        property =
                Property.set(ChoiceMemory.PROPERTY, folder.resolve("paths.json").toString());
    }

    @AfterEach
    void restore() {
        property.restore();
        assertEquals(0, trial.open, "trials left open");
    }

    private PathChoice choice(FusedPath pinned, Precision precision, int capability) {
        return new PathChoice(
                Optional.ofNullable(pinned),
                precision,
                new Gpu(capability, 132, 227 << 10, 12060),
                () -> ChoiceMemory.of("a machine"),
                trial);
    }

    private PathChoice choice(FusedPath pinned) {
        return choice(pinned, Precision.FP32, 90);
    }

    private static Optional<FusedPath> path(PathChoice choice, PathChoice.Shape shape) {
        return choice.of(shape).map(ResidentKernel::path);
    }

    @Test
    void fastestIsChosenOnceAShapeAndRemembered() {
        PathChoice choice = choice(null);
        assertEquals(Optional.of(FusedPath.CLUSTER), path(choice, SHAPE));
        assertEquals(List.of("pointwise", "resident", "cluster"), trial.calls);
        assertEquals(
                List.of(SHAPE_WORDS + "cluster, 1.000 ms against pointwise 3.000 ms, resident 2.000 ms"),
                choice.lines());
        assertEquals(Optional.of(FusedPath.CLUSTER), path(choice, SHAPE));
        assertEquals(3, trial.calls.size());
        assertEquals(1, choice.lines().size());

        PathChoice later = choice(null);
        assertEquals(Optional.of(FusedPath.CLUSTER), path(later, SHAPE));
        assertEquals(3, trial.calls.size());
        String line = later.lines().get(0);
        assertTrue(line.startsWith(SHAPE_WORDS + "cluster, as remembered in " + folder), line);
    }

    @Test
    void pointwiseIsRememberedToo() {
        trial.times.put(FusedPath.POINTWISE, 0.5f);
        assertEquals(Optional.empty(), path(choice(null), SHAPE));
        assertEquals(Optional.empty(), path(choice(null), SHAPE));
        assertEquals(3, trial.calls.size());
    }

    @Test
    void everyPartOfAShapeCounts() {
        PathChoice choice = choice(null);
        List<PathChoice.Shape> shapes = List.of(
                SHAPE,
                new PathChoice.Shape(41, 70, 7, 9, 2, false, true, null),
                new PathChoice.Shape(40, 70, 8, 9, 2, false, true, null),
                new PathChoice.Shape(40, 70, 7, 8, 2, false, true, null),
                new PathChoice.Shape(40, 70, 7, 9, 1, false, true, null),
                new PathChoice.Shape(40, 70, 7, 9, 2, true, true, null),
                new PathChoice.Shape(40, 70, 7, 9, 2, false, false, null));
        for (int k = 0; k < shapes.size(); k++) {
            choice.of(shapes.get(k));
            assertEquals(3 * (k + 1), trial.calls.size());
        }
        choice(null, Precision.TF32, 90).of(SHAPE);
        assertEquals(3 * shapes.size() + 3, trial.calls.size());
    }

    /** Not in the file, where it could be taken for another GPU's, and not where it is not there. */
    @Test
    void rememberedPathThatCannotRunIsMeasuredAnew() {
        choice(null).of(SHAPE);
        trial.calls.clear();
        assertEquals(Optional.of(FusedPath.RESIDENT), path(choice(null, Precision.FP32, 80), SHAPE));
        assertEquals(List.of("pointwise", "resident"), trial.calls);
    }

    @Test
    void rememberedWordThatIsNoPathIsMeasuredAnew() {
        ChoiceMemory.of("a machine").remember("FP32 " + SHAPE_WORDS.replace(": ", ""), "quick");
        assertEquals(Optional.of(FusedPath.CLUSTER), path(choice(null), SHAPE));
        assertEquals(List.of("pointwise", "resident", "cluster"), trial.calls);
    }

    @ParameterizedTest
    @ValueSource(doubles = {1, 1e-3, Double.NaN, Double.POSITIVE_INFINITY})
    void kernelThatDeviatesIsNeverUsed(double deviation) {
        trial.deviations.put(FusedPath.CLUSTER, deviation);
        PathChoice choice = choice(null);
        assertEquals(Optional.of(FusedPath.RESIDENT), path(choice, SHAPE));
        assertEquals(List.of("pointwise", "resident"), trial.calls, "what deviates is not measured");
        String line = choice.lines().get(0);
        assertTrue(line.contains("cluster deviates from the pointwise path by"), line);
        assertTrue(line.contains("in da where"), line);
        assertEquals(Optional.of(FusedPath.RESIDENT), path(choice(null), SHAPE));
    }

    @Test
    void roundingIsNoDeviation() {
        for (Precision precision : List.of(Precision.FP32, Precision.TF32, Precision.BF16, Precision.FP16)) {
            double allowed = PathChoice.allowed(precision, SHAPE);
            assertTrue(
                    allowed > 4 * precision.epsilon() && allowed < 100 * precision.epsilon(),
                    precision + " " + allowed);
            PathChoice.Shape long512 = new PathChoice.Shape(512, 70, 1000, 64, 1, true, true, null);
            assertTrue(
                    PathChoice.allowed(precision, long512) > allowed && PathChoice.allowed(precision, long512) < 0.1);
        }
        trial.deviations.put(
                FusedPath.CLUSTER, 0.99 * PathChoice.allowed(Precision.FP32, SHAPE.rounded(Precision.FP32)));
        assertEquals(Optional.of(FusedPath.CLUSTER), path(choice(null), SHAPE));
    }

    @Test
    void kernelThatFailsIsNeverUsedWhereTheDeviceGoesOn() {
        trial.failures.put(FusedPath.CLUSTER, new EngineException("no room for 16 blocks"));
        PathChoice choice = choice(null);
        assertEquals(Optional.of(FusedPath.RESIDENT), path(choice, SHAPE));
        assertEquals(List.of("pointwise", "resident", "cluster", "pointwise"), trial.calls);
        String line = choice.lines().get(0);
        assertTrue(line.endsWith("cluster fails (no room for 16 blocks)"), line);
    }

    @Test
    void whatFailsOnADeviceThatIsBrokenIsThrownAndNothingChosen() {
        trial.failures.put(FusedPath.POINTWISE, new EngineException("the device is gone"));
        PathChoice choice = choice(null);
        assertRefused(EngineException.class, () -> choice.of(SHAPE), "the device is gone");
        assertEquals(List.of(), choice.lines());
        trial.failures.clear();
        assertEquals(Optional.of(FusedPath.CLUSTER), path(choice, SHAPE));
    }

    @Test
    void wantOfMemoryIsNotRemembered() {
        trial.failures.put(FusedPath.CLUSTER, new OutOfTensorMemoryException("too large", null));
        PathChoice choice = choice(null);
        assertEquals(Optional.of(FusedPath.RESIDENT), path(choice, SHAPE));
        assertTrue(choice.lines().get(0).endsWith("cluster not measured for want of memory"), choice.lines()::toString);
        trial.failures.clear();
        assertEquals(Optional.of(FusedPath.CLUSTER), path(choice(null), SHAPE));
        trial.opening = new OutOfTensorMemoryException("too large", null);
        PathChoice poor = choice(null, Precision.TF32, 90);
        assertEquals(Optional.empty(), path(poor, SHAPE));
        assertEquals(List.of(SHAPE_WORDS + "pointwise, the others not measured for want of memory"), poor.lines());
        trial.opening = null;
        assertEquals(Optional.of(FusedPath.CLUSTER), path(choice(null, Precision.TF32, 90), SHAPE));
    }

    @Test
    void nothingIsMeasuredOrOpenedWhereThereIsOneWay() {
        for (PathChoice choice : List.of(
                new PathChoice(
                        Optional.empty(),
                        Precision.FP32,
                        new Gpu(75, 132, 227 << 10, 12060),
                        () -> fail("opened"),
                        trial),
                new PathChoice(
                        Optional.empty(),
                        Precision.FP64,
                        new Gpu(90, 132, 227 << 10, 12060),
                        () -> fail("opened"),
                        trial))) {
            assertEquals(Optional.empty(), path(choice, SHAPE));
            assertEquals(List.of(SHAPE_WORDS + "pointwise, the only one that takes it"), choice.lines());
        }
        PathChoice.Shape peepholes = new PathChoice.Shape(40, 3, 7, 9, 1, true, false, "peepholes");
        PathChoice choice = new PathChoice(
                Optional.of(FusedPath.CLUSTER),
                Precision.BF16,
                new Gpu(90, 132, 227 << 10, 12060),
                () -> fail(""),
                trial);
        assertEquals(Optional.empty(), path(choice, peepholes));
        assertEquals(
                List.of("H=40 T<=7 N<=16 with peepholes inference: pointwise, the only one that takes peepholes"),
                choice.lines());
        assertEquals(List.of(), trial.calls);
    }

    @Test
    void pinnedPathRunsWhereItFits() {
        for (FusedPath pinned : FusedPath.values()) {
            PathChoice choice = new PathChoice(
                    Optional.of(pinned),
                    Precision.BF16,
                    new Gpu(90, 132, 227 << 10, 12060),
                    () -> fail("opened"),
                    trial);
            assertEquals(Optional.of(pinned).filter(path -> path != FusedPath.POINTWISE), path(choice, NARROW));
            assertEquals(List.of(NARROW_WORDS + pinned.word() + ", as carousel.fused.path asks for"), choice.lines());
        }
        PathChoice.Shape wide = new PathChoice.Shape(65, 70, 7, 9, 1, true, true, null);
        PathChoice choice = choice(FusedPath.RESIDENT);
        assertEquals(Optional.empty(), path(choice, wide));
        assertEquals(
                List.of("H=65 T<=7 N<=16 training: pointwise, for resident, which carousel.fused.path asks for,"
                        + " takes 64 hidden units at most in FP32"),
                choice.lines());
        assertEquals(List.of(), trial.calls);
        assertTrue(Files.notExists(folder.resolve("paths.json")));
    }

    @Test
    void narrowInputsAreAWayOfTheirOwn() {
        PathChoice choice = choice(null, Precision.BF16, 90);
        assertEquals(Optional.of(FusedPath.RESIDENT_INPUTS), path(choice, NARROW));
        assertEquals(List.of("pointwise", "resident", "resident-inputs", "cluster", "cluster-inputs"), trial.calls);
        assertEquals(32, trial.shapes.get(0).inputs());
        // What kernels have room for in one go is one shape, and what they have none for another.
        path(choice, new PathChoice.Shape(40, 32, 7, 9, 2, false, true, null));
        assertEquals(1, choice.lines().size());
        assertEquals(Optional.of(FusedPath.CLUSTER), path(choice, SHAPE));
        assertEquals(0, trial.shapes.get(1).inputs());
        path(choice, new PathChoice.Shape(40, 1000, 7, 9, 2, false, true, null));
        assertEquals(2, choice.lines().size());
        assertEquals(Optional.of(FusedPath.RESIDENT_INPUTS), path(choice(null, Precision.BF16, 90), NARROW));
        assertEquals(2, trial.shapes.size(), "remembered");
        assertEquals(Optional.of(FusedPath.CLUSTER), path(choice(null), NARROW), "FP32 has none");
    }

    @Test
    void wideInputsOfAPinnedPathForNarrowOnesAreMultipliedBefore() {
        PathChoice choice = choice(FusedPath.RESIDENT_INPUTS, Precision.BF16, 90);
        assertEquals(Optional.of(FusedPath.RESIDENT_INPUTS), path(choice, NARROW));
        assertEquals(Optional.of(FusedPath.RESIDENT), path(choice, SHAPE));
        assertEquals(
                SHAPE_WORDS + "resident, for resident-inputs, which carousel.fused.path asks for,"
                        + " takes 64 hidden units and 64 inputs at most in BF16",
                choice.lines().get(1));
        PathChoice old = choice(FusedPath.CLUSTER_INPUTS, Precision.BF16, 80);
        assertEquals(Optional.empty(), path(old, NARROW));
        assertTrue(old.lines().get(0).endsWith("needs compute capability 9.0"), old.lines()::toString);
    }

    @Test
    void sizesThatBatchesHaveManyOfAreRounded() {
        int[][] sizes = {
            // T, N, and what stands for them
            {1, 1, 1, 8},
            {8, 8, 8, 8},
            {9, 9, 10, 16},
            {10, 16, 10, 16},
            {15, 17, 16, 32},
            {17, 100, 20, 112},
            {100, 129, 112, 160},
            {1000, 1025, 1024, 1280},
            {1025, 64, 1280, 64},
            {1 << 30, 1, 1 << 30, 1}
        };
        for (int[] each : sizes) {
            PathChoice.Shape rounded =
                    new PathChoice.Shape(300, 300, each[0], each[1], 1, true, true, null).rounded(Precision.BF16);
            assertEquals(List.of(each[2], each[3]), List.of(rounded.timeSteps(), rounded.batchSize()));
            assertEquals(rounded, rounded.rounded(Precision.BF16));
        }
        PathChoice choice = choice(null);
        for (int t = 9; t <= 16; t++) {
            for (int n = 17; n <= 32; n++) {
                choice.of(new PathChoice.Shape(40, 70, t, n, 1, true, true, null));
            }
        }
        assertEquals(
                List.of(10, 12, 14, 16),
                trial.shapes.stream().map(PathChoice.Shape::timeSteps).toList());
        assertEquals(4, choice.lines().size());
    }

    @Test
    void linesDoNotGrowForever() {
        PathChoice choice = choice(FusedPath.POINTWISE);
        for (int hidden = 1; hidden <= Lines.MOST + 2; hidden++) {
            choice.of(new PathChoice.Shape(hidden, 70, 1, 1, 1, true, true, null));
        }
        assertEquals(Lines.MOST, choice.lines().size());
        assertTrue(choice.lines().get(0).startsWith("H=3 "), choice.lines().get(0));
    }

    /** Attributes do not say whether a GPU takes clusters of 16: a pinned path tries it, once. */
    @Test
    void pinnedClusterThatTheGpuDoesNotTakeIsPassedOver() {
        PathChoice.Shape large = new PathChoice.Shape(300, 70, 7, 9, 1, true, true, null);
        PathChoice taken = choice(FusedPath.CLUSTER, Precision.BF16, 90);
        assertEquals(Optional.of(FusedPath.CLUSTER), path(taken, large));
        assertEquals(1, trial.shapes.size());
        assertEquals(1, trial.shapes.get(0).timeSteps());
        assertEquals(1, trial.shapes.get(0).batchSize());

        trial.refused.add(ResidentKernel.candidates(Precision.BF16, large, new Gpu(90, 132, 227 << 10, 12060))
                .get(0));
        PathChoice refused = choice(FusedPath.CLUSTER, Precision.BF16, 90);
        assertEquals(Optional.empty(), path(refused, large));
        assertEquals(Optional.empty(), path(refused, new PathChoice.Shape(400, 70, 7, 9, 1, true, true, null)));
        assertEquals(2, trial.shapes.size(), "once for a kernel");
        assertEquals(
                "H=400 T<=7 N<=16 training: pointwise, for cluster, which carousel.fused.path asks for,"
                        + " fails (no such clusters here)",
                refused.lines().get(1));
        assertEquals(Optional.of(FusedPath.CLUSTER), path(refused, SHAPE), "smaller ones are not tried");
        PathChoice withInputs = choice(FusedPath.CLUSTER_INPUTS, Precision.BF16, 90);
        assertEquals(Optional.empty(), path(withInputs, large));
        assertEquals(
                "H=300 T<=7 N<=16 training: pointwise, for cluster-inputs, which carousel.fused.path asks for,"
                        + " takes 128 hidden units and 64 inputs at most in BF16,"
                        + " and cluster fails (no such clusters here)",
                withInputs.lines().get(0));

        trial.failures.put(FusedPath.POINTWISE, new EngineException("the device is gone"));
        PathChoice broken = choice(FusedPath.CLUSTER, Precision.BF16, 90);
        assertRefused(EngineException.class, () -> broken.of(large), "no such clusters here");
    }

    @Test
    void theGridIsForCellsThatOneBlockHasNoRoomFor() {
        PathChoice choice = choice(null, Precision.BF16, 90);
        path(choice, new PathChoice.Shape(128, 70, 7, 9, 1, true, true, null));
        path(choice, new PathChoice.Shape(129, 70, 7, 9, 1, true, true, null));
        assertFalse(choice.lines().get(0).contains("grid"), choice.lines().get(0));
        assertTrue(choice.lines().get(1).contains("grid"), choice.lines().get(1));
    }

    @Test
    void wrongWordIsRefused() {
        assertRefused(
                EngineException.class,
                () -> pinned("quick"),
                FusedPath.PROPERTY,
                "auto, pointwise, resident, resident-inputs, cluster, cluster-inputs, grid",
                "'quick'",
                "leave it out");
        for (FusedPath path : FusedPath.values()) {
            assertEquals(Optional.of(path), pinned(" " + path.word() + " "));
        }
        assertEquals(Optional.empty(), pinned("auto"));
        assertEquals(Optional.empty(), pinned(null));
    }

    private static Optional<FusedPath> pinned(String word) {
        return Property.with(FusedPath.PROPERTY, word, FusedPath::pinned);
    }
}
