package carousel.engine.cuda.fused;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.engine.Direction;
import carousel.engine.Engine;
import carousel.engine.EngineOptions;
import carousel.engine.LstmSpec;
import carousel.engine.RandomKey;
import carousel.fixture.AvailableEngines;
import carousel.fixture.LstmCase;
import carousel.fixture.LstmData;
import carousel.fixture.LstmResult;
import carousel.fixture.LstmRuns;
import carousel.fixture.Property;
import carousel.fixture.StandIn;
import carousel.fixture.StandIn.Count;
import carousel.fixture.StandIn.Kind;
import carousel.fixture.Tolerance;
import carousel.fixture.Workbench;
import carousel.tensor.Precision;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.Supplier;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Layers side by side: the same bits as one after the other, whatever their streams do that events do not forbid. */
@Tag("gpu")
class FusedWavefrontTest {
    private static final String GRAPHS = "carousel.cuda.graphs";

    /** Layers side by side in two lanes, three chunks of one step: little enough to forget each wait. */
    private static final LstmCase STACK =
            LstmCase.of(LstmSpec.of(2, 3).withLayers(2), 3, 2).withInitial();
    /** In each direction one for each chunk, one when lanes are opened and one when they are closed. */
    private static final long WAITS = 2 * (3 + 2);

    @BeforeEach
    void requireAvailable() {
        AvailableEngines.assume(new FusedEngineProvider());
    }

    @AfterEach
    void calm() {
        StandIn.find().ifPresent(standIn -> {
            standIn.heal();
            standIn.unruly(0);
        });
    }

    private static StandIn standIn() {
        return StandIn.find().orElseGet(() -> Assumptions.abort("real libraries do what they want"));
    }

    private static <R> R with(String path, String wavefront, Supplier<R> work) {
        return Property.with(FusedPath.PROPERTY, path, () -> Property.with(Wavefront.PROPERTY, wavefront, work));
    }

    private static Engine open(String path, Precision precision, String wavefront, boolean guards) {
        return with(
                path,
                wavefront,
                () -> new FusedEngineProvider()
                        .open(EngineOptions.defaults().withPrecision(precision).withGuards(guards)));
    }

    private static LstmResult run(Engine engine, LstmCase lstm, LstmData data) {
        try (Workbench bench = new Workbench(engine)) {
            return bench.run(lstm, data);
        }
    }

    private static double[] infer(Engine engine, LstmCase lstm, LstmData data) {
        try (Workbench bench = new Workbench(engine)) {
            return bench.run(lstm, data, null).y();
        }
    }

    private static boolean goesSideBySide(Engine engine) {
        return engine.notes().stream().anyMatch(line -> line.contains(" side by side in "));
    }

    private static boolean same(LstmResult one, LstmResult other) {
        List<String> different = new ArrayList<>();
        one.visitWith(other, (what, a, b) -> {
            if (!Arrays.equals(a, b)) {
                different.add(what);
            }
        });
        return different.isEmpty();
    }

    /** To be taken in turns: then memory holds what is right for other numbers. */
    private static List<LstmData> others() {
        return List.of(LstmData.of(STACK).nearby(0.5, 0), LstmData.of(STACK).nearby(0.5, 1));
    }

    private static List<LstmResult> right(List<LstmData> data) {
        try (Engine engine = open("resident", Precision.FP32, "false", false)) {
            return data.stream().map(numbers -> run(engine, STACK, numbers)).toList();
        }
    }

    private static void unruly(int order) {
        StandIn.find().ifPresent(standIn -> standIn.unruly(order));
    }

    @ParameterizedTest
    @CsvSource({
        "resident, FP32, 5, 2, 5, FORWARD",
        "resident, BF16, 9, 5, 4, FORWARD",
        "resident, FP16, 5, 3, 5, REVERSE",
        "resident, TF32, 33, 2, 3, REVERSE",
        "resident-inputs, FP16, 5, 3, 4, REVERSE",
        "cluster, FP32, 20, 3, 4, FORWARD",
        "cluster, BF16, 70, 2, 3, REVERSE",
        "grid, BF16, 40, 2, 2, FORWARD"
    })
    void bitsAreThoseOfOneLayerAfterTheOther(
            String path, Precision precision, int hidden, int layers, int timeSteps, Direction direction) {
        LstmSpec spec = LstmSpec.of(3, hidden).withLayers(layers).withDirection(direction);
        LstmCase lstm = LstmCase.of(spec, timeSteps, 3)
                .withLengths(timeSteps, 0, timeSteps - 1)
                .withInitial();
        long misuse = StandIn.find().map(standIn -> standIn.count(Count.MISUSE)).orElse(0L);
        LstmResult expected = oneAfterTheOther(path, precision, lstm);
        sideBySide(path, precision, timeSteps > 3 ? "2" : "1", lstm, expected);
        assertEquals(
                misuse,
                StandIn.find().map(standIn -> standIn.count(Count.MISUSE)).orElse(0L));
    }

    private static LstmResult oneAfterTheOther(String path, Precision precision, LstmCase lstm) {
        try (Engine engine = open(path, precision, "false", true)) {
            LstmResult result = run(engine, lstm, LstmData.of(lstm));
            assertFalse(goesSideBySide(engine), engine.notes()::toString);
            return result;
        }
    }

    /** Training and inference, whatever streams do that events do not forbid. */
    private static List<String> sideBySide(
            String path, Precision precision, String chunk, LstmCase lstm, LstmResult right) {
        LstmData data = LstmData.of(lstm);
        LstmResult expected = right;
        try (Engine engine = open(path, precision, chunk, true)) {
            for (int order = 1; order <= 3; order++) {
                unruly(order);
                LstmResult actual = run(engine, lstm, data);
                if (StandIn.find().isEmpty()) {
                    // A library may take another way for a product of other sizes.
                    Tolerance.of(precision).check(lstm, expected, actual);
                    expected = actual;
                }
                expected.visitWith(actual, (what, one, other) -> assertArrayEquals(one, other, what));
                assertArrayEquals(expected.y(), infer(engine, lstm, data));
            }
            assertTrue(goesSideBySide(engine), engine.notes()::toString);
            return engine.notes();
        }
    }

    /** The inputs of the first layer are narrow enough for its kernel, and those of the second are not. */
    @Test
    void layersWithAndWithoutTheirInputsInTheKernelGoSideBySide() {
        LstmSpec spec = LstmSpec.of(3, 33).withLayers(2);
        LstmCase lstm = LstmCase.of(spec, 4, 3).withLengths(4, 0, 2).withInitial();
        String path = FusedPath.RESIDENT_INPUTS.word();
        LstmResult expected = oneAfterTheOther(path, Precision.TF32, lstm);
        Tolerance.of(Precision.TF32).check(lstm, LstmRuns.onReference(lstm), expected);
        List<String> notes = sideBySide(path, Precision.TF32, "1", lstm, expected);
        String line = notes.get(0);
        assertTrue(line.startsWith("H=33 C<=32 ") && line.contains(" training: resident-inputs, "), line);
        line = notes.get(1);
        assertTrue(line.startsWith("H=33 T<=4 ") && line.contains(" training: resident, "), line);

        // Of the first layer's chunks none has a product.
        StandIn counts = standIn();
        calm();
        LstmData data = LstmData.of(lstm);
        try (Engine engine = open(path, Precision.TF32, "1", true)) {
            long before = counts.count(Count.PRODUCTS);
            infer(engine, lstm, data);
            assertEquals(lstm.timeSteps(), counts.count(Count.PRODUCTS) - before);
        }
    }

    @Test
    void whatCannotGoSideBySideGoesOneAfterTheOther() {
        LstmSpec spec = LstmSpec.of(2, 4).withLayers(2);
        RandomKey key = new RandomKey(1, 2, 3);
        try (Engine engine = open("resident", Precision.FP32, "1", true)) {
            for (LstmCase lstm : List.of(
                    LstmCase.of(spec.withDirection(Direction.BIDIRECTIONAL), 4, 2),
                    LstmCase.of(spec.withDropout(0.5), 4, 2).withDropout(key),
                    LstmCase.of(spec.withRecurrentWeightDropout(0.5), 4, 2).withDropout(key),
                    LstmCase.of(spec.withPeepholes(true), 4, 2),
                    LstmCase.of(spec.withLayers(1), 4, 2),
                    // More tiles than half of a GPU's multiprocessors.
                    LstmCase.of(spec, 2, 8 * 100))) {
                infer(engine, lstm, LstmData.of(lstm));
                assertFalse(goesSideBySide(engine), () -> lstm + ": " + engine.notes());
            }
            // Nothing is drawn without a key.
            LstmCase lstm = LstmCase.of(spec.withDropout(0.5), 4, 2);
            infer(engine, lstm, LstmData.of(lstm));
            List<String> notes = engine.notes();
            assertEquals(
                    "H=4 T=4 N=2: 2 layers side by side in 2 lanes, 4 chunks of 1 steps", notes.get(notes.size() - 1));
        }
    }

    /**
     * Each wait of a stream for an event is forgotten once, and streams run ahead where they can: the result is another, but for two that say
     * what others say as well. Forward, the upper lane waits for the first chunk right after it was opened; on the way back the lane below has
     * waited for all of the one above before lanes are closed.
     */
    @Test
    void everyWaitIsMissed() {
        StandIn faults = standIn();
        List<LstmData> data = others();
        List<LstmResult> expected = right(data);
        List<Long> unnoticed = new ArrayList<>();
        Property graphs = Property.set(GRAPHS, "false");
        try (Engine engine = open("resident", Precision.FP32, "1", false)) {
            int pass = 0;
            for (long k = 1; ; k++) {
                boolean noticed = false;
                for (int order = 1; order <= 2 && !noticed; order++) {
                    pass++;
                    faults.unruly(order);
                    faults.forget(Kind.WAIT, k);
                    noticed = !same(expected.get(pass % 2), run(engine, STACK, data.get(pass % 2)));
                    faults.heal();
                }
                if (faults.count(Count.FAILURES) == 0) {
                    assertFalse(noticed, "the passes are right when nothing is forgotten");
                    assertEquals(WAITS, k - 1, "waits");
                    break;
                }
                if (!noticed) {
                    unnoticed.add(k);
                }
            }
        } finally {
            graphs.restore();
        }
        assertEquals(List.of(1L, WAITS), unnoticed);
    }

    /** The same where the run in which it is forgotten becomes a graph, which is then missed or replays what is wrong. */
    @Test
    void everyWaitIsMissedInAGraph() {
        StandIn faults = standIn();
        List<LstmData> data = others();
        List<LstmResult> expected = right(data);
        int captured = 0;
        long graphs;
        try (Engine engine = open("resident", Precision.FP32, "1", false)) {
            do {
                graphs = -faults.count(Count.GRAPH_LAUNCHES);
                run(engine, STACK, data.get(captured % 2));
                graphs += faults.count(Count.GRAPH_LAUNCHES);
                captured++;
            } while (graphs == 0 && captured < 10);
        }
        assertTrue(graphs > 0, "graphs launched in a pass");
        List<Long> unnoticed = new ArrayList<>();
        for (long k = 1; ; k++) {
            boolean noticed = false;
            faults.unruly(0);
            try (Engine engine = open("resident", Precision.FP32, "1", false)) {
                for (int pass = 0; pass <= captured; pass++) {
                    if (pass == captured - 1) {
                        faults.forget(Kind.WAIT, k);
                    }
                    faults.unruly(pass < captured - 1 ? 0 : pass == captured ? 1 : 2);
                    long before = faults.count(Count.GRAPH_LAUNCHES);
                    LstmResult actual = run(engine, STACK, data.get(pass % 2));
                    noticed |= !same(expected.get(pass % 2), actual);
                    noticed |= pass >= captured - 1 && faults.count(Count.GRAPH_LAUNCHES) - before < graphs;
                }
            } finally {
                faults.heal();
            }
            if (faults.count(Count.FAILURES) == 0) {
                assertFalse(noticed, "the passes are right when nothing is forgotten");
                assertEquals(WAITS, k - 1, "waits");
                break;
            }
            if (!noticed) {
                unnoticed.add(k);
            }
        }
        assertEquals(List.of(1L, WAITS), unnoticed);
    }
}
