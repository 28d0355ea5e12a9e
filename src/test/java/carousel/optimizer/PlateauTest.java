package carousel.optimizer;

import static carousel.fixture.Refusals.assertRefused;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.engine.RandomSequence;
import org.junit.jupiter.api.Test;

class PlateauTest {
    private static boolean[] observe(Plateau plateau, double... values) {
        boolean[] ranOut = new boolean[values.length];
        for (int k = 0; k < values.length; k++) {
            ranOut[k] = plateau.observe(values[k]);
        }
        return ranOut;
    }

    @Test
    void patienceRunsOutAfterAsManyObservationsThatDoNotImprove() {
        assertArrayEquals(
                new boolean[] {false, false, false, true, false, false, true},
                observe(new Plateau(3, 0), 1, 1, 2, 1.5, 3, 4, 5),
                "the count starts anew");
        assertArrayEquals(new boolean[] {false, true, true, false}, observe(new Plateau(1, 0), 1, 1, 1, 0.9));
    }

    @Test
    void anImprovementForgivesWhatWasWaited() {
        assertArrayEquals(
                new boolean[] {false, false, false, false, true}, observe(new Plateau(2, 0), 1, 2, 0.5, 0.5, 0.6));
    }

    @Test
    void improvementsBelowTheMinimalChangeDoNotCount() {
        Plateau plateau = new Plateau(2, 0.5);
        assertFalse(plateau.observe(4));
        assertFalse(plateau.observe(3.5), "lower by exactly the minimal change");
        assertEquals(new Plateau.Snapshot(4, 1), plateau.snapshot());
        assertTrue(plateau.observe(3.75));
        assertFalse(plateau.observe(3.25));
        assertEquals(new Plateau.Snapshot(3.25, 0), plateau.snapshot());
    }

    @Test
    void whatIsNoNumberIsNoImprovement() {
        Plateau plateau = new Plateau(2, 0);
        assertFalse(plateau.observe(Double.NaN));
        assertTrue(plateau.observe(Double.POSITIVE_INFINITY));
        assertFalse(plateau.observe(3));
        assertEquals(3, plateau.snapshot().best());
    }

    /** Wherever a run is cut, the restored one goes on as if nothing had happened. */
    @Test
    void aSnapshotCarriesOnExactly() {
        RandomSequence random = new RandomSequence(31, 0, 0);
        double[] values = new double[40];
        for (int k = 0; k < values.length; k++) {
            values[k] = random.nextDouble() - 0.01 * k;
        }
        boolean[] expected = observe(new Plateau(3, 0.05), values);
        assertTrue(count(expected) > 2, "patience runs out now and then");
        for (int cut = 0; cut <= values.length; cut++) {
            Plateau first = new Plateau(3, 0.05);
            Plateau second = new Plateau(3, 0.05);
            boolean[] actual = new boolean[values.length];
            for (int k = 0; k < values.length; k++) {
                if (k == cut) {
                    second.restore(first.snapshot());
                }
                actual[k] = (k < cut ? first : second).observe(values[k]);
            }
            assertArrayEquals(expected, actual, "cut at " + cut);
        }
    }

    private static int count(boolean[] flags) {
        int count = 0;
        for (boolean flag : flags) {
            count += flag ? 1 : 0;
        }
        return count;
    }

    @Test
    void valuesOutOfRangeAreRefused() {
        assertRefused(IllegalArgumentException.class, () -> new Plateau(0, 0), "patience", "1 or more", "got 0");
        for (double change : new double[] {-1, Double.NaN, Double.POSITIVE_INFINITY}) {
            assertRefused(
                    IllegalArgumentException.class,
                    () -> new Plateau(1, change),
                    "the minimal change",
                    "0 or a positive finite number",
                    "got " + change);
        }
    }

    @Test
    void reductionsEndAtTheSmallestFactor() {
        ReduceOnPlateau reduction = new ReduceOnPlateau(0.5, 2, 0.2);
        assertEquals(0.5, reduction.reduce(1));
        assertEquals(0.25, reduction.reduce(0.5));
        assertEquals(0.2, reduction.reduce(0.25));
        assertEquals(0.2, reduction.reduce(0.2));
        assertEquals(0.125, new ReduceOnPlateau(0.5, 2, 0).reduce(0.25));
        assertEquals(1, new ReduceOnPlateau(0.5, 2, 1).reduce(1));
        for (double factor : new double[] {0, 1, -0.5, Double.NaN}) {
            assertRefused(
                    IllegalArgumentException.class, () -> new ReduceOnPlateau(factor, 1, 0), "(0, 1)", "got " + factor);
        }
        for (double smallest : new double[] {-0.1, 1.1, Double.NaN}) {
            assertRefused(
                    IllegalArgumentException.class,
                    () -> new ReduceOnPlateau(0.5, 1, smallest),
                    "the smallest factor",
                    "[0, 1]",
                    "got " + smallest);
        }
        assertRefused(IllegalArgumentException.class, () -> new ReduceOnPlateau(0.5, 0, 0), "patience", "got 0");
    }
}
