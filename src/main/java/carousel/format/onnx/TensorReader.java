package carousel.format.onnx;

import ai.onnx.proto.OnnxMl.TensorProto;
import carousel.format.FormatException;
import carousel.format.SmallFloats;
import carousel.tensor.Shape;
import com.google.protobuf.ByteString;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** Tensors as files hold them, as raw bytes or as lists of numbers. */
final class TensorReader {
    private TensorReader() {}

    /**
     * The value of a tensor. Its size is checked against what the file holds before memory is asked for.
     *
     * @throws IllegalArgumentException when it cannot be read; the message continues "the tensor 'W' "
     */
    static OnnxValue read(TensorProto tensor) {
        if (tensor.getDataLocation() == TensorProto.DataLocation.EXTERNAL || tensor.getExternalDataCount() > 0) {
            String file = tensor.getExternalDataList().stream()
                    .filter(entry -> entry.getKey().equals("location"))
                    .map(entry -> FormatException.quote(entry.getValue()))
                    .findFirst()
                    .orElse("another file");
            throw new IllegalArgumentException("has its values in " + file
                    + ", and tensors outside of the file are not supported: save the model with them inside");
        }
        if (tensor.hasSegment()) {
            throw new IllegalArgumentException(
                    "is cut into segments, which is not supported: save the model without them");
        }
        OnnxType type;
        try {
            type = OnnxType.of(tensor.getDataType());
        } catch (IllegalArgumentException e) {
            throw new IllegalArgumentException("cannot be read: " + e.getMessage(), e);
        }
        Shape shape = shape(tensor);
        long stored = tensor.hasRawData() ? tensor.getRawData().size() / type.bytes() : listed(tensor, type);
        boolean partial = tensor.hasRawData() && tensor.getRawData().size() % type.bytes() != 0;
        if (shape.elements() != stored || partial) {
            throw new IllegalArgumentException("should have the " + shape.elements() + " elements of its shape " + shape
                    + " but has "
                    + (tensor.hasRawData() ? tensor.getRawData().size() + " bytes of type " + type : stored));
        }
        int count = (int) stored;
        if (type.real()) {
            double[] values = new double[count];
            if (tensor.hasRawData()) {
                raw(tensor.getRawData(), type, values);
            } else {
                list(tensor, type, values);
            }
            return OnnxValue.reals(type, shape, values);
        }
        long[] values = new long[count];
        if (tensor.hasRawData()) {
            raw(tensor.getRawData(), type, values);
        } else {
            for (int k = 0; k < count; k++) {
                values[k] = type == OnnxType.INT64 ? tensor.getInt64Data(k) : tensor.getInt32Data(k);
            }
        }
        return OnnxValue.integers(type, shape, values);
    }

    private static Shape shape(TensorProto tensor) {
        int rank = tensor.getDimsCount();
        if (rank > OnnxValue.LARGEST_RANK) {
            throw new IllegalArgumentException(
                    "has " + rank + " dimensions but at most " + OnnxValue.LARGEST_RANK + " are allowed");
        }
        int[] extents = new int[rank];
        for (int k = 0; k < rank; k++) {
            long extent = tensor.getDims(k);
            if (extent < 0 || extent > Integer.MAX_VALUE) {
                throw new IllegalArgumentException("has the extent " + extent + " in dimension " + k
                        + " but it should be in the [0, " + Integer.MAX_VALUE + "] range");
            }
            extents[k] = (int) extent;
        }
        try {
            return Shape.of(extents);
        } catch (IllegalArgumentException e) {
            throw new IllegalArgumentException("is too large: " + e.getMessage(), e);
        }
    }

    private static int listed(TensorProto tensor, OnnxType type) {
        return switch (type) {
            case FLOAT -> tensor.getFloatDataCount();
            case DOUBLE -> tensor.getDoubleDataCount();
            case INT64 -> tensor.getInt64DataCount();
            case FLOAT16, BFLOAT16, INT32, BOOL -> tensor.getInt32DataCount();
        };
    }

    private static void list(TensorProto tensor, OnnxType type, double[] values) {
        for (int k = 0; k < values.length; k++) {
            values[k] = switch (type) {
                case FLOAT -> tensor.getFloatData(k);
                case DOUBLE -> tensor.getDoubleData(k);
                case FLOAT16 -> SmallFloats.float16((short) tensor.getInt32Data(k));
                default -> SmallFloats.bfloat16((short) tensor.getInt32Data(k));
            };
        }
    }

    private static void raw(ByteString bytes, OnnxType type, double[] values) {
        ByteBuffer in = bytes.asReadOnlyByteBuffer().order(ByteOrder.LITTLE_ENDIAN);
        for (int k = 0; k < values.length; k++) {
            values[k] = switch (type) {
                case FLOAT -> in.getFloat();
                case DOUBLE -> in.getDouble();
                case FLOAT16 -> SmallFloats.float16(in.getShort());
                default -> SmallFloats.bfloat16(in.getShort());
            };
        }
    }

    private static void raw(ByteString bytes, OnnxType type, long[] values) {
        ByteBuffer in = bytes.asReadOnlyByteBuffer().order(ByteOrder.LITTLE_ENDIAN);
        for (int k = 0; k < values.length; k++) {
            values[k] = switch (type) {
                case INT32 -> in.getInt();
                case INT64 -> in.getLong();
                default -> in.get();
            };
        }
    }
}
