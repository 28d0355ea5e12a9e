package carousel.format.keras;

import carousel.format.FormatException;
import carousel.format.Imported;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.List;

/**
 * Reads models that Keras saved: {@code .keras} files of Keras 3 and of TensorFlow 2.12 and later, and the {@code .h5} files of
 * Keras 2. Which of the two a file is its content says.
 *
 * <p>Sequential models are read, and Functional ones that are a line from one input to one output, of the layers that {@link
 * #LAYERS} lists. The weights' gates lie in Keras' files in the order i, f, c, o, which is that of {@link carousel.engine.Gate};
 * kernels are transposed.
 */
public final class KerasImport {
    /** The layers that are read, as messages list them. */
    public static final String LAYERS =
            "InputLayer, Embedding, Masking, LSTM, Bidirectional (of an LSTM), Dense, TimeDistributed (of a Dense),"
                    + " Activation, ReLU, Softmax, Dropout and SpatialDropout1D";

    private static final long LARGEST_FILE = Integer.MAX_VALUE - 8;

    private KerasImport() {}

    /**
     * The model in a file.
     *
     * @throws FormatException when it is not one, or has in it what is not read: the message names the layer and the reason
     * @throws IOException when the file cannot be read
     */
    public static Imported read(Path path) throws IOException {
        return read(path, content(path));
    }

    /** The model in a file of this content. */
    static Imported read(Path path, byte[] content) throws FormatException {
        try {
            if (KerasZip.begins(content)) {
                return archive(content);
            }
            if (Hdf5.begins(content)) {
                return legacy(content);
            }
            throw new Refusal("it is neither a .keras file (a ZIP archive) nor an .h5 file (HDF5): does it come from"
                    + " model.save()?");
        } catch (IllegalArgumentException e) {
            // The layers' own refusals are sentences too.
            throw new FormatException("'" + path + "' is not read: " + e.getMessage(), e);
        }
    }

    private static byte[] content(Path path) throws IOException {
        if (!Files.exists(path)) {
            throw new NoSuchFileException(path.toString());
        }
        if (!Files.isRegularFile(path)) {
            throw new FileSystemException(
                    path.toString(), null, Files.isDirectory(path) ? "Is a directory" : "it is a device or a pipe");
        }
        long size = Files.size(path);
        if (size > LARGEST_FILE) {
            throw new FormatException("'" + path + "' should have at most " + LARGEST_FILE + " bytes but has " + size
                    + ": larger models are not read");
        }
        return Files.readAllBytes(path);
    }

    private static Imported archive(byte[] content) {
        KerasZip archive = new KerasZip(content);
        KerasJson config = KerasJson.parse("its config.json", text(archive.read("config.json")));
        String version = KerasJson.parse("its metadata.json", text(archive.read("metadata.json")))
                .text("keras_version", "3");
        ByteBuffer weights = archive.read("model.weights.h5");
        return new KerasReader(version).read(KerasChain.of(config), new KerasWeights.Paths(Hdf5.open(weights)));
    }

    private static String text(ByteBuffer bytes) {
        return StandardCharsets.UTF_8.decode(bytes).toString();
    }

    private static Imported legacy(byte[] content) {
        Hdf5 file = Hdf5.open(ByteBuffer.wrap(content));
        List<String> config = file.root().text("model_config");
        Hdf5.Group weights = file.root().group("model_weights");
        if (config == null || config.isEmpty() || weights == null) {
            throw new Refusal("it has no '" + (weights == null ? "model_weights" : "model_config")
                    + "': a file of save_weights() does not say what its layers are, so save the whole model with"
                    + " model.save()");
        }
        // Keras 2 has it in both places, the first versions in one.
        String version = first(weights.text("keras_version"), first(file.root().text("keras_version"), "1"));
        if (version.startsWith("1")) {
            throw new Refusal("it is of Keras " + FormatException.quote(version)
                    + ", whose weights are laid out otherwise: load and save it with Keras 2 first");
        }
        KerasJson model = KerasJson.parse("its model_config", config.get(0));
        return new KerasReader(version).read(KerasChain.of(model), new KerasWeights.Names(weights));
    }

    private static String first(List<String> texts, String otherwise) {
        return texts == null || texts.isEmpty() ? otherwise : texts.get(0);
    }
}
