package carousel.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.spark.LocalCluster;
import carousel.training.Checkpoint;
import carousel.training.RunFolder;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The command on a cluster of executor processes. */
class SparkTrainSparkTest {
    @TempDir
    private Path folder;

    private static Object[] command(String... more) {
        return Stream.of(
                        Stream.of("spark", "train", "--hidden", "6", "--batch", "400", "--partitions", "3"),
                        Stream.of(more))
                .flatMap(words -> words)
                .toArray();
    }

    private static double[] parameters(Path run) throws IOException {
        return Checkpoint.read(run.resolve(RunFolder.CHECKPOINT)).checkpoint().parameters();
    }

    @Test
    void aRunOnAnotherFileSystemIsResumedThereToTheSameBits() throws IOException {
        SparkSession session = LocalCluster.open(2);
        Path there = Files.createDirectories(folder.resolve("there"));
        session.sparkContext()
                .hadoopConfiguration()
                .set("fs.viewfs.mounttable.carousel.link./runs", there.toUri().toString());
        String place = "viewfs://carousel/runs/a";
        String out = CommandLineRun.of(command("--steps", "8", "--checkpoint-steps", "3", "--out", place))
                .succeeds()
                .out();
        assertTrue(out.contains("\nRun folder: " + place), out);
        assertTrue(out.contains("\n3 partitions on 2 executors: "), out);
        Path run = there.resolve("a");
        assertTrue(Files.readString(run.resolve(RunFolder.METRICS)).contains("\"kind\":\"executor\""));
        assertTrue(Files.exists(run.resolve(RunFolder.MODEL)));
        assertTrue(Files.exists(run.resolve(RunFolder.CURVES)));
        try (Stream<Path> files = Files.list(run)) {
            assertTrue(files.noneMatch(file -> file.toString().endsWith(".part")), "a file is left half copied");
        }
        CommandLineRun.of("spark", "train", "--resume", place, "--steps", "11").succeeds();
        CommandLineRun.of(command(
                        "--steps", "11", "--out", folder.resolve("whole").toString()))
                .succeeds();
        assertArrayEquals(parameters(folder.resolve("whole")), parameters(run));
        CommandLineRun.of(command("--steps", "8", "--out", place)).failsWith(1, "'" + place + "' already holds a run");
        CommandLineRun.of("spark", "train", "--resume", place, "--steps", "12", "--partitions", "4")
                .failsWith(2, "--partitions should be 3 as in the run of '" + place + "' but got 4");
        assertEquals(
                11,
                Checkpoint.read(run.resolve(RunFolder.CHECKPOINT))
                        .checkpoint()
                        .state()
                        .step());
    }

    @Test
    void aRunGoesOnWithTheCommandThatMadeIt() {
        LocalCluster.open(2);
        String run = folder.resolve("run").toString();
        CommandLineRun.of(command("--steps", "4", "--local-steps", "2", "--out", run))
                .succeeds();
        CommandLineRun.of("train", "--resume", run, "--steps", "6")
                .failsWith(2, "was trained on a cluster: go on with carousel spark train --resume");
        String single = folder.resolve("single").toString();
        CommandLineRun.of("train", "--hidden", "6", "--batch", "400", "--steps", "2", "--out", single)
                .succeeds();
        CommandLineRun.of("spark", "train", "--resume", single, "--steps", "4")
                .failsWith(2, "was trained on a single machine: go on with carousel train --resume");
        // What a cluster has trained is a model like any other.
        CommandLineRun.of("evaluate", "--model", run).succeeds();
    }

    @Test
    void whatCannotBeDoneIsSaidInASentence() {
        LocalCluster.open(2);
        CommandLineRun.of("spark", "train", "--batch", "2", "--partitions", "4", "--out", folder.resolve("small"))
                .failsWith(1, "the batch of 2 sequences is smaller than the 4 partitions that share it:");
        CommandLineRun.of("spark", "train", "--task", "adding", "--out", folder.resolve("adding"))
                .failsWith(1, "--task adding makes or reads its sequences one batch after another");
        CommandLineRun.of("spark", "train", "--outer-rate", "0.7", "--out", folder.resolve("outer"))
                .failsWith(2, "act on averages after local steps");
        CommandLineRun.of("spark", "train", "--partitions", "0").failsWith(2, "--partitions should be in the [1, ");
        CommandLineRun.of("spark", "train", "--threads", "2").failsWith(2, "spark.task.cpus");
        CommandLineRun.of("spark", "train", "--precision", "fp16", "--out", folder.resolve("half"))
                .failsWith(1, "fp16");
        CommandLineRun.of("spark", "train", "--engine", "fused", "--hidden", "4", "--out", folder.resolve("gpu"))
                .failsWith(1, "needs a GPU but Spark gave the task none");
        assertFalse(Files.exists(Path.of("runs", "small")));
    }
}
