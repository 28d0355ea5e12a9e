package carousel.engine.cuda;

import java.util.Arrays;
import jcuda.driver.CUevent;
import jcuda.driver.CUevent_flags;
import jcuda.driver.JCudaDriver;

/** Measures on the device how long something takes there. */
public final class Stopwatch implements AutoCloseable {
    private final CudaContext context;
    private final Runnable waiting;
    private final CUevent begin = new CUevent();
    private final CUevent end = new CUevent();

    /** @param waiting waits for all that was asked for, or throws; null to wait as long as it takes */
    public Stopwatch(CudaContext context, Runnable waiting) {
        this.context = context;
        this.waiting = waiting;
        create(begin);
        try {
            create(end);
        } catch (RuntimeException failure) {
            Release.after(failure, () -> destroy(begin));
            throw failure;
        }
    }

    /**
     * The milliseconds that the device takes for some work: the median of some runs.
     *
     * @param before runs that do not count, after which everything is in place: the first loads kernels, and a run of commands that
     *     comes up again becomes a graph
     */
    public float median(int before, int runs, Runnable work) {
        float[] times = new float[runs];
        for (int k = -before; k < runs; k++) {
            float time = time(work);
            if (k >= 0) {
                times[k] = time;
            }
        }
        return median(times);
    }

    static float median(float[] times) {
        float[] sorted = times.clone();
        Arrays.sort(sorted);
        return sorted[sorted.length / 2];
    }

    private float time(Runnable work) {
        record(begin);
        work.run();
        record(end);
        if (waiting != null) {
            waiting.run();
        }
        Status.driver(JCudaDriver.cuEventSynchronize(end), "cuEventSynchronize", "a measurement");
        float[] milliseconds = new float[1];
        Status.driver(JCudaDriver.cuEventElapsedTime(milliseconds, begin, end), "cuEventElapsedTime", "a measurement");
        return milliseconds[0];
    }

    private void record(CUevent event) {
        Status.driver(JCudaDriver.cuEventRecord(event, context.stream()), "cuEventRecord", "a measurement");
    }

    private static void create(CUevent event) {
        Status.driver(
                JCudaDriver.cuEventCreate(event, CUevent_flags.CU_EVENT_DEFAULT), "cuEventCreate", "a measurement");
    }

    private static void destroy(CUevent event) {
        Status.driver(JCudaDriver.cuEventDestroy(event), "cuEventDestroy", "a measurement");
    }

    @Override
    public void close() {
        new Release().of(() -> destroy(begin)).of(() -> destroy(end)).finish();
    }
}
