package carousel.engine.cuda;

import carousel.tensor.ElementType;
import carousel.tensor.Storage;
import carousel.tensor.Tensor;

/** A block of device memory. */
public final class DeviceStorage extends Storage {
    /** Where the allocation begins, guards included. */
    private final long allocation;

    private final long address;
    private final long size;
    private long version;
    private int smallest;
    private int largest;

    /**
     * @param allocation what the driver returned
     * @param address of element 0
     * @param size bytes allocated
     */
    DeviceStorage(ElementType type, long elements, long allocation, long address, long size) {
        super(type, elements);
        this.allocation = allocation;
        this.address = address;
        this.size = size;
    }

    /** The address of a tensor's first element. */
    public static long address(Tensor tensor, ElementType type) {
        if (!(tensor.storage() instanceof DeviceStorage device)) {
            throw new IllegalArgumentException(tensor + " lies in another engine's memory: copy it through the host");
        }
        if (device.type() != type) {
            throw new IllegalArgumentException(tensor + " holds " + device.type() + " where " + type + " is needed");
        }
        return device.address + tensor.offset() * type.bytes();
    }

    /** The block of a tensor whose {@link #address} has been asked for. */
    static DeviceStorage of(Tensor tensor) {
        return (DeviceStorage) tensor.storage();
    }

    /** A number that changes whenever the block may have been written to; see {@link #changed}. */
    public static long version(Tensor tensor) {
        return of(tensor).version;
    }

    long allocation() {
        return allocation;
    }

    long address() {
        return address;
    }

    long size() {
        return size;
    }

    /** Marks what was derived from the block as out of date. */
    void changed(long newVersion) {
        version = newVersion;
    }

    /** Forgets the integers that were there. */
    void clearRange() {
        smallest = 0;
        largest = 0;
    }

    /** The integers written to the block lie between the smallest and the largest ever written since it was allocated. */
    void wrote(int[] values) {
        for (int value : values) {
            smallest = Math.min(smallest, value);
            largest = Math.max(largest, value);
        }
    }

    /** Whether every integer ever written since the block was allocated is in {@code [0, limit)}. */
    boolean within(int limit) {
        return smallest >= 0 && largest < limit;
    }
}
