/**
 * The seam in single precision on all processors. {@link carousel.engine.vector.Kernels} are the innermost loops, on the Vector API
 * where the JVM has its module and otherwise on loops for its compiler, with the same bits; all that is above them moves data into
 * the one layout that they share, and shares work out among threads.
 *
 * <p>Hidden units are worked on in strips of 16: the four gates of 16 units are one strip of the packed weights, so that one
 * product leaves a step's pre-activations where the cell's update finds them, and in the tape, so that the weight gradients read
 * them where they are. Nothing depends on the width of the processor's vectors but speed.
 *
 * <p>Classes whose name begins with {@code Simd} are the only ones that may touch {@code jdk.incubator.vector}. A vector lives in a
 * register only as a local variable of one compiled method: what the compiler does not inline it allocates. Hence blocks that are
 * written out, and methods that evaluate one function.
 */
package carousel.engine.vector;
