package carousel.engine.cuda;

import carousel.engine.LstmInput;
import carousel.engine.LstmInputGradient;
import carousel.engine.LstmLayout;
import carousel.engine.LstmOutput;
import carousel.engine.LstmSpec;
import carousel.engine.LstmState;
import carousel.engine.RandomSequence;
import carousel.tensor.Precision;
import carousel.tensor.Scope;
import carousel.tensor.Shape;
import carousel.tensor.Tensor;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.BiConsumer;
import java.util.function.Consumer;

/**
 * Ways of running a stack, tried on numbers that are drawn the same every time. One way is sure, the others are compared with it.
 *
 * @param <W> a way
 */
public abstract class Rehearsal<W> implements Attempts<W> {
    /** Passes of each way before those that are measured: in the second one commands become a graph, in the third it is new. */
    private static final int WARM_UP = 3;
    /** Passes measured for each way. */
    private static final int REPETITIONS = 5;

    private static final long SEED = 9;
    /** Numbers that are drawn before they come again: a prime, so that no two steps have the same ones. */
    private static final int DRAWN = 1_000_003;
    /** Numbers that are looked at in one go. */
    private static final int COMPARED = 1 << 20;

    /** The unit roundoff of sums. */
    private static final double SINGLE = Precision.FP32.epsilon();

    private static final double FACTOR = 4;
    /** What the gates, the cell and its output cost, in products and sums. */
    private static final int CELL = 16;

    private final CudaEngine engine;
    private final W sure;
    private final LstmSpec spec;
    private final Sizes sizes;
    private final RandomSequence random = new RandomSequence(SEED, 0, 0);
    private final Scope scope;
    private final Tensor parameters;
    private final LstmInput input;
    private final LstmOutput gradient;
    private Tried<W> expected;
    /** One way after the other, so that only two have their results in memory. */
    private Tried<W> other;

    /** One way with its memory. */
    public interface Pass {
        /** Asks for a pass, and for its way back where training is tried. */
        void run();

        /** What it computes, by name. */
        Map<String, List<Tensor>> results();
    }

    private record Tried<W>(W way, Scope room, Pass pass) {}

    /**
     * Draws parameters, inputs, initial states and gradients.
     *
     * @param whole whether all sequences have all time steps
     */
    protected Rehearsal(CudaEngine engine, W sure, LstmSpec spec, Sizes sizes, boolean whole) {
        this.engine = engine;
        this.sure = sure;
        this.spec = spec;
        this.sizes = sizes;
        this.scope = engine.openScope("rehearsal");
        try {
            // As large as LSTMs begin with: larger ones would let roundings grow from step to step.
            parameters = drawn(
                    "parameters",
                    1 / Math.sqrt(spec.hiddenSize()),
                    Math.toIntExact(LstmLayout.of(spec).elements()));
            LstmInput all = LstmInput.of(drawn("x", 1, sizes.timeSteps(), sizes.batchSize(), spec.inputSize()))
                    .withInitial(states("initial"));
            input = whole ? all : all.withLengths(lengths());
            gradient = new LstmOutput(
                    drawn("dy", 1, sizes.timeSteps(), sizes.batchSize(), spec.sequenceWidth()),
                    states("last gradient"));
        } catch (RuntimeException | Error failure) {
            Release.after(failure, scope::close);
            throw failure;
        }
    }

    /**
     * How far results of two ways may be apart, as a part of the largest: both round operands alike and add in another order. Weights
     * are so small that an error fades with time instead of growing, and adds up with those of some steps.
     *
     * @param summands of a gate's pre-activation
     */
    public static double allowed(Precision precision, long summands, int timeSteps) {
        double product = precision.epsilon() + SINGLE * Math.sqrt(summands + CELL);
        return FACTOR * product * Math.sqrt(1 + Math.log(timeSteps));
    }

    /** The same for a whole stack, whose layers hand their errors on, with its gradients of parameters, sums over all steps and sequences. */
    public static double allowed(Precision precision, LstmSpec stack, Sizes sizes) {
        long rows = (long) sizes.timeSteps() * sizes.batchSize();
        long summands = stack.hiddenSize() + stack.inputSize() + rows;
        return stack.layers() * allowed(precision, summands, sizes.timeSteps());
    }

    /** Numbers in [-size, size], those of a block again and again. */
    private Tensor drawn(String name, double size, int... extents) {
        Tensor tensor = scope.allocate(name, extents);
        long elements = tensor.elements();
        float[] block = new float[(int) Math.min(DRAWN, elements)];
        for (int e = 0; e < block.length; e++) {
            block[e] = (float) random.uniform(-size, size);
        }
        for (long from = 0; from < elements; from += block.length) {
            int count = (int) Math.min(block.length, elements - from);
            engine.write(
                    tensor.view(name, from, Shape.of(count)),
                    count == block.length ? block : Arrays.copyOf(block, count));
        }
        return tensor;
    }

    private LstmState states(String name) {
        return new LstmState(
                drawn(name + " h", 1, spec.states(), sizes.batchSize(), spec.outputSize()),
                drawn(name + " c", 1, spec.states(), sizes.batchSize(), spec.hiddenSize()));
    }

    /** One has all steps, one none, where there are so many. */
    private int[] lengths() {
        int[] lengths = new int[sizes.batchSize()];
        for (int n = 0; n < lengths.length; n++) {
            lengths[n] = n == 0 ? sizes.timeSteps() : n == 1 ? 0 : random.nextInt(sizes.timeSteps() + 1);
        }
        return lengths;
    }

    /**
     * Makes a way ready.
     *
     * @param room for its memory, closed after it
     */
    protected abstract Pass open(W way, Scope room);

    /**
     * A pass that gives outputs and last states and, in training, the gradients of parameters, inputs and first states; there parameters count
     * as changed before each pass, as they are by every step.
     *
     * @param forward runs the stack
     * @param backward goes back through it; null in inference
     */
    protected final Pass ofStack(
            Scope room, Consumer<LstmOutput> forward, BiConsumer<Tensor, LstmInputGradient> backward) {
        boolean training = backward != null;
        Tensor y = room.allocate("y", sizes.timeSteps(), sizes.batchSize(), spec.sequenceWidth());
        LstmState last = room(room, "last");
        LstmState first = training ? room(room, "first") : null;
        Tensor dx = training ? room.allocate("dx", sizes.timeSteps(), sizes.batchSize(), spec.inputSize()) : null;
        Tensor gradients = training ? room.allocate("gradients", parameters.type(), parameters.shape()) : null;
        return new Pass() {
            @Override
            public void run() {
                if (training) {
                    engine.output(parameters);
                }
                forward.accept(new LstmOutput(y, last));
                if (training) {
                    // They are added to.
                    engine.fill(gradients, 0);
                    backward.accept(gradients, new LstmInputGradient(dx, first));
                }
            }

            @Override
            public Map<String, List<Tensor>> results() {
                Map<String, List<Tensor>> results = new LinkedHashMap<>();
                results.put("y", List.of(y));
                results.put("the last h", List.of(last.h()));
                results.put("the last c", List.of(last.c()));
                if (training) {
                    results.put("dh", List.of(first.h()));
                    results.put("dc", List.of(first.c()));
                    results.put("dx", List.of(dx));
                    results.put("the gradients of parameters", List.of(gradients));
                }
                return results;
            }
        };
    }

    private LstmState room(Scope room, String name) {
        return new LstmState(
                room.allocate(name + " h", spec.states(), sizes.batchSize(), spec.outputSize()),
                room.allocate(name + " c", spec.states(), sizes.batchSize(), spec.hiddenSize()));
    }

    /** Waits for a pass of a way that is not the sure one. */
    protected void await() {
        engine.synchronize();
    }

    /** Told how long the sure way took, host and device together, before a way is compared with it. */
    protected void took(long nanos) {
        // Of no interest to most.
    }

    protected final LstmSpec spec() {
        return spec;
    }

    protected final Sizes sizes() {
        return sizes;
    }

    protected final Tensor parameters() {
        return parameters;
    }

    protected final LstmInput input() {
        return input;
    }

    /** Of the loss, with respect to the output. */
    protected final LstmOutput gradient() {
        return gradient;
    }

    private Pass attempt(W way) {
        if (way.equals(sure)) {
            expected = expected == null ? tried(way) : expected;
            return expected.pass();
        }
        if (other == null || !other.way().equals(way)) {
            closeOther();
            other = tried(way);
        }
        return other.pass();
    }

    private Tried<W> tried(W way) {
        Scope room = engine.openScope("attempt");
        try {
            return new Tried<>(way, room, open(way, room));
        } catch (RuntimeException | Error failure) {
            Release.after(failure, room::close);
            throw failure;
        }
    }

    private void closeOther() {
        if (other != null) {
            Scope done = other.room();
            other = null;
            done.close();
        }
    }

    @Override
    public final float milliseconds(W way) {
        Pass pass = attempt(way);
        try (Stopwatch stopwatch = new Stopwatch(engine.context(), way.equals(sure) ? null : this::await)) {
            return stopwatch.median(WARM_UP, REPETITIONS, pass::run);
        }
    }

    @Override
    public final Map<String, Double> deviations(W way) {
        Pass right = attempt(sure);
        Pass pass = attempt(way);
        engine.synchronize();
        long begin = System.nanoTime();
        right.run();
        engine.synchronize();
        took(System.nanoTime() - begin);
        pass.run();
        await();
        Map<String, List<Tensor>> expectedResults = right.results();
        Map<String, Double> deviations = new LinkedHashMap<>();
        pass.results().forEach((what, tensors) -> deviations.put(what, deviation(expectedResults.get(what), tensors)));
        return deviations;
    }

    private double deviation(List<Tensor> right, List<Tensor> tensors) {
        double largest = 0;
        double apart = 0;
        for (int k = 0; k < tensors.size(); k++) {
            long elements = tensors.get(k).elements();
            for (long from = 0; from < elements; from += COMPARED) {
                int count = (int) Math.min(COMPARED, elements - from);
                float[] one = new float[count];
                float[] two = new float[count];
                engine.read(right.get(k).view("expected", from, Shape.of(count)), one);
                engine.read(tensors.get(k).view("actual", from, Shape.of(count)), two);
                for (int e = 0; e < count; e++) {
                    largest = Math.max(largest, Math.abs(one[e]));
                    // One that is not a number stays.
                    apart = Math.max(apart, Math.abs((double) one[e] - two[e]));
                }
            }
        }
        return apart == 0 ? 0 : apart / largest;
    }

    @Override
    public final void close() {
        Release release = new Release().of(this::closeOther);
        if (expected != null) {
            release.of(expected.room()::close);
        }
        release.of(scope::close).finish();
    }
}
