package carousel.contract;

import carousel.engine.EngineOptions;
import carousel.tensor.Precision;

/** In double precision. */
class CudnnDoubleContractTest extends CudnnEngineContractTest {
    @Override
    EngineOptions options() {
        return super.options().withPrecision(Precision.FP64);
    }
}
