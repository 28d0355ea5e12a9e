package carousel.cli;

import carousel.data.Batch;
import carousel.training.Callback;
import carousel.training.EpochReport;
import carousel.training.Evaluation;
import carousel.training.RunFolder;
import carousel.training.Trainer;
import java.io.PrintWriter;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import me.tongfei.progressbar.ProgressBar;

/**
 * Shows how the training goes: the tutorial's own lines for its TensorFlow recipe; otherwise a bar for each epoch on a terminal
 * or plain lines elsewhere, and a line for each epoch in Keras' words. What is shown also goes into the metrics.
 */
final class Display implements Callback, AutoCloseable {
    private static final int MOST_EPOCH_LINES = 100;

    private final PrintWriter out;
    private final RunFolder folder;
    private final boolean tutorial;
    private final boolean bars;
    private final long displaySteps;
    private final long stepsPerEpoch;
    private ProgressBar bar;
    private long lastShown;
    private long lastTime;

    Display(PrintWriter out, RunFolder folder, boolean tutorial, long displaySteps, long stepsPerEpoch) {
        this.out = out;
        this.folder = folder;
        this.tutorial = tutorial;
        this.bars = !tutorial && Terminal.interactive();
        this.displaySteps = displaySteps;
        this.stepsPerEpoch = stepsPerEpoch;
    }

    @Override
    public void onStart(Trainer trainer) {
        lastShown = trainer.step();
        lastTime = System.nanoTime();
    }

    @Override
    public void onStep(Trainer trainer, Batch batch) {
        long step = trainer.step();
        if (bars) {
            if (bar == null) {
                bar = open(trainer);
            }
            // Several steps may have been taken together.
            bar.stepTo((step - 1) % stepsPerEpoch + 1);
        }
        boolean due = trainer.passed(displaySteps) || tutorial && step == 1;
        if (!due) {
            return;
        }
        long now = System.nanoTime();
        double milliseconds = (now - lastTime) / 1e6 / (step - lastShown);
        // The tutorial looks at the batch again, after the step that it was trained on.
        Evaluation evaluation = tutorial ? trainer.evaluate(batch) : trainer.recent();
        Map<String, Object> values = new LinkedHashMap<>();
        values.put("loss", evaluation.loss());
        values.put("accuracy", evaluation.accuracy());
        values.put("learningRate", trainer.learningRate());
        values.put("millisecondsPerStep", milliseconds);
        folder.record(trainer, RunFolder.STEP, values);
        if (tutorial) {
            print(
                    "Step %d, Minibatch Loss= %.4f, Training Accuracy= %.3f",
                    step, evaluation.loss(), evaluation.accuracy());
        } else if (bars) {
            bar.setExtraMessage(" loss: " + loss(evaluation.loss()));
        } else {
            print(
                    "Step %d/%d - %.1fms/step - loss: %s%s",
                    step,
                    trainer.totalSteps(),
                    milliseconds,
                    loss(evaluation.loss()),
                    percentage("accuracy", evaluation.accuracy()));
        }
        lastShown = step;
        lastTime = System.nanoTime();
    }

    private ProgressBar open(Trainer trainer) {
        long start = (trainer.step() - 1) / stepsPerEpoch * stepsPerEpoch;
        long steps = Math.min(stepsPerEpoch, trainer.totalSteps() - start);
        ProgressBar opened = Progress.bar("Epoch " + ((trainer.step() - 1) / stepsPerEpoch + 1), steps);
        opened.stepTo(trainer.step() - 1 - start);
        return opened;
    }

    @Override
    public void onEpoch(Trainer trainer, EpochReport report) {
        if (tutorial) {
            return;
        }
        endBar();
        long epochs = (trainer.totalSteps() + stepsPerEpoch - 1) / stepsPerEpoch;
        // Small data has epochs by the hundred: then every so many have a line, and the last.
        long spacing = bars ? 1 : (epochs + MOST_EPOCH_LINES - 1) / MOST_EPOCH_LINES;
        if (report.epoch() % spacing != 0 && report.epoch() < epochs) {
            return;
        }
        print(
                "Epoch %d/%d - %.1fs - loss: %s%s%s%s",
                report.epoch(),
                epochs,
                report.seconds(),
                loss(report.loss()),
                percentage("accuracy", report.accuracy()),
                report.validated() ? " - val_loss: " + loss(report.validationLoss()) : "",
                percentage("val_accuracy", report.validationAccuracy()));
        // Time spent on validation is no step's.
        lastShown = trainer.step();
        lastTime = System.nanoTime();
    }

    /** Four digits, also of a loss that has become small, as Keras shows it. */
    private static String loss(double value) {
        return String.format(Locale.ROOT, Math.abs(value) < 0.001 ? "%.4e" : "%.4f", value);
    }

    /** Nothing for a loss that knows no accuracy. */
    private static String percentage(String name, double accuracy) {
        return Double.isNaN(accuracy) ? "" : String.format(Locale.ROOT, " - %s: %.4f", name, accuracy);
    }

    private void print(String format, Object... values) {
        out.println(String.format(Locale.ROOT, format, values));
        out.flush();
    }

    /** Ends the bar, if there is one, so that lines may follow. */
    void endBar() {
        if (bar != null) {
            bar.close();
            bar = null;
        }
    }

    @Override
    public void close() {
        endBar();
    }
}
