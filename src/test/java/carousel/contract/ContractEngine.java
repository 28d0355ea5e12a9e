package carousel.contract;

import static org.junit.jupiter.api.Assertions.assertEquals;

import carousel.engine.Engine;
import carousel.engine.EngineOptions;
import carousel.engine.EngineProvider;
import carousel.fixture.AvailableEngines;
import carousel.fixture.Property;
import carousel.fixture.StandIn;
import carousel.fixture.Tolerance;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.TestInfo;
import org.junit.jupiter.api.TestInstance;
import org.slf4j.LoggerFactory;

/** The engine of a contract: open while its tests run, and left as it was by each of them. */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
abstract class ContractEngine implements ContractPart {
    /** Set to see, per engine, how near its errors come to what {@link Tolerance} allows. */
    private static final String HEADROOM = "carousel.headroom";

    private Engine engine;
    private Tolerance tolerance;

    abstract EngineProvider provider();

    /** How the engine is opened; a subclass may ask for another precision. */
    EngineOptions options() {
        return EngineOptions.defaults();
    }

    /** System properties, by name, that count while it is opened. */
    Map<String, String> properties() {
        return Map.of();
    }

    @Override
    public final Engine engine() {
        return engine;
    }

    @Override
    public final Engine open() {
        List<Property> set = properties().entrySet().stream()
                .map(property -> Property.set(property.getKey(), property.getValue()))
                .toList();
        try {
            return provider().open(options());
        } finally {
            set.forEach(Property::restore);
        }
    }

    @Override
    public final Tolerance tolerance() {
        return tolerance;
    }

    @BeforeAll
    final void requireAvailable() {
        AvailableEngines.assume(provider());
        StandIn.find().ifPresent(standIn -> standIn.poisonPadding(true));
        engine = open();
        tolerance = Tolerance.of(engine.precision());
    }

    @BeforeEach
    final void openWhereTheLastTestBrokeIt() {
        if (engine == null) {
            engine = open();
        }
    }

    @AfterEach
    final void allMemoryIsGivenBack(TestInfo test) {
        long left = engine.memory().inUse();
        if (left != 0) {
            // A fresh engine for the next test, lest one leak fails them all.
            engine = null;
        }
        assertEquals(0, left, "bytes in use after " + test.getDisplayName());
    }

    @AfterAll
    final void close() {
        if (engine != null) {
            engine.close();
        }
        if (tolerance != null && Boolean.getBoolean(HEADROOM)) {
            LoggerFactory.getLogger(ContractEngine.class)
                    .warn(
                            "{}: the largest error is {} of what is allowed",
                            provider().name(),
                            tolerance.worst());
        }
    }
}
