package carousel.spark;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;

import carousel.spark.SumTree.Vectors;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class SumTreeTest {
    private static Vectors leaf(int partition) {
        Random random = new Random(partition);
        float[] values = new float[5];
        for (int k = 0; k < values.length; k++) {
            values[k] = (float) (random.nextGaussian() * Math.pow(10, random.nextInt(12) - 6));
        }
        return new Vectors(new Vector(values, null), new double[] {partition, random.nextDouble()});
    }

    private static double[] elements(Vectors of) {
        return of.vector().divided(0, 5, 1);
    }

    /** Adds all in a random order, through intermediate sums of random sets. */
    private static Vectors sum(int partitions, Random random, boolean gaps) {
        List<SumTree> trees = new ArrayList<>();
        for (int p = 0; p < partitions; p++) {
            trees.add(new SumTree(partitions).add(p, gaps && p % 3 == 1 ? null : leaf(p)));
        }
        while (trees.size() > 1) {
            Collections.shuffle(trees, random);
            SumTree last = trees.remove(trees.size() - 1);
            trees.get(0).add(last);
        }
        return new SumTree(partitions).add(trees.get(0)).sum();
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 2, 3, 4, 5, 7, 8, 12, 13, 31, 64, 100, 257})
    void bitsDoNotDependOnTheOrder(int partitions) {
        for (boolean gaps : new boolean[] {false, true}) {
            Vectors first = sum(partitions, new Random(0), gaps);
            for (int seed = 1; seed < 6; seed++) {
                Vectors other = sum(partitions, new Random(seed), gaps);
                assertArrayEquals(elements(first), elements(other));
                assertArrayEquals(first.numbers(), other.numbers());
            }
            double[] expected = new double[5];
            double labels = 0;
            for (int p = 0; p < partitions; p++) {
                if (!gaps || p % 3 != 1) {
                    labels += p;
                    for (int k = 0; k < expected.length; k++) {
                        expected[k] += elements(leaf(p))[k];
                    }
                }
            }
            assertEquals(labels, first.numbers()[0]);
            for (int k = 0; k < expected.length; k++) {
                assertEquals(expected[k], elements(first)[k], 1e-4 * (1 + Math.abs(expected[k])), "element " + k);
            }
        }
    }

    @Test
    void nothingOfAllIsNothing() {
        SumTree tree = new SumTree(3);
        for (int p = 0; p < 3; p++) {
            tree.add(p, null);
        }
        assertNull(tree.sum());
    }

    @Test
    void aPartThatIsMissingIsNoticed() {
        SumTree tree = new SumTree(9);
        for (int p = 0; p < 8; p++) {
            tree.add(p, leaf(p));
        }
        assertThrows(IllegalStateException.class, tree::sum);
    }

    @Test
    void aPartThatComesTwiceIsNoticed() {
        SumTree tree = new SumTree(2).add(0, leaf(0)).add(0, leaf(0)).add(1, leaf(1));
        assertThrows(IllegalStateException.class, tree::sum);
    }

    @Test
    void theBusiestExecutorCounts() {
        SumTree tree = new SumTree(2).computed("1", "vector", 5).computed("2", "vector", 4);
        tree.add(new SumTree(2).computed("2", "vector", 3));
        assertEquals(7, tree.busiest());
        assertEquals(List.of("1", "2"), List.copyOf(tree.engines().keySet()));
    }
}
