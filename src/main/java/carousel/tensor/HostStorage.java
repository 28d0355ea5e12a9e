package carousel.tensor;

/** A block on the Java heap: an array with guard elements before and after what tensors may touch. */
public final class HostStorage extends Storage {
    private final Object array;
    private final int base;

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
