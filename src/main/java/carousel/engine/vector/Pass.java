package carousel.engine.vector;

/**
 * One loop of a cell's step over the hidden units of a strip. What a cell computes beyond the plain one is put together from these:
 * see {@link CellPasses}. Like {@link Kernels}, both kinds of passes compute every element by the same operations in the same order.
 *
 * <p>They are called through {@link #run(Pass[], CellStep)} only. That place sees so many of them that the compiler inlines none, and
 * so each keeps its vectors in registers: see {@code SimdCells}.
 */
abstract class Pass {
    abstract void run(CellStep step);

    /** Runs passes one after the other. */
    static void run(Pass[] passes, CellStep step) {
        for (Pass pass : passes) {
            pass.run(step);
        }
    }
}
