package carousel.engine.cuda.fused;

import carousel.engine.CellActivation;
import carousel.engine.Gate;
import carousel.engine.LstmLayout;
import carousel.engine.LstmSpec;
import carousel.engine.ParameterView;
import carousel.engine.cuda.DeviceStorage;
import carousel.engine.cuda.Kernels;
import carousel.tensor.ElementType;
import carousel.tensor.Tensor;

/**
 * The kernels of one cell that is more than the plain one, in one pass: {@code kernels/lstm_varied.cu} says what they compute and take.
 * Between them come the same products as for the plain cell.
 */
final class VariedCell {
    private final Kernels kernels;
    private final LstmSpec spec;
    private final ElementType real;
    private final int batchSize;
    private final int hidden;
    private final int outputs;
    private final int gates;
    private final long lengths;
    private final LstmLayout.Cell weights;
    private final long parameters;
    private final Masks masks;
    private final long a;
    private final long u;
    private final long v;
    private final long inputDeviations;
    private final long deviations;
    private final long normalCell;
    private final long h;
    private final long seen;
    private final long c;
    private final long m;

    /**
     * Where a cell's masks lie, 0 for none of a kind.
     *
     * @param candidate {@code d_g [T, N, H]}
     * @param cell {@code z_c [T, N, H]}
     * @param hidden {@code z_h [T, N, P]}
     * @param recurrent {@code d_h [N, P]}
     */
    record Masks(long candidate, long cell, long hidden, long recurrent) {}

    /**
     * Where the gradients of a pass lie, 0 for none of a kind.
     *
     * @param dh {@code [N, P]}
     * @param dSeen {@code [N, P]}: of h as the product reads it, where that is masked
     * @param dc {@code [N, H]}
     * @param dm {@code [N, H]}, with a projection
     * @param dHidden {@code [T, N, P]}: of what the projection gives
     * @param peepholes {@code [N, 3H]}: each sequence's share, and so for the next two
     * @param gateGains {@code [N, 4H]} of {@code gamma_v}
     * @param cellGains {@code [N, 2H]}
     */
    record Gradients(
            long dh, long dSeen, long dc, long dm, long dHidden, long peepholes, long gateGains, long cellGains) {}

    /**
     * @param lengths where they lie, 0 for whole sequences
     * @param parameters where the whole stack's parameters lie
     */
    VariedCell(
            Kernels kernels,
            LstmSpec spec,
            ElementType real,
            int batchSize,
            long lengths,
            FusedTape.Cell tensors,
            LstmLayout.Cell weights,
            long parameters,
            Masks masks) {
        this.kernels = kernels;
        this.spec = spec;
        this.real = real;
        this.batchSize = batchSize;
        this.hidden = spec.hiddenSize();
        this.outputs = spec.outputSize();
        this.gates = Gate.COUNT * hidden;
        this.lengths = lengths;
        this.weights = weights;
        this.parameters = parameters;
        this.masks = masks;
        FusedTape.Normal normal = tensors.normal();
        this.a = address(tensors.gates());
        this.u = normal == null ? 0 : address(normal.u());
        this.v = normal == null ? 0 : address(normal.v());
        this.inputDeviations = normal == null ? 0 : address(normal.inputDeviations());
        this.deviations = normal == null ? 0 : address(normal.deviations());
        this.normalCell = normal == null ? 0 : address(normal.cell());
        this.h = address(tensors.h());
        this.seen = masks.recurrent() == 0 ? 0 : address(tensors.seen());
        this.c = address(tensors.c());
        this.m = tensors.m() == null ? 0 : address(tensors.m());
    }

    private long address(Tensor tensor) {
        return DeviceStorage.address(tensor, real);
    }

    /** Where a weight lies, 0 where there is none. */
    private long weight(ParameterView view) {
        return view == null ? 0 : parameters + view.offset() * real.bytes();
    }

    /** Where row n = 0 of one slot or step lies in {@code [., N, width]}; 0 for none. */
    private long at(long tensor, int slot, int width) {
        return tensor == 0 ? 0 : tensor + (long) slot * batchSize * width * real.bytes();
    }

    /** Normalises the inputs' share of all time steps, in place. */
    void normalizeInputs(int rows) {
        kernels.launch("lstm_rows_forward")
                .address(u)
                .address(inputDeviations)
                .integer(rows)
                .integer(gates)
                .real(LstmSpec.NORMALIZATION_EPSILON)
                .blocks(Math.min(Kernels.LARGEST_GRID, rows), 1, Kernels.BLOCK);
    }

    /** Its way back: {@code du} comes in the place of {@code u}, and {@code da * u} in that of {@code da}. */
    void inputGradients(int rows) {
        kernels.launch("lstm_rows_backward")
                .address(a)
                .address(u)
                .address(inputDeviations)
                .address(weight(weights.gateNormalization()))
                .integer(rows)
                .integer(gates)
                .blocks(Math.min(Kernels.LARGEST_GRID, rows), 1, Kernels.BLOCK);
    }

    /**
     * One step forward, up to what is projected where something is.
     *
     * @param t the step's time
     * @param before the slot of the states before it
     * @param after that of the states after it
     * @param y where the output of this step goes
     * @param pitch from one sequence's output to the next
     */
    void forward(int t, int before, int after, long y, int pitch) {
        Kernels.Launch launch;
        if (spec.layerNormalization()) {
            launch = kernels.launch("lstm_normal_forward")
                    .address(at(u, t, gates))
                    .address(weight(weights.bias()));
            normal(launch, t).real(LstmSpec.NORMALIZATION_EPSILON);
        } else {
            launch = kernels.launch("lstm_varied_forward");
        }
        launch.address(at(a, t, gates))
                .address(at(c, before, hidden))
                .address(at(c, after, hidden))
                .address(at(m, t, hidden));
        hidden(launch, t, before, after, y, pitch);
        variation(launch, t);
        finish(launch, t);
    }

    /** What comes after the projection. */
    void projectForward(int t, int before, int after, long y, int pitch) {
        Kernels.Launch launch = kernels.launch("lstm_varied_project_forward");
        hidden(launch, t, before, after, y, pitch);
        rows(launch, t).integer(outputs).over((long) batchSize * outputs);
    }

    /** What comes before the projection on the way back. */
    void projectBackward(int t, Gradients d, long dy, int pitch) {
        Kernels.Launch launch = kernels.launch("lstm_varied_project_backward");
        hiddenGradient(launch, t, d, dy, pitch).address(at(d.dHidden(), t, outputs));
        rows(launch, t).integer(outputs).over((long) batchSize * outputs);
    }

    /** One step backward: leaves {@code da}, normalised {@code dv} as well, where what they are the gradients of was. */
    void backward(int t, int before, Gradients d, long dy, int pitch) {
        Kernels.Launch launch;
        if (spec.layerNormalization()) {
            launch = kernels.launch("lstm_normal_backward");
            normal(launch, t).address(d.gateGains()).address(d.cellGains());
        } else {
            launch = kernels.launch("lstm_varied_backward");
        }
        launch.address(at(a, t, gates))
                .address(at(c, before, hidden))
                .address(d.dm())
                .address(d.dc())
                .address(d.peepholes());
        hiddenGradient(launch, t, d, dy, pitch);
        variation(launch, t);
        finish(launch, t);
    }

    private Kernels.Launch normal(Kernels.Launch launch, int t) {
        return launch.address(at(v, t, gates))
                .address(at(normalCell, t, hidden))
                .address(at(deviations, t, FusedTape.DEVIATIONS))
                .address(weight(weights.gateNormalization()))
                .address(weight(weights.cellNormalization()));
    }

    private void hidden(Kernels.Launch launch, int t, int before, int after, long y, int pitch) {
        launch.address(at(h, before, outputs))
                .address(at(h, after, outputs))
                .address(at(seen, after, outputs))
                .address(y)
                .integer(pitch)
                .address(masks.recurrent())
                .address(at(masks.hidden(), t, outputs))
                .real(spec.zoneoutHidden());
    }

    private Kernels.Launch hiddenGradient(Kernels.Launch launch, int t, Gradients d, long dy, int pitch) {
        return launch.address(d.dh())
                .address(d.dSeen())
                .address(masks.recurrent())
                .address(dy)
                .integer(pitch)
                .address(at(masks.hidden(), t, outputs))
                .real(spec.zoneoutHidden());
    }

    private void variation(Kernels.Launch launch, int t) {
        launch.address(weight(weights.peepholes()))
                .address(at(masks.candidate(), t, hidden))
                .address(at(masks.cell(), t, hidden))
                .real(spec.zoneoutCell())
                .real(spec.cellClip())
                .real(spec.gateClip())
                .integer(spec.coupledGates() ? 1 : 0);
        function(launch, spec.activations().gates());
        function(launch, spec.activations().candidate());
        function(launch, spec.activations().output());
    }

    /** The kernels number the functions in the order in which {@link CellActivation.Kind} lists them. */
    private static void function(Kernels.Launch launch, CellActivation function) {
        launch.integer(function.kind().ordinal()).real(function.alpha()).real(function.beta());
    }

    private Kernels.Launch rows(Kernels.Launch launch, int t) {
        return launch.address(lengths).integer(t).integer(batchSize);
    }

    /** A block a row where rows are normalised, otherwise a thread a cell. */
    private void finish(Kernels.Launch launch, int t) {
        rows(launch, t).integer(hidden);
        if (spec.layerNormalization()) {
            launch.blocks(Math.min(Kernels.LARGEST_GRID, batchSize), 1, Kernels.BLOCK);
        } else {
            launch.over((long) batchSize * hidden);
        }
    }
}
