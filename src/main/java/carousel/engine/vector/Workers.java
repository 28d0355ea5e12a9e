package carousel.engine.vector;

import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Consumer;

/**
 * A fixed number of threads, the caller's among them, that run indexed tasks. Which thread runs which task is left to
 * chance; results that do not depend on it are the tasks' duty. The helpers are daemons, start when first needed, and end
 * when this is closed. One thread at a time may call {@link #run} or {@link #together}, and not from within a task. Nothing is
 * allocated once the helpers run.
 */
final class Workers implements AutoCloseable {
    /**
     * How long a waiting thread looks again before it sleeps, in nanoseconds: longer than the pauses between the parts of a
     * training step, and some times the cost of waking a thread up.
     */
    private static final long PATIENCE = 200_000;
    /** Looks between two readings of the clock. */
    private static final int LOOKS = 1 << 7;
    /** Looks of a thread in a meeting before it lets others have its processor. */
    private static final int LOOKS_IN_MEETING = 1 << 10;

    private static final int IDLE = 0;
    private static final int OFFERED = 1;
    private static final int WORKING = 2;

    /** One of the tasks of a region. */
    @FunctionalInterface
    interface Task {
        /**
         * @param index which task, from 0
         * @param worker which thread, from 0: two tasks with the same worker never run at the same time
         */
        void run(int index, int worker);
    }

    private final Helper[] helpers;
    private final Consumer<Thread> starter;
    private final AtomicInteger next = new AtomicInteger();
    private final AtomicReference<Throwable> failure = new AtomicReference<>();
    private Thread caller;
    private Task task;
    private int tasks;
    private boolean together;
    private volatile boolean closed;

    /** @param count threads, 1 or more, including the caller's */
    Workers(int count) {
        this(count, Thread::start);
    }

    /** @param starter starts a thread, or throws where the machine has none left to give */
    Workers(int count, Consumer<Thread> starter) {
        this.helpers = new Helper[count - 1];
        this.starter = starter;
    }

    /** Threads, including the caller's. */
    int count() {
        return helpers.length + 1;
    }

    /**
     * Runs tasks 0 to {@code tasks - 1} and returns when all are done. When one throws, tasks not yet begun are left out and
     * its exception is thrown here.
     */
    void run(int tasks, Task task) {
        requireOpen();
        if (count() == 1 || tasks <= 1) {
            for (int index = 0; index < tasks; index++) {
                task.run(index, 0);
            }
            return;
        }
        start(tasks, task, false, Math.min(count(), tasks));
    }

    /**
     * Runs tasks 0 to {@code tasks - 1}, each on a thread of its own and all at the same time, so that they may wait for each
     * other at {@link Meeting}s of this; not more than {@link #count()}. When one throws, the others are let out of their
     * meetings, and its exception is thrown here.
     */
    void together(int tasks, Task task) {
        requireOpen();
        if (tasks > count()) {
            throw new IllegalArgumentException(
                    "tasks that wait for each other should be at most " + count() + " but got " + tasks);
        }
        start(tasks, task, true, tasks);
    }

    private void requireOpen() {
        if (closed) {
            throw new IllegalStateException("the vector engine was used after it was closed");
        }
    }

    private void start(int count, Task what, boolean atOnce, int threads) {
        // All of them before any is asked for help: where a thread cannot be had, none is left waiting.
        for (int worker = 1; worker < threads; worker++) {
            startHelper(worker);
        }
        caller = Thread.currentThread();
        task = what;
        tasks = count;
        together = atOnce;
        next.set(0);
        failure.set(null);
        for (int worker = 1; worker < threads; worker++) {
            helpers[worker - 1].offer();
        }
        work(0);
        for (int worker = 1; worker < threads; worker++) {
            helpers[worker - 1].finish();
        }
        task = null;
        Throwable thrown = failure.get();
        if (thrown instanceof Error error) {
            throw error;
        } else if (thrown != null) {
            // Tasks declare no checked exceptions.
            throw (RuntimeException) thrown;
        }
    }

    private void startHelper(int worker) {
        if (helpers[worker - 1] == null) {
            Helper helper = new Helper(worker);
            starter.accept(helper);
            helpers[worker - 1] = helper;
        }
    }

    private void work(int worker) {
        try {
            if (together) {
                task.run(worker, worker);
                return;
            }
            for (int index = next.getAndIncrement(); index < tasks; index = next.getAndIncrement()) {
                if (failure.get() == null) {
                    task.run(index, worker);
                }
            }
        } catch (Throwable thrown) {
            failure.compareAndSet(null, thrown);
        }
    }

    @Override
    public void close() {
        closed = true;
        for (Helper helper : helpers) {
            LockSupport.unpark(helper);
        }
    }

    /** Where a fixed number of the tasks of {@link #together} wait for each other, again and again. */
    final class Meeting {
        private final AtomicInteger arrived = new AtomicInteger();
        private int members;
        private volatile int round;

        /** Before the tasks begin: how many there are. */
        void expect(int count) {
            members = count;
            arrived.set(0);
        }

        /** Returns when all members are here; what each did before, all see after. */
        void await() {
            if (members <= 1) {
                return;
            }
            int now = round;
            if (arrived.incrementAndGet() == members) {
                arrived.set(0);
                round = now + 1;
                return;
            }
            for (int look = 1; round == now; look++) {
                if (failure.get() != null) {
                    throw new IllegalStateException("another task of this region failed", failure.get());
                }
                if (look % LOOKS_IN_MEETING == 0) {
                    // More threads than processors: the one that is waited for may need this one's.
                    Thread.yield();
                } else {
                    Thread.onSpinWait();
                }
            }
        }
    }

    private final class Helper extends Thread {
        private final int worker;
        private final AtomicInteger state = new AtomicInteger(IDLE);
        private volatile boolean asleep;
        private volatile boolean awaited;

        Helper(int worker) {
            super("carousel-vector-" + worker);
            this.worker = worker;
            setDaemon(true);
        }

        /** The caller asks for help. */
        void offer() {
            state.set(OFFERED);
            if (asleep) {
                LockSupport.unpark(this);
            }
        }

        /** The caller has nothing left to do: waits for this helper, unless it has not begun and need not. */
        void finish() {
            if (!together && state.compareAndSet(OFFERED, IDLE)) {
                return;
            }
            long start = 0;
            for (int look = 1; state.get() != IDLE; look++) {
                if (look % LOOKS != 0) {
                    Thread.onSpinWait();
                } else if (start == 0) {
                    start = System.nanoTime();
                } else if (System.nanoTime() - start > PATIENCE) {
                    awaited = true;
                    if (state.get() != IDLE) {
                        LockSupport.park(Workers.this);
                    }
                }
            }
            awaited = false;
        }

        @Override
        public void run() {
            long start = 0;
            for (int look = 1; !closed; look++) {
                if (state.get() == OFFERED && state.compareAndSet(OFFERED, WORKING)) {
                    Thread waiting = caller;
                    work(worker);
                    state.set(IDLE);
                    if (awaited) {
                        LockSupport.unpark(waiting);
                    }
                    start = 0;
                } else if (look % LOOKS != 0) {
                    Thread.onSpinWait();
                } else if (start == 0) {
                    start = System.nanoTime();
                } else if (System.nanoTime() - start > PATIENCE) {
                    asleep = true;
                    if (state.get() != OFFERED && !closed) {
                        LockSupport.park(Workers.this);
                        // Nobody means anything by it here, and with it set the thread would not sleep again.
                        interrupted();
                    }
                    asleep = false;
                    start = 0;
                }
            }
        }
    }
}
