package carousel.format.onnx;

import carousel.engine.ActivationFunction;
import carousel.engine.Direction;
import carousel.engine.LstmActivations;
import carousel.engine.LstmSpec;
import carousel.format.FormatException;
import carousel.format.onnx.Fact.Axis;
import carousel.format.onnx.Fact.Cell;
import carousel.format.onnx.Fact.Computed;
import carousel.format.onnx.Fact.Flow;
import carousel.format.onnx.Fact.Known;
import carousel.format.onnx.Fact.Lengths;
import carousel.format.onnx.Fact.Moment;
import carousel.format.onnx.Fact.Refused;
import carousel.format.onnx.Fact.Zeros;
import carousel.layer.Activation;
import carousel.layer.Dense;
import carousel.layer.Embedding;
import carousel.layer.Initializer;
import carousel.layer.Lstm;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * Looks for a chain of layers in a graph: goes through its nodes as if it ran them, with what is known about each value in place
 * of its numbers. Constants are computed; activations carry the meaning of their axes with them, so that the transpositions,
 * squeezes and reshapes that exporters put around an LSTM are understood whatever their order.
 */
final class ChainReader {
    private final OnnxGraph graph;
    private final Map<String, Fact> facts = new HashMap<>();
    private final Map<String, OnnxGraph.Input> inputs = new HashMap<>();
    private final Run folding;

    /** Which of the first two axes is time; null until an LSTM has told. */
    private Axis time;

    ChainReader(OnnxGraph graph) {
        this.graph = graph;
        this.folding = new Run(null, Runtime.getRuntime().maxMemory() / 64, note -> {});
    }

    Axis time() {
        return time;
    }

    /** What the graph's first output turned out to be, as the whole output of a layer. */
    Flow read() {
        graph.constants().forEach((name, value) -> facts.put(name, new Known(value)));
        for (OnnxGraph.Input input : graph.inputs()) {
            inputs.put(input.name(), input);
            facts.putIfAbsent(input.name(), input(input));
        }
        for (OnnxGraph.Step step : graph.steps()) {
            interpret(step);
        }
        Fact output = facts.get(graph.outputs().get(0));
        if (output instanceof Refused refused) {
            throw new IllegalArgumentException(refused.reason());
        } else if (output instanceof Flow flow) {
            return whole(flow);
        }
        throw new IllegalArgumentException("the graph's output does not depend on what it reads");
    }

    private static Fact input(OnnxGraph.Input input) {
        List<Integer> extents = input.extents();
        int rank = extents == null ? -1 : extents.size();
        if (input.type().real() && (rank == 2 || rank == 3)) {
            List<Axis> axes =
                    rank == 3 ? List.of(Axis.FIRST, Axis.SECOND, Axis.FEATURES) : List.of(Axis.FIRST, Axis.FEATURES);
            return new Flow(null, axes, Math.max(0, extents.get(rank - 1)), null, rank == 2, input.name());
        } else if (!input.type().real() && input.type() != OnnxType.BOOL && rank == 2) {
            return new Flow(null, List.of(Axis.FIRST, Axis.SECOND), 0, null, false, input.name());
        } else if (!input.type().real() && rank == 1) {
            return new Lengths();
        }
        return new Refused("the graph's input " + FormatException.quote(input.name())
                + " is neither sequences of numbers or tokens nor their lengths");
    }

    private void interpret(OnnxGraph.Step step) {
        OnnxNode node = step.node();
        Fact[] in = new Fact[Math.max(Operation.PLACES, node.inputs().size())];
        boolean known = true;
        boolean flow = false;
        Refused refused = null;
        for (int k = 0; k < node.inputs().size(); k++) {
            in[k] = node.hasInput(k) ? facts.get(node.inputs().get(k)) : null;
            known &= in[k] == null || in[k] instanceof Known;
            flow |= in[k] instanceof Flow;
            refused = in[k] instanceof Refused found && refused == null ? found : refused;
        }
        Fact[] out;
        try {
            if (refused != null) {
                out = new Fact[] {refused};
            } else if (step.operation() instanceof LstmOperation lstm) {
                out = lstm(node, lstm, in);
            } else if (known) {
                out = fold(step.operation(), in);
            } else if (flow) {
                out = flow(node, in);
            } else {
                out = new Fact[] {beside(node, in)};
            }
        } catch (IllegalArgumentException e) {
            out = new Fact[] {new Refused(node.inWords() + " " + e.getMessage())};
        }
        for (int k = 0; k < node.outputs().size(); k++) {
            if (node.hasOutput(k)) {
                // One reason holds for all outputs.
                facts.put(node.outputs().get(k), out[Math.min(k, out.length - 1)]);
            }
        }
    }

    private Fact[] fold(Operation operation, Fact[] in) {
        OnnxValue[] values = new OnnxValue[in.length];
        for (int k = 0; k < in.length; k++) {
            values[k] = in[k] == null ? null : ((Known) in[k]).value();
        }
        return Arrays.stream(operation.run(folding, values)).map(Known::new).toArray(Fact[]::new);
    }

    /** What is computed from sizes, the zeros of an initial state above all. */
    private static Fact beside(OnnxNode node, Fact[] in) {
        boolean zeros = in[0] instanceof Zeros || in[0] instanceof Known first && zeros(first.value());
        switch (node.operator()) {
            case "ConstantOfShape" -> {
                OnnxValue value = node.tensor("value") == null ? null : TensorReader.read(node.tensor("value"));
                if (value == null || zeros(value)) {
                    return new Zeros();
                }
            }
            case "Expand" -> {
                if (zeros) {
                    return new Zeros();
                }
            }
            case "Identity", "Cast", "Slice", "Gather", "Squeeze", "Unsqueeze", "Transpose", "Reshape" -> {
                if (zeros) {
                    return in[0] instanceof Zeros ? in[0] : new Computed();
                } else if (in[0] instanceof Lengths && !node.operator().equals("Gather")) {
                    return in[0];
                }
                return new Computed();
            }
            case "Shape", "Concat", "Add", "Sub", "Mul", "Div", "Equal", "Where" -> {
                if (node.operator().equals("Concat")
                        && Arrays.stream(in)
                                .allMatch(fact -> fact == null
                                        || fact instanceof Zeros
                                        || fact instanceof Known value && zeros(value.value()))) {
                    return new Zeros();
                }
                return new Computed();
            }
            default -> {}
        }
        throw new IllegalArgumentException("computes with what is no layer's output");
    }

    private static boolean zeros(OnnxValue value) {
        return value.type().real() && Arrays.stream(value.real()).allMatch(x -> x == 0);
    }

    private static OnnxValue known(Fact fact, String what) {
        if (fact instanceof Known known) {
            return known.value();
        }
        throw new IllegalArgumentException("has " + what + " that the graph computes, where a model needs them fixed");
    }

    private Fact[] flow(OnnxNode node, Fact[] in) {
        if (!(in[0] instanceof Flow flow)) {
            return switch (node.operator()) {
                case "Gather" -> new Fact[] {embedding(node, in)};
                case "Add" -> new Fact[] {addBias(node, in[1], in[0])};
                case "Shape" -> new Fact[] {new Computed()};
                default ->
                    throw new IllegalArgumentException("reads what a layer puts out in another place than its first");
            };
        }
        return switch (node.operator()) {
            case "Identity", "Dropout" -> new Fact[] {flow, new Refused(node.inWords() + " puts out a mask")};
            case "Cast" -> new Fact[] {cast(node, flow)};
            case "Shape" -> new Fact[] {new Computed()};
            case "Transpose" -> new Fact[] {transpose(node, flow)};
            case "Squeeze" ->
                new Fact[] {squeeze(node.opset() >= 13 ? optional(in[1], "axes") : node.integers("axes"), flow)};
            case "Unsqueeze" ->
                new Fact[] {unsqueeze(node.opset() >= 13 ? optional(in[1], "axes") : node.integers("axes"), flow)};
            case "Reshape" -> new Fact[] {reshape(known(in[1], "extents").whole(), flow)};
            case "Flatten" -> new Fact[] {flatten(node, flow)};
            case "Gather" -> new Fact[] {gather(node, flow, in[1])};
            case "Slice" -> new Fact[] {slice(node, flow, in)};
            case "Split" -> split(node, flow, in[1]);
            case "Concat" -> new Fact[] {concat(node, in)};
            case "MatMul" -> new Fact[] {dense(node, flow, known(in[1], "weights"), null, true)};
            case "Gemm" -> new Fact[] {gemm(node, flow, in)};
            case "Add" -> new Fact[] {addBias(node, in[0], in[1])};
            case "Relu" -> new Fact[] {activation(node, flow, ActivationFunction.RELU)};
            case "Sigmoid" -> new Fact[] {activation(node, flow, ActivationFunction.SIGMOID)};
            case "Tanh" -> new Fact[] {activation(node, flow, ActivationFunction.TANH)};
            case "Softmax" -> new Fact[] {softmax(node, flow)};
            default -> throw new IllegalArgumentException("has no counterpart among the layers of a model");
        };
    }

    private static long[] optional(Fact fact, String what) {
        return fact == null ? null : known(fact, what).whole();
    }

    private static Flow cast(OnnxNode node, Flow flow) {
        OnnxType to = OnnxType.of((int) node.integer("to", 0));
        boolean tokens = flow.stage() == null && !flow.axes().contains(Axis.FEATURES);
        if (to.real() == tokens || to == OnnxType.BOOL) {
            throw new IllegalArgumentException("turns what a layer puts out into " + to);
        }
        return flow;
    }

    private static Flow transpose(OnnxNode node, Flow flow) {
        int rank = flow.axes().size();
        long[] perm = node.integers("perm");
        if (perm != null && perm.length != rank) {
            throw new IllegalArgumentException(
                    "has the permutation " + Arrays.toString(perm) + " for the axes " + flow.inWords());
        }
        List<Axis> axes = new ArrayList<>();
        for (int k = 0; k < rank; k++) {
            axes.add(flow.axes().get(perm == null ? rank - 1 - k : Strides.axis(perm[k], rank)));
        }
        return flow.withAxes(axes);
    }

    /** Whether the axis has extent 1 for sure. */
    private static boolean single(Flow flow, int k) {
        return flow.axes().get(k) == Axis.ONE
                || flow.axes().get(k) == Axis.CELLS && flow.cells().size() == 1;
    }

    private static Flow squeeze(long[] axes, Flow flow) {
        int rank = flow.axes().size();
        if (axes == null) {
            throw new IllegalArgumentException(
                    "leaves out every axis of extent 1, which may be that of a batch of one");
        }
        boolean[] dropped = Strides.axes(axes, rank);
        List<Axis> left = new ArrayList<>();
        for (int k = 0; k < rank; k++) {
            if (!dropped[k]) {
                left.add(flow.axes().get(k));
            } else if (!single(flow, k)) {
                throw new IllegalArgumentException(
                        "leaves out axis " + k + " of " + flow.inWords() + ", which is not always of extent 1");
            }
        }
        return flow.withAxes(left);
    }

    private static Flow unsqueeze(long[] axes, Flow flow) {
        int rank = flow.axes().size() + axes.length;
        boolean[] added = Strides.axes(axes, rank);
        List<Axis> result = new ArrayList<>();
        int from = 0;
        for (int k = 0; k < rank; k++) {
            result.add(added[k] ? Axis.ONE : flow.axes().get(from++));
        }
        return flow.withAxes(result);
    }

    private Flow reshape(long[] wanted, Flow flow) {
        List<Axis> axes = new ArrayList<>();
        if (wanted.length > OnnxValue.LARGEST_RANK || !match(flow, 0, wanted, 0, axes)) {
            throw new IllegalArgumentException("sees " + flow.inWords() + " as " + Arrays.toString(wanted)
                    + ", which is neither the cells of a layer side by side nor axes of extent 1 put in or left out");
        }
        return sideBySide(flow, axes);
    }

    /** Where the cells have lost their axis to the features, these are as many times as wide. */
    private static Flow sideBySide(Flow flow, List<Axis> axes) {
        boolean merged = flow.axes().contains(Axis.CELLS) && !axes.contains(Axis.CELLS);
        int width = merged ? flow.features() * flow.cells().size() : flow.features();
        return new Flow(flow.stage(), axes, width, flow.cells(), flow.last(), flow.source());
    }

    /** Finds axes for the extents from place {@code to} on among those of the flow from place {@code from} on. */
    private boolean match(Flow flow, int from, long[] wanted, int to, List<Axis> found) {
        List<Axis> axes = flow.axes();
        if (from == axes.size() && to == wanted.length) {
            return true;
        }
        if (from < axes.size() && to < wanted.length) {
            long extent = extent(flow, axes.get(from));
            boolean same = wanted[to] == 0 ? from == to : wanted[to] == -1 || wanted[to] == extent;
            if (same && follow(flow, from + 1, wanted, to + 1, found, axes.get(from))) {
                return true;
            }
            boolean pair = from + 1 < axes.size()
                    && axes.get(from) == Axis.CELLS
                    && axes.get(from + 1) == Axis.FEATURES
                    && (wanted[to] == -1 || wanted[to] == (long) flow.cells().size() * flow.features());
            if (pair && follow(flow, from + 2, wanted, to + 1, found, Axis.FEATURES)) {
                return true;
            }
        }
        if (from < axes.size() && single(flow, from) && match(flow, from + 1, wanted, to, found)) {
            return true;
        }
        return to < wanted.length && wanted[to] == 1 && follow(flow, from, wanted, to + 1, found, Axis.ONE);
    }

    private boolean follow(Flow flow, int from, long[] wanted, int to, List<Axis> found, Axis axis) {
        found.add(axis);
        if (match(flow, from, wanted, to, found)) {
            return true;
        }
        found.remove(found.size() - 1);
        return false;
    }

    /** An axis's extent, -2 where it may be any. */
    private long extent(Flow flow, Axis axis) {
        return switch (axis) {
            case ONE -> 1;
            case CELLS -> flow.cells().size();
            case FEATURES -> flow.features() > 0 ? flow.features() : -2;
            case FIRST, SECOND -> {
                OnnxGraph.Input input = inputs.get(flow.source());
                int fixed = input.extents().get(axis == Axis.FIRST ? 0 : 1);
                yield fixed < 0 ? -2 : fixed;
            }
        };
    }

    private static Flow flatten(OnnxNode node, Flow flow) {
        int rank = flow.axes().size();
        long axis = node.integer("axis", 1);
        int at = axis == rank ? rank : Strides.axis(axis, rank);
        List<Axis> axes = new ArrayList<>();
        for (int k = 0; k < rank; k++) {
            if (flow.axes().get(k) != Axis.ONE) {
                axes.add(flow.axes().get(k));
            }
            if (k == at - 1 && axes.size() != 1) {
                throw new IllegalArgumentException("joins axes of " + flow.inWords() + " that are not the features");
            }
        }
        List<Axis> right = axes.subList(Math.min(1, axes.size()), axes.size());
        if (!right.equals(List.of(Axis.FEATURES)) && !right.equals(List.of(Axis.CELLS, Axis.FEATURES))) {
            throw new IllegalArgumentException("joins axes of " + flow.inWords() + " that are not the features");
        }
        return sideBySide(flow, List.of(axes.get(0), Axis.FEATURES));
    }

    private Flow embedding(OnnxNode node, Fact[] in) {
        OnnxValue table = known(in[0], "a table");
        Flow ids = (Flow) in[1];
        if (table.rank() != 2
                || !table.type().real()
                || table.elements() == 0
                || node.integer("axis", 0) != 0 && node.integer("axis", 0) != -2
                || ids.stage() != null
                || ids.axes().contains(Axis.FEATURES)) {
            throw new IllegalArgumentException("picks from a table " + table + ", which is no embedding of tokens");
        }
        int width = table.extent(1);
        Stage stage = new Stage(
                null,
                new Embedding(width, new Initializer.Normal(0, 1)),
                table.extent(0),
                List.of(table.doubles()),
                false,
                node.inWords(),
                "");
        List<Axis> axes = new ArrayList<>(ids.axes());
        axes.add(Axis.FEATURES);
        return new Flow(stage, axes, width, null, false, ids.source());
    }

    private Flow gather(OnnxNode node, Flow flow, Fact indices) {
        int axis = Strides.axis(node.integer("axis", 0), flow.axes().size());
        OnnxValue value = known(indices, "indices");
        if (value.elements() != 1 || value.rank() > 1) {
            throw new IllegalArgumentException("picks several of what a layer puts out");
        }
        Flow picked = range(flow, axis, value.whole()[0], 1);
        return value.rank() == 1 ? picked : picked.withoutAxis(axis);
    }

    private Flow slice(OnnxNode node, Flow flow, Fact[] in) {
        boolean input = node.opset() >= 10;
        long[] starts = input ? known(in[1], "starts").whole() : node.integers("starts");
        long[] ends = input ? known(in[2], "ends").whole() : node.integers("ends");
        long[] axes = input ? optional(in[3], "axes") : node.integers("axes");
        long[] steps = input ? optional(in[4], "steps") : null;
        if (steps != null && Arrays.stream(steps).anyMatch(step -> step != 1)) {
            throw new IllegalArgumentException("goes over what a layer puts out with steps other than 1");
        }
        if (ends.length != starts.length
                || axes != null && axes.length != starts.length
                || starts.length > flow.axes().size()) {
            throw new IllegalArgumentException(
                    "should have as many starts, ends and axes, at most one for each of " + flow.inWords());
        }
        Flow result = flow;
        for (int k = 0; k < starts.length; k++) {
            int axis = axes == null ? k : Strides.axis(axes[k], flow.axes().size());
            long extent = extent(result, result.axes().get(axis));
            long last = Integer.MAX_VALUE;
            if (starts[k] == 0 && (ends[k] >= last || ends[k] == extent)) {
                continue;
            }
            long from = starts[k] < 0 && extent > 0 ? Math.max(0, starts[k] + extent) : starts[k];
            long to = ends[k] < 0 && extent > 0 ? ends[k] + extent : ends[k];
            if (from < 0 && to >= last) {
                to = 0;
            } else if (extent > 0) {
                to = Math.min(to, extent);
            }
            result = range(result, axis, from, to - from);
        }
        return result;
    }

    /** Part of an axis: cells, or one moment of time. The axis stays. */
    private Flow range(Flow flow, int axis, long from, long count) {
        Axis meaning = flow.axes().get(axis);
        long extent = extent(flow, meaning);
        long first = from < 0 && extent > 0 ? from + extent : from;
        boolean sideBySide = flow.cells() != null && !flow.axes().contains(Axis.CELLS);
        if (meaning == Axis.CELLS || meaning == Axis.FEATURES && sideBySide) {
            long unit =
                    meaning == Axis.CELLS ? 1 : flow.features() / flow.cells().size();
            if (first < 0 || count < 1 || first + count > extent || first % unit != 0 || count % unit != 0) {
                throw new IllegalArgumentException("takes part of what a layer puts out");
            }
            return flow.withCells(flow.cells().subList((int) (first / unit), (int) ((first + count) / unit)));
        }
        if (meaning == Axis.ONE && first == 0 && count == 1) {
            return flow;
        }
        if (meaning != Axis.FIRST && meaning != Axis.SECOND || meaning != time || count != 1) {
            throw new IllegalArgumentException("takes part of " + flow.inWords()
                    + ", which is neither the last time step" + " nor the cells of one direction");
        }
        boolean end = from == -1 || extent > 0 && first == extent - 1;
        if (!end && from != 0) {
            throw new IllegalArgumentException(
                    "takes the time step " + from + ", which is neither the first nor the last");
        }
        return moment(flow, axis, end ? Moment.END : Moment.START);
    }

    /** Keeps one time step, with its axis of extent 1. Of layers that work on each step alone the LSTM before them counts. */
    private static Flow moment(Flow flow, int axis, Moment moment) {
        List<Axis> axes = new ArrayList<>(flow.axes());
        axes.set(axis, Axis.ONE);
        if (flow.cells() != null) {
            List<Cell> cells =
                    flow.cells().stream().map(cell -> cell.at(moment)).toList();
            return new Flow(flow.stage(), axes, flow.features(), cells, true, flow.source());
        }
        Stage lstm = flow.stage();
        while (lstm != null && !lstm.lstm()) {
            lstm = lstm.before();
        }
        if (lstm == null) {
            throw new IllegalArgumentException("takes one time step, but there is no LSTM before it");
        }
        for (int k = 0; k < lstm.spec().direction().cells(); k++) {
            requireLast(new Cell(lstm, k, moment));
        }
        return new Flow(flow.stage(), axes, flow.features(), null, true, flow.source());
    }

    private static void requireLast(Cell cell) {
        boolean reversed = cell.stage().spec().direction().reversed(cell.index());
        boolean last = cell.moment() == Moment.FINAL
                || cell.moment() == Moment.END && !reversed && !cell.stage().lengths()
                || cell.moment() == Moment.START && reversed;
        if (!last) {
            String where = cell.moment() == Moment.END ? "last" : "first";
            throw new IllegalArgumentException(
                    "takes the outputs of " + cell.stage().node() + " at the " + where
                            + " time step, which is not where its " + (reversed ? "reverse" : "forward") + " cells end"
                            + (cell.stage().lengths() ? " with lengths" : ""));
        }
    }

    private Fact[] split(OnnxNode node, Flow flow, Fact sizes) {
        int axis = Strides.axis(node.integer("axis", 0), flow.axes().size());
        int parts = node.outputs().size();
        long extent = extent(flow, flow.axes().get(axis));
        long[] split = node.opset() >= 13 ? optional(sizes, "sizes") : node.integers("split");
        if (split == null) {
            if (extent < 1 || extent % parts != 0) {
                throw new IllegalArgumentException("cuts what a layer puts out into unequal parts");
            }
            split = new long[parts];
            Arrays.fill(split, extent / parts);
        }
        if (split.length != parts) {
            throw new IllegalArgumentException("has " + parts + " outputs for " + split.length + " parts");
        }
        Fact[] out = new Fact[parts];
        long at = 0;
        for (int k = 0; k < parts; k++) {
            out[k] = range(flow, axis, at, split[k]);
            at += split[k];
        }
        return out;
    }

    private static Flow concat(OnnxNode node, Fact[] in) {
        List<Cell> cells = new ArrayList<>();
        Flow first = (Flow) in[0];
        int axis = Strides.axis(node.integer("axis", 0), first.axes().size());
        Axis meaning = first.axes().get(axis);
        List<Axis> axes = new ArrayList<>(first.axes());
        int features = 0;
        for (int k = 0; k < node.inputs().size(); k++) {
            boolean fits = in[k] instanceof Flow flow
                    && flow.cells() != null
                    && flow.axes().equals(first.axes())
                    && flow.last() == first.last()
                    && flow.features() / width(flow) == first.features() / width(first)
                    && switch (meaning) {
                        case CELLS -> true;
                        case FEATURES -> !separate(flow);
                        case ONE ->
                            !flow.axes().contains(Axis.CELLS) && flow.cells().size() == 1;
                        default -> false;
                    };
            if (in[k] instanceof Flow flow && !flow.source().equals(first.source())) {
                throw new IllegalArgumentException("joins what is made of the input "
                        + FormatException.quote(first.source()) + " and of " + FormatException.quote(flow.source())
                        + ", where a model has one");
            }
            if (!fits) {
                throw new IllegalArgumentException(
                        "joins other things than the outputs of cells of an LSTM, which is no chain of layers");
            }
            cells.addAll(((Flow) in[k]).cells());
            features += ((Flow) in[k]).features();
        }
        if (meaning == Axis.ONE) {
            // States that were picked one by one, stacked again.
            axes.set(axis, Axis.CELLS);
        } else if (meaning == Axis.FEATURES) {
            axes.replaceAll(other -> other == Axis.CELLS ? Axis.ONE : other);
        }
        return new Flow(
                cells.get(cells.size() - 1).stage(),
                axes,
                meaning == Axis.FEATURES ? features : first.features(),
                cells,
                first.last(),
                first.source());
    }

    private static boolean separate(Flow flow) {
        return flow.axes().contains(Axis.CELLS) && flow.cells().size() > 1;
    }

    /** How many cells share the axis of features. */
    private static int width(Flow flow) {
        return flow.axes().contains(Axis.CELLS) ? 1 : flow.cells().size();
    }

    /** The whole output of a layer, with the axis of features last and no axis of cells. */
    private Flow whole(Flow given) {
        Flow flow = given;
        List<Axis> axes = new ArrayList<>(flow.axes());
        if (axes.contains(Axis.CELLS) && flow.cells().size() == 1) {
            axes.remove(Axis.CELLS);
        }
        if (flow.last()) {
            // What is left of the axis of time.
            axes.removeIf(axis -> axis == Axis.ONE);
        }
        flow = flow.withAxes(axes);
        if (flow.cells() == null) {
            return flow;
        }
        if (axes.contains(Axis.CELLS)) {
            throw new IllegalArgumentException("reads the directions of "
                    + flow.stage().node() + " on an axis of their own, where a layer needs them side by side");
        }
        Stage stage = flow.stage();
        List<Cell> cells = flow.cells();
        if (cells.size() == 2 && cells.get(0).stage() != cells.get(1).stage()) {
            stage = bidirectional(cells.get(0).stage(), cells.get(1).stage());
        } else {
            stage = cells.get(0).stage();
            boolean all = cells.size() == stage.spec().direction().cells();
            for (int k = 0; all && k < cells.size(); k++) {
                all = cells.get(k).stage() == stage && cells.get(k).index() == k;
            }
            if (!all) {
                throw new IllegalArgumentException("reads some of the cells of " + stage.node()
                        + " or reads them in another order, where a layer needs all of them, forward before reverse");
            }
        }
        boolean last = cells.get(0).moment() != Moment.ALL;
        for (Cell cell : cells) {
            if (last != (cell.moment() != Moment.ALL)) {
                throw new IllegalArgumentException("reads single time steps beside whole sequences");
            }
            if (last) {
                requireLast(cell);
            }
        }
        return new Flow(stage, axes, flow.features(), null, flow.last(), flow.source());
    }

    /** A forward and a reverse node on the same input are the two directions of one layer. */
    private static Stage bidirectional(Stage forward, Stage reverse) {
        LstmSpec spec = forward.spec();
        boolean fits = spec.direction() == Direction.FORWARD
                && forward.before() == reverse.before()
                && forward.lengths() == reverse.lengths()
                && reverse.spec().equals(spec.withDirection(Direction.REVERSE));
        if (!fits) {
            throw new IllegalArgumentException("joins the outputs of " + forward.node() + " and " + reverse.node()
                    + ", which are not the two directions of one layer");
        }
        List<double[]> weights = new ArrayList<>(forward.weights());
        weights.addAll(reverse.weights());
        return new Stage(
                forward.before(),
                lstm(spec.withDirection(Direction.BIDIRECTIONAL)),
                forward.inputs(),
                weights,
                forward.lengths(),
                forward.node() + " and " + reverse.node(),
                forward.how());
    }

    private static Lstm lstm(LstmSpec spec) {
        return Lstm.of(spec).withReturnSequences(true);
    }

    private Fact[] lstm(OnnxNode node, LstmOperation operation, Fact[] in) {
        if (!(in[LstmOperation.X] instanceof Flow given)) {
            throw new IllegalArgumentException("does not read what a layer puts out");
        }
        Flow flow = whole(given);
        List<Axis> axes = flow.axes();
        boolean sequences = axes.size() == 3
                && !flow.last()
                && axes.get(2) == Axis.FEATURES
                && axes.contains(Axis.FIRST)
                && axes.contains(Axis.SECOND);
        Axis steps = sequences ? axes.get(operation.batchMajor() ? 1 : 0) : null;
        if (!sequences || time != null && steps != time) {
            throw new IllegalArgumentException("reads " + flow.inWords() + " where sequences"
                    + (operation.batchMajor() ? " [batch, time, features]" : " [time, batch, features]")
                    + " of one and the same time are needed");
        }
        OnnxValue[] values = new OnnxValue[Operation.PLACES];
        for (int k : new int[] {LstmOperation.W, LstmOperation.R, LstmOperation.B, LstmOperation.P}) {
            values[k] = in[k] == null ? null : known(in[k], "weights");
        }
        LstmOperation.Sizes sizes = operation.sizes(values);
        if (flow.features() > 0 && flow.features() != sizes.inputs()) {
            throw new IllegalArgumentException(
                    "reads " + sizes.inputs() + " features where there are " + flow.features());
        }
        for (int k : new int[] {LstmOperation.INITIAL_H, LstmOperation.INITIAL_C}) {
            boolean zeros =
                    in[k] == null || in[k] instanceof Zeros || in[k] instanceof Known known && zeros(known.value());
            if (!zeros) {
                throw new IllegalArgumentException("starts from a state of its own, where a model starts from zeros");
            }
        }
        boolean lengths = in[LstmOperation.LENGTHS] != null;
        if (lengths && !(in[LstmOperation.LENGTHS] instanceof Lengths)) {
            throw new IllegalArgumentException("has lengths of sequences that are no input of the graph");
        }
        time = steps;
        Stage stage = stage(node, operation, flow.stage(), sizes, values, lengths);
        return outputs(node, operation, stage, flow, steps);
    }

    private static Stage stage(
            OnnxNode node,
            LstmOperation operation,
            Stage before,
            LstmOperation.Sizes sizes,
            OnnxValue[] values,
            boolean lengths) {
        int cells = operation.direction().cells();
        LstmActivations activations = operation.activations().get(0);
        if (!activations.equals(operation.activations().get(cells - 1))) {
            throw new IllegalArgumentException("has other activations in its second direction, which no layer has");
        }
        boolean bias = values[LstmOperation.B] != null;
        boolean peepholes = values[LstmOperation.P] != null;
        List<double[]> weights = new ArrayList<>();
        for (int cell = 0; cell < cells; cell++) {
            LstmSpec spec = operation.spec(cell, sizes, bias, peepholes);
            weights.addAll(OnnxGates.split(
                    spec,
                    OnnxGates.parameters(
                            spec,
                            cell,
                            values[LstmOperation.W].real(),
                            values[LstmOperation.R].real(),
                            bias ? values[LstmOperation.B].real() : null,
                            peepholes ? values[LstmOperation.P].real() : null)));
        }
        LstmSpec spec = operation.spec(0, sizes, bias, peepholes).withDirection(operation.direction());
        String how = "gates i o f c reordered to i f g o" + (bias ? ", its two biases added" : "");
        return new Stage(before, lstm(spec), sizes.inputs(), weights, lengths, node.inWords(), how);
    }

    private static Fact[] outputs(OnnxNode node, LstmOperation operation, Stage stage, Flow flow, Axis steps) {
        Axis batch = steps == Axis.FIRST ? Axis.SECOND : Axis.FIRST;
        boolean major = operation.batchMajor();
        List<Axis> sequence = major
                ? List.of(batch, steps, Axis.CELLS, Axis.FEATURES)
                : List.of(steps, Axis.CELLS, batch, Axis.FEATURES);
        List<Axis> state =
                major ? List.of(batch, Axis.CELLS, Axis.FEATURES) : List.of(Axis.CELLS, batch, Axis.FEATURES);
        List<Cell> cells = new ArrayList<>();
        List<Cell> last = new ArrayList<>();
        for (int cell = 0; cell < operation.direction().cells(); cell++) {
            cells.add(new Cell(stage, cell, Moment.ALL));
            last.add(new Cell(stage, cell, Moment.FINAL));
        }
        int hidden = stage.spec().hiddenSize();
        return new Fact[] {
            new Flow(stage, sequence, hidden, cells, false, flow.source()),
            new Flow(stage, state, hidden, last, true, flow.source()),
            new Refused(node.inWords() + " puts out the state of its cells, which no model puts out or reads")
        };
    }

    private Flow requireFeaturesLast(Flow given) {
        Flow flow = whole(given);
        List<Axis> axes = flow.axes();
        boolean last = !axes.isEmpty() && axes.get(axes.size() - 1) == Axis.FEATURES;
        // A last axis of extent 1 is no axis of features, even where it is all that is left of time.
        if (!last || axes.contains(Axis.ONE) || given.axes().get(given.axes().size() - 1) != Axis.FEATURES) {
            throw new IllegalArgumentException("reads " + given.inWords() + " where features are needed last");
        }
        return flow;
    }

    /** @param columns whether the matrix is [inputs, units] and not the other way round */
    private Flow dense(OnnxNode node, Flow given, OnnxValue matrix, double[] bias, boolean columns) {
        Flow flow = requireFeaturesLast(given);
        if (matrix.rank() != 2 || matrix.elements() == 0) {
            throw new IllegalArgumentException("multiplies with a tensor " + matrix + ", which is no matrix");
        }
        int inputs = matrix.extent(columns ? 0 : 1);
        int units = matrix.extent(columns ? 1 : 0);
        if (flow.features() > 0 && flow.features() != inputs) {
            throw new IllegalArgumentException(
                    "multiplies " + flow.features() + " features with a matrix for " + inputs);
        }
        double[] weights = matrix.doubles();
        if (columns) {
            double[] turned = new double[weights.length];
            for (int row = 0; row < units; row++) {
                for (int column = 0; column < inputs; column++) {
                    turned[row * inputs + column] = weights[column * units + row];
                }
            }
            weights = turned;
        }
        return flow.through(
                denseStage(flow.stage(), units, inputs, weights, bias, node.inWords(), columns ? "transposed" : ""),
                units);
    }

    private static Stage denseStage(
            Stage before, int units, int inputs, double[] weights, double[] bias, String node, String how) {
        Dense usual = Dense.of(units);
        Dense layer = new Dense(units, bias != null, usual.weightsInitializer(), usual.biasInitializer());
        return new Stage(
                before, layer, inputs, bias == null ? List.of(weights) : List.of(weights, bias), false, node, how);
    }

    private Flow gemm(OnnxNode node, Flow flow, Fact[] in) {
        if (node.flag("transA")) {
            throw new IllegalArgumentException("transposes what a layer puts out");
        }
        OnnxValue matrix = scaled(known(in[1], "weights"), node.real("alpha", 1));
        boolean columns = !node.flag("transB");
        if (matrix.rank() != 2) {
            throw new IllegalArgumentException("multiplies with a tensor " + matrix + ", which is no matrix");
        }
        double[] bias = in[2] == null
                ? null
                : bias(scaled(known(in[2], "a bias"), node.real("beta", 1)), matrix.extent(columns ? 1 : 0));
        return dense(node, flow, matrix, bias, columns);
    }

    private static OnnxValue scaled(OnnxValue value, double factor) {
        if (factor == 1) {
            return value;
        }
        double[] values = value.doubles();
        for (int k = 0; k < values.length; k++) {
            values[k] *= factor;
        }
        return OnnxValue.reals(value.type(), value.shape(), values);
    }

    /** A bias as one number for each unit, repeated where the tensor has one for all. */
    private static double[] bias(OnnxValue value, int units) {
        boolean row = value.elements() == units && (value.rank() == 0 || value.extent(value.rank() - 1) == units);
        if (!row && value.elements() != 1) {
            throw new IllegalArgumentException(
                    "adds a tensor " + value.shape() + ", which is no bias for " + units + " units");
        }
        double[] bias = new double[units];
        Arrays.setAll(bias, k -> value.real()[row ? k : 0]);
        return bias;
    }

    private Flow addBias(OnnxNode node, Fact to, Fact added) {
        if (!(to instanceof Flow flow) || !(added instanceof Known known)) {
            throw new IllegalArgumentException("adds the outputs of layers, which is no chain of layers");
        }
        Stage stage = flow.stage();
        if (stage == null || !(stage.layer() instanceof Dense dense) || dense.bias()) {
            throw new IllegalArgumentException("adds a constant to what is not the product of a dense layer");
        }
        if (known.value().rank() > flow.axes().size()) {
            throw new IllegalArgumentException("adds a tensor " + known.value() + " of more dimensions");
        }
        double[] bias = bias(known.value(), dense.units());
        Stage with = denseStage(
                stage.before(),
                dense.units(),
                stage.inputs(),
                stage.weights().get(0),
                bias,
                stage.node() + " and " + node.inWords(),
                stage.how());
        return requireFeaturesLast(flow).through(with, flow.features());
    }

    private Flow activation(OnnxNode node, Flow given, ActivationFunction function) {
        Flow flow = whole(given);
        if (flow.stage() == null && !flow.axes().contains(Axis.FEATURES)) {
            throw new IllegalArgumentException("reads tokens");
        }
        int width = flow.features();
        if (width == 0) {
            throw new IllegalArgumentException("reads an unknown number of features");
        }
        Stage stage = new Stage(
                flow.stage(), new Activation(function), width, Collections.emptyList(), false, node.inWords(), "");
        return flow.through(stage, width);
    }

    private Flow softmax(OnnxNode node, Flow given) {
        Flow flow = requireFeaturesLast(given);
        int rank = flow.axes().size();
        // Axes of extent 1 that were left out lie before the features.
        int offset = given.axes().size() - rank;
        long axis = node.integer("axis", node.opset() >= 13 ? -1 : 1);
        if (Strides.axis(axis, given.axes().size()) - offset != rank - 1) {
            throw new IllegalArgumentException("is taken over the axis " + axis + " of " + given.inWords()
                    + ", where a layer takes it over the features");
        }
        return activation(node, flow, ActivationFunction.SOFTMAX);
    }
}
