package carousel.format;

import static carousel.fixture.Refusals.assertRefused;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.engine.ActivationFunction;
import carousel.engine.CellActivation;
import carousel.engine.Direction;
import carousel.engine.Engine;
import carousel.engine.EngineException;
import carousel.engine.Engines;
import carousel.engine.LstmActivations;
import carousel.engine.LstmFeature;
import carousel.engine.LstmSpec;
import carousel.engine.ParameterView;
import carousel.engine.RandomSequence;
import carousel.fixture.RefusingEngine;
import carousel.layer.Activation;
import carousel.layer.Dense;
import carousel.layer.Dropout;
import carousel.layer.Embedding;
import carousel.layer.Form;
import carousel.layer.Initializer;
import carousel.layer.Lstm;
import carousel.layer.Model;
import carousel.layer.ModelSpec;
import carousel.tensor.Shape;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class ModelFileTest {
    private static final ModelSpec SPEC = ModelSpec.of(
            Form.tokens(11),
            Embedding.of(5),
            Lstm.of(LstmSpec.of(1, 6)
                            .withLayers(2)
                            .withDirection(Direction.BIDIRECTIONAL)
                            .withProjectionSize(4))
                    .withReturnSequences(true),
            new Dropout(0.5),
            Lstm.of(LstmSpec.of(1, 3).withBias(false)),
            Dense.of(7),
            new Activation(ActivationFunction.TANH),
            new Dense(2, false, new Initializer.GlorotUniform(), new Initializer.Constant(0)));

    @TempDir
    Path folder;

    /** Parameters of which no two are alike, biases included; what lies between them stays zero. */
    private static double[] distinct(Model model) {
        RandomSequence random = new RandomSequence(61, 0, 0);
        double[] values = new double[Math.toIntExact(model.parameters().elements())];
        for (ParameterView view : model.views()) {
            for (int e = (int) view.offset(); e < view.end(); e++) {
                values[e] = random.nextGaussian();
            }
        }
        model.writeParameters(values);
        return model.readParameters();
    }

    private Path write(Engine engine, ModelSpec spec) throws IOException {
        Path path = folder.resolve("model.safetensors");
        try (Model model = Model.create(engine, spec, 1)) {
            distinct(model);
            ModelFile.write(path, model, Map.of());
        }
        return path;
    }

    /** The same file with other tensors. */
    private static void rewrite(Path path, Map<String, ModelFile.Content> tensors) throws IOException {
        SafetensorsWriter writer = new SafetensorsWriter();
        ModelFile.read(path).metadata().forEach(writer::metadata);
        tensors.forEach((name, content) -> writer.tensor(name, content.shape(), content.values()));
        writer.writeTo(path);
    }

    @ParameterizedTest
    @CsvSource({"reference, reference", "vector, vector", "vector, reference"})
    void everyBitComesBack(String writing, String reading) throws IOException {
        Path path = folder.resolve("model.safetensors");
        double[] written;
        try (Engine engine = Engines.open(writing)) {
            try (Model model = Model.create(engine, SPEC, 1)) {
                written = distinct(model);
                ModelFile.write(path, model, Map.of("author", "Ünïcödé", "note", "two\nlines"));
                assertArrayEquals(written, model.readParameters(), "writing changes nothing");
            }
            assertEquals(0, engine.memory().inUse());
        }
        assertTrue(Arrays.stream(written).filter(value -> value != 0).count() > 500);
        ModelFile file = ModelFile.read(path);
        assertEquals(path, file.path());
        assertEquals("Ünïcödé", file.metadata().get("author"));
        assertEquals("two\nlines", file.metadata().get("note"));
        assertEquals("pt", file.metadata().get("format"), "what readers of PyTorch's files look for");
        assertEquals(SPEC, file.spec());
        try (Engine engine = Engines.open(reading)) {
            try (Model model = file.open(engine)) {
                assertEquals(SPEC, model.spec());
                assertArrayEquals(written, model.readParameters());
                Path again = folder.resolve("again.safetensors");
                ModelFile.write(again, model, Map.of("author", "Ünïcödé", "note", "two\nlines"));
                if (writing.equals(reading)) {
                    assertArrayEquals(Files.readAllBytes(path), Files.readAllBytes(again));
                }
            }
            assertEquals(0, engine.memory().inUse());
        }
    }

    @Test
    void aWiderFileIsRoundedOnce() throws IOException {
        try (Engine reference = Engines.open("reference");
                Engine vector = Engines.open("vector")) {
            Path path = write(reference, SPEC);
            try (Model wide = ModelFile.read(path).open(reference);
                    Model narrow = ModelFile.read(path).open(vector)) {
                double[] expected = Arrays.stream(wide.readParameters())
                        .map(value -> (float) value)
                        .toArray();
                assertArrayEquals(expected, narrow.readParameters());
            }
        }
    }

    /** What {@code torch.nn.LSTM(5, 6, num_layers=2, bidirectional=True).state_dict()} lists, and a linear layer. */
    @Test
    void tensorsAreThoseThatPyTorchExpects() throws IOException {
        ModelSpec spec = ModelSpec.of(
                Form.sequence(5),
                Lstm.of(LstmSpec.of(1, 6).withLayers(2).withDirection(Direction.BIDIRECTIONAL)),
                Dense.of(3));
        Map<String, Shape> expected = new TreeMap<>();
        for (String suffix : new String[] {"l0", "l0_reverse", "l1", "l1_reverse"}) {
            expected.put("lstm.weight_ih_" + suffix, Shape.of(24, suffix.startsWith("l0") ? 5 : 12));
            expected.put("lstm.weight_hh_" + suffix, Shape.of(24, 6));
            expected.put("lstm.bias_ih_" + suffix, Shape.of(24));
            expected.put("lstm.bias_hh_" + suffix, Shape.of(24));
        }
        expected.put("dense.weight", Shape.of(3, 12));
        expected.put("dense.bias", Shape.of(3));
        try (Engine engine = Engines.open("vector")) {
            Path path = write(engine, spec);
            try (SafetensorsFile file = SafetensorsFile.open(path);
                    Model model = ModelFile.read(path).open(engine)) {
                Map<String, Shape> shapes = new TreeMap<>();
                file.tensors().forEach((name, entry) -> shapes.put(name, entry.shape()));
                assertEquals(expected, shapes);
                double[] parameters = model.readParameters();
                for (ParameterView view : model.views()) {
                    double[] values = Arrays.copyOfRange(parameters, (int) view.offset(), (int) view.end());
                    assertArrayEquals(values, file.doubles(view.name().replace("bias_l", "bias_ih_l")), view.name());
                }
                for (String name : expected.keySet()) {
                    assertEquals(Dtype.F32, file.tensor(name).dtype());
                    assertEquals(
                            name.contains("bias_hh"),
                            Arrays.stream(file.doubles(name)).allMatch(value -> value == 0),
                            name);
                }
            }
        }
    }

    @Test
    void projectionsAreNamedAsInPyTorch() throws IOException {
        try (Engine engine = Engines.open("reference")) {
            Map<String, ModelFile.Content> tensors =
                    ModelFile.read(write(engine, SPEC)).tensors();
            assertEquals(
                    Shape.of(4, 6), tensors.get("lstm.weight_hr_l1_reverse").shape());
            assertEquals(Shape.of(24, 4), tensors.get("lstm.weight_hh_l0").shape());
            assertTrue(tensors.keySet().stream().noneMatch(name -> name.startsWith("lstm_1.bias")), "it has no bias");
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"reference", "vector"})
    void theTwoBiasesOfPyTorchAreSummed(String name) throws IOException {
        ModelSpec spec = ModelSpec.of(
                Form.sequence(2), Lstm.of(LstmSpec.of(1, 3).withDirection(Direction.BIDIRECTIONAL)), Dense.of(2));
        try (Engine engine = Engines.open(name)) {
            Path path = write(engine, spec);
            Map<String, ModelFile.Content> tensors =
                    new LinkedHashMap<>(ModelFile.read(path).tensors());
            double[] input = new double[12];
            double[] recurrent = new double[12];
            Arrays.setAll(input, e -> e * 0.25);
            Arrays.setAll(recurrent, e -> 8 - e);
            tensors.put("lstm.bias_ih_l0_reverse", new ModelFile.Content(Shape.of(12), input));
            tensors.put("lstm.bias_hh_l0_reverse", new ModelFile.Content(Shape.of(12), recurrent));
            rewrite(path, tensors);
            try (Model model = ModelFile.read(path).open(engine)) {
                double[] parameters = model.readParameters();
                for (ParameterView view : model.views()) {
                    double[] values = Arrays.copyOfRange(parameters, (int) view.offset(), (int) view.end());
                    if (view.name().equals("lstm.bias_l0_reverse")) {
                        for (int e = 0; e < 12; e++) {
                            assertEquals(8 - 0.75 * e, values[e]);
                        }
                    } else {
                        String there = view.name().replace("bias_l", "bias_ih_l");
                        assertArrayEquals(tensors.get(there).values(), values, there);
                    }
                }
            }
        }
    }

    @Test
    void filesThatDoNotHoldTheirModelAreRefused() throws IOException {
        try (Engine engine = Engines.open("reference")) {
            Path path = write(engine, SPEC);
            Map<String, ModelFile.Content> whole = ModelFile.read(path).tensors();
            for (String name : whole.keySet()) {
                Map<String, ModelFile.Content> tensors = new LinkedHashMap<>(whole);
                ModelFile.Content content = tensors.remove(name);
                rewrite(path, tensors);
                assertRefused(
                        FormatException.class,
                        () -> ModelFile.read(path).open(engine),
                        "'" + path + "'",
                        "no tensor '" + name + "'");
                // As many numbers in another shape: transposed, or a row of them.
                int[] extents = content.shape().toArray();
                Shape other = extents.length == 2 && extents[0] != extents[1]
                        ? Shape.of(extents[1], extents[0])
                        : Shape.of(1, (int) content.shape().elements());
                tensors.put(name, new ModelFile.Content(other, content.values()));
                rewrite(path, tensors);
                assertRefused(
                        FormatException.class,
                        () -> ModelFile.read(path).open(engine),
                        "'" + path + "'",
                        "'" + name + "' should be " + content.shape(),
                        "but is " + other);
            }
            assertEquals(0, engine.memory().inUse());
        }
    }

    @Test
    void tensorsOfWholeNumbersAreRefused() throws IOException {
        Path path = folder.resolve("whole.safetensors");
        ModelSpec spec = ModelSpec.of(Form.vector(2), Dense.of(1));
        new SafetensorsWriter()
                .metadata("carousel.model", ModelJson.write(spec))
                .tensor("dense.weight", Shape.of(1, 2), new int[] {1, 2})
                .tensor("dense.bias", Shape.of(1), new float[] {3})
                .writeTo(path);
        assertRefused(FormatException.class, () -> ModelFile.read(path), "'" + path + "'", "'dense.weight'", "I32");
    }

    @Test
    void filesWithoutASpecificationAreRefused() throws IOException {
        Path path = folder.resolve("other.safetensors");
        new SafetensorsWriter()
                .metadata("format", "pt")
                .tensor("dense.bias", Shape.of(1), new float[] {3})
                .writeTo(path);
        assertRefused(
                FormatException.class,
                () -> ModelFile.read(path),
                "'" + path + "'",
                "no entry 'carousel.model'",
                "not a model that Carousel has saved");
        new SafetensorsWriter().metadata("carousel.model", "{}").writeTo(path);
        assertRefused(FormatException.class, () -> ModelFile.read(path), "'" + path + "'", "'input' is missing");
        assertThrows(IOException.class, () -> ModelFile.read(folder.resolve("absent")));
    }

    /** A file may claim anything: it is refused before memory is asked for. */
    @Test
    void specificationsBeyondOneBufferAreRefused() throws IOException {
        Path path = folder.resolve("absurd.safetensors");
        ModelSpec spec = ModelSpec.of(
                Form.sequence(1), Lstm.of(LstmSpec.of(1, LstmSpec.LARGEST_WIDTH).withLayers(LstmSpec.LARGEST_DEPTH)));
        new SafetensorsWriter()
                .metadata("carousel.model", ModelJson.write(spec))
                .writeTo(path);
        try (Engine engine = Engines.open("vector")) {
            assertRefused(
                    FormatException.class,
                    () -> ModelFile.read(path).open(engine),
                    "'" + path + "'",
                    "at most 2147483647 parameters");
            assertEquals(0, engine.memory().peak());
        }
    }

    @Test
    void whatTheEngineDoesNotComputeIsRefusedInItsWords() throws IOException {
        Path path = folder.resolve("normalized.safetensors");
        ModelSpec spec =
                ModelSpec.of(Form.sequence(1), Lstm.of(LstmSpec.of(1, 2).withLayerNormalization(true)));
        new SafetensorsWriter()
                .metadata("carousel.model", ModelJson.write(spec))
                .writeTo(path);
        try (Engine able = Engines.open("reference")) {
            Engine engine = RefusingEngine.of(able, LstmFeature.LAYER_NORMALIZATION);
            assertRefused(
                    EngineException.class,
                    () -> ModelFile.read(path).open(engine),
                    "no layer normalization of 1 inputs: leave it out");
            assertEquals(0, able.memory().inUse());
        }
    }

    /** PyTorch has no peepholes: they have a name of their own, and no second copy as the bias has. */
    @Test
    void everyParameterThatPyTorchHasNotComesBack() throws IOException {
        LstmSpec cell = LstmSpec.of(1, 6)
                .withDirection(Direction.BIDIRECTIONAL)
                .withProjectionSize(4)
                .withPeepholes(true)
                .withGateClip(1.5)
                .withCoupledGates(true)
                .withLayerNormalization(true)
                .withActivations(new LstmActivations(
                        CellActivation.of(CellActivation.Kind.HARD_SIGMOID),
                        CellActivation.of(CellActivation.Kind.SOFTSIGN),
                        CellActivation.TANH));
        ModelSpec spec = ModelSpec.of(Form.sequence(3), Lstm.of(cell), Dense.of(2));
        Path path = folder.resolve("model.safetensors");
        try (Engine engine = Engines.open("reference");
                Model model = Model.create(engine, spec, 1)) {
            double[] written = distinct(model);
            ModelFile.write(path, model, Map.of());
            ModelFile file = ModelFile.read(path);
            assertEquals(spec, file.spec());
            try (Model back = file.open(engine)) {
                assertArrayEquals(written, back.readParameters());
            }
        }
        byte[] bytes = Files.readAllBytes(path);
        String header = new String(bytes, 0, Math.min(bytes.length, 4096), StandardCharsets.ISO_8859_1);
        for (String name : List.of("peephole_l0", "gate_norm_l0", "cell_norm_l0")) {
            assertTrue(header.contains("\"lstm." + name + "\""), header);
            assertTrue(header.contains("\"lstm." + name + "_reverse\""), header);
        }
    }

    /** The specification is the model's own: what a caller adds cannot replace it. */
    @Test
    void theSpecificationIsNotReplacedByMoreMetadata() throws IOException {
        Path path = folder.resolve("model.safetensors");
        try (Engine engine = Engines.open("reference");
                Model model = Model.create(engine, ModelSpec.of(Form.vector(2), Dense.of(1)), 1)) {
            assertThrows(
                    IllegalArgumentException.class, () -> ModelFile.write(path, model, Map.of("carousel.model", "{}")));
            assertTrue(Files.notExists(path), "nothing is left behind");
        }
    }
}
