package carousel.cli;

import carousel.engine.Engine;
import carousel.layer.Model;
import carousel.training.Evaluation;
import carousel.training.Evaluator;
import com.google.gson.JsonObject;
import java.io.IOException;
import java.io.PrintWriter;
import java.util.Locale;
import java.util.concurrent.Callable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code carousel evaluate}. */
@Command(
        name = "evaluate",
        mixinStandardHelpOptions = true,
        sortOptions = false,
        description = "Measures a saved model on the test data of its task.")
final class EvaluateCommand implements Callable<Integer> {
    @CommandLine.Spec
    private CommandLine.Model.CommandSpec spec;

    @Mixin
    private SavedRun saved;

    @Mixin
    private EngineChoice engineChoice;

    @Option(names = "--json", description = "Print one JSON object and nothing else.")
    private boolean json;

    @Override
    public Integer call() throws IOException {
        SavedRun.Contents contents = saved.readTrained();
        Task task = contents.config().taskKind();
        Task.Test test = task.test(contents.config());
        PrintWriter out = spec.commandLine().getOut();
        try (Engine engine = engineChoice.open("auto", contents.model().spec());
                Model model = contents.model().open(engine)) {
            Evaluation evaluation = new Evaluator(model, task.loss()).evaluate(test.source());
            Task.Result result = task.result(contents.config(), test, evaluation, model);
            if (json) {
                JsonObject object = new JsonObject();
                object.addProperty("task", contents.config().task());
                object.addProperty("data", test.source().name());
                object.addProperty("engine", engine.name());
                object.addProperty("count", (long) evaluation.count());
                object.addProperty("loss", evaluation.loss());
                if (!Double.isNaN(evaluation.accuracy())) {
                    object.addProperty("accuracy", evaluation.accuracy());
                }
                if (result.facts() != null) {
                    result.facts().entrySet().forEach(fact -> object.add(fact.getKey(), fact.getValue()));
                }
                out.println(object);
            } else {
                out.println(test.size() + " on " + engine.description());
                out.println(String.format(Locale.ROOT, "Testing Loss: %.6f", evaluation.loss()));
                result.lines().forEach(out::println);
            }
            out.flush();
        }
        return 0;
    }
}
