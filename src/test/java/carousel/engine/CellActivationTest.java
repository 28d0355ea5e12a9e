package carousel.engine;

import static carousel.fixture.Refusals.assertRefused;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.engine.CellActivation.Kind;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

class CellActivationTest {
    private static Stream<CellActivation> activations() {
        return Stream.of(
                CellActivation.SIGMOID,
                CellActivation.TANH,
                CellActivation.of(Kind.RELU),
                new CellActivation(Kind.AFFINE, -1.5, 0.25),
                CellActivation.of(Kind.LEAKY_RELU),
                new CellActivation(Kind.LEAKY_RELU, -0.5, 0),
                new CellActivation(Kind.THRESHOLDED_RELU, 0.75, 0),
                new CellActivation(Kind.SCALED_TANH, 1.7159, 0.6667),
                new CellActivation(Kind.SCALED_TANH, 0, 2),
                CellActivation.of(Kind.HARD_SIGMOID),
                new CellActivation(Kind.HARD_SIGMOID, 1.0 / 6, 0.5),
                CellActivation.of(Kind.ELU),
                new CellActivation(Kind.ELU, 0.3, 0),
                CellActivation.of(Kind.SOFTSIGN),
                CellActivation.of(Kind.SOFTPLUS));
    }

    /** Worked out by hand from ONNX's formulas. */
    @ParameterizedTest
    @CsvSource({
        "SIGMOID, 0, 0, 0, 0.5",
        "SIGMOID, 0, 0, 1.0986122886681098, 0.75",
        "TANH, 0, 0, 0.5493061443340548, 0.5",
        "RELU, 0, 0, -2, 0",
        "RELU, 0, 0, 2, 2",
        "AFFINE, 3, -1, 2, 5",
        "LEAKY_RELU, 0.1, 0, -3, -0.3",
        "LEAKY_RELU, 0.1, 0, 3, 3",
        "THRESHOLDED_RELU, 1, 0, 1, 0",
        "THRESHOLDED_RELU, 1, 0, 1.5, 1.5",
        "THRESHOLDED_RELU, -1, 0, -0.5, -0.5",
        "SCALED_TANH, 2, 0.5, 1.0986122886681098, 1",
        "HARD_SIGMOID, 0.2, 0.5, 1, 0.7",
        "HARD_SIGMOID, 0.2, 0.5, 2.6, 1",
        "HARD_SIGMOID, 0.2, 0.5, -2.6, 0",
        "ELU, 2, 0, -0.6931471805599453, -1",
        "ELU, 2, 0, 4, 4",
        "SOFTSIGN, 0, 0, -3, -0.75",
        "SOFTPLUS, 0, 0, 0, 0.6931471805599453",
        "SOFTPLUS, 0, 0, 1000, 1000",
        "SOFTPLUS, 0, 0, -1000, 0"
    })
    void valuesAreThoseOfTheFormulas(Kind kind, double alpha, double beta, double x, double expected) {
        assertEquals(expected, new CellActivation(kind, alpha, beta).value(x), 1e-15 * Math.max(1, Math.abs(expected)));
    }

    @ParameterizedTest
    @EnumSource
    void everyKindIsTested(Kind kind) {
        assertTrue(activations().anyMatch(activation -> activation.kind() == kind));
    }

    /** Away from kinks, by central differences of fourth order. */
    @ParameterizedTest
    @MethodSource("activations")
    void gradientsAreSlopes(CellActivation activation) {
        double step = 1e-3;
        for (double x = -4.0137; x < 4; x += 0.17) {
            double near = activation.value(x + step) - activation.value(x - step);
            double far = activation.value(x + 2 * step) - activation.value(x - 2 * step);
            double slope = (8 * near - far) / (12 * step);
            double gradient = activation.gradient(x, activation.value(x), 1);
            assertEquals(slope, gradient, 1e-10, "at " + x);
            assertEquals(-3 * gradient, activation.gradient(x, activation.value(x), -3), 1e-14, "linear in dy");
        }
    }

    /** Away from kinks, by central differences of fourth order. */
    @ParameterizedTest
    @MethodSource("activations")
    void curvaturesAreSlopesOfGradients(CellActivation activation) {
        double step = 1e-3;
        for (double x = -4.0137; x < 4; x += 0.17) {
            double near = slope(activation, x + step) - slope(activation, x - step);
            double far = slope(activation, x + 2 * step) - slope(activation, x - 2 * step);
            double curvature = activation.curvature(x, activation.value(x), 1);
            assertEquals((8 * near - far) / (12 * step), curvature, 1e-10, "at " + x);
            assertEquals(-3 * curvature, activation.curvature(x, activation.value(x), -3), 1e-14, "linear in dy");
        }
    }

    private static double slope(CellActivation activation, double x) {
        return activation.gradient(x, activation.value(x), 1);
    }

    @Test
    void curvatureAtAKinkIsZero() {
        for (CellActivation activation : activations().toList()) {
            double kink = activation.kind() == Kind.THRESHOLDED_RELU ? activation.alpha() : 0;
            if (activation.kind() != Kind.SIGMOID && activation.kind() != Kind.SOFTPLUS) {
                assertEquals(0, Math.abs(activation.curvature(kink, activation.value(kink), 1)), activation.toString());
            }
        }
    }

    @ParameterizedTest
    @MethodSource("activations")
    void nothingOverflowsAndNaNIsNotLost(CellActivation activation) {
        for (double x : new double[] {-1e6, 1e6, -0.0, 1e-300}) {
            double y = activation.value(x);
            assertTrue(Double.isFinite(y), () -> "f(" + x + ") = " + y);
            assertTrue(Double.isFinite(activation.gradient(x, y, 1)), () -> "f'(" + x + ")");
            assertTrue(Double.isFinite(activation.curvature(x, y, 1)), () -> "f\"(" + x + ")");
        }
        assertEquals(Double.NaN, activation.value(Double.NaN));
    }

    @Test
    void usualParametersAreOnnxs() {
        assertEquals(new CellActivation(Kind.LEAKY_RELU, 0.01, 0), CellActivation.of(Kind.LEAKY_RELU));
        assertEquals(new CellActivation(Kind.HARD_SIGMOID, 0.2, 0.5), CellActivation.of(Kind.HARD_SIGMOID));
        assertEquals(new CellActivation(Kind.ELU, 1, 0), CellActivation.of(Kind.ELU));
        assertRefused(
                IllegalArgumentException.class,
                () -> CellActivation.of(Kind.AFFINE),
                "Affine has no usual parameters: give its alpha and beta");
        assertRefused(IllegalArgumentException.class, () -> CellActivation.of(Kind.SCALED_TANH), "alpha and beta");
        assertRefused(IllegalArgumentException.class, () -> CellActivation.of(Kind.THRESHOLDED_RELU), "give its alpha");
    }

    @Test
    void parametersThatCountForNothingMakeNoDifference() {
        assertEquals(CellActivation.TANH, new CellActivation(Kind.TANH, 3, Double.NaN));
        assertEquals(new CellActivation(Kind.ELU, 3, 0), new CellActivation(Kind.ELU, 3, 4));
        assertNotEquals(new CellActivation(Kind.AFFINE, 3, 0), new CellActivation(Kind.AFFINE, 3, 4));
        assertEquals(
                LstmActivations.STANDARD,
                new LstmActivations(
                        new CellActivation(Kind.SIGMOID, 1, 2), CellActivation.TANH, CellActivation.of(Kind.TANH)));
    }

    @Test
    void parametersOutOfRangeAreRefused() {
        for (double value : new double[] {Double.NaN, Double.POSITIVE_INFINITY}) {
            assertRefused(
                    IllegalArgumentException.class,
                    () -> new CellActivation(Kind.ELU, value, 0),
                    "alpha of the activation Elu",
                    "got " + value);
            assertRefused(
                    IllegalArgumentException.class,
                    () -> new CellActivation(Kind.AFFINE, 0, value),
                    "beta of the activation Affine",
                    "got " + value);
        }
        assertRefused(IllegalArgumentException.class, () -> new CellActivation(null, 0, 0), "for instance SIGMOID");
    }

    @Test
    void namesAreOnnxs() {
        assertEquals(
                List.of(
                        "Sigmoid",
                        "Tanh",
                        "Relu",
                        "Affine",
                        "LeakyRelu",
                        "ThresholdedRelu",
                        "ScaledTanh",
                        "HardSigmoid",
                        "Elu",
                        "Softsign",
                        "Softplus"),
                Arrays.stream(Kind.values()).map(Kind::onnxName).toList());
        assertEquals("Sigmoid, Tanh, Tanh", LstmActivations.STANDARD.toString());
        assertEquals("LeakyRelu(0.01)", CellActivation.of(Kind.LEAKY_RELU).toString());
    }
}
