package carousel.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import org.junit.jupiter.api.Test;

class DatasetViewTest {
    private final SequenceDataset whole = new NumberedSequences(10);

    @Test
    void rangeHoldsItsSequencesInOrder() {
        assertArrayEquals(new int[] {3, 4, 5, 6}, labels(whole.range(3, 7)));
    }

    @Test
    void subsetHoldsItsSequencesInTheGivenOrder() {
        assertArrayEquals(new int[] {9, 0, 4, 4}, labels(whole.subset(9, 0, 4, 4)));
    }

    @Test
    void viewsOfViewsCompose() {
        assertArrayEquals(
                new int[] {6, 4},
                labels(whole.range(2, 8).subset(4, 1, 2).range(0, 3).subset(0, 2)));
    }

    @Test
    void subsetDoesNotFollowItsArray() {
        int[] indices = {1, 2};
        SequenceDataset subset = whole.subset(indices);
        indices[0] = 9;
        assertArrayEquals(new int[] {1, 2}, labels(subset));
    }

    @Test
    void viewHasTheExtentsOfTheWhole() {
        SequenceDataset view = whole.range(1, 2);
        assertEquals(1, view.size());
        assertEquals(whole.timeSteps(), view.timeSteps());
        assertEquals(whole.features(), view.features());
        assertEquals(whole.classes(), view.classes());
        assertEquals(whole.targetSize(), view.targetSize());
        assertTrue(view.variableLengths());
        assertTrue(view.name().contains("numbered"), view.name());
    }

    @Test
    void readWritesOneRowAndLeavesTheOthersAlone() {
        Batch batch = whole.newBatch(3);
        Arrays.fill(batch.inputs(), -1);
        whole.range(4, 8).read(0, batch, 1);
        // Sequence 4 has two of three steps.
        assertArrayEquals(
                new float[] {-1, -1, 5, 5, -1, -1, -1, -1, 5, 5, -1, -1, -1, -1, 0, 0, -1, -1}, batch.inputs());
        assertArrayEquals(new int[] {0, 2, 0}, batch.lengths());
        assertArrayEquals(new int[] {0, 4, 0}, batch.labels());
    }

    @Test
    void refusesWhatIsNotInTheWhole() {
        assertThrows(IllegalArgumentException.class, () -> whole.range(3, 3));
        assertThrows(IllegalArgumentException.class, () -> whole.range(-1, 3));
        assertThrows(IllegalArgumentException.class, () -> whole.range(3, 11));
        assertThrows(IllegalArgumentException.class, () -> whole.subset());
        assertThrows(IllegalArgumentException.class, () -> whole.subset(0, 10));
        SequenceDataset view = whole.range(3, 7);
        assertThrows(IndexOutOfBoundsException.class, () -> view.read(4, view.newBatch(1), 0));
        assertThrows(IndexOutOfBoundsException.class, () -> view.read(-1, view.newBatch(1), 0));
    }

    private static int[] labels(SequenceDataset dataset) {
        Batch batch = dataset.newBatch(dataset.size());
        for (int k = 0; k < dataset.size(); k++) {
            dataset.read(k, batch, k);
        }
        return batch.labels();
    }
}
