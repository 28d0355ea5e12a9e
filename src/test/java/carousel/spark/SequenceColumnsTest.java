package carousel.spark;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.data.Batch;
import java.math.BigDecimal;
import java.util.Arrays;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import org.junit.jupiter.api.Test;
import scala.collection.Seq;
import scala.jdk.javaapi.CollectionConverters;

/** What is read of a row, and what is said of one that is no sequence; no cluster is needed. */
class SequenceColumnsTest {
    private static final SequenceColumns ARRAYS = SequenceColumns.arrays("x");
    private static final SequenceColumns GROUPED = SequenceColumns.grouped("id", "t", "load", "speed");

    /** As Spark has an array in a row. */
    private static Seq<Object> seq(Object... values) {
        return CollectionConverters.asScala(Arrays.asList(values)).toSeq();
    }

    /** The inputs of a sequence with its label or targets, out of a batch. */
    private static Batch batch(SequenceRow row, int features, int targets) {
        Batch batch = new Batch(row.length(), 1, features, targets, false);
        row.copyTo(batch, 0);
        return batch;
    }

    private static float[] inputs(SequenceColumns columns, int features, Object... row) throws BadRecordException {
        return batch(columns.read(RowFactory.create(row), features), features, 0)
                .inputs();
    }

    private static String refusal(SequenceColumns columns, int features, Object... row) {
        return assertThrows(BadRecordException.class, () -> columns.read(RowFactory.create(row), features))
                .getMessage();
    }

    @Test
    void numbersOfAnyTypeAreRead() throws BadRecordException {
        assertArrayEquals(
                new float[] {1, 2.5f, -3, 4, 5, 0.1f},
                inputs(ARRAYS, 1, seq(1, 2.5, -3f, 4L, (short) 5, new BigDecimal("0.1"))));
    }

    @Test
    void flatArraysAreCutIntoSteps() throws BadRecordException {
        SequenceRow row = ARRAYS.read(RowFactory.create(seq(1, 2, 3, 4, 5, 6)), 3);
        assertEquals(2, row.length());
        assertArrayEquals(new float[] {1, 2, 3, 4, 5, 6}, batch(row, 3, 0).inputs());
    }

    @Test
    void arraysOfStepsAreRead() throws BadRecordException {
        assertArrayEquals(new float[] {1, 2, 3, 4}, inputs(ARRAYS, 2, seq(seq(1, 2.0), seq(3f, 4))));
    }

    /** Rows of a function before are as it made them, where Spark has nothing to do between. */
    @Test
    void arraysOfJavaAreRead() throws BadRecordException {
        assertArrayEquals(new float[] {1, 2}, inputs(ARRAYS, 1, (Object) new double[] {1, 2}));
        assertArrayEquals(new float[] {1, 2, 3, 4}, inputs(ARRAYS, 2, (Object) new Float[][] {{1f, 2f}, {3f, 4f}}));
        assertEquals(
                "a sequence in 'x' that begins with [1.0, NaN] has NaN for feature 2 in step 1 where a finite number of single"
                        + " precision should be",
                refusal(ARRAYS, 2, (Object) new double[][] {{1, Double.NaN}}));
    }

    @Test
    void anArrayIsReadBehindOtherColumns() throws BadRecordException {
        Row row = RowFactory.create("a", 7, seq(1, 2));
        assertArrayEquals(
                new float[] {1, 2}, batch(ARRAYS.read(row, 2, 1), 1, 0).inputs());
    }

    @Test
    void groupedStepsAreReadInTheirOrder() throws BadRecordException {
        SequenceColumns columns = GROUPED.withLabel("state", 3);
        SequenceRow row = columns.read(
                RowFactory.create("a", seq(RowFactory.create(10, 1.0, 2.0, 2), RowFactory.create(11, 3.0, 4.0, 2))), 2);
        Batch batch = batch(row, 2, 0);
        assertArrayEquals(new float[] {1, 2, 3, 4}, batch.inputs());
        assertArrayEquals(new int[] {2}, batch.labels());
    }

    @Test
    void labelsAndTargetsFollowTheArray() throws BadRecordException {
        SequenceRow labelled = ARRAYS.withLabel("y", 5).read(RowFactory.create(seq(1), 4L), 1);
        assertArrayEquals(new int[] {4}, batch(labelled, 1, 0).labels());
        SequenceRow targets = ARRAYS.withTargets("y", "z").read(RowFactory.create(seq(1), 4L, 0.5), 1);
        assertArrayEquals(new float[] {4, 0.5f}, batch(targets, 1, 2).targets());
        SequenceRow array = ARRAYS.withTargets("y").read(RowFactory.create(seq(1), seq(7, 8, 9)), 1);
        assertArrayEquals(new float[] {7, 8, 9}, batch(array, 1, 3).targets());
    }

    @Test
    void badArraysAreDescribed() {
        assertEquals("a sequence in 'x' is null where an array should be", refusal(ARRAYS, 1, (Object) null));
        assertEquals("a sequence in 'x' has no steps but should have one or more", refusal(ARRAYS, 1, seq()));
        assertEquals(
                "a sequence in 'x' that begins with 1, NaN, 3 has NaN in step 2 where a finite number of single"
                        + " precision should be",
                refusal(ARRAYS, 1, seq(1, Double.NaN, 3)));
        assertTrue(refusal(ARRAYS, 2, seq(1, 2, 3, null)).contains("has null for feature 2 in step 2"));
        // Finite, but not in single precision.
        assertTrue(refusal(ARRAYS, 1, seq(1e300)).contains("has 1.0E300 in step 1"));
        assertTrue(refusal(ARRAYS, 2, seq(1, 2, 3)).endsWith("should have 2 numbers for each step but has 3 in all"));
        assertTrue(refusal(ARRAYS, 2, seq(seq(1, 2), seq(3)))
                .endsWith("should have 2 numbers in each step but has 1 in step 2"));
        assertTrue(refusal(ARRAYS, 2, seq(seq(1, 2), null)).endsWith("has no values in step 2"));
        assertTrue(refusal(ARRAYS, 2, seq(null, seq(1, 2))).endsWith("has no values in step 1"));
    }

    @Test
    void badGroupsAreDescribedByTheirKeys() {
        Object steps = seq(RowFactory.create(1, 1.0, 2.0), RowFactory.create(2, null, 4.0));
        assertEquals(
                "the sequence of 'id' = 'pump 7' has null for 'load' in step 2 where a finite number of single precision"
                        + " should be",
                refusal(GROUPED, 2, "pump 7", steps));
        Object twice = seq(RowFactory.create(1, 1.0, 2.0), RowFactory.create(1, 1.0, 4.0));
        assertTrue(refusal(GROUPED, 2, "a", twice).contains("two rows of the same time in 't', 1"));
        Object timeless = seq(RowFactory.create(null, 1.0, 2.0));
        assertTrue(refusal(GROUPED, 2, "a", timeless).contains("a row without a time in 't'"));
        Object good = seq(RowFactory.create(1, 1.0, 2.0));
        assertTrue(refusal(GROUPED, 2, null, good).contains("has no key"));
        Object labels = seq(RowFactory.create(1, 1.0, 2.0, 0), RowFactory.create(2, 1.0, 4.0, 1));
        assertTrue(refusal(GROUPED.withLabel("y", 2), 2, "a", labels)
                .endsWith("should have the same in 'y' in all its rows but has 0 and 1"));
    }

    @Test
    void badAnswersAreDescribed() {
        SequenceColumns labelled = ARRAYS.withLabel("y", 5);
        for (Object label : new Object[] {5, -1, 0.5, null, Double.NaN, "1"}) {
            assertTrue(
                    refusal(labelled, 1, seq(1), label)
                            .endsWith("has the label " + label
                                    + " in 'y' but should have a whole number in the [0, 5) range"),
                    () -> "label " + label);
        }
        assertTrue(refusal(ARRAYS.withTargets("y", "z"), 1, seq(1), 1.0, Double.POSITIVE_INFINITY)
                .endsWith("has Infinity as target in 'z' where a finite number should be"));
        assertTrue(refusal(ARRAYS.withTargets("y"), 1, seq(1), seq()).endsWith("has no targets in 'y'"));
    }

    private static StructType schema(Object... namesAndTypes) {
        StructType schema = new StructType();
        for (int k = 0; k < namesAndTypes.length; k += 2) {
            schema = schema.add((String) namesAndTypes[k], (DataType) namesAndTypes[k + 1]);
        }
        return schema;
    }

    private static String refusal(SequenceColumns columns, StructType schema) {
        return assertThrows(ClusterException.class, () -> columns.requireColumns(schema))
                .getMessage();
    }

    @Test
    void columnsOfATableAreChecked() {
        DataType array = DataTypes.createArrayType(DataTypes.FloatType);
        ARRAYS.requireColumns(schema("x", array));
        ARRAYS.requireColumns(schema("x", DataTypes.createArrayType(array)));
        ARRAYS.withTargets("y").requireColumns(schema("x", array, "y", array));
        GROUPED.requireColumns(schema(
                "id", DataTypes.StringType,
                "t", DataTypes.TimestampType,
                "load", DataTypes.createDecimalType(),
                "speed", DataTypes.IntegerType));
        assertEquals(
                "there is no column 'x' in the table: it has 'X', 'y'",
                refusal(ARRAYS, schema("X", array, "y", array)));
        assertEquals(
                "the table has 2 columns of the name 'x': rename all but one",
                refusal(ARRAYS, schema("x", array, "x", array)));
        assertEquals(
                "the column 'x' should be an array of numbers, or of arrays of numbers (vector_to_array makes one of a vector)"
                        + " but is of type array<string>",
                refusal(ARRAYS, schema("x", DataTypes.createArrayType(DataTypes.StringType))));
        assertEquals(
                "the column 'y' should be a number but is of type string",
                refusal(ARRAYS.withLabel("y", 2), schema("x", array, "y", DataTypes.StringType)));
        assertEquals(
                "the column 'y' should be a number but is of type array<float>",
                refusal(ARRAYS.withTargets("y", "y"), schema("x", array, "y", array)));
        assertEquals(
                "the column 't' should be one value that has an order, such as a number, a text or a time but is of type"
                        + " array<float>",
                refusal(GROUPED, schema("id", DataTypes.LongType, "t", array, "load", array, "speed", array)));
    }

    @Test
    void settingsAreChecked() {
        assertThrows(ClusterException.class, () -> SequenceColumns.grouped("id", "t"));
        assertThrows(ClusterException.class, () -> ARRAYS.withFeatures(0));
        assertThrows(ClusterException.class, () -> GROUPED.withFeatures(3));
        assertThrows(ClusterException.class, () -> ARRAYS.withLabel("y", 1));
        assertThrows(ClusterException.class, () -> ARRAYS.withLabel("y", 2).withTargets("z"));
        // What was changed is another; the first is as it was.
        assertEquals(5, ARRAYS.withLabel("y", 5).classes());
        assertEquals(0, ARRAYS.classes());
    }
}
