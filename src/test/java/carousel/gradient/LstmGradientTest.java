package carousel.gradient;

import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.engine.Direction;
import carousel.engine.Engine;
import carousel.engine.Engines;
import carousel.engine.LstmSpec;
import carousel.engine.RandomKey;
import carousel.fixture.LstmCase;
import carousel.fixture.LstmData;
import carousel.fixture.LstmResult;
import carousel.fixture.Workbench;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.ToDoubleFunction;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Every parameter, dx, dh0 and dc0 of the reference engine, for the randomly weighted loss {@code L = sum dy y + sum
 * dh h_T + sum dc c_T}.
 */
class LstmGradientTest {
    private static final RandomKey KEY = new RandomKey(99, 4, 12);

    private static Stream<LstmCase> cases() {
        List<LstmCase> cases = new ArrayList<>();
        LstmSpec base = LstmSpec.of(3, 4);
        for (Direction direction : Direction.values()) {
            LstmSpec spec = base.withDirection(direction);
            cases.add(LstmCase.of(spec, 5, 2).withInitial());
            cases.add(LstmCase.of(spec.withBias(false), 3, 2));
            cases.add(LstmCase.of(spec, 4, 4).withLengths(4, 2, 0, 1).withInitial());
            cases.add(LstmCase.of(spec.withProjectionSize(2), 4, 2).withInitial());
            cases.add(LstmCase.of(spec.withCellClip(0.2), 5, 3).withInitial());
            cases.add(LstmCase.of(spec.withLayers(2), 3, 3).withLengths(3, 0, 2).withInitial());
            cases.add(LstmCase.of(spec.withLayers(2).withDropout(0.4), 4, 2)
                    .withInitial()
                    .withDropout(KEY));
        }
        cases.add(LstmCase.of(LstmSpec.of(1, 1), 6, 1).withInitial());
        cases.add(LstmCase.of(LstmSpec.of(2, 3).withLayers(3), 4, 2).withInitial());
        cases.add(LstmCase.of(
                        LstmSpec.of(2, 4)
                                .withLayers(3)
                                .withDirection(Direction.BIDIRECTIONAL)
                                .withProjectionSize(3)
                                .withCellClip(0.4)
                                .withDropout(0.3),
                        4,
                        3)
                .withLengths(4, 1, 3)
                .withInitial()
                .withDropout(KEY));
        cases.add(LstmCase.of(LstmSpec.of(2, 3), 25, 1).withInitial());
        return cases.stream();
    }

    @ParameterizedTest
    @MethodSource("cases")
    void gradientsAreThoseOfTheForwardPass(LstmCase lstm) {
        LstmData data = LstmData.of(lstm);
        Arrays.fill(data.gradientsBefore(), 0);
        try (Engine engine = Engines.open("reference")) {
            LstmResult result = run(engine, lstm, data, true);
            if (lstm.spec().cellClip() > 0) {
                double clip = lstm.spec().cellClip();
                assertTrue(Arrays.stream(result.c()).anyMatch(c -> Math.abs(c) == clip), "the clip acts nowhere");
                assertTrue(Arrays.stream(result.c()).anyMatch(c -> Math.abs(c) < clip), "the clip acts everywhere");
            }
            // Each check perturbs one of the arrays that a pass starts from.
            ToDoubleFunction<double[]> loss = perturbed -> {
                LstmResult other = run(engine, lstm, data, false);
                return FiniteDifferences.dot(other.y(), data.dy())
                        + FiniteDifferences.dot(other.h(), data.dh())
                        + FiniteDifferences.dot(other.c(), data.dc());
            };
            FiniteDifferences.check("parameters", result.parameterGradients(), data.parameters(), loss);
            FiniteDifferences.check("dx", result.dx(), data.x(), loss);
            if (lstm.initial()) {
                FiniteDifferences.check("dh0", result.dh0(), data.h0(), loss);
                FiniteDifferences.check("dc0", result.dc0(), data.c0(), loss);
            }
        }
    }

    private static LstmResult run(Engine engine, LstmCase lstm, LstmData data, boolean backward) {
        try (Workbench bench = new Workbench(engine)) {
            return backward ? bench.run(lstm, data) : bench.run(lstm, data, null);
        }
    }
}
