package carousel.spark;

import carousel.engine.Engine;
import carousel.layer.Model;
import carousel.layer.ModelSpec;
import carousel.optimizer.Optimizer;
import carousel.tensor.Scope;
import carousel.tensor.Tensor;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import org.apache.spark.SparkEnv;
import org.apache.spark.TaskContext;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The models of this executor's process, with their engines: as many as tasks have run at the same time. A task borrows one and gives it
 * back, so that engines are opened once and not in every task.
 */
final class ExecutorModels {
    private static final Logger LOG = LoggerFactory.getLogger(ExecutorModels.class);
    private static final List<Lent> IDLE = new ArrayList<>();

    private ExecutorModels() {}

    /** One that is nobody's until it is given back. */
    static final class Lent implements AutoCloseable {
        private final String run;
        private final int device;
        private final Engine engine;
        private final Model model;
        private final Scope scope;
        private final Tensor report;
        private Optimizer.State moments;
        private boolean whole;

        private Lent(Job job, int device, int threads) {
            this.run = job.id();
            this.device = device;
            ModelSpec spec = job.spec();
            this.engine = job.open(device, threads, spec);
            try {
                this.model = Model.empty(engine, spec);
                this.scope = engine.openScope("executor");
                this.report = scope.allocate("report", 3);
            } catch (RuntimeException | Error e) {
                engine.close();
                throw e;
            }
            LOG.info("opened {} with {}", spec, Job.description(engine, device));
        }

        Model model() {
            return model;
        }

        Engine engine() {
            return engine;
        }

        /** {@code [3]}, for what a loss reports. */
        Tensor report() {
            return report;
        }

        /** The optimizer's moments, allocated when they are first asked for. */
        Optimizer.State moments(Optimizer optimizer) {
            if (moments == null) {
                moments = optimizer.open(engine, scope, model.parameters().elements());
            }
            return moments;
        }

        /** What it computes with, for people. */
        String description() {
            return Job.description(engine, device);
        }

        /** Says that the work was done: one whose work failed is not lent again. */
        void done() {
            whole = true;
        }

        /** Gives it back. */
        @Override
        public void close() {
            if (!whole) {
                release();
                return;
            }
            whole = false;
            synchronized (IDLE) {
                IDLE.add(this);
            }
        }

        private void release() {
            try (engine;
                    model;
                    scope) {
                LOG.debug("closes {} with {}", model.spec(), engine.description());
            }
        }
    }

    static String executor() {
        return SparkEnv.get().executorId();
    }

    /** Lends a model for the task that runs here. Its parameters are those it was last used with. */
    static Lent borrow(Job job) {
        TaskContext task = TaskContext.get();
        return borrow(job, Job.device(task), Math.max(1, task.cpus()));
    }

    /**
     * The same.
     *
     * @param device that Spark gave the task, or none: see {@link Job#device}
     * @param threads of a CPU's engine
     */
    static Lent borrow(Job job, int device, int threads) {
        List<Lent> others = new ArrayList<>();
        Lent mine = null;
        synchronized (IDLE) {
            for (Iterator<Lent> all = IDLE.iterator(); all.hasNext(); ) {
                Lent idle = all.next();
                if (!idle.run.equals(job.id())) {
                    others.add(idle);
                    all.remove();
                } else if (mine == null && idle.device == device) {
                    mine = idle;
                    all.remove();
                }
            }
        }
        // Runs that are over; one that is not opens another.
        others.forEach(Lent::release);
        if (mine == null) {
            SharedModel.closeIdle();
        }
        return mine != null ? mine : new Lent(job, device, threads);
    }

    /** Closes those that are not lent: what is to be opened may not fit beside them. */
    static void closeIdle() {
        List<Lent> idle;
        synchronized (IDLE) {
            idle = List.copyOf(IDLE);
            IDLE.clear();
        }
        idle.forEach(Lent::release);
    }

    /** The number of models that wait for a task. */
    static int idle() {
        synchronized (IDLE) {
            return IDLE.size();
        }
    }
}
