package carousel.engine.vector;

import carousel.engine.Engine;
import carousel.engine.EngineException;
import carousel.engine.EngineOptions;
import carousel.engine.EngineProvider;
import carousel.tensor.Precision;
import java.util.Optional;

/** Opens the {@link VectorEngine}, which is available everywhere. */
public final class VectorEngineProvider implements EngineProvider {
    static final String NAME = "vector";

    @Override
    public String name() {
        return NAME;
    }

    @Override
    public String description() {
        return "single precision on all processors, with vector instructions";
    }

    @Override
    public int preference() {
        return 10;
    }

    @Override
    public Optional<Throwable> unavailable() {
        return Optional.empty();
    }

    @Override
    public Engine open(EngineOptions options) {
        if (options.precision() != null && options.precision() != Precision.FP32) {
            throw new EngineException(
                    "the vector engine computes in FP32 only but got " + options.precision()
                            + ": leave the precision out, or choose the engine 'reference' for FP64 and 'fused' for the others");
        }
        return new VectorEngine(options);
    }
}
