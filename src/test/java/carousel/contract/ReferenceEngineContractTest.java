package carousel.contract;

import carousel.engine.EngineProvider;
import carousel.engine.reference.ReferenceEngineProvider;

class ReferenceEngineContractTest extends EngineContract {
    @Override
    EngineProvider provider() {
        return new ReferenceEngineProvider();
    }
}
