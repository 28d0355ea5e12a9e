package carousel.engine.cuda.cudnn;

import static carousel.fixture.Refusals.assertRefused;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.engine.Direction;
import carousel.engine.EngineException;
import carousel.engine.LstmSpec;
import carousel.engine.cuda.Attempts;
import carousel.engine.cuda.ChoiceMemory;
import carousel.engine.cuda.Lines;
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
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Which algorithm is chosen and what is said about it, with times that are made up. */
class AlgorithmChoiceTest {
    private static final AlgorithmChoice.Shape SHAPE = new AlgorithmChoice.Shape(LstmSpec.of(3, 200), 7, 9, true, true);
    private static final String WORDS = "C=3 H=200 T=7 N=9 training: ";

    @TempDir
    private Path folder;

    private Property property;
    private final Map<Algorithm, Float> times =
            new EnumMap<>(Map.of(Algorithm.STANDARD, 3f, Algorithm.PERSIST_STATIC, 1f, Algorithm.PERSIST_DYNAMIC, 2f));
    private final Map<Algorithm, RuntimeException> failures = new EnumMap<>(Algorithm.class);
    private final Map<Algorithm, Double> deviations = new EnumMap<>(Algorithm.class);
    private final List<String> calls = new ArrayList<>();
    private RuntimeException opening;
    private int open;

    private Attempts<Algorithm> attempts() {
        if (opening != null) {
            throw opening;
        }
        open++;
        return new Attempts<>() {
            @Override
            public float milliseconds(Algorithm algorithm) {
                calls.add(algorithm.word());
                if (failures.containsKey(algorithm)) {
                    throw failures.get(algorithm);
                }
                return times.get(algorithm);
            }

            @Override
            public Map<String, Double> deviations(Algorithm algorithm) {
                return Map.of("y", deviations.getOrDefault(algorithm, 0.0));
            }

            @Override
            public void close() {
                open--;
            }
        };
    }

    @BeforeEach
    void useAFile() {
        property = Property.set(
                ChoiceMemory.PROPERTY, folder.resolve("choices.json").toString());
    }

    @AfterEach
    void restore() {
        property.restore();
        assertEquals(0, open, "trials left open");
    }

    private AlgorithmChoice choice(Algorithm pinned, Precision precision) {
        return new AlgorithmChoice(
                Optional.ofNullable(pinned), precision, () -> ChoiceMemory.of("a machine"), shape -> attempts());
    }

    private AlgorithmChoice choice() {
        return choice(null, Precision.FP32);
    }

    @Test
    void fastestIsChosenOnceAShapeAndRemembered() {
        AlgorithmChoice choice = choice();
        assertEquals(Algorithm.PERSIST_STATIC, choice.of(SHAPE));
        assertEquals(List.of("standard", "persist-static", "persist-dynamic"), calls);
        assertEquals(
                List.of(WORDS + "persist-static, 1.000 ms against standard 3.000 ms, persist-dynamic 2.000 ms"),
                choice.lines());
        assertEquals(Algorithm.PERSIST_STATIC, choice.of(SHAPE));
        AlgorithmChoice later = choice();
        assertEquals(Algorithm.PERSIST_STATIC, later.of(SHAPE));
        assertEquals(3, calls.size());
        String line = later.lines().get(0);
        assertTrue(line.startsWith(WORDS + "persist-static, as remembered in " + folder), line);
        // Another precision is another shape.
        choice(null, Precision.TF32).of(SHAPE);
        assertEquals(6, calls.size());
    }

    /** Two shapes that share a choice, or a memory, would be run by what was tried on one of them. */
    @Test
    void everyPartOfAShapeCounts() {
        LstmSpec spec = LstmSpec.of(3, 200);
        Set<String> words = new HashSet<>();
        AlgorithmChoice choice = choice();
        List<AlgorithmChoice.Shape> shapes = Stream.concat(
                        Stream.of(
                                        spec,
                                        LstmSpec.of(4, 200),
                                        LstmSpec.of(3, 201),
                                        spec.withLayers(2),
                                        spec.withDirection(Direction.BIDIRECTIONAL),
                                        spec.withBias(false),
                                        spec.withCellClip(1))
                                .map(stack -> new AlgorithmChoice.Shape(stack, 7, 9, true, true)),
                        Stream.of(
                                new AlgorithmChoice.Shape(spec, 8, 9, true, true),
                                new AlgorithmChoice.Shape(spec, 7, 8, true, true),
                                new AlgorithmChoice.Shape(spec, 7, 9, true, false)))
                .toList();
        for (AlgorithmChoice.Shape shape : shapes) {
            choice.of(shape);
            assertTrue(words.add(shape.toString()), shape::toString);
        }
        assertEquals(3 * shapes.size(), calls.size());
    }

    @Test
    void whatCannotRunIsMeasuredAnew() {
        ChoiceMemory memory = ChoiceMemory.of("a machine");
        for (String word : List.of("quick", "small-h")) {
            memory.remember("FP32 " + WORDS.replace(": ", ""), word);
            calls.clear();
            assertEquals(Algorithm.PERSIST_STATIC, choice().of(SHAPE));
            assertEquals(3, calls.size(), word);
        }
    }

    @ParameterizedTest
    @ValueSource(doubles = {1, 1e-3, Double.NaN, Double.POSITIVE_INFINITY})
    void algorithmThatDeviatesIsNeverUsed(double deviation) {
        deviations.put(Algorithm.PERSIST_STATIC, deviation);
        AlgorithmChoice choice = choice();
        assertEquals(Algorithm.PERSIST_DYNAMIC, choice.of(SHAPE));
        assertEquals(List.of("standard", "persist-dynamic"), calls, "what deviates is not measured");
        String line = choice.lines().get(0);
        assertTrue(line.contains("persist-static deviates from the standard algorithm by"), line);
        calls.clear();
        assertEquals(Algorithm.PERSIST_DYNAMIC, choice().of(SHAPE));
        assertEquals(List.of("standard", "persist-dynamic"), calls, "another process sees it, and says it, again");
    }

    @Test
    void algorithmThatFailsDropsOutWhereTheDeviceGoesOn() {
        failures.put(Algorithm.PERSIST_STATIC, new EngineException("no plan"));
        AlgorithmChoice choice = choice();
        assertEquals(Algorithm.PERSIST_DYNAMIC, choice.of(SHAPE));
        assertTrue(choice.lines().get(0).contains("persist-static fails (no plan)"), choice.lines()::toString);
        assertEquals(List.of("standard", "persist-static", "standard", "persist-dynamic"), calls);
        failures.put(Algorithm.STANDARD, new EngineException("the device is gone"));
        assertRefused(EngineException.class, () -> choice(null, Precision.TF32).of(SHAPE), "the device is gone");
    }

    @Test
    void wantOfMemoryIsNotRemembered() {
        opening = new OutOfTensorMemoryException("too large", null);
        AlgorithmChoice choice = choice();
        assertEquals(Algorithm.STANDARD, choice.of(SHAPE));
        assertEquals(List.of(WORDS + "standard, the others not measured for want of memory"), choice.lines());
        opening = null;
        failures.put(Algorithm.PERSIST_STATIC, new OutOfTensorMemoryException("too large", null));
        assertEquals(Algorithm.PERSIST_DYNAMIC, choice().of(SHAPE));
        failures.clear();
        assertEquals(Algorithm.PERSIST_STATIC, choice().of(SHAPE));
    }

    @Test
    void oneThatIsAloneIsNotMeasured() {
        AlgorithmChoice choice = choice();
        choice.of(new AlgorithmChoice.Shape(LstmSpec.of(3, 200), 7, 9, false, true));
        choice(Algorithm.PERSIST_DYNAMIC, Precision.FP32).of(SHAPE);
        assertEquals(List.of(), calls);
    }

    @Test
    void linesDoNotGrowForever() {
        AlgorithmChoice choice = choice(Algorithm.STANDARD, Precision.FP32);
        for (int timeSteps = 1; timeSteps <= Lines.MOST + 2; timeSteps++) {
            choice.of(new AlgorithmChoice.Shape(LstmSpec.of(3, 5), timeSteps, 1, true, true));
        }
        assertEquals(Lines.MOST, choice.lines().size());
    }
}
