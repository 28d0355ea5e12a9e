package carousel.format.onnx;

import ai.onnx.proto.OnnxMl.ModelProto;
import ai.onnx.proto.OnnxMl.OperatorSetIdProto;
import ai.onnx.proto.OnnxMl.TensorProto;
import carousel.format.FileErrors;
import carousel.format.FormatException;
import com.google.protobuf.ByteString;
import com.google.protobuf.CodedInputStream;
import com.google.protobuf.Descriptors.Descriptor;
import com.google.protobuf.UnsafeByteOperations;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** Reads ONNX files and checks what holds for the file as a whole. */
final class OnnxReader {
    /** Where nodes of version 6 say how they broadcast, in attributes that are gone since, they are refused. */
    static final int OLDEST_OPSET = 6;

    static final int NEWEST_OPSET = 23;
    private static final int OLDEST_IR = 3;
    private static final int NEWEST_IR = 13;
    /** What protobuf itself allows. */
    private static final int LARGEST_FILE = Integer.MAX_VALUE - 8;

    private OnnxReader() {}

    /**
     * A model in the bytes of a file.
     *
     * @throws FormatException when it is no ONNX model or one of a version that is not read here
     */
    static ModelProto model(Path path, byte[] bytes) throws FormatException {
        ModelProto model = parse(path, bytes, ModelProto.getDescriptor(), ModelProto::parseFrom);
        if (!model.hasGraph() || model.getOpsetImportCount() == 0) {
            throw new FormatException(
                    "'" + path + "' is not an ONNX model: it has no " + (model.hasGraph() ? "operator set" : "graph"));
        }
        if (model.getIrVersion() < OLDEST_IR || model.getIrVersion() > NEWEST_IR) {
            throw new FormatException("'" + path + "' has the IR version " + model.getIrVersion() + " but " + OLDEST_IR
                    + " to " + NEWEST_IR + " are read here: convert it with onnx.version_converter");
        }
        try {
            opset(model);
        } catch (IllegalArgumentException e) {
            throw new FormatException("'" + path + "' " + e.getMessage(), e);
        }
        return model;
    }

    /** A tensor in the bytes of a file of its own. */
    static TensorProto tensor(Path path, byte[] bytes) throws FormatException {
        return parse(path, bytes, TensorProto.getDescriptor(), TensorProto::parseFrom);
    }

    /** The bytes of a file. */
    static byte[] bytes(Path path) throws IOException {
        try {
            long size = Files.size(path);
            if (size > LARGEST_FILE) {
                throw new FormatException("'" + path + "' has " + size + " bytes but an ONNX file has at most "
                        + LARGEST_FILE + ": tensors stored outside of it are not supported");
            }
            return Files.readAllBytes(path);
        } catch (FormatException e) {
            throw e;
        } catch (IOException e) {
            throw new IOException(FileErrors.sentence(path, e), e);
        }
    }

    private interface Parser<M> {
        M parse(CodedInputStream in) throws IOException;
    }

    private static <M> M parse(Path path, byte[] bytes, Descriptor type, Parser<M> parser) throws FormatException {
        try {
            ByteString content = UnsafeByteOperations.unsafeWrap(bytes);
            WireScan.check(content.newCodedInput(), type);
            CodedInputStream in = content.newCodedInput();
            // Tensors' bytes are views of the file's.
            in.enableAliasing(true);
            return parser.parse(in);
        } catch (FormatException e) {
            throw new FormatException("'" + path + "' is not an ONNX file that can be read here: " + e.getMessage(), e);
        } catch (IOException e) {
            throw new FormatException(
                    "'" + path + "' is not an ONNX file or is cut off: " + oneLine(e.getMessage()), e);
        }
    }

    /** The version of ONNX's own operators that the model uses. */
    static int opset(ModelProto model) {
        Long found = null;
        for (OperatorSetIdProto set : model.getOpsetImportList()) {
            if (standard(set.getDomain())) {
                if (found != null && found != set.getVersion()) {
                    throw new IllegalArgumentException("names two versions of ONNX's operators, " + found + " and "
                            + set.getVersion() + ", where one is allowed");
                }
                found = set.getVersion();
            }
        }
        if (found == null) {
            throw new IllegalArgumentException("does not say which version of ONNX's operators it uses");
        }
        if (found < OLDEST_OPSET || found > NEWEST_OPSET) {
            throw new IllegalArgumentException("uses version " + found + " of ONNX's operators but " + OLDEST_OPSET
                    + " to " + NEWEST_OPSET + " are read here: convert it with onnx.version_converter");
        }
        return found.intValue();
    }

    /** Whether a domain is that of ONNX's own operators. */
    static boolean standard(String domain) {
        return domain.isEmpty() || domain.equals("ai.onnx");
    }

    private static String oneLine(String text) {
        return text == null ? "its bytes make no sense" : text.strip().replaceAll("\\s*\\R\\s*", " ");
    }
}
