package carousel.engine.cuda.cudnn;

import static carousel.fixture.Refusals.assertRefused;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.engine.CellActivation;
import carousel.engine.Direction;
import carousel.engine.Engine;
import carousel.engine.EngineException;
import carousel.engine.EngineOptions;
import carousel.engine.LstmActivations;
import carousel.engine.LstmFeature;
import carousel.engine.LstmSpec;
import carousel.engine.LstmTape;
import carousel.engine.RandomKey;
import carousel.fixture.AvailableEngines;
import carousel.fixture.LstmCase;
import carousel.fixture.LstmData;
import carousel.fixture.LstmResult;
import carousel.fixture.LstmRuns;
import carousel.fixture.StandIn;
import carousel.fixture.StandIn.Count;
import carousel.fixture.StandIn.Kind;
import carousel.fixture.Tolerance;
import carousel.fixture.Workbench;
import carousel.tensor.Precision;
import carousel.tensor.Tensor;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/** What is special about cuDNN, beyond the contract: precisions, algorithms, and the copies of the weights. */
@Tag("gpu")
class CudnnEngineTest {
    private static final int NOT_SUPPORTED = 3000;
    private static final LstmCase PLAIN =
            LstmCase.of(LstmSpec.of(4, 6).withLayers(2), 5, 3).withInitial();
    private static final LstmCase LENGTHS = PLAIN.withLengths(5, 0, 2);

    private Optional<StandIn> standIn = Optional.empty();

    @AfterEach
    void restore() {
        System.clearProperty(Algorithm.PROPERTY);
        standIn.ifPresent(faults -> {
            faults.heal();
            faults.dnnStatus(0);
        });
    }

    private static CudnnEngine open() {
        CudnnEngineProvider provider = new CudnnEngineProvider();
        AvailableEngines.assume(provider);
        return (CudnnEngine) provider.open(EngineOptions.defaults());
    }

    private static CudnnEngine open(Algorithm algorithm) {
        System.setProperty(Algorithm.PROPERTY, algorithm.word());
        return open();
    }

    private StandIn standIn() {
        standIn = StandIn.find();
        Assumptions.assumeTrue(standIn.isPresent(), "real libraries do not count");
        return standIn.get();
    }

    private static void assertRight(LstmCase lstm, LstmResult actual) {
        Tolerance.of(Precision.FP32).check(lstm, LstmRuns.onReference(lstm), actual);
    }

    @Test
    void brainFloatsAreRefused() {
        EngineOptions options = EngineOptions.defaults().withPrecision(Precision.BF16);
        assertRefused(EngineException.class, () -> new CudnnEngineProvider().open(options), "BF16", "FP16", "choose");
    }

    @Test
    void wrongAlgorithmIsRefused() {
        System.setProperty(Algorithm.PROPERTY, "quick");
        assertRefused(
                EngineException.class,
                () -> new CudnnEngineProvider().open(EngineOptions.defaults()),
                Algorithm.PROPERTY,
                "auto, standard, persist-static, persist-dynamic, small-h",
                "'quick'");
    }

    @ParameterizedTest
    @CsvSource({
        "STANDARD, 500, 3, true, false, ",
        "PERSIST_STATIC, 500, 0, false, true, ",
        "PERSIST_STATIC, 500, 3, false, true, projection",
        "PERSIST_STATIC, 500, 0, true, true, double",
        "PERSIST_STATIC, 500, 0, false, false, lengths",
        "PERSIST_DYNAMIC, 500, 0, true, true, ",
        "PERSIST_DYNAMIC, 500, 3, true, true, projection",
        "SMALL_H, 192, 0, false, true, ",
        "SMALL_H, 193, 0, false, true, 192",
        "SMALL_H, 100, 0, true, true, double"
    })
    void algorithmsHaveLimits(
            Algorithm algorithm, int hidden, int projection, boolean wide, boolean whole, String word) {
        Optional<String> limit = algorithm.limit(LstmSpec.of(7, hidden).withProjectionSize(projection), wide, whole);
        assertEquals(word == null, limit.isEmpty(), () -> limit + "");
        limit.ifPresent(said -> assertTrue(said.contains(word), said));
    }

    @Test
    void refusalsNameTheReasonAndTheRemedy() {
        LstmSpec plain = LstmSpec.of(3, 5);
        try (CudnnEngine engine = open()) {
            for (LstmSpec spec : List.of(
                    plain.withPeepholes(true),
                    plain.withGateClip(1),
                    plain.withCoupledGates(true),
                    plain.withActivations(new LstmActivations(
                            CellActivation.of(CellActivation.Kind.HARD_SIGMOID),
                            CellActivation.TANH,
                            CellActivation.TANH)),
                    plain.withLayerNormalization(true),
                    plain.withRecurrentDropout(0.5),
                    plain.withZoneout(0.1, 0))) {
                String reason = engine.refusal(spec).orElseThrow();
                assertTrue(
                        reason.contains(spec.beyond(LstmFeature.USUAL).orElseThrow()) && reason.contains(": "), reason);
            }
            String reverse =
                    engine.refusal(plain.withDirection(Direction.REVERSE)).orElseThrow();
            assertTrue(reverse.contains("reverse") && reverse.contains("'fused'"), reverse);
            assertEquals(Optional.empty(), engine.refusal(plain.withDirection(Direction.BIDIRECTIONAL)));
        }
    }

    @Test
    void descriptionNamesPrecisionAndVersion() {
        CudnnEngineProvider provider = new CudnnEngineProvider();
        AvailableEngines.assume(provider);
        for (Precision precision : List.of(Precision.FP32, Precision.TF32, Precision.FP64, Precision.FP16)) {
            try (Engine engine = provider.open(EngineOptions.defaults().withPrecision(precision))) {
                assertEquals(precision, engine.precision());
                String text = engine.description();
                assertTrue(text.startsWith("cudnn (" + precision), text);
                assertTrue(text.matches(".*, cuDNN \\d+\\.\\d+\\.\\d+\\)"), text);
            }
        }
    }

    @ParameterizedTest
    @EnumSource(Algorithm.class)
    void everyAlgorithmComputesTheSame(Algorithm algorithm) {
        try (CudnnEngine engine = open(algorithm)) {
            LstmResult actual;
            try {
                actual = LstmRuns.on(engine, PLAIN);
            } catch (EngineException notHere) {
                if (!Dnn.notTaken(notHere)) {
                    throw notHere;
                }
                Assumptions.abort(notHere.getMessage());
                return;
            }
            assertRight(PLAIN, actual);
            assertEquals(1, engine.notes().size());
            String line = engine.notes().get(0);
            assertTrue(line.contains(": " + algorithm.word() + ", as " + Algorithm.PROPERTY), line);
        }
    }

    @Test
    void pinnedAlgorithmIsNeverReplaced() {
        try (CudnnEngine engine = open(Algorithm.PERSIST_STATIC)) {
            assertRefused(
                    EngineException.class,
                    () -> LstmRuns.on(engine, LENGTHS),
                    "persist-static",
                    "different lengths",
                    Algorithm.PROPERTY,
                    "auto");
            LstmSpec projected = LstmSpec.of(4, 6).withProjectionSize(2);
            String refusal = engine.refusal(projected).orElseThrow();
            assertTrue(refusal.contains("persist-static") && refusal.contains("projection"), refusal);
            assertRefused(EngineException.class, () -> LstmRuns.on(engine, LstmCase.of(projected, 2, 2)), refusal);
            assertEquals(0, engine.memory().inUse());
        }
    }

    @Test
    void fastestAlgorithmIsMeasuredOnceAShape() {
        try (CudnnEngine engine = open()) {
            assertEquals(List.of(), engine.notes());
            LstmResult first = LstmRuns.on(engine, PLAIN);
            String line = engine.notes().get(0);
            assertTrue(line.startsWith("C=4 H=6 layers=2 T=5 N=3 training: "), line);
            assertTrue(line.contains(" ms against "), line);
            long calls =
                    StandIn.find().map(counts -> counts.count(Count.DNN_CALLS)).orElse(0L);
            LstmRuns.on(engine, PLAIN).visitWith(first, (what, one, other) -> assertArrayEquals(other, one, what));
            StandIn.find()
                    .ifPresent(counts -> assertEquals(
                            calls + 3,
                            counts.count(Count.DNN_CALLS),
                            "a forward, a backward for data, one for weights"));
            assertEquals(1, engine.notes().size());
            // Lengths that are all T are none.
            LstmRuns.on(engine, PLAIN.withLengths(5, 5, 5));
            assertEquals(1, engine.notes().size());
            LstmRuns.on(engine, LENGTHS);
            LstmRuns.on(engine, PLAIN.withLengths(1, 2, 3));
            assertEquals(2, engine.notes().size());
            line = engine.notes().get(1);
            assertTrue(line.contains("with lengths training: standard, the only one"), line);
        }
    }

    /** Every call that cuDNN could refuse, refused once: another algorithm runs the stack, or a sentence says what is not there. */
    @Test
    void algorithmsThatAreNotTakenDropOut() {
        open().close();
        StandIn faults = standIn();
        faults.dnnStatus(NOT_SUPPORTED);
        LstmResult expected = LstmRuns.onReference(PLAIN);
        String held = faults.held();
        int dropped = 0;
        int refused = 0;
        for (long k = 1; ; k++) {
            try (CudnnEngine engine = open()) {
                faults.fail(Kind.CUDNN, k);
                LstmResult actual;
                try {
                    actual = LstmRuns.on(engine, PLAIN);
                    dropped += engine.notes().get(0).contains(" not taken") ? 1 : 0;
                } catch (EngineException failure) {
                    assertTrue(failure.getMessage().contains("NOT_SUPPORTED"), failure.getMessage());
                    assertTrue(!failure.getMessage().contains("\n"), failure.getMessage());
                    refused++;
                    actual = null;
                }
                boolean delivered = faults.count(Count.FAILURES) > 0;
                faults.heal();
                assertEquals(0, engine.memory().inUse());
                Tolerance.of(Precision.FP32)
                        .check(PLAIN, expected, actual == null ? LstmRuns.on(engine, PLAIN) : actual);
                if (!delivered) {
                    break;
                }
            }
            assertEquals(held, faults.held(), "held after refusal " + k);
        }
        assertTrue(dropped > 20, "algorithms dropped: " + dropped);
        assertTrue(refused > 5, "calls refused: " + refused);
    }

    /** The first pass of an algorithm, forgotten: what it spoils is seen. */
    @Test
    void algorithmThatComputesSomethingElseIsNotUsed() {
        open().close();
        StandIn faults = standIn();
        boolean forgotten = true;
        boolean seen = false;
        // Calls that make something ready fail where they are forgotten, or are missed by the standard algorithm.
        for (long k = 1; forgotten && !seen; k++) {
            try (CudnnEngine engine = open()) {
                faults.forget(Kind.CUDNN, k);
                LstmRuns.on(engine, PLAIN);
                forgotten = faults.count(Count.FAILURES) > 0;
                faults.heal();
                seen = engine.notes().get(0).contains("persist-static deviates from the standard algorithm by ");
                if (seen) {
                    assertRight(PLAIN, LstmRuns.on(engine, PLAIN));
                }
            } catch (EngineException unusable) {
                faults.heal();
            }
        }
        assertTrue(seen, "never seen");
    }

    @Test
    void weightsFollowTheirParameters() {
        LstmCase other = PLAIN.withSeed(9);
        LstmSpec spec = PLAIN.spec();
        LstmData data = LstmData.of(PLAIN);
        LstmData changed = LstmData.of(other);
        double reduction = Tolerance.backwardReduction(PLAIN);
        Tolerance tolerance = Tolerance.of(Precision.FP32);
        try (CudnnEngine engine = open();
                Workbench bench = new Workbench(engine)) {
            Tensor parameters = bench.parameters(spec, data.parameters());
            var input = bench.input(PLAIN, data);
            var output = bench.output(PLAIN);
            engine.lstmForward(spec, parameters, input, output, null);
            tolerance.check("y", LstmRuns.onReference(PLAIN).y(), bench.read(output.y()), reduction);
            engine.write(parameters, changed.parameters());
            var nextInput = bench.input(other, changed);
            engine.lstmForward(spec, parameters, nextInput, output, null);
            tolerance.check("y after a write", LstmRuns.onReference(other).y(), bench.read(output.y()), reduction);
            // The same stack with other parameters goes through cuDNN between a pass and its way back.
            engine.write(parameters, data.parameters());
            LstmTape tape = engine.openTape(bench.scope(), spec, PLAIN.timeSteps(), PLAIN.batchSize());
            var recorded = bench.output(PLAIN);
            engine.lstmForward(spec, parameters, input, recorded, tape);
            engine.lstmForward(
                    spec, bench.parameters(spec, changed.parameters()), nextInput, bench.output(other), null);
            Tensor gradients = bench.parameters(spec, data.gradientsBefore());
            engine.lstmBackward(tape, bench.outputGradient(PLAIN, data), gradients, bench.inputGradient(PLAIN));
            tolerance.check(
                    "the gradients",
                    LstmRuns.onReference(PLAIN).parameterGradients(),
                    bench.read(gradients),
                    reduction);
        }
    }

    @Test
    void tapeServesWholeAndShorterSequencesWithAndWithoutDropout() {
        LstmSpec spec = LstmSpec.of(4, 6).withLayers(3).withDropout(0.4).withDirection(Direction.BIDIRECTIONAL);
        LstmCase whole = LstmCase.of(spec, 5, 3);
        List<LstmCase> cases = List.of(
                whole,
                whole.withDropout(new RandomKey(1, 2, 3)),
                whole.withLengths(2, 5, 0),
                whole.withLengths(1, 0, 4).withDropout(new RandomKey(1, 2, 4)).withInitial(),
                whole.withInitial());
        for (Precision precision : List.of(Precision.FP32, Precision.FP16)) {
            CudnnEngineProvider provider = new CudnnEngineProvider();
            AvailableEngines.assume(provider);
            try (Engine engine = provider.open(EngineOptions.defaults().withPrecision(precision));
                    Workbench bench = new Workbench(engine)) {
                LstmTape tape = engine.openTape(bench.scope(), spec, whole.timeSteps(), whole.batchSize());
                for (int round = 0; round < 2; round++) {
                    for (LstmCase lstm : cases) {
                        Tolerance.of(precision)
                                .check(lstm, LstmRuns.onReference(lstm), bench.run(lstm, LstmData.of(lstm), tape));
                    }
                }
            }
        }
    }

    @Test
    void closedEngineIsRefused() {
        CudnnEngine engine = open();
        engine.close();
        engine.close();
        assertThrows(IllegalStateException.class, () -> LstmRuns.on(engine, PLAIN));
    }
}
