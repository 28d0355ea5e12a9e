package carousel.cli;

import carousel.data.Batch;
import carousel.engine.Loss;
import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import java.util.Locale;

/**
 * What a model says of a sequence, or of one step of it, as a line or as JSON: the likeliest class and its probability where it
 * tells classes apart, otherwise its outputs.
 *
 * @param config what the model was trained for; null where its file does not say
 */
record PredictionReport(RunConfig config) {
    /** What the outputs mean: those of a model that says nothing are taken as they are. */
    Loss loss() {
        return config == null ? Loss.MEAN_SQUARED_ERROR : config.taskKind().loss();
    }

    /**
     * @param outputs one row: probabilities, or the outputs themselves
     * @param truth a batch with the right answer, or null
     */
    String line(float[] outputs, Batch truth) {
        if (!loss().labelled()) {
            String values = text(outputs);
            return truth == null ? values : values + ", target " + text(truth.targets());
        }
        int best = largest(outputs);
        String line = String.format(Locale.ROOT, "%s (%.4f)", name(best), outputs[best]);
        return truth == null ? line : line + ", label " + name(truth.labels()[0]);
    }

    private static String text(float[] values) {
        String[] texts = new String[values.length];
        for (int k = 0; k < values.length; k++) {
            texts[k] = String.format(Locale.ROOT, "%.6f", values[k]);
        }
        return String.join(" ", texts);
    }

    /** Adds the same to an object. */
    void add(JsonObject object, float[] outputs, Batch truth) {
        if (loss().labelled()) {
            int best = largest(outputs);
            object.addProperty("class", best);
            if (!name(best).equals(Integer.toString(best))) {
                object.addProperty("name", name(best));
            }
            object.add("probabilities", array(outputs));
            if (truth != null) {
                object.addProperty("label", truth.labels()[0]);
            }
        } else {
            addOneOrMore(object, "value", outputs);
            if (truth != null) {
                addOneOrMore(object, "target", truth.targets());
            }
        }
    }

    private static void addOneOrMore(JsonObject object, String key, float[] values) {
        if (values.length == 1) {
            object.addProperty(key, values[0]);
        } else {
            object.add(key + "s", array(values));
        }
    }

    private static JsonArray array(float[] values) {
        JsonArray array = new JsonArray();
        for (float value : values) {
            array.add(value);
        }
        return array;
    }

    private String name(int index) {
        return config.taskKind().className(config, index);
    }

    private static int largest(float[] values) {
        int best = 0;
        for (int k = 1; k < values.length; k++) {
            best = values[k] > values[best] ? k : best;
        }
        return best;
    }
}
