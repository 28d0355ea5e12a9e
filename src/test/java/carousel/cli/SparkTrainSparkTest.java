package carousel.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.spark.LocalCluster;
import carousel.training.Checkpoint;
import carousel.training.RunFolder;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.stream.Stream;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The command on a cluster of executor processes. */
class SparkTrainSparkTest {
    @TempDir
    private Path folder;

    private Object[] command(String... more) throws IOException {
        return Stream.of(Stream.of("spark", "train", "--partitions", "3"), settings(), Stream.of(more))
                .flatMap(words -> words)
                .toArray();
    }

    /** Forty short sequences of two kinds. */
    private Stream<String> settings() throws IOException {
        Path file = Files.createDirectories(folder.resolve("there")).resolve("waves.csv");
        StringBuilder text = new StringBuilder();
        for (int k = 0; k < 40; k++) {
            text.append(k % 2 == 0 ? "slow" : "fast");
            for (int t = 0; t < 6 + k % 3; t++) {
                text.append(String.format(Locale.ROOT, ",%.3f", Math.sin(k + t * (1 + k % 2))));
            }
            text.append('\n');
        }
        Files.writeString(file, text);
        return Stream.of(
                "--task", "sequences", "--label", "first", "--data", file.toString(), "--hidden", "4", "--batch", "8");
    }

    private static double[] parameters(Path run) throws IOException {
        return Checkpoint.read(run.resolve(RunFolder.CHECKPOINT)).checkpoint().parameters();
    }

    @Test
    void aRunOnAnotherFileSystemIsResumedThereToTheSameBits() throws IOException {
        SparkSession session = LocalCluster.open(2);
        Object[] local =
                command("--steps", "11", "--out", folder.resolve("whole").toString());
        Path there = folder.resolve("there");
        session.sparkContext()
                .hadoopConfiguration()
                .set("fs.viewfs.mounttable.carousel.link./runs", there.toUri().toString());
        String place = "viewfs://carousel/runs/a";
        Object[] remote = command("--steps", "8", "--checkpoint-steps", "3", "--out", place);
        // The data is there too.
        for (int k = 0; k < remote.length; k++) {
            remote[k] = remote[k].toString().endsWith(".csv") ? "viewfs://carousel/runs/waves.csv" : remote[k];
        }
        String out = CommandLineRun.of(remote).succeeds().out();
        assertTrue(out.contains("\nRun folder: " + place), out);
        assertTrue(out.contains("\n3 partitions, 2 executors took part: "), out);
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
    void aRunGoesOnWithTheCommandThatMadeIt() throws IOException {
        LocalCluster.open(2);
        String run = folder.resolve("run").toString();
        CommandLineRun.of(command("--steps", "4", "--local-steps", "2", "--out", run))
                .succeeds();
        CommandLineRun.of("train", "--resume", run, "--steps", "6")
                .failsWith(2, "was trained on a cluster: go on with carousel spark train --resume");
        String single = folder.resolve("single").toString();
        CommandLineRun.of(Stream.concat(Stream.of("train", "--steps", "2", "--out", single), settings())
                        .toArray())
                .succeeds();
        CommandLineRun.of("spark", "train", "--resume", single, "--steps", "4")
                .failsWith(2, "was trained on a single machine: go on with carousel train --resume");
        // What a cluster has trained is a model like any other.
        CommandLineRun.of("evaluate", "--model", run).succeeds();
    }

    @Test
    void aRefusedRunLeavesNoFolder() throws IOException {
        LocalCluster.open(2);
        String out = folder.resolve("later").toString();
        CommandLineRun.of(Stream.concat(Stream.of("spark", "train", "--partitions", "9", "--out", out), settings())
                        .toArray())
                .failsWith(1, "the batch of 8 sequences is smaller than the 9 partitions");
        CommandLineRun.of(command("--steps", "1", "--out", out)).succeeds();
        CommandLineRun.of("spark", "train", "--resume", out, "--steps", "2", "--precision", "bf16")
                .failsWith(2, "--precision should be left out");
        CommandLineRun.of(command("--engine", "foo")).failsWith(2, "--engine should be one of");
        // What executors say about their engine comes before there is a folder too.
        String gpu = folder.resolve("gpu").toString();
        CommandLineRun.of(command("--engine", "reference", "--precision", "bf16", "--out", gpu))
                .failsWith(1, "the reference engine computes in FP64 only but got BF16");
        CommandLineRun.of(command("--engine", "cudnn", "--out", gpu))
                .failsWith(1, "needs a GPU but Spark gave the task none");
        CommandLineRun.of(command("--engine", "vector", "--steps", "1", "--out", gpu))
                .succeeds();
    }

    @Test
    void whatCannotBeDoneIsSaidInASentence() throws IOException {
        LocalCluster.open(2);
        CommandLineRun.of(Stream.concat(
                                Stream.of("spark", "train", "--partitions", "9", "--out", folder + "/small"),
                                settings())
                        .toArray())
                .failsWith(1, "the batch of 8 sequences is smaller than the 9 partitions that share it:");
        CommandLineRun.of("spark", "train", "--task", "adding", "--out", folder.resolve("adding"))
                .failsWith(1, "--task adding makes or reads its sequences one batch after another");
        CommandLineRun.of(command(
                        "--outer-rate", "0.7", "--out", folder.resolve("outer").toString()))
                .failsWith(2, "act on averages after local steps");
        CommandLineRun.of("spark", "train", "--partitions", "0").failsWith(2, "--partitions should be in the [1, ");
        CommandLineRun.of("spark", "train", "--threads", "2").failsWith(2, "spark.task.cpus");
        CommandLineRun.of(command(
                        "--precision", "fp16", "--out", folder.resolve("half").toString()))
                .failsWith(1, "fp16");
        CommandLineRun.of(command(
                        "--engine", "fused", "--out", folder.resolve("gpu").toString()))
                .failsWith(1, "needs a GPU but Spark gave the task none");
    }
}
