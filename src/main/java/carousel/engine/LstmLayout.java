package carousel.engine;

import java.util.ArrayList;
import java.util.List;

/**
 * Where each weight of an LSTM stack lies in its flat parameter buffer: the one place that knows. For layer {@code l} and
 * each cell (forward, then reverse) in turn, with {@code D} the width of the layer's input and {@code P} that of h,
 *
 * <pre>
 *   weight_ih_l{l}  W [4H, D]     rows packed i, f, g, o
 *   weight_hh_l{l}  R [4H, P]
 *   bias_l{l}       b [4H]        where the specification has a bias
 *   weight_hr_l{l}  W_p [P, H]    where it has a projection
 *   peephole_l{l}   p [3, H]      where it has peepholes; rows i, f, o
 *   gate_norm_l{l}  [2, 4H]       with layer normalisation; rows gamma_u and gamma_v, each packed i, f, g, o
 *   cell_norm_l{l}  [2, H]        likewise; rows gamma_c and beta_c
 * </pre>
 *
 * with {@code _reverse} behind the names of the second cell of a bidirectional layer, as PyTorch has it. PyTorch keeps two
 * biases that are only ever added; here there is their sum, and files hold the sum and a zero. It has no peepholes.
 */
public final class LstmLayout {
    /** Rows of the peepholes: all gates but the candidate have one. */
    private static final int PEEPHOLES = Gate.COUNT - 1;

    /** Rows of the two views of a normalisation. */
    private static final int NORMALIZATION_ROWS = 2;

    private final List<Cell> cells;
    private final ParameterLayout layout;

    private LstmLayout(List<Cell> cells, ParameterLayout layout) {
        this.cells = cells;
        this.layout = layout;
    }

    /** The layout of this specification. It depends on nothing else: every engine uses the same. */
    public static LstmLayout of(LstmSpec spec) {
        ParameterLayout layout = new ParameterLayout();
        List<Cell> cells = new ArrayList<>();
        int rows = Gate.COUNT * spec.hiddenSize();
        for (int layer = 0; layer < spec.layers(); layer++) {
            for (int cell = 0; cell < spec.direction().cells(); cell++) {
                String suffix = "_l" + layer + (cell == 1 ? "_reverse" : "");
                cells.add(new Cell(
                        layout.add("weight_ih" + suffix, rows, spec.layerInputSize(layer)),
                        layout.add("weight_hh" + suffix, rows, spec.outputSize()),
                        spec.bias() ? layout.add("bias" + suffix, rows) : null,
                        spec.projected()
                                ? layout.add("weight_hr" + suffix, spec.projectionSize(), spec.hiddenSize())
                                : null,
                        spec.peepholes() ? layout.add("peephole" + suffix, PEEPHOLES, spec.hiddenSize()) : null,
                        spec.layerNormalization() ? layout.add("gate_norm" + suffix, NORMALIZATION_ROWS, rows) : null,
                        spec.layerNormalization()
                                ? layout.add("cell_norm" + suffix, NORMALIZATION_ROWS, spec.hiddenSize())
                                : null));
            }
        }
        return new LstmLayout(List.copyOf(cells), layout);
    }

    /**
     * The weights of one cell.
     *
     * @param state {@code layer * cells + cell}, the index its state has in {@link LstmState}
     */
    public Cell cell(int state) {
        return cells.get(state);
    }

    /** All parameters in the order of their offsets. */
    public List<ParameterView> views() {
        return layout.views();
    }

    /** Elements of the buffer. */
    public long elements() {
        return layout.elements();
    }

    /**
     * The weights of one cell: {@code W [4H, D]}, {@code R [4H, P]}, {@code b [4H]}, {@code W_p [P, H]},
     * {@code p [3, H]}, {@code gamma_u, gamma_v [2, 4H]} and {@code gamma_c, beta_c [2, H]}.
     *
     * @param bias null without a bias
     * @param projection null without a projection
     * @param peepholes of i, f and o, null without peepholes
     * @param gateNormalization null without layer normalisation
     * @param cellNormalization null without layer normalisation
     */
    public record Cell(
            ParameterView inputWeights,
            ParameterView recurrentWeights,
            ParameterView bias,
            ParameterView projection,
            ParameterView peepholes,
            ParameterView gateNormalization,
            ParameterView cellNormalization) {}
}
