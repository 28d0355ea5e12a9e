package carousel.contract;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.platform.engine.discovery.DiscoverySelectors.selectClass;

import carousel.engine.Engine;
import carousel.engine.EngineOptions;
import carousel.engine.EngineProvider;
import carousel.engine.reference.ReferenceEngineProvider;
import java.util.Comparator;
import java.util.Optional;
import java.util.Set;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.MethodOrderer;
import org.junit.jupiter.api.MethodOrdererContext;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestMethodOrder;
import org.junit.jupiter.api.extension.ConditionEvaluationResult;
import org.junit.jupiter.api.extension.ExecutionCondition;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.extension.ExtensionContext;
import org.junit.jupiter.api.extension.TestWatcher;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.platform.launcher.core.LauncherDiscoveryRequestBuilder;
import org.junit.platform.launcher.core.LauncherFactory;
import org.junit.platform.launcher.listeners.SummaryGeneratingListener;
import org.junit.platform.launcher.listeners.TestExecutionSummary;

/** Tests the contract: it must fail on an engine with a bug, and pass on the same engine without. */
class PlantedBugTest {
    private static final UnaryOperator<Engine> NO_BUG = DelegatingEngine::new;

    /** The contract is run once a bug; its chosen cases are what has to notice each. */
    private static final String COMBINATIONS = "carousel.combinations";

    private static final String FEW = "20";

    private static UnaryOperator<Engine> bug = NO_BUG;

    @ParameterizedTest
    @EnumSource
    void contractCatches(PlantedBug planted) {
        TestExecutionSummary summary = runContract(planted::in);
        assertTrue(summary.getTestsFailedCount() > 0, "no test of the contract notices an engine that " + planted);
    }

    @Test
    void contractPassesWithoutABug() {
        TestExecutionSummary summary = runContract(NO_BUG);
        assertEquals(
                0,
                summary.getTotalFailureCount(),
                () -> summary.getFailures().get(0).getException().toString());
        assertEquals(summary.getTestsFoundCount(), summary.getTestsSucceededCount(), "nothing is skipped");
        assertTrue(summary.getTestsSucceededCount() > 150, summary.getTestsSucceededCount() + " tests");
    }

    private static TestExecutionSummary runContract(UnaryOperator<Engine> planted) {
        SummaryGeneratingListener listener = new SummaryGeneratingListener();
        bug = planted;
        String combinations = System.setProperty(COMBINATIONS, FEW);
        try {
            LauncherFactory.create()
                    .execute(
                            LauncherDiscoveryRequestBuilder.request()
                                    .selectors(selectClass(PlantedContract.class))
                                    .build(),
                            listener);
        } finally {
            bug = NO_BUG;
            if (combinations == null) {
                System.clearProperty(COMBINATIONS);
            } else {
                System.setProperty(COMBINATIONS, combinations);
            }
        }
        return listener.getSummary();
    }

    /** Run by the launcher only, for one bug after the other. */
    @ExtendWith(StopAtFirstFailure.class)
    @TestMethodOrder(ManyCasesLast.class)
    static class PlantedContract extends EngineContract {
        @Override
        EngineProvider provider() {
            return new PlantedProvider();
        }
    }

    /** The reference engine with the current bug. */
    private static final class PlantedProvider implements EngineProvider {
        private final EngineProvider correct = new ReferenceEngineProvider();

        @Override
        public String name() {
            return correct.name();
        }

        @Override
        public String description() {
            return correct.description();
        }

        @Override
        public int preference() {
            return correct.preference();
        }

        @Override
        public Optional<Throwable> unavailable() {
            return correct.unavailable();
        }

        @Override
        public Engine open(EngineOptions options) {
            return bug.apply(correct.open(options));
        }
    }

    /** Tests of dozens of cases take all but a little of the time: a bug that a single case shows is seen before them. Only time depends on it. */
    static final class ManyCasesLast implements MethodOrderer {
        private static final Set<String> MANY =
                Set.of("stackMatchesTheReference", "combinationMatchesTheReference", "tangentsMatchTheReference");

        @Override
        public void orderMethods(MethodOrdererContext context) {
            context.getMethodDescriptors()
                    .sort(Comparator.comparing(
                            each -> MANY.contains(each.getMethod().getName())));
        }
    }

    /** One failure is enough to know. */
    static final class StopAtFirstFailure implements TestWatcher, ExecutionCondition {
        private boolean failed;

        @Override
        public void testFailed(ExtensionContext context, Throwable cause) {
            failed = true;
        }

        @Override
        public ConditionEvaluationResult evaluateExecutionCondition(ExtensionContext context) {
            return failed
                    ? ConditionEvaluationResult.disabled("another test has failed already")
                    : ConditionEvaluationResult.enabled("no test has failed so far");
        }
    }
}
