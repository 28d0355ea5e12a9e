package carousel.engine.vector;

import java.util.List;

/** What one thread works in. Nothing in it outlives a task. */
final class WorkerBuffers {
    /** The left factor of a product, flat. */
    final RowBuffer left;
    /** The right factor of a product. */
    final Panel right;
    /** Sums of a product; a tile's pre-activations. */
    final RowBuffer sums;
    /** A tile's cell state or its gradient. */
    final RowBuffer cell;
    /** A tile's h or its gradient. */
    final RowBuffer hidden;
    /** A tile's cell outputs before the projection, or their gradient. */
    final RowBuffer projected;

    /** Single rows: the gates i, f, g, o, tanh(c), the previous c; and whatever an elementwise loop copies in and out. */
    final RowBuffer single;

    private final List<RowBuffer> all;
    private int[] indices = new int[0];
    private float[][] selection = new float[0][];

    WorkerBuffers(Kernels kernels, boolean poisoned) {
        left = new RowBuffer(poisoned);
        right = kernels.panel(poisoned);
        sums = new RowBuffer(poisoned);
        cell = new RowBuffer(poisoned);
        hidden = new RowBuffer(poisoned);
        projected = new RowBuffer(poisoned);
        single = new RowBuffer(poisoned);
        all = List.of(left, sums, cell, hidden, projected, single);
    }

    /** At least {@code count} integers. */
    int[] indices(int count) {
        if (indices.length < count) {
            indices = new int[count];
        }
        return indices;
    }

    /** At least {@code count} places for rows chosen from a buffer. */
    float[][] selection(int count) {
        if (selection.length < count) {
            selection = new float[count][];
        }
        return selection;
    }

    long bytes() {
        return right.bytes() + all.stream().mapToLong(RowBuffer::bytes).sum();
    }
}
