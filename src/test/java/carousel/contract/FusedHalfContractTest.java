package carousel.contract;

import carousel.engine.EngineOptions;
import carousel.tensor.Precision;

/** With products of half precision. */
class FusedHalfContractTest extends FusedEngineContractTest {
    @Override
    EngineOptions options() {
        return super.options().withPrecision(Precision.FP16);
    }
}
