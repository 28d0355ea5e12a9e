package carousel.engine.cuda.gpu;

import static carousel.fixture.Refusals.assertRefused;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.engine.Direction;
import carousel.engine.EngineException;
import carousel.engine.LstmSpec;
import carousel.engine.cuda.Attempts;
import carousel.engine.cuda.ChoiceMemory;
import carousel.engine.cuda.Lines;
import carousel.engine.cuda.Sizes;
import carousel.fixture.Property;
import carousel.tensor.OutOfTensorMemoryException;
import carousel.tensor.Precision;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Who is chosen and what is said about it, with times that are made up. */
class RivalChoiceTest {
    private static final LstmSpec SPEC = LstmSpec.of(3, 40).withLayers(2);
    private static final RivalChoice.Shape SHAPE = shape(SPEC, 7, 9);
    private static final String WORDS = "C=3 H=40 layers=2 T<=7 N<=16 training: ";

    @TempDir
    private Path folder;

    private Property property;
    private final Fake trial = new Fake();

    private static RivalChoice.Shape shape(LstmSpec spec, int timeSteps, int batchSize) {
        return new RivalChoice.Shape(spec, new Sizes(timeSteps, batchSize), true, true, true);
    }

    /** Times and deviations, and who was tried. */
    private static final class Fake implements Attempts.Trial<RivalChoice.Shape, Rival> {
        private final Map<Rival, Float> times = new EnumMap<>(Map.of(Rival.FUSED, 2f, Rival.CUDNN, 1f));
        private final Map<Rival, RuntimeException> failures = new EnumMap<>(Rival.class);
        private final List<String> calls = new ArrayList<>();
        private double deviation;
        private boolean poor;
        private RuntimeException opening;
        private int open;

        @Override
        public Attempts<Rival> open(RivalChoice.Shape shape) {
            if (opening != null) {
                throw opening;
            }
            open++;
            return new Attempts<>() {
                @Override
                public float milliseconds(Rival rival) {
                    calls.add(rival.word());
                    if (failures.containsKey(rival)) {
                        throw failures.get(rival);
                    }
                    return times.get(rival);
                }

                @Override
                public Map<String, Double> deviations(Rival rival) {
                    assertEquals(Rival.CUDNN, rival);
                    return Map.of("y", 0.0, "dx", deviation);
                }

                @Override
                public boolean poor() {
                    return poor;
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
        property = Property.set(
                ChoiceMemory.PROPERTY, folder.resolve("choices.json").toString());
    }

    @AfterEach
    void restore() {
        property.restore();
        assertEquals(0, trial.open, "trials left open");
    }

    private RivalChoice choice(Rival pinned) {
        return new RivalChoice(Optional.ofNullable(pinned), Precision.FP32, () -> ChoiceMemory.of("a machine"), trial);
    }

    @Test
    void theFasterOneIsChosenOnceAShapeAndRemembered() {
        RivalChoice choice = choice(null);
        assertEquals(Rival.CUDNN, choice.of(SHAPE));
        assertEquals(List.of("fused", "cudnn"), trial.calls);
        assertEquals(List.of(WORDS + "cudnn, 1.000 ms against fused 2.000 ms"), choice.lines());
        assertEquals(Rival.CUDNN, choice.of(SHAPE));
        assertEquals(2, trial.calls.size());
        RivalChoice later = choice(null);
        assertEquals(Rival.CUDNN, later.of(SHAPE));
        assertEquals(2, trial.calls.size());
        String line = later.lines().get(0);
        assertTrue(line.startsWith(WORDS + "cudnn, as remembered in " + folder), line);
    }

    @Test
    void fusedIsChosenAndRememberedToo() {
        trial.times.put(Rival.FUSED, 0.5f);
        assertEquals(Rival.FUSED, choice(null).of(SHAPE));
        assertEquals(Rival.FUSED, choice(null).of(SHAPE));
        assertEquals(2, trial.calls.size());
    }

    @Test
    void rememberedWordThatIsNobodyIsMeasuredAnew() {
        ChoiceMemory.of("a machine").remember("FP32 " + WORDS.replace(": ", ""), "quick");
        assertEquals(Rival.CUDNN, choice(null).of(SHAPE));
        assertEquals(2, trial.calls.size());
    }

    /** Two shapes that share a choice, or a memory, would be as fast as one of them. */
    @Test
    void everyPartOfAShapeCounts() {
        List<RivalChoice.Shape> shapes = List.of(
                SHAPE,
                shape(LstmSpec.of(4, 40).withLayers(2), 7, 9),
                shape(LstmSpec.of(3, 41).withLayers(2), 7, 9),
                shape(SPEC.withLayers(3), 7, 9),
                shape(SPEC.withDirection(Direction.BIDIRECTIONAL), 7, 9),
                shape(SPEC.withProjectionSize(4), 7, 9),
                shape(SPEC.withProjectionSize(5), 7, 9),
                shape(SPEC.withBias(false), 7, 9),
                shape(SPEC.withCellClip(1), 7, 9),
                shape(SPEC.withDropout(0.1), 7, 9),
                shape(SPEC, 8, 9),
                shape(SPEC, 7, 8),
                new RivalChoice.Shape(SPEC, new Sizes(7, 9), false, true, true),
                new RivalChoice.Shape(SPEC, new Sizes(7, 9), true, false, true));
        Set<String> words = new HashSet<>();
        RivalChoice choice = choice(null);
        for (RivalChoice.Shape shape : shapes) {
            choice.of(shape);
            assertTrue(words.add(shape.rounded().toString()), shape::toString);
        }
        assertEquals(2 * shapes.size(), trial.calls.size());
        assertEquals(shapes.size(), choice.lines().size());
    }

    @Test
    void shapesThatAreAlmostTheSameShareAChoice() {
        RivalChoice choice = choice(null);
        choice.of(shape(SPEC.withDropout(0.1), 100, 120));
        choice.of(shape(SPEC.withDropout(0.3), 111, 128));
        assertEquals(2, trial.calls.size());
        assertEquals(
                "C=3 H=40 layers=2 with dropout T<=112 N<=128 training: cudnn, 1.000 ms against fused 2.000 ms",
                choice.lines().get(0));
    }

    @ParameterizedTest
    @ValueSource(doubles = {1, 1e-3, Double.NaN, Double.POSITIVE_INFINITY})
    void cudnnThatDeviatesIsNotUsed(double deviation) {
        trial.deviation = deviation;
        RivalChoice choice = choice(null);
        assertEquals(Rival.FUSED, choice.of(SHAPE));
        assertEquals(List.of("fused"), trial.calls, "what deviates is not measured");
        String line = choice.lines().get(0);
        assertTrue(line.startsWith(WORDS + "fused, 2.000 ms against cudnn deviates from the fused kernels by"), line);
        assertTrue(line.contains("in dx where"), line);
    }

    @Test
    void cudnnThatFailsDropsOutWhereTheDeviceGoesOn() {
        trial.failures.put(Rival.CUDNN, new EngineException("no plan"));
        RivalChoice choice = choice(null);
        assertEquals(Rival.FUSED, choice.of(SHAPE));
        assertEquals(List.of("fused", "cudnn", "fused"), trial.calls);
        assertTrue(choice.lines().get(0).endsWith("cudnn fails (no plan)"), choice.lines()::toString);
        trial.failures.put(Rival.FUSED, new EngineException("the device is gone"));
        assertRefused(EngineException.class, () -> choice(null).of(shape(SPEC, 70, 9)), "the device is gone");
    }

    @Test
    void wantOfMemoryIsNotRemembered() {
        trial.opening = new OutOfTensorMemoryException("too large", null);
        RivalChoice choice = choice(null);
        assertEquals(Rival.FUSED, choice.of(SHAPE));
        assertEquals(List.of(WORDS + "fused, the others not measured for want of memory"), choice.lines());
        trial.opening = null;
        trial.failures.put(Rival.CUDNN, new OutOfTensorMemoryException("too large", null));
        assertEquals(Rival.FUSED, choice(null).of(SHAPE));
        trial.failures.clear();
        assertEquals(Rival.CUDNN, choice(null).of(SHAPE));
    }

    /** As where each of the two had no memory to find its own best way: the memory is there again when both are done. */
    @Test
    void raceOfThePoorIsNotRemembered() {
        trial.poor = true;
        RivalChoice choice = choice(null);
        assertEquals(Rival.CUDNN, choice.of(SHAPE));
        trial.poor = false;
        assertTrue(choice.forgetPoor());
        assertFalse(choice.forgetPoor());
        trial.times.put(Rival.FUSED, 0.5f);
        assertEquals(Rival.FUSED, choice.of(SHAPE));
        assertEquals(Rival.FUSED, choice(null).of(SHAPE));
        assertEquals(4, trial.calls.size());
    }

    /** Sums over all steps and sequences may differ by more than those of a gate. */
    @Test
    void longSumsMayBeFurtherApart() {
        trial.deviation = 1e-4;
        assertEquals(Rival.FUSED, choice(null).of(SHAPE));
        assertEquals(Rival.CUDNN, choice(null).of(shape(SPEC, 1000, 256)));
    }

    @Test
    void whatCudnnDoesNotComputeIsNotMeasured() {
        for (Rival pinned : new Rival[] {null, Rival.CUDNN}) {
            RivalChoice choice = choice(pinned);
            assertEquals(
                    Rival.FUSED,
                    choice.of(new RivalChoice.Shape(SPEC.withPeepholes(true), new Sizes(7, 9), true, true, false)));
            assertTrue(choice.lines().get(0).endsWith("fused, the only one that takes it"), choice.lines()::toString);
        }
        assertEquals(List.of(), trial.calls);
    }

    @ParameterizedTest
    @ValueSource(strings = {"fused", "cudnn"})
    void theOneThatIsAskedForIsNotMeasured(String word) {
        Rival asked = Property.with(Rival.PROPERTY, word, () -> Rival.pinned().orElseThrow());
        assertEquals(word, asked.word());
        RivalChoice choice = choice(asked);
        assertEquals(asked, choice.of(SHAPE));
        assertEquals(List.of(), trial.calls);
        assertEquals(List.of(WORDS + word + ", as carousel.gpu.engine asks for"), choice.lines());
    }

    @Test
    void anotherWordIsRefused() {
        assertRefused(
                EngineException.class,
                () -> Property.with(Rival.PROPERTY, "vector", Rival::pinned),
                "carousel.gpu.engine",
                "auto, fused, cudnn",
                "'vector'");
        assertEquals(Optional.empty(), Property.with(Rival.PROPERTY, "auto", Rival::pinned));
        assertThrows(EngineException.class, () -> Property.with(Rival.PROPERTY, "", Rival::pinned));
    }

    @Test
    void linesDoNotGrowForever() {
        RivalChoice choice = choice(Rival.CUDNN);
        for (int hidden = 1; hidden <= Lines.MOST + 2; hidden++) {
            choice.of(shape(LstmSpec.of(3, hidden), 1, 1));
        }
        assertEquals(Lines.MOST, choice.lines().size());
    }
}
