package carousel.engine.cuda.gpu;

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
import carousel.engine.LstmSpec;
import carousel.engine.LstmTape;
import carousel.engine.RandomKey;
import carousel.engine.cuda.Attempts;
import carousel.engine.cuda.ChoiceMemory;
import carousel.fixture.AvailableEngines;
import carousel.fixture.LstmCase;
import carousel.fixture.LstmData;
import carousel.fixture.LstmResult;
import carousel.fixture.LstmRuns;
import carousel.fixture.Property;
import carousel.fixture.StandIn;
import carousel.fixture.StandIn.Kind;
import carousel.fixture.Tolerance;
import carousel.fixture.Workbench;
import carousel.tensor.Precision;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The engine that chooses between the others: on one device, with the same tensors, in one process. */
@Tag("gpu")
class CudaRivalsTest {
    private static final LstmCase SMALL = LstmCase.of(LstmSpec.of(2, 5), 3, 2).withInitial();

    @TempDir
    private Path folder;

    private Property cache;

    @BeforeEach
    void useAFile() {
        AvailableEngines.assume(new GpuEngineProvider());
        cache = Property.set(ChoiceMemory.PROPERTY, file().toString());
    }

    @AfterEach
    void restore() {
        StandIn.find().ifPresent(StandIn::heal);
        if (cache != null) {
            cache.restore();
        }
    }

    private Path file() {
        return folder.resolve(ChoiceMemory.FILE);
    }

    private static Engine open(Precision precision) {
        return new GpuEngineProvider().open(EngineOptions.defaults().withPrecision(precision));
    }

    /** cuDNN wins where all sequences are whole, the fused kernels elsewhere; nothing is measured. */
    private static Engine cudnnWhereWhole(Precision precision) {
        return new GpuEngine(EngineOptions.defaults(), precision, Optional.empty(), shape -> new Attempts<Rival>() {
            @Override
            public float milliseconds(Rival rival) {
                return (rival == Rival.CUDNN) == shape.whole() ? 1 : 2;
            }

            @Override
            public Map<String, Double> deviations(Rival rival) {
                return Map.of();
            }

            @Override
            public void close() {
                // Nothing was opened.
            }
        });
    }

    private static void assertRight(LstmCase lstm, Engine engine) {
        Tolerance.of(engine.precision()).check(lstm, LstmRuns.onReference(lstm), LstmRuns.on(engine, lstm));
    }

    /** Tensors, parameters and a tape go from one to the other and back. */
    @Test
    void oneTapeServesBoth() {
        LstmSpec spec = LstmSpec.of(4, 6).withLayers(2).withDropout(0.4).withDirection(Direction.BIDIRECTIONAL);
        LstmCase whole = LstmCase.of(spec, 5, 3).withInitial();
        List<LstmCase> cases = List.of(
                whole,
                whole.withLengths(2, 5, 0),
                whole.withDropout(new RandomKey(1, 2, 3)),
                whole.withLengths(1, 0, 4).withDropout(new RandomKey(1, 2, 4)),
                whole);
        for (Precision precision : List.of(Precision.FP32, Precision.FP16, Precision.FP64)) {
            try (Engine engine = cudnnWhereWhole(precision);
                    Workbench bench = new Workbench(engine)) {
                LstmTape tape = engine.openTape(bench.scope(), spec, 5, 3);
                for (LstmCase lstm : cases) {
                    LstmResult actual = bench.run(lstm, LstmData.of(lstm), tape);
                    Tolerance.of(precision).check(lstm, LstmRuns.onReference(lstm), actual);
                }
                List<String> lines = engine.notes().stream()
                        .filter(line -> line.contains(" N<=8") && line.startsWith("C="))
                        .toList();
                assertEquals(4, lines.size(), engine.notes()::toString);
                for (String line : lines) {
                    assertTrue(line.contains(line.contains(" with lengths") ? ": fused" : ": cudnn"), line);
                }
            }
        }
    }

    @Test
    void theFasterOneIsMeasuredCheckedAndRemembered() throws IOException {
        String held = StandIn.find().map(StandIn::held).orElse("");
        String line;
        LstmResult first;
        try (Engine engine = open(Precision.FP32)) {
            assertRight(SMALL, engine);
            line = engine.notes().get(0);
            assertTrue(line.matches("C=2 H=5 T<=3 N<=8 training: (fused|cudnn), .* ms against .* ms"), line);
            first = LstmRuns.on(engine, SMALL);
            assertEquals(0, engine.memory().inUse());
        }
        assertEquals(held, StandIn.find().map(StandIn::held).orElse(""));
        String chosen = line.replaceFirst(".*training: (\\w+),.*", "$1");
        String text = Files.readString(file());
        assertTrue(text.contains("\"FP32 C=2 H=5 T<=3 N<=8 training\": \"" + chosen + "\""), text);
        assertTrue(text.matches("(?s).*\"engines on [^\"]+, driver \\d+, cuDNN [\\d.]+, kernels .*"), text);
        assertTrue(text.matches("(?s).*\"cuDNN's algorithms on [^\"]+, driver \\d+, cuDNN [\\d.]+\".*"), text);
        try (Engine engine = open(Precision.FP32)) {
            LstmResult second = LstmRuns.on(engine, SMALL);
            assertEquals(
                    line.replaceFirst(", .*", ", as remembered in " + file()),
                    engine.notes().get(0));
            first.visitWith(second, (what, one, other) -> assertArrayEquals(one, other, what));
        }
        // As a newer cuDNN's.
        Files.writeString(file(), text.replaceAll(", cuDNN [\\d.]+", ", cuDNN 9.0.0"));
        try (Engine engine = open(Precision.FP32)) {
            assertRight(SMALL, engine);
            assertTrue(engine.notes().get(0).contains(" ms against "), engine.notes()::toString);
        }
    }

    /** What was found out about one path of the fused kernels says nothing of the fastest. */
    @Test
    void settingsAreMeasuredByThemselves() {
        try (Engine engine = open(Precision.FP32)) {
            assertRight(SMALL, engine);
        }
        String mine = Property.with("carousel.fused.path", "resident", () -> {
            try (Engine engine = open(Precision.FP32)) {
                assertRight(SMALL, engine);
                return engine.notes().get(0);
            }
        });
        assertTrue(mine.contains(" ms against "), mine);
        try (Engine engine = open(Precision.FP32)) {
            assertRight(SMALL, engine);
            assertTrue(engine.notes().get(0).contains(", as remembered in "), engine.notes()::toString);
        }
    }

    /** An algorithm that is pinned and does not take lengths drops out of the race, and lengths that are all T are none. */
    @Test
    void pinnedAlgorithmThatDoesNotTakeLengthsDropsOut() {
        Property.with("carousel.cudnn.algorithm", "persist-static", () -> {
            try (Engine engine = open(Precision.FP32)) {
                assertRight(SMALL.withLengths(3, 1), engine);
                String line = engine.notes().get(0);
                assertTrue(line.contains(" with lengths training: fused, "), line);
                assertTrue(line.contains("cudnn fails (") && line.contains("different lengths"), line);
                assertRight(SMALL.withLengths(3, 3), engine);
                assertTrue(
                        engine.notes().stream().anyMatch(note -> note.startsWith("C=2 H=5 T<=3 N<=8 training: ")),
                        engine.notes()::toString);
            }
            return null;
        });
    }

    /** Each as it is tried: in every precision, with what counts in a shape, and without a way back. */
    @Test
    void everyPrecisionAndFormPassesTheCheck() {
        LstmSpec spec = LstmSpec.of(3, 7);
        LstmCase plain = LstmCase.of(spec, 4, 3);
        for (Precision precision : List.of(Precision.FP32, Precision.TF32, Precision.FP64, Precision.FP16)) {
            try (Engine engine = open(precision);
                    Workbench bench = new Workbench(engine)) {
                for (LstmCase lstm : List.of(
                        plain,
                        plain.withLengths(4, 0, 2),
                        plain.withSpec(spec.withLayers(3).withDirection(Direction.BIDIRECTIONAL)),
                        plain.withSpec(spec.withProjectionSize(3).withBias(false)),
                        plain.withSpec(spec.withLayers(2).withDropout(0.3)).withDropout(new RandomKey(1, 2, 3)))) {
                    assertRight(lstm, engine);
                    bench.run(lstm, LstmData.of(lstm), null);
                }
                for (String line : engine.notes()) {
                    assertFalse(line.contains("deviates") || line.contains("fails"), line);
                }
            }
        }
    }

    /** Every call of cuDNN, forgotten once while it is tried: what it spoils is seen, and not used. */
    @Test
    void cudnnThatComputesSomethingElseIsNotUsed() throws IOException {
        Property algorithm = Property.set("carousel.cudnn.algorithm", "standard");
        try {
            open(Precision.FP32).close();
            StandIn faults = StandIn.find().orElseGet(() -> Assumptions.abort("real libraries forget nothing"));
            int seen = 0;
            for (long k = 1; ; k++) {
                Files.deleteIfExists(file());
                try (Engine engine = open(Precision.FP32)) {
                    faults.forget(Kind.CUDNN, k);
                    LstmResult actual = LstmRuns.on(engine, SMALL);
                    boolean forgotten = faults.count(StandIn.Count.FAILURES) > 0;
                    faults.heal();
                    if (!forgotten) {
                        break;
                    }
                    String line = engine.notes().get(0);
                    if (line.contains(": fused") && line.contains("cudnn deviates from the fused kernels")) {
                        seen++;
                    }
                    if (line.contains(": fused")) {
                        Tolerance.of(Precision.FP32).check(SMALL, LstmRuns.onReference(SMALL), actual);
                    }
                } catch (EngineException unusable) {
                    faults.heal();
                }
            }
            assertEquals(3, seen, "the passes forwards and backwards and for the weights");
        } finally {
            algorithm.restore();
        }
    }

    @Test
    void autoTakesIt() {
        LstmSpec plain = LstmSpec.of(3, 5);
        for (LstmSpec spec : List.of(
                plain,
                plain.withPeepholes(true),
                plain.withLayerNormalization(true),
                plain.withZoneout(0.1, 0.1),
                plain.withDirection(Direction.REVERSE))) {
            try (Engine engine = Engines.openFor(Engines.AUTO, EngineOptions.defaults(), List.of(plain, spec))) {
                assertEquals("gpu", engine.name());
                assertTrue(
                        engine.description().matches("gpu \\(FP32 on .*, cuDNN \\d+\\.\\d+\\.\\d+\\)"),
                        engine::description);
            }
        }
        try (Engine engine = Engines.open(Engines.AUTO, EngineOptions.defaults().withPrecision(Precision.BF16))) {
            assertEquals("fused", engine.name());
        }
    }

    @Test
    void brainFloatsAreRefused() {
        assertRefused(EngineException.class, () -> open(Precision.BF16), "BF16", "FP16", "'fused'");
    }
}
