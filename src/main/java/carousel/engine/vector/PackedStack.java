package carousel.engine.vector;

import static carousel.engine.vector.Kernels.BLOCK;
import static carousel.engine.vector.Kernels.LANES;

import carousel.engine.Gate;
import carousel.engine.LstmLayout;
import carousel.engine.LstmMask;
import carousel.engine.LstmSpec;
import carousel.engine.ParameterView;
import carousel.engine.RandomKey;
import carousel.tensor.HostStorage;
import carousel.tensor.Tensor;
import java.util.Arrays;
import java.util.Objects;

/**
 * A stack's weights as panels, packed when they are first needed after they have changed: once in a training step, once in all for
 * inference. Where recurrent weights are dropped, a call's masks belong to what is packed.
 */
final class PackedStack implements Workers.Task {
    /**
     * Arrays in Java begin 16 bytes into an object, and the G1 collector puts an object of this size at the start of a region and
     * leaves it there: with {@value #LEAD} numbers before them, panels lie on cache lines. Loads that cross a line cost a tenth
     * of a product's time.
     */
    private static final int LARGE = 1 << 20;

    private static final int LEAD = 12;

    private final Kernels kernels;
    private final LstmSpec spec;
    private final LstmLayout layout;
    private final Cell[] cells;
    /** Where the panels of the forward pass lie, and those of the backward pass. */
    private final float[][] arenas = new float[2][];

    private final CellOptions options;
    private final float[] valid;
    /** Recurrent weights without those that are dropped, of the cell that is packed. */
    private float[] kept = new float[0];

    private CellPasses passes;
    private long version;
    /** The call whose masks are packed; null for none. */
    private RandomKey call;
    // What a task packs.
    private float[] parameters;
    private int start;
    private Cell cell;
    private LstmLayout.Cell views;
    private boolean backwards;
    private boolean inputWanted;
    private RandomBits dropped;
    private long[][] blocks = new long[0][];

    PackedStack(LstmSpec spec, Kernels kernels) {
        this.kernels = kernels;
        this.spec = spec;
        this.layout = LstmLayout.of(spec);
        this.options = CellOptions.of(spec);
        this.valid = new float[strips() * LANES];
        Arrays.fill(valid, 0, spec.hiddenSize(), 1);
        this.cells = new Cell[spec.states()];
        for (int state = 0; state < cells.length; state++) {
            cells[state] = new Cell(kernels);
        }
    }

    /** One cell's weights. */
    static final class Cell {
        /**
         * {@code [W, R]^T}: strip s holds the gates of the hidden units from {@code s L} on. The rows for h begin at a block, and
         * those for x end there: see {@link #inputRow} and {@link #hiddenRow}.
         */
        final Panel gates;
        /** The bias by strip, {@code [S][4L]}; zeros without one. */
        float[] bias = new float[0];
        /** {@code p} by strip, {@code [S][3L]}; empty without. */
        float[] peepholes = new float[0];
        /** The gains by strip, {@code [S][GAINS]} of {@link CellStep}; empty without. */
        float[] gains = new float[0];
        /** {@code d_R [4H, P]} of the call; empty where nothing is dropped. */
        float[] recurrentMask = new float[0];
        /** {@code W_p^T}: from the cells' outputs to h. */
        final Panel projection;
        /** {@code R}, its rows in the order of the strips' columns: from pre-activations back to h. */
        final Panel recurrentBack;
        /** {@code W} likewise: back to x. */
        final Panel inputBack;
        /** {@code W_p}: from h back to the cells' outputs. */
        final Panel projectionBack;

        private int inputRow;
        private int hiddenRow;
        private boolean packedForward;
        private boolean packedBackward;
        private boolean packedInput;
        private boolean drawn;

        Cell(Kernels kernels) {
            gates = new Panel(kernels);
            projection = new Panel(kernels);
            recurrentBack = new Panel(kernels);
            inputBack = new Panel(kernels);
            projectionBack = new Panel(kernels);
        }

        /** The row of {@link #gates} for the first feature of x. */
        int inputRow() {
            return inputRow;
        }

        /** The row of {@link #gates} for the first element of h: a multiple of a block. */
        int hiddenRow() {
            return hiddenRow;
        }
    }

    LstmSpec spec() {
        return spec;
    }

    LstmLayout layout() {
        return layout;
    }

    /** Strips of a cell's hidden units. */
    int strips() {
        return (spec.hiddenSize() + LANES - 1) / LANES;
    }

    CellOptions options() {
        return options;
    }

    /** The passes of a cell with these options. */
    CellPasses passes() {
        if (passes == null) {
            passes = kernels.passes(options);
        }
        return passes;
    }

    /** {@code [S][L]}: 1 for a hidden unit, 0 for padding. */
    float[] valid() {
        return valid;
    }

    /** Whether weights are dropped in the call that is expected. */
    boolean dropsWeights() {
        return call != null;
    }

    /**
     * The weights have this version now: panels of another one are out of date.
     *
     * @param key of the call, or null
     */
    void expect(long now, RandomKey key) {
        RandomKey masks = spec.recurrentWeightDropout() > 0 ? key : null;
        if (version != now || !Objects.equals(call, masks)) {
            version = now;
            call = masks;
            for (Cell each : cells) {
                each.packedForward = false;
                each.packedBackward = false;
                each.packedInput = false;
                each.drawn = false;
            }
        }
    }

    /** A cell with the panels of the forward pass. */
    Cell forward(int state, Tensor tensor, Workers workers) {
        Cell wanted = cells[state];
        if (!wanted.packedForward) {
            if (arenas[0] == null) {
                arenas[0] = lay(false);
            }
            prepare(state, tensor, workers);
            backwards = false;
            workers.run(strips() + wanted.projection.strips(), this);
            wanted.packedForward = true;
            wanted.drawn = dropsWeights();
            parameters = null;
        }
        return wanted;
    }

    /** A cell with the panels of the backward pass. */
    Cell backward(int state, Tensor tensor, boolean withInput, Workers workers) {
        Cell wanted = cells[state];
        if (!wanted.packedBackward || withInput && !wanted.packedInput) {
            if (arenas[1] == null) {
                arenas[1] = lay(true);
            }
            prepare(state, tensor, workers);
            backwards = true;
            inputWanted = withInput;
            if (spec.projected()) {
                for (int p = 0; p < spec.outputSize(); p++) {
                    int row = offset(views.projection()) + p * spec.hiddenSize();
                    wanted.projectionBack.setRow(p, 0, spec.hiddenSize(), parameters, row);
                }
            }
            workers.run(strips(), this);
            wanted.packedBackward = true;
            wanted.drawn = dropsWeights();
            wanted.packedInput |= withInput;
            parameters = null;
        }
        return wanted;
    }

    /** Lays out the panels of one of the passes, all in one array. */
    private float[] lay(boolean back) {
        float[] array = new float[0];
        // First to see how much they take, then to place them.
        for (int round = 0; round < 2; round++) {
            int end = LEAD;
            for (int state = 0; state < cells.length; state++) {
                Cell each = cells[state];
                int inputs = spec.layerInputSize(state / spec.direction().cells());
                int outputs = spec.outputSize();
                int wide = strips() * BLOCK;
                if (back) {
                    end = place(each.recurrentBack, array, end, wide, outputs);
                    end = place(each.inputBack, array, end, wide, inputs);
                    end = spec.projected() ? place(each.projectionBack, array, end, outputs, spec.hiddenSize()) : end;
                } else {
                    each.hiddenRow = (inputs + BLOCK - 1) / BLOCK * BLOCK;
                    each.inputRow = each.hiddenRow - inputs;
                    end = place(each.gates, array, end, each.hiddenRow + outputs, wide);
                    end = spec.projected() ? place(each.projection, array, end, spec.hiddenSize(), outputs) : end;
                }
            }
            array = round == 0 ? new float[Math.max(end, LARGE)] : array;
        }
        return array;
    }

    private static int place(Panel panel, float[] array, int at, int depth, int columns) {
        panel.place(array, at, depth, columns);
        return Math.addExact(at, Panel.size(depth, columns));
    }

    private void prepare(int state, Tensor tensor, Workers workers) {
        parameters = HostStorage.floats(tensor);
        start = HostStorage.start(tensor);
        cell = cells[state];
        views = layout.cell(state);
        int wide = strips() * LANES;
        if (cell.bias.length == 0) {
            cell.bias = new float[Gate.COUNT * wide];
        }
        if (options.peepholes() && cell.peepholes.length == 0) {
            cell.peepholes = new float[(Gate.COUNT - 1) * wide];
        }
        if (options.normalized() && cell.gains.length == 0) {
            cell.gains = new float[CellStep.GAINS / LANES * wide];
        }
        if (dropsWeights()) {
            int size = Math.toIntExact(views.recurrentWeights().shape().elements());
            cell.recurrentMask = cell.recurrentMask.length < size ? new float[size] : cell.recurrentMask;
            kept = kept.length < size ? new float[size] : kept;
            int most = Kernels.DRAWN + RandomBits.BLOCKS;
            blocks = blocks.length < workers.count() ? new long[workers.count()][most] : blocks;
            dropped = dropped == null ? new RandomBits(kernels) : dropped;
            int count = spec.direction().cells();
            dropped.set(
                    LstmMask.RECURRENT_WEIGHTS.key(call, state / count, state % count), spec.recurrentWeightDropout());
        }
    }

    private int offset(ParameterView view) {
        return start + Math.toIntExact(view.offset());
    }

    /** Packs one strip. */
    @Override
    public void run(int index, int worker) {
        if (index >= strips()) {
            packProjection(index - strips());
            return;
        }
        int hidden = spec.hiddenSize();
        int first = index * LANES;
        int count = Math.min(LANES, hidden - first);
        int outputs = views.recurrentWeights().shape().extent(1);
        int inputs = views.inputWeights().shape().extent(1);
        packRows(index, first, count);
        for (int gate = 0; gate < Gate.COUNT; gate++) {
            int row = gate * hidden + first;
            float[] weights = dropsWeights() ? kept : parameters;
            int recurrent = (dropsWeights() ? 0 : offset(views.recurrentWeights())) + row * outputs;
            if (dropsWeights()) {
                drop(row * outputs, count * outputs, blocks[worker]);
            }
            int input = offset(views.inputWeights()) + row * inputs;
            int column = gate * LANES;
            if (backwards) {
                int k = (index * Gate.COUNT + gate) * LANES;
                for (int l = 0; l < count; l++) {
                    cell.recurrentBack.setRow(k + l, 0, outputs, weights, recurrent + l * outputs);
                    if (inputWanted) {
                        cell.inputBack.setRow(k + l, 0, inputs, parameters, input + l * inputs);
                    }
                }
            } else {
                cell.gates.transpose(parameters, input, inputs, count, index, column, cell.inputRow);
                cell.gates.transpose(weights, recurrent, outputs, count, index, column, cell.hiddenRow);
            }
        }
    }

    /** The bias, peepholes and gains of a strip; which of them the way back reads depends on the cell. */
    private void packRows(int strip, int first, int count) {
        if (views.bias() != null) {
            copyRows(views.bias(), Gate.COUNT, first, count, cell.bias, strip * BLOCK);
        }
        if (options.peepholes()) {
            int rows = Gate.COUNT - 1;
            copyRows(views.peepholes(), rows, first, count, cell.peepholes, strip * rows * LANES);
        }
        if (options.normalized()) {
            int to = strip * CellStep.GAINS;
            copyRows(views.gateNormalization(), 2 * Gate.COUNT, first, count, cell.gains, to);
            copyRows(views.cellNormalization(), 2, first, count, cell.gains, to + CellStep.CELL_GAINS);
        }
    }

    /** Some columns of a matrix {@code [rows, H]}, a row every L numbers. */
    private void copyRows(ParameterView view, int rows, int first, int count, float[] into, int at) {
        for (int row = 0; row < rows; row++) {
            int from = offset(view) + row * spec.hiddenSize() + first;
            System.arraycopy(parameters, from, into, at + row * LANES, count);
        }
    }

    /** Draws {@code d_R} from an element on, unless it is known, and multiplies the weights by it. */
    private void drop(int first, int count, long[] own) {
        float[] mask = cell.recurrentMask;
        int weights = offset(views.recurrentWeights());
        float scale = (float) (1 / (1 - spec.recurrentWeightDropout()));
        for (int e = first; e < first + count; e += LANES) {
            int end = Math.min(e + LANES, first + count);
            if (!cell.drawn) {
                dropped.draw(own, RandomBits.locate(e, own, 0));
                int bits = RandomBits.bits(e, own, 0);
                for (int k = e; k < end; k++) {
                    mask[k] = (bits >>> k - e & 1) != 0 ? 0 : scale;
                }
            }
            for (int k = e; k < end; k++) {
                kept[k] = mask[k] * parameters[weights + k];
            }
        }
    }

    private void packProjection(int strip) {
        int hidden = spec.hiddenSize();
        int first = cell.projection.column(strip);
        int count = Math.min(cell.projection.width(strip) * LANES, spec.outputSize() - first);
        cell.projection.transpose(parameters, offset(views.projection()) + first * hidden, hidden, count, strip, 0, 0);
    }

    long bytes() {
        long bytes = (long) kept.length * Float.BYTES;
        for (Cell each : cells) {
            bytes += (long) each.recurrentMask.length * Float.BYTES;
        }
        for (float[] arena : arenas) {
            bytes += arena == null ? 0 : (long) arena.length * Float.BYTES;
        }
        return bytes;
    }
}
