package carousel.contract;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import carousel.engine.ActivationFunction;
import carousel.engine.Dual;
import carousel.engine.Engine;
import carousel.engine.EngineException;
import carousel.engine.Loss;
import carousel.engine.LstmFeature;
import carousel.engine.LstmSpec;
import carousel.engine.RandomSequence;
import carousel.fixture.LstmCase;
import carousel.fixture.LstmData;
import carousel.fixture.LstmOptions;
import carousel.fixture.LstmResult;
import carousel.fixture.Tolerance;
import carousel.tensor.Tensor;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

/** Derivatives along a direction, where an engine has them; every feature of a cell is computed or none. */
interface SecondOrderContract extends ContractPart {
    /** The engines that have them. */
    List<String> WITH_SECOND_ORDER = List.of("reference", "vector");

    /** Products and sums behind a tangent: as many again, each with two terms. */
    private static double reduction(LstmCase lstm) {
        return 4 * Tolerance.backwardReduction(lstm);
    }

    @Test
    default void otherEnginesNameThoseThatCan() {
        Assumptions.assumeFalse(WITH_SECOND_ORDER.contains(engine().name()));
        String message =
                assertThrows(EngineException.class, engine()::secondOrder).getMessage();
        assertEquals(
                "the " + engine().name() + " engine does not compute second derivatives: open the vector or the"
                        + " reference engine for them",
                message);
    }

    private static Dual<LstmResult> run(LstmCase lstm, Engine engine, carousel.fixture.Workbench bench) {
        return bench.runDual(lstm, LstmData.of(lstm), LstmData.of(lstm.withSeed(lstm.seed() + 500_000)));
    }

    private void requireSecondOrder() {
        Assumptions.assumeTrue(
                WITH_SECOND_ORDER.contains(engine().name()), () -> "no second order on " + engine().name());
    }

    @ParameterizedTest
    @MethodSource({"carousel.contract.LstmCases#all", "carousel.contract.LstmCases#combinations"})
    default void tangentsMatchTheReference(LstmCase lstm) {
        requireSecondOrder();
        Dual<LstmResult> expected = ReferenceResults.of((engine, bench) -> run(lstm, engine, bench));
        Dual<LstmResult> actual = use((engine, bench) -> run(lstm, engine, bench));
        tolerance().check(lstm, expected.value(), actual.value());
        double largest = Math.max(
                Tolerance.largest(expected.tangent().y()),
                Math.max(
                        Tolerance.largest(expected.tangent().h()),
                        Tolerance.largest(expected.tangent().c())));
        double allowed = tolerance().relative(reduction(lstm)) * largest;
        expected.tangent()
                .visitForwardWith(
                        actual.tangent(),
                        (what, one, two) -> tolerance().checkWithin("tangent of " + what, one, two, allowed));
        expected.tangent()
                .visitBackwardWith(
                        actual.tangent(),
                        (what, one, two) -> tolerance().check("tangent of " + what, one, two, reduction(lstm)));
    }

    @ParameterizedTest
    @EnumSource
    default void everyFeatureHasSecondDerivatives(LstmFeature feature) {
        requireSecondOrder();
        LstmSpec spec = LstmOptions.only(feature);
        LstmCase lstm = LstmCases.everything().withSpec(spec);
        Dual<LstmResult> result = use((engine, bench) -> run(lstm, engine, bench));
        LstmCase without = lstm.withSpec(LstmOptions.without(spec, feature));
        assertEquals(lstm.spec().layers(), without.spec().layers());
        double[] changes = result.tangent().parameterGradients();
        assertEquals(
                changes.length, Arrays.stream(changes).filter(Double::isFinite).count());
    }

    @Test
    default void sameDirectionGivesTheSameBits() {
        requireSecondOrder();
        LstmCase lstm = LstmCases.everyExtension();
        Dual<LstmResult> one = use((engine, bench) -> run(lstm, engine, bench));
        Dual<LstmResult> other = use((engine, bench) -> run(lstm, engine, bench));
        one.value().visitWith(other.value(), (what, a, b) -> assertArrayEquals(a, b, what));
        one.tangent().visitWith(other.tangent(), (what, a, b) -> assertArrayEquals(a, b, what));
    }

    @ParameterizedTest
    @EnumSource
    default void tangentsOfActivationsMatchTheReference(ActivationFunction function) {
        requireSecondOrder();
        RandomSequence random = new RandomSequence(6, 2, 0);
        double[] x = LstmData.uniform(random, 37 * 19);
        double[] direction = LstmData.uniform(random, x.length);
        double[] dy = LstmData.uniform(random, x.length);
        double[] change = LstmData.uniform(random, x.length);
        sameAsReference(function.word(), 4 * Tolerance.FUNCTION + 19, (engine, bench) -> {
            Tensor y = bench.blank("y", 37, 19);
            Tensor yTangent = bench.blank("y tangent", 37, 19);
            Tensor dxTangent = bench.blank("dx tangent", 37, 19);
            engine.activationForward(function, bench.real("x", x, 37, 19), y);
            engine.activationBackward(function, y, bench.real("direction", direction, 37, 19), yTangent);
            engine.secondOrder()
                    .activationBackward(
                            function,
                            new Dual<>(y, yTangent),
                            new Dual<>(bench.real("dy", dy, 37, 19), bench.real("change", change, 37, 19)),
                            dxTangent);
            return new double[][] {bench.read(dxTangent)};
        });
    }

    @ParameterizedTest
    @EnumSource
    default void tangentsOfLossesMatchTheReference(Loss loss) {
        requireSecondOrder();
        RandomSequence random = new RandomSequence(7, 2, 0);
        double[] predictions = LstmData.uniform(random, 37 * 19);
        double[] direction = LstmData.uniform(random, predictions.length);
        double[] weights = new double[37];
        Arrays.setAll(weights, m -> m % 5 == 0 ? 0 : 1 + m % 3);
        // A row without weight may hold anything.
        Arrays.fill(predictions, 0, 19, Double.NaN);
        sameAsReference(loss.name(), 4 * Tolerance.FUNCTION + 19, (engine, bench) -> {
            Tensor change = bench.blank("change", 37, 19);
            engine.secondOrder()
                    .loss(
                            loss,
                            new Dual<>(
                                    bench.real("predictions", predictions, 37, 19),
                                    bench.real("direction", direction, 37, 19)),
                            bench.real("weights", weights, 37),
                            change);
            return new double[][] {bench.read(change)};
        });
    }

    @Test
    default void sumsOfTensors() {
        requireSecondOrder();
        RandomSequence random = new RandomSequence(8, 2, 0);
        double[] x = LstmData.uniform(random, 101);
        double[] y = LstmData.uniform(random, 101);
        sameAsReference("the sum", 1, (engine, bench) -> {
            Tensor sum = bench.real("y", y, 101);
            engine.secondOrder().add(bench.real("x", x, 101), sum);
            return new double[][] {bench.read(sum)};
        });
    }
}
