package carousel.spark;

import java.io.Serializable;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * The sum of what the partitions of a step bring, whose bits do not depend on the order in which they arrive. Floating-point sums
 * depend on their order, and Spark adds up what is there first; so the partitions are the leaves of a binary tree that is given by their
 * number alone, and only siblings are added. What arrives early waits for its sibling.
 *
 * <p>Leaves that {@code treeAggregate} brings together in its first round lie together, so that little has to wait: one that has its
 * whole group holds a single sum.
 */
final class SumTree implements Serializable {
    private static final long serialVersionUID = 1;

    /** The depth that {@code treeAggregate} is asked for: one round between the tasks and the driver. */
    static final int DEPTH = 2;

    private final int partitions;
    private final int groups;
    /** Places of a group, a power of two; not all of them have a leaf. */
    private final int places;

    private final List<Node> nodes = new ArrayList<>();
    /** The engine of each executor, by the executor's name. */
    private final Map<String, String> engines = new TreeMap<>();

    /** How long the tasks of each executor have computed, in nanoseconds. */
    private final Map<String, Long> nanos = new TreeMap<>();

    /** The sum of the leaves {@code first .. first + 2^level - 1}; of those that bring nothing there are no values. */
    private static final class Node implements Serializable {
        private static final long serialVersionUID = 1;

        private final int first;
        private final int level;
        private final Vectors values;

        Node(int first, int level, Vectors values) {
            this.first = first;
            this.level = level;
            this.values = values;
        }
    }

    /** A tree of which nothing is known yet. */
    SumTree(int partitions) {
        this.partitions = partitions;
        // As treeAggregate has it: the groups of its first round, where it has one.
        int scale = Math.max((int) Math.ceil(Math.pow(partitions, 1.0 / DEPTH)), 2);
        boolean round = partitions > scale + (partitions + scale - 1) / scale;
        this.groups = round ? partitions / scale : 1;
        int most = (partitions + groups - 1) / groups;
        this.places = most == 1 ? 1 : Integer.highestOneBit(most - 1) << 1;
    }

    /** Adds what a partition brings; null for nothing. */
    SumTree add(int partition, Vectors values) {
        add(new Node(partition % groups * places + partition / groups, 0, values));
        return this;
    }

    /** Says what an executor computes with, and for how long a task of it did. */
    SumTree computed(String executor, String engine, long forNanos) {
        engines.put(executor, engine);
        nanos.merge(executor, forNanos, Long::sum);
        return this;
    }

    /** Adds another part of the same tree. */
    SumTree add(SumTree other) {
        other.nodes.forEach(this::add);
        engines.putAll(other.engines);
        other.nanos.forEach((executor, some) -> nanos.merge(executor, some, Long::sum));
        return this;
    }

    private void add(Node node) {
        Node grown = node;
        for (; ; ) {
            int sibling = grown.first ^ (1 << grown.level);
            Node other = null;
            if (isEmpty(sibling, grown.level)) {
                if (isRoot(grown)) {
                    break;
                }
            } else {
                other = take(sibling, grown.level);
                if (other == null) {
                    break;
                }
            }
            Node left = other == null || grown.first < sibling ? grown : other;
            Node right = left == grown ? other : grown;
            grown = new Node(
                    left.first & -(2 << left.level),
                    left.level + 1,
                    right == null ? left.values : Vectors.sum(left.values, right.values));
        }
        nodes.add(grown);
    }

    /** Whether no leaf is in this range. */
    private boolean isEmpty(int first, int level) {
        int group = first / places;
        if (group >= groups) {
            return true;
        }
        int size = partitions / groups + (group < partitions % groups ? 1 : 0);
        return 1L << level < places && first % places >= size;
    }

    private boolean isRoot(Node node) {
        return node.first == 0 && 1L << node.level >= (long) groups * places;
    }

    private Node take(int first, int level) {
        for (int k = 0; k < nodes.size(); k++) {
            if (nodes.get(k).first == first && nodes.get(k).level == level) {
                return nodes.remove(k);
            }
        }
        return null;
    }

    /**
     * The sum of all leaves; null when all brought nothing.
     *
     * @throws IllegalStateException when some have not been added
     */
    Vectors sum() {
        if (nodes.size() != 1 || !isRoot(nodes.get(0))) {
            throw new IllegalStateException("the sum over " + partitions + " partitions has only parts of them");
        }
        return nodes.get(0).values;
    }

    /** How long the tasks of the busiest executor have computed, one after the other, in nanoseconds. */
    long busiest() {
        return nanos.values().stream().mapToLong(Long::longValue).max().orElse(0);
    }

    /** The engines that are known. */
    Map<String, String> engines() {
        return engines;
    }

    /**
     * What a partition brings.
     *
     * @param vector in the model's type
     * @param numbers such as sums of losses and of weights
     */
    record Vectors(Vector vector, double[] numbers) implements Serializable {
        /** Adds the second to the first, which is overwritten; null counts as zeros. */
        static Vectors sum(Vectors first, Vectors second) {
            if (first == null || second == null) {
                return first == null ? second : first;
            }
            first.vector.plus(second.vector);
            for (int k = 0; k < first.numbers.length; k++) {
                first.numbers[k] += second.numbers[k];
            }
            return first;
        }
    }
}
