package carousel.engine.vector;

import java.util.Arrays;

/**
 * How a layer's work is shared out among the threads. A <em>group</em> is a range of tiles that go through time side by side, so
 * that a strip of weights is used for all of them while it is in the cache (those of a normalised cell that stay there anyhow: one after the
 * other). Groups never wait for each other. The <em>members</em>
 * of a group are threads that share its hidden units and meet at every step. None of this changes a result.
 */
final class Schedule {
    /** Weights of a cell up to this size, in numbers, stay in a core's second-level cache: 1 MiB. */
    private static final long CACHED = 1 << 18;
    /** Tiles that go side by side, where the weights stay in the cache whatever we do. */
    private static final int SIDE_BY_SIDE = 4;
    /** Sequences for a thread from which on it need not share the weights with another. */
    private static final int PLENTY = 64;
    /** Multiply-adds of a member between two meetings, at least: some times what a meeting costs. */
    private static final long WORTH_MEETING = 50_000;

    private Sequences sequences;
    private int cells;
    private int groups;
    private int members;
    private Workers.Meeting[] meetings = new Workers.Meeting[0];

    /**
     * @param cellCount 1, or 2 for both directions, which run at the same time
     * @param batch whose tiles are shared out
     * @param weights numbers that a step of a cell reads
     * @param most members that there is work for
     */
    void plan(int threads, int cellCount, Sequences batch, long weights, int most) {
        cells = cellCount;
        sequences = batch;
        int tiles = sequences.tiles();
        int each = Math.max(1, threads / cells);
        boolean cached = cached(weights);
        if (cached || sequences.batchSize() >= (long) PLENTY * each) {
            groups = cached ? ceilDivide(tiles, SIDE_BY_SIDE) : 1;
            groups = Math.min(tiles, ceilDivide(groups, each) * each);
        } else {
            groups = 1;
        }
        long work = weights * ceilDivide(sequences.batchSize(), groups);
        members = (int) Math.max(1, Math.min(Math.min(most, each / groups), work / WORTH_MEETING));
    }

    /** Whether so many weights stay in a core's second-level cache. */
    static boolean cached(long weights) {
        return weights <= CACHED;
    }

    /** The {@code k}-th of the items {@code first} to {@code last - 1}, counted from {@code first} on, in their order or the opposite one. */
    static int turned(int k, int first, int last, boolean backwards) {
        return backwards ? first + last - 1 - k : k;
    }

    /** Runs one task for each member of each group of each cell. */
    void launch(Workers workers, Workers.Task task) {
        int units = cells * groups;
        if (meetings.length < units) {
            int known = meetings.length;
            meetings = Arrays.copyOf(meetings, units);
            for (int unit = known; unit < units; unit++) {
                meetings[unit] = workers.new Meeting();
            }
        }
        for (int unit = 0; unit < units; unit++) {
            meetings[unit].expect(members);
        }
        if (members == 1) {
            workers.run(units, task);
        } else {
            workers.together(units * members, task);
        }
    }

    /** Which cell a task is for. */
    int cell(int task) {
        return task / members / groups;
    }

    /** The first tile of a task's group. */
    int firstTile(int task) {
        return Sequences.split(sequences.tiles(), groups, task / members % groups);
    }

    /** The tile after the last one of a task's group. */
    int endTile(int task) {
        return Sequences.split(sequences.tiles(), groups, task / members % groups + 1);
    }

    /** Which member of its group a task is. */
    int member(int task) {
        return task % members;
    }

    /** Where the members of a task's group meet. */
    Workers.Meeting meeting(int task) {
        return meetings[task / members];
    }

    int groups() {
        return groups;
    }

    int members() {
        return members;
    }

    private static int ceilDivide(int value, int by) {
        return (value + by - 1) / by;
    }
}
