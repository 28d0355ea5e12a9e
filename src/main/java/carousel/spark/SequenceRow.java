package carousel.spark;

import carousel.data.Batch;
import java.io.Serializable;
import java.util.Arrays;

/** One sequence with what it should be answered by, as it lies in an executor's memory: without its padding. */
final class SequenceRow implements Serializable {
    private static final long serialVersionUID = 1;

    /** {@code [length, C]}; null for tokens. */
    private final float[] inputs;
    /** {@code [length]}; null for real numbers. */
    private final int[] tokens;
    /** Which steps count, {@code [T]}; null for all. */
    private final boolean[] mask;
    /** One, or with tokens one for each step {@code [T]}; null with real targets. */
    private final int[] labels;
    /** {@code [K]}; null with labels. */
    private final float[] targets;
    /** Valid steps. */
    private final int length;
    /** What an encoder reads beside it; null for nothing. */
    private final SequenceRow source;

    private SequenceRow(
            float[] inputs,
            int[] tokens,
            boolean[] mask,
            int[] labels,
            float[] targets,
            int length,
            SequenceRow source) {
        this.inputs = inputs;
        this.tokens = tokens;
        this.mask = mask;
        this.labels = labels;
        this.targets = targets;
        this.length = length;
        this.source = source;
    }

    /**
     * A sequence of real numbers.
     *
     * @param inputs {@code [length, C]}
     * @param label of its class; counts where there are no targets
     * @param targets {@code [K]}; null for a label
     */
    static SequenceRow of(float[] inputs, int length, int label, float[] targets) {
        return new SequenceRow(inputs, null, null, targets == null ? new int[] {label} : null, targets, length, null);
    }

    /** A copy of the only sequence of a batch. */
    static SequenceRow of(Batch one) {
        int length = one.lengths() == null ? one.timeSteps() : one.lengths()[0];
        return new SequenceRow(
                one.inputs() == null ? null : Arrays.copyOf(one.inputs(), length * one.features()),
                one.tokens() == null ? null : Arrays.copyOf(one.tokens(), length),
                one.mask() == null ? null : one.mask().clone(),
                one.labels() == null ? null : one.labels().clone(),
                one.targets() == null ? null : one.targets().clone(),
                length,
                one.source() == null ? null : of(one.source()));
    }

    int length() {
        return length;
    }

    /** An order that only what a sequence holds decides. */
    static int compare(SequenceRow first, SequenceRow second) {
        int order = Arrays.compare(first.inputs, second.inputs);
        order = order != 0 ? order : Arrays.compare(first.labels, second.labels);
        return order != 0 ? order : Arrays.compare(first.targets, second.targets);
    }

    /** K; 0 for labels. */
    int targetSize() {
        return targets == null ? 0 : targets.length;
    }

    /** Writes the sequence into a row of a new batch, whose T is not below the length. */
    void copyTo(Batch batch, int row) {
        int sequences = batch.batchSize();
        int features = batch.features();
        for (int t = 0; t < length; t++) {
            int place = t * sequences + row;
            if (inputs != null) {
                System.arraycopy(inputs, t * features, batch.inputs(), place * features, features);
            } else {
                batch.tokens()[place] = tokens[t];
            }
        }
        if (batch.lengths() != null) {
            batch.lengths()[row] = length;
        }
        for (int t = 0; t < batch.timeSteps() && mask != null; t++) {
            batch.mask()[t * sequences + row] = mask[t];
        }
        if (targets != null) {
            System.arraycopy(targets, 0, batch.targets(), row * targets.length, targets.length);
        } else if (batch.labels().length == sequences && labels.length == 1) {
            batch.labels()[row] = labels[0];
        } else {
            for (int t = 0; t < batch.timeSteps(); t++) {
                batch.labels()[t * sequences + row] = labels[t];
            }
        }
        if (source != null) {
            source.copyTo(batch.source(), row);
        }
    }
}
