package carousel.golden;

import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.engine.Engine;
import carousel.engine.Loss;
import carousel.engine.LstmInput;
import carousel.engine.LstmInputGradient;
import carousel.engine.LstmLayout;
import carousel.engine.LstmOutput;
import carousel.engine.LstmSpec;
import carousel.engine.LstmTape;
import carousel.engine.ParameterView;
import carousel.fixture.LstmCase;
import carousel.fixture.LstmResult;
import carousel.fixture.Tolerance;
import carousel.fixture.Workbench;
import carousel.tensor.Tensor;
import com.google.gson.JsonObject;
import java.io.IOException;
import java.net.URISyntaxException;
import java.net.URL;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicContainer;
import org.junit.jupiter.api.TestFactory;

/**
 * Every engine against golden numbers. What is allowed is what the file says, which follows from how many digits were
 * printed, and on top of it the engine's own {@link Tolerance}.
 */
class GoldenTest {
    private static final List<String> OWN = List.of(
            "bidirectional-lengths",
            "cell-clip",
            "everything",
            "one-layer-long",
            "one-layer-no-bias",
            "projection",
            "reverse-lengths",
            "stacked");

    private static final List<String> PUBLISHED = List.of(
            "burn-bidirectional-without-init-state",
            "cs231n-step-forward",
            "dl4j-uci-lstm-gradients",
            "keras-constant",
            "keras-constant-go-backwards",
            "keras-constant-no-bias",
            "keras-constant-no-unit-forget-bias",
            "keras-stateful-second-call",
            "ort-bidirectional-simple",
            "ort-forward-hidden-state",
            "ort-mixed-sequence-lengths",
            "ort-reverse",
            "pytorch-cpp-lstm-2x2",
            "pytorch-gradients-2x4x3x2");

    @TestFactory
    Stream<DynamicContainer> casesOfOurOwnMaking() throws URISyntaxException {
        URL folder = getClass().getResource("/golden");
        return PublishedData.tests(Path.of(folder.toURI()), ".json", OWN, GoldenTest::check);
    }

    @TestFactory
    Stream<DynamicContainer> publishedCases() {
        return PublishedData.tests(PublishedData.folder("golden"), ".json", PUBLISHED, GoldenTest::check);
    }

    private static void check(Engine engine, Path file) throws IOException {
        GoldenCase golden = GoldenCase.read(file);
        try (Workbench bench = new Workbench(engine)) {
            if (GoldenCase.has(golden.json(), "dense_w")) {
                checkClassifier(engine, bench, golden);
            } else {
                checkStack(engine, bench, golden);
            }
        }
    }

    private static void checkStack(Engine engine, Workbench bench, GoldenCase golden) {
        LstmCase lstm = golden.lstm();
        LstmResult expected = golden.expected();
        LstmResult actual = bench.run(lstm, golden.data());
        Tolerance tolerance = Tolerance.of(engine.precision());
        double forward = tolerance.relative(Tolerance.forwardReduction(lstm));
        double backward = tolerance.relative(Tolerance.backwardReduction(lstm));
        assertTrue(expected.y() != null || expected.h() != null || expected.c() != null, "the case expects something");
        expected.visitForwardWith(actual, (what, one, other) -> {
            if (one != null) {
                tolerance.checkWithin(what, one, other, golden.tolerance() + forward * Tolerance.largest(one));
            }
        });
        if (expected.parameterGradients() != null) {
            checkParameters(golden, lstm, tolerance, expected, actual, backward);
        }
        for (double[][] pair : new double[][][] {
            {expected.dx(), actual.dx()}, {expected.dh0(), actual.dh0()}, {expected.dc0(), actual.dc0()}
        }) {
            if (pair[0] != null) {
                tolerance.checkWithin(
                        "an input's gradient",
                        pair[0],
                        pair[1],
                        golden.gradientTolerance("x") + backward * Tolerance.largest(pair[0]));
            }
        }
    }

    private static void checkParameters(
            GoldenCase golden,
            LstmCase lstm,
            Tolerance tolerance,
            LstmResult expected,
            LstmResult actual,
            double relative) {
        for (ParameterView view : LstmLayout.of(lstm.spec()).views()) {
            double[] one = Arrays.copyOfRange(expected.parameterGradients(), (int) view.offset(), (int) view.end());
            double[] other = Arrays.copyOfRange(actual.parameterGradients(), (int) view.offset(), (int) view.end());
            String kind = view.name().startsWith("weight_ih")
                    ? "w_ih"
                    : view.name().startsWith("weight_hh") ? "w_hh" : view.name().startsWith("bias") ? "b" : "w_hr";
            tolerance.checkWithin(
                    "the gradient of " + view.name(),
                    one,
                    other,
                    golden.gradientTolerance(kind) + relative * Tolerance.largest(one));
        }
    }

    /** A whole classifier: a stack, the mean of its outputs over time, a dense layer, and softmax cross-entropy. */
    private static void checkClassifier(Engine engine, Workbench bench, GoldenCase golden) {
        LstmCase lstm = golden.lstm();
        LstmSpec spec = lstm.spec();
        JsonObject json = golden.json();
        int steps = lstm.timeSteps();
        int batch = lstm.batchSize();
        int hidden = spec.hiddenSize();
        double[] denseBias = GoldenCase.numbers(json, "dense_b");
        int classes = denseBias.length;
        double[] labels = GoldenCase.numbers(json, "labels");

        Tensor x = bench.real("x", transpose(GoldenCase.numbers(json, "x"), batch, steps), steps, batch, 1);
        Tensor parameters = bench.parameters(spec, GoldenCase.parameters(spec, json.getAsJsonArray("params")));
        Tensor y = bench.blank("y", steps, batch, hidden);
        LstmTape tape = engine.openTape(bench.scope(), spec, steps, batch);
        engine.lstmForward(spec, parameters, LstmInput.of(x), new LstmOutput(y, null), tape);

        double[] outputs = bench.read(y);
        double[] mean = new double[batch * hidden];
        for (int e = 0; e < outputs.length; e++) {
            mean[e % mean.length] += outputs[e] / steps;
        }
        Tensor pooled = bench.real("mean", mean, batch, hidden);
        Tensor weights =
                bench.real("dense", transpose(GoldenCase.numbers(json, "dense_w"), hidden, classes), classes, hidden);
        Tensor logits = bench.blank("logits", batch, classes);
        engine.linearForward(pooled, weights, bench.real("dense bias", denseBias, classes), logits);
        Tensor report = bench.blank("report", 3);
        Tensor dLogits = bench.blank("dlogits", batch, classes);
        int[] classOf = Arrays.stream(labels).mapToInt(label -> (int) label).toArray();
        engine.loss(Loss.SOFTMAX_CROSS_ENTROPY, logits, bench.integers("labels", classOf), null, report, dLogits);

        // The engine's gradient is that of the mean over the batch, softmax - onehot; the file's is that of the sum.
        double[] d = bench.read(dLogits);
        Arrays.setAll(d, e -> d[e] * batch);
        double[] softmax = d.clone();
        for (int n = 0; n < batch; n++) {
            softmax[n * classes + classOf[n]] += 1;
        }
        engine.write(dLogits, d);
        Tensor dWeights = bench.real("dW", new double[classes * hidden], classes, hidden);
        Tensor dBias = bench.real("db", new double[classes], classes);
        Tensor dPooled = bench.blank("dmean", batch, hidden);
        engine.linearBackward(pooled, weights, dLogits, dWeights, dBias, dPooled);
        double[] dMean = bench.read(dPooled);
        double[] dy = new double[outputs.length];
        Arrays.setAll(dy, e -> dMean[e % dMean.length] / steps);
        Tensor gradients = bench.parameters(spec, new double[(int) parameters.elements()]);
        engine.lstmBackward(
                tape,
                new LstmOutput(bench.real("dy", dy, steps, batch, hidden), null),
                gradients,
                LstmInputGradient.NONE);

        Tolerance tolerance = Tolerance.of(engine.precision());
        double own = tolerance.relative(Tolerance.backwardReduction(lstm));
        JsonObject allowed = json.getAsJsonObject("tolerance_abs");
        JsonObject expectedGradients = json.getAsJsonObject("expected_gradients");
        tolerance.checkWithin(
                "softmax",
                GoldenCase.numbers(json.getAsJsonObject("expected"), "softmax"),
                softmax,
                allowed.get("softmax").getAsDouble() + own);
        double gradient = allowed.get("gradients").getAsDouble();
        double[] lstmGradients = GoldenCase.parameters(spec, expectedGradients.getAsJsonArray("lstm"));
        tolerance.checkWithin(
                "the stack's gradients",
                lstmGradients,
                bench.read(gradients),
                gradient + own * Tolerance.largest(lstmGradients));
        double[] denseGradients = transpose(GoldenCase.numbers(expectedGradients, "dense_w"), hidden, classes);
        tolerance.checkWithin(
                "the gradient of the dense weights",
                denseGradients,
                bench.read(dWeights),
                gradient + own * Tolerance.largest(denseGradients));
        double[] biasGradients = GoldenCase.numbers(expectedGradients, "dense_b");
        tolerance.checkWithin(
                "the gradient of the dense bias",
                biasGradients,
                bench.read(dBias),
                gradient + own * Tolerance.largest(biasGradients));
    }

    private static double[] transpose(double[] values, int rows, int columns) {
        double[] result = new double[values.length];
        for (int row = 0; row < rows; row++) {
            for (int column = 0; column < columns; column++) {
                result[column * rows + row] = values[row * columns + column];
            }
        }
        return result;
    }
}
