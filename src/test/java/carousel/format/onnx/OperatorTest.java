package carousel.format.onnx;

import ai.onnxruntime.OrtException;
import carousel.engine.Engine;
import carousel.engine.Engines;
import carousel.tensor.Shape;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.io.TempDir;

/** Every operator beside the LSTM, over random shapes and attributes and the versions in which it changed, against ONNX Runtime. */
class OperatorTest {
    private static final int CASES = 25;
    private static final double ALLOWED = 2e-6;

    @TempDir
    Path folder;

    /** A node of its own, drawn at random. */
    private static final class Draft {
        private final Random random;
        private final int opset;
        private final Map<String, Object> attributes = new TreeMap<>();
        private final List<OnnxValue> inputs = new ArrayList<>();
        private final List<OnnxType> outputs = new ArrayList<>();

        Draft(long seed, int opset) {
            this.random = new Random(seed);
            this.opset = opset;
        }

        int number(int from, int to) {
            return from + random.nextInt(to - from + 1);
        }

        boolean coin() {
            return random.nextBoolean();
        }

        /** Extents of 1 to 4, seldom 0. */
        int[] extents(int least, int most) {
            int[] extents = new int[number(least, most)];
            Arrays.setAll(extents, k -> number(1, 4));
            return extents;
        }

        OnnxValue floats(int... extents) {
            float[] values = new float[(int) Shape.of(extents).elements()];
            for (int k = 0; k < values.length; k++) {
                values[k] = 4 * random.nextFloat() - 2;
            }
            return OnnxValue.of(values, extents);
        }

        OnnxValue doubles(int... extents) {
            double[] values = new double[(int) Shape.of(extents).elements()];
            Arrays.setAll(values, k -> 4 * random.nextDouble() - 2);
            return OnnxValue.of(values, extents);
        }

        /** Small integers, so that equal ones are common. */
        OnnxValue longs(int... extents) {
            long[] values = new long[(int) Shape.of(extents).elements()];
            Arrays.setAll(values, k -> number(-3, 3));
            return OnnxValue.of(values, extents);
        }

        OnnxValue flags(int... extents) {
            long[] values = new long[(int) Shape.of(extents).elements()];
            Arrays.setAll(values, k -> number(0, 1));
            return OnnxValue.integers(OnnxType.BOOL, Shape.of(extents), values);
        }

        Draft in(OnnxValue... values) {
            inputs.addAll(Arrays.asList(values));
            return this;
        }

        Draft in(long... values) {
            inputs.add(OnnxValue.of(values, values.length));
            return this;
        }

        Draft out(OnnxType... types) {
            outputs.addAll(Arrays.asList(types));
            return this;
        }

        Draft with(String attribute, Object value) {
            attributes.put(attribute, value);
            return this;
        }

        /** An axis of a tensor, counted from the end every other time. */
        long axis(int rank) {
            int axis = number(0, rank - 1);
            return opset >= 11 && coin() ? axis - rank : axis;
        }

        /** Some axes of a tensor, each once, in any order. */
        long[] axes(int rank, int least) {
            List<Integer> all = new ArrayList<>();
            for (int k = 0; k < rank; k++) {
                all.add(k);
            }
            Collections.shuffle(all, random);
            int count = number(least, rank);
            boolean negative = opset >= 11 && coin();
            return all.stream()
                    .limit(count)
                    .mapToLong(axis -> negative ? axis - rank : axis)
                    .toArray();
        }

        /** The second of two extents that can be taken together. */
        int[] partner(int[] extents) {
            int[] other = Arrays.copyOfRange(extents, number(0, extents.length), extents.length);
            for (int k = 0; k < other.length; k++) {
                other[k] = coin() ? other[k] : 1;
            }
            return other;
        }
    }

    private interface Drawing {
        void draw(Draft draft);
    }

    private static void pair(Draft draft) {
        int[] wide = draft.extents(0, 4);
        int[] narrow = draft.partner(wide);
        boolean first = draft.coin();
        switch (draft.number(0, 2)) {
            case 0 ->
                draft.in(draft.floats(first ? wide : narrow), draft.floats(first ? narrow : wide))
                        .out(OnnxType.FLOAT);
            case 1 ->
                draft.in(draft.doubles(first ? wide : narrow), draft.doubles(first ? narrow : wide))
                        .out(OnnxType.DOUBLE);
            default ->
                draft.in(draft.longs(first ? wide : narrow), draft.longs(first ? narrow : wide))
                        .out(OnnxType.INT64);
        }
    }

    private static void comparison(Draft draft) {
        int[] wide = draft.extents(0, 4);
        int[] narrow = draft.partner(wide);
        if (draft.coin() || draft.opset < 9) {
            draft.in(draft.longs(wide), draft.longs(narrow));
        } else {
            OnnxValue x = draft.floats(wide);
            draft.in(x, draft.coin() ? x : draft.floats(narrow));
        }
        draft.out(OnnxType.BOOL);
    }

    private static void function(Draft draft) {
        draft.in(draft.coin() ? draft.floats(draft.extents(0, 4)) : draft.floats(3, 0, 2))
                .out(OnnxType.FLOAT);
    }

    private static void positive(Draft draft) {
        float[] values = draft.floats(draft.extents(3, 3)).floats();
        for (int k = 0; k < values.length; k++) {
            values[k] = Math.abs(values[k]) + 0.1f;
        }
        draft.in(OnnxValue.of(values, values.length)).out(OnnxType.FLOAT);
    }

    private static OnnxValue anything(Draft draft, int... extents) {
        return draft.coin() ? draft.floats(extents) : draft.longs(extents);
    }

    private static void softmax(Draft draft) {
        int[] extents = draft.extents(draft.opset < 13 ? 2 : 1, 4);
        if (draft.coin()) {
            draft.with("axis", draft.axis(extents.length));
        }
        draft.in(draft.floats(extents)).out(OnnxType.FLOAT);
    }

    private static Drawing reduction(int inputSince) {
        return draft -> {
            int[] extents = draft.extents(1, 4);
            draft.in(draft.floats(extents)).out(OnnxType.FLOAT);
            boolean none = draft.coin() && draft.coin();
            if (!none) {
                long[] axes = draft.axes(extents.length, 1);
                if (draft.opset >= inputSince) {
                    draft.in(axes);
                } else {
                    draft.with("axes", axes);
                }
            } else if (draft.opset >= inputSince && draft.coin()) {
                // ONNX Runtime fails where the input is left out altogether.
                draft.in(new long[0]).with("noop_with_empty_axes", 1L);
            }
            if (draft.coin()) {
                draft.with("keepdims", draft.coin() ? 1L : 0L);
            }
        };
    }

    private static void squeeze(Draft draft) {
        int[] extents = draft.extents(1, 5);
        List<Long> ones = new ArrayList<>();
        for (int k = 0; k < extents.length; k++) {
            if (draft.coin()) {
                extents[k] = 1;
            }
            if (extents[k] == 1 && draft.coin()) {
                ones.add((long) (draft.opset >= 11 && draft.coin() ? k - extents.length : k));
            }
        }
        draft.in(anything(draft, extents)).out(draft.inputs.get(0).type());
        long[] axes = ones.stream().mapToLong(Long::longValue).toArray();
        if (axes.length == 0) {
            return;
        }
        if (draft.opset >= 13) {
            draft.in(axes);
        } else {
            draft.with("axes", axes);
        }
    }

    private static void unsqueeze(Draft draft) {
        int[] extents = draft.extents(0, 3);
        draft.in(anything(draft, extents)).out(draft.inputs.get(0).type());
        int added = draft.number(1, 2);
        int rank = extents.length + added;
        long[] all = draft.axes(rank, rank);
        long[] axes = Arrays.copyOf(all, added);
        if (draft.opset >= 13) {
            draft.in(axes);
        } else {
            draft.with("axes", axes);
        }
    }

    private static void transpose(Draft draft) {
        int[] extents = draft.extents(1, 5);
        draft.in(anything(draft, extents)).out(draft.inputs.get(0).type());
        if (draft.coin()) {
            long[] perm = draft.axes(extents.length, extents.length);
            Arrays.setAll(perm, k -> Math.floorMod(perm[k], extents.length));
            draft.with("perm", perm);
        }
    }

    private static void reshape(Draft draft) {
        int[] extents = draft.extents(1, 4);
        draft.in(anything(draft, extents)).out(draft.inputs.get(0).type());
        long[] wanted;
        if (draft.coin()) {
            wanted = new long[extents.length];
            int open = draft.number(0, extents.length - 1);
            Arrays.setAll(wanted, k -> k == open ? -1 : draft.coin() ? 0 : extents[k]);
        } else {
            wanted = draft.coin()
                    ? new long[] {-1}
                    : new long[] {1, Shape.of(extents).elements(), 1};
        }
        draft.in(wanted);
    }

    private static void flatten(Draft draft) {
        int[] extents = draft.extents(1, 4);
        draft.in(draft.floats(extents)).out(OnnxType.FLOAT);
        if (draft.coin()) {
            draft.with("axis", draft.coin() ? (long) extents.length : draft.axis(extents.length));
        }
    }

    private static void gather(Draft draft) {
        int[] extents = draft.extents(1, 3);
        long axis = draft.axis(extents.length);
        int extent = extents[Math.floorMod(axis, extents.length)];
        int[] shape = draft.extents(0, 2);
        long[] indices = new long[(int) Shape.of(shape).elements()];
        Arrays.setAll(indices, k -> draft.number(draft.opset >= 11 ? -extent : 0, extent - 1));
        draft.in(anything(draft, extents), OnnxValue.of(indices, shape))
                .with("axis", axis)
                .out(draft.inputs.get(0).type());
    }

    private static void slice(Draft draft) {
        int[] extents = draft.extents(1, 4);
        draft.in(anything(draft, extents)).out(draft.inputs.get(0).type());
        long[] axes = draft.axes(extents.length, 1);
        long[] starts = new long[axes.length];
        long[] ends = new long[axes.length];
        long[] steps = new long[axes.length];
        for (int k = 0; k < axes.length; k++) {
            starts[k] = draft.coin() && draft.coin() ? Integer.MIN_VALUE : draft.number(-5, 5);
            ends[k] = draft.coin() ? Long.MAX_VALUE : draft.number(-5, 5);
            steps[k] = draft.number(1, 3);
            if (draft.opset >= 10 && draft.coin()) {
                steps[k] = -steps[k];
                starts[k] = draft.number(-5, 5);
                ends[k] = draft.coin() ? Long.MIN_VALUE + 1 : draft.number(-5, 5);
            }
        }
        if (draft.opset < 10) {
            draft.with("starts", starts).with("ends", ends).with("axes", axes);
        } else {
            draft.in(starts).in(ends).in(axes).in(steps);
        }
    }

    private static void concat(Draft draft) {
        int[] extents = draft.extents(1, 4);
        long axis = draft.axis(extents.length);
        boolean reals = draft.coin();
        for (int k = draft.number(1, 4); k > 0; k--) {
            extents[Math.floorMod(axis, extents.length)] = draft.number(0, 3);
            draft.in(reals ? draft.floats(extents) : draft.longs(extents));
        }
        draft.with("axis", axis).out(draft.inputs.get(0).type());
    }

    private static void split(Draft draft) {
        int[] extents = draft.extents(1, 3);
        long axis = draft.axis(extents.length);
        int parts = draft.number(1, 3);
        boolean equal = draft.coin();
        long[] sizes = new long[parts];
        Arrays.setAll(sizes, k -> draft.number(1, 3));
        if (equal) {
            Arrays.fill(sizes, sizes[0]);
        }
        extents[Math.floorMod(axis, extents.length)] =
                (int) Arrays.stream(sizes).sum();
        draft.in(anything(draft, extents)).with("axis", axis);
        for (int k = 0; k < parts; k++) {
            draft.out(draft.inputs.get(0).type());
        }
        if (equal) {
            if (draft.opset >= 18) {
                draft.with("num_outputs", (long) parts);
            }
        } else if (draft.opset >= 13) {
            draft.in(sizes);
        } else {
            draft.with("split", sizes);
        }
    }

    private static void expand(Draft draft) {
        int[] wide = draft.extents(1, 4);
        int[] narrow = draft.partner(wide);
        long[] shape = Arrays.stream(wide).asLongStream().toArray();
        draft.in(anything(draft, narrow)).in(shape).out(draft.inputs.get(0).type());
    }

    private static void matMul(Draft draft) {
        int inner = draft.number(1, 4);
        int[] outer = draft.extents(0, 2);
        int[] other = draft.partner(outer);
        int[] a = Arrays.copyOf(outer, outer.length + 2);
        a[outer.length] = draft.number(1, 4);
        a[outer.length + 1] = inner;
        int[] b = Arrays.copyOf(other, other.length + 2);
        b[other.length] = inner;
        b[other.length + 1] = draft.number(1, 4);
        switch (draft.number(0, 3)) {
            case 0 -> draft.in(draft.floats(inner), draft.floats(b));
            case 1 -> draft.in(draft.floats(a), draft.floats(inner));
            case 2 -> draft.in(draft.floats(inner), draft.floats(inner));
            default -> draft.in(draft.floats(a), draft.floats(b));
        }
        draft.out(OnnxType.FLOAT);
    }

    private static void gemm(Draft draft) {
        int rows = draft.number(1, 4);
        int inner = draft.number(1, 4);
        int columns = draft.number(1, 4);
        boolean transA = draft.coin();
        boolean transB = draft.coin();
        draft.in(
                        transA ? draft.floats(inner, rows) : draft.floats(rows, inner),
                        transB ? draft.floats(columns, inner) : draft.floats(inner, columns))
                .with("transA", transA ? 1L : 0L)
                .with("transB", transB ? 1L : 0L)
                .out(OnnxType.FLOAT);
        if (draft.coin()) {
            draft.with("alpha", 0.5f).with("beta", 2f);
        }
        switch (draft.number(draft.opset >= 11 ? 0 : 1, 4)) {
            case 1 -> draft.in(draft.floats(columns));
            case 2 -> draft.in(draft.floats(rows, 1));
            case 3 -> draft.in(draft.floats(rows, columns));
            case 4 -> draft.in(draft.floats());
            default -> {}
        }
    }

    private static void cast(Draft draft) {
        int[] extents = draft.extents(0, 3);
        OnnxType[] types = {OnnxType.FLOAT, OnnxType.DOUBLE, OnnxType.INT32, OnnxType.INT64, OnnxType.BOOL};
        OnnxType type = types[draft.number(0, types.length - 1)];
        OnnxValue from = switch (draft.number(0, 3)) {
            case 0 -> draft.floats(extents);
            case 1 -> draft.doubles(extents);
            case 2 -> draft.longs(extents);
            default -> draft.flags(extents);
        };
        draft.in(from).with("to", (long) type.code()).out(type);
    }

    private static void pad(Draft draft) {
        int[] extents = draft.extents(1, 3);
        for (int k = 0; k < extents.length; k++) {
            extents[k] += 2;
        }
        boolean some = draft.opset >= 18 && draft.coin();
        long[] axes = draft.axes(extents.length, 1);
        long[] pads = new long[2 * (some ? axes.length : extents.length)];
        Arrays.setAll(pads, k -> draft.number(-1, 2));
        draft.in(draft.floats(extents)).out(OnnxType.FLOAT);
        if (draft.opset < 11) {
            draft.with("pads", pads).with("value", 1.5f);
        } else {
            draft.in(pads).in(OnnxValue.of(new float[] {0.25f}));
            if (some) {
                draft.in(axes);
            }
        }
    }

    private static void reverse(Draft draft) {
        int steps = draft.number(1, 5);
        int batch = draft.number(1, 4);
        boolean time = draft.coin();
        long[] lengths = new long[batch];
        Arrays.setAll(lengths, k -> draft.number(1, steps));
        draft.in(time ? draft.floats(steps, batch, 2) : draft.floats(batch, steps, 2), OnnxValue.of(lengths, batch))
                .with("time_axis", time ? 0L : 1L)
                .with("batch_axis", time ? 1L : 0L)
                .out(OnnxType.FLOAT);
    }

    private static void constant(Draft draft) {
        switch (draft.number(0, draft.opset >= 12 ? 4 : 0)) {
            case 1 -> draft.with("value_float", 0.5f).out(OnnxType.FLOAT);
            case 2 -> draft.with("value_floats", new float[] {1, 2.5f}).out(OnnxType.FLOAT);
            case 3 -> draft.with("value_int", -7L).out(OnnxType.INT64);
            case 4 -> draft.with("value_ints", new long[] {3, -1}).out(OnnxType.INT64);
            default -> {
                OnnxValue value = anything(draft, draft.extents(0, 3));
                draft.with("value", GraphBuilder.tensor("value", value)).out(value.type());
            }
        }
    }

    private static void constantOfShape(Draft draft) {
        long[] shape = Arrays.stream(draft.extents(0, 3)).asLongStream().toArray();
        draft.in(shape).out(OnnxType.FLOAT);
        if (draft.coin()) {
            draft.outputs.set(0, OnnxType.INT64);
            draft.with("value", GraphBuilder.tensor("value", OnnxValue.of(new long[] {5}, 1)));
        }
    }

    private static void shape(Draft draft) {
        draft.in(draft.floats(draft.extents(0, 4))).out(OnnxType.INT64);
        if (draft.opset >= 15 && draft.coin()) {
            draft.with("start", (long) draft.number(-5, 5)).with("end", (long) draft.number(-5, 5));
        }
    }

    private static void argMax(Draft draft) {
        int[] extents = draft.extents(1, 4);
        float[] values = new float[(int) Shape.of(extents).elements()];
        for (int k = 0; k < values.length; k++) {
            values[k] = draft.number(0, 2);
        }
        draft.in(OnnxValue.of(values, extents))
                .with("axis", draft.axis(extents.length))
                .out(OnnxType.INT64);
        if (draft.coin()) {
            draft.with("keepdims", 0L);
        }
        if (draft.opset >= 12 && draft.coin()) {
            draft.with("select_last_index", 1L);
        }
    }

    private static void where(Draft draft) {
        int[] wide = draft.extents(0, 4);
        boolean reals = draft.coin();
        int[] first = draft.coin() ? wide : draft.partner(wide);
        int[] second = draft.partner(wide);
        draft.in(
                        draft.flags(draft.coin() ? wide : draft.partner(wide)),
                        reals ? draft.floats(first) : draft.longs(first),
                        reals ? draft.floats(second) : draft.longs(second))
                .out(reals ? OnnxType.FLOAT : OnnxType.INT64);
    }

    private static void logical(Draft draft) {
        int[] wide = draft.extents(0, 3);
        draft.in(draft.flags(wide), draft.flags(draft.partner(wide))).out(OnnxType.BOOL);
    }

    private static void clip(Draft draft) {
        draft.in(draft.floats(draft.extents(1, 3))).out(OnnxType.FLOAT);
        if (draft.opset < 11) {
            draft.with("min", -0.5f).with("max", 1f);
        } else {
            draft.in(OnnxValue.of(new float[] {-0.5f}), OnnxValue.of(new float[] {1}));
        }
    }

    private static void dropout(Draft draft) {
        draft.in(draft.floats(draft.extents(1, 3))).out(OnnxType.FLOAT);
        if (draft.opset >= 12 && draft.coin()) {
            draft.in(OnnxValue.of(new float[] {0.5f})).in(draft.flags()).out(OnnxType.BOOL);
            draft.inputs.set(2, OnnxValue.integers(OnnxType.BOOL, Shape.of(), new long[1]));
        } else if (draft.opset < 12) {
            draft.with("ratio", 0.25f);
        }
    }

    private record Subject(Drawing drawing, int... opsets) {}

    private static Map<String, Subject> subjects() {
        Map<String, Subject> subjects = new LinkedHashMap<>();
        for (String name : List.of("Add", "Sub", "Mul")) {
            subjects.put(name, new Subject(OperatorTest::pair, 7, 13, 14));
        }
        subjects.put(
                "Div",
                new Subject(
                        draft -> {
                            pair(draft);
                            OnnxValue divisor = draft.inputs.get(1);
                            if (!divisor.type().real()) {
                                long[] values = divisor.longs();
                                Arrays.setAll(values, k -> values[k] == 0 ? 2 : values[k]);
                                draft.inputs.set(
                                        1, OnnxValue.of(values, divisor.shape().toArray()));
                            }
                        },
                        7,
                        14));
        for (String name : List.of("Equal", "Less", "Greater")) {
            subjects.put(name, new Subject(OperatorTest::comparison, name.equals("Equal") ? 7 : 9, 13));
        }
        for (String name : List.of("And", "Or")) {
            subjects.put(name, new Subject(OperatorTest::logical, 7));
        }
        subjects.put("Not", new Subject(draft -> draft.in(draft.flags(2, 3)).out(OnnxType.BOOL), 7));
        for (String name :
                List.of("Sigmoid", "Tanh", "Relu", "Exp", "Neg", "Abs", "Softsign", "Softplus", "Identity")) {
            subjects.put(name, new Subject(OperatorTest::function, 7, 13));
        }
        for (String name : List.of("LeakyRelu", "Elu")) {
            subjects.put(
                    name,
                    new Subject(
                            draft -> {
                                function(draft);
                                if (draft.coin()) {
                                    draft.with("alpha", 0.7f);
                                }
                            },
                            7));
        }
        subjects.put(
                "HardSigmoid",
                new Subject(
                        draft -> {
                            function(draft);
                            if (draft.coin()) {
                                draft.with("alpha", 0.7f).with("beta", 0.1f);
                            }
                        },
                        7));
        for (String name : List.of("Log", "Sqrt")) {
            subjects.put(name, new Subject(OperatorTest::positive, 7, 13));
        }
        for (String name : List.of("Softmax", "LogSoftmax")) {
            subjects.put(name, new Subject(OperatorTest::softmax, 7, 11, 13));
        }
        subjects.put("ReduceSum", new Subject(reduction(13), 7, 11, 13, 18));
        subjects.put("ReduceMean", new Subject(reduction(18), 7, 11, 13, 18));
        subjects.put("ReduceMax", new Subject(reduction(18), 7, 11, 13, 18));
        subjects.put("ArgMax", new Subject(OperatorTest::argMax, 7, 11, 12, 13));
        subjects.put("Transpose", new Subject(OperatorTest::transpose, 7, 13));
        subjects.put("Squeeze", new Subject(OperatorTest::squeeze, 7, 11, 13));
        subjects.put("Unsqueeze", new Subject(OperatorTest::unsqueeze, 7, 11, 13));
        subjects.put("Reshape", new Subject(OperatorTest::reshape, 7, 14));
        subjects.put("Flatten", new Subject(OperatorTest::flatten, 7, 11, 13));
        subjects.put("Gather", new Subject(OperatorTest::gather, 7, 11, 13));
        subjects.put("Slice", new Subject(OperatorTest::slice, 7, 10, 13));
        subjects.put("Concat", new Subject(OperatorTest::concat, 7, 11, 13));
        subjects.put("Split", new Subject(OperatorTest::split, 7, 11, 13, 18));
        subjects.put("Expand", new Subject(OperatorTest::expand, 8, 13));
        subjects.put("MatMul", new Subject(OperatorTest::matMul, 7, 13));
        subjects.put("Gemm", new Subject(OperatorTest::gemm, 7, 11, 13));
        subjects.put("Cast", new Subject(OperatorTest::cast, 7, 13, 19));
        subjects.put("Pad", new Subject(OperatorTest::pad, 7, 11, 18));
        subjects.put("ReverseSequence", new Subject(OperatorTest::reverse, 10));
        subjects.put("Constant", new Subject(OperatorTest::constant, 7, 12, 13));
        subjects.put("ConstantOfShape", new Subject(OperatorTest::constantOfShape, 9));
        subjects.put("Shape", new Subject(OperatorTest::shape, 7, 15));
        subjects.put("Where", new Subject(OperatorTest::where, 9, 16));
        subjects.put("Clip", new Subject(OperatorTest::clip, 7, 11, 13));
        subjects.put("Dropout", new Subject(OperatorTest::dropout, 7, 12, 13));
        return subjects;
    }

    @TestFactory
    Stream<DynamicTest> likeOnnxRuntime() {
        return subjects().entrySet().stream()
                .flatMap(subject -> Arrays.stream(subject.getValue().opsets)
                        .mapToObj(opset -> DynamicTest.dynamicTest(
                                subject.getKey() + ", opset " + opset,
                                () -> check(subject.getKey(), opset, subject.getValue().drawing))));
    }

    private void check(String operator, int opset, Drawing drawing) throws IOException, OrtException {
        try (Engine engine = Engines.open("reference")) {
            for (int k = 0; k < CASES; k++) {
                Draft draft = new Draft(1000L * operator.hashCode() + 100 * opset + k, opset);
                drawing.draw(draft);
                byte[] model = model(operator, draft);
                Map<String, OnnxValue> inputs = new LinkedHashMap<>();
                for (int i = 0; i < draft.inputs.size(); i++) {
                    inputs.put("in" + i, draft.inputs.get(i));
                }
                String what = operator + " " + draft.attributes.keySet() + " of " + inputs;
                Map<String, OnnxValue> expected = Ort.run(model, inputs);
                Path file = folder.resolve("node.onnx");
                Files.write(file, model);
                Map<String, OnnxValue> actual = OnnxGraph.read(file).run(engine, inputs);
                for (Map.Entry<String, OnnxValue> output : expected.entrySet()) {
                    Ort.assertSame(what, output.getValue(), actual.get(output.getKey()), ALLOWED);
                }
            }
        }
    }

    private static byte[] model(String operator, Draft draft) {
        GraphBuilder graph = new GraphBuilder("node");
        List<String> inputs = new ArrayList<>();
        for (int k = 0; k < draft.inputs.size(); k++) {
            OnnxValue value = draft.inputs.get(k);
            Object[] extents = new Object[value.rank()];
            for (int e = 0; e < extents.length; e++) {
                extents[e] = value.extent(e);
            }
            inputs.add("in" + k);
            graph.input("in" + k, value.type(), extents);
        }
        List<String> outputs = new ArrayList<>();
        for (int k = 0; k < draft.outputs.size(); k++) {
            outputs.add("out" + k);
        }
        graph.node(operator, inputs, outputs, draft.attributes);
        for (int k = 0; k < draft.outputs.size(); k++) {
            graph.outputWithoutShape("out" + k, draft.outputs.get(k));
        }
        return graph.build(draft.opset, "test", Map.of()).toByteArray();
    }
}
