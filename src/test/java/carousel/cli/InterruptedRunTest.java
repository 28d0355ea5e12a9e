package carousel.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.engine.RandomSequence;
import carousel.format.JsonLines;
import carousel.format.ModelFile;
import carousel.training.Checkpoint;
import carousel.training.RunFolder;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Training in a process of its own, which is killed or asked to stop. */
class InterruptedRunTest {
    private static final int KILLS = 20;
    private static final long ENDLESS = 1_000_000_000L;
    private static final int PATIENCE_SECONDS = 60;

    @TempDir
    private Path folder;

    private int processes;

    private Process start(Object... arguments) throws IOException {
        List<String> command = new ArrayList<>(List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-XX:TieredStopAtLevel=1",
                "-Xmx256m",
                "-Djava.awt.headless=true",
                "-cp",
                System.getProperty("java.class.path"),
                "carousel.cli.Main",
                "train"));
        for (Object argument : arguments) {
            command.add(argument.toString());
        }
        return new ProcessBuilder(command)
                .redirectErrorStream(true)
                .redirectOutput(log(processes++).toFile())
                .start();
    }

    private Path log(int process) {
        return folder.resolve("log-" + process);
    }

    private Process fresh(Path run, long steps) throws IOException {
        return start(
                "--task",
                "adding",
                "--time-steps",
                5,
                "--hidden",
                4,
                "--batch",
                4,
                "--layers",
                2,
                "--dropout",
                0.3,
                "--checkpoint-steps",
                7,
                "--display-step",
                5,
                "--steps",
                steps,
                "--out",
                run);
    }

    private Process resumed(Path run, long steps) throws IOException {
        return start("--resume", run, "--steps", steps, "--checkpoint-steps", 7, "--display-step", 5);
    }

    private static long savedStep(Path run) throws IOException {
        return Checkpoint.read(run.resolve(RunFolder.CHECKPOINT))
                .checkpoint()
                .state()
                .step();
    }

    /** Waits until the run has got past a step. */
    private void awaitStep(Process process, Path run, long step) throws Exception {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(PATIENCE_SECONDS);
        while (!Files.exists(run.resolve(RunFolder.CHECKPOINT)) || savedStep(run) <= step) {
            assertTrue(process.isAlive(), () -> "the run ended by itself: " + lastLog());
            assertTrue(System.nanoTime() < deadline, () -> "no checkpoint came: " + lastLog());
            Thread.sleep(5);
        }
    }

    private String lastLog() {
        try {
            return Files.readString(log(processes - 1));
        } catch (IOException e) {
            return e.toString();
        }
    }

    private static void awaitEnd(Process process) throws InterruptedException {
        if (!process.waitFor(PATIENCE_SECONDS, TimeUnit.SECONDS)) {
            process.destroyForcibly();
            throw new AssertionError("the process hangs");
        }
    }

    @Test
    void aKillAtAnyMomentLosesNothingButTheStepsSinceTheLastCheckpoint() throws Exception {
        RandomSequence random = new RandomSequence(20, 0, 0);
        Path run = folder.resolve("killed");
        long reached = -1;
        for (int kill = 0; kill < KILLS; kill++) {
            Process process = kill == 0 ? fresh(run, ENDLESS) : resumed(run, ENDLESS);
            awaitStep(process, run, reached);
            // From right after a checkpoint to in the middle of one some steps later.
            Thread.sleep(random.nextInt(60));
            process.destroyForcibly();
            awaitEnd(process);
            long saved = savedStep(run);
            assertTrue(saved > reached, () -> "the checkpoint fell back to step " + saved);
            assertEquals(0, saved % 7);
            ModelFile.read(run.resolve(RunFolder.MODEL));
            reached = saved;
        }
        long end = reached + 10;
        Process last = resumed(run, end);
        awaitEnd(last);
        assertEquals(0, last.exitValue(), this::lastLog);
        Path whole = folder.resolve("whole");
        Process uninterrupted = fresh(whole, end);
        awaitEnd(uninterrupted);
        assertEquals(0, uninterrupted.exitValue(), this::lastLog);
        assertSameRun(whole, run);
        try (var files = Files.list(run)) {
            assertEquals(
                    0,
                    files.filter(file -> file.toString().endsWith(".tmp")).count(),
                    "temporary files are cleared away");
        }
    }

    private static void assertSameRun(Path whole, Path run) throws IOException {
        Checkpoint expected =
                Checkpoint.read(whole.resolve(RunFolder.CHECKPOINT)).checkpoint();
        Checkpoint actual = Checkpoint.read(run.resolve(RunFolder.CHECKPOINT)).checkpoint();
        assertEquals(expected.state().step(), actual.state().step());
        assertArrayEquals(expected.parameters(), actual.parameters());
        assertArrayEquals(expected.firstMoment(), actual.firstMoment());
        assertArrayEquals(expected.secondMoment(), actual.secondMoment());
        assertEquals(metrics(whole), metrics(run));
        var expectedModel = ModelFile.read(whole.resolve(RunFolder.MODEL)).tensors();
        var actualModel = ModelFile.read(run.resolve(RunFolder.MODEL)).tensors();
        assertEquals(expectedModel.keySet(), actualModel.keySet());
        expectedModel.forEach((name, tensor) ->
                assertArrayEquals(tensor.values(), actualModel.get(name).values(), name));
    }

    /** Steps and losses of the metrics; not the times. */
    private static List<String> metrics(Path run) throws IOException {
        return JsonLines.read(run.resolve(RunFolder.METRICS)).stream()
                .map(line -> line.get("step") + " " + line.get("kind") + " " + line.get("loss") + " "
                        + line.get("validationLoss"))
                .toList();
    }

    @Test
    void aRequestToTerminateFinishesTheStepAndWritesACheckpoint() throws Exception {
        Path run = folder.resolve("terminated");
        Process process = fresh(run, ENDLESS);
        awaitStep(process, run, 0);
        process.destroy();
        awaitEnd(process);
        assertEquals(128 + 15, process.exitValue(), this::lastLog);
        String printed = lastLog();
        assertFalse(printed.contains("Exception"), printed);
        long saved = savedStep(run);
        assertTrue(printed.contains("Stopped after step " + saved + " of " + ENDLESS), printed);
        assertTrue(printed.contains("--resume " + run), printed);
        Process last = resumed(run, saved + 10);
        awaitEnd(last);
        assertEquals(0, last.exitValue(), this::lastLog);
        Path whole = folder.resolve("whole");
        Process uninterrupted = fresh(whole, saved + 10);
        awaitEnd(uninterrupted);
        assertSameRun(whole, run);
    }
}
