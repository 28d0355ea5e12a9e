package carousel.format;

import static carousel.fixture.Refusals.assertRefused;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.engine.Direction;
import carousel.engine.Engine;
import carousel.engine.Engines;
import carousel.engine.LstmSpec;
import carousel.engine.RandomSequence;
import carousel.format.keras.KerasExport;
import carousel.format.onnx.OnnxExport;
import carousel.layer.Dense;
import carousel.layer.Embedding;
import carousel.layer.Form;
import carousel.layer.Lstm;
import carousel.layer.Masking;
import carousel.layer.Model;
import carousel.layer.ModelSpec;
import carousel.tensor.Shape;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** State dicts as PyTorch writes them: no specification, no order. */
class PyTorchImportTest {
    @TempDir
    Path folder;

    private final RandomSequence random = new RandomSequence(5, 0, 0);
    private final Map<String, double[]> written = new LinkedHashMap<>();
    private final SafetensorsWriter writer = new SafetensorsWriter().metadata("format", "pt");

    /** Adds a tensor of multiples of 1/64 below 2, which every type holds. */
    private PyTorchImportTest add(Dtype dtype, String name, int... extents) {
        Shape shape = Shape.of(extents);
        double[] values = new double[(int) shape.elements()];
        Arrays.setAll(values, e -> (random.nextInt(255) - 127) / 64.0);
        written.put(name, values);
        writer.tensor(name, shape, values, dtype);
        return this;
    }

    private PyTorchImportTest lstm(Dtype dtype, String prefix, int inputs, int hidden, int layers, boolean both) {
        for (int layer = 0; layer < layers; layer++) {
            for (String end : both ? new String[] {"", "_reverse"} : new String[] {""}) {
                String suffix = "_l" + layer + end;
                add(dtype, prefix + "weight_ih" + suffix, 4 * hidden, layer == 0 ? inputs : both ? 2 * hidden : hidden);
                add(dtype, prefix + "weight_hh" + suffix, 4 * hidden, hidden);
                add(dtype, prefix + "bias_ih" + suffix, 4 * hidden);
                add(dtype, prefix + "bias_hh" + suffix, 4 * hidden);
            }
        }
        return this;
    }

    private Path file() throws IOException {
        Path path = folder.resolve("torch.safetensors");
        writer.writeTo(path);
        return path;
    }

    private void requireSame(ModelWeights weights, String ours, String... theirs) {
        double[] sum = new double[weights.get(ours).length];
        for (String name : theirs) {
            for (int e = 0; e < sum.length; e++) {
                sum[e] += written.get(name)[e];
            }
        }
        assertArrayEquals(sum, weights.get(ours), ours);
    }

    @ParameterizedTest
    @EnumSource(names = {"F64", "F32", "F16", "BF16"})
    void anLstmOfEveryTypeIsReadWithItsBiasesSummed(Dtype dtype) throws IOException {
        Path path = lstm(dtype, "encoder.rnn.", 3, 5, 2, true).file();
        assertTrue(PyTorchImport.accepts(path));
        Imported imported = PyTorchImport.read(path);
        LstmSpec spec = LstmSpec.of(3, 5).withLayers(2).withDirection(Direction.BIDIRECTIONAL);
        assertEquals(
                ModelSpec.of(Form.sequence(3), Lstm.of(spec).withReturnSequences(true)),
                imported.weights().spec());
        for (String suffix : new String[] {"l0", "l0_reverse", "l1", "l1_reverse"}) {
            String theirs = "encoder.rnn.";
            requireSame(imported.weights(), "lstm.weight_ih_" + suffix, theirs + "weight_ih_" + suffix);
            requireSame(imported.weights(), "lstm.weight_hh_" + suffix, theirs + "weight_hh_" + suffix);
            requireSame(
                    imported.weights(),
                    "lstm.bias_" + suffix,
                    theirs + "bias_ih_" + suffix,
                    theirs + "bias_hh_" + suffix);
        }
        assertEquals(16, imported.mapping().size());
        assertTrue(imported.mapping()
                .contains(new Imported.Mapping("encoder.rnn.bias_hh_l1", "lstm.bias_l1", dtype + ", summed")));
    }

    @Test
    void aCellWithoutAPrefixIsALayer() throws IOException {
        Path path = add(Dtype.F32, "weight_ih", 8, 3)
                .add(Dtype.F32, "weight_hh", 8, 2)
                .add(Dtype.F32, "bias_ih", 8)
                .add(Dtype.F32, "bias_hh", 8)
                .file();
        for (Imported imported :
                new Imported[] {PyTorchImport.read(path), PyTorchImport.read(path, PyTorchImport.UNNAMED)}) {
            assertEquals(
                    ModelSpec.of(Form.sequence(3), Lstm.of(2).withReturnSequences(true)),
                    imported.weights().spec());
            requireSame(imported.weights(), "lstm.bias_l0", "bias_ih", "bias_hh");
            requireSame(imported.weights(), "lstm.weight_hh_l0", "weight_hh");
        }
    }

    @Test
    void projectionsAndMissingBiasesAreSeen() throws IOException {
        Path path = add(Dtype.F32, "rnn.weight_ih_l0", 20, 3)
                .add(Dtype.F32, "rnn.weight_hh_l0", 20, 2)
                .add(Dtype.F32, "rnn.weight_hr_l0", 2, 5)
                .file();
        Imported imported = PyTorchImport.read(path);
        LstmSpec spec = LstmSpec.of(3, 5).withBias(false).withProjectionSize(2);
        assertEquals(
                ModelSpec.of(Form.sequence(3), Lstm.of(spec).withReturnSequences(true)),
                imported.weights().spec());
        requireSame(imported.weights(), "lstm.weight_hr_l0", "rnn.weight_hr_l0");
    }

    @Test
    void modulesArePutInTheOneOrderThatFits() throws IOException {
        Path path = lstm(Dtype.F32, "lstm.", 6, 5, 1, false)
                .add(Dtype.F32, "embedding.weight", 11, 6)
                .add(Dtype.F32, "classify.weight", 7, 5)
                .add(Dtype.F32, "classify.bias", 7)
                .file();
        ModelSpec each =
                ModelSpec.of(Form.tokens(11), Embedding.of(6), Lstm.of(5).withReturnSequences(true), Dense.of(7));
        Imported imported = PyTorchImport.read(path);
        assertEquals(each, imported.weights().spec());
        requireSame(imported.weights(), "embedding.weight", "embedding.weight");
        requireSame(imported.weights(), "dense.weight", "classify.weight");
        assertEquals(
                ModelSpec.of(Form.tokens(11), Embedding.of(6), Lstm.of(5), Dense.of(7)),
                PyTorchImport.read(path, "embedding", "lstm", PyTorchImport.LAST, "classify")
                        .weights()
                        .spec());
        Imported part = PyTorchImport.read(path, "lstm");
        assertEquals(
                3, part.mapping().stream().filter(one -> one.target().isEmpty()).count());
        try (Engine engine = Engines.open("vector");
                Model model = imported.weights().open(engine)) {
            Map<String, double[]> back = ModelWeights.of(model).values();
            back.forEach((name, values) -> assertArrayEquals(imported.weights().get(name), values, name));
        }
    }

    @Test
    void anEmbeddingOfAnotherNameIsCalledOne() throws IOException {
        Path path = lstm(Dtype.F32, "rnn.", 6, 5, 1, false)
                .add(Dtype.F32, "wte.weight", 11, 6)
                .add(Dtype.F32, "head.weight", 2, 5)
                .add(Dtype.F32, "head.bias", 2)
                .file();
        Imported imported = PyTorchImport.read(path, "wte:embedding", "rnn", "head");
        assertEquals(
                ModelSpec.of(Form.tokens(11), Embedding.of(6), Lstm.of(5).withReturnSequences(true), Dense.of(2)),
                imported.weights().spec());
        requireSame(imported.weights(), "embedding.weight", "wte.weight");
        assertFalse(imported.mapping().stream().anyMatch(part -> part.target().isEmpty()), "nothing is left out");
        assertRefused(
                IllegalArgumentException.class, () -> PyTorchImport.read(path, "head:embedding"), "without a bias");
    }

    @Test
    void whatIsNotClearIsRefused() throws IOException {
        Path two = lstm(Dtype.F32, "a.", 5, 5, 1, false)
                .lstm(Dtype.F32, "b.", 5, 5, 1, false)
                .file();
        assertRefused(FormatException.class, () -> PyTorchImport.read(two), "more than one order", "'a', 'b'");
        assertEquals(
                2, PyTorchImport.read(two, "b", "a").weights().spec().layers().size());
        assertRefused(IllegalArgumentException.class, () -> PyTorchImport.read(two, "b", "c"), "got 'c'");
        assertRefused(
                IllegalArgumentException.class, () -> PyTorchImport.read(two, "last", "a"), "should follow an LSTM");
        assertRefused(
                IllegalArgumentException.class, () -> PyTorchImport.read(two, "a", "last", "b"), "reads sequences");
    }

    @Test
    void linearLayersInARowAreRefusedForWhatLiesBetween() throws IOException {
        Path path = lstm(Dtype.F32, "rnn.", 2, 3, 1, false)
                .add(Dtype.F32, "head.0.weight", 4, 3)
                .add(Dtype.F32, "head.2.weight", 1, 4)
                .file();
        assertRefused(FormatException.class, () -> PyTorchImport.read(path), "'head.0' and 'head.2'");
        assertEquals(
                "LSTM(3), Dense(4, no bias), Dense(1, no bias)",
                PyTorchImport.read(path, "rnn", "head.0", "head.2").weights().spec().layers().stream()
                        .map(layer -> layer.summary())
                        .collect(Collectors.joining(", ")));
        assertRefused(
                IllegalArgumentException.class,
                () -> PyTorchImport.read(path, "rnn", "head.2"),
                "should read 3 numbers, what 'rnn' puts out, but reads 4");
    }

    @Test
    void otherModulesAndDamagedOnesAreRefusedByName() throws IOException {
        Path strange = lstm(Dtype.F32, "rnn.", 2, 3, 1, false)
                .add(Dtype.F32, "norm.weight", 3)
                .add(Dtype.F32, "norm.bias", 3)
                .file();
        assertRefused(FormatException.class, () -> PyTorchImport.read(strange), "'norm.bias' [3] belongs to no");
        assertEquals(
                1, PyTorchImport.read(strange, "rnn").weights().spec().layers().size());
        for (String[] damage : new String[][] {
            {"weight_hh_l0", "12, 2", "rnn.weight_hh_l0' should be [12, 3]"},
            {"bias_hh_l0", "", "rnn.bias_hh_l0' should be [12] by the others of its LSTM but is missing"},
            {"weight_ih_l0", "13, 2", "rows of four gates but is [13, 2]"},
            {"weight_ih_l2", "12, 3", "rnn.weight_ih_l2' fits no LSTM of 1 layers"}
        }) {
            Path path = damaged(damage[0], damage[1]);
            assertRefused(FormatException.class, () -> PyTorchImport.read(path), damage[2]);
        }
        SafetensorsWriter none = new SafetensorsWriter().tensor("table", Shape.of(3), new float[3]);
        Path nothing = folder.resolve("nothing.safetensors");
        none.writeTo(nothing);
        assertRefused(FormatException.class, () -> PyTorchImport.read(nothing), "'table' [3] belongs to no");
    }

    /** An LSTM of which one tensor has another shape, or none. */
    private Path damaged(String part, String shape) throws IOException {
        Map<String, Shape> tensors = new LinkedHashMap<>();
        tensors.put("weight_ih_l0", Shape.of(12, 2));
        tensors.put("weight_hh_l0", Shape.of(12, 3));
        tensors.put("bias_ih_l0", Shape.of(12));
        tensors.put("bias_hh_l0", Shape.of(12));
        if (shape.isEmpty()) {
            tensors.remove(part);
        } else {
            tensors.put(
                    part,
                    Shape.of(Arrays.stream(shape.split(", "))
                            .mapToInt(Integer::parseInt)
                            .toArray()));
        }
        SafetensorsWriter damaged = new SafetensorsWriter();
        tensors.forEach((name, extents) -> damaged.tensor("rnn." + name, extents, new float[(int) extents.elements()]));
        Path path = folder.resolve("damaged.safetensors");
        damaged.writeTo(path);
        return path;
    }

    /** What is written for PyTorch comes back as it was, whatever the type has room for. */
    @ParameterizedTest
    @EnumSource(names = {"F64", "F32", "F16", "BF16"})
    void biasesAreSplitWithoutLossAsFarAsTheTypeGoes(Dtype dtype) throws IOException {
        LstmSpec spec = LstmSpec.of(3, 4).withProjectionSize(2);
        ModelSpec model = ModelSpec.of(Form.sequence(3), Lstm.of(spec).withReturnSequences(true), Dense.of(2));
        try (Engine engine = Engines.open("reference");
                Model fresh = Model.create(engine, model, 3)) {
            ModelWeights weights = ModelWeights.of(fresh);
            for (double[] values : weights.values().values()) {
                Arrays.setAll(values, e -> random.nextGaussian());
            }
            Path path = folder.resolve("model.safetensors");
            ModelFile.write(path, weights, Map.of(), dtype);
            assertFalse(PyTorchImport.accepts(path));
            ModelWeights read = ModelFile.read(path).weights();
            ModelWeights foreign = PyTorchImport.read(path).weights();
            assertEquals(model, read.spec());
            assertEquals(model, foreign.spec());
            // 53, 24, 11 and 8 bits; a bias has twice that.
            double unit = Map.of(Dtype.F64, 0.0, Dtype.F32, 0x1p-24, Dtype.F16, 0x1p-11, Dtype.BF16, 0x1p-8)
                    .get(dtype);
            for (String name : weights.values().keySet()) {
                double allowed = name.contains("bias_l") ? unit * unit : unit;
                for (int e = 0; e < weights.get(name).length; e++) {
                    double value = weights.get(name)[e];
                    assertEquals(value, read.get(name)[e], allowed * Math.abs(value) + (dtype == Dtype.F16 ? 6e-8 : 0));
                    assertEquals(read.get(name)[e], foreign.get(name)[e]);
                }
            }
        }
    }

    /** A plain state dict has PyTorch's tensors and nothing else, and is the same model. */
    @Test
    void stateDictsAreWrittenForPyTorchAndComeBack() throws IOException {
        ModelSpec spec = ModelSpec.of(
                Form.tokens(9),
                Embedding.of(4),
                Lstm.of(LstmSpec.of(1, 6).withDirection(Direction.BIDIRECTIONAL))
                        .withReturnSequences(true),
                Lstm.of(LstmSpec.of(1, 5)).withReturnSequences(true),
                Dense.of(2));
        ModelSpec small = ModelSpec.of(Form.sequence(3), Lstm.of(5).withReturnSequences(true), Dense.of(2));
        Path path = folder.resolve("dict.safetensors");
        try (Engine engine = Engines.open("vector");
                Model large = Model.create(engine, spec, 3);
                Model one = Model.create(engine, small, 3)) {
            PyTorchExport.write(path, ModelWeights.of(large), Dtype.F32, false);
            assertTrue(PyTorchImport.accepts(path));
            requireEqual(ModelWeights.of(large), PyTorchImport.read(path, "embedding", "lstm", "lstm_1", "dense"));
            PyTorchExport.write(path, ModelWeights.of(one), Dtype.F32, true);
            try (SafetensorsFile file = SafetensorsFile.open(path)) {
                assertEquals(
                        Set.of(
                                "lstm.weight_ih",
                                "lstm.weight_hh",
                                "lstm.bias_ih",
                                "lstm.bias_hh",
                                "dense.weight",
                                "dense.bias"),
                        file.tensors().keySet());
                assertEquals(Map.of("format", "pt"), file.metadata());
            }
            requireEqual(ModelWeights.of(one), PyTorchImport.read(path));
            assertRefused(
                    IllegalArgumentException.class,
                    () -> PyTorchExport.write(path, ModelWeights.of(large), Dtype.F32, true),
                    "one layer of one direction");
        }
    }

    private static void requireEqual(ModelWeights expected, Imported imported) {
        assertEquals(expected.spec(), imported.weights().spec());
        expected.values()
                .forEach((name, values) ->
                        assertArrayEquals(values, imported.weights().get(name), name));
    }

    @Test
    void whatPyTorchHasNoModuleForIsRefused() {
        for (Map.Entry<LstmSpec, String> odd : Map.of(
                        LstmSpec.of(1, 3).withPeepholes(true), "no peepholes",
                        LstmSpec.of(1, 3).withCellClip(2), "no limit of the cell state",
                        LstmSpec.of(1, 3).withDirection(Direction.REVERSE), "in reverse only")
                .entrySet()) {
            try (Engine engine = Engines.open("reference");
                    Model model = Model.create(engine, ModelSpec.of(Form.sequence(1), Lstm.of(odd.getKey())), 3)) {
                assertRefused(
                        IllegalArgumentException.class,
                        () -> PyTorchExport.write(folder.resolve("x"), ModelWeights.of(model), Dtype.F32, false),
                        odd.getValue());
            }
        }
        try (Engine engine = Engines.open("reference");
                Model model = Model.create(engine, ModelSpec.of(Form.sequence(1), new Masking(0), Lstm.of(2)), 3)) {
            assertRefused(
                    IllegalArgumentException.class,
                    () -> PyTorchExport.write(folder.resolve("x"), ModelWeights.of(model), Dtype.F32, false),
                    "no such module");
        }
    }

    @Test
    void aValueThatDoesNotFitIsRefused() {
        try (Engine engine = Engines.open("reference");
                Model fresh = Model.create(engine, ModelSpec.of(Form.sequence(1), Lstm.of(1)), 3)) {
            ModelWeights weights = ModelWeights.of(fresh);
            weights.get("lstm.weight_hh_l0")[2] = 1e5;
            assertRefused(
                    IllegalArgumentException.class,
                    () -> ModelFile.write(folder.resolve("x"), weights, Map.of(), Dtype.F16),
                    "should hold what fits F16 but holds 100000.0");
            weights.get("lstm.weight_hh_l0")[2] = 1e39;
            assertRefused(
                    IllegalArgumentException.class,
                    () -> OnnxExport.write(folder.resolve("x"), weights, Map.of()),
                    "'lstm.weight_hh_l0' should hold numbers of single precision",
                    "1.0E39");
            assertRefused(
                    IllegalArgumentException.class,
                    () -> KerasExport.write(folder.resolve("x"), weights),
                    "'lstm.weight_hh_l0' should hold numbers of single precision",
                    "1.0E39");
        }
    }
}
