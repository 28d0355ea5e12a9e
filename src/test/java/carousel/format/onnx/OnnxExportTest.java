package carousel.format.onnx;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import ai.onnx.proto.OnnxMl.ModelProto;
import ai.onnxruntime.OrtException;
import carousel.engine.ActivationFunction;
import carousel.engine.Engine;
import carousel.engine.Engines;
import carousel.engine.LstmSpec;
import carousel.format.FormatException;
import carousel.format.Imported;
import carousel.format.ModelJson;
import carousel.format.ModelWeights;
import carousel.layer.Activation;
import carousel.layer.Dense;
import carousel.layer.Dropout;
import carousel.layer.Embedding;
import carousel.layer.Form;
import carousel.layer.Lstm;
import carousel.layer.Masking;
import carousel.layer.Model;
import carousel.layer.ModelSpec;
import carousel.layer.Pass;
import carousel.layer.Residual;
import carousel.layer.TimeReversal;
import carousel.tensor.Scope;
import carousel.tensor.Tensor;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.io.TempDir;

/** Models written as ONNX: the same outputs in ONNX Runtime and here, and the same model when they are read again. */
class OnnxExportTest {
    private static final double ALLOWED = 1e-5;
    private static final int MODELS = 120;

    @TempDir
    Path folder;

    @TestFactory
    Stream<DynamicTest> randomModels() {
        return Stream.iterate(0, k -> k < MODELS, k -> k + 1).map(k -> {
            ModelSpec spec = RandomModels.spec(new Random(k), k % 2 == 1);
            return DynamicTest.dynamicTest(k + ": " + spec, () -> check(spec, k));
        });
    }

    /** Written as sums, which the import of chains does not read. */
    @Test
    void residualConnectionsComputeTheSame() throws IOException, OrtException {
        Lstm lstm = Lstm.of(4).withReturnSequences(true);
        ModelSpec each = ModelSpec.of(
                Form.sequence(4),
                Residual.of(lstm, new Dropout(0.5, true), Residual.of(Dense.of(4))),
                Lstm.of(3).withReturnSequences(true),
                Residual.of(new Activation(ActivationFunction.TANH), Dense.of(3)));
        ModelSpec once =
                ModelSpec.of(Form.tokens(5), Embedding.of(4), Residual.of(lstm, lstm), Lstm.of(2), Dense.of(2));
        for (ModelSpec spec : new ModelSpec[] {each, once}) {
            for (int seed = 0; seed < 4; seed++) {
                Random random = new Random(seed);
                ModelWeights weights = RandomModels.weights(spec, random);
                Path file = folder.resolve("residual.onnx");
                OnnxExport.write(file, weights, Map.of(), seed % 2 == 1);
                int[] lengths = seed % 2 == 1 ? new int[] {5, 2, 4} : null;
                Map<String, OnnxValue> inputs = inputs(spec.input(), 3, 5, lengths, random);
                try (Engine engine = Engines.open("reference");
                        Model model = weights.open(engine)) {
                    OnnxValue expected = outputs(engine, model, inputs.get(OnnxExport.INPUT), 3, 5, lengths);
                    Ort.assertSame(
                            "ONNX Runtime",
                            expected,
                            Ort.run(Files.readAllBytes(file), inputs).get(OnnxExport.OUTPUT),
                            ALLOWED);
                    Ort.assertSame(
                            "here",
                            expected,
                            OnnxGraph.read(file).run(engine, inputs).get(OnnxExport.OUTPUT),
                            ALLOWED);
                }
                assertThrows(FormatException.class, () -> OnnxImport.read(file));
            }
        }
    }

    private void check(ModelSpec spec, int seed) throws IOException, OrtException {
        Random random = new Random(1000 + seed);
        ModelWeights weights = RandomModels.weights(spec, random);
        boolean withLengths = random.nextBoolean();
        Path file = folder.resolve("model.onnx");
        OnnxExport.write(file, weights, Map.of("purpose", "test"), withLengths);
        assertImported(weights, OnnxImport.read(file));

        OnnxGraph graph = OnnxGraph.read(file);
        assertEquals("test", graph.metadata().get("purpose"));
        byte[] bytes = Files.readAllBytes(file);
        try (Engine engine = Engines.open("reference");
                Engine other = Engines.open("vector");
                Model model = weights.open(engine)) {
            // The axes of the file may have any extent.
            for (int batch = 1; batch <= 4; batch += 3) {
                int steps = 1 + random.nextInt(6);
                int[] lengths = null;
                if (withLengths) {
                    lengths = new int[batch];
                    for (int n = 0; n < batch; n++) {
                        lengths[n] = 1 + random.nextInt(steps);
                    }
                }
                Map<String, OnnxValue> inputs = inputs(spec.input(), batch, steps, lengths, random);
                OnnxValue expected = outputs(engine, model, inputs.get(OnnxExport.INPUT), batch, steps, lengths);
                Ort.assertSame("ONNX Runtime", expected, Ort.run(bytes, inputs).get(OnnxExport.OUTPUT), ALLOWED);
                Ort.assertSame("reference", expected, graph.run(engine, inputs).get(OnnxExport.OUTPUT), ALLOWED);
                Ort.assertSame("vector", expected, graph.run(other, inputs).get(OnnxExport.OUTPUT), ALLOWED);
            }
        }
    }

    private static Map<String, OnnxValue> inputs(Form form, int batch, int steps, int[] lengths, Random random) {
        Map<String, OnnxValue> inputs = new LinkedHashMap<>();
        if (form.kind() == Form.Kind.TOKENS) {
            long[] ids = random.longs((long) batch * steps, 0, form.features()).toArray();
            inputs.put(OnnxExport.INPUT, OnnxValue.of(ids, batch, steps));
        } else {
            float[] values = new float[batch * steps * form.features()];
            for (int k = 0; k < values.length; k++) {
                values[k] = 2 * random.nextFloat() - 1;
            }
            inputs.put(OnnxExport.INPUT, OnnxValue.of(values, batch, steps, form.features()));
        }
        if (lengths != null) {
            inputs.put(OnnxExport.LENGTHS, OnnxValue.of(lengths, batch));
        }
        return inputs;
    }

    /** What the model itself makes of the inputs, batch-major. */
    private static OnnxValue outputs(Engine engine, Model model, OnnxValue input, int batch, int steps, int[] lengths) {
        try (Scope scope = engine.openScope("test")) {
            Tensor x;
            if (input.type() == OnnxType.INT64) {
                int[] ids = new int[batch * steps];
                for (int k = 0; k < ids.length; k++) {
                    ids[k % steps * batch + k / steps] = (int) input.longs()[k];
                }
                x = scope.allocateIntegers("x", steps, batch);
                engine.write(x, ids);
            } else {
                int width = input.shape().extent(2);
                x = scope.allocate("x", steps, batch, width);
                engine.write(x, swapped(input.floats(), batch, steps, width));
            }
            Tensor y = model.forward(Pass.inference(engine, scope, x, lengths));
            float[] values = new float[(int) y.elements()];
            engine.read(y, values);
            int[] extents = y.shape().toArray();
            return extents.length == 2
                    ? OnnxValue.of(values, extents)
                    : OnnxValue.of(swapped(values, steps, batch, extents[2]), batch, steps, extents[2]);
        }
    }

    private static float[] swapped(float[] values, int outer, int inner, int width) {
        float[] result = new float[values.length];
        for (int a = 0; a < outer; a++) {
            for (int b = 0; b < inner; b++) {
                System.arraycopy(values, (a * inner + b) * width, result, (b * outer + a) * width, width);
            }
        }
        return result;
    }

    private static void assertImported(ModelWeights expected, Imported actual) {
        assertEquals(expected.spec(), actual.weights().spec());
        assertEquals(expected.values().keySet(), actual.weights().values().keySet());
        expected.values()
                .forEach((name, values) ->
                        assertArrayEquals(values, actual.weights().get(name), name));
        assertTrue(
                actual.mapping().stream().anyMatch(entry -> entry.how().equals("says the same as the graph")),
                () -> actual.mapping().toString());
    }

    @Test
    void pastTheEndOfASequenceThereIsZero() throws IOException, OrtException {
        ModelSpec spec = ModelSpec.of(
                Form.sequence(2), Lstm.of(LstmSpec.of(1, 3).withLayers(2)).withReturnSequences(true));
        Path file = folder.resolve("model.onnx");
        OnnxExport.write(file, RandomModels.weights(spec, new Random(1)), Map.of(), true);
        Map<String, OnnxValue> inputs = inputs(spec.input(), 2, 4, new int[] {4, 1}, new Random(2));
        float[] y =
                Ort.run(Files.readAllBytes(file), inputs).get(OnnxExport.OUTPUT).floats();
        for (int k = 0; k < y.length; k++) {
            assertEquals(k >= 5 * 3, y[k] == 0, "element " + k);
        }
    }

    @Test
    void modelsOfVectorsHaveNoSequences() throws IOException, OrtException {
        ModelSpec spec =
                ModelSpec.of(Form.vector(3), Dense.of(4), new Activation(ActivationFunction.RELU), Dense.of(2));
        ModelWeights weights = RandomModels.weights(spec, new Random(3));
        Path file = folder.resolve("model.onnx");
        OnnxExport.write(file, weights, Map.of());
        assertImported(weights, OnnxImport.read(file));
        Map<String, OnnxValue> inputs = Map.of(OnnxExport.INPUT, OnnxValue.of(new float[] {1, 2, 3, 4, 5, 6}, 2, 3));
        try (Engine engine = Engines.open("reference")) {
            Ort.assertSame(
                    "output",
                    Ort.run(Files.readAllBytes(file), inputs).get(OnnxExport.OUTPUT),
                    OnnxGraph.read(file).run(engine, inputs).get(OnnxExport.OUTPUT),
                    ALLOWED);
        }
        assertRefused(spec, true, "no sequences");
    }

    private void assertRefused(ModelSpec spec, boolean lengths, String part) {
        Path file = folder.resolve("refused.onnx");
        ModelWeights weights = RandomModels.weights(spec, new Random(1));
        IllegalArgumentException refusal =
                assertThrows(IllegalArgumentException.class, () -> OnnxExport.write(file, weights, Map.of(), lengths));
        assertTrue(refusal.getMessage().contains(part), refusal.getMessage());
        assertFalse(Files.exists(file));
    }

    @Test
    void whatOnnxDoesNotHaveIsRefused() {
        LstmSpec usual = LstmSpec.of(1, 4);
        assertRefused(ModelSpec.of(Form.sequence(2), Lstm.of(usual.withProjectionSize(2))), false, "a projection");
        assertRefused(ModelSpec.of(Form.sequence(2), Lstm.of(usual.withCellClip(3))), false, "a clip of its cells");
        assertRefused(ModelSpec.of(Form.sequence(2), Lstm.of(usual.withZoneout(0, 0.1))), false, "zoneout");
        assertRefused(
                ModelSpec.of(Form.sequence(2), Lstm.of(usual.withLayerNormalization(true))), false, "normalization");
        assertRefused(ModelSpec.of(Form.sequence(2), new Masking(0), Lstm.of(usual)), true, "leaves out steps");
        assertRefused(
                ModelSpec.of(Form.tokens(5), Embedding.of(3).withMaskZero(true), Lstm.of(usual)),
                true,
                "leaves out steps");
        assertRefused(ModelSpec.of(Form.sequence(2), new TimeReversal(), Lstm.of(usual)), false, "turns its sequences");
    }

    @Test
    void metadataThatDoNotFitTheGraphAreLeftOut() throws IOException {
        ModelSpec spec = ModelSpec.of(Form.tokens(4), Embedding.of(3), Lstm.of(2), Dense.of(2));
        ModelWeights weights = RandomModels.weights(spec, new Random(4));
        Path file = folder.resolve("model.onnx");
        OnnxExport.write(file, weights, Map.of());
        for (String said : new String[] {
            "{", ModelJson.write(ModelSpec.of(Form.tokens(4), Embedding.of(3), Lstm.of(2), Dense.of(3)))
        }) {
            ModelProto.Builder model = ModelProto.parseFrom(Files.readAllBytes(file)).toBuilder();
            model.getMetadataPropsBuilder(0).setValue(said);
            Path changed = folder.resolve("changed.onnx");
            Files.write(changed, model.build().toByteArray());
            Imported imported = OnnxImport.read(changed);
            assertEquals(spec, imported.weights().spec());
            assertTrue(
                    imported.mapping().stream().anyMatch(entry -> entry.how().startsWith("left out: it ")),
                    () -> imported.mapping().toString());
        }
    }
}
