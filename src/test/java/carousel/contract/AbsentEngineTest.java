package carousel.contract;

import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.engine.Engine;
import carousel.engine.EngineException;
import carousel.engine.EngineOptions;
import carousel.engine.EngineProvider;
import carousel.fixture.AvailableEngines;
import java.util.Optional;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.opentest4j.AssertionFailedError;
import org.opentest4j.TestAbortedException;

/** An engine that is not there is a reported skip, and a failure where it is required. */
class AbsentEngineTest {
    private final String required = System.getProperty(AvailableEngines.REQUIRED, "");

    @AfterEach
    void restore() {
        System.setProperty(AvailableEngines.REQUIRED, required);
    }

    @Test
    void absenceIsASkipThatNamesTheReason() {
        System.setProperty(AvailableEngines.REQUIRED, "reference,other");
        TestAbortedException skip =
                assertThrows(TestAbortedException.class, () -> AvailableEngines.assume(new AbsentProvider()));
        assertTrue(skip.getMessage().contains("'absent'"), skip.getMessage());
        assertTrue(skip.getMessage().contains("no device found"), skip.getMessage());
    }

    @Test
    void absenceOfARequiredEngineIsAFailure() {
        System.setProperty(AvailableEngines.REQUIRED, "reference, absent");
        AssertionFailedError failure =
                assertThrows(AssertionFailedError.class, () -> AvailableEngines.assume(new AbsentProvider()));
        assertTrue(failure.getMessage().contains("no device found"), failure.getMessage());
    }

    private static final class AbsentProvider implements EngineProvider {
        @Override
        public String name() {
            return "absent";
        }

        @Override
        public String description() {
            return "an engine for a device that is nowhere";
        }

        @Override
        public int preference() {
            return 0;
        }

        @Override
        public Optional<Throwable> unavailable() {
            return Optional.of(new EngineException("no device found: plug one in"));
        }

        @Override
        public Engine open(EngineOptions options) {
            throw new EngineException("no device found: plug one in");
        }
    }
}
