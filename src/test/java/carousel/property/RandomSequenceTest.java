package carousel.property;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.engine.RandomKey;
import carousel.engine.RandomSequence;
import java.util.Arrays;
import java.util.HashSet;
import java.util.Set;
import org.junit.jupiter.api.Test;

/** Seeds are fixed, so these are facts and not chances; the bounds are those of a chi-squared test at 0.001. */
class RandomSequenceTest {
    private static final int DRAWS = 100_000;

    @Test
    void doublesAreUniform() {
        RandomSequence random = new RandomSequence(1, 2, 3);
        int[] counts = new int[100];
        double sum = 0;
        for (int k = 0; k < DRAWS; k++) {
            double value = random.nextDouble();
            assertTrue(value >= 0 && value < 1);
            counts[(int) (value * 100)]++;
            sum += value;
        }
        assertTrue(chiSquared(counts) < 148.2, "chi squared of 99 degrees of freedom is " + chiSquared(counts));
        assertEquals(0.5, sum / DRAWS, 0.003);
    }

    @Test
    void integersAreUniformAlsoWhereTheBoundDoesNotDivide() {
        RandomSequence random = new RandomSequence(4, 5, 6);
        int[] counts = new int[7];
        for (int k = 0; k < DRAWS; k++) {
            counts[random.nextInt(7)]++;
        }
        assertTrue(chiSquared(counts) < 22.5, "chi squared of 6 degrees of freedom is " + chiSquared(counts));
        // 2^32 words for 3 * 2^29 values, 8/3 each: without rejection two residues would get 3 words and one only 2.
        int bound = 3 << 29;
        int[] residues = new int[3];
        for (int k = 0; k < DRAWS; k++) {
            residues[random.nextInt(bound) % 3]++;
        }
        assertTrue(chiSquared(residues) < 13.9, "chi squared of 2 degrees of freedom is " + chiSquared(residues));
    }

    @Test
    void gaussiansHaveTheirMoments() {
        RandomSequence random = new RandomSequence(7, 8, 9);
        double[] moments = new double[5];
        for (int k = 0; k < DRAWS; k++) {
            double value = random.nextGaussian();
            for (int power = 1; power <= 4; power++) {
                moments[power] += Math.pow(value, power) / DRAWS;
            }
        }
        assertEquals(0, moments[1], 0.01);
        assertEquals(1, moments[2], 0.015);
        assertEquals(0, moments[3], 0.03);
        assertEquals(3, moments[4], 0.1);
    }

    @Test
    void permutationsAreUniform() {
        RandomSequence random = new RandomSequence(10, 11, 12);
        int[] counts = new int[24];
        for (int k = 0; k < 24_000; k++) {
            int[] order = random.permutation(4);
            int[] sorted = order.clone();
            Arrays.sort(sorted);
            assertTrue(Arrays.equals(new int[] {0, 1, 2, 3}, sorted), "not a permutation");
            int rank = 0;
            for (int i = 0; i < 4; i++) {
                int smaller = 0;
                for (int j = i + 1; j < 4; j++) {
                    smaller += order[j] < order[i] ? 1 : 0;
                }
                rank = rank * (4 - i) + smaller;
            }
            counts[rank]++;
        }
        assertTrue(chiSquared(counts) < 49.7, "chi squared of 23 degrees of freedom is " + chiSquared(counts));
    }

    @Test
    void sameSeedGivesTheSameNumbersAndAnotherGivesOthers() {
        Set<Integer> first = new HashSet<>();
        for (RandomSequence random : new RandomSequence[] {
            new RandomSequence(1, 0, 0),
            new RandomSequence(2, 0, 0),
            new RandomSequence(1, 1, 0),
            new RandomSequence(1, 0, 1),
            new RandomSequence(1L << 32, 0, 0)
        }) {
            first.add(random.nextWord());
        }
        assertEquals(5, first.size());
        RandomSequence one = new RandomSequence(13, 14, 15);
        RandomSequence other = new RandomSequence(13, 14, 15);
        for (int k = 0; k < 100; k++) {
            assertEquals(one.nextWord(), other.nextWord());
        }
    }

    @Test
    void boundsAreRespected() {
        RandomSequence random = new RandomSequence(16, 17, 18);
        assertEquals(0, random.nextInt(1));
        assertThrows(IllegalArgumentException.class, () -> random.nextInt(0));
        for (int k = 0; k < 1000; k++) {
            double value = random.uniform(-3, 5);
            assertTrue(value >= -3 && value < 5);
        }
    }

    /** A rate of dropout means what it says, to one in 2^24. */
    @Test
    void thresholdsDropTheirShare() {
        assertEquals(0, RandomKey.threshold(0));
        for (double rate : new double[] {0.01, 0.25, 0.5, 0.9}) {
            RandomSequence random = new RandomSequence(19, 0, 0);
            int dropped = 0;
            for (int k = 0; k < DRAWS; k++) {
                dropped += RandomKey.drops(random.nextWord(), RandomKey.threshold(rate)) ? 1 : 0;
            }
            double deviation = Math.sqrt(rate * (1 - rate) / DRAWS);
            assertEquals(rate, (double) dropped / DRAWS, 4 * deviation);
        }
        assertTrue(!RandomKey.drops(0, RandomKey.threshold(0)), "a rate of 0 drops nothing");
    }

    private static double chiSquared(int[] counts) {
        double expected = (double) Arrays.stream(counts).sum() / counts.length;
        return Arrays.stream(counts)
                .mapToDouble(count -> (count - expected) * (count - expected) / expected)
                .sum();
    }
}
