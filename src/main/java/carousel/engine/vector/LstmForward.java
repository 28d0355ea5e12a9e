package carousel.engine.vector;

import carousel.engine.Gate;
import carousel.engine.LstmInput;
import carousel.engine.LstmLayout;
import carousel.engine.LstmOutput;
import carousel.engine.LstmSpec;
import carousel.tensor.HostStorage;
import carousel.tensor.Tensor;
import java.util.Arrays;

/**
 * One layer's forward pass. The batch is cut into tiles of a few sequences; a tile runs through all its steps without
 * waiting for any other, and both cells of a bidirectional layer run at the same time.
 */
final class LstmForward {
    /** Sequences in a tile, at most: enough to reuse a row of weights, few enough to stay in the cache. */
    private static final int TILE = 16;

    private final Kernels kernels;
    private final Workers workers;
    private final WorkerBuffers[] buffers;
    private final boolean poisoned;
    private final RowBuffer squashing;
    private float[] scale;
    private float[] shift;
    private Weights[] weights = new Weights[0];

    LstmForward(Kernels kernels, Workers workers, WorkerBuffers[] buffers, boolean poisoned) {
        this.kernels = kernels;
        this.workers = workers;
        this.buffers = buffers;
        this.poisoned = poisoned;
        this.squashing = new RowBuffer(poisoned);
    }

    /** One cell's weights, transposed into panels: {@code [W, R]^T [D + P, 4H]} and {@code W_p^T [H, P]}. */
    private static final class Weights {
        final Panel gates;
        final Panel projection;

        Weights(Kernels kernels, boolean poisoned) {
            gates = kernels.panel(poisoned);
            projection = kernels.panel(poisoned);
        }

        long bytes() {
            return gates.bytes() + projection.bytes();
        }
    }

    /** Bytes kept from call to call. */
    long bytes() {
        return squashing.bytes()
                + Arrays.stream(weights).mapToLong(Weights::bytes).sum();
    }

    /** How many tiles a batch has: it depends on the batch alone. */
    static int tiles(int batchSize) {
        return (batchSize + TILE - 1) / TILE;
    }

    /**
     * Runs all cells of a layer.
     *
     * @param x what the layer reads, {@code [T, N, D]}
     * @param y {@code [T, N, cells * P]}
     * @param tape null for inference
     */
    void run(
            LstmSpec spec,
            int layer,
            Tensor parameters,
            LstmInput input,
            Tensor x,
            Tensor y,
            LstmOutput output,
            VectorTape tape) {
        int cells = spec.direction().cells();
        pack(spec, layer, parameters);
        prepareSquashing(spec.hiddenSize());
        LstmLayout layout = LstmLayout.of(spec);
        Cell[] passes = new Cell[cells];
        for (int k = 0; k < cells; k++) {
            passes[k] = new Cell(spec, layout, layer, k, parameters, input, x, y, output, tape);
        }
        int tiles = tiles(input.x().shape().extent(1));
        workers.run(cells * tiles, (index, worker) -> {
            Cell cell = passes[index / tiles];
            int batchSize = cell.sequences.batchSize();
            int from = OuterProducts.split(batchSize, tiles, index % tiles);
            int to = OuterProducts.split(batchSize, tiles, index % tiles + 1);
            cell.tile(from, to, buffers[worker]);
        });
    }

    /** Scale and shift of every gate, for {@link Activations#squash}. */
    private void prepareSquashing(int hidden) {
        float[][] rows = squashing.rows(2, Gate.COUNT * hidden);
        scale = rows[0];
        shift = rows[1];
        for (Gate gate : Gate.values()) {
            int from = gate.firstRow(hidden);
            boolean tanh = gate == Gate.CANDIDATE;
            Arrays.fill(scale, from, from + hidden, tanh ? 1 : 0.5f);
            Arrays.fill(shift, from, from + hidden, tanh ? 0 : 0.5f);
        }
    }

    private void pack(LstmSpec spec, int layer, Tensor parameters) {
        int cells = spec.direction().cells();
        if (weights.length < cells) {
            int known = weights.length;
            weights = Arrays.copyOf(weights, cells);
            for (int k = known; k < cells; k++) {
                weights[k] = new Weights(kernels, poisoned);
            }
        }
        LstmLayout layout = LstmLayout.of(spec);
        float[] values = HostStorage.floats(parameters);
        int start = HostStorage.start(parameters);
        int wide = Gate.COUNT * spec.hiddenSize();
        int inputs = spec.layerInputSize(layer);
        int outputs = spec.outputSize();
        for (int k = 0; k < cells; k++) {
            Weights cell = weights[k];
            LstmLayout.Cell views = layout.cell(layer * cells + k);
            cell.gates.reshape(inputs + outputs, wide);
            int w = start + Math.toIntExact(views.inputWeights().offset());
            int r = start + Math.toIntExact(views.recurrentWeights().offset());
            int strips = Panel.strips(inputs);
            workers.run(strips + Panel.strips(outputs), (index, worker) -> {
                if (index < strips) {
                    cell.gates.transposeStrip(values, w, inputs, index, 0);
                } else {
                    cell.gates.transposeStrip(values, r, outputs, index - strips, inputs);
                }
            });
            if (spec.projected()) {
                cell.projection.reshape(spec.hiddenSize(), outputs);
                int p = start + Math.toIntExact(views.projection().offset());
                workers.run(
                        Panel.strips(spec.hiddenSize()),
                        (index, worker) -> cell.projection.transposeStrip(values, p, spec.hiddenSize(), index, 0));
            }
        }
    }

    /** One cell's pass over the sequences. */
    private final class Cell {
        final Sequences sequences;
        private final int hidden;
        private final int inputs;
        private final int outputs;
        private final int state;
        private final int column;
        private final boolean reversed;
        private final boolean projected;
        private final float clip;
        private final Weights panels;
        private final float[] parameters;
        private final int bias;
        private final Rows x;
        private final Rows y;
        private final Rows initialH;
        private final Rows initialC;
        private final Rows lastH;
        private final Rows lastC;
        private final Rows gates;
        private final Rows cells;
        private final Rows tanhCells;

        Cell(
                LstmSpec spec,
                LstmLayout layout,
                int layer,
                int index,
                Tensor parameters,
                LstmInput input,
                Tensor x,
                Tensor y,
                LstmOutput output,
                VectorTape tape) {
            this.sequences = Sequences.of(input);
            this.hidden = spec.hiddenSize();
            this.inputs = spec.layerInputSize(layer);
            this.outputs = spec.outputSize();
            this.state = layer * spec.direction().cells() + index;
            this.column = index * outputs;
            this.reversed = spec.direction().reversed(index);
            this.projected = spec.projected();
            this.clip = (float) spec.cellClip();
            this.panels = weights[index];
            this.parameters = HostStorage.floats(parameters);
            this.bias = spec.bias()
                    ? HostStorage.start(parameters)
                            + Math.toIntExact(layout.cell(state).bias().offset())
                    : -1;
            this.x = Rows.of(x);
            this.y = Rows.of(y);
            this.initialH = input.initial() == null
                    ? null
                    : Rows.ofNullable(input.initial().h());
            this.initialC = input.initial() == null
                    ? null
                    : Rows.ofNullable(input.initial().c());
            this.lastH =
                    output.last() == null ? null : Rows.ofNullable(output.last().h());
            this.lastC =
                    output.last() == null ? null : Rows.ofNullable(output.last().c());
            this.gates = tape == null ? null : Rows.of(tape.gates(state));
            this.cells = tape == null ? null : Rows.of(tape.cells(state));
            this.tanhCells = tape == null ? null : Rows.of(tape.tanhCells(state));
        }

        /** Runs sequences {@code from} to {@code to - 1} from their first step to their last. */
        void tile(int from, int to, WorkerBuffers buffer) {
            int rows = to - from;
            float[][] c = buffer.cell.rows(rows, hidden);
            int steps = 0;
            for (int n = from; n < to; n++) {
                load(initialC, n, c[n - from], hidden);
                if (cells != null) {
                    System.arraycopy(c[n - from], 0, cells.values(), cells.at(0, n), hidden);
                }
                steps = Math.max(steps, sequences.length(n));
            }
            int[] active = new int[rows];
            for (int step = 0; step < steps; step++) {
                int count = 0;
                for (int n = from; n < to; n++) {
                    if (step < sequences.length(n)) {
                        active[count++] = n;
                    }
                }
                float[][] sums = preActivations(step, active, count, buffer);
                float[][] m = buffer.projected.rows(count, hidden);
                for (int k = 0; k < count; k++) {
                    int n = active[k];
                    cell(step, n, sums[k], c[n - from], m[k], buffer);
                }
                output(step, active, count, m, buffer);
            }
            for (int n = from; n < to; n++) {
                finish(n, c[n - from]);
            }
        }

        /** {@code a = b + [W, R] [x, h_prev]}, one row for each active sequence; without R where no h went before. */
        private float[][] preActivations(int step, int[] active, int count, WorkerBuffers buffer) {
            int wide = Gate.COUNT * hidden;
            float[][] sums = buffer.sums.rows(count, wide);
            int[] first = buffer.indices(count);
            boolean recurrent = step > 0 || initialH != null;
            int depth = recurrent ? inputs + outputs : inputs;
            float[] left = buffer.left.row(count * depth);
            for (int k = 0; k < count; k++) {
                int n = active[k];
                if (bias >= 0) {
                    System.arraycopy(parameters, bias, sums[k], 0, wide);
                } else {
                    Arrays.fill(sums[k], 0, wide, 0);
                }
                first[k] = k * depth;
                System.arraycopy(x.values(), x.at(sequences.time(step, n, reversed), n), left, first[k], inputs);
                if (step > 0) {
                    int previous = y.at(sequences.time(step - 1, n, reversed), n) + column;
                    System.arraycopy(y.values(), previous, left, first[k] + inputs, outputs);
                } else if (initialH != null) {
                    System.arraycopy(initialH.values(), initialH.at(state, n), left, first[k] + inputs, outputs);
                }
            }
            kernels.product(left, first, panels.gates, depth, sums, count);
            return sums;
        }

        /** The elementwise part of a step: from pre-activations to the state and {@code m = o * tanh(c)}. */
        private void cell(int step, int n, float[] a, float[] c, float[] m, WorkerBuffers buffer) {
            float[][] single = buffer.single.rows(Gate.COUNT + 1, hidden);
            float[] tanhC = single[Gate.COUNT];
            Activations.squash(a, scale, shift, Gate.COUNT * hidden);
            for (int gate = 0; gate < Gate.COUNT; gate++) {
                System.arraycopy(a, gate * hidden, single[gate], 0, hidden);
            }
            CellLoops.carry(
                    single[Gate.INPUT.ordinal()],
                    single[Gate.FORGET.ordinal()],
                    single[Gate.CANDIDATE.ordinal()],
                    c,
                    hidden);
            if (clip > 0) {
                CellLoops.clip(c, clip, hidden);
            }
            Activations.tanh(c, tanhC, hidden);
            CellLoops.multiply(single[Gate.OUTPUT.ordinal()], tanhC, m, hidden);
            if (gates != null) {
                System.arraycopy(a, 0, gates.values(), gates.at(step, n), Gate.COUNT * hidden);
                System.arraycopy(c, 0, cells.values(), cells.at(step + 1, n), hidden);
                System.arraycopy(tanhC, 0, tanhCells.values(), tanhCells.at(step, n), hidden);
            }
        }

        /** Writes h, which is m or its projection. */
        private void output(int step, int[] active, int count, float[][] m, WorkerBuffers buffer) {
            float[][] h = m;
            if (projected) {
                h = buffer.hidden.rows(count, outputs);
                float[] left = buffer.left.row(count * hidden);
                int[] first = buffer.indices(count);
                for (int k = 0; k < count; k++) {
                    System.arraycopy(m[k], 0, left, k * hidden, hidden);
                    Arrays.fill(h[k], 0, outputs, 0);
                    first[k] = k * hidden;
                }
                kernels.product(left, first, panels.projection, hidden, h, count);
            }
            for (int k = 0; k < count; k++) {
                int n = active[k];
                System.arraycopy(h[k], 0, y.values(), y.at(sequences.time(step, n, reversed), n) + column, outputs);
            }
        }

        /** Zeros past the end of a sequence, and its last state. */
        private void finish(int n, float[] c) {
            int length = sequences.length(n);
            for (int t = length; t < sequences.timeSteps(); t++) {
                int at = y.at(t, n) + column;
                Arrays.fill(y.values(), at, at + outputs, 0);
            }
            if (lastC != null) {
                System.arraycopy(c, 0, lastC.values(), lastC.at(state, n), hidden);
            }
            if (lastH != null) {
                int at = lastH.at(state, n);
                if (length > 0) {
                    int last = y.at(sequences.time(length - 1, n, reversed), n) + column;
                    System.arraycopy(y.values(), last, lastH.values(), at, outputs);
                } else if (initialH != null) {
                    System.arraycopy(initialH.values(), initialH.at(state, n), lastH.values(), at, outputs);
                } else {
                    Arrays.fill(lastH.values(), at, at + outputs, 0);
                }
            }
        }

        /** A row of a state, zeros where it is missing. */
        private void load(Rows states, int n, float[] into, int width) {
            if (states == null) {
                Arrays.fill(into, 0, width, 0);
            } else {
                System.arraycopy(states.values(), states.at(state, n), into, 0, width);
            }
        }
    }
}
