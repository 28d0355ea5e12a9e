package carousel.optimizer;

import static carousel.fixture.Refusals.assertRefused;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.engine.Engine;
import carousel.engine.Engines;
import carousel.engine.RandomSequence;
import carousel.engine.UpdateRule;
import carousel.fixture.LstmData;
import carousel.tensor.Scope;
import carousel.tensor.Tensor;
import java.util.Arrays;
import java.util.List;
import java.util.function.ToDoubleFunction;
import java.util.function.UnaryOperator;
import java.util.stream.DoubleStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

class OptimizerTest {
    private static final int ELEMENTS = 37;
    private static final double[] RATE_FACTORS = {1, 1, 0.5, 0.5, 0.25};
    private static final Schedule SCHEDULE = new Schedule.Step(0.1, 0.5, 2);

    private static List<Optimizer> optimizers() {
        return List.of(
                Optimizer.sgd(0.1),
                Optimizer.momentum(0.1, 0.9),
                Optimizer.nesterov(0.1, 0.8),
                Optimizer.adam(0.1),
                Optimizer.adamW(0.1, 0.3),
                Optimizer.rmsProp(0.1));
    }

    private static Stream<Arguments> optimizersOnEngines() {
        return Stream.of("reference", "vector")
                .flatMap(engine -> optimizers().stream().map(optimizer -> Arguments.of(engine, optimizer)));
    }

    /** One parameter, written from the papers and not from the engines. */
    private static final class Plain {
        private final Optimizer optimizer;
        private double p;
        private double m;
        private double v;

        Plain(Optimizer optimizer, double start) {
            this.optimizer = optimizer;
            this.p = start;
        }

        void step(int number, double rate, double d) {
            if (optimizer.rule() instanceof UpdateRule.Sgd sgd) {
                m = sgd.momentum() * m + d;
                p -= rate * (sgd.nesterov() ? d + sgd.momentum() * m : m);
            } else if (optimizer.rule() instanceof UpdateRule.Adam adam) {
                m = adam.beta1() * m + (1 - adam.beta1()) * d;
                v = adam.beta2() * v + (1 - adam.beta2()) * d * d;
                double corrected = m / (1 - Math.pow(adam.beta1(), number));
                double spread = Math.sqrt(v / (1 - Math.pow(adam.beta2(), number)));
                p = p * (1 - rate * adam.weightDecay()) - rate * corrected / (spread + adam.epsilon());
            } else if (optimizer.rule() instanceof UpdateRule.RmsProp rms) {
                m = rms.decay() * m + (1 - rms.decay()) * d * d;
                p -= rate * d / (Math.sqrt(m) + rms.epsilon());
            }
        }
    }

    @ParameterizedTest
    @MethodSource("optimizersOnEngines")
    void fiveStepsAreThoseOfThePapers(String name, Optimizer recipe) {
        for (double maxNorm : new double[] {0, 1.5}) {
            Optimizer optimizer = recipe.withSchedule(SCHEDULE).withMaxNorm(maxNorm);
            RandomSequence random = new RandomSequence(41, 0, 0);
            double[] start = LstmData.uniform(random, ELEMENTS);
            Plain[] plain = DoubleStream.of(start)
                    .mapToObj(p -> new Plain(optimizer, p))
                    .toArray(Plain[]::new);
            try (Engine engine = Engines.open(name);
                    Scope scope = engine.openScope("model")) {
                Tensor parameters = real(engine, scope, start);
                Optimizer.State state = optimizer.open(engine, scope, ELEMENTS);
                boolean clipped = false;
                boolean left = false;
                for (int step = 0; step < RATE_FACTORS.length; step++) {
                    // Norms of about 0.7 and 3.5, on both sides of the limit.
                    double size = step % 2 == 0 ? 1 : 0.2;
                    double[] d = Arrays.stream(LstmData.uniform(random, ELEMENTS))
                            .map(value -> (float) (size * value))
                            .toArray();
                    double norm = Math.sqrt(Arrays.stream(d).map(x -> x * x).sum());
                    boolean clips = maxNorm > 0 && norm > maxNorm;
                    clipped |= clips;
                    left |= !clips;
                    for (int e = 0; e < ELEMENTS; e++) {
                        double rate = 0.1 * Math.pow(0.5, step / 2) * RATE_FACTORS[step];
                        plain[e].step(step + 1, rate, clips ? d[e] * maxNorm / norm : d[e]);
                    }
                    Tensor gradients = real(engine, scope, d);
                    state.step(parameters, gradients, step, RATE_FACTORS[step]);
                    assertArrayEquals(d, read(engine, gradients), "gradients stay as they are");
                    double tolerance = 200 * engine.precision().epsilon();
                    String what = optimizer + " after step " + step;
                    assertArrayEquals(values(plain, one -> one.p), read(engine, parameters), tolerance, what);
                    if (state.firstMoment() != null) {
                        assertArrayEquals(values(plain, one -> one.m), read(engine, state.firstMoment()), tolerance);
                    }
                    if (state.secondMoment() != null) {
                        assertArrayEquals(values(plain, one -> one.v), read(engine, state.secondMoment()), tolerance);
                    }
                }
                assertTrue(left && clipped == (maxNorm > 0), "some steps are clipped and some are not");
            }
        }
    }

    private static double[] values(Plain[] plain, ToDoubleFunction<Plain> value) {
        return Arrays.stream(plain).mapToDouble(value).toArray();
    }

    private static Tensor real(Engine engine, Scope scope, double[] values) {
        Tensor tensor = scope.allocate("values", values.length);
        engine.write(tensor, values);
        return tensor;
    }

    private static double[] read(Engine engine, Tensor tensor) {
        double[] values = new double[Math.toIntExact(tensor.elements())];
        engine.read(tensor, values);
        return values;
    }

    /** {@code L(p) = 1/2 sum_e k_e (p_e - 3)^2} with curvatures {@code k} from 0.5 to 2. */
    @ParameterizedTest
    @MethodSource("optimizersOnEngines")
    void everyRuleFindsTheBottomOfABowl(String name, Optimizer recipe) {
        // Weight decay pulls away from the bottom, so this recipe gets little of it.
        Optimizer optimizer = (recipe.rule() instanceof UpdateRule.Adam adam && adam.weightDecay() > 0
                        ? Optimizer.adamW(0.1, 1e-5)
                        : recipe)
                .withSchedule(new Schedule.Cosine(0.1, 0, 10, 600))
                .withMaxNorm(5);
        try (Engine engine = Engines.open(name);
                Scope scope = engine.openScope("model")) {
            double[] p = new double[4];
            double[] d = new double[4];
            Tensor parameters = real(engine, scope, p);
            Tensor gradients = real(engine, scope, d);
            Optimizer.State state = optimizer.open(engine, scope, 4);
            for (int step = 0; step < 600; step++) {
                engine.read(parameters, p);
                for (int e = 0; e < 4; e++) {
                    d[e] = 0.5 * (1 + e) * (p[e] - 3);
                }
                engine.write(gradients, d);
                state.step(parameters, gradients, step, 1);
            }
            assertArrayEquals(new double[] {3, 3, 3, 3}, read(engine, parameters), 1e-3);
        }
    }

    @Test
    void eachRuleKeepsTheMomentsItNeedsAndNoMore() {
        try (Engine engine = Engines.open("reference")) {
            for (Optimizer optimizer : optimizers()) {
                try (Scope scope = engine.openScope("model")) {
                    Optimizer.State state = optimizer.open(engine, scope, ELEMENTS);
                    int moments = optimizer.rule().moments();
                    if (moments < 1) {
                        assertNull(state.firstMoment());
                    } else {
                        assertArrayEquals(new double[ELEMENTS], read(engine, state.firstMoment()));
                    }
                    if (moments < 2) {
                        assertNull(state.secondMoment());
                    } else {
                        assertArrayEquals(new double[ELEMENTS], read(engine, state.secondMoment()));
                    }
                    assertEquals(8L * ELEMENTS * moments, scope.bytes(), optimizer.toString());
                }
                try (Scope scope = engine.openScope("model")) {
                    optimizer.withMaxNorm(1).open(engine, scope, ELEMENTS);
                    assertEquals(
                            8L * (ELEMENTS * optimizer.rule().moments() + 1), scope.bytes(), "and the squared norm");
                }
            }
            assertEquals(0, engine.memory().inUse());
        }
    }

    @Test
    void recipesSayWhatTheyAre() {
        assertEquals(new UpdateRule.Sgd(0, false), Optimizer.sgd(1).rule());
        assertEquals(new UpdateRule.Sgd(0.9, false), Optimizer.momentum(1, 0.9).rule());
        assertEquals(new UpdateRule.Sgd(0.9, true), Optimizer.nesterov(1, 0.9).rule());
        assertEquals(new UpdateRule.Adam(0.9, 0.999, 1e-8, 0), Optimizer.adam(1).rule());
        assertEquals(
                new UpdateRule.Adam(0.9, 0.999, 1e-8, 0.2),
                Optimizer.adamW(1, 0.2).rule());
        assertEquals(new UpdateRule.RmsProp(0.9, 1e-7), Optimizer.rmsProp(1).rule());
        Optimizer optimizer = Optimizer.sgd(0.3);
        assertEquals(new Schedule.Constant(0.3), optimizer.schedule());
        assertEquals(0, optimizer.maxNorm());
        UnaryOperator<Optimizer> change =
                from -> from.withMaxNorm(2).withSchedule(SCHEDULE).withMaxNorm(4);
        assertEquals(new Optimizer(optimizer.rule(), SCHEDULE, 4), change.apply(optimizer));
    }

    @Test
    void valuesOutOfRangeAreRefused() {
        for (double rate : new double[] {0, -0.1, Double.NaN, Double.POSITIVE_INFINITY}) {
            assertRefused(IllegalArgumentException.class, () -> Optimizer.adam(rate), "learning rate", "got " + rate);
        }
        for (double norm : new double[] {-1, Double.NaN, Double.POSITIVE_INFINITY}) {
            assertRefused(
                    IllegalArgumentException.class,
                    () -> Optimizer.sgd(1).withMaxNorm(norm),
                    "the largest gradient norm",
                    "0 (no clipping)",
                    "got " + norm);
        }
        for (double fraction : new double[] {-0.1, 1, Double.NaN}) {
            String[] parts = {"[0, 1)", "got " + fraction};
            assertRefused(IllegalArgumentException.class, () -> Optimizer.momentum(1, fraction), parts);
            assertRefused(IllegalArgumentException.class, () -> new UpdateRule.Adam(fraction, 0.9, 1, 0), parts);
            assertRefused(IllegalArgumentException.class, () -> new UpdateRule.Adam(0.9, fraction, 1, 0), parts);
            assertRefused(IllegalArgumentException.class, () -> new UpdateRule.RmsProp(fraction, 1), parts);
        }
        for (double value : new double[] {-0.1, Double.POSITIVE_INFINITY, Double.NaN}) {
            String[] parts = {"0 or a positive finite number", "got " + value};
            assertRefused(IllegalArgumentException.class, () -> Optimizer.adamW(1, value), parts);
        }
        for (double value : new double[] {-0.1, 0, Double.POSITIVE_INFINITY, Double.NaN}) {
            String[] parts = {"epsilon", "1.0E-30 or more", "got " + value};
            assertRefused(IllegalArgumentException.class, () -> new UpdateRule.Adam(0.9, 0.9, value, 0), parts);
            assertRefused(IllegalArgumentException.class, () -> new UpdateRule.RmsProp(0.9, value), parts);
        }
        assertRefused(IllegalArgumentException.class, () -> Optimizer.nesterov(1, 0), "Nesterov", "above 0", "got 0");
    }

    @Test
    void buffersOfAnotherSizeAreRefused() {
        try (Engine engine = Engines.open("reference");
                Scope scope = engine.openScope("model")) {
            Optimizer.State state = Optimizer.adam(1).open(engine, scope, 3);
            Tensor three = real(engine, scope, new double[3]);
            Tensor four = real(engine, scope, new double[4]);
            assertRefused(
                    IllegalArgumentException.class,
                    () -> state.step(three, four, 0, 1),
                    "gradients",
                    "3 elements",
                    "[4]");
            assertRefused(
                    IllegalArgumentException.class,
                    () -> state.step(four, four, 0, 1),
                    "first moment",
                    "4 elements",
                    "[3]");
            assertRefused(IllegalArgumentException.class, () -> state.step(three, three, -1, 1), "from 1", "got 0");
            assertRefused(
                    IllegalArgumentException.class, () -> state.step(three, three, 0, -1), "learning rate", "got -1.0");
        }
    }
}
