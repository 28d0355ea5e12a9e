package carousel.contract;

import carousel.engine.EngineProvider;
import carousel.engine.cuda.cudnn.CudnnEngineProvider;
import org.junit.jupiter.api.Tag;

@Tag("gpu")
class CudnnEngineContractTest extends EngineContract {
    @Override
    EngineProvider provider() {
        return new CudnnEngineProvider();
    }
}
