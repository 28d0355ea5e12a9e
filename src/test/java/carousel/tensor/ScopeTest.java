package carousel.tensor;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.slf4j.LoggerFactory;

class ScopeTest {
    private final HostAllocator allocator = new HostAllocator(ElementType.FLOAT64, true);

    @Test
    void useAfterCloseNamesTensorShapeAndScope() {
        Scope scope = new Scope("step", allocator);
        Tensor tensor = scope.allocate("logits", 2, 3);
        Tensor view = tensor.view("row", 3, Shape.of(3));
        scope.close();
        assertEquals(
                "the tensor 'logits' [2, 3] was used after its scope 'step' was closed",
                assertThrows(IllegalStateException.class, tensor::storage).getMessage());
        assertEquals(
                "the tensor 'row' [3] was used after its scope 'step' was closed",
                assertThrows(IllegalStateException.class, view::storage).getMessage());
        assertEquals(
                "cannot allocate 'more' [4]: the scope 'step' is closed",
                assertThrows(IllegalStateException.class, () -> scope.allocate("more", 4))
                        .getMessage());
    }

    @Test
    void closingTwiceGivesBackOnce() {
        Scope scope = new Scope("step", allocator);
        scope.allocate("tensor", 4);
        assertEquals(32, scope.bytes());
        scope.close();
        scope.close();
        assertTrue(scope.isClosed());
        assertEquals(0, scope.bytes());
        assertEquals(new MemoryUse(0, 32, 32), allocator.use());
    }

    @Test
    void forgottenScopeIsReportedWhenItIsCollected() throws InterruptedException {
        BlockingQueue<String> reports = new LinkedBlockingQueue<>();
        Scope.onLeak(reports::add);
        try {
            forget("a forgotten scope of this test");
            String report = null;
            // Collection is a request: ask again until it has happened, for half a minute at most.
            for (int attempt = 0; attempt < 300 && report == null; attempt++) {
                System.gc();
                String next = reports.poll(100, TimeUnit.MILLISECONDS);
                report = next != null && next.contains("a forgotten scope of this test") ? next : null;
            }
            assertEquals(
                    "the scope 'a forgotten scope of this test' was never closed and still holds 80 bytes: "
                            + "open scopes in try-with-resources",
                    report);
            assertEquals(80, allocator.use().inUse(), "a leak is reported and never freed");
        } finally {
            Scope.onLeak(message -> LoggerFactory.getLogger(Scope.class).warn(message));
        }
    }

    private void forget(String name) {
        new Scope(name, allocator).allocate("tensor", 10);
    }

    @Test
    void closedScopeIsNoLeak() throws InterruptedException {
        BlockingQueue<String> reports = new LinkedBlockingQueue<>();
        Scope.onLeak(reports::add);
        try {
            new Scope("closed in time", allocator).close();
            forget("the one to wait for");
            String report = null;
            for (int attempt = 0; attempt < 300 && report == null; attempt++) {
                System.gc();
                String next = reports.poll(100, TimeUnit.MILLISECONDS);
                assertTrue(next == null || !next.contains("closed in time"), next);
                report = next != null && next.contains("the one to wait for") ? next : null;
            }
            assertTrue(report != null, "collection has happened");
        } finally {
            Scope.onLeak(message -> LoggerFactory.getLogger(Scope.class).warn(message));
        }
    }

    @Test
    void textSaysWhatItHolds() {
        Scope scope = new Scope("step", allocator);
        scope.allocate("tensor", 2);
        assertEquals("scope 'step', 16 bytes", scope.toString());
        scope.close();
        assertEquals("scope 'step' (closed)", scope.toString());
    }
}
