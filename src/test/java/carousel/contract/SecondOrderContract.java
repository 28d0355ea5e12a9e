package carousel.contract;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertThrows;

import carousel.engine.ActivationFunction;
import carousel.engine.Dual;
import carousel.engine.EngineException;
import carousel.engine.Loss;
import carousel.engine.RandomSequence;
import carousel.fixture.LstmCase;
import carousel.fixture.LstmData;
import carousel.fixture.LstmResult;
import carousel.fixture.Tolerance;
import carousel.fixture.Workbench;
import carousel.tensor.Tensor;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

/** Derivatives along a direction, where an engine has them: then of every feature of a cell. */
interface SecondOrderContract extends ContractPart {
    /** The engines that have them. */
    List<String> WITH_SECOND_ORDER = List.of("reference", "vector");

    /** What is normalised is divided by a deviation, and so are its errors. */
    double NORMALIZED = 10;

    /** Beyond these an engine of single precision has no numbers left to compute with. */
    double LARGEST = 1e30;

    /**
     * Checks results, or their tangents, which are all sums of as many products. A normalisation takes away most of the gradients of
     * what lies before it and leaves their errors; so gradients are measured together where there is one, as outputs always are.
     */
    private void check(LstmCase lstm, String what, LstmResult expected, LstmResult actual, double reduction) {
        boolean normalized = lstm.spec().layerNormalization();
        double relative = tolerance().relative(reduction) * (normalized ? NORMALIZED : 1);
        double outputs = Math.max(
                Tolerance.largest(expected.y()),
                Math.max(Tolerance.largest(expected.h()), Tolerance.largest(expected.c())));
        double gradients = Math.max(
                Math.max(Tolerance.largest(expected.parameterGradients()), Tolerance.largest(expected.dx())),
                Math.max(Tolerance.largest(expected.dh0()), Tolerance.largest(expected.dc0())));
        if (Math.max(outputs, gradients) > LARGEST) {
            return;
        }
        expected.visitForwardWith(
                actual, (name, one, two) -> tolerance().checkWithin(what + name, one, two, relative * outputs));
        expected.visitBackwardWith(
                actual,
                (name, one, two) -> tolerance()
                        .checkWithin(
                                what + name, one, two, relative * (normalized ? gradients : Tolerance.largest(one))));
    }

    @Test
    default void otherEnginesNameThoseThatCan() {
        if (WITH_SECOND_ORDER.contains(engine().name())) {
            assertNotNull(engine().secondOrder());
            return;
        }
        String message =
                assertThrows(EngineException.class, engine()::secondOrder).getMessage();
        assertEquals(
                "the " + engine().name() + " engine does not compute second derivatives: open the vector or the"
                        + " reference engine for them",
                message);
    }

    private static LstmCase direction(LstmCase lstm) {
        return lstm.withSeed(lstm.seed() + 500_000);
    }

    private static Dual<LstmResult> run(LstmCase lstm, Workbench bench) {
        return bench.runDual(lstm, LstmData.of(lstm), LstmData.of(direction(lstm)));
    }

    private void requireSecondOrder() {
        Assumptions.assumeTrue(
                WITH_SECOND_ORDER.contains(engine().name()), () -> "no second order on " + engine().name());
    }

    /** Fewer combinations than of first order: the elementwise parts of all features are the same code in each. */
    static Stream<LstmCase> cases() {
        return Stream.concat(LstmCases.all(), LstmCases.combinations().limit(150));
    }

    @ParameterizedTest
    @MethodSource("carousel.contract.SecondOrderContract#cases")
    default void tangentsMatchTheReference(LstmCase lstm) {
        requireSecondOrder();
        Dual<LstmResult> expected = ReferenceResults.of(lstm, direction(lstm));
        Dual<LstmResult> actual = use((engine, bench) -> run(lstm, bench));
        // A tangent is a sum of twice as many products, and of both kinds of factors' errors.
        check(lstm, "", expected.value(), actual.value(), Tolerance.backwardReduction(lstm));
        check(lstm, "the tangent of ", expected.tangent(), actual.tangent(), 4 * Tolerance.backwardReduction(lstm));
    }

    @Test
    default void sameDirectionGivesTheSameBits() {
        requireSecondOrder();
        LstmCase lstm = LstmCases.everyExtension();
        Dual<LstmResult> one = use((engine, bench) -> run(lstm, bench));
        Dual<LstmResult> other = use((engine, bench) -> run(lstm, bench));
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
}
