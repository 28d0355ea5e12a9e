package carousel.format.onnx;

import carousel.format.FormatException;
import carousel.tensor.Shape;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;

/** A tensor of an ONNX graph in host memory, row-major. It never changes. */
public final class OnnxValue {
    /** More dimensions than this are refused. */
    static final int LARGEST_RANK = 16;

    private final OnnxType type;
    private final Shape shape;
    private final double[] reals;
    private final long[] integers;

    private OnnxValue(OnnxType type, Shape shape, double[] reals, long[] integers) {
        int length = type.real() ? reals.length : integers.length;
        if (shape.rank() > LARGEST_RANK) {
            throw new IllegalArgumentException(
                    "a tensor should have at most " + LARGEST_RANK + " dimensions but got " + shape.rank());
        }
        if (shape.elements() != length) {
            throw new IllegalArgumentException(
                    "a tensor " + shape + " should have " + shape.elements() + " elements but got " + length);
        }
        this.type = type;
        this.shape = shape;
        this.reals = reals;
        this.integers = integers;
    }

    /** A FLOAT tensor. */
    public static OnnxValue of(float[] values, int... extents) {
        double[] wide = new double[values.length];
        Arrays.setAll(wide, k -> values[k]);
        return new OnnxValue(OnnxType.FLOAT, Shape.of(extents), wide, null);
    }

    /** A DOUBLE tensor. */
    public static OnnxValue of(double[] values, int... extents) {
        return new OnnxValue(OnnxType.DOUBLE, Shape.of(extents), values.clone(), null);
    }

    /** An INT32 tensor. */
    public static OnnxValue of(int[] values, int... extents) {
        return new OnnxValue(
                OnnxType.INT32,
                Shape.of(extents),
                null,
                Arrays.stream(values).asLongStream().toArray());
    }

    /** An INT64 tensor. */
    public static OnnxValue of(long[] values, int... extents) {
        return new OnnxValue(OnnxType.INT64, Shape.of(extents), null, values.clone());
    }

    /**
     * Reads a tensor from a file of its own ({@code input_0.pb}), as ONNX's operator tests and the model zoo have them.
     *
     * @throws FormatException when it is no tensor, or one of a type that is not supported
     */
    public static OnnxValue read(Path path) throws IOException {
        try {
            return TensorReader.read(OnnxReader.tensor(path, OnnxReader.bytes(path)));
        } catch (IllegalArgumentException e) {
            throw new FormatException("the tensor in '" + path + "' " + e.getMessage(), e);
        }
    }

    /** A tensor of a real type, whose values are rounded to it in the array itself, which must not change later. */
    static OnnxValue reals(OnnxType type, Shape shape, double[] values) {
        if (type != OnnxType.DOUBLE) {
            for (int k = 0; k < values.length; k++) {
                values[k] = type.round(values[k]);
            }
        }
        return new OnnxValue(type, shape, values, null);
    }

    /** A tensor of an integer type, whose values are wrapped to it in the array itself, which must not change later. */
    static OnnxValue integers(OnnxType type, Shape shape, long[] values) {
        if (type != OnnxType.INT64) {
            for (int k = 0; k < values.length; k++) {
                values[k] = type.wrap(values[k]);
            }
        }
        return new OnnxValue(type, shape, null, values);
    }

    public OnnxType type() {
        return type;
    }

    public Shape shape() {
        return shape;
    }

    /** The values of a real tensor, rounded to float. */
    public float[] floats() {
        double[] from = real();
        float[] values = new float[from.length];
        for (int k = 0; k < values.length; k++) {
            values[k] = (float) from[k];
        }
        return values;
    }

    /** The values of a real tensor. */
    public double[] doubles() {
        return real().clone();
    }

    /** The values of a tensor of integers or of truth values, which are 0 or 1. */
    public long[] longs() {
        return whole().clone();
    }

    /** The array of a real tensor itself, not to be changed. */
    double[] real() {
        if (reals == null) {
            throw new IllegalArgumentException("a tensor of real numbers is needed but got " + this);
        }
        return reals;
    }

    /** The array of a tensor of integers itself, not to be changed. */
    long[] whole() {
        if (integers == null) {
            throw new IllegalArgumentException("a tensor of integers is needed but got " + this);
        }
        return integers;
    }

    /** The array, {@code double[]} or {@code long[]}, not to be changed. */
    Object array() {
        return reals == null ? integers : reals;
    }

    /** A new array for as many elements of this tensor's type. */
    Object newArray(int length) {
        return reals == null ? new long[length] : new double[length];
    }

    /** A tensor of this one's type with these elements, {@code double[]} or {@code long[]}, which are of that type already. */
    OnnxValue like(Shape other, Object array) {
        return new OnnxValue(
                type, other, reals == null ? null : (double[]) array, reals == null ? (long[]) array : null);
    }

    /** The same elements in another shape. */
    OnnxValue reshaped(Shape other) {
        return new OnnxValue(type, other, reals, integers);
    }

    int elements() {
        return reals == null ? integers.length : reals.length;
    }

    int rank() {
        return shape.rank();
    }

    int extent(int dimension) {
        return shape.extent(dimension);
    }

    /** For instance {@code FLOAT [5, 2, 3]}. */
    @Override
    public String toString() {
        return type + " " + shape;
    }
}
