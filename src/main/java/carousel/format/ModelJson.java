package carousel.format;

import carousel.engine.ActivationFunction;
import carousel.engine.CellActivation;
import carousel.engine.Direction;
import carousel.engine.LstmActivations;
import carousel.engine.LstmSpec;
import carousel.layer.Activation;
import carousel.layer.Dense;
import carousel.layer.Dropout;
import carousel.layer.Embedding;
import carousel.layer.Form;
import carousel.layer.Initializer;
import carousel.layer.Layer;
import carousel.layer.Lstm;
import carousel.layer.Masking;
import carousel.layer.ModelSpec;
import carousel.layer.Residual;
import carousel.layer.TimeReversal;
import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonPrimitive;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.Predicate;
import java.util.stream.Collectors;

/** A model's specification as JSON, as it stands in the metadata of a model file. */
public final class ModelJson {
    /** A specification nests seven deep, and two deeper for each of four residual connections inside each other. */
    private static final int MAX_DEPTH = 16;

    private ModelJson() {}

    /** One line of JSON; {@link #parse} gives back an equal specification. */
    public static String write(ModelSpec model) {
        return object(model).toString();
    }

    private static JsonObject object(ModelSpec model) {
        JsonObject json = new JsonObject();
        if (model.encoder() != null) {
            json.add("encoder", object(model.encoder()));
        }
        JsonObject input = new JsonObject();
        input.addProperty("kind", model.input().kind().name());
        input.addProperty("features", model.input().features());
        json.add("input", input);
        JsonArray layers = new JsonArray();
        model.layers().forEach(layer -> layers.add(write(layer)));
        json.add("layers", layers);
        return json;
    }

    private static JsonObject write(Layer layer) {
        JsonObject json = new JsonObject();
        json.addProperty("type", layer.kind());
        if (layer instanceof Lstm lstm) {
            json.add("spec", write(lstm.spec()));
            json.addProperty("returnSequences", lstm.returnSequences());
            json.add("inputInitializer", write(lstm.inputInitializer()));
            json.add("recurrentInitializer", write(lstm.recurrentInitializer()));
            json.addProperty("forgetBias", lstm.forgetBias());
            if (lstm.chronoSteps() != 0) {
                json.addProperty("chronoSteps", lstm.chronoSteps());
            }
            if (lstm.learnedInitialState()) {
                json.addProperty("learnedInitialState", true);
            }
        } else if (layer instanceof Dense dense) {
            json.addProperty("units", dense.units());
            json.addProperty("bias", dense.bias());
            json.add("weightsInitializer", write(dense.weightsInitializer()));
            json.add("biasInitializer", write(dense.biasInitializer()));
        } else if (layer instanceof Embedding embedding) {
            json.addProperty("width", embedding.width());
            json.add("initializer", write(embedding.initializer()));
            if (embedding.maskZero()) {
                json.addProperty("maskZero", true);
            }
        } else if (layer instanceof Dropout dropout) {
            json.addProperty("rate", dropout.rate());
            if (dropout.locked()) {
                json.addProperty("locked", true);
            }
        } else if (layer instanceof Activation activation) {
            json.addProperty("function", activation.function().word());
        } else if (layer instanceof Masking masking) {
            json.addProperty("value", masking.value());
        } else if (layer instanceof Residual residual) {
            JsonArray layers = new JsonArray();
            residual.layers().forEach(inner -> layers.add(write(inner)));
            json.add("layers", layers);
        }
        return json;
    }

    private static JsonObject write(LstmSpec spec) {
        JsonObject json = new JsonObject();
        json.addProperty("hiddenSize", spec.hiddenSize());
        json.addProperty("layers", spec.layers());
        json.addProperty("direction", spec.direction().name());
        json.addProperty("bias", spec.bias());
        json.addProperty("projectionSize", spec.projectionSize());
        json.addProperty("dropout", spec.dropout());
        json.addProperty("recurrentDropout", spec.recurrentDropout());
        json.addProperty("zoneoutHidden", spec.zoneoutHidden());
        json.addProperty("zoneoutCell", spec.zoneoutCell());
        json.addProperty("peepholes", spec.peepholes());
        json.addProperty("layerNormalization", spec.layerNormalization());
        json.addProperty("cellClip", spec.cellClip());
        json.addProperty("gateClip", spec.gateClip());
        json.addProperty("coupledGates", spec.coupledGates());
        JsonObject activations = new JsonObject();
        activations.add("gates", write(spec.activations().gates()));
        activations.add("candidate", write(spec.activations().candidate()));
        activations.add("output", write(spec.activations().output()));
        json.add("activations", activations);
        json.addProperty("candidateDropout", spec.candidateDropout());
        json.addProperty("recurrentWeightDropout", spec.recurrentWeightDropout());
        return json;
    }

    private static JsonObject write(CellActivation activation) {
        JsonObject json = new JsonObject();
        json.addProperty("type", activation.kind().name());
        if (activation.kind().takesAlpha()) {
            json.addProperty("alpha", activation.alpha());
        }
        if (activation.kind().takesBeta()) {
            json.addProperty("beta", activation.beta());
        }
        return json;
    }

    private static JsonObject write(Initializer initializer) {
        JsonObject json = new JsonObject();
        if (initializer instanceof Initializer.Constant constant) {
            json.addProperty("type", "constant");
            json.addProperty("value", constant.value());
        } else if (initializer instanceof Initializer.Uniform uniform) {
            json.addProperty("type", "uniform");
            json.addProperty("low", uniform.low());
            json.addProperty("high", uniform.high());
        } else if (initializer instanceof Initializer.Normal normal) {
            json.addProperty("type", "normal");
            json.addProperty("mean", normal.mean());
            json.addProperty("deviation", normal.deviation());
        } else if (initializer instanceof Initializer.GlorotUniform) {
            json.addProperty("type", "glorotUniform");
        } else if (initializer instanceof Initializer.Orthogonal) {
            json.addProperty("type", "orthogonal");
        }
        return json;
    }

    /**
     * The specification that {@link #write} wrote.
     *
     * @throws FormatException when it is not one, naming what is missing or out of range
     */
    public static ModelSpec parse(String text) throws FormatException {
        JsonElement root = read(text);
        try {
            JsonObject json = asObject("it", root);
            return new ModelSpec(
                    form(json), layers(json), json.has("encoder") ? encoder(object(json, "encoder")) : null);
        } catch (IllegalArgumentException e) {
            throw unreadable(e.getMessage(), e);
        }
    }

    private static ModelSpec encoder(JsonObject json) {
        if (json.has("encoder")) {
            throw new IllegalArgumentException("an encoder should have no encoder itself but has one");
        }
        return new ModelSpec(form(json), layers(json));
    }

    private static Form form(JsonObject json) {
        JsonObject input = object(json, "input");
        return new Form(choice(input, "kind", Form.Kind.class), integer(input, "features"));
    }

    private static JsonElement read(String text) throws FormatException {
        try {
            return StrictJson.parse(text, MAX_DEPTH);
        } catch (FormatException e) {
            throw unreadable(e.getMessage(), e);
        }
    }

    private static FormatException unreadable(String reason, Exception cause) {
        return new FormatException("the model's specification cannot be read: " + reason, cause);
    }

    private static List<Layer> layers(JsonObject json) {
        List<Layer> layers = new ArrayList<>();
        for (JsonElement layer : array(json, "layers")) {
            layers.add(layer(asObject("a layer", layer)));
        }
        return layers;
    }

    private static Layer layer(JsonObject json) {
        String type = text(json, "type");
        return switch (type) {
            case "lstm" ->
                new Lstm(
                        spec(object(json, "spec")),
                        truth(json, "returnSequences"),
                        initializer(object(json, "inputInitializer")),
                        initializer(object(json, "recurrentInitializer")),
                        number(json, "forgetBias"),
                        json.has("chronoSteps") ? number(json, "chronoSteps") : 0,
                        json.has("learnedInitialState") && truth(json, "learnedInitialState"));
            case "dense" ->
                new Dense(
                        integer(json, "units"),
                        truth(json, "bias"),
                        initializer(object(json, "weightsInitializer")),
                        initializer(object(json, "biasInitializer")));
            case "embedding" ->
                new Embedding(
                        integer(json, "width"),
                        initializer(object(json, "initializer")),
                        json.has("maskZero") && truth(json, "maskZero"));
            case "dropout" -> new Dropout(number(json, "rate"), json.has("locked") && truth(json, "locked"));
            case "activation" -> new Activation(function(text(json, "function")));
            case "masking" -> new Masking(number(json, "value"));
            case "time_reversal" -> new TimeReversal();
            case "residual" -> new Residual(layers(json));
            default ->
                throw new IllegalArgumentException(
                        "a layer's type should be lstm, dense, embedding, dropout, activation, masking, time_reversal or"
                                + " residual but got "
                                + FormatException.quote(type));
        };
    }

    private static ActivationFunction function(String word) {
        for (ActivationFunction function : ActivationFunction.values()) {
            if (function.word().equals(word)) {
                return function;
            }
        }
        throw new IllegalArgumentException("'function' should be one of "
                + Arrays.stream(ActivationFunction.values())
                        .map(ActivationFunction::word)
                        .collect(Collectors.joining(", "))
                + " but got " + FormatException.quote(word));
    }

    private static LstmSpec spec(JsonObject json) {
        LstmSpec spec = LstmSpec.of(1, integer(json, "hiddenSize"))
                .withLayers(integer(json, "layers"))
                .withDirection(choice(json, "direction", Direction.class))
                .withBias(truth(json, "bias"))
                .withProjectionSize(integer(json, "projectionSize"))
                .withDropout(number(json, "dropout"))
                .withRecurrentDropout(number(json, "recurrentDropout"))
                .withZoneout(number(json, "zoneoutHidden"), number(json, "zoneoutCell"))
                .withPeepholes(truth(json, "peepholes"))
                .withLayerNormalization(truth(json, "layerNormalization"))
                .withCellClip(number(json, "cellClip"));
        // What follows is not in the oldest files, whose cells have none of it.
        return spec.withGateClip(json.has("gateClip") ? number(json, "gateClip") : spec.gateClip())
                .withCoupledGates(json.has("coupledGates") ? truth(json, "coupledGates") : spec.coupledGates())
                .withActivations(
                        json.has("activations") ? activations(object(json, "activations")) : spec.activations())
                .withCandidateDropout(json.has("candidateDropout") ? number(json, "candidateDropout") : 0)
                .withRecurrentWeightDropout(
                        json.has("recurrentWeightDropout") ? number(json, "recurrentWeightDropout") : 0);
    }

    private static LstmActivations activations(JsonObject json) {
        return new LstmActivations(
                activation(object(json, "gates")),
                activation(object(json, "candidate")),
                activation(object(json, "output")));
    }

    private static CellActivation activation(JsonObject json) {
        CellActivation.Kind kind = choice(json, "type", CellActivation.Kind.class);
        return new CellActivation(
                kind, kind.takesAlpha() ? number(json, "alpha") : 0, kind.takesBeta() ? number(json, "beta") : 0);
    }

    private static Initializer initializer(JsonObject json) {
        String type = text(json, "type");
        return switch (type) {
            case "constant" -> new Initializer.Constant(number(json, "value"));
            case "uniform" -> new Initializer.Uniform(number(json, "low"), number(json, "high"));
            case "normal" -> new Initializer.Normal(number(json, "mean"), number(json, "deviation"));
            case "glorotUniform" -> new Initializer.GlorotUniform();
            case "orthogonal" -> new Initializer.Orthogonal();
            default ->
                throw new IllegalArgumentException(
                        "an initialiser should be constant, uniform, normal, glorotUniform or orthogonal but got "
                                + FormatException.quote(type));
        };
    }

    private static JsonElement require(JsonObject json, String key) {
        JsonElement value = json.get(key);
        if (value == null) {
            throw new IllegalArgumentException("'" + key + "' is missing");
        }
        return value;
    }

    private static IllegalArgumentException wrong(String what, String wanted, JsonElement value) {
        return new IllegalArgumentException(
                what + " should be " + wanted + " but got " + FormatException.quote(value.toString()));
    }

    private static JsonObject asObject(String what, JsonElement value) {
        if (!value.isJsonObject()) {
            throw wrong(what, "an object", value);
        }
        return value.getAsJsonObject();
    }

    private static JsonObject object(JsonObject json, String key) {
        return asObject("'" + key + "'", require(json, key));
    }

    private static JsonArray array(JsonObject json, String key) {
        JsonElement value = require(json, key);
        if (!value.isJsonArray()) {
            throw wrong("'" + key + "'", "an array", value);
        }
        return value.getAsJsonArray();
    }

    /** The library turns one kind of value into another where it can, anything but {@code true} into false for instance. */
    private static JsonPrimitive primitive(
            JsonObject json, String key, String wanted, Predicate<JsonPrimitive> accepted) {
        JsonElement value = require(json, key);
        if (!value.isJsonPrimitive() || !accepted.test(value.getAsJsonPrimitive())) {
            throw wrong("'" + key + "'", wanted, value);
        }
        return value.getAsJsonPrimitive();
    }

    private static String text(JsonObject json, String key) {
        return primitive(json, key, "text", JsonPrimitive::isString).getAsString();
    }

    private static <E extends Enum<E>> E choice(JsonObject json, String key, Class<E> type) {
        String name = text(json, key);
        E[] constants = type.getEnumConstants();
        for (E constant : constants) {
            if (constant.name().equals(name)) {
                return constant;
            }
        }
        throw new IllegalArgumentException("'" + key + "' should be one of "
                + Arrays.stream(constants).map(Enum::name).collect(Collectors.joining(", ")) + " but got "
                + FormatException.quote(name));
    }

    private static int integer(JsonObject json, String key) {
        double value = number(json, key);
        if (value != (int) value) {
            throw wrong("'" + key + "'", "a whole number", json.get(key));
        }
        return (int) value;
    }

    private static double number(JsonObject json, String key) {
        return primitive(json, key, "a number", JsonPrimitive::isNumber).getAsDouble();
    }

    private static boolean truth(JsonObject json, String key) {
        return primitive(json, key, "true or false", JsonPrimitive::isBoolean).getAsBoolean();
    }
}
