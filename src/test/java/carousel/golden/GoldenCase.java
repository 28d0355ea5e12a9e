package carousel.golden;

import carousel.engine.Direction;
import carousel.engine.LstmLayout;
import carousel.engine.LstmSpec;
import carousel.engine.ParameterView;
import carousel.fixture.LstmCase;
import carousel.fixture.LstmCase.Part;
import carousel.fixture.LstmData;
import carousel.fixture.LstmResult;
import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.stream.DoubleStream;

/**
 * One file of golden numbers. Gates are packed i, f, g, o as here, and time comes first as here; the two biases of a
 * cell are added up.
 */
final class GoldenCase {
    private final JsonObject json;

    private GoldenCase(JsonObject json) {
        this.json = json;
    }

    static GoldenCase read(Path file) throws IOException {
        return new GoldenCase(JsonParser.parseString(Files.readString(file)).getAsJsonObject());
    }

    JsonObject json() {
        return json;
    }

    LstmCase lstm() {
        LstmSpec spec = LstmSpec.of(integer("I", 1), integer("H", 1))
                .withLayers(integer("layers", 1))
                .withDirection(
                        json.has("directions")
                                ? Direction.valueOf(
                                        json.get("directions").getAsString().toUpperCase(Locale.ROOT))
                                : Direction.FORWARD)
                .withBias(!json.has("bias") || json.get("bias").getAsBoolean())
                .withProjectionSize(integer("P", 0))
                .withCellClip(json.has("cell_clip") ? json.get("cell_clip").getAsDouble() : 0);
        LstmCase lstm = LstmCase.of(spec, integer("T", 1), integer("N", 1));
        if (has(json, "h0") || has(json, "c0")) {
            lstm = lstm.withInitial();
        } else {
            lstm = lstm.without(Part.INITIAL_H_GRADIENT, Part.INITIAL_C_GRADIENT);
        }
        if (has(json, "seq_lens")) {
            lstm = lstm.withLengths(Arrays.stream(numbers(json, "seq_lens"))
                    .mapToObj(length -> (int) length)
                    .toList());
        }
        return lstm;
    }

    /** The inputs, and as the gradient of the outputs what the case's loss says; zeros where it has none. */
    LstmData data() {
        LstmCase lstm = lstm();
        LstmSpec spec = lstm.spec();
        int cells = spec.states() * lstm.batchSize();
        int shown = cells * spec.outputSize();
        int carried = cells * spec.hiddenSize();
        int outputs = lstm.timeSteps() * lstm.batchSize() * spec.sequenceWidth();
        JsonObject weights = has(json, "loss_weights") ? json.getAsJsonObject("loss_weights") : new JsonObject();
        double[] dy = numbers(weights, "y", outputs);
        if (lossIsMean()) {
            Arrays.fill(dy, 1.0 / outputs);
        }
        double[] parameters = parameters(spec, json.getAsJsonArray("params"));
        return new LstmData(
                parameters,
                new double[parameters.length],
                numbers(json, "x"),
                numbers(json, "h0", shown),
                numbers(json, "c0", carried),
                dy,
                numbers(weights, "h_n", shown),
                numbers(weights, "c_n", carried));
    }

    private boolean lossIsMean() {
        return json.has("loss") && json.get("loss").getAsString().startsWith("mean over all");
    }

    /** What the case says comes out; null for what it does not say. */
    LstmResult expected() {
        JsonObject outputs = json.getAsJsonObject("expected");
        JsonObject inputs = has(json, "expected_input_gradients")
                ? json.getAsJsonObject("expected_input_gradients")
                : new JsonObject();
        return new LstmResult(
                numbers(outputs, "y"),
                numbers(outputs, "h_n"),
                numbers(outputs, "c_n"),
                has(json, "expected_gradients")
                        ? parameters(lstm().spec(), json.getAsJsonArray("expected_gradients"))
                        : null,
                numbers(inputs, "x"),
                numbers(inputs, "h0"),
                numbers(inputs, "c0"));
    }

    double tolerance() {
        return json.get("tolerance_abs").getAsDouble();
    }

    /** The tolerance of one parameter's gradient: one for all, or one each. */
    double gradientTolerance(String parameter) {
        JsonElement tolerance = json.get("tolerance_abs_gradients");
        return tolerance.isJsonObject()
                ? tolerance.getAsJsonObject().get(parameter).getAsDouble()
                : tolerance.getAsDouble();
    }

    /** Per-cell objects of weights, or of their gradients, as one flat buffer. */
    static double[] parameters(LstmSpec spec, JsonArray cells) {
        LstmLayout layout = LstmLayout.of(spec);
        double[] flat = new double[Math.toIntExact(layout.elements())];
        for (int state = 0; state < spec.states(); state++) {
            JsonObject cell = cells.get(state).getAsJsonObject();
            put(flat, layout.cell(state).inputWeights(), numbers(cell, "w_ih"));
            put(flat, layout.cell(state).recurrentWeights(), numbers(cell, "w_hh"));
            put(flat, layout.cell(state).projection(), numbers(cell, "w_hr"));
            ParameterView bias = layout.cell(state).bias();
            // Weights have two biases of which only the sum matters; either has the gradient b.
            for (String name : List.of("b_ih", "b_hh", "b")) {
                put(flat, bias, numbers(cell, name));
            }
        }
        return flat;
    }

    private static void put(double[] flat, ParameterView view, double[] values) {
        if (view != null && values != null) {
            for (int e = 0; e < values.length; e++) {
                flat[(int) view.offset() + e] += values[e];
            }
        }
    }

    private int integer(String name, int otherwise) {
        return json.has(name) ? json.get(name).getAsInt() : otherwise;
    }

    static boolean has(JsonObject json, String name) {
        return json.has(name) && !json.get(name).isJsonNull();
    }

    private static double[] numbers(JsonObject json, String name, int otherwise) {
        return has(json, name) ? numbers(json, name) : new double[otherwise];
    }

    /** A nested array, flattened; null where there is none. */
    static double[] numbers(JsonObject json, String name) {
        return has(json, name) ? flatten(json.get(name)).toArray() : null;
    }

    private static DoubleStream flatten(JsonElement element) {
        if (element.isJsonArray()) {
            List<JsonElement> elements = element.getAsJsonArray().asList();
            return elements.stream().flatMapToDouble(GoldenCase::flatten);
        }
        return DoubleStream.of(element.getAsDouble());
    }
}
