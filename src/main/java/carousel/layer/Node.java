package carousel.layer;

import carousel.engine.Engine;
import carousel.engine.Gate;
import carousel.engine.LstmInput;
import carousel.engine.LstmInputGradient;
import carousel.engine.LstmLayout;
import carousel.engine.LstmOutput;
import carousel.engine.LstmSpec;
import carousel.engine.LstmState;
import carousel.engine.LstmTape;
import carousel.engine.ParameterLayout;
import carousel.engine.ParameterView;
import carousel.engine.RandomSequence;
import carousel.tensor.Shape;
import carousel.tensor.Tensor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.Supplier;
import java.util.stream.Stream;

/** A layer in its place in a model: knows its input, where its parameters lie, and which engine calls it stands for. */
abstract class Node {
    final int index;
    final String name;
    final List<ParameterView> views = new ArrayList<>();

    private Node(int index, String name) {
        this.index = index;
        this.name = name;
    }

    /** @param inner of a residual connection the layers inside; otherwise none */
    static Node bind(
            Layer layer, int index, String name, Form input, ParameterLayout layout, Supplier<List<Node>> inner) {
        if (layer instanceof Residual) {
            return new ResidualNode(index, name, inner.get());
        } else if (layer instanceof Lstm lstm) {
            return new LstmNode(lstm, index, name, input, layout);
        } else if (layer instanceof Dense dense) {
            return new DenseNode(dense, index, name, input, layout);
        } else if (layer instanceof Embedding embedding) {
            return new EmbeddingNode(embedding, index, name, input, layout);
        } else if (layer instanceof Dropout dropout) {
            return new DropoutNode(dropout, index, name);
        } else if (layer instanceof Activation activation) {
            return new ActivationNode(activation, index, name);
        } else if (layer instanceof Masking masking) {
            return new MaskingNode(masking, index, name);
        } else if (layer instanceof TimeReversal) {
            return new TimeReversalNode(index, name);
        }
        throw new AssertionError(layer);
    }

    /** This layer and those inside it, in the order of their numbers. */
    Stream<Node> all() {
        return Stream.of(this);
    }

    /** What the layer is of an LSTM, its input size included; null of any other. */
    LstmSpec lstm() {
        return null;
    }

    final ParameterView add(ParameterLayout layout, String parameter, int... extents) {
        ParameterView view = layout.add(name + "." + parameter, extents);
        views.add(view);
        return view;
    }

    /** Draws starting values into the model's flat buffer of parameters. */
    void initialize(double[] parameters, RandomSequence random) {
        // Most layers have none.
    }

    /** What new sequences start from, {@code h [S, P]} and {@code c [S, H]} in a buffer of parameters or gradients; null for zeros. */
    LstmState learnedState(Tensor buffer) {
        return null;
    }

    abstract Tensor forward(Pass pass, Tensor parameters, Tensor input);

    /** Returns the gradient of the input, or null when not wanted. */
    abstract Tensor backward(Pass pass, Tensor parameters, Tensor gradients, Tensor dOutput, boolean wanted);

    /** The widest layers that a specification allows exceed what one buffer holds. */
    static int requireFits(String name, long elements) {
        if (elements > Integer.MAX_VALUE) {
            throw new IllegalArgumentException("a model should have at most " + Integer.MAX_VALUE
                    + " parameters but with the layer '" + name + "' has " + elements
                    + ": lower its width or the number of its layers");
        }
        return (int) elements;
    }

    private static void draw(Initializer initializer, double[] parameters, ParameterView view, RandomSequence random) {
        Shape shape = view.shape();
        double[] values = new double[Math.toIntExact(shape.elements())];
        initializer.fill(values, shape.extent(0), shape.rank() > 1 ? shape.extent(1) : 1, random);
        System.arraycopy(values, 0, parameters, Math.toIntExact(view.offset()), values.length);
    }

    private static final class LstmNode extends Node {
        private final Lstm layer;
        private final LstmSpec spec;
        private final LstmLayout layout;
        private final ParameterView block;
        /** What new sequences start from, {@code [S, P]} and {@code [S, H]}; null for zeros. */
        private ParameterView learnedH;

        private ParameterView learnedC;

        LstmNode(Lstm layer, int index, String name, Form input, ParameterLayout model) {
            super(index, name);
            this.layer = layer;
            this.spec = layer.spec().withInputSize(input.features());
            this.layout = LstmLayout.of(spec);
            this.block = model.add(name, requireFits(name, layout.elements()));
            for (ParameterView view : layout.views()) {
                views.add(new ParameterView(name + "." + view.name(), view.shape(), block.offset() + view.offset()));
            }
            if (layer.learnedInitialState()) {
                learnedH = add(model, "h_0", spec.states(), spec.outputSize());
                learnedC = add(model, "c_0", spec.states(), spec.hiddenSize());
            }
        }

        @Override
        LstmState learnedState(Tensor parameters) {
            return learnedH == null ? null : new LstmState(learnedH.in(parameters), learnedC.in(parameters));
        }

        @Override
        void initialize(double[] parameters, RandomSequence random) {
            for (int state = 0; state < spec.states(); state++) {
                LstmLayout.Cell cell = layout.cell(state);
                draw(layer.inputInitializer(), parameters, moved(cell.inputWeights()), random);
                draw(layer.recurrentInitializer(), parameters, moved(cell.recurrentWeights()), random);
                if (cell.bias() != null) {
                    initializeBias(
                            parameters, Math.toIntExact(moved(cell.bias()).offset()), random);
                }
                if (cell.projection() != null) {
                    draw(layer.recurrentInitializer(), parameters, moved(cell.projection()), random);
                }
                if (cell.gateNormalization() != null) {
                    fill(parameters, moved(cell.gateNormalization()), 1);
                    int gains = Math.toIntExact(moved(cell.cellNormalization()).offset());
                    Arrays.fill(parameters, gains, gains + spec.hiddenSize(), 1);
                }
                // Peepholes start at zero, so that the stack starts as one without, whatever its initialisers are.
            }
        }

        private void initializeBias(double[] parameters, int bias, RandomSequence random) {
            int hidden = spec.hiddenSize();
            int input = bias + Gate.INPUT.firstRow(hidden);
            int forget = bias + Gate.FORGET.firstRow(hidden);
            if (layer.chronoSteps() == 0) {
                Arrays.fill(parameters, forget, forget + hidden, layer.forgetBias());
                return;
            }
            for (int j = 0; j < hidden; j++) {
                parameters[forget + j] = StrictMath.log(random.uniform(1, layer.chronoSteps() - 1));
                parameters[input + j] = -parameters[forget + j];
            }
        }

        private static void fill(double[] parameters, ParameterView view, double value) {
            Arrays.fill(parameters, Math.toIntExact(view.offset()), Math.toIntExact(view.end()), value);
        }

        private ParameterView moved(ParameterView view) {
            return new ParameterView(view.name(), view.shape(), block.offset() + view.offset());
        }

        @Override
        Tensor forward(Pass pass, Tensor parameters, Tensor input) {
            Engine engine = pass.engine();
            int timeSteps = input.shape().extent(0);
            int batchSize = input.shape().extent(1);
            Tensor y = pass.scope().allocate(name + " y", timeSteps, batchSize, spec.sequenceWidth());
            pass.keepStart(index, start(pass, parameters));
            LstmState end = end(pass);
            LstmTape tape = pass.recorded() ? engine.openTape(pass.scope(), spec, timeSteps, batchSize) : null;
            LstmInput lstmInput = new LstmInput(input, pass.lengths(), pass.start(index), pass.random(index), null);
            engine.lstmForward(spec, block.in(parameters), lstmInput, new LstmOutput(y, end), tape);
            pass.keepEnd(index, ofSequences(pass, end));
            if (pass.recorded()) {
                pass.keepInput(index, input);
                pass.keepTape(index, tape);
            }
            return layer.returnSequences() ? y : LastOutput.of(pass, spec, end.h(), name);
        }

        /**
         * A state that is carried, or else the encoder's; where sequences start anew what was learned; or else zeros, for which null
         * stands.
         */
        private LstmState start(Pass pass, Tensor parameters) {
            LstmState given = pass.state() != null ? pass.state().before(index) : pass.start(index);
            if (given != null) {
                return pass.cuts() == null ? given : pass.cuts().starts(pass, given, learnedState(parameters));
            }
            if (learnedH == null) {
                return null;
            }
            LstmState start = new LstmState(allocateStates(pass, "first h"), allocateCells(pass, "first c"));
            StateRows.of(pass.engine(), pass.scope(), start).repeat(learnedState(parameters));
            return start;
        }

        /** Where the state goes that the layer ends with, in all its segments; null where nobody wants it. */
        private LstmState end(Pass pass) {
            if (pass.state() != null && pass.cuts() == null) {
                return pass.state().after(index);
            }
            if (pass.state() == null && !pass.keepsStates()) {
                return layer.returnSequences() ? null : new LstmState(allocateStates(pass, "last h"), null);
            }
            return new LstmState(allocateStates(pass, "last h"), allocateCells(pass, "last c"));
        }

        /** What the sequences end with, where the state of their segments was wanted whole. */
        private LstmState ofSequences(Pass pass, LstmState end) {
            if (pass.cuts() == null || end == null || end.c() == null) {
                return end;
            }
            LstmState target = pass.state() != null
                    ? pass.state().after(index)
                    : new LstmState(
                            allocate(pass, "last h of sequences", pass.sequences(), spec.outputSize()),
                            allocate(pass, "last c of sequences", pass.sequences(), spec.hiddenSize()));
            pass.cuts().end(pass, end, target);
            return target;
        }

        @Override
        LstmSpec lstm() {
            return spec;
        }

        @Override
        Tensor backward(Pass pass, Tensor parameters, Tensor gradients, Tensor dOutput, boolean wanted) {
            Engine engine = pass.engine();
            Tensor input = pass.input(index);
            LstmOutput outputGradient = layer.returnSequences() || dOutput == null
                    ? new LstmOutput(dOutput, pass.endGradient(index))
                    : LastOutput.gradient(pass, spec, dOutput, name);
            Tensor dx =
                    wanted ? pass.scope().allocate(name + " dx", input.shape().toArray()) : null;
            LstmState dStart = wantsStartGradient(pass)
                    ? new LstmState(
                            allocateStates(pass, "gradient of first h"), allocateCells(pass, "gradient of first c"))
                    : null;
            engine.lstmBackward(
                    pass.tape(index), outputGradient, block.in(gradients), new LstmInputGradient(dx, dStart));
            // For this layer and no other, whether it wants them or not.
            List<Tensor> shown = pass.takeShownStartGradients();
            if (dStart != null) {
                StateRows rows = StateRows.of(engine, pass.scope(), dStart);
                shown.forEach(rows::addToTop);
                if (learnedH != null && pass.fresh()) {
                    rows.sumInto(learnedState(gradients));
                } else if (learnedH != null && pass.cuts() != null) {
                    pass.cuts().anew(pass, dStart).sumInto(learnedState(gradients));
                }
                pass.keepStartGradient(
                        index, pass.cuts() == null ? dStart : pass.cuts().startsOfSequences(pass, dStart));
            }
            return dx;
        }

        /** A layer that starts from the encoder's state has no learned one; nor has it a state that is carried. */
        private boolean wantsStartGradient(Pass pass) {
            boolean learns = learnedH != null && (pass.fresh() || pass.cuts() != null);
            boolean used = pass.keepsStates() || pass.state() == null || learns;
            return used && pass.start(index) != null;
        }

        private Tensor allocateStates(Pass pass, String what) {
            return allocate(pass, what, pass.batchSize(), spec.outputSize());
        }

        private Tensor allocateCells(Pass pass, String what) {
            return allocate(pass, what, pass.batchSize(), spec.hiddenSize());
        }

        private Tensor allocate(Pass pass, String what, int batchSize, int width) {
            return pass.scope().allocate(name + " " + what, spec.states(), batchSize, width);
        }
    }

    private static final class DenseNode extends Node {
        private final Dense layer;
        private final int inputs;
        private final ParameterView weights;
        private final ParameterView bias;

        DenseNode(Dense layer, int index, String name, Form input, ParameterLayout layout) {
            super(index, name);
            this.layer = layer;
            this.inputs = input.features();
            this.weights = add(layout, "weight", layer.units(), inputs);
            this.bias = layer.bias() ? add(layout, "bias", layer.units()) : null;
        }

        @Override
        void initialize(double[] parameters, RandomSequence random) {
            draw(layer.weightsInitializer(), parameters, weights, random);
            if (bias != null) {
                draw(layer.biasInitializer(), parameters, bias, random);
            }
        }

        @Override
        Tensor forward(Pass pass, Tensor parameters, Tensor input) {
            Tensor y = pass.scope().allocate(name + " y", withWidth(input, layer.units()));
            pass.engine()
                    .linearForward(
                            flat(input), weights.in(parameters), bias == null ? null : bias.in(parameters), flat(y));
            if (pass.recorded()) {
                pass.keepInput(index, input);
            }
            return y;
        }

        @Override
        Tensor backward(Pass pass, Tensor parameters, Tensor gradients, Tensor dOutput, boolean wanted) {
            Tensor input = pass.input(index);
            Tensor dx =
                    wanted ? pass.scope().allocate(name + " dx", input.shape().toArray()) : null;
            pass.engine()
                    .linearBackward(
                            flat(input),
                            weights.in(parameters),
                            flat(dOutput),
                            weights.in(gradients),
                            bias == null ? null : bias.in(gradients),
                            dx == null ? null : flat(dx));
            return dx;
        }

        private static int[] withWidth(Tensor input, int width) {
            int[] extents = input.shape().toArray();
            extents[extents.length - 1] = width;
            return extents;
        }

        /** {@code [T, N, C]} or {@code [N, C]} as {@code [M, C]}. */
        private static Tensor flat(Tensor tensor) {
            return Model.rows(tensor);
        }
    }

    private static final class EmbeddingNode extends Node {
        private final Embedding layer;
        private final ParameterView table;

        EmbeddingNode(Embedding layer, int index, String name, Form input, ParameterLayout layout) {
            super(index, name);
            this.layer = layer;
            this.table = add(layout, "weight", input.features(), layer.width());
        }

        @Override
        void initialize(double[] parameters, RandomSequence random) {
            draw(layer.initializer(), parameters, table, random);
        }

        @Override
        Tensor forward(Pass pass, Tensor parameters, Tensor input) {
            int timeSteps = input.shape().extent(0);
            int batchSize = input.shape().extent(1);
            Tensor y = pass.scope().allocate(name + " y", timeSteps, batchSize, layer.width());
            pass.engine().embeddingForward(ids(input), table.in(parameters), Model.rows(y));
            if (pass.recorded()) {
                pass.keepInput(index, input);
            }
            return pass.arrange(y, layer.maskZero() ? notZero(pass, ids(input)) : null);
        }

        @Override
        Tensor backward(Pass pass, Tensor parameters, Tensor gradients, Tensor dOutput, boolean wanted) {
            Tensor dy = Model.rows(pass.arrangeBackward(dOutput));
            pass.engine().embeddingBackward(ids(pass.input(index)), dy, table.in(gradients));
            return null;
        }

        /** Engines do not give integers back; so each is looked up in a table that says whether it is 0. */
        private boolean[] notZero(Pass pass, Tensor ids) {
            double[] values = new double[Math.toIntExact(table.shape().extent(0))];
            Arrays.fill(values, 1, values.length, 1);
            Tensor marks = pass.scope().allocate(name + " marks", values.length, 1);
            pass.engine().write(marks, values);
            double[] found = new double[Math.toIntExact(ids.elements())];
            Tensor marked = pass.scope().allocate(name + " marked", found.length, 1);
            pass.engine().embeddingForward(ids, marks, marked);
            pass.engine().read(marked, found);
            boolean[] counts = new boolean[found.length];
            for (int row = 0; row < counts.length; row++) {
                counts[row] = found[row] != 0;
            }
            return counts;
        }

        private static Tensor ids(Tensor input) {
            return input.reshape(Math.toIntExact(input.elements()));
        }
    }

    private static final class DropoutNode extends Node {
        private final Dropout layer;

        DropoutNode(Dropout layer, int index, String name) {
            super(index, name);
            this.layer = layer;
        }

        @Override
        Tensor forward(Pass pass, Tensor parameters, Tensor input) {
            return masked(pass, input);
        }

        @Override
        Tensor backward(Pass pass, Tensor parameters, Tensor gradients, Tensor dOutput, boolean wanted) {
            return wanted ? masked(pass, dOutput) : null;
        }

        private Tensor masked(Pass pass, Tensor input) {
            if (pass.random(index) == null || layer.rate() == 0) {
                return input;
            }
            Tensor y = pass.scope().allocate(name + " y", input.shape().toArray());
            Shape shape = input.shape();
            boolean once = layer.locked() && shape.rank() == 3;
            long period = once ? (long) shape.extent(1) * shape.extent(2) : input.elements();
            pass.engine().dropout(input, layer.rate(), pass.random(index), Math.max(1, period), y);
            return y;
        }
    }

    private static final class MaskingNode extends Node {
        private final Masking layer;

        MaskingNode(Masking layer, int index, String name) {
            super(index, name);
            this.layer = layer;
        }

        @Override
        Tensor forward(Pass pass, Tensor parameters, Tensor input) {
            int width = input.shape().extent(2);
            float[] values = new float[Math.toIntExact(input.elements())];
            pass.engine().read(input, values);
            boolean[] counts = new boolean[values.length / width];
            for (int e = 0; e < values.length; e++) {
                counts[e / width] |= values[e] != (float) layer.value();
            }
            return pass.leaveOut(input, counts);
        }

        @Override
        Tensor backward(Pass pass, Tensor parameters, Tensor gradients, Tensor dOutput, boolean wanted) {
            return wanted ? pass.leaveOutBackward(dOutput) : null;
        }
    }

    private static final class TimeReversalNode extends Node {
        TimeReversalNode(int index, String name) {
            super(index, name);
        }

        @Override
        Tensor forward(Pass pass, Tensor parameters, Tensor input) {
            return reversed(pass, "y", input);
        }

        @Override
        Tensor backward(Pass pass, Tensor parameters, Tensor gradients, Tensor dOutput, boolean wanted) {
            // Turning around is its own way back.
            return wanted ? reversed(pass, "dx", dOutput) : null;
        }

        private Tensor reversed(Pass pass, String what, Tensor x) {
            int timeSteps = x.shape().extent(0);
            int batchSize = x.shape().extent(1);
            int[] lengths = pass.lengths();
            int[] rows = new int[timeSteps * batchSize];
            for (int t = 0; t < timeSteps; t++) {
                for (int n = 0; n < batchSize; n++) {
                    int length = lengths == null ? timeSteps : lengths[n];
                    rows[t * batchSize + n] = (t < length ? length - 1 - t : t) * batchSize + n;
                }
            }
            return StepRows.of(pass, name, rows).take(pass, name + " " + what, x, timeSteps, batchSize);
        }
    }

    private static final class ActivationNode extends Node {
        private final Activation layer;

        ActivationNode(Activation layer, int index, String name) {
            super(index, name);
            this.layer = layer;
        }

        @Override
        Tensor forward(Pass pass, Tensor parameters, Tensor input) {
            Tensor y = pass.scope().allocate(name + " y", input.shape().toArray());
            pass.engine().activationForward(layer.function(), Model.rows(input), Model.rows(y));
            if (pass.recorded()) {
                pass.keepResult(index, y);
            }
            return y;
        }

        @Override
        Tensor backward(Pass pass, Tensor parameters, Tensor gradients, Tensor dOutput, boolean wanted) {
            if (!wanted) {
                return null;
            }
            Tensor dx = pass.scope().allocate(name + " dx", dOutput.shape().toArray());
            pass.engine()
                    .activationBackward(
                            layer.function(), Model.rows(pass.result(index)), Model.rows(dOutput), Model.rows(dx));
            return dx;
        }
    }

    private static final class ResidualNode extends Node {
        private final List<Node> inner;

        ResidualNode(int index, String name, List<Node> inner) {
            super(index, name);
            this.inner = inner;
        }

        @Override
        Stream<Node> all() {
            return Stream.concat(Stream.of(this), inner.stream().flatMap(Node::all));
        }

        @Override
        Tensor forward(Pass pass, Tensor parameters, Tensor input) {
            Tensor y = input;
            for (Node node : inner) {
                y = node.forward(pass, parameters, y);
            }
            return sum(pass, "y", y, input);
        }

        @Override
        Tensor backward(Pass pass, Tensor parameters, Tensor gradients, Tensor dOutput, boolean wanted) {
            Tensor dx = dOutput;
            for (int k = inner.size() - 1; k >= 0; k--) {
                dx = inner.get(k).backward(pass, parameters, gradients, dx, wanted || k > 0);
            }
            return wanted ? sum(pass, "dx", dx, dOutput) : null;
        }

        /** Of its own: layers keep what they have put out, and some put out what they were given. */
        private Tensor sum(Pass pass, String what, Tensor a, Tensor b) {
            Tensor sum = pass.scope().allocate(name + " " + what, a.shape().toArray());
            int width = Model.rows(a).shape().extent(1);
            pass.engine().copyColumns(Model.rows(a), 0, Model.rows(sum), 0, width);
            pass.engine().add(b, sum);
            return sum;
        }
    }
}
