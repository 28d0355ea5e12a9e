package carousel.format.keras;

import static carousel.fixture.Refusals.assertRefused;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import carousel.engine.ActivationFunction;
import carousel.engine.CellActivation;
import carousel.engine.Direction;
import carousel.engine.Engine;
import carousel.engine.Engines;
import carousel.engine.LstmActivations;
import carousel.engine.LstmSpec;
import carousel.engine.ParameterView;
import carousel.engine.RandomSequence;
import carousel.fixture.LstmData;
import carousel.format.FormatException;
import carousel.format.Imported;
import carousel.format.ModelWeights;
import carousel.layer.Activation;
import carousel.layer.Dense;
import carousel.layer.Dropout;
import carousel.layer.Embedding;
import carousel.layer.Form;
import carousel.layer.Initializer;
import carousel.layer.Layer;
import carousel.layer.Lstm;
import carousel.layer.Masking;
import carousel.layer.Model;
import carousel.layer.ModelSpec;
import carousel.layer.Pass;
import carousel.layer.Residual;
import carousel.layer.TimeReversal;
import carousel.tensor.Scope;
import carousel.tensor.Tensor;
import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

class KerasExportTest {
    private static final int TIME_STEPS = 4;
    private static final int BATCH_SIZE = 3;
    private static final LstmSpec LSTM = LstmSpec.of(1, 3);

    @TempDir
    Path folder;

    private static Stream<Arguments> models() {
        LstmSpec both = LSTM.withDirection(Direction.BIDIRECTIONAL);
        LstmSpec reverse = LSTM.withDirection(Direction.REVERSE);
        LstmSpec hard = LSTM.withActivations(new LstmActivations(
                new CellActivation(CellActivation.Kind.HARD_SIGMOID, 1.0 / 6, 0.5),
                CellActivation.of(CellActivation.Kind.SOFTSIGN),
                CellActivation.of(CellActivation.Kind.SOFTSIGN)));
        return Stream.of(
                model("last output", Form.sequence(2), Lstm.of(LSTM), Dense.of(3)),
                model(
                        "a stack with dropout, an answer at each step",
                        Form.sequence(2),
                        Lstm.of(LSTM.withLayers(3).withDropout(0.25)).withReturnSequences(true),
                        Dense.of(2),
                        new Activation(ActivationFunction.SOFTMAX)),
                model(
                        "both ways, two of them, no bias",
                        Form.sequence(2),
                        new Dropout(0.5),
                        Lstm.of(both.withLayers(2).withBias(false)).withReturnSequences(true),
                        Lstm.of(both),
                        new Dense(2, false, new Initializer.GlorotUniform(), new Initializer.Constant(0))),
                model("a stack in reverse", Form.sequence(2), Lstm.of(reverse.withLayers(3)), Dense.of(1)),
                model(
                        "in reverse and turned around",
                        Form.sequence(2),
                        Lstm.of(reverse.withLayers(2)).withReturnSequences(true),
                        Dense.of(2),
                        new TimeReversal()),
                model(
                        "in reverse and back",
                        Form.sequence(2),
                        Lstm.of(reverse).withReturnSequences(true),
                        new Activation(ActivationFunction.RELU),
                        Lstm.of(LSTM).withReturnSequences(true),
                        Lstm.of(reverse).withReturnSequences(true),
                        Lstm.of(reverse)),
                model("other activations", Form.sequence(2), Lstm.of(hard), new Activation(ActivationFunction.SIGMOID)),
                model("masked steps", Form.sequence(2), new Masking(0.5), Lstm.of(both.withLayers(2))),
                model(
                        "masked tokens",
                        Form.tokens(5),
                        Embedding.of(3).withMaskZero(true),
                        Lstm.of(LSTM.withLayers(2)).withReturnSequences(true)),
                model(
                        "dropout of whole features, and of vectors",
                        Form.sequence(2),
                        new Dropout(0.5, true),
                        Lstm.of(LSTM).withReturnSequences(true),
                        new Dropout(0.25, true),
                        Lstm.of(LSTM),
                        new Dropout(0.25),
                        Dense.of(1)),
                model("tokens", Form.tokens(5), Embedding.of(3), Lstm.of(LSTM)),
                model("no LSTM", Form.vector(4), Dense.of(3), new Activation(ActivationFunction.TANH), Dense.of(1)));
    }

    private static Arguments model(String name, Form input, Layer... layers) {
        return Arguments.of(name, ModelSpec.of(input, layers));
    }

    /** Values that single precision holds, so that rounding changes nothing. */
    private static ModelWeights weights(ModelSpec spec) {
        RandomSequence random = new RandomSequence(6, 0, 0);
        Map<String, double[]> values = new HashMap<>();
        for (ParameterView view : Model.views(spec)) {
            double[] drawn = LstmData.uniform(random, (int) view.shape().elements());
            values.put(view.name(), Arrays.stream(drawn).map(x -> (float) x).toArray());
        }
        return new ModelWeights(spec, values);
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("models")
    void whatIsReadBackComputesTheSame(String name, ModelSpec spec) throws IOException {
        ModelWeights before = weights(spec);
        Path file = folder.resolve("model.keras");
        KerasExport.write(file, before);
        ModelWeights after = KerasImport.read(file).weights();
        assertEquals(all(before), all(after), "the weights, bit for bit");
        assertArrayEquals(outputs(before), outputs(after), 1e-14);
    }

    /** A stack comes back as layers of their own, whose names differ: all weights by size and content. */
    private static List<String> all(ModelWeights model) {
        return model.values().values().stream().map(Arrays::toString).sorted().toList();
    }

    private static double[] outputs(ModelWeights weights) {
        try (Engine engine = Engines.open("reference");
                Model model = weights.open(engine);
                Scope scope = engine.openScope("run")) {
            Form form = model.spec().input();
            double[] x = LstmData.uniform(new RandomSequence(4, 0, 0), TIME_STEPS * BATCH_SIZE * 4);
            Tensor input;
            if (form.kind() == Form.Kind.TOKENS) {
                input = scope.allocateIntegers("tokens", TIME_STEPS, BATCH_SIZE);
                engine.write(input, new int[] {0, 1, 2, 3, 4, 0, 0, 1, 1, 2, 0, 0});
            } else if (form.kind() == Form.Kind.VECTOR) {
                input = scope.allocate("x", BATCH_SIZE, form.features());
                engine.write(input, Arrays.copyOf(x, BATCH_SIZE * form.features()));
            } else {
                input = scope.allocate("x", TIME_STEPS, BATCH_SIZE, form.features());
                Arrays.fill(x, 4, 10, 0.5);
                engine.write(input, Arrays.copyOf(x, TIME_STEPS * BATCH_SIZE * form.features()));
            }
            Tensor output = model.forward(Pass.inference(engine, scope, input, null));
            double[] y = new double[Math.toIntExact(output.elements())];
            engine.read(output, y);
            return y;
        }
    }

    @Test
    void doublesAreRoundedToSinglePrecision() throws IOException {
        ModelSpec spec = ModelSpec.of(Form.vector(1), Dense.of(1));
        Path file = folder.resolve("model.keras");
        KerasExport.write(
                file,
                new ModelWeights(spec, Map.of("dense.weight", new double[] {0.1}, "dense.bias", new double[] {1e-50})));
        ModelWeights read = KerasImport.read(file).weights();
        assertArrayEquals(new double[] {0.1f}, read.get("dense.weight"));
        assertArrayEquals(new double[] {0}, read.get("dense.bias"));
    }

    @Test
    void theSameModelGivesTheSameBytes() throws IOException {
        ModelWeights model = weights(ModelSpec.of(Form.sequence(2), Lstm.of(LSTM), Dense.of(2)));
        Path one = folder.resolve("one.keras");
        Path other = folder.resolve("other.keras");
        KerasExport.write(one, model);
        KerasExport.write(other, model);
        assertArrayEquals(Files.readAllBytes(one), Files.readAllBytes(other));
        try (Stream<Path> files = Files.list(folder)) {
            assertEquals(2, files.count(), "nothing else is left");
        }
    }

    /** The budget of a reading is for files that lead nowhere; one of many parts does not use it up. */
    @Test
    void aModelOfManyLayersIsReadBack() throws IOException {
        Layer[] layers = new Layer[1200];
        Arrays.fill(layers, Dense.of(1));
        ModelWeights model = weights(ModelSpec.of(Form.vector(1), layers));
        Path file = folder.resolve("model.keras");
        KerasExport.write(file, model);
        assertEquals(all(model), all(KerasImport.read(file).weights()));
    }

    /** What Keras' loader looks for, as keras/src/saving/saving_lib.py of Keras 3 has it. */
    @Test
    void theFileHasWhatKerasLooksFor() throws IOException {
        ModelWeights model = weights(ModelSpec.of(
                Form.sequence(2),
                Lstm.of(LSTM.withLayers(2)
                        .withDirection(Direction.BIDIRECTIONAL)
                        .withDropout(0.5)),
                Dense.of(2)));
        Path file = folder.resolve("model.keras");
        KerasExport.write(file, model);
        byte[] content = Files.readAllBytes(file);
        KerasZip zip = new KerasZip(content);
        KerasJson config = KerasJson.parse(
                "config", StandardCharsets.UTF_8.decode(zip.read("config.json")).toString());
        assertEquals("Sequential", config.text("class_name"));
        assertEquals("keras", config.text("module"));
        JsonArray layers = config.object("config").array("layers");
        StringBuilder found = new StringBuilder();
        for (JsonElement element : layers) {
            JsonObject layer = element.getAsJsonObject();
            assertEquals("keras.layers", layer.get("module").getAsString());
            assertEquals("null", layer.get("registered_name").toString());
            found.append(layer.get("class_name").getAsString())
                    .append(' ')
                    .append(layer.getAsJsonObject("config").get("name").getAsString())
                    .append(", ");
        }
        assertEquals(
                "InputLayer input_layer, Bidirectional bidirectional, Dropout dropout, Bidirectional bidirectional_1, Dense dense, ",
                found.toString());
        Hdf5.Group root = Hdf5.open(zip.read("model.weights.h5")).root();
        assertArrayEquals(
                new int[] {6, 12},
                root.numbers("layers/bidirectional_1/backward_layer/cell/vars/0")
                        .shape());
        assertArrayEquals(
                new int[] {12},
                root.numbers("layers/bidirectional/forward_layer/cell/vars/2").shape());
        assertArrayEquals(new int[] {6, 2}, root.numbers("layers/dense/vars/0").shape());
        for (String group : List.of("vars", "layers/dropout/seed_generator/vars", "layers/dense/vars")) {
            assertFalse(root.group(group) == null, group);
        }
    }

    private static Stream<Arguments> unsayable() {
        LstmActivations leaky = new LstmActivations(
                CellActivation.SIGMOID,
                CellActivation.of(CellActivation.Kind.LEAKY_RELU),
                CellActivation.of(CellActivation.Kind.LEAKY_RELU));
        LstmActivations mixed = new LstmActivations(
                CellActivation.SIGMOID, CellActivation.TANH, CellActivation.of(CellActivation.Kind.RELU));
        LstmActivations keras2 = new LstmActivations(
                CellActivation.of(CellActivation.Kind.HARD_SIGMOID), CellActivation.TANH, CellActivation.TANH);
        LstmSpec reverse = LSTM.withDirection(Direction.REVERSE);
        return Stream.of(
                refused(LSTM.withProjectionSize(2), "a projection"),
                refused(LSTM.withPeepholes(true), "peepholes"),
                refused(LSTM.withLayerNormalization(true), "layer normalization"),
                refused(LSTM.withCoupledGates(true), "coupled gates"),
                refused(LSTM.withCellClip(1), "a limit of the cell state"),
                refused(LSTM.withGateClip(1), "a limit of the gates"),
                refused(LSTM.withZoneout(0, 0.1), "zoneout"),
                refused(LSTM.withActivations(leaky), "LeakyRelu"),
                refused(LSTM.withActivations(mixed), "the same function"),
                refused(LSTM.withActivations(keras2), "no name for"),
                Arguments.of(
                        ModelSpec.of(Form.sequence(2), Lstm.of(reverse).withReturnSequences(true), Dense.of(1)),
                        "turns a sequence around"),
                Arguments.of(
                        ModelSpec.of(
                                Form.sequence(2),
                                Lstm.of(reverse).withReturnSequences(true),
                                Lstm.of(LSTM.withDirection(Direction.BIDIRECTIONAL))),
                        "'lstm_1' reads both ways"),
                Arguments.of(
                        ModelSpec.of(
                                Form.sequence(2),
                                new Masking(0),
                                Lstm.of(reverse).withReturnSequences(true),
                                Lstm.of(LSTM)),
                        "masked steps"),
                Arguments.of(
                        ModelSpec.of(Form.sequence(2), Residual.of(Dense.of(2)), Lstm.of(LSTM)),
                        "a residual connection goes beside them"),
                Arguments.of(ModelSpec.of(Form.sequence(2), new TimeReversal()), "turns a sequence around"));
    }

    private static Arguments refused(LstmSpec spec, String reason) {
        return Arguments.of(ModelSpec.of(Form.sequence(2), Lstm.of(spec)), reason);
    }

    @ParameterizedTest(name = "{1}")
    @MethodSource("unsayable")
    void whatKerasHasNoLayerForIsRefused(ModelSpec spec, String reason) {
        Path file = folder.resolve("model.keras");
        ModelWeights model = weights(spec);
        assertRefused(FormatException.class, () -> KerasExport.write(file, model), file.toString(), reason);
        assertFalse(Files.exists(file));
    }

    @Test
    void anImportedModelGoesBackAsItWas() throws IOException {
        Path file = folder.resolve("keras-3.keras");
        Files.write(file, H5pyFilesTest.resource("keras-3.keras"));
        Imported first = KerasImport.read(file);
        KerasExport.write(file, first.weights());
        Imported second = KerasImport.read(file);
        assertEquals(first.weights().spec(), second.weights().spec());
        first.weights()
                .values()
                .forEach((name, values) ->
                        assertArrayEquals(values, second.weights().get(name), name));
    }
}
