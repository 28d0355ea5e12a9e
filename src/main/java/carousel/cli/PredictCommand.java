package carousel.cli;

import carousel.data.Batch;
import carousel.data.SequenceDataset;
import carousel.engine.Engine;
import carousel.layer.Model;
import carousel.training.Evaluator;
import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import java.io.IOException;
import java.io.PrintWriter;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code carousel predict}. */
@Command(
        name = "predict",
        mixinStandardHelpOptions = true,
        sortOptions = false,
        description = {
            "Uses a saved model: on a file, on the standard input, or on the test data of its task.",
            "A file is a picture (bright ink on a dark ground), an IDX file of pictures, or numbers as text: one time step a "
                    + "line, an empty line between sequences; pixels in [0, 255] for a model of pictures."
        })
final class PredictCommand implements Callable<Integer> {
    @CommandLine.Spec
    private CommandLine.Model.CommandSpec spec;

    @Mixin
    private SavedRun saved;

    @Option(names = "--input", paramLabel = "FILE", description = "The file, or - for the standard input.")
    private String input;

    @Option(
            names = "--count",
            paramLabel = "N",
            description = "Without --input: so many sequences of the test data. Default: 10.")
    private Integer count;

    @Mixin
    private EngineChoice engineChoice;

    @Option(names = "--json", description = "Print one JSON object and nothing else.")
    private boolean json;

    private final JsonArray predictions = new JsonArray();

    @Override
    public Integer call() throws IOException {
        if (count != null) {
            Check.range("--count", count, 1, Integer.MAX_VALUE);
        }
        if (count != null && input != null) {
            throw new IllegalArgumentException("--count goes with test data but got --input '" + input + "' too");
        }
        SavedRun.Contents contents = saved.read();
        RunConfig config = contents.config();
        Task task = config.taskKind();
        if (!task.useInstead().equals("predict")) {
            throw new IllegalArgumentException(
                    "predict takes no model of the task " + task.name() + ": use " + task.useInstead());
        }
        int features = contents.model().spec().input().features();
        List<SequenceFile> given = input == null ? null : SequenceFile.read(input, features, config);
        SequenceDataset test = input == null ? task.examples(config) : null;
        try (Engine engine = engineChoice.open("auto");
                Model model = contents.model().open(engine)) {
            Evaluator evaluator = new Evaluator(model, task.loss());
            int outputs = contents.model().spec().output().features();
            int size = given != null ? given.size() : Math.min(test.size(), count == null ? 10 : count);
            for (int k = 0; k < size; k++) {
                Batch batch = given != null ? batch(given.get(k), features, task, outputs) : test.newBatch(1);
                if (test != null) {
                    test.read(k, batch, 0);
                }
                report(k, evaluator.predict(batch), task, test == null ? null : batch);
            }
        }
        if (json) {
            JsonObject object = new JsonObject();
            object.addProperty("task", config.task());
            object.add("predictions", predictions);
            spec.commandLine().getOut().println(object);
        }
        spec.commandLine().getOut().flush();
        return 0;
    }

    private static Batch batch(SequenceFile sequence, int features, Task task, int outputs) {
        Batch batch = new Batch(sequence.timeSteps(), 1, features, task.loss().labelled() ? 0 : outputs, false);
        System.arraycopy(sequence.values(), 0, batch.inputs(), 0, sequence.values().length);
        return batch;
    }

    /** @param truth a batch with the right answer, or null */
    private void report(int index, float[] outputs, Task task, Batch truth) {
        PrintWriter out = spec.commandLine().getOut();
        if (!task.loss().labelled()) {
            if (json) {
                JsonObject object = new JsonObject();
                object.addProperty("index", index);
                object.addProperty("value", outputs[0]);
                addTruth(object, truth);
                predictions.add(object);
            } else {
                String target = truth == null ? "" : String.format(Locale.ROOT, ", target %.6f", truth.targets()[0]);
                out.println(String.format(Locale.ROOT, "%d: %.6f%s", index, outputs[0], target));
            }
            return;
        }
        int best = 0;
        for (int k = 1; k < outputs.length; k++) {
            best = outputs[k] > outputs[best] ? k : best;
        }
        if (json) {
            JsonObject object = new JsonObject();
            object.addProperty("index", index);
            object.addProperty("class", best);
            JsonArray probabilities = new JsonArray();
            for (float probability : outputs) {
                probabilities.add(probability);
            }
            object.add("probabilities", probabilities);
            addTruth(object, truth);
            predictions.add(object);
        } else {
            String label = truth == null ? "" : ", label " + truth.labels()[0];
            out.println(String.format(Locale.ROOT, "%d: %d (%.4f)%s", index, best, outputs[best], label));
        }
    }

    private static void addTruth(JsonObject object, Batch truth) {
        if (truth != null && truth.labels() != null) {
            object.addProperty("label", truth.labels()[0]);
        } else if (truth != null) {
            object.addProperty("target", truth.targets()[0]);
        }
    }
}
