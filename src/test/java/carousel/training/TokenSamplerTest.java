package carousel.training;

import static carousel.fixture.Refusals.assertRefused;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.engine.RandomSequence;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class TokenSamplerTest {
    /** Probabilities 0.1, 0.5, 0.15, 0.25. */
    private static final float[] LOGITS = {
        (float) Math.log(0.1), (float) Math.log(0.5), (float) Math.log(0.15), (float) Math.log(0.25)
    };

    private static final int DRAWS = 40_000;

    private static double[] shares(TokenSampler sampler) {
        RandomSequence random = new RandomSequence(3, 0, 0);
        double[] shares = new double[LOGITS.length];
        for (int k = 0; k < DRAWS; k++) {
            shares[sampler.sample(LOGITS, random)] += 1.0 / DRAWS;
        }
        return shares;
    }

    /** Five standard deviations of a share. */
    private static final double ALLOWED = 5 * 0.5 / Math.sqrt(DRAWS);

    @ParameterizedTest
    @CsvSource({
        // As they are; squared and scaled; the roots, scaled.
        "1, 0, 1, 0.1, 0.5, 0.15, 0.25",
        "0.5, 0, 1, 0.0289855, 0.7246377, 0.0652174, 0.1811594",
        "2, 0, 1, 0.1664, 0.3721, 0.2038, 0.2631",
        // The two, the three likeliest.
        "1, 2, 1, 0, 0.6666667, 0, 0.3333333",
        "1, 3, 1, 0, 0.5555556, 0.1666667, 0.2777778",
        "1, 9, 1, 0.1, 0.5, 0.15, 0.25",
        // 0.5 is enough; 0.5 and 0.25; all but the last.
        "1, 0, 0.5, 0, 1, 0, 0",
        "1, 0, 0.51, 0, 0.6666667, 0, 0.3333333",
        "1, 0, 0.76, 0, 0.5555556, 0.1666667, 0.2777778",
        // Of the three likeliest the first has 0.5556.
        "1, 3, 0.55, 0, 1, 0, 0",
        "1, 3, 0.57, 0, 0.6666667, 0, 0.3333333",
        // Always the likeliest.
        "0, 0, 1, 0, 1, 0, 0",
        "1e-9, 0, 1, 0, 1, 0, 0",
    })
    void tokensAreDrawnInTheirShares(
            double temperature, int topK, double topP, double a, double b, double c, double d) {
        assertArrayEquals(new double[] {a, b, c, d}, shares(new TokenSampler(temperature, topK, topP)), ALLOWED);
    }

    @Test
    void theFirstAmongEqualsIsTheLikeliest() {
        RandomSequence random = new RandomSequence(3, 0, 0);
        assertEquals(1, new TokenSampler(0, 0, 1).sample(new float[] {1, 4, 4, 2}, random));
        assertEquals(1, new TokenSampler(1, 1, 1).sample(new float[] {1, 4, 4, 2}, random));
    }

    @Test
    void hugeLogitsDoNotOverflow() {
        RandomSequence random = new RandomSequence(3, 0, 0);
        float[] logits = {3e38f, -3e38f, 3e38f};
        int[] counts = new int[3];
        for (int k = 0; k < 200; k++) {
            counts[new TokenSampler(1, 0, 1).sample(logits, random)]++;
        }
        assertEquals(0, counts[1]);
        assertTrue(counts[0] > 50 && counts[2] > 50, Arrays.toString(counts));
    }

    @Test
    void whatIsOutOfRangeIsRefused() {
        assertRefused(IllegalArgumentException.class, () -> new TokenSampler(-0.1, 0, 1), "got -0.1");
        assertRefused(IllegalArgumentException.class, () -> new TokenSampler(Double.NaN, 0, 1), "got NaN");
        assertRefused(IllegalArgumentException.class, () -> new TokenSampler(1, -1, 1), "got -1");
        assertRefused(IllegalArgumentException.class, () -> new TokenSampler(1, 0, 0), "(0, 1] range but got 0.0");
        assertRefused(IllegalArgumentException.class, () -> new TokenSampler(1, 0, 1.5), "got 1.5");
        RandomSequence random = new RandomSequence(3, 0, 0);
        assertRefused(
                IllegalArgumentException.class,
                () -> new TokenSampler(1, 0, 1).sample(new float[] {1, Float.NaN}, random),
                "one is NaN");
    }
}
