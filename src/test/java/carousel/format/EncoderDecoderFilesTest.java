package carousel.format;

import static carousel.fixture.Refusals.assertRefused;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import carousel.engine.Engine;
import carousel.engine.Engines;
import carousel.format.keras.KerasExport;
import carousel.format.onnx.OnnxExport;
import carousel.layer.Dense;
import carousel.layer.Embedding;
import carousel.layer.Form;
import carousel.layer.Lstm;
import carousel.layer.Model;
import carousel.layer.ModelSpec;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Our own files hold every model; those of other programs have no place for two parts, or for a state that is learned. */
class EncoderDecoderFilesTest {
    private static final Lstm LSTM = Lstm.of(3).withLayers(2);

    private static final ModelSpec BOTH = ModelSpec.encoderDecoder(
            ModelSpec.of(Form.tokens(5), Embedding.of(2), LSTM.withLearnedInitialState(true)),
            ModelSpec.of(Form.tokens(4), Embedding.of(2), LSTM.withReturnSequences(true), Dense.of(4)));

    private static final ModelSpec LEARNED =
            ModelSpec.of(Form.sequence(2), LSTM.withLearnedInitialState(true), Dense.of(2));

    @ParameterizedTest
    @ValueSource(strings = {"reference", "vector"})
    void modelFilesHoldThem(String name, @TempDir Path folder) throws Exception {
        Path file = folder.resolve("model.safetensors");
        for (ModelSpec spec : new ModelSpec[] {BOTH, LEARNED}) {
            try (Engine engine = Engines.open(name);
                    Model model = Model.create(engine, spec, 1)) {
                double[] parameters = model.readParameters();
                // The learned states are zeros before a training.
                model.views().stream()
                        .filter(view -> view.name().contains(".h_0"))
                        .forEach(view -> parameters[(int) view.offset()] = 0.5);
                model.writeParameters(parameters);
                ModelFile.write(file, model, Map.of());
                ModelFile read = ModelFile.read(file);
                assertEquals(spec, read.spec());
                try (Model again = read.open(engine)) {
                    assertArrayEquals(model.readParameters(), again.readParameters());
                }
            }
        }
    }

    @Test
    void otherProgramsFilesDoNot(@TempDir Path folder) throws Exception {
        try (Engine engine = Engines.open("vector");
                Model both = Model.create(engine, BOTH, 1);
                Model learned = Model.create(engine, LEARNED, 1)) {
            refuse(ModelWeights.of(both), folder, "encoder");
            refuse(ModelWeights.of(learned), folder, "from zeros");
        }
        assertFalse(Files.list(folder).findAny().isPresent(), "nothing is left behind");
    }

    private static void refuse(ModelWeights weights, Path folder, String reason) {
        Path keras = folder.resolve("model.keras");
        Path onnx = folder.resolve("model.onnx");
        Path torch = folder.resolve("model.safetensors");
        assertRefused(FormatException.class, () -> KerasExport.write(keras, weights), reason);
        assertRefused(
                IllegalArgumentException.class, () -> OnnxExport.write(onnx, weights, Map.of()), reason, "safetensors");
        assertRefused(
                IllegalArgumentException.class,
                () -> PyTorchExport.write(torch, weights, Dtype.F32, false),
                reason.replace("encoder", "encoder-decoder"),
                "model file");
    }
}
