package carousel.engine.cuda.cudnn;

import carousel.engine.Engine;
import carousel.engine.EngineException;
import carousel.engine.EngineOptions;
import carousel.engine.EngineProvider;
import carousel.engine.cuda.ChoiceMemory;
import carousel.engine.cuda.CudaEngine;
import carousel.engine.cuda.CudaProbe;
import carousel.tensor.Precision;
import java.util.List;
import java.util.Optional;

/** Opens the {@link CudnnEngine} on machines with an NVIDIA GPU, cuBLAS and cuDNN 9. */
public final class CudnnEngineProvider implements EngineProvider {
    static final String NAME = "cudnn";

    @Override
    public String name() {
        return NAME;
    }

    @Override
    public String description() {
        return "NVIDIA GPU, with cuDNN";
    }

    @Override
    public int preference() {
        return 30;
    }

    @Override
    public Optional<Throwable> unavailable() {
        return CudaProbe.withoutCudnn();
    }

    /** What the engine's times depend on besides the machine: cuDNN, and a property that is set. */
    public static String version() {
        return CudaProbe.cudnnVersion() + ChoiceMemory.settings(List.of(Algorithm.PROPERTY));
    }

    /** Whether cuDNN has LSTMs in a precision. */
    public static boolean computes(Precision precision) {
        return precision != Precision.BF16;
    }

    @Override
    public Engine open(EngineOptions options) {
        Precision precision = options.precision() == null ? Precision.FP32 : options.precision();
        if (!computes(precision)) {
            throw new EngineException(
                    "the cudnn engine computes in FP32, TF32, FP64 or FP16 but got BF16: choose one of them, or the engine 'fused'");
        }
        return new CudnnEngine(options, precision, Algorithm.pinned());
    }

    /** The same on the device, the memory and the stream of an engine that is open, and to be closed before it. */
    public static CudaEngine join(CudaEngine host) {
        return new CudnnEngine(host, Algorithm.pinned());
    }
}
