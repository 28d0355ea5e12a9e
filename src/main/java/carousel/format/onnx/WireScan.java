package carousel.format.onnx;

import carousel.format.FormatException;
import com.google.protobuf.CodedInputStream;
import com.google.protobuf.Descriptors.Descriptor;
import com.google.protobuf.Descriptors.FieldDescriptor;
import com.google.protobuf.WireFormat;
import java.io.IOException;

/**
 * Goes over the bytes of a protobuf message and counts what the parser would make objects of. Two bytes are enough for an
 * empty message, which costs a hundred times as much in memory: a file must not get far by that.
 */
final class WireScan {
    /** Real graphs around an LSTM stay far below. */
    static final int LARGEST_COUNT = 200_000;

    private static final int LARGEST_DEPTH = 32;

    private final CodedInputStream in;
    private int count;

    private WireScan(CodedInputStream in) {
        this.in = in;
    }

    /** Checks a whole message. */
    static void check(CodedInputStream in, Descriptor type) throws IOException {
        new WireScan(in).message(type, 0);
    }

    private void message(Descriptor type, int depth) throws IOException {
        if (depth > LARGEST_DEPTH) {
            throw new FormatException("its messages are nested more than " + LARGEST_DEPTH + " deep");
        }
        while (!in.isAtEnd()) {
            int tag = in.readTag();
            FieldDescriptor field = type.findFieldByNumber(WireFormat.getTagFieldNumber(tag));
            boolean delimited = WireFormat.getTagWireType(tag) == WireFormat.WIRETYPE_LENGTH_DELIMITED;
            if (WireFormat.getTagWireType(tag) == WireFormat.WIRETYPE_START_GROUP
                    || WireFormat.getTagWireType(tag) == WireFormat.WIRETYPE_END_GROUP) {
                throw new FormatException("it has a group of fields, which ONNX does not use");
            }
            if (field != null && field.getJavaType() == FieldDescriptor.JavaType.MESSAGE && delimited) {
                count();
                int length = in.readRawVarint32();
                int outer = in.pushLimit(length);
                message(field.getMessageType(), depth + 1);
                in.popLimit(outer);
            } else {
                if (field == null || !field.isPackable() || !field.isRepeated()) {
                    // Numbers in a list need no objects.
                    count();
                }
                in.skipField(tag);
            }
        }
    }

    private void count() throws FormatException {
        count++;
        if (count > LARGEST_COUNT) {
            throw new FormatException("it has more than " + LARGEST_COUNT + " fields");
        }
    }
}
