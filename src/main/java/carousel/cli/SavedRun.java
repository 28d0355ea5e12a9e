package carousel.cli;

import carousel.format.ModelFile;
import carousel.training.RunFolder;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import picocli.CommandLine.Option;

/** The option that names a saved model, for the commands that use one. */
final class SavedRun {
    @Option(
            names = "--model",
            paramLabel = "PATH",
            required = true,
            description = "A run folder, or the model.safetensors in one.")
    private Path path;

    @Option(
            names = "--data",
            paramLabel = "PATH",
            description = "The data of the model's task. Default: what the model was trained on.")
    private Path data;

    /** A saved model and what it was trained for. */
    record Contents(ModelFile model, RunConfig config) {}

    Contents read() throws IOException {
        Check.path("--model", path);
        Check.path("--data", data);
        Path file = Files.isDirectory(path) ? path.resolve(RunFolder.MODEL) : path;
        ModelFile model = ModelFile.read(file);
        RunConfig config = RunConfig.from(model.metadata(), file);
        if (data != null) {
            if (!config.taskKind().options().contains("--data")) {
                throw new IllegalArgumentException("--data goes with a model of a task that reads data but '" + file
                        + "' is of the task " + config.task());
            }
            config = config.withData(data.toAbsolutePath().normalize().toString());
        }
        return new Contents(model, config);
    }
}
