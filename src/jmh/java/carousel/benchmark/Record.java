package carousel.benchmark;

import carousel.format.JsonLines;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.openjdk.jmh.infra.BenchmarkParams;
import org.openjdk.jmh.profile.GCProfiler;
import org.openjdk.jmh.results.Result;
import org.openjdk.jmh.results.RunResult;
import org.openjdk.jmh.runner.Runner;
import org.openjdk.jmh.runner.RunnerException;
import org.openjdk.jmh.runner.options.CommandLineOptionException;
import org.openjdk.jmh.runner.options.CommandLineOptions;
import org.openjdk.jmh.runner.options.Options;
import org.openjdk.jmh.runner.options.OptionsBuilder;

/**
 * Runs benchmarks and appends each result, with what it was measured on, as a line of JSON to {@code
 * src/jmh/results/<class>.jsonl}. Takes the options of JMH's command line: a regular expression first of all.
 */
public final class Record {
    static final Path RESULTS = Path.of("src", "jmh", "results");
    private static final Path PROCESSORS = Path.of("/proc/cpuinfo");
    private static final String GC = "gc.";
    private static final String ALLOCATED = "gc.alloc.rate.norm";

    private Record() {}

    public static void main(String[] arguments)
            throws CommandLineOptionException, RunnerException, IOException, InterruptedException {
        Options options = new OptionsBuilder()
                .parent(new CommandLineOptions(arguments))
                .addProfiler(GCProfiler.class)
                .shouldFailOnError(true)
                .build();
        // Asked for before the run: what is edited meanwhile is not what is measured.
        String commit = commit();
        Collection<RunResult> results = new Runner(options).run();
        Files.createDirectories(RESULTS);
        for (RunResult result : results) {
            BenchmarkParams params = result.getParams();
            String[] names = params.getBenchmark().split("\\.");
            try (JsonLines file = JsonLines.append(RESULTS.resolve(names[names.length - 2] + ".jsonl"))) {
                file.write(fields(result, names[names.length - 2] + "." + names[names.length - 1], commit));
            }
        }
    }

    private static Map<String, Object> fields(RunResult result, String benchmark, String commit) throws IOException {
        BenchmarkParams params = result.getParams();
        Map<String, String> given = new TreeMap<>();
        for (String key : params.getParamsKeys()) {
            given.put(key, params.getParam(key));
        }
        double[] scores = result.getBenchmarkResults().stream()
                .flatMap(fork -> fork.getIterationResults().stream())
                .mapToDouble(iteration -> iteration.getPrimaryResult().getScore())
                .sorted()
                .toArray();
        Map<String, Double> counters = new TreeMap<>();
        Double allocated = null;
        for (Map.Entry<String, ? extends Result<?>> other : secondary(result).entrySet()) {
            // Older versions of JMH put a dot before the names of what a profiler gives.
            String name = other.getKey().replaceFirst("^\u00b7", "");
            if (name.equals(ALLOCATED)) {
                allocated = other.getValue().getScore();
            } else if (!name.startsWith(GC)) {
                counters.put(name, other.getValue().getScore());
            }
        }
        Map<String, Object> fields = new LinkedHashMap<>();
        fields.put("benchmark", benchmark);
        fields.put("params", given);
        fields.put("mode", params.getMode().shortLabel());
        fields.put("unit", result.getPrimaryResult().getScoreUnit());
        fields.put("median", median(scores));
        fields.put("min", scores[0]);
        fields.put("max", scores[scores.length - 1]);
        fields.put("iterations", scores.length);
        fields.put("counters", counters);
        fields.put(ALLOCATED, allocated);
        putOrigin(fields, commit, params.getJdkVersion());
        fields.put("jvmOptions", params.getJvmArgs());
        return fields;
    }

    static double median(double[] sorted) {
        return (sorted[(sorted.length - 1) / 2] + sorted[sorted.length / 2]) / 2;
    }

    /** What was measured where, and when. */
    static void putOrigin(Map<String, Object> fields, String commit, String jdk) throws IOException {
        fields.put("commit", commit);
        fields.put("jdk", jdk);
        fields.put("processor", processor());
        fields.put("processors", Runtime.getRuntime().availableProcessors());
        fields.put("date", Instant.now().truncatedTo(ChronoUnit.SECONDS).toString());
    }

    @SuppressWarnings("rawtypes")
    private static Map<String, Result<?>> secondary(RunResult result) {
        Map<String, Result<?>> results = new TreeMap<>();
        for (Map.Entry<String, Result> each : result.getSecondaryResults().entrySet()) {
            results.put(each.getKey(), each.getValue());
        }
        return results;
    }

    /** The commit that is checked out, with {@code -dirty} where files differ from it; null where git does not tell. */
    static String commit() throws IOException, InterruptedException {
        String commit = git("rev-parse", "--short", "HEAD");
        // Results recorded before this one change nothing of what is measured.
        String changes = git("status", "--porcelain", "--", ".", ":(exclude)src/jmh/results");
        return commit == null ? null : commit + (changes == null || changes.isEmpty() ? "" : "-dirty");
    }

    private static String git(String... arguments) throws IOException, InterruptedException {
        String[] command = new String[arguments.length + 1];
        command[0] = "git";
        System.arraycopy(arguments, 0, command, 1, arguments.length);
        Process process;
        try {
            process = new ProcessBuilder(command)
                    .redirectError(ProcessBuilder.Redirect.DISCARD)
                    .start();
        } catch (IOException absent) {
            return null;
        }
        String answer = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8).strip();
        return process.waitFor() == 0 ? answer : null;
    }

    /** The processor's name; null where the system does not tell. */
    private static String processor() throws IOException {
        List<String> lines = Files.isReadable(PROCESSORS) ? Files.readAllLines(PROCESSORS) : List.of();
        return lines.stream()
                .filter(line -> line.startsWith("model name"))
                .map(line -> line.substring(line.indexOf(':') + 1).strip())
                .findFirst()
                .orElse(null);
    }
}
