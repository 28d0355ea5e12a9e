package carousel.tensor;

/**
 * What an engine's allocator holds, in bytes.
 *
 * @param inUse bytes of tensors whose scope is open
 * @param peak the largest {@code inUse} so far
 * @param pooled bytes kept for reuse, in no scope
 */
public record MemoryUse(long inUse, long peak, long pooled) {}
