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
        return submitAndStop(folder, null, arguments);
    }

    /** @param last the beginning of the line after which the command is told to end; null to let it end by itself */
    private static Ended submitAndStop(Path folder, String last, String... arguments)
            throws IOException, InterruptedException {
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
            long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(MOST_SECONDS);
            while (last != null && !Files.readString(out.toPath()).contains("\n" + last)) {
                assertTrue(process.isAlive() && System.nanoTime() < end, () -> "there is no line " + last);
                Thread.sleep(50);
            }
            if (last != null) {
                process.destroy();
            }
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

    /** On SIGTERM, which Spark would end its context on at once. */
    @Test
    void aRunThatIsToldToEndFinishesItsStep(@TempDir Path folder) throws Exception {
        StringBuilder table = new StringBuilder();
        for (int k = 0; k < 40; k++) {
            table.append(k % 2 == 0 ? "slow" : "fast")
                    .append(",0.5,")
                    .append(k % 7)
                    .append(",0.25\n");
        }
        Files.writeString(folder.resolve("waves.csv"), table);
        Ended told = submitAndStop(
                folder,
                "Step 3/",
                "spark",
                "train",
                "--task",
                "sequences",
                "--label",
                "first",
                "--data",
                "waves.csv",
                "--hidden",
                "4",
                "--batch",
                "8",
                "--partitions",
                "2",
                "--steps",
                "100000",
                "--display-step",
                "1",
                "--checkpoint-steps",
                "100000",
                "--out",
                "run");
        assertEquals(128 + 15, told.code(), told.err());
        assertTrue(told.err().contains("carousel: finishing the step and writing a checkpoint"), told.err());
        long step = Checkpoint.read(folder.resolve("run").resolve(RunFolder.CHECKPOINT))
                .checkpoint()
                .state()
                .step();
        assertTrue(step >= 3, "step " + step);
        assertTrue(told.out().contains("\nStopped after step " + step + " of 100000; go on with: "), told.out());
    }
}
