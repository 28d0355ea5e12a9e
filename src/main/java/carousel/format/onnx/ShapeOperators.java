package carousel.format.onnx;

import ai.onnx.proto.OnnxMl.TensorProto;
import carousel.format.FormatException;
import carousel.tensor.Shape;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** The operators that move elements and do not compute with them. */
final class ShapeOperators {
    private ShapeOperators() {}

    private static OnnxValue[] one(OnnxValue value) {
        return new OnnxValue[] {value};
    }

    static Operation identity(OnnxNode node) {
        node.requireInputs(1, 1);
        return (run, in) -> one(in[0]);
    }

    /** Nothing is dropped when a graph is used; the mask, where it is asked for, keeps everything. */
    static Operation dropout(OnnxNode node) {
        node.requireInputs(1, node.opset() < 12 ? 1 : 3);
        node.requireOutputs(1, 2);
        if (node.opset() < 12) {
            node.real("ratio", 0.5);
        } else {
            node.integer("seed", 0);
        }
        return new Operation() {
            @Override
            public void check(OnnxValue[] constants) {
                if (constants[2] != null && Arrays.stream(constants[2].whole()).anyMatch(flag -> flag != 0)) {
                    throw new IllegalArgumentException(
                            "drops numbers as in training: export the model for inference (training_mode 0)");
                }
            }

            @Override
            public OnnxValue[] run(Run run, OnnxValue[] in) {
                check(in);
                if (!node.hasOutput(1)) {
                    return one(in[0]);
                }
                long[] mask = run.integers(in[0].shape());
                Arrays.fill(mask, 1);
                return new OnnxValue[] {in[0], OnnxValue.integers(OnnxType.BOOL, in[0].shape(), mask)};
            }
        };
    }

    static Operation transpose(OnnxNode node) {
        node.requireInputs(1, 1);
        long[] perm = node.integers("perm");
        return (run, in) -> {
            Shape shape = in[0].shape();
            int rank = shape.rank();
            if (perm != null && perm.length != rank) {
                throw new IllegalArgumentException("has the permutation " + Arrays.toString(perm) + " of " + perm.length
                        + " dimensions but reads a tensor " + shape);
            }
            if (perm != null) {
                Strides.axes(perm, rank);
            }
            int[] own = Strides.of(shape);
            int[] extents = new int[rank];
            int[] strides = new int[rank];
            for (int k = 0; k < rank; k++) {
                int from = perm == null ? rank - 1 - k : Strides.axis(perm[k], rank);
                extents[k] = shape.extent(from);
                strides[k] = own[from];
            }
            return one(Strides.pick(run, in[0], Shape.of(extents), 0, strides));
        };
    }

    static Operation squeeze(OnnxNode node) {
        boolean input = node.opset() >= 13;
        node.requireInputs(1, input ? 2 : 1);
        long[] attribute = input ? null : node.integers("axes");
        return (run, in) -> {
            long[] axes = input && in[1] != null ? in[1].whole() : attribute;
            Shape shape = in[0].shape();
            boolean[] chosen = axes == null ? null : Strides.axes(axes, shape.rank());
            List<Integer> extents = new ArrayList<>();
            for (int k = 0; k < shape.rank(); k++) {
                boolean drop = chosen == null ? shape.extent(k) == 1 : chosen[k];
                if (drop && shape.extent(k) != 1) {
                    throw new IllegalArgumentException("leaves out axis " + k + " of a tensor " + shape
                            + " but only axes of extent 1 can be left out");
                }
                if (!drop) {
                    extents.add(shape.extent(k));
                }
            }
            return one(in[0].reshaped(shape(extents)));
        };
    }

    static Operation unsqueeze(OnnxNode node) {
        boolean input = node.opset() >= 13;
        node.requireInputs(input ? 2 : 1, input ? 2 : 1);
        long[] attribute = input ? null : node.integers("axes");
        if (!input && attribute == null) {
            throw node.refused("lacks its attribute axes");
        }
        return (run, in) -> {
            long[] axes = input ? in[1].whole() : attribute;
            Shape shape = in[0].shape();
            int rank = shape.rank() + axes.length;
            if (rank > OnnxValue.LARGEST_RANK) {
                throw new IllegalArgumentException("adds " + axes.length + " dimensions to a tensor " + shape + " but "
                        + OnnxValue.LARGEST_RANK + " in all are allowed");
            }
            boolean[] added = Strides.axes(axes, rank);
            int[] extents = new int[rank];
            int from = 0;
            for (int k = 0; k < rank; k++) {
                extents[k] = added[k] ? 1 : shape.extent(from++);
            }
            return one(in[0].reshaped(Shape.of(extents)));
        };
    }

    static Operation flatten(OnnxNode node) {
        node.requireInputs(1, 1);
        long axis = node.integer("axis", 1);
        return (run, in) -> {
            Shape shape = in[0].shape();
            int rank = shape.rank();
            if (axis < -rank || axis > rank) {
                throw new IllegalArgumentException(
                        "has the axis " + axis + " but it should be in the [" + -rank + ", " + rank + "] range");
            }
            int at = (int) (axis < 0 ? axis + rank : axis);
            return one(in[0].reshaped(Shape.of(Strides.product(shape, 0, at), Strides.product(shape, at, rank))));
        };
    }

    static Operation reshape(OnnxNode node) {
        node.requireInputs(2, 2);
        boolean zeros = node.opset() >= 14 && node.flag("allowzero");
        return (run, in) -> one(in[0].reshaped(reshaped(in[0].shape(), in[1].whole(), zeros)));
    }

    private static Shape reshaped(Shape shape, long[] wanted, boolean zeros) {
        if (wanted.length > OnnxValue.LARGEST_RANK) {
            throw new IllegalArgumentException("makes a tensor of " + wanted.length + " dimensions but at most "
                    + OnnxValue.LARGEST_RANK + " are allowed");
        }
        int[] extents = new int[wanted.length];
        int open = -1;
        long known = 1;
        for (int k = 0; k < wanted.length; k++) {
            long extent = wanted[k];
            if (extent == 0 && !zeros && k < shape.rank()) {
                extent = shape.extent(k);
            }
            if (extent == -1 && open < 0) {
                open = k;
                continue;
            }
            if (extent < 0 || extent > Integer.MAX_VALUE || known * extent > Integer.MAX_VALUE) {
                throw misfit(shape, wanted);
            }
            extents[k] = (int) extent;
            known *= extent;
        }
        if (open >= 0) {
            if (known == 0 || shape.elements() % known != 0) {
                throw misfit(shape, wanted);
            }
            extents[open] = (int) (shape.elements() / known);
        }
        Shape result = Shape.of(extents);
        if (result.elements() != shape.elements()) {
            throw misfit(shape, wanted);
        }
        return result;
    }

    private static IllegalArgumentException misfit(Shape shape, long[] wanted) {
        return new IllegalArgumentException(
                "cannot see a tensor " + shape + " as " + Arrays.toString(wanted) + ": the number of elements differs");
    }

    static Operation expand(OnnxNode node) {
        node.requireInputs(2, 2);
        return (run, in) -> {
            Shape shape = Strides.broadcast(in[0].shape(), extents(in[1].whole()));
            return one(Strides.pick(run, in[0], shape, 0, Strides.repeated(in[0].shape(), shape)));
        };
    }

    /** A shape that a graph has computed. */
    private static Shape extents(long[] values) {
        int[] extents = new int[values.length];
        for (int k = 0; k < values.length; k++) {
            if (values[k] < 0 || values[k] > Integer.MAX_VALUE) {
                throw new IllegalArgumentException("makes a tensor with the extent " + values[k]
                        + " but it should be in the [0, " + Integer.MAX_VALUE + "] range");
            }
            extents[k] = (int) values[k];
        }
        return Shape.of(extents);
    }

    private static Shape shape(List<Integer> extents) {
        return Shape.of(extents.stream().mapToInt(Integer::intValue).toArray());
    }

    static Operation shape(OnnxNode node) {
        node.requireInputs(1, 1);
        boolean part = node.opset() >= 15;
        long start = part ? node.integer("start", 0) : 0;
        long end = part ? node.integer("end", Long.MAX_VALUE) : Long.MAX_VALUE;
        return (run, in) -> {
            int rank = in[0].rank();
            int from = bound(start, rank, 0, rank);
            int to = Math.max(from, bound(end, rank, 0, rank));
            long[] extents = new long[to - from];
            for (int k = from; k < to; k++) {
                extents[k - from] = in[0].extent(k);
            }
            return one(OnnxValue.integers(OnnxType.INT64, Shape.of(extents.length), extents));
        };
    }

    /** A place along a dimension, counted from the end where negative, limited to a range. */
    private static int bound(long value, int extent, int least, int most) {
        long place = value < 0 ? value + extent : value;
        return (int) Math.max(least, Math.min(most, place));
    }

    static Operation constant(OnnxNode node) {
        node.requireInputs(0, 0);
        OnnxValue value = constantValue(node);
        if (value == null) {
            throw node.refused("has none of the attributes value, value_float, value_floats, value_int and value_ints");
        }
        return (run, in) -> one(value);
    }

    private static OnnxValue constantValue(OnnxNode node) {
        TensorProto tensor = node.tensor("value");
        if (tensor != null) {
            return tensor(node, tensor);
        }
        if (node.has("value_float")) {
            return OnnxValue.reals(OnnxType.FLOAT, Shape.of(), new double[] {node.real("value_float", 0)});
        } else if (node.has("value_int")) {
            return OnnxValue.of(new long[] {node.integer("value_int", 0)});
        } else if (node.has("value_ints")) {
            long[] values = node.integers("value_ints");
            return OnnxValue.of(values, values.length);
        } else if (node.has("value_floats")) {
            double[] values = node.reals("value_floats");
            return OnnxValue.reals(OnnxType.FLOAT, Shape.of(values.length), values);
        }
        return null;
    }

    private static OnnxValue tensor(OnnxNode node, TensorProto tensor) {
        try {
            return TensorReader.read(tensor);
        } catch (IllegalArgumentException e) {
            throw new IllegalArgumentException(node.inWords() + " has a value that " + e.getMessage(), e);
        }
    }

    static Operation constantOfShape(OnnxNode node) {
        node.requireInputs(1, 1);
        TensorProto tensor = node.tensor("value");
        OnnxValue value = tensor == null ? OnnxValue.of(new float[1], 1) : tensor(node, tensor);
        if (value.elements() != 1) {
            throw node.refused("should have one value but has " + value.elements());
        }
        return (run, in) -> {
            Shape shape = extents(in[0].whole());
            return one(Strides.pick(run, value, shape, 0, new int[shape.rank()]));
        };
    }

    static Operation gather(OnnxNode node) {
        node.requireInputs(2, 2);
        long attribute = node.integer("axis", 0);
        return (run, in) -> {
            Shape shape = in[0].shape();
            int axis = Strides.axis(attribute, shape.rank());
            long[] indices = in[1].whole();
            List<Integer> extents = new ArrayList<>();
            append(extents, shape, 0, axis);
            append(extents, in[1].shape(), 0, in[1].rank());
            append(extents, shape, axis + 1, shape.rank());
            Shape result = shape(extents);
            Object to = run.array(in[0], result);
            int extent = shape.extent(axis);
            for (int k = 0; k < indices.length; k++) {
                if (indices[k] < -extent || indices[k] >= extent) {
                    throw new IllegalArgumentException("picks the index " + indices[k] + " but it should be in the ["
                            + -extent + ", " + (extent - 1) + "] range for axis " + axis + " of a tensor " + shape);
                }
            }
            if (result.elements() > 0) {
                int outer = Strides.product(shape, 0, axis);
                int inner = Strides.product(shape, axis + 1, shape.rank());
                int at = 0;
                for (int o = 0; o < outer; o++) {
                    for (long index : indices) {
                        int place = (int) (index < 0 ? index + extent : index);
                        System.arraycopy(in[0].array(), (o * extent + place) * inner, to, at, inner);
                        at += inner;
                    }
                }
            }
            return one(in[0].like(result, to));
        };
    }

    private static void append(List<Integer> extents, Shape shape, int from, int to) {
        for (int k = from; k < to; k++) {
            extents.add(shape.extent(k));
        }
    }

    static Operation slice(OnnxNode node) {
        boolean input = node.opset() >= 10;
        node.requireInputs(input ? 3 : 1, input ? 5 : 1);
        long[] starts = input ? null : node.integers("starts");
        long[] ends = input ? null : node.integers("ends");
        long[] axes = input ? null : node.integers("axes");
        if (!input && (starts == null || ends == null)) {
            throw node.refused("lacks its attribute starts or ends");
        }
        return (run, in) -> input
                ? one(slice(
                        run,
                        in[0],
                        in[1].whole(),
                        in[2].whole(),
                        in[3] == null ? null : in[3].whole(),
                        in[4] == null ? null : in[4].whole()))
                : one(slice(run, in[0], starts, ends, axes, null));
    }

    private static OnnxValue slice(Run run, OnnxValue value, long[] starts, long[] ends, long[] axes, long[] steps) {
        Shape shape = value.shape();
        int count = starts.length;
        if (ends.length != count
                || axes != null && axes.length != count
                || steps != null && steps.length != count
                || count > shape.rank()) {
            throw new IllegalArgumentException("should have as many starts, ends, axes and steps, at most "
                    + shape.rank() + " for a tensor " + shape + ", but has " + count + " starts and " + ends.length
                    + " ends" + (axes == null ? "" : " and " + axes.length + " axes")
                    + (steps == null ? "" : " and " + steps.length + " steps"));
        }
        if (axes != null) {
            Strides.axes(axes, shape.rank());
        }
        int[] extents = shape.toArray();
        int[] strides = Strides.of(shape);
        int base = 0;
        for (int k = 0; k < count; k++) {
            int axis = axes == null ? k : Strides.axis(axes[k], shape.rank());
            long step = steps == null ? 1 : steps[k];
            if (step == 0) {
                throw new IllegalArgumentException("has the step 0 but it should be any other number");
            }
            int extent = shape.extent(axis);
            int from = step > 0 ? bound(starts[k], extent, 0, extent) : bound(starts[k], extent, 0, extent - 1);
            int to = step > 0 ? bound(ends[k], extent, 0, extent) : bound(ends[k], extent, -1, extent - 1);
            long span = step > 0 ? (long) to - from : (long) from - to;
            // The first step may lead out already, and as a number of elements then not fit.
            long stride = Math.min(Math.abs(step == Long.MIN_VALUE ? Long.MAX_VALUE : step), Math.max(1, extent));
            extents[axis] = span <= 0 ? 0 : (int) ((span + stride - 1) / stride);
            base += extents[axis] == 0 ? 0 : from * strides[axis];
            strides[axis] *= (int) (step > 0 ? stride : -stride);
        }
        return Strides.pick(run, value, Shape.of(extents), base, strides);
    }

    static Operation concat(OnnxNode node) {
        node.requireInputs(1, Integer.MAX_VALUE);
        if (!node.has("axis")) {
            throw node.refused("lacks its attribute axis");
        }
        long attribute = node.integer("axis", 0);
        int count = node.inputs().size();
        node.requireInputs(count, count);
        return (run, in) -> {
            Shape shape = in[0].shape();
            int axis = Strides.axis(attribute, shape.rank());
            long total = 0;
            for (int k = 0; k < count; k++) {
                if (in[k].type() != in[0].type() || !equalBut(axis, in[k].shape(), shape)) {
                    throw new IllegalArgumentException("joins tensors " + in[0] + " and " + in[k]
                            + ", which should be of one type and differ in axis " + axis + " only");
                }
                total += in[k].extent(axis);
            }
            if (total > Integer.MAX_VALUE) {
                throw new IllegalArgumentException("joins tensors to an extent of " + total
                        + " but it should be in the [0, " + Integer.MAX_VALUE + "] range");
            }
            int[] extents = shape.toArray();
            extents[axis] = (int) total;
            Shape result = Shape.of(extents);
            Object to = run.array(in[0], result);
            if (result.elements() > 0) {
                int outer = Strides.product(shape, 0, axis);
                int inner = Strides.product(shape, axis + 1, shape.rank());
                int at = 0;
                for (int o = 0; o < outer; o++) {
                    for (int k = 0; k < count; k++) {
                        int length = in[k].extent(axis) * inner;
                        System.arraycopy(in[k].array(), o * length, to, at, length);
                        at += length;
                    }
                }
            }
            return one(in[0].like(result, to));
        };
    }

    private static boolean equalBut(int axis, Shape a, Shape b) {
        if (a.rank() != b.rank()) {
            return false;
        }
        for (int k = 0; k < a.rank(); k++) {
            if (k != axis && a.extent(k) != b.extent(k)) {
                return false;
            }
        }
        return true;
    }

    static Operation split(OnnxNode node) {
        boolean input = node.opset() >= 13;
        node.requireInputs(1, input ? 2 : 1);
        node.requireOutputs(1, Integer.MAX_VALUE);
        long attribute = node.integer("axis", 0);
        long[] sizes = input ? null : node.integers("split");
        int parts = node.outputs().size();
        if (node.opset() >= 18 && node.integer("num_outputs", parts) != parts) {
            throw node.refused("has " + parts + " outputs but its attribute num_outputs says "
                    + node.integer("num_outputs", parts));
        }
        return (run, in) -> {
            Shape shape = in[0].shape();
            int axis = Strides.axis(attribute, shape.rank());
            int extent = shape.extent(axis);
            long[] split = input && in[1] != null ? in[1].whole() : sizes;
            if (split == null) {
                split = equalParts(extent, parts, node.opset() >= 18);
            }
            long total = 0;
            for (long size : split) {
                total += size < 0 || size > extent ? Integer.MAX_VALUE + 1L : size;
            }
            if (split.length != parts || total != extent) {
                throw new IllegalArgumentException("cuts axis " + axis + " of a tensor " + shape + " into "
                        + Arrays.toString(split) + " for " + parts + " outputs");
            }
            int[] strides = Strides.of(shape);
            OnnxValue[] results = new OnnxValue[parts];
            int at = 0;
            for (int k = 0; k < parts; k++) {
                int[] extents = shape.toArray();
                extents[axis] = (int) split[k];
                results[k] = Strides.pick(run, in[0], Shape.of(extents), at * strides[axis], strides);
                at += extents[axis];
            }
            return results;
        };
    }

    private static long[] equalParts(int extent, int parts, boolean lastMayBeSmaller) {
        if (extent % parts != 0 && !lastMayBeSmaller) {
            throw new IllegalArgumentException("cuts an extent of " + extent + " into " + parts + " equal parts");
        }
        long[] split = new long[parts];
        int size = (int) (((long) extent + parts - 1) / parts);
        int left = extent;
        for (int k = 0; k < parts; k++) {
            split[k] = Math.min(size, left);
            left -= (int) split[k];
        }
        return split;
    }

    static Operation pad(OnnxNode node) {
        boolean input = node.opset() >= 11;
        node.requireInputs(input ? 2 : 1, node.opset() >= 18 ? 4 : input ? 3 : 1);
        String mode = node.text("mode", "constant");
        if (!mode.equals("constant")) {
            throw node.refused("pads in the mode " + FormatException.quote(mode) + " but only 'constant' is supported");
        }
        long[] attribute = input ? null : node.integers("pads");
        double value = input ? 0 : node.real("value", 0);
        if (!input && attribute == null) {
            throw node.refused("lacks its attribute pads");
        }
        return (run, in) -> {
            Shape shape = in[0].shape();
            long[] pads = input ? in[1].whole() : attribute;
            long[] axes = in[3] == null ? null : in[3].whole();
            return one(pad(run, in[0], allAxes(pads, axes, shape.rank()), in[2], value));
        };
    }

    /** Pads for the start and the end of every axis, given those for some of them. */
    private static long[] allAxes(long[] pads, long[] axes, int rank) {
        if (pads.length != 2 * (axes == null ? rank : axes.length)) {
            throw new IllegalArgumentException(
                    "should have two pads for each padded axis but has " + pads.length + " in all");
        }
        if (axes == null) {
            return pads;
        }
        Strides.axes(axes, rank);
        long[] all = new long[2 * rank];
        for (int k = 0; k < axes.length; k++) {
            int axis = Strides.axis(axes[k], rank);
            all[axis] = pads[k];
            all[rank + axis] = pads[axes.length + k];
        }
        return all;
    }

    private static OnnxValue pad(Run run, OnnxValue in, long[] pads, OnnxValue constant, double otherwise) {
        if (constant != null && (constant.elements() != 1 || constant.type() != in.type())) {
            throw new IllegalArgumentException("pads a tensor " + in + " with a tensor " + constant
                    + " but that should be one number of the same type");
        }
        Shape shape = in.shape();
        int rank = shape.rank();
        long[] extents = new long[rank];
        long[] starts = new long[rank];
        long[] ends = new long[rank];
        for (int k = 0; k < rank; k++) {
            long before = pads[k];
            long after = pads[rank + k];
            if (Math.abs((double) before) > Integer.MAX_VALUE || Math.abs((double) after) > Integer.MAX_VALUE) {
                throw new IllegalArgumentException("has the pads " + before + " and " + after
                        + " but they should be at most " + Integer.MAX_VALUE);
            }
            extents[k] = before + shape.extent(k) + after;
            // A negative pad cuts off.
            starts[k] = Math.max(0, -before);
            ends[k] = Math.max(starts[k], shape.extent(k) + Math.min(0, after));
        }
        Shape result = extents(extents);
        Object to = run.array(in, result);
        if (to instanceof double[] reals) {
            Arrays.fill(reals, constant == null ? in.type().round(otherwise) : constant.real()[0]);
        } else if (constant != null) {
            Arrays.fill((long[]) to, constant.whole()[0]);
        }
        long[] all = new long[rank];
        Arrays.setAll(all, k -> k);
        OnnxValue kept = slice(run, in, starts, ends, all, null);
        int[] strides = Strides.of(result);
        int base = 0;
        for (int k = 0; k < rank; k++) {
            base += (int) Math.max(0, pads[k]) * strides[k];
        }
        if (kept.elements() > 0) {
            int length = Strides.row(kept.shape());
            Strides.walk(
                    kept.shape(),
                    new int[] {base},
                    new int[][] {strides},
                    (first, at) -> System.arraycopy(kept.array(), first, to, at[0], length));
        }
        return in.like(result, to);
    }

    /** Each sequence of a batch backwards, up to its length. */
    static Operation reverseSequence(OnnxNode node) {
        node.requireInputs(2, 2);
        long batchAxis = node.integer("batch_axis", 1);
        long timeAxis = node.integer("time_axis", 0);
        if (batchAxis + timeAxis != 1 || batchAxis * timeAxis != 0) {
            throw node.refused(
                    "should have the axes 0 and 1 of batch and time but has " + batchAxis + " and " + timeAxis);
        }
        return (run, in) -> {
            Shape shape = in[0].shape();
            if (shape.rank() < 2 || in[1].rank() != 1 || in[1].extent(0) != shape.extent((int) batchAxis)) {
                throw new IllegalArgumentException("reads sequences " + shape + " with lengths " + in[1].shape()
                        + " but there should be one length for each sequence");
            }
            int steps = shape.extent((int) timeAxis);
            Object to = run.array(in[0], shape);
            int inner = shape.elements() == 0 ? 0 : Strides.product(shape, 2, shape.rank());
            int batch = inner == 0 ? 0 : in[1].elements();
            for (int n = 0; n < batch; n++) {
                long length = in[1].whole()[n];
                if (length < 0 || length > steps) {
                    throw new IllegalArgumentException(
                            "has a sequence of length " + length + " but it should be in the [0, " + steps + "] range");
                }
                for (int t = 0; t < steps; t++) {
                    int source = t < length ? (int) length - 1 - t : t;
                    int from = timeAxis == 0 ? source * batch + n : n * steps + source;
                    int target = timeAxis == 0 ? t * batch + n : n * steps + t;
                    System.arraycopy(in[0].array(), from * inner, to, target * inner, inner);
                }
            }
            return one(in[0].like(shape, to));
        };
    }
}
