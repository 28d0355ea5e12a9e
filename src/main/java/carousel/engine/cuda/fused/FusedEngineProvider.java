package carousel.engine.cuda.fused;

import carousel.engine.Engine;
import carousel.engine.EngineOptions;
import carousel.engine.EngineProvider;
import carousel.engine.cuda.CudaEngine;
import carousel.engine.cuda.CudaProbe;
import carousel.engine.cuda.Kernels;
import carousel.tensor.Precision;
import java.util.Optional;

/** Opens the {@link FusedEngine} on machines with an NVIDIA GPU and cuBLAS. */
public final class FusedEngineProvider implements EngineProvider {
    static final String NAME = "fused";

    @Override
    public String name() {
        return NAME;
    }

    @Override
    public String description() {
        return "NVIDIA GPU, with cuBLAS and Carousel's own kernels";
    }

    @Override
    public int preference() {
        return 20;
    }

    @Override
    public Optional<Throwable> unavailable() {
        return CudaProbe.unavailable();
    }

    /** What stands for the kernels with resident weights: another text where they are others. */
    public static String kernels() {
        return Kernels.digest(ResidentKernel.FILES.toArray(String[]::new));
    }

    @Override
    public Engine open(EngineOptions options) {
        Precision precision = options.precision() == null ? Precision.FP32 : options.precision();
        return new FusedEngine(options, precision, FusedPath.pinned(), FusedEngine.PATIENCE);
    }

    /** The same on the device, the memory and the stream of an engine that is open, and to be closed before it. */
    public static CudaEngine join(CudaEngine host) {
        return new FusedEngine(host, FusedPath.pinned(), FusedEngine.PATIENCE);
    }
}
