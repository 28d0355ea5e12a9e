package carousel.engine.vector;

import static carousel.engine.vector.Kernels.BLOCK;

import carousel.engine.Gate;
import carousel.engine.LstmInput;
import carousel.engine.LstmLayout;
import carousel.engine.LstmMask;
import carousel.engine.LstmSpec;
import carousel.engine.ParameterView;
import carousel.engine.Philox;
import carousel.tensor.Scope;
import java.util.Arrays;

/**
 * One cell's pass over the sequences, forward and back, with tangents. Matrix products are the kernels', over rows side by side;
 * between them {@link DualStep} takes a row at a time. Tiles of sequences are shared out among the threads, and sums over rows are
 * taken in the order of rows or of tiles: results do not depend on the threads.
 */
final class DualCell implements Workers.Task {
    /** Rows of x done at a time. */
    private static final int INPUT_ROWS = 64;

    private enum Phase {
        INPUT,
        FORWARD,
        BACKWARD,
        INPUT_GRADIENT
    }

    private final Kernels kernels;
    private final Workers workers;
    private final Worker[] own;
    private final WeightGradients products;
    private final Sequences sequences = new Sequences();
    private final DualPanel input;
    private final DualPanel recurrent;
    private final DualPanel projection;
    private int[] xRows = new int[0];
    private Phase phase;

    // What a pass works on.
    private LstmSpec spec;
    private LstmLayout.Cell views;
    private int state;
    private int column;
    private boolean reversed;
    private int inputs;
    private int hidden;
    private int outputs;
    private int gateRows;
    private int pitch;
    private DualFloats parameters;
    private DualMasks masks;
    private DualStep.Small small;
    private DualFloats zeros;
    private DualFloats weightMasked;
    private float[] weightMask;
    private DualFloats x;
    private DualFloats u;
    private DualFloats v;
    private DualFloats seen;
    private DualFloats before;
    private States initial;
    private States last;
    private DualFloats y;
    private DualFloats dx;
    private boolean further;
    private DualFloats shownGradients;
    private DualFloats shown;
    private DualFloats smallSums;
    private int smallSize;

    DualCell(Kernels kernels, Workers workers, WorkerBuffers[] buffers) {
        this.kernels = kernels;
        this.input = new DualPanel(kernels);
        this.recurrent = new DualPanel(kernels);
        this.projection = new DualPanel(kernels);
        this.workers = workers;
        this.products = new WeightGradients(kernels, workers, buffers);
        this.own = new Worker[workers.count()];
        Arrays.setAll(own, worker -> new Worker());
    }

    /** Bytes kept from call to call. */
    long bytes() {
        long bytes = sequences.bytes() + input.bytes() + recurrent.bytes() + projection.bytes();
        for (Worker each : own) {
            bytes += each.bytes();
        }
        return bytes + (long) xRows.length * Integer.BYTES;
    }

    /** States or their gradients, {@code h [S, N, P]} and {@code c [S, N, H]}; what is missing is zero, or not wanted. */
    record States(DualFloats h, DualFloats c) {}

    /** What one thread works in. */
    private static final class Worker {
        private final Scratch scratch = new Scratch(false);
        private final int[] words = new int[Philox.WORDS];
        private LstmSpec spec;
        private DualStep step;
        private float[] array;
        private int used;

        DualStep step(Kernels kernels, LstmSpec wanted) {
            if (!wanted.equals(spec)) {
                step = new DualStep(kernels, wanted);
                spec = wanted;
            }
            return step;
        }

        /** Before the parts of a task's memory are taken: how many numbers they are together. */
        void begin(int numbers) {
            array = scratch.take(numbers);
            used = 0;
        }

        DualFloats take(int count) {
            int at = used;
            used += 2 * count;
            return new DualFloats(array, at, array, at + count);
        }

        /** Numbers without tangents, from the position that is returned in {@link #array}. */
        int takeSingle(int count) {
            int at = used;
            used += count;
            return at;
        }

        long bytes() {
            return scratch.bytes();
        }
    }

    /** A pass over one cell begins. */
    void prepare(DualTape tape, LstmLayout layout, int state) {
        LstmInput read = tape.dualInput().value();
        this.spec = tape.spec();
        this.state = state;
        int layer = state / spec.direction().cells();
        int index = state % spec.direction().cells();
        this.views = layout.cell(state);
        this.column = index * spec.outputSize();
        this.reversed = spec.direction().reversed(index);
        this.inputs = spec.layerInputSize(layer);
        this.hidden = spec.hiddenSize();
        this.outputs = spec.outputSize();
        this.gateRows = Gate.COUNT * hidden;
        this.pitch = tape.rows();
        this.parameters = tape.dualParameters();
        this.masks = new DualMasks(spec, read.dropout(), layer, index);
        sequences.set(tape.timeSteps(), tape.batchSize(), read.lengths());
        xRows = Sequences.grown(xRows, sequences.total());
        sequences.locate(0, inputs, reversed, xRows);
        zeros = DualFloats.zeros(Math.max(Math.max(gateRows, inputs), Math.max(hidden, outputs)) + BLOCK);
        x = tape.layerInput(layer);
        u = tape.inputShares(state);
        v = tape.recurrentShares(state);
        seen = tape.seen(state);
        before = tape.before(state);
        DualFloats bias = DualFloats.zeros(gateRows + BLOCK);
        if (views.bias() != null) {
            at(parameters, views.bias()).copy(0, bias, 0, gateRows);
        }
        small = new DualStep.Small(
                bias, copy(views.peepholes()), copy(views.gateNormalization()), copy(views.cellNormalization()));
        dropWeights();
    }

    private DualFloats copy(ParameterView view) {
        if (view == null) {
            return null;
        }
        int count = Math.toIntExact(view.shape().elements());
        DualFloats numbers = DualFloats.zeros(count);
        at(parameters, view).copy(0, numbers, 0, count);
        return numbers;
    }

    private static DualFloats at(DualFloats buffer, ParameterView view) {
        return buffer.from(Math.toIntExact(view.offset()));
    }

    /** {@code d_R * R}. */
    private void dropWeights() {
        weightMasked = at(parameters, views.recurrentWeights());
        weightMask = null;
        if (masks.dropsWeights()) {
            int count = gateRows * outputs;
            weightMask = new float[count];
            masks.kept(LstmMask.RECURRENT_WEIGHTS, 0, count, weightMask, 0, own[0].words);
            DualFloats dropped = DualFloats.zeros(count);
            weightMasked.copy(0, dropped, 0, count);
            DualFloats.scale(dropped, 0, weightMask, 0, dropped, 0, count);
            weightMasked = dropped;
        }
    }

    /**
     * Forward.
     *
     * @param initialStates of the stack
     * @param lastStates likewise, written
     * @param layerOutput {@code [T, N, cells * P]}; the cell's columns are written
     */
    void forward(States initialStates, States lastStates, DualFloats layerOutput) {
        initial = initialStates;
        last = lastStates;
        y = layerOutput;
        input.packTransposed(at(parameters, views.inputWeights()), gateRows, inputs);
        recurrent.packTransposed(weightMasked, gateRows, outputs);
        if (spec.projected()) {
            projection.packTransposed(at(parameters, views.projection()), outputs, hidden);
        }
        run(Phase.INPUT, (sequences.total() + INPUT_ROWS - 1) / INPUT_ROWS);
        run(Phase.FORWARD, sequences.tiles());
    }

    private void run(Phase what, int tasks) {
        phase = what;
        workers.run(tasks, this);
    }

    @Override
    public void run(int index, int worker) {
        Worker mine = own[worker];
        switch (phase) {
            case INPUT -> multiplyInput(index * INPUT_ROWS, mine);
            case FORWARD -> forward(index, mine);
            case BACKWARD -> backward(index, mine);
            case INPUT_GRADIENT -> multiplyInputBack(index * INPUT_ROWS, mine);
        }
    }

    private static int blocked(int width) {
        return (width + BLOCK - 1) / BLOCK * BLOCK;
    }

    /** {@code u = W x (+ b)} for some rows. */
    private void multiplyInput(int from, Worker mine) {
        int rows = Math.min(INPUT_ROWS, sequences.total() - from);
        mine.begin(2 * rows * blocked(inputs));
        DualFloats left = mine.take(rows * blocked(inputs));
        for (int r = 0; r < rows; r++) {
            x.scatter(xRows[from + r], inputs, left, r, rows);
        }
        DualFloats factor = x.tangent() == null ? new DualFloats(left.value(), left.at(), null, 0) : left;
        DualFloats start = spec.layerNormalization() ? zeros : small.bias();
        input.product(kernels, rows, factor, rows * BLOCK, start, u.from(from * BLOCK), pitch * BLOCK);
    }

    private int time(int tile, int step, int r) {
        return sequences.time(step, sequences.start(tile) + r, reversed);
    }

    private int sequence(int tile, int r) {
        return sequences.sequence(sequences.start(tile) + r);
    }

    /** Where in {@code [T, N, cells * P]} a cell's columns begin. */
    private int outputAt(int t, int n) {
        return (t * sequences.batchSize() + n) * spec.sequenceWidth() + column;
    }

    private int stateAt(int n, int width) {
        return (state * sequences.batchSize() + n) * width;
    }

    private void recurrentMask(int tile, float[] into, int at, Worker mine) {
        for (int r = 0; r < sequences.size(tile); r++) {
            int first = sequence(tile, r) * outputs;
            masks.kept(LstmMask.RECURRENT, first, outputs, into, at + r * outputs, mine.words);
        }
    }

    /** Loads a row's numbers and masks and computes the step. */
    private DualStep step(int row, int t, int n, Worker mine) {
        DualStep step = mine.step(kernels, spec);
        u.gather(row, pitch, step.u.q, 0, gateRows);
        if (spec.layerNormalization()) {
            v.gather(row, pitch, step.v.q, 0, gateRows);
        }
        before.copy(row * hidden, step.before, 0, hidden);
        int first = (t * sequences.batchSize() + n) * hidden;
        if (spec.candidateDropout() > 0) {
            masks.kept(LstmMask.CANDIDATE, first, hidden, step.kept, 0, mine.words);
        }
        if (spec.zoneoutCell() > 0) {
            masks.held(LstmMask.ZONEOUT_CELL, first, hidden, step.held, 0, mine.words);
        }
        step.forward(small);
        return step;
    }

    private void forward(int tile, Worker mine) {
        int size = sequences.size(tile);
        mine.begin(size * (3 * outputs + 2 * hidden + 2 * blocked(hidden) + 2 * blocked(outputs)) + 3 * outputs);
        DualFloats h = mine.take(size * outputs);
        DualFloats c = mine.take(size * hidden);
        DualFloats m = mine.take(size * blocked(hidden));
        DualFloats projected = mine.take(size * blocked(outputs));
        DualFloats row = mine.take(outputs);
        int seenBy = mine.takeSingle(size * outputs);
        int held = mine.takeSingle(outputs);
        recurrentMask(tile, mine.array, seenBy, mine);
        for (int r = 0; r < size; r++) {
            initial.h().copy(stateAt(sequence(tile, r), outputs), h, r * outputs, outputs);
            initial.c().copy(stateAt(sequence(tile, r), hidden), c, r * hidden, hidden);
        }
        for (int k = 0; k < sequences.steps(tile); k++) {
            int count = sequences.count(tile, k);
            int first = sequences.row(tile, k);
            for (int r = 0; r < count; r++) {
                if (spec.recurrentDropout() > 0) {
                    DualFloats.scale(h, r * outputs, mine.array, seenBy + r * outputs, row, 0, outputs);
                    row.scatter(0, outputs, seen, first + r, pitch);
                } else {
                    h.scatter(r * outputs, outputs, seen, first + r, pitch);
                }
                c.copy(r * hidden, before, (first + r) * hidden, hidden);
            }
            boolean apart = spec.layerNormalization();
            recurrent.product(
                    kernels,
                    count,
                    seen.from(first * BLOCK),
                    pitch * BLOCK,
                    apart ? zeros : null,
                    (apart ? v : u).from(first * BLOCK),
                    pitch * BLOCK);
            for (int r = 0; r < count; r++) {
                DualStep step = step(first + r, time(tile, k, r), sequence(tile, r), mine);
                step.c.copy(0, c, r * hidden, hidden);
                step.m.scatter(0, hidden, m, r, size);
            }
            if (spec.projected()) {
                projection.product(kernels, count, m, size * BLOCK, zeros, projected, size * BLOCK);
            }
            for (int r = 0; r < count; r++) {
                int t = time(tile, k, r);
                int n = sequence(tile, r);
                (spec.projected() ? projected : m).gather(r, size, row, 0, outputs);
                if (spec.zoneoutHidden() > 0) {
                    heldHidden(t, n, mine, held);
                    DualFloats.mix(mine.array, held, h, r * outputs, row, 0, h, r * outputs, outputs);
                } else {
                    row.copy(0, h, r * outputs, outputs);
                }
                h.copy(r * outputs, y, outputAt(t, n), outputs);
            }
        }
        for (int r = 0; r < size; r++) {
            int n = sequence(tile, r);
            h.copy(r * outputs, last.h(), stateAt(n, outputs), outputs);
            c.copy(r * hidden, last.c(), stateAt(n, hidden), hidden);
            for (int t = sequences.length(sequences.start(tile) + r); t < sequences.timeSteps(); t++) {
                y.clear(outputAt(t, n), outputs);
            }
        }
    }

    private void heldHidden(int t, int n, Worker mine, int at) {
        int first = (t * sequences.batchSize() + n) * outputs;
        masks.held(LstmMask.ZONEOUT_HIDDEN, first, outputs, mine.array, at, mine.words);
    }

    /**
     * Back, after {@link #prepare}.
     *
     * @param workspace for the time of the call
     * @param dy the gradient of the layer's output {@code [T, N, cells * P]}
     * @param lastGradients of the stack
     * @param initialGradients likewise, written
     * @param gradients of the stack's parameters, added to
     * @param inputGradient {@code [T, N, D]}: written, or added to where the layer has other cells before this
     */
    void backward(
            DualTape tape,
            Scope workspace,
            DualFloats dy,
            States lastGradients,
            States initialGradients,
            DualFloats gradients,
            DualFloats inputGradient,
            boolean addition) {
        y = dy;
        last = lastGradients;
        initial = initialGradients;
        dx = inputGradient;
        further = addition;
        recurrent.pack(weightMasked, gateRows, outputs);
        if (spec.projected()) {
            projection.pack(at(parameters, views.projection()), outputs, hidden);
            shownGradients = DualTape.halves(tape.blocked(workspace, "gradients of shown h", outputs));
            shown = DualTape.halves(workspace.allocate("shown", 2, pitch, hidden));
        }
        smallSize = gateRows
                + elements(views.peepholes())
                + elements(views.gateNormalization())
                + elements(views.cellNormalization());
        smallSums = DualTape.halves(workspace.allocate("sums of tiles", 2, sequences.tiles(), smallSize));
        smallSums.clear(0, sequences.tiles() * smallSize);
        run(Phase.BACKWARD, sequences.tiles());
        addSmall(gradients);
        addProducts(gradients, workspace);
        if (dx.value() != null || dx.tangent() != null) {
            input.pack(at(parameters, views.inputWeights()), gateRows, inputs);
            if (!further) {
                clearPadding();
            }
            run(Phase.INPUT_GRADIENT, (sequences.total() + INPUT_ROWS - 1) / INPUT_ROWS);
        }
    }

    private static int elements(ParameterView view) {
        return view == null ? 0 : Math.toIntExact(view.shape().elements());
    }

    private DualStep.Small sumsOf(int tile) {
        int at = tile * smallSize;
        int peepholes = at + gateRows;
        int gateNorm = peepholes + elements(views.peepholes());
        int cellNorm = gateNorm + elements(views.gateNormalization());
        return new DualStep.Small(
                smallSums.from(at), smallSums.from(peepholes), smallSums.from(gateNorm), smallSums.from(cellNorm));
    }

    private void addSmall(DualFloats gradients) {
        for (int tile = 0; tile < sequences.tiles(); tile++) {
            DualStep.Small sums = sumsOf(tile);
            add(sums.bias(), gradients, views.bias());
            add(sums.peepholes(), gradients, views.peepholes());
            add(sums.gateNorm(), gradients, views.gateNormalization());
            add(sums.cellNorm(), gradients, views.cellNormalization());
        }
    }

    private static void add(DualFloats sums, DualFloats gradients, ParameterView view) {
        if (view != null) {
            DualFloats.add(sums, 0, at(gradients, view), 0, elements(view));
        }
    }

    private void backward(int tile, Worker mine) {
        int size = sequences.size(tile);
        mine.begin(size * (4 * outputs + 2 * hidden + 2 * blocked(hidden) + 2 * blocked(outputs)) + 2 * outputs);
        DualFloats dh = mine.take(size * outputs);
        DualFloats dc = mine.take(size * hidden);
        DualFloats dm = mine.take(size * blocked(hidden));
        DualFloats dSeen = mine.take(size * blocked(outputs));
        DualFloats row = mine.take(outputs);
        int seenBy = mine.takeSingle(size * outputs);
        int held = mine.takeSingle(size * outputs);
        DualStep.Small sums = sumsOf(tile);
        recurrentMask(tile, mine.array, seenBy, mine);
        for (int r = 0; r < size; r++) {
            last.h().copy(stateAt(sequence(tile, r), outputs), dh, r * outputs, outputs);
            last.c().copy(stateAt(sequence(tile, r), hidden), dc, r * hidden, hidden);
        }
        for (int k = sequences.steps(tile) - 1; k >= 0; k--) {
            int count = sequences.count(tile, k);
            int first = sequences.row(tile, k);
            for (int r = 0; r < count; r++) {
                int t = time(tile, k, r);
                int n = sequence(tile, r);
                DualFloats.add(y, outputAt(t, n), dh, r * outputs, outputs);
                if (spec.zoneoutHidden() > 0) {
                    heldHidden(t, n, mine, held + r * outputs);
                    row.clear(0, outputs);
                    DualFloats.mix(mine.array, held + r * outputs, row, 0, dh, r * outputs, row, 0, outputs);
                } else {
                    dh.copy(r * outputs, row, 0, outputs);
                }
                if (spec.projected()) {
                    row.scatter(0, outputs, shownGradients, first + r, pitch);
                } else {
                    row.scatter(0, outputs, dm, r, size);
                }
            }
            if (spec.projected()) {
                projection.product(
                        kernels, count, shownGradients.from(first * BLOCK), pitch * BLOCK, zeros, dm, size * BLOCK);
            }
            for (int r = 0; r < count; r++) {
                DualStep step = step(first + r, time(tile, k, r), sequence(tile, r), mine);
                dm.gather(r, size, step.dm, 0, hidden);
                dc.copy(r * hidden, step.dc, 0, hidden);
                step.backward(small, sums);
                step.dc.copy(0, dc, r * hidden, hidden);
                step.du.scatter(0, gateRows, u, first + r, pitch);
                if (spec.layerNormalization()) {
                    step.dv.scatter(0, gateRows, v, first + r, pitch);
                }
                if (spec.projected()) {
                    step.m.copy(0, shown, (first + r) * hidden, hidden);
                }
            }
            DualFloats dv = spec.layerNormalization() ? v : u;
            recurrent.product(kernels, count, dv.from(first * BLOCK), pitch * BLOCK, zeros, dSeen, size * BLOCK);
            for (int r = 0; r < count; r++) {
                dSeen.gather(r, size, row, 0, outputs);
                if (spec.recurrentDropout() > 0) {
                    DualFloats.scale(row, 0, mine.array, seenBy + r * outputs, row, 0, outputs);
                }
                if (spec.zoneoutHidden() > 0) {
                    DualFloats.scale(dh, r * outputs, mine.array, held + r * outputs, dh, r * outputs, outputs);
                    DualFloats.add(row, 0, dh, r * outputs, outputs);
                } else {
                    row.copy(0, dh, r * outputs, outputs);
                }
            }
        }
        for (int r = 0; r < size; r++) {
            dh.copy(r * outputs, initial.h(), stateAt(sequence(tile, r), outputs), outputs);
            dc.copy(r * hidden, initial.c(), stateAt(sequence(tile, r), hidden), hidden);
        }
    }

    /** {@code dW += du^T x, dR += d_R * dv^T seen, dW_p += dh^T m}, and by the rule for products their tangents. */
    private void addProducts(DualFloats gradients, Scope workspace) {
        DualFloats dv = spec.layerNormalization() ? v : u;
        DualFloats ofRecurrent = at(gradients, views.recurrentWeights());
        int count = gateRows * outputs;
        if (weightMask != null) {
            ofRecurrent = DualTape.halves(workspace.allocate("gradient of dropped weights", 2, count));
            ofRecurrent.clear(0, count);
        }
        // Two rounds, so that no two products that run at once have one target.
        for (boolean second : new boolean[] {false, true}) {
            addProduct(second, u, gateRows, x, inputs, this::copyInput, at(gradients, views.inputWeights()));
            addProduct(second, dv, gateRows, seen, outputs, this::copySeen, ofRecurrent);
            if (spec.projected()) {
                addProduct(
                        second,
                        shownGradients,
                        outputs,
                        shown,
                        hidden,
                        (factor, at, row, from, to, target, into) ->
                                System.arraycopy(factor, at + row * hidden + from, target, into, to - from),
                        at(gradients, views.projection()));
            }
            products.run();
        }
        if (weightMask != null) {
            DualFloats.scale(ofRecurrent, 0, weightMask, 0, ofRecurrent, 0, count);
            DualFloats.add(ofRecurrent, 0, at(gradients, views.recurrentWeights()), 0, count);
        }
    }

    /** Copies columns {@code from} to {@code to - 1} of a row of a left factor. */
    private interface RowCopy {
        void copy(float[] factor, int at, int row, int from, int to, float[] target, int into);
    }

    private void addProduct(
            boolean second, DualFloats d, int rows, DualFloats left, int columns, RowCopy copy, DualFloats gradient) {
        if (second) {
            if (left.tangent() != null) {
                addProduct(
                        d.value(),
                        d.at(),
                        rows,
                        left.tangent(),
                        left.tangentAt(),
                        columns,
                        copy,
                        gradient.tangent(),
                        gradient.tangentAt());
            }
        } else {
            addProduct(
                    d.value(), d.at(), rows, left.value(), left.at(), columns, copy, gradient.value(), gradient.at());
            addProduct(
                    d.tangent(),
                    d.tangentAt(),
                    rows,
                    left.value(),
                    left.at(),
                    columns,
                    copy,
                    gradient.tangent(),
                    gradient.tangentAt());
        }
    }

    private void addProduct(
            float[] d,
            int dAt,
            int rows,
            float[] left,
            int leftAt,
            int columns,
            RowCopy copy,
            float[] gradient,
            int at) {
        if (gradient != null) {
            products.add(
                    d,
                    dAt,
                    pitch,
                    rows,
                    (row, from, to, target, into) -> copy.copy(left, leftAt, row, from, to, target, into),
                    sequences.total(),
                    columns,
                    gradient,
                    at);
        }
    }

    private void copyInput(float[] factor, int at, int row, int from, int to, float[] target, int into) {
        System.arraycopy(factor, at + xRows[row] + from, target, into, to - from);
    }

    private void copySeen(float[] factor, int at, int row, int from, int to, float[] target, int into) {
        for (int k = from; k < to; ) {
            int count = Math.min(BLOCK - k % BLOCK, to - k);
            System.arraycopy(
                    factor, at + (k / BLOCK * pitch + row) * BLOCK + k % BLOCK, target, into + k - from, count);
            k += count;
        }
    }

    private void clearPadding() {
        for (int place = 0; place < sequences.batchSize(); place++) {
            for (int t = sequences.length(place); t < sequences.timeSteps(); t++) {
                dx.clear((t * sequences.batchSize() + sequences.sequence(place)) * inputs, inputs);
            }
        }
    }

    /** {@code dx = W^T du} for some rows. */
    private void multiplyInputBack(int from, Worker mine) {
        int rows = Math.min(INPUT_ROWS, sequences.total() - from);
        mine.begin(2 * rows * blocked(inputs) + 2 * inputs);
        DualFloats sums = mine.take(rows * blocked(inputs));
        DualFloats row = mine.take(inputs);
        input.product(kernels, rows, u.from(from * BLOCK), pitch * BLOCK, zeros, sums, rows * BLOCK);
        for (int r = 0; r < rows; r++) {
            sums.gather(r, rows, row, 0, inputs);
            if (further) {
                DualFloats.add(row, 0, dx, xRows[from + r], inputs);
            } else {
                row.copy(0, dx, xRows[from + r], inputs);
            }
        }
    }

    /** Lets go of the caller's arrays. */
    void release() {
        products.clear();
        parameters = null;
        weightMasked = null;
        x = null;
        u = null;
        v = null;
        seen = null;
        before = null;
        initial = null;
        last = null;
        y = null;
        dx = null;
        shownGradients = null;
        shown = null;
        smallSums = null;
    }
}
