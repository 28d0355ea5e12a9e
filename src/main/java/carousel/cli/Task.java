package carousel.cli;

import carousel.data.Batch;
import carousel.data.BatchSource;
import carousel.data.PreparedSeries;
import carousel.data.SequenceDataset;
import carousel.data.SequentialBatches;
import carousel.engine.Direction;
import carousel.engine.Loss;
import carousel.engine.LstmSpec;
import carousel.layer.Lstm;
import carousel.layer.Model;
import carousel.layer.ModelSpec;
import carousel.training.Evaluation;
import com.google.gson.JsonObject;
import java.io.IOException;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.zip.CRC32;

/** What a model is trained for: its data, its model, and how it is measured. */
abstract class Task {
    private static final int EVALUATION_BATCH = 250;
    private static final int EVALUATION_VALUES = 1 << 24;

    private final String name;
    private final Loss loss;
    private final Set<String> options;

    /**
     * @param loss what it is trained with
     * @param options those of its command line that not all tasks have
     */
    Task(String name, Loss loss, String... options) {
        this.name = name;
        this.loss = loss;
        this.options = Set.of(options);
    }

    static List<Task> all() {
        return Known.ALL;
    }

    /** Apart, because a task's class needs this one before it has its own constants. */
    private static final class Known {
        private static final List<Task> ALL = List.of(
                PictureTask.DIGITS,
                PictureTask.MNIST,
                new AddingTask(),
                new TextTask(),
                new SeriesTask(),
                new SequencesTask(),
                PairsTask.COPY,
                PairsTask.REVERSE,
                PairsTask.ADDITION);
    }

    /** The task of this name, whatever its case. */
    static Task named(String option, String name) {
        for (Task task : all()) {
            if (task.name.equalsIgnoreCase(name)) {
                return task;
            }
        }
        throw new IllegalArgumentException(option + " should be one of "
                + all().stream().map(Task::name).collect(Collectors.joining(", ")) + " but got '" + name + "'");
    }

    final String name() {
        return name;
    }

    final Loss loss() {
        return loss;
    }

    /** The options that not all tasks have and that this one has. */
    final Set<String> options() {
        return options;
    }

    /** Whether its inputs are pictures. */
    boolean pictures() {
        return false;
    }

    /** Whether it cannot do without {@code --data}. */
    boolean needsData() {
        return options.contains("--data");
    }

    /** What {@code --data} names, for a task that needs it. */
    String dataNeeded() {
        return "a file";
    }

    /** What is trained with where nothing is said; the preset may be null. */
    abstract Defaults defaults(String preset);

    /**
     * The data of a run and the model that goes with it.
     *
     * @param config the settings, with what only the data says filled in
     * @param validation null when the run holds none out
     */
    record Data(RunConfig config, ModelSpec model, BatchSource training, BatchSource validation, Test test) {
        /** Tells other training data from these: a checksum of the extents and of the first batch, which is a random sample. */
        String fingerprint() {
            Batch batch = training.batch(0);
            CRC32 sum = new CRC32();
            add(sum, Long.hashCode(training.batchesPerEpoch()), batch.timeSteps(), batch.batchSize(), batch.features());
            if (batch.tokens() != null) {
                add(sum, batch.tokens());
            } else {
                add(sum, batch.inputs());
            }
            if (batch.source() != null) {
                add(sum, batch.source().tokens());
            }
            if (batch.labels() != null) {
                add(sum, batch.labels());
            } else {
                add(sum, batch.targets());
            }
            // What is fitted to the training data knows of all of it.
            if (config.series() != null) {
                add(sum, config.series().fitted().hashCode());
            } else if (config.sequences() != null) {
                add(sum, config.sequences().fitted().hashCode());
            }
            return String.format("%08x", sum.getValue());
        }

        private static void add(CRC32 sum, float... values) {
            for (float value : values) {
                add(sum, Float.floatToIntBits(value));
            }
        }

        private static void add(CRC32 sum, int... words) {
            for (int word : words) {
                for (int shift = 0; shift < Integer.SIZE; shift += Byte.SIZE) {
                    sum.update(word >>> shift);
                }
            }
        }
    }

    /**
     * Test data.
     *
     * @param size what there is of it, for people: {@code 2000 sequences of digits}
     * @param series what forecasts are compared in; null for other data
     */
    record Test(BatchSource source, String size, PreparedSeries series) {
        Test(BatchSource source, String size) {
            this(source, size, null);
        }

        static Test of(SequenceDataset dataset) {
            return new Test(sequential(dataset), dataset.size() + " sequences of " + dataset.name());
        }
    }

    /** Training, validation and test data. */
    abstract Data data(RunConfig config) throws IOException;

    /** The test data alone. */
    abstract Test test(RunConfig config) throws IOException;

    /** The test data one by one, for {@code predict}; null for a task whose models are used by another command. */
    SequenceDataset examples(RunConfig config) throws IOException {
        return null;
    }

    /** The command that uses a model of this task. */
    String useInstead() {
        return "predict";
    }

    /** The line that every run ends with. */
    abstract String testLine(RunConfig config, Evaluation test);

    /**
     * What a test came to.
     *
     * @param lines for people, the last of them the one that every run ends with
     * @param facts for programs, besides those of the evaluation; null where there are none
     */
    record Result(List<String> lines, JsonObject facts) {}

    /**
     * What a test came to, of a task that says more than its line.
     *
     * @param model to ask for the predictions themselves
     */
    Result result(RunConfig config, Test test, Evaluation evaluation, Model model) {
        return new Result(List.of(testLine(config, evaluation)), null);
    }

    /** Where the data is to be taken from instead of where the model was trained on, to evaluate or to forecast. */
    RunConfig usedOn(RunConfig config, String data) {
        return config.withData(data);
    }

    /** Throws {@link IllegalArgumentException} unless what only this task has is such as a run can have. */
    void requireWhole(RunConfig config) {}

    /** The numbers that a model of this task puts out at once, where the settings say; 0 where they do not. */
    long outputs(RunConfig config) {
        return 0;
    }

    /** How the numbers that {@code predict} is given are scaled. */
    InputScaling inputScaling(RunConfig config) {
        return InputScaling.NONE;
    }

    /** The same, of a model that may not say what it was trained for: null. */
    static InputScaling inputs(RunConfig config) {
        return config == null ? InputScaling.NONE : config.taskKind().inputScaling(config);
    }

    /** The name of a class. */
    String className(RunConfig config, int index) {
        return Integer.toString(index);
    }

    static BatchSource sequential(SequenceDataset dataset) {
        return new SequentialBatches(dataset, evaluationBatch(dataset));
    }

    /** So many sequences at once as are good for speed, fewer where they are very long. */
    static int evaluationBatch(SequenceDataset dataset) {
        long each = (long) dataset.timeSteps() * dataset.features();
        return (int) Math.max(1, Math.min(Math.min(EVALUATION_BATCH, dataset.size()), EVALUATION_VALUES / each));
    }

    /** The stack that the options describe. */
    private static LstmSpec stack(RunConfig config, int inputSize) {
        LstmSpec spec = LstmSpec.of(inputSize, config.hidden())
                .withLayers(config.layers())
                .withDirection(config.bidirectional() ? Direction.BIDIRECTIONAL : Direction.FORWARD)
                .withDropout(config.layers() > 1 ? config.dropout() : 0);
        return config.cell().on(spec);
    }

    /** The same as a layer, with its starting weights. */
    static Lstm lstm(RunConfig config, int inputSize) {
        return Lstm.of(stack(config, inputSize)).withChronoSteps(config.cell().chronoSteps());
    }

    static String accuracyLine(Evaluation test) {
        return String.format(Locale.ROOT, "Testing Accuracy: %.4f", test.accuracy());
    }
}
