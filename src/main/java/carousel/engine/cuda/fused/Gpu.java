package carousel.engine.cuda.fused;

import carousel.engine.cuda.CudaContext;
import carousel.engine.cuda.CudaProbe;

/**
 * What decides which kernels a GPU can run.
 *
 * @param capability ten times its compute capability
 * @param multiprocessors each has room for one block of every kernel
 * @param sharedBytes of shared memory that a block may be given where it is asked for
 * @param driver the CUDA version of its driver, 12060 for 12.6
 */
record Gpu(int capability, int multiprocessors, int sharedBytes, int driver) {
    static Gpu of(CudaContext context) {
        return new Gpu(
                context.capability(), context.multiprocessors(), context.sharedBytes(), CudaProbe.driverVersion());
    }

    /** Blocks for each of some cells that run at the same time. */
    int room(int cells) {
        return multiprocessors / cells;
    }
}
