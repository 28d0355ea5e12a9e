package carousel.tensor;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotSame;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class HostAllocatorTest {
    private final HostAllocator allocator = new HostAllocator(ElementType.FLOAT32, true);

    @ParameterizedTest
    @EnumSource(names = {"FLOAT32", "FLOAT64", "INT32"})
    void writeBeforeTheStartIsCaught(ElementType type) {
        Scope scope = new Scope("scope", allocator);
        Tensor tensor = scope.allocate("tensor", type, Shape.of(5));
        scribble(tensor, -1);
        String message = assertThrows(IllegalStateException.class, scope::close).getMessage();
        assertTrue(message.contains("before its start") && message.contains("5 " + type), message);
    }

    @ParameterizedTest
    @EnumSource(names = {"FLOAT32", "FLOAT64", "INT32"})
    void writePastTheEndIsCaught(ElementType type) {
        Scope scope = new Scope("scope", allocator);
        Tensor tensor = scope.allocate("tensor", type, Shape.of(5));
        scribble(tensor, 5);
        String message = assertThrows(IllegalStateException.class, scope::close).getMessage();
        assertTrue(message.contains("after its end") && message.contains("5 " + type), message);
    }

    @Test
    void everyOtherBlockIsGivenBackAlthoughOneWasOverrun() {
        Scope scope = new Scope("scope", allocator);
        scope.allocate("first", 3);
        scribble(scope.allocate("second", 5), 5);
        scribble(scope.allocate("third", 7), -1);
        IllegalStateException failure = assertThrows(IllegalStateException.class, scope::close);
        assertEquals(1, failure.getSuppressed().length, "the second finding comes along");
        assertEquals(0, allocator.use().inUse());
    }

    private static void scribble(Tensor tensor, int index) {
        int place = HostStorage.start(tensor) + index;
        switch (tensor.type()) {
            case FLOAT32 -> HostStorage.floats(tensor)[place] = 1;
            case FLOAT64 -> HostStorage.doubles(tensor)[place] = 1;
            default -> HostStorage.integers(tensor)[place] = 1;
        }
    }

    @Test
    void newAndReturnedBlocksArePoisoned() {
        float[] array;
        try (Scope scope = new Scope("scope", allocator)) {
            Tensor tensor = scope.allocate("tensor", 4);
            array = HostStorage.floats(tensor);
            int start = HostStorage.start(tensor);
            for (int e = 0; e < 4; e++) {
                assertTrue(Float.isNaN(array[start + e]), "a new block");
                array[start + e] = e;
            }
        }
        for (float value : array) {
            assertTrue(Float.isNaN(value), "a block given back");
        }
    }

    @Test
    void withoutGuardsThereAreNoBands() {
        HostAllocator plain = new HostAllocator(ElementType.FLOAT32, false);
        try (Scope scope = new Scope("scope", plain)) {
            Tensor tensor = scope.allocate("tensor", 4);
            // Only what puts the first element on a cache line: an array begins 16 bytes into its object.
            assertEquals(64, 16 + HostStorage.start(tensor) * Float.BYTES);
            assertEquals(HostStorage.start(tensor) + 4, HostStorage.floats(tensor).length);
        }
    }

    /** What comes back last is handed out first, so that a step finds its tensors where the last step had them. */
    @Test
    void poolIsAStack() {
        Storage[] before = step();
        Storage[] after = step();
        for (int k = 0; k < before.length; k++) {
            assertSame(before[k], after[k], "tensor " + k);
        }
        try (Scope scope = new Scope("scope", allocator)) {
            assertNotSame(before[0], scope.allocate("other size", 6).storage());
            assertNotSame(before[0], scope.allocateIntegers("other type", 5).storage());
            assertSame(before[0], scope.allocate("same size", 5).storage());
        }
    }

    private Storage[] step() {
        try (Scope scope = new Scope("step", allocator)) {
            return new Storage[] {
                scope.allocate("a", 5).storage(),
                scope.allocate("b", 5).storage(),
                scope.allocate("c", 5).storage()
            };
        }
    }

    @Test
    void bytesAreAccountedFor() {
        assertEquals(new MemoryUse(0, 0, 0), allocator.use());
        Scope model = new Scope("model", allocator);
        model.allocate("parameters", 10);
        assertEquals(new MemoryUse(40, 40, 0), allocator.use());
        try (Scope step = new Scope("step", allocator)) {
            step.allocate("x", ElementType.FLOAT64, Shape.of(2, 3));
            step.allocateIntegers("ids", 4);
            assertEquals(64, step.bytes());
            assertEquals(new MemoryUse(104, 104, 0), allocator.use());
        }
        assertEquals(new MemoryUse(40, 104, 64), allocator.use());
        try (Scope step = new Scope("step", allocator)) {
            step.allocateIntegers("ids", 4);
            assertEquals(new MemoryUse(56, 104, 48), allocator.use());
        }
        model.close();
        assertEquals(new MemoryUse(0, 104, 104), allocator.use());
    }

    @Test
    void tooManyElementsSayWhatToLower() {
        try (Scope scope = new Scope("step", allocator)) {
            String message = assertThrows(
                            OutOfTensorMemoryException.class, () -> scope.allocate("activations", 1 << 16, 1 << 16))
                    .getMessage();
            assertTrue(message.contains("'activations'"), message);
            assertTrue(message.contains("4294967296"), message);
            assertTrue(message.contains("lower the batch size, the time steps or the hidden size"), message);
        }
        assertEquals(0, allocator.use().inUse());
    }

    @Test
    void fullHeapSaysWhatWasAskedForAndWhatWasFree() {
        long heap = Runtime.getRuntime().maxMemory();
        int elements = (int) Math.min(Integer.MAX_VALUE - 1000, heap / 8 + heap / 64);
        Assumptions.assumeTrue(8L * elements > heap, "the heap holds the largest array there can be");
        try (Scope scope = new Scope("step", allocator)) {
            OutOfTensorMemoryException failure = assertThrows(
                    OutOfTensorMemoryException.class,
                    () -> scope.allocate("activations", ElementType.FLOAT64, Shape.of(elements)));
            String message = failure.getMessage();
            assertTrue(
                    message.contains(String.format("'activations' needs %.1f MiB", elements * 8L / 0x1p20)), message);
            assertTrue(message.contains("free") && message.contains("-Xmx"), message);
            assertTrue(failure.getCause() instanceof OutOfMemoryError);
            assertEquals(0, allocator.use().inUse());
            scope.allocate("small", 10);
        }
    }

    @Test
    void halfPrecisionIsNotForTheHeap() {
        try (Scope scope = new Scope("step", allocator)) {
            String message = assertThrows(
                            IllegalArgumentException.class,
                            () -> scope.allocate("half", ElementType.BFLOAT16, Shape.of(3)))
                    .getMessage();
            assertTrue(message.contains("BFLOAT16"), message);
        }
        assertFalse(allocator.use().inUse() != 0, "nothing is held by a refused request");
    }

    @Test
    void arraysAreGivenForTheirTypeOnly() {
        try (Scope scope = new Scope("step", allocator)) {
            Tensor tensor = scope.allocate("tensor", 3);
            String message = assertThrows(IllegalArgumentException.class, () -> HostStorage.doubles(tensor))
                    .getMessage();
            assertTrue(message.contains("'tensor' [3]") && message.contains("FLOAT32"), message);
        }
    }
}
