package carousel.contract;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.engine.Engine;
import carousel.engine.EngineOptions;
import carousel.engine.EngineProvider;
import carousel.engine.Engines;
import carousel.engine.LstmSpec;
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
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;

/**
 * Every launch, copy, clear, product and cuDNN call of a forward and a backward pass is forgotten once, as a programmer might: the
 * comparison with the reference must notice each. What it does not notice is a call that nobody needs.
 */
class CudaForgottenCallTest {
    /** Outputs that the bench fills with NaN before a pass writes them: launches, but not the engine's. */
    private static final int BLANKS = 6;

    private static final String PATH = "carousel.fused.path";

    private Optional<StandIn> standIn = Optional.empty();

    @AfterEach
    void heal() {
        standIn.ifPresent(StandIn::heal);
    }

    @TestFactory
    Stream<DynamicTest> noCallCanBeForgotten() {
        Stream<DynamicTest> usual = Stream.of("fused", "cudnn")
                .flatMap(name -> Stream.of(Kind.LAUNCH, Kind.COPY, Kind.CUBLAS, Kind.CUDNN)
                        .filter(kind -> name.equals("cudnn") ? kind != Kind.CUBLAS : kind != Kind.CUDNN)
                        .map(kind -> test(name, "pointwise", Precision.FP32, kind)));
        Stream<DynamicTest> resident = Stream.of(Kind.LAUNCH, Kind.COPY, Kind.CUBLAS)
                .map(kind -> test("fused", "resident", Precision.FP32, kind));
        Stream<DynamicTest> narrow =
                Stream.of("pointwise", "resident-inputs").map(path -> test("fused", path, Precision.FP16, Kind.LAUNCH));
        // What these do besides their kernels is what the others do.
        Stream<DynamicTest> spread = Stream.of(
                test("fused", "cluster", Precision.FP32, Kind.LAUNCH),
                test("fused", "grid", Precision.FP16, Kind.LAUNCH));
        return Stream.of(usual, resident, narrow, spread).flatMap(tests -> tests);
    }

    private DynamicTest test(String name, String path, Precision precision, Kind kind) {
        return DynamicTest.dynamicTest(
                name + (path.equals("pointwise") ? "" : ", " + path + ",") + " in " + precision + ", " + kind,
                () -> Property.with(PATH, path, () -> {
                    forgetEach(name, path, precision, kind);
                    return null;
                }));
    }

    private void forgetEach(String name, String path, Precision precision, Kind kind) {
        EngineProvider provider = AvailableEngines.assume(name);
        standIn = StandIn.find();
        Assumptions.assumeTrue(standIn.isPresent(), "real libraries forget nothing");
        StandIn faults = standIn.get();
        faults.poisonPadding(true);
        LstmCase lstm = LstmCases.everything();
        if (path.equals("cluster") || path.equals("grid")) {
            // Their many threads take their time here.
            lstm = LstmCase.of(LstmSpec.of(3, 6), 2, 3).withLengths(2, 0, 1).withInitial();
        } else if (!path.equals("pointwise")) {
            lstm = lstm.withSpec(lstm.spec().withProjectionSize(0));
        }
        forgetEach(provider, lstm, faults, precision, kind);
    }

    private static void forgetEach(
            EngineProvider provider, LstmCase lstm, StandIn faults, Precision precision, Kind kind) {
        LstmData data = LstmData.of(lstm);
        LstmResult expected;
        try (Engine reference = Engines.open("reference")) {
            expected = run(reference, lstm, data);
        }
        List<Long> unnoticed = new ArrayList<>();
        long forgotten = 0;
        for (long k = 1; ; k++) {
            // A fresh engine: the memory that it gets from the stand-ins holds nothing useful by chance.
            try (Engine engine = provider.open(
                    EngineOptions.defaults().withPrecision(precision).withGuards(false))) {
                faults.forget(kind, k);
                long misuse = faults.count(Count.MISUSE);
                boolean noticed;
                try {
                    LstmResult actual = run(engine, lstm, data);
                    Tolerance.of(engine.precision()).check(lstm, expected, actual);
                    // Or by the stand-ins, which look at what cuDNN only may look at.
                    noticed = faults.count(Count.MISUSE) > misuse;
                } catch (AssertionError | RuntimeException difference) {
                    noticed = true;
                } finally {
                    faults.heal();
                }
                if (faults.count(Count.FAILURES) == 0) {
                    assertTrue(!noticed, "the passes are right when nothing is forgotten");
                    break;
                }
                forgotten++;
                if (!noticed) {
                    unnoticed.add(k);
                }
            } catch (IllegalStateException heldByAFailedPass) {
                // Said by close; the pass failed before.
            }
        }
        assertTrue(forgotten > 5, "calls forgotten: " + forgotten);
        assertEquals(
                kind == Kind.LAUNCH ? BLANKS : 0,
                unnoticed.size(),
                "calls of " + kind + " that nobody missed, of " + forgotten + ": " + unnoticed);
    }

    private static LstmResult run(Engine engine, LstmCase lstm, LstmData data) {
        try (Workbench bench = new Workbench(engine)) {
            return bench.run(lstm, data);
        }
    }
}
