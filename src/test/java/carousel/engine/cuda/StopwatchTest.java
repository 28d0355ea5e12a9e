package carousel.engine.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.engine.EngineOptions;
import carousel.engine.cuda.fused.FusedEngineProvider;
import carousel.fixture.AvailableEngines;
import carousel.fixture.StandIn;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

@Tag("gpu")
class StopwatchTest {
    private String held;
    private CudaContext context;

    @BeforeEach
    void open() {
        AvailableEngines.assume(new FusedEngineProvider());
        held = held();
        context = new CudaContext(EngineOptions.ANY_DEVICE);
    }

    @AfterEach
    void close() {
        if (context != null) {
            context.close();
            assertEquals(held, held());
        }
    }

    private static String held() {
        return StandIn.find().map(StandIn::held).orElse("");
    }

    @Test
    void someRunsDoNotCountAndEachIsWaitedFor() {
        List<String> calls = new ArrayList<>();
        try (Stopwatch stopwatch = new Stopwatch(context, () -> calls.add("wait"))) {
            assertTrue(stopwatch.median(2, 3, () -> calls.add("run")) >= 0);
        }
        assertEquals(List.of("run", "wait", "run", "wait", "run", "wait", "run", "wait", "run", "wait"), calls);
        try (Stopwatch stopwatch = new Stopwatch(context, null)) {
            assertTrue(stopwatch.median(0, 1, () -> calls.add("more")) >= 0);
        }
        assertEquals(11, calls.size());
    }

    @Test
    void whatARunThrowsPasses() {
        try (Stopwatch stopwatch = new Stopwatch(context, null)) {
            IllegalStateException thrown = assertThrows(
                    IllegalStateException.class,
                    () -> stopwatch.median(0, 1, () -> {
                        throw new IllegalStateException("no");
                    }));
            assertEquals("no", thrown.getMessage());
        }
    }

    @Test
    void medianIsTheMiddleOne() {
        assertEquals(2, Stopwatch.median(new float[] {9, 1, 2}));
        assertEquals(5, Stopwatch.median(new float[] {5}));
        assertEquals(4, Stopwatch.median(new float[] {7, 3, 100, 4, 0}));
    }
}
