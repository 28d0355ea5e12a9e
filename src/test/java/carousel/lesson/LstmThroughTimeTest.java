package carousel.lesson;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.engine.Engine;
import carousel.engine.Engines;
import carousel.engine.Gate;
import carousel.engine.LstmInput;
import carousel.engine.LstmInputGradient;
import carousel.engine.LstmLayout;
import carousel.engine.LstmOutput;
import carousel.engine.LstmSpec;
import carousel.engine.LstmState;
import carousel.engine.LstmTape;
import carousel.engine.ParameterView;
import carousel.engine.RandomSequence;
import carousel.tensor.Scope;
import carousel.tensor.Shape;
import carousel.tensor.Tensor;
import java.util.Arrays;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class LstmThroughTimeTest {
    private static final LstmSpec SPEC = LstmSpec.of(3, 4);
    private static final int H = 4;
    private static final int T = 8;
    private static final int N = 2;
    private static final double STEP = 1e-5;

    private final Engine engine = Engines.open("reference");
    private final Scope scope = engine.openScope("test");
    private final RandomSequence random = new RandomSequence(3, 0, 0);
    private final LstmLayout layout = LstmLayout.of(SPEC);
    private final double[] weights = uniform(Math.toIntExact(layout.elements()), 0.7);
    private final double[] dhLast = uniform(N * H, 1);
    private final Tensor x = tensor("x", uniform(T * N * 3, 1), T, N, 3);

    @AfterEach
    void close() {
        scope.close();
        assertEquals(0, engine.memory().inUse());
        engine.close();
    }

    private double[] uniform(int size, double limit) {
        double[] values = new double[size];
        for (int e = 0; e < size; e++) {
            values[e] = random.uniform(-limit, limit);
        }
        return values;
    }

    private Tensor tensor(String name, double[] values, int... extents) {
        Tensor tensor = scope.allocate(name, extents);
        engine.write(tensor, values);
        return tensor;
    }

    private double[] read(Tensor tensor) {
        double[] values = new double[Math.toIntExact(tensor.elements())];
        engine.read(tensor, values);
        return values;
    }

    private LstmState gradients() {
        Tensor parameters = tensor("parameters", weights, weights.length);
        return LstmThroughTime.gradients(engine, scope, SPEC, parameters, x, h -> tensor("dh", dhLast, N, H));
    }

    /** {@code sum dhLast * h_T} of the steps from {@code first} on, from this state; also the states at {@code until}. */
    private LstmState run(int first, int until, double[] h, double[] c) {
        LstmState last = new LstmState(scope.allocate("last h", 1, N, H), scope.allocate("last c", 1, N, H));
        if (first == until) {
            engine.write(last.h(), h);
            engine.write(last.c(), c);
            return last;
        }
        LstmInput input = LstmInput.of(x.view("x", (long) first * N * 3, Shape.of(until - first, N, 3)))
                .withInitial(new LstmState(tensor("h", h, 1, N, H), tensor("c", c, 1, N, H)));
        Tensor y = scope.allocate("y", until - first, N, H);
        engine.lstmForward(SPEC, tensor("parameters", weights, weights.length), input, new LstmOutput(y, last), null);
        return last;
    }

    private double loss(int first, double[] h, double[] c) {
        double[] last = read(run(first, T, h, c).h());
        double loss = 0;
        for (int e = 0; e < last.length; e++) {
            loss += dhLast[e] * last[e];
        }
        return loss;
    }

    @Test
    void theInitialStatesGradientIsThatOfOneBackwardPassOverAllSteps() {
        LstmTape tape = engine.openTape(scope, SPEC, T, N);
        Tensor y = scope.allocate("y", T, N, H);
        engine.lstmForward(
                SPEC, tensor("parameters", weights, weights.length), LstmInput.of(x), new LstmOutput(y, null), tape);
        LstmState whole = new LstmState(scope.allocate("dh0", 1, N, H), scope.allocate("dc0", 1, N, H));
        LstmOutput outputGradient = new LstmOutput(null, new LstmState(tensor("dh", dhLast, 1, N, H), null));
        engine.lstmBackward(tape, outputGradient, null, new LstmInputGradient(null, whole));

        LstmState steps = gradients();
        assertArrayEquals(read(whole.h()), Arrays.copyOf(read(steps.h()), N * H), 1e-15);
        assertArrayEquals(read(whole.c()), Arrays.copyOf(read(steps.c()), N * H), 1e-15);
    }

    @Test
    void theGradientOfEveryStepAgreesWithFiniteDifferences() {
        LstmState gradients = gradients();
        double[] dh = read(gradients.h());
        double[] dc = read(gradients.c());
        for (int t = 0; t <= T; t++) {
            LstmState states = run(0, t, new double[N * H], new double[N * H]);
            double[] h = read(states.h());
            double[] c = read(states.c());
            for (int e = 0; e < N * H; e++) {
                assertEquals(difference(t, h, c, h, e), dh[t * N * H + e], 1e-9, "dh at step " + t);
                assertEquals(difference(t, h, c, c, e), dc[t * N * H + e], 1e-9, "dc at step " + t);
            }
        }
    }

    private double difference(int t, double[] h, double[] c, double[] moved, int e) {
        double kept = moved[e];
        moved[e] = kept + STEP;
        double above = loss(t, h, c);
        moved[e] = kept - STEP;
        double below = loss(t, h, c);
        moved[e] = kept;
        return (above - below) / (2 * STEP);
    }

    @Test
    void withTheForgetGateOpenAndTheInputGateShutTheCellsGradientStays() {
        Arrays.fill(weights, 0);
        bias(Gate.FORGET, 40);
        bias(Gate.INPUT, -40);
        bias(Gate.OUTPUT, 0.3);
        double[] cell = GradientNorms.ofSteps(read(gradients().c()), T, N);
        assertTrue(cell[1] > 0);
        for (int back = 2; back <= T; back++) {
            assertEquals(cell[1], cell[back], 1e-14);
        }
    }

    private void bias(Gate gate, double value) {
        ParameterView bias = layout.cell(0).bias();
        int first = Math.toIntExact(bias.offset()) + gate.firstRow(H);
        Arrays.fill(weights, first, first + H, value);
    }
}
