package carousel.spark;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotSame;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.data.Batch;
import carousel.engine.EngineOptions;
import carousel.engine.Loss;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

/** The models that the tasks of a process share, with threads for tasks. */
class SharedModelTest {
    private static SharedModel borrow(ScoredModel model) {
        Job job = new Job(model.digest(), model.specification(), null, "vector", null);
        return SharedModel.borrow(job, EngineOptions.ANY_DEVICE, 1, model::parameters);
    }

    private static Batch batch() {
        Batch batch = new Batch(3, 2, ScoringFixture.FEATURES, 0, false);
        IntStream.range(0, batch.inputs().length).forEach(k -> batch.inputs()[k] = k / 10f);
        return batch;
    }

    @Test
    void tasksShareOneModel() throws Exception {
        ScoredModel model = ScoringFixture.classes(1);
        float[] expected;
        try (SharedModel first = borrow(model)) {
            expected = first.predict(batch(), Loss.SOFTMAX_CROSS_ENTROPY);
            ExecutorService tasks = Executors.newFixedThreadPool(4);
            try {
                List<Future<float[]>> results = IntStream.range(0, 40)
                        .mapToObj(task -> tasks.submit(() -> {
                            try (SharedModel mine = borrow(model)) {
                                assertSame(first, mine);
                                return mine.predict(batch(), Loss.SOFTMAX_CROSS_ENTROPY);
                            }
                        }))
                        .toList();
                for (Future<float[]> result : results) {
                    assertArrayEquals(expected, result.get());
                }
            } finally {
                tasks.shutdown();
            }
        }
        // It is still there for the next task.
        try (SharedModel next = borrow(model)) {
            assertArrayEquals(expected, next.predict(batch(), Loss.SOFTMAX_CROSS_ENTROPY));
        }
    }

    @Test
    void fewThatNobodyUsesStayOpen() throws Exception {
        SharedModel first = borrow(ScoringFixture.classes(11));
        for (int seed = 12; seed < 20; seed++) {
            borrow(ScoringFixture.classes(seed)).close();
            assertTrue(SharedModel.open() <= 3, "one in use and two that wait, not " + SharedModel.open());
        }
        // One in use is never closed.
        assertEquals(6, first.predict(batch(), Loss.SOFTMAX_CROSS_ENTROPY).length);
        first.close();
        assertTrue(SharedModel.open() <= 2, "two that wait, not " + SharedModel.open());
    }

    @Test
    void oneThatFailedIsNotLentAgain() throws Exception {
        ScoredModel model = ScoringFixture.classes(21);
        SharedModel failed = borrow(model);
        Batch wrong = new Batch(3, 2, ScoringFixture.FEATURES + 1, 0, false);
        assertThrows(IllegalArgumentException.class, () -> failed.predict(wrong, Loss.SOFTMAX_CROSS_ENTROPY));
        try (SharedModel next = borrow(model)) {
            assertNotSame(failed, next);
            next.predict(batch(), Loss.SOFTMAX_CROSS_ENTROPY);
        }
        failed.close();
        try (SharedModel next = borrow(model)) {
            assertNotSame(failed, next);
        }
    }

    /** The parameters are those of the file, and a file with them is the same model. */
    @Test
    void digestsTellModelsApart() throws Exception {
        assertEquals(
                ScoringFixture.classes(1).digest(), ScoringFixture.classes(1).digest());
        assertTrue(!ScoringFixture.classes(1)
                .digest()
                .equals(ScoringFixture.classes(2).digest()));
    }
}
