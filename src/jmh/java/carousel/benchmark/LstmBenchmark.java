package carousel.benchmark;

import carousel.engine.Engine;
import carousel.engine.EngineOptions;
import carousel.engine.Engines;
import carousel.engine.LstmInput;
import carousel.engine.LstmInputGradient;
import carousel.engine.LstmLayout;
import carousel.engine.LstmOutput;
import carousel.engine.LstmSpec;
import carousel.engine.LstmTape;
import carousel.tensor.Scope;
import carousel.tensor.Shape;
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
 * The vector engine's calls for an LSTM stack, without a model around them; the tensors and the tape are those of the call before.
 * Milliseconds a call.
 */
@State(org.openjdk.jmh.annotations.Scope.Thread)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MILLISECONDS)
@Warmup(iterations = 8, time = 2)
@Measurement(iterations = 10, time = 2)
@Fork(2)
public class LstmBenchmark {
    @Param({"A", "B", "C", "D"})
    public Workload workload;

    @Param({"1", "2"})
    public int threads;

    private Engine engine;
    private Scope scope;
    private LstmSpec spec;
    private Tensor parameters;
    private Tensor oneWeight;
    private Tensor gradients;
    private LstmInput input;
    private LstmOutput output;
    private LstmOutput outputGradient;
    private LstmTape tape;

    @Setup
    public void open() {
        engine = Engines.open("vector", new EngineOptions(threads, null, false));
        scope = engine.openScope("benchmark");
        spec = workload.spec();
        int steps = workload.timeSteps();
        int batch = workload.batchSize();
        int hidden = workload.hidden();
        Tensor x = scope.allocate("x", steps, batch, workload.features());
        engine.write(x, Workload.draw(x.elements(), 1, 1));
        int elements = Math.toIntExact(LstmLayout.of(spec).elements());
        parameters = scope.allocate("parameters", elements);
        engine.write(parameters, Workload.draw(elements, 1 / Math.sqrt(hidden), 2));
        oneWeight = parameters.view("one weight", 0, Shape.of(1));
        gradients = scope.allocate("gradients", elements);
        engine.fill(gradients, 0);
        Tensor y = scope.allocate("y", steps, batch, hidden);
        Tensor dy = scope.allocate("dy", steps, batch, hidden);
        engine.write(dy, Workload.draw(dy.elements(), 1e-3, 3));
        input = LstmInput.of(x);
        output = new LstmOutput(y, null);
        outputGradient = new LstmOutput(dy, null);
        tape = engine.openTape(scope, spec, steps, batch);
    }

    @TearDown
    public void close() {
        scope.close();
        engine.close();
    }

    /** A forward pass that leaves no record, with weights that do not change. */
    @Benchmark
    public void inference() {
        engine.lstmForward(spec, parameters, input, output, null);
    }

    /** A forward pass with a tape, and the backward pass to the gradients of the weights; that of x is not asked for. */
    @Benchmark
    public void forwardBackward() {
        // In training the weights change before each pass, and the engine has to pack them anew.
        engine.fill(oneWeight, 0.01);
        engine.lstmForward(spec, parameters, input, output, tape);
        engine.lstmBackward(tape, outputGradient, gradients, LstmInputGradient.NONE);
    }
}
