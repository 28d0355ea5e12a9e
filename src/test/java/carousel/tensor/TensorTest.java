package carousel.tensor;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class TensorTest {
    private final Scope scope = new Scope("scope", new HostAllocator(ElementType.FLOAT32, true));
    private final Tensor tensor = scope.allocate("x", 4, 3, 2);

    @AfterEach
    void close() {
        scope.close();
    }

    @Test
    void viewsShareMemoryAndScope() {
        Tensor view = tensor.view("middle", 6, Shape.of(2, 3));
        Tensor inner = view.view("inner", 3, Shape.of(3));
        assertSame(tensor.storage(), view.storage());
        assertSame(scope, inner.scope());
        assertEquals(6, view.offset());
        assertEquals(9, inner.offset());
        assertEquals(HostStorage.start(tensor) + 9, HostStorage.start(inner));
        HostStorage.floats(inner)[HostStorage.start(inner)] = 7;
        assertEquals(7, HostStorage.floats(tensor)[HostStorage.start(tensor) + 9]);
    }

    @Test
    void viewsStayInside() {
        assertEquals(0, tensor.view("end", 24, Shape.of(0, 5)).elements());
        assertEquals(24, tensor.view("all", 0, Shape.of(24)).elements());
        Tensor view = tensor.view("middle", 6, Shape.of(6));
        for (Runnable outside : new Runnable[] {
            () -> tensor.view("v", 1, Shape.of(24)),
            () -> tensor.view("v", -1, Shape.of(2)),
            () -> tensor.view("v", 25, Shape.of(0)),
            () -> tensor.view("v", Long.MAX_VALUE, Shape.of(2)),
            () -> view.view("v", 1, Shape.of(6))
        }) {
            String message =
                    assertThrows(IllegalArgumentException.class, outside::run).getMessage();
            assertTrue(message.contains("'v'") && message.contains("reaches outside"), message);
        }
    }

    @Test
    void reshapingKeepsTheElements() {
        Tensor flat = tensor.reshape(24);
        assertEquals(Shape.of(24), flat.shape());
        assertSame(tensor.storage(), flat.storage());
        assertThrows(IllegalArgumentException.class, () -> tensor.reshape(5, 5));
    }

    @Test
    void textIsNameAndShape() {
        assertEquals("'x' [4, 3, 2]", tensor.toString());
    }

    @Test
    void shapesMultiplyTheirExtents() {
        Shape shape = Shape.of(28, 128, 64);
        assertEquals(3, shape.rank());
        assertEquals(128, shape.extent(1));
        assertEquals(28L * 128 * 64, shape.elements());
        assertArrayEquals(new int[] {28, 128, 64}, shape.toArray());
        assertEquals("[28, 128, 64]", shape.toString());
        assertEquals(1, Shape.of().elements());
        assertEquals(0, Shape.of(3, 0).elements());
        assertEquals(shape, Shape.of(28, 128, 64));
        assertEquals(shape.hashCode(), Shape.of(28, 128, 64).hashCode());
        assertNotEquals(shape, Shape.of(28, 64, 128));
    }

    @Test
    void shapesCannotBeChangedFromOutside() {
        int[] extents = {2, 3};
        Shape shape = Shape.of(extents);
        extents[0] = 9;
        shape.toArray()[1] = 9;
        assertEquals(Shape.of(2, 3), shape);
    }

    @Test
    void impossibleShapesAreRefused() {
        String negative = assertThrows(IllegalArgumentException.class, () -> Shape.of(2, -1))
                .getMessage();
        assertTrue(negative.contains("[2, -1]"), negative);
        int large = Integer.MAX_VALUE;
        String huge = assertThrows(IllegalArgumentException.class, () -> Shape.of(large, large, large))
                .getMessage();
        assertTrue(huge.contains("2^63"), huge);
    }
}
