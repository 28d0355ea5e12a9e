package carousel.cli;

import carousel.data.BatchSource;
import carousel.data.BucketedBatches;
import carousel.data.DataException;
import carousel.data.DatasetSplit;
import carousel.data.LabelledSequences;
import carousel.data.MissingValues;
import carousel.data.ScaledSequences;
import carousel.data.SequenceDataset;
import carousel.data.SeriesScaling;
import carousel.engine.Loss;
import carousel.layer.Dense;
import carousel.layer.Form;
import carousel.layer.ModelSpec;
import carousel.training.Evaluation;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/** Sequences of numbers by their class, out of CSV files. */
final class SequencesTask extends Task {
    /** One in so many sequences is held out for validation. */
    private static final int VALIDATION = 10;

    /** One in so many is held out for the test, where no file is given for it. */
    private static final int TEST = 6;

    SequencesTask() {
        super(
                "sequences",
                Loss.SOFTMAX_CROSS_ENTROPY,
                "--data",
                "--test",
                "--label",
                "--id",
                "--time",
                "--features",
                "--scaling",
                "--missing",
                "--separator",
                "--header",
                "--decimal-mark");
    }

    /**
     * What only a model of labelled sequences is trained with.
     *
     * @param test the file to test with; null to hold out some of the training file
     * @param label where the label is: first, last or a column
     * @param id the column that says which sequence a line belongs to; null where each line is a sequence
     * @param time the column that increases within a sequence; null for the order of the lines
     * @param features the columns of numbers; null for all that are left
     * @param classNames in the order of the classes; null before the file has been read
     * @param fitted the scaling: {@link SeriesScaling#toMap}; null before the file has been read
     */
    record Settings(
            TableForm table,
            String test,
            String label,
            String id,
            String time,
            List<String> features,
            String scaling,
            String missing,
            List<String> classNames,
            Map<String, Object> fitted) {

        Settings found(List<String> classes, SeriesScaling scales) {
            return new Settings(table, test, label, id, time, features, scaling, missing, classes, scales.toMap());
        }

        Settings withTest(String file) {
            return new Settings(table, file, label, id, time, features, scaling, missing, classNames, fitted);
        }

        SeriesScaling.Kind kind() {
            return Check.choice("--scaling", scaling, SeriesScaling.Kind.class);
        }

        private MissingValues treatment() {
            return Check.choice("--missing", missing, MissingValues.class);
        }

        /** @param classes null to take the file's own */
        LabelledSequences read(String file, List<String> classes) throws DataException {
            return id == null
                    ? LabelledSequences.readRows(Path.of(file), table.options(), label, treatment(), classes)
                    : LabelledSequences.readLong(
                            Path.of(file),
                            table.options(),
                            new LabelledSequences.LongForm(id, time, features, label),
                            treatment(),
                            classes);
        }
    }

    @Override
    String dataNeeded() {
        return "a CSV file";
    }

    @Override
    Defaults defaults(String preset) {
        return new Defaults(64, 1, 0, 32, 0, 600, 0, "adam", 0.005, 0.1, 1, 1);
    }

    /** Training, validation and, where there is no file for it, test. */
    private static List<SequenceDataset> parts(RunConfig config, SequenceDataset all) throws DataException {
        boolean own = config.sequences().test() == null;
        int validation = Math.max(1, all.size() / VALIDATION);
        int test = own ? Math.max(1, all.size() / TEST) : 0;
        int training = all.size() - validation - test;
        if (training < 1) {
            throw new DataException("'" + config.data() + "' should hold " + (own ? 3 : 2)
                    + " or more sequences, some to be held out, but holds " + all.size()
                    + ": give more of them" + (own ? ", or a file to test with: --test" : ""));
        }
        return own
                ? DatasetSplit.parts(all, config.seed(), training, validation, test)
                : DatasetSplit.parts(all, config.seed(), training, validation);
    }

    @Override
    Data data(RunConfig config) throws IOException {
        Settings settings = config.sequences();
        LabelledSequences all = settings.read(config.data(), settings.classNames());
        List<SequenceDataset> parts = parts(config, all);
        if (2 * all.classes() > all.size()) {
            throw new DataException("'" + config.data() + "' should have two or more sequences for each label but its "
                    + all.size() + " sequences have " + all.classes()
                    + " labels: say with --label which column is the label");
        }
        SeriesScaling scaling = SeriesScaling.fit(settings.kind(), parts.get(0));
        RunConfig found =
                config.withTimeSteps(all.timeSteps()).withSequences(settings.found(all.classNames(), scaling));
        SequenceDataset training = ScaledSequences.alike(parts.get(0), scaling);
        return new Data(
                found,
                ModelSpec.of(Form.sequence(all.features()), lstm(config, all.features()), Dense.of(all.classes())),
                BucketedBatches.shuffled(training, Math.min(config.batch(), training.size()), config.seed()),
                evaluation(ScaledSequences.alike(parts.get(1), scaling)),
                settings.test() == null ? test(found, ScaledSequences.alike(parts.get(2), scaling)) : test(found));
    }

    private static BatchSource evaluation(SequenceDataset dataset) {
        return BucketedBatches.sorted(dataset, evaluationBatch(dataset));
    }

    @Override
    Test test(RunConfig config) throws IOException {
        return test(config, examples(config));
    }

    private static Test test(RunConfig config, SequenceDataset test) {
        Settings settings = config.sequences();
        String file = Path.of(settings.test() == null ? config.data() : settings.test())
                .getFileName()
                .toString();
        return new Test(
                evaluation(test), test.size() + (settings.test() == null ? " held-out" : "") + " sequences of " + file);
    }

    @Override
    SequenceDataset examples(RunConfig config) throws IOException {
        Settings settings = config.sequences();
        SeriesScaling scaling = SeriesScaling.fromMap(settings.fitted());
        boolean own = settings.test() == null;
        LabelledSequences all = settings.read(own ? config.data() : settings.test(), settings.classNames());
        if (all.features() != scaling.columns().size()) {
            throw new DataException("'" + (own ? config.data() : settings.test()) + "' should have "
                    + scaling.columns().size() + " features a time step, as the model was trained with, but has "
                    + all.features() + ": choose its columns with --features");
        }
        return ScaledSequences.alike(own ? parts(config, all).get(2) : all, scaling);
    }

    /** A file of its own, all of it test. */
    @Override
    RunConfig usedOn(RunConfig config, String data) {
        return config.withSequences(config.sequences().withTest(data));
    }

    @Override
    void requireWhole(RunConfig config) {
        Settings settings = config.sequences();
        settings.table().options();
        settings.kind();
        settings.treatment();
        if (settings.fitted() == null || settings.label() == null) {
            throw new IllegalArgumentException("the scaling or the place of the labels is missing");
        }
        Check.range("number of classes", settings.classNames().size(), 2, LabelledSequences.MAX_CLASSES);
    }

    @Override
    long outputs(RunConfig config) {
        return config.sequences().classNames().size();
    }

    @Override
    InputScaling inputScaling(RunConfig config) {
        try {
            return InputScaling.of(SeriesScaling.fromMap(config.sequences().fitted()));
        } catch (DataException e) {
            throw new IllegalArgumentException(e.getMessage(), e);
        }
    }

    @Override
    String testLine(RunConfig config, Evaluation test) {
        return accuracyLine(test);
    }

    @Override
    String className(RunConfig config, int index) {
        return config.sequences().classNames().get(index);
    }
}
