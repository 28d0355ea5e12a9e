package carousel.engine;

import static carousel.fixture.Refusals.assertRefused;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.tensor.Precision;
import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.function.Predicate;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class EnginesTest {
    /** Opens the reference engine under another name, or has a reason not to; keeps the options it was given. */
    private static final class StandIn implements EngineProvider {
        private final String name;
        private final int preference;
        private static final String REFUSAL = "this one computes no such cell: choose another";

        private final String reason;
        private final Predicate<LstmSpec> computed;
        private final List<EngineOptions> opened = new ArrayList<>();
        private int closed;

        StandIn(String name, int preference, String reason) {
            this(name, preference, reason, spec -> true);
        }

        StandIn(String name, int preference, String reason, Predicate<LstmSpec> computed) {
            this.name = name;
            this.preference = preference;
            this.reason = reason;
            this.computed = computed;
        }

        @Override
        public String name() {
            return name;
        }

        @Override
        public String description() {
            return "stands in";
        }

        @Override
        public int preference() {
            return preference;
        }

        @Override
        public Optional<Throwable> unavailable() {
            return Optional.ofNullable(reason).map(UnsupportedOperationException::new);
        }

        @Override
        public Engine open(EngineOptions options) {
            if (reason != null) {
                throw new AssertionError("an unavailable engine was opened");
            }
            opened.add(options);
            Engine engine = Engines.open("reference", options);
            return (Engine) Proxy.newProxyInstance(
                    Engine.class.getClassLoader(), new Class<?>[] {Engine.class}, (proxy, method, arguments) -> {
                        if (method.getName().equals("refusal")) {
                            return computed.test((LstmSpec) arguments[0]) ? Optional.empty() : Optional.of(REFUSAL);
                        }
                        closed += method.getName().equals("close") ? 1 : 0;
                        return method.invoke(engine, arguments);
                    });
        }
    }

    private static final String NO_DRIVER = "there is no driver: install it";

    private final StandIn slow = new StandIn("slow", 1, null);
    private final StandIn fast = new StandIn("fast", 5, null);
    private final StandIn broken = new StandIn("broken", 9, NO_DRIVER);

    @Test
    void theEnginesOfThisBuildAreFound() {
        List<String> names =
                Engines.providers().stream().map(EngineProvider::name).toList();
        assertTrue(names.containsAll(List.of("vector", "reference")), names::toString);
        assertTrue(names.indexOf("vector") < names.indexOf("reference"), "the truth engine is the last choice");
        assertEquals(names.size(), new HashSet<>(names).size(), "names are unique");
        for (EngineProvider provider : Engines.providers()) {
            assertTrue(provider.name().matches("[a-z0-9]+"), provider.name());
            assertFalse(provider.name().equals(Engines.AUTO));
            assertFalse(provider.description().isBlank());
        }
    }

    @Test
    void anUnknownNameIsAnsweredWithTheKnownOnes() {
        String message = assertRefused(
                EngineException.class, () -> Engines.open("warp"), "'warp'", "choose auto", "vector", "reference");
        assertTrue(message.indexOf("vector") < message.indexOf("reference"), "the preferred ones first");
        assertRefused(EngineException.class, () -> Engines.open(""), "there is no engine ''");
        assertRefused(EngineException.class, () -> Engines.open("Vector"), "'Vector'", "vector");
        assertRefused(
                EngineException.class,
                () -> Engines.open(List.of(fast, slow), "warp", EngineOptions.defaults()),
                "choose auto, fast, slow");
    }

    @Test
    void autoTakesThePreferredOneThatIsAvailable() {
        List<EngineProvider> providers = Engines.preferredFirst(List.of(slow, broken, fast));
        assertEquals(List.of(broken, fast, slow), providers);
        EngineOptions options = EngineOptions.defaults().withThreads(3);
        Engines.open(providers, Engines.AUTO, options).close();
        assertEquals(List.of(options), fast.opened);
        assertEquals(List.of(), slow.opened);
        try (Engine engine = Engines.open(Engines.AUTO)) {
            String preferred = Engines.providers().stream()
                    .filter(provider -> provider.unavailable().isEmpty())
                    .findFirst()
                    .orElseThrow()
                    .name();
            assertEquals(preferred, engine.name());
        }
    }

    @Test
    void autoLooksFurtherWhenThePreferredOneDoesNotDoWhatTheOptionsAsk() {
        // Those of the CPU, which are everywhere: a GPU has other precisions.
        List<EngineProvider> cpu = Engines.providers().stream()
                .filter(provider -> List.of("vector", "reference").contains(provider.name()))
                .toList();
        EngineOptions wide = EngineOptions.defaults().withPrecision(Precision.FP64);
        try (Engine engine = Engines.open(cpu, Engines.AUTO, wide)) {
            assertEquals("reference", engine.name());
        }
        EngineOptions half = EngineOptions.defaults().withPrecision(Precision.FP16);
        assertRefused(
                EngineException.class, () -> Engines.open(cpu, Engines.AUTO, half), "vector", "reference", "FP16");
    }

    @Test
    void autoLooksFurtherWhenThePreferredOneDoesNotComputeTheModel() {
        LstmSpec plain = LstmSpec.of(3, 4);
        LstmSpec peepholes = LstmSpec.of(4, 2).withPeepholes(true);
        StandIn simple = new StandIn("simple", 7, null, spec -> !spec.peepholes());
        List<EngineProvider> providers = List.of(broken, simple, fast, slow);
        EngineOptions options = EngineOptions.defaults();
        Engines.openFor(providers, Engines.AUTO, options, List.of(plain)).close();
        assertEquals(List.of(1, 0, 0), List.of(simple.opened.size(), fast.opened.size(), slow.opened.size()));
        Engines.openFor(providers, Engines.AUTO, options, List.of(plain, peepholes))
                .close();
        assertEquals(List.of(2, 1, 0), List.of(simple.opened.size(), fast.opened.size(), slow.opened.size()));
        assertEquals(2, simple.closed, "an engine that refuses the model is closed");
    }

    @Test
    void aNamedEngineThatDoesNotComputeTheModelSaysSoInItsOwnWords() {
        StandIn simple = new StandIn("simple", 7, null, spec -> !spec.peepholes());
        EngineException refused = assertThrows(
                EngineException.class,
                () -> Engines.openFor(
                        List.of(simple, fast),
                        "simple",
                        EngineOptions.defaults(),
                        List.of(LstmSpec.of(4, 2).withPeepholes(true))));
        assertEquals(StandIn.REFUSAL, refused.getMessage());
        assertEquals(1, simple.closed);
        assertEquals(List.of(), fast.opened);
    }

    @Test
    void whereNoEngineComputesTheModelAutoSaysWhatEachRefuses() {
        StandIn simple = new StandIn("simple", 7, null, spec -> !spec.peepholes());
        assertRefused(
                EngineException.class,
                () -> Engines.openFor(
                        List.of(simple),
                        Engines.AUTO,
                        EngineOptions.defaults(),
                        List.of(LstmSpec.of(4, 2).withPeepholes(true))),
                "simple: " + StandIn.REFUSAL);
        assertEquals(1, simple.closed);
    }

    @Test
    void amongEquallyPreferredOnesTheNameDecides() {
        StandIn other = new StandIn("also", 5, null);
        assertEquals(List.of(other, fast, slow), Engines.preferredFirst(List.of(slow, fast, other)));
    }

    @Test
    void aNamedEngineIsTakenWhateverIsPreferred() {
        Engines.open(List.of(fast, slow), "slow", EngineOptions.defaults()).close();
        assertEquals(1, slow.opened.size());
        assertEquals(0, fast.opened.size());
    }

    @Test
    void aNamedEngineThatIsUnavailableSaysWhyAndNothingElseIsOpened() {
        List<EngineProvider> providers = List.of(broken, fast);
        String message = assertRefused(
                EngineException.class,
                () -> Engines.open(providers, "broken", EngineOptions.defaults()),
                "the engine 'broken' is unavailable",
                NO_DRIVER);
        assertTrue(message.endsWith(NO_DRIVER));
        assertEquals(List.of(), fast.opened);
    }

    @Test
    void withNoEngineAtAllAutoGivesEveryReason() {
        List<EngineProvider> providers = List.of(broken, new StandIn("old", 2, "this machine is too old: get another"));
        assertRefused(
                EngineException.class,
                () -> Engines.open(providers, Engines.AUTO, EngineOptions.defaults()),
                "no engine is available",
                "broken: " + NO_DRIVER,
                "old: this machine is too old: get another");
    }

    @ParameterizedTest
    @ValueSource(strings = {"reference", "vector"})
    void enginesSayWhatTheyAreAndRefuseOtherPrecisions(String name) {
        Precision own;
        try (Engine engine = Engines.open(name)) {
            own = engine.precision();
            assertEquals(name, engine.name());
            assertTrue(engine.description().startsWith(name), engine::description);
            assertTrue(engine.description().contains(own.name()), engine::description);
            assertEquals(0, engine.memory().inUse());
        }
        for (Precision precision : Precision.values()) {
            EngineOptions options = EngineOptions.defaults().withPrecision(precision);
            if (precision == own) {
                Engines.open(name, options).close();
            } else {
                assertRefused(
                        EngineException.class,
                        () -> Engines.open(name, options),
                        name,
                        own + " only",
                        "got " + precision,
                        "leave the precision out");
            }
        }
    }

    @Test
    void optionsHaveTheirBounds() {
        EngineOptions options = new EngineOptions(1, null, false);
        assertEquals(1024, options.withThreads(1024).threads());
        for (int threads : new int[] {0, -1, 1025}) {
            assertRefused(
                    IllegalArgumentException.class, () -> options.withThreads(threads), "[1, 1024]", "got " + threads);
        }
        EngineOptions changed =
                options.withThreads(2).withPrecision(Precision.BF16).withGuards(true);
        assertEquals(new EngineOptions(2, Precision.BF16, true), changed);
        EngineOptions defaults = EngineOptions.defaults();
        assertEquals(Math.min(Runtime.getRuntime().availableProcessors(), 1024), defaults.threads());
        assertSame(null, defaults.precision());
        assertEquals(Boolean.getBoolean("carousel.guard"), defaults.guards());
    }
}
