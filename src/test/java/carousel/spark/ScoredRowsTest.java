package carousel.spark;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.data.Batch;
import carousel.engine.Loss;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Iterator;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.function.Function;
import java.util.stream.LongStream;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import org.junit.jupiter.api.Test;
import scala.collection.Seq;
import scala.jdk.javaapi.CollectionConverters;

/** Windows of rows and their batches, with a model that sums up what it reads. */
class ScoredRowsTest {
    private static final int FEATURES = 2;

    private static Scoring scoring(int batchSize, BadRecords bad, boolean stepwise, int width) {
        return new Scoring(
                new Job("", "", null, "vector", null),
                null,
                Loss.MEAN_SQUARED_ERROR,
                false,
                SequenceColumns.arrays("x").withFeatures(FEATURES),
                1,
                FEATURES,
                1,
                width,
                stepwise,
                null,
                null,
                batchSize,
                bad,
                new StructType()
                        .add("id", DataTypes.LongType)
                        .add("x", DataTypes.createArrayType(DataTypes.FloatType))
                        .add("prediction", DataTypes.createArrayType(DataTypes.FloatType)),
                Scoring.Counts.NONE);
    }

    /** A row with its number and so many steps, all numbers of which are its own. */
    private static Row row(long id, int length) {
        Float[] values = new Float[length * FEATURES];
        Arrays.fill(values, (float) id);
        return row(id, values);
    }

    /** Numbers of an array as Spark has it. */
    private static float[] floats(Object seq) {
        List<?> list = CollectionConverters.asJava((Seq<?>) seq);
        float[] values = new float[list.size()];
        for (int k = 0; k < values.length; k++) {
            values[k] = (Float) list.get(k);
        }
        return values;
    }

    /** The same of an array of arrays. */
    private static float[][] steps(Object seq) {
        return CollectionConverters.asJava((Seq<?>) seq).stream()
                .map(ScoredRowsTest::floats)
                .toArray(float[][]::new);
    }

    private static Row row(long id, Float... values) {
        return RowFactory.create(
                id, CollectionConverters.asScala(Arrays.asList(values)).toSeq());
    }

    /** {@code [N, 1]}: the sum of all inputs of each sequence, and for padding what spoils it. */
    private static float[] sums(Batch batch) {
        float[] sums = new float[batch.batchSize()];
        for (int n = 0; n < sums.length; n++) {
            int length = batch.lengths() == null ? batch.timeSteps() : batch.lengths()[n];
            for (int t = 0; t < length; t++) {
                for (int c = 0; c < FEATURES; c++) {
                    sums[n] += batch.inputs()[(t * sums.length + n) * FEATURES + c];
                }
            }
        }
        return sums;
    }

    private static List<Row> all(Iterator<Row> rows) {
        List<Row> list = new ArrayList<>();
        rows.forEachRemaining(list::add);
        return list;
    }

    @Test
    void rowsKeepTheirOrderAndAreAnsweredByTheirOwn() {
        List<Batch> batches = new ArrayList<>();
        Function<Batch, float[]> model = batch -> {
            batches.add(batch);
            return sums(batch);
        };
        List<Row> rows = LongStream.range(0, 1000)
                .mapToObj(id -> row(id, 1 + (int) (id * 7 % 13)))
                .toList();
        List<Row> scored = all(new ScoredRows(rows.iterator(), scoring(8, BadRecords.STOP, false, FEATURES), model));
        assertEquals(1000, scored.size());
        for (int id = 0; id < 1000; id++) {
            assertEquals((long) id, scored.get(id).get(0));
            assertEquals(rows.get(id).get(1), scored.get(id).get(1));
            assertArrayEquals(
                    new float[] {(float) id * FEATURES * (1 + id * 7 % 13)},
                    floats(scored.get(id).getAs("prediction")));
        }
        // Of about the same length: that is what the windows are for.
        assertTrue(batches.stream().allMatch(batch -> batch.batchSize() <= 8));
        long padded = batches.stream()
                .mapToLong(batch -> (long) batch.timeSteps() * batch.batchSize())
                .sum();
        long valid = rows.stream()
                .mapToLong(row -> ((Seq<?>) row.get(1)).size() / FEATURES)
                .sum();
        assertTrue(padded < 1.15 * valid, padded + " steps with padding, of " + valid);
    }

    @Test
    void stepsAreTakenApartWithoutPadding() {
        Function<Batch, float[]> model = batch -> {
            float[] answers = new float[batch.timeSteps() * batch.batchSize()];
            for (int t = 0; t < batch.timeSteps(); t++) {
                for (int n = 0; n < batch.batchSize(); n++) {
                    int place = t * batch.batchSize() + n;
                    answers[place] = 100 * t + batch.inputs()[place * FEATURES];
                }
            }
            return answers;
        };
        List<Row> scored = all(new ScoredRows(
                List.of(row(1, 3), row(2, 1), row(3, 2)).iterator(), scoring(8, BadRecords.STOP, true, 1), model));
        assertArrayEquals(new float[][] {{1}, {101}, {201}}, steps(scored.get(0).get(2)));
        assertArrayEquals(new float[][] {{2}}, steps(scored.get(1).get(2)));
        assertArrayEquals(new float[][] {{3}, {103}}, steps(scored.get(2).get(2)));
    }

    /** Counts how far reading is before writing. */
    private static final class Source implements Iterator<Row> {
        private final long size;
        private final Function<Long, Row> maker;
        private long read;
        private long written;
        private long mostAhead;

        Source(long size, Function<Long, Row> maker) {
            this.size = size;
            this.maker = maker;
        }

        @Override
        public boolean hasNext() {
            return read < size;
        }

        @Override
        public Row next() {
            read++;
            mostAhead = Math.max(mostAhead, read - written);
            return maker.apply(read - 1);
        }
    }

    private static Source drained(Scoring scoring, long size, Function<Long, Row> maker) {
        Source source = new Source(size, maker);
        new ScoredRows(source, scoring, ScoredRowsTest::sums).forEachRemaining(row -> source.written++);
        return source;
    }

    @Test
    void whatIsHeldDoesNotDependOnThePartition() {
        Source small = drained(scoring(16, BadRecords.STOP, false, FEATURES), 10_000, id -> row(id, 1));
        assertEquals(10_000, small.written);
        assertEquals(ScoredRows.windowRows(16), small.mostAhead);
        // Long sequences: fewer of them.
        Source longer = drained(scoring(16, BadRecords.STOP, false, FEATURES), 40, id -> row(id, 50_000));
        assertEquals(40, longer.written);
        assertTrue(longer.mostAhead <= 8, longer.mostAhead + " sequences of 100000 numbers");
    }

    @Test
    void batchesOfLongSequencesAreSmall() {
        List<Integer> sizes = new ArrayList<>();
        Function<Batch, float[]> model = batch -> {
            sizes.add(batch.batchSize());
            return sums(batch);
        };
        List<Row> rows = List.of(row(1, 3000), row(2, 3000), row(3, 3000), row(4, 3));
        all(new ScoredRows(rows.iterator(), scoring(16, BadRecords.STOP, false, 600), model));
        // 2^22 numbers are two sequences of 3000 steps of 600.
        assertEquals(List.of(2, 2), sizes);
    }

    @Test
    void badRecordsStopOrAreLeftOut() {
        List<Row> rows = List.of(row(1, 2), row(2, 1f, Float.NaN), row(3, 1f), row(4, 1));
        List<Row> kept = all(
                new ScoredRows(rows.iterator(), scoring(8, BadRecords.SKIP, false, FEATURES), ScoredRowsTest::sums));
        assertEquals(List.of(1L, 4L), kept.stream().map(row -> row.get(0)).toList());
        ScoredRows stopped =
                new ScoredRows(rows.iterator(), scoring(8, BadRecords.STOP, false, FEATURES), ScoredRowsTest::sums);
        assertEquals(
                "a sequence in 'x' that begins with 1.0, NaN has NaN for feature 2 in step 1 where a finite number"
                        + " of single precision should be: mend it, or have bad records skipped",
                assertThrows(ClusterException.class, stopped::hasNext).getMessage());
    }

    @Test
    void nothingComesOfNothing() {
        ScoredRows empty = new ScoredRows(
                Collections.emptyIterator(), scoring(8, BadRecords.STOP, false, FEATURES), ScoredRowsTest::sums);
        assertFalse(empty.hasNext());
        assertThrows(NoSuchElementException.class, empty::next);
        List<Row> bad = Collections.nCopies(500, row(1, 1f));
        ScoredRows none =
                new ScoredRows(bad.iterator(), scoring(8, BadRecords.SKIP, false, FEATURES), ScoredRowsTest::sums);
        assertFalse(none.hasNext());
    }
}
