package carousel.lesson;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.engine.ParameterLayout;
import carousel.engine.RandomSequence;
import java.util.Arrays;
import org.junit.jupiter.api.Test;

class TanhRnnTest {
    private static final int C = 3;
    private static final int H = 5;
    private static final int T = 6;
    private static final int N = 2;
    private static final double STEP = 1e-5;

    private final ParameterLayout layout = new ParameterLayout();
    private final TanhRnn network = new TanhRnn(C, H, layout);
    private final RandomSequence random = new RandomSequence(7, 0, 0);
    private final double[] parameters = new double[Math.toIntExact(layout.elements())];
    private final float[] x = new float[T * N * C];
    private final double[] lossWeights = new double[N * H];
    private final double[] h = new double[(T + 1) * N * H];

    TanhRnnTest() {
        layout.views().forEach(view -> {
            for (long e = view.offset(); e < view.end(); e++) {
                parameters[Math.toIntExact(e)] = random.uniform(-0.8, 0.8);
            }
        });
        for (int e = 0; e < x.length; e++) {
            x[e] = (float) random.uniform(-1, 1);
        }
        for (int e = 0; e < lossWeights.length; e++) {
            lossWeights[e] = random.uniform(-1, 1);
        }
    }

    /** {@code L = sum weights * h_T}, run from step {@code first} on, the state before it as given. */
    private double loss(int first, double[] states) {
        int steps = T - first;
        double[] rest = Arrays.copyOfRange(states, first * N * H, states.length);
        network.forward(parameters, Arrays.copyOfRange(x, first * N * C, x.length), steps, N, rest);
        double loss = 0;
        for (int e = 0; e < N * H; e++) {
            loss += lossWeights[e] * rest[steps * N * H + e];
        }
        return loss;
    }

    private double[] stateGradients(double[] parameterGradients) {
        network.forward(parameters, x, T, N, h);
        double[] dh = new double[h.length];
        System.arraycopy(lossWeights, 0, dh, T * N * H, N * H);
        network.backward(parameters, x, T, N, h, dh, parameterGradients);
        return dh;
    }

    @Test
    void aStepFollowsTheEquation() {
        network.forward(parameters, x, T, N, h);
        int w = Math.toIntExact(layout.views().get(0).offset());
        int r = Math.toIntExact(layout.views().get(1).offset());
        int b = Math.toIntExact(layout.views().get(2).offset());
        int t = 3;
        int n = 1;
        for (int j = 0; j < H; j++) {
            double a = parameters[b + j];
            for (int i = 0; i < C; i++) {
                a += parameters[w + j * C + i] * x[((t - 1) * N + n) * C + i];
            }
            for (int k = 0; k < H; k++) {
                a += parameters[r + j * H + k] * h[((t - 1) * N + n) * H + k];
            }
            assertEquals(Math.tanh(a), h[(t * N + n) * H + j], 1e-14);
        }
    }

    @Test
    void parameterGradientsAgreeWithFiniteDifferences() {
        double[] gradients = new double[parameters.length];
        stateGradients(gradients);
        layout.views().forEach(view -> {
            for (long element = view.offset(); element < view.end(); element++) {
                int e = Math.toIntExact(element);
                double kept = parameters[e];
                parameters[e] = kept + STEP;
                double above = loss(0, h);
                parameters[e] = kept - STEP;
                double below = loss(0, h);
                parameters[e] = kept;
                assertEquals((above - below) / (2 * STEP), gradients[e], 1e-8, view.name() + " " + e);
            }
        });
    }

    @Test
    void stateGradientsAgreeWithFiniteDifferencesAtEveryStep() {
        double[] dh = stateGradients(new double[parameters.length]);
        for (int t = 0; t <= T; t++) {
            for (int e = t * N * H; e < (t + 1) * N * H; e++) {
                double kept = h[e];
                h[e] = kept + STEP;
                double above = loss(t, h);
                h[e] = kept - STEP;
                double below = loss(t, h);
                h[e] = kept;
                assertEquals((above - below) / (2 * STEP), dh[e], 1e-8, "step " + t);
            }
        }
    }

    @Test
    void parameterGradientsAreAddedTo() {
        double[] once = new double[parameters.length];
        stateGradients(once);
        double[] twice = once.clone();
        stateGradients(twice);
        for (int e = 0; e < once.length; e++) {
            assertEquals(2 * once[e], twice[e], 1e-12);
        }
        assertTrue(Arrays.stream(once).anyMatch(gradient -> gradient != 0));
    }

    @Test
    void theGradientVanishesAtLeastAsFastAsTheLargestSingularValueSays() {
        // R = 0.5 times an orthogonal matrix: every step back multiplies the norm by at most 0.5.
        network.initialize(parameters, random);
        int r = Math.toIntExact(layout.views().get(1).offset());
        for (int e = r; e < r + H * H; e++) {
            parameters[e] *= 0.5;
        }
        double[] norms = GradientNorms.ofSteps(stateGradients(new double[parameters.length]), T, N);
        for (int back = 1; back <= T; back++) {
            assertTrue(norms[back] <= 0.5 * norms[back - 1] * (1 + 1e-12), "step " + back);
            assertTrue(norms[back] > 0);
        }
    }

    @Test
    void sizesBelowOneAreRefused() {
        assertThrows(IllegalArgumentException.class, () -> new TanhRnn(0, 1, new ParameterLayout()));
        assertThrows(IllegalArgumentException.class, () -> new TanhRnn(1, 0, new ParameterLayout()));
    }
}
