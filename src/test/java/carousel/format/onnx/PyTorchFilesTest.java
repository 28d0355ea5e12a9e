package carousel.format.onnx;

import static org.junit.jupiter.api.Assertions.assertEquals;

import ai.onnxruntime.OrtException;
import carousel.engine.Engine;
import carousel.engine.Engines;
import carousel.format.Imported;
import carousel.layer.Form;
import carousel.layer.Model;
import carousel.layer.Pass;
import carousel.tensor.Scope;
import carousel.tensor.Tensor;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Files that PyTorch has written: run as graphs and read as models, both against ONNX Runtime. */
class PyTorchFilesTest {
    private static final double ALLOWED = 1e-5;
    private static final int STEPS = 5;
    private static final int BATCH = 3;

    static Stream<Arguments> files() {
        return Stream.of(
                Arguments.of(
                        "sequences-bidirectional-embedding",
                        true,
                        "(time, batch) of 11 tokens -> Embedding(4) -> LSTM(3, layers 2, bidirectional) -> Dense(5)"
                                + " -> Activation(softmax)"),
                Arguments.of(
                        "sequences-fixed-sizes",
                        true,
                        "(time, batch, 4) -> LSTM(3, bidirectional) -> Dense(5) -> Activation(relu)"),
                Arguments.of(
                        "states-bidirectional",
                        false,
                        "(time, batch, 4) -> LSTM(3, layers 2, bidirectional) -> Dense(5) -> Activation(relu)"),
                Arguments.of(
                        "ends-bidirectional",
                        true,
                        "(time, batch, 4) -> LSTM(3, bidirectional) -> Dense(5) -> Activation(relu)"),
                Arguments.of(
                        "last-step-embedding",
                        true,
                        "(time, batch) of 11 tokens -> Embedding(4) -> LSTM(3, layers 2) -> Dense(5) ->"
                                + " Activation(softmax)"),
                Arguments.of(
                        "packed-states-bidirectional",
                        true,
                        "(time, batch, 4) -> LSTM(3, layers 2, bidirectional) -> Dense(2)"),
                Arguments.of("packed-sequences-no-bias", false, "(time, batch, 4) -> LSTM(3, no bias) -> Dense(2)"));
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("files")
    void likeOnnxRuntime(String name, boolean batchFirst, String expected) throws IOException, OrtException {
        byte[] bytes;
        try (InputStream in = PyTorchFilesTest.class.getResourceAsStream(name + ".onnx")) {
            bytes = in.readAllBytes();
        }
        OnnxGraph graph = OnnxGraph.read(Path.of(name + ".onnx"), bytes);
        Imported imported = OnnxImport.of(graph);
        assertEquals(expected, imported.weights().spec().toString());

        Random random = new Random(name.hashCode());
        boolean tokens = imported.weights().spec().input().kind() == Form.Kind.TOKENS;
        int width = tokens ? 1 : 4;
        float[] timeMajor = new float[STEPS * BATCH * width];
        for (int k = 0; k < timeMajor.length; k++) {
            timeMajor[k] = tokens ? random.nextInt(11) : 2 * random.nextFloat() - 1;
        }
        float[] values = batchFirst ? OnnxImportTest.swapped(timeMajor, STEPS, BATCH, width) : timeMajor;
        int outer = batchFirst ? BATCH : STEPS;
        int inner = batchFirst ? STEPS : BATCH;
        Map<String, OnnxValue> inputs = new HashMap<>();
        inputs.put(
                "x", tokens ? OnnxValue.of(integers(values), outer, inner) : OnnxValue.of(values, outer, inner, width));
        boolean packed = graph.inputs().size() > 1;
        if (packed) {
            inputs.put("l", OnnxValue.of(new long[] {5, 3, 2}, BATCH));
        }
        OnnxValue judge = Ort.run(bytes, inputs).get("y");
        try (Engine engine = Engines.open("vector");
                Model model = imported.weights().open(engine);
                Scope scope = engine.openScope("test")) {
            Ort.assertSame("graph", judge, graph.run(engine, inputs).get("y"), ALLOWED);
            Tensor x;
            if (tokens) {
                x = scope.allocateIntegers("x", STEPS, BATCH);
                int[] ids = new int[timeMajor.length];
                for (int k = 0; k < ids.length; k++) {
                    ids[k] = (int) timeMajor[k];
                }
                engine.write(x, ids);
            } else {
                x = scope.allocate("x", STEPS, BATCH, width);
                engine.write(x, timeMajor);
            }
            Tensor y = model.forward(Pass.inference(engine, scope, x, packed ? new int[] {5, 3, 2} : null));
            float[] result = new float[(int) y.elements()];
            engine.read(y, result);
            if (batchFirst && y.shape().rank() == 3) {
                result = OnnxImportTest.swapped(result, STEPS, BATCH, y.shape().extent(2));
            }
            Ort.assertSame("model", judge, OnnxValue.of(result, judge.shape().toArray()), ALLOWED);
        }
    }

    private static long[] integers(float[] values) {
        long[] result = new long[values.length];
        for (int k = 0; k < values.length; k++) {
            result[k] = (long) values[k];
        }
        return result;
    }
}
