package carousel.engine.cuda.cudnn;

import carousel.engine.cuda.CudaContext;
import carousel.engine.cuda.Release;
import carousel.engine.cuda.Status;
import jcuda.driver.CUevent;
import jcuda.driver.CUevent_flags;
import jcuda.driver.JCudaDriver;

/** Measures on the device how long something takes there. */
final class Stopwatch implements AutoCloseable {
    private final CudaContext context;
    private final CUevent begin = new CUevent();
    private final CUevent end = new CUevent();

    Stopwatch(CudaContext context) {
        this.context = context;
        create(begin);
        try {
            create(end);
        } catch (RuntimeException failure) {
            Release.after(failure, () -> destroy(begin));
            throw failure;
        }
    }

    /** The milliseconds that the device takes for what is asked for meanwhile. */
    float time(Runnable work) {
        record(begin);
        work.run();
        record(end);
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
