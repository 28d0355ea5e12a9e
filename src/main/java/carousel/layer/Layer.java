package carousel.layer;

import java.util.List;

/**
 * One layer of a model, as a description: what it computes and how its weights start. A {@link Model} binds it to an engine
 * and gives it parameters.
 */
public sealed interface Layer permits Lstm, Dense, Embedding, Dropout, Activation, Masking, TimeReversal, Residual {
    /** The layer's kind in lower case, the stem of its name in a model: {@code lstm}, {@code dense}, ... */
    String kind();

    /**
     * What the layer makes of this input.
     *
     * @throws IllegalArgumentException when the layer does not take it
     */
    Form output(Form input);

    /** The layers that compute, in order: this one, or those inside it at whatever depth. */
    default List<Layer> leaves() {
        return List.of(this);
    }

    /** One line for {@link Model#summary()}. */
    String summary();
}
