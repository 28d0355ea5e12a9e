package carousel.engine.vector;

import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * How this machine multiplies matrices. Both kinds sum every element in the order of the terms with one rounding each, so
 * that they give the same bits; only their speed differs.
 */
interface Kernels {
    /** The module that the faster kernels need, and that a JVM has only where it is asked for. */
    String MODULE = "jdk.incubator.vector";

    /** Floats by which rows of c are padded, at most: see {@link #product}. */
    int PADDING = 64;

    /** For people: how wide the vectors are or who makes them. */
    String description();

    /** An empty right factor in this kernel's order. */
    Panel panel(boolean poisoned);

    /**
     * {@code c[r][j] += sum_k a[first[r] + k] * b[k, j]} for {@code r < rows}, {@code k < depth}, {@code j < columns of b}.
     * What a row of c holds from there on up to the next multiple of {@link #PADDING} may change.
     *
     * @param first where each row of the left factor starts
     * @param b from the same kernels, with {@code depth} rows or more
     * @param c rows of a {@link RowBuffer}
     */
    void product(float[] a, int[] first, Panel b, int depth, float[][] c, int rows);

    /** Those on {@value #MODULE} where the JVM has it, the compiler's otherwise. */
    static Kernels best() {
        return Chosen.KERNELS;
    }

    /** Chosen once in a JVM, so that the hint is logged once. */
    final class Chosen {
        private static final Logger LOG = LoggerFactory.getLogger(Kernels.class);
        private static final Kernels KERNELS = choose();

        private Chosen() {}

        private static Kernels choose() {
            if (ModuleLayer.boot().findModule(MODULE).isPresent()) {
                try {
                    // By name: without the module the class could not be loaded, nor compiled with the others.
                    return (Kernels) Class.forName(Kernels.class.getPackageName() + ".SimdKernels")
                            .getDeclaredConstructor()
                            .newInstance();
                } catch (ReflectiveOperationException impossible) {
                    throw new LinkageError("the kernels on " + MODULE + " are missing from this build", impossible);
                }
            }
            LOG.info("the vector engine is faster with the Java option --add-modules {}", MODULE);
            return new LoopKernels();
        }
    }
}
