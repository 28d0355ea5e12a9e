package carousel.layer;

import carousel.engine.Engine;
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
     * Lets the LSTM layers start from a state instead of zeros and leave in it what they end with.
     *
     * @param value of this model and as many sequences
     */
    public Pass carrying(ModelState value) {
        if (value != null && value.batchSize() != batchSize()) {
            throw new IllegalArgumentException("the carried state is of " + value.batchSize()
                    + " sequences but the pass has " + batchSize() + ": give batches of one size");
        }
        state = value;
        return this;
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
        if (layer >= 0 && state != null) {
            Tensor h = state.before(layer).h();
            int width = h.shape().extent(2);
            long top = h.elements() - (long) batchSize() * width;
            before = h.view(h.name(), top, Shape.of(batchSize(), width));
        }
        return mask.apart(this, y, layer >= 0, before, lengths);
    }

    /** The tangent of {@link #unmask}: what came before the first step does not change. */
    Tensor unmaskTangent(Tensor y, int layer) {
        if (mask == null) {
            return y;
        }
        Tensor before = null;
        if (layer >= 0 && state != null) {
            before = scope.allocate("no change", batchSize(), y.shape().extent(2));
            engine.fill(before, 0);
        }
        return mask.apart(this, y, layer >= 0, before, lengths);
    }

    /** The same pass with all that a way back needs, whether or not this one has it: the function is the same. */
    Pass withRecord() {
        return new Pass(engine, scope, input, lengths, random, true).carrying(state);
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
        output = null;
        mask = null;
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
