package carousel.format.onnx;

import carousel.engine.CellActivation;
import carousel.engine.Direction;
import carousel.engine.Engine;
import carousel.engine.Gate;
import carousel.engine.LstmActivations;
import carousel.engine.LstmInput;
import carousel.engine.LstmOutput;
import carousel.engine.LstmSpec;
import carousel.engine.LstmState;
import carousel.format.FormatException;
import carousel.tensor.Scope;
import carousel.tensor.Shape;
import carousel.tensor.Tensor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;

/**
 * ONNX's operator LSTM on an engine, each direction as a call of its own: their activations may differ. With {@code D} directions
 * its inputs are
 *
 * <pre>
 *   X [T, N, C]   W [D, 4H, C]   R [D, 4H, H]   B [D, 8H]   sequence_lens [N]
 *   initial_h [D, N, H]   initial_c [D, N, H]   P [D, 3H]
 * </pre>
 *
 * and its outputs {@code Y [T, D, N, H], Y_h [D, N, H], Y_c [D, N, H]}; with layout 1 they are {@code X [N, T, C]}, states {@code
 * [N, D, H]} and {@code Y [N, T, D, H]}.
 */
final class LstmOperation implements Operation {
    static final int X = 0;
    static final int W = 1;
    static final int R = 2;
    static final int B = 3;
    static final int LENGTHS = 4;
    static final int INITIAL_H = 5;
    static final int INITIAL_C = 6;
    static final int P = 7;

    static final int Y = 0;
    static final int Y_H = 1;
    static final int Y_C = 2;

    private static final List<String> DEFAULT_ACTIVATIONS = List.of("Sigmoid", "Tanh", "Tanh");

    private final OnnxNode node;
    private final Direction direction;
    private final boolean batchMajor;
    private final boolean coupled;
    private final double clip;
    private final long declaredHidden;
    private final List<LstmActivations> activations;

    /** The extents of a node's weights. */
    record Sizes(int inputs, int hidden) {}

    LstmOperation(OnnxNode node) {
        this.node = node;
        node.requireInputs(3, P + 1);
        node.requireOutputs(0, Y_C + 1);
        this.direction = direction(node);
        this.batchMajor = node.opset() >= 14 && node.flag("layout");
        this.coupled = node.flag("input_forget");
        if (node.opset() < 7) {
            // Whether there may be an output Y, which its name says as well.
            node.flag("output_sequence");
        }
        this.clip = node.real("clip", 0);
        if (node.has("clip") && !(clip > 0 && clip < Double.POSITIVE_INFINITY)) {
            throw node.refused("has the clip " + clip + " but it should be a positive finite number");
        }
        this.declaredHidden = node.integer("hidden_size", 0);
        if (node.has("hidden_size") && (declaredHidden < 1 || declaredHidden > LstmSpec.LARGEST_WIDTH)) {
            throw node.refused("has the hidden_size " + declaredHidden + " but it should be in the [1, "
                    + LstmSpec.LARGEST_WIDTH + "] range");
        }
        this.activations = activations(node, direction.cells());
    }

    private static Direction direction(OnnxNode node) {
        String word = node.text("direction", "forward");
        return switch (word) {
            case "forward" -> Direction.FORWARD;
            case "reverse" -> Direction.REVERSE;
            case "bidirectional" -> Direction.BIDIRECTIONAL;
            default ->
                throw node.refused("has the direction " + FormatException.quote(word)
                        + " but it should be forward, reverse or bidirectional");
        };
    }

    /** Parameters are handed to the functions that take them, in order, while there are any; then come the usual ones. */
    private static List<LstmActivations> activations(OnnxNode node, int cells) {
        List<String> names = node.texts("activations");
        double[] alphas = node.reals("activation_alpha");
        double[] betas = node.reals("activation_beta");
        if (names == null) {
            names = new ArrayList<>(DEFAULT_ACTIVATIONS);
            names.addAll(cells == 2 ? DEFAULT_ACTIVATIONS : List.of());
        }
        if (names.size() != 3 * cells) {
            throw node.refused("names " + names.size() + " activations but it should be 3 for each of its " + cells
                    + " directions");
        }
        List<CellActivation> functions = new ArrayList<>();
        int alpha = 0;
        int beta = 0;
        for (String name : names) {
            CellActivation.Kind kind = kind(node, name);
            try {
                boolean alphaGiven = kind.takesAlpha() && alphas != null && alpha < alphas.length;
                boolean betaGiven = kind.takesBeta() && betas != null && beta < betas.length;
                CellActivation usual = alphaGiven && (betaGiven || !kind.takesBeta()) ? null : CellActivation.of(kind);
                functions.add(new CellActivation(
                        kind,
                        alphaGiven ? alphas[alpha++] : usual == null ? 0 : usual.alpha(),
                        betaGiven ? betas[beta++] : usual == null ? 0 : usual.beta()));
            } catch (IllegalArgumentException e) {
                throw node.refused("cannot be run: " + e.getMessage());
            }
        }
        List<LstmActivations> result = new ArrayList<>();
        for (int cell = 0; cell < cells; cell++) {
            result.add(new LstmActivations(
                    functions.get(3 * cell), functions.get(3 * cell + 1), functions.get(3 * cell + 2)));
        }
        return result;
    }

    private static CellActivation.Kind kind(OnnxNode node, String name) {
        for (CellActivation.Kind kind : CellActivation.Kind.values()) {
            if (kind.onnxName().equalsIgnoreCase(name)) {
                return kind;
            }
        }
        throw node.refused("has the activation " + FormatException.quote(name) + " but it should be one of "
                + String.join(
                        ", ",
                        Arrays.stream(CellActivation.Kind.values())
                                .map(CellActivation.Kind::onnxName)
                                .toList()));
    }

    Direction direction() {
        return direction;
    }

    boolean batchMajor() {
        return batchMajor;
    }

    /** One for each direction. */
    List<LstmActivations> activations() {
        return activations;
    }

    /** What one direction of the node computes. */
    LstmSpec spec(int cell, Sizes sizes, boolean bias, boolean peepholes) {
        return LstmSpec.of(sizes.inputs, sizes.hidden)
                .withDirection(direction.reversed(cell) ? Direction.REVERSE : Direction.FORWARD)
                .withBias(bias)
                .withPeepholes(peepholes)
                .withGateClip(clip)
                .withCoupledGates(coupled)
                .withActivations(activations.get(cell));
    }

    @Override
    public void check(OnnxValue[] constants) {
        if (constants[W] != null && constants[R] != null) {
            sizes(constants);
        }
        if (constants[LENGTHS] != null) {
            requireShape("sequence_lens", constants[LENGTHS], constants[LENGTHS].elements());
        }
    }

    /** Checks the weights against each other; a bias or peepholes that are null are not there or not known yet. */
    Sizes sizes(OnnxValue[] in) {
        OnnxValue r = in[R];
        OnnxValue w = in[W];
        int hidden = (int) declaredHidden;
        if (hidden == 0) {
            if (r.rank() != 3 || r.extent(2) < 1 || r.extent(2) > LstmSpec.LARGEST_WIDTH) {
                throw new IllegalArgumentException("has the recurrence weights R " + r.shape()
                        + " but they should be [directions, 4 * hidden, hidden] with a hidden size in the [1, "
                        + LstmSpec.LARGEST_WIDTH + "] range");
            }
            hidden = r.extent(2);
        }
        if (w.rank() != 3 || w.extent(2) < 1 || w.extent(2) > LstmSpec.LARGEST_WIDTH) {
            throw new IllegalArgumentException("has the weights W " + w.shape()
                    + " but they should be [directions, 4 * hidden, inputs] with 1 to " + LstmSpec.LARGEST_WIDTH
                    + " inputs");
        }
        int cells = direction.cells();
        requireShape("W", w, cells, Gate.COUNT * hidden, w.extent(2));
        requireShape("R", r, cells, Gate.COUNT * hidden, hidden);
        if (in[B] != null) {
            requireShape("B", in[B], cells, 2 * Gate.COUNT * hidden);
        }
        if (in[P] != null) {
            requireShape("P", in[P], cells, (Gate.COUNT - 1) * hidden);
        }
        return new Sizes(w.extent(2), hidden);
    }

    private static void requireShape(String what, OnnxValue value, int... extents) {
        if (!value.shape().equals(Shape.of(extents))) {
            throw new IllegalArgumentException(
                    "should have " + what + " " + Arrays.toString(extents) + " but got " + value.shape());
        }
    }

    @Override
    public OnnxValue[] run(Run run, OnnxValue[] in) {
        Sizes sizes = sizes(in);
        OnnxValue x = in[X];
        if (x.rank() != 3 || x.extent(2) != sizes.inputs) {
            throw new IllegalArgumentException("reads sequences of " + sizes.inputs + " features, "
                    + (batchMajor ? "[batch, time, " : "[time, batch, ") + sizes.inputs + "], but got " + x);
        }
        int steps = x.extent(batchMajor ? 1 : 0);
        int batch = x.extent(batchMajor ? 0 : 1);
        int cells = direction.cells();
        int hidden = sizes.hidden;
        Shape sequences = batchMajor ? Shape.of(batch, steps, cells, hidden) : Shape.of(steps, cells, batch, hidden);
        Shape states = batchMajor ? Shape.of(batch, cells, hidden) : Shape.of(cells, batch, hidden);
        for (int k = INITIAL_H; k <= INITIAL_C; k++) {
            if (in[k] != null) {
                requireShape(k == INITIAL_H ? "initial_h" : "initial_c", in[k], states.toArray());
            }
        }
        double[] y = run.reals(sequences);
        double[] lastH = run.reals(states);
        double[] lastC = run.reals(states);
        Call call = new Call(steps, batch, hidden, lengths(in[LENGTHS], steps, batch), timeMajor(x, steps, batch));
        for (int cell = 0; cell < cells; cell++) {
            double[] h = state(in[INITIAL_H], cell, batch, hidden);
            double[] c = state(in[INITIAL_C], cell, batch, hidden);
            if (steps > 0 && batch > 0) {
                LstmSpec spec = spec(cell, sizes, in[B] != null, in[P] != null);
                double[] parameters = OnnxGates.parameters(
                        spec,
                        cell,
                        in[W].real(),
                        in[R].real(),
                        in[B] == null ? null : in[B].real(),
                        in[P] == null ? null : in[P].real());
                double[] outputs = call.run(run.engine(spec, node.inWords()), spec, parameters, h, c);
                putSequences(outputs, y, cell, steps, batch, hidden);
            }
            putState(h, lastH, cell, batch, hidden);
            putState(c, lastC, cell, batch, hidden);
        }
        return new OnnxValue[] {
            OnnxValue.reals(x.type(), sequences, y),
            OnnxValue.reals(x.type(), states, lastH),
            OnnxValue.reals(x.type(), states, lastC)
        };
    }

    private static int[] lengths(OnnxValue value, int steps, int batch) {
        if (value == null) {
            return null;
        }
        requireShape("sequence_lens", value, batch);
        int[] lengths = new int[batch];
        for (int n = 0; n < batch; n++) {
            long length = value.whole()[n];
            if (length < 0 || length > steps) {
                throw new IllegalArgumentException(
                        "has the sequence length " + length + " but it should be in the [0, " + steps + "] range");
            }
            lengths[n] = (int) length;
        }
        return lengths;
    }

    /** {@code [T, N, C]} whatever the layout. */
    private double[] timeMajor(OnnxValue x, int steps, int batch) {
        if (!batchMajor) {
            return x.real();
        }
        int width = x.extent(2);
        double[] values = new double[x.elements()];
        for (int n = 0; n < batch; n++) {
            for (int t = 0; t < steps; t++) {
                System.arraycopy(x.real(), (n * steps + t) * width, values, (t * batch + n) * width, width);
            }
        }
        return values;
    }

    /** One direction's state {@code [N, H]}, zeros where none is given. */
    private double[] state(OnnxValue value, int cell, int batch, int hidden) {
        double[] state = new double[batch * hidden];
        for (int n = 0; value != null && n < batch; n++) {
            System.arraycopy(value.real(), stateRow(cell, n, batch) * hidden, state, n * hidden, hidden);
        }
        return state;
    }

    private void putState(double[] state, double[] all, int cell, int batch, int hidden) {
        for (int n = 0; n < batch; n++) {
            System.arraycopy(state, n * hidden, all, stateRow(cell, n, batch) * hidden, hidden);
        }
    }

    private int stateRow(int cell, int n, int batch) {
        return batchMajor ? n * direction.cells() + cell : cell * batch + n;
    }

    /** Puts one direction's {@code [T, N, H]} in its place. */
    private void putSequences(double[] outputs, double[] y, int cell, int steps, int batch, int hidden) {
        int cells = direction.cells();
        for (int t = 0; t < steps; t++) {
            for (int n = 0; n < batch; n++) {
                int row = batchMajor ? (n * steps + t) * cells + cell : (t * cells + cell) * batch + n;
                System.arraycopy(outputs, (t * batch + n) * hidden, y, row * hidden, hidden);
            }
        }
    }

    /** What the calls of both directions share. */
    private record Call(int steps, int batch, int hidden, int[] lengths, double[] x) {
        /**
         * Runs one direction and puts its last states where its first ones were.
         *
         * @return {@code [T, N, H]}
         */
        double[] run(Engine engine, LstmSpec spec, double[] parameters, double[] h, double[] c) {
            try (Scope scope = engine.openScope("onnx lstm")) {
                Tensor weights = scope.allocate("parameters", parameters.length);
                engine.write(weights, parameters);
                Tensor input = scope.allocate("x", steps, batch, spec.inputSize());
                engine.write(input, x);
                LstmState initial = state(engine, scope, "initial");
                engine.write(initial.h(), h);
                engine.write(initial.c(), c);
                Tensor y = scope.allocate("y", steps, batch, hidden);
                LstmState last = state(engine, scope, "last");
                engine.lstmForward(
                        spec,
                        weights,
                        new LstmInput(input, lengths, initial, null, null),
                        new LstmOutput(y, last),
                        null);
                double[] outputs = new double[steps * batch * hidden];
                engine.read(y, outputs);
                engine.read(last.h(), h);
                engine.read(last.c(), c);
                return outputs;
            }
        }

        private LstmState state(Engine engine, Scope scope, String name) {
            return new LstmState(
                    scope.allocate(name + " h", 1, batch, hidden), scope.allocate(name + " c", 1, batch, hidden));
        }
    }

    /** For what is said about a direction, in lower case. */
    static String word(Direction direction) {
        return direction.name().toLowerCase(Locale.ROOT);
    }
}
