package carousel.benchmark;

import carousel.engine.Engine;
import carousel.engine.EngineOptions;
import carousel.engine.Engines;
import carousel.engine.Loss;
import carousel.layer.Dense;
import carousel.layer.Form;
import carousel.layer.Lstm;
import carousel.layer.Model;
import carousel.layer.ModelSpec;
import carousel.layer.Pass;
import carousel.optimizer.Optimizer;
import carousel.tensor.Scope;
import carousel.tensor.Tensor;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/**
 * A whole training step of workload A on the vector engine, with all that the trainer does in one: a batch is copied in, an LSTM
 * and a dense layer of 10 classes run forward, softmax cross-entropy, all back again, Adam. Milliseconds a step.
 */
@State(org.openjdk.jmh.annotations.Scope.Thread)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MILLISECONDS)
@Warmup(iterations = 8, time = 2)
@Measurement(iterations = 10, time = 2)
@Fork(2)
public class StepBenchmark {
    static final Workload WORKLOAD = Workload.A;
    private static final int CLASSES = 10;
    static final ModelSpec MODEL =
            ModelSpec.of(Form.sequence(WORKLOAD.features()), Lstm.of(WORKLOAD.hidden()), Dense.of(CLASSES));
    static final Optimizer OPTIMIZER = Optimizer.adam(0.001);
    static final long SEED = 1;

    @Param({"1", "2"})
    public int threads;

    private final int[] labels = new int[WORKLOAD.batchSize()];
    private float[] inputs;
    private Engine engine;
    private Model model;
    private Scope scope;
    private Tensor report;
    private Optimizer.State optimizer;
    private long step;

    @Setup
    public void open() {
        engine = Engines.open("vector", new EngineOptions(threads, null, false));
        model = Model.create(engine, MODEL, SEED);
        scope = engine.openScope("trainer");
        optimizer = OPTIMIZER.open(engine, scope, model.parameters().elements());
        report = scope.allocate("report", 3);
        inputs = Workload.draw((long) WORKLOAD.timeSteps() * WORKLOAD.batchSize() * WORKLOAD.features(), 1, 1);
        for (int n = 0; n < labels.length; n++) {
            labels[n] = n % CLASSES;
        }
    }

    @TearDown
    public void close() {
        scope.close();
        model.close();
        engine.close();
    }

    @Benchmark
    public void step() {
        try (Scope stepScope = engine.openScope("step")) {
            Tensor x = stepScope.allocate("x", WORKLOAD.timeSteps(), WORKLOAD.batchSize(), WORKLOAD.features());
            engine.write(x, inputs);
            Pass pass = Pass.training(engine, stepScope, x, null, SEED, step);
            Tensor predictions = model.forward(pass);
            Tensor targets = stepScope.allocateIntegers("labels", labels.length);
            engine.write(targets, labels);
            Tensor gradient =
                    stepScope.allocate("output gradient", predictions.shape().toArray());
            engine.loss(Loss.SOFTMAX_CROSS_ENTROPY, predictions, targets, null, report, gradient);
            model.clearGradients();
            model.backward(pass, gradient);
            optimizer.step(model.parameters(), model.gradients(), step, 1);
        }
        step++;
    }
}
