package carousel.engine.vector;

import carousel.engine.LstmSpec;
import carousel.engine.RandomKey;
import carousel.tensor.HostStorage;
import carousel.tensor.Tensor;

/** The packed weights of the stacks that were used last. */
final class PackedWeights {
    /** How many stacks are remembered: those of a model or two. A model with more packs its weights for every call. */
    private static final int CAPACITY = 8;

    private final PackedStack[] stacks = new PackedStack[CAPACITY];
    private final long[] blocks = new long[CAPACITY];
    private final int[] starts = new int[CAPACITY];

    PackedWeights() {}

    /**
     * The stack with these parameters, as they are now; null where there are none.
     *
     * @param key of the call, or null
     */
    PackedStack of(LstmSpec spec, Tensor parameters, RandomKey key) {
        if (parameters == null) {
            return null;
        }
        long block = HostStorage.identity(parameters);
        int start = HostStorage.start(parameters);
        int found = 0;
        while (found < CAPACITY - 1
                && stacks[found] != null
                && !(blocks[found] == block
                        && starts[found] == start
                        && stacks[found].spec().equals(spec))) {
            found++;
        }
        PackedStack stack = stacks[found];
        if (stack == null
                || blocks[found] != block
                || starts[found] != start
                || !stack.spec().equals(spec)) {
            stack = new PackedStack(spec);
        }
        // The one used last comes first, and the one not used for longest falls off the end.
        System.arraycopy(stacks, 0, stacks, 1, found);
        System.arraycopy(blocks, 0, blocks, 1, found);
        System.arraycopy(starts, 0, starts, 1, found);
        stacks[0] = stack;
        blocks[0] = block;
        starts[0] = start;
        stack.expect(HostStorage.version(parameters), key);
        return stack;
    }

    long bytes() {
        long bytes = 0;
        for (PackedStack stack : stacks) {
            bytes += stack == null ? 0 : stack.bytes();
        }
        return bytes;
    }
}
