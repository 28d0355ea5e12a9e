package carousel.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

class BatchTest {
    @Test
    void labelledBatchHasLabelsAndNoTargets() {
        Batch batch = new Batch(5, 3, 2, 0, false);
        assertEquals(5 * 3 * 2, batch.inputs().length);
        assertArrayEquals(new int[3], batch.labels());
        assertNull(batch.targets());
        assertNull(batch.lengths());
        assertEquals(0, batch.targetSize());
    }

    @Test
    void valuedBatchHasTargetsAndNoLabels() {
        Batch batch = new Batch(5, 3, 2, 4, true);
        assertEquals(3 * 4, batch.targets().length);
        assertArrayEquals(new int[3], batch.lengths());
        assertNull(batch.labels());
        assertEquals(4, batch.targetSize());
    }

    @Test
    void refusesExtentsOutOfRange() {
        assertRefused("time steps", 0, 3, 2, 0);
        assertRefused("sequences", 5, 0, 2, 0);
        assertRefused("features", 5, 3, -1, 0);
        assertRefused("real targets", 5, 3, 2, -1);
    }

    @Test
    void refusesMoreValuesThanAnArrayHolds() {
        assertRefused("lower the batch size", 1 << 11, 1 << 10, 1 << 10, 0);
        assertRefused("lower the batch size", Integer.MAX_VALUE, Integer.MAX_VALUE, Integer.MAX_VALUE, 0);
    }

    private static void assertRefused(String reason, int timeSteps, int batchSize, int features, int targetSize) {
        String message = assertThrows(
                        IllegalArgumentException.class,
                        () -> new Batch(timeSteps, batchSize, features, targetSize, false))
                .getMessage();
        assertTrue(message.contains(reason), message);
    }
}
