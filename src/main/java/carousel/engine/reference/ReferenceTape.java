package carousel.engine.reference;

import carousel.engine.LstmSpec;
import carousel.engine.LstmTape;
import carousel.tensor.Scope;
import carousel.tensor.Tensor;

/** For each cell the state before each step; for each layer but the first, what it read. */
final class ReferenceTape extends LstmTape {
    private final Tensor[] hPrevious;
    private final Tensor[] cPrevious;
    private final Tensor[] layerInputs;

    ReferenceTape(LstmSpec spec, Scope scope, int timeSteps, int batchSize) {
        super(spec, scope, timeSteps, batchSize);
        hPrevious = new Tensor[spec.states()];
        cPrevious = new Tensor[spec.states()];
        for (int state = 0; state < spec.states(); state++) {
            hPrevious[state] = scope.allocate("previous h", timeSteps, batchSize, spec.outputSize());
            cPrevious[state] = scope.allocate("previous c", timeSteps, batchSize, spec.hiddenSize());
        }
        layerInputs = new Tensor[spec.layers()];
        for (int layer = 1; layer < spec.layers(); layer++) {
            layerInputs[layer] = scope.allocate("layer input", timeSteps, batchSize, spec.layerInputSize(layer));
        }
    }

    Cell cell(int state) {
        return new Cell(ReferenceEngine.rows(hPrevious[state]), ReferenceEngine.rows(cPrevious[state]));
    }

    /** What a layer above the first reads, {@code [T, N, D]}. */
    Tensor layerInput(int layer) {
        return layerInputs[layer];
    }

    /**
     * One cell's share.
     *
     * @param h the state before each step
     * @param c likewise
     */
    record Cell(ReferenceCell.Rows h, ReferenceCell.Rows c) {
        void before(int t, int n, double[] hPrevious, double[] cPrevious) {
            System.arraycopy(hPrevious, 0, h.values(), h.at(t, n), h.width());
            System.arraycopy(cPrevious, 0, c.values(), c.at(t, n), c.width());
        }
    }
}
