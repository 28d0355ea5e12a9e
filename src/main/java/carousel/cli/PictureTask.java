package carousel.cli;

import carousel.data.BatchSource;
import carousel.data.DataException;
import carousel.data.DatasetSplit;
import carousel.data.DrawnDigits;
import carousel.data.IdxFiles;
import carousel.data.ImageReading;
import carousel.data.SequenceDataset;
import carousel.data.ShuffledBatches;
import carousel.engine.Loss;
import carousel.layer.Dense;
import carousel.layer.Form;
import carousel.layer.Initializer;
import carousel.layer.Lstm;
import carousel.layer.ModelSpec;
import carousel.training.Evaluation;
import java.io.IOException;
import java.nio.file.Path;

/** Pictures by their class: the digits that the program draws, or a folder of IDX files. */
final class PictureTask extends Task {
    static final PictureTask DIGITS = new PictureTask("digits", "--preset", "--pixels");
    static final PictureTask MNIST = new PictureTask("mnist", "--data", "--preset", "--pixels");

    /** One in so many training examples is held out for validation. */
    private static final int HELD_OUT = 12;

    private PictureTask(String name, String... options) {
        super(name, Loss.SOFTMAX_CROSS_ENTROPY, options);
    }

    @Override
    boolean pictures() {
        return true;
    }

    @Override
    InputScaling inputScaling(RunConfig config) {
        return InputScaling.PIXELS;
    }

    @Override
    String dataNeeded() {
        return "the folder of the four IDX files";
    }

    @Override
    Defaults defaults(String preset) {
        if (Preset.TENSORFLOW.is(preset)) {
            return new Defaults(128, 1, 0, 128, 0, 10_000, 0, "sgd", 0.001, 0.001, 0, 1);
        } else if (Preset.KERAS.is(preset)) {
            return new Defaults(128, 1, 0, 32, 0, 0, 3, "adam", 0.001, 0.01, 0, 1);
        }
        return this == DIGITS ? Defaults.ofEpochs(128, 64, 6, 0.002) : Defaults.ofEpochs(128, 128, 3, 0.001);
    }

    /** The TensorFlow recipe draws full batches across epochs and validates nothing. */
    @Override
    Data data(RunConfig config) throws IOException {
        SequenceDataset all;
        SequenceDataset test;
        if (this == DIGITS) {
            all = DrawnDigits.training(config.seed()).as(reading(config));
            test = examples(config);
        } else {
            IdxFiles files = IdxFiles.read(Path.of(config.data()), reading(config));
            all = files.training();
            test = files.test();
        }
        if (all.size() < 2) {
            throw new DataException(
                    "'" + config.data() + "' should hold 2 or more training pictures, one of them to be held"
                            + " out, but holds " + all.size());
        }
        DatasetSplit split = DatasetSplit.of(all, Math.max(1, all.size() / HELD_OUT), config.seed());
        int batch = Math.min(config.batch(), split.training().size());
        boolean tensorflow = Preset.TENSORFLOW.is(config.preset());
        BatchSource training = new ShuffledBatches(
                split.training(),
                batch,
                config.seed(),
                tensorflow ? ShuffledBatches.Mode.CONTINUOUS : ShuffledBatches.Mode.PER_EPOCH);
        return new Data(
                config.withTimeSteps(all.timeSteps()),
                model(config, all.features(), test.classes()),
                training,
                tensorflow ? null : sequential(split.validation()),
                Test.of(test));
    }

    private static ModelSpec model(RunConfig config, int features, int classes) {
        Lstm lstm = lstm(config, features);
        Dense head = Dense.of(classes);
        if (Preset.TENSORFLOW.is(config.preset())) {
            // BasicLSTMCell keeps W and R in one matrix [C + H, 4H], and Glorot's limit is that matrix's.
            double limit = Math.sqrt(6.0 / (features + 5.0 * config.hidden()));
            Initializer kernel = new Initializer.Uniform(-limit, limit);
            lstm = lstm.withInitializers(kernel, kernel, 1);
            head = head.withInitializers(new Initializer.Normal(0, 1), new Initializer.Normal(0, 1));
        }
        return ModelSpec.of(Form.sequence(features), lstm, head);
    }

    @Override
    Test test(RunConfig config) throws IOException {
        return Test.of(examples(config));
    }

    @Override
    SequenceDataset examples(RunConfig config) throws IOException {
        return this == DIGITS
                ? DrawnDigits.test(config.seed()).as(reading(config))
                : IdxFiles.read(Path.of(config.data()), reading(config)).test();
    }

    private static ImageReading reading(RunConfig config) {
        return config.pixels() ? ImageReading.PIXELS : ImageReading.ROWS;
    }

    @Override
    String testLine(RunConfig config, Evaluation test) {
        return accuracyLine(test);
    }
}
