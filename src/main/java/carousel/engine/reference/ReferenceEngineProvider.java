package carousel.engine.reference;

import carousel.engine.Engine;
import carousel.engine.EngineException;
import carousel.engine.EngineOptions;
import carousel.engine.EngineProvider;
import carousel.tensor.Precision;
import java.util.Optional;

/** Opens the {@link ReferenceEngine}, which is available everywhere. */
public final class ReferenceEngineProvider implements EngineProvider {
    static final String NAME = "reference";

    @Override
    public String name() {
        return NAME;
    }

    @Override
    public String description() {
        return "plain double loops on one thread, the truth the others are tested against";
    }

    @Override
    public int preference() {
        return 0;
    }

    @Override
    public Optional<Throwable> unavailable() {
        return Optional.empty();
    }

    @Override
    public Engine open(EngineOptions options) {
        if (options.precision() != null && options.precision() != Precision.FP64) {
            throw new EngineException("the reference engine computes in FP64 only but got " + options.precision()
                    + ": leave the precision out");
        }
        return new ReferenceEngine(options.guards());
    }
}
