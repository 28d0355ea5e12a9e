package carousel.format.tensorboard;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.Descriptors.Descriptor;
import com.google.protobuf.Descriptors.EnumDescriptor;
import com.google.protobuf.Descriptors.EnumValueDescriptor;
import com.google.protobuf.Descriptors.FieldDescriptor;
import java.util.Set;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;
import org.tensorflow.proto.Event;

/** The messages described here against those that TensorFlow publishes. */
class EventMessagesTest {
    private final Set<String> compared = new TreeSet<>();

    @Test
    void everyMessageIsAPartOfTensorFlows() {
        compare(EventMessages.EVENT, Event.getDescriptor());
        assertEquals(
                Set.of(
                        "tensorflow.Event",
                        "tensorflow.SessionLog",
                        "tensorflow.SessionLog.SessionStatus",
                        "tensorflow.Summary",
                        "tensorflow.Summary.Image",
                        "tensorflow.Summary.Value",
                        "tensorflow.SummaryMetadata",
                        "tensorflow.SummaryMetadata.PluginData",
                        "tensorflow.DataClass",
                        "tensorflow.DataType",
                        "tensorflow.TensorProto",
                        "tensorflow.TensorShapeProto"),
                compared);
    }

    private void compare(Descriptor ours, Descriptor theirs) {
        assertEquals(theirs.getFullName(), ours.getFullName());
        if (!compared.add(ours.getFullName())) {
            return;
        }
        for (FieldDescriptor field : ours.getFields()) {
            String name = field.getFullName();
            FieldDescriptor original = theirs.findFieldByName(field.getName());
            assertNotNull(original, name);
            assertEquals(original.getNumber(), field.getNumber(), name);
            assertEquals(original.getType(), field.getType(), name);
            assertEquals(original.isRepeated(), field.isRepeated(), name);
            assertEquals(original.isPacked(), field.isPacked(), name);
            assertEquals(original.hasPresence(), field.hasPresence(), name);
            assertEquals(
                    original.getContainingOneof() == null
                            ? null
                            : original.getContainingOneof().getName(),
                    field.getContainingOneof() == null
                            ? null
                            : field.getContainingOneof().getName(),
                    name);
            if (field.getJavaType() == FieldDescriptor.JavaType.MESSAGE) {
                compare(field.getMessageType(), original.getMessageType());
            } else if (field.getJavaType() == FieldDescriptor.JavaType.ENUM) {
                compare(field.getEnumType(), original.getEnumType());
            }
        }
    }

    private void compare(EnumDescriptor ours, EnumDescriptor theirs) {
        assertEquals(theirs.getFullName(), ours.getFullName());
        compared.add(ours.getFullName());
        assertTrue(ours.getValues().size() > 1, ours.getFullName());
        for (EnumValueDescriptor value : ours.getValues()) {
            assertEquals(theirs.findValueByName(value.getName()).getNumber(), value.getNumber(), value.getFullName());
        }
    }
}
