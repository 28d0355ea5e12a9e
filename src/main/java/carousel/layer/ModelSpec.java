package carousel.layer;

import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * A model without its weights: what it reads and its layers in order.
 *
 * @param input what the first layer reads
 * @param layers one or more, each taking what the one before puts out; one at most masks steps, with an LSTM after it
 */
public record ModelSpec(Form input, List<Layer> layers) {
    public ModelSpec {
        layers = List.copyOf(layers);
        if (layers.isEmpty()) {
            throw new IllegalArgumentException("a model needs one or more layers but got none");
        }
        Form form = input;
        for (Layer layer : layers) {
            form = layer.output(form);
        }
        requireOneUsefulMask(layers);
    }

    private static void requireOneUsefulMask(List<Layer> layers) {
        boolean masked = false;
        boolean useless = false;
        for (Layer layer : layers) {
            if (masks(layer)) {
                if (masked) {
                    throw new IllegalArgumentException(
                            "a model should mask steps in one layer but got two, the second " + layer.summary());
                }
                masked = true;
                useless = true;
            }
            useless &= layer.leaves().stream().noneMatch(Lstm.class::isInstance);
        }
        if (useless) {
            throw new IllegalArgumentException(
                    "masked steps are left out by an LSTM but there is none after the layer that masks: put one there or"
                            + " take the mask out");
        }
    }

    private static boolean masks(Layer layer) {
        return layer instanceof Masking || layer instanceof Embedding embedding && embedding.maskZero();
    }

    /** A model of these layers in order. */
    public static ModelSpec of(Form input, Layer... layers) {
        return new ModelSpec(input, List.of(layers));
    }

    /** This model with more layers behind its last. */
    public ModelSpec then(Layer... more) {
        return new ModelSpec(
                input, Stream.concat(layers.stream(), Stream.of(more)).toList());
    }

    /** What the last layer puts out. */
    public Form output() {
        Form form = input;
        for (Layer layer : layers) {
            form = layer.output(form);
        }
        return form;
    }

    /** For instance {@code (time, batch, 28) -> LSTM(128) -> Dense(10)}. */
    @Override
    public String toString() {
        return input + layers.stream().map(layer -> " -> " + layer.summary()).collect(Collectors.joining());
    }
}
