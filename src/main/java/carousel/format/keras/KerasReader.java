package carousel.format.keras;

import carousel.engine.ActivationFunction;
import carousel.engine.CellActivation;
import carousel.engine.Direction;
import carousel.engine.LstmActivations;
import carousel.engine.LstmSpec;
import carousel.format.FormatException;
import carousel.format.Imported;
import carousel.format.Imported.Mapping;
import carousel.format.ModelWeights;
import carousel.layer.Activation;
import carousel.layer.Dense;
import carousel.layer.Dropout;
import carousel.layer.Embedding;
import carousel.layer.Form;
import carousel.layer.Layer;
import carousel.layer.Lstm;
import carousel.layer.Masking;
import carousel.layer.ModelSpec;
import carousel.layer.TimeReversal;
import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** Makes a model of a chain of Keras layers. What cannot be made is a {@link Refusal} that names the layer. */
final class KerasReader {
    private static final Set<String> READS_SEQUENCES = Set.of("LSTM", "Bidirectional", "TimeDistributed", "Masking");

    private final boolean version2;
    private final List<Layer> layers = new ArrayList<>();
    private final Map<String, double[]> values = new HashMap<>();
    private final List<Mapping> mapping = new ArrayList<>();
    private final Map<String, Integer> counts = new HashMap<>();

    /** What flows so far; null before the first layer that says how many features there are. */
    private Form form;

    private Form input;
    /** The rank that the input's declared shape has, batch included, or 0 where none is declared. */
    private int declaredRank;
    /** The last extent of the declared shape, or 0. */
    private int declaredFeatures;

    private boolean masked;

    /** @param version of Keras, as the file has it */
    KerasReader(String version) {
        this.version2 = version.startsWith("2");
    }

    Imported read(List<KerasChain.Layer> chain, KerasWeights weights) {
        for (KerasChain.Layer layer : chain) {
            try {
                add(layer, weights, chain);
            } catch (Refusal e) {
                throw e;
            } catch (IllegalArgumentException e) {
                throw new Refusal(layer.title() + ": " + e.getMessage(), e);
            }
        }
        if (input == null) {
            throw new Refusal("the model should have one or more layers with weights but has none");
        }
        ModelSpec spec = new ModelSpec(input, layers);
        return new Imported(new ModelWeights(spec, values), mapping);
    }

    private void add(KerasChain.Layer layer, KerasWeights weights, List<KerasChain.Layer> chain) {
        KerasJson config = layer.config();
        declare(layer);
        List<String> notes = new ArrayList<>();
        noteDtype(config, notes);
        switch (layer.type()) {
            case "InputLayer" -> mapping.add(new Mapping(layer.title(), "the input", String.join("; ", notes)));
            case "Embedding" -> embedding(layer, weights, notes);
            case "Masking" -> {
                masked = true;
                place(layer, new Masking(config.number("mask_value", 0)), notes);
            }
            case "LSTM" -> lstm(layer, layer, config, weights.next(layer), Direction.FORWARD, notes);
            case "Bidirectional" -> bidirectional(layer, weights, notes);
            case "Dense" -> dense(layer, config, weights, chain, notes);
            case "TimeDistributed" -> timeDistributed(layer, weights, chain, notes);
            case "Activation" -> activation(layer, layer.title(), config.get("activation"), notes);
            case "ReLU" -> relu(layer, notes);
            case "Softmax" -> softmax(layer, notes);
            case "Dropout" -> dropout(layer, false, notes);
            case "SpatialDropout1D" -> dropout(layer, true, notes);
            case "Flatten" ->
                throw new Refusal(
                        layer.title() + " would put all steps of a sequence side by side, which ties the model to"
                                + " one length: end with an LSTM without return_sequences");
            default ->
                throw new Refusal(layer.title() + " is not among the layers that are read: " + KerasImport.LAYERS);
        }
    }

    /** Takes note of the input's shape where a layer declares it; Keras 2 has it at the first layer, whatever that is. */
    private void declare(KerasChain.Layer layer) {
        KerasJson config = layer.config();
        String key = config.has("batch_shape") ? "batch_shape" : "batch_input_shape";
        if (declaredRank > 0 || input != null || !config.has(key)) {
            return;
        }
        JsonArray shape = config.array(key);
        declaredRank = shape.size();
        if (declaredRank < 2 || declaredRank > 3) {
            throw new Refusal(
                    layer.title() + ": the input should be [batch, time, features], [batch, features] or [batch,"
                            + " time] of tokens but is " + FormatException.quote(shape.toString()));
        }
        JsonElement last = shape.get(declaredRank - 1);
        if (last.isJsonPrimitive() && last.getAsJsonPrimitive().isNumber()) {
            double features = last.getAsDouble();
            if (features != (int) features || features < 1) {
                throw new Refusal(layer.title() + ": the last extent of the input should be 1 or more but is "
                        + FormatException.quote(last.toString()));
            }
            declaredFeatures = (int) features;
        }
    }

    private void noteDtype(KerasJson config, List<String> notes) {
        JsonElement dtype = config.get("dtype");
        String name = dtype == null || dtype.isJsonPrimitive()
                ? config.text("dtype", "float32")
                : config.object("dtype").has("config")
                        ? config.object("dtype").object("config").text("name", "float32")
                        : "float32";
        if (!name.equals("float32") && !name.startsWith("int")) {
            notes.add("computed in " + FormatException.quote(name) + " by Keras and in the engine's precision here");
        }
    }

    /** The first layer with weights says what the model reads. */
    private void start(KerasChain.Layer layer, Form.Kind kind, int features) {
        if (input != null) {
            return;
        }
        boolean fits = declaredRank == 0
                || switch (kind) {
                    case TOKENS -> declaredRank == 2;
                    case VECTOR -> declaredRank == 2 && (declaredFeatures == 0 || declaredFeatures == features);
                    case SEQUENCE -> declaredRank == 3 && (declaredFeatures == 0 || declaredFeatures == features);
                };
        input = new Form(kind, features);
        if (!fits) {
            throw new Refusal(layer.title() + " reads " + input + " but the model's input is declared with "
                    + declaredRank + " dimensions and " + declaredFeatures + " as the last");
        }
        form = input;
        for (Layer before : layers) {
            form = before.output(form);
        }
    }

    /** Returns the layer's name in the model. */
    private String place(KerasChain.Layer layer, Layer ours, List<String> notes) {
        layers.add(ours);
        if (form != null) {
            form = ours.output(form);
        }
        int same = counts.merge(ours.kind(), 1, Integer::sum) - 1;
        String name = ours.kind() + (same == 0 ? "" : "_" + same);
        mapping.add(new Mapping(layer.title(), name + ": " + ours.summary(), String.join("; ", notes)));
        return name;
    }

    private void embedding(KerasChain.Layer layer, KerasWeights weights, List<String> notes) {
        KerasJson config = layer.config();
        int vocabulary = config.integer("input_dim");
        int width = config.integer("output_dim");
        List<KerasWeights.Weight> found = weights.next(layer).get(0);
        requireCount(layer, found, "embeddings");
        require(layer, "embeddings", found.get(0), vocabulary, width);
        if (!layers.isEmpty() && form == null) {
            throw new Refusal(layer.title() + " should be the first layer");
        }
        if (config.has("lora_rank") || config.has("quantization_config")) {
            throw new Refusal(layer.title() + " has weights for LoRA or quantization, which are not read");
        }
        start(layer, Form.Kind.TOKENS, vocabulary);
        boolean maskZero = config.truth("mask_zero", false);
        masked |= maskZero;
        Embedding ours = Embedding.of(width).withMaskZero(maskZero);
        String name = place(layer, ours, notes);
        put(found.get(0), name + ".weight", found.get(0).numbers().values(), "");
    }

    private void bidirectional(KerasChain.Layer layer, KerasWeights weights, List<String> notes) {
        KerasJson config = layer.config();
        String mode = config.text("merge_mode", "none");
        if (!mode.equals("concat")) {
            throw new Refusal(layer.title() + ": its merge_mode should be 'concat' but is "
                    + FormatException.quote(mode) + ": both directions' outputs stay side by side");
        }
        KerasChain.Layer forward = KerasChain.layer(config.object("layer"));
        requireInner(layer, forward, "LSTM");
        if (forward.config().truth("go_backwards", false)) {
            throw new Refusal(layer.title() + ": its forward layer reads backwards, which is not read");
        }
        if (config.has("backward_layer")) {
            KerasChain.Layer backward = KerasChain.layer(config.object("backward_layer"));
            requireInner(layer, backward, "LSTM");
            for (String key : List.of("units", "activation", "recurrent_activation", "use_bias", "return_sequences")) {
                JsonElement one = forward.config().get(key);
                JsonElement other = backward.config().get(key);
                if (one == null ? other != null : !one.equals(other)) {
                    throw new Refusal(
                            layer.title() + ": its two directions should be alike but differ in '" + key + "'");
                }
            }
        }
        lstm(layer, forward, forward.config(), weights.next(layer), Direction.BIDIRECTIONAL, notes);
    }

    private static void requireInner(KerasChain.Layer layer, KerasChain.Layer inner, String type) {
        if (!inner.type().equals(type)) {
            throw new Refusal(layer.title() + " should wrap a layer of the class " + type + " but wraps a "
                    + FormatException.quote(inner.type()));
        }
    }

    /** @param layer the LSTM, or the layer around it, which has the weights */
    private void lstm(
            KerasChain.Layer layer,
            KerasChain.Layer cell,
            KerasJson config,
            List<List<KerasWeights.Weight>> weights,
            Direction direction,
            List<String> notes) {
        int units = config.integer("units");
        boolean bias = config.truth("use_bias", true);
        boolean sequences = config.truth("return_sequences", false);
        boolean backwards = config.truth("go_backwards", false);
        for (String key : List.of("return_state", "time_major")) {
            if (config.truth(key, false)) {
                throw new Refusal(layer.title() + " has '" + key + "', which is not read: "
                        + (key.equals("return_state")
                                ? "a model here puts out one thing, and LstmSession carries states"
                                : "Keras 3 does not have it either"));
            }
        }
        // Around both directions Keras sets zero_output_for_mask itself, and here too masked steps are zeros there.
        boolean zeros = direction != Direction.BIDIRECTIONAL && config.truth("zero_output_for_mask", false);
        if (masked && sequences && (backwards || zeros)) {
            throw new Refusal(layer.title() + " has '" + (backwards ? "go_backwards" : "zero_output_for_mask")
                    + "' and returns sequences with masked steps in them, which is not read");
        }
        if (backwards && direction == Direction.FORWARD) {
            direction = Direction.REVERSE;
            notes.add(sequences ? "go_backwards: the outputs in the order of reading" : "go_backwards");
        }
        if (config.truth("stateful", false)) {
            notes.add("stateful: carry the state with LstmSession");
        }
        if (config.number("dropout", 0) > 0) {
            notes.add("dropout " + config.number("dropout", 0) + " of its inputs left out: it acts in training only");
        }
        if (config.number("recurrent_dropout", 0) > 0) {
            notes.add("recurrent_dropout " + config.number("recurrent_dropout", 0)
                    + " left out: it acts in training only");
        }
        LstmActivations activations = activations(layer, cell.config());
        if (!activations.equals(LstmActivations.STANDARD)) {
            notes.add("activations " + activations);
        }
        LstmSpec spec =
                LstmSpec.of(1, units).withBias(bias).withDirection(direction).withActivations(activations);
        Lstm ours = Lstm.of(spec).withReturnSequences(sequences);
        int features = 0;
        for (List<KerasWeights.Weight> part : weights) {
            requireCount(
                    layer,
                    part,
                    bias
                            ? new String[] {"kernel", "recurrent kernel", "bias"}
                            : new String[] {"kernel", "recurrent kernel"});
            int[] kernel = part.get(0).numbers().shape();
            features = form != null ? form.features() : kernel.length == 2 && features == 0 ? kernel[0] : features;
            require(layer, "kernel", part.get(0), features, 4 * units);
            require(layer, "recurrent kernel", part.get(1), units, 4 * units);
            if (bias) {
                require(layer, "bias", part.get(2), 4 * units);
            }
        }
        start(layer, Form.Kind.SEQUENCE, features);
        String name = place(layer, ours, notes);
        for (int part = 0; part < weights.size(); part++) {
            String suffix = "_l0" + (part == 1 ? "_reverse" : "");
            putTransposed(weights.get(part).get(0), name + ".weight_ih" + suffix);
            putTransposed(weights.get(part).get(1), name + ".weight_hh" + suffix);
            if (bias) {
                KerasWeights.Weight weight = weights.get(part).get(2);
                put(weight, name + ".bias" + suffix, weight.numbers().values(), "gates i, f, c, o as they are");
            }
        }
        if (direction == Direction.REVERSE && sequences) {
            place(layer, new TimeReversal(), List.of("go_backwards: the last step's output comes first"));
        }
    }

    private LstmActivations activations(KerasChain.Layer layer, KerasJson config) {
        CellActivation gates =
                cellActivation(layer, word(layer.title(), config.get("recurrent_activation"), "sigmoid"));
        CellActivation cell = cellActivation(layer, word(layer.title(), config.get("activation"), "tanh"));
        return new LstmActivations(gates, cell, cell);
    }

    private CellActivation cellActivation(KerasChain.Layer layer, String word) {
        return switch (word) {
            case "sigmoid" -> CellActivation.SIGMOID;
            case "tanh" -> CellActivation.TANH;
            case "relu" -> CellActivation.of(CellActivation.Kind.RELU);
            case "linear" -> new CellActivation(CellActivation.Kind.AFFINE, 1, 0);
            case "softsign" -> CellActivation.of(CellActivation.Kind.SOFTSIGN);
            case "softplus" -> CellActivation.of(CellActivation.Kind.SOFTPLUS);
            case "elu" -> CellActivation.of(CellActivation.Kind.ELU);
            case "hard_sigmoid" -> new CellActivation(CellActivation.Kind.HARD_SIGMOID, version2 ? 0.2 : 1.0 / 6, 0.5);
            default ->
                throw new Refusal(
                        layer.title() + ": the activation of an LSTM should be tanh, sigmoid, hard_sigmoid, relu,"
                                + " linear, softsign, softplus or elu but is " + FormatException.quote(word));
        };
    }

    /** A function by its name, or by an object that holds the name. */
    private static String word(String title, JsonElement value, String otherwise) {
        if (value == null) {
            // Keras writes null for none where a program said so, and the key is there.
            return otherwise;
        }
        if (value.isJsonPrimitive() && value.getAsJsonPrimitive().isString()) {
            return value.getAsString();
        }
        if (value.isJsonObject()) {
            KerasJson json = new KerasJson(title, value.getAsJsonObject());
            JsonElement config = json.get("config");
            if (config != null && config.isJsonPrimitive()) {
                return json.text("config");
            }
        }
        throw new Refusal(title + ": an activation should be a function's name but got "
                + FormatException.quote(value.toString()));
    }

    private void dense(
            KerasChain.Layer layer,
            KerasJson config,
            KerasWeights weights,
            List<KerasChain.Layer> chain,
            List<String> notes) {
        int units = config.integer("units");
        boolean bias = config.truth("use_bias", true);
        if (config.has("lora_rank") || config.has("quantization_config")) {
            throw new Refusal(layer.title() + " has weights for LoRA or quantization, which are not read");
        }
        List<KerasWeights.Weight> found = weights.next(layer).get(0);
        requireCount(layer, found, bias ? new String[] {"kernel", "bias"} : new String[] {"kernel"});
        int[] kernel = found.get(0).numbers().shape();
        int features = form != null ? form.features() : kernel.length == 2 ? kernel[0] : 0;
        require(layer, "kernel", found.get(0), features, units);
        if (bias) {
            require(layer, "bias", found.get(1), units);
        }
        boolean sequence = declaredRank == 3
                || declaredRank == 0 && chain.stream().anyMatch(other -> READS_SEQUENCES.contains(other.type()));
        start(layer, sequence ? Form.Kind.SEQUENCE : Form.Kind.VECTOR, features);
        Dense ours = new Dense(
                units, bias, Dense.of(1).weightsInitializer(), Dense.of(1).biasInitializer());
        String name = place(layer, ours, notes);
        putTransposed(found.get(0), name + ".weight");
        if (bias) {
            put(found.get(1), name + ".bias", found.get(1).numbers().values(), "");
        }
        if (config.has("activation")) {
            activation(layer, layer.title(), config.get("activation"), List.of());
        }
    }

    private void timeDistributed(
            KerasChain.Layer layer, KerasWeights weights, List<KerasChain.Layer> chain, List<String> notes) {
        KerasChain.Layer inner = KerasChain.layer(layer.config().object("layer"));
        requireInner(layer, inner, "Dense");
        if (form != null && form.kind() != Form.Kind.SEQUENCE) {
            throw new Refusal(layer.title() + " reads sequences but got " + form);
        }
        dense(layer, new KerasJson(layer.title(), inner.config().json()), weights, chain, notes);
    }

    private void activation(KerasChain.Layer layer, String title, JsonElement function, List<String> notes) {
        String word = word(title, function, "linear");
        if (word.equals("linear")) {
            if (layer.type().equals("Activation")) {
                mapping.add(new Mapping(title, "", "linear: left out"));
            }
            return;
        }
        for (ActivationFunction known : ActivationFunction.values()) {
            if (known.word().equals(word)) {
                place(layer, new Activation(known), notes);
                return;
            }
        }
        throw new Refusal(title + ": the activation should be linear, relu, sigmoid, tanh or softmax but is "
                + FormatException.quote(word));
    }

    private void relu(KerasChain.Layer layer, List<String> notes) {
        KerasJson config = layer.config();
        if (config.has("max_value") || config.number("negative_slope", 0) != 0 || config.number("threshold", 0) != 0) {
            throw new Refusal(
                    layer.title() + " should be max(x, 0) but has a max_value, a negative_slope or a threshold");
        }
        place(layer, new Activation(ActivationFunction.RELU), notes);
    }

    private void softmax(KerasChain.Layer layer, List<String> notes) {
        double axis = layer.config().number("axis", -1);
        if (axis != -1) {
            throw new Refusal(layer.title() + " should be over the last axis, -1, but is over " + axis);
        }
        place(layer, new Activation(ActivationFunction.SOFTMAX), notes);
    }

    private void dropout(KerasChain.Layer layer, boolean locked, List<String> notes) {
        KerasJson config = layer.config();
        if (config.has("noise_shape")) {
            notes.add("noise_shape left out: it acts in training only");
        }
        place(layer, new Dropout(config.number("rate", 0), locked), notes);
    }

    private static void requireCount(KerasChain.Layer layer, List<KerasWeights.Weight> found, String... wanted) {
        if (found.size() != wanted.length) {
            throw new Refusal(layer.title() + " should have " + wanted.length + " weights (" + String.join(", ", wanted)
                    + ") but has " + found.size());
        }
    }

    private static void require(KerasChain.Layer layer, String what, KerasWeights.Weight weight, int... shape) {
        if (!Arrays.equals(shape, weight.numbers().shape())) {
            throw new Refusal(layer.title() + ": its " + what + " should be " + Arrays.toString(shape) + " but "
                    + FormatException.quote(weight.source()) + " is "
                    + Arrays.toString(weight.numbers().shape()));
        }
    }

    private void put(KerasWeights.Weight weight, String parameter, double[] numbers, String how) {
        values.put(parameter, numbers);
        mapping.add(new Mapping(weight.source(), parameter, how));
    }

    private void putTransposed(KerasWeights.Weight weight, String parameter) {
        int rows = weight.numbers().shape()[0];
        int columns = weight.numbers().shape()[1];
        boolean gates = parameter.contains(".weight_");
        put(
                weight,
                parameter,
                transposed(weight.numbers().values(), rows, columns),
                gates ? "transposed, gates i, f, c, o as they are" : "transposed");
    }

    /** {@code [rows, columns]} as {@code [columns, rows]}. */
    static double[] transposed(double[] matrix, int rows, int columns) {
        double[] turned = new double[matrix.length];
        for (int r = 0; r < rows; r++) {
            for (int c = 0; c < columns; c++) {
                turned[c * rows + r] = matrix[r * columns + c];
            }
        }
        return turned;
    }
}
