package carousel.data;

import static carousel.fixture.Refusals.assertRefused;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.golden.PublishedData;
import java.io.IOException;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class LabelledSequencesTest {
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "first | b,1,2,3/a,4,5,/b,6,,",
                "first | b,1,2,3/a,4,5/b,6",
                "last | 1,2,3,b/4,5,a/6,b",
                "last | 1,2,3,b/4,5,,a/6,,,b",
                "last | x,y,z,label/1,2,3,b/4,5,,a/6,,,b",
                "kind | kind,x,y,z/b,1,2,3/a,4,5,/b,6,,",
                "kind | x,kind,y,z/1,b,2,3/4,a,5/6,b",
                "2 | 1,b,2,3/4,a,5,/6,b,,"
            })
    void readsRowsOfDifferentLengths(String label, String text) throws DataException {
        LabelledSequences sequences = rows(text, label, MissingValues.REFUSE, null);
        assertEquals(List.of("a", "b"), sequences.classNames());
        assertEquals(3, sequences.size());
        assertEquals(3, sequences.timeSteps());
        assertEquals(1, sequences.features());
        assertEquals(2, sequences.classes());
        assertEquals(0, sequences.targetSize());
        assertTrue(sequences.variableLengths());
        assertEquals(2, sequences.length(1));
        Batch batch = new SequentialBatches(sequences, 3).batch(0);
        assertArrayEquals(new float[] {1, 4, 6, 2, 5, 0, 3, 0, 0}, batch.inputs());
        assertArrayEquals(new int[] {3, 2, 1}, batch.lengths());
        assertArrayEquals(new int[] {1, 0, 1}, batch.labels());
    }

    @Test
    void equalLengthsNeedNoLengths() throws DataException {
        LabelledSequences sequences = rows("1,2,3/0,4,5", "first", MissingValues.REFUSE, null);
        assertFalse(sequences.variableLengths());
        assertEquals(null, new SequentialBatches(sequences, 2).batch(0).lengths());
    }

    @Test
    void classesAreInOrder() throws DataException {
        assertEquals(
                List.of("-1", "2", "10"),
                rows("10,1/2,1/-1,1", "first", MissingValues.REFUSE, null).classNames());
        assertEquals(
                List.of("10", "2", "b"),
                rows("10,1/2,1/b,1", "first", MissingValues.REFUSE, null).classNames());
        LabelledSequences test = rows("b,1/b,2", "first", MissingValues.REFUSE, List.of("a", "b", "c"));
        assertEquals(3, test.classes());
        assertEquals(1, test.label(0));
        assertRefused(
                DataException.class,
                () -> rows("b,1/d,2", "first", MissingValues.REFUSE, List.of("a", "b")),
                "line 2",
                "'a', 'b'",
                "'d'");
    }

    @Test
    void missingValuesWithinASequenceAreFilled() throws DataException {
        String text = "a,1,,NA,4/b,?,2,,";
        LabelledSequences line = rows(text, "first", MissingValues.INTERPOLATE, null);
        assertArrayEquals(
                new float[] {1, 2, 2, 2, 3, 0, 4, 0},
                new SequentialBatches(line, 2).batch(0).inputs());
        assertEquals(2, line.length(1));
        LabelledSequences previous = rows(text, "first", MissingValues.PREVIOUS, null);
        assertArrayEquals(
                new float[] {1, 2, 1, 2, 1, 0, 4, 0},
                new SequentialBatches(previous, 2).batch(0).inputs());
        assertRefused(
                DataException.class,
                () -> rows(text, "first", MissingValues.REFUSE, null),
                "line 1",
                "lacks that of step 2");
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "first | a,1/a,2 | classes but has 1",
                "first | a,1/b | line 2: a sequence should have 1 or more values",
                "first | a,1/b,,, | line 2: a sequence should have 1 or more values",
                "first | a,1/b,NA | line 2: a sequence should have 1 or more values",
                "first | a,1/,2 | line 2: a sequence should have a label",
                "last | 1,2,a/3,4, | line 2: a sequence should have a label",
                "last | x,label/1,a/2 | line 3: a sequence should have a label",
                "first | a,1,2/b,1,x | line 2: column 'column 3' should hold numbers",
                "label | a,1/b,2 | a column 'label'"
            })
    void refusesRows(String label, String text, String reason) {
        assertRefused(DataException.class, () -> rows(text, label, MissingValues.INTERPOLATE, null), reason);
    }

    @Test
    void refusesMoreClassesThanLabelsHave() {
        StringBuilder text = new StringBuilder();
        for (int k = 0; k <= LabelledSequences.MAX_CLASSES; k++) {
            text.append(k).append(".5,1/");
        }
        assertRefused(
                DataException.class,
                () -> rows(text.toString(), "first", MissingValues.REFUSE, null),
                "2 to 10000 classes but has 10001");
    }

    @Test
    void readsStepsOfSequencesInAnyOrder() throws DataException {
        String text = "id,t,x,y,label/p,1,10,1,sit/q,1,20,2,run/p,2,11,,sit/q,2,21,3,run/p,4,12,5,sit";
        LabelledSequences sequences = longForm(text, new LabelledSequences.LongForm("id", "t", null, "label"));
        assertEquals(List.of("run", "sit"), sequences.classNames());
        assertEquals(2, sequences.features());
        Batch batch = new SequentialBatches(sequences, 2).batch(0);
        assertArrayEquals(new float[] {10, 1, 20, 2, 11, 3, 21, 3, 12, 5, 0, 0}, batch.inputs());
        assertArrayEquals(new int[] {3, 2}, batch.lengths());
        assertArrayEquals(new int[] {1, 0}, batch.labels());
        LabelledSequences chosen = longForm(text, new LabelledSequences.LongForm("1", null, List.of("y"), "5"));
        assertEquals(1, chosen.features());
        assertArrayEquals(
                new float[] {1, 2, 3, 3, 5, 0},
                new SequentialBatches(chosen, 2).batch(0).inputs());
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "id,t,x,l/p,1,1,a/p,1,2,a/q,1,1,b | line 3: the times of sequence 'p' should increase but got '1'",
                "id,t,x,l/p,2020-01-02,1,a/p,2020-01-01,2,a/q,1,1,b | line 3: the times of sequence 'p'",
                "id,t,x,l/p,1,1,a/q,1,2,b/p,2,3,b | line 4: all lines of sequence 'p' should have the label 'a' of line 2",
                "id,t,x,l/p,1,1,a/,1,2,b | line 3: column 'id'",
                "id,t,x,l/p,1,1,a/q,,2,b | line 3: column 't'",
                "id,t,x,l/p,1,1,a/q,1,,b | line 3: a sequence should have 1 or more values",
                "id,t,x,l/p,1,1,a/q,1,2 | line 3: a row should have 4 fields",
                "id,t,x,l/p,1,1,a/q,1,2, | line 3: a sequence should have a label",
                "id,t,l/p,1,a/q,1,b | others for features"
            })
    void refusesSteps(String text, String reason) {
        assertRefused(
                DataException.class,
                () -> longForm(text, new LabelledSequences.LongForm("id", "t", null, "l")),
                reason);
    }

    @Test
    void globalScalingIsOfTheTrainingSequencesAlone() throws DataException {
        SequenceDataset all = rows("a,1,3/b,5,7,9/a,100", "first", MissingValues.REFUSE, null);
        SeriesScaling scaling = SeriesScaling.fit(SeriesScaling.Kind.STANDARD, all.range(0, 2));
        assertEquals(5, scaling.columns().get(0).offset(), 1e-12);
        assertEquals(Math.sqrt(8), scaling.columns().get(0).scale(), 1e-12);
        Batch batch = new SequentialBatches(ScaledSequences.alike(all, scaling), 3).batch(0);
        float unit = (float) (1 / Math.sqrt(8));
        assertArrayEquals(
                new float[] {-4 * unit, 0, 95 * unit, -2 * unit, 2 * unit, 0, 0, 4 * unit, 0}, batch.inputs(), 1e-5f);
        assertThrows(
                IllegalArgumentException.class,
                () -> ScaledSequences.alike(new NumberedSequences(3), scaling),
                "two features by the scaling of one");
    }

    @Test
    void eachSequenceCanBeScaledByItself() throws DataException {
        SequenceDataset all = rows("a,1,3/b,5,7,9/a,100", "first", MissingValues.REFUSE, null);
        Batch batch = new SequentialBatches(ScaledSequences.eachByItself(all), 3).batch(0);
        float edge = (float) Math.sqrt(1.5);
        assertArrayEquals(new float[] {-1, -edge, 0, 1, 0, 0, 0, edge, 0}, batch.inputs(), 1e-6f);
    }

    @Test
    void readsPublishedSequences() throws IOException {
        LabelledSequences training = LabelledSequences.readRows(
                PublishedData.file("series", "synthetic-control-train.csv"),
                CsvOptions.DETECTED,
                LabelledSequences.FIRST,
                MissingValues.REFUSE,
                null);
        LabelledSequences test = LabelledSequences.readRows(
                PublishedData.file("series", "synthetic-control-test.csv"),
                CsvOptions.DETECTED,
                "label",
                MissingValues.REFUSE,
                training.classNames());
        assertEquals(6, training.classes());
        assertEquals(450, training.size());
        assertEquals(150, test.size());
        assertEquals(60, training.timeSteps());
        assertFalse(training.variableLengths());
        Batch batch = new SequentialBatches(test, 1).batch(0);
        assertEquals(24.3566f, batch.inputs()[0]);
        assertEquals("1", test.classNames().get(batch.labels()[0]));
    }

    /** Lines end with a slash. */
    private static LabelledSequences rows(String text, String label, MissingValues missing, List<String> classNames)
            throws DataException {
        return LabelledSequences.rows(CsvTableTest.table(text.replace('/', '\n')), "test", label, missing, classNames);
    }

    private static LabelledSequences longForm(String text, LabelledSequences.LongForm form) throws DataException {
        return LabelledSequences.longForm(
                CsvTableTest.table(text.replace('/', '\n')), "test", form, MissingValues.INTERPOLATE, null);
    }
}
