package carousel.engine.vector;

import carousel.engine.Philox;

/** What one thread works in. Nothing in it outlives a task. */
final class WorkerBuffers {
    /** Sums of a product, pre-activations. */
    final Scratch sums;
    /** The left factor of a product. */
    final Scratch left;
    /** A row of a left factor before it is copied into groups of columns. */
    final Scratch ungrouped;
    /** Four words of random numbers. */
    final int[] words = new int[Philox.WORDS];
    /** Blocks of random numbers for the rows of a tile. */
    final long[] blocks = new long[Kernels.DRAWN + Sequences.TILE * RandomBits.BLOCKS];
    /** What an outer product works in. */
    final Scratch room;
    /** Sums in lanes. */
    final float[] lanes = new float[Kernels.BLOCK];

    final ReadAhead ahead = new ReadAhead();
    /** What passes of a cell with options work on. */
    final CellStep step = new CellStep();

    WorkerBuffers(boolean poisoned) {
        sums = new Scratch(poisoned);
        left = new Scratch(poisoned);
        ungrouped = new Scratch(poisoned);
        room = new Scratch(poisoned);
    }

    long bytes() {
        return sums.bytes() + left.bytes() + ungrouped.bytes() + room.bytes();
    }
}
