/**
 * The float engine for machines without a GPU: blocked, multi-threaded, its matrix products on the Vector API where the JVM
 * has it ({@link carousel.engine.vector.Kernels}), everything else written so that the just-in-time compiler turns its inner
 * loops into vector instructions.
 *
 * <p>That compiler (C2 of JDK 17) vectorises a loop only when it can see that no store of one iteration meets a load of
 * another, and it sees this only where every array in the loop is indexed by the loop variable alone. Hence matrices are
 * worked on as arrays of rows: tensors, which are flat, are copied row by row into {@link
 * carousel.engine.vector.RowBuffer}s on the way in and out. A copy costs a few percent of what is then done with the row.
 */
package carousel.engine.vector;
