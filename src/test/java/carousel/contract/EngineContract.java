package carousel.contract;

import static org.junit.jupiter.api.Assertions.assertEquals;

import carousel.engine.Engine;
import carousel.engine.EngineOptions;
import carousel.engine.EngineProvider;
import carousel.fixture.AvailableEngines;
import carousel.fixture.StandIn;
import carousel.fixture.Tolerance;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.TestInfo;
import org.junit.jupiter.api.TestInstance;
import org.slf4j.LoggerFactory;

/**
 * The contract of {@link Engine}, against the reference engine. Each engine has one tiny subclass that names its
 * provider. Where the engine is unavailable the contract is skipped, with the reason, unless {@link
 * AvailableEngines#REQUIRED} names it.
 */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
abstract class EngineContract
        implements LstmContract, OperationContract, SecondOrderContract, MisuseContract, MemoryContract {
    /** Set to see, per engine, how near its errors come to what {@link Tolerance} allows. */
    private static final String HEADROOM = "carousel.headroom";

    private Engine engine;
    private Tolerance tolerance;

    abstract EngineProvider provider();

    /** How the engine is opened; a subclass may ask for another precision. */
    EngineOptions options() {
        return EngineOptions.defaults();
    }

    @Override
    public final Engine engine() {
        return engine;
    }

    @Override
    public final Engine open() {
        return provider().open(options());
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
            LoggerFactory.getLogger(EngineContract.class)
                    .warn(
                            "{}: the largest error is {} of what is allowed",
                            provider().name(),
                            tolerance.worst());
        }
    }
}
