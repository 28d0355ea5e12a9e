package carousel.numerics;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.engine.EngineProvider;
import carousel.fixture.AvailableEngines;
import carousel.fixture.StandIn;
import carousel.numerics.LongSequences.Case;
import carousel.numerics.LongSequences.Row;
import carousel.tensor.Precision;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** That the page on numerics has what is measured, for better and for worse. */
class LongSequencesTest {
    private static final Path PAGE = Path.of("src", "site", "markdown", "numerics.md");

    /** The vector engine gives the same bits everywhere; the page has two digits of them. */
    private static final double VECTOR_HEADROOM = 1.1;

    /** Compilers contract products and sums of the stand-ins as they like. */
    private static final double STAND_IN_HEADROOM = 2;

    /** Beyond this the stand-ins take seconds, and say nothing new. */
    private static final int LONGEST_ON_STAND_INS = 1_000;

    private static double[] documented(String engine, Precision precision, Case what) throws IOException {
        String key = Row.key(engine, precision, what);
        List<String> lines = Files.readAllLines(PAGE).stream()
                .filter(line -> line.startsWith(key))
                .toList();
        assertEquals(1, lines.size(), () -> "lines of " + PAGE + " that begin with " + key);
        return Arrays.stream(lines.get(0).substring(key.length()).split("\\|"))
                .mapToDouble(cell -> Double.parseDouble(cell.strip()))
                .toArray();
    }

    /** Some units of double precision, the reference's own: whether an error is one of them or five says nothing. */
    private static final double ROUNDING = 16 * Precision.FP64.epsilon();

    private static void assertDocumented(String engine, Precision precision, Case what, double headroom)
            throws IOException {
        double[] documented = documented(engine, precision, what);
        Row row = LongSequences.measure(engine, precision, what);
        assertEquals(LongSequences.QUANTITIES.size(), documented.length, row::toString);
        for (int k = 0; k < documented.length; k++) {
            double measured = row.errors()[k];
            int quantity = k;
            assertTrue(
                    Math.max(measured, documented[k]) < ROUNDING
                            || measured <= documented[k] * headroom && measured >= documented[k] / headroom,
                    () -> "the page says " + documented[quantity] + " for " + LongSequences.QUANTITIES.get(quantity)
                            + " of " + row);
        }
    }

    @Test
    void theVectorEngineIsAsFarOffAsThePageSays() throws IOException {
        for (Case what : Case.all()) {
            assertDocumented("vector", Precision.FP32, what, VECTOR_HEADROOM);
        }
    }

    /** What the text above the table promises. */
    @Test
    void singlePrecisionStaysWithinAFewUnits() throws IOException {
        double unit = Precision.FP32.epsilon();
        for (int timeSteps : LongSequences.LENGTHS) {
            Case what = new Case(LongSequences.Memory.SHORT, timeSteps);
            double[] errors = documented("vector", Precision.FP32, what);
            for (int k = 0; k < errors.length; k++) {
                String quantity = LongSequences.QUANTITIES.get(k);
                double allowed = (quantity.equals("dW") ? 50 : 8) * unit;
                assertTrue(errors[k] <= allowed, quantity + " of " + what + ": " + errors[k]);
            }
        }
    }

    @Tag("gpu")
    @ParameterizedTest
    @ValueSource(strings = {"fused", "cudnn"})
    void theArithmeticOfTheStandInsIsAsFarOffAsThePageSays(String name) throws IOException {
        EngineProvider provider = AvailableEngines.assume(name);
        Assumptions.assumeTrue(StandIn.find().isPresent(), "the page has no figures of a GPU yet");
        for (Precision precision : LongSequences.precisions(provider)) {
            for (Case what : Case.all()) {
                if (what.timeSteps() <= LONGEST_ON_STAND_INS) {
                    assertDocumented(name, precision, what, STAND_IN_HEADROOM);
                }
            }
        }
    }
}
