package carousel.cli;

import carousel.data.MissingValues;
import carousel.data.SeriesScaling;
import java.nio.file.Path;
import java.util.List;
import java.util.function.Function;
import picocli.CommandLine.Option;

/** The options of the tasks that read CSV files. */
final class TableOptions {
    private static final int LARGEST = 1_000_000;

    @Option(
            names = "--target",
            paramLabel = "COLUMN",
            split = ",",
            description =
                    "series: the column to forecast, or several, by name or number. Default: the only one of numbers.")
    private List<String> targets;

    @Option(
            names = "--inputs",
            paramLabel = "COLUMN",
            split = ",",
            description = "series: the columns to forecast from. Default: the target, or with --target all of numbers.")
    private List<String> inputs;

    @Option(names = "--date", paramLabel = "COLUMN", description = "series: the column of dates. Default: found.")
    private String date;

    @Option(
            names = "--window",
            paramLabel = "N",
            description =
                    "series: the steps that a forecast is made from. Default: two seasons, but 60 where those are longer or none is found.")
    private Integer window;

    @Option(
            names = "--horizon",
            paramLabel = "N",
            description = "series: the steps that a forecast is made for. Default: 1.")
    private Integer horizon;

    @Option(
            names = "--transform",
            paramLabel = "NAME",
            description =
                    "series: none, log, difference or log-difference, of the target before scaling. Default: none.")
    private String transform;

    @Option(
            names = "--period",
            paramLabel = "N",
            description = "series: the steps of a season, for the seasonal naive forecast. Default: found.")
    private Integer period;

    @Option(
            names = "--test",
            paramLabel = "FILE",
            description = "sequences: the file to test with. Default: some of --data is held out.")
    private Path test;

    @Option(
            names = "--label",
            paramLabel = "COLUMN",
            description = "sequences: the column of the label: first, last, or a name or number. Default: first.")
    private String label;

    @Option(
            names = "--id",
            paramLabel = "COLUMN",
            description =
                    "sequences: each line is a time step, of the sequence that this column names. Default: each line "
                            + "is a sequence.")
    private String id;

    @Option(
            names = "--time",
            paramLabel = "COLUMN",
            description = "sequences, with --id: the time of a step. Default: the order of the lines.")
    private String time;

    @Option(
            names = "--features",
            paramLabel = "COLUMN",
            split = ",",
            description = "sequences, with --id: the columns of numbers. Default: all that are left.")
    private List<String> features;

    @Option(
            names = "--scaling",
            paramLabel = "NAME",
            description =
                    "series, sequences: standard, min-max or none, fitted to the training part. Default: standard.")
    private String scaling;

    @Option(
            names = "--missing",
            paramLabel = "NAME",
            description = "series, sequences: interpolate, previous or refuse. Default: interpolate.")
    private String missing;

    @Option(
            names = "--separator",
            paramLabel = "NAME",
            description = "series, sequences: comma, semicolon or tab. Default: found.")
    private String separator;

    @Option(
            names = "--header",
            paramLabel = "yes|no",
            description = "series, sequences: whether the first line names the columns. Default: found.")
    private String header;

    @Option(
            names = "--decimal-mark",
            paramLabel = "NAME",
            description = "series, sequences: point or comma. Default: found.")
    private String decimalMark;

    /** The window that is asked for; 0 for none. */
    int window() {
        return window == null ? 0 : Check.range("--window", window, 1, LARGEST);
    }

    /** The test file that is asked for; null for none. */
    String test() {
        Check.path("--test", test);
        return test == null ? null : test.toAbsolutePath().normalize().toString();
    }

    private TableForm table() {
        TableForm form = new TableForm(TableForm.word(separator), TableForm.word(header), TableForm.word(decimalMark));
        form.options();
        return form;
    }

    private String scale() {
        return word("--scaling", scaling, SeriesScaling.Kind.STANDARD);
    }

    private String treatment() {
        return word("--missing", missing, MissingValues.INTERPOLATE);
    }

    private static <E extends Enum<E>> String word(String option, String given, E otherwise) {
        return Check.word(given == null ? otherwise : Check.choice(option, given, otherwise.getDeclaringClass()));
    }

    SeriesTask.Settings series() {
        return new SeriesTask.Settings(
                table(),
                targets,
                inputs,
                date,
                horizon == null ? 1 : Check.range("--horizon", horizon, 1, LARGEST),
                word("--transform", transform, SeriesScaling.Transform.NONE),
                period == null ? 0 : Check.range("--period", period, 2, LARGEST),
                scale(),
                treatment(),
                0,
                0,
                null);
    }

    SequencesTask.Settings sequences() {
        if (id == null && (time != null || features != null)) {
            throw new IllegalArgumentException((time != null ? "--time" : "--features") + " goes with --id but got "
                    + (time != null ? "'" + time + "'" : features) + " without it: add --id, or leave it out");
        }
        if (id != null && label == null) {
            throw new IllegalArgumentException(
                    "--id goes with --label and the name or number of the labels' column but got none");
        }
        return new SequencesTask.Settings(
                table(), test(), label == null ? "first" : label, id, time, features, scale(), treatment(), null, null);
    }

    /** A run that is resumed, with another file to test with where one is given. */
    RunConfig tested(RunConfig config) {
        if (test() == null || config.sequences() == null) {
            return config;
        }
        if (config.sequences().test() == null) {
            throw new IllegalArgumentException("the run holds out some of its data to test with but got --test '" + test
                    + "': leave it out, and test on the file with evaluate --data");
        }
        return config.withSequences(config.sequences().withTest(test()));
    }

    /** Compares an option's value, where one is given, with that of the run that is resumed. */
    interface Same {
        <V> void check(String option, V given, V saved, Function<V, V> normalise);
    }

    /** A run is resumed with the settings it was made with, but for the files. */
    void refuseOtherSettings(RunConfig config, Same same) {
        TableForm form = null;
        if (config.series() != null) {
            SeriesTask.Settings saved = config.series();
            form = saved.table();
            same.check("--target", targets, saved.targets(), value -> value);
            same.check("--inputs", inputs, saved.inputs(), value -> value);
            same.check("--date", date, saved.date(), value -> value);
            same.check("--window", window, config.timeSteps(), value -> value);
            same.check("--horizon", horizon, saved.horizon(), value -> value);
            same.check("--transform", transform, saved.transform(), TableForm::word);
            same.check("--period", period, saved.period(), value -> value);
            same.check("--scaling", scaling, saved.scaling(), TableForm::word);
            same.check("--missing", missing, saved.missing(), TableForm::word);
        } else if (config.sequences() != null) {
            SequencesTask.Settings saved = config.sequences();
            form = saved.table();
            same.check("--label", label, saved.label(), value -> value);
            same.check("--id", id, saved.id(), value -> value);
            same.check("--time", time, saved.time(), value -> value);
            same.check("--features", features, saved.features(), value -> value);
            same.check("--scaling", scaling, saved.scaling(), TableForm::word);
            same.check("--missing", missing, saved.missing(), TableForm::word);
        }
        if (form != null) {
            same.check("--separator", separator, form.separator(), TableForm::word);
            same.check("--header", header, form.header(), TableForm::word);
            same.check("--decimal-mark", decimalMark, form.decimalMark(), TableForm::word);
        }
    }
}
