package carousel.cli;

import carousel.format.FormatException;
import carousel.format.ModelFile;
import carousel.training.RunFolder;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.stream.Stream;
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

    /**
     * A saved model and what it was trained for.
     *
     * @param config null in a file that does not say, as of a model that was made elsewhere
     */
    record Contents(ModelFile model, RunConfig config) {}

    /** Throws where {@code --data} is given to a command that uses none. */
    void refuseData(String command) {
        if (data != null) {
            throw new IllegalArgumentException(command + " reads no data but got --data '" + data + "': leave it out");
        }
    }

    /** The same, of a model that was trained here. */
    Contents readTrained() throws IOException {
        Contents contents = read();
        if (contents.config() == null) {
            // Throws, with the reason.
            RunConfig.from(contents.model().metadata(), contents.model().path());
        }
        return contents;
    }

    Contents read() throws IOException {
        Check.path("--model", path);
        Check.path("--data", data);
        Path file = Files.isDirectory(path) ? path.resolve(RunFolder.MODEL) : path;
        String name = String.valueOf(file.getFileName()).toLowerCase(Locale.ROOT);
        if (Stream.of(".onnx", ".keras", ".h5", ".hdf5").anyMatch(name::endsWith)) {
            throw new IllegalArgumentException("--model should be a .safetensors file or a run folder but got '" + file
                    + "': convert it first, with carousel convert '" + file + "' model.safetensors");
        }
        ModelFile model = ModelFile.read(file);
        RunConfig config = RunConfig.isIn(model.metadata()) ? RunConfig.from(model.metadata(), file) : null;
        if (config != null) {
            requireFits(config, model.spec().output().features(), file);
        }
        if (data != null) {
            if (config == null) {
                throw new IllegalArgumentException("--data goes with a model that was trained here but '" + file
                        + "' does not say what it was trained for: leave it out");
            }
            if (!config.taskKind().options().contains("--data")) {
                throw new IllegalArgumentException("--data goes with a model of a task that reads data but '" + file
                        + "' is of the task " + config.task());
            }
            config = config.taskKind()
                    .usedOn(config, data.toAbsolutePath().normalize().toString());
        }
        return new Contents(model, config);
    }

    private static void requireFits(RunConfig config, int outputs, Path file) throws FormatException {
        long expected = config.taskKind().outputs(config);
        if (expected != 0 && expected != outputs) {
            throw new FormatException(
                    "'" + file + "' should put out " + expected + " numbers by its settings but its model"
                            + " puts out " + outputs + ": it is damaged; go back to a copy of it");
        }
    }
}
