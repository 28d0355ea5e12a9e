package carousel.engine.vector;

import static carousel.engine.vector.Kernels.BLOCK;
import static carousel.engine.vector.Kernels.LANES;

import carousel.engine.Gate;
import carousel.engine.LstmInput;
import carousel.engine.LstmInputGradient;
import carousel.engine.LstmLayout;
import carousel.engine.LstmOutput;
import carousel.engine.LstmSpec;
import carousel.tensor.HostStorage;
import carousel.tensor.Tensor;
import java.util.Arrays;

/**
 * One layer's backward pass, in three parts: tiles of sequences go back through time and leave the gradients of the
 * pre-activations in the tape; from these come the weight gradients, and the gradient of what the layer read.
 */
final class LstmBackward implements Workers.Task {
    /** Rows of x done at a time. */
    private static final int INPUT_ROWS = 64;

    private final Kernels kernels;
    private final Workers workers;
    private final WorkerBuffers[] buffers;
    private final Sequences sequences = new Sequences();
    private final Schedule schedule = new Schedule();
    private final Scratch zeros = new Scratch(false);
    private final WeightGradients products;
    private final InputGradients inputGradients = new InputGradients();
    private final Cell[] cells;

    LstmBackward(Kernels kernels, Workers workers, WorkerBuffers[] buffers, boolean poisoned) {
        this.kernels = kernels;
        this.workers = workers;
        this.buffers = buffers;
        this.products = new WeightGradients(kernels, workers, buffers);
        this.cells = new Cell[] {new Cell(poisoned), new Cell(poisoned)};
    }

    /** Bytes kept from call to call. */
    long bytes() {
        return sequences.bytes()
                + zeros.bytes()
                + (long) inputGradients.dxRows.length * Integer.BYTES
                + cells[0].bytes()
                + cells[1].bytes();
    }

    /**
     * Goes back through all cells of a layer.
     *
     * @param dy the gradient of the layer's output, {@code [T, N, cells * P]}, from {@code dyAt}, or null for zero
     * @param outputGradient for the gradients of the last state
     * @param parameterGradients added to; null when not wanted
     * @param dx gets the gradient of what the layer read, {@code [T, N, D]}, from {@code dxAt}; null when not wanted
     */
    void run(
            PackedStack stack,
            VectorTape tape,
            int layer,
            float[] dy,
            int dyAt,
            LstmOutput outputGradient,
            Tensor parameterGradients,
            float[] dx,
            int dxAt,
            LstmInputGradient inputGradient) {
        LstmSpec spec = stack.spec();
        int count = spec.direction().cells();
        sequences.set(tape.timeSteps(), tape.batchSize(), tape.input().lengths());
        zeros.zeros(BLOCK);
        try {
            for (int k = 0; k < count; k++) {
                int state = layer * count + k;
                PackedStack.Cell weights = stack.backward(state, tape.parameters(), dx != null, workers);
                cells[k].prepare(stack, weights, tape, layer, k, dy, dyAt, outputGradient, inputGradient);
            }
            int most = Math.min(
                    cells[0].weights.recurrentBack.strips(),
                    spec.projected() ? cells[0].weights.projectionBack.strips() : Integer.MAX_VALUE);
            schedule.plan(workers.count(), count, sequences, (long) stack.strips() * BLOCK * spec.outputSize(), most);
            schedule.launch(workers, this);
            if (parameterGradients != null) {
                float[] gradients = HostStorage.floats(parameterGradients);
                int start = HostStorage.start(parameterGradients);
                for (int k = 0; k < count; k++) {
                    cells[k].addProducts(gradients, start);
                }
                products.run();
            }
            for (int k = 0; dx != null && k < count; k++) {
                inputGradients.run(cells[k], dx, dxAt, k > 0);
            }
        } finally {
            products.clear();
            cells[0].release();
            cells[1].release();
        }
    }

    @Override
    public void run(int index, int worker) {
        cells[schedule.cell(index)].run(
                schedule.firstTile(index),
                schedule.endTile(index),
                schedule.member(index),
                schedule.meeting(index),
                buffers[worker]);
    }

    /** {@code dx = sum over the cells of W^T da}; zero past the end of a sequence. */
    private final class InputGradients implements Workers.Task {
        private Cell cell;
        private float[] dx;
        private int dxAt;
        private boolean further;
        private int[] dxRows = new int[0];

        void run(Cell from, float[] to, int toAt, boolean addition) {
            cell = from;
            dx = to;
            dxAt = toAt;
            further = addition;
            int rows = sequences.total();
            dxRows = Sequences.grown(dxRows, rows);
            sequences.locate(dxAt, cell.inputs, cell.reversed, dxRows);
            workers.run((rows + INPUT_ROWS - 1) / INPUT_ROWS, this);
            if (!further && sequences.ragged()) {
                clearPadding();
            }
            dx = null;
        }

        private void clearPadding() {
            for (int place = 0; place < sequences.batchSize(); place++) {
                for (int t = sequences.length(place); t < sequences.timeSteps(); t++) {
                    int at = dxAt + (t * sequences.batchSize() + sequences.sequence(place)) * cell.inputs;
                    Arrays.fill(dx, at, at + cell.inputs, 0);
                }
            }
        }

        @Override
        public void run(int index, int worker) {
            Panel panel = cell.weights.inputBack;
            int from = index * INPUT_ROWS;
            int rows = Math.min(INPUT_ROWS, sequences.total() - from);
            float[] sums = buffers[worker].sums.take(INPUT_ROWS * BLOCK);
            for (int strip = 0; strip < panel.strips(); strip++) {
                int first = panel.column(strip);
                int width = Math.min(cell.inputs - first, panel.width(strip) * LANES);
                cell.product(panel, strip, rows, from, sums, 0);
                for (int r = 0; r < rows; r++) {
                    if (further) {
                        kernels.add(dx, dxRows[from + r] + first, sums, r * BLOCK, width);
                    } else {
                        System.arraycopy(sums, r * BLOCK, dx, dxRows[from + r] + first, width);
                    }
                }
            }
        }
    }

    /** One cell's way back. */
    private final class Cell implements WeightGradients.LeftRows {
        private final WeightGradients.LeftRows shown = this::copyShown;
        private final WeightGradients.LeftRows previous = this::copyPrevious;
        private final BackwardOptions options;
        private final Scratch hiddenGradients;
        private final Scratch outputGradients;
        private final Scratch carriedGradients;
        private final Scratch firstStates;
        private final Scratch hiddenRecord;
        private int[] xRows = new int[0];
        private int[] hRows = new int[0];
        private int[] dyRows = new int[0];

        private PackedStack.Cell weights;
        private LstmLayout.Cell views;
        private int hidden;
        private int inputs;
        private int outputs;
        private int strips;
        private int state;
        private int column;
        private int record;
        private boolean reversed;
        private boolean projected;
        private boolean dropsWeights;
        private float clip;
        private float[] x;
        private float[] y;
        private float[] initialH;
        private int initialHAt;
        private float[] initialC;
        private int initialCAt;
        private float[] gates;
        private int gatesAt;
        private float[] states;
        private int statesAt;
        private float[] dy;
        private float[] lastH;
        private int lastHAt;
        private float[] lastC;
        private int lastCAt;
        private float[] firstH;
        private int firstHAt;
        private float[] firstC;
        private int firstCAt;
        /** Gradients of h in blocked rows tile by tile; of {@code o * tanh(c)} likewise, the same where nothing is projected. */
        private float[] dh;

        private float[] dm;
        /** Gradients of c and the initial c, by tile and strip, {@code [S][rows][L]}. */
        private float[] dc;

        private float[] c;
        /** What came back to h at each step, by row in strips {@code [rows][4L]}, for the projection's gradient. */
        private float[] dhRecord;

        Cell(boolean poisoned) {
            hiddenGradients = new Scratch(poisoned);
            outputGradients = new Scratch(poisoned);
            carriedGradients = new Scratch(poisoned);
            firstStates = new Scratch(poisoned);
            hiddenRecord = new Scratch(poisoned);
            options = new BackwardOptions(kernels, sequences, poisoned);
        }

        long bytes() {
            return hiddenGradients.bytes()
                    + outputGradients.bytes()
                    + carriedGradients.bytes()
                    + firstStates.bytes()
                    + hiddenRecord.bytes()
                    + options.bytes()
                    + (long) (xRows.length + hRows.length + dyRows.length) * Integer.BYTES;
        }

        void prepare(
                PackedStack stack,
                PackedStack.Cell packed,
                VectorTape tape,
                int layer,
                int index,
                float[] layerGradient,
                int dyAt,
                LstmOutput outputGradient,
                LstmInputGradient inputGradient) {
            LstmSpec spec = stack.spec();
            LstmInput input = tape.input();
            weights = packed;
            hidden = spec.hiddenSize();
            inputs = spec.layerInputSize(layer);
            outputs = spec.outputSize();
            strips = stack.strips();
            state = layer * spec.direction().cells() + index;
            views = stack.layout().cell(state);
            column = index * outputs;
            record = tape.rows();
            reversed = spec.direction().reversed(index);
            projected = spec.projected();
            dropsWeights = stack.dropsWeights();
            clip = (float) spec.cellClip();
            int batch = sequences.batchSize();
            gates = tape.gates(state) == null ? null : HostStorage.floats(tape.gates(state));
            gatesAt = tape.gates(state) == null ? 0 : HostStorage.start(tape.gates(state));
            states = HostStorage.floats(tape.states(state));
            statesAt = HostStorage.start(tape.states(state));
            if (input.initial() != null) {
                initialH = HostStorage.floats(input.initial().h());
                initialHAt = HostStorage.start(input.initial().h()) + state * batch * outputs;
                initialC = HostStorage.floats(input.initial().c());
                initialCAt = HostStorage.start(input.initial().c()) + state * batch * hidden;
            }
            Tensor h =
                    outputGradient.last() == null ? null : outputGradient.last().h();
            if (h != null) {
                lastH = HostStorage.floats(h);
                lastHAt = HostStorage.start(h) + state * batch * outputs;
            }
            Tensor last =
                    outputGradient.last() == null ? null : outputGradient.last().c();
            if (last != null) {
                lastC = HostStorage.floats(last);
                lastCAt = HostStorage.start(last) + state * batch * hidden;
            }
            Tensor dh0 = inputGradient.initial() == null
                    ? null
                    : inputGradient.initial().h();
            if (dh0 != null) {
                firstH = HostStorage.floats(dh0);
                firstHAt = HostStorage.start(dh0) + state * batch * outputs;
            }
            Tensor dc0 = inputGradient.initial() == null
                    ? null
                    : inputGradient.initial().c();
            if (dc0 != null) {
                firstC = HostStorage.floats(dc0);
                firstCAt = HostStorage.start(dc0) + state * batch * hidden;
            }
            xRows = Sequences.grown(xRows, sequences.total());
            hRows = Sequences.grown(hRows, sequences.total());
            dyRows = Sequences.grown(dyRows, sequences.total());
            Tensor from = tape.layerInput(layer);
            x = HostStorage.floats(from);
            sequences.locate(HostStorage.start(from), inputs, reversed, xRows);
            Tensor written = tape.output(layer);
            y = HostStorage.floats(written);
            locatePrevious(HostStorage.start(written) + column, spec.sequenceWidth());
            dy = layerGradient;
            if (dy != null) {
                sequences.locate(dyAt + column, spec.sequenceWidth(), reversed, dyRows);
            }
            options.prepare(stack, packed, layer, index, input, tape);
            int outputBlocks = (outputs + BLOCK - 1) / BLOCK;
            dh = hiddenGradients.take(batch * outputBlocks * BLOCK);
            dm = projected
                    ? outputGradients.take(batch * ((strips + Gate.COUNT - 1) / Gate.COUNT) * BLOCK)
                    : options.ofHidden() ? options.newGradient() : dh;
            dc = carriedGradients.take(batch * strips * LANES);
            c = firstStates.take(batch * strips * LANES);
            dhRecord = projected
                    ? hiddenRecord.take(Math.multiplyExact(Math.multiplyExact(record, outputBlocks), BLOCK))
                    : null;
        }

        /** Lets go of the caller's arrays: what the next call does not set is absent from it. */
        void release() {
            weights = null;
            x = null;
            y = null;
            initialH = null;
            initialC = null;
            gates = null;
            states = null;
            dy = null;
            lastH = null;
            lastC = null;
            firstH = null;
            firstC = null;
            options.release();
        }

        /** Where the previous h of each row lies: in y one step before, or, as a complement, in the initial state. */
        private void locatePrevious(int yAt, int width) {
            for (int tile = 0; tile < sequences.tiles(); tile++) {
                for (int step = 0; step < sequences.timeSteps(); step++) {
                    int row = sequences.row(tile, step);
                    for (int r = 0; r < sequences.count(tile, step); r++) {
                        int place = sequences.start(tile) + r;
                        int n = sequences.sequence(place);
                        hRows[row + r] = step == 0
                                ? ~(initialHAt + n * outputs)
                                : yAt + (sequences.time(step - 1, place, reversed) * sequences.batchSize() + n) * width;
                    }
                }
            }
        }

        private int dhAt(int tile) {
            return sequences.start(tile) * ((outputs + BLOCK - 1) / BLOCK) * BLOCK;
        }

        private int dmAt(int tile) {
            return projected ? sequences.start(tile) * ((strips + Gate.COUNT - 1) / Gate.COUNT) * BLOCK : dhAt(tile);
        }

        private int carriedAt(int tile, int strip) {
            return (sequences.start(tile) * strips + strip * sequences.size(tile)) * LANES;
        }

        /** Goes back through tiles {@code from} to {@code to - 1}; one member's share of it. */
        void run(int from, int to, int member, Workers.Meeting meeting, WorkerBuffers buffer) {
            int members = schedule.members();
            // A member has some columns of h, and the hidden units whose gradients come from its own columns.
            Panel back = weights.recurrentBack;
            int firstPanel = Sequences.split(back.strips(), members, member);
            int lastPanel = Sequences.split(back.strips(), members, member + 1);
            Panel units = projected ? weights.projectionBack : back;
            int firstUnits = Sequences.split(units.strips(), members, member);
            int lastUnits = Sequences.split(units.strips(), members, member + 1);
            int firstStrip = units.column(firstUnits) / LANES;
            int lastStrip = units.column(lastUnits) / LANES;
            int firstColumn = back.column(firstPanel);
            int lastColumn = Math.min(outputs, back.column(lastPanel));
            int steps = 0;
            for (int tile = from; tile < to; tile++) {
                begin(tile, firstStrip, lastStrip, firstColumn, lastColumn, buffer);
                steps = Math.max(steps, sequences.steps(tile));
            }
            for (int step = steps - 1; step >= 0; step--) {
                for (int tile = from; tile < to; tile++) {
                    addOutputGradient(tile, step, firstColumn, lastColumn, buffer);
                }
                if (projected) {
                    meeting.await();
                    for (int tile = from; tile < to; tile++) {
                        unproject(tile, step, firstUnits, lastUnits);
                    }
                }
                if (options.normalized()) {
                    // Alone, tile by tile, as on the way forward; but no weights are read here.
                    int most = members == 1 ? 1 : to - from;
                    for (int tile = from; tile < to; tile += most) {
                        normalized(tile, tile + most, step, firstStrip, lastStrip, meeting, buffer);
                    }
                }
                for (int tile = from; !options.normalized() && tile < to; tile++) {
                    for (int strip = firstStrip; strip < lastStrip; strip++) {
                        cell(tile, step, strip, buffer.step);
                    }
                }
                meeting.await();
                if (step > 0 || firstH != null) {
                    // Every other step begins with what the caches still have.
                    boolean backwards = step % 2 != 0;
                    for (int k = firstPanel; k < lastPanel; k++) {
                        int panel = Schedule.turned(k, firstPanel, lastPanel, backwards);
                        // The next step begins with the one that this one ends with.
                        int next = k + 1 < lastPanel ? Schedule.turned(k + 1, firstPanel, lastPanel, backwards) : panel;
                        previous(from, to, step, panel, next);
                        join(from, to, step, panel, buffer);
                    }
                }
            }
            buffer.step.release();
            for (int tile = from; tile < to; tile++) {
                finish(tile, firstStrip, lastStrip, firstColumn, lastColumn);
            }
        }

        private void begin(
                int tile, int firstStrip, int lastStrip, int firstColumn, int lastColumn, WorkerBuffers buffer) {
            options.begin(tile, firstStrip, lastStrip);
            for (int k = firstColumn; options.ofHidden() && k < lastColumn; k += LANES) {
                options.beginHidden(tile, k, buffer);
            }
            int size = sequences.size(tile);
            for (int r = 0; r < size; r++) {
                int n = sequences.sequence(sequences.start(tile) + r);
                for (int strip = firstStrip; strip < lastStrip; strip++) {
                    int count = Math.min(LANES, hidden - strip * LANES);
                    int at = carriedAt(tile, strip) + r * LANES;
                    int unit = n * hidden + strip * LANES;
                    load(lastC, lastCAt + unit, count, dc, at, LANES);
                    load(initialC, initialCAt + unit, count, c, at, LANES);
                }
                for (int k = firstColumn; k < lastColumn; k += LANES) {
                    int at = dhAt(tile) + (k / BLOCK * size + r) * BLOCK + k % BLOCK;
                    load(lastH, lastHAt + n * outputs + k, Math.min(LANES, lastColumn - k), dh, at, LANES);
                }
            }
        }

        /** Copies {@code count} numbers, zeros where there is no source, and fills up with zeros. */
        private static void load(float[] source, int sourceAt, int count, float[] target, int at, int width) {
            int copied = 0;
            if (source != null) {
                System.arraycopy(source, sourceAt, target, at, count);
                copied = count;
            }
            Arrays.fill(target, at + copied, at + width, 0);
        }

        /**
         * Adds the gradient of y to that of h; where h is not all new, takes from it what goes to the new one; and with a projection
         * writes that down.
         */
        private void addOutputGradient(int tile, int step, int firstColumn, int lastColumn, WorkerBuffers buffer) {
            int size = sequences.size(tile);
            int row = sequences.row(tile, step);
            for (int r = 0; dy != null && r < sequences.count(tile, step); r++) {
                for (int k = firstColumn; k < lastColumn; ) {
                    int count = Math.min(BLOCK - k % BLOCK, lastColumn - k);
                    kernels.add(dh, hiddenAt(tile, k) + r * BLOCK, dy, dyRows[row + r] + k, count);
                    k += count;
                }
            }
            for (int k = firstColumn; options.ofHidden() && k < lastColumn; k += LANES) {
                options.split(tile, step, k, dh, hiddenAt(tile, k), buffer);
            }
            float[] gradient = options.ofHidden() ? options.newGradient() : dh;
            for (int r = 0; projected && r < sequences.count(tile, step); r++) {
                for (int k = firstColumn; k < lastColumn; ) {
                    int count = Math.min(BLOCK - k % BLOCK, lastColumn - k);
                    int to = (k / BLOCK * record + row + r) * BLOCK + k % BLOCK;
                    System.arraycopy(gradient, hiddenAt(tile, k) + r * BLOCK, dhRecord, to, count);
                    k += count;
                }
            }
        }

        /** Where column k of a tile's h lies. */
        private int hiddenAt(int tile, int k) {
            return dhAt(tile) + k / BLOCK * sequences.size(tile) * BLOCK + k % BLOCK;
        }

        /** {@code dm = W_p^T dh}. */
        private void unproject(int tile, int step, int first, int last) {
            Panel panel = weights.projectionBack;
            float[] gradient = options.ofHidden() ? options.newGradient() : dh;
            int size = sequences.size(tile);
            for (int strip = first; strip < last; strip++) {
                int unit = panel.column(strip);
                int at = dmAt(tile) + unit / BLOCK * size * BLOCK + unit % BLOCK;
                panel.product(
                        kernels,
                        strip,
                        sequences.count(tile, step),
                        gradient,
                        dhAt(tile),
                        size * BLOCK,
                        0,
                        outputs,
                        zeros.zeros(BLOCK),
                        0,
                        0,
                        dm,
                        at);
            }
        }

        /**
         * One step of a member's strips that are normalised: the gradients of all units have to be there before anything can be said about
         * what one of them does to the mean and the deviation, for the new c first and then for the pre-activations.
         */
        private void normalized(
                int from,
                int to,
                int step,
                int firstStrip,
                int lastStrip,
                Workers.Meeting meeting,
                WorkerBuffers buffer) {
            CellStep s = buffer.step;
            int origin = sequences.start(from);
            float[] means = buffer.left.take((sequences.start(to) - origin) * CellStep.MEANS);
            for (int tile = from; tile < to; tile++) {
                for (int strip = firstStrip; strip < lastStrip; strip++) {
                    locate(s, tile, step, strip);
                    options.normalizedToCell(s, tile, step, strip);
                }
            }
            meeting.await();
            for (int tile = from; tile < to; tile++) {
                int at = (sequences.start(tile) - origin) * CellStep.MEANS;
                options.cellMeans(tile, step, means, at, buffer);
                for (int strip = firstStrip; strip < lastStrip; strip++) {
                    locate(s, tile, step, strip);
                    options.normalizedToGates(s, tile, step, strip, means, at);
                }
            }
            meeting.await();
            for (int tile = from; tile < to; tile++) {
                int at = (sequences.start(tile) - origin) * CellStep.MEANS;
                options.gateMeans(tile, step, means, at, buffer);
                for (int strip = firstStrip; strip < lastStrip; strip++) {
                    options.normalizedToShares(s, tile, step, strip, means, at);
                }
            }
        }

        /** Where a cell with options finds the gradients and the previous c. */
        private void locate(CellStep s, int tile, int step, int strip) {
            s.dm = dm;
            s.dmAt = dmAt(tile) + strip / Gate.COUNT * sequences.size(tile) * BLOCK + strip % Gate.COUNT * LANES;
            s.dc = dc;
            s.dcAt = carriedAt(tile, strip);
            s.previous = step > 0 ? states : c;
            s.previousAt = step > 0
                    ? statesAt + (strip * record + sequences.row(tile, step - 1)) * 2 * LANES
                    : carriedAt(tile, strip);
            s.previousPitch = step > 0 ? 2 * LANES : LANES;
        }

        private void cell(int tile, int step, int strip, CellStep s) {
            if (options.ofCell()) {
                locate(s, tile, step, strip);
                options.cell(s, tile, step, strip);
                return;
            }
            int size = sequences.size(tile);
            int row = sequences.row(tile, step);
            kernels.cellBackward(
                    sequences.count(tile, step),
                    dm,
                    dmAt(tile) + strip / Gate.COUNT * size * BLOCK + strip % Gate.COUNT * LANES,
                    dc,
                    carriedAt(tile, strip),
                    gates,
                    gatesAt + (strip * record + row) * BLOCK,
                    states,
                    statesAt + (strip * record + row) * 2 * LANES,
                    step > 0 ? states : c,
                    step > 0
                            ? statesAt + (strip * record + sequences.row(tile, step - 1)) * 2 * LANES
                            : carriedAt(tile, strip),
                    step > 0 ? 2 * LANES : LANES,
                    clip,
                    projected);
        }

        /** Where h is not all new, or not all of it was seen: the gradient of some columns of the previous one. */
        private void join(int from, int to, int step, int panel, WorkerBuffers buffer) {
            Panel back = weights.recurrentBack;
            int end = Math.min(outputs, back.column(panel + 1));
            for (int k = back.column(panel); options.ofHidden() && k < end; k += LANES) {
                for (int tile = from; tile < to; tile++) {
                    options.join(tile, step, k, dh, hiddenAt(tile, k), buffer);
                }
            }
        }

        /** Some columns of {@code dh_prev = R^T da}. */
        private void previous(int from, int to, int step, int panel, int panelAfter) {
            Panel back = weights.recurrentBack;
            int first = back.column(panel);
            int parts = back.parts(back.depth());
            int origin = sequences.start(from);
            int rows = sequences.start(to) - origin;
            float[] into = options.ofHidden() ? options.seenGradient() : dh;
            for (int part = 0; part < parts; part++) {
                int firstTerm = Panel.cut(0, back.depth(), parts, part);
                int lastTerm = Panel.cut(0, back.depth(), parts, part + 1);
                boolean on = part + 1 < parts;
                int nextPanel = on ? panel : panelAfter;
                int width = back.width(nextPanel) * LANES;
                int nextFrom = on ? lastTerm : 0;
                int nextTo = Panel.cut(0, back.depth(), parts, on ? part + 2 : 1);
                int next = back.at(nextPanel) + nextFrom * width;
                int share = (nextTo - nextFrom) * width / rows;
                for (int tile = from; tile < to; tile++) {
                    int size = sequences.size(tile);
                    int place = sequences.start(tile) - origin;
                    int at = hiddenAt(tile, first);
                    int count = sequences.count(tile, step);
                    int row = sequences.row(tile, step);
                    part(back, panel, firstTerm, lastTerm, count, row, into, at, next + place * share, size * share);
                }
            }
        }

        /** A strip of columns of {@code du W} for some rows of the tape, into rows a block apart. */
        void product(Panel panel, int strip, int rows, int row, float[] into, int at) {
            panel.product(
                    kernels,
                    strip,
                    rows,
                    options.normalized() ? options.inputShare() : gates,
                    (options.normalized() ? options.inputShareAt() : gatesAt) + row * BLOCK,
                    record * BLOCK,
                    0,
                    panel.depth(),
                    zeros.zeros(BLOCK),
                    0,
                    0,
                    into,
                    at);
        }

        private void part(
                Panel panel,
                int strip,
                int firstTerm,
                int lastTerm,
                int rows,
                int row,
                float[] into,
                int at,
                int next,
                int nextCount) {
            kernels.product(
                    rows,
                    options.normalized() ? options.recurrentShare() : gates,
                    (options.normalized() ? options.recurrentShareAt() : gatesAt) + row * BLOCK,
                    record * BLOCK,
                    firstTerm,
                    lastTerm,
                    panel.values(),
                    panel.at(strip),
                    panel.depth(),
                    panel.width(strip),
                    firstTerm == 0 ? zeros.zeros(BLOCK) : into,
                    firstTerm == 0 ? 0 : at,
                    firstTerm == 0 ? 0 : BLOCK,
                    into,
                    at,
                    next,
                    nextCount);
        }

        /** The gradients of the initial state. */
        private void finish(int tile, int firstStrip, int lastStrip, int firstColumn, int lastColumn) {
            int size = sequences.size(tile);
            for (int r = 0; r < size; r++) {
                int n = sequences.sequence(sequences.start(tile) + r);
                for (int strip = firstStrip; firstC != null && strip < lastStrip; strip++) {
                    int count = Math.min(LANES, hidden - strip * LANES);
                    int at = carriedAt(tile, strip) + r * LANES;
                    System.arraycopy(dc, at, firstC, firstCAt + n * hidden + strip * LANES, count);
                }
                for (int k = firstColumn; firstH != null && k < lastColumn; ) {
                    int count = Math.min(BLOCK - k % BLOCK, lastColumn - k);
                    int at = dhAt(tile) + (k / BLOCK * size + r) * BLOCK + k % BLOCK;
                    System.arraycopy(dh, at, firstH, firstHAt + n * outputs + k, count);
                    k += count;
                }
            }
        }

        /** {@code dW += da^T x, dR += da^T h_prev, dW_p += dh^T (o * tanh(c))}, over the steps that sequences have. */
        void addProducts(float[] gradients, int start) {
            int total = sequences.total();
            int w = start + Math.toIntExact(views.inputWeights().offset());
            int r = start + Math.toIntExact(views.recurrentWeights().offset());
            float[] mask = dropsWeights ? weights.recurrentMask : null;
            options.addSums(views, gradients, start);
            if (options.normalized()) {
                float[] du = options.inputShare();
                products.add(du, options.inputShareAt(), record, 0, this, total, inputs, gradients, w)
                        .gatesOf(hidden);
                float[] dv = options.recurrentShare();
                products.add(dv, options.recurrentShareAt(), record, 0, previous, total, outputs, gradients, r)
                        .gatesOf(hidden)
                        .maskedFrom(0, mask);
            } else {
                WeightGradients.Part part = products.add(
                                gates, gatesAt, record, 0, this, total, inputs + outputs, gradients, w)
                        .gatesOf(hidden)
                        .splitAt(inputs, r)
                        .maskedFrom(inputs, mask);
                if (views.bias() != null) {
                    part.withBias(start + Math.toIntExact(views.bias().offset()));
                }
            }
            if (projected) {
                int p = start + Math.toIntExact(views.projection().offset());
                products.add(dhRecord, 0, record, outputs, shown, total, hidden, gradients, p);
            }
        }

        /** A row of {@code [x, h_prev]}, of which some columns may be wanted only. */
        @Override
        public void copy(int row, int from, int to, float[] target, int at) {
            if (from < inputs) {
                System.arraycopy(x, xRows[row] + from, target, at, Math.min(to, inputs) - from);
            }
            if (to > inputs) {
                int first = Math.max(from, inputs);
                copyPrevious(row, first - inputs, to - inputs, target, at + first - from);
            }
        }

        /** A row of what was seen of h_prev. */
        private void copyPrevious(int row, int from, int to, float[] target, int at) {
            if (hRows[row] >= 0) {
                System.arraycopy(y, hRows[row] + from, target, at, to - from);
            } else if (initialH != null) {
                System.arraycopy(initialH, ~hRows[row] + from, target, at, to - from);
            } else {
                Arrays.fill(target, at, at + to - from, 0);
            }
            options.see(row, from, to, target, at);
        }

        /** A row of {@code o * tanh(c)}, which the tape has by strips, in the place of tanh(c). */
        private void copyShown(int row, int from, int to, float[] target, int at) {
            for (int k = from; k < to; ) {
                int count = Math.min(LANES - k % LANES, to - k);
                int source = statesAt + (k / LANES * record + row) * 2 * LANES + LANES + k % LANES;
                System.arraycopy(states, source, target, at + k - from, count);
                k += count;
            }
        }
    }
}
