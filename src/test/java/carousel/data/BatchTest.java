package carousel.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertSame;
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
    void tokensMayHaveLengthsAndASource() {
        Batch answer = Batch.ofTokens(5, 3, 7, true);
        assertEquals(3, answer.lengths().length);
        assertEquals(15, answer.labels().length);
        assertNull(answer.source());
        Batch source = new Batch(4, 3, 2, 1, true);
        Batch pair = answer.withSource(source);
        assertSame(source, pair.source());
        assertSame(answer.tokens(), pair.tokens());
        assertSame(answer.labels(), pair.labels());
        assertSame(answer.lengths(), pair.lengths());
        assertEquals("batch [5, 3, 7] with tokens, for a batch [4, 3, 2] with 1 targets", pair.toString());
        IllegalArgumentException refusal =
                assertThrows(IllegalArgumentException.class, () -> answer.withSource(Batch.ofTokens(5, 4, 7)));
        assertEquals("the source of a batch should be of as many sequences, 3, but is of 4", refusal.getMessage());
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

    @Test
    void aMaskAndResetsAreKeptBesideTheSameArrays() {
        Batch plain = new Batch(4, 3, 2, 0, true);
        assertNull(plain.mask());
        assertNull(plain.resets());
        boolean[] mask = new boolean[12];
        boolean[] resets = new boolean[12];
        Batch both = plain.withMask(mask).withResets(resets);
        assertSame(mask, both.mask());
        assertSame(resets, both.resets());
        assertSame(plain.inputs(), both.inputs());
        assertSame(plain.lengths(), both.lengths());
        assertSame(plain.labels(), both.labels());
        assertNull(both.withMask(null).mask());
        Batch pair = Batch.ofTokens(4, 3, 5).withMask(mask).withSource(plain).withResets(resets);
        assertSame(plain, pair.source());
        assertSame(mask, pair.mask());
        assertSame(resets, pair.resets());
        assertEquals(
                "the mask of batch [4, 3, 2] with labels should have 12 values, one a step, but got 11",
                assertThrows(IllegalArgumentException.class, () -> plain.withMask(new boolean[11]))
                        .getMessage());
        assertTrue(assertThrows(IllegalArgumentException.class, () -> plain.withResets(new boolean[3]))
                .getMessage()
                .startsWith("the resets of batch"));
    }
}
