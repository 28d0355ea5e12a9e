package carousel.layer;

import carousel.engine.Engine;
import carousel.engine.LstmState;
import carousel.engine.LstmTape;
import carousel.engine.RandomKey;
import carousel.tensor.Scope;
import carousel.tensor.Shape;
import carousel.tensor.Tensor;

/**
 * One batch on its way through a model: where its activations live and what the layers keep for the way back. Its tensors die
 * with the scope.
 */
public final class Pass {
    private final Engine engine;
    private final Scope scope;
    private final Tensor input;
    private final int[] lengths;
    private final RandomKey random;
    private final boolean recorded;
    private Tensor[] inputs;
    private Tensor[] results;
    private LstmTape[] tapes;
    private Tensor output;
    private StepMask mask;
    private ModelState state;
    /** Whether no sequence goes on from a state. */
    private boolean fresh = true;

    private Pass source;
    private boolean keepsStates;
    private LstmState[] starts;
    private LstmState[] startGradients;
    private LstmState[] ends;
    private LstmState[] endGradients;
    private Tensor shownStartGradient;

    private Pass(Engine engine, Scope scope, Tensor input, int[] lengths, RandomKey random, boolean recorded) {
        this.engine = engine;
        this.scope = scope;
        this.input = input;
        this.lengths = lengths;
        this.random = random;
        this.recorded = recorded;
    }

    /**
     * A pass that will go back: layers save what that needs, and dropout acts.
     *
     * @param input {@code [T, N, C]}, or tokens {@code [T, N]}
     * @param lengths valid steps of each sequence, or null for all
     * @param seed the run's seed
     * @param step the number of the training step, which names the random numbers of this pass
     */
    public static Pass training(Engine engine, Scope scope, Tensor input, int[] lengths, long seed, long step) {
        return new Pass(engine, scope, input, lengths, new RandomKey(seed, 0, step), true);
    }

    /** A pass forward only: nothing is saved and nothing dropped. */
    public static Pass inference(Engine engine, Scope scope, Tensor input, int[] lengths) {
        return new Pass(engine, scope, input, lengths, null, false);
    }

    /**
     * Lets the LSTM layers start from a state, instead of zeros or what they have learned, and leave in it what they end with.
     *
     * @param value of this model and as many sequences
     */
    public Pass carrying(ModelState value) {
        if (value != null && value.batchSize() != batchSize()) {
            throw new IllegalArgumentException("the carried state is of " + value.batchSize()
                    + " sequences but the pass has " + batchSize() + ": give batches of one size");
        }
        state = value;
        fresh = value == null || value.isFresh();
        return this;
    }

    /**
     * Lets the encoder of an encoder-decoder model read this.
     *
     * @param value {@code [T', N, C']}, or tokens {@code [T', N]}, of as many sequences
     * @param valid valid steps of each source sequence, or null for all
     */
    public Pass reading(Tensor value, int[] valid) {
        source = new Pass(engine, scope, value, valid, random, recorded);
        if (source.batchSize() != batchSize()) {
            throw new IllegalArgumentException("the source should be of as many sequences as the decoder's input, "
                    + batchSize() + ", but is of " + source.batchSize());
        }
        return this;
    }

    /**
     * Keeps, of each LSTM layer, the state it ends with and, on the way back, the gradient of the state it starts from: see {@link
     * #lastState} and {@link #initialGradient}.
     */
    public Pass keepingStates() {
        keepsStates = true;
        return this;
    }

    /**
     * The state that an LSTM layer ended with: at the true end of each sequence, or at its first step for a cell that reads in
     * reverse.
     *
     * @param layer the layer's place in the model, counted from 0; the encoder's layers before the decoder's
     * @throws IllegalStateException when the pass does not {@link #keepingStates() keep states} or has not gone forward
     * @throws IllegalArgumentException when the layer is no LSTM
     */
    public LayerState lastState(int layer) {
        Pass pass = passOf(layer, "a forward pass");
        return kept(layer, pass.ends);
    }

    /**
     * The gradient of the loss with respect to the state that an LSTM layer started from, be it carried, learned, or the encoder's;
     * null for a layer that started from zeros which nobody gave it.
     *
     * @param layer as in {@link #lastState}
     * @throws IllegalStateException when the pass does not {@link #keepingStates() keep states} or has not gone back
     * @throws IllegalArgumentException when the layer is no LSTM
     */
    public LayerState initialGradient(int layer) {
        Pass pass = passOf(layer, "a forward and a backward pass");
        if (!recorded || output != null) {
            throw new IllegalStateException(
                    "the gradient of an initial state is there after a backward pass but there was" + " none");
        }
        kept(layer, pass.ends);
        LstmState gradient = pass.startGradients[layer];
        return gradient == null ? null : LayerState.read(engine, gradient);
    }

    private Pass passOf(int layer, String passes) {
        if (!keepsStates || starts == null) {
            throw new IllegalStateException(
                    "states are there after " + passes + " that keeps them: call keepingStates() before it");
        }
        return source != null && layer >= 0 && layer < source.ends.length && source.ends[layer] != null ? source : this;
    }

    private LayerState kept(int layer, LstmState[] states) {
        if (layer < 0 || layer >= states.length || states[layer] == null) {
            throw new IllegalArgumentException(
                    "layer " + layer + " of the model has no state: name an LSTM layer, in the" + " [0, "
                            + (states.length - 1) + "] range");
        }
        return LayerState.read(engine, states[layer]);
    }

    public Tensor input() {
        return input;
    }

    /** Valid steps of each sequence, or null for all; behind a layer that masks steps, how many it left. */
    public int[] lengths() {
        return mask == null ? lengths : mask.lengths();
    }

    /** The steps that a layer left out, or null. */
    StepMask mask() {
        return mask;
    }

    /** From here on only the steps that count are there: {@code counts [T N]}. */
    StepMask mask(boolean[] counts) {
        mask = new StepMask(counts, batchSize(), lengths);
        return mask;
    }

    /**
     * Moves the outputs back to the steps they belong to, where steps were left out.
     *
     * @param layer the LSTM whose outputs they are, where a step left out shows the output before it; -1 where it shows zeros
     */
    Tensor unmask(Tensor y, int layer) {
        if (mask == null) {
            return y;
        }
        Tensor before = null;
        if (layer >= 0 && starts[layer] != null) {
            Tensor h = starts[layer].h();
            int width = h.shape().extent(2);
            long top = h.elements() - (long) batchSize() * width;
            before = h.view(h.name(), top, Shape.of(batchSize(), width));
        }
        return mask.apart(this, y, layer >= 0, before, lengths);
    }

    Engine engine() {
        return engine;
    }

    Scope scope() {
        return scope;
    }

    boolean recorded() {
        return recorded;
    }

    int batchSize() {
        return input.shape().extent(1);
    }

    /** What the LSTM layers start from and where they leave their state; null for zeros. */
    ModelState state() {
        return state;
    }

    void prepare(int layers) {
        inputs = new Tensor[layers];
        results = new Tensor[layers];
        tapes = new LstmTape[layers];
        starts = new LstmState[layers];
        startGradients = new LstmState[layers];
        ends = new LstmState[layers];
        endGradients = new LstmState[layers];
        output = null;
        mask = null;
    }

    /** What the encoder reads, on a way of its own through layers numbered with these; null for none. */
    Pass source() {
        return source;
    }

    /** Whether no sequence goes on from a state: all of them are at their beginning. */
    boolean fresh() {
        return fresh;
    }

    boolean keepsStates() {
        return keepsStates;
    }

    /** What a layer starts from, the encoder's state or what the layer itself has chosen; null for zeros. */
    void keepStart(int layer, LstmState start) {
        starts[layer] = start;
    }

    LstmState start(int layer) {
        return starts[layer];
    }

    void keepStartGradient(int layer, LstmState gradient) {
        startGradients[layer] = gradient;
    }

    LstmState startGradient(int layer) {
        return startGradients[layer];
    }

    void keepEnd(int layer, LstmState end) {
        ends[layer] = end;
    }

    LstmState end(int layer) {
        return ends[layer];
    }

    /** What comes back to the state that a layer ended with; null for nothing. */
    void keepEndGradient(int layer, LstmState gradient) {
        endGradients[layer] = gradient;
    }

    LstmState endGradient(int layer) {
        return endGradients[layer];
    }

    /** The part of the gradient of the initial h that comes from masked steps which show it, {@code [N, P]}; for one layer. */
    void keepShownStartGradient(Tensor gradient) {
        shownStartGradient = gradient;
    }

    Tensor takeShownStartGradient() {
        Tensor taken = shownStartGradient;
        shownStartGradient = null;
        return taken;
    }

    void keepOutput(Tensor tensor) {
        output = tensor;
    }

    /** What the forward pass ended with, for one backward pass. */
    Tensor takeOutput() {
        if (!recorded || output == null) {
            throw new IllegalStateException(
                    "a backward pass needs a forward pass for training before it: each forward pass serves one");
        }
        Tensor taken = output;
        output = null;
        return taken;
    }

    /** The random numbers of one layer in this pass, or null in inference. */
    RandomKey random(int layer) {
        // 1024 sub-streams a layer: one for each layer of a stack.
        return random == null ? null : random.substream((layer + 1) << 10);
    }

    void keepInput(int layer, Tensor tensor) {
        inputs[layer] = tensor;
    }

    Tensor input(int layer) {
        return inputs[layer];
    }

    /** For a layer whose way back starts from what it put out. */
    void keepResult(int layer, Tensor tensor) {
        results[layer] = tensor;
    }

    Tensor result(int layer) {
        return results[layer];
    }

    void keepTape(int layer, LstmTape tape) {
        tapes[layer] = tape;
    }

    LstmTape tape(int layer) {
        return tapes[layer];
    }
}
