package carousel.engine;

import carousel.tensor.Precision;

/**
 * How an engine is opened.
 *
 * @param threads worker threads of a CPU engine, 1 to 1024; results do not depend on it
 * @param precision what products are computed in; null for the engine's own choice
 * @param guards whether allocations are surrounded by checked bands and poisoned, to find stray reads and writes
 */
public record EngineOptions(int threads, Precision precision, boolean guards) {
    public EngineOptions {
        if (threads < 1 || threads > 1024) {
            throw new IllegalArgumentException("threads should be in the [1, 1024] range but got " + threads);
        }
    }

    /** As many threads as processors; guards where the system property {@code carousel.guard} is true. */
    public static EngineOptions defaults() {
        return new EngineOptions(
                Math.min(Runtime.getRuntime().availableProcessors(), 1024), null, Boolean.getBoolean("carousel.guard"));
    }

    public EngineOptions withThreads(int value) {
        return new EngineOptions(value, precision, guards);
    }

    public EngineOptions withPrecision(Precision value) {
        return new EngineOptions(threads, value, guards);
    }

    public EngineOptions withGuards(boolean value) {
        return new EngineOptions(threads, precision, value);
    }
}
