package carousel.golden;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.engine.Engine;
import carousel.fixture.Tolerance;
import carousel.format.onnx.OnnxGraph;
import carousel.format.onnx.OnnxValue;
import java.io.IOException;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicContainer;
import org.junit.jupiter.api.TestFactory;

/** The operator tests that the ONNX project publishes for its LSTM node, as graphs read from their files. */
class OnnxGraphNodeTest {
    /** Values are stored in single precision; the cases sum no more than a dozen products. */
    private static final double ALLOWED = 1e-6;

    private static final int TERMS = 32;

    @TestFactory
    Stream<DynamicContainer> operatorCases() {
        return PublishedData.tests(PublishedData.folder("onnx-node"), "", OnnxNodeTest.KNOWN, OnnxGraphNodeTest::check);
    }

    private static void check(Engine engine, Path folder) throws IOException {
        OnnxGraph graph = OnnxGraph.read(folder.resolve("model.onnx"));
        Path values = folder.resolve("test_data_set_0");
        Map<String, OnnxValue> inputs = new LinkedHashMap<>();
        for (int k = 0; k < graph.inputs().size(); k++) {
            inputs.put(graph.inputs().get(k).name(), OnnxValue.read(values.resolve("input_" + k + ".pb")));
        }
        Map<String, OnnxValue> outputs = graph.run(engine, inputs);
        assertTrue(!outputs.isEmpty(), "the case has outputs");
        Tolerance tolerance = Tolerance.of(engine.precision());
        for (int k = 0; k < graph.outputs().size(); k++) {
            String name = graph.outputs().get(k);
            OnnxValue expected = OnnxValue.read(values.resolve("output_" + k + ".pb"));
            assertEquals(expected.toString(), outputs.get(name).toString(), name);
            tolerance.checkWithin(
                    name, expected.doubles(), outputs.get(name).doubles(), ALLOWED + tolerance.relative(TERMS));
        }
    }
}
