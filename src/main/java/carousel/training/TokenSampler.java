package carousel.training;

import carousel.engine.RandomSequence;
import java.util.Arrays;
import java.util.Comparator;
import java.util.stream.IntStream;

/**
 * Draws a token from what a model says of the next one: {@code p_k = exp(z_k / temperature) / sum_j exp(z_j / temperature)},
 * limited to the likeliest tokens.
 *
 * @param temperature below 1 for the likelier tokens, above 1 for more surprise; 0 always takes the likeliest, the first one
 *     among equals
 * @param topK only so many of the likeliest are drawn from; 0 for all
 * @param topP only the fewest of the likeliest that together have this probability are drawn from (nucleus sampling, Holtzman et
 *     al. 2020), in (0, 1]; of those that top-k has left
 */
public record TokenSampler(double temperature, int topK, double topP) {
    public TokenSampler {
        if (!(temperature >= 0) || Double.isInfinite(temperature)) {
            throw new IllegalArgumentException(
                    "the temperature should be 0 or a positive finite number but got " + temperature);
        }
        if (topK < 0) {
            throw new IllegalArgumentException("top-k should be 0 (all tokens) or more but got " + topK);
        }
        if (!(topP > 0 && topP <= 1)) {
            throw new IllegalArgumentException("top-p should be in the (0, 1] range but got " + topP);
        }
    }

    /**
     * @param logits {@code z}, one number a token
     * @return a token in [0, logits.length)
     * @throws IllegalArgumentException when a logit is not a number
     */
    public int sample(float[] logits, RandomSequence random) {
        int[] order = IntStream.range(0, logits.length)
                .boxed()
                .sorted(Comparator.comparingDouble((Integer k) -> -logits[k]))
                .mapToInt(Integer::intValue)
                .toArray();
        float largest = logits[order[0]];
        for (float logit : logits) {
            if (!Float.isFinite(logit)) {
                throw new IllegalArgumentException("the model's outputs should be finite numbers but one is " + logit
                        + ": its weights are damaged");
            }
        }
        if (temperature == 0) {
            return order[0];
        }
        int kept = topK == 0 ? order.length : Math.min(topK, order.length);
        double[] weights = new double[kept];
        for (int k = 0; k < kept; k++) {
            weights[k] = Math.exp((logits[order[k]] - largest) / temperature);
        }
        double sum = Arrays.stream(weights).sum();
        double nucleus = 0;
        for (int k = 0; k < kept; k++) {
            nucleus += weights[k];
            if (nucleus >= topP * sum) {
                kept = k + 1;
                sum = nucleus;
            }
        }
        double drawn = random.nextDouble() * sum;
        for (int k = 0; k < kept - 1; k++) {
            drawn -= weights[k];
            if (drawn < 0) {
                return order[k];
            }
        }
        return order[kept - 1];
    }
}
