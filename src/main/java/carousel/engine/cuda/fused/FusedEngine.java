package carousel.engine.cuda.fused;

import carousel.engine.Direction;
import carousel.engine.EngineOptions;
import carousel.engine.Gate;
import carousel.engine.LstmFeature;
import carousel.engine.LstmInput;
import carousel.engine.LstmInputGradient;
import carousel.engine.LstmLayout;
import carousel.engine.LstmMask;
import carousel.engine.LstmOutput;
import carousel.engine.LstmSpec;
import carousel.engine.LstmState;
import carousel.engine.LstmTape;
import carousel.engine.ParameterView;
import carousel.engine.RandomKey;
import carousel.engine.Shapes;
import carousel.engine.cuda.ChoiceMemory;
import carousel.engine.cuda.CudaEngine;
import carousel.engine.cuda.DeviceStorage;
import carousel.engine.cuda.Kernels;
import carousel.engine.cuda.Lines;
import carousel.engine.cuda.Rehearsal;
import carousel.engine.cuda.Release;
import carousel.engine.cuda.Sizes;
import carousel.tensor.ElementType;
import carousel.tensor.Precision;
import carousel.tensor.Scope;
import carousel.tensor.Shape;
import carousel.tensor.Tensor;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.function.Supplier;
import java.util.function.ToLongFunction;
import java.util.stream.IntStream;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The LSTM by products and fused pointwise kernels. Forward, for each cell: {@code W x + b} of all time steps in one product; then for
 * each step {@code += R h_prev} in one product, and one kernel for gates, cell and output. Backward, for each step one kernel, and {@code
 * dh_prev = R^T da} in one product; then {@code dW, dR, dx} of all time steps in one product each. No sum depends on anything but sizes:
 * the same inputs give the same bits. A cell that is more than the plain one has kernels of its own, see {@link VariedCell}.
 *
 * <p>Where a layer's recurrent weights fit the registers of a block, a cluster or many blocks, one {@link ResidentKernel} may take the place of
 * all that is done for each step, for both directions at once, and where inputs are narrow that of the first product: {@link PathChoice} says where
 * it does. Stacks of such layers of one direction go through time side by side where {@link Wavefront} says so.
 *
 * <p>In BF16 and FP16 products multiply copies of 16 bits: of the parameters, made anew when they may have changed, and of x, h, what is
 * projected and the gradients of gates, made as these are computed. Sums are single precision, as is all that lies between products:
 * gates, cells, states, gradients. What is too large for FP16 becomes infinite: it saturates a gate, as the number itself would, and leaves
 * no finite gradient.
 */
final class FusedEngine extends CudaEngine {
    private static final Logger LOG = LoggerFactory.getLogger(FusedEngine.class);

    /** What the kernels of the plain cell compute; a mask on the recurrent weights is made before them. */
    private static final Set<LstmFeature> PLAIN = Set.copyOf(EnumSet.of(
            LstmFeature.PROJECTION, LstmFeature.CELL_CLIP, LstmFeature.DROPOUT, LstmFeature.RECURRENT_WEIGHT_DROPOUT));

    /** What kernels with resident weights compute: they have no room for anything between a step's product and its cell. */
    private static final Set<LstmFeature> RESIDENT =
            Set.copyOf(EnumSet.of(LstmFeature.CELL_CLIP, LstmFeature.DROPOUT, LstmFeature.RECURRENT_WEIGHT_DROPOUT));

    /** How long a kernel's pass may take beside {@link #SLOWEST}: what the driver does before it begins. */
    static final Duration PATIENCE = Duration.ofSeconds(10);

    /** What no kernel takes of the pointwise path's time, unless it never ends. */
    private static final int SLOWEST = 1000;

    private static final String REMEDY =
            "start it again with -D" + FusedPath.PROPERTY + "=" + FusedPath.POINTWISE.word();

    private final Gpu gpu;
    private final Duration patience;
    private final PathChoice choice;
    private final String wavefronts = Wavefront.setting();
    /** One for each kind of stack whose layers have gone side by side. */
    private final Lines stacks = new Lines();

    private final Map<WeightsKey, Weights> weights = new HashMap<>();

    /**
     * So many parameters that lie at an address, in a form.
     *
     * @param form a {@link Packing}, or null for all of them in the type of operands
     */
    private record WeightsKey(long address, long elements, Packing form) {}

    /**
     * The weights of all cells as their layers' forward kernels read them.
     *
     * @param kernels by layer, nothing for the pointwise path
     */
    private record Packing(LstmSpec spec, List<Optional<ResidentKernel>> kernels) {}

    /** What is made of parameters; it lives as long as they do. */
    private static final class Weights {
        private final Tensor copy;
        /** Of the parameters that it was made of. */
        private long version = -1;

        Weights(Tensor copy) {
            this.copy = copy;
        }
    }

    /**
     * @param pinned the path for all layers that it fits; nothing for the fastest of each
     * @param patience how long a pass of a kernel that is tried may take, besides what it should at most, before it counts as one that never
     *     ends
     */
    FusedEngine(EngineOptions options, Precision precision, Optional<FusedPath> pinned, Duration patience) {
        super(options, precision, precision.operands());
        this.patience = patience;
        try {
            this.gpu = Gpu.of(context());
            this.choice = new PathChoice(pinned, precision, gpu, this::memoryOfPaths, Trial::new);
        } catch (RuntimeException | Error failure) {
            Release.after(failure, this::close);
            throw failure;
        }
    }

    /** Joins an engine that is open and {@linkplain #operands multiplies} the precision's operands. */
    FusedEngine(CudaEngine host, Optional<FusedPath> pinned, Duration patience) {
        super(host);
        this.patience = patience;
        this.gpu = Gpu.of(context());
        this.choice = new PathChoice(pinned, precision(), gpu, this::memoryOfPaths, Trial::new);
    }

    /** What was measured before with this device, this driver and these kernels. */
    private ChoiceMemory memoryOfPaths() {
        return ChoiceMemory.of("paths on " + context().machine() + ", " + FusedEngineProvider.kernels());
    }

    /** For each shape so far, a line that says which path runs it and why; then one for each stack whose layers go side by side. */
    @Override
    public List<String> notes() {
        List<String> notes = new ArrayList<>(choice.lines());
        notes.addAll(stacks.all());
        return List.copyOf(notes);
    }

    /** Parameters in another form, made anew where they may have changed since. */
    private Tensor made(Tensor parameters, Packing form, ElementType type, Shape shape, Consumer<Tensor> making) {
        WeightsKey key = new WeightsKey(input(parameters), parameters.elements(), form);
        Weights known = weights.get(key);
        if (known == null || known.copy.scope().isClosed()) {
            weights.values().removeIf(other -> other.copy.scope().isClosed());
            known = new Weights(parameters.scope().allocate("parameters in another form", type, shape));
            weights.put(key, known);
        }
        long version = DeviceStorage.version(parameters);
        if (known.version != version) {
            making.accept(known.copy);
            // What fails is not to count as made.
            context().handOver();
            known.version = version;
        }
        return known.copy;
    }

    /** The parameters in the type of operands. */
    private Tensor narrowWeights(Tensor parameters) {
        return made(
                parameters,
                null,
                operands(),
                parameters.shape(),
                copy -> narrow(
                        input(parameters), DeviceStorage.address(copy, operands()), parameters.elements(), operands()));
    }

    @Override
    public String name() {
        return FusedEngineProvider.NAME;
    }

    @Override
    public boolean forgetPoorChoices() {
        return choice.forgetPoor();
    }

    /** It computes every specification. */
    @Override
    public Optional<String> refusal(LstmSpec spec) {
        return Optional.empty();
    }

    @Override
    public LstmTape openTape(Scope scope, LstmSpec spec, int timeSteps, int batchSize) {
        return new FusedTape(spec, scope, timeSteps, batchSize);
    }

    @Override
    public void lstmForward(LstmSpec spec, Tensor parameters, LstmInput input, LstmOutput output, LstmTape tape) {
        context().enter();
        Shapes.requireForward(spec, parameters, input, output, tape);
        int timeSteps = input.x().shape().extent(0);
        int batchSize = input.x().shape().extent(1);
        List<Optional<ResidentKernel>> kernels = kernels(spec, input, timeSteps, batchSize, tape != null);
        if (tape != null) {
            new Pass(spec, parameters, input, timeSteps, batchSize, ((FusedTape) tape).trace, kernels).forward(output);
            tape.record(parameters, input, output);
            return;
        }
        try (Scope workspace = openScope("forward workspace")) {
            FusedTape.Kept kept = wavefront(inCall(spec, input), kernels, timeSteps, batchSize)
                            .isPresent()
                    ? FusedTape.Kept.STACK
                    : kernels.stream().anyMatch(Optional::isPresent) ? FusedTape.Kept.LAYER : FusedTape.Kept.CELL;
            FusedTape.Trace trace = new FusedTape.Trace(spec, workspace, timeSteps, batchSize, kept);
            new Pass(spec, parameters, input, timeSteps, batchSize, trace, kernels).forward(output);
        }
    }

    @Override
    public void lstmBackward(
            LstmTape tape, LstmOutput outputGradient, Tensor parameterGradients, LstmInputGradient inputGradient) {
        context().enter();
        Shapes.requireBackward(tape, outputGradient, parameterGradients, inputGradient);
        tape.consume();
        LstmSpec spec = tape.spec();
        LstmInput input = tape.input();
        int timeSteps = tape.timeSteps();
        int batchSize = tape.batchSize();
        List<Optional<ResidentKernel>> kernels = kernels(spec, input, timeSteps, batchSize, true);
        new Pass(spec, tape.parameters(), input, timeSteps, batchSize, ((FusedTape) tape).trace, kernels)
                .backward(outputGradient, parameterGradients, inputGradient);
    }

    /** What of a specification counts in a call. Without a key nothing is drawn: of the options that are random only zoneout counts. */
    private static LstmSpec inCall(LstmSpec spec, LstmInput input) {
        return input.dropout() != null
                ? spec
                : spec.withDropout(0)
                        .withRecurrentDropout(0)
                        .withCandidateDropout(0)
                        .withRecurrentWeightDropout(0);
    }

    /** The kernel that runs each layer of a stack; nothing for the pointwise path. */
    private List<Optional<ResidentKernel>> kernels(
            LstmSpec whole, LstmInput input, int timeSteps, int batchSize, boolean training) {
        LstmSpec spec = inCall(whole, input);
        return IntStream.range(0, spec.layers())
                .mapToObj(layer -> choice.of(new PathChoice.Shape(
                        spec.hiddenSize(),
                        spec.layerInputSize(layer),
                        timeSteps,
                        batchSize,
                        spec.direction().cells(),
                        input.lengths() == null && input.deviceLengths() == null,
                        training,
                        spec.beyond(RESIDENT).orElse(null))))
                .toList();
    }

    /**
     * How the layers of a stack go side by side; nothing where they go one after the other: both directions of a layer need all of the
     * one below, and what is drawn anew in each pass would cut the commands of a pass into pieces. Each lane has multiprocessors of its
     * own for all blocks of any layer's kernel. So kernels whose blocks wait for each other find room whatever the others do: as long as
     * one of their blocks has no place yet, there is a multiprocessor that has none of them, and everything else that may be there comes to
     * an end by itself.
     *
     * @param spec as it is {@linkplain #inCall in the call}
     */
    private Optional<Wavefront> wavefront(
            LstmSpec spec, List<Optional<ResidentKernel>> kernels, int timeSteps, int batchSize) {
        if (kernels.contains(Optional.<ResidentKernel>empty())
                || spec.direction().cells() > 1
                || spec.dropout() > 0
                || spec.recurrentWeightDropout() > 0) {
            return Optional.empty();
        }
        int blocks = kernels.stream()
                .flatMap(Optional::stream)
                .mapToInt(kernel -> kernel.blocks(kernel.tiles(batchSize)))
                .max()
                .orElseThrow();
        int room = gpu.room(1) / blocks;
        return Wavefront.of(wavefronts, spec.layers(), timeSteps, Math.min(mostLanes(), room));
    }

    /** One layer of a shape. Where inputs do not count it has a single one, so that the product with it, which all paths share, takes hardly any time. */
    private static LstmSpec layer(PathChoice.Shape shape) {
        return LstmSpec.of(Math.max(1, shape.inputs()), shape.hidden())
                .withDirection(shape.cells() > 1 ? Direction.BIDIRECTIONAL : Direction.FORWARD);
    }

    /** Paths tried on one layer; nothing is the pointwise path. */
    private final class Trial extends Rehearsal<Optional<ResidentKernel>> {
        private final boolean training;
        /** How long a pass of a kernel may take. */
        private Duration limit;

        Trial(PathChoice.Shape shape) {
            super(
                    FusedEngine.this,
                    Optional.empty(),
                    layer(shape),
                    new Sizes(shape.timeSteps(), shape.batchSize()),
                    shape.whole());
            this.training = shape.training();
        }

        @Override
        protected Rehearsal.Pass open(Optional<ResidentKernel> kernel, Scope room) {
            LstmSpec spec = spec();
            int timeSteps = sizes().timeSteps();
            int batchSize = sizes().batchSize();
            FusedTape.Kept kept = training ? FusedTape.Kept.ALL : FusedTape.Kept.LAYER;
            FusedTape.Trace trace = new FusedTape.Trace(spec, room, timeSteps, batchSize, kept);
            LstmOutput output = new LstmOutput(room.allocate("y", timeSteps, batchSize, spec.sequenceWidth()), null);
            LstmState initial = new LstmState(
                    room.allocate("dh", spec.states(), batchSize, spec.hiddenSize()),
                    room.allocate("dc", spec.states(), batchSize, spec.hiddenSize()));
            LstmInputGradient initialGradient = new LstmInputGradient(null, initial);
            return new Rehearsal.Pass() {
                @Override
                public void run() {
                    FusedEngine.Pass pass = new FusedEngine.Pass(
                            spec, parameters(), input(), timeSteps, batchSize, trace, List.of(kernel));
                    pass.forward(output);
                    if (training) {
                        pass.backward(gradient(), null, initialGradient);
                    }
                }

                @Override
                public Map<String, List<Tensor>> results() {
                    Map<String, List<Tensor>> results = new LinkedHashMap<>();
                    results.put("y", List.of(output.y()));
                    results.put("c", cells(FusedTape.Cell::c));
                    if (training) {
                        results.put("da", cells(FusedTape.Cell::gates));
                        results.put("dh", List.of(initial.h()));
                        results.put("dc", List.of(initial.c()));
                    }
                    return results;
                }

                private List<Tensor> cells(Function<FusedTape.Cell, Tensor> tensor) {
                    return IntStream.range(0, spec.states())
                            .mapToObj(k -> tensor.apply(trace.cell(k)))
                            .toList();
                }
            };
        }

        @Override
        protected void took(long nanos) {
            limit = patience.plusNanos(SLOWEST * nanos);
        }

        /** A pass of a kernel may never end. */
        @Override
        protected void await() {
            context().synchronize(limit, REMEDY);
        }
    }

    /** What a layer does with the steps {@code from} to {@code to - 1}. */
    private interface Chunk {
        void take(int layer, int from, int to);
    }

    /** One call's sizes and addresses. */
    private final class Pass {
        private final LstmSpec spec;
        private final LstmLayout layout;
        private final LstmInput input;
        private final FusedTape.Trace trace;
        private final long parameters;
        private final int timeSteps;
        private final int batchSize;
        private final int rows;
        private final int hidden;
        private final int gates;
        private final int outputs;
        private final int width;
        private final int cells;
        /** On the device; 0 where all sequences have all steps. */
        private final long lengths;
        /** Whether the cell is more than the plain one. */
        private final boolean varied;
        /** Of the recurrent weights, what of h they see, and the rest of a cell: masks in this call. */
        private final boolean dropsWeights;

        private final boolean dropsRecurrent;

        private final Operands operands;
        /** By layer: runs all steps of it; nothing where that is done step by step. */
        private final List<Optional<ResidentKernel>> kernels;
        /** Whether there are any. */
        private final boolean sweeping;
        /** How layers go side by side; null where they go one after the other. */
        private final Wavefront wavefront;
        /** See {@link #mailRoom}; that of the pass that runs. */
        private long mail;

        /** Where the packed weights of all cells lie; 0 where each pass packs them itself. */
        private final long packed;

        Pass(
                LstmSpec whole,
                Tensor parameters,
                LstmInput input,
                int timeSteps,
                int batchSize,
                FusedTape.Trace trace,
                List<Optional<ResidentKernel>> kernels) {
            this.spec = inCall(whole, input);
            this.kernels = kernels;
            this.sweeping = kernels.stream().anyMatch(Optional::isPresent);
            this.layout = LstmLayout.of(spec);
            this.input = input;
            this.trace = trace;
            this.parameters = input(parameters);
            this.timeSteps = timeSteps;
            this.batchSize = batchSize;
            this.rows = Math.multiplyExact(timeSteps, batchSize);
            this.hidden = spec.hiddenSize();
            this.gates = Gate.COUNT * hidden;
            this.outputs = spec.outputSize();
            this.width = spec.sequenceWidth();
            this.cells = spec.direction().cells();
            this.wavefront = wavefront(spec, kernels, timeSteps, batchSize).orElse(null);
            if (wavefront != null) {
                String line = "H=" + hidden + " T=" + timeSteps + " N=" + batchSize + ": " + wavefront;
                if (stacks.add(line)) {
                    LOG.info("fused stack with {}", line);
                }
            }
            Tensor given = input.lengths() == null ? input.deviceLengths() : trace.lengths();
            this.lengths = given == null ? 0 : DeviceStorage.address(given, ElementType.INT32);
            this.varied = spec.beyond(PLAIN).isPresent();
            this.dropsWeights = spec.recurrentWeightDropout() > 0;
            this.dropsRecurrent = spec.recurrentDropout() > 0;
            this.packed = packedForAll(parameters);
            boolean narrow = operands() != real();
            this.operands =
                    new Operands(narrow ? (from, to, elements) -> narrow(from, to, elements, operands()) : null);
            if (narrow) {
                copyInto(narrowWeights(parameters), this.parameters);
                copyInto(trace.narrowInput(operands()), layerInput(0));
                for (int layer = 1; layer < spec.layers(); layer++) {
                    copyInto(trace.narrowCopy(trace.layerInput(layer), operands()), layerInput(layer));
                }
                for (int state = 0; state < spec.states(); state++) {
                    FusedTape.Cell cell = trace.cell(state);
                    copyInto(trace.narrowCopy(dropsRecurrent ? cell.seen() : cell.h(), operands()), seen(cell));
                    if (cell.m() != null) {
                        copyInto(trace.narrowCopy(cell.m(), operands()), input(cell.m()));
                    }
                }
            }
        }

        /** The kernel that runs all steps of a layer; null where that is done step by step. */
        private ResidentKernel kernel(int layer) {
            return kernels.get(layer).orElse(null);
        }

        /** Whether a layer's kernel makes the product with the inputs. */
        private boolean multipliesInputs(int layer) {
            return kernel(layer) != null && kernel(layer).inputs() > 0;
        }

        /** Whether products read what a layer reads: where it is not the forward kernel's business, and on the way back. */
        private boolean inputsAreOperands(int layer) {
            return !multipliesInputs(layer) || trace.kept() == FusedTape.Kept.ALL;
        }

        /** What kernels need most of, over all layers that have one. */
        private long most(ToLongFunction<ResidentKernel> need) {
            return kernels.stream()
                    .flatMap(Optional::stream)
                    .mapToLong(need)
                    .max()
                    .orElse(0);
        }

        /**
         * Packs the weights of all cells, once for all passes, each cell in as much room as the largest needs. Training changes them between
         * passes, and what is made outside of a pass cuts the run of commands that could be one graph.
         */
        private long packedForAll(Tensor tensor) {
            if (!sweeping || dropsWeights || trace.kept() == FusedTape.Kept.ALL) {
                return 0;
            }
            int states = spec.states();
            int reals = Math.toIntExact(packedBytes() / real().bytes());
            return input(made(tensor, new Packing(spec, kernels), real(), Shape.of(states, reals), copy -> {
                for (int state = 0; state < states; state++) {
                    if (kernel(state / cells) != null) {
                        pack(
                                true,
                                state,
                                weight(layout.cell(state).recurrentWeights()),
                                output(copy) + bytes((long) state * reals));
                    }
                }
            }));
        }

        private long packedBytes() {
            return most(kernel -> kernel.packedBytes() + kernel.packedInputBytes());
        }

        /** Lets products find what lies at an address in a copy. */
        private void copyInto(Tensor copy, long address) {
            operands.copy(address, copy.elements(), DeviceStorage.address(copy, copy.type()));
        }

        /** Gives products room in a scope for a copy of {@code [., ., width]}, where they want one. */
        private void copyInto(Scope workspace, String name, int outer, int inner, int columns, long address) {
            if (operands.narrow()) {
                copyInto(workspace.allocate(name, operands(), Shape.of(outer, inner, columns)), address);
            }
        }

        /** {@link CudaEngine#product} of tensors, in whatever type it multiplies them. */
        private void product(
                boolean transposeA, boolean transposeB, int m, int n, int k, long a, long b, boolean add, long c) {
            FusedEngine.this.product(transposeA, transposeB, m, n, k, operands.of(a), operands.of(b), add, c);
        }

        private boolean drops() {
            return spec.dropout() > 0;
        }

        /** Where a weight lies. */
        private long weight(ParameterView view) {
            return parameters + bytes(view.offset());
        }

        /** Where row n = 0 of one slot, time step or state of a tensor {@code [., N, width]} lies. */
        private long at(long tensor, int slot, int rowWidth) {
            return tensor + bytes((long) slot * batchSize * rowWidth);
        }

        /** Where what a layer reads lies: of x, a copy in which nothing lies past the end of a sequence. */
        private long layerInput(int layer) {
            if (layer > 0) {
                return input(trace.layerInput(layer));
            }
            return input(lengths == 0 ? input.x() : trace.validInput());
        }

        void forward(LstmOutput output) {
            if (input.lengths() != null) {
                write(trace.lengths(), input.lengths());
            }
            if (lengths != 0 && inputsAreOperands(0)) {
                kernels()
                        .launch("copy_valid")
                        .address(input(input.x()))
                        .address(output(trace.validInput()))
                        .address(lengths)
                        .integer(timeSteps)
                        .integer(batchSize)
                        .integer(spec.inputSize())
                        .over((long) rows * spec.inputSize());
            }
            if (wavefront != null) {
                forwardSideBySide(output);
                return;
            }
            try (Scope workspace = openScope("masks")) {
                List<Masks> masks = eachCell(() -> new Masks(workspace));
                List<Long> packingRooms = eachCell(() -> packingRoom(workspace));
                mail = mailRoom(workspace, true);
                for (int layer = 0; layer < spec.layers(); layer++) {
                    boolean top = layer == spec.layers() - 1;
                    if (inputsAreOperands(layer)) {
                        operands.changed(layerInput(layer), (long) rows * spec.layerInputSize(layer));
                    }
                    long y = output(top ? output.y() : trace.layerInput(layer + 1));
                    if (kernel(layer) == null) {
                        for (int k = 0; k < cells; k++) {
                            int state = layer * cells + k;
                            masks.get(k).draw(state);
                            begin(state, layer, masks.get(k));
                            steps(state, outputOf(y, k), masks.get(k));
                            deliver(state, output.last());
                        }
                    } else {
                        for (int k = 0; k < cells; k++) {
                            int state = layer * cells + k;
                            masks.get(k).draw(state);
                            begin(state, layer, masks.get(k));
                        }
                        sweep(layer, y, masks, packingRooms);
                        for (int k = 0; k < cells; k++) {
                            deliver(layer * cells + k, output.last());
                        }
                    }
                    if (!top && drops()) {
                        dropout(y, spec.dropout(), input.dropout().substream(layer), y, (long) rows * width);
                    }
                }
            }
        }

        /** Goes through all layers at once, each with room of its own. */
        private void forwardSideBySide(LstmOutput output) {
            try (Scope workspace = openScope("layers side by side")) {
                SideBySide layers = new SideBySide(workspace, true);
                inLanes(() -> wavefront.forward(layers.course((layer, from, to) -> {
                    int inputs = spec.layerInputSize(layer);
                    int t = firstTime(layer, from, to);
                    if (inputsAreOperands(layer)) {
                        operands.changed(at(layerInput(layer), t, inputs), (long) (to - from) * batchSize * inputs);
                    }
                    if (!multipliesInputs(layer)) {
                        beginInputs(layer, layer, t, to - from);
                    }
                    if (from == 0) {
                        beginStates(layer);
                    }
                    boolean top = layer == spec.layers() - 1;
                    long y = output(top ? output.y() : trace.layerInput(layer + 1));
                    launchForward(layer, y, layers.weights(layer), from, to);
                    if (to == timeSteps) {
                        keepStates(layer);
                        deliver(layer, output.last());
                    }
                })));
            }
        }

        /** Opens lanes for some work and closes them, whatever becomes of it. */
        private void inLanes(Runnable work) {
            fork(wavefront.lanes());
            try {
                work.run();
            } finally {
                join();
            }
        }

        /** The first in time of the steps {@code from} to {@code to - 1} of a cell, which are counted as they are processed. */
        private int firstTime(int state, int from, int to) {
            return reversed(state) ? timeSteps - to : from;
        }

        /** What layers of one cell each need to be at work at the same time. */
        private final class SideBySide {
            private final boolean forward;
            private final List<Masks> masks;
            private final List<List<Long>> packingRooms = new ArrayList<>();
            private final long[] mails;
            private final long[][] weights = new long[spec.layers()][];

            SideBySide(Scope workspace, boolean forward) {
                this.forward = forward;
                // Nothing is drawn.
                this.masks = List.of(new Masks(workspace));
                for (int layer = 0; layer < spec.layers(); layer++) {
                    packingRooms.add(List.of(packingRoom(workspace)));
                }
                this.mails = new long[wavefront.lanes()];
                Arrays.setAll(mails, lane -> mailRoom(workspace, forward));
            }

            /** Where a layer's packed recurrent weights lie; packs them when they are asked for first. */
            long[] weights(int layer) {
                if (weights[layer] == null) {
                    weights[layer] = packed(layer, forward, masks, packingRooms.get(layer));
                }
                return weights[layer];
            }

            Masks masks() {
                return masks.get(0);
            }

            /** The lanes of the engine, and what a layer does with a chunk. */
            Wavefront.Course course(Chunk chunk) {
                return new Wavefront.Course() {
                    @Override
                    public void lane(int lane) {
                        FusedEngine.this.lane(lane);
                        mail = mails[lane];
                    }

                    @Override
                    public void await(int lane, int other) {
                        FusedEngine.this.await(lane, other);
                    }

                    @Override
                    public void chunk(int layer, int from, int to) {
                        chunk.take(layer, from, to);
                    }
                };
            }
        }

        /** What each cell of a layer has for itself: the same for all of them where one is done with it before the next begins. */
        private <R> List<R> eachCell(Supplier<R> room) {
            R first = room.get();
            return cells == 1 ? List.of(first) : List.of(first, sweeping ? room.get() : first);
        }

        /** Where the outputs of cell k of a layer begin in those of all. */
        private long outputOf(long y, int k) {
            return y == 0 ? 0 : y + bytes((long) k * outputs);
        }

        private boolean reversed(int state) {
            return spec.direction().reversed(state % cells);
        }

        /** Brings what a cell's steps begin with: the inputs' share of all gates, and the initial state. */
        private void begin(int state, int layer, Masks masks) {
            LstmLayout.Cell weights = layout.cell(state);
            int inputs = spec.layerInputSize(layer);
            FusedTape.Cell cell = trace.cell(state);
            if (cell.normal() != null) {
                long u = output(cell.normal().u());
                product(false, true, rows, gates, inputs, layerInput(layer), weight(weights.inputWeights()), false, u);
                variation(cell, weights, masks).normalizeInputs(rows);
            } else if (!multipliesInputs(layer)) {
                beginInputs(state, layer, 0, timeSteps);
            }
            beginStates(state);
        }

        /** {@code W x + b} of so many steps from time t on. */
        private void beginInputs(int state, int layer, int t, int steps) {
            LstmLayout.Cell weights = layout.cell(state);
            int inputs = spec.layerInputSize(layer);
            int some = steps * batchSize;
            long a = at(output(trace.cell(state).gates()), t, gates);
            long x = at(layerInput(layer), t, inputs);
            setRows(a, weights.bias() == null ? 0 : weight(weights.bias()), some, gates);
            product(false, true, some, gates, inputs, x, weight(weights.inputWeights()), true, a);
        }

        private void beginStates(int state) {
            FusedTape.Cell cell = trace.cell(state);
            long h = output(cell.h());
            long c = output(cell.c());
            int firstSlot = reversed(state) ? timeSteps : 0;
            if (input.initial() == null) {
                clear(at(h, firstSlot, outputs), (long) batchSize * outputs);
                clear(at(c, firstSlot, hidden), (long) batchSize * hidden);
            } else {
                copy(
                        at(input(input.initial().h()), state, outputs),
                        at(h, firstSlot, outputs),
                        (long) batchSize * outputs);
                copy(
                        at(input(input.initial().c()), state, hidden),
                        at(c, firstSlot, hidden),
                        (long) batchSize * hidden);
            }
        }

        /** Copies a cell's last state to where it is wanted. */
        private void deliver(int state, LstmState last) {
            if (last != null) {
                FusedTape.Cell cell = trace.cell(state);
                int lastSlot = reversed(state) ? 0 : timeSteps;
                copyState(at(input(cell.h()), lastSlot, outputs), last.h(), state, outputs);
                copyState(at(input(cell.c()), lastSlot, hidden), last.c(), state, hidden);
            }
        }

        /** Room for what {@link #pack} makes of a cell's weights; 0 where none is needed. */
        private long packingRoom(Scope workspace) {
            return !sweeping || packed != 0
                    ? 0
                    : output(workspace.allocate("packed weights", Math.toIntExact(packedBytes() / real().bytes())));
        }

        /**
         * Brings a cell's recurrent weights into the order in which its kernel reads them, and behind them those of the inputs where it
         * multiplies by them.
         */
        private void pack(boolean forward, int state, long from, long to) {
            int layer = state / cells;
            ResidentKernel kernel = kernel(layer);
            kernels()
                    .launchExactly(kernel.packing(forward))
                    .address(from)
                    .address(to)
                    .integer(hidden)
                    .over(kernel.packedBytes() / Integer.BYTES);
            if (forward && multipliesInputs(layer)) {
                kernels()
                        .launchExactly(kernel.packingOfInputs())
                        .address(weight(layout.cell(state).inputWeights()))
                        .address(to + kernel.packedBytes())
                        .integer(hidden)
                        .integer(spec.layerInputSize(layer))
                        .over(kernel.packedInputBytes() / Integer.BYTES);
            }
        }

        /** Where the packed weights of the cells of a layer lie, in rooms unless they are packed already. */
        private long[] packed(int layer, boolean forward, List<Masks> masks, List<Long> rooms) {
            long[] places = new long[cells];
            for (int k = 0; k < cells; k++) {
                int state = layer * cells + k;
                if (packed == 0) {
                    pack(forward, state, recurrentWeights(layout.cell(state), masks.get(k)), rooms.get(k));
                    places[k] = rooms.get(k);
                } else {
                    places[k] = packed + state * packedBytes();
                }
            }
            return places;
        }

        /** Goes through time, for all cells of a layer at once. */
        private void sweep(int layer, long y, List<Masks> masks, List<Long> rooms) {
            launchForward(layer, y, packed(layer, true, masks, rooms), 0, timeSteps);
            for (int k = 0; k < cells; k++) {
                keepStates(layer * cells + k);
            }
        }

        /** Makes what the products of the way back read of the states, where there is to be one; no product of this pass does. */
        private void keepStates(int state) {
            if (trace.kept() == FusedTape.Kept.ALL) {
                operands.changed(before(state), (long) rows * outputs);
            }
        }

        /** Runs the kernel, from its packed weights, for the steps {@code from} to {@code to - 1} as they are processed. */
        private void launchForward(int layer, long y, long[] weights, int from, int to) {
            launch(layer, true, weights, from, to, launch -> {
                for (int k = 0; k < Direction.BIDIRECTIONAL.cells(); k++) {
                    if (k < cells) {
                        FusedTape.Cell cell = trace.cell(layer * cells + k);
                        launch.address(output(cell.gates()))
                                .address(weights[k])
                                .address(output(cell.h()))
                                .address(output(cell.c()))
                                .address(outputOf(y, k));
                    } else {
                        launch.address(0).address(0).address(0).address(0).address(0);
                    }
                }
            });
        }

        /** The same on the way back: leaves {@code da} where the gates were. */
        private void sweepBack(int layer, long dy, List<VariedCell.Gradients> d, List<Masks> masks, List<Long> rooms) {
            launchBackward(layer, dy, d, packed(layer, false, masks, rooms), 0, timeSteps);
        }

        private void launchBackward(
                int layer, long dy, List<VariedCell.Gradients> d, long[] weights, int from, int to) {
            launch(layer, false, weights, from, to, launch -> {
                for (int k = 0; k < Direction.BIDIRECTIONAL.cells(); k++) {
                    if (k < cells) {
                        FusedTape.Cell cell = trace.cell(layer * cells + k);
                        launch.address(output(cell.gates()))
                                .address(weights[k])
                                .address(input(cell.c()))
                                .address(d.get(k).dh())
                                .address(d.get(k).dc())
                                .address(outputOf(dy, k));
                    } else {
                        launch.address(0)
                                .address(0)
                                .address(0)
                                .address(0)
                                .address(0)
                                .address(0);
                    }
                }
            });
        }

        /** Runs the kernel for some steps, on all batch tiles; where its blocks run together, on as many at a time as there is room for. */
        private void launch(
                int layer, boolean forward, long[] weights, int from, int to, Consumer<Kernels.Launch> arrays) {
            ResidentKernel kernel = kernel(layer);
            int reversed = 0;
            for (int k = 0; k < cells; k++) {
                reversed |= reversed(k) ? 1 << k : 0;
            }
            int tiles = kernel.tiles(batchSize);
            int most = kernel.tilesOfALaunch(batchSize, gpu.room(cells));
            for (int tile = 0; tile < tiles; tile += most) {
                int count = Math.min(most, tiles - tile);
                if (kernel.together()) {
                    clear(mail, kernel.mailBytes(forward, count * cells) / real().bytes());
                }
                Kernels.Launch launch = kernels().launchExactly(kernel.name(forward));
                arrays.accept(launch);
                launch.integer(width)
                        .address(lengths)
                        .integer(reversed)
                        .integer(from)
                        .integer(to)
                        .integer(timeSteps)
                        .integer(batchSize)
                        .integer(hidden)
                        .real(spec.cellClip())
                        .shared(kernel.shared(forward));
                if (forward && multipliesInputs(layer)) {
                    inputs(launch, layer, weights);
                }
                if (kernel.largeCluster()) {
                    launch.largeClusters();
                }
                if (kernel.together()) {
                    launch.integer(tile).address(mail).together();
                }
                launch.blocks(kernel.blocks(count), cells, kernel.threads());
            }
        }

        /** What a kernel takes that makes the product with the inputs; it looks at none past the end of a sequence. */
        private void inputs(Kernels.Launch launch, int layer, long[] weights) {
            launch.address(input(layer == 0 ? input.x() : trace.layerInput(layer)));
            for (int k = 0; k < Direction.BIDIRECTIONAL.cells(); k++) {
                ParameterView bias = layout.cell(layer * cells + k % cells).bias();
                launch.address(k < cells ? weights[k] + kernel(layer).packedBytes() : 0)
                        .address(k < cells && bias != null ? weight(bias) : 0);
            }
            launch.integer(spec.layerInputSize(layer));
        }

        /** Where the blocks of a launch leave what others are to have; 0 where they do not run together. */
        private long mailRoom(Scope workspace, boolean forward) {
            long bytes = most(
                    kernel -> kernel.mailBytes(forward, kernel.tilesOfALaunch(batchSize, gpu.room(cells)) * cells));
            return bytes == 0 ? 0 : output(workspace.allocate("mail", Math.toIntExact(bytes / real().bytes())));
        }

        /** Where the states before all steps lie, in the order of time, as the products with the recurrent weights read them. */
        private long before(int state) {
            return at(seen(trace.cell(state)), reversed(state) ? 1 : 0, outputs);
        }

        /** Goes through time, a product and a kernel a step. */
        private void steps(int state, long y, Masks masks) {
            LstmLayout.Cell weights = layout.cell(state);
            boolean reversed = reversed(state);
            FusedTape.Cell cell = trace.cell(state);
            long a = output(cell.gates());
            long h = output(cell.h());
            long c = output(cell.c());
            long m = optionalOutput(cell.m());
            VariedCell variation = variation(cell, weights, masks);
            boolean normal = cell.normal() != null;
            long share = normal ? output(cell.normal().v()) : a;
            int firstSlot = reversed ? timeSteps : 0;
            boolean fromZero = input.initial() == null;
            long seen = seen(cell);
            if (dropsRecurrent) {
                masks.drop(LstmMask.RECURRENT, state, at(h, firstSlot, outputs), at(seen, firstSlot, outputs));
            }
            operands.changed(at(seen, firstSlot, outputs), (long) batchSize * outputs);
            for (int step = 0; step < timeSteps; step++) {
                int t = reversed ? timeSteps - 1 - step : step;
                int before = reversed ? t + 1 : t;
                int after = reversed ? t : t + 1;
                if (step > 0 || !fromZero) {
                    // Nothing comes through R from a state of zeros.
                    product(
                            false,
                            true,
                            batchSize,
                            gates,
                            outputs,
                            at(seen, before, outputs),
                            recurrentWeights(weights, masks),
                            !normal,
                            at(share, t, gates));
                } else if (normal) {
                    clear(at(share, t, gates), (long) batchSize * gates);
                }
                if (variation != null) {
                    variation.forward(t, before, after, at(y, t, width), width);
                } else {
                    plainForward(t, before, after, a, h, c, m, y);
                }
                if (spec.projected()) {
                    operands.changed(at(m, t, hidden), (long) batchSize * hidden);
                    product(
                            false,
                            true,
                            batchSize,
                            outputs,
                            hidden,
                            at(m, t, hidden),
                            weight(weights.projection()),
                            false,
                            at(h, after, outputs));
                    if (variation != null) {
                        variation.projectForward(t, before, after, at(y, t, width), width);
                    } else {
                        plainProjectForward(t, before, after, h, y);
                    }
                }
                if (step < timeSteps - 1) {
                    // No product reads the last one.
                    operands.changed(at(seen, after, outputs), (long) batchSize * outputs);
                }
            }
        }

        private void plainForward(int t, int before, int after, long a, long h, long c, long m, long y) {
            kernels()
                    .launch("lstm_forward")
                    .address(at(a, t, gates))
                    .address(at(c, before, hidden))
                    .address(at(c, after, hidden))
                    .address(spec.projected() ? 0 : at(h, before, outputs))
                    .address(spec.projected() ? 0 : at(h, after, outputs))
                    .address(spec.projected() ? at(m, t, hidden) : 0)
                    .address(spec.projected() ? 0 : at(y, t, width))
                    .integer(width)
                    .address(0)
                    .address(lengths)
                    .integer(t)
                    .integer(batchSize)
                    .integer(hidden)
                    .real(spec.cellClip())
                    .over((long) batchSize * hidden);
        }

        private void plainProjectForward(int t, int before, int after, long h, long y) {
            kernels()
                    .launch("lstm_project_forward")
                    .address(at(h, before, outputs))
                    .address(at(h, after, outputs))
                    .address(at(y, t, width))
                    .integer(width)
                    .address(lengths)
                    .integer(t)
                    .integer(batchSize)
                    .integer(outputs)
                    .over((long) batchSize * outputs);
        }

        /** The kernels of a cell that is more than the plain one, otherwise null. */
        private VariedCell variation(FusedTape.Cell cell, LstmLayout.Cell weights, Masks masks) {
            return varied
                    ? new VariedCell(
                            kernels(), spec, real(), batchSize, lengths, cell, weights, parameters, masks.addresses())
                    : null;
        }

        /** Where what the recurrent weights see of h lies, slot by slot. */
        private long seen(FusedTape.Cell cell) {
            return input(dropsRecurrent ? cell.seen() : cell.h());
        }

        private long recurrentWeights(LstmLayout.Cell weights, Masks masks) {
            return dropsWeights ? masks.weights : weight(weights.recurrentWeights());
        }

        /** Copies one cell's state to its place among all, where it is wanted. */
        private void copyState(long from, Tensor states, int state, int stateWidth) {
            if (states != null) {
                copy(from, at(output(states), state, stateWidth), (long) batchSize * stateWidth);
            }
        }

        void backward(LstmOutput outputGradient, Tensor parameterGradients, LstmInputGradient inputGradient) {
            long gradients = optionalOutput(parameterGradients);
            if (wavefront != null) {
                backwardSideBySide(outputGradient, gradients, inputGradient);
                return;
            }
            try (Scope workspace = openScope("backward workspace")) {
                long dm = spec.projected() ? output(workspace.allocate("dm", batchSize, hidden)) : 0;
                long dhTotal = spec.projected()
                        ? output(workspace.allocate("dh of all steps", timeSteps, batchSize, outputs))
                        : 0;
                if (spec.projected()) {
                    copyInto(workspace, "narrow dh", timeSteps, batchSize, outputs, dhTotal);
                }
                Tensor narrowGates = operands.narrow()
                        ? workspace.allocate("narrow gates", operands(), Shape.of(timeSteps, batchSize, gates))
                        : null;
                Tensor narrowInputs = operands.narrow() && spec.layerNormalization()
                        ? workspace.allocate("narrow du", operands(), Shape.of(timeSteps, batchSize, gates))
                        : null;
                // A layer reads the gradient of its output from one and writes that of its input to the other.
                long[] between = new long[2];
                for (int k = 0; k < Math.min(2, spec.layers() - 1); k++) {
                    between[k] = output(workspace.allocate("layer gradient", timeSteps, batchSize, width));
                }
                List<VariedCell.Gradients> d = eachCell(() -> new VariedCell.Gradients(
                        output(workspace.allocate("dh", batchSize, outputs)),
                        dropsRecurrent ? output(workspace.allocate("dh after dropout", batchSize, outputs)) : 0,
                        output(workspace.allocate("dc", batchSize, hidden)),
                        dm,
                        dhTotal,
                        sums(workspace, spec.peepholes() && gradients != 0, "dp", (Gate.COUNT - 1) * hidden),
                        sums(workspace, spec.layerNormalization() && gradients != 0, "dgamma of gates", gates),
                        sums(workspace, spec.layerNormalization() && gradients != 0, "dgamma of cells", 2 * hidden)));
                List<Masks> masks = eachCell(() -> new Masks(workspace));
                List<Long> packingRooms = eachCell(() -> packingRoom(workspace));
                mail = mailRoom(workspace, false);
                long dy = optionalInput(outputGradient.y());
                for (int layer = spec.layers() - 1; layer >= 0; layer--) {
                    long dx = layer == 0 ? optionalOutput(inputGradient.dx()) : between[(layer - 1) % 2];
                    ResidentKernel kernel = kernel(layer);
                    if (kernel != null) {
                        for (int k = 0; k < cells; k++) {
                            int state = layer * cells + k;
                            loadStates(outputGradient.last(), state, d.get(k));
                            masks.get(k).draw(state);
                        }
                        sweepBack(layer, dy, d, masks, packingRooms);
                    }
                    for (int k = 0; k < cells; k++) {
                        int state = layer * cells + k;
                        FusedTape.Cell cell = trace.cell(state);
                        if (kernel == null) {
                            loadStates(outputGradient.last(), state, d.get(k));
                        }
                        if (narrowGates != null) {
                            copyInto(
                                    narrowGates,
                                    input(
                                            spec.layerNormalization()
                                                    ? cell.normal().v()
                                                    : cell.gates()));
                        }
                        if (narrowInputs != null) {
                            copyInto(narrowInputs, input(cell.normal().u()));
                        }
                        if (kernel == null) {
                            masks.get(k).draw(state);
                            stepsBack(state, outputOf(dy, k), d.get(k), masks.get(k));
                        } else {
                            operands.changed(input(cell.gates()), (long) rows * gates);
                        }
                        products(state, layer, k == 0, gradients, d.get(k), dx, masks.get(k));
                        if (inputGradient.initial() != null) {
                            copyState(d.get(k).dh(), inputGradient.initial().h(), state, outputs);
                            copyState(d.get(k).dc(), inputGradient.initial().c(), state, hidden);
                        }
                    }
                    if (layer > 0 && drops()) {
                        dropout(dx, spec.dropout(), input.dropout().substream(layer - 1), dx, (long) rows * width);
                    }
                    dy = dx;
                }
            }
        }

        /**
         * Goes back through all layers at once; the products for the gradients of parameters, which nothing waits for, come after it, in the
         * order in which they come where layers go one after the other.
         */
        private void backwardSideBySide(LstmOutput outputGradient, long gradients, LstmInputGradient inputGradient) {
            int last = spec.layers() - 1;
            try (Scope workspace = openScope("backward workspace")) {
                SideBySide layers = new SideBySide(workspace, false);
                List<VariedCell.Gradients> d = new ArrayList<>();
                // Layer l reads the gradient of its output from one and writes that of its input to the other: in each
                // chunk, layer l + 1
                // has written and layer l has read what layer l - 1 writes over.
                long[] between = new long[2];
                for (int layer = 0; layer <= last; layer++) {
                    d.add(new VariedCell.Gradients(
                            output(workspace.allocate("dh", batchSize, outputs)),
                            0,
                            output(workspace.allocate("dc", batchSize, hidden)),
                            0,
                            0,
                            0,
                            0,
                            0));
                    if (layer > 0 && layer <= between.length) {
                        between[(layer - 1) % 2] =
                                output(workspace.allocate("layer gradient", timeSteps, batchSize, width));
                    }
                    long a = input(trace.cell(layer).gates());
                    copyInto(workspace, "narrow gates", timeSteps, batchSize, gates, a);
                }
                inLanes(() -> wavefront.backward(layers.course((layer, from, to) -> {
                    if (to == timeSteps) {
                        loadStates(outputGradient.last(), layer, d.get(layer));
                    }
                    long dy = layer == last ? optionalInput(outputGradient.y()) : between[layer % 2];
                    launchBackward(layer, dy, List.of(d.get(layer)), layers.weights(layer), from, to);
                    int t = firstTime(layer, from, to);
                    int some = (to - from) * batchSize;
                    long da = at(output(trace.cell(layer).gates()), t, gates);
                    operands.changed(da, (long) some * gates);
                    if (layer > 0) {
                        long w = weight(layout.cell(layer).inputWeights());
                        long dx = at(between[(layer - 1) % 2], t, width);
                        product(false, false, some, spec.layerInputSize(layer), gates, da, w, false, dx);
                    }
                })));
                for (int layer = last; layer >= 0; layer--) {
                    long dx = layer == 0 ? optionalOutput(inputGradient.dx()) : 0;
                    products(layer, layer, true, gradients, d.get(layer), dx, layers.masks());
                    if (inputGradient.initial() != null) {
                        copyState(d.get(layer).dh(), inputGradient.initial().h(), layer, outputs);
                        copyState(d.get(layer).dc(), inputGradient.initial().c(), layer, hidden);
                    }
                }
            }
        }

        /** One cell's part of the gradient with respect to the last states. */
        private void loadStates(LstmState last, int state, VariedCell.Gradients d) {
            loadState(last == null ? null : last.h(), state, outputs, d.dh());
            loadState(last == null ? null : last.c(), state, hidden, d.dc());
        }

        /** One cell's part of a gradient with respect to states; zeros where there is none. */
        private void loadState(Tensor states, int state, int stateWidth, long into) {
            if (states == null) {
                clear(into, (long) batchSize * stateWidth);
            } else {
                copy(at(input(states), state, stateWidth), into, (long) batchSize * stateWidth);
            }
        }

        /** Goes back through time: leaves {@code da} where the gates were. */
        private void stepsBack(int state, long dy, VariedCell.Gradients d, Masks masks) {
            LstmLayout.Cell weights = layout.cell(state);
            boolean reversed = reversed(state);
            FusedTape.Cell cell = trace.cell(state);
            long a = output(cell.gates());
            long c = input(cell.c());
            long da = cell.normal() == null ? a : output(cell.normal().v());
            VariedCell variation = variation(cell, weights, masks);
            clearSums(d.dSeen(), outputs);
            clearSums(d.peepholes(), (Gate.COUNT - 1) * hidden);
            clearSums(d.gateGains(), gates);
            clearSums(d.cellGains(), 2 * hidden);
            for (int step = timeSteps - 1; step >= 0; step--) {
                int t = reversed ? timeSteps - 1 - step : step;
                int before = reversed ? t + 1 : t;
                int after = reversed ? t : t + 1;
                long dyNow = dy == 0 ? 0 : at(dy, t, width);
                if (spec.projected()) {
                    if (variation != null) {
                        variation.projectBackward(t, d, dyNow, width);
                    } else {
                        plainProjectBackward(t, d, dyNow);
                    }
                    operands.changed(at(d.dHidden(), t, outputs), (long) batchSize * outputs);
                    product(
                            false,
                            false,
                            batchSize,
                            hidden,
                            outputs,
                            at(d.dHidden(), t, outputs),
                            weight(weights.projection()),
                            false,
                            d.dm());
                }
                if (variation != null) {
                    variation.backward(t, before, d, dyNow, width);
                } else {
                    plainBackward(t, before, after, a, c, d, dyNow);
                }
                operands.changed(at(da, t, gates), (long) batchSize * gates);
                product(
                        false,
                        false,
                        batchSize,
                        outputs,
                        gates,
                        at(da, t, gates),
                        recurrentWeights(weights, masks),
                        !dropsRecurrent,
                        dropsRecurrent ? d.dSeen() : d.dh());
            }
            if (dropsRecurrent) {
                masks.drop(LstmMask.RECURRENT, state, d.dSeen(), d.dSeen());
                add(d.dSeen(), d.dh(), (long) batchSize * outputs);
            }
        }

        private void plainProjectBackward(int t, VariedCell.Gradients d, long dy) {
            kernels()
                    .launch("lstm_project_backward")
                    .address(d.dh())
                    .address(dy)
                    .integer(width)
                    .address(at(d.dHidden(), t, outputs))
                    .address(lengths)
                    .integer(t)
                    .integer(batchSize)
                    .integer(outputs)
                    .over((long) batchSize * outputs);
        }

        private void plainBackward(int t, int before, int after, long a, long c, VariedCell.Gradients d, long dy) {
            kernels()
                    .launch("lstm_backward")
                    .address(at(a, t, gates))
                    .address(at(c, before, hidden))
                    .address(at(c, after, hidden))
                    .address(spec.projected() ? 0 : d.dh())
                    .address(spec.projected() ? 0 : dy)
                    .integer(width)
                    .address(d.dm())
                    .address(d.dc())
                    .address(0)
                    .address(lengths)
                    .integer(t)
                    .integer(batchSize)
                    .integer(hidden)
                    .real(spec.cellClip())
                    .over((long) batchSize * hidden);
        }

        /** Room for each sequence's share of a gradient; 0 where it is not wanted. */
        private long sums(Scope workspace, boolean wanted, String name, int columns) {
            return wanted ? output(workspace.allocate(name, batchSize, columns)) : 0;
        }

        private void clearSums(long sums, int columns) {
            if (sums != 0) {
                clear(sums, (long) batchSize * columns);
            }
        }

        /** The gradients that all time steps add to. */
        private void products(
                int state, int layer, boolean firstCell, long gradients, VariedCell.Gradients d, long dx, Masks masks) {
            LstmLayout.Cell weights = layout.cell(state);
            int inputs = spec.layerInputSize(layer);
            FusedTape.Cell cell = trace.cell(state);
            long da = output(cell.gates());
            long du = da;
            long dv = da;
            if (gradients != 0 && weights.bias() != null) {
                addColumnSums(da, rows, gates, gradients + bytes(weights.bias().offset()));
            }
            if (cell.normal() != null) {
                du = output(cell.normal().u());
                dv = input(cell.normal().v());
                variation(cell, weights, masks).inputGradients(rows);
                operands.changed(du, (long) rows * gates);
            }
            if (dx != 0) {
                product(false, false, rows, inputs, gates, du, weight(weights.inputWeights()), !firstCell, dx);
            }
            if (gradients == 0) {
                return;
            }
            long before = before(state);
            addProduct(gates, inputs, du, layerInput(layer), gradients, weights.inputWeights());
            if (dropsWeights) {
                product(true, false, gates, outputs, rows, dv, before, false, masks.weights);
                masks.drop(LstmMask.RECURRENT_WEIGHTS, state, masks.weights, masks.weights);
                add(masks.weights, gradients + bytes(weights.recurrentWeights().offset()), (long) gates * outputs);
            } else {
                addProduct(gates, outputs, dv, before, gradients, weights.recurrentWeights());
            }
            if (weights.projection() != null) {
                addProduct(outputs, hidden, d.dHidden(), input(cell.m()), gradients, weights.projection());
            }
            if (weights.peepholes() != null) {
                long dp = gradients + bytes(weights.peepholes().offset());
                addColumnSums(d.peepholes(), batchSize, (Gate.COUNT - 1) * hidden, dp);
            }
            if (cell.normal() != null) {
                long dGates = gradients + bytes(weights.gateNormalization().offset());
                addColumnSums(da, rows, gates, dGates);
                addColumnSums(d.gateGains(), batchSize, gates, dGates + bytes(gates));
                long dCell = gradients + bytes(weights.cellNormalization().offset());
                addColumnSums(d.cellGains(), batchSize, 2 * hidden, dCell);
            }
        }

        /** {@code dW [m, n] += left [T N, m]^T right [T N, n]}. */
        private void addProduct(int m, int n, long left, long right, long gradients, ParameterView view) {
            product(true, false, m, n, rows, left, right, true, gradients + bytes(view.offset()));
        }

        /** What one cell after the other draws in this call: one room for all of them. */
        private final class Masks {
            private final long candidate;
            private final long cell;
            private final long hiddenState;
            private final long recurrent;
            /** {@code d_R * R [4H, P]}; after the steps of a backward pass room for its gradient. */
            private final long weights;

            Masks(Scope scope) {
                boolean draws = input.dropout() != null;
                candidate = room(scope, LstmMask.CANDIDATE, spec.candidateDropout() > 0, rows, hidden);
                cell = room(scope, LstmMask.ZONEOUT_CELL, draws && spec.zoneoutCell() > 0, rows, hidden);
                hiddenState = room(scope, LstmMask.ZONEOUT_HIDDEN, draws && spec.zoneoutHidden() > 0, rows, outputs);
                recurrent = room(scope, LstmMask.RECURRENT, dropsRecurrent, batchSize, outputs);
                weights = room(scope, LstmMask.RECURRENT_WEIGHTS, dropsWeights, gates, outputs);
                if (dropsWeights && kernels.contains(Optional.<ResidentKernel>empty())) {
                    copyInto(scope, "narrow weights", 1, gates, outputs, weights);
                }
            }

            private long room(Scope scope, LstmMask mask, boolean wanted, int maskRows, int columns) {
                return wanted ? output(scope.allocate("mask " + mask, maskRows, columns)) : 0;
            }

            VariedCell.Masks addresses() {
                return new VariedCell.Masks(candidate, cell, hiddenState, recurrent);
            }

            private RandomKey key(LstmMask mask, int state) {
                return mask.key(input.dropout(), state / cells, state % cells);
            }

            void draw(int state) {
                drops(LstmMask.CANDIDATE, state, candidate, (long) rows * hidden);
                holds(LstmMask.ZONEOUT_CELL, state, cell, (long) rows * hidden);
                holds(LstmMask.ZONEOUT_HIDDEN, state, hiddenState, (long) rows * outputs);
                drops(LstmMask.RECURRENT, state, recurrent, (long) batchSize * outputs);
                if (weights != 0) {
                    drop(
                            LstmMask.RECURRENT_WEIGHTS,
                            state,
                            weight(layout.cell(state).recurrentWeights()),
                            weights);
                    operands.changed(weights, (long) gates * outputs);
                }
            }

            private void drops(LstmMask mask, int state, long at, long elements) {
                double probability = mask.probability(spec);
                if (at != 0) {
                    mask(at, probability, key(mask, state), 0, 1 / (1 - probability), elements);
                }
            }

            private void holds(LstmMask mask, int state, long at, long elements) {
                if (at != 0) {
                    mask(at, mask.probability(spec), key(mask, state), 1, 0, elements);
                }
            }

            /** {@code y = d * x} for one of the masks that are the same at all steps. */
            void drop(LstmMask mask, int state, long x, long y) {
                long elements = (long) (mask == LstmMask.RECURRENT ? batchSize : gates) * outputs;
                dropout(x, mask.probability(spec), key(mask, state), y, elements);
            }
        }
    }
}
