package carousel.spark;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotSame;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.engine.EngineOptions;
import carousel.engine.Loss;
import carousel.format.ModelJson;
import carousel.layer.Dense;
import carousel.layer.Form;
import carousel.layer.Lstm;
import carousel.layer.ModelSpec;
import carousel.spark.ExecutorModels.Lent;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** The models that the tasks of a process borrow, with threads for tasks. */
class ExecutorModelsTest {
    private static final ModelSpec SPEC = ModelSpec.of(Form.sequence(2), Lstm.of(3), Dense.of(1));

    @BeforeEach
    @AfterEach
    void closeAll() {
        ExecutorModels.closeIdle();
        assertEquals(0, ExecutorModels.idle());
    }

    private static Lent borrow(String run, int device) {
        Job job = new Job(run, ModelJson.write(SPEC), Loss.MEAN_SQUARED_ERROR, "vector", null);
        return ExecutorModels.borrow(job, device, 1);
    }

    private static Lent borrow(String run) {
        return borrow(run, EngineOptions.ANY_DEVICE);
    }

    private static void giveBack(Lent lent) {
        lent.done();
        lent.close();
    }

    private static void assertOpen(Lent lent) {
        lent.engine().read(lent.report(), new double[3]);
    }

    private static void assertClosed(Lent lent) {
        assertThrows(IllegalStateException.class, () -> assertOpen(lent));
    }

    @Test
    void oneThatWasGivenBackIsLentAgain() {
        Lent first = borrow("a");
        Lent second = borrow("a");
        assertNotSame(first, second, "two tasks at once");
        giveBack(first);
        assertEquals(1, ExecutorModels.idle());
        Lent third = borrow("a");
        assertSame(first, third);
        assertOpen(third);
        giveBack(second);
        giveBack(third);
        assertEquals(2, ExecutorModels.idle());
    }

    @Test
    void tasksAtTheSameTimeHaveModelsOfTheirOwn() throws Exception {
        Set<Lent> inUse = ConcurrentHashMap.newKeySet();
        Set<Lent> all = ConcurrentHashMap.newKeySet();
        ExecutorService tasks = Executors.newFixedThreadPool(4);
        try {
            for (Future<?> task : IntStream.range(0, 200)
                    .mapToObj(k -> tasks.submit(() -> {
                        try (Lent mine = borrow("a")) {
                            assertTrue(inUse.add(mine), "lent to two tasks");
                            all.add(mine);
                            double number = k;
                            mine.engine().write(mine.report(), new double[] {number, 0, 0});
                            Thread.yield();
                            double[] read = new double[3];
                            mine.engine().read(mine.report(), read);
                            assertEquals(number, read[0]);
                            inUse.remove(mine);
                            mine.done();
                        }
                    }))
                    .toList()) {
                task.get();
            }
        } finally {
            tasks.shutdown();
        }
        assertTrue(all.size() <= 4, all.size() + " models for four tasks at once");
        assertEquals(all.size(), ExecutorModels.idle());
    }

    @Test
    void oneWhoseTaskFailedIsClosed() {
        Lent failed = borrow("a");
        failed.close();
        assertClosed(failed);
        assertEquals(0, ExecutorModels.idle());
        // Done once is not done again.
        Lent next = borrow("a");
        giveBack(next);
        assertSame(next, borrow("a"));
        next.close();
        assertClosed(next);
    }

    @Test
    void anotherRunClosesWhatWaitsAndNotWhatIsInUse() {
        Lent used = borrow("a");
        Lent waiting = borrow("a");
        giveBack(waiting);
        Lent other = borrow("b");
        assertNotSame(waiting, other);
        assertClosed(waiting);
        assertOpen(used);
        giveBack(used);
        giveBack(other);
        // The first run goes on while the other one waits: then that is closed, and this one is not opened again.
        Lent again = borrow("a");
        assertSame(used, again);
        assertClosed(other);
        giveBack(again);
    }

    @Test
    void aTaskWithAnotherDeviceHasAnotherModel() {
        Lent zero = borrow("a", 0);
        giveBack(zero);
        Lent one = borrow("a", 1);
        assertNotSame(zero, one);
        assertOpen(zero);
        Lent zeroAgain = borrow("a", 0);
        assertSame(zero, zeroAgain);
        assertTrue(zero.description().endsWith(" (without device 0 of Spark's)"), zero.description());
        giveBack(one);
        giveBack(zeroAgain);
    }

    /** What is to be opened may not fit beside what waits. */
    @Test
    void modelsForScoringGoFirst() throws Exception {
        ScoredModel model = ScoringFixture.classes(1);
        Job scoring = new Job(model.digest(), model.specification(), null, "vector", null);
        Lent waiting = borrow("a");
        giveBack(waiting);
        SharedModel.borrow(scoring, EngineOptions.ANY_DEVICE, 1, model::parameters)
                .close();
        assertClosed(waiting);
        assertTrue(SharedModel.open() > 0);
        giveBack(borrow("a"));
        assertEquals(0, SharedModel.open());
    }
}
