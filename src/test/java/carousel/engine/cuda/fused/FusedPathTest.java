package carousel.engine.cuda.fused;

import static carousel.fixture.Refusals.assertRefused;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.engine.Direction;
import carousel.engine.Engine;
import carousel.engine.EngineException;
import carousel.engine.EngineOptions;
import carousel.engine.Engines;
import carousel.engine.LstmOutput;
import carousel.engine.LstmSpec;
import carousel.engine.RandomKey;
import carousel.fixture.AvailableEngines;
import carousel.fixture.LstmCase;
import carousel.fixture.LstmData;
import carousel.fixture.LstmResult;
import carousel.fixture.Property;
import carousel.fixture.StandIn;
import carousel.fixture.StandIn.Count;
import carousel.fixture.StandIn.Kind;
import carousel.fixture.Tolerance;
import carousel.fixture.Workbench;
import carousel.tensor.Precision;
import carousel.tensor.Tensor;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The paths on the engine itself: what the contract for them does not see. */
@Tag("gpu")
class FusedPathTest {
    private static final LstmCase SMALL = LstmCase.of(LstmSpec.of(2, 5), 3, 2).withInitial();

    private static final LstmCase TINY = LstmCase.of(LstmSpec.of(2, 5), 1, 2).withInitial();

    @TempDir
    private Path folder;

    private Property cache;

    @BeforeEach
    void useAFile() {
        AvailableEngines.assume(new FusedEngineProvider());
        cache = Property.set(PathMemory.PROPERTY, file().toString());
    }

    @AfterEach
    void restore() {
        StandIn.find().ifPresent(StandIn::heal);
        if (cache != null) {
            cache.restore();
        }
    }

    private Path file() {
        return folder.resolve(PathMemory.FILE);
    }

    private static Engine open(String path, Precision precision) {
        return Property.with(
                FusedPath.PROPERTY,
                path,
                () -> new FusedEngineProvider().open(EngineOptions.defaults().withPrecision(precision)));
    }

    private static StandIn standIn() {
        return StandIn.find().orElseGet(() -> Assumptions.abort("real libraries do not fail when they are told to"));
    }

    private static LstmResult run(Engine engine, LstmCase lstm) {
        try (Workbench bench = new Workbench(engine)) {
            return bench.run(lstm, LstmData.of(lstm));
        }
    }

    private static LstmResult expected(LstmCase lstm) {
        try (Engine reference = Engines.open("reference")) {
            return run(reference, lstm);
        }
    }

    private static void assertRight(LstmCase lstm, Engine engine) {
        Tolerance.of(engine.precision()).check(lstm, expected(lstm), run(engine, lstm));
    }

    @Test
    void wrongPathIsRefused() {
        assertRefused(EngineException.class, () -> open("quick", Precision.FP32), FusedPath.PROPERTY, "'quick'");
    }

    /** Sizes beyond those of the contract: several units of padding, blocks and batch tiles, and most kernels. */
    @ParameterizedTest
    @CsvSource({
        "cluster, FP32, 100",
        "cluster, FP32, 130",
        "cluster, BF16, 100",
        "cluster, BF16, 130",
        "cluster, BF16, 260",
        "cluster, TF32, 100",
        "cluster, TF32, 130",
        "grid, BF16, 300",
        "resident, TF32, 20",
        "resident, TF32, 33",
        "resident, FP16, 9",
        "resident, FP16, 40",
        "resident, BF16, 65",
        "resident, FP16, 100"
    })
    void largeCellsMatchTheReference(String path, Precision precision, int hidden) {
        LstmSpec spec = LstmSpec.of(4, hidden);
        LstmCase lstm = hidden < 150
                ? LstmCase.of(hidden > 100 ? spec : spec.withDirection(Direction.BIDIRECTIONAL), 2, 9)
                        .withLengths(2, 1, 0, 2, 2, 2, 1, 2, 2)
                        .withInitial()
                : LstmCase.of(spec, 2, 3).withInitial();
        try (Engine engine = open(path, precision)) {
            assertRight(lstm, engine);
            String line = engine.notes().get(0);
            assertTrue(line.endsWith(": " + path + ", as " + FusedPath.PROPERTY + " asks for"), line);
        }
    }

    /** Blocks that run together: more batch tiles than the GPU has room for in one launch, and both directions' letters. */
    @Test
    void theGridTakesItsBatchTilesInTurns() {
        Integer[] lengths = new Integer[35];
        Arrays.fill(lengths, 2);
        lengths[3] = 0;
        lengths[34] = 1;
        LstmCase lstm = LstmCase.of(LstmSpec.of(3, 259).withDirection(Direction.BIDIRECTIONAL), 2, 35)
                .withLengths(lengths)
                .withInitial();
        try (Engine engine = open("grid", Precision.BF16)) {
            assertRight(lstm, engine);
        }
    }

    /** In inference the cells of a layer have tensors of their own where they run together, and layers share theirs. */
    @Test
    void inferenceIsThatOfTraining() {
        LstmCase lstm = LstmCase.of(LstmSpec.of(3, 6).withLayers(3).withDirection(Direction.BIDIRECTIONAL), 4, 3)
                .withLengths(4, 0, 2);
        LstmData data = LstmData.of(lstm);
        for (Precision precision : List.of(Precision.FP32, Precision.BF16)) {
            try (Engine engine = open("resident", precision);
                    Workbench bench = new Workbench(engine)) {
                double[] trained = bench.run(lstm, data).y();
                assertArrayEquals(trained, bench.run(lstm, data, null).y());
                assertTrue(engine.notes().get(1).contains(" inference: resident"), engine.notes()::toString);
            }
        }
    }

    /** What is packed of parameters is packed anew when they have changed. */
    @Test
    void inferenceFollowsParameters() {
        LstmSpec spec = LstmSpec.of(3, 6).withLayers(2);
        LstmCase lstm = LstmCase.of(spec, 4, 3);
        LstmData data = LstmData.of(lstm);
        try (Engine engine = open("resident", Precision.FP32);
                Workbench bench = new Workbench(engine)) {
            Tensor parameters = bench.parameters(spec, data.parameters());
            double[] first = infer(engine, bench, lstm, data, parameters);
            engine.scale(parameters, 0.5);
            double[] second = infer(engine, bench, lstm, data, parameters);
            assertFalse(Arrays.equals(first, second));
            double[] half =
                    Arrays.stream(data.parameters()).map(weight -> weight / 2).toArray();
            assertArrayEquals(second, infer(engine, bench, lstm, data, bench.parameters(spec, half)));
            engine.write(parameters, data.parameters());
            assertArrayEquals(first, infer(engine, bench, lstm, data, parameters));
        }
    }

    private static double[] infer(Engine engine, Workbench bench, LstmCase lstm, LstmData data, Tensor parameters) {
        LstmOutput output = bench.output(lstm);
        engine.lstmForward(lstm.spec(), parameters, bench.input(lstm, data), output, null);
        return bench.read(output.y());
    }

    /** Each direction draws its own weights, and both are there at once. */
    @Test
    void bothDirectionsHaveMasksOfTheirOwn() {
        LstmCase lstm = LstmCase.of(
                        LstmSpec.of(3, 6)
                                .withDirection(Direction.BIDIRECTIONAL)
                                .withLayers(2)
                                .withRecurrentWeightDropout(0.4),
                        4,
                        3)
                .withDropout(new RandomKey(1, 2, 3));
        for (Precision precision : List.of(Precision.FP32, Precision.BF16)) {
            try (Engine engine = open("resident", precision)) {
                assertRight(lstm, engine);
                assertTrue(engine.notes().get(0).contains(": resident"), engine.notes()::toString);
            }
        }
    }

    @Test
    void cellsThatOnlyOnePathTakesSaySo() {
        try (Engine engine = open("cluster", Precision.FP32)) {
            assertRight(SMALL.withSpec(SMALL.spec().withPeepholes(true)), engine);
            assertRight(SMALL.withSpec(SMALL.spec().withProjectionSize(2)), engine);
            assertEquals(
                    List.of(
                            "H=5 T<=3 N<=8 with peepholes training: pointwise, the only one that takes peepholes",
                            "H=5 T<=3 N<=8 with a projection training: pointwise, the only one that takes a projection"),
                    engine.notes());
        }
        try (Engine engine = open("cluster", Precision.FP64)) {
            assertRight(SMALL, engine);
            assertTrue(engine.notes().get(0).endsWith("has no kernels in FP64"), engine.notes()::toString);
        }
    }

    /** Without a key nothing is dropped, and the plain kernels do. */
    @Test
    void dropoutThatIsNotDrawnIsNone() {
        try (Engine engine = open("resident", Precision.FP32)) {
            LstmCase lstm = SMALL.withSpec(SMALL.spec().withRecurrentDropout(0.5));
            assertRight(lstm, engine);
            assertRight(lstm.withDropout(new RandomKey(1, 2, 3)), engine);
            assertTrue(engine.notes().get(0).contains(" training: resident"), engine.notes()::toString);
            assertTrue(engine.notes().get(1).contains("takes recurrent dropout"), engine.notes()::toString);
        }
    }

    @Test
    void fastestPathIsMeasuredCheckedAndRemembered() throws IOException {
        String line;
        String held = StandIn.find().map(StandIn::held).orElse("");
        LstmResult first;
        try (Engine engine = open(null, Precision.FP32)) {
            assertRight(SMALL, engine);
            line = engine.notes().get(0);
            assertTrue(line.matches("H=5 T<=3 N<=8 training: (pointwise|resident|cluster), .* ms against .*"), line);
            assertFalse(line.contains("deviates") || line.contains("fails"), line);
            first = run(engine, SMALL);
            assertEquals(1, engine.notes().size());
            assertEquals(0, engine.memory().inUse());
        }
        assertEquals(held, StandIn.find().map(StandIn::held).orElse(""));
        String text = Files.readString(file());
        String path = line.replaceFirst(".*training: (\\w+),.*", "$1");
        assertTrue(text.contains("\"FP32 H=5 T<=3 N<=8 training\": \"" + path + "\""), text);
        assertTrue(text.contains(", driver ") && text.contains(", kernels "), text);
        try (Engine engine = open(null, Precision.FP32)) {
            LstmResult second = run(engine, SMALL);
            assertTrue(
                    engine.notes().get(0).endsWith(": " + path + ", as remembered in " + file()),
                    engine.notes()::toString);
            first.visitWith(second, (what, one, other) -> assertArrayEquals(one, other, what));
        }
        // As a newer driver's or another device's.
        Files.writeString(file(), text.replaceFirst(", driver \\d+", ", driver 1"));
        try (Engine engine = open(null, Precision.FP32)) {
            assertRight(SMALL, engine);
            assertTrue(engine.notes().get(0).contains(" ms against "), engine.notes()::toString);
        }
    }

    @Test
    void everyPrecisionAndFormPassesTheCheck() {
        for (Precision precision : List.of(Precision.TF32, Precision.BF16, Precision.FP16)) {
            try (Engine engine = open(null, precision)) {
                LstmCase lstm = LstmCase.of(LstmSpec.of(2, 33).withDirection(Direction.BIDIRECTIONAL), 4, 9)
                        .withLengths(4, 0, 1, 2, 3, 4, 4, 3, 2);
                assertRight(lstm, engine);
                String line = engine.notes().get(0);
                assertFalse(line.contains("deviates") || line.contains("fails"), line);
                assertTrue(line.contains("resident") && line.contains("cluster"), line);
            }
        }
        try (Engine engine = open(null, Precision.FP32);
                Workbench bench = new Workbench(engine)) {
            bench.run(SMALL, LstmData.of(SMALL), null);
            String line = engine.notes().get(0);
            assertTrue(line.startsWith("H=5 T<=3 N<=8 inference: ") && line.contains(" ms against "), line);
            assertFalse(line.contains("deviates") || line.contains("fails"), line);
        }
    }

    /** Each launch of a trial is forgotten or fails once: the numbers are right whatever becomes of the trial. */
    @ParameterizedTest
    @CsvSource({"true", "false"})
    void trialThatGoesWrongNeverShowsInAResult(boolean forgotten) throws IOException {
        StandIn faults = standIn();
        LstmResult right = expected(TINY);
        int deviating = 0;
        int failing = 0;
        int thrown = 0;
        for (double next = 1; ; next = next < 16 ? next + 1 : next * 1.4) {
            long k = (long) next;
            Files.deleteIfExists(file());
            try (Engine engine = open(null, Precision.FP32);
                    Workbench bench = new Workbench(engine)) {
                LstmData data = LstmData.of(TINY);
                Tensor parameters = bench.parameters(TINY.spec(), data.parameters());
                var input = bench.input(TINY, data);
                var output = bench.output(TINY);
                var tape = engine.openTape(bench.scope(), TINY.spec(), TINY.timeSteps(), TINY.batchSize());
                engine.synchronize();
                if (forgotten) {
                    faults.forget(Kind.LAUNCH, k);
                } else {
                    faults.fail(Kind.LAUNCH, k);
                }
                try {
                    engine.lstmForward(TINY.spec(), parameters, input, output, tape);
                } catch (EngineException said) {
                    thrown++;
                }
                boolean delivered = faults.count(Count.FAILURES) > 0;
                faults.heal();
                if (!delivered) {
                    break;
                }
                // The trial is over; what is computed now is computed without faults.
                Tolerance.of(Precision.FP32).check(TINY, right, run(engine, TINY));
                String line = engine.notes().get(0);
                deviating += line.contains(" deviates from the pointwise path by ") ? 1 : 0;
                failing += line.contains(" fails (") ? 1 : 0;
            }
        }
        if (forgotten) {
            assertTrue(deviating >= 4, "launches whose absence was seen: " + deviating);
            assertEquals(0, thrown);
        } else {
            assertTrue(failing >= 4 && thrown >= 4, failing + " failures of kernels, " + thrown + " of the device");
        }
    }
}
