package carousel.optimizer;

import static carousel.fixture.Refusals.assertRefused;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;

class ScheduleTest {
    private static final double ULPS = 1e-15;

    @Test
    void constantRatesStay() {
        Schedule schedule = Schedule.constant(0.25);
        assertEquals(new Schedule.Constant(0.25), schedule);
        for (long step : new long[] {0, 1, Long.MAX_VALUE}) {
            assertEquals(0.25, schedule.rate(step));
        }
    }

    @Test
    void stepsDropAtMultiplesOnly() {
        Schedule schedule = new Schedule.Step(0.5, 0.5, 10);
        assertEquals(0.5, schedule.rate(0));
        assertEquals(0.5, schedule.rate(9));
        assertEquals(0.25, schedule.rate(10));
        assertEquals(0.25, schedule.rate(19));
        assertEquals(0.125, schedule.rate(20));
        assertEquals(0, schedule.rate(Long.MAX_VALUE));
        assertEquals(0.5, new Schedule.Step(0.5, 1, 10).rate(1000), "a factor of 1 drops nothing");
        assertEquals(0.125, new Schedule.Step(0.5, 0.5, 1).rate(2), "a drop at every step");
    }

    @Test
    void exponentialsReachTheirFactor() {
        Schedule schedule = new Schedule.Exponential(0.8, 0.25, 100);
        assertEquals(0.8, schedule.rate(0));
        assertEquals(0.4, schedule.rate(50), ULPS);
        assertEquals(0.2, schedule.rate(100), ULPS);
        assertEquals(0.05, schedule.rate(200), ULPS);
        // 0.25^(1/100) = exp(-ln 4 / 100) = exp(-0.013862943611198906)
        assertEquals(0.8 * 0.9862327044933592, schedule.rate(1), ULPS);
    }

    @Test
    void cosinesRiseToTheirPeakAndFallToTheirEnd() {
        Schedule schedule = new Schedule.Cosine(1, 0.2, 4, 16);
        double[] warmUp = {0.25, 0.5, 0.75, 1, 1};
        for (int step = 0; step < warmUp.length; step++) {
            assertEquals(warmUp[step], schedule.rate(step), "step " + step);
        }
        // A third, half and two thirds of the way: cosines of 1/2, 0 and -1/2.
        assertEquals(0.2 + 0.8 * 0.75, schedule.rate(8), ULPS);
        assertEquals(0.6, schedule.rate(10), ULPS);
        assertEquals(0.2 + 0.8 * 0.25, schedule.rate(12), ULPS);
        assertTrue(schedule.rate(15) > 0.2);
        assertEquals(0.2, schedule.rate(16));
        assertEquals(0.2, schedule.rate(17));
        assertEquals(0.2, schedule.rate(Long.MAX_VALUE));
        assertTrue(
                LongStream.range(4, 16).allMatch(step -> schedule.rate(step + 1) < schedule.rate(step)),
                "after the warm-up it only falls");
    }

    @Test
    void cosinesNeedNoWarmUp() {
        Schedule schedule = new Schedule.Cosine(1, 0, 0, 2);
        assertEquals(1, schedule.rate(0));
        assertEquals(0.5, schedule.rate(1), ULPS);
        assertEquals(0, schedule.rate(2));
        assertEquals(1, new Schedule.Cosine(1, 0, 0, 1).rate(0));
        assertEquals(0.5, new Schedule.Cosine(1, 0, 2, 3).rate(0), "all but the last step may be warm-up");
        assertEquals(0.3, new Schedule.Cosine(0.3, 0.3, 0, 5).rate(3), "it may end where it begins");
    }

    @Test
    void valuesOutOfRangeAreRefused() {
        for (double rate : new double[] {0, -1, Double.NaN, Double.POSITIVE_INFINITY}) {
            String[] parts = {"the learning rate", "positive finite", "got " + rate};
            assertRefused(IllegalArgumentException.class, () -> Schedule.constant(rate), parts);
            assertRefused(IllegalArgumentException.class, () -> new Schedule.Step(rate, 0.5, 1), parts);
            assertRefused(IllegalArgumentException.class, () -> new Schedule.Exponential(rate, 0.5, 1), parts);
            assertRefused(IllegalArgumentException.class, () -> new Schedule.Cosine(rate, 0, 0, 1), parts);
        }
        for (double factor : new double[] {0, -0.5, 1.01, Double.NaN}) {
            String[] parts = {"the factor of a schedule", "(0, 1]", "got " + factor};
            assertRefused(IllegalArgumentException.class, () -> new Schedule.Step(1, factor, 1), parts);
            assertRefused(IllegalArgumentException.class, () -> new Schedule.Exponential(1, factor, 1), parts);
        }
        for (long steps : new long[] {0, -3}) {
            String[] parts = {"steps", "1 or more", "got " + steps};
            assertRefused(IllegalArgumentException.class, () -> new Schedule.Step(1, 0.5, steps), parts);
            assertRefused(IllegalArgumentException.class, () -> new Schedule.Exponential(1, 0.5, steps), parts);
            assertRefused(IllegalArgumentException.class, () -> new Schedule.Cosine(1, 0.5, 0, steps), parts);
        }
        for (double last : new double[] {-0.1, 1.5, Double.NaN}) {
            assertRefused(
                    IllegalArgumentException.class,
                    () -> new Schedule.Cosine(1, last, 0, 1),
                    "the last learning rate",
                    "[0, 1.0]",
                    "got " + last);
        }
        for (long warmUp : new long[] {-1, 10, 11}) {
            assertRefused(
                    IllegalArgumentException.class,
                    () -> new Schedule.Cosine(1, 0, warmUp, 10),
                    "the warm-up",
                    "[0, 9]",
                    "got " + warmUp);
        }
    }
}
