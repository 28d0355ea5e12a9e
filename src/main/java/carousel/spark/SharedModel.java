package carousel.spark;

import carousel.data.Batch;
import carousel.engine.Engine;
import carousel.engine.Loss;
import carousel.layer.Model;
import carousel.layer.ModelSpec;
import carousel.training.Evaluator;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.Supplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A model of this executor's process that all of its tasks predict with, one at a time: while one computes, the others read. It stays
 * open after its tasks, until others come.
 */
final class SharedModel implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(SharedModel.class);

    /** So many stay open that nobody uses: two that follow one another in a pipeline take turns. */
    private static final int IDLE = 2;

    /** The one that was used last is the last. */
    private static final List<SharedModel> OPEN = new ArrayList<>();

    private final Job job;
    private final int device;
    private final Engine engine;
    private final Model model;
    private int users;
    private volatile boolean broken;

    private SharedModel(Job job, int device, int threads, double[] parameters) {
        this.job = job;
        this.device = device;
        ModelSpec spec = job.spec();
        this.engine = job.open(device, threads, spec);
        try {
            this.model = Model.empty(engine, spec);
            model.writeParameters(
                    Arrays.copyOf(parameters, Math.toIntExact(model.parameters().elements())));
        } catch (RuntimeException | Error e) {
            engine.close();
            throw e;
        }
        LOG.info("opened {} with {}", spec, Job.description(engine, device));
    }

    /**
     * The process's model, opened where it is not there yet. Close it when it is not needed any more.
     *
     * @param job whose id says which model and how it is computed
     * @param device that Spark gave the task, or none: see {@link Job#device}
     * @param threads of a CPU's engine
     */
    static SharedModel borrow(Job job, int device, int threads, Supplier<double[]> parameters) {
        synchronized (OPEN) {
            SharedModel found = null;
            for (SharedModel open : OPEN) {
                if (open.device == device && open.job.equals(job) && !open.broken) {
                    found = open;
                }
            }
            if (found == null) {
                // First of all: two may not fit into the memory.
                closeIdle(IDLE - 1);
                ExecutorModels.closeIdle();
                found = new SharedModel(job, device, threads, parameters.get());
            }
            OPEN.remove(found);
            OPEN.add(found);
            found.users++;
            return found;
        }
    }

    /** The number of models that are open in this process. */
    static int open() {
        synchronized (OPEN) {
            return OPEN.size();
        }
    }

    /** See {@link Evaluator#predict(Batch)}. */
    synchronized float[] predict(Batch batch, Loss loss) {
        try {
            return new Evaluator(model, loss).predict(batch);
        } catch (RuntimeException | Error e) {
            broken = true;
            throw e;
        }
    }

    String description() {
        return Job.description(engine, device);
    }

    /** Gives it back. */
    @Override
    public void close() {
        synchronized (OPEN) {
            users--;
            closeIdle(IDLE);
        }
    }

    /** Closes those that nobody uses. */
    static void closeIdle() {
        synchronized (OPEN) {
            closeIdle(0);
        }
    }

    /** Closes those that nobody uses, but for the most that were used last. */
    private static void closeIdle(int most) {
        int kept = 0;
        for (int k = OPEN.size() - 1; k >= 0; k--) {
            SharedModel each = OPEN.get(k);
            if (each.users == 0 && (each.broken || kept++ >= most)) {
                OPEN.remove(k);
                each.release();
            }
        }
    }

    private void release() {
        try (engine;
                model) {
            LOG.debug("closes {} with {}", model.spec(), engine.description());
        }
    }
}
