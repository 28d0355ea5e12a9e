package carousel.cli;

import carousel.data.Vocabulary;
import carousel.engine.Engine;
import carousel.engine.ParameterView;
import carousel.format.FormatException;
import carousel.layer.Model;
import carousel.layer.ModelSpec;
import carousel.training.Callback;
import carousel.training.Checkpoint;
import carousel.training.DivergenceException;
import carousel.training.Evaluation;
import carousel.training.History;
import carousel.training.RemoteSteps;
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
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.Option;

/** {@code carousel train}. */
@Command(
        name = "train",
        mixinStandardHelpOptions = true,
        sortOptions = false,
        description = "Trains a model and leaves a run folder. With no options: an LSTM on the embedded digits.")
class TrainCommand implements Callable<Integer> {
    private static final long MOST_STEPS = 1_000_000_000_000L;
    private static final int LARGEST_SIZE = 1 << 16;
    /** How long an interrupted run may take to finish its step and write its checkpoint. */
    private static final long STOP_SECONDS = 120;

    @CommandLine.Spec
    CommandLine.Model.CommandSpec spec;

    @Option(
            names = "--task",
            paramLabel = "NAME",
            description =
                    "digits (drawn by the program), mnist (a folder of IDX files), adding, text (the next character of a "
                            + "text file), series (the next values of a CSV file), sequences (a class for each sequence of "
                            + "a CSV file), copy, reverse or addition (of letters and of numbers, by an encoder and a "
                            + "decoder). Default: digits, or mnist where --data is given.")
    private String task;

    @Option(
            names = "--data",
            paramLabel = "PATH",
            description = "mnist: folder with the four IDX files, gzipped or not. text, series, sequences: the file.")
    Path data;

    @Option(names = "--preset", paramLabel = "NAME", description = "The tutorial's recipe: tensorflow or keras.")
    private String preset;

    @Option(names = "--pixels", description = "Read pictures as one pixel a step instead of one row.")
    private boolean pixels;

    @Option(
            names = "--time-steps",
            paramLabel = "N",
            description = "adding: length of the problem. text: steps that a gradient goes back. Default: 100.")
    private Integer timeSteps;

    @Option(
            names = "--length",
            paramLabel = "N",
            description =
                    "copy, reverse: the most letters. addition: the most digits of a number. Default: 6 (addition: 3).")
    private Integer length;

    @Option(names = "--unit", paramLabel = "NAME", description = "text: character or byte. Default: character.")
    private String unit;

    @Option(
            names = "--document-separator",
            paramLabel = "CHAR",
            description = "text: the character that documents end with, \\n for the end of a line: what is read of one "
                    + "says nothing about the next. Default: the text is one document.")
    private String documentSeparator;

    @Option(names = "--embedding", paramLabel = "N", description = "text: numbers per character. Default: 64.")
    private Integer embedding;

    @Mixin
    private TableOptions table;

    @Mixin
    EngineChoice engineChoice;

    @Option(names = "--hidden", paramLabel = "N", description = "Hidden size. Default: by task, 32 to 256.")
    private Integer hidden;

    @Option(names = "--layers", paramLabel = "N", description = "Stacked LSTM layers. Default: 1 (text: 2).")
    private Integer layers;

    @Option(names = "--bidirectional", description = "Read in both directions.")
    private boolean bidirectional;

    @Option(
            names = "--dropout",
            paramLabel = "P",
            description = "Dropout between stacked layers; text: and on their output. Default: 0 (text: 0.3).")
    private Double dropout;

    @Mixin
    private CellOptions cell;

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

    @Option(
            names = "--decay",
            paramLabel = "F",
            description =
                    "The learning rate is multiplied by this over each epoch, in (0, 1]. Default: 1 (text: 0.85).")
    private Double decay;

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
    Path out;

    @Option(names = "--resume", paramLabel = "DIR", description = "Go on with the run in this folder.")
    Path resume;

    @Option(
            names = "--tensorboard",
            paramLabel = "DIR",
            description = "Also write the run for TensorBoard, into DIR/train and DIR/validation.")
    private Path tensorboard;

    PrintWriter screen;

    @Override
    public Integer call() throws IOException {
        screen = spec.commandLine().getOut();
        Check.atLeast("--checkpoint-steps", checkpointSteps, 1);
        Check.path("--out", out);
        Check.path("--resume", resume);
        Check.path("--tensorboard", tensorboard);
        Check.path("--data", data);
        engineChoice.check();
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
        RunConfig config = here(divided(settings()));
        Task.Data sources = config.taskKind().data(config);
        try (Engine engine = open("auto", sources.model())) {
            RunConfig used = kept(sources.config().withFindings(sources.fingerprint(), engine));
            prepare(used, sources);
            try (Model model = Model.create(engine, sources.model(), used.seed());
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
        requireOwn(config);
        refuseOtherSettings(config);
        if (data != null) {
            config = config.withData(dataPlace());
        }
        config = table.tested(config);
        if (steps != null || epochs != null) {
            requireOneLength();
            config = config.withLength(
                    steps == null ? 0 : Check.atLeast("--steps", steps, 1),
                    epochs == null ? 0 : Check.range("--epochs", epochs, 1, Integer.MAX_VALUE));
        }
        Task.Data sources = config.taskKind().data(here(config));
        if (!sources.fingerprint().equals(config.fingerprint())) {
            throw new IllegalArgumentException("the data of '" + runPlace() + "' has changed: "
                    + (config.data() == null
                            ? "this version makes other data"
                            : "'" + config.data() + "' does not hold what the run was trained on")
                    + "; give the same data with --data, or start a new run");
        }
        ModelSpec modelSpec = sources.model();
        try (Engine engine = open(config.engine(), modelSpec)) {
            requireWhole(file, saved.checkpoint(), modelSpec);
            prepare(config, sources);
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
                    "the run of '" + runPlace() + "' has done " + from.state().step()
                            + " steps already but got a total of " + total + ": give --steps or --epochs beyond that");
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
        Runnable hook = null;
        try (RemoteSteps remote = remote(run);
                Display display = new Display(screen, run, tutorial, shown, perEpoch);
                TensorBoardCallback board =
                        tensorboard == null ? null : TensorBoardCallback.create(tensorboard, config.metadata(), shown);
                Trainer trainer = trainer(config, perEpoch, model, display, board, run, remote)) {
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
                screen.println("The last good model, of step " + run.savedStep() + ", is in " + place(run));
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

    private Trainer trainer(
            RunConfig config,
            long perEpoch,
            Model model,
            Display display,
            TensorBoardCallback board,
            RunFolder run,
            RemoteSteps remote) {
        Trainer.Builder builder = Trainer.of(model)
                .loss(config.taskKind().loss())
                .optimizer(config.optimizerSettings(perEpoch))
                .seed(config.seed())
                .keepBest()
                .remote(remote)
                // The folder last: what the others write about a step must be there when the checkpoint of that step
                // is.
                .callback(display);
        if (board != null) {
            builder.reportGradientNorm().callback(board);
        }
        builder.callback(run);
        callbacks().forEach(builder::callback);
        return builder.open();
    }

    private int finish(
            RunConfig config, Task.Data sources, Trainer trainer, RunFolder run, History history, boolean tutorial)
            throws IOException {
        if (history.end() == History.End.STOPPED_ON_REQUEST) {
            screen.println("Stopped after step " + history.steps() + " of " + trainer.totalSteps() + "; go on with: "
                    + command() + " --resume " + quoted(place(run)));
            screen.flush();
            return Main.FAILURE;
        }
        run.finish(trainer).ifPresent(reason -> screen.println("No curves: " + reason));
        finished();
        if (tutorial) {
            screen.println("Optimization Finished!");
        }
        Optional<Evaluation> test = trainer.evaluateUnlessStopped(sources.test().source());
        if (test.isEmpty()) {
            screen.println(
                    "Stopped in the final test; the model is trained: carousel evaluate --model " + quoted(place(run)));
            screen.flush();
            return Main.FAILURE;
        }
        config.taskKind()
                .result(config, sources.test(), test.get(), trainer.model())
                .lines()
                .forEach(screen::println);
        screen.println("Run folder: " + place(run));
        screen.flush();
        return 0;
    }

    /** What a user types to train. */
    String command() {
        return "carousel train";
    }

    /** Settings of this command that are not of a training on a single machine. */
    RunConfig divided(RunConfig config) {
        return config;
    }

    /** Where the data is, wherever the command is run the next time. */
    String dataPlace() throws IOException {
        return data.toAbsolutePath().normalize().toString();
    }

    /** The same settings with the data where it can be read. */
    RunConfig here(RunConfig config) throws IOException {
        return config;
    }

    /** The settings as they go into the run's files. */
    RunConfig kept(RunConfig config) {
        return config;
    }

    /** Throws where a run was not made with this command. */
    void requireOwn(RunConfig config) {
        if (config.cluster() != null) {
            throw new IllegalArgumentException("the run of '" + runPlace()
                    + "' was trained on a cluster: go on with carousel spark train --resume, or start a new run");
        }
    }

    /** The engine that the model is on. */
    Engine open(String otherwise, ModelSpec model) {
        return engineChoice.open(otherwise, model);
    }

    /** Brings the data to where the steps are taken, or says why it cannot, before there is a run folder. */
    void prepare(RunConfig config, Task.Data sources) {}

    /** Where the steps are taken; null for on that engine. */
    RemoteSteps remote(RunFolder run) {
        return null;
    }

    /** The folder of a run that goes on, as people know it. */
    String runPlace() {
        return resume.toString();
    }

    /** More callbacks, after all others. */
    List<Callback> callbacks() {
        return List.of();
    }

    /** The run folder, as people know it. */
    String place(RunFolder run) {
        return run.folder().toString();
    }

    /** Called when the run folder is whole. */
    void finished() throws IOException {}

    /** A path as a shell takes it. */
    private static String quoted(String text) {
        return text.chars().anyMatch(Character::isWhitespace) ? "'" + text + "'" : text;
    }

    /**
     * On SIGTERM and Ctrl-C the training ends after its step and writes its checkpoint; the JVM waits for that and then exits
     * with 128 plus the signal's number, so that an interrupted run is never taken for a finished one.
     */
    private Runnable stopOnSignal(Trainer trainer, CountDownLatch done) {
        Runnable stop = () -> {
            System.err.println("carousel: finishing the step and writing a checkpoint");
            trainer.requestStop();
            try {
                done.await(STOP_SECONDS, TimeUnit.SECONDS);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        };
        try {
            return atExit(stop, STOP_SECONDS);
        } catch (IllegalStateException shuttingDown) {
            trainer.requestStop();
            return () -> {};
        }
    }

    /**
     * Has something done when the process is told to end, before what it needs has ended, and returns what takes that back.
     *
     * @throws IllegalStateException where the process is ending already
     */
    Runnable atExit(Runnable work, long seconds) {
        Thread hook = new Thread(work, "carousel-stop");
        Runtime.getRuntime().addShutdownHook(hook);
        return () -> Runtime.getRuntime().removeShutdownHook(hook);
    }

    private static void forget(Runnable hook) {
        try {
            hook.run();
        } catch (IllegalStateException shuttingDown) {
            // Then it is running, and waits for this thread.
        }
    }

    /** The options and, where there are none, the defaults of the preset and the task. */
    private RunConfig settings() throws IOException {
        String recipe = preset == null
                ? null
                : Check.choice("--preset", preset, Preset.class).name().toLowerCase(Locale.ROOT);
        boolean tutorial = Preset.TENSORFLOW.is(recipe);
        Task kind = task != null ? Task.named("--task", task) : data != null ? PictureTask.MNIST : PictureTask.DIGITS;
        requireFitting(kind);
        if (task == null && data != null && Files.isRegularFile(data)) {
            throw new IllegalArgumentException("--data '" + data + "' is a file, but without --task it should be "
                    + PictureTask.MNIST.dataNeeded()
                    + ": add --task text for a text, --task series to forecast the columns of a CSV file, or --task "
                    + "sequences to classify its sequences");
        }
        if (kind.needsData() && data == null) {
            throw new IllegalArgumentException(
                    "--task " + kind.name() + " needs --data with " + kind.dataNeeded() + " but got none");
        }
        requireOneLength();
        Defaults defaults = kind.defaults(recipe);
        boolean text = kind instanceof TextTask;
        if (text && bidirectional) {
            throw new IllegalArgumentException(
                    "--bidirectional goes with whole sequences but got --task text, whose next character"
                            + " a model that reads backward would have seen: leave it out");
        }
        if (kind instanceof PairsTask && bidirectional) {
            throw new IllegalArgumentException("--bidirectional goes with tasks that read one sequence but got --task "
                    + kind.name() + ", whose decoder starts from one state: leave it out");
        }
        if (!text && dropout != null && dropout > 0 && orElse(layers, defaults.layers()) == 1) {
            throw new IllegalArgumentException("--dropout acts between stacked layers but got " + dropout
                    + " with one layer: add --layers 2 or more");
        }
        String rule = optimizer == null ? defaults.optimizer() : optimizer;
        Check.choice("--optimizer", rule, RunConfig.Rule.class);
        return new RunConfig(
                kind.name(),
                data == null ? null : dataPlace(),
                recipe,
                pixels,
                steps(kind, defaults),
                Check.range("--hidden", orElse(hidden, defaults.hidden()), 1, LARGEST_SIZE),
                Check.range("--layers", orElse(layers, defaults.layers()), 1, 1024),
                bidirectional,
                Check.fraction("--dropout", orElse(dropout, defaults.dropout())),
                Check.range("--batch", orElse(batch, defaults.batch()), 1, LARGEST_SIZE),
                epochs != null ? 0 : within("--steps", orElse(steps, defaults.steps()), steps != null),
                steps != null ? 0 : epochs != null ? Check.range("--epochs", epochs, 1, 1_000_000) : defaults.epochs(),
                rule.toLowerCase(Locale.ROOT),
                Check.positive("--learning-rate", orElse(learningRate, defaults.rate(rule))),
                decay(orElse(decay, defaults.decay())),
                Check.notNegative("--clip", orElse(clip, defaults.clip())),
                orElse(seed, 1L),
                cell.settings(orElse(hidden, defaults.hidden())),
                text ? textSettings() : null,
                kind instanceof SeriesTask ? table.series() : null,
                kind instanceof SequencesTask ? table.sequences() : null,
                null,
                null,
                null,
                null);
    }

    /** The steps of a sequence, by the option that says it. */
    private int steps(Task kind, Defaults defaults) {
        if (kind.options().contains("--length")) {
            return Check.range("--length", orElse(length, defaults.timeSteps()), 2, 1_000_000);
        }
        return kind.options().contains("--time-steps")
                ? Check.range("--time-steps", orElse(timeSteps, defaults.timeSteps()), 2, 1_000_000)
                : table.window();
    }

    private static double decay(double value) {
        if (!(value > 0 && value <= 1)) {
            throw new IllegalArgumentException("--decay should be in the (0, 1] range but got " + value);
        }
        return value;
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

    private TextTask.Settings textSettings() {
        TextTask.Settings otherwise = TextTask.Settings.DEFAULT;
        String token = unit == null ? otherwise.unit() : unit.toLowerCase(Locale.ROOT);
        Check.choice("--unit", token, Vocabulary.Unit.class);
        return new TextTask.Settings(
                token,
                Check.range("--embedding", orElse(embedding, otherwise.embedding()), 1, LARGEST_SIZE),
                null,
                separator());
    }

    /** As typed, but for the end of a line, which is hard to type. */
    private String separator() {
        return "\\n".equals(documentSeparator) ? "\n" : documentSeparator;
    }

    /** The reverse of {@link #separator}. */
    private static String typed(String separator) {
        return "\n".equals(separator) ? "\\n" : separator;
    }

    /** That no option is given which goes with other tasks only. */
    private void requireFitting(Task kind) {
        for (OptionSpec option : spec.commandLine().getParseResult().matchedOptions()) {
            String name = option.longestName();
            List<String> tasks = Task.all().stream()
                    .filter(other -> other.options().contains(name))
                    .map(Task::name)
                    .toList();
            if (!tasks.isEmpty() && !tasks.contains(kind.name())) {
                throw new IllegalArgumentException(name + " goes with --task " + String.join(" or ", tasks)
                        + " but got --task " + kind.name() + ": leave it out");
            }
        }
    }

    /** A run is resumed with the settings it was made with; what is given again must be the same. */
    private void refuseOtherSettings(RunConfig config) {
        same("--task", task, config.task(), value -> value.toLowerCase(Locale.ROOT));
        same("--preset", preset, config.preset(), value -> value.toLowerCase(Locale.ROOT));
        same("--pixels", pixels ? true : null, config.pixels(), value -> value);
        same("--time-steps", timeSteps, config.timeSteps(), value -> value);
        same("--length", length, config.timeSteps(), value -> value);
        if (config.text() != null) {
            same("--unit", unit, config.text().unit(), value -> value.toLowerCase(Locale.ROOT));
            same("--embedding", embedding, config.text().embedding(), value -> value);
            same("--document-separator", typed(separator()), typed(config.text().separator()), value -> value);
        }
        table.refuseOtherSettings(config, this::same);
        same("--hidden", hidden, config.hidden(), value -> value);
        same("--layers", layers, config.layers(), value -> value);
        same("--bidirectional", bidirectional ? true : null, config.bidirectional(), value -> value);
        same("--dropout", dropout, config.dropout(), value -> value);
        cell.refuseOtherSettings(config.cell(), this::same);
        same("--batch", batch, config.batch(), value -> value);
        same("--optimizer", optimizer, config.optimizer(), value -> value.toLowerCase(Locale.ROOT));
        same("--learning-rate", learningRate, config.learningRate(), value -> value);
        same("--decay", decay, config.decay(), value -> value);
        same("--clip", clip, config.clip(), value -> value);
        same("--seed", seed, config.seed(), value -> value);
        if (engineChoice.engine != null && !engineChoice.engine.equals("auto")) {
            same("--engine", engineChoice.engine, config.engine(), value -> value);
        }
        if (config.precision() != null) {
            same("--precision", engineChoice.precision, config.precision(), value -> value.toLowerCase(Locale.ROOT));
            engineChoice.precision = config.precision();
        }
    }

    private <V> void same(String option, V given, V saved, Function<V, V> normalise) {
        if (given != null && !Objects.equals(normalise.apply(given), saved)) {
            throw new IllegalArgumentException(option + " should be "
                    + (saved == null ? "left out" : saved) + " as in the run of '" + runPlace()
                    + "' but got " + given + ": leave it out, or start a new run with --out");
        }
    }
}
