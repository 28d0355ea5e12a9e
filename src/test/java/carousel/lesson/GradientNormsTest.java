package carousel.lesson;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import org.junit.jupiter.api.Test;

class GradientNormsTest {
    @Test
    void aNormIsTheRootMeanSquareOverSequencesOfTheirOwnGradients() {
        // Two steps with their initial state, two sequences, two numbers each; the mean loss halves each gradient.
        double[] gradients = {0, 0, 0, 0, 1.5, 2, 0, 0, 1.5, 2, 3, 4};
        assertArrayEquals(
                new double[] {Math.sqrt((25 + 100) / 2.0), Math.sqrt(25 / 2.0), 0},
                GradientNorms.ofSteps(gradients, 2, 2),
                1e-14);
    }

    @Test
    void theStateIsHiddenAndCellTogether() {
        GradientNorms norms = new GradientNorms(new double[] {10, 3}, new double[] {0, 4});
        assertEquals(1, norms.timeSteps());
        assertEquals(10, norms.state(0));
        assertEquals(5, norms.state(1), 1e-15);
        assertEquals(0.5, norms.left(1), 1e-15);
        assertEquals(0.64, norms.cellShare(1), 1e-15);
    }

    @Test
    void aNetworkWithoutACellHasItsHiddenStateAlone() {
        GradientNorms norms = new GradientNorms(new double[] {4, 1}, null);
        assertEquals(0.25, norms.left(1));
        assertEquals(0, norms.cellShare(1));
    }

    @Test
    void curvesOfDifferentLengthsAreRefused() {
        assertThrows(IllegalArgumentException.class, () -> new GradientNorms(new double[2], new double[3]));
    }
}
