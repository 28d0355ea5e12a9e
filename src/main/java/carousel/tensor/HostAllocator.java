package carousel.tensor;

import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.Deque;
import java.util.HashMap;
import java.util.Map;

/**
 * Memory on the Java heap, pooled by size so that a training loop allocates nothing once it has settled.
 *
 * <p>With guards on, as in the tests, every block has bands of a known pattern around it that are checked when it is
 * given back, new blocks are filled with NaN so that an output left unwritten is noticed, and blocks given back are
 * filled with NaN again so that a stale reference is.
 */
public final class HostAllocator implements Allocator {
    private static final int BAND = 16;
    /**
     * Bytes before every block. Arrays in Java begin 16 bytes into an object, and the G1 collector puts a large object at the start
     * of a region and leaves it there: with 48 bytes more, the rows of large tensors lie on cache lines.
     */
    private static final int LEAD = 48;

    /** A NaN with a payload that no arithmetic produces. */
    private static final float FLOAT_BAND = Float.intBitsToFloat(0x7fc5_a5a5);

    private static final double DOUBLE_BAND = Double.longBitsToDouble(0x7ffc_a5a5_a5a5_a5a5L);
    private static final int INTEGER_BAND = 0xa5a5_a5a5;
    private static final int INTEGER_POISON = 0xdead_beef;

    private final ElementType realType;
    private final boolean guards;
    private final long poolLimit = Runtime.getRuntime().maxMemory() / 4;
    private final Map<Long, Deque<HostStorage>> pool = new HashMap<>();
    private long inUse;
    private long peak;
    private long pooled;

    /**
     * @param realType {@link ElementType#FLOAT32} or {@link ElementType#FLOAT64}
     * @param guards whether blocks are surrounded by checked bands and poisoned
     */
    public HostAllocator(ElementType realType, boolean guards) {
        this.realType = realType;
        this.guards = guards;
    }

    @Override
    public ElementType realType() {
        return realType;
    }

    @Override
    public Storage allocate(String name, ElementType type, long elements) {
        Deque<HostStorage> free = pool.get(key(type, elements));
        HostStorage block = free == null ? null : free.pollLast();
        if (block == null) {
            block = create(name, type, elements);
        } else {
            pooled -= block.bytes();
        }
        inUse += block.bytes();
        peak = Math.max(peak, inUse);
        return block;
    }

    @Override
    public void release(Storage storage) {
        HostStorage block = (HostStorage) storage;
        block.changed();
        inUse -= block.bytes();
        if (guards) {
            checkBands(block);
            poison(block);
        }
        if (pooled + block.bytes() <= poolLimit) {
            pooled += block.bytes();
            pool.computeIfAbsent(key(block.type(), block.elements()), size -> new ArrayDeque<>())
                    .addLast(block);
        }
    }

    @Override
    public void synchronize() {
        // Calls of the CPU engines have finished when they return.
    }

    @Override
    public MemoryUse use() {
        return new MemoryUse(inUse, peak, pooled);
    }

    private static long key(ElementType type, long elements) {
        return elements << 3 | type.ordinal();
    }

    private HostStorage create(String name, ElementType type, long elements) {
        int lead = LEAD / type.bytes();
        int band = guards ? BAND : 0;
        if (elements > Integer.MAX_VALUE - 64 - LEAD - 2L * BAND) {
            throw new OutOfTensorMemoryException(
                    "'" + name + "' needs " + elements + " elements and a tensor on the Java heap holds at most 2^31: "
                            + "lower the batch size, the time steps or the hidden size",
                    null);
        }
        int length = lead + (int) elements + 2 * band;
        HostStorage block;
        try {
            block = new HostStorage(type, elements, arrayOrPool(type, length), lead + band);
        } catch (OutOfMemoryError outOfMemory) {
            Runtime runtime = Runtime.getRuntime();
            long free = runtime.maxMemory() - runtime.totalMemory() + runtime.freeMemory();
            throw new OutOfTensorMemoryException(
                    String.format(
                            "'%s' needs %.1f MiB in one piece and the Java heap has %.1f of %.1f MiB free: lower the batch size, the "
                                    + "time steps or the hidden size, or raise the heap with -Xmx",
                            name, elements * type.bytes() / 0x1p20, free / 0x1p20, runtime.maxMemory() / 0x1p20),
                    outOfMemory);
        }
        if (guards) {
            fill(block, 0, length, FLOAT_BAND, DOUBLE_BAND, INTEGER_BAND);
            poison(block);
        }
        return block;
    }

    /** A new array, for which the pool is given up where there is no other way. */
    private Object arrayOrPool(ElementType type, int length) {
        try {
            return array(type, length);
        } catch (OutOfMemoryError full) {
            if (pooled == 0) {
                throw full;
            }
            pool.clear();
            pooled = 0;
            return array(type, length);
        }
    }

    private static Object array(ElementType type, int length) {
        return switch (type) {
            case FLOAT64 -> new double[length];
            case FLOAT32 -> new float[length];
            case INT32 -> new int[length];
            case FLOAT16, BFLOAT16 ->
                throw new IllegalArgumentException("the Java heap holds FLOAT32, FLOAT64 and INT32 but got " + type);
        };
    }

    private static void poison(HostStorage block) {
        int end = block.base() + (int) block.elements();
        fill(block, block.base(), end, Float.NaN, Double.NaN, INTEGER_POISON);
    }

    private static void fill(HostStorage block, int from, int to, float real, double wide, int integer) {
        if (block.array() instanceof float[] floats) {
            Arrays.fill(floats, from, to, real);
        } else if (block.array() instanceof double[] doubles) {
            Arrays.fill(doubles, from, to, wide);
        } else {
            Arrays.fill((int[]) block.array(), from, to, integer);
        }
    }

    private static void checkBands(HostStorage block) {
        int end = block.base() + (int) block.elements();
        for (int k = 0; k < BAND; k++) {
            int before = block.base() - BAND + k;
            if (!isBand(block.array(), before) || !isBand(block.array(), end + k)) {
                throw new IllegalStateException("memory was written outside of a tensor of " + block.elements() + " "
                        + block.type() + ", " + (isBand(block.array(), before) ? "after its end" : "before its start"));
            }
        }
    }

    private static boolean isBand(Object array, int index) {
        if (array instanceof float[] floats) {
            return Float.floatToRawIntBits(floats[index]) == Float.floatToRawIntBits(FLOAT_BAND);
        } else if (array instanceof double[] doubles) {
            return Double.doubleToRawLongBits(doubles[index]) == Double.doubleToRawLongBits(DOUBLE_BAND);
        }
        return ((int[]) array)[index] == INTEGER_BAND;
    }
}
