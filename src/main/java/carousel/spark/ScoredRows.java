package carousel.spark;

import carousel.data.Batch;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.Iterator;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.function.Function;
import java.util.stream.IntStream;
import org.apache.spark.sql.Row;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Scores the rows of a partition in their order, a window of them at a time: what is held does not depend on how many there are. Within
 * a window sequences of about the same length share a batch.
 */
final class ScoredRows implements Iterator<Row> {
    private static final Logger LOG = LoggerFactory.getLogger(ScoredRows.class);

    /** So many batches a window at the most. */
    private static final int WINDOW_BATCHES = 16;

    /** So many numbers, in and out, a window at the most; one sequence may have more. */
    private static final long WINDOW_VALUES = 1 << 20;

    /** So many numbers of the widest layer a batch at the most; one sequence may have more. */
    private static final long BATCH_VALUES = 1 << 22;

    /** So many bad records of a partition are described in the log. */
    private static final int DESCRIBED = 5;

    private final Iterator<Row> rows;
    private final Scoring scoring;
    private final Function<Batch, float[]> predictor;
    private final ArrayDeque<Row> ready = new ArrayDeque<>();
    private long left;

    /** @param predictor as {@link carousel.training.Evaluator#predict(Batch)} */
    ScoredRows(Iterator<Row> rows, Scoring scoring, Function<Batch, float[]> predictor) {
        this.rows = rows;
        this.scoring = scoring;
        this.predictor = predictor;
    }

    /** So many rows a window at the most. */
    static int windowRows(int batchSize) {
        return (int) Math.min(Integer.MAX_VALUE, (long) WINDOW_BATCHES * batchSize);
    }

    @Override
    public boolean hasNext() {
        while (ready.isEmpty() && rows.hasNext()) {
            score();
            if (!rows.hasNext() && left > 0) {
                LOG.warn("{} bad records of a partition were left out", left);
            }
        }
        return !ready.isEmpty();
    }

    @Override
    public Row next() {
        if (!hasNext()) {
            throw new NoSuchElementException();
        }
        return ready.remove();
    }

    /** Scores the next window. */
    private void score() {
        List<Row> window = new ArrayList<>();
        List<SequenceRow> sequences = new ArrayList<>();
        long values = 0;
        while (rows.hasNext() && window.size() < windowRows(scoring.batchSize()) && values < WINDOW_VALUES) {
            Row row = rows.next();
            try {
                SequenceRow sequence = scoring.read(row);
                window.add(row);
                sequences.add(sequence);
                values += (long) sequence.length() * (scoring.features() + scoring.outputs());
            } catch (BadRecordException bad) {
                leave(bad);
            }
        }
        Integer[] order = IntStream.range(0, sequences.size()).boxed().toArray(Integer[]::new);
        Arrays.sort(order, Comparator.comparingInt(k -> sequences.get(k).length()));
        Row[] scored = new Row[order.length];
        for (int from = 0; from < order.length; ) {
            int to = from + 1;
            while (to < order.length
                    && to - from < scoring.batchSize()
                    && (to - from + 1L) * sequences.get(order[to]).length() * scoring.width() <= BATCH_VALUES) {
                to++;
            }
            int[] members = Arrays.stream(order, from, to).mapToInt(k -> k).toArray();
            float[] predictions = predictor.apply(batch(sequences, members));
            for (int n = 0; n < members.length; n++) {
                int k = members[n];
                scored[k] = scoring.scored(
                        window.get(k),
                        predictions,
                        members.length,
                        n,
                        sequences.get(k).length());
            }
            from = to;
        }
        ready.addAll(Arrays.asList(scored));
    }

    /** @param members in the order of their lengths */
    private Batch batch(List<SequenceRow> sequences, int... members) {
        int shortest = sequences.get(members[0]).length();
        int longest = sequences.get(members[members.length - 1]).length();
        Batch batch = new Batch(longest, members.length, scoring.features(), 0, shortest < longest);
        for (int n = 0; n < members.length; n++) {
            sequences.get(members[n]).copyTo(batch, n);
        }
        scoring.scale(batch);
        return batch;
    }

    private void leave(BadRecordException bad) {
        if (scoring.badRecords() == BadRecords.STOP) {
            throw new ClusterException(bad.getMessage() + ": mend it, or have bad records skipped");
        }
        if (left++ < DESCRIBED) {
            LOG.warn("left out: {}", bad.getMessage());
        }
        scoring.countLeft();
    }
}
