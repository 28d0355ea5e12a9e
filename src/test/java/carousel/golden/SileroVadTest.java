package carousel.golden;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import carousel.engine.Engine;
import carousel.format.Imported;
import carousel.format.PyTorchImport;
import carousel.format.SafetensorsFile;
import carousel.layer.LstmSession;
import carousel.layer.Model;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicContainer;
import org.junit.jupiter.api.TestFactory;

/** A trained {@code torch.nn.LSTMCell} out of PyTorch's own file, run for 64 steps as a stream, on every engine. */
class SileroVadTest {
    private static final int STEPS = 64;
    private static final int SIZE = 128;
    private static final float ALLOWED = 1e-5f;

    @TestFactory
    Stream<DynamicContainer> trainedCell() {
        return PublishedData.tests(PublishedData.folder("models"), "", List.of("silero-vad"), SileroVadTest::check);
    }

    private static void check(Engine engine, Path folder) throws IOException {
        Path weights = folder.resolve("silero_vad_16k.safetensors");
        Imported cell = PyTorchImport.read(weights, "lstm_cell");
        Imported whole = PyTorchImport.read(weights, "lstm_cell", "final_conv");
        assertEquals(
                15 - 4,
                cell.mapping().stream().filter(part -> part.target().isEmpty()).count());
        try (SafetensorsFile file = SafetensorsFile.open(folder.resolve("lstm-cell-64-steps.safetensors"));
                SafetensorsFile theirs = SafetensorsFile.open(weights);
                Model model = cell.weights().open(engine);
                Model head = whole.weights().open(engine);
                LstmSession steps = new LstmSession(model, 1);
                LstmSession chunks = new LstmSession(model, 3)) {
            float[] x = file.floats("x");
            float[] h = file.floats("h");
            float[] c = file.floats("c");
            for (int t = 0; t < STEPS; t++) {
                float[] shown = steps.run(new int[] {0}, 1, Arrays.copyOfRange(x, t * SIZE, (t + 1) * SIZE));
                assertArrayEquals(Arrays.copyOfRange(h, t * SIZE, (t + 1) * SIZE), shown, ALLOWED, "h after step " + t);
                double[] state = steps.snapshot(0).values();
                for (int k = 0; k < SIZE; k++) {
                    assertEquals(c[t * SIZE + k], state[SIZE + k], ALLOWED * Math.max(1, Math.abs(c[t * SIZE + k])));
                }
            }
            for (int t = 0; t < STEPS; t += 16) {
                float[] shown = chunks.run(new int[] {2}, 16, Arrays.copyOfRange(x, t * SIZE, (t + 16) * SIZE));
                assertArrayEquals(
                        Arrays.copyOfRange(h, t * SIZE, (t + 16) * SIZE), shown, ALLOWED, "h after step " + t);
            }
            // The convolution of one step is a linear layer; relu lies between it and the cell, so only the weights are
            // compared.
            assertArrayEquals(
                    theirs.doubles("final_conv.weight"), whole.weights().get("dense.weight"));
            assertEquals(1, head.spec().output().features());
        }
    }
}
