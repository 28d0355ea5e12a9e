package carousel.format.keras;

import carousel.format.FormatException;
import carousel.format.StrictJson;
import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;

/** An object of a model's configuration, and what it belongs to, for messages. What is wrong with it is a {@link Refusal}. */
record KerasJson(String owner, JsonObject json) {
    /** Keras nests a model's layers, their wrapped layers and the initialisers of these, some ten levels in all. */
    private static final int MAX_DEPTH = 64;

    static KerasJson parse(String what, String text) {
        JsonElement json;
        try {
            json = StrictJson.parse(text, MAX_DEPTH);
        } catch (FormatException e) {
            throw new Refusal(what + " is not JSON of at most " + MAX_DEPTH + " levels", e);
        }
        if (!json.isJsonObject()) {
            throw new Refusal(what + " should be an object but is " + FormatException.quote(json.toString()));
        }
        return new KerasJson(what, json.getAsJsonObject());
    }

    boolean has(String key) {
        return json.has(key) && !json.get(key).isJsonNull();
    }

    JsonElement get(String key) {
        return has(key) ? json.get(key) : null;
    }

    private Refusal wrong(String key, String wanted, JsonElement value) {
        return new Refusal(owner + ": '" + key + "' should be " + wanted + " but "
                + (value == null ? "is missing" : "got " + FormatException.quote(value.toString())));
    }

    KerasJson object(String key) {
        JsonElement value = get(key);
        if (value == null || !value.isJsonObject()) {
            throw wrong(key, "an object", value);
        }
        return new KerasJson(owner, value.getAsJsonObject());
    }

    JsonArray array(String key) {
        JsonElement value = get(key);
        if (value == null || !value.isJsonArray()) {
            throw wrong(key, "an array", value);
        }
        return value.getAsJsonArray();
    }

    String text(String key) {
        JsonElement value = get(key);
        if (value == null
                || !value.isJsonPrimitive()
                || !value.getAsJsonPrimitive().isString()) {
            throw wrong(key, "text", value);
        }
        return value.getAsString();
    }

    String text(String key, String otherwise) {
        return has(key) ? text(key) : otherwise;
    }

    boolean truth(String key, boolean otherwise) {
        JsonElement value = get(key);
        if (value == null) {
            return otherwise;
        }
        if (!value.isJsonPrimitive() || !value.getAsJsonPrimitive().isBoolean()) {
            throw wrong(key, "true or false", value);
        }
        return value.getAsBoolean();
    }

    double number(String key, double otherwise) {
        JsonElement value = get(key);
        if (value == null) {
            return otherwise;
        }
        JsonElement numpy =
                value.isJsonObject() && object(key).text("class_name", "").equals("__numpy__")
                        ? object(key).object("config").get("value")
                        : null;
        return requireNumber(key, numpy == null ? value : numpy);
    }

    private double requireNumber(String key, JsonElement value) {
        if (!value.isJsonPrimitive() || !value.getAsJsonPrimitive().isNumber()) {
            throw wrong(key, "a number", value);
        }
        return value.getAsDouble();
    }

    int integer(String key) {
        JsonElement value = get(key);
        if (value == null) {
            throw wrong(key, "a whole number", null);
        }
        double number = requireNumber(key, value);
        if (number != (int) number) {
            throw wrong(key, "a whole number", value);
        }
        return (int) number;
    }
}
