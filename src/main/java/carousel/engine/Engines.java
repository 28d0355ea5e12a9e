package carousel.engine;

import java.util.ArrayList;
import java.util.Collection;
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

    /**
     * Opens an engine for these LSTMs, for instance those of a model: like {@link #open(String, EngineOptions)}, but {@code auto} goes on
     * to the best available engine that computes all of them.
     *
     * @throws EngineException as for {@code open}, and when the named engine does not compute one of them, or no engine does
     */
    public static Engine openFor(String name, EngineOptions options, Collection<LstmSpec> specs) {
        return openFor(providers(), name, options, specs);
    }

    /**
     * Goes on where there is an engine of this name, available or not, or it is {@code auto}: for who has engines opened elsewhere.
     *
     * @throws EngineException when the name is unknown
     */
    public static void requireKnown(String name) {
        List<EngineProvider> providers = providers();
        if (!name.equals(AUTO)
                && providers.stream().noneMatch(provider -> provider.name().equals(name))) {
            throw unknown(providers, name);
        }
    }

    private static EngineException unknown(List<EngineProvider> providers, String name) {
        return new EngineException("there is no engine '" + name + "' in this build: choose auto, "
                + providers.stream().map(EngineProvider::name).collect(Collectors.joining(", ")));
    }

    /** The same as {@link #open(String, EngineOptions)} for these providers, the preferred ones first. */
    static Engine open(List<EngineProvider> providers, String name, EngineOptions options) {
        return openFor(providers, name, options, List.of());
    }

    /** The same as {@link #openFor(String, EngineOptions, Collection)} for these providers, the preferred ones first. */
    static Engine openFor(
            List<EngineProvider> providers, String name, EngineOptions options, Collection<LstmSpec> specs) {
        if (name.equals(AUTO)) {
            return automatic(providers, options, specs);
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
                return opened(provider, options, specs);
            }
        }
        throw unknown(providers, name);
    }

    /** Throws {@link EngineException} with the engine's own words where it does not do what it is asked for. */
    private static Engine opened(EngineProvider provider, EngineOptions options, Collection<LstmSpec> specs) {
        Engine engine = provider.open(options);
        Optional<String> refusal =
                specs.stream().flatMap(spec -> engine.refusal(spec).stream()).findFirst();
        if (refusal.isPresent()) {
            engine.close();
            throw new EngineException(refusal.get());
        }
        return engine;
    }

    private static Engine automatic(List<EngineProvider> providers, EngineOptions options, Collection<LstmSpec> specs) {
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
                Engine engine = opened(provider, options, specs);
                LOG.info(
                        "engine auto: {}, the best available{}",
                        engine.description(),
                        passedOver.isEmpty() ? "" : " (" + inWords(passedOver) + ")");
                return engine;
            } catch (EngineException refused) {
                // It is there but does not do what the options or the LSTMs ask for; another may.
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
