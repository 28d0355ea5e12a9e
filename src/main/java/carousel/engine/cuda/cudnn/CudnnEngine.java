package carousel.engine.cuda.cudnn;

import carousel.engine.Direction;
import carousel.engine.EngineException;
import carousel.engine.EngineOptions;
import carousel.engine.LstmFeature;
import carousel.engine.LstmInput;
import carousel.engine.LstmInputGradient;
import carousel.engine.LstmLayout;
import carousel.engine.LstmOutput;
import carousel.engine.LstmSpec;
import carousel.engine.LstmState;
import carousel.engine.LstmTape;
import carousel.engine.Shapes;
import carousel.engine.cuda.ChoiceMemory;
import carousel.engine.cuda.CudaEngine;
import carousel.engine.cuda.CudaProbe;
import carousel.engine.cuda.DeviceStorage;
import carousel.engine.cuda.Rehearsal;
import carousel.engine.cuda.Release;
import carousel.engine.cuda.Sizes;
import carousel.tensor.ElementType;
import carousel.tensor.Precision;
import carousel.tensor.Scope;
import carousel.tensor.Shape;
import carousel.tensor.Tensor;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * The LSTM by cuDNN: the whole stack in one call, or, where there is dropout between its layers, one layer a call with Carousel's own
 * masks between. The weights are copied to where cuDNN wants them, again only when they may have changed, and so are their gradients on
 * the way back.
 *
 * <p>In FP16 tensors hold single precision, as everywhere at the seam, and so do master weights; what cuDNN reads is narrowed before a
 * call and what it writes is widened after it, and linear layers and losses compute in FP32. The engine does not scale gradients: the
 * loss's gradient should be so large that what becomes of it in half precision does not vanish, as a trainer's loss scale makes it.
 */
final class CudnnEngine extends CudaEngine {
    private final Dnn dnn;
    private final Networks networks;
    private final AlgorithmChoice choice;
    private final boolean half;
    private final Map<WeightsKey, Weights> weights = new HashMap<>();

    /** Weights that lie at an address, as one network wants them. */
    private record WeightsKey(Network network, long address) {}

    /** A weight space; it lives as long as the parameters that it is a copy of. */
    private static final class Weights {
        private final Tensor space;
        /** Of the parameters that were copied. */
        private long version = -1;

        Weights(Tensor space) {
            this.space = space;
        }
    }

    /**
     * What one call of cuDNN computes of a stack.
     *
     * @param stack the part by itself, without dropout
     * @param firstState the number of its first state among those of the whole
     * @param firstWeight where its weights begin in the whole's parameters; there they lie as in a layout of its own
     */
    private record Part(LstmSpec stack, int firstState, long firstWeight) {}

    /** @param pinned the algorithm for all stacks; nothing for the fastest of each */
    CudnnEngine(EngineOptions options, Precision precision, Optional<Algorithm> pinned) {
        super(options, precision, precision.storage());
        this.half = precision == Precision.FP16;
        try {
            dnn = new Dnn(context(), precision);
            networks = new Networks(dnn);
            choice = choice(pinned);
        } catch (RuntimeException | Error failure) {
            Release.after(failure, this::close);
            throw failure;
        }
    }

    /** Joins an engine that is open. */
    CudnnEngine(CudaEngine host, Optional<Algorithm> pinned) {
        super(host);
        this.half = precision() == Precision.FP16;
        try {
            dnn = new Dnn(context(), precision());
            networks = new Networks(dnn);
            choice = choice(pinned);
        } catch (RuntimeException | Error failure) {
            Release.after(failure, this::close);
            throw failure;
        }
    }

    private AlgorithmChoice choice(Optional<Algorithm> pinned) {
        return new AlgorithmChoice(
                pinned,
                precision(),
                () -> ChoiceMemory.of("cuDNN's algorithms on " + context().machine() + ", " + CudaProbe.cudnnVersion()),
                Trial::new);
    }

    @Override
    public String name() {
        return CudnnEngineProvider.NAME;
    }

    @Override
    protected String libraries() {
        return ", " + CudaProbe.cudnnVersion();
    }

    /** For each shape so far, a line that says which of cuDNN's algorithms runs it and why. */
    @Override
    public List<String> notes() {
        return choice.lines();
    }

    @Override
    public boolean forgetPoorChoices() {
        return choice.forgetPoor();
    }

    @Override
    public Optional<String> refusal(LstmSpec spec) {
        Optional<String> beyond = spec.beyond(LstmFeature.USUAL);
        if (beyond.isPresent()) {
            return beyond.map(option -> "cuDNN does not compute " + option
                    + ": choose the engine 'fused', or leave it out of the specification");
        } else if (spec.direction() == Direction.REVERSE) {
            return Optional.of(
                    "cuDNN has no stack that reads in reverse only: choose the engine 'fused', or both directions");
        }
        return choice.refusal(spec).map(Throwable::getMessage);
    }

    /** Throws {@link EngineException} with the {@link #refusal} where there is one. */
    private void requireSupported(LstmSpec spec) {
        refusal(spec).ifPresent(reason -> {
            throw new EngineException(reason);
        });
    }

    @Override
    public LstmTape openTape(Scope scope, LstmSpec spec, int timeSteps, int batchSize) {
        requireSupported(spec);
        return new CudnnTape(spec, scope, timeSteps, batchSize);
    }

    @Override
    public void lstmForward(LstmSpec spec, Tensor parameters, LstmInput given, LstmOutput output, LstmTape tape) {
        context().enter();
        requireSupported(spec);
        Shapes.requireForward(spec, parameters, given, output, tape);
        // cuDNN's descriptors want the lengths of the host.
        LstmInput input = withLengthsAtHand(given);
        boolean layered = layerByLayer(spec, input);
        if (tape != null) {
            new Pass(spec, parameters, input, ((CudnnTape) tape).trace(layered), true, null).forward(output);
            tape.record(parameters, input, output);
            return;
        }
        try (Scope workspace = openScope("forward workspace")) {
            CudnnTape.Trace trace = new CudnnTape.Trace(workspace, layered ? spec.layers() : 1);
            new Pass(spec, parameters, input, trace, false, null).forward(output);
        }
    }

    @Override
    public void lstmBackward(
            LstmTape tape, LstmOutput outputGradient, Tensor parameterGradients, LstmInputGradient inputGradient) {
        context().enter();
        Shapes.requireBackward(tape, outputGradient, parameterGradients, inputGradient);
        tape.consume();
        CudnnTape.Trace trace = ((CudnnTape) tape).trace(layerByLayer(tape.spec(), tape.input()));
        new Pass(tape.spec(), tape.parameters(), tape.input(), trace, true, null)
                .backward(outputGradient, parameterGradients, inputGradient);
    }

    /** Whether there is something to do between the layers. */
    private static boolean layerByLayer(LstmSpec spec, LstmInput input) {
        return spec.dropout() > 0 && spec.layers() > 1 && input.dropout() != null;
    }

    private static List<Part> parts(LstmSpec spec, boolean layered) {
        LstmSpec stack = spec.withDropout(0);
        if (!layered) {
            return List.of(new Part(stack, 0, 0));
        }
        LstmLayout layout = LstmLayout.of(spec);
        List<Part> parts = new ArrayList<>();
        for (int layer = 0; layer < spec.layers(); layer++) {
            int firstState = layer * spec.direction().cells();
            parts.add(new Part(
                    stack.withLayers(1).withInputSize(spec.layerInputSize(layer)),
                    firstState,
                    layout.cell(firstState).inputWeights().offset()));
        }
        return parts;
    }

    /** Null where all sequences have all steps, however that was said. */
    private static int[] differing(int[] lengths, int timeSteps) {
        if (lengths != null) {
            for (int length : lengths) {
                if (length != timeSteps) {
                    return lengths;
                }
            }
        }
        return null;
    }

    /** The address of a tensor of whatever type; 0 where there is none. */
    private static long address(Tensor tensor) {
        return tensor == null ? 0 : DeviceStorage.address(tensor, tensor.type());
    }

    /** So many reals hold so many bytes. */
    private long reals(long bytes) {
        return (bytes + real().bytes() - 1) / real().bytes();
    }

    /** Memory of which only cuDNN knows what is in it; null for no bytes. */
    private Tensor space(Rooms rooms, String name, long bytes) {
        return bytes == 0 ? null : rooms.atLeast(name, real(), reals(bytes));
    }

    private void widen(long from, long to, long elements) {
        kernels()
                .launchExactly("carousel_widen_f16")
                .address(from)
                .address(to)
                .number(elements)
                .over(elements);
    }

    /** The address of the weights as the network wants them. */
    private long weights(Network network, Tensor parameters, long firstWeight) {
        long flat = input(parameters) + bytes(firstWeight);
        WeightsKey key = new WeightsKey(network, flat);
        Weights copy = weights.get(key);
        if (copy == null || copy.space.scope().isClosed()) {
            weights.values().removeIf(other -> other.space.scope().isClosed());
            copy = new Weights(
                    parameters.scope().allocate("cuDNN's weights", real(), Rooms.shape(reals(network.weightBytes()))));
            weights.put(key, copy);
        }
        long space = address(copy.space);
        long version = DeviceStorage.version(parameters);
        if (copy.version != version) {
            for (Network.Piece piece : network.pieces(space)) {
                long from = flat + bytes(piece.flat());
                long to = space + piece.place() * dnn.elements().bytes();
                if (half) {
                    narrow(from, to, piece.count(), ElementType.FLOAT16);
                } else {
                    copy(from, to, piece.count());
                }
            }
            // A copy that fails is not to count as made.
            context().handOver();
            copy.version = version;
        }
        return space;
    }

    /** Algorithms tried on a stack. */
    private final class Trial extends Rehearsal<Algorithm> {
        private final boolean training;

        Trial(AlgorithmChoice.Shape shape) {
            super(
                    CudnnEngine.this,
                    Algorithm.STANDARD,
                    shape.stack(),
                    new Sizes(shape.timeSteps(), shape.batchSize()),
                    shape.whole());
            this.training = shape.training();
        }

        @Override
        protected Rehearsal.Pass open(Algorithm algorithm, Scope room) {
            CudnnTape.Trace trace = new CudnnTape.Trace(room, 1);
            return ofStack(
                    room,
                    output -> by(algorithm, trace).forward(output),
                    training
                            ? (gradients, inputGradient) ->
                                    by(algorithm, trace).backward(gradient(), gradients, inputGradient)
                            : null);
        }

        private CudnnEngine.Pass by(Algorithm algorithm, CudnnTape.Trace trace) {
            return new CudnnEngine.Pass(spec(), parameters(), input(), trace, training, algorithm);
        }
    }

    private long zeros(Rooms rooms, String name, long bytes) {
        long address = address(space(rooms, name, bytes));
        clear(address, reals(bytes));
        return address;
    }

    /** Everything that the LSTM holds besides tensors; where opening failed halfway, what there is of it. */
    @Override
    protected void releaseMore() {
        Release release = new Release().of(context()::synchronize);
        if (networks != null) {
            release.of(networks::close);
        }
        if (dnn != null) {
            release.of(dnn::close);
        }
        release.finish();
    }

    /** One call's sizes and tensors. */
    private final class Pass {
        private final LstmSpec spec;
        private final Tensor parameters;
        private final LstmInput input;
        private final CudnnTape.Trace trace;
        private final boolean training;
        /** What runs every part; null for what is chosen. */
        private final Algorithm given;

        private final List<Part> parts;
        private final int timeSteps;
        private final int batchSize;
        private final int[] lengths;

        Pass(
                LstmSpec spec,
                Tensor parameters,
                LstmInput input,
                CudnnTape.Trace trace,
                boolean training,
                Algorithm given) {
            this.spec = spec;
            this.parameters = parameters;
            this.input = input;
            this.trace = trace;
            this.training = training;
            this.given = given;
            this.parts = parts(spec, layerByLayer(spec, input));
            this.timeSteps = input.x().shape().extent(0);
            this.batchSize = input.x().shape().extent(1);
            this.lengths = differing(input.lengths(), timeSteps);
        }

        /** Room for the lengths, on the device; null where all sequences have all steps. */
        private Tensor deviceLengths() {
            return lengths == null ? null : trace.rooms().get("lengths", ElementType.INT32, Shape.of(batchSize));
        }

        void forward(LstmOutput output) {
            if (lengths != null) {
                write(deviceLengths(), lengths);
            }
            Tensor x = input.x();
            int top = parts.size() - 1;
            for (int k = 0; k <= top; k++) {
                CudnnTape.Part record = trace.part(k);
                Shape between = Shape.of(timeSteps, batchSize, spec.sequenceWidth());
                Tensor y = k == top ? output.y() : record.rooms().get("layer output", real(), between);
                forward(parts.get(k), record, x, y, output.last());
                if (k < top) {
                    // Not in place: cuDNN wants to see its own outputs again in the backward pass.
                    x = record.rooms().get("layer output after dropout", real(), between);
                    dropout(y, spec.dropout(), input.dropout().substream(k), x);
                }
            }
        }

        private void forward(Part part, CudnnTape.Part record, Tensor x, Tensor y, LstmState last) {
            LstmSpec stack = part.stack();
            Algorithm algorithm = given != null
                    ? given
                    : choice.of(new AlgorithmChoice.Shape(stack, timeSteps, batchSize, lengths == null, training));
            Network network = networks.get(stack, algorithm, timeSteps, batchSize, lengths);
            try (Scope workspace = openScope("cuDNN forward")) {
                Rooms rooms = new Rooms(workspace);
                LstmState initial = input.initial();
                Tensor givenX = given(record.rooms(), "x", x);
                Tensor hx = initial == null ? null : given(record.rooms(), "hx", states(part, initial.h()));
                Tensor cx = initial == null ? null : given(record.rooms(), "cx", states(part, initial.c()));
                Tensor hy = last == null ? null : states(part, last.h());
                Tensor cy = last == null ? null : states(part, last.c());
                Tensor placeOfY = place(record.rooms(), "y", y);
                Tensor placeOfHy = place(rooms, "hy", hy);
                Tensor placeOfCy = place(rooms, "cy", cy);
                Tensor reserve =
                        space(training ? record.rooms() : rooms, "reserve space", network.reserveBytes(training));
                Network.Spaces spaces = new Network.Spaces(
                        weights(network, parameters, part.firstWeight()),
                        address(space(rooms, "work space", network.workBytes(training))),
                        address(reserve));
                Network.Forward call = new Network.Forward(
                        address(deviceLengths()),
                        address(givenX),
                        address(placeOfY),
                        address(hx),
                        address(placeOfHy),
                        address(cx),
                        address(placeOfCy));
                context().handOver();
                network.forward(training, call, spaces);
                deliver(placeOfY, y);
                deliver(placeOfHy, hy);
                deliver(placeOfCy, cy);
                record.record(algorithm, givenX, placeOfY, hx, cx, reserve);
            }
        }

        void backward(LstmOutput outputGradient, Tensor parameterGradients, LstmInputGradient inputGradient) {
            long gradients = optionalOutput(parameterGradients);
            try (Scope workspace = openScope("backward workspace")) {
                Tensor dy = outputGradient.y();
                for (int k = parts.size() - 1; k >= 0; k--) {
                    Tensor dx = k == 0
                            ? inputGradient.dx()
                            : workspace.allocate("layer gradient", timeSteps, batchSize, spec.sequenceWidth());
                    backward(
                            parts.get(k),
                            trace.part(k),
                            dy,
                            outputGradient.last(),
                            gradients,
                            dx,
                            inputGradient.initial());
                    if (k > 0) {
                        dropout(dx, spec.dropout(), input.dropout().substream(k - 1), dx);
                    }
                    dy = dx;
                }
                if (lengths != null && dy != null) {
                    // cuDNN says nothing about what it leaves in dx past the end of a sequence.
                    kernels()
                            .launch("copy_valid")
                            .address(input(dy))
                            .address(output(dy))
                            .address(address(deviceLengths()))
                            .integer(timeSteps)
                            .integer(batchSize)
                            .integer(spec.inputSize())
                            .over(dy.elements());
                }
            }
        }

        private void backward(
                Part part,
                CudnnTape.Part record,
                Tensor dy,
                LstmState last,
                long gradients,
                Tensor dx,
                LstmState initial) {
            Network network = networks.get(part.stack(), record.algorithm(), timeSteps, batchSize, lengths);
            try (Scope workspace = openScope("cuDNN backward")) {
                Rooms rooms = new Rooms(workspace);
                long size = dnn.elements().bytes();
                long dyBytes = record.y().elements() * size;
                long dxBytes = record.x().elements() * size;
                Tensor dhy = last == null ? null : given(rooms, "dhy", states(part, last.h()));
                Tensor dcy = last == null ? null : given(rooms, "dcy", states(part, last.c()));
                Tensor dhx = initial == null ? null : states(part, initial.h());
                Tensor dcx = initial == null ? null : states(part, initial.c());
                // cuDNN wants both of these, whoever else does.
                long givenDy = dy == null ? zeros(rooms, "dy", dyBytes) : address(given(rooms, "dy", dy));
                Tensor placeOfDx = dx == null ? space(rooms, "dx", dxBytes) : place(rooms, "dx", dx);
                Tensor placeOfDhx = place(rooms, "dhx", dhx);
                Tensor placeOfDcx = place(rooms, "dcx", dcx);
                Network.Spaces spaces = new Network.Spaces(
                        weights(network, parameters, part.firstWeight()),
                        address(space(rooms, "work space", network.workBytes(true))),
                        address(record.reserve()));
                Network.Forward forward = new Network.Forward(
                        address(deviceLengths()),
                        address(record.x()),
                        address(record.y()),
                        address(record.hx()),
                        0,
                        address(record.cx()),
                        0);
                Network.Backward backward = new Network.Backward(
                        givenDy,
                        address(placeOfDx),
                        address(dhy),
                        address(placeOfDhx),
                        address(dcy),
                        address(placeOfDcx));
                long weightGradients = gradients == 0 ? 0 : zeros(rooms, "weight gradients", network.weightBytes());
                context().handOver();
                network.backwardData(forward, backward, spaces);
                if (gradients != 0) {
                    network.backwardWeights(forward, weightGradients, spaces);
                    add(network, rooms, weightGradients, gradients + bytes(part.firstWeight()));
                }
                deliver(dx == null ? null : placeOfDx, dx);
                deliver(placeOfDhx, dhx);
                deliver(placeOfDcx, dcx);
            }
        }

        /** Adds the gradients to where the flat ones of a part begin. */
        private void add(Network network, Rooms rooms, long weightGradients, long flat) {
            long from = weightGradients;
            if (half) {
                long count = network.weightBytes() / ElementType.FLOAT16.bytes();
                from = address(rooms.atLeast("wide weight gradients", real(), count));
                widen(weightGradients, from, count);
            }
            for (Network.Piece piece : network.pieces(weightGradients)) {
                CudnnEngine.this.add(from + bytes(piece.place()), flat + bytes(piece.flat()), piece.count());
            }
        }

        /** A part's states among those of the whole stack; null for none. */
        private Tensor states(Part part, Tensor all) {
            if (all == null) {
                return null;
            }
            int width = all.shape().extent(2);
            return all.view(
                    all.name(),
                    (long) part.firstState() * batchSize * width,
                    Shape.of(part.stack().states(), batchSize, width));
        }

        /** What cuDNN is to read, in its type; null for nothing. */
        private Tensor given(Rooms rooms, String name, Tensor tensor) {
            if (tensor == null) {
                return null;
            }
            long from = input(tensor);
            if (!half) {
                return tensor;
            }
            Tensor narrow = rooms.get(name, ElementType.FLOAT16, tensor.shape());
            narrow(from, address(narrow), tensor.elements(), ElementType.FLOAT16);
            return narrow;
        }

        /** Where cuDNN is to write, in its type, what a tensor is to hold; null for nowhere. */
        private Tensor place(Rooms rooms, String name, Tensor tensor) {
            if (tensor == null) {
                return null;
            }
            output(tensor);
            return half ? rooms.get(name, ElementType.FLOAT16, tensor.shape()) : tensor;
        }

        /** Takes what cuDNN wrote to where it is wanted. */
        private void deliver(Tensor place, Tensor tensor) {
            if (half && place != null) {
                widen(address(place), output(tensor), tensor.elements());
            }
        }
    }
}
