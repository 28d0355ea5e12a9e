package carousel.contract;

import carousel.engine.EngineProvider;
import carousel.engine.Engines;

class FusedEngineContractTest extends EngineContract {
    @Override
    EngineProvider provider() {
        return Engines.provider("fused");
    }
}
