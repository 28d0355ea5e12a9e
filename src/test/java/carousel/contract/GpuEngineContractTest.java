package carousel.contract;

import carousel.engine.EngineProvider;
import carousel.engine.cuda.gpu.GpuEngineProvider;
import java.util.Map;
import org.junit.jupiter.api.Tag;

/** By cuDNN where that computes it, and by the fused kernels where it does not. */
@Tag("gpu")
class GpuEngineContractTest extends EngineContract {
    @Override
    EngineProvider provider() {
        return new GpuEngineProvider();
    }

    @Override
    Map<String, String> properties() {
        return Map.of("carousel.gpu.engine", "cudnn", "carousel.fused.path", "pointwise");
    }
}
