package carousel.format.onnx;

import carousel.engine.Gate;
import carousel.engine.LstmLayout;
import carousel.engine.LstmSpec;
import carousel.engine.ParameterView;
import java.util.Arrays;
import java.util.List;

/**
 * ONNX's order of an LSTM cell's weights and ours. ONNX has the gates i, o, f, c and the peepholes i, o, f; here they are i, f, g, o
 * and i, f, o. ONNX has two biases that are only ever added, one behind the other; here there is their sum.
 */
final class OnnxGates {
    /** The gates in ONNX's order, as places in ours. */
    private static final Gate[] GATES = {Gate.INPUT, Gate.OUTPUT, Gate.FORGET, Gate.CANDIDATE};

    /** The peepholes in ONNX's order, as places in ours. */
    private static final int[] PEEPHOLES = {0, 2, 1};

    private OnnxGates() {}

    /** The rows of all gates from ONNX's order, {@code size} numbers from {@code first}. */
    static double[] read(double[] values, int first, int size) {
        double[] ours = new double[size];
        int gate = size / Gate.COUNT;
        for (int k = 0; k < Gate.COUNT; k++) {
            System.arraycopy(values, first + k * gate, ours, GATES[k].ordinal() * gate, gate);
        }
        return ours;
    }

    /** The rows of all gates into ONNX's order, from {@code first}. */
    static void write(double[] ours, double[] values, int first) {
        int gate = ours.length / Gate.COUNT;
        for (int k = 0; k < Gate.COUNT; k++) {
            System.arraycopy(ours, GATES[k].ordinal() * gate, values, first + k * gate, gate);
        }
    }

    /** The sum of ONNX's two biases of {@code size} numbers each. */
    static double[] readBias(double[] values, int first, int size) {
        double[] ours = read(values, first, size);
        double[] recurrent = read(values, first + size, size);
        for (int k = 0; k < size; k++) {
            ours[k] += recurrent[k];
        }
        return ours;
    }

    static double[] readPeepholes(double[] values, int first, int hidden) {
        double[] ours = new double[PEEPHOLES.length * hidden];
        for (int k = 0; k < PEEPHOLES.length; k++) {
            System.arraycopy(values, first + k * hidden, ours, PEEPHOLES[k] * hidden, hidden);
        }
        return ours;
    }

    static void writePeepholes(double[] ours, double[] values, int first) {
        int hidden = ours.length / PEEPHOLES.length;
        for (int k = 0; k < PEEPHOLES.length; k++) {
            System.arraycopy(ours, PEEPHOLES[k] * hidden, values, first + k * hidden, hidden);
        }
    }

    /**
     * The weights of one cell in the order of its layout.
     *
     * @param spec one layer and one direction
     * @param cell which of the node's directions
     * @param b null without a bias, as the specification has it
     * @param p null without peepholes
     */
    static double[] parameters(LstmSpec spec, int cell, double[] w, double[] r, double[] b, double[] p) {
        LstmLayout layout = LstmLayout.of(spec);
        LstmLayout.Cell views = layout.cell(0);
        double[] flat = new double[Math.toIntExact(layout.elements())];
        int rows = Gate.COUNT * spec.hiddenSize();
        put(flat, views.inputWeights(), read(w, cell * rows * spec.inputSize(), rows * spec.inputSize()));
        put(flat, views.recurrentWeights(), read(r, cell * rows * spec.hiddenSize(), rows * spec.hiddenSize()));
        if (b != null) {
            put(flat, views.bias(), readBias(b, 2 * cell * rows, rows));
        }
        if (p != null) {
            int hidden = spec.hiddenSize();
            put(flat, views.peepholes(), readPeepholes(p, cell * PEEPHOLES.length * hidden, hidden));
        }
        return flat;
    }

    /** The parameters of one cell one by one. */
    static List<double[]> split(LstmSpec spec, double[] flat) {
        return LstmLayout.of(spec).views().stream()
                .map(view -> Arrays.copyOfRange(flat, (int) view.offset(), (int) view.end()))
                .toList();
    }

    private static void put(double[] flat, ParameterView view, double[] values) {
        System.arraycopy(values, 0, flat, Math.toIntExact(view.offset()), values.length);
    }
}
