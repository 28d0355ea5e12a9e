package carousel.spark;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.format.ModelFile;
import carousel.training.Checkpoint;
import carousel.training.RunFolder;
import java.io.File;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * The jar as users give it to {@code spark-submit}: Spark's own jars come first, and ours is alone. Without executor processes of their
 * own; those have tests beside this one.
 */
class SparkSubmitSparkTest {
    private static final long MOST_SECONDS = 300;
    private static final String JAR = System.getProperty("carousel.spark.jar", "target/carousel-spark.jar");

    private record Ended(int code, String out, String err) {}

    @BeforeAll
    static void theJarIsThere() {
        assertTrue(Files.exists(Path.of(JAR)), JAR + " is made by mvn package");
        LocalCluster.makeHome();
    }

    /** What {@code bin/spark-submit} does: its launcher starts this class with these options. */
    private static Ended submit(Path folder, String... arguments) throws IOException, InterruptedException {
        List<String> command = new ArrayList<>();
        command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
        ManagementFactory.getRuntimeMXBean().getInputArguments().stream()
                .filter(option -> option.startsWith("--add-"))
                .forEach(command::add);
        command.addAll(List.of(
                "-Xmx1g",
                "-Djava.awt.headless=true",
                "-cp",
                LocalCluster.home().resolve("jars") + File.separator + "*",
                "org.apache.spark.deploy.SparkSubmit",
                "--master",
                "local[2]",
                "--conf",
                "spark.ui.enabled=false",
                "--class",
                "carousel.cli.Main",
                Path.of(JAR).toAbsolutePath().toString()));
        command.addAll(List.of(arguments));
        File out = Files.createTempFile(folder, "out", ".txt").toFile();
        File err = Files.createTempFile(folder, "err", ".txt").toFile();
        Process process = new ProcessBuilder(command)
                .directory(folder.toFile())
                .redirectOutput(out)
                .redirectError(err)
                .start();
        try {
            assertTrue(process.waitFor(MOST_SECONDS, TimeUnit.SECONDS), "the command does not end");
        } finally {
            process.destroyForcibly();
        }
        return new Ended(
                process.exitValue(),
                Files.readString(out.toPath(), StandardCharsets.UTF_8),
                Files.readString(err.toPath(), StandardCharsets.UTF_8));
    }

    @Test
    void aRunIsTrainedByTheJarAlone(@TempDir Path folder) throws Exception {
        Ended trained = submit(
                folder,
                "spark",
                "train",
                "--task",
                "digits",
                "--hidden",
                "8",
                "--batch",
                "500",
                "--steps",
                "12",
                "--partitions",
                "3",
                "--local-steps",
                "5",
                "--display-step",
                "4",
                "--out",
                "run");
        assertEquals(0, trained.code(), trained.err());
        assertTrue(trained.out().contains("11000 of drawn digits, training: 12 steps of 500 sequences"), trained.out());
        // Steps are taken by fives, and what is due within them comes after them.
        assertTrue(trained.out().contains("\nStep 5/12 - "), trained.out());
        assertTrue(trained.out().contains("\nStep 10/12 - "), trained.out());
        assertTrue(trained.out().contains("\n3 partitions, 1 executors took part: "), trained.out());
        assertTrue(trained.out().contains("\nExecutor driver on vector (FP32, 1 thread"), trained.out());
        assertTrue(trained.out().contains("\nTesting Accuracy: 0."), trained.out());
        Path run = folder.resolve("run");
        assertTrue(Files.readString(run.resolve(RunFolder.METRICS)).contains("\"kind\":\"executor\""));
        assertEquals(
                12,
                Checkpoint.read(run.resolve(RunFolder.CHECKPOINT))
                        .checkpoint()
                        .state()
                        .step());
        ModelFile.read(run.resolve(RunFolder.MODEL));
    }
}
