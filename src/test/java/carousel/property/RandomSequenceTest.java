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

    /** Shuffles and draws are part of what a seed means: these stay what they are. */
    @Test
    void aSeedMeansTheseNumbers() {
        RandomSequence random = new RandomSequence(2026, 3, 1L << 40);
        assertEquals("[9, 1, 0, 3, 4, 5, 2, 8, 7, 6]", Arrays.toString(random.permutation(10)));
        assertEquals(155, random.nextInt(1000));
        assertEquals(0x1.4eb0119fce83cp-2, random.nextDouble());
        assertEquals(-0x1.0f34340efbf08p-1, random.nextGaussian());
    }

    /** Every part of a key counts, the upper half of a long number too, and neighbours have nothing in common. */
    @Test
    void neighbouringSequencesAreUncorrelated() {
        RandomSequence[] sequences = {
            new RandomSequence(1, 2, 3),
            new RandomSequence(2, 2, 3),
            new RandomSequence(1, 3, 3),
            new RandomSequence(1, 2, 4),
            new RandomSequence(1, 2, 3 + (1L << 32)),
            new RandomSequence(1 + (1L << 32), 2, 3)
        };
        int draws = 20_000;
        double[][] values = new double[sequences.length][draws];
        for (int s = 0; s < sequences.length; s++) {
            for (int k = 0; k < draws; k++) {
                values[s][k] = Math.sqrt(12) * (sequences[s].nextDouble() - 0.5);
            }
        }
        for (int s = 0; s < sequences.length; s++) {
            for (int lag = 0; lag < 5; lag++) {
                for (int other = 0; other < sequences.length; other++) {
                    double product = 0;
                    for (int k = 0; k + lag < draws; k++) {
                        product += values[s][k] * values[other][k + lag];
                    }
                    double expected = lag == 0 && other == s ? 1 : 0;
                    // 180 pairs: four standard deviations, and the variance of a product is near 1.
                    assertEquals(expected, product / draws, 4 / Math.sqrt(draws), s + ", " + other + ", lag " + lag);
                }
            }
        }
    }

    /** Words come in blocks of four; a sequence must not show the seams, nor those of its kinds of draw. */
    @Test
    void wordsAreThoseOfTheKeysBlocks() {
        RandomKey key = new RandomKey(5, 6, 7);
        RandomSequence random = new RandomSequence(5, 6, 7);
        int[] words = new int[4];
        for (int block = 0; block < 50; block++) {
            key.block(block, words);
            for (int word : words) {
                assertEquals(word, random.nextWord());
            }
        }
    }

    @Test
    void substreamsAreStreams() {
        RandomKey key = new RandomKey(5, 6, 7);
        assertEquals(new RandomKey(5, 9, 7), key.substream(3));
        assertEquals(key, key.substream(0));
        assertEquals(key.substream(5), key.substream(2).substream(3));
    }

    /** With a higher rate the same words drop what they dropped before, and more. */
    @Test
    void droppingGrowsWithTheRate() {
        RandomSequence random = new RandomSequence(20, 0, 0);
        double[] rates = {0, 1e-3, 0.1, 0.5, 0.9, 1 - 0x1p-24};
        for (int k = 0; k < 10_000; k++) {
            int word = random.nextWord();
            boolean before = false;
            for (double rate : rates) {
                boolean drops = RandomKey.drops(word, RandomKey.threshold(rate));
                assertTrue(drops || !before, () -> "kept at the higher rate " + rate);
                before = drops;
            }
        }
        assertEquals(1 << 23, RandomKey.threshold(0.5));
        assertTrue(RandomKey.drops(0, 1), "the smallest word is the first to go");
        assertTrue(!RandomKey.drops(-1, RandomKey.threshold(1 - 0x1p-24)), "words are unsigned");
    }

    @Test
    void smallPermutationsAreWhole() {
        RandomSequence random = new RandomSequence(22, 0, 0);
        assertEquals(0, random.permutation(0).length);
        assertEquals(0, random.permutation(1)[0]);
    }

    private static double chiSquared(int[] counts) {
        double expected = (double) Arrays.stream(counts).sum() / counts.length;
        return Arrays.stream(counts)
                .mapToDouble(count -> (count - expected) * (count - expected) / expected)
                .sum();
    }
}
