package carousel.layer;

import carousel.engine.Engine;
import carousel.engine.LstmState;
import carousel.engine.LstmTape;
import carousel.engine.RandomKey;
import carousel.tensor.Scope;
import carousel.tensor.Shape;
import carousel.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;

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
    /** Whether no sequence goes on from a state. */
    private boolean fresh = true;

    private Pass source;
    private boolean keepsStates;
    private LstmState[] starts;
    private LstmState[] startGradients;
    private LstmState[] ends;
    private LstmState[] endGradients;
    private final List<Tensor> shownStartGradients = new ArrayList<>();

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
        return reading(value, valid, null);
    }

    /**
     * The same where steps of the source are left out.
     *
     * @param mask {@code [T' N]}, as in {@link #withMask}
     */
    public Pass reading(Tensor value, int[] valid, boolean[] mask) {
        source = new Pass(engine, scope, value, valid, random, recorded).withMask(mask);
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

    /** Whether it was said that sequences may start anew in their midst. */
    boolean startsAnew() {
        return resets != null;
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

    /**
     * The gradient of y in {@link #rearrange}.
     *
     * @param held whether a step left out showed the output before it: the gradient of what came before the first step is kept
     */
    Tensor rearrangeBackward(Tensor dy, boolean held) {
        if (dy.shape().rank() == 2) {
            return arranged == null ? dy : arranged.lastOfBackward(this, dy);
        }
        Tensor moved = arranged == null ? dy : arranged.apartBackward(this, dy);
        moved = left == null ? moved : left.apartBackward(this, moved);
        for (Segments each : new Segments[] {arranged, left}) {
            if (held && each != null && each.beforeGradient() != null) {
                shownStartGradients.add(each.beforeGradient());
            }
        }
        return moved;
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

    /** How the segments are laid out that the pass was given, where not all go on from what their sequences go on from; otherwise null. */
    Segments cuts() {
        return arranged != null && arranged.anew() ? arranged : null;
    }

    /** How many sequences there are, of which there may be more segments. */
    int sequences() {
        return input.shape().extent(1);
    }

    /** How the result of {@link #arrange} changes with what it is given. */
    Tensor arrangeTangent(Tensor x) {
        return arranged == null ? x : arranged.togetherTangent(this, x);
    }

    /** How the result of {@link #leaveOut} changes with what it is given. */
    Tensor leaveOutTangent(Tensor x) {
        return left.togetherTangent(this, x);
    }

    /** How the result of {@link #rearrange} changes: what came before the first step does not. */
    Tensor rearrangeTangent(Tensor y, boolean held) {
        if (y.shape().rank() == 2) {
            return arranged == null ? y : arranged.lastOf(this, y);
        }
        Tensor moved = left == null ? y : left.apart(this, y, held, null);
        return arranged == null ? moved : arranged.apart(this, moved, held, null);
    }

    /** The same pass with all that a way back needs, whether or not this one has it: the function is the same. */
    Pass withRecord() {
        return new Pass(engine, scope, input, lengths, random, true)
                .withMask(counts)
                .carrying(state);
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

    /** Before a pass through layers in order: whether one of them reads lengths. */
    void readSteps(boolean matter) {
        stepsMatter = matter;
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
        arranged = null;
        left = null;
        shownStartGradients.clear();
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

    /** The parts of the gradient of the initial h that come from masked steps which show it, each {@code [M, P]}; for one layer. */
    List<Tensor> takeShownStartGradients() {
        List<Tensor> taken = List.copyOf(shownStartGradients);
        shownStartGradients.clear();
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
