package carousel.format.onnx;

import java.util.ArrayList;
import java.util.List;

/** What is known about a value of a graph while a chain of layers is looked for in it. */
sealed interface Fact {
    /** Its numbers. */
    record Known(OnnxValue value) implements Fact {}

    /** Integers that are computed from the sizes of a batch. */
    record Computed() implements Fact {}

    /** Zeros, however many. */
    record Zeros() implements Fact {}

    /** The graph's input with the lengths of the sequences. */
    record Lengths() implements Fact {}

    /** Something that has no place in a model here; why is said only where the model's output depends on it. */
    record Refused(String reason) implements Fact {}

    /** What an axis of a flow stands for. */
    enum Axis {
        /** The first two axes of what the graph reads: time and batch, in an order that the first LSTM tells. */
        FIRST("input axis 0"),
        SECOND("input axis 1"),
        /** The cells of LSTM nodes, one or two of each. */
        CELLS("directions"),
        FEATURES("features"),
        /** Of extent 1. */
        ONE("1");

        private final String word;

        Axis(String word) {
            this.word = word;
        }

        /** For messages. */
        String word() {
            return word;
        }
    }

    /** Which time steps of a cell's outputs there are. */
    enum Moment {
        ALL,
        /** The step at time 0 alone. */
        START,
        /** The step at the last time alone. */
        END,
        /** The step that the cell reads last alone. */
        FINAL
    }

    /**
     * The outputs of one cell of an LSTM.
     *
     * @param index which of its stage's cells
     */
    record Cell(Stage stage, int index, Moment moment) {
        Cell at(Moment other) {
            return new Cell(stage, index, other);
        }
    }

    /**
     * Activations on their way through the chain.
     *
     * @param stage the layer that puts them out; null for the graph's input
     * @param axes what their axes stand for
     * @param features the extent of {@link Axis#FEATURES}, of all cells together where they lie side by side; 0 where the graph
     *     does not say
     * @param cells whose outputs they are: along {@link Axis#CELLS}, or side by side in {@link Axis#FEATURES}; null for the output
     *     of a stage as a whole
     * @param last whether there is one vector a sequence, and no axis of time
     * @param source the name of the graph's input that they come from
     */
    record Flow(Stage stage, List<Axis> axes, int features, List<Cell> cells, boolean last, String source)
            implements Fact {
        public Flow {
            axes = List.copyOf(axes);
            cells = cells == null ? null : List.copyOf(cells);
        }

        Flow withAxes(List<Axis> value) {
            return new Flow(stage, value, features, cells, last, source);
        }

        Flow withoutAxis(int k) {
            List<Axis> left = new ArrayList<>(axes);
            left.remove(k);
            return withAxes(left);
        }

        Flow withCells(List<Cell> value) {
            // Side by side, each cell has its share of the features.
            int width = axes.contains(Axis.CELLS) ? features : features / cells.size() * value.size();
            return new Flow(stage, axes, width, value, last, source);
        }

        /** The output of another layer in place of these. */
        Flow through(Stage next, int width) {
            return new Flow(next, axes, width, null, last, source);
        }

        /** For messages, for instance {@code [input axis 0, directions, input axis 1, features]}. */
        String inWords() {
            return axes.stream().map(Axis::word).toList().toString();
        }
    }
}
