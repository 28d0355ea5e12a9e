package carousel.engine.cuda.fused;

import static carousel.fixture.Refusals.assertRefused;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;

import carousel.engine.EngineException;
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

    @TempDir
    private Path folder;

    private Property property;
    private final Fake trial = new Fake();

    /** Times and deviations by path, and who was tried. */
    private static final class Fake implements PathChoice.Trial {
        private final Map<FusedPath, Float> times = new HashMap<>(
                Map.of(FusedPath.POINTWISE, 3f, FusedPath.RESIDENT, 2f, FusedPath.CLUSTER, 1f, FusedPath.GRID, 4f));
        private final Map<FusedPath, Double> deviations = new HashMap<>();
        private final Map<FusedPath, RuntimeException> failures = new HashMap<>();
        private final List<String> calls = new ArrayList<>();
        private RuntimeException opening;
        private int open;

        @Override
        public PathChoice.Attempts open(PathChoice.Shape shape) {
            if (opening != null) {
                throw opening;
            }
            open++;
            return new PathChoice.Attempts() {
                @Override
                public float milliseconds(ResidentKernel kernel) {
                    FusedPath path = kernel == null ? FusedPath.POINTWISE : kernel.path();
                    calls.add(path.word());
                    if (failures.containsKey(path)) {
                        throw failures.get(path);
                    }
                    return times.get(path);
                }

                @Override
                public Map<String, Double> deviations(ResidentKernel kernel) {
                    return Map.of("y", 0.0, "da", deviations.getOrDefault(kernel.path(), 0.0));
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
                Property.set(PathMemory.PROPERTY, folder.resolve("paths.json").toString());
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
                () -> PathMemory.of("a machine"),
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
        trial.deviations.put(FusedPath.CLUSTER, 0.99 * PathChoice.allowed(Precision.FP32, SHAPE));
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
        PathChoice.Shape peepholes = new PathChoice.Shape(40, 70, 7, 9, 1, true, false, "peepholes");
        PathChoice choice = new PathChoice(
                Optional.of(FusedPath.CLUSTER),
                Precision.FP32,
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
            assertEquals(Optional.of(pinned).filter(path -> path != FusedPath.POINTWISE), path(choice, SHAPE));
            assertEquals(List.of(SHAPE_WORDS + pinned.word() + ", as carousel.fused.path asks for"), choice.lines());
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
                "auto, pointwise, resident, cluster",
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
