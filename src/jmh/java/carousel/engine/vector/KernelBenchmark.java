package carousel.engine.vector;

import static carousel.engine.vector.Kernels.BLOCK;
import static carousel.engine.vector.Kernels.LANES;

import carousel.engine.RandomSequence;
import carousel.engine.Update;
import carousel.engine.UpdateRule;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.AuxCounters;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.Warmup;

/**
 * The vector engine's innermost loops, one call each on one thread, on data in the processor's first or second cache. Calls per
 * second; the counter {@code gflop} is in GFLOP per second. A multiply-add counts as two operations, a division or root as one,
 * limits and signs as none, whatever an instruction does.
 *
 * <p>The kernels on the Vector API are kept from being inlined into JMH's loop. There the compiler would give up inlining their
 * own operations at some point and allocate the vectors in between: tanh and the logistic function took ten times as long.
 */
@State(Scope.Thread)
@BenchmarkMode(Mode.Throughput)
@OutputTimeUnit(TimeUnit.SECONDS)
@Warmup(iterations = 5, time = 1)
@Measurement(iterations = 10, time = 1)
@Fork(
        value = 2,
        jvmArgsAppend = {
            "-XX:CompileCommand=quiet",
            "-XX:CompileCommand=dontinline,carousel.engine.vector.SimdKernels::*"
        })
public class KernelBenchmark {
    /** As many sequences as the engine works on at a time, and as many terms. */
    private static final int ROWS = 18;

    private static final int DEPTH = 128;
    /** As the engine does it: G1 puts an array so large at the start of a region, and so many numbers on a strip is on a cache line. */
    private static final int LARGE = 1 << 22;

    private static final int LEAD = 12;
    private static final int NUMBERS = 1 << 12;
    private static final int PARAMETERS = 1 << 14;

    private static final double PRODUCT = 2e-9 * ROWS * DEPTH * BLOCK;
    private static final double LOGISTIC = 20e-9;
    private static final double TANH = 25e-9;
    /** Three logistic functions, two hyperbolic tangents, and c and m. */
    private static final double CELL_FORWARD = 3 * LOGISTIC + 2 * TANH + 4e-9;

    private static final double CELL_BACKWARD = 22e-9;
    private static final double ADAM = 15e-9;

    /** {@code best} are those that an engine would take in this JVM, {@code loops} those that need no module. */
    @Param("best")
    public String kernels;

    private final RandomSequence random = new RandomSequence(1, 0, 0);
    /** With room for groups of columns, which are padded. */
    private final float[] a = draw(2 * ROWS * DEPTH);

    private final float[] b = new float[LARGE];
    private final float[] start = draw(BLOCK);
    private final float[] room = new float[ROWS * BLOCK];
    private final float[] sums = new float[DEPTH * BLOCK];
    private final float[] numbers = draw(NUMBERS);
    private final float[] results = new float[NUMBERS];
    private final float[] gates = draw(ROWS * BLOCK);
    private final float[] z = new float[ROWS * BLOCK];
    private final float[] states = draw(ROWS * 2 * LANES);
    private final float[] cells = draw(ROWS * LANES);
    private final float[] c = new float[ROWS * LANES];
    private final float[] m = draw(ROWS * BLOCK);
    private final float[] parameters = draw(PARAMETERS);
    private final float[] gradients = draw(PARAMETERS);
    private final float[] first = new float[PARAMETERS];
    private final float[] second = new float[PARAMETERS];
    private final UpdateStep step = new UpdateStep();
    private Kernels chosen;

    /** What was computed in an iteration. */
    @AuxCounters(AuxCounters.Type.OPERATIONS)
    @State(Scope.Thread)
    public static class Work {
        public double gflop;
    }

    @Setup
    public void choose() {
        System.arraycopy(draw(DEPTH * BLOCK), 0, b, LEAD, DEPTH * BLOCK);
        chosen = kernels.equals("loops") ? new LoopKernels() : Kernels.best();
        step.set(new Update(new UpdateRule.Adam(0.9, 0.999, 1e-8, 0), 1, 0.001, 0, null), 1);
    }

    /** A tile's share of the pre-activations: 18 rows, 128 terms, a strip of 4 times 16 columns. */
    @Benchmark
    public float[] product(Work work) {
        chosen.product(
                ROWS,
                a,
                0,
                ROWS * BLOCK,
                0,
                DEPTH,
                b,
                LEAD,
                DEPTH,
                BLOCK / LANES,
                start,
                0,
                0,
                sums,
                0,
                LEAD,
                DEPTH * BLOCK);
        work.gflop += PRODUCT;
        return sums;
    }

    /** A tile's share of the weights' gradients: 128 columns, 18 terms. */
    @Benchmark
    public float[] outerProduct(Work work) {
        int pitch = chosen.group() == 0 ? DEPTH : ROWS * Kernels.GROUP_PITCH;
        chosen.outerProduct(DEPTH, a, pitch, ROWS, b, LEAD, sums, 0, LEAD, ROWS * BLOCK, room);
        work.gflop += PRODUCT;
        return sums;
    }

    @Benchmark
    public float[] logistic(Work work) {
        chosen.logistic(numbers, 0, results, 0, NUMBERS);
        work.gflop += LOGISTIC * NUMBERS;
        return results;
    }

    @Benchmark
    public float[] tanh(Work work) {
        chosen.tanh(numbers, 0, results, 0, NUMBERS);
        work.gflop += TANH * NUMBERS;
        return results;
    }

    /** A time step of 18 sequences and 16 hidden units, recorded on a tape. */
    @Benchmark
    public float[] cellForward(Work work) {
        // The pre-activations and c are overwritten. The copies, of what stays in the first cache, are timed with the
        // kernel.
        System.arraycopy(gates, 0, z, 0, z.length);
        System.arraycopy(cells, 0, c, 0, c.length);
        chosen.cellForward(ROWS, z, 0, c, 0, 0, sums, 0, BLOCK, states, 0, m, 0, BLOCK);
        work.gflop += CELL_FORWARD * ROWS * LANES;
        return m;
    }

    /** Back through the same. */
    @Benchmark
    public float[] cellBackward(Work work) {
        // As above; without the copies the gradients would shrink call by call, to subnormal numbers, which take
        // longer.
        System.arraycopy(gates, 0, z, 0, z.length);
        System.arraycopy(cells, 0, c, 0, c.length);
        chosen.cellBackward(ROWS, m, 0, c, 0, z, 0, states, 0, cells, 0, LANES, 0, false);
        work.gflop += CELL_BACKWARD * ROWS * LANES;
        return z;
    }

    /** Adam on 16,384 parameters. */
    @Benchmark
    public float[] adam(Work work) {
        chosen.update(step, parameters, 0, gradients, 0, first, 0, second, 0, PARAMETERS);
        work.gflop += ADAM * PARAMETERS;
        return parameters;
    }

    private float[] draw(int count) {
        float[] values = new float[count];
        for (int e = 0; e < count; e++) {
            values[e] = (float) random.uniform(-1, 1);
        }
        return values;
    }
}
