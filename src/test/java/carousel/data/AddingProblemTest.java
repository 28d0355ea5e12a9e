package carousel.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class AddingProblemTest {
    @ParameterizedTest
    @ValueSource(ints = {2, 3, 7, 100})
    void marksOneStepOfEachHalfAndSumsTheirValues(int timeSteps) {
        BatchSource source = new AddingProblem(timeSteps, 3).batches(50, 1);
        Batch batch = source.batch(0);
        int n = batch.batchSize();
        boolean[] marked = new boolean[timeSteps];
        for (int row = 0; row < n; row++) {
            int[] marks = new int[2];
            float sum = 0;
            for (int t = 0; t < timeSteps; t++) {
                float value = batch.inputs()[(t * n + row) * 2];
                float marker = batch.inputs()[(t * n + row) * 2 + 1];
                assertTrue(value >= 0 && value < 1, "value " + value);
                assertTrue(marker == 0 || marker == 1, "marker " + marker);
                if (marker == 1) {
                    marks[t < timeSteps / 2 ? 0 : 1]++;
                    marked[t] = true;
                    sum += value;
                }
            }
            assertArrayEquals(new int[] {1, 1}, marks);
            assertEquals(sum, batch.targets()[row]);
        }
        if (timeSteps <= 7) {
            boolean[] all = new boolean[timeSteps];
            Arrays.fill(all, true);
            assertArrayEquals(all, marked, "every step is marked in some sequence");
        }
    }

    @Test
    void alwaysAnsweringOneHasTheTrivialError() {
        Batch batch = new AddingProblem(10, 1).batches(20_000, 1).batch(0);
        double error = 0;
        for (float target : batch.targets()) {
            error += (target - 1.0) * (target - 1.0) / batch.batchSize();
        }
        assertEquals(AddingProblem.TRIVIAL_ERROR, error, 0.005);
    }

    @Test
    void streamNeverRepeatsAndIsTheDatasetInOrder() {
        AddingProblem problem = new AddingProblem(6, 9);
        BatchSource stream = problem.batches(4, 10);
        SequenceDataset dataset = problem.dataset(0, 40);
        Batch one = dataset.newBatch(1);
        long different = 0;
        for (int k = 0; k < 10; k++) {
            Batch batch = stream.batch(k);
            for (int row = 0; row < 4; row++) {
                dataset.read(k * 4 + row, one, 0);
                assertArrayEquals(one.inputs(), row(batch, row));
                assertEquals(one.targets()[0], batch.targets()[row]);
            }
            different += batch.targets()[0] == stream.batch(k + 10).targets()[0] ? 0 : 1;
        }
        assertEquals(10, different);
        assertEquals(10, stream.batchesPerEpoch());
    }

    @Test
    void anyBatchCanBeHadAtAnyTime() {
        AddingProblem problem = new AddingProblem(6, 9);
        BatchSource stream = problem.batches(4, 10);
        float[] later = stream.batch(1_000_000).inputs().clone();
        stream.batch(3);
        assertArrayEquals(later, stream.batch(1_000_000).inputs());
        assertArrayEquals(
                later, new AddingProblem(6, 9).batches(4, 1).batch(1_000_000).inputs());
        assertFalse(Arrays.equals(
                later, new AddingProblem(6, 10).batches(4, 1).batch(1_000_000).inputs()));
    }

    @Test
    void heldOutSequencesAreOthers() {
        AddingProblem problem = new AddingProblem(6, 9);
        SequenceDataset heldOut = problem.heldOut(3);
        Batch batch = heldOut.newBatch(1);
        heldOut.read(0, batch, 0);
        float[] first = batch.inputs().clone();
        problem.dataset(0, 3).read(0, batch, 0);
        assertFalse(Arrays.equals(first, batch.inputs()));
        assertThrows(IndexOutOfBoundsException.class, () -> heldOut.read(3, batch, 0));
    }

    @Test
    void tellsItsExtents() {
        AddingProblem problem = new AddingProblem(100, 0);
        SequenceDataset dataset = problem.dataset(5, 7);
        assertEquals(7, dataset.size());
        assertEquals(100, dataset.timeSteps());
        assertEquals(2, dataset.features());
        assertEquals(0, dataset.classes());
        assertEquals(1, dataset.targetSize());
        assertFalse(dataset.variableLengths());
        BatchSource stream = problem.batches(8, 3);
        assertEquals(8, stream.batchSize());
        assertEquals(100, stream.timeSteps());
        assertEquals(2, stream.features());
        assertEquals(0, stream.classes());
        assertEquals(1, stream.targetSize());
    }

    @Test
    void refusesExtentsOutOfRange() {
        String message = assertThrows(IllegalArgumentException.class, () -> new AddingProblem(1, 0))
                .getMessage();
        assertEquals("the time steps of the adding problem should be in the [2, 1000000] range but got 1", message);
        AddingProblem problem = new AddingProblem(2, 0);
        assertThrows(IllegalArgumentException.class, () -> new AddingProblem(1_000_001, 0));
        assertThrows(IllegalArgumentException.class, () -> problem.dataset(-1, 1));
        assertThrows(IllegalArgumentException.class, () -> problem.dataset(0, 0));
        assertThrows(IllegalArgumentException.class, () -> problem.batches(0, 1));
        assertThrows(IllegalArgumentException.class, () -> problem.batches(1, 0));
        assertThrows(IllegalArgumentException.class, () -> problem.batches(1, 1).batch(-1));
    }

    private static float[] row(Batch batch, int row) {
        float[] inputs = new float[batch.timeSteps() * 2];
        for (int t = 0; t < batch.timeSteps(); t++) {
            System.arraycopy(batch.inputs(), (t * batch.batchSize() + row) * 2, inputs, t * 2, 2);
        }
        return inputs;
    }
}
