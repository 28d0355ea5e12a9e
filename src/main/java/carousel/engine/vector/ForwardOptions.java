package carousel.engine.vector;

import static carousel.engine.vector.Kernels.BLOCK;
import static carousel.engine.vector.Kernels.LANES;

import carousel.engine.Gate;
import carousel.engine.LstmInput;
import carousel.engine.LstmSpec;
import carousel.tensor.HostStorage;
import carousel.tensor.Tensor;
import java.util.Arrays;

/**
 * What one cell's forward pass does beyond the plain one, tile by tile and strip by strip, with the arrays that it takes. The strips
 * of h are L of its elements.
 */
final class ForwardOptions {
    private final Kernels kernels;
    private final Sequences sequences;
    private final CellMasks masks;
    private final Scratch freshCells;
    private final Scratch hiddenStates;
    private final Scratch inputShares;
    private final Scratch recurrentShares;
    private final Scratch gateRoom;
    private int[] cellRoom = new int[0];
    private int[] hiddenRoom = new int[0];
    private int[] unseenRoom = new int[0];

    private CellOptions options;
    private CellPasses passes;
    private PackedStack.Cell weights;
    private float[] valid;
    private int hidden;
    private int outputs;
    private int strips;
    private int record;
    private boolean ofCell;
    private boolean ofHidden;
    private boolean holds;
    private boolean records;
    /** The record, or null; gates only of cells that are not normalised. */
    private float[] gates;

    private int gatesAt;
    private float[] states;
    private int statesAt;
    private float[] slopes;
    private int slopesAt;
    private float[] statistics;
    private int statisticsAt;
    /** Masks of the record, or of the step; null for none. */
    private int[] cellBits;

    private int cellBitsAt;
    private int[] hiddenBits;
    private int hiddenBitsAt;
    private int[] unseen;
    /** By tile and strip, {@code [S][rows][L]}: the new c where it is normalised, and h. */
    private float[] fresh;

    private float[] carried;
    /** Shares of the pre-activations, by strip and row of the record, or like {@link #fresh}. */
    private float[] u;

    private int uAt;
    private float[] v;
    private int vAt;
    /** Normalised pre-activations, then gates, like {@link #fresh}: other threads may still be reading u. */
    private float[] z;

    ForwardOptions(Kernels kernels, Sequences sequences, boolean poisoned) {
        this.kernels = kernels;
        this.sequences = sequences;
        this.masks = new CellMasks(kernels);
        freshCells = new Scratch(poisoned);
        hiddenStates = new Scratch(poisoned);
        inputShares = new Scratch(poisoned);
        recurrentShares = new Scratch(poisoned);
        gateRoom = new Scratch(poisoned);
    }

    long bytes() {
        return freshCells.bytes()
                + hiddenStates.bytes()
                + inputShares.bytes()
                + recurrentShares.bytes()
                + gateRoom.bytes()
                + (long) (cellRoom.length + hiddenRoom.length + unseenRoom.length) * Integer.BYTES;
    }

    void prepare(PackedStack stack, PackedStack.Cell packed, int layer, int index, LstmInput input, VectorTape tape) {
        options = stack.options();
        weights = packed;
        LstmSpec spec = stack.spec();
        boolean draws = input.dropout() != null;
        ofCell = options.ofCell();
        // Without random numbers everything is seen.
        ofHidden = options.zoneoutHidden() > 0 || options.recurrentDropout() > 0 && draws;
        if (!ofCell && !ofHidden) {
            return;
        }
        passes = stack.passes();
        valid = stack.valid();
        hidden = spec.hiddenSize();
        outputs = spec.outputSize();
        strips = stack.strips();
        holds = draws && options.zoneoutHidden() > 0;
        masks.set(spec, layer, index, input.dropout(), sequences);
        int batch = sequences.batchSize();
        int outputStrips = (outputs + LANES - 1) / LANES;
        records = tape != null;
        if (records) {
            record(tape, layer * spec.direction().cells() + index);
        }
        if (draws && options.drawsForCell() && cellBits == null) {
            cellRoom = Sequences.grown(cellRoom, batch * strips);
            cellBits = cellRoom;
        } else if (!draws) {
            cellBits = null;
        }
        if (holds && hiddenBits == null) {
            hiddenRoom = Sequences.grown(hiddenRoom, batch * outputStrips);
            hiddenBits = hiddenRoom;
        }
        if (draws && options.recurrentDropout() > 0) {
            unseenRoom = Sequences.grown(unseenRoom, batch * outputStrips);
            unseen = unseenRoom;
        }
        if (ofHidden) {
            carried = hiddenStates.take(batch * outputStrips * LANES);
        }
        if (options.normalized()) {
            fresh = freshCells.take(batch * strips * LANES);
            z = gateRoom.take(Math.multiplyExact(batch, strips * BLOCK));
            if (!records) {
                u = inputShares.take(Math.multiplyExact(batch, strips * BLOCK));
                v = recurrentShares.take(Math.multiplyExact(batch, strips * BLOCK));
                uAt = 0;
                vAt = 0;
            }
        }
    }

    private void record(VectorTape tape, int state) {
        record = tape.rows();
        if (!options.normalized()) {
            gates = HostStorage.floats(tape.gates(state));
            gatesAt = HostStorage.start(tape.gates(state));
        }
        states = HostStorage.floats(tape.states(state));
        statesAt = HostStorage.start(tape.states(state));
        if (options.slopes()) {
            slopes = HostStorage.floats(tape.slopes(state));
            slopesAt = HostStorage.start(tape.slopes(state));
        }
        if (options.drawsForCell()) {
            cellBits = HostStorage.integers(tape.cellBits(state));
            cellBitsAt = HostStorage.start(tape.cellBits(state));
        }
        if (options.zoneoutHidden() > 0) {
            hiddenBits = HostStorage.integers(tape.hiddenBits(state));
            hiddenBitsAt = HostStorage.start(tape.hiddenBits(state));
        }
        if (options.normalized()) {
            Tensor input = tape.inputShares(state);
            u = HostStorage.floats(input);
            uAt = HostStorage.start(input);
            v = HostStorage.floats(tape.recurrentShares(state));
            vAt = HostStorage.start(tape.recurrentShares(state));
            statistics = HostStorage.floats(tape.statistics(state));
            statisticsAt = HostStorage.start(tape.statistics(state));
        }
    }

    void release() {
        weights = null;
        passes = null;
        gates = null;
        states = null;
        slopes = null;
        statistics = null;
        cellBits = null;
        hiddenBits = null;
        unseen = null;
        u = null;
        v = null;
        z = null;
    }

    boolean ofCell() {
        return ofCell;
    }

    boolean ofHidden() {
        return ofHidden;
    }

    boolean normalized() {
        return options.normalized();
    }

    /** Where a strip of c' or of masks lies, without a record. */
    private int carriedAt(int tile, int strip) {
        return (sequences.start(tile) * strips + strip * sequences.size(tile)) * LANES;
    }

    private int hiddenAt(int tile, int strip) {
        int outputStrips = (outputs + LANES - 1) / LANES;
        return (sequences.start(tile) * outputStrips + strip * sequences.size(tile)) * LANES;
    }

    private int unseenAt(int tile, int strip) {
        return strip * sequences.batchSize() + sequences.start(tile);
    }

    /** The row of the record or, without one, of the step. */
    private int shareAt(int tile, int step, int strip) {
        return records ? (strip * record + sequences.row(tile, step)) * BLOCK : carriedAt(tile, strip) * Gate.COUNT;
    }

    private int sharePitch(int tile) {
        return (records ? record : sequences.size(tile)) * BLOCK;
    }

    /** What is carried and what is seen of the initial h of one sequence; without one, of zeros. */
    void beginHidden(int tile, int r, float[] initial, int at, float[] acts, int actsAt, WorkerBuffers buffer) {
        int size = sequences.size(tile);
        for (int k = 0; k < outputs; k += LANES) {
            int strip = k / LANES;
            int count = Math.min(LANES, outputs - k);
            int to = hiddenAt(tile, strip) + r * LANES;
            Arrays.fill(carried, to, to + LANES, 0);
            if (initial != null) {
                System.arraycopy(initial, at + k, carried, to, count);
            }
            if (unseen == null) {
                continue;
            }
            int bits = masks.unseen(sequences.start(tile) + r, strip, buffer.blocks);
            unseen[unseenAt(tile, strip) + r] = bits;
            int seen = actsAt + (k / BLOCK * size + r) * BLOCK + k % BLOCK;
            for (int l = 0; initial != null && l < count; l++) {
                acts[seen + l] = (bits >>> l & 1) != 0 ? 0 : carried[to + l] * options.recurrentScale();
            }
        }
    }

    /** One step of one strip that is not normalised: from pre-activations to c and m. */
    void cell(
            int tile,
            int step,
            int strip,
            float[] z,
            int zAt,
            float[] c,
            int cAt,
            float[] m,
            int mAt,
            WorkerBuffers buffer) {
        CellStep s = set(tile, step, strip, c, cAt, m, mAt, buffer);
        s.z = z;
        s.zAt = zAt;
        s.fresh = s.freshRoom;
        s.freshAt = 0;
        intoCell(s, strip);
        Pass.run(passes.outOfCell(), s);
    }

    private CellStep set(int tile, int step, int strip, float[] c, int cAt, float[] m, int mAt, WorkerBuffers buffer) {
        CellStep s = buffer.step;
        int row = sequences.row(tile, step);
        s.rows = sequences.count(tile, step);
        s.c = c;
        s.cAt = cAt;
        s.m = m;
        s.mAt = mAt;
        s.shown = s.shownRoom;
        s.shownAt = 0;
        s.gates = gates;
        s.gatesAt = gatesAt + (strip * record + row) * BLOCK;
        s.states = states;
        s.statesAt = statesAt + (strip * record + row) * 2 * LANES;
        s.slopes = slopes;
        s.slopesAt = slopesAt + (strip * record + row) * CellStep.SLOPES;
        s.bits = cellBits;
        s.bitsAt = cellBitsAt(tile, step, strip);
        s.peepholes = weights.peepholes;
        s.peepholesAt = strip * (Gate.COUNT - 1) * LANES;
        return s;
    }

    private int cellBitsAt(int tile, int step, int strip) {
        return records ? cellBitsAt + strip * record + sequences.row(tile, step) : carriedAt(tile, strip) / LANES;
    }

    private void intoCell(CellStep s, int strip) {
        intoCell(passes, s, hidden - strip * LANES);
    }

    /** From pre-activations to gates and c' of a strip that has {@code units} hidden units from its first on. */
    static void intoCell(CellPasses passes, CellStep s, int units) {
        Pass.run(passes.intoCell(), s);
        // Padding must not grow from step to step where a function is not 0 at 0.
        for (int r = 0; units < LANES && r < s.rows; r++) {
            Arrays.fill(s.fresh, s.freshAt + r * LANES + units, s.freshAt + (r + 1) * LANES, 0);
        }
    }

    /** Draws the masks of a step of a strip. */
    void draw(int tile, int step, int strip, WorkerBuffers buffer) {
        if (cellBits != null) {
            masks.drawCell(tile, step, strip, cellBits, cellBitsAt(tile, step, strip), buffer.blocks);
        }
    }

    /**
     * {@code u = W x} and {@code v = R h} of a step of a strip.
     *
     * @param goesOn whether the next strip will be wanted of the same thread
     */
    void shares(
            int tile,
            int step,
            int strip,
            boolean goesOn,
            float[] acts,
            int actsAt,
            boolean firstOfZeros,
            float[] zeros,
            ReadAhead ahead) {
        int size = sequences.size(tile);
        int rows = sequences.count(tile, step);
        int at = shareAt(tile, step, strip);
        int hiddenRow = weights.hiddenRow();
        int inputRow = weights.inputRow();
        Panel panel = weights.gates;
        int block = size * BLOCK;
        if (goesOn) {
            // Where the next ones go, which is often no longer in a cache.
            int next = shareAt(tile, step, strip + 1);
            ahead.touch(u, uAt + next, rows * BLOCK);
            ahead.touch(v, vAt + next, rows * BLOCK);
        }
        panel.product(
                kernels, strip, rows, acts, actsAt, block, inputRow, hiddenRow - inputRow, zeros, 0, 0, u, uAt + at);
        if (firstOfZeros) {
            Arrays.fill(v, vAt + at, vAt + at + rows * BLOCK, 0);
        } else {
            panel.product(kernels, strip, rows, acts, actsAt, block, hiddenRow, outputs, zeros, 0, 0, v, vAt + at);
        }
    }

    /** Mean and deviation of u and v for the rows of a step; those of all strips have to be there. */
    void shareStatistics(int tile, int step, float[] into, int at, WorkerBuffers buffer) {
        int rows = sequences.count(tile, step);
        int share = shareAt(tile, step, 0);
        int pitch = sharePitch(tile);
        int count = Gate.COUNT * hidden;
        kernels.statistics(rows, strips, u, uAt + share, pitch, BLOCK, valid, count, buffer.lanes, into, at);
        kernels.statistics(rows, strips, v, vAt + share, pitch, BLOCK, valid, count, buffer.lanes, into, at + 2);
    }

    /** Mean and deviation of the new c, and the record of all of them. */
    void cellStatistics(int tile, int step, float[] into, int at, boolean keeps, WorkerBuffers buffer) {
        int rows = sequences.count(tile, step);
        int pitch = sequences.size(tile) * LANES;
        float[] lanes = buffer.lanes;
        kernels.statistics(rows, strips, fresh, carriedAt(tile, 0), pitch, LANES, valid, hidden, lanes, into, at + 4);
        if (keeps && statistics != null) {
            int to = statisticsAt + sequences.row(tile, step) * CellStep.STATISTICS;
            System.arraycopy(into, at, statistics, to, rows * CellStep.STATISTICS);
        }
    }

    /** One step of a normalised strip, as far as the new c. */
    void normalizedIntoCell(
            int tile, int step, int strip, float[] c, int cAt, float[] rowStatistics, int at, WorkerBuffers buffer) {
        CellStep s = setNormalized(tile, step, strip, c, cAt, null, 0, rowStatistics, at, buffer);
        intoCell(s, strip);
    }

    /** The rest of it. */
    void normalizedOutOfCell(
            int tile,
            int step,
            int strip,
            float[] c,
            int cAt,
            float[] m,
            int mAt,
            float[] rowStatistics,
            int at,
            WorkerBuffers buffer) {
        CellStep s = setNormalized(tile, step, strip, c, cAt, m, mAt, rowStatistics, at, buffer);
        Pass.run(passes.outOfCell(), s);
    }

    private CellStep setNormalized(
            int tile,
            int step,
            int strip,
            float[] c,
            int cAt,
            float[] m,
            int mAt,
            float[] rowStatistics,
            int at,
            WorkerBuffers buffer) {
        CellStep s = set(tile, step, strip, c, cAt, m, mAt, buffer);
        int share = shareAt(tile, step, strip);
        s.u = u;
        s.uAt = uAt + share;
        s.v = v;
        s.vAt = vAt + share;
        s.z = z;
        s.zAt = carriedAt(tile, strip) * Gate.COUNT;
        s.fresh = fresh;
        s.freshAt = carriedAt(tile, strip);
        s.gains = weights.gains;
        s.gainsAt = strip * CellStep.GAINS;
        s.bias = weights.bias;
        s.biasAt = strip * BLOCK;
        s.statistics = rowStatistics;
        s.statisticsAt = at;
        return s;
    }

    /** L elements of a step's new h: what is carried goes to y, and what is seen replaces it. */
    void hidden(int tile, int step, int strip, float[] h, int hAt, float[] y, int[] yRows, WorkerBuffers buffer) {
        CellStep s = buffer.step;
        int row = sequences.row(tile, step);
        s.rows = sequences.count(tile, step);
        s.h = h;
        s.hAt = hAt;
        s.carried = carried;
        s.carriedAt = hiddenAt(tile, strip);
        s.heldBits = holds ? hiddenBits : null;
        s.unseenBits = unseen;
        s.unseenAt = unseenAt(tile, strip);
        if (holds) {
            s.heldAt = records ? hiddenBitsAt + strip * record + row : s.carriedAt / LANES;
            masks.drawHidden(tile, step, strip, hiddenBits, s.heldAt, buffer.blocks);
        }
        Pass.run(passes.hidden(), s);
        int count = Math.min(LANES, outputs - strip * LANES);
        for (int r = 0; r < s.rows; r++) {
            System.arraycopy(carried, s.carriedAt + r * LANES, y, yRows[row + r] + strip * LANES, count);
        }
    }
}
