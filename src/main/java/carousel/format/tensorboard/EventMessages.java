package carousel.format.tensorboard;

import com.google.protobuf.DescriptorProtos.DescriptorProto;
import com.google.protobuf.DescriptorProtos.EnumDescriptorProto;
import com.google.protobuf.DescriptorProtos.EnumValueDescriptorProto;
import com.google.protobuf.DescriptorProtos.FieldDescriptorProto;
import com.google.protobuf.DescriptorProtos.FieldDescriptorProto.Label;
import com.google.protobuf.DescriptorProtos.FieldDescriptorProto.Type;
import com.google.protobuf.DescriptorProtos.FileDescriptorProto;
import com.google.protobuf.DescriptorProtos.OneofDescriptorProto;
import com.google.protobuf.Descriptors.Descriptor;
import com.google.protobuf.Descriptors.DescriptorValidationException;
import com.google.protobuf.Descriptors.FieldDescriptor;
import com.google.protobuf.Descriptors.FileDescriptor;
import com.google.protobuf.DynamicMessage;
import java.util.List;
import java.util.Map;

/**
 * The messages of TensorFlow's {@code event.proto}, {@code summary.proto}, {@code tensor.proto}, {@code tensor_shape.proto} and
 * {@code types.proto}, as far as event files need them here: the same names, numbers and types. They are described in code
 * and not generated from files, which would take a compiler of its own in the build, and many public classes, for ten small messages.
 */
final class EventMessages {
    private static final FileDescriptor FILE = file();

    static final Descriptor EVENT = FILE.findMessageTypeByName("Event");
    static final Descriptor SESSION_LOG = FILE.findMessageTypeByName("SessionLog");
    static final Descriptor SUMMARY = FILE.findMessageTypeByName("Summary");
    static final Descriptor IMAGE = SUMMARY.findNestedTypeByName("Image");
    static final Descriptor VALUE = SUMMARY.findNestedTypeByName("Value");
    static final Descriptor METADATA = FILE.findMessageTypeByName("SummaryMetadata");
    static final Descriptor PLUGIN_DATA = METADATA.findNestedTypeByName("PluginData");
    static final Descriptor TENSOR = FILE.findMessageTypeByName("TensorProto");
    static final Descriptor TENSOR_SHAPE = FILE.findMessageTypeByName("TensorShapeProto");

    private EventMessages() {}

    /** A message with these fields; a value of an enumeration is given by its name. */
    static DynamicMessage message(Descriptor type, Map<String, ?> fields) {
        DynamicMessage.Builder builder = DynamicMessage.newBuilder(type);
        fields.forEach((name, value) -> {
            FieldDescriptor field = type.findFieldByName(name);
            boolean enumeration = field.getJavaType() == FieldDescriptor.JavaType.ENUM;
            builder.setField(field, enumeration ? field.getEnumType().findValueByName((String) value) : value);
        });
        return builder.build();
    }

    private static FileDescriptor file() {
        FileDescriptorProto file = FileDescriptorProto.newBuilder()
                .setName("carousel/events.proto")
                .setPackage("tensorflow")
                .setSyntax("proto3")
                .addMessageType(choosing("Event", "what")
                        .addField(field("wall_time", 1, Type.TYPE_DOUBLE))
                        .addField(field("step", 2, Type.TYPE_INT64))
                        .addField(field("file_version", 3, Type.TYPE_STRING).setOneofIndex(0))
                        .addField(message("summary", 5, "Summary").setOneofIndex(0))
                        .addField(message("session_log", 7, "SessionLog").setOneofIndex(0)))
                .addMessageType(plain("SessionLog")
                        .addEnumType(enumeration("SessionStatus", "STATUS_UNSPECIFIED", "START", "STOP", "CHECKPOINT"))
                        .addField(enumerated("status", 1, "SessionLog.SessionStatus")))
                .addMessageType(plain("Summary")
                        .addNestedType(plain("Image")
                                .addField(field("height", 1, Type.TYPE_INT32))
                                .addField(field("width", 2, Type.TYPE_INT32))
                                .addField(field("colorspace", 3, Type.TYPE_INT32))
                                .addField(field("encoded_image_string", 4, Type.TYPE_BYTES)))
                        .addNestedType(choosing("Value", "value")
                                .addField(field("tag", 1, Type.TYPE_STRING))
                                .addField(field("simple_value", 2, Type.TYPE_FLOAT)
                                        .setOneofIndex(0))
                                .addField(message("image", 4, "Summary.Image").setOneofIndex(0))
                                .addField(message("tensor", 8, "TensorProto").setOneofIndex(0))
                                .addField(message("metadata", 9, "SummaryMetadata")))
                        .addField(repeated(message("value", 1, "Summary.Value"))))
                .addMessageType(plain("SummaryMetadata")
                        .addNestedType(plain("PluginData").addField(field("plugin_name", 1, Type.TYPE_STRING)))
                        .addField(message("plugin_data", 1, "SummaryMetadata.PluginData"))
                        .addField(enumerated("data_class", 4, "DataClass")))
                .addMessageType(plain("TensorProto")
                        .addField(enumerated("dtype", 1, "DataType"))
                        .addField(message("tensor_shape", 2, "TensorShapeProto"))
                        .addField(repeated(field("string_val", 8, Type.TYPE_BYTES))))
                // Dimensions are left out: all tensors here are scalars.
                .addMessageType(plain("TensorShapeProto"))
                .addEnumType(enumeration(
                        "DataClass",
                        "DATA_CLASS_UNKNOWN",
                        "DATA_CLASS_SCALAR",
                        "DATA_CLASS_TENSOR",
                        "DATA_CLASS_BLOB_SEQUENCE"))
                .addEnumType(enumeration(
                        "DataType",
                        "DT_INVALID",
                        "DT_FLOAT",
                        "DT_DOUBLE",
                        "DT_INT32",
                        "DT_UINT8",
                        "DT_INT16",
                        "DT_INT8",
                        "DT_STRING"))
                .build();
        try {
            return FileDescriptor.buildFrom(file, new FileDescriptor[0]);
        } catch (DescriptorValidationException e) {
            throw new IllegalStateException(e);
        }
    }

    private static DescriptorProto.Builder plain(String name) {
        return DescriptorProto.newBuilder().setName(name);
    }

    /** A message with a group of fields of which one at most is there. */
    private static DescriptorProto.Builder choosing(String name, String choice) {
        return plain(name).addOneofDecl(OneofDescriptorProto.newBuilder().setName(choice));
    }

    private static FieldDescriptorProto.Builder field(String name, int number, Type type) {
        return FieldDescriptorProto.newBuilder()
                .setName(name)
                .setNumber(number)
                .setType(type)
                .setLabel(Label.LABEL_OPTIONAL);
    }

    private static FieldDescriptorProto.Builder message(String name, int number, String type) {
        return field(name, number, Type.TYPE_MESSAGE).setTypeName(".tensorflow." + type);
    }

    private static FieldDescriptorProto.Builder enumerated(String name, int number, String type) {
        return field(name, number, Type.TYPE_ENUM).setTypeName(".tensorflow." + type);
    }

    private static FieldDescriptorProto.Builder repeated(FieldDescriptorProto.Builder field) {
        return field.setLabel(Label.LABEL_REPEATED);
    }

    /** Values numbered from 0. */
    private static EnumDescriptorProto enumeration(String name, String... values) {
        EnumDescriptorProto.Builder builder = EnumDescriptorProto.newBuilder().setName(name);
        for (String value : List.of(values)) {
            builder.addValue(
                    EnumValueDescriptorProto.newBuilder().setName(value).setNumber(builder.getValueCount()));
        }
        return builder.build();
    }
}
