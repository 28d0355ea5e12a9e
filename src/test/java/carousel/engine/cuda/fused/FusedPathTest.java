package carousel.engine.cuda.fused;

import static carousel.fixture.LstmRuns.assertRight;
import static carousel.fixture.Refusals.assertRefused;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.engine.Direction;
import carousel.engine.Engine;
import carousel.engine.EngineException;
import carousel.engine.EngineOptions;
import carousel.engine.LstmSpec;
import carousel.engine.RandomKey;
import carousel.engine.cuda.ChoiceMemory;
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
import carousel.tensor.Tensor;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;
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
    /** As the file calls it, once one has been written. */
    private String machine;

    @BeforeEach
    void useAFile() {
        AvailableEngines.assume(new FusedEngineProvider());
        cache = Property.set(ChoiceMemory.PROPERTY, file().toString());
    }

    @AfterEach
    void restore() {
        StandIn.find().ifPresent(faults -> {
            faults.heal();
            faults.largestCluster(0);
        });
        if (cache != null) {
            cache.restore();
        }
    }

    private Path file() {
        return folder.resolve(ChoiceMemory.FILE);
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
        "grid, TF32, 300",
        "resident, TF32, 20",
        "resident, TF32, 33",
        "resident, FP16, 9",
        "resident, FP16, 40",
        "resident, BF16, 65",
        "resident, FP16, 100",
        "resident-inputs, BF16, 20",
        "resident-inputs, FP16, 40",
        "resident-inputs, TF32, 33",
        "cluster-inputs, BF16, 100"
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
            double[] first = bench.infer(lstm, data, parameters);
            engine.scale(parameters, 0.5);
            double[] second = bench.infer(lstm, data, parameters);
            assertFalse(Arrays.equals(first, second));
            double[] half =
                    Arrays.stream(data.parameters()).map(weight -> weight / 2).toArray();
            assertArrayEquals(second, bench.infer(lstm, data, bench.parameters(spec, half)));
            engine.write(parameters, data.parameters());
            assertArrayEquals(first, bench.infer(lstm, data, parameters));
        }
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
            first = LstmRuns.on(engine, SMALL);
            assertEquals(1, engine.notes().size());
            assertEquals(0, engine.memory().inUse());
        }
        assertEquals(held, StandIn.find().map(StandIn::held).orElse(""));
        String text = Files.readString(file());
        String path = line.replaceFirst(".*training: (\\w+),.*", "$1");
        assertTrue(text.contains("\"FP32 H=5 T<=3 N<=8 training\": \"" + path + "\""), text);
        assertTrue(text.contains(", driver ") && text.contains(", kernels "), text);
        try (Engine engine = open(null, Precision.FP32)) {
            LstmResult second = LstmRuns.on(engine, SMALL);
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

    /** Of a stack whose layers have inputs of different widths each layer runs as its own inputs let it. */
    @Test
    void layersOfAStackTakeDifferentKernels() {
        LstmSpec spec = LstmSpec.of(5, 33).withLayers(3).withDirection(Direction.BIDIRECTIONAL);
        LstmCase lstm =
                LstmCase.of(spec, 3, 9).withLengths(3, 0, 1, 2, 3, 3, 2, 1, 3).withInitial();
        LstmData data = LstmData.of(lstm);
        for (String path : List.of("resident-inputs", "cluster-inputs")) {
            try (Engine engine = open(path, Precision.BF16);
                    Workbench bench = new Workbench(engine)) {
                assertRight(lstm, engine);
                assertEquals(2, engine.notes().size(), engine.notes()::toString);
                String narrow = engine.notes().get(0);
                assertTrue(
                        narrow.startsWith("H=33 C<=32 bidirectional T<=3 N<=16 with lengths training: " + path),
                        narrow);
                String wide = engine.notes().get(1);
                assertTrue(
                        wide.startsWith(
                                "H=33 bidirectional T<=3 N<=16 with lengths training: " + path.replace("-inputs", ",")),
                        wide);
                assertArrayEquals(
                        bench.run(lstm, data).y(), bench.run(lstm, data, null).y());
            }
        }
    }

    /** Writes the file as where measuring has said of each shape in BF16 which path is the fastest. */
    private void remember(Map<String, String> paths) throws IOException {
        if (machine == null) {
            try (Engine engine = open(null, Precision.FP32)) {
                LstmRuns.on(engine, TINY);
            }
            machine = Files.readString(file()).replaceFirst("(?s).*\"machines\": \\{\\s*\"([^\"]+)\".*", "$1");
        }
        String shapes = paths.entrySet().stream()
                .map(path -> String.format("\"BF16 %s\": \"%s\"", path.getKey(), path.getValue()))
                .collect(Collectors.joining(", "));
        Files.writeString(file(), "{\"version\": 1, \"machines\": {\"" + machine + "\": {" + shapes + "}}}");
    }

    @Test
    void layersOnDifferentPathsShareAPass() throws IOException {
        LstmSpec spec = LstmSpec.of(5, 33)
                .withLayers(3)
                .withDirection(Direction.BIDIRECTIONAL)
                .withRecurrentWeightDropout(0.3);
        LstmCase lstm =
                LstmCase.of(spec, 3, 4).withLengths(3, 0, 1, 2).withInitial().withDropout(new RandomKey(1, 2, 3));
        String sizes = " bidirectional T<=3 N<=8 with lengths ";
        for (List<String> paths : List.of(
                List.of("pointwise", "resident"),
                List.of("cluster-inputs", "pointwise"),
                List.of("resident-inputs", "cluster"))) {
            Map<String, String> shapes = new HashMap<>();
            for (String use : List.of("training", "inference")) {
                shapes.put("H=33 C<=32" + sizes + use, paths.get(0));
                shapes.put("H=33" + sizes + use, paths.get(1));
            }
            remember(shapes);
            try (Engine engine = open(null, Precision.BF16);
                    Workbench bench = new Workbench(engine)) {
                assertRight(lstm, engine);
                LstmData data = LstmData.of(lstm);
                assertArrayEquals(
                        bench.run(lstm, data).y(), bench.run(lstm, data, null).y());
                assertArrayEquals(
                        LstmRuns.on(engine, lstm.withDropout(null)).y(),
                        bench.run(lstm.withDropout(null), data, null).y());
                assertEquals(4, engine.notes().size(), engine.notes()::toString);
                for (int k = 0; k < 4; k++) {
                    String line = engine.notes().get(k);
                    assertTrue(line.contains(": " + paths.get(k % 2) + ", as remembered in "), line);
                }
            }
        }
    }

    /** Side by side each layer has a kernel of its own, and that with the most blocks says how many lanes there is room for. Where one has none there are no lanes. */
    @Test
    void layersOnDifferentPathsGoSideBySide() throws IOException {
        Map<String, String> shapes = new HashMap<>();
        for (String sizes : List.of(" T<=3 N<=16 training", " T<=3 N<=16 inference", " T<=3 N<=160 inference")) {
            shapes.put("H=33 C<=32" + sizes, "resident-inputs");
            shapes.put("H=33 C<=64" + sizes, "cluster");
        }
        shapes.put("H=33 C<=32 T<=3 N<=8 inference", "pointwise");
        shapes.put("H=33 C<=64 T<=3 N<=8 inference", "resident");
        remember(shapes);
        LstmSpec spec = LstmSpec.of(5, 33).withLayers(2);
        LstmCase lstm = LstmCase.of(spec, 3, 9).withInitial();
        LstmData data = LstmData.of(lstm);
        LstmCase stepByStep = LstmCase.of(spec, 3, 2);
        // 20 batch tiles: 20 blocks of the first layer, 80 of the second.
        LstmCase large = LstmCase.of(spec, 3, 8 * 20);
        try (Engine plain = Property.with(Wavefront.PROPERTY, "false", () -> open(null, Precision.BF16));
                Engine engine = Property.with(Wavefront.PROPERTY, "1", () -> open(null, Precision.BF16));
                Workbench bench = new Workbench(engine)) {
            bench.run(stepByStep, LstmData.of(stepByStep), null);
            bench.run(large, LstmData.of(large), null);
            assertEquals(4, engine.notes().size(), engine.notes()::toString);
            assertRight(lstm, engine);
            LstmResult expected = LstmRuns.on(plain, lstm);
            LstmResult actual = bench.run(lstm, data);
            expected.visitWith(actual, (what, one, other) -> assertArrayEquals(one, other, what));
            assertArrayEquals(expected.y(), bench.run(lstm, data, null).y());
            assertEquals(
                    "H=33 T=3 N=9: 2 layers side by side in 2 lanes, 3 chunks of 1 steps",
                    engine.notes().get(8));
            assertEquals(2, plain.notes().size(), plain.notes()::toString);
        }
    }

    /** The packed weights of the inputs too are made anew when parameters have changed, and x past the end of a sequence does not count. */
    @Test
    void inputsInAKernelFollowParametersAndLengths() {
        LstmSpec spec = LstmSpec.of(3, 6);
        LstmCase lstm = LstmCase.of(spec, 4, 3).withLengths(4, 0, 2);
        LstmData data = LstmData.of(lstm);
        try (Engine engine = open("resident-inputs", Precision.BF16);
                Workbench bench = new Workbench(engine)) {
            Tensor parameters = bench.parameters(spec, data.parameters());
            double[] first = bench.infer(lstm, data, parameters);
            engine.scale(parameters, 0.5);
            double[] half =
                    Arrays.stream(data.parameters()).map(weight -> weight / 2).toArray();
            double[] second = bench.infer(lstm, data, parameters);
            assertFalse(Arrays.equals(first, second));
            assertArrayEquals(second, bench.infer(lstm, data, bench.parameters(spec, half)));
            double[] x = data.x();
            for (int k = 0; k < x.length; k++) {
                int n = k / 3 % 3;
                int t = k / 9;
                x[k] = t < lstm.lengths().get(n) ? x[k] : Double.NaN;
            }
            assertArrayEquals(second, bench.infer(lstm, data, parameters));
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
                for (String path : List.of("resident", "resident-inputs", "cluster", "cluster-inputs")) {
                    boolean there = precision != Precision.TF32 || !path.equals("cluster-inputs");
                    assertEquals(there, line.matches(".*[ :,]" + path + "[ ,].*"), path + " in " + line);
                }
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

    /** What the GPU takes shows in a launch only: a pinned path is tried before it is used. */
    @Test
    void clusterThatTheGpuDoesNotTakeIsPassedOver() {
        StandIn faults = standIn();
        faults.largestCluster(8);
        LstmCase lstm = LstmCase.of(LstmSpec.of(4, 260), 2, 3).withInitial();
        try (Engine engine = open("cluster", Precision.BF16)) {
            assertRight(lstm, engine);
            String line = engine.notes().get(0);
            assertTrue(line.contains(": pointwise, for cluster, which "), line);
            assertTrue(line.contains("fails (cuLaunchKernel failed with CUDA_ERROR_INVALID_CLUSTER_SIZE"), line);
        }
    }

    /** A kernel in its first pass, the device waits for it: the program does not, not even in giving back what it can. */
    @Test
    void kernelThatNeverEndsIsGivenUp() throws IOException {
        StandIn faults = standIn();
        // Guards wait for the device at every scope's end.
        EngineOptions options =
                EngineOptions.defaults().withPrecision(Precision.FP32).withGuards(false);
        // Which launch is the first of a kernel's pass is seen in what its failure says.
        long k = 0;
        for (boolean found = false; !found; ) {
            Files.deleteIfExists(file());
            faults.fail(Kind.LAUNCH, ++k);
            try (Engine engine = new FusedEngine(options, Precision.FP32, Optional.empty(), FusedEngine.PATIENCE)) {
                found = passes(engine) && engine.notes().get(0).contains(" for carousel_lstm_resident_");
                assertTrue(faults.count(Count.FAILURES) > 0, "all launches have been tried");
            }
            faults.heal();
        }
        Files.deleteIfExists(file());
        String held = faults.held();
        FusedEngine engine = new FusedEngine(options, Precision.FP32, Optional.empty(), Duration.ofMillis(10));
        faults.hang(k);
        EngineException said = assertThrows(EngineException.class, () -> LstmRuns.on(engine, TINY));
        String sentence = said.getMessage();
        assertTrue(
                sentence.matches("a kernel on .* has not ended after \\d+\\.\\d s .*: start it again with"
                        + " -Dcarousel.fused.path=pointwise"),
                sentence);
        assertRefused(EngineException.class, () -> LstmRuns.on(engine, TINY), sentence);
        assertRefused(EngineException.class, engine::synchronize, sentence);
        engine.close();
        assertEquals(List.of(), engine.notes());

        // Where it ends after all, all is as before.
        faults.heal();
        while (!ended(engine)) {
            Thread.onSpinWait();
        }
        assertRight(TINY, engine);
        engine.close();
        assertEquals(held, faults.held());
    }

    private static boolean passes(Engine engine) {
        try {
            LstmRuns.on(engine, TINY);
            return true;
        } catch (EngineException failed) {
            return false;
        }
    }

    private static boolean ended(Engine engine) {
        try {
            engine.synchronize();
            return true;
        } catch (EngineException notYet) {
            return false;
        }
    }

    /** Each launch of a trial is forgotten or fails once: the numbers are right whatever becomes of the trial. */
    @ParameterizedTest
    @CsvSource({"true", "false"})
    void trialThatGoesWrongNeverShowsInAResult(boolean forgotten) throws IOException {
        StandIn faults = standIn();
        LstmResult right = LstmRuns.onReference(TINY);
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
                Tolerance.of(Precision.FP32).check(TINY, right, LstmRuns.on(engine, TINY));
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
