package carousel.layer;

import static carousel.fixture.Refusals.assertRefused;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.engine.Direction;
import carousel.engine.Engine;
import carousel.engine.Engines;
import carousel.engine.Gate;
import carousel.engine.LstmSpec;
import carousel.engine.ParameterView;
import carousel.engine.RandomSequence;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.stream.DoubleStream;
import java.util.zip.CRC32;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Seeds are fixed, so what is said about moments are facts and not chances. */
class InitializerTest {
    /** One of each, in a model with every kind of parameter. */
    private static final ModelSpec EVERYTHING = ModelSpec.of(
            Form.tokens(13),
            Embedding.of(5),
            Lstm.of(LstmSpec.of(1, 8)
                            .withLayers(2)
                            .withDirection(Direction.BIDIRECTIONAL)
                            .withProjectionSize(3))
                    .withReturnSequences(true),
            Lstm.of(4).withInitializers(new Initializer.Uniform(-0.5, 0.25), new Initializer.Normal(0.1, 0.2), 1.5),
            Dense.of(6).withInitializers(new Initializer.Normal(0, 1), new Initializer.Constant(-0.75)),
            Dense.of(2));

    /** {@code b_f = log(u)}, u uniform up to T - 1, and {@code b_i = -b_f}: memories as long as that and shorter. */
    @Test
    void chronoBiasesHoldMemoriesOfAllLengths() {
        int hidden = 4_000;
        try (Engine engine = Engines.open("reference");
                Model model = Model.create(
                        engine,
                        ModelSpec.of(
                                Form.sequence(1),
                                Lstm.of(LstmSpec.of(1, hidden).withProjectionSize(1))
                                        .withReturnSequences(true)
                                        .withChronoSteps(101)),
                        3)) {
            double[] parameters = model.readParameters();
            ParameterView bias = model.views().stream()
                    .filter(view -> view.name().endsWith("bias_l0"))
                    .findFirst()
                    .orElseThrow();
            int first = (int) bias.offset();
            double[] lengths = new double[hidden];
            for (int j = 0; j < hidden; j++) {
                double forget = parameters[first + Gate.FORGET.firstRow(hidden) + j];
                assertEquals(-forget, parameters[first + Gate.INPUT.firstRow(hidden) + j]);
                assertEquals(0, parameters[first + Gate.CANDIDATE.firstRow(hidden) + j]);
                assertEquals(0, parameters[first + Gate.OUTPUT.firstRow(hidden) + j]);
                lengths[j] = Math.exp(forget);
            }
            Arrays.sort(lengths);
            assertTrue(lengths[0] >= 1 && lengths[hidden - 1] < 100, lengths[0] + " to " + lengths[hidden - 1]);
            assertEquals(25.75, lengths[hidden / 4], 2.5);
            assertEquals(50.5, lengths[hidden / 2], 2.5);
            assertEquals(75.25, lengths[3 * hidden / 4], 2.5);
        }
        assertRefused(IllegalArgumentException.class, () -> Lstm.of(3).withChronoSteps(1.5), "2 or more", "1.5");
        assertRefused(
                IllegalArgumentException.class,
                () -> Lstm.of(LstmSpec.of(1, 3).withBias(false)).withChronoSteps(9),
                "biases");
    }

    private static double[] fill(Initializer initializer, int outputs, int inputs) {
        double[] values = new double[outputs * inputs];
        Arrays.fill(values, Double.NaN);
        initializer.fill(values, outputs, inputs, new RandomSequence(21, 0, 0));
        return values;
    }

    private static double mean(double[] values) {
        return Arrays.stream(values).average().orElseThrow();
    }

    private static double deviation(double[] values) {
        double mean = mean(values);
        return Math.sqrt(Arrays.stream(values)
                .map(value -> (value - mean) * (value - mean))
                .average()
                .orElseThrow());
    }

    private static void assertRange(double low, double high, double[] values) {
        double width = high - low;
        double least = Arrays.stream(values).min().orElseThrow();
        double most = Arrays.stream(values).max().orElseThrow();
        assertTrue(least >= low && most < high, () -> least + " to " + most + " leaves the range");
        assertTrue(least < low + 0.01 * width && most > high - 0.01 * width, "the range is used to its ends");
        assertEquals((low + high) / 2, mean(values), 0.02 * width);
        assertEquals(width / Math.sqrt(12), deviation(values), 0.02 * width);
    }

    @Test
    void constantsAreConstant() {
        assertTrue(Arrays.stream(fill(new Initializer.Constant(2.5), 3, 4)).allMatch(value -> value == 2.5));
    }

    @Test
    void uniformNumbersFillTheirRange() {
        assertRange(-1, 3, fill(new Initializer.Uniform(-1, 3), 100, 40));
        assertTrue(Arrays.stream(fill(new Initializer.Uniform(2, 2), 3, 4)).allMatch(value -> value == 2));
    }

    @Test
    void normalNumbersHaveTheirMoments() {
        double[] values = fill(new Initializer.Normal(5, 0.5), 200, 50);
        assertEquals(5, mean(values), 0.015);
        assertEquals(0.5, deviation(values), 0.015);
        double within =
                Arrays.stream(values).filter(value -> Math.abs(value - 5) < 0.5).count() / (double) values.length;
        assertEquals(0.6827, within, 0.015);
        assertTrue(Arrays.stream(fill(new Initializer.Normal(2, 0), 3, 4)).allMatch(value -> value == 2));
    }

    @ParameterizedTest
    @CsvSource({"100, 40", "40, 100", "5000, 1"})
    void glorotNumbersFillTheRangeOfTheirSizes(int outputs, int inputs) {
        double limit = Math.sqrt(6.0 / (outputs + inputs));
        assertRange(-limit, limit, fill(new Initializer.GlorotUniform(), outputs, inputs));
    }

    @ParameterizedTest
    @CsvSource({"1, 1", "7, 7", "64, 16", "16, 64", "5, 1", "1, 5", "130, 129"})
    void orthogonalMatricesHaveOrthonormalColumnsOrRows(int outputs, int inputs) {
        double[] values = fill(new Initializer.Orthogonal(), outputs, inputs);
        boolean tall = outputs >= inputs;
        int vectors = Math.min(outputs, inputs);
        int length = Math.max(outputs, inputs);
        for (int v = 0; v < vectors; v++) {
            for (int u = 0; u <= v; u++) {
                double dot = 0;
                for (int k = 0; k < length; k++) {
                    dot += tall
                            ? values[k * inputs + u] * values[k * inputs + v]
                            : values[u * inputs + k] * values[v * inputs + k];
                }
                assertEquals(u == v ? 1 : 0, dot, 1e-12, u + " times " + v);
            }
        }
    }

    @Test
    void recipesThatMakeNoNumbersAreRefused() {
        for (double value : new double[] {Double.NaN, Double.POSITIVE_INFINITY}) {
            assertRefused(
                    IllegalArgumentException.class, () -> new Initializer.Constant(value), "finite", "got " + value);
            assertRefused(
                    IllegalArgumentException.class, () -> new Initializer.Normal(value, 1), "finite", "got " + value);
            assertRefused(
                    IllegalArgumentException.class, () -> new Initializer.Normal(0, value), "finite", "got " + value);
            assertRefused(
                    IllegalArgumentException.class, () -> new Initializer.Uniform(0, value), "finite", "got [0.0");
            assertRefused(IllegalArgumentException.class, () -> new Initializer.Uniform(-value, 0), "finite", "0.0)");
        }
        assertRefused(IllegalArgumentException.class, () -> new Initializer.Normal(0, -1), "0 or", "got -1.0");
        assertRefused(IllegalArgumentException.class, () -> new Initializer.Uniform(1, 0), "not empty", "[1.0, 0.0)");
        assertRefused(
                IllegalArgumentException.class, () -> new Initializer.Uniform(-1.7e308, 1.7e308), "finite", "1.7E308");
    }

    @Test
    void theForgetBiasIsInTheForgetBlocksOnly() {
        LstmSpec lstm = LstmSpec.of(1, 5).withLayers(2).withDirection(Direction.BIDIRECTIONAL);
        ModelSpec spec = ModelSpec.of(
                Form.sequence(3),
                Lstm.of(lstm).withInitializers(new Initializer.Constant(0.1), new Initializer.Constant(0.2), 2.5));
        try (Engine engine = Engines.open("reference");
                Model model = Model.create(engine, spec, 1)) {
            double[] parameters = model.readParameters();
            double[] expected = new double[parameters.length];
            int biases = 0;
            for (ParameterView view : model.views()) {
                int first = (int) view.offset();
                if (view.name().contains(".bias")) {
                    int forget = first + Gate.FORGET.firstRow(5);
                    assertEquals(first + 5, forget, "the second block of i, f, g, o");
                    Arrays.fill(expected, forget, forget + 5, 2.5);
                    biases++;
                } else {
                    Arrays.fill(expected, first, (int) view.end(), view.name().contains("_ih_") ? 0.1 : 0.2);
                }
            }
            assertEquals(4, biases);
            // Gaps included: they hold zeros.
            assertArrayEquals(expected, parameters);
        }
    }

    @Test
    void everyEngineStartsFromTheSameWeights() {
        double[] truth = weights("reference", 42);
        double[] rounded = DoubleStream.of(truth).map(value -> (float) value).toArray();
        assertArrayEquals(rounded, weights("vector", 42));
        assertArrayEquals(truth, weights("reference", 42));
        assertTrue(Arrays.stream(truth).anyMatch(value -> value != (float) value), "rounding is seen");
    }

    @Test
    void seedsAndLayersDifferInTheirWeights() {
        double[] one = weights("reference", 1);
        double[] other = weights("reference", 2);
        double[] high = weights("reference", 1L << 32);
        assertNotEquals(checksum(one), checksum(other));
        assertNotEquals(checksum(one), checksum(high));
        ModelSpec twins = ModelSpec.of(Form.vector(6), Dense.of(6), Dense.of(6));
        try (Engine engine = Engines.open("reference");
                Model model = Model.create(engine, twins, 1)) {
            double[] parameters = model.readParameters();
            ParameterView first = model.views().get(0);
            ParameterView second = model.views().get(2);
            for (int e = 0; e < 36; e++) {
                assertNotEquals(parameters[(int) first.offset() + e], parameters[(int) second.offset() + e]);
            }
        }
    }

    /** Written down once: a seed means the same weights in every version and on every machine, to the last bit. */
    @Test
    void aSeedMeansTheseBits() {
        assertBits("bfb26d6f39852f50 3fddfecfb2e1db10", fill(new Initializer.Uniform(-1, 1), 2, 1));
        assertBits("bfd0c8f6f8ea5e23 3ffb52641c27ef60", fill(new Initializer.Normal(0, 1), 2, 1));
        assertBits("bfba0f75b60cdb80 3fe535bd53aeac7e", fill(new Initializer.GlorotUniform(), 2, 1));
        assertBits("bfc36e61a62d9571 3fefa10ea1be1f64", fill(new Initializer.Orthogonal(), 2, 1));
        assertEquals(464913083L, checksum(weights("reference", 42)));
    }

    private static void assertBits(String expected, double[] values) {
        HexFormat hex = HexFormat.of();
        assertEquals(
                expected,
                hex.toHexDigits(Double.doubleToRawLongBits(values[0])) + " "
                        + hex.toHexDigits(Double.doubleToRawLongBits(values[1])));
    }

    private static double[] weights(String name, long seed) {
        try (Engine engine = Engines.open(name);
                Model model = Model.create(engine, EVERYTHING, seed)) {
            return model.readParameters();
        }
    }

    private static long checksum(double[] values) {
        ByteBuffer bytes = ByteBuffer.allocate(values.length * Double.BYTES);
        bytes.asDoubleBuffer().put(values);
        CRC32 crc = new CRC32();
        crc.update(bytes.array());
        return crc.getValue();
    }
}
