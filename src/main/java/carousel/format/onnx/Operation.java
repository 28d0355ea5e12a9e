package carousel.format.onnx;

/** What a node does, with its attributes taken in. */
@FunctionalInterface
interface Operation {
    /** Inputs are handed over with at least this many places; those that are left out are null. */
    int PLACES = 8;

    /**
     * Computes the outputs.
     *
     * @return one value for each output that the operator can have, or for as many as the node names
     * @throws IllegalArgumentException when the inputs do not fit; the message continues "the node 'x' (Add) "
     */
    OnnxValue[] run(Run run, OnnxValue[] inputs);

    /**
     * Complains about inputs that are known before the graph runs; the others are null here.
     *
     * @throws IllegalArgumentException as {@link #run}
     */
    default void check(OnnxValue[] constants) {
        // Most operators need all inputs to say anything.
    }
}
