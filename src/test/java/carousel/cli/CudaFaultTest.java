package carousel.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.fixture.AvailableEngines;
import carousel.fixture.Property;
import carousel.fixture.StandIn;
import carousel.fixture.StandIn.Count;
import carousel.fixture.StandIn.Kind;
import carousel.training.Checkpoint;
import carousel.training.RunFolder;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/**
 * Every call to CUDA's libraries fails once, in a run that has a checkpoint: the run ends with one sentence, gives everything back, and
 * leaves a checkpoint from which it can go on.
 */
@Timeout(value = 10, unit = TimeUnit.MINUTES)
class CudaFaultTest {
    /** In the middle of a long loop of like calls, not each of them is tried. */
    private static final int EACH_UP_TO = 16;
    /** Of what opens and closes an engine, no call is like another. */
    private static final int EACH_OTHER_UP_TO = 30;
    /** Past those, so many times further on each time. */
    private static final double GROWTH = 2;
    /** Of so many runs that failed, one is resumed: it takes as long as the failure. */
    private static final int RESUMED = 6;
    /** As cuDNN 9 numbers it. */
    private static final long DNN_NOT_SUPPORTED = 3000;

    @TempDir
    private Path folder;

    private Optional<StandIn> standIn = Optional.empty();

    @AfterEach
    void heal() {
        standIn.ifPresent(faults -> {
            faults.heal();
            faults.dnnStatus(0);
        });
    }

    private static CommandLineRun train(Path out, String engine, double dropout, Object... more) {
        Object[] first = {
            "train",
            "--task",
            "adding",
            "--time-steps",
            3,
            "--hidden",
            5,
            "--batch",
            4,
            "--layers",
            2,
            "--dropout",
            dropout,
            "--clip",
            1,
            "--checkpoint-steps",
            2,
            "--display-step",
            3,
            "--engine",
            engine,
            "--out",
            out
        };
        return CommandLineRun.of(
                Stream.concat(Arrays.stream(first), Arrays.stream(more)).toArray());
    }

    private static CommandLineRun resume(Path out, String engine, int steps) {
        return CommandLineRun.of("train", "--resume", out, "--engine", engine, "--steps", steps);
    }

    @TestFactory
    Stream<DynamicTest> everyCallFailsOnce() {
        Stream<DynamicTest> failures = Stream.of("fused", "cudnn")
                .flatMap(engine -> Stream.of(Kind.values())
                        .filter(kind -> kind != Kind.WAIT && (kind != Kind.CUDNN || engine.equals("cudnn")))
                        .map(kind ->
                                DynamicTest.dynamicTest(engine + ", " + kind, () -> failEach(engine, kind, 0, 0.3))));
        // One kernel for all steps, from a module that is loaded when it is needed, and layers side by side.
        Stream<DynamicTest> resident = Stream.of(DynamicTest.dynamicTest(
                "fused, resident, " + Kind.OTHER,
                () -> Property.with(
                        "carousel.fused.path",
                        "resident",
                        () -> Property.with("carousel.fused.wavefront", "2", () -> {
                            failEach("fused", Kind.OTHER, 0, 0);
                            return null;
                        }))));
        // Two engines on the device of a third, that is, everything that is opened and closed twice.
        Stream<DynamicTest> guests = Stream.of(DynamicTest.dynamicTest(
                "gpu, " + Kind.OTHER,
                () -> Property.with("carousel.gpu.engine", "cudnn", () -> {
                    failEach("gpu", Kind.OTHER, 0, 0);
                    return null;
                })));
        failures = Stream.of(failures, resident, guests).flatMap(tests -> tests);
        // An algorithm that is not supported drops out; where the last is refused, or one that has been chosen is, the
        // run ends.
        return Stream.concat(
                failures,
                Stream.of(DynamicTest.dynamicTest(
                        "cudnn, not supported", () -> failEach("cudnn", Kind.CUDNN, DNN_NOT_SUPPORTED, 0.3))));
    }

    private void failEach(String engine, Kind kind, long dnnStatus, double dropout) {
        try {
            failEachOf(engine, kind, dnnStatus, dropout);
        } catch (IOException failure) {
            throw new UncheckedIOException(failure);
        }
    }

    private void failEachOf(String engine, Kind kind, long dnnStatus, double dropout) throws IOException {
        AvailableEngines.assume(engine);
        standIn = StandIn.find();
        Assumptions.assumeTrue(standIn.isPresent(), "real libraries cannot be told to fail");
        StandIn faults = standIn.get();
        faults.dnnStatus(dnnStatus);
        Path begun = Files.createTempDirectory(folder, "begun-").resolve("run");
        train(begun, engine, dropout, "--steps", 4).succeeds();
        assertEquals(4, step(begun));
        Path whole = copy(begun, "whole");
        resume(whole, engine, 8).succeeds();
        byte[] expected = Files.readAllBytes(whole.resolve(RunFolder.MODEL));
        String held = faults.held();
        long misuse = faults.count(Count.MISUSE);

        int tried = 0;
        List<String> sentences = new ArrayList<>();
        int each = kind == Kind.OTHER ? EACH_OTHER_UP_TO : EACH_UP_TO;
        for (double next = 1; ; next = next < each ? next + 1 : next * GROWTH) {
            long k = (long) next;
            Path run = copy(begun, "run-" + k);
            faults.fail(kind, k);
            CommandLineRun failed = resume(run, engine, 8);
            boolean delivered = faults.count(Count.FAILURES) > 0;
            faults.heal();
            assertEquals(held, faults.held(), () -> "held after failure " + k + " of " + kind + ": " + failed);
            if (!delivered) {
                failed.succeeds();
                break;
            }
            tried++;
            long reached = step(run);
            if (failed.code() != 0) {
                failed.failsWith(Main.FAILURE);
                sentences.add(failed.err());
                assertTrue(reached >= 4 && reached <= 8, "the checkpoint is of step " + reached);
                if (tried % RESUMED == 0) {
                    resume(run, engine, 8).succeeds();
                }
            }
            // A failure that is survived, as of a graph that cannot be made, must not show in the result.
            if (failed.code() == 0 || tried % RESUMED == 0) {
                assertEquals(
                        -1,
                        Arrays.mismatch(expected, Files.readAllBytes(run.resolve(RunFolder.MODEL))),
                        () -> "the model after failure " + k + " of " + kind);
            }
            delete(run);
        }
        assertTrue(tried > 0, "no call of " + kind + " was made");
        assertTrue(
                kind == Kind.OTHER || !sentences.isEmpty(),
                "none of " + tried + " failures of " + kind + " was reported");
        assertEquals(misuse, faults.count(Count.MISUSE), "misuse found by the stand-ins: their lines are above");
    }

    private static long step(Path run) throws IOException {
        return Checkpoint.read(run.resolve(RunFolder.CHECKPOINT))
                .checkpoint()
                .state()
                .step();
    }

    private Path copy(Path run, String name) throws IOException {
        Path copy = Files.createDirectory(run.resolveSibling(run.getFileName() + "-" + name));
        try (Stream<Path> files = Files.list(run)) {
            for (Path file : files.toList()) {
                Files.copy(file, copy.resolve(file.getFileName()));
            }
        }
        return copy;
    }

    private static void delete(Path run) throws IOException {
        try (Stream<Path> files = Files.list(run)) {
            for (Path file : files.toList()) {
                Files.delete(file);
            }
        }
        Files.delete(run);
    }
}
