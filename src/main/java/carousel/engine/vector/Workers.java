package carousel.engine.vector;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.LockSupport;

/**
 * A fixed number of threads, the caller's among them, that run indexed tasks. Which thread runs which task is left to
 * chance; results that do not depend on it are the tasks' duty. The helpers are daemons, start when first needed, and end
 * when this is closed.
 */
final class Workers implements AutoCloseable {
    /** How often a waiting thread looks again before it sleeps: some ten microseconds, the cost of waking it up. */
    private static final int SPINS = 1 << 10;

    /** One of the tasks of a region. */
    @FunctionalInterface
    interface Task {
        /**
         * @param index which task, from 0
         * @param worker which thread, from 0: two tasks with the same worker never run at the same time
         */
        void run(int index, int worker);
    }

    private final int count;
    private final List<Helper> helpers = new ArrayList<>();
    private volatile boolean closed;

    /** @param count threads, 1 or more, including the caller's */
    Workers(int count) {
        this.count = count;
    }

    /** Threads, including the caller's. */
    int count() {
        return count;
    }

    /**
     * Runs tasks 0 to {@code tasks - 1} and returns when all are done. When one throws, tasks not yet begun are left out and
     * its exception is thrown here.
     */
    void run(int tasks, Task task) {
        if (closed) {
            throw new IllegalStateException("the vector engine was used after it was closed");
        }
        int threads = Math.min(count, tasks);
        if (threads <= 1) {
            for (int index = 0; index < tasks; index++) {
                task.run(index, 0);
            }
            return;
        }
        Region region = new Region(tasks, task);
        for (int worker = 1; worker < threads; worker++) {
            helper(worker).offer(region);
        }
        region.work(0);
        region.await();
    }

    private Helper helper(int worker) {
        if (worker > helpers.size()) {
            Helper helper = new Helper(worker);
            helpers.add(helper);
            helper.start();
        }
        return helpers.get(worker - 1);
    }

    @Override
    public void close() {
        closed = true;
        helpers.forEach(LockSupport::unpark);
        helpers.clear();
    }

    /** A loop of tasks, shared by the threads that take part in it. */
    private static final class Region {
        private final int tasks;
        private final Task task;
        private final Thread caller = Thread.currentThread();
        private final AtomicInteger next = new AtomicInteger();
        private final AtomicInteger unfinished;
        private final AtomicReference<Throwable> failure = new AtomicReference<>();

        Region(int tasks, Task task) {
            this.tasks = tasks;
            this.task = task;
            this.unfinished = new AtomicInteger(tasks);
        }

        void work(int worker) {
            for (int index = next.getAndIncrement(); index < tasks; index = next.getAndIncrement()) {
                try {
                    if (failure.get() == null) {
                        task.run(index, worker);
                    }
                } catch (Throwable thrown) {
                    failure.compareAndSet(null, thrown);
                }
                if (unfinished.decrementAndGet() == 0) {
                    LockSupport.unpark(caller);
                }
            }
        }

        void await() {
            for (int spin = 0; unfinished.get() > 0; spin++) {
                if (spin < SPINS) {
                    Thread.onSpinWait();
                } else {
                    LockSupport.park(this);
                }
            }
            Throwable thrown = failure.get();
            if (thrown instanceof Error error) {
                throw error;
            } else if (thrown != null) {
                // Tasks declare no checked exceptions.
                throw (RuntimeException) thrown;
            }
        }
    }

    private final class Helper extends Thread {
        private final int worker;
        private final AtomicReference<Region> offered = new AtomicReference<>();

        Helper(int worker) {
            super("carousel-vector-" + worker);
            this.worker = worker;
            setDaemon(true);
        }

        /** Replaces a region that this thread was too late for: by then the others have finished it. */
        void offer(Region region) {
            offered.set(region);
            LockSupport.unpark(this);
        }

        @Override
        public void run() {
            for (int spin = 0; !closed; spin++) {
                if (offered.get() != null) {
                    offered.getAndSet(null).work(worker);
                    spin = 0;
                } else if (spin < SPINS) {
                    Thread.onSpinWait();
                } else {
                    LockSupport.park(this);
                }
            }
        }
    }
}
