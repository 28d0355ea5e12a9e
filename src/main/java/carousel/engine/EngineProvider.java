package carousel.engine;

import java.util.Optional;

/**
 * Makes engines of one kind; found by {@link java.util.ServiceLoader}. Loading a provider must succeed on every machine:
 * what is missing is reported by {@link #unavailable()}.
 */
public interface EngineProvider {
    /** For {@code --engine}: one lower-case word. */
    String name();

    /** What it is, in a line. */
    String description();

    /** {@code auto} takes the available provider with the highest preference; the truth engine has 0. */
    int preference();

    /** Nothing when an engine can be opened here, otherwise why not; its message names the reason and the remedy. */
    Optional<Throwable> unavailable();

    /**
     * Opens an engine.
     *
     * @throws EngineException when it is unavailable or cannot do what the options ask for
     */
    Engine open(EngineOptions options);
}
