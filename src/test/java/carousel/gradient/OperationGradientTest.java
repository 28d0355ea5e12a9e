package carousel.gradient;

import carousel.engine.ActivationFunction;
import carousel.engine.Engine;
import carousel.engine.Engines;
import carousel.engine.Loss;
import carousel.engine.RandomKey;
import carousel.engine.RandomSequence;
import carousel.fixture.LstmData;
import carousel.fixture.Workbench;
import carousel.tensor.Tensor;
import java.util.Arrays;
import java.util.function.BiFunction;
import java.util.function.ToDoubleFunction;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Linear maps, embeddings, dropout, activation functions and the losses of the reference engine. */
class OperationGradientTest {
    private static final int M = 5;
    private static final int K = 4;
    private static final int O = 3;

    private final RandomSequence random = new RandomSequence(8, 0, 0);

    private static <R> R use(BiFunction<Engine, Workbench, R> use) {
        try (Engine engine = Engines.open("reference");
                Workbench bench = new Workbench(engine)) {
            return use.apply(engine, bench);
        }
    }

    @Test
    void linear() {
        double[] x = LstmData.uniform(random, M * K);
        double[] weights = LstmData.uniform(random, O * K);
        double[] bias = LstmData.uniform(random, O);
        double[] dy = LstmData.uniform(random, M * O);
        double[][] gradients = use((engine, bench) -> {
            Tensor dw = bench.real("dW", new double[O * K], O, K);
            Tensor db = bench.real("db", new double[O], O);
            Tensor dx = bench.blank("dx", M, K);
            engine.linearBackward(
                    bench.real("x", x, M, K),
                    bench.real("weights", weights, O, K),
                    bench.real("dy", dy, M, O),
                    dw,
                    db,
                    dx);
            return new double[][] {bench.read(dw), bench.read(db), bench.read(dx)};
        });
        ToDoubleFunction<double[]> loss = perturbed -> use((engine, bench) -> {
            Tensor y = bench.blank("y", M, O);
            engine.linearForward(
                    bench.real("x", x, M, K), bench.real("weights", weights, O, K), bench.real("bias", bias, O), y);
            return FiniteDifferences.dot(bench.read(y), dy);
        });
        FiniteDifferences.check("dW", gradients[0], weights, loss);
        FiniteDifferences.check("db", gradients[1], bias, loss);
        FiniteDifferences.check("dx", gradients[2], x, loss);
    }

    @Test
    void embedding() {
        int vocabulary = 6;
        int[] ids = {2, 5, 2, 0, 2};
        double[] table = LstmData.uniform(random, vocabulary * K);
        double[] dy = LstmData.uniform(random, M * K);
        double[] gradient = use((engine, bench) -> {
            Tensor dtable = bench.real("dtable", new double[vocabulary * K], vocabulary, K);
            engine.embeddingBackward(bench.integers("ids", ids), bench.real("dy", dy, M, K), dtable);
            return bench.read(dtable);
        });
        FiniteDifferences.check(
                "dtable",
                gradient,
                table,
                perturbed -> use((engine, bench) -> {
                    Tensor y = bench.blank("y", M, K);
                    engine.embeddingForward(bench.integers("ids", ids), bench.real("table", table, vocabulary, K), y);
                    return FiniteDifferences.dot(bench.read(y), dy);
                }));
    }

    @Test
    void dropout() {
        RandomKey key = new RandomKey(3, 1, 4);
        double[] x = LstmData.uniform(random, M * K);
        double[] dy = LstmData.uniform(random, M * K);
        double[] gradient = use((engine, bench) -> {
            Tensor dx = bench.real("dy", dy, M, K);
            engine.dropout(dx, 0.5, key, dx);
            return bench.read(dx);
        });
        FiniteDifferences.check(
                "dx",
                gradient,
                x,
                perturbed -> use((engine, bench) -> {
                    Tensor y = bench.real("x", x, M, K);
                    engine.dropout(y, 0.5, key, y);
                    return FiniteDifferences.dot(bench.read(y), dy);
                }));
    }

    @ParameterizedTest
    @EnumSource
    void activation(ActivationFunction function) {
        double[] x = new double[M * K];
        Arrays.setAll(x, e -> 2 * random.nextGaussian());
        double[] dy = LstmData.uniform(random, M * K);
        double[] gradient = use((engine, bench) -> {
            Tensor y = bench.real("x", x, M, K);
            engine.activationForward(function, y, y);
            Tensor dx = bench.blank("dx", M, K);
            engine.activationBackward(function, y, bench.real("dy", dy, M, K), dx);
            return bench.read(dx);
        });
        FiniteDifferences.check(
                function.word(),
                gradient,
                x,
                perturbed -> use((engine, bench) -> {
                    Tensor y = bench.blank("y", M, K);
                    engine.activationForward(function, bench.real("x", x, M, K), y);
                    return FiniteDifferences.dot(bench.read(y), dy);
                }));
    }

    @ParameterizedTest
    @EnumSource
    void loss(Loss loss) {
        double[] predictions = new double[M * K];
        Arrays.setAll(predictions, e -> 2 * random.nextGaussian());
        double[] targets = new double[M * K];
        Arrays.setAll(targets, e -> random.nextDouble());
        int[] labels = {0, 3, 1, 1, 2};
        for (double[] weights : new double[][] {null, {1, 0.5, 0, 2, 0.25}}) {
            double sum = weights == null ? M : Arrays.stream(weights).sum();
            double[] gradient = lossAndGradient(loss, predictions, labels, targets, weights)[1];
            FiniteDifferences.check(
                    loss.name(),
                    gradient,
                    predictions,
                    perturbed -> lossAndGradient(loss, predictions, labels, targets, weights)[0][0] / sum);
        }
    }

    private static double[][] lossAndGradient(
            Loss loss, double[] predictions, int[] labels, double[] targets, double[] weights) {
        return use((engine, bench) -> {
            Tensor report = bench.blank("report", 3);
            Tensor gradient = bench.blank("dp", M, K);
            engine.loss(
                    loss,
                    bench.real("predictions", predictions, M, K),
                    loss.labelled() ? bench.integers("labels", labels) : bench.real("targets", targets, M, K),
                    weights == null ? null : bench.real("row weights", weights, M),
                    report,
                    gradient);
            return new double[][] {bench.read(report), bench.read(gradient)};
        });
    }
}
