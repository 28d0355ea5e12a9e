package carousel.format.onnx;

import carousel.engine.CellActivation;
import carousel.engine.LstmActivations;
import carousel.engine.LstmSpec;
import carousel.engine.ParameterView;
import carousel.format.FormatException;
import carousel.format.Imported;
import carousel.format.ModelFile;
import carousel.format.ModelJson;
import carousel.format.ModelWeights;
import carousel.format.onnx.Fact.Axis;
import carousel.format.onnx.Fact.Flow;
import carousel.layer.Activation;
import carousel.layer.Dense;
import carousel.layer.Dropout;
import carousel.layer.Embedding;
import carousel.layer.Form;
import carousel.layer.Layer;
import carousel.layer.Lstm;
import carousel.layer.Model;
import carousel.layer.ModelSpec;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedList;
import java.util.List;
import java.util.Map;

/** Makes a model of the chain of layers that was found in a graph. */
final class ChainModel {
    private final OnnxGraph graph;
    private final Flow output;
    private final Axis time;
    private final LinkedList<Stage> stages = new LinkedList<>();
    private final List<Imported.Mapping> mapping = new ArrayList<>();

    ChainModel(OnnxGraph graph, Flow output, Axis time) {
        this.graph = graph;
        this.output = output;
        this.time = time;
        for (Stage stage = output.stage(); stage != null; stage = stage.before()) {
            stages.addFirst(stage);
        }
    }

    Imported assemble() {
        if (stages.isEmpty()) {
            throw new IllegalArgumentException("the graph computes nothing that is a layer");
        }
        Form form = input();
        requireOneUseOfLengths(form);
        mapping.add(new Imported.Mapping(output.source(), "input", arrangement(form)));
        ModelSpec spec = specification(form, layers());
        Map<String, double[]> values = new LinkedHashMap<>();
        List<ParameterView> views = Model.views(spec);
        int at = 0;
        for (Stage stage : stages) {
            List<String> names = new ArrayList<>();
            for (double[] weights : stage.weights()) {
                String name = views.get(at++).name();
                names.add(name);
                values.put(name, weights);
            }
            mapping.add(new Imported.Mapping(
                    stage.node(), names.isEmpty() ? stage.layer().summary() : String.join(", ", names), stage.how()));
        }
        mapping.add(new Imported.Mapping(graph.outputs().get(0), "output", ""));
        for (String other : graph.outputs().subList(1, graph.outputs().size())) {
            mapping.add(new Imported.Mapping(other, "", "left out: a model has one output, the graph's first"));
        }
        return new Imported(new ModelWeights(spec, values), mapping);
    }

    private Form input() {
        Stage first = stages.getFirst();
        if (first.layer() instanceof Embedding) {
            return Form.tokens(first.inputs());
        }
        boolean sequences = stages.stream().anyMatch(Stage::lstm);
        return sequences ? Form.sequence(first.inputs()) : Form.vector(first.inputs());
    }

    private void requireOneUseOfLengths(Form form) {
        if (form.kind() != Form.Kind.VECTOR && time == null || form.kind() == Form.Kind.VECTOR && !output.last()) {
            throw new IllegalArgumentException(
                    "the graph has no LSTM, and which of the axes that it reads is time cannot be told");
        }
        Stage with = null;
        Stage without = null;
        for (Stage stage : stages) {
            if (stage.lstm()) {
                with = stage.lengths() ? stage : with;
                without = stage.lengths() ? without : stage;
            }
        }
        if (with != null && without != null) {
            throw new IllegalArgumentException(with.node() + " is given the sequences' lengths and " + without.node()
                    + " is not, where a model gives them to all");
        }
    }

    private String arrangement(Form form) {
        return switch (form.kind()) {
            case VECTOR -> "";
            case SEQUENCE, TOKENS -> "as " + form + (time == Axis.FIRST ? "" : "; the graph has batch before time");
        };
    }

    /** LSTM nodes of equal kind one above the other are one stack. */
    private List<Layer> layers() {
        List<Layer> layers = new ArrayList<>();
        Stage above = null;
        for (Stage stage : stages) {
            int top = layers.size() - 1;
            if (above != null && above.lstm() && stage.lstm() && alike(above, stage)) {
                Lstm stack = (Lstm) layers.get(top);
                layers.set(top, stack.withLayers(stack.spec().layers() + 1));
            } else {
                layers.add(stage.layer());
            }
            above = stage;
        }
        for (int k = layers.size() - 1; k >= 0 && output.last(); k--) {
            if (layers.get(k) instanceof Lstm lstm) {
                layers.set(k, lstm.withReturnSequences(false));
                break;
            }
        }
        return layers;
    }

    private static boolean alike(Stage a, Stage b) {
        return a.spec().withInputSize(1).equals(b.spec().withInputSize(1));
    }

    /**
     * The file's own specification where it says the same as the graph: it also knows what the graph cannot, such as dropout and
     * where one stack ends and the next begins.
     */
    private ModelSpec specification(Form form, List<Layer> layers) {
        ModelSpec found = new ModelSpec(form, layers);
        String said = graph.metadata().get(ModelFile.SPECIFICATION);
        if (said == null) {
            return found;
        }
        try {
            ModelSpec own = ModelJson.parse(said);
            if (plain(own).equals(plain(found))) {
                mapping.add(new Imported.Mapping(
                        "metadata " + ModelFile.SPECIFICATION, own.toString(), "says the same as the graph"));
                return own;
            }
            mapping.add(new Imported.Mapping(
                    "metadata " + ModelFile.SPECIFICATION, "", "left out: it is not what the graph computes"));
        } catch (FormatException e) {
            mapping.add(new Imported.Mapping("metadata " + ModelFile.SPECIFICATION, "", "left out: it cannot be read"));
        }
        return found;
    }

    /** What a specification computes in inference, layer by layer, with numbers as ONNX stores them. */
    private static List<Object> plain(ModelSpec spec) {
        List<Object> parts = new ArrayList<>(List.of(spec.input()));
        for (Layer layer : spec.layers()) {
            if (layer instanceof Lstm lstm) {
                LstmSpec one = lstm.spec().withLayers(1).withDropout(0).withRecurrentDropout(0);
                one = one.withGateClip((float) one.gateClip()).withActivations(plain(one.activations()));
                for (int k = 1; k <= lstm.spec().layers(); k++) {
                    parts.add(one);
                    parts.add(k < lstm.spec().layers() || lstm.returnSequences());
                }
            } else if (layer instanceof Dense dense) {
                parts.add("dense " + dense.units() + dense.bias());
            } else if (layer instanceof Embedding embedding) {
                parts.add("embedding " + embedding.width());
            } else if (layer instanceof Activation activation) {
                parts.add(activation);
            } else if (!(layer instanceof Dropout)) {
                parts.add(layer);
            }
        }
        return parts;
    }

    private static LstmActivations plain(LstmActivations activations) {
        return new LstmActivations(
                plain(activations.gates()), plain(activations.candidate()), plain(activations.output()));
    }

    private static CellActivation plain(CellActivation activation) {
        return new CellActivation(activation.kind(), (float) activation.alpha(), (float) activation.beta());
    }
}
