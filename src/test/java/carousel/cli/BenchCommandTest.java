package carousel.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class BenchCommandTest {
    private static final Object[] SMALL = {
        "bench", "--batch", 3, "--time-steps", 4, "--input", 5, "--hidden", 6, "--layers", 2, "--seconds", 0.01
    };

    private static CommandLineRun bench(Object... more) {
        List<Object> all = new ArrayList<>(List.of(SMALL));
        all.addAll(List.of(more));
        return CommandLineRun.of(all.toArray());
    }

    @Test
    void everyModeOfEveryNamedEngineIsTimed() {
        CommandLineRun run = bench("--engine", "vector,reference", "--json").succeeds();
        List<JsonObject> lines = run.out()
                .lines()
                .map(line -> JsonParser.parseString(line).getAsJsonObject())
                .toList();
        assertEquals(
                List.of(
                        "vector inference",
                        "vector gradient",
                        "vector step",
                        "reference inference",
                        "reference gradient",
                        "reference step"),
                lines.stream()
                        .map(line -> line.get("engine").getAsString() + " "
                                + line.get("mode").getAsString())
                        .toList());
        for (JsonObject line : lines) {
            double median = line.get("medianMs").getAsDouble();
            assertTrue(line.get("leastMs").getAsDouble() <= median
                    && median <= line.get("mostMs").getAsDouble());
            // 2 * 4 * 6 * (5 + 6 + 6 + 6) * 3 * 4 operations forward
            double forward = 2.0 * 4 * 6 * (5 + 6 + 6 + 6) * 3 * 4;
            double expected = forward * (line.get("mode").getAsString().equals("inference") ? 1 : 3);
            assertEquals(expected / 1e6, line.get("gflops").getAsDouble() * median, 1e-9 * expected);
        }
    }

    @Test
    void withoutOptionsTheAvailableEnginesAreShownSideBySide() {
        CommandLineRun run = bench("--bidirectional").succeeds();
        assertTrue(run.out().startsWith("N=3 T=4 C=5 H=6, 2 layers, both directions"), run.out());
        assertTrue(run.out().contains("vector     inference"), run.out());
    }

    @Test
    void cellsWithMoreAreTimedToo() {
        CommandLineRun run =
                bench("--engine", "reference", "--peepholes", "--zoneout", 0.1).succeeds();
        assertTrue(run.out().startsWith("N=3 T=4 C=5 H=6, 2 layers, peepholes, zoneout"), run.out());
        JsonObject line = JsonParser.parseString(bench("--engine", "reference", "--peepholes", "--json")
                        .succeeds()
                        .out()
                        .lines()
                        .findFirst()
                        .orElseThrow())
                .getAsJsonObject();
        assertEquals("[\"peepholes\"]", line.get("features").toString());
    }

    @Test
    void shapesHaveNamesAndNumbersChangeThem() {
        CommandLineRun run = CommandLineRun.of(
                        "bench",
                        "--shape",
                        "single,Text",
                        "--batch",
                        2,
                        "--hidden",
                        8,
                        "--seconds",
                        0.001,
                        "--engine",
                        "vector")
                .succeeds();
        List<String> headers =
                run.out().lines().filter(line -> line.startsWith("N=")).toList();
        assertEquals(2, headers.size(), run.out());
        assertTrue(headers.get(0).startsWith("N=2 T=100 C=128 H=8, 1 layer,"), headers.get(0));
        assertTrue(headers.get(1).startsWith("N=2 T=100 C=64 H=8, 2 layers,"), headers.get(1));
    }

    @Test
    void enginesWithoutThePrecisionAreLeftOutWithTheReason() {
        CommandLineRun run = bench("--engine", "vector", "--precision", "fp16");
        run.failsWith(Main.FAILURE, "FP16", "FP32 only");
    }

    @Test
    void sizesThatNoIndexCountsAreRefused() {
        CommandLineRun.of("bench", "--hidden", 60_000).failsWith(Main.BAD_USAGE, "2147483647", "--hidden");
        CommandLineRun.of("bench", "--batch", 60_000, "--time-steps", 60_000)
                .failsWith(Main.BAD_USAGE, "2147483647", "--batch");
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
            --engine      | abc  | 'abc'
            --engine      | auto | 'auto'
            --hidden      | 0    | [1, 65536] range
            --batch       | -3   | [1, 65536] range
            --time-steps  | 0    | [1, 65536] range
            --layers      | 9999 | [1, 1024] range
            --seconds     | 0    | positive
            --seconds     | NaN  | positive
            --threads     | 0    | [1, 1024] range
            --precision   | half | fp64
            """)
    void wrongOptionsAreRefused(String option, String value, String part) {
        CommandLineRun.of("bench", option, value).failsWith(Main.BAD_USAGE, option, part);
    }
}
