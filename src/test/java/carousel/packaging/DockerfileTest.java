package carousel.packaging;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.FileSystems;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.PathMatcher;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** What can be said about the images without an engine that builds them. */
class DockerfileTest {
    private static final Pattern FROM = Pattern.compile("(\\S+)(?:\\s+AS\\s+(\\S+))?");
    private static final List<String> RUNTIMES = List.of("cpu", "cuda");

    /** An instruction and what it is about, its lines put together. */
    private record Instruction(String name, String text) {}

    /** The instructions of each stage, by its name; the first of them is FROM. */
    private static final Map<String, List<Instruction>> STAGES = new LinkedHashMap<>();

    @BeforeAll
    static void read() throws IOException {
        List<Instruction> stage = List.of();
        StringBuilder whole = new StringBuilder();
        for (String line : Files.readAllLines(Path.of("Dockerfile"))) {
            if (line.isBlank() || line.startsWith("#")) {
                continue;
            }
            boolean goesOn = line.endsWith("\\");
            whole.append(goesOn ? line.substring(0, line.length() - 1) : line).append(' ');
            if (goesOn) {
                continue;
            }
            String[] parts = whole.toString().strip().split("\\s+", 2);
            whole.setLength(0);
            Instruction instruction = new Instruction(parts[0], parts[1].strip().replaceAll("\\s+", " "));
            if (instruction.name().equals("FROM")) {
                Matcher from = FROM.matcher(instruction.text());
                assertTrue(from.matches() && from.group(2) != null, () -> "a stage without a name: " + instruction);
                stage = new ArrayList<>();
                STAGES.put(from.group(2), stage);
            }
            stage.add(instruction);
        }
    }

    private static List<String> all(String stage, String instruction) {
        return STAGES.get(stage).stream()
                .filter(line -> line.name().equals(instruction))
                .map(Instruction::text)
                .toList();
    }

    private static String only(String stage, String instruction) {
        List<String> found = all(stage, instruction);
        assertEquals(1, found.size(), stage + " should have one " + instruction + ": " + found);
        return found.get(0);
    }

    @Test
    void theImageForGpusIsTheDefault() {
        assertEquals(List.of("build", "cpu", "spark", "spark-cuda", "cuda"), List.copyOf(STAGES.keySet()));
    }

    @Test
    void basesAreOfOneVersion() {
        STAGES.forEach((name, stage) -> {
            String image = stage.get(0).text().split(" ")[0];
            if (STAGES.containsKey(image)) {
                return;
            }
            assertTrue(image.matches("[a-z/]+:[\\w.-]*\\d+\\.\\d+[\\w.-]*"), image);
            assertFalse(image.endsWith("latest"), image);
        });
        assertTrue(STAGES.get("cuda").get(0).text().contains("nvidia/cuda:12.6")
                && STAGES.get("cuda").get(0).text().contains("cudnn-runtime"));
    }

    @Test
    void theProgramIsNotRootAndGetsSignalsItself() {
        for (String stage : RUNTIMES) {
            assertEquals("10001", only(stage, "USER"));
            assertTrue(all(stage, "RUN").stream().anyMatch(run -> run.contains("useradd --uid 10001")), stage);
            // In the form of a list: a shell between would keep the signals.
            assertEquals("[\"/opt/carousel/bin/carousel\"]", only(stage, "ENTRYPOINT"));
            assertEquals("[\"train\"]", only(stage, "CMD"));
            assertTrue(only(stage, "HEALTHCHECK").endsWith("CMD [\"carousel\", \"doctor\"]"));
            assertEquals("[\"/data\", \"/runs\"]", only(stage, "VOLUME"));
            // What comes after the user was chosen could not be installed by it.
            int user = STAGES.get(stage).indexOf(new Instruction("USER", "10001"));
            assertTrue(STAGES.get(stage).subList(user, STAGES.get(stage).size()).stream()
                    .noneMatch(line -> line.name().equals("RUN")));
        }
    }

    @Test
    void bothImagesAreTheSameButForCuda() {
        List<String> cpu = STAGES.get("cpu").stream().map(Instruction::name).toList();
        List<String> cuda = new ArrayList<>(
                STAGES.get("cuda").stream().map(Instruction::name).toList());
        // The natives of JCuda, which the other one has no use for.
        cuda.remove("COPY");
        assertEquals(cpu, cuda);
        assertTrue(only("cuda", "ENV").contains("LD_LIBRARY_PATH=/opt/natives:"));
        assertTrue(all("cuda", "COPY").contains("--from=build /natives /opt/natives"));
    }

    @Test
    void theImageForSparkIsSparksOwnWithTheJar() {
        List<Instruction> stage = STAGES.get("spark");
        assertTrue(stage.get(0).text().matches("apache/spark:4[\\w.]*-scala2\\.13-java17-ubuntu AS spark"));
        assertEquals(
                "--from=build --chmod=644 /src/target/carousel-spark.jar /opt/carousel/carousel-spark.jar",
                only("spark", "COPY"));
        List<Instruction> withGpus = STAGES.get("spark-cuda");
        assertEquals("spark AS spark-cuda", withGpus.get(0).text());
        String cuda = STAGES.get("cuda").get(0).text().split(" ")[0];
        assertEquals(
                2,
                all("spark-cuda", "COPY").stream()
                        .filter(copy -> copy.startsWith("--from=" + cuda + " "))
                        .count());
        assertTrue(only("spark-cuda", "ENV").contains("LD_LIBRARY_PATH=/opt/natives:/opt/cuda "));
        // Kubernetes calls Spark's entry point, as Spark's user.
        Stream.concat(stage.stream(), withGpus.stream())
                .forEach(line ->
                        assertFalse(List.of("USER", "ENTRYPOINT", "CMD", "RUN").contains(line.name()), line::toString));
    }

    @Test
    void whatIsCopiedIsThereAndNotIgnored() throws IOException {
        List<String> kept = Files.readAllLines(Path.of(".dockerignore")).stream()
                .filter(line -> line.startsWith("!"))
                .map(line -> line.substring(1))
                .toList();
        for (String copy : all("build", "COPY")) {
            String[] parts = copy.split(" ");
            for (String source : Arrays.copyOf(parts, parts.length - 1)) {
                assertTrue(Files.exists(Path.of(source)), source);
                PathMatcher[] matchers = kept.stream()
                        .map(name -> FileSystems.getDefault().getPathMatcher("glob:{" + name + "," + name + "/**}"))
                        .toArray(PathMatcher[]::new);
                assertTrue(
                        Arrays.stream(matchers).anyMatch(matcher -> matcher.matches(Path.of(source))),
                        () -> source + " is left out by .dockerignore");
            }
        }
        for (String stage : RUNTIMES) {
            for (String copy : all(stage, "COPY")) {
                assertTrue(copy.startsWith("--from=build "), copy);
                String source = copy.split(" ")[1];
                boolean made = source.equals("/src/target/carousel")
                        || all("build", "RUN").stream()
                                .anyMatch(run -> run.contains("mkdir " + source) || run.contains("--output " + source));
                assertTrue(made, () -> source + " is made by no step of the build");
            }
        }
    }

    @Test
    void nothingIsFetchedAndRunUnseen() {
        STAGES.forEach((name, stage) -> stage.forEach(line -> {
            assertFalse(line.text().matches(".*(curl|wget)\\b.*"), line::toString);
            assertFalse(line.name().equals("ADD"), line::toString);
        }));
    }
}
