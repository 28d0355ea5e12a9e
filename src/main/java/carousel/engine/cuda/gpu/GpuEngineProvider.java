package carousel.engine.cuda.gpu;

import carousel.engine.Engine;
import carousel.engine.EngineException;
import carousel.engine.EngineOptions;
import carousel.engine.EngineProvider;
import carousel.engine.cuda.CudaProbe;
import carousel.engine.cuda.cudnn.CudnnEngineProvider;
import carousel.tensor.Precision;
import java.util.Optional;

/** Opens the {@link GpuEngine} on machines with an NVIDIA GPU, cuBLAS and cuDNN 9. */
public final class GpuEngineProvider implements EngineProvider {
    static final String NAME = "gpu";

    @Override
    public String name() {
        return NAME;
    }

    @Override
    public String description() {
        return "NVIDIA GPU, each LSTM by cuDNN or Carousel's own kernels, whichever is measured to be the faster";
    }

    @Override
    public int preference() {
        return 40;
    }

    @Override
    public Optional<Throwable> unavailable() {
        return CudaProbe.withoutCudnn();
    }

    @Override
    public Engine open(EngineOptions options) {
        Precision precision = options.precision() == null ? Precision.FP32 : options.precision();
        if (!CudnnEngineProvider.computes(precision)) {
            throw new EngineException(
                    "the gpu engine chooses between cuDNN and the engine 'fused' in FP32, TF32, FP64 or FP16 but got "
                            + precision + ", which cuDNN does not compute: choose one of them, or the engine 'fused'");
        }
        return new GpuEngine(options, precision, Rival.pinned());
    }
}
