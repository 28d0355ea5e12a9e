package carousel.contract;

import carousel.engine.EngineOptions;
import carousel.tensor.Precision;

/** With products of bfloat16. */
class FusedBfloatContractTest extends FusedEngineContractTest {
    @Override
    EngineOptions options() {
        return super.options().withPrecision(Precision.BF16);
    }
}
