package carousel.layer;

import carousel.engine.Engine;
import carousel.engine.LstmState;
import carousel.engine.LstmTape;
import carousel.engine.RandomKey;
import carousel.tensor.Scope;
import carousel.tensor.Shape;
import carousel.tensor.Tensor;
import java.util.function.Supplier;

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
    private boolean[] counts;
    private boolean[] resets;
    private ModelState state;
    /** Whether a layer reads lengths: otherwise no step is left out and none starts anew. */
    private boolean stepsMatter;
    /** How the steps are laid out that the pass was given; null where as they were. */
    private Segments arranged;
    /** How those are laid out that a layer in the midst has left; null where it has left all, or there is none. */
    private Segments left;

    private LstmState[] starts;

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

    /**
     * Leaves steps out wherever they are, as {@link Masking} does, but by what is known of them and not by their values.
     *
     * @param value {@code [T N]}, whether step t of sequence n counts at {@code t * N + n}; null where all do
     */
    public Pass withMask(boolean[] value) {
        counts = eachStep("mask", value);
        return this;
    }

    /**
     * Lets sequences start anew in their midst: with such a step begins another one, whose LSTM layers know nothing of what was read
     * before, be it in this pass or in one whose state is carried. Answers, loss and gradients are those of separate sequences.
     *
     * @param value {@code [T N]}, whether sequence n starts anew with step t at {@code t * N + n}; null where none does
     */
    public Pass withResets(boolean[] value) {
        resets = eachStep("resets", value);
        return this;
    }

    /** Whether something is said of single steps. */
    boolean marked() {
        return counts != null || resets != null;
    }

    private boolean[] eachStep(String what, boolean[] value) {
        if (value == null) {
            return null;
        }
        int steps = input.shape().extent(0) * input.shape().extent(1);
        if (value.length != steps) {
            throw new IllegalArgumentException("the " + what + " should say something of each of the " + steps
                    + " steps of " + input + " but have " + value.length + " values");
        }
        return value.clone();
    }

    public Tensor input() {
        return input;
    }

    /**
     * Which steps of the input count for a loss at every step: those before the ends of their sequences that nothing leaves out.
     * Known when the pass has gone through the model.
     *
     * @return {@code [T N]}, or null where all count
     */
    public boolean[] countedSteps() {
        boolean[] inner = left == null ? null : left.counted(null);
        if (arranged != null) {
            return arranged.counted(inner);
        }
        if (inner != null || counts == null && lengths == null) {
            return inner;
        }
        return new Segments(counts, null, input.shape().extent(0), input.shape().extent(1), lengths).counted(null);
    }

    /** Valid steps of each sequence, or null for all; behind a layer that masks steps, how many it left. */
    public int[] lengths() {
        return left != null ? left.lengths() : arranged != null ? arranged.lengths() : lengths;
    }

    /**
     * Lays out the steps that the pass was given as engines can read them: {@code [T, N, C]} as {@code [T', M, C]}.
     *
     * @param more {@code [T N]}: which steps count by what the first layer says; null where all do
     */
    Tensor arrange(Tensor x, boolean[] more) {
        boolean[] counted = more == null ? counts : more.clone();
        for (int step = 0; more != null && counts != null && step < counted.length; step++) {
            counted[step] &= counts[step];
        }
        if (!stepsMatter || counted == null && resets == null) {
            return x;
        }
        arranged = new Segments(counted, resets, x.shape().extent(0), x.shape().extent(1), lengths);
        return arranged.together(this, x);
    }

    /** The gradient of x in {@link #arrange}. */
    Tensor arrangeBackward(Tensor dy) {
        return arranged == null ? dy : arranged.togetherBackward(this, dy);
    }

    /**
     * Leaves steps out of those that there still are, {@code [T', M, C]}.
     *
     * @param counted {@code [T' M]}: which of them count
     */
    Tensor leaveOut(Tensor x, boolean[] counted) {
        left = new Segments(counted, null, x.shape().extent(0), x.shape().extent(1), lengths());
        return left.together(this, x);
    }

    /** The gradient of x in {@link #leaveOut}. */
    Tensor leaveOutBackward(Tensor dy) {
        return left.togetherBackward(this, dy);
    }

    /**
     * Moves the outputs of the last layer that reads lengths back to the steps and sequences they belong to.
     *
     * @param layer the LSTM whose outputs they are, where a step left out shows the output before it; -1 where it shows zeros
     */
    Tensor rearrange(Tensor y, int layer) {
        if (y.shape().rank() == 2) {
            return arranged == null ? y : arranged.lastOf(this, y);
        }
        Tensor before = layer < 0 ? null : shownBefore(layer);
        Tensor moved = left == null ? y : left.apart(this, y, layer >= 0, before);
        return arranged == null ? moved : arranged.apart(this, moved, layer >= 0, before);
    }

    /** The gradient of y in {@link #rearrange}; there is none of what came before. */
    Tensor rearrangeBackward(Tensor dy) {
        if (dy.shape().rank() == 2) {
            return arranged == null ? dy : arranged.lastOfBackward(this, dy);
        }
        Tensor moved = arranged == null ? dy : arranged.apartBackward(this, dy);
        return left == null ? moved : left.apartBackward(this, moved);
    }

    /** What the top of an LSTM showed before its first step, {@code [M, P]}; null for zeros. */
    private Tensor shownBefore(int layer) {
        if (starts[layer] == null) {
            return null;
        }
        Tensor h = starts[layer].h();
        int width = h.shape().extent(2);
        long top = h.elements() - (long) batchSize() * width;
        return h.view(h.name(), top, Shape.of(batchSize(), width));
    }

    /** What an LSTM layer starts from; null for zeros. */
    LstmState start(int layer) {
        if (state == null) {
            return null;
        }
        LstmState carried = state.before(layer);
        starts[layer] = arranged == null ? carried : arranged.starts(this, carried);
        return starts[layer];
    }

    /**
     * Where the state of an LSTM layer goes that is carried; null where none is.
     *
     * @param ofSegments allocates one for as many segments as there are
     */
    LstmState end(int layer, Supplier<LstmState> ofSegments) {
        if (state == null) {
            return null;
        }
        return endsApart() ? ofSegments.get() : state.after(layer);
    }

    /** Takes the states that a layer's segments have ended with over into what is carried. */
    void keepEnd(int layer, LstmState end) {
        if (state != null && endsApart()) {
            arranged.end(this, end, state.after(layer));
        }
    }

    private boolean endsApart() {
        return arranged != null && arranged.endsApart();
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

    /** How many sequences there are at this point, or segments of them. */
    int batchSize() {
        return arranged == null ? input.shape().extent(1) : arranged.count();
    }

    /**
     * Begins a pass through a model.
     *
     * @param layers how many there are, those inside others included
     * @param readSteps whether one of them reads lengths
     */
    void prepare(int layers, boolean readSteps) {
        inputs = new Tensor[layers];
        results = new Tensor[layers];
        tapes = new LstmTape[layers];
        starts = new LstmState[layers];
        output = null;
        stepsMatter = readSteps;
        arranged = null;
        left = null;
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
