package carousel.contract;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.engine.Engine;
import carousel.engine.LstmOutput;
import carousel.engine.LstmTape;
import carousel.fixture.LstmCase;
import carousel.fixture.LstmData;
import carousel.fixture.Workbench;
import carousel.tensor.Scope;
import carousel.tensor.Tensor;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.slf4j.LoggerFactory;

/** Where memory goes, and that it comes back. */
interface MemoryContract extends ContractPart {
    @Test
    default void bytesAreCountedAndComeBack() {
        Engine engine = engine();
        assertEquals(0, engine.memory().inUse());
        Scope outer = engine.openScope("outer");
        Tensor tensor = outer.allocate("tensor", 3, 5);
        long held = 15L * tensor.type().bytes();
        assertEquals(held, outer.bytes());
        assertEquals(held, engine.memory().inUse());
        try (Scope inner = engine.openScope("inner")) {
            inner.allocateIntegers("integers", 7);
            assertEquals(28, inner.bytes());
            assertEquals(held + 28, engine.memory().inUse());
        }
        assertEquals(held, engine.memory().inUse());
        assertTrue(engine.memory().peak() >= held + 28);
        outer.close();
        assertEquals(0, engine.memory().inUse());
    }

    @Test
    default void memoryComesBackWhenAStepFailsInTheMiddle() {
        LstmCase lstm = LstmCases.everything();
        LstmData data = LstmData.of(lstm);
        for (int failing = 0; failing < 3; failing++) {
            int where = failing;
            assertThrows(
                    RuntimeException.class,
                    () -> use((engine, bench) -> {
                        LstmTape tape = engine.openTape(bench.scope(), lstm.spec(), lstm.timeSteps(), lstm.batchSize());
                        Tensor parameters = bench.parameters(lstm.spec(), data.parameters());
                        LstmOutput wrong = new LstmOutput(bench.blank("y", 1, 1, 1), null);
                        engine.lstmForward(
                                lstm.spec(),
                                parameters,
                                bench.input(lstm, data),
                                where == 0 ? wrong : bench.output(lstm),
                                tape);
                        engine.lstmBackward(
                                tape,
                                where == 1 ? wrong : bench.outputGradient(lstm, data),
                                null,
                                bench.inputGradient(lstm));
                        throw new IllegalStateException("in the middle of a step");
                    }));
            assertEquals(0, engine().memory().inUse(), "bytes in use after failure " + where);
        }
    }

    /** Once a training loop has settled, a step takes everything from the pool. */
    @Test
    default void steadyStateAllocatesNothing() {
        LstmCase lstm = LstmCases.everything();
        LstmData data = LstmData.of(lstm);
        use((engine, bench) -> bench.run(lstm, data));
        use((engine, bench) -> bench.run(lstm, data));
        long pooled = engine().memory().pooled();
        long peak = engine().memory().peak();
        for (int step = 0; step < 3; step++) {
            use((engine, bench) -> bench.run(lstm, data));
        }
        assertEquals(pooled, engine().memory().pooled(), "bytes in the pool");
        assertEquals(peak, engine().memory().peak(), "the peak");
    }

    @Test
    default void closedScopeNamesTensorShapeAndScope() {
        Scope step = engine().openScope("step");
        Tensor tensor = step.allocate("logits", 3, 4);
        step.close();
        step.close();
        for (Runnable use : List.<Runnable>of(
                () -> engine().fill(tensor, 1),
                () -> engine().scale(tensor, 2),
                () -> engine().write(tensor, new float[12]),
                () -> engine().write(tensor, new double[12]),
                () -> engine().read(tensor, new float[12]),
                () -> engine().read(tensor, new double[12]),
                () -> engine().fill(tensor.reshape(12), 1))) {
            String message = assertThrows(IllegalStateException.class, use::run).getMessage();
            assertTrue(message.contains("'logits'"), message);
            assertTrue(message.contains("[3, 4]") || message.contains("[12]"), message);
            assertTrue(message.contains("'step'"), message);
        }
        String message = assertThrows(IllegalStateException.class, () -> step.allocate("more", 1))
                .getMessage();
        assertTrue(message.contains("'more'") && message.contains("'step'"), message);
    }

    @Test
    default void stackOnClosedTensorsIsRefused() {
        LstmCase lstm = LstmCases.everything();
        LstmData data = LstmData.of(lstm);
        Workbench closed = new Workbench(engine());
        Tensor parameters = closed.parameters(lstm.spec(), data.parameters());
        closed.close();
        use((engine, bench) -> {
            String message = assertThrows(
                            IllegalStateException.class,
                            () -> engine.lstmForward(
                                    lstm.spec(), parameters, bench.input(lstm, data), bench.output(lstm), null))
                    .getMessage();
            assertTrue(message.contains("'parameters'") && message.contains("'workbench'"), message);
            return null;
        });
    }

    @Test
    default void tapeDiesWithItsScope() {
        LstmCase lstm = LstmCases.everything();
        LstmData data = LstmData.of(lstm);
        use((engine, bench) -> {
            Scope shortLived = engine.openScope("short-lived");
            LstmTape tape = engine.openTape(shortLived, lstm.spec(), lstm.timeSteps(), lstm.batchSize());
            engine.lstmForward(
                    lstm.spec(),
                    bench.parameters(lstm.spec(), data.parameters()),
                    bench.input(lstm, data),
                    bench.output(lstm),
                    tape);
            shortLived.close();
            String message = assertThrows(
                            IllegalStateException.class,
                            () -> engine.lstmBackward(
                                    tape, bench.outputGradient(lstm, data), null, bench.inputGradient(lstm)))
                    .getMessage();
            assertTrue(message.contains("'short-lived'"), message);
            return null;
        });
    }

    /** By an exception or through {@link Scope#onLeak}, but never in silence. */
    @Test
    default void closingAnEngineReportsItsOpenScopes() {
        List<String> reports = Collections.synchronizedList(new ArrayList<>());
        Scope.onLeak(reports::add);
        try {
            Engine other = open();
            Scope forgotten = other.openScope("forgotten");
            forgotten.allocate("tensor", 100);
            try {
                other.close();
            } catch (IllegalStateException leak) {
                reports.add(leak.getMessage());
            }
            assertEquals(1, reports.size(), "reports of one leak: " + reports);
            forgotten.close();
        } finally {
            Scope.onLeak(message -> LoggerFactory.getLogger(Scope.class).warn(message));
        }
    }
}
