package carousel.layer;

/**
 * {@code y = x W^T + b}, at every time step where it is put on sequences.
 *
 * @param units {@code O}, numbers it puts out, 1 or more
 * @param bias whether there is a {@code b [O]}
 * @param weightsInitializer of {@code W [O, I]}
 * @param biasInitializer of {@code b}
 */
public record Dense(int units, boolean bias, Initializer weightsInitializer, Initializer biasInitializer)
        implements Layer {

    public Dense {
        if (units < 1) {
            throw new IllegalArgumentException("the units of a dense layer should be 1 or more but got " + units);
        }
    }

    /** With a bias that starts at zero and Glorot weights, as Keras has it. */
    public static Dense of(int units) {
        return new Dense(units, true, new Initializer.GlorotUniform(), new Initializer.Constant(0));
    }

    public Dense withInitializers(Initializer weights, Initializer biases) {
        return new Dense(units, bias, weights, biases);
    }

    @Override
    public String kind() {
        return "dense";
    }

    @Override
    public Form output(Form input) {
        if (input.kind() == Form.Kind.TOKENS) {
            throw new IllegalArgumentException(
                    "a dense layer reads numbers but got " + input + ": put an embedding before it");
        }
        return new Form(input.kind(), units);
    }

    @Override
    public String summary() {
        return "Dense(" + units + (bias ? ")" : ", no bias)");
    }
}
