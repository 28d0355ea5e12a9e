package carousel.engine;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.ServiceLoader;
import java.util.stream.Collectors;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Finds and opens engines. */
public final class Engines {
    /** The name that stands for the best available engine. */
    public static final String AUTO = "auto";

    private static final Logger LOG = LoggerFactory.getLogger(Engines.class);

    private Engines() {}

    /** All providers on the class path, the preferred ones first. */
    public static List<EngineProvider> providers() {
        List<EngineProvider> providers = new ArrayList<>();
        ServiceLoader.load(EngineProvider.class, Engines.class.getClassLoader()).forEach(providers::add);
        return preferredFirst(providers);
    }

    static List<EngineProvider> preferredFirst(List<EngineProvider> providers) {
        return providers.stream()
                .sorted(Comparator.comparingInt(EngineProvider::preference)
                        .reversed()
                        .thenComparing(EngineProvider::name))
                .toList();
    }

    /** Opens an engine with default options: see {@link #open(String, EngineOptions)}. */
    public static Engine open(String name) {
        return open(name, EngineOptions.defaults());
    }

    /**
     * Opens the named engine, or for {@code auto} the best available one, saying in the log which and why. A named engine
     * never falls back to another.
     *
     * @throws EngineException when the name is unknown or the engine is unavailable, with the reason and the remedy
     */
    public static Engine open(String name, EngineOptions options) {
        return open(providers(), name, options);
    }

    /** The same for these providers, the preferred ones first. */
    static Engine open(List<EngineProvider> providers, String name, EngineOptions options) {
        if (name.equals(AUTO)) {
            return automatic(providers, options);
        }
        for (EngineProvider provider : providers) {
            if (provider.name().equals(name)) {
                Optional<Throwable> reason = provider.unavailable();
                if (reason.isPresent()) {
                    throw new EngineException(
                            "the engine '" + name + "' is unavailable: "
                                    + reason.get().getMessage(),
                            reason.get());
                }
                return provider.open(options);
            }
        }
        throw new EngineException("there is no engine '" + name + "' in this build: choose auto, "
                + providers.stream().map(EngineProvider::name).collect(Collectors.joining(", ")));
    }

    private static Engine automatic(List<EngineProvider> providers, EngineOptions options) {
        // Several engines often lack the same thing, which is then said once.
        Map<String, List<String>> passedOver = new LinkedHashMap<>();
        for (EngineProvider provider : providers) {
            Optional<Throwable> reason = provider.unavailable();
            if (reason.isPresent()) {
                passedOver
                        .computeIfAbsent(reason.get().getMessage(), message -> new ArrayList<>())
                        .add(provider.name());
                continue;
            }
            try {
                Engine engine = provider.open(options);
                LOG.info(
                        "engine auto: {}, the best available{}",
                        engine.description(),
                        passedOver.isEmpty() ? "" : " (" + inWords(passedOver) + ")");
                return engine;
            } catch (EngineException refused) {
                // It is there but does not do what the options ask for; another may.
                passedOver
                        .computeIfAbsent(refused.getMessage(), message -> new ArrayList<>())
                        .add(provider.name());
            }
        }
        throw new EngineException("no engine is available: " + inWords(passedOver));
    }

    private static String inWords(Map<String, List<String>> passedOver) {
        return passedOver.entrySet().stream()
                .map(reason -> String.join(", ", reason.getValue()) + ": " + reason.getKey())
                .collect(Collectors.joining("; "));
    }
}
