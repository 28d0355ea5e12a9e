package carousel.engine;

import carousel.tensor.Tensor;
import java.util.Arrays;

/**
 * What a stack reads.
 *
 * @param x {@code [T, N, C]}; elements past a sequence's end are never used, whatever they are
 * @param lengths the number of valid steps of each of the {@code N} sequences, each in [0, T], sequences being padded on
 *     the right; null when all have T steps. With length 0 a sequence keeps its initial state.
 * @param initial the state before the first step; null for zeros
 * @param dropout the random numbers of this call; null for none, as in inference, whatever the specification says
 * @param deviceLengths the same as {@code lengths} in a tensor {@code [N]} of integers, instead of them: an engine that computes
 *     elsewhere need not wait for them. What lies outside of [0, T] counts as the nearer end. Null where {@code lengths} are given
 *     or all sequences have T steps.
 */
public record LstmInput(Tensor x, int[] lengths, LstmState initial, RandomKey dropout, Tensor deviceLengths) {
    /** Whole sequences from a zero state, without dropout. */
    public static LstmInput of(Tensor x) {
        return new LstmInput(x, null, null, null, null);
    }

    public LstmInput withLengths(int... value) {
        return new LstmInput(x, value, initial, dropout, null);
    }

    /** For engines that need {@link #deviceLengths()} on the host: the same with those, read, in an array. */
    public LstmInput withLengthsAsRead(int[] read) {
        int timeSteps = x.shape().extent(0);
        return withLengths(Arrays.stream(read)
                .map(length -> Math.max(0, Math.min(timeSteps, length)))
                .toArray());
    }

    public LstmInput withInitial(LstmState value) {
        return new LstmInput(x, lengths, value, dropout, deviceLengths);
    }

    public LstmInput withDropout(RandomKey value) {
        return new LstmInput(x, lengths, initial, value, deviceLengths);
    }

    /** Lengths that the engine has: {@code [N]} integers, or null for T each. */
    public LstmInput withDeviceLengths(Tensor value) {
        return new LstmInput(x, null, initial, dropout, value);
    }
}
