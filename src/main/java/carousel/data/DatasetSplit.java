package carousel.data;

import carousel.engine.RandomSequence;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * A dataset cut in two at random, the same way every time for one seed.
 *
 * @param training the sequences to learn from
 * @param validation the sequences to judge by while learning
 */
public record DatasetSplit(SequenceDataset training, SequenceDataset validation) {
    /**
     * Holds back some sequences for validation.
     *
     * @param validationSize in [1, size - 1]
     * @throws IllegalArgumentException if it is not
     */
    public static DatasetSplit of(SequenceDataset dataset, int validationSize, long seed) {
        if (validationSize < 1 || validationSize >= dataset.size()) {
            throw new IllegalArgumentException("the validation part of " + dataset.name() + " should be in the [1, "
                    + (dataset.size() - 1) + "] range but got " + validationSize);
        }
        List<SequenceDataset> parts = parts(dataset, seed, dataset.size() - validationSize, validationSize);
        return new DatasetSplit(parts.get(0), parts.get(1));
    }

    /**
     * Cuts a dataset at random into disjoint parts of these sizes, each in the dataset's own order.
     *
     * @param sizes each 1 or more; together at most the dataset's size: what is left over belongs to no part
     * @throws IllegalArgumentException if a size is out of range
     */
    public static List<SequenceDataset> parts(SequenceDataset dataset, long seed, int... sizes) {
        int[] order = new RandomSequence(seed, RandomStreams.SPLIT, 0).permutation(dataset.size());
        List<SequenceDataset> parts = new ArrayList<>(sizes.length);
        int from = 0;
        for (int size : sizes) {
            int left = order.length - from;
            if (size < 1 || size > left) {
                throw new IllegalArgumentException("part " + (parts.size() + 1) + " of " + dataset.name()
                        + " should have 1 or more of the " + left + " sequences that are left but got " + size);
            }
            int[] indices = Arrays.copyOfRange(order, from, from + size);
            Arrays.sort(indices);
            parts.add(dataset.subset(indices));
            from += size;
        }
        return List.copyOf(parts);
    }
}
