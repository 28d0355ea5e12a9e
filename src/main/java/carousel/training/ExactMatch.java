package carousel.training;

import carousel.data.Batch;
import carousel.data.BatchSource;
import carousel.layer.GreedyDecoder;
import carousel.layer.Model;
import java.util.Arrays;

/** How often an encoder-decoder model's own answers are right to the last token: what counts when nobody tells it the right ones. */
public final class ExactMatch {
    private ExactMatch() {}

    /**
     * The share of a source's sequences, over one epoch, that greedy decoding answers exactly: with the batches' labels up to the end
     * token, and then the end token.
     *
     * @param model with an encoder
     * @param start the decoder's first token
     * @param end the token that ends an answer, the last label of each sequence
     * @return in [0, 1]
     * @throws IllegalArgumentException when the model has no encoder, or the batches no sources and labels for it
     */
    public static double of(Model model, int start, int end, BatchSource source) {
        long right = 0;
        long all = 0;
        for (long number = 0; number < source.batchesPerEpoch(); number++) {
            Batch batch = source.batch(number);
            if (batch.source() == null || batch.labels() == null || batch.tokens() == null) {
                throw new IllegalArgumentException(
                        "the batches should have a source, tokens and their labels but got a " + batch
                                + ": use the data that the model was made for");
            }
            // One more than the longest answer: the end token is to be said, not run into.
            GreedyDecoder decoder = new GreedyDecoder(model, start, end, batch.timeSteps());
            Batch read = batch.source();
            int[][] answers = read.tokens() != null
                    ? decoder.decode(read.timeSteps(), read.tokens(), read.lengths())
                    : decoder.decode(read.timeSteps(), read.inputs(), read.lengths());
            for (int n = 0; n < batch.batchSize(); n++) {
                right += Arrays.equals(answers[n], wanted(batch, n)) ? 1 : 0;
            }
            all += batch.batchSize();
        }
        return right / (double) all;
    }

    /** The labels of one sequence before the end token. */
    private static int[] wanted(Batch batch, int sequence) {
        int length = batch.lengths() == null ? batch.timeSteps() : batch.lengths()[sequence];
        int[] answer = new int[length - 1];
        for (int t = 0; t < answer.length; t++) {
            answer[t] = batch.labels()[t * batch.batchSize() + sequence];
        }
        return answer;
    }
}
