package carousel.contract;

import carousel.engine.EngineProvider;
import carousel.engine.cuda.fused.FusedEngineProvider;
import java.util.Map;
import org.junit.jupiter.api.Tag;

/** By the path that takes every cell; those with resident weights have the contract's part for stacks. */
@Tag("gpu")
class FusedEngineContractTest extends EngineContract {
    @Override
    EngineProvider provider() {
        return new FusedEngineProvider();
    }

    @Override
    Map<String, String> properties() {
        return Map.of("carousel.fused.path", "pointwise");
    }
}
