package carousel.engine.vector;

import static carousel.engine.vector.Kernels.BLOCK;
import static carousel.engine.vector.Kernels.LANES;

import carousel.engine.Gate;
import carousel.engine.LstmInput;
import carousel.engine.LstmOutput;
import carousel.engine.LstmSpec;
import carousel.tensor.HostStorage;
import carousel.tensor.Tensor;
import java.util.Arrays;

/**
 * One layer's forward pass. At each step and for each strip of hidden units, the product of {@code [x, h]} with the strip's weights
 * leaves the pre-activations of all four gates in the first-level cache, from where the cell's update takes them.
 */
final class LstmForward implements Workers.Task {
    /** With fewer sequences than this, x is multiplied for many steps at once. */
    private static final int FEW = 8;
    /** Rows of such a product, at most. */
    private static final int AHEAD = 64;
    /** The same where the weights stay in no cache, and are read once for all those rows; for up to a quarter as many sequences. */
    private static final int FAR_AHEAD = 128;

    private final Kernels kernels;
    private final Workers workers;
    private final WorkerBuffers[] buffers;
    private final Sequences sequences = new Sequences();
    private final Schedule schedule = new Schedule();
    private final Scratch zeros = new Scratch(false);
    private final Cell[] cells;

    LstmForward(Kernels kernels, Workers workers, WorkerBuffers[] buffers, boolean poisoned) {
        this.kernels = kernels;
        this.workers = workers;
        this.buffers = buffers;
        this.cells = new Cell[] {new Cell(poisoned), new Cell(poisoned)};
    }

    /** Bytes kept from call to call. */
    long bytes() {
        return sequences.bytes() + zeros.bytes() + cells[0].bytes() + cells[1].bytes();
    }

    /**
     * Runs all cells of a layer.
     *
     * @param x what the layer reads, {@code [T, N, D]}, from {@code xAt}
     * @param y {@code [T, N, cells * P]}, from {@code yAt}
     * @param tape null for inference
     */
    void run(
            PackedStack stack,
            int layer,
            Tensor parameters,
            LstmInput input,
            float[] x,
            int xAt,
            float[] y,
            int yAt,
            LstmOutput output,
            VectorTape tape) {
        LstmSpec spec = stack.spec();
        int count = spec.direction().cells();
        sequences.set(input.x().shape().extent(0), input.x().shape().extent(1), input.lengths());
        zeros.zeros(BLOCK);
        try {
            for (int k = 0; k < count; k++) {
                int state = layer * count + k;
                cells[k].prepare(
                        stack,
                        layer,
                        k,
                        stack.forward(state, parameters, workers),
                        input,
                        x,
                        xAt,
                        y,
                        yAt,
                        output,
                        tape);
            }
            schedule.plan(
                    workers.count(),
                    count,
                    sequences,
                    (long) cells[0].depth() * stack.strips() * BLOCK,
                    stack.strips());
            schedule.launch(workers, this);
        } finally {
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

    /** One cell's pass over the sequences. */
    private final class Cell {
        private final Scratch evenActs;
        private final Scratch oddActs;
        private final Scratch carried;
        private final Scratch inputsAhead;
        private final Scratch aheadSums;
        private final Scratch shown;
        private int[] xRows = new int[0];
        private int[] yRows = new int[0];
        private int[] chunks = new int[0];
        private final ForwardOptions options;
        private int chunkCount;
        /**
         * By state, the steps that came before this call, odd or even: every other step takes the strips of {@code [x, h]}'s weights, or of
         * h's where x is multiplied ahead, in the opposite order, and so begins with what the caches still have.
         */
        private int[] turns = new int[0];

        private int turn;
        private boolean cached;

        private PackedStack.Cell weights;
        private int hidden;
        private int inputs;
        private int outputs;
        private int strips;
        private int state;
        private int column;
        private int inputBlocks;
        private int blocks;
        private boolean reversed;
        private boolean projected;
        private float clip;
        private float[] x;
        private float[] y;
        private int yAt;
        private int yWidth;
        private float[] initialH;
        private int initialHAt;
        private float[] initialC;
        private int initialCAt;
        private float[] lastH;
        private int lastHAt;
        private float[] lastC;
        private int lastCAt;
        private float[] gates;
        private int gatesAt;
        private float[] states;
        private int statesAt;
        private int record;
        /** {@code [x, h]} of this step and of the next, in blocked rows tile by tile. */
        private float[] even;

        private float[] odd;
        /** c by tile and strip, {@code [S][rows][L]}. */
        private float[] c;
        /** {@code o * tanh(c)} in blocked rows tile by tile, where h is its projection. */
        private float[] m;
        /** x of the steps ahead in blocked rows, and their share of the pre-activations by strip. */
        private float[] xAhead;

        private float[] sumsAhead;
        /** How many steps ahead; 0 where x is multiplied step by step. */
        private int stepsAhead;

        Cell(boolean poisoned) {
            evenActs = new Scratch(poisoned);
            oddActs = new Scratch(poisoned);
            carried = new Scratch(poisoned);
            inputsAhead = new Scratch(poisoned);
            aheadSums = new Scratch(poisoned);
            shown = new Scratch(poisoned);
            options = new ForwardOptions(kernels, sequences, poisoned);
        }

        long bytes() {
            return evenActs.bytes()
                    + oddActs.bytes()
                    + carried.bytes()
                    + inputsAhead.bytes()
                    + aheadSums.bytes()
                    + shown.bytes()
                    + options.bytes()
                    + (long) (xRows.length + yRows.length + chunks.length) * Integer.BYTES;
        }

        /** Terms of a pre-activation. */
        int depth() {
            return inputs + outputs;
        }

        void prepare(
                PackedStack stack,
                int layer,
                int index,
                PackedStack.Cell packed,
                LstmInput input,
                float[] layerInput,
                int xAt,
                float[] layerOutput,
                int layerOutputAt,
                LstmOutput output,
                VectorTape tape) {
            LstmSpec spec = stack.spec();
            weights = packed;
            hidden = spec.hiddenSize();
            inputs = spec.layerInputSize(layer);
            outputs = spec.outputSize();
            strips = stack.strips();
            state = layer * spec.direction().cells() + index;
            column = index * outputs;
            reversed = spec.direction().reversed(index);
            projected = spec.projected();
            clip = (float) spec.cellClip();
            inputBlocks = weights.hiddenRow() / BLOCK;
            blocks = inputBlocks + (outputs + BLOCK - 1) / BLOCK;
            x = layerInput;
            y = layerOutput;
            yAt = layerOutputAt;
            yWidth = spec.sequenceWidth();
            int batch = sequences.batchSize();
            turns = Sequences.grown(turns, spec.states());
            turn = turns[state];
            turns[state] = (turn + sequences.timeSteps()) % 2;
            if (input.initial() != null) {
                initialH = HostStorage.floats(input.initial().h());
                initialHAt = HostStorage.start(input.initial().h()) + state * batch * outputs;
                initialC = HostStorage.floats(input.initial().c());
                initialCAt = HostStorage.start(input.initial().c()) + state * batch * hidden;
            }
            Tensor h = output.last() == null ? null : output.last().h();
            if (h != null) {
                lastH = HostStorage.floats(h);
                lastHAt = HostStorage.start(h) + state * batch * outputs;
            }
            Tensor last = output.last() == null ? null : output.last().c();
            if (last != null) {
                lastC = HostStorage.floats(last);
                lastCAt = HostStorage.start(last) + state * batch * hidden;
            }
            if (tape != null) {
                gates = tape.gates(state) == null ? null : HostStorage.floats(tape.gates(state));
                gatesAt = tape.gates(state) == null ? 0 : HostStorage.start(tape.gates(state));
                states = HostStorage.floats(tape.states(state));
                statesAt = HostStorage.start(tape.states(state));
                record = tape.rows();
            }
            xRows = Sequences.grown(xRows, sequences.total());
            yRows = Sequences.grown(yRows, sequences.total());
            sequences.locate(xAt, inputs, reversed, xRows);
            sequences.locate(yAt + column, yWidth, reversed, yRows);
            even = evenActs.take(Math.multiplyExact(batch, blocks * BLOCK));
            odd = oddActs.take(Math.multiplyExact(batch, blocks * BLOCK));
            c = carried.take(Math.multiplyExact(batch, strips * LANES));
            m = projected ? shown.take(batch * ((strips + Gate.COUNT - 1) / Gate.COUNT) * BLOCK) : null;
            options.prepare(stack, packed, layer, index, input, tape);
            cached = Schedule.cached((long) depth() * strips * BLOCK);
            int ahead = batch < FEW ? AHEAD : cached || batch > FAR_AHEAD / 4 ? 0 : FAR_AHEAD;
            stepsAhead = options.normalized() ? 0 : Math.min(sequences.timeSteps(), ahead / batch);
            if (stepsAhead < 2) {
                stepsAhead = 0;
            } else {
                xAhead = inputsAhead.take(stepsAhead * batch * inputBlocks * BLOCK);
                sumsAhead = aheadSums.take(stepsAhead * batch * strips * BLOCK);
            }
            chunkCount = 0;
            chunk(stepsAhead == 0 ? weights.inputRow() : weights.hiddenRow(), weights.hiddenRow() + outputs);
        }

        /** Lets go of the caller's arrays: what the next call does not set is absent from it. */
        void release() {
            weights = null;
            x = null;
            y = null;
            initialH = null;
            initialC = null;
            lastH = null;
            lastC = null;
            gates = null;
            states = null;
            options.release();
        }

        private void chunk(int from, int to) {
            int parts = weights.gates.parts(to - from);
            if (chunks.length < 2 * (chunkCount + parts)) {
                chunks = Arrays.copyOf(chunks, 2 * (chunkCount + parts));
            }
            for (int part = 0; part < parts; part++) {
                chunks[2 * chunkCount] = Panel.cut(from, to, parts, part);
                chunks[2 * chunkCount + 1] = Panel.cut(from, to, parts, part + 1);
                chunkCount++;
            }
        }

        /** Runs tiles {@code from} to {@code to - 1} from their first step to their last; one member's share of it. */
        void run(int from, int to, int member, Workers.Meeting meeting, WorkerBuffers buffer) {
            int members = schedule.members();
            int firstStrip = Sequences.split(strips, members, member);
            int lastStrip = Sequences.split(strips, members, member + 1);
            // Of h, those that come from these strips, or that are projected by this member.
            Panel projection = weights.projection;
            int firstPanel = projected ? Sequences.split(projection.strips(), members, member) : 0;
            int lastPanel = projected ? Sequences.split(projection.strips(), members, member + 1) : 0;
            int firstColumn = projected ? projection.column(firstPanel) : firstStrip * LANES;
            int lastColumn = projected ? projection.column(lastPanel) : lastStrip * LANES;
            int rows = sequences.start(to) - sequences.start(from);
            float[] sums = buffer.sums.take((rows == 1 ? lastStrip - firstStrip : rows) * BLOCK);
            int steps = 0;
            for (int tile = from; tile < to; tile++) {
                begin(tile, firstStrip, lastStrip, member, members, buffer);
                steps = Math.max(steps, sequences.steps(tile));
            }
            meeting.await();
            for (int step = 0; step < steps; step++) {
                if (stepsAhead > 0 && step % stepsAhead == 0) {
                    lookAhead(from, to, step, firstStrip, lastStrip, member, members, meeting);
                }
                if (options.normalized()) {
                    // Alone, tile by tile: what a step makes of one is then still in the second-level cache, and the
                    // weights are.
                    int most = members == 1 && cached ? 1 : to - from;
                    for (int tile = from; tile < to; tile += most) {
                        normalized(tile, tile + most, step, firstStrip, lastStrip, member, meeting, buffer);
                    }
                } else if (rows == 1) {
                    row(from, step, firstStrip, lastStrip, sums, buffer);
                } else {
                    boolean backwards = (turn + step) % 2 != 0;
                    for (int k = firstStrip; k < lastStrip; k++) {
                        int strip = Schedule.turned(k, firstStrip, lastStrip, backwards);
                        // The next step begins with the one that this one ends with.
                        int next = k + 1 < lastStrip ? Schedule.turned(k + 1, firstStrip, lastStrip, backwards) : strip;
                        strip(from, to, step, strip, next, sums, buffer);
                    }
                }
                if (projected) {
                    meeting.await();
                    project(from, to, step, firstPanel, lastPanel, buffer);
                }
                for (int tile = from; !options.ofHidden() && tile < to; tile++) {
                    writeOutput(tile, step, firstColumn, lastColumn);
                }
                for (int tile = from; stepsAhead == 0 && tile < to; tile++) {
                    loadInput(tile, step + 1, member, members);
                }
                meeting.await();
            }
            for (int tile = from; tile < to; tile++) {
                finish(tile, firstStrip, lastStrip, member, members);
            }
            buffer.step.release();
        }

        private float[] acts(int step) {
            return (step & 1) == 0 ? even : odd;
        }

        private int actsAt(int tile) {
            return sequences.start(tile) * blocks * BLOCK;
        }

        /** Where h begins among the blocks of a tile. */
        private int hiddenAt(int tile) {
            return actsAt(tile) + inputBlocks * sequences.size(tile) * BLOCK;
        }

        /** Where column k of a tile's h lies. */
        private int hiddenAt(int tile, int k) {
            return hiddenAt(tile) + k / BLOCK * sequences.size(tile) * BLOCK + k % BLOCK;
        }

        private int carriedAt(int tile, int strip) {
            return (sequences.start(tile) * strips + strip * sequences.size(tile)) * LANES;
        }

        private int shownAt(int tile) {
            return sequences.start(tile) * ((strips + Gate.COUNT - 1) / Gate.COUNT) * BLOCK;
        }

        private void begin(int tile, int firstStrip, int lastStrip, int member, int members, WorkerBuffers buffer) {
            int size = sequences.size(tile);
            for (int strip = firstStrip; strip < lastStrip; strip++) {
                int at = carriedAt(tile, strip);
                Arrays.fill(c, at, at + size * LANES, 0);
                for (int r = 0; initialC != null && r < size; r++) {
                    int n = sequences.sequence(sequences.start(tile) + r);
                    int count = Math.min(LANES, hidden - strip * LANES);
                    System.arraycopy(initialC, initialCAt + n * hidden + strip * LANES, c, at + r * LANES, count);
                }
            }
            for (int r = Sequences.split(size, members, member); r < Sequences.split(size, members, member + 1); r++) {
                int n = sequences.sequence(sequences.start(tile) + r);
                if (initialH != null) {
                    spread(
                            initialH,
                            initialHAt + n * outputs,
                            outputs,
                            even,
                            actsAt(tile),
                            weights.hiddenRow(),
                            size,
                            r);
                }
                if (options.ofHidden()) {
                    int at = initialHAt + n * outputs;
                    options.beginHidden(tile, r, initialH, at, even, hiddenAt(tile), buffer);
                }
            }
            if (stepsAhead == 0) {
                loadInput(tile, 0, member, members);
            }
        }

        /** Copies x of a step to where the step will look for it. */
        private void loadInput(int tile, int step, int member, int members) {
            if (step >= sequences.timeSteps()) {
                return;
            }
            int size = sequences.size(tile);
            int count = sequences.count(tile, step);
            int row = sequences.row(tile, step);
            float[] acts = acts(step);
            for (int r = Sequences.split(count, members, member);
                    r < Sequences.split(count, members, member + 1);
                    r++) {
                spread(x, xRows[row + r], inputs, acts, actsAt(tile), weights.inputRow(), size, r);
            }
        }

        /** Copies a row into row r of {@code size} blocked rows, from element {@code first} on. */
        private void spread(float[] from, int fromAt, int width, float[] to, int toAt, int first, int size, int r) {
            int end = first + width;
            for (int k = first; k < end; ) {
                int count = Math.min(BLOCK - k % BLOCK, end - k);
                System.arraycopy(
                        from, fromAt + k - first, to, toAt + (k / BLOCK * size + r) * BLOCK + k % BLOCK, count);
                k += count;
            }
        }

        /** {@code b + W x} of the steps from this one on. */
        private void lookAhead(
                int from,
                int to,
                int step,
                int firstStrip,
                int lastStrip,
                int member,
                int members,
                Workers.Meeting meeting) {
            for (int tile = from; tile < to; tile++) {
                int size = sequences.size(tile);
                int rows = rowsAhead(tile, step);
                int tileAt = sequences.start(tile) * stepsAhead * inputBlocks * BLOCK;
                for (int row = Sequences.split(rows, members, member);
                        row < Sequences.split(rows, members, member + 1);
                        row++) {
                    int r = row % size;
                    int time = step + row / size;
                    if (r < sequences.count(tile, time)) {
                        int at = xRows[sequences.row(tile, time) + r];
                        spread(x, at, inputs, xAhead, tileAt, weights.inputRow(), rows, row);
                    }
                }
            }
            meeting.await();
            for (int strip = firstStrip; strip < lastStrip; strip++) {
                for (int tile = from; tile < to; tile++) {
                    int rows = rowsAhead(tile, step);
                    weights.gates.product(
                            kernels,
                            strip,
                            rows,
                            xAhead,
                            sequences.start(tile) * stepsAhead * inputBlocks * BLOCK,
                            rows * BLOCK,
                            weights.inputRow(),
                            inputs,
                            weights.bias,
                            strip * BLOCK,
                            0,
                            sumsAhead,
                            startAt(step, strip, tile));
                }
            }
        }

        /** Rows of a tile in the steps from this one on that are done at once; none where it has come to its end. */
        private int rowsAhead(int tile, int step) {
            return Math.max(0, Math.min(stepsAhead, sequences.steps(tile) - step)) * sequences.size(tile);
        }

        /** One step of one strip of hidden units: pre-activations, then the cell. */
        private void strip(int from, int to, int step, int strip, int stripAfter, float[] sums, WorkerBuffers buffer) {
            float[] acts = acts(step);
            int origin = sequences.start(from);
            int rows = sequences.start(to) - origin;
            // Without an initial state nothing comes through R at the first step.
            int most = step == 0 && initialH == null ? weights.hiddenRow() : Integer.MAX_VALUE;
            boolean begun = false;
            for (int chunk = 0; chunk < chunkCount; chunk++) {
                int first = chunks[2 * chunk];
                int last = Math.min(most, chunks[2 * chunk + 1]);
                if (first >= last) {
                    break;
                }
                boolean on = chunk + 1 < chunkCount && chunks[2 * chunk + 2] < most;
                int next = weights.gates.at(on ? strip : stripAfter) + (on ? last : chunks[0]) * BLOCK;
                int share = (on ? chunks[2 * chunk + 3] - last : chunks[1] - chunks[0]) * BLOCK / rows;
                for (int tile = from; tile < to; tile++) {
                    int size = sequences.size(tile);
                    int place = sequences.start(tile) - origin;
                    int sumsAt = place * BLOCK;
                    kernels.product(
                            sequences.count(tile, step),
                            acts,
                            actsAt(tile),
                            size * BLOCK,
                            first,
                            last,
                            weights.gates.values(),
                            weights.gates.at(strip),
                            weights.gates.depth(),
                            Gate.COUNT,
                            begun ? sums : start(),
                            begun ? sumsAt : startAt(step, strip, tile),
                            begun || stepsAhead > 0 ? BLOCK : 0,
                            sums,
                            sumsAt,
                            next + place * share,
                            size * share);
                }
                begun = true;
            }
            for (int tile = from; tile < to; tile++) {
                int sumsAt = (sequences.start(tile) - origin) * BLOCK;
                if (begun) {
                    cell(tile, step, strip, sums, sumsAt, buffer);
                } else {
                    cell(tile, step, strip, start(), startAt(step, strip, tile), buffer);
                }
            }
        }

        /**
         * One step of a member's strips that are normalised: both shares of the pre-activations of all strips first, and then the new c of
         * all, before anything can be said about one of them.
         */
        private void normalized(
                int from,
                int to,
                int step,
                int firstStrip,
                int lastStrip,
                int member,
                Workers.Meeting meeting,
                WorkerBuffers buffer) {
            int origin = sequences.start(from);
            boolean zeros0 = step == 0 && initialH == null;
            for (int strip = firstStrip; strip < lastStrip; strip++) {
                for (int tile = from; tile < to; tile++) {
                    options.shares(
                            tile,
                            step,
                            strip,
                            strip + 1 < lastStrip,
                            acts(step),
                            actsAt(tile),
                            zeros0,
                            zeros.zeros(BLOCK),
                            buffer.ahead);
                }
            }
            meeting.await();
            float[] statistics = buffer.left.take((sequences.start(to) - origin) * CellStep.STATISTICS);
            for (int tile = from; tile < to; tile++) {
                int at = (sequences.start(tile) - origin) * CellStep.STATISTICS;
                options.shareStatistics(tile, step, statistics, at, buffer);
                for (int strip = firstStrip; strip < lastStrip; strip++) {
                    options.draw(tile, step, strip, buffer);
                    options.normalizedIntoCell(tile, step, strip, c, carriedAt(tile, strip), statistics, at, buffer);
                }
            }
            meeting.await();
            float[] target = projected ? m : acts(step + 1);
            for (int tile = from; tile < to; tile++) {
                int at = (sequences.start(tile) - origin) * CellStep.STATISTICS;
                options.cellStatistics(tile, step, statistics, at, member == 0, buffer);
                for (int strip = firstStrip; strip < lastStrip; strip++) {
                    int mAt = shownAt(tile, strip);
                    int cAt = carriedAt(tile, strip);
                    options.normalizedOutOfCell(tile, step, strip, c, cAt, target, mAt, statistics, at, buffer);
                    joinHidden(tile, step, strip, target, mAt, buffer);
                }
            }
        }

        /** Where a strip of {@code o * tanh(c)} goes, among the h of the next step or what is projected first. */
        private int shownAt(int tile, int strip) {
            return (projected ? shownAt(tile) : hiddenAt(tile))
                    + strip / Gate.COUNT * sequences.size(tile) * BLOCK
                    + strip % Gate.COUNT * LANES;
        }

        /** A strip of h where not all of it is new, or not all of it is seen; it goes to y at once. */
        private void joinHidden(int tile, int step, int strip, float[] h, int at, WorkerBuffers buffer) {
            if (!projected && options.ofHidden()) {
                options.hidden(tile, step, strip, h, at, y, yRows, buffer);
            }
        }

        /**
         * A member's columns of h go to y. All of a step at its end, for then they are written one line after the other; strip by strip,
         * every line would be waited for.
         */
        private void writeOutput(int tile, int step, int firstColumn, int lastColumn) {
            float[] h = acts(step + 1);
            int row = sequences.row(tile, step);
            int end = Math.min(outputs, lastColumn);
            for (int r = 0; r < sequences.count(tile, step); r++) {
                for (int k = firstColumn; k < end; ) {
                    int count = Math.min(BLOCK - k % BLOCK, end - k);
                    System.arraycopy(h, hiddenAt(tile, k) + r * BLOCK, y, yRows[row + r] + k, count);
                    k += count;
                }
            }
        }

        /** One step of a member's strips for a single sequence, whose strips are as good as the rows of one. */
        private void row(int tile, int step, int firstStrip, int lastStrip, float[] sums, WorkerBuffers buffer) {
            int most = step == 0 && initialH == null ? weights.hiddenRow() : Integer.MAX_VALUE;
            int strips = lastStrip - firstStrip;
            int pitch = stepsAhead > 0 ? stepsAhead * BLOCK : BLOCK;
            int terms = stepsAhead == 0 ? weights.inputRow() : weights.hiddenRow();
            int end = Math.min(most, weights.hiddenRow() + outputs);
            boolean begun = terms < end;
            if (begun) {
                kernels.rowProduct(
                        strips,
                        acts(step),
                        actsAt(tile),
                        BLOCK,
                        terms,
                        end,
                        weights.gates.values(),
                        weights.gates.at(firstStrip),
                        weights.gates.depth(),
                        start(),
                        startAt(step, firstStrip, tile),
                        pitch,
                        sums,
                        0,
                        (turn + step) % 2 != 0);
            }
            for (int strip = firstStrip; !begun && strip < lastStrip; strip++) {
                System.arraycopy(start(), startAt(step, strip, tile), sums, (strip - firstStrip) * BLOCK, BLOCK);
            }
            if (options.ofCell() || options.ofHidden()) {
                for (int strip = firstStrip; strip < lastStrip; strip++) {
                    cell(tile, step, strip, sums, (strip - firstStrip) * BLOCK, buffer);
                }
                return;
            }
            int row = sequences.row(tile, step);
            float[] to = projected ? m : acts(step + 1);
            int toAt = (projected ? shownAt(tile) : hiddenAt(tile)) + firstStrip * LANES;
            kernels.cellForward(
                    strips,
                    sums,
                    0,
                    c,
                    carriedAt(tile, firstStrip),
                    clip,
                    gates,
                    gates == null ? 0 : gatesAt + (firstStrip * record + row) * BLOCK,
                    record * BLOCK,
                    states,
                    states == null ? 0 : statesAt + (firstStrip * record + row) * 2 * LANES,
                    to,
                    toAt,
                    LANES);
        }

        /** Where the sums of a step start from: the bias, or where it is there already, the share of x. */
        private float[] start() {
            return stepsAhead > 0 ? sumsAhead : weights.bias;
        }

        private int startAt(int step, int strip, int tile) {
            if (stepsAhead == 0) {
                return strip * BLOCK;
            }
            int before = sequences.start(tile) * strips * stepsAhead;
            return (before + (strip * stepsAhead + step % stepsAhead) * sequences.size(tile)) * BLOCK;
        }

        private void cell(int tile, int step, int strip, float[] sums, int sumsAt, WorkerBuffers buffer) {
            float[] to = projected ? m : acts(step + 1);
            int toAt = shownAt(tile, strip);
            if (options.ofCell()) {
                options.draw(tile, step, strip, buffer);
                options.cell(tile, step, strip, sums, sumsAt, c, carriedAt(tile, strip), to, toAt, buffer);
                joinHidden(tile, step, strip, to, toAt, buffer);
                return;
            }
            int row = sequences.row(tile, step);
            kernels.cellForward(
                    sequences.count(tile, step),
                    sums,
                    sumsAt,
                    c,
                    carriedAt(tile, strip),
                    clip,
                    gates,
                    gates == null ? 0 : gatesAt + (strip * record + row) * BLOCK,
                    BLOCK,
                    states,
                    states == null ? 0 : statesAt + (strip * record + row) * 2 * LANES,
                    to,
                    toAt,
                    BLOCK);
            joinHidden(tile, step, strip, to, toAt, buffer);
        }

        /** {@code h = W_p m}. */
        private void project(int from, int to, int step, int firstPanel, int lastPanel, WorkerBuffers buffer) {
            Panel panel = weights.projection;
            float[] next = acts(step + 1);
            for (int strip = firstPanel; strip < lastPanel; strip++) {
                int first = panel.column(strip);
                int width = Math.min(outputs - first, panel.width(strip) * LANES);
                for (int tile = from; tile < to; tile++) {
                    int size = sequences.size(tile);
                    int count = sequences.count(tile, step);
                    int nextAt = hiddenAt(tile, first);
                    panel.product(
                            kernels,
                            strip,
                            count,
                            m,
                            shownAt(tile),
                            size * BLOCK,
                            0,
                            hidden,
                            zeros.zeros(BLOCK),
                            0,
                            0,
                            next,
                            nextAt);
                    for (int k = 0; options.ofHidden() && k < width; k += LANES) {
                        options.hidden(tile, step, (first + k) / LANES, next, nextAt + k, y, yRows, buffer);
                    }
                }
            }
        }

        /** Zeros past the end of a sequence, and its last state. */
        private void finish(int tile, int firstStrip, int lastStrip, int member, int members) {
            int size = sequences.size(tile);
            for (int r = 0; lastC != null && r < size; r++) {
                int n = sequences.sequence(sequences.start(tile) + r);
                for (int strip = firstStrip; strip < lastStrip; strip++) {
                    int count = Math.min(LANES, hidden - strip * LANES);
                    int at = carriedAt(tile, strip) + r * LANES;
                    System.arraycopy(c, at, lastC, lastCAt + n * hidden + strip * LANES, count);
                }
            }
            for (int r = Sequences.split(size, members, member); r < Sequences.split(size, members, member + 1); r++) {
                int place = sequences.start(tile) + r;
                int n = sequences.sequence(place);
                int length = sequences.length(place);
                for (int t = length; t < sequences.timeSteps(); t++) {
                    int at = yAt + (t * sequences.batchSize() + n) * yWidth + column;
                    Arrays.fill(y, at, at + outputs, 0);
                }
                if (lastH == null) {
                    continue;
                }
                int to = lastHAt + n * outputs;
                if (length > 0) {
                    System.arraycopy(y, yRows[sequences.row(tile, length - 1) + r], lastH, to, outputs);
                } else if (initialH != null) {
                    System.arraycopy(initialH, initialHAt + n * outputs, lastH, to, outputs);
                } else {
                    Arrays.fill(lastH, to, to + outputs, 0);
                }
            }
        }
    }
}
