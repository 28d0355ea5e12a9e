package carousel.engine.vector;

import static carousel.engine.vector.Kernels.BLOCK;
import static carousel.engine.vector.Kernels.LANES;

import carousel.engine.Gate;
import carousel.engine.LstmInput;
import carousel.engine.LstmLayout;
import carousel.engine.LstmSpec;
import carousel.engine.ParameterView;
import carousel.tensor.HostStorage;
import java.util.Arrays;

/** What one cell's way back does beyond the plain one, tile by tile and strip by strip: see {@link ForwardOptions}. */
final class BackwardOptions {
    private final Kernels kernels;
    private final Sequences sequences;
    private final CellMasks masks;
    private final Scratch freshCells;
    private final Scratch cellGradients;
    private final Scratch cellTerms;
    private final Scratch gateTerms;
    private final Scratch gateRoom;
    private final Scratch newGradients;
    private final Scratch seenGradients;
    private final Scratch seenMask;
    private final Scratch parameterSums;
    private int[] unseen = new int[0];
    private int[] places = new int[0];

    private CellOptions options;
    private CellPasses passes;
    private PackedStack.Cell weights;
    private int hidden;
    private int outputs;
    private int strips;
    private int record;
    private boolean ofCell;
    private boolean ofHidden;
    private boolean sees;
    private boolean keepM;
    /** The record, or where a cell is normalised, by tile and strip {@code [S][rows][4L]}, those of the step, made again. */
    private float[] gates;

    private int gatesAt;
    private float[] states;
    private int statesAt;
    private float[] slopes;
    private int slopesAt;
    private float[] statistics;
    private int statisticsAt;
    private int[] cellBits;
    private int cellBitsAt;
    private int[] hiddenBits;
    private int hiddenBitsAt;
    private float[] u;
    private int uAt;
    private float[] v;
    private int vAt;
    /** By tile and strip, {@code [S][rows][L]}, where it is normalised: c' before its limit, and the gradient of s, then of c'. */
    private float[] fresh;

    private float[] ds;
    /** Likewise, {@code [S][rows][2L]} and {@code [4L]}: terms of the sums over H and over 4H. */
    private float[] termsOfCell;

    private float[] termsOfGates;
    /** In blocked rows tile by tile: the gradients of the new h and of what was seen of the previous one. */
    private float[] dNew;

    private float[] dSeen;
    /** {@code d_h}, {@code [N, P]}. */
    private float[] mask;
    /** By tile and strip, {@code [SUMS]} of {@link CellStep}. */
    private float[] sums;

    BackwardOptions(Kernels kernels, Sequences sequences, boolean poisoned) {
        this.kernels = kernels;
        this.sequences = sequences;
        this.masks = new CellMasks(kernels);
        freshCells = new Scratch(poisoned);
        cellGradients = new Scratch(poisoned);
        cellTerms = new Scratch(poisoned);
        gateTerms = new Scratch(poisoned);
        gateRoom = new Scratch(poisoned);
        newGradients = new Scratch(poisoned);
        seenGradients = new Scratch(poisoned);
        seenMask = new Scratch(poisoned);
        parameterSums = new Scratch(poisoned);
    }

    long bytes() {
        return freshCells.bytes()
                + cellGradients.bytes()
                + cellTerms.bytes()
                + gateTerms.bytes()
                + gateRoom.bytes()
                + newGradients.bytes()
                + seenGradients.bytes()
                + seenMask.bytes()
                + parameterSums.bytes()
                + (long) (unseen.length + places.length) * Integer.BYTES;
    }

    void prepare(PackedStack stack, PackedStack.Cell packed, int layer, int index, LstmInput input, VectorTape tape) {
        options = stack.options();
        weights = packed;
        LstmSpec spec = stack.spec();
        boolean draws = input.dropout() != null;
        ofCell = options.ofCell();
        sees = options.recurrentDropout() > 0 && draws;
        ofHidden = options.zoneoutHidden() > 0 || sees;
        if (!ofCell && !ofHidden) {
            return;
        }
        int state = layer * spec.direction().cells() + index;
        passes = stack.passes();
        hidden = spec.hiddenSize();
        outputs = spec.outputSize();
        strips = stack.strips();
        record = tape.rows();
        keepM = spec.projected();
        masks.set(spec, layer, index, input.dropout(), sequences);
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
        if (options.drawsForCell() && draws) {
            cellBits = HostStorage.integers(tape.cellBits(state));
            cellBitsAt = HostStorage.start(tape.cellBits(state));
        }
        if (options.zoneoutHidden() > 0 && draws) {
            hiddenBits = HostStorage.integers(tape.hiddenBits(state));
            hiddenBitsAt = HostStorage.start(tape.hiddenBits(state));
        }
        int batch = sequences.batchSize();
        int outputBlocks = (outputs + BLOCK - 1) / BLOCK;
        if (ofHidden) {
            dNew = newGradients.take(batch * outputBlocks * BLOCK);
            dSeen = seenGradients.take(batch * outputBlocks * BLOCK);
        }
        if (sees) {
            unseen = Sequences.grown(unseen, batch * outputBlocks * Gate.COUNT);
            mask = seenMask.take(batch * outputs);
            places = Sequences.grown(places, sequences.total());
            locatePlaces();
        }
        if (ofCell) {
            sums = parameterSums.take(sequences.tiles() * strips * CellStep.SUMS);
        }
        if (options.normalized()) {
            u = HostStorage.floats(tape.inputShares(state));
            uAt = HostStorage.start(tape.inputShares(state));
            v = HostStorage.floats(tape.recurrentShares(state));
            vAt = HostStorage.start(tape.recurrentShares(state));
            statistics = HostStorage.floats(tape.statistics(state));
            statisticsAt = HostStorage.start(tape.statistics(state));
            gates = gateRoom.take(Math.multiplyExact(batch, strips * BLOCK));
            fresh = freshCells.take(batch * strips * LANES);
            ds = cellGradients.take(batch * strips * LANES);
            termsOfCell = cellTerms.take(batch * strips * 2 * LANES);
            termsOfGates = gateTerms.take(batch * strips * BLOCK);
        }
    }

    private void locatePlaces() {
        for (int tile = 0; tile < sequences.tiles(); tile++) {
            for (int step = 0; step < sequences.steps(tile); step++) {
                for (int r = 0; r < sequences.count(tile, step); r++) {
                    places[sequences.row(tile, step) + r] = sequences.start(tile) + r;
                }
            }
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
        u = null;
        v = null;
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

    /** The gradient of the new h, where it is not that of h. */
    float[] newGradient() {
        return dNew;
    }

    /** The gradient of what was seen of the previous h, likewise. */
    float[] seenGradient() {
        return dSeen;
    }

    /** The gradient of {@code u = W x}, by strip and row of the record, from {@link #inputShareAt}. */
    float[] inputShare() {
        return u;
    }

    int inputShareAt() {
        return uAt;
    }

    /** The gradient of {@code v = R h}. */
    float[] recurrentShare() {
        return v;
    }

    int recurrentShareAt() {
        return vAt;
    }

    private int carriedAt(int tile, int strip) {
        return (sequences.start(tile) * strips + strip * sequences.size(tile)) * LANES;
    }

    private int sumsAt(int tile, int strip) {
        return (tile * strips + strip) * CellStep.SUMS;
    }

    private int unseenAt(int tile, int strip) {
        return strip * sequences.batchSize() + sequences.start(tile);
    }

    /** Before the last step: nothing has been summed. */
    void begin(int tile, int firstStrip, int lastStrip) {
        if (ofCell) {
            Arrays.fill(sums, sumsAt(tile, firstStrip), sumsAt(tile, lastStrip), 0);
        }
    }

    /** Draws again what is not seen of L elements of h. */
    void beginHidden(int tile, int k, WorkerBuffers buffer) {
        if (!sees) {
            return;
        }
        int strip = k / LANES;
        for (int r = 0; r < sequences.size(tile); r++) {
            int place = sequences.start(tile) + r;
            int bits = masks.unseen(place, strip, buffer.blocks);
            unseen[unseenAt(tile, strip) + r] = bits;
            int at = place * outputs + k;
            for (int l = 0; l < Math.min(LANES, outputs - k); l++) {
                mask[at + l] = (bits >>> l & 1) != 0 ? 0 : options.recurrentScale();
            }
        }
    }

    /** Splits the gradient of L elements of h in what goes to the new and what to the previous h. */
    void split(int tile, int step, int k, float[] dh, int at, WorkerBuffers buffer) {
        CellStep s = buffer.step;
        s.rows = sequences.count(tile, step);
        s.dh = dh;
        s.dNew = dNew;
        s.dhAt = at;
        s.heldBits = hiddenBits;
        s.heldAt = hiddenBitsAt + k / LANES * record + sequences.row(tile, step);
        Pass.run(passes.splitHidden(), s);
    }

    /** Adds to what went to the previous h what was seen of it. */
    void join(int tile, int step, int k, float[] dh, int at, WorkerBuffers buffer) {
        CellStep s = buffer.step;
        s.rows = sequences.count(tile, step);
        s.dh = dh;
        s.dSeen = dSeen;
        s.dhAt = at;
        s.unseenBits = sees ? unseen : null;
        s.unseenAt = unseenAt(tile, k / LANES);
        Pass.run(passes.joinHidden(), s);
    }

    /** Multiplies columns {@code from} to {@code to - 1} of a previous h in the record's order by what was seen of them. */
    void see(int row, int from, int to, float[] target, int at) {
        if (!sees) {
            return;
        }
        int first = places[row] * outputs + from;
        for (int k = 0; k < to - from; k++) {
            target[at + k] *= mask[first + k];
        }
    }

    /** One step of one strip that is not normalised. */
    void cell(CellStep s, int tile, int step, int strip) {
        set(s, tile, step, strip);
        s.fresh = s.freshRoom;
        s.freshAt = 0;
        s.ds = s.shownRoom;
        s.dsAt = 0;
        Pass.run(passes.backToCell(), s);
        Pass.run(passes.backToGates(), s);
    }

    private void set(CellStep s, int tile, int step, int strip) {
        int row = sequences.row(tile, step);
        s.rows = sequences.count(tile, step);
        s.gates = gates;
        s.gatesAt = gatesAt + (strip * record + row) * BLOCK;
        s.states = states;
        s.statesAt = statesAt + (strip * record + row) * 2 * LANES;
        s.slopes = slopes;
        s.slopesAt = slopesAt + (strip * record + row) * CellStep.SLOPES;
        s.bits = cellBits;
        s.bitsAt = cellBitsAt + strip * record + row;
        s.peepholes = weights.peepholes;
        s.peepholesAt = strip * (Gate.COUNT - 1) * LANES;
        s.keepM = keepM;
        s.sums = sums;
        s.sumsAt = sumsAt(tile, strip);
    }

    private void setNormalized(CellStep s, int tile, int step, int strip) {
        set(s, tile, step, strip);
        int row = sequences.row(tile, step);
        s.gatesAt = Gate.COUNT * carriedAt(tile, strip);
        s.fresh = fresh;
        s.freshAt = carriedAt(tile, strip);
        s.ds = ds;
        s.dsAt = s.freshAt;
        s.gains = weights.gains;
        s.gainsAt = strip * CellStep.GAINS;
        s.statistics = statistics;
        s.statisticsAt = statisticsAt + row * CellStep.STATISTICS;
        s.u = u;
        s.uAt = uAt + (strip * record + row) * BLOCK;
        s.v = v;
        s.vAt = vAt + (strip * record + row) * BLOCK;
    }

    /** One step of a normalised strip, as far as the terms of the sums over H. */
    void normalizedToCell(CellStep s, int tile, int step, int strip) {
        setNormalized(s, tile, step, strip);
        s.terms = termsOfCell;
        s.termsAt = 2 * carriedAt(tile, strip);
        s.z = gates;
        s.zAt = s.gatesAt;
        s.bias = weights.bias;
        s.biasAt = strip * BLOCK;
        s.c = s.shownRoom;
        s.cAt = 0;
        for (int r = 0; r < s.rows; r++) {
            System.arraycopy(s.previous, s.previousAt + r * s.previousPitch, s.c, r * LANES, LANES);
        }
        ForwardOptions.intoCell(passes, s, hidden - strip * LANES);
        Pass.run(passes.backToCell(), s);
    }

    /** The sums over H for the rows of a step; the terms of all strips have to be there. */
    void cellMeans(int tile, int step, float[] into, int at, WorkerBuffers buffer) {
        int rows = sequences.count(tile, step);
        int pitch = 2 * sequences.size(tile) * LANES;
        int terms = 2 * carriedAt(tile, 0);
        kernels.means(rows, strips, termsOfCell, terms, pitch, 2, hidden, buffer.lanes, into, at + 4);
    }

    /** Further, as far as the terms of the sums over 4H. */
    void normalizedToGates(CellStep s, int tile, int step, int strip, float[] means, int at) {
        setNormalized(s, tile, step, strip);
        s.terms = termsOfGates;
        s.termsAt = Gate.COUNT * carriedAt(tile, strip);
        s.means = means;
        s.meansAt = at;
        Pass.run(passes.backToGates(), s);
    }

    /** The sums over 4H. */
    void gateMeans(int tile, int step, float[] into, int at, WorkerBuffers buffer) {
        int rows = sequences.count(tile, step);
        int pitch = sequences.size(tile) * BLOCK;
        int terms = Gate.COUNT * carriedAt(tile, 0);
        int count = Gate.COUNT * hidden;
        kernels.means(rows, strips, termsOfGates, terms, pitch, 4, count, buffer.lanes, into, at);
    }

    /** The rest of it. */
    void normalizedToShares(CellStep s, int tile, int step, int strip, float[] means, int at) {
        setNormalized(s, tile, step, strip);
        s.means = means;
        s.meansAt = at;
        Pass.run(passes.backToShares(), s);
    }

    /** Adds the gradients of peepholes, gains and, where it is normalised, of the bias: sums over the tiles in their order. */
    void addSums(LstmLayout.Cell views, float[] gradients, int start) {
        if (!options.peepholes() && !options.normalized()) {
            return;
        }
        for (int strip = 0; strip < strips; strip++) {
            for (int tile = 1; tile < sequences.tiles(); tile++) {
                kernels.add(sums, sumsAt(0, strip), sums, sumsAt(tile, strip), CellStep.SUMS);
            }
            if (options.peepholes()) {
                addRows(views.peepholes(), Gate.COUNT - 1, strip, CellStep.PEEPHOLE_SUMS, gradients, start);
            }
            if (options.normalized()) {
                addRows(views.gateNormalization(), 2 * Gate.COUNT, strip, CellStep.INPUT_GAIN_SUMS, gradients, start);
                addRows(views.cellNormalization(), 2, strip, CellStep.CELL_GAIN_SUMS, gradients, start);
                if (views.bias() != null) {
                    addRows(views.bias(), Gate.COUNT, strip, CellStep.BIAS_SUMS, gradients, start);
                }
            }
        }
    }

    /** Adds sums, a row every L numbers, to some columns of a matrix {@code [rows, H]}. */
    private void addRows(ParameterView view, int rows, int strip, int first, float[] gradients, int start) {
        int count = Math.min(LANES, hidden - strip * LANES);
        for (int row = 0; row < rows; row++) {
            int to = start + Math.toIntExact(view.offset()) + row * hidden + strip * LANES;
            kernels.add(gradients, to, sums, sumsAt(0, strip) + first + row * LANES, count);
        }
    }
}
