package carousel.format.onnx;

import carousel.tensor.Shape;
import java.util.Arrays;

/** Walks over tensors in an order that is not theirs: how far apart in memory neighbours along each dimension are. */
final class Strides {
    private Strides() {}

    /** What is done with one row of the walked shape. */
    @FunctionalInterface
    interface Row {
        /**
         * @param first the row's first element in a row-major tensor of the walked shape
         * @param starts the row's first element in each of the other tensors
         */
        void run(int first, int[] starts);
    }

    /** Those of a row-major tensor. */
    static int[] of(Shape shape) {
        int[] strides = new int[shape.rank()];
        int stride = 1;
        for (int k = shape.rank() - 1; k >= 0; k--) {
            strides[k] = stride;
            stride *= shape.extent(k);
        }
        return strides;
    }

    /** Those of a tensor that is repeated along the dimensions of {@code wide} that it does not have or has once. */
    static int[] repeated(Shape shape, Shape wide) {
        int[] own = of(shape);
        int[] strides = new int[wide.rank()];
        int offset = wide.rank() - shape.rank();
        for (int k = 0; k < shape.rank(); k++) {
            strides[offset + k] = shape.extent(k) == 1 ? 0 : own[k];
        }
        return strides;
    }

    /** The shape of a value for each pair of elements of both, each being repeated where the other is wider. */
    static Shape broadcast(Shape a, Shape b) {
        int[] extents = new int[Math.max(a.rank(), b.rank())];
        for (int k = 1; k <= extents.length; k++) {
            int first = k <= a.rank() ? a.extent(a.rank() - k) : 1;
            int second = k <= b.rank() ? b.extent(b.rank() - k) : 1;
            if (first != second && first != 1 && second != 1) {
                throw new IllegalArgumentException("reads tensors " + a + " and " + b
                        + ", whose extents should be equal or 1 from the last dimension on");
            }
            extents[extents.length - k] = first == 1 ? second : first;
        }
        return Shape.of(extents);
    }

    /** The length of a row: the last extent, or 1 for a single number. */
    static int row(Shape shape) {
        return shape.rank() == 0 ? 1 : shape.extent(shape.rank() - 1);
    }

    /** The step along a row of a tensor. */
    static int step(int[] strides) {
        return strides.length == 0 ? 0 : strides[strides.length - 1];
    }

    /**
     * Goes over all rows of a shape.
     *
     * @param bases for each other tensor, where its walk begins
     * @param strides for each other tensor, one step for each dimension of the shape
     */
    static void walk(Shape shape, int[] bases, int[][] strides, Row row) {
        if (shape.elements() == 0) {
            return;
        }
        int outer = Math.max(0, shape.rank() - 1);
        int length = row(shape);
        int[] place = new int[outer];
        int[] starts = bases.clone();
        int first = 0;
        while (true) {
            row.run(first, starts);
            first += length;
            int k = outer - 1;
            while (k >= 0 && place[k] == shape.extent(k) - 1) {
                for (int t = 0; t < starts.length; t++) {
                    starts[t] -= place[k] * strides[t][k];
                }
                place[k] = 0;
                k--;
            }
            if (k < 0) {
                return;
            }
            place[k]++;
            for (int t = 0; t < starts.length; t++) {
                starts[t] += strides[t][k];
            }
        }
    }

    /** A new tensor of this shape whose elements are picked from {@code value} by strides. */
    static OnnxValue pick(Run run, OnnxValue value, Shape shape, int base, int[] strides) {
        Object to = run.array(value, shape);
        Object from = value.array();
        int length = row(shape);
        int step = step(strides);
        walk(shape, new int[] {base}, new int[][] {strides}, (first, starts) -> {
            if (step == 1) {
                System.arraycopy(from, starts[0], to, first, length);
            } else if (from instanceof double[] source) {
                double[] target = (double[]) to;
                for (int k = 0; k < length; k++) {
                    target[first + k] = source[starts[0] + k * step];
                }
            } else {
                long[] source = (long[]) from;
                long[] target = (long[]) to;
                for (int k = 0; k < length; k++) {
                    target[first + k] = source[starts[0] + k * step];
                }
            }
        });
        return value.like(shape, to);
    }

    /** A dimension that may be counted from the end. */
    static int axis(long axis, int rank) {
        if (axis < -rank || axis >= rank) {
            throw new IllegalArgumentException("has the axis " + axis + " but it should be in the [" + -rank + ", "
                    + (rank - 1) + "] range for a tensor of " + rank + " dimensions");
        }
        return (int) (axis < 0 ? axis + rank : axis);
    }

    /** For each dimension whether it is among these axes. */
    static boolean[] axes(long[] axes, int rank) {
        boolean[] chosen = new boolean[rank];
        for (long axis : axes) {
            int k = axis(axis, rank);
            if (chosen[k]) {
                throw new IllegalArgumentException("names the axis " + axis + " twice in " + Arrays.toString(axes));
            }
            chosen[k] = true;
        }
        return chosen;
    }

    /** The product of extents {@code from} to {@code to - 1}. */
    static int product(Shape shape, int from, int to) {
        int product = 1;
        for (int k = from; k < to; k++) {
            product *= shape.extent(k);
        }
        return product;
    }
}
