package carousel.cli;

import carousel.engine.Direction;
import carousel.engine.LstmSpec;
import carousel.format.FormatException;
import carousel.layer.Dense;
import carousel.layer.Form;
import carousel.layer.Initializer;
import carousel.layer.Lstm;
import carousel.layer.ModelSpec;
import carousel.optimizer.Optimizer;
import com.google.gson.Gson;
import com.google.gson.JsonParseException;
import java.util.Map;

/**
 * All settings of a run that its results depend on, with every default filled in. It travels in the metadata of the model and
 * the checkpoint.
 *
 * @param data the folder of the data, or null for a task that needs none
 * @param preset the recipe's name, or null
 * @param timeSteps of a sequence
 * @param steps to train in total, or 0 where epochs are given
 * @param epochs to train in total, or 0 where steps are given
 * @param clip the largest gradient norm, or 0
 * @param fingerprint of the training data: a resumed run must find the same
 * @param engine the one that was really used
 */
record RunConfig(
        String task,
        String data,
        String preset,
        boolean pixels,
        int timeSteps,
        int hidden,
        int layers,
        boolean bidirectional,
        double dropout,
        int batch,
        long steps,
        int epochs,
        String optimizer,
        double learningRate,
        double clip,
        long seed,
        String fingerprint,
        String engine) {

    private static final String KEY = "carousel.run";
    private static final double MOMENTUM = 0.9;
    private static final double WEIGHT_DECAY = 0.01;

    /** The optimizers by name. */
    enum Rule {
        SGD,
        MOMENTUM,
        NESTEROV,
        ADAM,
        ADAMW,
        RMSPROP
    }

    Task taskKind() {
        return Check.choice("task", task, Task.class);
    }

    /** With what is known only once the data and the engine are there. */
    RunConfig withFindings(int sequenceSteps, String dataFingerprint, String engineName) {
        return new RunConfig(
                task,
                data,
                preset,
                pixels,
                sequenceSteps,
                hidden,
                layers,
                bidirectional,
                dropout,
                batch,
                steps,
                epochs,
                optimizer,
                learningRate,
                clip,
                seed,
                dataFingerprint,
                engineName);
    }

    RunConfig withLength(long totalSteps, int totalEpochs) {
        return new RunConfig(
                task,
                data,
                preset,
                pixels,
                timeSteps,
                hidden,
                layers,
                bidirectional,
                dropout,
                batch,
                totalSteps,
                totalEpochs,
                optimizer,
                learningRate,
                clip,
                seed,
                fingerprint,
                engine);
    }

    RunConfig withData(String value) {
        return new RunConfig(
                task,
                value,
                preset,
                pixels,
                timeSteps,
                hidden,
                layers,
                bidirectional,
                dropout,
                batch,
                steps,
                epochs,
                optimizer,
                learningRate,
                clip,
                seed,
                fingerprint,
                engine);
    }

    /** The model of this run. */
    ModelSpec model(int features, int outputs) {
        LstmSpec spec = LstmSpec.of(features, hidden)
                .withLayers(layers)
                .withDirection(bidirectional ? Direction.BIDIRECTIONAL : Direction.FORWARD)
                .withDropout(dropout);
        Lstm lstm = Lstm.of(spec);
        Dense head = Dense.of(outputs);
        if (Preset.TENSORFLOW.is(preset)) {
            // BasicLSTMCell keeps W and R in one matrix [C + H, 4H], and Glorot's limit is that matrix's.
            double limit = Math.sqrt(6.0 / (features + 5.0 * hidden));
            Initializer kernel = new Initializer.Uniform(-limit, limit);
            lstm = lstm.withInitializers(kernel, kernel, 1);
            head = head.withInitializers(new Initializer.Normal(0, 1), new Initializer.Normal(0, 1));
        }
        return ModelSpec.of(Form.sequence(features), lstm, head);
    }

    Optimizer optimizerSettings() {
        Optimizer settings = switch (Check.choice("--optimizer", optimizer, Rule.class)) {
            case SGD -> Optimizer.sgd(learningRate);
            case MOMENTUM -> Optimizer.momentum(learningRate, MOMENTUM);
            case NESTEROV -> Optimizer.nesterov(learningRate, MOMENTUM);
            case ADAM -> Optimizer.adam(learningRate);
            case ADAMW -> Optimizer.adamW(learningRate, WEIGHT_DECAY);
            case RMSPROP -> Optimizer.rmsProp(learningRate);
        };
        return settings.withMaxNorm(clip);
    }

    /** Throws {@link IllegalArgumentException} unless the settings are such as a run can have. */
    private void requireWhole() {
        if (taskKind() == Task.MNIST && data == null || fingerprint == null || engine == null) {
            throw new IllegalArgumentException("the data, its fingerprint or the engine is missing");
        }
        Check.choice("optimizer", String.valueOf(optimizer), Rule.class);
        Check.range("time steps", timeSteps, 1, Integer.MAX_VALUE);
        Check.range("batch", batch, 1, Integer.MAX_VALUE);
        Check.positive("learning rate", learningRate);
        Check.notNegative("clip", clip);
        Check.atLeast("steps and epochs together", steps + epochs, 1);
    }

    /** For the metadata of a file. */
    Map<String, String> metadata() {
        return Map.of(KEY, new Gson().toJson(this));
    }

    /**
     * The settings in a file's metadata.
     *
     * @param file for messages
     * @throws FormatException when there are none
     */
    static RunConfig from(Map<String, String> metadata, Object file) throws FormatException {
        String json = metadata.get(KEY);
        if (json == null) {
            throw new FormatException("'" + file + "' does not say what it was trained for ('" + KEY
                    + "' is missing from its metadata): it was not made by 'carousel train'");
        }
        try {
            RunConfig config = new Gson().fromJson(json, RunConfig.class);
            config.requireWhole();
            return config;
        } catch (JsonParseException | NullPointerException | IllegalArgumentException e) {
            throw new FormatException("'" + file + "' has settings that cannot be read: " + e.getMessage(), e);
        }
    }
}
