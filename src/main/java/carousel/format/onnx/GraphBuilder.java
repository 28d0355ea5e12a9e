package carousel.format.onnx;

import ai.onnx.proto.OnnxMl.AttributeProto;
import ai.onnx.proto.OnnxMl.AttributeProto.AttributeType;
import ai.onnx.proto.OnnxMl.GraphProto;
import ai.onnx.proto.OnnxMl.ModelProto;
import ai.onnx.proto.OnnxMl.NodeProto;
import ai.onnx.proto.OnnxMl.OperatorSetIdProto;
import ai.onnx.proto.OnnxMl.StringStringEntryProto;
import ai.onnx.proto.OnnxMl.TensorProto;
import ai.onnx.proto.OnnxMl.TensorShapeProto;
import ai.onnx.proto.OnnxMl.TypeProto;
import ai.onnx.proto.OnnxMl.ValueInfoProto;
import com.google.protobuf.ByteString;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** Puts an ONNX model together. */
final class GraphBuilder {
    /** The name of a value that is left out. */
    static final String NONE = "";

    private final GraphProto.Builder graph;
    private int names;

    GraphBuilder(String name) {
        graph = GraphProto.newBuilder().setName(name);
    }

    /** @param extents numbers, or names for those that may be any */
    GraphBuilder input(String name, OnnxType type, Object... extents) {
        graph.addInput(info(name, type, extents));
        return this;
    }

    GraphBuilder output(String name, OnnxType type, Object... extents) {
        graph.addOutput(info(name, type, extents));
        return this;
    }

    /** An output of which only the type is known. */
    GraphBuilder outputWithoutShape(String name, OnnxType type) {
        TypeProto.Tensor tensor =
                TypeProto.Tensor.newBuilder().setElemType(type.code()).build();
        graph.addOutput(ValueInfoProto.newBuilder()
                .setName(name)
                .setType(TypeProto.newBuilder().setTensorType(tensor)));
        return this;
    }

    private static ValueInfoProto info(String name, OnnxType type, Object... extents) {
        TensorShapeProto.Builder shape = TensorShapeProto.newBuilder();
        for (Object extent : extents) {
            if (extent instanceof String word) {
                shape.addDimBuilder().setDimParam(word);
            } else {
                shape.addDimBuilder().setDimValue((Integer) extent);
            }
        }
        TypeProto.Tensor tensor = TypeProto.Tensor.newBuilder()
                .setElemType(type.code())
                .setShape(shape)
                .build();
        return ValueInfoProto.newBuilder()
                .setName(name)
                .setType(TypeProto.newBuilder().setTensorType(tensor))
                .build();
    }

    /** A name that no other value has whose name was made here. */
    String newName(String stem) {
        return stem + "_" + names++;
    }

    /** Returns the name. */
    String initializer(String name, OnnxValue value) {
        graph.addInitializer(tensor(name, value));
        return name;
    }

    /** FLOAT, DOUBLE, INT32, INT64 and BOOL as raw bytes. */
    static TensorProto tensor(String name, OnnxValue value) {
        ByteBuffer bytes = ByteBuffer.allocate(
                        Math.multiplyExact(value.elements(), value.type().bytes()))
                .order(ByteOrder.LITTLE_ENDIAN);
        for (int k = 0; k < value.elements(); k++) {
            switch (value.type()) {
                case FLOAT -> bytes.putFloat((float) value.real()[k]);
                case DOUBLE -> bytes.putDouble(value.real()[k]);
                case INT32 -> bytes.putInt((int) value.whole()[k]);
                case INT64 -> bytes.putLong(value.whole()[k]);
                case BOOL -> bytes.put((byte) value.whole()[k]);
                default -> throw new IllegalArgumentException("tensors of type " + value.type() + " are not written");
            }
        }
        TensorProto.Builder tensor = TensorProto.newBuilder()
                .setName(name)
                .setDataType(value.type().code())
                .setRawData(ByteString.copyFrom(bytes.flip()));
        for (int k = 0; k < value.rank(); k++) {
            tensor.addDims(value.extent(k));
        }
        return tensor.build();
    }

    /**
     * Adds a node and returns the name of its first output.
     *
     * @param attributes {@code Long}, {@code long[]}, {@code Float}, {@code float[]}, {@code String}, {@code List<String>} or
     *     {@code TensorProto}
     */
    String node(String operator, List<String> inputs, List<String> outputs, Map<String, ?> attributes) {
        String name = operator.toLowerCase(Locale.ROOT) + "_" + graph.getNodeCount();
        NodeProto.Builder node = graph.addNodeBuilder()
                .setOpType(operator)
                .setName(name)
                .addAllInput(inputs)
                .addAllOutput(outputs);
        attributes.entrySet().stream()
                .sorted(Map.Entry.comparingByKey())
                .forEach(entry -> node.addAttribute(attribute(entry.getKey(), entry.getValue())));
        return outputs.get(0);
    }

    private static AttributeProto attribute(String name, Object value) {
        AttributeProto.Builder attribute = AttributeProto.newBuilder().setName(name);
        if (value instanceof Long number) {
            attribute.setType(AttributeType.INT).setI(number);
        } else if (value instanceof Float number) {
            attribute.setType(AttributeType.FLOAT).setF(number);
        } else if (value instanceof String text) {
            attribute.setType(AttributeType.STRING).setS(ByteString.copyFromUtf8(text));
        } else if (value instanceof TensorProto tensor) {
            attribute.setType(AttributeType.TENSOR).setT(tensor);
        } else if (value instanceof long[] numbers) {
            attribute.setType(AttributeType.INTS);
            for (long number : numbers) {
                attribute.addInts(number);
            }
        } else if (value instanceof float[] numbers) {
            attribute.setType(AttributeType.FLOATS);
            for (float number : numbers) {
                attribute.addFloats(number);
            }
        } else {
            attribute.setType(AttributeType.STRINGS);
            for (Object text : (List<?>) value) {
                attribute.addStrings(ByteString.copyFromUtf8((String) text));
            }
        }
        return attribute.build();
    }

    /** The model, with the oldest IR version that goes with the version of the operators. */
    ModelProto build(int opset, String producer, Map<String, String> metadata) {
        int ir = opset <= 8 ? 3 : opset == 9 ? 4 : opset == 10 ? 5 : opset == 11 ? 6 : opset <= 14 ? 7 : 8;
        ModelProto.Builder model = ModelProto.newBuilder()
                .setIrVersion(ir)
                .setProducerName(producer)
                .setGraph(graph)
                .addOpsetImport(OperatorSetIdProto.newBuilder().setDomain("").setVersion(opset));
        metadata.forEach((key, value) -> model.addMetadataProps(
                StringStringEntryProto.newBuilder().setKey(key).setValue(value)));
        return model.build();
    }
}
