package carousel.engine.vector;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicIntegerArray;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class WorkersTest {
    @Test
    void everyTaskRunsOnceInEveryRegion() {
        try (Workers workers = new Workers(5)) {
            for (int region = 0; region < 2000; region++) {
                int tasks = region % 23;
                AtomicIntegerArray runs = new AtomicIntegerArray(tasks);
                workers.run(tasks, (index, worker) -> runs.incrementAndGet(index));
                for (int index = 0; index < tasks; index++) {
                    assertEquals(1, runs.get(index));
                }
            }
        }
    }

    @Test
    void aThreadThatCannotBeStartedLeavesNobodyWaiting() {
        AtomicInteger asked = new AtomicInteger();
        Consumer<Thread> secondOneFails = thread -> {
            if (asked.incrementAndGet() == 2) {
                throw new OutOfMemoryError("unable to create native thread");
            }
            thread.start();
        };
        try (Workers workers = new Workers(4, secondOneFails)) {
            AtomicInteger runs = new AtomicInteger();
            assertThrows(OutOfMemoryError.class, () -> workers.run(8, (index, worker) -> runs.incrementAndGet()));
            assertEquals(0, runs.get(), "tasks begun before all threads were there");
            workers.run(8, (index, worker) -> runs.incrementAndGet());
            assertEquals(8, runs.get());
            workers.together(4, (index, worker) -> runs.incrementAndGet());
            assertEquals(12, runs.get());
        }
    }

    @Test
    void tasksOfARegionRunAtTheSameTimeOnDifferentWorkers() {
        try (Workers workers = new Workers(3)) {
            CountDownLatch met = new CountDownLatch(3);
            Set<Integer> seen = ConcurrentHashMap.newKeySet();
            workers.run(3, (index, worker) -> {
                seen.add(worker);
                met.countDown();
                try {
                    assertTrue(met.await(30, TimeUnit.SECONDS), "the tasks waited for each other in vain");
                } catch (InterruptedException interrupted) {
                    throw new IllegalStateException(interrupted);
                }
            });
            assertEquals(Set.of(0, 1, 2), seen);
        }
    }

    @Test
    void anExceptionReachesTheCallerAndTheWorkersLiveOn() {
        try (Workers workers = new Workers(4)) {
            for (int bad = 0; bad < 8; bad++) {
                int index = bad;
                IllegalArgumentException expected = new IllegalArgumentException("task " + bad);
                IllegalArgumentException thrown = assertThrows(
                        IllegalArgumentException.class,
                        () -> workers.run(8, (task, worker) -> {
                            if (task == index) {
                                throw expected;
                            }
                        }));
                assertSame(expected, thrown);
            }
            AtomicIntegerArray runs = new AtomicIntegerArray(8);
            workers.run(8, (task, worker) -> runs.incrementAndGet(task));
            assertEquals("[1, 1, 1, 1, 1, 1, 1, 1]", runs.toString());
        }
    }

    @Test
    void tasksThatMeetSeeWhatTheOthersDid() {
        try (Workers workers = new Workers(4)) {
            Workers.Meeting meeting = workers.new Meeting();
            int[] marks = new int[4];
            for (int region = 0; region < 50; region++) {
                Arrays.fill(marks, 0);
                meeting.expect(4);
                workers.together(4, (index, worker) -> {
                    for (int round = 1; round <= 20; round++) {
                        marks[index] = round;
                        meeting.await();
                        for (int mark : marks) {
                            assertEquals(round, mark);
                        }
                        meeting.await();
                    }
                });
            }
        }
    }

    @Test
    void aTaskThatFailsLetsTheOthersOutOfTheirMeeting() {
        try (Workers workers = new Workers(3)) {
            Workers.Meeting meeting = workers.new Meeting();
            for (int bad = 0; bad < 3; bad++) {
                int index = bad;
                IllegalArgumentException expected = new IllegalArgumentException("task " + bad);
                meeting.expect(3);
                IllegalArgumentException thrown = assertThrows(
                        IllegalArgumentException.class,
                        () -> workers.together(3, (task, worker) -> {
                            if (task == index) {
                                throw expected;
                            }
                            meeting.await();
                        }));
                assertSame(expected, thrown);
            }
            AtomicIntegerArray runs = new AtomicIntegerArray(3);
            meeting.expect(3);
            workers.together(3, (task, worker) -> {
                meeting.await();
                runs.incrementAndGet(task);
            });
            assertEquals("[1, 1, 1]", runs.toString());
        }
    }

    @Test
    void moreTasksThanThreadsCannotMeet() {
        try (Workers workers = new Workers(2)) {
            assertThrows(IllegalArgumentException.class, () -> workers.together(3, (task, worker) -> {}));
        }
    }

    @Test
    void helpersAreDaemonsAndEndWithTheEngine() throws InterruptedException {
        Set<Thread> threads = ConcurrentHashMap.newKeySet();
        Workers workers = new Workers(3);
        CountDownLatch met = new CountDownLatch(3);
        workers.run(3, (index, worker) -> {
            threads.add(Thread.currentThread());
            met.countDown();
            try {
                met.await();
            } catch (InterruptedException interrupted) {
                throw new IllegalStateException(interrupted);
            }
        });
        workers.close();
        threads.remove(Thread.currentThread());
        assertEquals(2, threads.size());
        for (Thread thread : threads) {
            assertTrue(thread.isDaemon());
            thread.join(30_000);
            assertEquals(Thread.State.TERMINATED, thread.getState());
        }
        assertThrows(IllegalStateException.class, () -> workers.run(2, (index, worker) -> {}));
    }
}
