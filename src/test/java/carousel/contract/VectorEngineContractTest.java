package carousel.contract;

import carousel.engine.EngineProvider;
import carousel.engine.vector.VectorEngineProvider;

class VectorEngineContractTest extends EngineContract {
    @Override
    EngineProvider provider() {
        return new VectorEngineProvider();
    }
}
