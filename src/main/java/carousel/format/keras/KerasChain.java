package carousel.format.keras;

import carousel.format.FormatException;
import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonPrimitive;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;

/**
 * A model's layers from its input to its output, as a model's configuration has them: those of a Sequential model, or those of a
 * Functional one whose graph is a line.
 */
final class KerasChain {
    /** What Keras 3 puts into the graph to compute a mask; they are not on the way from the input to the output. */
    private static final Set<String> MASK_OPERATIONS = Set.of("NotEqual", "Any");

    private KerasChain() {}

    /**
     * One layer.
     *
     * @param name its name in Keras
     * @param type its class in Keras
     */
    record Layer(String name, String type, KerasJson config) {
        /** For messages: {@code layer 'lstm' (LSTM)}. */
        String title() {
            return "layer " + FormatException.quote(name) + " ("
                    + FormatException.quote(type).replace("'", "") + ")";
        }
    }

    /** The layers in order. An {@code InputLayer}, where there is one, is the first. */
    static List<Layer> of(KerasJson model) {
        String type = model.text("class_name");
        return switch (type) {
            case "Sequential" -> sequential(model);
            case "Functional", "Model" -> functional(model.object("config"));
            default ->
                throw new Refusal("the model is a " + FormatException.quote(type)
                        + " but only Sequential and Functional models say what their layers are: build the model as one of"
                        + " these");
        };
    }

    private static List<Layer> sequential(KerasJson model) {
        // Keras 1 and the first versions of Keras 2 have the layers right there.
        JsonElement config = model.get("config");
        JsonArray layers = config != null && config.isJsonArray()
                ? config.getAsJsonArray()
                : model.object("config").array("layers");
        List<Layer> chain = new ArrayList<>();
        for (JsonElement layer : layers) {
            chain.add(layer(layer));
        }
        return chain;
    }

    private static Layer layer(JsonElement element) {
        if (!element.isJsonObject()) {
            throw new Refusal("a layer should be an object but got " + FormatException.quote(element.toString()));
        }
        KerasJson json = new KerasJson("a layer", element.getAsJsonObject());
        return layer(json);
    }

    static Layer layer(KerasJson json) {
        String type = json.text("class_name");
        KerasJson config = json.object("config");
        String name = config.text("name", json.text("name", ""));
        Layer layer = new Layer(name, type, config);
        // A class of somebody else's is registered as "package>Name".
        if (json.text("registered_name", "").contains(">")
                || !json.text("module", "keras").startsWith("keras")) {
            throw new Refusal(
                    layer.title() + " is of a class that is not Keras' own, and what it computes is not known");
        }
        return new Layer(name, type, new KerasJson(layer.title(), config.json()));
    }

    private static List<Layer> functional(KerasJson config) {
        Map<String, Layer> layers = new LinkedHashMap<>();
        Map<String, JsonObject> calls = new LinkedHashMap<>();
        Map<String, String> after = new HashMap<>();
        Map<String, KerasJson> masks = new HashMap<>();
        for (JsonElement element : config.array("layers")) {
            Layer layer = layer(element);
            if (layers.put(layer.name(), layer) != null) {
                throw new Refusal("two layers have the name " + FormatException.quote(layer.name()));
            }
            if (MASK_OPERATIONS.contains(layer.type())) {
                masks.put(layer.name(), new KerasJson(layer.title(), element.getAsJsonObject()));
                continue;
            }
            calls.put(layer.name(), element.getAsJsonObject());
        }
        for (Map.Entry<String, JsonObject> call : calls.entrySet()) {
            Layer layer = layers.get(call.getKey());
            String input = input(layer, call.getValue(), masks.keySet());
            String other = input == null ? null : after.put(input, layer.name());
            if (other != null) {
                throw new Refusal("the model is not a line from one input to one output: what the layer "
                        + FormatException.quote(input) + " puts out goes to " + FormatException.quote(other)
                        + " and to "
                        + FormatException.quote(layer.name()));
            }
        }
        String name = only(config, "input_layers");
        String last = only(config, "output_layers");
        List<Layer> chain = new ArrayList<>();
        while (name != null && chain.size() <= layers.size()) {
            Layer layer = layers.get(name);
            if (layer == null) {
                throw new Refusal("the model has no layer " + FormatException.quote(name)
                        + " though it says that one is connected to it");
            }
            chain.add(layer);
            if (name.equals(last)) {
                requireAll(layers, chain);
                requireMasks(layers, masks, chain);
                return chain;
            }
            name = after.get(name);
        }
        throw new Refusal("the model is not a line from its input to its output " + FormatException.quote(last));
    }

    private static void requireAll(Map<String, Layer> layers, List<Layer> chain) {
        Set<String> names = chain.stream().map(Layer::name).collect(Collectors.toSet());
        for (Layer layer : layers.values()) {
            if (!names.contains(layer.name()) && !MASK_OPERATIONS.contains(layer.type())) {
                throw new Refusal(
                        "the model is not a line from one input to one output: the " + layer.title() + " is beside it");
            }
        }
    }

    /** The masks computed in the graph should be those that the chain's masking layer makes, and nobody's own. */
    private static void requireMasks(Map<String, Layer> layers, Map<String, KerasJson> masks, List<Layer> chain) {
        Double value = null;
        for (Layer layer : chain) {
            if (layer.type().equals("Masking")) {
                value = layer.config().number("mask_value", 0);
            } else if (layer.type().equals("Embedding") && layer.config().truth("mask_zero", false)) {
                value = 0.0;
            }
        }
        for (Map.Entry<String, KerasJson> mask : masks.entrySet()) {
            Layer layer = layers.get(mask.getKey());
            if (value == null || layer.type().equals("NotEqual") && !comparesWith(value, mask.getValue())) {
                throw new Refusal(
                        layer.title() + " computes a mask that no Masking or Embedding layer of the model makes");
            }
        }
    }

    private static boolean comparesWith(double value, KerasJson mask) {
        JsonArray nodes = mask.array("inbound_nodes");
        if (nodes.size() != 1 || !nodes.get(0).isJsonObject()) {
            return false;
        }
        JsonArray arguments = new KerasJson(mask.owner(), nodes.get(0).getAsJsonObject()).array("args");
        if (arguments.size() != 2 || !arguments.get(1).isJsonPrimitive()) {
            return false;
        }
        JsonPrimitive other = arguments.get(1).getAsJsonPrimitive();
        return other.isNumber() && (float) other.getAsDouble() == (float) value;
    }

    /** The layer that this one reads, or null for an input. */
    private static String input(Layer layer, JsonObject json, Set<String> masks) {
        JsonArray nodes = new KerasJson(layer.title(), json).array("inbound_nodes");
        if (nodes.isEmpty()) {
            return null;
        }
        List<String> inputs = new ArrayList<>();
        if (nodes.size() == 1) {
            JsonElement node = nodes.get(0);
            if (node.isJsonObject()) {
                // Keras 3. What a keyword argument is given is no input but a mask or a state.
                KerasJson call = new KerasJson(layer.title(), node.getAsJsonObject());
                tensors(call.array("args"), inputs);
                requireMasksOnly(layer, call, masks);
            } else {
                references(node, inputs);
            }
        }
        if (inputs.size() != 1) {
            throw new Refusal("the model is not a line from one input to one output: the " + layer.title() + " has "
                    + (nodes.size() > 1 ? nodes.size() + " places in it" : inputs.size() + " inputs"));
        }
        return inputs.get(0);
    }

    private static void requireMasksOnly(Layer layer, KerasJson call, Set<String> masks) {
        if (!call.has("kwargs")) {
            return;
        }
        for (Map.Entry<String, JsonElement> argument :
                call.object("kwargs").json().entrySet()) {
            List<String> given = new ArrayList<>();
            tensors(argument.getValue(), given);
            if (!given.isEmpty() && !(argument.getKey().equals("mask") && masks.containsAll(given))) {
                throw new Refusal("the model is not a line from one input to one output: the " + layer.title()
                        + " gets its " + FormatException.quote(argument.getKey()) + " from another layer");
            }
        }
    }

    /** The layers that the tensors in a Keras 3 call come from. */
    private static void tensors(JsonElement element, List<String> names) {
        if (element.isJsonArray()) {
            element.getAsJsonArray().forEach(each -> tensors(each, names));
        } else if (element.isJsonObject()) {
            JsonObject json = element.getAsJsonObject();
            JsonElement config = json.get("config");
            if (config != null
                    && config.isJsonObject()
                    && config.getAsJsonObject().has("keras_history")) {
                references(config.getAsJsonObject().get("keras_history"), names);
            } else {
                json.entrySet().forEach(entry -> tensors(entry.getValue(), names));
            }
        }
    }

    /** References {@code ["name", 0, 0]}, on their own or in arrays. */
    private static void references(JsonElement element, List<String> names) {
        if (!element.isJsonArray()) {
            return;
        }
        JsonArray array = element.getAsJsonArray();
        boolean reference = array.size() > 1
                && array.get(0).isJsonPrimitive()
                && array.get(0).getAsJsonPrimitive().isString();
        if (reference) {
            names.add(array.get(0).getAsString());
            if (array.size() > 3 && array.get(3).isJsonObject()) {
                // Keras 2: keyword arguments.
                array.get(3).getAsJsonObject().entrySet().forEach(entry -> references(entry.getValue(), names));
            }
        } else {
            array.forEach(each -> references(each, names));
        }
    }

    private static String only(KerasJson config, String key) {
        List<String> names = new ArrayList<>();
        JsonElement value = config.get(key);
        if (value != null && value.isJsonObject()) {
            value.getAsJsonObject().entrySet().forEach(entry -> references(entry.getValue(), names));
        } else if (value != null) {
            references(value, names);
        }
        if (names.size() != 1) {
            throw new Refusal("the model should have one of its '" + key + "' but has " + names.size()
                    + ": only models with one input and one output are read");
        }
        return names.get(0);
    }
}
