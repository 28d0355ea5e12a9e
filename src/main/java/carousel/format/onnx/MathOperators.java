package carousel.format.onnx;

import carousel.tensor.Shape;
import java.util.Arrays;
import java.util.function.DoubleBinaryOperator;
import java.util.function.DoubleUnaryOperator;
import java.util.function.LongBinaryOperator;

/** The operators that compute, in double precision whatever the type; results are rounded to the type. */
final class MathOperators {
    private MathOperators() {}

    private static OnnxValue[] one(OnnxValue value) {
        return new OnnxValue[] {value};
    }

    /** One number at a time. */
    static Operation unary(OnnxNode node, DoubleUnaryOperator function) {
        node.requireInputs(1, 1);
        return (run, in) -> {
            double[] x = in[0].real();
            double[] y = run.reals(in[0].shape());
            Arrays.setAll(y, k -> function.applyAsDouble(x[k]));
            return one(OnnxValue.reals(in[0].type(), in[0].shape(), y));
        };
    }

    static double sigmoid(double x) {
        return 1 / (1 + Math.exp(-x));
    }

    static Operation relu(OnnxNode node) {
        return unary(node, x -> x < 0 ? 0 : x);
    }

    static Operation leakyRelu(OnnxNode node) {
        double alpha = node.real("alpha", 0.01f);
        return unary(node, x -> x < 0 ? alpha * x : x);
    }

    static Operation elu(OnnxNode node) {
        double alpha = node.real("alpha", 1);
        return unary(node, x -> x < 0 ? alpha * Math.expm1(x) : x);
    }

    static Operation hardSigmoid(OnnxNode node) {
        double alpha = node.real("alpha", 0.2f);
        double beta = node.real("beta", 0.5f);
        return unary(node, x -> Math.max(0, Math.min(1, alpha * x + beta)));
    }

    static Operation softplus(OnnxNode node) {
        return unary(node, x -> Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))));
    }

    static Operation clip(OnnxNode node) {
        boolean input = node.opset() >= 11;
        double least = input ? Double.NEGATIVE_INFINITY : node.real("min", Double.NEGATIVE_INFINITY);
        double most = input ? Double.POSITIVE_INFINITY : node.real("max", Double.POSITIVE_INFINITY);
        node.requireInputs(1, input ? 3 : 1);
        return (run, in) -> {
            double from = in[1] == null ? least : single(in[1]);
            double to = in[2] == null ? most : single(in[2]);
            double[] x = in[0].real();
            double[] y = run.reals(in[0].shape());
            Arrays.setAll(y, k -> Math.min(to, Math.max(from, x[k])));
            return one(OnnxValue.reals(in[0].type(), in[0].shape(), y));
        };
    }

    private static double single(OnnxValue value) {
        if (value.elements() != 1) {
            throw new IllegalArgumentException("needs a single number but got " + value);
        }
        return value.real()[0];
    }

    /** Two numbers at a time, each tensor being repeated where the other is wider. */
    static Operation arithmetic(OnnxNode node, DoubleBinaryOperator reals, LongBinaryOperator integers) {
        node.requireInputs(2, 2);
        return (run, in) -> {
            OnnxValue a = in[0];
            OnnxValue b = in[1];
            requireSameType(a, b);
            if (a.type() == OnnxType.BOOL) {
                throw new IllegalArgumentException("does not compute with truth values but got " + a);
            }
            Shape shape = Strides.broadcast(a.shape(), b.shape());
            if (a.type().real()) {
                double[] x = a.real();
                double[] y = b.real();
                double[] z = run.reals(shape);
                pairs(shape, a, b, (k, i, j) -> z[k] = reals.applyAsDouble(x[i], y[j]));
                return one(OnnxValue.reals(a.type(), shape, z));
            }
            long[] x = a.whole();
            long[] y = b.whole();
            long[] z = run.integers(shape);
            pairs(shape, a, b, (k, i, j) -> z[k] = integers.applyAsLong(x[i], y[j]));
            return one(OnnxValue.integers(a.type(), shape, z));
        };
    }

    static long divide(long a, long b) {
        if (b == 0) {
            throw new IllegalArgumentException("divides the integer " + a + " by 0");
        }
        return a / b;
    }

    /** Whether two numbers stand in a relation. */
    @FunctionalInterface
    interface Relation {
        boolean holds(int comparison);
    }

    static Operation compare(OnnxNode node, Relation relation) {
        node.requireInputs(2, 2);
        return (run, in) -> {
            OnnxValue a = in[0];
            OnnxValue b = in[1];
            requireSameType(a, b);
            Shape shape = Strides.broadcast(a.shape(), b.shape());
            long[] z = run.integers(shape);
            if (a.type().real()) {
                double[] x = a.real();
                double[] y = b.real();
                // As numbers: the two zeros are equal, and NaN stands in no relation.
                pairs(
                        shape,
                        a,
                        b,
                        (k, i, j) -> z[k] =
                                x[i] == x[i] && y[j] == y[j] && relation.holds(x[i] < y[j] ? -1 : x[i] > y[j] ? 1 : 0)
                                        ? 1
                                        : 0);
            } else {
                long[] x = a.whole();
                long[] y = b.whole();
                pairs(shape, a, b, (k, i, j) -> z[k] = relation.holds(Long.compare(x[i], y[j])) ? 1 : 0);
            }
            return one(OnnxValue.integers(OnnxType.BOOL, shape, z));
        };
    }

    static Operation logical(OnnxNode node, LongBinaryOperator function) {
        node.requireInputs(2, 2);
        return (run, in) -> {
            long[] x = truth(in[0]);
            long[] y = truth(in[1]);
            Shape shape = Strides.broadcast(in[0].shape(), in[1].shape());
            long[] z = run.integers(shape);
            pairs(shape, in[0], in[1], (k, i, j) -> z[k] = function.applyAsLong(x[i], y[j]));
            return one(OnnxValue.integers(OnnxType.BOOL, shape, z));
        };
    }

    static Operation not(OnnxNode node) {
        node.requireInputs(1, 1);
        return (run, in) -> {
            long[] x = truth(in[0]);
            long[] y = run.integers(in[0].shape());
            Arrays.setAll(y, k -> 1 - x[k]);
            return one(OnnxValue.integers(OnnxType.BOOL, in[0].shape(), y));
        };
    }

    private static long[] truth(OnnxValue value) {
        if (value.type() != OnnxType.BOOL) {
            throw new IllegalArgumentException("reads truth values but got " + value);
        }
        return value.whole();
    }

    private static void requireSameType(OnnxValue a, OnnxValue b) {
        if (a.type() != b.type()) {
            throw new IllegalArgumentException("reads " + a + " and " + b + ", which should be of one type");
        }
    }

    @FunctionalInterface
    private interface Pair {
        void run(int k, int i, int j);
    }

    private static void pairs(Shape shape, OnnxValue a, OnnxValue b, Pair pair) {
        int[][] strides = {Strides.repeated(a.shape(), shape), Strides.repeated(b.shape(), shape)};
        int length = Strides.row(shape);
        int first = Strides.step(strides[0]);
        int second = Strides.step(strides[1]);
        Strides.walk(shape, new int[2], strides, (at, starts) -> {
            for (int k = 0; k < length; k++) {
                pair.run(at + k, starts[0] + k * first, starts[1] + k * second);
            }
        });
    }

    static Operation where(OnnxNode node) {
        node.requireInputs(3, 3);
        return (run, in) -> {
            long[] condition = truth(in[0]);
            requireSameType(in[1], in[2]);
            Shape shape = Strides.broadcast(in[0].shape(), Strides.broadcast(in[1].shape(), in[2].shape()));
            run.require(shape);
            OnnxValue yes = Strides.pick(run, in[1], shape, 0, Strides.repeated(in[1].shape(), shape));
            OnnxValue no = Strides.pick(run, in[2], shape, 0, Strides.repeated(in[2].shape(), shape));
            Object to = run.array(in[1], shape);
            pairs(
                    shape,
                    in[0],
                    no,
                    (k, i, j) -> System.arraycopy(condition[i] != 0 ? yes.array() : no.array(), k, to, k, 1));
            return one(in[1].like(shape, to));
        };
    }

    static Operation cast(OnnxNode node) {
        node.requireInputs(1, 1);
        if (!node.has("to")) {
            throw node.refused("lacks its attribute to");
        }
        if (node.opset() >= 19) {
            // Concerns 8-bit types only.
            node.integer("saturate", 1);
        }
        OnnxType type;
        try {
            long code = node.integer("to", 0);
            type = OnnxType.of(code == (int) code ? (int) code : 0);
        } catch (IllegalArgumentException e) {
            throw node.refused("cannot be run: " + e.getMessage());
        }
        return (run, in) -> {
            Shape shape = in[0].shape();
            if (type.real()) {
                double[] y = run.reals(shape);
                if (in[0].type().real()) {
                    System.arraycopy(in[0].real(), 0, y, 0, y.length);
                } else {
                    long[] x = in[0].whole();
                    Arrays.setAll(y, k -> x[k]);
                }
                return one(OnnxValue.reals(type, shape, y));
            }
            long[] y = run.integers(shape);
            if (in[0].type().real()) {
                double[] x = in[0].real();
                Arrays.setAll(y, k -> type == OnnxType.BOOL ? (x[k] == 0 ? 0 : 1) : (long) x[k]);
            } else {
                System.arraycopy(in[0].whole(), 0, y, 0, y.length);
            }
            return one(OnnxValue.integers(type, shape, y));
        };
    }

    /** The product of matrices as in NumPy: vectors count as matrices of one row or column, further dimensions repeat. */
    static Operation matMul(OnnxNode node) {
        node.requireInputs(2, 2);
        return (run, in) -> {
            requireSameType(in[0], in[1]);
            Shape a = in[0].shape();
            Shape b = in[1].shape();
            if (a.rank() == 0 || b.rank() == 0) {
                throw new IllegalArgumentException("multiplies matrices but got tensors " + a + " and " + b);
            }
            Shape left = a.rank() == 1 ? Shape.of(1, a.extent(0)) : a;
            Shape right = b.rank() == 1 ? Shape.of(b.extent(0), 1) : b;
            int rows = left.extent(left.rank() - 2);
            int inner = left.extent(left.rank() - 1);
            int columns = right.extent(right.rank() - 1);
            if (right.extent(right.rank() - 2) != inner) {
                throw new IllegalArgumentException("multiplies tensors " + a + " and " + b
                        + ", whose inner extents differ: " + inner + " and " + right.extent(right.rank() - 2));
            }
            Shape outer = Strides.broadcast(outer(left), outer(right));
            int[] extents = Arrays.copyOf(outer.toArray(), outer.rank() + 2);
            extents[outer.rank()] = rows;
            extents[outer.rank() + 1] = columns;
            double[] x = in[0].real();
            double[] y = in[1].real();
            double[] z = run.reals(Shape.of(extents));
            int[][] strides = {Strides.repeated(outer(left), outer), Strides.repeated(outer(right), outer)};
            int length = Strides.row(outer);
            if (z.length > 0 && inner > 0) {
                Strides.walk(outer, new int[2], strides, (first, starts) -> {
                    for (int k = 0; k < length; k++) {
                        product(
                                x,
                                (starts[0] + k * Strides.step(strides[0])) * rows * inner,
                                inner,
                                1,
                                y,
                                (starts[1] + k * Strides.step(strides[1])) * inner * columns,
                                columns,
                                1,
                                z,
                                (first + k) * rows * columns,
                                rows,
                                inner,
                                columns);
                    }
                });
            }
            Shape shape = Shape.of(withoutAdded(extents, a.rank() == 1, b.rank() == 1));
            return one(OnnxValue.reals(in[0].type(), shape, z));
        };
    }

    private static Shape outer(Shape shape) {
        return Shape.of(Arrays.copyOf(shape.toArray(), shape.rank() - 2));
    }

    private static int[] withoutAdded(int[] extents, boolean row, boolean column) {
        int outer = extents.length - 2;
        int[] kept = Arrays.copyOf(extents, outer + (row ? 0 : 1) + (column ? 0 : 1));
        if (row && !column) {
            kept[outer] = extents[outer + 1];
        }
        return kept;
    }

    /** {@code z[m, n] += sum_k x[m, k] y[k, n]}, row by row. */
    private static void product(
            double[] x,
            int xFirst,
            int xRow,
            int xColumn,
            double[] y,
            int yFirst,
            int yRow,
            int yColumn,
            double[] z,
            int zFirst,
            int rows,
            int inner,
            int columns) {
        for (int m = 0; m < rows; m++) {
            for (int k = 0; k < inner; k++) {
                double factor = x[xFirst + m * xRow + k * xColumn];
                int from = yFirst + k * yRow;
                int to = zFirst + m * columns;
                for (int n = 0; n < columns; n++) {
                    z[to + n] += factor * y[from + n * yColumn];
                }
            }
        }
    }

    /** {@code alpha A B + beta C}. */
    static Operation gemm(OnnxNode node) {
        node.requireInputs(node.opset() >= 11 ? 2 : 3, 3);
        double alpha = node.real("alpha", 1);
        double beta = node.real("beta", 1);
        boolean transA = node.flag("transA");
        boolean transB = node.flag("transB");
        return (run, in) -> {
            requireSameType(in[0], in[1]);
            Shape a = in[0].shape();
            Shape b = in[1].shape();
            if (a.rank() != 2 || b.rank() != 2) {
                throw new IllegalArgumentException("multiplies two matrices but got tensors " + a + " and " + b);
            }
            int rows = a.extent(transA ? 1 : 0);
            int inner = a.extent(transA ? 0 : 1);
            int columns = b.extent(transB ? 0 : 1);
            if (b.extent(transB ? 1 : 0) != inner) {
                throw new IllegalArgumentException("multiplies matrices " + a + (transA ? " transposed" : "") + " and "
                        + b + (transB ? " transposed" : "") + ", whose inner extents differ");
            }
            Shape shape = Shape.of(rows, columns);
            double[] z = run.reals(shape);
            if (z.length > 0) {
                product(
                        in[0].real(),
                        0,
                        transA ? 1 : inner,
                        transA ? rows : 1,
                        in[1].real(),
                        0,
                        transB ? 1 : columns,
                        transB ? inner : 1,
                        z,
                        0,
                        rows,
                        inner,
                        columns);
            }
            for (int k = 0; k < z.length; k++) {
                z[k] *= alpha;
            }
            if (in[2] != null) {
                requireSameType(in[0], in[2]);
                if (!Strides.broadcast(in[2].shape(), shape).equals(shape)) {
                    throw new IllegalArgumentException(
                            "adds a tensor " + in[2].shape() + ", which does not fit the product " + shape);
                }
                double[] c = in[2].real();
                int[] strides = Strides.repeated(in[2].shape(), shape);
                Strides.walk(shape, new int[1], new int[][] {strides}, (first, starts) -> {
                    for (int n = 0; n < columns; n++) {
                        z[first + n] += beta * c[starts[0] + n * strides[1]];
                    }
                });
            }
            return one(OnnxValue.reals(in[0].type(), shape, z));
        };
    }

    /** Along one axis; before version 13 of the operators along all from that axis on. */
    static Operation softmax(OnnxNode node, boolean logarithm) {
        node.requireInputs(1, 1);
        boolean single = node.opset() >= 13;
        long attribute = node.integer("axis", single ? -1 : 1);
        return (run, in) -> {
            Shape shape = in[0].shape();
            int rank = shape.rank();
            int axis = !single && attribute == rank ? rank : Strides.axis(attribute, rank);
            double[] x = in[0].real();
            double[] y = run.reals(shape);
            if (y.length > 0) {
                int inner = single ? Strides.product(shape, axis + 1, rank) : 1;
                int length = single ? shape.extent(axis) : Strides.product(shape, axis, rank);
                for (int first = 0; first < y.length; first += length * inner) {
                    for (int i = 0; i < inner; i++) {
                        softmax(x, y, first + i, length, inner, logarithm);
                    }
                }
            }
            return one(OnnxValue.reals(in[0].type(), shape, y));
        };
    }

    private static void softmax(double[] x, double[] y, int first, int length, int step, boolean logarithm) {
        double largest = Double.NEGATIVE_INFINITY;
        for (int k = 0; k < length; k++) {
            largest = Math.max(largest, x[first + k * step]);
        }
        double sum = 0;
        for (int k = 0; k < length; k++) {
            sum += Math.exp(x[first + k * step] - largest);
        }
        for (int k = 0; k < length; k++) {
            double shifted = x[first + k * step] - largest;
            y[first + k * step] = logarithm ? shifted - Math.log(sum) : Math.exp(shifted) / sum;
        }
    }

    /** The sum, the mean or the largest of the elements along some axes. */
    enum Reduction {
        SUM,
        MEAN,
        MAX
    }

    /** @param inputSince the version of the operators from which the axes are an input */
    static Operation reduce(OnnxNode node, Reduction reduction, int inputSince) {
        boolean input = node.opset() >= inputSince;
        node.requireInputs(1, input ? 2 : 1);
        long[] attribute = input ? null : node.integers("axes");
        boolean keep = node.integer("keepdims", 1) != 0;
        boolean nothing = input && node.flag("noop_with_empty_axes");
        return (run, in) -> {
            Shape shape = in[0].shape();
            long[] axes = input && in[1] != null ? in[1].whole() : attribute;
            if (axes == null || axes.length == 0) {
                if (nothing) {
                    return one(in[0]);
                }
                axes = new long[shape.rank()];
                for (int k = 0; k < axes.length; k++) {
                    axes[k] = k;
                }
            }
            boolean[] reduced = Strides.axes(axes, shape.rank());
            Shape kept = reduced(shape, reduced, true);
            int[] strides = Strides.repeated(kept, shape);
            double[] x = in[0].real();
            double[] y = run.reals(kept);
            if (reduction == Reduction.MAX && shape.elements() == 0 && y.length > 0) {
                throw new IllegalArgumentException("looks for the largest element of none in a tensor " + shape);
            }
            Arrays.fill(y, reduction == Reduction.MAX ? Double.NEGATIVE_INFINITY : 0);
            int length = Strides.row(shape);
            int step = Strides.step(strides);
            Strides.walk(shape, new int[1], new int[][] {strides}, (first, starts) -> {
                for (int k = 0; k < length; k++) {
                    int to = starts[0] + k * step;
                    y[to] = reduction == Reduction.MAX ? Math.max(y[to], x[first + k]) : y[to] + x[first + k];
                }
            });
            if (reduction == Reduction.MEAN) {
                double count = (double) x.length / y.length;
                for (int k = 0; k < y.length; k++) {
                    y[k] /= count;
                }
            }
            return one(OnnxValue.reals(in[0].type(), keep ? kept : reduced(shape, reduced, false), y));
        };
    }

    private static Shape reduced(Shape shape, boolean[] reduced, boolean keep) {
        int[] extents = new int[shape.rank()];
        int rank = 0;
        for (int k = 0; k < extents.length; k++) {
            if (!reduced[k] || keep) {
                extents[rank++] = reduced[k] ? 1 : shape.extent(k);
            }
        }
        return Shape.of(Arrays.copyOf(extents, rank));
    }

    /** Where along an axis the largest element is, the first of equal ones or the last. */
    static Operation argMax(OnnxNode node) {
        node.requireInputs(1, 1);
        long attribute = node.integer("axis", 0);
        boolean keep = node.integer("keepdims", 1) != 0;
        boolean last = node.opset() >= 12 && node.flag("select_last_index");
        return (run, in) -> {
            Shape shape = in[0].shape();
            int axis = Strides.axis(attribute, shape.rank());
            int length = shape.extent(axis);
            boolean[] reduced = new boolean[shape.rank()];
            reduced[axis] = true;
            Shape kept = reduced(shape, reduced, true);
            long[] y = run.integers(kept);
            if (length == 0 && y.length > 0) {
                throw new IllegalArgumentException("looks for the largest element of none in a tensor " + shape);
            }
            double[] x = in[0].real();
            int inner = y.length == 0 ? 0 : Strides.product(shape, axis + 1, shape.rank());
            for (int to = 0; to < y.length; to++) {
                int first = to / inner * length * inner + to % inner;
                for (int k = 1; k < length; k++) {
                    double best = x[first + (int) y[to] * inner];
                    double next = x[first + k * inner];
                    if (next > best || last && next == best) {
                        y[to] = k;
                    }
                }
            }
            return one(OnnxValue.integers(OnnxType.INT64, keep ? kept : reduced(shape, reduced, false), y));
        };
    }
}
