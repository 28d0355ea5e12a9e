package carousel.tensor;

/** A block of memory of one element type, on the host or on a device. Only its {@link Allocator} knows what is inside. */
public abstract class Storage {
    private final ElementType type;
    private final long elements;

    protected Storage(ElementType type, long elements) {
        this.type = type;
        this.elements = elements;
    }

    public final ElementType type() {
        return type;
    }

    public final long elements() {
        return elements;
    }

    public final long bytes() {
        return elements * type.bytes();
    }
}
