package carousel.data;

import carousel.engine.RandomSequence;
import java.util.Arrays;

/**
 * Sequences of similar lengths together, so that a batch needs no more steps than the longest of its own: its T is that
 * length, and little of it is padding. Each epoch sees every sequence exactly once.
 */
public final class BucketedBatches extends DatasetExtents implements DrawnBatches {
    private final int batchSize;
    private final long seed;
    private final boolean shuffled;
    private final int[] lengths;
    private final Batch one;
    private long orderedEpoch = -1;
    /** The sequences of the ordered epoch, batch after batch. */
    private int[] order;

    private Batch batch;

    private BucketedBatches(SequenceDataset dataset, int batchSize, long seed, boolean shuffled) {
        super(dataset);
        this.batchSize = batchSize;
        this.seed = seed;
        this.shuffled = shuffled;
        this.one = dataset.newBatch(1);
        if (one.inputs() == null || one.source() != null) {
            throw new IllegalArgumentException("buckets are of sequences of real numbers but " + dataset.name()
                    + " has tokens: take ShuffledBatches or SequentialBatches");
        }
        this.lengths = new int[dataset.size()];
        for (int k = 0; k < lengths.length; k++) {
            lengths[k] = dataset.timeSteps();
            if (dataset.variableLengths()) {
                dataset.read(k, one, 0);
                lengths[k] = one.lengths()[0];
            }
            if (lengths[k] < 1) {
                throw new IllegalArgumentException(
                        "sequence " + k + " of " + dataset.name() + " should have 1 or more steps but has 0");
            }
        }
    }

    /**
     * For training: among equal lengths each epoch draws anew which sequences share a batch, and the batches come in a random
     * order. Where they do not divide the dataset, a random one of them is the smaller one, and comes last.
     *
     * @param batchSize in [1, the dataset's size]
     * @throws IllegalArgumentException if it is not, or a sequence has no step
     */
    public static BucketedBatches shuffled(SequenceDataset dataset, int batchSize, long seed) {
        DatasetBatches.requireBatchSize(dataset, batchSize, dataset.size());
        return new BucketedBatches(dataset, batchSize, seed, true);
    }

    /**
     * For evaluation: from the shortest sequences to the longest, in the dataset's order among equal ones. {@link #members}
     * tells which they are.
     *
     * @param batchSize 1 or more; a whole dataset smaller than that is one batch
     * @throws IllegalArgumentException if the batch size is below 1, or a sequence has no step
     */
    public static BucketedBatches sorted(SequenceDataset dataset, int batchSize) {
        DatasetBatches.requireBatchSize(dataset, batchSize, Integer.MAX_VALUE);
        return new BucketedBatches(dataset, Math.min(batchSize, dataset.size()), 0, false);
    }

    @Override
    public int[] members(long number) {
        DatasetBatches.examplesBefore(number, batchSize);
        arrange(number / batchesPerEpoch());
        int first = (int) (number % batchesPerEpoch()) * batchSize;
        return Arrays.copyOfRange(order, first, Math.min(order.length, first + batchSize));
    }

    @Override
    public Batch batch(long number) {
        int[] members = members(number);
        int timeSteps = 0;
        for (int member : members) {
            timeSteps = Math.max(timeSteps, lengths[member]);
        }
        // Extents differ from batch to batch: those of the epochs' many lengths together would be a lot to keep.
        if (batch == null || batch.timeSteps() != timeSteps || batch.batchSize() != members.length) {
            batch = new Batch(
                    timeSteps,
                    members.length,
                    features(),
                    targetSize(),
                    dataset().variableLengths());
            if (one.mask() != null) {
                batch = batch.withMask(new boolean[timeSteps * members.length]);
            }
        }
        for (int row = 0; row < members.length; row++) {
            dataset().read(members[row], one, 0);
            for (int t = 0; t < timeSteps; t++) {
                System.arraycopy(
                        one.inputs(),
                        t * features(),
                        batch.inputs(),
                        (t * members.length + row) * features(),
                        features());
                if (batch.mask() != null) {
                    batch.mask()[t * members.length + row] = one.mask()[t];
                }
            }
            if (batch.lengths() != null) {
                batch.lengths()[row] = lengths[members[row]];
            }
            if (batch.labels() != null) {
                batch.labels()[row] = one.labels()[0];
            } else {
                System.arraycopy(one.targets(), 0, batch.targets(), row * targetSize(), targetSize());
            }
        }
        return batch;
    }

    private void arrange(long epoch) {
        long wanted = shuffled ? epoch : 0;
        if (wanted == orderedEpoch) {
            return;
        }
        if (shuffled) {
            RandomSequence random = new RandomSequence(seed, RandomStreams.BUCKETS, epoch);
            order = inRandomOrder(byLength(random.permutation(lengths.length)), random);
        } else {
            int[] all = new int[lengths.length];
            Arrays.setAll(all, k -> k);
            order = byLength(all);
        }
        orderedEpoch = wanted;
    }

    /** The same indices from the shortest sequence to the longest; equal ones stay in order. */
    private int[] byLength(int[] indices) {
        int[] starts = new int[dataset().timeSteps() + 2];
        for (int length : lengths) {
            starts[length + 1]++;
        }
        for (int length = 1; length < starts.length; length++) {
            starts[length] += starts[length - 1];
        }
        int[] sorted = new int[indices.length];
        for (int index : indices) {
            sorted[starts[lengths[index]]++] = index;
        }
        return sorted;
    }

    /** Cuts sorted indices into batches and puts those in a random order. */
    private int[] inRandomOrder(int[] sorted, RandomSequence random) {
        int batches = (int) batchesPerEpoch();
        int rest = sorted.length % batchSize;
        int small = random.nextInt(batches);
        int[] ordered = new int[sorted.length];
        int filled = 0;
        for (int place : random.permutation(batches)) {
            if (rest != 0 && place == small) {
                continue;
            }
            int from = place * batchSize - (rest != 0 && place > small ? batchSize - rest : 0);
            System.arraycopy(sorted, from, ordered, filled, batchSize);
            filled += batchSize;
        }
        if (rest != 0) {
            System.arraycopy(sorted, small * batchSize, ordered, filled, rest);
        }
        return ordered;
    }

    /** The share of an epoch's steps that are padding, in [0, 1). */
    public double paddingShare(long epoch) {
        long valid = 0;
        long all = 0;
        for (long k = 0; k < batchesPerEpoch(); k++) {
            int longest = 0;
            int[] members = members(Math.addExact(Math.multiplyExact(epoch, batchesPerEpoch()), k));
            for (int member : members) {
                valid += lengths[member];
                longest = Math.max(longest, lengths[member]);
            }
            all += (long) longest * members.length;
        }
        return 1 - valid / (double) all;
    }

    /** The share of steps that are padding where every batch has the T of the whole dataset, in [0, 1). */
    public double paddingShareWithoutBuckets() {
        long valid = 0;
        for (int length : lengths) {
            valid += length;
        }
        return 1 - valid / ((double) lengths.length * dataset().timeSteps());
    }

    @Override
    public long batchesPerEpoch() {
        return (lengths.length + (long) batchSize - 1) / batchSize;
    }

    @Override
    public int batchSize() {
        return batchSize;
    }
}
