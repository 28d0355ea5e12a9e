package carousel.engine.vector;

import carousel.tensor.HostStorage;
import carousel.tensor.Tensor;

/** Where the rows of a tensor {@code [., N, width]} lie in its array. */
record Rows(float[] values, int start, int batchSize, int width) {
    static Rows of(Tensor tensor) {
        return new Rows(
                HostStorage.floats(tensor),
                HostStorage.start(tensor),
                tensor.shape().extent(1),
                tensor.shape().extent(2));
    }

    /** For tensors that may be missing. */
    static Rows ofNullable(Tensor tensor) {
        return tensor == null ? null : of(tensor);
    }

    /** The first element of row {@code [outer, n]}. */
    int at(int outer, int n) {
        return start + (outer * batchSize + n) * width;
    }
}
