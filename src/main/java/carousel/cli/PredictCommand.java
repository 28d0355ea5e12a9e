package carousel.cli;

import carousel.data.Batch;
import carousel.data.SequenceDataset;
import carousel.engine.Engine;
import carousel.layer.Form;
import carousel.layer.LstmSession;
import carousel.layer.Model;
import carousel.training.Evaluator;
import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
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
                    + "line, an empty line between sequences; pixels in [0, 255] for a model of pictures; or letters or sums, one a "
                    + "line, for a model that answers them."
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

    @Option(
            names = "--stream",
            description =
                    "Answer each line of the standard input at once: the next time step of a sequence, with NAME: before it "
                            + "for one of several; an empty line or a name alone starts anew.")
    private boolean stream;

    @Option(
            names = "--clients",
            paramLabel = "N",
            description = "With --stream: the most sequences at once. Default: 1000.")
    private Integer clients;

    private final JsonArray predictions = new JsonArray();

    @Override
    public Integer call() throws IOException {
        if (count != null) {
            Check.range("--count", count, 1, Integer.MAX_VALUE);
        }
        if (count != null && input != null) {
            throw new IllegalArgumentException("--count goes with test data but got --input '" + input + "' too");
        }
        if (stream && (input != null || count != null)) {
            throw new IllegalArgumentException("--stream reads the standard input but got "
                    + (input != null ? "--input '" + input + "'" : "--count " + count) + " too: leave one of them out");
        }
        if (clients != null && !stream) {
            throw new IllegalArgumentException("--clients goes with --stream but got " + clients + " without it");
        }
        SavedRun.Contents contents = saved.read();
        RunConfig config = contents.config();
        if (config != null && !config.taskKind().useInstead().equals("predict")) {
            throw new IllegalArgumentException("predict takes no model of the task " + config.task() + ": use "
                    + config.taskKind().useInstead());
        }
        if (config != null && config.taskKind() instanceof PairsTask task) {
            return answer(contents, task);
        }
        PredictionReport report = new PredictionReport(config);
        if (stream) {
            return answerStream(contents, report);
        }
        Form form = contents.model().spec().input();
        if (form.kind() != Form.Kind.SEQUENCE) {
            throw new IllegalArgumentException("predict takes a model that reads numbers but this one reads " + form
                    + ", and does not say of what: use it from a program");
        }
        if (config == null && input == null) {
            throw new IllegalArgumentException(
                    "the model does not say what it was trained for, so there is no test data for"
                            + " it: give --input or --stream");
        }
        List<SequenceFile> given = input == null ? null : SequenceFile.read(input, form.features(), config);
        SequenceDataset test = input == null ? config.taskKind().examples(config) : null;
        try (Engine engine = engineChoice.open("auto");
                Model model = contents.model().open(engine)) {
            Evaluator evaluator = new Evaluator(model, report.loss());
            int outputs = contents.model().spec().output().features();
            int size = given != null ? given.size() : Math.min(test.size(), count == null ? 10 : count);
            for (int k = 0; k < size; k++) {
                Batch batch = given != null ? batch(given.get(k), form.features()) : test.newBatch(1);
                if (test != null) {
                    test.read(k, batch, 0);
                }
                report(report, k, evaluator.predict(batch), outputs, test == null ? null : batch);
            }
        }
        printJson(config);
        return 0;
    }

    private void printJson(RunConfig config) {
        if (json) {
            JsonObject object = new JsonObject();
            if (config != null) {
                object.addProperty("task", config.task());
            }
            object.add("predictions", predictions);
            spec.commandLine().getOut().println(object);
        }
        spec.commandLine().getOut().flush();
    }

    /** What a model with an encoder says to sources, one a line. */
    private int answer(SavedRun.Contents contents, PairsTask task) throws IOException {
        RunConfig config = contents.config();
        if (stream) {
            throw new IllegalArgumentException(
                    "--stream goes with models that answer the steps of a sequence but got one of the task "
                            + config.task() + ", which answers whole lines: give --input -");
        }
        SequenceDataset test = task.examples(config);
        try (Engine engine = engineChoice.open("auto");
                Model model = contents.model().open(engine)) {
            Answers answers =
                    new Answers(task.pairs(config), model, spec.commandLine().getOut(), json ? predictions : null);
            if (input == null) {
                answers.toExamples(test, Math.min(test.size(), count == null ? 10 : count));
            } else if (input.equals("-")) {
                // Not closed: where a shell has closed it, its number belongs to a file of the virtual machine's own.
                answers.toLines(
                        new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8)),
                        "the standard input");
            } else {
                try (BufferedReader lines = new BufferedReader(
                        new InputStreamReader(Files.newInputStream(Path.of(input)), StandardCharsets.UTF_8))) {
                    answers.toLines(lines, "'" + input + "'");
                }
            }
        }
        printJson(config);
        return 0;
    }

    private int answerStream(SavedRun.Contents contents, PredictionReport report) throws IOException {
        int most = clients == null ? 1_000 : Check.range("--clients", clients, 1, 1 << 20);
        try (Engine engine = engineChoice.open("auto");
                Model model = contents.model().open(engine);
                LstmSession session = new LstmSession(model, most)) {
            // Not closed: where a shell has closed it, its number belongs to a file of the virtual machine's own.
            BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
            int refused = new PredictStream(model, session, report)
                    .run(in, spec.commandLine().getOut(), spec.commandLine().getErr(), json);
            return refused == 0 ? 0 : Main.FAILURE;
        }
    }

    private static Batch batch(SequenceFile sequence, int features) {
        Batch batch = new Batch(sequence.timeSteps(), 1, features, 0, false);
        System.arraycopy(sequence.values(), 0, batch.inputs(), 0, sequence.values().length);
        return batch;
    }

    /**
     * Reports one sequence, step by step where the model answers at each.
     *
     * @param truth a batch with the right answer, or null
     */
    private void report(PredictionReport report, int index, float[] outputs, int columns, Batch truth) {
        int rows = outputs.length / columns;
        for (int row = 0; row < rows; row++) {
            float[] values = Arrays.copyOfRange(outputs, row * columns, (row + 1) * columns);
            if (json) {
                JsonObject object = new JsonObject();
                object.addProperty("index", index);
                if (rows > 1) {
                    object.addProperty("step", row + 1);
                }
                report.add(object, values, truth);
                predictions.add(object);
            } else {
                String step = rows > 1 ? ", step " + (row + 1) : "";
                spec.commandLine().getOut().println(index + step + ": " + report.line(values, truth));
            }
        }
    }
}
