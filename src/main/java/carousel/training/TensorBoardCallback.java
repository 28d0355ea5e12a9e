package carousel.training;

import carousel.data.Batch;
import carousel.format.Charts;
import carousel.format.tensorboard.EventFile;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParseException;
import com.google.gson.JsonParser;
import java.io.Closeable;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.ToDoubleFunction;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Writes a run for TensorBoard, in the folders and under the tags of Keras' callback of that name:
 *
 * <ul>
 *   <li>{@value #TRAINING}: {@code batch_loss}, {@code batch_accuracy}, {@code batch_learning_rate}, {@code batch_gradient_norm},
 *       {@code batch_loss_scale} where there is one, and
 *       {@code batch_milliseconds_per_step} every so many steps; {@code epoch_loss}, {@code epoch_accuracy} and {@code
 *       epoch_learning_rate}; the texts {@code settings} and {@code model}; and the picture {@code learning_curves};
 *   <li>{@value #VALIDATION}: {@code epoch_loss} and {@code epoch_accuracy}, where there is validation data.
 * </ul>
 *
 * What does not exist is left out: accuracies where the loss knows none, and the norm unless the trainer was asked for it with
 * {@link Trainer.Builder#reportGradientNorm()}. Unlike in Keras, the step is the training step for the epochs' tags too, so
 * that all curves lie over the same axis, and so that a run that is resumed from a checkpoint can drop what came after it.
 *
 * <p>A resumed run is given the same folder. Add this before a {@link RunFolder}: what it writes about a step must be there when the
 * checkpoint of that step is.
 */
public final class TensorBoardCallback implements Callback, Closeable {
    /** The folder of the training's events. */
    public static final String TRAINING = "train";
    /** The folder of the validation's events. */
    public static final String VALIDATION = "validation";

    private static final Logger LOG = LoggerFactory.getLogger(TensorBoardCallback.class);

    private final Path folder;
    private final Map<String, String> metadata;
    private final long displaySteps;
    private final EventFile training;
    /** Null until there is something to say. */
    private EventFile validation;

    private final List<EpochReport> epochs = new ArrayList<>();
    private int drawnEpochs;
    private long firstStep;
    private long timedStep;
    private double timedSeconds;

    private TensorBoardCallback(Path folder, Map<String, String> metadata, long displaySteps, EventFile training) {
        this.folder = folder;
        this.metadata = new TreeMap<>(metadata);
        this.displaySteps = displaySteps;
        this.training = training;
    }

    /**
     * Starts new event files, in folders that are made where they are missing.
     *
     * @param metadata the settings of the run, as {@link RunFolder} takes them: shown as a table, an object of JSON as one row for each
     *     of its members
     * @param displaySteps steps between two points of the {@code batch_} curves, 1 or more
     */
    public static TensorBoardCallback create(Path folder, Map<String, String> metadata, long displaySteps)
            throws IOException {
        if (displaySteps < 1) {
            throw new IllegalArgumentException(
                    "the steps between two points should be 1 or more but got " + displaySteps);
        }
        return new TensorBoardCallback(folder, metadata, displaySteps, EventFile.create(folder.resolve(TRAINING)));
    }

    /** Writes something; that it cannot be written ends the training. */
    private interface Writing {
        void run() throws IOException;
    }

    private static void write(Writing writing) {
        try {
            writing.run();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @Override
    public void onStart(Trainer trainer) {
        firstStep = trainer.step() + 1;
        timedStep = trainer.step();
        timedSeconds = trainer.secondsInSteps();
        epochs.clear();
        epochs.addAll(trainer.epochs());
        drawnEpochs = epochs.size();
        write(() -> {
            training.start(firstStep);
            // Of an earlier part of the run, whose later steps are to be dropped.
            if (validation != null) {
                validation.start(firstStep);
            } else if (Files.isDirectory(folder.resolve(VALIDATION))) {
                openValidation();
            }
            training.text("settings", trainer.step(), table(metadata));
            training.text(
                    "model", trainer.step(), "```\n" + trainer.model().summary().strip() + "\n```");
        });
    }

    private void openValidation() throws IOException {
        validation = EventFile.create(folder.resolve(VALIDATION));
        validation.start(firstStep);
    }

    @Override
    public void onStep(Trainer trainer, Batch batch) {
        long step = trainer.step();
        if (!trainer.passed(displaySteps)) {
            return;
        }
        Evaluation recent = trainer.recent();
        double seconds = trainer.secondsInSteps();
        write(() -> {
            training.scalar("batch_loss", step, recent.loss());
            accuracy(training, "batch_accuracy", step, recent.accuracy());
            training.scalar("batch_learning_rate", step, trainer.learningRate());
            if (trainer.gradientNorm().isPresent()) {
                training.scalar(
                        "batch_gradient_norm", step, trainer.gradientNorm().getAsDouble());
            }
            if (trainer.lossScale() != 1) {
                training.scalar("batch_loss_scale", step, trainer.lossScale());
            }
            // No step at all has been taken where a run goes on with the validation that it was stopped in.
            if (step > timedStep) {
                training.scalar(
                        "batch_milliseconds_per_step", step, (seconds - timedSeconds) * 1e3 / (step - timedStep));
            }
        });
        timedStep = step;
        timedSeconds = seconds;
    }

    @Override
    public void onEpoch(Trainer trainer, EpochReport report) {
        epochs.add(report);
        long step = report.step();
        write(() -> {
            training.scalar("epoch_loss", step, report.loss());
            accuracy(training, "epoch_accuracy", step, report.accuracy());
            training.scalar("epoch_learning_rate", step, report.learningRate());
            if (report.validated()) {
                if (validation == null) {
                    openValidation();
                }
                validation.scalar("epoch_loss", step, report.validationLoss());
                accuracy(validation, "epoch_accuracy", step, report.validationAccuracy());
            }
        });
        if (isRound(epochs.size())) {
            draw();
        }
    }

    /** 1 to 10, 20 to 100 by tens and so on, so that a run of very many epochs is not spent on pictures. */
    private static boolean isRound(int epoch) {
        int unit = 1;
        while (epoch / unit >= 10) {
            unit *= 10;
        }
        return epoch % unit == 0;
    }

    @Override
    public void onEnd(Trainer trainer) {
        if (epochs.size() > drawnEpochs) {
            draw();
        }
        write(() -> {
            training.flush();
            if (validation != null) {
                validation.flush();
            }
        });
    }

    private void draw() {
        Charts.Drawing drawing = Charts.draw(Charts.learningCurves(
                "Step",
                points(EpochReport::loss),
                points(EpochReport::validationLoss),
                points(EpochReport::accuracy),
                points(EpochReport::validationAccuracy)));
        drawnEpochs = epochs.size();
        if (drawing.png() == null) {
            LOG.warn("No picture of the learning curves for TensorBoard: {}", drawing.reason());
            return;
        }
        long step = epochs.get(epochs.size() - 1).step();
        write(() -> training.image("learning_curves", step, drawing.png()));
    }

    private Charts.Points points(ToDoubleFunction<EpochReport> value) {
        List<EpochReport> with = epochs.stream()
                .filter(report -> !Double.isNaN(value.applyAsDouble(report)))
                .toList();
        return new Charts.Points(
                with.stream().mapToDouble(EpochReport::step).toArray(),
                with.stream().mapToDouble(value).toArray());
    }

    private static void accuracy(EventFile file, String tag, long step, double value) throws IOException {
        if (!Double.isNaN(value)) {
            file.scalar(tag, step, value);
        }
    }

    /** A table in Markdown. */
    private static String table(Map<String, String> metadata) {
        StringBuilder table = new StringBuilder("| Setting | Value |\n| --- | --- |\n");
        metadata.forEach((key, value) -> {
            JsonObject members = members(value);
            if (members == null) {
                row(table, key, value);
            } else {
                members.entrySet().forEach(member -> row(table, member.getKey(), text(member.getValue())));
            }
        });
        return table.toString();
    }

    /** Null unless the text is an object of JSON. */
    private static JsonObject members(String text) {
        if (!text.startsWith("{")) {
            return null;
        }
        try {
            JsonElement element = JsonParser.parseString(text);
            return element.isJsonObject() ? element.getAsJsonObject() : null;
        } catch (JsonParseException e) {
            return null;
        }
    }

    private static String text(JsonElement value) {
        return value.isJsonPrimitive() ? value.getAsString() : value.toString();
    }

    private static void row(StringBuilder table, String name, String value) {
        table.append("| ").append(cell(name)).append(" | ").append(cell(value)).append(" |\n");
    }

    private static String cell(String text) {
        return text.replace("\\", "\\\\").replace("|", "\\|").replaceAll("\\R", " ");
    }

    @Override
    public void close() throws IOException {
        try (training) {
            if (validation != null) {
                validation.close();
            }
        }
    }
}
