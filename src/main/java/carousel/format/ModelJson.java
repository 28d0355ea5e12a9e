package carousel.format;

import carousel.engine.Direction;
import carousel.engine.LstmSpec;
import carousel.layer.Dense;
import carousel.layer.Dropout;
import carousel.layer.Embedding;
import carousel.layer.Form;
import carousel.layer.Initializer;
import carousel.layer.Layer;
import carousel.layer.Lstm;
import carousel.layer.ModelSpec;
import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParseException;
import com.google.gson.JsonParser;
import java.util.ArrayList;
import java.util.List;

/** A model's specification as JSON, as it stands in the metadata of a model file. */
public final class ModelJson {
    private ModelJson() {}

    /** One line of JSON; {@link #parse} gives back an equal specification. */
    public static String write(ModelSpec model) {
        JsonObject json = new JsonObject();
        JsonObject input = new JsonObject();
        input.addProperty("kind", model.input().kind().name());
        input.addProperty("features", model.input().features());
        json.add("input", input);
        JsonArray layers = new JsonArray();
        model.layers().forEach(layer -> layers.add(write(layer)));
        json.add("layers", layers);
        return json.toString();
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
        } else if (layer instanceof Dense dense) {
            json.addProperty("units", dense.units());
            json.addProperty("bias", dense.bias());
            json.add("weightsInitializer", write(dense.weightsInitializer()));
            json.add("biasInitializer", write(dense.biasInitializer()));
        } else if (layer instanceof Embedding embedding) {
            json.addProperty("width", embedding.width());
            json.add("initializer", write(embedding.initializer()));
        } else if (layer instanceof Dropout dropout) {
            json.addProperty("rate", dropout.rate());
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
        try {
            JsonObject json = JsonParser.parseString(text).getAsJsonObject();
            JsonObject input = object(json, "input");
            Form form = new Form(Form.Kind.valueOf(text(input, "kind")), integer(input, "features"));
            List<Layer> layers = new ArrayList<>();
            for (JsonElement layer : require(json, "layers").getAsJsonArray()) {
                layers.add(layer(layer.getAsJsonObject()));
            }
            return new ModelSpec(form, layers);
        } catch (JsonParseException
                | IllegalStateException
                | IllegalArgumentException
                | UnsupportedOperationException
                | StackOverflowError e) {
            // Gson reports wrong types by several unchecked exceptions, and deep nesting by a stack overflow.
            throw new FormatException("the model's specification cannot be read: " + e.getMessage(), e);
        }
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
                        number(json, "forgetBias"));
            case "dense" ->
                new Dense(
                        integer(json, "units"),
                        truth(json, "bias"),
                        initializer(object(json, "weightsInitializer")),
                        initializer(object(json, "biasInitializer")));
            case "embedding" -> new Embedding(integer(json, "width"), initializer(object(json, "initializer")));
            case "dropout" -> new Dropout(number(json, "rate"));
            default ->
                throw new IllegalArgumentException(
                        "a layer's type should be lstm, dense, embedding or dropout but got '" + type + "'");
        };
    }

    private static LstmSpec spec(JsonObject json) {
        return LstmSpec.of(1, integer(json, "hiddenSize"))
                .withLayers(integer(json, "layers"))
                .withDirection(Direction.valueOf(text(json, "direction")))
                .withBias(truth(json, "bias"))
                .withProjectionSize(integer(json, "projectionSize"))
                .withDropout(number(json, "dropout"))
                .withRecurrentDropout(number(json, "recurrentDropout"))
                .withZoneout(number(json, "zoneoutHidden"), number(json, "zoneoutCell"))
                .withPeepholes(truth(json, "peepholes"))
                .withLayerNormalization(truth(json, "layerNormalization"))
                .withCellClip(number(json, "cellClip"));
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
                        "an initialiser should be constant, uniform, normal, glorotUniform or orthogonal but got '"
                                + type + "'");
        };
    }

    private static JsonElement require(JsonObject json, String key) {
        JsonElement value = json.get(key);
        if (value == null) {
            throw new IllegalArgumentException("'" + key + "' is missing");
        }
        return value;
    }

    private static JsonObject object(JsonObject json, String key) {
        return require(json, key).getAsJsonObject();
    }

    private static String text(JsonObject json, String key) {
        return require(json, key).getAsString();
    }

    private static int integer(JsonObject json, String key) {
        double value = number(json, key);
        if (value != (int) value) {
            throw new IllegalArgumentException("'" + key + "' should be a whole number but got " + value);
        }
        return (int) value;
    }

    private static double number(JsonObject json, String key) {
        return require(json, key).getAsDouble();
    }

    private static boolean truth(JsonObject json, String key) {
        return require(json, key).getAsBoolean();
    }
}
