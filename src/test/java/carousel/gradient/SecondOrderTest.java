package carousel.gradient;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.engine.ActivationFunction;
import carousel.engine.Dual;
import carousel.engine.Engine;
import carousel.engine.Engines;
import carousel.engine.Loss;
import carousel.engine.RandomSequence;
import carousel.fixture.LstmCase;
import carousel.fixture.LstmData;
import carousel.fixture.LstmResult;
import carousel.fixture.Tolerance;
import carousel.fixture.Workbench;
import carousel.tensor.Tensor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.BiFunction;
import java.util.function.DoubleFunction;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

/** Derivatives of the reference engine's results and gradients along a direction. */
class SecondOrderTest {
    private static final double STEP = 2e-5;
    /** Of the largest element. Measured over all cases: 6.3e-7, where small numbers are normalised. */
    private static final double ALLOWED = 1e-6;

    /** All that a pass starts from moves at once, along one direction. */
    @ParameterizedTest
    @MethodSource({
        "carousel.gradient.LstmGradientTest#cases",
        "carousel.gradient.LstmGradientTest#extensions",
        "carousel.gradient.LstmGradientTest#masks",
        "carousel.gradient.LstmGradientTest#combinations"
    })
    void tangentsAreDifferences(LstmCase given) {
        LstmGradientTest.retryAcrossKinks(given, lstm -> {
            LstmData data = LstmData.of(lstm);
            LstmData direction = direction(lstm, 1);
            Dual<LstmResult> result = dual(lstm, data, direction);
            run(lstm, data).visitWith(result.value(), (what, one, two) -> assertArrayEquals(one, two, what));
            LstmResult differences = difference(r -> run(lstm, moved(data, direction, r)));
            result.tangent().visitWith(differences, (what, exact, numeric) -> check(what, exact, numeric));
        });
    }

    /**
     * Second derivatives of the loss with respect to parameters, x and initial state: {@code u H v = v H u}, and H v is linear in v.
     */
    @ParameterizedTest
    @MethodSource({
        "carousel.gradient.LstmGradientTest#cases",
        "carousel.gradient.LstmGradientTest#extensions",
        "carousel.gradient.LstmGradientTest#masks",
    })
    void hessianIsSymmetricAndLinear(LstmCase lstm) {
        LstmData data = LstmData.of(lstm);
        LstmData u = ofInputs(lstm, direction(lstm, 1));
        LstmData v = ofInputs(lstm, direction(lstm, 2));
        double[] hu = derivatives(dual(lstm, data, u).tangent());
        double[] hv = derivatives(dual(lstm, data, v).tangent());
        double uhv = FiniteDifferences.dot(hv, inputs(u));
        double vhu = FiniteDifferences.dot(hu, inputs(v));
        double size = Tolerance.largest(hv) * Tolerance.largest(inputs(u)) * hv.length;
        assertTrue(Tolerance.largest(hv) > 0, "nothing was checked");
        assertEquals(uhv, vhu, 1e-13 * size, "u H v and v H u");
        double[] sum = derivatives(dual(lstm, data, combined(u, 2, v, -3)).tangent());
        for (int e = 0; e < sum.length; e++) {
            assertEquals(2 * hu[e] - 3 * hv[e], sum[e], 1e-12 * Tolerance.largest(sum), "element " + e);
        }
    }

    @ParameterizedTest
    @EnumSource
    void tangentsOfActivations(ActivationFunction function) {
        RandomSequence random = new RandomSequence(4, 0, 0);
        double[] x = gaussians(random, 5 * 4);
        double[] vx = LstmData.uniform(random, x.length);
        double[] dy = LstmData.uniform(random, x.length);
        double[] vdy = LstmData.uniform(random, x.length);
        double[][] exact = use((engine, bench) -> {
            Tensor y = bench.blank("y", 5, 4);
            Tensor yTangent = bench.blank("y tangent", 5, 4);
            engine.activationForward(function, bench.real("x", x, 5, 4), y);
            engine.activationBackward(function, y, bench.real("v", vx, 5, 4), yTangent);
            Tensor dxTangent = bench.real("v of dy", vdy, 5, 4);
            engine.secondOrder()
                    .activationBackward(
                            function,
                            new Dual<>(y, yTangent),
                            new Dual<>(bench.real("dy", dy, 5, 4), dxTangent),
                            dxTangent);
            return new double[][] {bench.read(yTangent), bench.read(dxTangent)};
        });
        double[][] numeric = differences(r -> use((engine, bench) -> {
            Tensor y = bench.blank("y", 5, 4);
            engine.activationForward(function, bench.real("x", moved(x, vx, r), 5, 4), y);
            Tensor dx = bench.blank("dx", 5, 4);
            engine.activationBackward(function, y, bench.real("dy", moved(dy, vdy, r), 5, 4), dx);
            return new double[][] {bench.read(y), bench.read(dx)};
        }));
        check("y", exact[0], numeric[0]);
        check("dx", exact[1], numeric[1]);
    }

    @ParameterizedTest
    @EnumSource
    void tangentsOfLosses(Loss loss) {
        RandomSequence random = new RandomSequence(5, 0, 0);
        double[] predictions = gaussians(random, 5 * 4);
        double[] direction = LstmData.uniform(random, predictions.length);
        double[] targets = LstmData.uniform(random, predictions.length);
        int[] labels = {0, 3, 1, 1, 2};
        for (double[] weights : new double[][] {null, {1, 0.5, 0, 2, 0.25}, new double[5]}) {
            double[] exact = use((engine, bench) -> {
                Tensor change = bench.blank("tangent", 5, 4);
                engine.secondOrder()
                        .loss(
                                loss,
                                new Dual<>(
                                        bench.real("predictions", predictions, 5, 4),
                                        bench.real("direction", direction, 5, 4)),
                                weights == null ? null : bench.real("weights", weights, 5),
                                change);
                return bench.read(change);
            });
            double[][] numeric = differences(r -> use((engine, bench) -> {
                Tensor gradient = bench.blank("gradient", 5, 4);
                engine.loss(
                        loss,
                        bench.real("predictions", moved(predictions, direction, r), 5, 4),
                        loss.labelled() ? bench.integers("labels", labels) : bench.real("targets", targets, 5, 4),
                        weights == null ? null : bench.real("weights", weights, 5),
                        bench.blank("report", 3),
                        gradient);
                return new double[][] {bench.read(gradient)};
            }));
            check(loss.name(), exact, numeric[0]);
        }
    }

    private static double[] gaussians(RandomSequence random, int count) {
        double[] values = new double[count];
        Arrays.setAll(values, e -> 2 * random.nextGaussian());
        return values;
    }

    private static <R> R use(BiFunction<Engine, Workbench, R> use) {
        try (Engine engine = Engines.open("reference");
                Workbench bench = new Workbench(engine)) {
            return use.apply(engine, bench);
        }
    }

    private static LstmResult run(LstmCase lstm, LstmData data) {
        return use((engine, bench) -> bench.run(lstm, data));
    }

    private static Dual<LstmResult> dual(LstmCase lstm, LstmData data, LstmData direction) {
        return use((engine, bench) -> bench.runDual(lstm, data, direction));
    }

    private static LstmData direction(LstmCase lstm, int number) {
        return LstmData.of(lstm.withSeed(lstm.seed() + 10_000_000L * number));
    }

    /** The same direction of what is differentiated by, and nothing else. */
    private static LstmData ofInputs(LstmCase lstm, LstmData direction) {
        direction.poisonPadding(lstm, 0);
        Arrays.fill(direction.gradientsBefore(), 0);
        Arrays.fill(direction.dy(), 0);
        Arrays.fill(direction.dh(), 0);
        Arrays.fill(direction.dc(), 0);
        if (!lstm.initial()) {
            Arrays.fill(direction.h0(), 0);
            Arrays.fill(direction.c0(), 0);
        }
        return direction;
    }

    private static LstmData moved(LstmData data, LstmData direction, double r) {
        return combined(data, 1, direction, r);
    }

    private static LstmData combined(LstmData a, double factor, LstmData b, double other) {
        return new LstmData(
                combined(a.parameters(), factor, b.parameters(), other),
                combined(a.gradientsBefore(), factor, b.gradientsBefore(), other),
                combined(a.x(), factor, b.x(), other),
                combined(a.h0(), factor, b.h0(), other),
                combined(a.c0(), factor, b.c0(), other),
                combined(a.dy(), factor, b.dy(), other),
                combined(a.dh(), factor, b.dh(), other),
                combined(a.dc(), factor, b.dc(), other));
    }

    private static double[] moved(double[] values, double[] direction, double r) {
        return combined(values, 1, direction, r);
    }

    private static double[] combined(double[] a, double factor, double[] b, double other) {
        double[] sum = new double[a.length];
        Arrays.setAll(sum, e -> factor * a[e] + other * b[e]);
        return sum;
    }

    /** What is differentiated by, in the order of {@link #derivatives}. */
    private static double[] inputs(LstmData data) {
        return joined(List.of(data.parameters(), data.x(), data.h0(), data.c0()));
    }

    private static double[] derivatives(LstmResult result) {
        return joined(List.of(result.parameterGradients(), result.dx(), result.dh0(), result.dc0()));
    }

    private static double[] joined(List<double[]> arrays) {
        return arrays.stream().flatMapToDouble(Arrays::stream).toArray();
    }

    private static LstmResult difference(DoubleFunction<LstmResult> function) {
        double[][] all = differences(r -> {
            LstmResult result = function.apply(r);
            List<double[]> parts = new ArrayList<>();
            result.visitWith(result, (what, one, other) -> parts.add(one));
            return parts.toArray(double[][]::new);
        });
        return new LstmResult(all[0], all[1], all[2], all[3], all[4], all[5], all[6]);
    }

    /** Central differences of fourth order at 0: see {@link FiniteDifferences}. */
    private static double[][] differences(DoubleFunction<double[][]> function) {
        double[][] ahead = function.apply(STEP);
        double[][] behind = function.apply(-STEP);
        double[][] farAhead = function.apply(2 * STEP);
        double[][] farBehind = function.apply(-2 * STEP);
        double[][] slopes = new double[ahead.length][];
        for (int k = 0; k < ahead.length; k++) {
            slopes[k] = new double[ahead[k].length];
            for (int e = 0; e < ahead[k].length; e++) {
                slopes[k][e] = (8 * (ahead[k][e] - behind[k][e]) - (farAhead[k][e] - farBehind[k][e])) / (12 * STEP);
            }
        }
        return slopes;
    }

    private static void check(String what, double[] exact, double[] numeric) {
        double largest = Tolerance.largest(numeric);
        for (int e = 0; e < exact.length; e++) {
            double error = Math.abs(exact[e] - numeric[e]);
            assertTrue(
                    error <= ALLOWED * largest,
                    what + " at element " + e + " changes by " + exact[e] + " where differences say " + numeric[e]
                            + ", off by " + error / largest + " of the largest");
        }
    }
}
