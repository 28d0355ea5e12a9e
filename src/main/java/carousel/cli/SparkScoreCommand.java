package carousel.cli;

import carousel.data.SeriesScaling;
import carousel.engine.Engines;
import carousel.engine.Loss;
import carousel.spark.BadRecords;
import carousel.spark.ClusterSession;
import carousel.spark.ScoringJob;
import carousel.spark.SequenceColumns;
import carousel.spark.SequenceScorer;
import carousel.spark.SparkRuntime;
import carousel.tensor.Precision;
import java.io.IOException;
import java.io.PrintWriter;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code carousel spark score}. */
@Command(
        name = "score",
        mixinStandardHelpOptions = true,
        sortOptions = false,
        description = {
            "Uses a saved model on all sequences of a table.",
            "A sequence is a row with an array, of numbers or of steps (--features), or the rows of one key in the order of a time "
                    + "(--key, --time, --features)."
        })
final class SparkScoreCommand implements Callable<Integer> {
    @CommandLine.Spec
    private CommandLine.Model.CommandSpec spec;

    @Option(
            names = "--model",
            paramLabel = "PATH",
            required = true,
            description = "A run folder, or the model.safetensors in one.")
    private String model;

    @Option(
            names = "--input",
            paramLabel = "PATH",
            required = true,
            description = "The table. The first line of a CSV file has the names of its columns.")
    private String input;

    @Option(
            names = "--format",
            paramLabel = "FORMAT",
            description = "Format of the table: parquet, json, csv or orc. Default: what its name ends with.")
    private String format;

    @Option(
            names = "--features",
            paramLabel = "COLUMN",
            required = true,
            split = ",",
            description =
                    "The column of arrays; with --key the columns of numbers, in the order of the model's features.")
    private List<String> features;

    @Option(
            names = "--key",
            paramLabel = "COLUMN",
            description = "The column that says which sequence a row belongs to.")
    private String key;

    @Option(
            names = "--time",
            paramLabel = "COLUMN",
            description = "With --key: the column that rises within a sequence.")
    private String time;

    @Option(
            names = "--output",
            paramLabel = "PATH",
            required = true,
            description = "The table to write: Parquet, or what its name ends with, .json or .orc.")
    private String output;

    @Option(names = "--overwrite", description = "Replace the output where it exists.")
    private boolean overwrite;

    @Option(
            names = "--loss",
            paramLabel = "LOSS",
            description = "What the model was trained with, which says what its outputs mean: softmax-cross-entropy, "
                    + "mean-squared-error or sigmoid-cross-entropy. Default: what the model's file says.")
    private String loss;

    @Option(names = "--batch", paramLabel = "N", description = "Sequences at once. Default: 256.")
    private Integer batch;

    @Option(
            names = "--bad-records",
            paramLabel = "WHAT",
            description = "What becomes of rows that are no sequences: stop or skip. Default: stop.")
    private String badRecords;

    @Mixin
    private EngineChoice engineChoice;

    @Override
    public Integer call() throws IOException {
        SequenceColumns columns = columns();
        ScoringJob.Format kind = format == null ? null : Check.choice("--format", format, ScoringJob.Format.class);
        BadRecords bad =
                badRecords == null ? BadRecords.STOP : Check.choice("--bad-records", badRecords, BadRecords.class);
        Loss given = loss == null ? null : Check.choice("--loss", loss, Loss.class);
        int most = batch == null ? 256 : Check.range("--batch", batch, 1, 1 << 20);
        engineChoice.check();
        if (engineChoice.threads != null) {
            throw new IllegalArgumentException("the threads of an executor's engine are its cores but got --threads "
                    + engineChoice.threads + ": leave it out, and give spark-submit --executor-cores");
        }
        SparkRuntime.check();
        try (ClusterSession session = ClusterSession.open("carousel spark score")) {
            SequenceScorer scorer = trained(SequenceScorer.of(model, columns), given)
                    .withBatchSize(most)
                    .withBadRecords(bad)
                    .withEngine(engineChoice.engine == null ? Engines.AUTO : engineChoice.engine)
                    .withPrecision(
                            engineChoice.precision == null
                                    ? null
                                    : Check.choice("--precision", engineChoice.precision, Precision.class));
            report(new ScoringJob(input, kind, output, overwrite).run(session, scorer));
        }
        return 0;
    }

    private SequenceColumns columns() {
        if ((key == null) != (time == null)) {
            throw new IllegalArgumentException("--key and --time go together but got only "
                    + (key != null ? "--key '" + key + "'" : "--time '" + time + "'"));
        }
        if (key != null) {
            return SequenceColumns.grouped(key, time, features.toArray(String[]::new));
        }
        if (features.size() != 1) {
            throw new IllegalArgumentException(
                    "--features should be one column of arrays, or several with --key and --time, but got " + features);
        }
        return SequenceColumns.arrays(features.get(0));
    }

    /** The scorer with what a model that was trained here says of its inputs and outputs. */
    private SequenceScorer trained(SequenceScorer scorer, Loss given) throws IOException {
        if (!RunConfig.isIn(scorer.metadata())) {
            return scorer.withLoss(given);
        }
        RunConfig config = RunConfig.from(scorer.metadata(), model);
        if (!config.taskKind().useInstead().equals("predict")) {
            throw new IllegalArgumentException("spark score takes no model of the task " + config.task() + ": use "
                    + config.taskKind().useInstead());
        }
        InputScaling scaling = Task.inputs(config);
        SeriesScaling columns = scaling.columns();
        if (columns == null && scaling.scale() != 1) {
            SeriesScaling.Column each =
                    new SeriesScaling.Column("input", SeriesScaling.Transform.NONE, 0, scaling.scale());
            columns = new SeriesScaling(
                    SeriesScaling.Kind.NONE,
                    Collections.nCopies(scorer.spec().input().features(), each));
        }
        return scorer.withScaling(columns)
                .withLoss(given != null ? given : config.taskKind().loss());
    }

    private void report(ScoringJob.Report report) {
        PrintWriter out = spec.commandLine().getOut();
        report.engines().forEach(engine -> out.println("On " + engine));
        out.println(String.format(
                Locale.ROOT,
                "Scored %d sequences in %.1f s (%.0f a second) to %s",
                report.sequences(),
                report.seconds(),
                report.sequences() / report.seconds(),
                output));
        if (report.left() > 0) {
            out.println("Left out " + report.left() + " bad records: the executors' logs describe some of them");
        }
        out.flush();
    }
}
