package carousel.engine.cuda;

import carousel.engine.EngineException;
import carousel.engine.EngineOptions;
import java.time.Duration;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.locks.LockSupport;
import jcuda.Pointer;
import jcuda.driver.CUcontext;
import jcuda.driver.CUdevice;
import jcuda.driver.CUdevice_attribute;
import jcuda.driver.CUresult;
import jcuda.driver.CUstream;
import jcuda.driver.CUstream_flags;
import jcuda.driver.JCudaDriver;
import jcuda.jcublas.JCublas2;
import jcuda.jcublas.cublasHandle;
import jcuda.runtime.cudaStream_t;

/**
 * One device as an engine uses it: the driver's primary context, one stream in which everything happens in the order it is asked for
 * but for what goes through {@link Lanes} in between, and cuBLAS on that stream. A context belongs to an operating system's thread: {@link
 * #enter} binds it to the caller's.
 */
public final class CudaContext implements AutoCloseable {
    /** Which device an engine opens, counted from 0 among those that the driver shows. */
    private static final String DEVICE = "carousel.device";

    /** Between two questions whether the device is done. */
    private static final long POLLING_NANOS = 100_000;

    private static final double MILLIS = 1000;

    private final CUdevice device = new CUdevice();
    private final CUcontext context = new CUcontext();
    private final CUstream stream = new CUstream();
    private final cublasHandle blas = new cublasHandle();
    private final String name;
    private final int capability;
    private final int multiprocessors;
    private final int sharedBytes;
    private final int ordinal;
    private CommandQueue queue;
    private boolean retained;
    private boolean streaming;
    private boolean blasOpen;
    /** What is said of a device that has not ended what it was asked for; null of any other. */
    private String hanging;

    /**
     * Opens a device.
     *
     * @param wanted which one; {@link EngineOptions#ANY_DEVICE} is that which the property {@value #DEVICE} names, the first one without it
     */
    CudaContext(int wanted) {
        int[] count = new int[1];
        Status.driver(JCudaDriver.cuDeviceGetCount(count), "cuDeviceGetCount", "this machine");
        ordinal = wanted == EngineOptions.ANY_DEVICE
                ? ordinal("the property " + DEVICE, System.getProperty(DEVICE, "0"), count[0])
                : ordinal("the device", Integer.toString(wanted), count[0]);
        try {
            Status.driver(JCudaDriver.cuDeviceGet(device, ordinal), "cuDeviceGet", "device %d", ordinal);
            byte[] bytes = new byte[256];
            Status.driver(
                    JCudaDriver.cuDeviceGetName(bytes, bytes.length, device), "cuDeviceGetName", "device %d", ordinal);
            int end = 0;
            while (end < bytes.length && bytes[end] != 0) {
                end++;
            }
            name = new String(bytes, 0, end, java.nio.charset.StandardCharsets.UTF_8).strip();
            capability = 10 * attribute(CUdevice_attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)
                    + attribute(CUdevice_attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
            multiprocessors = attribute(CUdevice_attribute.CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
            sharedBytes = attribute(CUdevice_attribute.CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN);
            if (capability < 75) {
                throw new EngineException("the GPU " + name + " has compute capability " + capability / 10 + "."
                        + capability % 10
                        + " where 7.5 or newer is needed: choose the engine 'vector' or another device with -D"
                        + DEVICE + "=N");
            }
            Status.driver(
                    JCudaDriver.cuDevicePrimaryCtxRetain(context, device),
                    "cuDevicePrimaryCtxRetain",
                    "device %d",
                    ordinal);
            retained = true;
            enter();
            Status.driver(
                    JCudaDriver.cuStreamCreate(stream, CUstream_flags.CU_STREAM_NON_BLOCKING),
                    "cuStreamCreate",
                    "device %d",
                    ordinal);
            streaming = true;
            Status.blas(JCublas2.cublasCreate(blas), "cublasCreate", "device %d", ordinal);
            blasOpen = true;
            Status.blas(
                    JCublas2.cublasSetStream(blas, new cudaStream_t(stream)), "cublasSetStream", "device %d", ordinal);
        } catch (RuntimeException | Error failure) {
            Release.after(failure, this::close);
            throw failure;
        }
    }

    private static int ordinal(String what, String text, int count) {
        try {
            int value = Integer.parseInt(text.strip());
            if (value >= 0 && value < count) {
                return value;
            }
        } catch (NumberFormatException notANumber) {
            // Said below.
        }
        // Not a lack of this machine, which auto would pass over, but a setting that is wrong.
        throw new IllegalArgumentException(what + " should be the number of a GPU in the [0, " + (count - 1)
                + "] range but got '" + text + "': leave it out for the first GPU");
    }

    private int attribute(int which) {
        int[] value = new int[1];
        Status.driver(
                JCudaDriver.cuDeviceGetAttribute(value, which, device), "cuDeviceGetAttribute", "device %d", ordinal);
        return value[0];
    }

    /** The device's name, as its maker has it. */
    public String name() {
        return name;
    }

    /** What all times depend on: the device, the driver, and how commands reach it; for a {@link ChoiceMemory}. */
    public String machine() {
        return name + ", driver " + CudaProbe.driverVersion() + ChoiceMemory.settings(List.of(CommandQueue.GRAPHS));
    }

    /** How many multiprocessors the device has. */
    public int multiprocessors() {
        return multiprocessors;
    }

    /** Bytes of shared memory that a block may be given where it is asked for. */
    public int sharedBytes() {
        return sharedBytes;
    }

    /** Ten times the compute capability: 90 for Hopper. */
    public int capability() {
        return capability;
    }

    /**
     * Makes this context the calling thread's. In every call: an engine may be handed to another thread, and others in the process may
     * have bound theirs in the meantime, another device's engine among them.
     */
    public void enter() {
        if (!retained) {
            throw new IllegalStateException("a CUDA engine was used after it was closed");
        }
        if (hangs()) {
            throw new EngineException(hanging);
        }
        bind();
    }

    private void bind() {
        Status.driver(JCudaDriver.cuCtxSetCurrent(context), "cuCtxSetCurrent", "device %d", ordinal);
    }

    /** Where everything happens in turn, for a call to the driver: what was asked for before is handed over first. */
    public CUstream stream() {
        handOver();
        return stream;
    }

    /**
     * The same for a call that writes to one block only: where nothing that waits has to do with the block, the call may go before it,
     * and a step's uploads do not cut its commands into pieces.
     */
    CUstream streamFor(DeviceStorage block) {
        if (queue != null && queue.touches(block.allocation(), block.allocation() + block.size())) {
            handOver();
        }
        return stream;
    }

    /** The same for what hands over by itself. */
    CUstream plainStream() {
        return stream;
    }

    /** Gives the device what is waiting on the host: to be called before whatever reaches the stream by another way. */
    public void handOver() {
        if (queue != null) {
            queue.flush();
        }
    }

    /** To be called before memory goes back to the driver. */
    void forgetRuns() {
        if (queue != null) {
            queue.forgetRuns();
        }
    }

    /** Whose commands go before those of others. */
    void queue(CommandQueue newQueue) {
        queue = newQueue;
    }

    /** The stream for a library's handle. */
    public cudaStream_t runtimeStream() {
        return new cudaStream_t(stream);
    }

    cublasHandle blas() {
        return blas;
    }

    /** Waits until all that was asked for is done, and throws what went wrong with it. */
    public void synchronize() {
        enter();
        handOver();
        Status.driver(
                JCudaDriver.cuStreamSynchronize(stream),
                "cuStreamSynchronize",
                "the work asked for before, on device %d",
                ordinal);
    }

    /**
     * The same, for what may never end. If it has not ended after so long, this call is an {@link EngineException}, and so are all that come
     * after it while it runs: nothing waits for the device any more.
     *
     * @param remedy the end of the exception's sentence
     */
    public void synchronize(Duration limit, String remedy) {
        enter();
        handOver();
        long begin = System.nanoTime();
        while (busy()) {
            if (System.nanoTime() - begin > limit.toNanos()) {
                hanging = String.format(
                        Locale.ROOT,
                        "a kernel on %s has not ended after %.1f s and holds the GPU until this program ends: %s",
                        name,
                        limit.toMillis() / MILLIS,
                        remedy);
                throw new EngineException(hanging);
            }
            LockSupport.parkNanos(POLLING_NANOS);
        }
        synchronize();
    }

    private boolean busy() {
        return JCudaDriver.cuStreamQuery(stream) == CUresult.CUDA_ERROR_NOT_READY;
    }

    /**
     * Whether the device still has not ended what it was given too long for. Then nothing may be given back: freeing, unloading and
     * destroying wait for the device. The end of the process gives back all there is.
     */
    boolean hangs() {
        if (hanging == null) {
            return false;
        }
        bind();
        if (!busy()) {
            hanging = null;
        }
        return hanging != null;
    }

    /** Bytes free and in all. */
    long[] memory() {
        long[] free = new long[1];
        long[] total = new long[1];
        Status.driver(JCudaDriver.cuMemGetInfo(free, total), "cuMemGetInfo", "device %d", ordinal);
        return new long[] {free[0], total[0]};
    }

    /** Pinned host memory, which copies can read and write while the host goes on. */
    public Pointer allocatePinned(long bytes) {
        Pointer pinned = new Pointer();
        Status.driver(JCudaDriver.cuMemAllocHost(pinned, bytes), "cuMemAllocHost", "%d bytes", bytes);
        return pinned;
    }

    /** Releases all there is, whatever fails on the way; then throws the first failure. */
    @Override
    public void close() {
        if (!retained) {
            return;
        }
        Release release = new Release();
        release.of(this::enter);
        if (blasOpen) {
            release.of(() -> Status.blas(JCublas2.cublasDestroy(blas), "cublasDestroy", "device %d", ordinal));
        }
        if (streaming) {
            release.of(
                    () -> Status.driver(JCudaDriver.cuStreamDestroy(stream), "cuStreamDestroy", "device %d", ordinal));
        }
        retained = false;
        release.of(() -> Status.driver(
                JCudaDriver.cuDevicePrimaryCtxRelease(device), "cuDevicePrimaryCtxRelease", "device %d", ordinal));
        release.finish();
    }
}
