package carousel.cli;

import carousel.data.AddingProblem;
import carousel.engine.Engine;
import carousel.engine.ParameterView;
import carousel.format.FormatException;
import carousel.layer.Model;
import carousel.layer.ModelSpec;
import carousel.training.Checkpoint;
import carousel.training.DivergenceException;
import carousel.training.Evaluation;
import carousel.training.History;
import carousel.training.RunFolder;
import carousel.training.TensorBoardCallback;
import carousel.training.Trainer;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.LocalDateTime;
import java.time.format.DateTimeFormatter;
import java.util.List;
import java.util.Locale;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code carousel train}. */
@Command(
        name = "train",
        mixinStandardHelpOptions = true,
        sortOptions = false,
        description = "Trains a model and leaves a run folder. With no options: an LSTM on the embedded digits.")
final class TrainCommand implements Callable<Integer> {
    private static final long MOST_STEPS = 1_000_000_000_000L;
    private static final int LARGEST_SIZE = 1 << 16;
    /** How long an interrupted run may take to finish its step and write its checkpoint. */
    private static final long STOP_SECONDS = 120;

    @CommandLine.Spec
    private CommandLine.Model.CommandSpec spec;

    @Option(
            names = "--task",
            paramLabel = "NAME",
            description = "digits (drawn by the program), mnist (a folder of IDX files) or adding. Default: digits, or "
                    + "mnist where --data is given.")
    private String task;

    @Option(names = "--data", paramLabel = "DIR", description = "Folder with the four IDX files, gzipped or not.")
    private Path data;

    @Option(names = "--preset", paramLabel = "NAME", description = "The tutorial's recipe: tensorflow or keras.")
    private String preset;

    @Option(names = "--pixels", description = "Read pictures as one pixel a step instead of one row.")
    private boolean pixels;

    @Option(names = "--time-steps", paramLabel = "N", description = "Length of the adding problem. Default: 100.")
    private Integer timeSteps;

    @Mixin
    private EngineChoice engineChoice;

    @Option(names = "--hidden", paramLabel = "N", description = "Hidden size. Default: 128 (adding: 64).")
    private Integer hidden;

    @Option(names = "--layers", paramLabel = "N", description = "Stacked LSTM layers. Default: 1.")
    private Integer layers;

    @Option(names = "--bidirectional", description = "Read in both directions.")
    private boolean bidirectional;

    @Option(names = "--dropout", paramLabel = "P", description = "Dropout between stacked layers. Default: 0.")
    private Double dropout;

    @Option(names = "--batch", paramLabel = "N", description = "Sequences per step. Default: by task.")
    private Integer batch;

    @Option(names = "--steps", paramLabel = "N", description = "Steps to train in total. Default: by task.")
    private Long steps;

    @Option(names = "--epochs", paramLabel = "N", description = "Epochs to train in total, instead of steps.")
    private Integer epochs;

    @Option(
            names = "--optimizer",
            paramLabel = "NAME",
            description = "sgd, momentum, nesterov, adam, adamw or rmsprop. Default: adam.")
    private String optimizer;

    @Option(names = "--learning-rate", paramLabel = "R", description = "Default: by task and optimizer.")
    private Double learningRate;

    @Option(names = "--clip", paramLabel = "NORM", description = "Largest gradient norm; 0 for no clipping.")
    private Double clip;

    @Option(names = "--seed", paramLabel = "N", description = "Seed of everything random. Default: 1.")
    private Long seed;

    @Option(names = "--display-step", paramLabel = "N", description = "Steps between two lines. Default: 100 or 200.")
    private Long displayStep;

    @Option(
            names = "--checkpoint-steps",
            paramLabel = "N",
            description = "Steps between two checkpoints. Default: ${DEFAULT-VALUE}.")
    private long checkpointSteps = 100;

    @Option(names = "--out", paramLabel = "DIR", description = "Run folder. Default: runs/TASK-TIME.")
    private Path out;

    @Option(names = "--resume", paramLabel = "DIR", description = "Go on with the run in this folder.")
    private Path resume;

    @Option(
            names = "--tensorboard",
            paramLabel = "DIR",
            description = "Also write the run for TensorBoard, into DIR/train and DIR/validation.")
    private Path tensorboard;

    private PrintWriter screen;

    @Override
    public Integer call() throws IOException {
        screen = spec.commandLine().getOut();
        Check.atLeast("--checkpoint-steps", checkpointSteps, 1);
        Check.path("--out", out);
        Check.path("--resume", resume);
        Check.path("--tensorboard", tensorboard);
        Check.path("--data", data);
        if (displayStep != null) {
            Check.atLeast("--display-step", displayStep, 1);
        }
        CountDownLatch done = new CountDownLatch(1);
        try {
            return resume == null ? start(done) : goOn(done);
        } finally {
            done.countDown();
        }
    }

    private int start(CountDownLatch done) throws IOException {
        RunConfig config = settings();
        try (Engine engine = engineChoice.open("auto")) {
            Task.Data sources = config.taskKind().data(config);
            RunConfig used = config.withFindings(sources.training().timeSteps(), sources.fingerprint(), engine.name());
            try (Model model = Model.create(engine, used.model(sources.features(), sources.outputs()), used.seed());
                    RunFolder run = RunFolder.create(
                            out != null ? out : newFolder(used.task()), used.metadata(), checkpointSteps)) {
                return train(used, sources, model, run, null, done);
            }
        }
    }

    /** A folder of its own for a run that was given none, also when several start in the same second. */
    private static Path newFolder(String task) throws IOException {
        Path runs = Files.createDirectories(Path.of("runs"));
        String name =
                task + "-" + LocalDateTime.now().format(DateTimeFormatter.ofPattern("yyyyMMdd-HHmmss", Locale.ROOT));
        for (int attempt = 1; ; attempt++) {
            try {
                return Files.createDirectory(runs.resolve(attempt == 1 ? name : name + "-" + attempt));
            } catch (FileAlreadyExistsException taken) {
                // Then the next name.
            }
        }
    }

    private int goOn(CountDownLatch done) throws IOException {
        if (out != null) {
            throw new IllegalArgumentException("--out and --resume exclude each other but got '" + out + "' and '"
                    + resume + "': a resumed run stays in its folder");
        }
        Path file = resume.resolve(RunFolder.CHECKPOINT);
        Checkpoint.Saved saved = Checkpoint.read(file);
        RunConfig config = RunConfig.from(saved.metadata(), file);
        refuseOtherSettings(config);
        if (data != null) {
            config = config.withData(data.toAbsolutePath().normalize().toString());
        }
        if (steps != null || epochs != null) {
            requireOneLength();
            config = config.withLength(
                    steps == null ? 0 : Check.atLeast("--steps", steps, 1),
                    epochs == null ? 0 : Check.range("--epochs", epochs, 1, Integer.MAX_VALUE));
        }
        try (Engine engine = engineChoice.open(config.engine())) {
            Task.Data sources = config.taskKind().data(config);
            if (!sources.fingerprint().equals(config.fingerprint())) {
                throw new IllegalArgumentException("the data of '" + resume + "' has changed: "
                        + (config.data() == null
                                ? "this version makes other data"
                                : "'" + config.data() + "' does not hold what the run was trained on")
                        + "; give the same data with --data, or start a new run");
            }
            ModelSpec modelSpec = config.model(sources.features(), sources.outputs());
            requireWhole(file, saved.checkpoint(), modelSpec);
            try (Model model = Model.empty(engine, modelSpec);
                    RunFolder run = RunFolder.resume(
                            resume,
                            config.metadata(),
                            checkpointSteps,
                            saved.checkpoint().state().step())) {
                return train(config, sources, model, run, saved.checkpoint(), done);
            }
        }
    }

    /** That a checkpoint holds what its settings need, before memory is asked for it. */
    private static void requireWhole(Path file, Checkpoint checkpoint, ModelSpec spec) throws FormatException {
        List<ParameterView> views = Model.views(spec);
        long least = views.get(views.size() - 1).end();
        if (checkpoint.parameters().length < least) {
            throw new FormatException("'" + file + "' should hold " + least + " parameters by its settings but holds "
                    + checkpoint.parameters().length);
        }
    }

    private int train(
            RunConfig config, Task.Data sources, Model model, RunFolder run, Checkpoint from, CountDownLatch done)
            throws IOException {
        boolean tutorial = Preset.TENSORFLOW.is(config.preset());
        long perEpoch = sources.training().batchesPerEpoch();
        long total = config.steps() > 0 ? config.steps() : Math.multiplyExact(perEpoch, (long) config.epochs());
        if (from != null && total < from.state().step()) {
            throw new IllegalArgumentException(
                    "the run of '" + resume + "' has done " + from.state().step() + " steps already but got a total of "
                            + total + ": give --steps or --epochs beyond that");
        }
        long shown = displayStep != null ? displayStep : tutorial ? 200 : 100;
        screen.println(model.summary());
        screen.println(String.format(
                Locale.ROOT,
                "%s: %,d steps of %d sequences [%d x %d], %s, learning rate %s, seed %d",
                sources.training().name(),
                total,
                sources.training().batchSize(),
                sources.training().timeSteps(),
                sources.training().features(),
                config.optimizer(),
                config.learningRate(),
                config.seed()));
        screen.flush();
        Thread hook = null;
        try (Display display = new Display(screen, run, tutorial, shown, perEpoch);
                TensorBoardCallback board =
                        tensorboard == null ? null : TensorBoardCallback.create(tensorboard, config.metadata(), shown);
                Trainer trainer = trainer(config, model, display, board, run)) {
            if (from != null) {
                trainer.restore(from);
                screen.println("Resuming after step " + trainer.step() + " of " + total);
            }
            hook = stopOnSignal(trainer, done);
            History history;
            try {
                history = trainer.fitSteps(sources.training(), sources.validation(), total);
            } catch (DivergenceException e) {
                display.endBar();
                screen.println("The last good model, of step " + run.savedStep() + ", is in " + run.folder());
                screen.flush();
                throw e;
            }
            display.endBar();
            return finish(config, sources, trainer, run, history, tutorial);
        } finally {
            if (hook != null) {
                forget(hook);
            }
        }
    }

    private static Trainer trainer(
            RunConfig config, Model model, Display display, TensorBoardCallback board, RunFolder run) {
        Trainer.Builder builder = Trainer.of(model)
                .loss(config.taskKind().loss())
                .optimizer(config.optimizerSettings())
                .seed(config.seed())
                .keepBest()
                // The folder last: what the others write about a step must be there when the checkpoint of that step
                // is.
                .callback(display);
        if (board != null) {
            builder.reportGradientNorm().callback(board);
        }
        return builder.callback(run).open();
    }

    private int finish(
            RunConfig config, Task.Data sources, Trainer trainer, RunFolder run, History history, boolean tutorial)
            throws IOException {
        if (history.end() == History.End.STOPPED_ON_REQUEST) {
            screen.println("Stopped after step " + history.steps() + " of " + trainer.totalSteps()
                    + "; go on with: carousel train --resume " + quoted(run.folder()));
            screen.flush();
            return Main.FAILURE;
        }
        run.finish(trainer).ifPresent(reason -> screen.println("No curves: " + reason));
        if (tutorial) {
            screen.println("Optimization Finished!");
        }
        Optional<Evaluation> test = trainer.evaluateUnlessStopped(sources.test());
        if (test.isEmpty()) {
            screen.println("Stopped in the final test; the model is trained: carousel evaluate --model "
                    + quoted(run.folder()));
            screen.flush();
            return Main.FAILURE;
        }
        printTest(screen, test.get(), config.taskKind());
        screen.println("Run folder: " + run.folder());
        screen.flush();
        return 0;
    }

    /** A path as a shell takes it. */
    private static String quoted(Path path) {
        String text = path.toString();
        return text.chars().anyMatch(Character::isWhitespace) ? "'" + text + "'" : text;
    }

    /** The line that every run ends with. */
    static void printTest(PrintWriter out, Evaluation test, Task task) {
        if (task.pictures()) {
            out.println(String.format(Locale.ROOT, "Testing Accuracy: %.4f", test.accuracy()));
        } else {
            out.println(String.format(
                    Locale.ROOT,
                    "Testing Mean Squared Error: %.6f (always answering 1 has %.4f)",
                    test.loss(),
                    AddingProblem.TRIVIAL_ERROR));
        }
    }

    /**
     * On SIGTERM and Ctrl-C the training ends after its step and writes its checkpoint; the JVM waits for that and then exits
     * with 128 plus the signal's number, so that an interrupted run is never taken for a finished one.
     */
    private static Thread stopOnSignal(Trainer trainer, CountDownLatch done) {
        Thread hook = new Thread(
                () -> {
                    System.err.println("carousel: finishing the step and writing a checkpoint");
                    trainer.requestStop();
                    try {
                        done.await(STOP_SECONDS, TimeUnit.SECONDS);
                    } catch (InterruptedException e) {
                        Thread.currentThread().interrupt();
                    }
                },
                "carousel-stop");
        try {
            Runtime.getRuntime().addShutdownHook(hook);
        } catch (IllegalStateException shuttingDown) {
            trainer.requestStop();
        }
        return hook;
    }

    private static void forget(Thread hook) {
        try {
            Runtime.getRuntime().removeShutdownHook(hook);
        } catch (IllegalStateException shuttingDown) {
            // Then it is running, and waits for this thread.
        }
    }

    /** The options and, where there are none, the defaults of the preset and the task. */
    private RunConfig settings() {
        String recipe = preset == null
                ? null
                : Check.choice("--preset", preset, Preset.class).name().toLowerCase(Locale.ROOT);
        boolean tutorial = Preset.TENSORFLOW.is(recipe);
        Task kind = task != null ? Check.choice("--task", task, Task.class) : data != null ? Task.MNIST : Task.DIGITS;
        if (kind == Task.MNIST && data == null) {
            throw new IllegalArgumentException(
                    "--task mnist needs --data with the folder of the four IDX files but got none");
        }
        if (kind != Task.MNIST && data != null) {
            throw new IllegalArgumentException("--data goes with --task mnist but got --task "
                    + kind.name().toLowerCase(Locale.ROOT));
        }
        if (kind == Task.ADDING && pixels) {
            throw new IllegalArgumentException("--pixels goes with --task digits or mnist but got --task adding");
        }
        if (kind == Task.ADDING && recipe != null) {
            throw new IllegalArgumentException(
                    "--preset goes with --task digits or mnist but got --task adding: leave one of them out");
        }
        if (kind != Task.ADDING && timeSteps != null) {
            throw new IllegalArgumentException("--time-steps goes with --task adding but got --task "
                    + kind.name().toLowerCase(Locale.ROOT));
        }
        requireOneLength();
        if (dropout != null && dropout > 0 && orElse(layers, 1) == 1) {
            throw new IllegalArgumentException("--dropout acts between stacked layers but got " + dropout
                    + " with one layer: add --layers 2 or more");
        }
        boolean adding = kind == Task.ADDING;
        Defaults defaults = Defaults.of(kind, recipe);
        String rule = optimizer == null ? defaults.optimizer() : optimizer;
        Check.choice("--optimizer", rule, RunConfig.Rule.class);
        return new RunConfig(
                kind.name().toLowerCase(Locale.ROOT),
                data == null ? null : data.toAbsolutePath().normalize().toString(),
                recipe,
                pixels,
                adding ? Check.range("--time-steps", orElse(timeSteps, 100), 2, 1_000_000) : 0,
                Check.range("--hidden", orElse(hidden, defaults.hidden()), 1, LARGEST_SIZE),
                Check.range("--layers", orElse(layers, 1), 1, 1024),
                bidirectional,
                Check.fraction("--dropout", orElse(dropout, 0.0)),
                Check.range("--batch", orElse(batch, defaults.batch()), 1, LARGEST_SIZE),
                epochs != null ? 0 : within("--steps", orElse(steps, defaults.steps()), steps != null),
                steps != null ? 0 : epochs != null ? Check.range("--epochs", epochs, 1, 1_000_000) : defaults.epochs(),
                rule.toLowerCase(Locale.ROOT),
                Check.positive("--learning-rate", orElse(learningRate, defaults.rate(rule))),
                Check.notNegative("--clip", orElse(clip, defaults.clip())),
                orElse(seed, 1L),
                null,
                null);
    }

    private static long within(String option, long value, boolean given) {
        if (given && (value < 1 || value > MOST_STEPS)) {
            throw new IllegalArgumentException(
                    option + " should be in the [1, " + MOST_STEPS + "] range but got " + value);
        }
        return value;
    }

    private void requireOneLength() {
        if (steps != null && epochs != null) {
            throw new IllegalArgumentException(
                    "--steps and --epochs exclude each other but got " + steps + " and " + epochs);
        }
    }

    private static <V> V orElse(V given, V otherwise) {
        return given == null ? otherwise : given;
    }

    /**
     * What a task or preset trains with where nothing is said. Steps or epochs, the other being 0.
     *
     * @param sgdRate the rate of the rules that do not normalise the gradient
     */
    private record Defaults(
            int hidden,
            int batch,
            long steps,
            int epochs,
            String optimizer,
            double adamRate,
            double sgdRate,
            double clip) {
        static Defaults of(Task task, String preset) {
            if (Preset.TENSORFLOW.is(preset)) {
                return new Defaults(128, 128, 10_000, 0, "sgd", 0.001, 0.001, 0);
            } else if (Preset.KERAS.is(preset)) {
                return new Defaults(128, 32, 0, 3, "adam", 0.001, 0.01, 0);
            }
            return switch (task) {
                case DIGITS -> new Defaults(128, 64, 0, 6, "adam", 0.002, 0.1, 1);
                case MNIST -> new Defaults(128, 128, 0, 3, "adam", 0.001, 0.1, 1);
                case ADDING -> new Defaults(64, 64, 3_000, 0, "adam", 0.005, 0.1, 1);
            };
        }

        double rate(String rule) {
            boolean normalised = List.of("adam", "adamw", "rmsprop").contains(rule.toLowerCase(Locale.ROOT));
            return normalised ? adamRate : sgdRate;
        }
    }

    /** A run is resumed with the settings it was made with; what is given again must be the same. */
    private void refuseOtherSettings(RunConfig config) {
        same("--task", task, config.task(), value -> value.toLowerCase(Locale.ROOT));
        same("--preset", preset, config.preset(), value -> value.toLowerCase(Locale.ROOT));
        same("--pixels", pixels ? true : null, config.pixels(), value -> value);
        same("--time-steps", timeSteps, config.timeSteps(), value -> value);
        same("--hidden", hidden, config.hidden(), value -> value);
        same("--layers", layers, config.layers(), value -> value);
        same("--bidirectional", bidirectional ? true : null, config.bidirectional(), value -> value);
        same("--dropout", dropout, config.dropout(), value -> value);
        same("--batch", batch, config.batch(), value -> value);
        same("--optimizer", optimizer, config.optimizer(), value -> value.toLowerCase(Locale.ROOT));
        same("--learning-rate", learningRate, config.learningRate(), value -> value);
        same("--clip", clip, config.clip(), value -> value);
        same("--seed", seed, config.seed(), value -> value);
        if (engineChoice.engine != null && !engineChoice.engine.equals("auto")) {
            same("--engine", engineChoice.engine, config.engine(), value -> value);
        }
    }

    private <V> void same(String option, V given, V saved, Function<V, V> normalise) {
        if (given != null && !Objects.equals(normalise.apply(given), saved)) {
            throw new IllegalArgumentException(option + " should be " + saved + " as in the run of '" + resume
                    + "' but got " + given + ": leave it out, or start a new run with --out");
        }
    }
}
