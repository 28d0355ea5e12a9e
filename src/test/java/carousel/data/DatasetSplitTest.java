package carousel.data;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class DatasetSplitTest {
    private final SequenceDataset whole = new NumberedSequences(100);

    @Test
    void partsShareNothingAndLoseNothing() {
        DatasetSplit split = DatasetSplit.of(whole, 30, 1);
        assertEquals(70, split.training().size());
        assertEquals(30, split.validation().size());
        List<Integer> all = new ArrayList<>(members(split.training()));
        all.addAll(members(split.validation()));
        assertEquals(everything(), all.stream().sorted().toList());
    }

    @Test
    void validationIsDrawnFromEverywhere() {
        List<Integer> validation = members(DatasetSplit.of(whole, 30, 1).validation());
        assertTrue(validation.stream().anyMatch(k -> k < 33), validation::toString);
        assertTrue(validation.stream().anyMatch(k -> k >= 33 && k < 66), validation::toString);
        assertTrue(validation.stream().anyMatch(k -> k >= 66), validation::toString);
    }

    @Test
    void sameSeedSplitsTheSameAndAnotherDoesNot() {
        List<Integer> first = members(DatasetSplit.of(whole, 30, 1).validation());
        assertEquals(first, members(DatasetSplit.of(whole, 30, 1).validation()));
        assertNotEquals(first, members(DatasetSplit.of(whole, 30, 2).validation()));
    }

    @Test
    void manyPartsMayLeaveSomethingOver() {
        List<SequenceDataset> parts = DatasetSplit.parts(whole, 3, 50, 20, 10);
        assertEquals(3, parts.size());
        assertEquals(
                80,
                parts.stream()
                        .flatMap(part -> members(part).stream())
                        .distinct()
                        .count());
        List<Integer> part = members(parts.get(1));
        assertEquals(part.stream().sorted().toList(), part);
    }

    @Test
    void refusesPartsThatDoNotFit() {
        assertThrows(IllegalArgumentException.class, () -> DatasetSplit.of(whole, 0, 1));
        assertThrows(IllegalArgumentException.class, () -> DatasetSplit.of(whole, 100, 1));
        assertThrows(IllegalArgumentException.class, () -> DatasetSplit.parts(whole, 1, 60, 0));
        String message = assertThrows(IllegalArgumentException.class, () -> DatasetSplit.parts(whole, 1, 60, 41))
                .getMessage();
        assertEquals("part 2 of numbered should have 1 or more of the 40 sequences that are left but got 41", message);
    }

    private static List<Integer> everything() {
        return IntStream.range(0, 100).boxed().toList();
    }

    private static List<Integer> members(SequenceDataset dataset) {
        Batch batch = dataset.newBatch(1);
        List<Integer> members = new ArrayList<>();
        for (int k = 0; k < dataset.size(); k++) {
            dataset.read(k, batch, 0);
            members.add(batch.labels()[0]);
        }
        return members;
    }
}
