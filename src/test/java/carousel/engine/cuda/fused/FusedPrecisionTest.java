package carousel.engine.cuda.fused;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.engine.Direction;
import carousel.engine.Engine;
import carousel.engine.EngineOptions;
import carousel.engine.LstmOutput;
import carousel.engine.LstmSpec;
import carousel.engine.LstmTape;
import carousel.fixture.AvailableEngines;
import carousel.fixture.LstmCase;
import carousel.fixture.LstmData;
import carousel.fixture.LstmResult;
import carousel.fixture.StandIn;
import carousel.fixture.Workbench;
import carousel.tensor.Precision;
import carousel.tensor.Tensor;
import java.util.Arrays;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** What the contract does not see of products of 16 bits. */
@Tag("gpu")
class FusedPrecisionTest {
    private static final String GRAPHS = "carousel.cuda.graphs";

    private static final LstmSpec SPEC = LstmSpec.of(3, 6)
            .withLayers(2)
            .withDirection(Direction.BIDIRECTIONAL)
            .withProjectionSize(4);

    @BeforeAll
    static void requireAvailable() {
        AvailableEngines.assume(new FusedEngineProvider());
    }

    private static Engine open(Precision precision) {
        return new FusedEngineProvider().open(EngineOptions.defaults().withPrecision(precision));
    }

    /** {@code y = x W^T} of one row. */
    private static double linear(Precision precision, double[] x, double[] weights) {
        try (Engine engine = open(precision);
                Workbench bench = new Workbench(engine)) {
            Tensor y = bench.blank("y", 1, 1);
            engine.linearForward(bench.real("x", x, 1, x.length), bench.real("W", weights, 1, x.length), null, y);
            return bench.read(y)[0];
        }
    }

    @Test
    void operandsAreRoundedAndSumsAreNot() {
        double[] ones = {1, 1};
        // Between two neighbours, nearer to the lower one.
        double x = 1 + 0x1p-12;
        assertEquals(2 * x, linear(Precision.FP32, new double[] {x, x}, ones));
        assertEquals(2, linear(Precision.FP16, new double[] {x, x}, ones));
        assertEquals(2, linear(Precision.FP16, ones, new double[] {x, x}));
        assertEquals(2 + 0x1p-8, linear(Precision.FP16, new double[] {1 + 0x1p-9, 1 + 0x1p-9}, ones));
        assertEquals(2, linear(Precision.BF16, new double[] {1 + 0x1p-9, 1 + 0x1p-9}, ones));
        for (Precision precision : new Precision[] {Precision.FP16, Precision.BF16}) {
            assertEquals(1 + 0x1p-20, linear(precision, new double[] {1, 0x1p-20}, ones), "the sum in " + precision);
        }
    }

    @Test
    void whatIsTooLargeForHalfPrecisionBecomesInfinite() {
        double[] one = {1};
        assertEquals(65504, linear(Precision.FP16, new double[] {65519}, one));
        assertEquals(Double.POSITIVE_INFINITY, linear(Precision.FP16, new double[] {65520}, one));
        assertEquals(Double.NEGATIVE_INFINITY, linear(Precision.FP16, one, new double[] {-1e9}));
        assertEquals(65536, linear(Precision.BF16, new double[] {65520}, one));
        // A product of two that fit is not rounded.
        assertEquals(1e8, linear(Precision.FP16, new double[] {1e4}, new double[] {1e4}));
    }

    @ParameterizedTest
    @EnumSource(names = {"FP16", "BF16"})
    void gradientsThatOverflowAreNotFinite(Precision precision) {
        LstmCase lstm = LstmCase.of(SPEC, 4, 3);
        LstmData data = LstmData.of(lstm);
        for (int e = 0; e < data.dy().length; e++) {
            data.dy()[e] *= 1e9;
        }
        try (Engine engine = open(precision);
                Workbench bench = new Workbench(engine)) {
            LstmResult result = bench.run(lstm, data);
            assertTrue(Arrays.stream(result.y()).allMatch(Double::isFinite));
            assertEquals(
                    precision == Precision.BF16,
                    Arrays.stream(result.parameterGradients()).allMatch(Double::isFinite));
        }
    }

    /** By whatever way: copies are derived from parameters that may change between any two calls. */
    @ParameterizedTest
    @EnumSource(names = {"FP16", "BF16"})
    void parametersThatHaveChangedAreRoundedAnew(Precision precision) {
        LstmCase lstm = LstmCase.of(SPEC, 4, 3);
        LstmData data = LstmData.of(lstm);
        double[] half = Arrays.stream(data.parameters()).map(w -> w / 2).toArray();
        try (Engine engine = open(precision);
                Workbench bench = new Workbench(engine)) {
            Tensor parameters = bench.parameters(SPEC, data.parameters());
            double[] first = bench.infer(lstm, data, parameters);
            engine.scale(parameters, 0.5);
            double[] second = bench.infer(lstm, data, parameters);
            assertFalse(Arrays.equals(first, second));
            assertArrayEquals(second, bench.infer(lstm, data, bench.parameters(SPEC, half)));
            engine.write(parameters, data.parameters());
            assertArrayEquals(first, bench.infer(lstm, data, parameters));
        }
    }

    @Test
    void parametersAreRoundedOnceForAllPassesThatUseThem() {
        StandIn standIn = StandIn.find().orElse(null);
        org.junit.jupiter.api.Assumptions.assumeTrue(standIn != null, "launches are counted by the stand-in only");
        System.setProperty(GRAPHS, "false");
        try (Engine engine = open(Precision.FP16);
                Workbench bench = new Workbench(engine)) {
            LstmCase lstm = LstmCase.of(SPEC, 4, 3);
            LstmData data = LstmData.of(lstm);
            Tensor parameters = bench.parameters(SPEC, data.parameters());
            LstmTape tape = engine.openTape(bench.scope(), SPEC, 4, 3);
            long[] launches = new long[3];
            for (int pass = 0; pass < 3; pass++) {
                var input = bench.input(lstm, data);
                LstmOutput output = bench.output(lstm);
                engine.synchronize();
                long before = standIn.count(StandIn.Count.LAUNCHES);
                engine.lstmForward(SPEC, parameters, input, output, tape);
                engine.synchronize();
                launches[pass] = standIn.count(StandIn.Count.LAUNCHES) - before;
            }
            assertEquals(launches[0] - 1, launches[1]);
            assertEquals(launches[1], launches[2]);
        } finally {
            System.clearProperty(GRAPHS);
        }
    }
}
