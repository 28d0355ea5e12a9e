package carousel.contract;

import carousel.engine.EngineOptions;
import carousel.tensor.Precision;

/** With products on tensor cores. */
class CudnnTf32ContractTest extends CudnnEngineContractTest {
    @Override
    EngineOptions options() {
        return super.options().withPrecision(Precision.TF32);
    }
}
