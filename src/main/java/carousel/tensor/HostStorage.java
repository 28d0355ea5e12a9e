package carousel.tensor;

import java.util.concurrent.atomic.AtomicLong;

/** A block on the Java heap: an array with guard elements before and after what tensors may touch. */
public final class HostStorage extends Storage {
    private static final AtomicLong NUMBERS = new AtomicLong();

    private final Object array;
    private final int base;
    private final long identity = NUMBERS.incrementAndGet();
    private long version;

    HostStorage(ElementType type, long elements, Object array, int base) {
        super(type, elements);
        this.array = array;
        this.base = base;
    }

    /** The array of a tensor of doubles. */
    public static double[] doubles(Tensor tensor) {
        return (double[]) array(tensor, ElementType.FLOAT64);
    }

    /** The array of a tensor of floats. */
    public static float[] floats(Tensor tensor) {
        return (float[]) array(tensor, ElementType.FLOAT32);
    }

    /** The array of a tensor of integers. */
    public static int[] integers(Tensor tensor) {
        return (int[]) array(tensor, ElementType.INT32);
    }

    /** Where the tensor's first element lies in its array. */
    public static int start(Tensor tensor) {
        return ((HostStorage) tensor.storage()).base + Math.toIntExact(tensor.offset());
    }

    /** A number that no other block has. */
    public static long identity(Tensor tensor) {
        return ((HostStorage) tensor.storage()).identity;
    }

    /**
     * A number that changes whenever something may have been written to the tensor's block: what was derived from its elements holds
     * as long as this stays.
     */
    public static long version(Tensor tensor) {
        return ((HostStorage) tensor.storage()).version;
    }

    /** For engines, whenever they write to a tensor: see {@link #version}. Null, for outputs that are not wanted, does nothing. */
    public static void changed(Tensor tensor) {
        if (tensor != null) {
            ((HostStorage) tensor.storage()).changed();
        }
    }

    void changed() {
        version = NUMBERS.incrementAndGet();
    }

    private static Object array(Tensor tensor, ElementType type) {
        Storage storage = tensor.storage();
        if (!(storage instanceof HostStorage host)) {
            throw new IllegalArgumentException(tensor + " lies in another engine's memory: copy it through the host");
        }
        if (storage.type() != type) {
            throw new IllegalArgumentException(tensor + " holds " + storage.type() + " where " + type + " is needed");
        }
        return host.array;
    }

    Object array() {
        return array;
    }

    int base() {
        return base;
    }
}
