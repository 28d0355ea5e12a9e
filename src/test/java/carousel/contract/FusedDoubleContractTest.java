package carousel.contract;

import carousel.engine.EngineOptions;
import carousel.tensor.Precision;

/** In double precision: where rounding hides nothing, every equation shows. */
class FusedDoubleContractTest extends FusedEngineContractTest {
    @Override
    EngineOptions options() {
        return super.options().withPrecision(Precision.FP64);
    }
}
