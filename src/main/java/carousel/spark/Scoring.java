package carousel.spark;

import carousel.data.Batch;
import carousel.engine.Loss;
import java.io.Serializable;
import java.util.Arrays;
import java.util.Iterator;
import org.apache.spark.SparkEnv;
import org.apache.spark.TaskContext;
import org.apache.spark.api.java.function.MapPartitionsFunction;
import org.apache.spark.broadcast.Broadcast;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.util.CollectionAccumulator;
import org.apache.spark.util.LongAccumulator;
import scala.collection.Seq;
import scala.collection.immutable.ArraySeq;

/**
 * What a task does with the rows of its partition.
 *
 * @param job the model and how it is computed
 * @param parameters of the model
 * @param loss what the outputs are measured with
 * @param finished whether the model's last layer already makes of the outputs what the loss does
 * @param columns what is read of a row
 * @param place of the array, or of the steps
 * @param features C
 * @param outputs K
 * @param width numbers a step of the model's widest layer
 * @param stepwise whether the model answers at each step
 * @param offsets of the scaling of each feature; null for none
 * @param scales of the same
 * @param schema of the rows that are made
 * @param counts what is counted
 */
record Scoring(
        Job job,
        Broadcast<double[]> parameters,
        Loss loss,
        boolean finished,
        SequenceColumns columns,
        int place,
        int features,
        int outputs,
        int width,
        boolean stepwise,
        double[] offsets,
        double[] scales,
        int batchSize,
        BadRecords badRecords,
        StructType schema,
        Counts counts)
        implements MapPartitionsFunction<Row, Row> {

    /**
     * What tasks tell the driver; each may be null.
     *
     * @param scored sequences
     * @param left bad records that were left out
     * @param engines what was computed with
     */
    record Counts(LongAccumulator scored, LongAccumulator left, CollectionAccumulator<String> engines)
            implements Serializable {
        static final Counts NONE = new Counts(null, null, null);
    }

    @Override
    public Iterator<Row> call(Iterator<Row> rows) {
        TaskContext task = TaskContext.get();
        int device = Job.device(task);
        int threads = threads();
        boolean[] told = {counts.engines == null};
        return new ScoredRows(rows, this, batch -> {
            try (SharedModel model = SharedModel.borrow(job, device, threads, parameters::value)) {
                if (!told[0]) {
                    told[0] = true;
                    counts.engines.add(model.description());
                }
                return predict(model, batch);
            }
        });
    }

    private float[] predict(SharedModel model, Batch batch) {
        return model.predict(batch, finished ? Loss.MEAN_SQUARED_ERROR : loss);
    }

    /** The cores of the executor, which its tasks share a model on. */
    private static int threads() {
        int processors = Runtime.getRuntime().availableProcessors();
        int cores = SparkEnv.get().conf().getInt("spark.executor.cores", processors);
        return Math.max(1, Math.min(cores, 1024));
    }

    SequenceRow read(Row row) throws BadRecordException {
        return columns.read(row, place, features);
    }

    void countLeft() {
        if (counts.left != null) {
            counts.left.add(1);
        }
    }

    /** Scales the valid steps of a batch; padding stays 0. */
    void scale(Batch batch) {
        if (offsets == null) {
            return;
        }
        float[] inputs = batch.inputs();
        for (int n = 0; n < batch.batchSize(); n++) {
            int length = batch.lengths() == null ? batch.timeSteps() : batch.lengths()[n];
            for (int t = 0; t < length; t++) {
                int step = (t * batch.batchSize() + n) * features;
                for (int c = 0; c < features; c++) {
                    inputs[step + c] = (float) ((inputs[step + c] - offsets[c]) / scales[c]);
                }
            }
        }
    }

    /**
     * A row with what the model makes of it.
     *
     * @param predictions {@code [N, K]}, or {@code [T, N, K]}
     * @param n which sequence of the batch it is
     */
    Row scored(Row row, float[] predictions, int sequences, int n, int length) {
        float[][] answers = new float[stepwise ? length : 1][];
        for (int t = 0; t < answers.length; t++) {
            int from = (t * sequences + n) * outputs;
            answers[t] = Arrays.copyOfRange(predictions, from, from + outputs);
        }
        // Of a sequence that was grouped the key is kept, otherwise the whole row.
        int kept = columns.isGrouped() ? place : row.size();
        Object[] values = new Object[kept + (loss.labelled() ? 2 : 1)];
        for (int k = 0; k < kept; k++) {
            values[k] = row.get(k);
        }
        if (loss.labelled()) {
            int[] classes = Arrays.stream(answers).mapToInt(Scoring::largest).toArray();
            values[kept] = stepwise ? ArraySeq.unsafeWrapArray(classes) : (Object) classes[0];
        }
        Seq<?>[] arrays = Arrays.stream(answers).map(ArraySeq::unsafeWrapArray).toArray(Seq[]::new);
        values[values.length - 1] = stepwise ? ArraySeq.unsafeWrapArray(arrays) : arrays[0];
        if (counts.scored != null) {
            counts.scored.add(1);
        }
        return new ScoredRow(schema, values);
    }

    private static int largest(float[] values) {
        int best = 0;
        for (int k = 1; k < values.length; k++) {
            best = values[k] > values[best] ? k : best;
        }
        return best;
    }
}
