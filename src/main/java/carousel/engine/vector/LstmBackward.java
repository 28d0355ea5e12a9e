package carousel.engine.vector;

import carousel.engine.Gate;
import carousel.engine.LstmInput;
import carousel.engine.LstmInputGradient;
import carousel.engine.LstmLayout;
import carousel.engine.LstmOutput;
import carousel.engine.LstmSpec;
import carousel.engine.ParameterView;
import carousel.tensor.HostStorage;
import carousel.tensor.Scope;
import carousel.tensor.Tensor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * One layer's backward pass, in three parts: tiles of sequences go back through time and leave the gradients of the
 * pre-activations in the tape; from these come the weight gradients, and the gradient of what the layer read.
 */
final class LstmBackward {
    /** Rows of x done at a time. */
    private static final int INPUT_TILE = 48;

    private final Kernels kernels;
    private final Workers workers;
    private final WorkerBuffers[] buffers;
    private final boolean poisoned;
    private final RowBuffer biasSums;
    private Weights[] weights = new Weights[0];

    LstmBackward(Kernels kernels, Workers workers, WorkerBuffers[] buffers, boolean poisoned) {
        this.kernels = kernels;
        this.workers = workers;
        this.buffers = buffers;
        this.poisoned = poisoned;
        this.biasSums = new RowBuffer(poisoned);
    }

    /** One cell's weights as panels: {@code W [4H, D]}, {@code R [4H, P]}, {@code W_p [P, H]}; and the rows that were read. */
    private static final class Weights {
        final Panel input;
        final Panel recurrent;
        final Panel projection;
        int[][] rows = new int[5][0];

        Weights(Kernels kernels, boolean poisoned) {
            input = kernels.panel(poisoned);
            recurrent = kernels.panel(poisoned);
            projection = kernels.panel(poisoned);
        }

        int[] rows(int which, int count) {
            if (rows[which].length < count) {
                rows[which] = new int[count];
            }
            return rows[which];
        }

        long bytes() {
            long indices = Arrays.stream(rows).mapToLong(array -> array.length).sum() * Integer.BYTES;
            return input.bytes() + recurrent.bytes() + projection.bytes() + indices;
        }
    }

    /** Bytes kept from call to call. */
    long bytes() {
        return biasSums.bytes()
                + Arrays.stream(weights).mapToLong(Weights::bytes).sum();
    }

    /**
     * Goes back through all cells of a layer.
     *
     * @param dy the gradient of the layer's output, {@code [T, N, cells * P]}, or null for zero
     * @param outputGradient for the gradients of the last state
     * @param parameterGradients added to; null when not wanted
     * @param dx gets the gradient of what the layer read, {@code [T, N, D]}; null when not wanted
     * @param workspace for what lives as long as the call
     */
    void run(
            VectorTape tape,
            int layer,
            Tensor dy,
            LstmOutput outputGradient,
            Tensor parameterGradients,
            Tensor dx,
            LstmInputGradient inputGradient,
            Scope workspace) {
        LstmSpec spec = tape.spec();
        int count = spec.direction().cells();
        Sequences sequences = Sequences.of(tape.input());
        int tiles = LstmForward.tiles(sequences.batchSize());
        pack(spec, layer, tape.parameters(), dx != null);
        boolean biasWanted = parameterGradients != null && spec.bias();
        float[][] sums = biasWanted ? biasSums.rows(count * tiles * Gate.COUNT, spec.hiddenSize()) : null;
        Cell[] cells = new Cell[count];
        for (int k = 0; k < count; k++) {
            Tensor dh = spec.projected()
                    ? workspace.allocate("gradient of h", tape.timeSteps(), tape.batchSize(), spec.outputSize())
                    : null;
            cells[k] = new Cell(tape, sequences, layer, k, dy, dh, outputGradient, inputGradient);
        }
        workers.run(count * tiles, (index, worker) -> {
            int from = OuterProducts.split(sequences.batchSize(), tiles, index % tiles);
            int to = OuterProducts.split(sequences.batchSize(), tiles, index % tiles + 1);
            cells[index / tiles].tile(from, to, sums, index * Gate.COUNT, buffers[worker]);
        });
        if (parameterGradients != null) {
            float[] gradients = HostStorage.floats(parameterGradients);
            int start = HostStorage.start(parameterGradients);
            OuterProducts products = new OuterProducts(kernels);
            for (Cell cell : cells) {
                cell.addProducts(products, gradients, start);
            }
            products.run(workers, buffers);
            for (int k = 0; biasWanted && k < count; k++) {
                cells[k].addBias(sums, k * tiles, tiles, gradients, start);
            }
        }
        if (dx != null) {
            inputGradient(cells, sequences, Rows.of(dx));
        }
    }

    private void pack(LstmSpec spec, int layer, Tensor parameters, boolean inputWanted) {
        int count = spec.direction().cells();
        if (weights.length < count) {
            int known = weights.length;
            weights = Arrays.copyOf(weights, count);
            for (int k = known; k < count; k++) {
                weights[k] = new Weights(kernels, poisoned);
            }
        }
        LstmLayout layout = LstmLayout.of(spec);
        for (int k = 0; k < count; k++) {
            LstmLayout.Cell views = layout.cell(layer * count + k);
            Weights cell = weights[k];
            if (inputWanted) {
                copy(views.inputWeights(), parameters, cell.input);
            }
            copy(views.recurrentWeights(), parameters, cell.recurrent);
            if (spec.projected()) {
                copy(views.projection(), parameters, cell.projection);
            }
        }
    }

    private static void copy(ParameterView view, Tensor parameters, Panel panel) {
        int rows = view.shape().extent(0);
        int columns = view.shape().extent(1);
        panel.reshape(rows, columns);
        int start = HostStorage.start(parameters) + Math.toIntExact(view.offset());
        panel.copy(HostStorage.floats(parameters), start, rows);
    }

    /** {@code dx = sum over the cells of W^T da}, by rows of x in the order of time; zero past the end of a sequence. */
    private void inputGradient(Cell[] cells, Sequences sequences, Rows dx) {
        int batchSize = sequences.batchSize();
        int rows = sequences.timeSteps() * batchSize;
        int tasks = (rows + INPUT_TILE - 1) / INPUT_TILE;
        workers.run(tasks, (index, worker) -> {
            WorkerBuffers buffer = buffers[worker];
            float[][] sums = buffer.sums.rows(INPUT_TILE, dx.width());
            int[] active = new int[INPUT_TILE];
            int count = 0;
            for (int row = index * INPUT_TILE; row < Math.min(rows, (index + 1) * INPUT_TILE); row++) {
                int at = dx.start() + row * dx.width();
                if (row / batchSize < sequences.length(row % batchSize)) {
                    Arrays.fill(sums[count], 0, dx.width(), 0);
                    active[count++] = row;
                } else {
                    Arrays.fill(dx.values(), at, at + dx.width(), 0);
                }
            }
            int[] first = buffer.indices(count);
            for (Cell cell : cells) {
                for (int k = 0; k < count; k++) {
                    int n = active[k] % batchSize;
                    first[k] = cell.gates.at(sequences.time(active[k] / batchSize, n, cell.reversed), n);
                }
                kernels.product(cell.gates.values(), first, cell.panels.input, cell.gates.width(), sums, count);
            }
            for (int k = 0; k < count; k++) {
                System.arraycopy(sums[k], 0, dx.values(), dx.start() + active[k] * dx.width(), dx.width());
            }
        });
    }

    /** One cell's way back. */
    private final class Cell {
        private final Sequences sequences;
        private final int hidden;
        private final int inputs;
        private final int outputs;
        private final int state;
        private final int column;
        private final boolean reversed;
        private final boolean projected;
        private final float clip;
        private final Weights panels;
        private final LstmLayout.Cell views;
        private final Rows x;
        private final Rows y;
        private final Rows initialH;
        private final Rows gates;
        private final Rows cells;
        private final Rows tanhCells;
        private final Rows dy;
        private final Rows dh;
        private final Rows lastH;
        private final Rows lastC;
        private final Rows firstH;
        private final Rows firstC;

        Cell(
                VectorTape tape,
                Sequences sequences,
                int layer,
                int index,
                Tensor dy,
                Tensor dh,
                LstmOutput outputGradient,
                LstmInputGradient inputGradient) {
            LstmSpec spec = tape.spec();
            LstmInput input = tape.input();
            this.sequences = sequences;
            this.hidden = spec.hiddenSize();
            this.inputs = spec.layerInputSize(layer);
            this.outputs = spec.outputSize();
            this.state = layer * spec.direction().cells() + index;
            this.column = index * outputs;
            this.reversed = spec.direction().reversed(index);
            this.projected = spec.projected();
            this.clip = (float) spec.cellClip();
            this.panels = weights[index];
            this.views = LstmLayout.of(spec).cell(state);
            this.x = Rows.of(tape.layerInput(layer));
            this.y = Rows.of(tape.output(layer));
            this.initialH = input.initial() == null
                    ? null
                    : Rows.ofNullable(input.initial().h());
            this.gates = Rows.of(tape.gates(state));
            this.cells = Rows.of(tape.cells(state));
            this.tanhCells = Rows.of(tape.tanhCells(state));
            this.dy = Rows.ofNullable(dy);
            this.dh = Rows.ofNullable(dh);
            boolean last = outputGradient.last() != null;
            this.lastH = last ? Rows.ofNullable(outputGradient.last().h()) : null;
            this.lastC = last ? Rows.ofNullable(outputGradient.last().c()) : null;
            boolean first = inputGradient.initial() != null;
            this.firstH = first ? Rows.ofNullable(inputGradient.initial().h()) : null;
            this.firstC = first ? Rows.ofNullable(inputGradient.initial().c()) : null;
        }

        /**
         * Goes back through sequences {@code from} to {@code to - 1}.
         *
         * @param biasSums rows {@code biasRow} to {@code biasRow + 3} get the tile's share of the bias gradient; null when not
         *     wanted
         */
        void tile(int from, int to, float[][] biasSums, int biasRow, WorkerBuffers buffer) {
            int rows = to - from;
            float[][] h = buffer.hidden.rows(rows, outputs);
            float[][] c = buffer.cell.rows(rows, hidden);
            float[][] chosen = buffer.selection(rows);
            int[] active = new int[rows];
            int steps = 0;
            for (int n = from; n < to; n++) {
                load(lastH, n, h[n - from], outputs);
                load(lastC, n, c[n - from], hidden);
                steps = Math.max(steps, sequences.length(n));
            }
            for (int gate = 0; biasSums != null && gate < Gate.COUNT; gate++) {
                Arrays.fill(biasSums[biasRow + gate], 0, hidden, 0);
            }
            for (int step = steps - 1; step >= 0; step--) {
                int count = 0;
                for (int n = from; n < to; n++) {
                    if (step < sequences.length(n)) {
                        chosen[count] = h[n - from];
                        active[count++] = n;
                    }
                }
                float[][] m = outputGradient(step, active, count, chosen, buffer);
                for (int k = 0; k < count; k++) {
                    cell(step, active[k], m[k], c[active[k] - from], biasSums, biasRow, buffer);
                }
                if (step > 0 || firstH != null) {
                    int[] first = buffer.indices(count);
                    for (int k = 0; k < count; k++) {
                        Arrays.fill(chosen[k], 0, outputs, 0);
                        first[k] = gates.at(step, active[k]);
                    }
                    kernels.product(gates.values(), first, panels.recurrent, Gate.COUNT * hidden, chosen, count);
                }
            }
            for (int n = from; n < to; n++) {
                store(h[n - from], firstH, n, outputs);
                store(c[n - from], firstC, n, hidden);
            }
        }

        /** Adds the gradient of y to those of h and goes back through the projection: the gradients of {@code o * tanh(c)}. */
        private float[][] outputGradient(int step, int[] active, int count, float[][] h, WorkerBuffers buffer) {
            if (dy != null) {
                float[] row = buffer.single.row(outputs);
                for (int k = 0; k < count; k++) {
                    int n = active[k];
                    int at = dy.at(sequences.time(step, n, reversed), n) + column;
                    System.arraycopy(dy.values(), at, row, 0, outputs);
                    CellLoops.add(h[k], row, outputs);
                }
            }
            if (!projected) {
                return h;
            }
            float[][] m = buffer.projected.rows(count, hidden);
            int[] first = buffer.indices(count);
            for (int k = 0; k < count; k++) {
                first[k] = dh.at(step, active[k]);
                System.arraycopy(h[k], 0, dh.values(), first[k], outputs);
                Arrays.fill(m[k], 0, hidden, 0);
            }
            kernels.product(dh.values(), first, panels.projection, outputs, m, count);
            return m;
        }

        /** The elementwise part of a step: gates in the tape become gradients, {@code c} goes from this step to the previous. */
        private void cell(
                int step, int n, float[] dm, float[] dc, float[][] biasSums, int biasRow, WorkerBuffers buffer) {
            float[][] single = buffer.single.rows(Gate.COUNT + 2, hidden);
            float[] i = single[Gate.INPUT.ordinal()];
            float[] f = single[Gate.FORGET.ordinal()];
            float[] g = single[Gate.CANDIDATE.ordinal()];
            float[] o = single[Gate.OUTPUT.ordinal()];
            float[] tanhC = single[Gate.COUNT];
            float[] cPrevious = single[Gate.COUNT + 1];
            int at = gates.at(step, n);
            for (int gate = 0; gate < Gate.COUNT; gate++) {
                System.arraycopy(gates.values(), at + gate * hidden, single[gate], 0, hidden);
            }
            System.arraycopy(tanhCells.values(), tanhCells.at(step, n), tanhC, 0, hidden);
            System.arraycopy(cells.values(), cells.at(step, n), cPrevious, 0, hidden);
            if (projected) {
                // The projection's gradient needs o * tanh(c), and nothing else needs tanh(c) after this step.
                float[] m = buffer.sums.row(hidden);
                CellLoops.multiply(o, tanhC, m, hidden);
                System.arraycopy(m, 0, tanhCells.values(), tanhCells.at(step, n), hidden);
            }
            CellLoops.outputGradient(o, tanhC, dm, dc, hidden);
            if (clip > 0) {
                CellLoops.clipGradient(i, f, g, cPrevious, clip, dc, hidden);
            }
            CellLoops.inputGradient(i, g, dc, hidden);
            CellLoops.forgetGradient(f, cPrevious, dc, hidden);
            for (int gate = 0; gate < Gate.COUNT; gate++) {
                System.arraycopy(single[gate], 0, gates.values(), at + gate * hidden, hidden);
                if (biasSums != null) {
                    CellLoops.add(biasSums[biasRow + gate], single[gate], hidden);
                }
            }
        }

        /** {@code dW += da^T x, dR += da^T h_prev, dW_p += dh^T (o * tanh(c))}, over the steps that sequences have. */
        void addProducts(OuterProducts products, float[] gradients, int start) {
            int all = sequences.timeSteps() * sequences.batchSize();
            int[] gateRows = panels.rows(0, all);
            int[] xRows = panels.rows(1, all);
            int[] hRows = panels.rows(2, all);
            int count = 0;
            int begun = 0;
            for (int step = 0; step < sequences.timeSteps(); step++) {
                for (int n = 0; n < sequences.batchSize(); n++) {
                    if (step >= sequences.length(n)) {
                        continue;
                    }
                    gateRows[count] = gates.at(step, n);
                    xRows[count] = x.at(sequences.time(step, n, reversed), n);
                    if (step > 0) {
                        hRows[count] = y.at(sequences.time(step - 1, n, reversed), n) + column;
                    } else {
                        hRows[count] = initialH == null ? 0 : initialH.at(state, n);
                        begun++;
                    }
                    count++;
                }
            }
            int wide = Gate.COUNT * hidden;
            OuterProducts.Operand da = new OuterProducts.Operand(gates.values(), gateRows);
            products.add(
                    List.of(new OuterProducts.Terms(new OuterProducts.Operand(x.values(), xRows), da, 0, count)),
                    inputs,
                    wide,
                    gradients,
                    start + Math.toIntExact(views.inputWeights().offset()),
                    true);
            List<OuterProducts.Terms> recurrent = new ArrayList<>();
            if (initialH != null) {
                recurrent.add(
                        new OuterProducts.Terms(new OuterProducts.Operand(initialH.values(), hRows), da, 0, begun));
            }
            recurrent.add(new OuterProducts.Terms(new OuterProducts.Operand(y.values(), hRows), da, begun, count));
            products.add(
                    recurrent,
                    outputs,
                    wide,
                    gradients,
                    start + Math.toIntExact(views.recurrentWeights().offset()),
                    true);
            if (projected) {
                // By the cell's steps, as the gates are.
                int[] mRows = panels.rows(3, all);
                int[] dhRows = panels.rows(4, all);
                for (int k = 0; k < count; k++) {
                    int row = (gateRows[k] - gates.start()) / wide;
                    mRows[k] = tanhCells.start() + row * hidden;
                    dhRows[k] = dh.start() + row * outputs;
                }
                products.add(
                        List.of(new OuterProducts.Terms(
                                new OuterProducts.Operand(dh.values(), dhRows),
                                new OuterProducts.Operand(tanhCells.values(), mRows),
                                0,
                                count)),
                        outputs,
                        hidden,
                        gradients,
                        start + Math.toIntExact(views.projection().offset()),
                        false);
            }
        }

        /** Adds up the tiles' shares in their order. */
        void addBias(float[][] sums, int firstTile, int tiles, float[] gradients, int start) {
            int bias = start + Math.toIntExact(views.bias().offset());
            for (int gate = 0; gate < Gate.COUNT; gate++) {
                float[] total = sums[firstTile * Gate.COUNT + gate];
                for (int tile = 1; tile < tiles; tile++) {
                    CellLoops.add(total, sums[(firstTile + tile) * Gate.COUNT + gate], hidden);
                }
                for (int j = 0; j < hidden; j++) {
                    gradients[bias + gate * hidden + j] += total[j];
                }
            }
        }

        private void load(Rows states, int n, float[] into, int width) {
            if (states == null) {
                Arrays.fill(into, 0, width, 0);
            } else {
                System.arraycopy(states.values(), states.at(state, n), into, 0, width);
            }
        }

        private void store(float[] from, Rows states, int n, int width) {
            if (states != null) {
                System.arraycopy(from, 0, states.values(), states.at(state, n), width);
            }
        }
    }
}
