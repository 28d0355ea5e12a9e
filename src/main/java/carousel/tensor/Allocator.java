package carousel.tensor;

/** Where a {@link Scope} gets its memory: one per engine. Not thread-safe; an engine is used by one thread at a time. */
public interface Allocator {
    /** The type of the tensors that {@link Scope#allocate} makes. */
    ElementType realType();

    /**
     * A block with unspecified contents. Throws {@link OutOfTensorMemoryException} naming what was asked for, what was
     * free and which setting to lower.
     *
     * @param name what the block is for, used in messages only
     */
    Storage allocate(String name, ElementType type, long elements);

    /** Takes a block back. Nothing queued on the engine may still use it: see {@link #synchronize()}. */
    void release(Storage storage);

    /** Waits until everything queued so far has finished. Does nothing where calls complete before they return. */
    void synchronize();

    MemoryUse use();
}
