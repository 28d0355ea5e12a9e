package carousel.engine;

import carousel.tensor.Scope;
import carousel.tensor.Tensor;

/**
 * What a forward pass saves for the backward pass. Opaque: what is in it is the engine's business. A tape is opened for one
 * specification and one size, may be used again and again, and serves one backward pass for each forward pass.
 *
 * <p>The tensors that the forward pass was given must be unchanged and alive until the backward pass is over.
 */
public abstract class LstmTape {
    private final LstmSpec spec;
    private final Scope scope;
    private final int timeSteps;
    private final int batchSize;
    private Tensor parameters;
    private LstmInput input;
    private LstmOutput output;
    private boolean recorded;

    /** For engines. The scope is the one whose tensors the tape holds. */
    protected LstmTape(LstmSpec spec, Scope scope, int timeSteps, int batchSize) {
        if (timeSteps < 1 || batchSize < 1) {
            throw new IllegalArgumentException("a tape needs 1 or more time steps and a batch of 1 or more but got "
                    + timeSteps + " and " + batchSize);
        }
        this.spec = spec;
        this.scope = scope;
        this.timeSteps = timeSteps;
        this.batchSize = batchSize;
    }

    public final LstmSpec spec() {
        return spec;
    }

    public final int timeSteps() {
        return timeSteps;
    }

    public final int batchSize() {
        return batchSize;
    }

    /** For engines, at the end of a forward pass. */
    public final void record(Tensor parameters, LstmInput input, LstmOutput output) {
        this.parameters = parameters;
        this.input = input;
        this.output = output;
        this.recorded = true;
    }

    /** For engines, at the start of a backward pass: throws where there is nothing to go back through. */
    public final void consume() {
        if (scope.isClosed()) {
            throw new IllegalStateException("a tape was used after its scope '" + scope.name() + "' was closed");
        }
        if (!recorded) {
            throw new IllegalStateException(
                    "a backward pass needs a forward pass with the same tape before it: each forward pass serves one");
        }
        recorded = false;
    }

    public final Tensor parameters() {
        return parameters;
    }

    public final LstmInput input() {
        return input;
    }

    public final LstmOutput output() {
        return output;
    }
}
