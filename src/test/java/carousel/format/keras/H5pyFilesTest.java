package carousel.format.keras;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.engine.Engine;
import carousel.engine.Engines;
import carousel.format.Imported;
import carousel.layer.Form;
import carousel.layer.Model;
import carousel.layer.Pass;
import carousel.tensor.Scope;
import carousel.tensor.Tensor;
import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.DoubleStream;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Files that HDF5's own library wrote as Keras does, and what NumPy says that their models compute: see h5py-files.py there. */
class H5pyFilesTest {
    @TempDir
    Path folder;

    static byte[] resource(String name) throws IOException {
        try (InputStream stream = H5pyFilesTest.class.getResourceAsStream(name)) {
            return stream.readAllBytes();
        }
    }

    private Imported read(String name) throws IOException {
        return KerasImport.read(Files.write(folder.resolve(name), resource(name)));
    }

    @ParameterizedTest
    @CsvSource({
        "keras-3.keras, reference, 1e-12",
        "keras-3.keras, vector, 1e-6",
        "keras-2.h5, reference, 1e-12",
        "newer-format.h5, reference, 1e-12"
    })
    void theModelComputesWhatNumPyComputes(String name, String engineName, double tolerance) throws IOException {
        JsonObject expected = JsonParser.parseString(new String(resource("h5py-files.json"), StandardCharsets.UTF_8))
                .getAsJsonObject()
                .getAsJsonObject(name);
        try (Engine engine = Engines.open(engineName);
                Model model = read(name).weights().open(engine);
                Scope scope = engine.openScope("run")) {
            boolean tokens = model.spec().input().kind() == Form.Kind.TOKENS;
            JsonArray x = expected.getAsJsonArray(tokens ? "tokens" : "x");
            int batchSize = x.size();
            int timeSteps = x.get(0).getAsJsonArray().size();
            double[] input = timeFirst(flatten(x), batchSize, timeSteps);
            Tensor tensor = tokens
                    ? scope.allocateIntegers("x", timeSteps, batchSize)
                    : scope.allocate(
                            "x", timeSteps, batchSize, model.spec().input().features());
            if (tokens) {
                engine.write(
                        tensor,
                        Arrays.stream(input).mapToInt(token -> (int) token).toArray());
            } else {
                engine.write(tensor, input);
            }
            Tensor output = model.forward(Pass.inference(engine, scope, tensor, null));
            double[] y = new double[Math.toIntExact(output.elements())];
            engine.read(output, y);
            double[] wanted = flatten(expected.get("y"));
            assertArrayEquals(
                    output.shape().rank() == 3 ? timeFirst(wanted, batchSize, timeSteps) : wanted, y, tolerance);
        }
    }

    private static double[] flatten(JsonElement element) {
        return element.isJsonArray()
                ? element.getAsJsonArray().asList().stream()
                        .flatMapToDouble(each -> DoubleStream.of(flatten(each)))
                        .toArray()
                : new double[] {element.getAsDouble()};
    }

    /** {@code [N, T, C]} as {@code [T, N, C]}. */
    private static double[] timeFirst(double[] values, int batchSize, int timeSteps) {
        int width = values.length / batchSize / timeSteps;
        return IntStream.range(0, values.length)
                .mapToDouble(e -> {
                    int t = e / width / batchSize;
                    int n = e / width % batchSize;
                    return values[(n * timeSteps + t) * width + e % width];
                })
                .toArray();
    }

    @Test
    void theMappingSaysWhatBecameOfEachPart() throws IOException {
        Imported keras3 = read("keras-3.keras");
        assertEquals(
                "(time, batch, 3) -> LSTM(4, bidirectional) -> Dropout(0.3) -> LSTM(5, reverse) -> TimeReversal() -> Dense(2)"
                        + " -> Activation(tanh) -> LSTM(1) -> Dense(3, no bias) -> Activation(softmax)",
                keras3.weights().spec().toString());
        assertMapping(
                keras3,
                "layers/bidirectional/backward_layer/cell/vars/1",
                "lstm.weight_hh_l0_reverse",
                "transposed, gates i, f, c, o as they are");
        assertMapping(keras3, "layers/lstm_1/cell/vars/2", "lstm_2.bias_l0", "gates i, f, c, o as they are");
        assertMapping(
                keras3,
                "layer 'lstm_9' (LSTM)",
                "lstm_1: LSTM(5, reverse)",
                "go_backwards: the outputs in the order of reading");
        assertMapping(keras3, "layers/dense/vars/0", "dense_1.weight", "transposed");
        Imported keras2 = read("keras-2.h5");
        assertTrue(
                keras2.weights()
                        .spec()
                        .toString()
                        .startsWith("(time, batch) of 7 tokens -> Embedding(3, token 0 masked)"),
                keras2.weights().spec().toString());
        assertMapping(
                keras2,
                "lstm_1/lstm_cell_1/kernel:0",
                "lstm_1.weight_ih_l0",
                "transposed, gates i, f, c, o as they are");
        assertMapping(keras2, "words/embeddings:0", "embedding.weight", "");
    }

    private static void assertMapping(Imported imported, String source, String target, String how) {
        List<Imported.Mapping> mapping = imported.mapping();
        assertTrue(mapping.contains(new Imported.Mapping(source, target, how)), () -> source + " not in " + mapping);
    }
}
