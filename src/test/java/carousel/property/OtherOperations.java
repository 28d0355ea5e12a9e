package carousel.property;

import carousel.engine.ActivationFunction;
import carousel.engine.Engine;
import carousel.engine.Loss;
import carousel.engine.RandomKey;
import carousel.engine.RandomSequence;
import carousel.engine.Update;
import carousel.engine.UpdateRule;
import carousel.fixture.LstmData;
import carousel.fixture.Workbench;
import carousel.tensor.Tensor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** One use of every operation but the stacks, at sizes that are worth several threads. */
final class OtherOperations {
    private static final int M = 131;
    private static final int I = 150;
    private static final int O = 67;
    private static final int FLAT = 70_001;

    private OtherOperations() {}

    /** All outcomes in a row. */
    static double[] run(Engine engine) {
        RandomSequence random = new RandomSequence(55, 0, 0);
        List<double[]> outcomes = new ArrayList<>();
        try (Workbench bench = new Workbench(engine)) {
            Tensor x = bench.real("x", LstmData.uniform(random, M * I), M, I);
            Tensor weights = bench.real("weights", LstmData.uniform(random, O * I), O, I);
            Tensor y = bench.blank("y", M, O);
            engine.linearForward(x, weights, bench.real("bias", LstmData.uniform(random, O), O), y);
            outcomes.add(bench.read(y));
            Tensor dw = bench.real("dW", new double[O * I], O, I);
            Tensor db = bench.real("db", new double[O], O);
            Tensor dx = bench.blank("dx", M, I);
            engine.linearBackward(x, weights, y, dw, db, dx);
            outcomes.addAll(List.of(bench.read(dw), bench.read(db), bench.read(dx)));

            int[] ids = new int[M];
            Arrays.setAll(ids, m -> random.nextInt(9));
            Tensor table = bench.real("table", LstmData.uniform(random, 9 * O), 9, O);
            engine.embeddingBackward(bench.integers("ids", ids), y, table);
            outcomes.add(bench.read(table));
            for (ActivationFunction function : ActivationFunction.values()) {
                Tensor activated = bench.blank("activated", M, I);
                engine.activationForward(function, x, activated);
                engine.activationBackward(function, activated, x, dx);
                outcomes.addAll(List.of(bench.read(activated), bench.read(dx)));
            }
            for (Loss loss : Loss.values()) {
                Tensor report = bench.blank("report", 3);
                Tensor gradient = bench.blank("dp", M, O);
                Tensor targets = loss.labelled()
                        ? bench.integers("labels", ids)
                        : bench.real("targets", new double[M * O], M, O);
                engine.loss(loss, y, targets, null, report, gradient);
                outcomes.addAll(List.of(bench.read(report), bench.read(gradient)));
            }
            Tensor parameters = bench.real("parameters", LstmData.uniform(random, FLAT), FLAT);
            Tensor gradients = bench.real("gradients", LstmData.uniform(random, FLAT), FLAT);
            engine.dropout(gradients, 0.2, new RandomKey(1, 2, 3), gradients);
            Tensor norm = bench.blank("squared norm", 1);
            engine.squaredNorm(gradients, norm);
            engine.update(
                    new Update(new UpdateRule.Adam(0.9, 0.999, 1e-8, 0.01), 1, 0.01, 1, norm),
                    parameters,
                    gradients,
                    bench.real("m", new double[FLAT], FLAT),
                    bench.real("v", new double[FLAT], FLAT));
            outcomes.addAll(List.of(bench.read(norm), bench.read(parameters)));
        }
        return outcomes.stream().flatMapToDouble(Arrays::stream).toArray();
    }
}
