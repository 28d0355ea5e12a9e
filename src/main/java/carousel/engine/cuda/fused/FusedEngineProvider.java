package carousel.engine.cuda.fused;

import carousel.engine.Engine;
import carousel.engine.EngineOptions;
import carousel.engine.EngineProvider;
import carousel.engine.cuda.ChoiceMemory;
import carousel.engine.cuda.CudaEngine;
import carousel.engine.cuda.CudaProbe;
import carousel.engine.cuda.Kernels;
import carousel.tensor.Precision;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;

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

    /** Which kernels there are: another text where they are others. */
    static String kernels() {
        return "kernels "
                + Kernels.digest(Stream.concat(ResidentKernel.FILES.stream(), Stream.of("lstm_pointwise"))
                        .toArray(String[]::new));
    }

    /** What the engine's times depend on besides the machine: its kernels, and properties that are set. */
    public static String version() {
        return kernels() + ChoiceMemory.settings(List.of(FusedPath.PROPERTY, Wavefront.PROPERTY));
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
