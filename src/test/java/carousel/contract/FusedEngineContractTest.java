package carousel.contract;

import carousel.engine.EngineProvider;
import carousel.engine.cuda.fused.FusedEngineProvider;
import org.junit.jupiter.api.Tag;

@Tag("gpu")
class FusedEngineContractTest extends EngineContract {
    @Override
    EngineProvider provider() {
        return new FusedEngineProvider();
    }
}
