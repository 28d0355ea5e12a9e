package carousel.layer;

import java.util.List;
import java.util.stream.Collectors;

/**
 * A model without its weights: what it reads and its layers in order.
 *
 * @param input what the first layer reads
 * @param layers one or more, each taking what the one before puts out
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
    }

    /** A model of these layers in order. */
    public static ModelSpec of(Form input, Layer... layers) {
        return new ModelSpec(input, List.of(layers));
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
