package carousel.golden;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.engine.Direction;
import carousel.engine.Engine;
import carousel.engine.Engines;
import carousel.engine.LstmLayout;
import carousel.engine.LstmSpec;
import carousel.engine.ParameterView;
import carousel.fixture.LstmCase;
import carousel.format.Imported;
import carousel.format.keras.KerasFiles;
import carousel.format.keras.KerasImport;
import carousel.layer.Model;
import carousel.layer.ModelState;
import carousel.layer.Pass;
import carousel.tensor.Scope;
import carousel.tensor.Tensor;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Keras' own published numbers, put into files as Keras writes them, read back and computed by a model. */
class KerasGoldenTest {
    private static final List<String> ENGINES = List.of("reference", "vector");

    @TempDir
    Path folder;

    @ParameterizedTest
    @ValueSource(
            strings = {
                "keras-constant.json",
                "keras-constant-go-backwards.json",
                "keras-constant-no-bias.json",
                "keras-constant-no-unit-forget-bias.json"
            })
    void filesOfBothKindsGiveTheNumbers(String name) throws IOException {
        GoldenCase golden = golden(name);
        for (Imported imported : files(golden, "")) {
            for (String engine : ENGINES) {
                double[] output = lastOutput(imported, engine, golden);
                assertArrayEquals(golden.expected().h(), output, golden.tolerance(), name + " on " + engine);
            }
        }
    }

    /** The case has the sequence twice in a row: it is given in two calls, the second of which goes on from the first. */
    @ParameterizedTest
    @ValueSource(strings = "keras-stateful-second-call.json")
    void aStatefulModelSaysThatItsStateIsToBeCarried(String name) throws IOException {
        GoldenCase golden = golden(name);
        for (Imported imported : files(golden, ",\"stateful\":true")) {
            assertTrue(
                    imported.mapping().stream()
                            .anyMatch(part -> part.how().contains("stateful: carry the state with LstmSession")),
                    imported.mapping().toString());
            for (String engine : ENGINES) {
                assertArrayEquals(
                        golden.expected().h(), secondCall(imported, engine, golden), golden.tolerance(), name);
            }
        }
    }

    private static GoldenCase golden(String name) throws IOException {
        Path file = PublishedData.folder("golden").resolve(name);
        Assumptions.assumeTrue(Files.exists(file), () -> file + " is absent");
        return GoldenCase.read(file);
    }

    private List<Imported> files(GoldenCase golden, String more) throws IOException {
        LstmCase lstm = golden.lstm();
        LstmSpec spec = lstm.spec();
        String config = "\"units\":" + spec.hiddenSize() + ",\"use_bias\":" + spec.bias() + ",\"go_backwards\":"
                + (spec.direction() == Direction.REVERSE) + more;
        LstmLayout.Cell cell = LstmLayout.of(spec).cell(0);
        double[] parameters = golden.data().parameters();
        Object kernel = transposed(parameters, cell.inputWeights());
        Object recurrent = transposed(parameters, cell.recurrentWeights());
        Object bias = spec.bias() ? KerasFiles.floats(slice(parameters, cell.bias())) : null;
        KerasFiles keras3 = KerasFiles.of("3.10.0")
                .layer("InputLayer", "in", "\"batch_shape\":[null,null," + spec.inputSize() + "]")
                .layer("LSTM", "lstm", config)
                .dataset("layers/lstm/cell/vars/0", kernel)
                .dataset("layers/lstm/cell/vars/1", recurrent);
        KerasFiles keras2 = KerasFiles.of("2.15.0")
                .layer("LSTM", "lstm", config + ",\"batch_input_shape\":[null,null," + spec.inputSize() + "]");
        String prefix = "lstm/lstm_cell/";
        if (spec.bias()) {
            keras3.dataset("layers/lstm/cell/vars/2", bias);
            keras2.weights(
                    "lstm",
                    prefix + "kernel:0",
                    kernel,
                    prefix + "recurrent_kernel:0",
                    recurrent,
                    prefix + "bias:0",
                    bias);
        } else {
            keras2.weights("lstm", prefix + "kernel:0", kernel, prefix + "recurrent_kernel:0", recurrent);
        }
        return List.of(
                KerasImport.read(keras3.writeKeras(folder.resolve("model.keras"))),
                KerasImport.read(keras2.writeH5(folder.resolve("model.h5"))));
    }

    private static double[] slice(double[] parameters, ParameterView view) {
        return Arrays.copyOfRange(parameters, (int) view.offset(), (int) view.end());
    }

    private static float[][] transposed(double[] parameters, ParameterView view) {
        return KerasFiles.transposed(
                slice(parameters, view), view.shape().extent(0), view.shape().extent(1));
    }

    private static double[] secondCall(Imported imported, String engineName, GoldenCase golden) {
        LstmCase lstm = golden.lstm();
        double[] x = golden.data().x();
        try (Engine engine = Engines.open(engineName);
                Model model = imported.weights().open(engine);
                Scope scope = engine.openScope("run")) {
            ModelState state = new ModelState(model, scope, lstm.batchSize());
            double[] last = null;
            for (double[] half :
                    List.of(Arrays.copyOf(x, x.length / 2), Arrays.copyOfRange(x, x.length / 2, x.length))) {
                Tensor input = scope.allocate(
                        "x", lstm.timeSteps() / 2, lstm.batchSize(), lstm.spec().inputSize());
                engine.write(input, half);
                Tensor output =
                        model.forward(Pass.inference(engine, scope, input, null).carrying(state));
                state.advance();
                last = new double[Math.toIntExact(output.elements())];
                engine.read(output, last);
            }
            return last;
        }
    }

    private static double[] lastOutput(Imported imported, String engineName, GoldenCase golden) {
        LstmCase lstm = golden.lstm();
        try (Engine engine = Engines.open(engineName);
                Model model = imported.weights().open(engine);
                Scope scope = engine.openScope("run")) {
            Tensor x = scope.allocate(
                    "x", lstm.timeSteps(), lstm.batchSize(), lstm.spec().inputSize());
            engine.write(x, golden.data().x());
            Tensor output = model.forward(Pass.inference(engine, scope, x, null));
            double[] last = new double[Math.toIntExact(output.elements())];
            engine.read(output, last);
            return last;
        }
    }
}
