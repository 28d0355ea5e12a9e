package carousel.engine.cuda.fused;

import java.util.Map;
import java.util.TreeMap;

/**
 * Where products find what they multiply: in the tensors themselves, or, where they take 16 bits, in rounded copies that lie like the
 * tensors. Whoever writes to a tensor that has a copy says so with {@link #changed}.
 */
final class Operands {
    private static final int NARROW_BYTES = 2;

    /** Rounds so many floats from one address to another. */
    interface Narrowing {
        void narrow(long from, long to, long elements);
    }

    /**
     * A tensor and its copy.
     *
     * @param end of the tensor
     * @param to where the copy begins
     */
    private record Copy(long from, long end, long to) {
        long place(long address) {
            return to + (address - from) / Float.BYTES * NARROW_BYTES;
        }
    }

    private final Narrowing narrowing;
    private final TreeMap<Long, Copy> copies = new TreeMap<>();

    /** @param narrowing null where products take the tensors themselves */
    Operands(Narrowing narrowing) {
        this.narrowing = narrowing;
    }

    /** Whether there are copies at all. */
    boolean narrow() {
        return narrowing != null;
    }

    /** Says where the copy of so many floats lies; another one of the same address is forgotten. */
    void copy(long address, long elements, long to) {
        copies.put(address, new Copy(address, address + elements * Float.BYTES, to));
    }

    /** Brings the copy up to date with so many floats from an address on; what products never read has none. */
    void changed(long address, long elements) {
        Copy copy = find(address);
        if (copy != null && elements > 0) {
            narrowing.narrow(address, copy.place(address), elements);
        }
    }

    /** Where a product finds what lies at an address. */
    long of(long address) {
        if (!narrow()) {
            return address;
        }
        Copy copy = find(address);
        if (copy == null) {
            throw new IllegalStateException("a product reads a tensor of which there is no copy of 16 bits");
        }
        return copy.place(address);
    }

    private Copy find(long address) {
        Map.Entry<Long, Copy> below = copies.floorEntry(address);
        return below != null && address < below.getValue().end() ? below.getValue() : null;
    }
}
