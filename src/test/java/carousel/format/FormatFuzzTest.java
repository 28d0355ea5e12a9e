package carousel.format;

import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.data.AddingProblem;
import carousel.engine.Direction;
import carousel.engine.Engine;
import carousel.engine.Engines;
import carousel.engine.Loss;
import carousel.engine.LstmSpec;
import carousel.fixture.Mutations;
import carousel.fixture.Refusals;
import carousel.layer.Dense;
import carousel.layer.Embedding;
import carousel.layer.Form;
import carousel.layer.Lstm;
import carousel.layer.Model;
import carousel.layer.ModelSpec;
import carousel.optimizer.Optimizer;
import carousel.training.Checkpoint;
import carousel.training.Trainer;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The readers of safetensors files, models, state dicts and checkpoints on damaged ones: they read or refuse, soon and with little memory. */
class FormatFuzzTest {
    private static final int MUTANTS = 20_000;
    /** Buffers, JSON and the message of a refusal. */
    private static final long OVERHEAD = 2 << 20;
    /** For each byte of a file: the numbers it stands for, and the JSON of the header. */
    private static final long PER_BYTE = 200;

    private static final Mutations MUTATIONS = new Mutations(
            41,
            "{",
            "}",
            "[",
            "]",
            "\"",
            ":",
            ",",
            "\\u0000",
            "\"F64\"",
            "\"F32\"",
            "\"BF16\"",
            "\"I64\"",
            "\"BOOL\"",
            "-1",
            "0",
            "1e9",
            "2147483648",
            "9223372036854775808",
            "99999999999999999999999",
            "null",
            "true",
            "NaN",
            "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
            "{\\\"type\\\":\\\"lstm\\\"",
            "BIDIRECTIONAL",
            "1048576",
            "\u00ff",
            "\\ud800");

    @TempDir
    Path folder;

    /** Damages the header with its length made good again as often as not, so that more than the length is tried. */
    private static byte[] mutant(byte[] original, int number) {
        if (number % 2 == 0) {
            return MUTATIONS.mutant(original, number);
        }
        int header =
                (int) ByteBuffer.wrap(original).order(ByteOrder.LITTLE_ENDIAN).getLong();
        byte[] json = Arrays.copyOfRange(original, 8, 8 + header);
        byte[] damaged =
                number % 4 == 1 ? MUTATIONS.mutant(json, number) : MUTATIONS.mutantOfLines(split(json), number);
        return ByteBuffer.allocate(8 + damaged.length + original.length - 8 - header)
                .order(ByteOrder.LITTLE_ENDIAN)
                .putLong(damaged.length)
                .put(damaged)
                .put(original, 8 + header, original.length - 8 - header)
                .array();
    }

    /** JSON with a line for each part, which means the same. */
    private static byte[] split(byte[] json) {
        return new String(json, StandardCharsets.ISO_8859_1)
                .replace(",\"", ",\n\"")
                .getBytes(StandardCharsets.ISO_8859_1);
    }

    private interface Reader {
        void read(Path path) throws IOException;
    }

    private void readsOrRefuses(byte[] original, Reader reader) throws IOException {
        Path path = folder.resolve("mutant");
        Files.write(path, original);
        assertNull(Refusals.readOrRefused(
                FormatException.class, OVERHEAD + PER_BYTE * original.length, "the original", () -> reader.read(path)));
        int read = 0;
        for (int k = 0; k < MUTANTS; k++) {
            byte[] mutant = mutant(original, k);
            Files.write(path, mutant);
            String refusal = Refusals.readOrRefused(
                    FormatException.class, OVERHEAD + PER_BYTE * mutant.length, "mutant " + k, () -> reader.read(path));
            read += refusal == null ? 1 : 0;
        }
        int all = read;
        assertTrue(all > MUTANTS / 100 && all < MUTANTS * 9 / 10, () -> all + " of " + MUTANTS + " could be read");
    }

    private byte[] model() throws IOException {
        ModelSpec spec = ModelSpec.of(
                Form.tokens(5),
                Embedding.of(2),
                Lstm.of(LstmSpec.of(1, 3).withLayers(2).withDirection(Direction.BIDIRECTIONAL)),
                Dense.of(2));
        Path path = folder.resolve("model.safetensors");
        try (Engine engine = Engines.open("vector");
                Model model = Model.create(engine, spec, 1)) {
            ModelFile.write(path, model, Map.of("note", "x"));
        }
        return Files.readAllBytes(path);
    }

    @Test
    void models() throws IOException {
        readsOrRefuses(model(), path -> ModelFile.read(path).weights());
    }

    /** The same file without our specification is a state dict. */
    @Test
    void stateDicts() throws IOException {
        readsOrRefuses(model(), path -> {
            try (SafetensorsFile file = SafetensorsFile.open(path)) {
                for (Map.Entry<String, SafetensorsFile.Entry> tensor :
                        file.tensors().entrySet()) {
                    if (tensor.getValue().dtype() == Dtype.F32) {
                        file.doubles(tensor.getKey());
                    }
                }
            }
            PyTorchImport.read(path);
        });
    }

    @Test
    void checkpoints() throws IOException {
        ModelSpec spec = ModelSpec.of(Form.sequence(2), Lstm.of(3), Dense.of(1));
        Path path = folder.resolve("checkpoint.safetensors");
        AddingProblem problem = new AddingProblem(4, 1);
        try (Engine engine = Engines.open("vector");
                Model model = Model.create(engine, spec, 1);
                Trainer trainer = Trainer.of(model)
                        .loss(Loss.MEAN_SQUARED_ERROR)
                        .optimizer(Optimizer.adam(0.01))
                        .keepBest()
                        .stopEarly(3)
                        .open()) {
            trainer.fit(problem.batches(2, 3), problem.batches(2, 3), 2);
            trainer.checkpoint().write(path, Map.of("note", "x"));
        }
        readsOrRefuses(Files.readAllBytes(path), file -> Checkpoint.read(file));
    }
}
