package carousel.layer;

import java.util.List;
import java.util.stream.Collectors;

/**
 * Adds what some layers put out to what they read, {@code y = x + f(x)}, so that they need to learn only what is to be changed and
 * gradients pass beside them (He et al. 2016; between LSTM layers Wu et al. 2016).
 *
 * @param layers {@code f}, one or more in order, which put out as many numbers as they read, at each step if they read sequences;
 *     they may hold residual connections themselves but leave no steps out
 */
public record Residual(List<Layer> layers) implements Layer {
    /** What a file's description of a model may nest is limited too. */
    private static final int DEEPEST = 4;

    public Residual {
        layers = List.copyOf(layers);
        if (layers.isEmpty()) {
            throw new IllegalArgumentException(
                    "a residual connection should be around one or more layers but got none");
        }
        for (Layer layer : layers) {
            if (layer instanceof Embedding || layer instanceof Masking) {
                throw new IllegalArgumentException(
                        "a residual connection should be around layers that read and put out the"
                                + " same steps but got " + layer.summary() + ": put that before it");
            }
        }
        int depth = depth(layers);
        if (depth > DEEPEST) {
            throw new IllegalArgumentException("residual connections should be at most " + DEEPEST
                    + " deep inside each other but got " + depth + ": put them one after the other");
        }
    }

    private static int depth(List<Layer> layers) {
        int deepest = 0;
        for (Layer layer : layers) {
            deepest = layer instanceof Residual inner ? Math.max(deepest, depth(inner.layers)) : deepest;
        }
        return 1 + deepest;
    }

    /** Around these layers in order. */
    public static Residual of(Layer... layers) {
        return new Residual(List.of(layers));
    }

    @Override
    public String kind() {
        return "residual";
    }

    @Override
    public Form output(Form input) {
        if (input.kind() == Form.Kind.TOKENS) {
            throw new IllegalArgumentException(
                    "a residual connection reads numbers but got " + input + ": put an embedding before it");
        }
        Form output = input;
        for (Layer layer : layers) {
            output = layer.output(output);
        }
        if (!output.equals(input)) {
            throw new IllegalArgumentException("the layers inside a residual connection should put out " + input
                    + " as they read but put out " + output + ": "
                    + (output.kind() == input.kind()
                            ? "let the last of them have the width " + input.features()
                            : "let their LSTM return sequences"));
        }
        return output;
    }

    @Override
    public List<Layer> leaves() {
        return layers.stream().flatMap(layer -> layer.leaves().stream()).toList();
    }

    @Override
    public String summary() {
        return layers.stream().map(Layer::summary).collect(Collectors.joining(" -> ", "Residual(", ")"));
    }
}
