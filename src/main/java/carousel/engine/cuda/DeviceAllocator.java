package carousel.engine.cuda;

import carousel.tensor.Allocator;
import carousel.tensor.ElementType;
import carousel.tensor.MemoryUse;
import carousel.tensor.OutOfTensorMemoryException;
import carousel.tensor.Storage;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayDeque;
import java.util.Collections;
import java.util.Deque;
import java.util.HashMap;
import java.util.IdentityHashMap;
import java.util.Map;
import java.util.Set;
import jcuda.Pointer;
import jcuda.driver.CUdeviceptr;
import jcuda.driver.CUresult;
import jcuda.driver.JCudaDriver;

/**
 * Device memory, pooled by size, so that a training loop asks the driver for nothing once it has settled. Blocks given back are reused
 * by work that comes later in the same stream, so nobody has to wait for the device when a scope closes; other lanes have been joined to
 * that stream before their scopes are closed.
 *
 * <p>With guards on, as in the tests, every block has bands of a known pattern around it that are checked when it is given back, and is
 * filled with numbers that are none before it is used and again after.
 */
final class DeviceAllocator implements Allocator, AutoCloseable {
    /** Addresses are multiples of so many bytes: what every library asks for at most. */
    private static final int ALIGNMENT = 256;
    /** Bytes of a band. */
    private static final int BAND = 256;

    private static final int BAND_WORD = 0x7fc5_a5a5;
    /** As a float or, twice, as a double not a number; as an integer out of every range. */
    private static final int POISON = 0x7ff7_dead;

    private final CudaContext context;
    private final ElementType realType;
    private final boolean guards;
    private final Map<Long, Deque<DeviceStorage>> pool = new HashMap<>();
    /** All that the driver has given and not got back, in scopes or in the pool. */
    private final Set<DeviceStorage> blocks = Collections.newSetFromMap(new IdentityHashMap<>());

    private boolean closed;
    private long inUse;
    private long peak;
    private long pooled;
    private long versions;

    DeviceAllocator(CudaContext context, ElementType realType, boolean guards) {
        this.context = context;
        this.realType = realType;
        this.guards = guards;
    }

    @Override
    public ElementType realType() {
        return realType;
    }

    @Override
    public Storage allocate(String name, ElementType type, long elements) {
        context.enter();
        Deque<DeviceStorage> free = pool.get(key(type, elements));
        DeviceStorage block = free == null ? null : free.pollLast();
        if (block == null) {
            block = create(name, type, elements);
        } else {
            pooled -= block.bytes();
        }
        block.clearRange();
        inUse += block.bytes();
        peak = Math.max(peak, inUse);
        return block;
    }

    @Override
    public void release(Storage storage) {
        DeviceStorage block = (DeviceStorage) storage;
        changed(block);
        inUse -= block.bytes();
        if (closed) {
            // A scope that its engine has not outlived: the memory went with the engine.
            return;
        }
        // Into the pool first: whatever the checks find, the memory is not lost.
        pooled += block.bytes();
        pool.computeIfAbsent(key(block.type(), block.elements()), size -> new ArrayDeque<>())
                .addLast(block);
        if (guards && !context.hangs()) {
            context.enter();
            checkBands(block);
            poison(block);
        }
    }

    /** Nothing to wait for: what is given back is reused later in the same stream. */
    @Override
    public void synchronize() {
        // See the class.
    }

    @Override
    public MemoryUse use() {
        return new MemoryUse(inUse, peak, pooled);
    }

    /** Marks what was derived from a block as out of date: see {@link DeviceStorage#version}. */
    void changed(DeviceStorage block) {
        block.changed(++versions);
    }

    private static long key(ElementType type, long elements) {
        return elements << 3 | type.ordinal();
    }

    private DeviceStorage create(String name, ElementType type, long elements) {
        long bytes = Math.multiplyExact(elements, type.bytes());
        long size = Math.max(ALIGNMENT, (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT) + (guards ? 2 * BAND : 0);
        CUdeviceptr pointer = new CUdeviceptr();
        int status = JCudaDriver.cuMemAlloc(pointer, size);
        if (status == CUresult.CUDA_ERROR_OUT_OF_MEMORY && pooled > 0) {
            // The pool is given up where there is no other way.
            releasePool();
            status = JCudaDriver.cuMemAlloc(pointer, size);
        }
        if (status == CUresult.CUDA_ERROR_OUT_OF_MEMORY) {
            throw outOfMemory(name, size);
        }
        Status.driver(status, "cuMemAlloc", "'%s', %d bytes", name, size);
        long allocation = DevicePointer.address(pointer);
        DeviceStorage block = new DeviceStorage(type, elements, allocation, allocation + (guards ? BAND : 0), size);
        blocks.add(block);
        if (guards) {
            try {
                fill(allocation, size, BAND_WORD);
                poison(block);
            } catch (RuntimeException failure) {
                Release.after(failure, context::synchronize);
                Release.after(failure, () -> free(block));
                throw failure;
            }
        }
        return block;
    }

    private OutOfTensorMemoryException outOfMemory(String name, long size) {
        String free;
        try {
            long[] memory = context.memory();
            free = String.format("%.1f of %.1f MiB", memory[0] / 0x1p20, memory[1] / 0x1p20);
        } catch (RuntimeException unknown) {
            free = "less";
        }
        return new OutOfTensorMemoryException(
                String.format(
                        "'%s' needs %.1f MiB of device memory and %s has %s free: lower the batch size, the time steps or the hidden size",
                        name, size / 0x1p20, context.name(), free),
                null);
    }

    /** The elements and nothing else: what lies between the last of them and the band behind is a part of the band. */
    private void poison(DeviceStorage block) {
        fill(block.address(), (block.bytes() + 3) / 4 * 4, POISON);
    }

    private void fill(long address, long bytes, int word) {
        if (bytes > 0) {
            Status.driver(
                    JCudaDriver.cuMemsetD32Async(new DevicePointer(address), word, bytes / 4, context.stream()),
                    "cuMemsetD32Async",
                    "%d bytes",
                    bytes);
        }
    }

    private void checkBands(DeviceStorage block) {
        long end = block.address() + (block.bytes() + 3) / 4 * 4;
        boolean before = bandIsWhole(block.allocation(), BAND);
        boolean after = bandIsWhole(end, block.allocation() + block.size() - end);
        if (!before || !after) {
            throw new IllegalStateException("memory was written outside of a tensor of " + block.elements() + " "
                    + block.type() + ", " + (before ? "after its end" : "before its start"));
        }
    }

    private boolean bandIsWhole(long address, long bytes) {
        ByteBuffer band = ByteBuffer.allocateDirect((int) bytes).order(ByteOrder.nativeOrder());
        context.synchronize();
        Status.driver(
                JCudaDriver.cuMemcpyDtoH(Pointer.to(band), new DevicePointer(address), bytes),
                "cuMemcpyDtoH",
                "%d bytes of a guard band",
                bytes);
        while (band.hasRemaining()) {
            if (band.getInt() != BAND_WORD) {
                return false;
            }
        }
        return true;
    }

    /** Frees every block in the pool once nothing uses it, whatever fails on the way; then throws the first failure. */
    private void releasePool() {
        Release release = new Release().of(context::synchronize).of(context::forgetRuns);
        pool.values().forEach(free -> free.forEach(block -> release.of(() -> free(block))));
        pool.clear();
        pooled = 0;
        release.finish();
    }

    /** Nothing may be using the block any more. */
    private void free(DeviceStorage block) {
        blocks.remove(block);
        Status.driver(
                JCudaDriver.cuMemFree(new DevicePointer(block.allocation())), "cuMemFree", "%d bytes", block.size());
    }

    /** Gives everything back to the driver, what scopes still hold too. */
    @Override
    public void close() {
        closed = true;
        context.enter();
        pool.clear();
        pooled = 0;
        Release release = new Release().of(context::synchronize);
        for (DeviceStorage block : blocks.toArray(DeviceStorage[]::new)) {
            release.of(() -> free(block));
        }
        release.finish();
    }
}
