package carousel.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.fixture.AvailableEngines;
import carousel.format.ModelFile;
import carousel.training.RunFolder;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Whole runs on a GPU, beside the same runs on the reference. */
@Tag("gpu")
class CudaTrainingTest {
    /** Parameters drift apart in single precision: a step moves each of them by about the learning rate, 0.01 here. */
    private static final double DRIFT = 2e-3;

    private static final String CUDNN_ALGORITHM = "carousel.cudnn.algorithm";

    @TempDir
    private Path folder;

    @AfterEach
    void restore() {
        System.clearProperty(CUDNN_ALGORITHM);
    }

    private static CommandLineRun train(Path out, String engine, Object... more) {
        Object[] first = {"train", "--engine", engine, "--out", out, "--seed", 7};
        return CommandLineRun.of(
                Stream.concat(Arrays.stream(first), Arrays.stream(more)).toArray());
    }

    private static void assertNear(Path expected, Path actual) throws IOException {
        Map<String, ModelFile.Content> one =
                ModelFile.read(expected.resolve(RunFolder.MODEL)).tensors();
        Map<String, ModelFile.Content> other =
                ModelFile.read(actual.resolve(RunFolder.MODEL)).tensors();
        assertEquals(one.keySet(), other.keySet());
        for (String name : one.keySet()) {
            double[] a = one.get(name).values();
            double[] b = other.get(name).values();
            for (int e = 0; e < a.length; e++) {
                assertEquals(a[e], b[e], DRIFT, name + " at " + e);
            }
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"fused", "cudnn", "gpu"})
    void aRunComesOutAsOnTheReference(String engine) throws IOException {
        AvailableEngines.assume(engine);
        Object[] stack = {
            "--task",
            "adding",
            "--time-steps",
            9,
            "--hidden",
            11,
            "--batch",
            5,
            "--layers",
            2,
            "--dropout",
            0.2,
            "--bidirectional",
            "--clip",
            1,
            "--learning-rate",
            0.01,
            "--steps",
            20
        };
        Path expected = folder.resolve("reference");
        train(expected, "reference", stack).succeeds();
        Path actual = folder.resolve(engine);
        train(actual, engine, stack).succeeds();
        assertNear(expected, actual);
    }

    @ParameterizedTest
    @ValueSource(strings = {"fused", "cudnn"})
    void picturesAreLearnedInEveryRecipe(String engine) throws IOException {
        AvailableEngines.assume(engine);
        for (String preset : new String[] {"keras", "tensorflow"}) {
            Path out = folder.resolve(engine + "-" + preset);
            CommandLineRun run = train(
                            out,
                            engine,
                            "--task",
                            "digits",
                            "--preset",
                            preset,
                            "--hidden",
                            16,
                            "--batch",
                            8,
                            "--steps",
                            3)
                    .succeeds();
            assertTrue(run.out().contains("Testing Accuracy: "), run.out());
            Path expected = folder.resolve(preset);
            train(
                            expected,
                            "vector",
                            "--task",
                            "digits",
                            "--preset",
                            preset,
                            "--hidden",
                            16,
                            "--batch",
                            8,
                            "--steps",
                            3)
                    .succeeds();
            assertNear(expected, out);
        }
    }

    /** Sums have a fixed order, so that a run that was stopped ends with the same bits as one that was not. */
    @ParameterizedTest
    @CsvSource({"fused, fp32", "cudnn, fp32", "fused, tf32", "fused, bf16", "fused, fp16", "cudnn, fp16"})
    void aResumedRunEndsWithTheSameBits(String engine, String precision) throws IOException {
        AvailableEngines.assume(engine);
        // Each run would measure by itself which of cuDNN's algorithms is the fastest.
        System.setProperty(CUDNN_ALGORITHM, "standard");
        Object[] stack = {
            "--precision",
            precision,
            "--task",
            "adding",
            "--time-steps",
            6,
            "--hidden",
            7,
            "--batch",
            4,
            "--layers",
            2,
            "--dropout",
            0.3
        };
        Path whole = folder.resolve("whole");
        train(
                        whole,
                        engine,
                        Stream.concat(Arrays.stream(stack), Stream.of("--steps", 14))
                                .toArray())
                .succeeds();
        Path parts = folder.resolve("parts");
        train(
                        parts,
                        engine,
                        Stream.concat(Arrays.stream(stack), Stream.of("--steps", 6))
                                .toArray())
                .succeeds();
        CommandLineRun.of("train", "--resume", parts, "--engine", engine, "--precision", precision, "--steps", 14)
                .succeeds();
        assertEquals(
                -1,
                Arrays.mismatch(
                        Files.readAllBytes(whole.resolve(RunFolder.MODEL)),
                        Files.readAllBytes(parts.resolve(RunFolder.MODEL))));
    }

    @ParameterizedTest
    @ValueSource(strings = {"fused", "cudnn", "gpu"})
    void doublePrecisionIsTheReferencesOwn(String engine) throws IOException {
        AvailableEngines.assume(engine);
        Object[] stack = {"--task", "adding", "--time-steps", 6, "--hidden", 7, "--batch", 4, "--steps", 5};
        Path expected = folder.resolve("reference");
        train(expected, "reference", stack).succeeds();
        Path actual = folder.resolve(engine);
        train(
                        actual,
                        engine,
                        Stream.concat(Arrays.stream(stack), Stream.of("--precision", "fp64"))
                                .toArray())
                .succeeds();
        double[] a = ModelFile.read(expected.resolve(RunFolder.MODEL))
                .tensors()
                .get("dense.weight")
                .values();
        double[] b = ModelFile.read(actual.resolve(RunFolder.MODEL))
                .tensors()
                .get("dense.weight")
                .values();
        for (int e = 0; e < a.length; e++) {
            assertEquals(a[e], b[e], 1e-7);
        }
    }
}
