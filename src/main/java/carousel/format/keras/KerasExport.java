package carousel.format.keras;

import carousel.engine.ActivationFunction;
import carousel.engine.CellActivation;
import carousel.engine.Direction;
import carousel.engine.Gate;
import carousel.engine.LstmActivations;
import carousel.engine.LstmSpec;
import carousel.format.AtomicFile;
import carousel.format.FormatException;
import carousel.format.ModelWeights;
import carousel.layer.Activation;
import carousel.layer.Dense;
import carousel.layer.Dropout;
import carousel.layer.Embedding;
import carousel.layer.Form;
import carousel.layer.Layer;
import carousel.layer.Lstm;
import carousel.layer.Masking;
import carousel.layer.Residual;
import carousel.layer.TimeReversal;
import com.google.gson.JsonArray;
import com.google.gson.JsonNull;
import com.google.gson.JsonObject;
import io.jhdf.HdfFile;
import io.jhdf.WritableHdfFile;
import io.jhdf.api.WritableGroup;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.LocalDateTime;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.zip.CRC32;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;

/**
 * Writes {@code .keras} files that Keras 3 loads: a Sequential model of Keras' own layers, one LSTM for each layer of a stack.
 * Weights are rounded to single precision, in which Keras keeps them. On one machine the same
 * model gives the same bytes.
 *
 * <p>What Keras' layers do not compute is refused with the reason: projections, peepholes, limits of the cell or the gates, coupled
 * gates, layer normalization, zoneout, activations that Keras 3 does not have, and outputs in an order that only turning a
 * sequence around would give, for which Keras has no layer.
 */
public final class KerasExport {
    /** The Keras whose configurations are written: every Keras 3 reads them. */
    private static final String VERSION = "3.0.0";

    /** In every file, so that the same model gives the same bytes: the earliest date that an archive can have. */
    private static final LocalDateTime DATE = LocalDateTime.of(1980, 1, 1, 0, 0);

    private static final String DATE_SAVED = "1980-01-01@00:00:00";

    private final ModelWeights model;
    private final JsonArray layers = new JsonArray();
    /** Groups of {@code vars}, by their path, and what lies in each. */
    private final Map<String, List<Object>> variables = new LinkedHashMap<>();

    private final Map<String, Integer> counts = new HashMap<>();
    private final Map<String, Integer> ours = new HashMap<>();

    /** Whether what flows is in Keras in the opposite order of time. */
    private boolean turned;

    private boolean masked;

    private KerasExport(ModelWeights model) {
        this.model = model;
    }

    /**
     * Writes a model, replacing the file at once and only when all is well.
     *
     * @param path ends in {@code .keras}, or Keras will not read it
     * @throws FormatException when Keras has no layers that compute the model: the message names the layer and the reason
     * @throws IOException when the file cannot be written
     */
    public static void write(Path path, ModelWeights model) throws IOException {
        model.requireFloats();
        KerasExport export = new KerasExport(model);
        try {
            export.convert();
        } catch (Refusal e) {
            throw new FormatException("cannot write '" + path + "' for Keras: " + e.getMessage(), e);
        }
        Map<String, byte[]> entries = new LinkedHashMap<>();
        entries.put("metadata.json", utf8(export.metadata()));
        entries.put("config.json", utf8(export.config()));
        entries.put("model.weights.h5", export.weights());
        AtomicFile.write(path, out -> {
            ZipOutputStream zip = new ZipOutputStream(out);
            zip.setMethod(ZipOutputStream.STORED);
            for (Map.Entry<String, byte[]> each : entries.entrySet()) {
                ZipEntry entry = new ZipEntry(each.getKey());
                CRC32 crc = new CRC32();
                crc.update(each.getValue());
                entry.setSize(each.getValue().length);
                entry.setCrc(crc.getValue());
                entry.setTimeLocal(DATE);
                zip.putNextEntry(entry);
                zip.write(each.getValue());
                zip.closeEntry();
            }
            zip.finish();
        });
    }

    private static byte[] utf8(JsonObject json) {
        return json.toString().getBytes(StandardCharsets.UTF_8);
    }

    private JsonObject metadata() {
        JsonObject json = new JsonObject();
        json.addProperty("keras_version", VERSION);
        json.addProperty("date_saved", DATE_SAVED);
        return json;
    }

    private JsonObject config() {
        JsonObject config = new JsonObject();
        config.addProperty("name", "sequential");
        config.addProperty("trainable", true);
        config.addProperty("dtype", "float32");
        config.add("layers", layers);
        return serialized("keras", "Sequential", config);
    }

    private static JsonObject serialized(String module, String type, JsonObject config) {
        JsonObject json = new JsonObject();
        json.addProperty("module", module);
        json.addProperty("class_name", type);
        json.add("config", config);
        json.add("registered_name", JsonNull.INSTANCE);
        return json;
    }

    private static JsonObject layerConfig() {
        JsonObject config = new JsonObject();
        config.addProperty("trainable", true);
        config.addProperty("dtype", "float32");
        return config;
    }

    /** Adds a layer and returns its name, which is also that of its group of weights. */
    private String add(String type, String word, JsonObject config) {
        String name = next(counts, word);
        config.addProperty("name", name);
        layers.add(serialized("keras.layers", type, config));
        return name;
    }

    private static String next(Map<String, Integer> counts, String word) {
        int same = counts.merge(word, 1, Integer::sum) - 1;
        return word + (same == 0 ? "" : "_" + same);
    }

    private void convert() {
        if (model.spec().encoder() != null) {
            throw new Refusal(
                    "it has an encoder beside its decoder, and what is written is a Sequential model; save it as"
                            + " safetensors");
        }
        Form form = model.spec().input();
        input(form);
        for (Layer layer : model.spec().layers()) {
            String name = next(ours, layer.kind());
            Form output = layer.output(form);
            if (layer instanceof Lstm lstm) {
                lstm(name, lstm, form.features());
            } else if (layer instanceof Dense dense) {
                dense(name, dense, form.features());
            } else if (layer instanceof Embedding embedding) {
                embedding(name, embedding, form.features());
            } else if (layer instanceof Dropout dropout) {
                dropout(dropout.rate(), dropout.locked() && form.kind() == Form.Kind.SEQUENCE);
            } else if (layer instanceof Activation activation) {
                activation(activation.function());
            } else if (layer instanceof Masking masking) {
                masked = true;
                JsonObject config = layerConfig();
                config.addProperty("mask_value", masking.value());
                add("Masking", "masking", config);
            } else if (layer instanceof Residual) {
                throw new Refusal(
                        "a model written for Keras is a chain of layers, and a residual connection goes beside"
                                + " them: save it as safetensors or ONNX");
            } else if (layer instanceof TimeReversal) {
                turned = !turned;
            } else {
                throw new Refusal("the layer '" + name + "' is of a kind that it has no word for");
            }
            form = output;
        }
        if (form.kind() == Form.Kind.SEQUENCE && turned) {
            throw new Refusal(
                    "the model's outputs at each step would come in the opposite order of time, and Keras has no"
                            + " layer that turns a sequence around: add a TimeReversal at the end of the model, or let the last LSTM"
                            + " read forwards");
        }
    }

    private void input(Form form) {
        JsonObject config = new JsonObject();
        JsonArray shape = new JsonArray();
        shape.add(JsonNull.INSTANCE);
        if (form.kind() != Form.Kind.VECTOR) {
            shape.add(JsonNull.INSTANCE);
        }
        if (form.kind() != Form.Kind.TOKENS) {
            shape.add(form.features());
        }
        config.add("batch_shape", shape);
        config.addProperty("dtype", form.kind() == Form.Kind.TOKENS ? "int32" : "float32");
        config.addProperty("sparse", false);
        add("InputLayer", "input_layer", config);
    }

    private void embedding(String name, Embedding embedding, int vocabulary) {
        masked |= embedding.maskZero();
        JsonObject config = layerConfig();
        config.addProperty("input_dim", vocabulary);
        config.addProperty("output_dim", embedding.width());
        config.addProperty("mask_zero", embedding.maskZero());
        String keras = add("Embedding", "embedding", config);
        Object table = rows(model.get(name + ".weight"), vocabulary, embedding.width());
        variables.put("layers/" + keras, List.of(table));
    }

    private void dense(String name, Dense dense, int features) {
        JsonObject config = layerConfig();
        config.addProperty("units", dense.units());
        config.addProperty("activation", "linear");
        config.addProperty("use_bias", dense.bias());
        String keras = add("Dense", "dense", config);
        List<Object> weights = new ArrayList<>();
        weights.add(transposed(model.get(name + ".weight"), dense.units(), features));
        if (dense.bias()) {
            weights.add(floats(model.get(name + ".bias")));
        }
        variables.put("layers/" + keras, weights);
    }

    /** @param locked whether all steps drop the same features */
    private void dropout(double rate, boolean locked) {
        JsonObject config = layerConfig();
        config.addProperty("rate", rate);
        String keras =
                locked ? add("SpatialDropout1D", "spatial_dropout1d", config) : add("Dropout", "dropout", config);
        seed("layers/" + keras);
    }

    /** Keras keeps the state of a layer's random numbers among its weights. */
    private void seed(String path) {
        Object state = new int[] {1, 0};
        variables.put(path + "/seed_generator", List.of(state));
    }

    private void activation(ActivationFunction function) {
        JsonObject config = layerConfig();
        config.addProperty("activation", function.word());
        add("Activation", "activation", config);
    }

    private void lstm(String name, Lstm lstm, int features) {
        LstmSpec spec = lstm.spec().withInputSize(features);
        if (lstm.learnedInitialState()) {
            throw new Refusal(
                    "the layer '" + name + "' starts from a state that it has learned, and Keras' LSTM from zeros");
        }
        requireSayable(name, spec);
        boolean both = spec.direction() == Direction.BIDIRECTIONAL;
        if (both && turned) {
            throw new Refusal("the layer '" + name
                    + "' reads both ways what Keras would have in the opposite order of time, and Keras has no layer that"
                    + " turns a sequence around");
        }
        for (int layer = 0; layer < spec.layers(); layer++) {
            boolean last = layer == spec.layers() - 1;
            boolean sequences = !last || lstm.returnSequences();
            // Keras puts outputs out in the order in which it reads.
            boolean backwards = !both && (spec.direction() == Direction.REVERSE) != turned;
            if (masked && backwards && sequences) {
                throw new Refusal(
                        "the layer '" + name + "' returns sequences in the opposite order of time with masked steps"
                                + " in them, whose masks Keras leaves where they were");
            }
            JsonObject config = lstmConfig(lstm, sequences, backwards);
            if (both) {
                bidirectional(name, spec, layer, config);
            } else {
                String keras = add("LSTM", "lstm", config);
                cell(name, spec, layer, "", "layers/" + keras + "/cell");
                turned = spec.direction() == Direction.REVERSE;
            }
            if (!last && spec.dropout() > 0) {
                dropout(spec.dropout(), false);
            }
        }
        // One output a sequence has no order.
        turned &= lstm.returnSequences();
    }

    private static void requireSayable(String name, LstmSpec spec) {
        Map<String, Boolean> extras = new LinkedHashMap<>();
        extras.put("a projection", spec.projected());
        extras.put("peepholes", spec.peepholes());
        extras.put("layer normalization", spec.layerNormalization());
        extras.put("coupled gates", spec.coupledGates());
        extras.put("a limit of the cell state", spec.cellClip() > 0);
        extras.put("a limit of the gates", spec.gateClip() > 0);
        extras.put("zoneout", spec.zoneoutHidden() > 0 || spec.zoneoutCell() > 0);
        extras.forEach((extra, present) -> {
            if (present) {
                throw new Refusal("the layer '" + name + "' has " + extra + ", which Keras' LSTM does not have");
            }
        });
        LstmActivations activations = spec.activations();
        if (!activations.candidate().equals(activations.output())) {
            throw new Refusal("the layer '" + name + "' has the activations " + activations
                    + " but Keras' LSTM has the same function for the candidate and the output");
        }
        word(name, activations.gates());
        word(name, activations.output());
    }

    private static String word(String name, CellActivation activation) {
        String word = switch (activation.kind()) {
            case SIGMOID -> "sigmoid";
            case TANH -> "tanh";
            case RELU -> "relu";
            case SOFTSIGN -> "softsign";
            case SOFTPLUS -> "softplus";
            case ELU -> activation.alpha() == 1 ? "elu" : null;
            case AFFINE -> activation.alpha() == 1 && activation.beta() == 0 ? "linear" : null;
            case HARD_SIGMOID -> activation.alpha() == 1.0 / 6 && activation.beta() == 0.5 ? "hard_sigmoid" : null;
            default -> null;
        };
        if (word == null) {
            throw new Refusal(
                    "the layer '" + name + "' has the activation " + activation + ", which Keras 3 has no name for");
        }
        return word;
    }

    private JsonObject lstmConfig(Lstm lstm, boolean sequences, boolean backwards) {
        LstmSpec spec = lstm.spec();
        JsonObject config = layerConfig();
        config.addProperty("return_sequences", sequences);
        config.addProperty("return_state", false);
        config.addProperty("go_backwards", backwards);
        config.addProperty("stateful", false);
        config.addProperty("unroll", false);
        config.addProperty("units", spec.hiddenSize());
        config.addProperty("activation", word("", spec.activations().output()));
        config.addProperty("recurrent_activation", word("", spec.activations().gates()));
        config.addProperty("use_bias", spec.bias());
        config.addProperty("unit_forget_bias", lstm.forgetBias() == 1);
        config.addProperty("dropout", 0.0);
        config.addProperty("recurrent_dropout", spec.recurrentDropout());
        return config;
    }

    private void bidirectional(String name, LstmSpec spec, int layer, JsonObject forward) {
        JsonObject backward = forward.deepCopy();
        forward.addProperty("name", "forward_lstm");
        backward.addProperty("name", "backward_lstm");
        backward.addProperty("go_backwards", true);
        JsonObject config = layerConfig();
        config.addProperty("merge_mode", "concat");
        config.add("layer", serialized("keras.layers", "LSTM", forward));
        config.add("backward_layer", serialized("keras.layers", "LSTM", backward));
        String keras = add("Bidirectional", "bidirectional", config);
        cell(name, spec, layer, "", "layers/" + keras + "/forward_layer/cell");
        cell(name, spec, layer, "_reverse", "layers/" + keras + "/backward_layer/cell");
    }

    private void cell(String name, LstmSpec spec, int layer, String suffix, String path) {
        int rows = Gate.COUNT * spec.hiddenSize();
        String of = "_l" + layer + suffix;
        List<Object> weights = new ArrayList<>();
        weights.add(transposed(model.get(name + ".weight_ih" + of), rows, spec.layerInputSize(layer)));
        weights.add(transposed(model.get(name + ".weight_hh" + of), rows, spec.hiddenSize()));
        if (spec.bias()) {
            weights.add(floats(model.get(name + ".bias" + of)));
        }
        variables.put(path, weights);
        seed(path);
    }

    private static float[] floats(double[] values) {
        float[] floats = new float[values.length];
        for (int e = 0; e < floats.length; e++) {
            floats[e] = (float) values[e];
        }
        return floats;
    }

    private static float[][] rows(double[] matrix, int rows, int columns) {
        float[][] floats = new float[rows][columns];
        for (int e = 0; e < matrix.length; e++) {
            floats[e / columns][e % columns] = (float) matrix[e];
        }
        return floats;
    }

    /** {@code [rows, columns]} as {@code [columns][rows]}. */
    private static float[][] transposed(double[] matrix, int rows, int columns) {
        return rows(KerasReader.transposed(matrix, rows, columns), columns, rows);
    }

    /** The HDF5 file. jHDF writes to files only. */
    private byte[] weights() throws IOException {
        Path folder = Files.createTempDirectory("carousel");
        Path file = folder.resolve("model.weights.h5");
        try {
            try (WritableHdfFile hdf5 = HdfFile.write(file)) {
                Map<String, WritableGroup> groups = new HashMap<>();
                groups.put("", hdf5);
                // The model's own, which the first versions of Keras 3 look for.
                hdf5.putGroup("vars");
                // jHDF 0.13 writes its name over a group that is empty and comes last; this name comes after that one.
                hdf5.putDataset("written_by", new String[] {"Carousel"});
                variables.forEach((path, values) -> {
                    WritableGroup group = group(groups, path).putGroup("vars");
                    for (int k = 0; k < values.size(); k++) {
                        group.putDataset(Integer.toString(k), values.get(k));
                    }
                });
            }
            return Files.readAllBytes(file);
        } finally {
            Files.deleteIfExists(file);
            Files.deleteIfExists(folder);
        }
    }

    private static WritableGroup group(Map<String, WritableGroup> groups, String path) {
        WritableGroup known = groups.get(path);
        if (known != null) {
            return known;
        }
        int slash = path.lastIndexOf('/');
        WritableGroup group =
                group(groups, path.substring(0, Math.max(slash, 0))).putGroup(path.substring(slash + 1));
        groups.put(path, group);
        return group;
    }
}
