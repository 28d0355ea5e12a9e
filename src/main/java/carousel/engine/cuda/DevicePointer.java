package carousel.engine.cuda;

import jcuda.Pointer;
import jcuda.driver.CUdeviceptr;

/** An address of device memory, or in pinned host memory, as JCuda's calls take it. */
public final class DevicePointer extends CUdeviceptr {
    /** No address. JCuda throws for a null reference in some places, and takes this. */
    public static final DevicePointer NULL = new DevicePointer(0);

    public DevicePointer(long address) {
        super(new CUdeviceptr(), address);
    }

    /** The address behind what an allocation returned. */
    public static long address(Pointer allocated) {
        return new Reader(allocated).address();
    }

    /** JCuda keeps the address protected. */
    private static final class Reader extends Pointer {
        Reader(Pointer pointer) {
            super(pointer);
        }

        long address() {
            return getNativePointer() + getByteOffset();
        }
    }
}
