package carousel.engine.cuda;

import java.util.ArrayList;
import java.util.List;
import jcuda.driver.CUevent;
import jcuda.driver.CUevent_flags;
import jcuda.driver.CUstream;
import jcuda.driver.CUstream_flags;
import jcuda.driver.JCudaDriver;

/**
 * Streams in which work goes on at the same time. Lane 0 is the stream of the device's context, and the others come after what it was asked for
 * and before what it is asked for next: {@link CommandQueue} sees to that. A lane's stream is made when it is first needed, and stays.
 */
final class Lanes implements AutoCloseable {
    /** Lanes there can be, the first included: the device takes work from 8 queues at a time, and few stacks are deeper. */
    static final int MOST = 4;

    private final CudaContext context;
    private final List<CUstream> others = new ArrayList<>();
    /** Recorded anew for each wait: one that was asked for earlier keeps what it saw. */
    private CUevent event;

    Lanes(CudaContext context) {
        this.context = context;
    }

    /** Makes what is needed for so many lanes. Not while a stream is captured. */
    void open(int count) {
        if (event == null) {
            CUevent made = new CUevent();
            Status.driver(
                    JCudaDriver.cuEventCreate(made, CUevent_flags.CU_EVENT_DISABLE_TIMING),
                    "cuEventCreate",
                    "the order of lanes");
            event = made;
        }
        while (others.size() < count - 1) {
            CUstream made = new CUstream();
            Status.driver(
                    JCudaDriver.cuStreamCreate(made, CUstream_flags.CU_STREAM_NON_BLOCKING),
                    "cuStreamCreate",
                    "lane %d",
                    others.size() + 1);
            others.add(made);
        }
    }

    /** How many there are, the first included. */
    int count() {
        return 1 + others.size();
    }

    CUstream stream(int lane) {
        return lane == 0 ? context.plainStream() : others.get(lane - 1);
    }

    /** Lets what a lane is asked for from now on wait for all that another was asked for so far. */
    void await(int lane, int other) {
        Status.driver(
                JCudaDriver.cuEventRecord(event, stream(other)), "cuEventRecord", "lane %d before %d", other, lane);
        Status.driver(
                JCudaDriver.cuStreamWaitEvent(stream(lane), event, 0),
                "cuStreamWaitEvent",
                "lane %d after %d",
                lane,
                other);
    }

    /** Waits on the host until a lane has nothing left to do. */
    void synchronize(int lane) {
        Status.driver(JCudaDriver.cuStreamSynchronize(stream(lane)), "cuStreamSynchronize", "lane %d", lane);
    }

    @Override
    public void close() {
        context.enter();
        Release release = new Release();
        for (CUstream stream : others) {
            release.of(() -> Status.driver(JCudaDriver.cuStreamDestroy(stream), "cuStreamDestroy", "a lane"));
        }
        others.clear();
        if (event != null) {
            release.of(() -> Status.driver(JCudaDriver.cuEventDestroy(event), "cuEventDestroy", "the order of lanes"));
        }
        release.finish();
    }
}
