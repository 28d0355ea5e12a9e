package carousel.contract;

import carousel.engine.EngineProvider;
import carousel.engine.cuda.fused.FusedEngineProvider;

class FusedEngineContractTest extends EngineContract {
    @Override
    EngineProvider provider() {
        return new FusedEngineProvider();
    }
}
