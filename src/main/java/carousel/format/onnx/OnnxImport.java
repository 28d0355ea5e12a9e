package carousel.format.onnx;

import carousel.format.FormatException;
import carousel.format.Imported;
import java.io.IOException;
import java.nio.file.Path;

/**
 * Reads an ONNX file as a model that can be trained further: a chain of an embedding, LSTM layers, dense layers and activations, as
 * PyTorch, Keras and {@link OnnxExport} write it. Its sequences may be time-major or batch-major, its result be the last step or
 * all of them, and the transpositions, squeezes, reshapes and concatenations in between may come in any order.
 *
 * <p>Any other graph is refused with the node and the reason; {@link OnnxGraph} may run it nevertheless.
 */
public final class OnnxImport {
    private OnnxImport() {}

    /**
     * Reads a model. Where the file's metadata hold a specification as {@code carousel.model} that says the same as the graph, it is
     * the model's, with its dropout and its initializers.
     *
     * @throws FormatException when it is no ONNX file, or one that is no such chain
     */
    public static Imported read(Path path) throws IOException {
        return of(OnnxGraph.read(path));
    }

    /**
     * The same for a graph that has been read already.
     *
     * @throws FormatException when it is no such chain
     */
    public static Imported of(OnnxGraph graph) throws FormatException {
        try {
            ChainReader reader = new ChainReader(graph);
            Fact.Flow output = reader.read();
            return new ChainModel(graph, output, reader.time()).assemble();
        } catch (IllegalArgumentException e) {
            throw new FormatException(
                    "'" + graph.path() + "' cannot be imported as a model: " + e.getMessage()
                            + "; OnnxGraph runs it as it is",
                    e);
        }
    }
}
