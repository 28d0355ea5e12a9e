package carousel.contract;

import carousel.engine.EngineOptions;
import carousel.tensor.Precision;

/** With half precision inside the LSTM. */
class CudnnHalfContractTest extends CudnnEngineContractTest {
    @Override
    EngineOptions options() {
        return super.options().withPrecision(Precision.FP16);
    }
}
