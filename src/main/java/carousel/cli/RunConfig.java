package carousel.cli;

import carousel.engine.Engine;
import carousel.format.FormatException;
import carousel.optimizer.Optimizer;
import carousel.optimizer.Schedule;
import carousel.spark.ClusterSettings;
import com.google.gson.Gson;
import com.google.gson.JsonParseException;
import java.util.Locale;
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
 * @param decay what the learning rate is multiplied by over each epoch, 1 for none; 0 in files that do not say
 * @param clip the largest gradient norm, or 0
 * @param cell what the LSTM's cell has beyond the plain one; files that do not say had a plain one
 * @param text what only a model of text has; otherwise null
 * @param series what only a model of a series has; otherwise null
 * @param sequences what only a model of labelled sequences has; otherwise null
 * @param fingerprint of the training data: a resumed run must find the same
 * @param engine the one that was really used
 * @param precision its precision; null in files that do not say
 * @param cluster how the training is divided among machines; null for a single one
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
        double decay,
        double clip,
        long seed,
        CellOptions.Settings cell,
        TextTask.Settings text,
        SeriesTask.Settings series,
        SequencesTask.Settings sequences,
        String fingerprint,
        String engine,
        String precision,
        ClusterSettings cluster) {

    RunConfig {
        cell = cell == null ? CellOptions.Settings.NONE : cell;
    }

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
        return Task.named("task", task);
    }

    /** With what is known only once the data and the engine are there. */
    RunConfig withFindings(String dataFingerprint, Engine used) {
        String word = used.precision().name().toLowerCase(Locale.ROOT);
        return with(data, timeSteps, steps, epochs, text, series, sequences, dataFingerprint, used.name(), word);
    }

    /** With what was asked of the executors of a cluster; the driver's own engine says nothing. */
    RunConfig withEngine(String name, String itsPrecision) {
        return with(data, timeSteps, steps, epochs, text, series, sequences, fingerprint, name, itsPrecision);
    }

    RunConfig withTimeSteps(int value) {
        return with(data, value, steps, epochs, text, series, sequences, fingerprint, engine, precision);
    }

    RunConfig withLength(long totalSteps, int totalEpochs) {
        return with(data, timeSteps, totalSteps, totalEpochs, text, series, sequences, fingerprint, engine, precision);
    }

    RunConfig withData(String value) {
        return with(value, timeSteps, steps, epochs, text, series, sequences, fingerprint, engine, precision);
    }

    RunConfig withText(TextTask.Settings value) {
        return with(data, timeSteps, steps, epochs, value, series, sequences, fingerprint, engine, precision);
    }

    RunConfig withSeries(SeriesTask.Settings value) {
        return with(data, timeSteps, steps, epochs, text, value, sequences, fingerprint, engine, precision);
    }

    RunConfig withSequences(SequencesTask.Settings value) {
        return with(data, timeSteps, steps, epochs, text, series, value, fingerprint, engine, precision);
    }

    private RunConfig with(
            String newData,
            int newTimeSteps,
            long newSteps,
            int newEpochs,
            TextTask.Settings newText,
            SeriesTask.Settings newSeries,
            SequencesTask.Settings newSequences,
            String newFingerprint,
            String newEngine,
            String newPrecision) {
        return new RunConfig(
                task,
                newData,
                preset,
                pixels,
                newTimeSteps,
                hidden,
                layers,
                bidirectional,
                dropout,
                batch,
                newSteps,
                newEpochs,
                optimizer,
                learningRate,
                decay,
                clip,
                seed,
                cell,
                newText,
                newSeries,
                newSequences,
                newFingerprint,
                newEngine,
                newPrecision,
                cluster);
    }

    RunConfig withCluster(ClusterSettings value) {
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
                steps,
                epochs,
                optimizer,
                learningRate,
                decay,
                clip,
                seed,
                cell,
                text,
                series,
                sequences,
                fingerprint,
                engine,
                precision,
                value);
    }

    /** @param batchesPerEpoch which the decay of the learning rate goes by */
    Optimizer optimizerSettings(long batchesPerEpoch) {
        Optimizer settings = switch (Check.choice("--optimizer", optimizer, Rule.class)) {
            case SGD -> Optimizer.sgd(learningRate);
            case MOMENTUM -> Optimizer.momentum(learningRate, MOMENTUM);
            case NESTEROV -> Optimizer.nesterov(learningRate, MOMENTUM);
            case ADAM -> Optimizer.adam(learningRate);
            case ADAMW -> Optimizer.adamW(learningRate, WEIGHT_DECAY);
            case RMSPROP -> Optimizer.rmsProp(learningRate);
        };
        if (decay > 0 && decay < 1) {
            settings = settings.withSchedule(new Schedule.Exponential(learningRate, decay, batchesPerEpoch));
        }
        return settings.withMaxNorm(clip);
    }

    /** Throws {@link IllegalArgumentException} unless the settings are such as a run can have. */
    private void requireWhole() {
        if (taskKind().needsData() && data == null || fingerprint == null || engine == null) {
            throw new IllegalArgumentException("the data, its fingerprint or the engine is missing");
        }
        taskKind().requireWhole(this);
        Check.choice("optimizer", String.valueOf(optimizer), Rule.class);
        Check.range("time steps", timeSteps, 1, Integer.MAX_VALUE);
        Check.range("batch", batch, 1, Integer.MAX_VALUE);
        Check.positive("learning rate", learningRate);
        Check.notNegative("clip", clip);
        if (!(decay >= 0 && decay <= 1)) {
            throw new IllegalArgumentException("decay should be in the [0, 1] range but got " + decay);
        }
        Check.atLeast("steps and epochs together", steps + epochs, 1);
    }

    /** For the metadata of a file. */
    Map<String, String> metadata() {
        return Map.of(KEY, new Gson().toJson(this));
    }

    /** Whether a file's metadata has settings. */
    static boolean isIn(Map<String, String> metadata) {
        return metadata.containsKey(KEY);
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
        } catch (NullPointerException e) {
            throw new FormatException(
                    "'" + file + "' has settings of which some are missing: it is damaged; go back to a copy of it", e);
        } catch (JsonParseException | IllegalArgumentException e) {
            throw new FormatException("'" + file + "' has settings that cannot be read: " + e.getMessage(), e);
        }
    }
}
