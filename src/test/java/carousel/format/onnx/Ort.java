package carousel.format.onnx;

import static org.junit.jupiter.api.Assertions.assertEquals;

import ai.onnxruntime.OnnxJavaType;
import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtLoggingLevel;
import ai.onnxruntime.OrtSession;
import ai.onnxruntime.TensorInfo;
import carousel.tensor.Shape;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.DoubleBuffer;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import java.nio.LongBuffer;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;

/** ONNX Runtime, the judge of what an ONNX model means. */
final class Ort {
    private Ort() {}

    /** Runs a model and returns its outputs by name. */
    static Map<String, OnnxValue> run(byte[] model, Map<String, OnnxValue> inputs) throws OrtException {
        OrtEnvironment environment = OrtEnvironment.getEnvironment();
        Map<String, OnnxTensor> tensors = new HashMap<>();
        try (OrtSession.SessionOptions options = new OrtSession.SessionOptions()) {
            options.setIntraOpNumThreads(1);
            options.setSessionLogLevel(OrtLoggingLevel.ORT_LOGGING_LEVEL_FATAL);
            try (OrtSession session = environment.createSession(model, options)) {
                for (Map.Entry<String, OnnxValue> input : inputs.entrySet()) {
                    tensors.put(input.getKey(), tensor(environment, input.getValue()));
                }
                Map<String, OnnxValue> outputs = new LinkedHashMap<>();
                try (OrtSession.Result result = session.run(tensors)) {
                    result.forEach(entry -> outputs.put(entry.getKey(), value((OnnxTensor) entry.getValue())));
                }
                return outputs;
            }
        } finally {
            tensors.values().forEach(OnnxTensor::close);
        }
    }

    private static OnnxTensor tensor(OrtEnvironment environment, OnnxValue value) throws OrtException {
        long[] extents = Arrays.stream(value.shape().toArray()).asLongStream().toArray();
        return switch (value.type()) {
            case FLOAT -> OnnxTensor.createTensor(environment, FloatBuffer.wrap(value.floats()), extents);
            case DOUBLE -> OnnxTensor.createTensor(environment, DoubleBuffer.wrap(value.doubles()), extents);
            case INT64 -> OnnxTensor.createTensor(environment, LongBuffer.wrap(value.longs()), extents);
            case INT32 ->
                OnnxTensor.createTensor(
                        environment,
                        IntBuffer.wrap(Arrays.stream(value.longs())
                                .mapToInt(Math::toIntExact)
                                .toArray()),
                        extents);
            case BOOL -> {
                ByteBuffer bytes = ByteBuffer.allocateDirect(value.elements()).order(ByteOrder.nativeOrder());
                Arrays.stream(value.longs()).forEach(flag -> bytes.put((byte) flag));
                yield OnnxTensor.createTensor(environment, bytes.flip(), extents, OnnxJavaType.BOOL);
            }
            default -> throw new AssertionError("not needed: " + value);
        };
    }

    private static OnnxValue value(OnnxTensor tensor) {
        TensorInfo info = tensor.getInfo();
        Shape shape = Shape.of(
                Arrays.stream(info.getShape()).mapToInt(Math::toIntExact).toArray());
        int count = (int) shape.elements();
        switch (info.type) {
            case FLOAT -> {
                float[] values = new float[count];
                if (count > 0) {
                    tensor.getFloatBuffer().get(values);
                }
                return OnnxValue.of(values, shape.toArray());
            }
            case DOUBLE -> {
                double[] values = new double[count];
                if (count > 0) {
                    tensor.getDoubleBuffer().get(values);
                }
                return OnnxValue.of(values, shape.toArray());
            }
            case INT64 -> {
                long[] values = new long[count];
                if (count > 0) {
                    tensor.getLongBuffer().get(values);
                }
                return OnnxValue.of(values, shape.toArray());
            }
            case INT32 -> {
                int[] values = new int[count];
                if (count > 0) {
                    tensor.getIntBuffer().get(values);
                }
                return OnnxValue.of(values, shape.toArray());
            }
            case BOOL -> {
                long[] values = new long[count];
                ByteBuffer bytes = count > 0 ? tensor.getByteBuffer() : ByteBuffer.allocate(0);
                Arrays.setAll(values, bytes::get);
                return OnnxValue.integers(OnnxType.BOOL, shape, values);
            }
            default -> throw new AssertionError("not needed: " + info);
        }
    }

    /** Requires equal types, shapes and integers, and reals within {@code allowed} times the larger of 1 and their size. */
    static void assertSame(String what, OnnxValue expected, OnnxValue actual, double allowed) {
        assertEquals(expected.toString(), actual.toString(), what);
        if (!expected.type().real()) {
            assertEquals(Arrays.toString(expected.longs()), Arrays.toString(actual.longs()), what);
            return;
        }
        double[] wanted = expected.doubles();
        double[] found = actual.doubles();
        for (int k = 0; k < wanted.length; k++) {
            boolean same = Double.compare(wanted[k], found[k]) == 0
                    || Math.abs(wanted[k] - found[k]) <= allowed * Math.max(1, Math.abs(wanted[k]));
            if (!same) {
                throw new AssertionError(what + " " + expected + ": element " + k + " should be " + wanted[k]
                        + " within " + allowed + " but is " + found[k]);
            }
        }
    }
}
