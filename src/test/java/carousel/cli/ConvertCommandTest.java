package carousel.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.engine.Direction;
import carousel.engine.Engine;
import carousel.engine.Engines;
import carousel.engine.LstmSpec;
import carousel.engine.RandomSequence;
import carousel.format.Dtype;
import carousel.format.ModelFile;
import carousel.format.ModelWeights;
import carousel.format.SafetensorsFile;
import carousel.format.SafetensorsWriter;
import carousel.layer.Dense;
import carousel.layer.Embedding;
import carousel.layer.Form;
import carousel.layer.Lstm;
import carousel.layer.Model;
import carousel.layer.ModelSpec;
import carousel.tensor.Shape;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** {@code convert}: a model that has been through every format is the same model. */
class ConvertCommandTest {
    @TempDir
    private Path folder;

    private static Stream<ModelSpec> models() {
        return Stream.of(
                ModelSpec.of(Form.sequence(3), Lstm.of(7), Dense.of(2)),
                ModelSpec.of(
                        Form.sequence(4),
                        Lstm.of(LstmSpec.of(1, 5).withLayers(2).withDirection(Direction.BIDIRECTIONAL)),
                        Dense.of(3)),
                ModelSpec.of(Form.tokens(9), Embedding.of(4), Lstm.of(6).withReturnSequences(true), Dense.of(9)),
                ModelSpec.of(Form.sequence(2), Lstm.of(LstmSpec.of(1, 4).withBias(false))));
    }

    private Path write(ModelSpec spec) throws IOException {
        Path path = folder.resolve("model.safetensors");
        try (Engine engine = Engines.open("vector");
                Model model = Model.create(engine, spec, 5)) {
            double[] values = model.readParameters();
            RandomSequence random = new RandomSequence(6, 0, 0);
            model.views().forEach(view -> {
                for (int e = (int) view.offset(); e < view.end(); e++) {
                    values[e] = random.nextGaussian();
                }
            });
            model.writeParameters(values);
            ModelFile.write(path, model, Map.of());
        }
        return path;
    }

    @ParameterizedTest
    @MethodSource("models")
    void everyFormatKeepsEveryWeight(ModelSpec spec) throws IOException {
        Path first = write(spec);
        Path from = first;
        // Every format is read and written, and none twice in the same way.
        for (String name : new String[] {"a.onnx", "b.keras", "c.onnx", "d.safetensors", "e.keras", "f.safetensors"}) {
            Path to = folder.resolve(name);
            CommandLineRun run = CommandLineRun.of("convert", from, to).succeeds();
            assertTrue(run.out().contains(from + " -> " + to), run.out());
            from = to;
        }
        ModelFile last = ModelFile.read(from);
        assertEquals(spec.output(), last.spec().output());
        // Keras has no stacks: theirs come back as layers of their own, in the same order.
        List<double[]> before = inOrder(ModelFile.read(first).weights());
        List<double[]> after = inOrder(last.weights());
        assertEquals(before.size(), after.size());
        for (int k = 0; k < before.size(); k++) {
            assertArrayEquals(before.get(k), after.get(k));
        }
    }

    private static List<double[]> inOrder(ModelWeights weights) {
        return Model.views(weights.spec()).stream()
                .map(view -> weights.get(view.name()))
                .toList();
    }

    @Test
    void theSummarySaysWhatBecameOfEachPart() throws IOException {
        Path from = write(ModelSpec.of(Form.sequence(3), Lstm.of(7), Dense.of(2)));
        Path to = folder.resolve("model.onnx");
        CommandLineRun written = CommandLineRun.of("convert", from, to).succeeds();
        assertTrue(written.out().contains("Written to " + to), written.out());
        assertTrue(written.out().contains("(LSTM)"), written.out());
        CommandLineRun text = CommandLineRun.of("convert", to, folder.resolve("back.safetensors"))
                .succeeds();
        assertTrue(text.out().contains("gates i o f c reordered to i f g o"), text.out());
        assertTrue(text.out().contains("(time, batch, 3) -> LSTM(7) -> Dense(2) -> (batch, 2)"), text.out());
        JsonObject json = JsonParser.parseString(
                        CommandLineRun.of("convert", to, folder.resolve("back.safetensors"), "--overwrite", "--json")
                                .succeeds()
                                .out())
                .getAsJsonObject();
        assertEquals(4 * 7 * (3 + 7 + 1) + 2 * 8, json.get("parameters").getAsInt());
        assertTrue(json.getAsJsonArray("mapping").size() >= 2);
    }

    @Test
    void aTrainedRunIsAModelAndStaysOneInItsOwnFormat() throws IOException {
        Path run = folder.resolve("run");
        CommandLineRun.of("train", "--task", "adding", "--time-steps", 5, "--hidden", 4, "--steps", 5, "--out", run)
                .succeeds();
        Path half = folder.resolve("half.safetensors");
        CommandLineRun.of("convert", run, half, "--dtype", "bf16").succeeds();
        try (SafetensorsFile file = SafetensorsFile.open(half)) {
            assertEquals(Dtype.BF16, file.tensor("lstm.weight_hh_l0").dtype());
        }
        CommandLineRun.of("evaluate", "--model", half).succeeds();
        Path onnx = folder.resolve("run.onnx");
        String summary =
                CommandLineRun.of("convert", run, onnx, "--lengths").succeeds().out();
        assertTrue(Files.size(onnx) > 100);
        // What the numbers mean does not go along.
        assertTrue(summary.contains("metadata carousel.run   ->  - (left out"), summary);
        assertFalse(CommandLineRun.of("convert", run, folder.resolve("own.safetensors"))
                .succeeds()
                .out()
                .contains("left out"));
    }

    @Test
    void modulesOfPyTorchAreNamedInOrder() throws IOException {
        Path torch = folder.resolve("torch.safetensors");
        new SafetensorsWriter()
                .tensor("rnn.weight_ih_l0", Shape.of(8, 3), new float[24])
                .tensor("rnn.weight_hh_l0", Shape.of(8, 2), new float[16])
                .tensor("norm.weight", Shape.of(2), new float[2])
                .tensor("head.weight", Shape.of(4, 2), new float[8])
                .writeTo(torch);
        Path to = folder.resolve("out.safetensors");
        CommandLineRun.of("convert", torch, to)
                .failsWith(Main.FAILURE, "'norm.weight' [2] belongs to no", "'head', 'rnn'");
        assertFalse(Files.exists(to), "nothing is left behind");
        CommandLineRun run = CommandLineRun.of("convert", torch, to, "--modules", "rnn,last,head")
                .succeeds();
        assertTrue(run.out().contains("norm.weight       ->  - (left out)"), run.out());
        assertEquals(Form.vector(4), ModelFile.read(to).spec().output());
        CommandLineRun.of("convert", torch, to, "--modules", "rnn,tail", "--overwrite")
                .failsWith(Main.BAD_USAGE, "but got 'tail'");
    }

    @Test
    void whatCannotBeConvertedIsRefused() throws IOException {
        Path from =
                write(ModelSpec.of(Form.sequence(3), Lstm.of(LstmSpec.of(1, 7).withCellClip(3))));
        Path onnx = folder.resolve("x.onnx");
        CommandLineRun.of("convert", from, onnx).failsWith(Main.BAD_USAGE, "clip");
        CommandLineRun.of("convert", from, folder.resolve("x.keras"))
                .failsWith(Main.FAILURE, "limit of the cell state");
        assertFalse(Files.exists(onnx));
        Path to = folder.resolve("to.safetensors");
        CommandLineRun.of("convert", from, folder.resolve("x.h5")).failsWith(Main.BAD_USAGE, "write .keras");
        CommandLineRun.of("convert", from, folder.resolve("x.pt")).failsWith(Main.BAD_USAGE, "x.pt': rename it");
        CommandLineRun.of("convert", from, from).failsWith(Main.BAD_USAGE, "exists already", "--overwrite");
        CommandLineRun.of("convert", from, to, "--dtype", "f8").failsWith(Main.BAD_USAGE, "'f8'");
        CommandLineRun.of("convert", from, to, "--dtype", "i64").failsWith(Main.BAD_USAGE, "f64, f32, f16, bf16");
        CommandLineRun.of("convert", from, onnx, "--dtype", "f32").failsWith(Main.BAD_USAGE, "--dtype goes with");
        CommandLineRun.of("convert", from, onnx, "--state-dict", "lstm")
                .failsWith(Main.BAD_USAGE, "--state-dict goes with");
        CommandLineRun.of("convert", from, to, "--state-dict", "gru")
                .failsWith(Main.BAD_USAGE, "lstm, cell but got 'gru'");
        CommandLineRun.of("convert", from, to, "--state-dict", "cell")
                .failsWith(Main.BAD_USAGE, "limit of the cell state");
        CommandLineRun.of("convert", from, to, "--lengths").failsWith(Main.BAD_USAGE, "--lengths goes with");
        CommandLineRun.of("convert", from, to, "--modules", "a").failsWith(Main.BAD_USAGE, "--modules goes with");
        CommandLineRun.of("convert", folder.resolve("none.onnx"), to).failsWith(Main.FAILURE, "does not exist");
        Path text = Files.writeString(folder.resolve("text.onnx"), "no model");
        CommandLineRun.of("convert", text, to).failsWith(Main.FAILURE, "text.onnx");
        Files.writeString(folder.resolve("text.keras"), "no model");
        CommandLineRun.of("convert", folder.resolve("text.keras"), to).failsWith(Main.FAILURE, "text.keras");
    }
}
