package carousel.contract;

import carousel.engine.EngineOptions;
import carousel.tensor.Precision;

/** With products on tensor cores. */
class FusedTf32ContractTest extends FusedEngineContractTest {
    @Override
    EngineOptions options() {
        return super.options().withPrecision(Precision.TF32);
    }
}
