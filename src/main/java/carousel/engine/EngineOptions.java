package carousel.engine;

import carousel.tensor.Precision;

/**
 * How an engine is opened.
 *
 * @param threads worker threads of a CPU engine, 1 to 1024; results do not depend on it
 * @param precision what products are computed in; null for the engine's own choice
 * @param guards whether allocations are surrounded by checked bands and poisoned, to find stray reads and writes
 * @param device which GPU an engine on GPUs takes, counted from 0 among those that its driver shows; {@link #ANY_DEVICE} leaves it to the
 *     engine
 */
public record EngineOptions(int threads, Precision precision, boolean guards, int device) {
    /** The device that the machine's settings name; for {@link #device}. */
    public static final int ANY_DEVICE = -1;

    public EngineOptions {
        if (threads < 1 || threads > 1024) {
            throw new IllegalArgumentException("threads should be in the [1, 1024] range but got " + threads);
        }
        if (device < ANY_DEVICE) {
            throw new IllegalArgumentException("the device should be 0 or more, or " + ANY_DEVICE
                    + " for the engine's own choice, but got " + device);
        }
    }

    /** Without a word on the device. */
    public EngineOptions(int threads, Precision precision, boolean guards) {
        this(threads, precision, guards, ANY_DEVICE);
    }

    /** As many threads as processors; guards where the system property {@code carousel.guard} is true. */
    public static EngineOptions defaults() {
        return new EngineOptions(
                Math.min(Runtime.getRuntime().availableProcessors(), 1024), null, Boolean.getBoolean("carousel.guard"));
    }

    public EngineOptions withThreads(int value) {
        return new EngineOptions(value, precision, guards, device);
    }

    public EngineOptions withPrecision(Precision value) {
        return new EngineOptions(threads, value, guards, device);
    }

    public EngineOptions withGuards(boolean value) {
        return new EngineOptions(threads, precision, value, device);
    }

    public EngineOptions withDevice(int value) {
        return new EngineOptions(threads, precision, guards, value);
    }
}
