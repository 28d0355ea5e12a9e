package carousel.layer;

import carousel.engine.ActivationFunction;

/**
 * A function without parameters on what the layer before puts out, at every time step where it is put on sequences. A model that
 * is trained with a cross-entropy ends without one: the loss applies its softmax or sigmoid by itself.
 *
 * @param function what it computes
 */
public record Activation(ActivationFunction function) implements Layer {
    public Activation {
        if (function == null) {
            throw new IllegalArgumentException(
                    "the function of an activation is missing: choose relu, sigmoid, tanh or softmax");
        }
    }

    @Override
    public String kind() {
        return "activation";
    }

    @Override
    public Form output(Form input) {
        if (input.kind() == Form.Kind.TOKENS) {
            throw new IllegalArgumentException(
                    "an activation reads numbers but got " + input + ": put an embedding before it");
        }
        return input;
    }

    @Override
    public String summary() {
        return "Activation(" + function.word() + ")";
    }
}
