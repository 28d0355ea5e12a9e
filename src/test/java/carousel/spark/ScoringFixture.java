package carousel.spark;

import carousel.data.Batch;
import carousel.engine.Engine;
import carousel.engine.Engines;
import carousel.engine.Loss;
import carousel.format.Dtype;
import carousel.format.FormatException;
import carousel.format.ModelFile;
import carousel.format.ModelWeights;
import carousel.layer.Dense;
import carousel.layer.Form;
import carousel.layer.Lstm;
import carousel.layer.Model;
import carousel.layer.ModelSpec;
import carousel.training.Evaluator;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;

/** Small models, sequences that follow from their numbers, and what one machine predicts for them. */
final class ScoringFixture {
    static final int FEATURES = 2;
    static final int OUTPUTS = 3;
    static final int LONGEST = 7;

    private static final ModelSpec CLASSES = ModelSpec.of(Form.sequence(FEATURES), Lstm.of(8), Dense.of(OUTPUTS));
    private static final ModelSpec STEPS =
            ModelSpec.of(Form.sequence(FEATURES), Lstm.of(8).withReturnSequences(true), Dense.of(OUTPUTS));

    private ScoringFixture() {}

    static int length(long id) {
        return (int) (1 + id * 5 % LONGEST);
    }

    /** {@code [length, C]} of the sequence of a number. */
    static double[][] sequence(long id) {
        double[][] steps = new double[length(id)][FEATURES];
        for (int t = 0; t < steps.length; t++) {
            for (int c = 0; c < FEATURES; c++) {
                steps[t][c] = Math.sin(id * 0.37 + t * 1.3 + c * 2.1);
            }
        }
        return steps;
    }

    /** The model that answers with {@value #OUTPUTS} numbers, out of a file. */
    static ScoredModel classes(long seed) throws IOException {
        Path file = Files.createTempFile("carousel", ".safetensors");
        try {
            write(file, CLASSES, seed, Map.of());
            return ScoredModel.of(ModelFile.read(file));
        } finally {
            Files.delete(file);
        }
    }

    /** A file of the model that answers once for a sequence. */
    static Path classes(Path file, Map<String, String> metadata) throws IOException {
        return write(file, CLASSES, 1, metadata);
    }

    /** A file of the model that answers at each step. */
    static Path steps(Path file) throws IOException {
        return write(file, STEPS, 2, Map.of());
    }

    static Path write(Path file, ModelSpec spec, long seed, Map<String, String> metadata) throws IOException {
        try (Engine engine = Engines.open("vector");
                Model model = Model.create(engine, spec, seed)) {
            ModelFile.write(file, ModelWeights.of(model), metadata, Dtype.F32);
        }
        return file;
    }

    /** What this machine predicts for the sequences of some numbers, each by itself: of each {@code [K]} or {@code [T, K]}. */
    static List<float[]> expected(Path file, Loss loss, long... ids) throws IOException {
        return expected(file, loss, batch -> {}, ids);
    }

    /** @param prepared what is done to a batch before */
    static List<float[]> expected(Path file, Loss loss, Consumer<Batch> prepared, long... ids) throws IOException {
        List<float[]> all = new ArrayList<>();
        try (Engine engine = Engines.open("vector");
                Model model = ModelFile.read(file).open(engine)) {
            Evaluator evaluator = new Evaluator(model, loss);
            for (long id : ids) {
                double[][] steps = sequence(id);
                Batch one = new Batch(steps.length, 1, FEATURES, 0, false);
                for (int t = 0; t < steps.length; t++) {
                    for (int c = 0; c < FEATURES; c++) {
                        one.inputs()[t * FEATURES + c] = (float) steps[t][c];
                    }
                }
                prepared.accept(one);
                all.add(evaluator.predict(one));
            }
        } catch (FormatException e) {
            throw new AssertionError(e);
        }
        return all;
    }

    static int largest(float[] values) {
        int best = 0;
        for (int k = 1; k < values.length; k++) {
            best = values[k] > values[best] ? k : best;
        }
        return best;
    }

    /** The sequence of a number as a flat array. */
    static double[] flat(long id) {
        return Arrays.stream(sequence(id)).flatMapToDouble(Arrays::stream).toArray();
    }
}
