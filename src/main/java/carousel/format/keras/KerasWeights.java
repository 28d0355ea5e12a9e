package carousel.format.keras;

import carousel.format.FormatException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** Where the weights of a layer lie in a file. What is wrong with them is a {@link Refusal}. */
abstract sealed class KerasWeights {
    /**
     * A weight.
     *
     * @param source where it lies, for people
     */
    record Weight(String source, Hdf5.Numbers numbers) {}

    private KerasWeights() {}

    /**
     * The next layer's weights, in Keras' order, in as many lists as the layer has parts: two for one that reads both ways,
     * otherwise one. To be called for the layers with weights in their order.
     */
    abstract List<List<Weight>> next(KerasChain.Layer layer);

    /** Those of {@code model.weights.h5} in a {@code .keras} file: numbered, under paths made of the classes' names. */
    static final class Paths extends KerasWeights {
        private static final String LAYERS = "layers";
        /** TensorFlow 2.12 and 2.13. */
        private static final String OLDER_LAYERS = "_layer_checkpoint_dependencies";

        private static final Map<String, String> WORDS = Map.of(
                "LSTM", "lstm",
                "Bidirectional", "bidirectional",
                "Dense", "dense",
                "Embedding", "embedding",
                "TimeDistributed", "time_distributed");

        private static final Map<String, List<String>> PARTS = Map.of(
                "LSTM", List.of("cell/vars"),
                "Bidirectional", List.of("forward_layer/cell/vars", "backward_layer/cell/vars"),
                "Dense", List.of("vars"),
                "Embedding", List.of("vars"),
                "TimeDistributed", List.of("layer/vars"));

        private final Hdf5.Group root;
        private final String layers;
        private final Map<String, Integer> counts = new HashMap<>();

        Paths(Hdf5 file) {
            this.root = file.root();
            this.layers = root.has(LAYERS) || !root.has(OLDER_LAYERS) ? LAYERS : OLDER_LAYERS;
        }

        @Override
        List<List<Weight>> next(KerasChain.Layer layer) {
            String word = WORDS.get(layer.type());
            int same = counts.merge(word, 1, Integer::sum) - 1;
            String path = layers + "/" + word + (same == 0 ? "" : "_" + same);
            List<List<Weight>> parts = new ArrayList<>();
            for (String part : PARTS.get(layer.type())) {
                Hdf5.Group group = root.group(path + "/" + part);
                if (group == null) {
                    throw new Refusal(layer.title() + ": its weights should be in '" + path + "/" + part
                            + "' but that group is missing");
                }
                List<Weight> weights = new ArrayList<>();
                for (int k = 0; group.has(Integer.toString(k)); k++) {
                    weights.add(new Weight(path + "/" + part + "/" + k, group.numbers(Integer.toString(k))));
                }
                parts.add(weights);
            }
            return parts;
        }
    }

    /** Those of an {@code .h5} file: listed by name for each layer, both ways in one list. */
    static final class Names extends KerasWeights {
        private static final Set<String> KNOWN = Set.of("kernel", "recurrent_kernel", "bias", "embeddings");
        private static final String LIST = "weight_names";

        private final Hdf5.Group weights;

        Names(Hdf5.Group weights) {
            this.weights = weights;
        }

        @Override
        List<List<Weight>> next(KerasChain.Layer layer) {
            Hdf5.Group group = weights.group(layer.name());
            if (group == null) {
                throw new Refusal(layer.title() + ": the file has no weights of that name");
            }
            List<Weight> found = new ArrayList<>();
            for (String name : names(layer, group)) {
                String last = name.substring(name.lastIndexOf('/') + 1);
                // A layer with dropout may list the state of its random numbers, a stateful one what it carries.
                if (KNOWN.contains(last.replaceFirst(":\\d+$", ""))) {
                    Hdf5.Numbers numbers = group.numbers(name);
                    if (numbers == null) {
                        throw new Refusal(
                                layer.title() + ": its weight " + FormatException.quote(name) + " is missing");
                    }
                    found.add(new Weight(name, numbers));
                }
            }
            if (!layer.type().equals("Bidirectional")) {
                return List.of(found);
            }
            int half = found.size() / 2;
            return List.of(found.subList(0, half), found.subList(half, found.size()));
        }

        /** Keras splits a list that exceeds what one attribute holds. */
        private static List<String> names(KerasChain.Layer layer, Hdf5.Group group) {
            List<String> names = group.text(LIST);
            if (names != null) {
                return names;
            }
            names = new ArrayList<>();
            List<String> more = group.text(LIST + 0);
            for (int k = 1; more != null; k++) {
                names.addAll(more);
                more = group.text(LIST + k);
            }
            if (names.isEmpty()) {
                throw new Refusal(layer.title() + ": the list of its weights, '" + LIST + "', is missing");
            }
            return names;
        }
    }
}
