package carousel.layer;

import carousel.engine.Direction;
import carousel.engine.Engine;
import carousel.engine.LstmSpec;
import carousel.engine.LstmState;
import carousel.tensor.Scope;
import carousel.tensor.Tensor;
import java.util.Arrays;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;

/**
 * What the LSTM layers of a model carry from one stretch of {@code N} sequences to the next, so that many short passes compute
 * what one long one would. It starts as zeros, or as the initial state that a layer has learned. A pass that {@link Pass#carrying carries} it starts from it; {@link #advance()}
 * takes over what that pass ended with.
 *
 * <p>On the host it is one array: for each LSTM layer {@code h [S, N, P]} and then {@code c [S, N, H]}, {@code S} being the
 * layers of the stack.
 */
public final class ModelState {
    private final Model model;
    private final int batchSize;
    private final Map<Integer, Carried> layers = new TreeMap<>();
    private final int elements;
    private boolean fresh;

    /** One LSTM layer's state before and after the pass under way; the two change places. */
    private static final class Carried {
        private LstmState before;
        private LstmState after;

        Carried(LstmState before, LstmState after) {
            this.before = before;
            this.after = after;
        }
    }

    /**
     * The state of so many sequences, all at their beginning. Of an encoder-decoder model it is the decoder's: see {@link
     * Model#encode}.
     *
     * @param scope where it lives
     * @throws IllegalArgumentException when the model reads its sequences from the end too: there is no state to go on from
     */
    public ModelState(Model model, Scope scope, int batchSize) {
        if (batchSize < 1) {
            throw new IllegalArgumentException("a state should be of 1 or more sequences but got " + batchSize);
        }
        this.model = model;
        this.batchSize = batchSize;
        for (int place = 0; place < model.spec().layers().size(); place++) {
            Layer layer = model.spec().layers().get(place);
            for (Layer leaf : layer.leaves()) {
                requireForward(leaf, (place + 1) + (leaf == layer ? " is " : " has inside "));
            }
        }
        for (Node node : model.lstms()) {
            layers.put(
                    node.index,
                    new Carried(allocate(scope, node.lstm(), "before"), allocate(scope, node.lstm(), "after")));
        }
        long sum = 0;
        for (Carried layer : layers.values()) {
            sum += layer.before.h().elements() + layer.before.c().elements();
        }
        this.elements = Math.toIntExact(sum);
        clear();
    }

    private static void requireForward(Layer layer, String where) {
        boolean forward = !(layer instanceof TimeReversal)
                && (!(layer instanceof Lstm lstm) || lstm.spec().direction() == Direction.FORWARD);
        if (!forward) {
            throw new IllegalArgumentException("only a model that reads forward can go on from a state but layer "
                    + where + layer.summary() + ": give it whole sequences");
        }
    }

    private LstmState allocate(Scope scope, LstmSpec spec, String when) {
        return new LstmState(
                scope.allocate("carried h " + when, spec.states(), batchSize, spec.outputSize()),
                scope.allocate("carried c " + when, spec.states(), batchSize, spec.hiddenSize()));
    }

    /** N. */
    public int batchSize() {
        return batchSize;
    }

    /** How many numbers the state has on the host. */
    public int elements() {
        return elements;
    }

    /** Starts all sequences anew: from zeros, or from what the layers have learned by now. */
    public void clear() {
        Engine engine = model.engine();
        layers.forEach((index, layer) -> {
            LstmState learned = model.learnedState(index);
            if (learned == null) {
                engine.fill(layer.before.h(), 0);
                engine.fill(layer.before.c(), 0);
            } else {
                try (Scope scope = engine.openScope("fresh state")) {
                    StateRows.of(engine, scope, layer.before).repeat(learned);
                }
            }
        });
        fresh = true;
    }

    /** Whether all sequences are at their beginning, so that what they start from is what the layers have learned. */
    boolean isFresh() {
        return fresh;
    }

    /** Goes on from where the last pass ended. */
    public void advance() {
        for (Carried layer : layers.values()) {
            LstmState before = layer.before;
            layer.before = layer.after;
            layer.after = before;
        }
        fresh = false;
    }

    /** The state, {@link #elements()} numbers. */
    public double[] read() {
        double[] all = new double[elements];
        int filled = 0;
        for (Carried layer : layers.values()) {
            for (Tensor part : new Tensor[] {layer.before.h(), layer.before.c()}) {
                double[] values = new double[Math.toIntExact(part.elements())];
                model.engine().read(part, values);
                System.arraycopy(values, 0, all, filled, values.length);
                filled += values.length;
            }
        }
        return all;
    }

    /** Replaces the state: the counterpart of {@link #read()}. */
    public void write(double[] values) {
        if (values.length != elements) {
            throw new IllegalArgumentException("the state of " + batchSize + " sequences of " + model.spec()
                    + " should have " + elements + " numbers but got " + values.length);
        }
        int read = 0;
        for (Carried layer : layers.values()) {
            for (Tensor part : new Tensor[] {layer.before.h(), layer.before.c()}) {
                int end = read + Math.toIntExact(part.elements());
                model.engine().write(part, Arrays.copyOfRange(values, read, end));
                read = end;
            }
        }
        fresh = false;
    }

    /** Lets the layer of this index go on from another state of as many sequences. */
    void begin(int layer, LstmState from) {
        LstmState to = before(layer);
        Engine engine = model.engine();
        engine.copyColumns(
                Model.rows(from.h()), 0, Model.rows(to.h()), 0, to.h().shape().extent(2));
        engine.copyColumns(
                Model.rows(from.c()), 0, Model.rows(to.c()), 0, to.c().shape().extent(2));
        fresh = false;
    }

    /** The indices of the model's LSTM layers. */
    Set<Integer> layers() {
        return layers.keySet();
    }

    /** What the layer of this index starts from. */
    LstmState before(int layer) {
        return layers.get(layer).before;
    }

    /** Where the layer of this index puts what it ends with. */
    LstmState after(int layer) {
        return layers.get(layer).after;
    }
}
