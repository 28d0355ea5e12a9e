package carousel.engine.reference;

import carousel.engine.Dual;
import carousel.engine.LstmInput;
import carousel.engine.LstmSpec;
import carousel.engine.LstmTape;
import carousel.engine.reference.ReferenceDualCell.DualRows;
import carousel.tensor.Scope;
import carousel.tensor.Tensor;

/** What a {@link ReferenceTape} has, and its tangents. */
final class ReferenceDualTape extends LstmTape {
    private final ReferenceTape values;
    private final ReferenceTape tangents;
    private Tensor parametersTangent;
    private LstmInput inputTangent;

    ReferenceDualTape(LstmSpec spec, Scope scope, int timeSteps, int batchSize) {
        super(spec, scope, timeSteps, batchSize);
        values = new ReferenceTape(spec, scope, timeSteps, batchSize);
        tangents = new ReferenceTape(spec, scope, timeSteps, batchSize);
    }

    /** At the end of a forward pass. */
    void record(Dual<Tensor> parameters, Dual<LstmInput> input) {
        record(parameters.value(), input.value(), null);
        parametersTangent = parameters.tangent();
        inputTangent = input.tangent();
    }

    /** The state before each step. */
    Cell cell(int state) {
        ReferenceTape.Cell value = values.cell(state);
        ReferenceTape.Cell tangent = tangents.cell(state);
        return new Cell(new DualRows(value.h(), tangent.h()), new DualRows(value.c(), tangent.c()));
    }

    /** What a layer above the first reads, {@code [T, N, D]}. */
    Dual<Tensor> layerInput(int layer) {
        return new Dual<>(values.layerInput(layer), tangents.layerInput(layer));
    }

    Dual<Tensor> recordedParameters() {
        return new Dual<>(parameters(), parametersTangent);
    }

    /** What the first layer reads. */
    Dual<Tensor> x() {
        return new Dual<>(input().x(), inputTangent == null ? null : inputTangent.x());
    }

    /** One cell's share. */
    record Cell(DualRows h, DualRows c) {}
}
