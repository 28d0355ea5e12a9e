package carousel.engine.cuda.fused;

import carousel.engine.cuda.CudaContext;

/**
 * What decides which kernels a GPU can run.
 *
 * @param capability ten times its compute capability
 * @param multiprocessors each has room for one block of every kernel
 * @param sharedBytes of shared memory that a block may be given where it is asked for
 */
record Gpu(int capability, int multiprocessors, int sharedBytes) {
    static Gpu of(CudaContext context) {
        return new Gpu(context.capability(), context.multiprocessors(), context.sharedBytes());
    }

    /** Blocks for each of some cells that run at the same time. */
    int room(int cells) {
        return multiprocessors / cells;
    }
}
