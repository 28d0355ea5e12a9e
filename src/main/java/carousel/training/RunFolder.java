package carousel.training;

import carousel.data.Batch;
import carousel.format.Charts;
import carousel.format.FileErrors;
import carousel.format.JsonLines;
import carousel.format.ModelFile;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonPrimitive;
import java.io.Closeable;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.channels.FileChannel;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * What a run leaves behind: {@value #MODEL}, {@value #CHECKPOINT}, {@value #METRICS} and {@value #CURVES} in one folder. As a
 * callback it writes a checkpoint every so many steps and the model whenever it is the best so far. Whatever moment the process
 * is killed at, the last good files remain.
 */
public final class RunFolder implements Callback, Closeable {
    /** The model: the best one where there is validation data, otherwise that of the last checkpoint. */
    public static final String MODEL = "model.safetensors";
    /** All that is needed to go on. */
    public static final String CHECKPOINT = "checkpoint.safetensors";
    /** One JSON object a line: what was displayed, each epoch, and each change of the loss scale. */
    public static final String METRICS = "metrics.jsonl";
    /** Loss and accuracy over the steps. */
    public static final String CURVES = "curves.png";

    /** The kind of a line about the steps since the last one. */
    public static final String STEP = "step";

    private static final String EPOCH = "epoch";
    /** The kind of a line about a change of the loss scale. */
    private static final String LOSS_SCALE = "lossScale";
    /** Locked while a process trains here; what remains of it afterwards means nothing. */
    private static final String LOCK = ".lock";

    private final Path folder;
    private final Map<String, String> metadata;
    private final long checkpointSteps;
    private final FileChannel lock;
    private final JsonLines metrics;
    private long savedStep = -1;
    private double lossScale;

    private RunFolder(
            Path folder, Map<String, String> metadata, long checkpointSteps, FileChannel lock, JsonLines metrics) {
        if (checkpointSteps < 1) {
            throw new IllegalArgumentException(
                    "the steps between two checkpoints should be 1 or more but got " + checkpointSteps);
        }
        this.folder = folder;
        this.metadata = Map.copyOf(metadata);
        this.checkpointSteps = checkpointSteps;
        this.lock = lock;
        this.metrics = metrics;
    }

    /**
     * A folder for a new run, made where it is missing.
     *
     * @param metadata goes into the model and the checkpoint
     * @throws IOException when it cannot be written to, or holds a run already
     */
    public static RunFolder create(Path folder, Map<String, String> metadata, long checkpointSteps) throws IOException {
        try {
            Files.createDirectories(folder);
        } catch (FileAlreadyExistsException e) {
            throw new IOException("'" + folder + "' should be a folder but is a file: choose another name", e);
        } catch (FileSystemException e) {
            throw new IOException(
                    "the run folder '" + folder + "' cannot be made: " + FileErrors.sentence(e)
                            + "; choose another place",
                    e);
        }
        FileChannel lock = lock(folder);
        try {
            // Only under the lock: another process may be about to make its run here.
            if (Stream.of(CHECKPOINT, MODEL, METRICS).anyMatch(file -> Files.exists(folder.resolve(file)))) {
                throw new IOException("'" + folder
                        + "' already holds a run: choose another folder, or continue that run by resuming it");
            }
            return new RunFolder(folder, metadata, checkpointSteps, lock, JsonLines.create(folder.resolve(METRICS)));
        } catch (IOException | RuntimeException e) {
            lock.close();
            throw e;
        }
    }

    /**
     * The folder of a run that goes on from its checkpoint; metrics of later steps, which will be taken again, are dropped.
     *
     * @param step of the checkpoint
     * @throws IOException when it cannot be written to, or another process trains in it
     */
    public static RunFolder resume(Path folder, Map<String, String> metadata, long checkpointSteps, long step)
            throws IOException {
        FileChannel lock = lock(folder);
        try {
            JsonLines metrics = JsonLines.append(folder.resolve(METRICS));
            try {
                metrics.truncateAfter(step);
                return new RunFolder(folder, metadata, checkpointSteps, lock, metrics);
            } catch (IOException | RuntimeException e) {
                metrics.close();
                throw e;
            }
        } catch (IOException | RuntimeException e) {
            lock.close();
            throw e;
        }
    }

    /** Keeps other processes out until the channel is closed, or this process has ended in whatever way. */
    private static FileChannel lock(Path folder) throws IOException {
        FileChannel channel =
                FileChannel.open(folder.resolve(LOCK), StandardOpenOption.CREATE, StandardOpenOption.WRITE);
        try {
            if (channel.tryLock() != null) {
                return channel;
            }
        } catch (OverlappingFileLockException heldHere) {
            // By another thread of this process: refused all the same.
        } catch (IOException | RuntimeException e) {
            channel.close();
            throw e;
        }
        channel.close();
        throw new IOException("another process trains in '" + folder + "' now: wait for it, or choose another folder");
    }

    public Path folder() {
        return folder;
    }

    /** The step of the last checkpoint written by this process; -1 before the first. */
    public long savedStep() {
        return savedStep;
    }

    /** Adds a line about the trainer's step to the metrics. */
    public void record(Trainer trainer, String kind, Map<String, ?> values) {
        Map<String, Object> line = new LinkedHashMap<>();
        line.put("step", trainer.step());
        line.put("kind", kind);
        line.putAll(values);
        try {
            metrics.write(line);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @Override
    public void onStart(Trainer trainer) {
        lossScale = trainer.lossScale();
        save(trainer);
    }

    @Override
    public void onStep(Trainer trainer, Batch batch) {
        if (trainer.lossScale() != lossScale) {
            lossScale = trainer.lossScale();
            record(trainer, LOSS_SCALE, Map.of("lossScale", lossScale, "skippedSteps", trainer.skippedSteps()));
        }
        // At the end of an epoch, its line and its model come first: a kill in between must not find them missing.
        if (!trainer.atEpochEnd()) {
            saveWhenDue(trainer);
        }
    }

    private void saveWhenDue(Trainer trainer) {
        if (trainer.passed(checkpointSteps)) {
            save(trainer);
        }
    }

    @Override
    public void onEpoch(Trainer trainer, EpochReport report) {
        Map<String, Object> values = new LinkedHashMap<>();
        values.put("epoch", report.epoch());
        values.put("loss", report.loss());
        values.put("accuracy", report.accuracy());
        if (report.validated()) {
            values.put("validationLoss", report.validationLoss());
            values.put("validationAccuracy", report.validationAccuracy());
        }
        values.put("learningRate", report.learningRate());
        values.put("seconds", report.seconds());
        record(trainer, EPOCH, values);
        if (report.validated() && trainer.bestStep() == trainer.step()) {
            writeModel(trainer);
        }
        saveWhenDue(trainer);
    }

    @Override
    public void onEnd(Trainer trainer) {
        save(trainer);
    }

    private void save(Trainer trainer) {
        if (savedStep == trainer.step()) {
            return;
        }
        // Taken first: it refuses a run that has diverged, and then the files stay as they are.
        Checkpoint checkpoint = trainer.checkpoint();
        if (trainer.bestStep() == 0) {
            writeModel(trainer);
        }
        try {
            checkpoint.write(folder.resolve(CHECKPOINT), metadata);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        savedStep = trainer.step();
    }

    private void writeModel(Trainer trainer) {
        try {
            write(trainer);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private void write(Trainer trainer) throws IOException {
        Map<String, String> all = new LinkedHashMap<>(metadata);
        all.put(ModelFile.LOSS, trainer.loss().name());
        ModelFile.write(folder.resolve(MODEL), trainer.model(), all);
    }

    /**
     * Writes the model as it is now, and draws the curves.
     *
     * @return why the curves were not drawn, where they were not
     */
    public Optional<String> finish(Trainer trainer) throws IOException {
        write(trainer);
        return drawCurves();
    }

    /** Draws the curves from the metrics and returns why not, where they could not be drawn. */
    public Optional<String> drawCurves() throws IOException {
        List<JsonObject> lines = JsonLines.read(folder.resolve(METRICS));
        List<JsonObject> steps = lines.stream()
                .filter(line -> line.get("kind") != null && line.get("kind").equals(new JsonPrimitive(STEP)))
                .toList();
        // A mean over an epoch among those of a few steps would be a spike that is none.
        List<JsonObject> training = steps.isEmpty() ? lines : steps;
        return Charts.writeLearningCurves(
                folder.resolve(CURVES),
                "Step",
                points(training, "loss"),
                points(lines, "validationLoss"),
                points(training, "accuracy"),
                points(lines, "validationAccuracy"));
    }

    private static Charts.Points points(List<JsonObject> lines, String key) {
        List<JsonObject> with =
                lines.stream().filter(line -> isNumber(line.get(key))).toList();
        return new Charts.Points(
                with.stream()
                        .mapToDouble(line -> line.get("step").getAsDouble())
                        .toArray(),
                with.stream().mapToDouble(line -> line.get(key).getAsDouble()).toArray());
    }

    private static boolean isNumber(JsonElement value) {
        return value != null
                && value.isJsonPrimitive()
                && value.getAsJsonPrimitive().isNumber();
    }

    @Override
    public void close() throws IOException {
        try (lock) {
            metrics.close();
        }
    }
}
