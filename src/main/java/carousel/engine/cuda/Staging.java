package carousel.engine.cuda;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.function.ObjIntConsumer;
import jcuda.Pointer;
import jcuda.driver.CUevent;
import jcuda.driver.CUevent_flags;
import jcuda.driver.CUstream;
import jcuda.driver.JCudaDriver;

/**
 * Moves numbers between Java arrays and the device through pinned memory, in two slots in turn: while the device takes one, the host
 * fills the other. Uploads return before they are done; downloads wait.
 */
final class Staging implements AutoCloseable {
    /** Bytes of a slot to begin with. */
    static final int SLOT = 1 << 20;
    /** A slot grows to what is uploaded at once, up to this: a batch in several pieces would wait for the device to take the first. */
    private static final int LARGEST_SLOT = 1 << 26;

    private static final int SLOTS = 2;

    private final CudaContext context;
    private final Pointer[] pinned = new Pointer[SLOTS];
    private final ByteBuffer[] buffers = new ByteBuffer[SLOTS];
    private final CUevent[] taken = new CUevent[SLOTS];
    private int next;

    Staging(CudaContext context) {
        this.context = context;
        try {
            for (int slot = 0; slot < SLOTS; slot++) {
                pinned[slot] = context.allocatePinned(SLOT);
                buffers[slot] = pinned[slot].getByteBuffer(0, SLOT).order(ByteOrder.nativeOrder());
                CUevent event = new CUevent();
                Status.driver(
                        JCudaDriver.cuEventCreate(event, CUevent_flags.CU_EVENT_DISABLE_TIMING),
                        "cuEventCreate",
                        "slot %d",
                        slot);
                taken[slot] = event;
            }
        } catch (RuntimeException failure) {
            Release.after(failure, this::close);
            throw failure;
        }
    }

    /**
     * Copies {@code count} elements of so many bytes to an address in a block.
     *
     * @param fill puts elements from an index on into a buffer, as many as fit between its position and its limit
     */
    void upload(DeviceStorage block, long address, long count, int bytes, ObjIntConsumer<ByteBuffer> fill) {
        int size = SLOT;
        while (size < LARGEST_SLOT && size < count * bytes) {
            size *= 2;
        }
        int most = size / bytes;
        CUstream stream = context.streamFor(block);
        for (long from = 0; from < count; from += most) {
            int part = (int) Math.min(most, count - from);
            int slot = next;
            next = (next + 1) % SLOTS;
            Status.driver(JCudaDriver.cuEventSynchronize(taken[slot]), "cuEventSynchronize", "an upload");
            grow(slot, size);
            ByteBuffer buffer = buffers[slot].clear().limit(part * bytes);
            fill.accept(buffer, (int) from);
            Status.driver(
                    JCudaDriver.cuMemcpyHtoDAsync(
                            new DevicePointer(address + from * bytes), pinned[slot], (long) part * bytes, stream),
                    "cuMemcpyHtoDAsync",
                    "%d bytes",
                    part * bytes);
            Status.driver(JCudaDriver.cuEventRecord(taken[slot], stream), "cuEventRecord", "an upload");
        }
    }

    /** Gives a slot that nothing uses any more so many bytes at least. */
    private void grow(int slot, int size) {
        if (buffers[slot].capacity() < size) {
            Pointer old = pinned[slot];
            pinned[slot] = context.allocatePinned(size);
            buffers[slot] = pinned[slot].getByteBuffer(0, size).order(ByteOrder.nativeOrder());
            Status.driver(JCudaDriver.cuMemFreeHost(old), "cuMemFreeHost", "a slot that is too small");
        }
    }

    /**
     * Copies {@code count} elements of so many bytes from an address, and waits for them.
     *
     * @param drain takes elements from an index on out of a buffer
     */
    void download(long address, long count, int bytes, ObjIntConsumer<ByteBuffer> drain) {
        int most = SLOT / bytes;
        for (long from = 0; from < count; from += most) {
            int part = (int) Math.min(most, count - from);
            // An upload of this slot that is still under way is done when the download is: they go through one stream.
            Status.driver(
                    JCudaDriver.cuMemcpyDtoHAsync(
                            pinned[next],
                            new DevicePointer(address + from * bytes),
                            (long) part * bytes,
                            context.stream()),
                    "cuMemcpyDtoHAsync",
                    "%d bytes",
                    part * bytes);
            context.synchronize();
            drain.accept(buffers[next].clear().limit(part * bytes), (int) from);
        }
    }

    @Override
    public void close() {
        Release release = new Release();
        for (int slot = 0; slot < SLOTS; slot++) {
            CUevent event = taken[slot];
            Pointer memory = pinned[slot];
            if (event != null) {
                release.of(() -> Status.driver(JCudaDriver.cuEventDestroy(event), "cuEventDestroy", "an upload"));
            }
            if (memory != null) {
                release.of(() -> Status.driver(JCudaDriver.cuMemFreeHost(memory), "cuMemFreeHost", "a slot"));
            }
        }
        release.finish();
    }
}
