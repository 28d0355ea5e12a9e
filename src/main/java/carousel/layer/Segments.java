package carousel.layer;

import carousel.engine.Engine;
import carousel.engine.LstmState;
import carousel.tensor.Shape;
import carousel.tensor.Tensor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;

/**
 * A batch of {@code N} sequences as engines can read it: they know sequences that end early, but neither steps left out anywhere nor
 * sequences that start anew in their midst. So the steps that count are moved together to the start, and where a sequence starts
 * anew it is cut: each of its {@code M} segments, as many as there are sequences or more, becomes a sequence of its own. What comes
 * out of the last layer that reads lengths is moved back; there a step that was left out shows the output before it, or zeros.
 *
 * <p>Segments {@code 0 .. N - 1} are the first ones of the sequences; the others follow in the order of the sequences and of time.
 */
final class Segments {
    private static final int NONE = -1;

    private final int timeSteps;
    private final int batchSize;
    /** {@code T'}: the steps of the longest segment; T where nothing is cut, so that extents stay the same from batch to batch. */
    private final int segmentSteps;
    /** {@code [M]}. */
    private final int[] lengths;
    /** {@code [N]}: whether the first segment of a sequence goes on from what the sequence carries; the others never do. */
    private final boolean[] goesOn;
    /** {@code [N]}: the segment that a sequence ends with. */
    private final int[] last;
    /** {@code [T N]}: the segment that a step belongs to, {@link #NONE} past the end. */
    private final int[] segments;
    /** {@code [T N]}: its place in that segment; of a step left out that of the step before it, {@link #NONE} where there is none. */
    private final int[] places;
    /** {@code [T N]}. */
    private final boolean[] counts;
    /** Whether any step is somewhere else. */
    private final boolean moved;
    /** {@code [N]}, or null. */
    private final int[] valid;

    private StepRows together;
    private StepRows apart;
    private Tensor beforeGradient;

    /**
     * @param counts {@code [T N]}: whether a step counts; null where all do
     * @param resets {@code [T N]}: whether its sequence starts anew with a step, be it one that counts or not; null for none
     * @param valid valid steps of each sequence, of those behind no step counts and none starts anew; null for all
     */
    Segments(boolean[] counts, boolean[] resets, int timeSteps, int batchSize, int[] valid) {
        this.timeSteps = timeSteps;
        this.batchSize = batchSize;
        this.valid = valid;
        this.counts = new boolean[timeSteps * batchSize];
        this.segments = new int[timeSteps * batchSize];
        this.places = new int[timeSteps * batchSize];
        this.last = new int[batchSize];
        List<Integer> lengthOf = new ArrayList<>();
        for (int n = 0; n < batchSize; n++) {
            lengthOf.add(0);
        }
        this.goesOn = new boolean[batchSize];
        Arrays.fill(goesOn, true);
        boolean elsewhere = false;
        for (int n = 0; n < batchSize; n++) {
            int segment = n;
            int length = 0;
            int end = valid == null ? timeSteps : valid[n];
            for (int t = 0; t < timeSteps; t++) {
                int step = t * batchSize + n;
                if (t >= end) {
                    segments[step] = NONE;
                    continue;
                }
                if (resets != null && resets[step]) {
                    if (t == 0) {
                        goesOn[n] = false;
                    } else {
                        lengthOf.set(segment, length);
                        segment = lengthOf.size();
                        lengthOf.add(0);
                        length = 0;
                    }
                }
                this.counts[step] = counts == null || counts[step];
                length += this.counts[step] ? 1 : 0;
                segments[step] = segment;
                places[step] = length - 1;
                elsewhere |= !this.counts[step] || segment != n;
            }
            lengthOf.set(segment, length);
            last[n] = segment;
        }
        this.moved = elsewhere;
        this.lengths = lengthOf.stream().mapToInt(Integer::intValue).toArray();
        this.segmentSteps = cut() ? Math.max(1, Arrays.stream(lengths).max().orElse(0)) : timeSteps;
    }

    /** Whether a sequence has more than one segment. */
    private boolean cut() {
        return lengths.length > batchSize;
    }

    /** M. */
    int count() {
        return lengths.length;
    }

    /** {@code [M]}: the number of steps of each segment that count; null for all. */
    int[] lengths() {
        return moved ? lengths : valid;
    }

    /** Whether segment m goes on from the state that its sequence carries; otherwise it is at its beginning. */
    private boolean goesOn(int m) {
        return m < batchSize && goesOn[m];
    }

    /** Whether there are segments that do not go on from what their sequences go on from. */
    boolean anew() {
        for (int m = 0; m < count(); m++) {
            if (!goesOn(m)) {
                return true;
            }
        }
        return false;
    }

    /**
     * Which steps of the batch count.
     *
     * @param inner {@code [T' M]}: which of them count in a layer that leaves out more; null for all
     */
    boolean[] counted(boolean[] inner) {
        boolean[] all = counts.clone();
        for (int step = 0; inner != null && step < all.length; step++) {
            all[step] &= segments[step] != NONE && inner[places[step] * count() + segments[step]];
        }
        return all;
    }

    /** Moves the steps of {@code [T, N, C]} that count into their segments, {@code [T', M, C]}. */
    Tensor together(Pass pass, Tensor x) {
        if (!moved) {
            return x;
        }
        // Behind the ends of segments lies a step that counts, which no LSTM reads: one left out may hold anything, and
        // a
        // gradient of zero does not stop what is not a number.
        int filler = 0;
        while (filler < counts.length && !counts[filler]) {
            filler++;
        }
        if (filler == counts.length) {
            return zeros(pass, "segments", segmentSteps, count(), x.shape().extent(2));
        }
        int[] origins = new int[segmentSteps * count()];
        Arrays.fill(origins, filler);
        for (int step = 0; step < counts.length; step++) {
            if (counts[step]) {
                origins[places[step] * count() + segments[step]] = step;
            }
        }
        together = StepRows.of(pass, "segment", origins);
        return together.take(pass, "segments", x, segmentSteps, count());
    }

    /** How the result of {@link #together} changes with what it read. */
    Tensor togetherTangent(Pass pass, Tensor x) {
        if (!moved) {
            return x;
        }
        return together == null
                ? zeros(
                        pass,
                        "change of segments",
                        segmentSteps,
                        count(),
                        x.shape().extent(2))
                : together.take(pass, "change of segments", x, segmentSteps, count());
    }

    /** The gradient of what {@link #together} read. Steps that do not count have none. */
    Tensor togetherBackward(Pass pass, Tensor dy) {
        if (!moved) {
            return dy;
        }
        int width = dy.shape().extent(2);
        if (together == null) {
            return zeros(pass, "gradient of segments", timeSteps, batchSize, width);
        }
        return together.giveBack(pass, "gradient of segments", dy, timeSteps * batchSize)
                .reshape(timeSteps, batchSize, width);
    }

    private static Tensor zeros(Pass pass, String name, int... extents) {
        Tensor zeros = pass.scope().allocate(name, extents);
        pass.engine().fill(zeros, 0);
        return zeros;
    }

    /**
     * Moves outputs back to their own steps, {@code [T, N, C]}.
     *
     * @param y {@code [T', M, C]}
     * @param held whether a step left out shows the output before it; otherwise zeros
     * @param before {@code [M, C]}: the outputs before the first step of each segment; null for zeros
     */
    Tensor apart(Pass pass, Tensor y, boolean held, Tensor before) {
        if (!moved) {
            return y;
        }
        int zeros = (segmentSteps + 1) * count();
        int[] rows = new int[counts.length];
        for (int step = 0; step < rows.length; step++) {
            if (segments[step] == NONE || !counts[step] && !held) {
                rows[step] = zeros;
            } else {
                // What came before the first step lies behind the last.
                int place = places[step] == NONE ? segmentSteps : places[step];
                rows[step] = place * count() + segments[step];
            }
        }
        apart = StepRows.of(pass, "step", rows);
        return apart.take(pass, "steps", followed(pass, y, before), timeSteps, batchSize);
    }

    /** {@code y [T', M, C]} with one more step behind it and one row of zeros behind that. */
    private Tensor followed(Pass pass, Tensor y, Tensor before) {
        int width = y.shape().extent(2);
        int rows = segmentSteps * count();
        Engine engine = pass.engine();
        Tensor all = pass.scope().allocate("y and more", rows + count() + 1, width);
        Tensor first = all.view("y", 0, Shape.of(rows, width));
        engine.copyColumns(Model.rows(y), 0, first, 0, width);
        engine.fill(all.view("zeros", (long) rows * width, Shape.of(count() + 1, width)), 0);
        if (before != null) {
            Tensor second = all.view("before", (long) rows * width, Shape.of(count(), width));
            engine.copyColumns(before, 0, second, 0, width);
        }
        return all;
    }

    /** The gradient of y in {@link #apart}; that of what came before is {@link #beforeGradient()} afterwards. */
    Tensor apartBackward(Pass pass, Tensor dy) {
        if (!moved) {
            return dy;
        }
        int width = dy.shape().extent(2);
        int rows = segmentSteps * count();
        Tensor all = apart.giveBack(pass, "gradient of steps", dy, rows + count() + 1);
        beforeGradient = all.view("gradient of before", (long) rows * width, Shape.of(count(), width));
        return all.view("gradient of steps", 0, Shape.of(segmentSteps, count(), width));
    }

    /** The gradient of {@code before [M, C]}, zeros where {@link #apart} was given none; null where nothing was moved. */
    Tensor beforeGradient() {
        return beforeGradient;
    }

    /** What the sequences' last segments end with, {@code [N, C]} of {@code [M, C]}. */
    Tensor lastOf(Pass pass, Tensor y) {
        if (!cut()) {
            return y;
        }
        Tensor ends =
                pass.scope().allocate("last segments", batchSize, y.shape().extent(1));
        pass.engine().embeddingForward(StepRows.of(pass, "last segment", last).ids(), y, ends);
        return ends;
    }

    /** The gradient of y in {@link #lastOf}. */
    Tensor lastOfBackward(Pass pass, Tensor dy) {
        return cut()
                ? StepRows.of(pass, "last segment", last).giveBack(pass, "gradient of last segments", dy, count())
                : dy;
    }

    /**
     * What the segments start from.
     *
     * @param given what the N sequences go on from
     * @param learned what new ones start from, {@code h [S, P]} and {@code c [S, H]}; null for zeros
     */
    LstmState starts(Pass pass, LstmState given, LstmState learned) {
        return new LstmState(
                starts(pass, "first h", given.h(), learned == null ? null : learned.h()),
                starts(pass, "first c", given.c(), learned == null ? null : learned.c()));
    }

    /** {@code [S, M, W]} of {@code [S, N, W]} and {@code [S, W]}. */
    private Tensor starts(Pass pass, String name, Tensor given, Tensor learned) {
        int states = given.shape().extent(0);
        int rows = states * batchSize;
        int[] ids = new int[states * count()];
        for (int row = 0; row < ids.length; row++) {
            int m = row % count();
            int state = row / count();
            ids[row] = goesOn(m) ? state * batchSize + m : rows + state;
        }
        return lookUp(pass, name, joined(pass, given, learned, states), ids, count());
    }

    /**
     * The gradient of what the N sequences go on from, of that of what the segments start from; zeros of a sequence that starts anew
     * with its first step.
     */
    LstmState startsOfSequences(Pass pass, LstmState gradient) {
        int states = gradient.h().shape().extent(0);
        int[] ids = new int[states * batchSize];
        for (int row = 0; row < ids.length; row++) {
            int n = row % batchSize;
            ids[row] = goesOn(n) ? row / batchSize * count() + n : states * count();
        }
        String name = "gradient of what goes on";
        return new LstmState(
                lookUp(pass, name, joined(pass, gradient.h(), null, 1), ids, batchSize),
                lookUp(pass, name, joined(pass, gradient.c(), null, 1), ids, batchSize));
    }

    /** The rows of {@code [S, M, .]} that are of segments which start anew, one or more. */
    StateRows anew(Pass pass, LstmState gradient) {
        int states = gradient.h().shape().extent(0);
        int[] fresh = IntStream.range(0, count()).filter(m -> !goesOn(m)).toArray();
        int[] ids = new int[states * fresh.length];
        for (int row = 0; row < ids.length; row++) {
            ids[row] = row / fresh.length * count() + fresh[row % fresh.length];
        }
        String name = "gradient of what starts anew";
        return StateRows.of(
                pass.engine(),
                pass.scope(),
                new LstmState(
                        lookUp(pass, name, Model.rows(gradient.h()), ids, fresh.length),
                        lookUp(pass, name, Model.rows(gradient.c()), ids, fresh.length)));
    }

    /** {@code [S, M, W]} as rows with as many more behind them, {@code [more, W]}, or zeros. */
    private static Tensor joined(Pass pass, Tensor states, Tensor rows, int more) {
        Engine engine = pass.engine();
        Tensor first = Model.rows(states);
        int width = first.shape().extent(1);
        Tensor all = pass.scope().allocate("states and more", first.shape().extent(0) + more, width);
        engine.copyColumns(first, 0, all.view("states", 0, first.shape()), 0, width);
        Tensor second = all.view("more", first.elements(), Shape.of(more, width));
        if (rows == null) {
            engine.fill(second, 0);
        } else {
            engine.copyColumns(rows, 0, second, 0, width);
        }
        return all;
    }

    private static Tensor lookUp(Pass pass, String name, Tensor table, int[] ids, int sequences) {
        Tensor found = pass.scope()
                .allocate(name, ids.length / sequences, sequences, table.shape().extent(1));
        pass.engine().embeddingForward(StepRows.of(pass, name, ids).ids(), table, Model.rows(found));
        return found;
    }

    /** Lets the N sequences end with what their last segments end with. */
    void end(Pass pass, LstmState ofSegments, LstmState ofSequences) {
        int states = ofSegments.h().shape().extent(0);
        int[] ids = new int[states * batchSize];
        for (int row = 0; row < ids.length; row++) {
            ids[row] = row / batchSize * count() + last[row % batchSize];
        }
        Tensor rows = StepRows.of(pass, "last segment", ids).ids();
        pass.engine().embeddingForward(rows, Model.rows(ofSegments.h()), Model.rows(ofSequences.h()));
        pass.engine().embeddingForward(rows, Model.rows(ofSegments.c()), Model.rows(ofSequences.c()));
    }
}
