package carousel.spark;

import carousel.data.Batch;
import carousel.data.SequenceDataset;
import java.io.Serializable;

/**
 * What the batches of a dataset are like, apart from how many sequences they hold.
 *
 * @param timeSteps T, the most there are
 * @param features C; of tokens the size of the vocabulary
 * @param targetSize K, the number of real targets of a sequence; 0 for labels
 * @param variableLengths whether sequences may be shorter
 * @param tokens whether the inputs are tokens
 * @param masked whether single steps may be left out
 * @param source of what an encoder reads beside each sequence; null for none
 */
record BatchForm(
        int timeSteps,
        int features,
        int targetSize,
        boolean variableLengths,
        boolean tokens,
        boolean masked,
        BatchForm source)
        implements Serializable {

    static BatchForm of(SequenceDataset dataset) {
        return of(dataset.newBatch(1));
    }

    private static BatchForm of(Batch batch) {
        return new BatchForm(
                batch.timeSteps(),
                batch.features(),
                batch.targetSize(),
                batch.lengths() != null,
                batch.tokens() != null,
                batch.mask() != null,
                batch.source() == null ? null : of(batch.source()));
    }

    /**
     * An empty batch.
     *
     * @param steps its T
     */
    Batch newBatch(int steps, int sequences) {
        Batch batch = tokens
                ? Batch.ofTokens(steps, sequences, features, variableLengths)
                : new Batch(steps, sequences, features, targetSize, variableLengths);
        if (masked) {
            batch = batch.withMask(new boolean[steps * sequences]);
        }
        return source == null ? batch : batch.withSource(source.newBatch(source.timeSteps, sequences));
    }
}
