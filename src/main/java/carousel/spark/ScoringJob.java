package carousel.spark;

import java.io.IOException;
import java.util.List;
import java.util.Locale;
import java.util.TreeSet;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.SparkContext;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SaveMode;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.util.CollectionAccumulator;
import org.apache.spark.util.LongAccumulator;

/**
 * Scores a table in files and writes another.
 *
 * @param input the table, a path of any file system that Hadoop knows
 * @param format of the input; null for what its name ends with
 * @param output the table that is written, in Parquet unless its name ends with that of another format
 * @param overwrite whether the output is replaced where it exists
 */
public record ScoringJob(String input, Format format, String output, boolean overwrite) {
    /** The formats of tables that Spark has itself. */
    public enum Format {
        PARQUET(".parquet"),
        JSON(".json", ".jsonl", ".ndjson"),
        CSV(".csv"),
        ORC(".orc");

        private final List<String> ends;

        Format(String... ends) {
            this.ends = List.of(ends);
        }

        /** What a name ends with; null where it is none of these. */
        private static Format of(String path) {
            String name = path.toLowerCase(Locale.ROOT).replaceFirst("(\\.gz|\\.bz2|\\.zst)?/?$", "");
            for (Format format : values()) {
                if (format.ends.stream().anyMatch(name::endsWith)) {
                    return format;
                }
            }
            return null;
        }

        /** Spark's name of it. */
        private String word() {
            return name().toLowerCase(Locale.ROOT);
        }
    }

    /**
     * What was done.
     *
     * @param sequences that were scored
     * @param left bad records that were left out
     * @param seconds from the first reading to the end of writing
     * @param engines that computed
     */
    public record Report(long sequences, long left, double seconds, List<String> engines) {}

    /**
     * Does it.
     *
     * @throws IllegalArgumentException when the output exists and is not to be replaced
     * @throws ClusterException when the table cannot be read or written, has not the columns, or has a bad record that is not skipped
     */
    public Report run(ClusterSession cluster, SequenceScorer scorer) throws IOException {
        SparkSession session = cluster.session();
        SparkContext context = session.sparkContext();
        Format kind = format == null ? Format.of(input) : format;
        if (kind == null) {
            throw new ClusterException(
                    "the table's name should end with .parquet, .json, .csv or .orc, or its format be given, but it is '"
                            + input + "'");
        }
        Format written = Format.of(output);
        if (written == Format.CSV) {
            throw new ClusterException("predictions are arrays, which CSV has no place for, but the output is '"
                    + output + "': let its name end with .parquet, .json or .orc");
        }
        requirePlaces(context.hadoopConfiguration());
        long start = System.nanoTime();
        LongAccumulator scored = context.longAccumulator("scored sequences");
        LongAccumulator left = context.longAccumulator("bad records left out");
        CollectionAccumulator<String> engines = context.collectionAccumulator("engines");
        try {
            Dataset<Row> table = read(session, kind);
            // The tasks that score are those that write: each is counted once.
            scorer.score(table, new Scoring.Counts(scored, left, engines))
                    .write()
                    .mode(overwrite ? SaveMode.Overwrite : SaveMode.ErrorIfExists)
                    .format((written == null ? Format.PARQUET : written).word())
                    .save(output);
        } catch (Exception e) {
            // Scala's methods declare none of the exceptions that they throw.
            throw TaskFailures.of(e);
        }
        return new Report(
                scored.value(),
                left.value(),
                (System.nanoTime() - start) / 1e9,
                List.copyOf(new TreeSet<>(engines.value())));
    }

    private void requirePlaces(Configuration settings) throws IOException {
        if (!ClusterFiles.matches(settings, input)) {
            throw new ClusterException("there is no table at '" + input + "': check the path");
        }
        if (contain(ClusterFiles.qualified(settings, input), ClusterFiles.qualified(settings, output))) {
            throw new IllegalArgumentException(
                    "the output should be another place than the input, and not above or below it," + " but they are '"
                            + output + "' and '" + input + "'");
        }
        if (!overwrite && ClusterFiles.exists(settings, output)) {
            throw new IllegalArgumentException(
                    "'" + output + "' exists already: choose another name, or give --overwrite");
        }
    }

    /** Whether one of two places is the other or holds it: what is overwritten is deleted first. */
    private static boolean contain(String first, String second) {
        String one = first.endsWith("/") ? first : first + "/";
        String other = second.endsWith("/") ? second : second + "/";
        return one.startsWith(other) || other.startsWith(one);
    }

    private Dataset<Row> read(SparkSession session, Format kind) {
        return session.read()
                .format(kind.word())
                .option("header", "true")
                .option("inferSchema", "true")
                .load(input);
    }
}
