package carousel.layer;

import carousel.engine.Direction;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * A model without its weights: what it reads and its layers in order. With an encoder it is one that turns a source sequence into
 * another sequence (Sutskever, Vinyals &amp; Le 2014): the encoder reads the source, and the k-th LSTM layer here, in the decoder,
 * starts from the state that the encoder's k-th LSTM layer ends with.
 *
 * @param input what the first layer reads
 * @param layers one or more, each taking what the one before puts out; one at most masks steps, with an LSTM after it
 * @param encoder null for a model that reads nothing else; otherwise a model that has none itself and ends with an LSTM layer, whose
 *     LSTM layers read in one direction each and are as many and as large as these
 */
public record ModelSpec(Form input, List<Layer> layers, ModelSpec encoder) {
    public ModelSpec {
        layers = List.copyOf(layers);
        if (layers.isEmpty()) {
            throw new IllegalArgumentException("a model needs one or more layers but got none");
        }
        Form form = input;
        for (Layer layer : layers) {
            form = layer.output(form);
        }
        requireOneUsefulMask(layers);
        if (encoder != null) {
            requireEncoder(encoder);
            requireDecoder(layers, form);
            requireSameStates(lstms(encoder.layers), lstms(layers));
        }
    }

    /** A model without an encoder. */
    public ModelSpec(Form input, List<Layer> layers) {
        this(input, layers, null);
    }

    private static void requireOneUsefulMask(List<Layer> layers) {
        boolean masked = false;
        boolean useless = false;
        for (Layer layer : layers) {
            if (masks(layer)) {
                if (masked) {
                    throw new IllegalArgumentException(
                            "a model should mask steps in one layer but got two, the second " + layer.summary());
                }
                masked = true;
                useless = true;
            }
            useless &= layer.leaves().stream().noneMatch(Lstm.class::isInstance);
        }
        if (useless) {
            throw new IllegalArgumentException(
                    "masked steps are left out by an LSTM but there is none after the layer that masks: put one there or"
                            + " take the mask out");
        }
    }

    private static boolean masks(Layer layer) {
        return layer instanceof Masking || layer instanceof Embedding embedding && embedding.maskZero();
    }

    private static void requireEncoder(ModelSpec encoder) {
        if (encoder.encoder != null) {
            throw new IllegalArgumentException("an encoder should have no encoder itself but is " + encoder);
        }
        Layer last = encoder.layers.get(encoder.layers.size() - 1);
        if (!(last instanceof Lstm)) {
            throw new IllegalArgumentException(
                    "an encoder should end with an LSTM layer, whose state the decoder starts" + " from, but ends with "
                            + last.summary() + ": leave out what follows the last LSTM");
        }
        for (Lstm lstm : lstms(encoder.layers)) {
            if (lstm.spec().direction() == Direction.BIDIRECTIONAL) {
                throw new IllegalArgumentException(
                        "an encoder's LSTM layers should read in one direction, forward or reverse, for a decoder has no"
                                + " place for two states, but one is " + lstm.summary());
            }
        }
    }

    private static void requireDecoder(List<Layer> layers, Form output) {
        for (Layer layer :
                layers.stream().flatMap(layer -> layer.leaves().stream()).toList()) {
            if (layer instanceof TimeReversal
                    || layer instanceof Lstm lstm && lstm.spec().direction() != Direction.FORWARD) {
                throw new IllegalArgumentException(
                        "a decoder should read forward, for it reads what it has put out, but has " + layer.summary());
            }
            if (layer instanceof Lstm lstm && lstm.learnedInitialState()) {
                throw new IllegalArgumentException("a decoder's LSTM layers start from the encoder's state but one is "
                        + lstm.summary() + ": leave its initial state out");
            }
        }
        if (output.kind() != Form.Kind.SEQUENCE) {
            throw new IllegalArgumentException("a decoder should answer at each step but puts out " + output
                    + ": let its last LSTM return sequences");
        }
    }

    private static void requireSameStates(List<Lstm> encoder, List<Lstm> decoder) {
        if (encoder.size() != decoder.size()) {
            throw new IllegalArgumentException("a decoder should have as many LSTM layers as its encoder, "
                    + encoder.size() + ", but has " + decoder.size());
        }
        for (int k = 0; k < encoder.size(); k++) {
            String wanted = stateSizes(encoder.get(k));
            String got = stateSizes(decoder.get(k));
            if (!wanted.equals(got)) {
                throw new IllegalArgumentException("LSTM layer " + (k + 1)
                        + " of a decoder should start from a state as large as that of its encoder, " + wanted
                        + ", but has " + got);
            }
        }
    }

    private static String stateSizes(Lstm lstm) {
        return "h [" + lstm.spec().states() + ", batch, " + lstm.spec().outputSize() + "] and c ["
                + lstm.spec().states() + ", batch, " + lstm.spec().hiddenSize() + "]";
    }

    private static List<Lstm> lstms(List<Layer> layers) {
        return layers.stream()
                .flatMap(layer -> layer.leaves().stream())
                .filter(Lstm.class::isInstance)
                .map(Lstm.class::cast)
                .toList();
    }

    /** A model of these layers in order. */
    public static ModelSpec of(Form input, Layer... layers) {
        return new ModelSpec(input, List.of(layers));
    }

    /** This model with more layers behind its last. */
    public ModelSpec then(Layer... more) {
        return new ModelSpec(
                input, Stream.concat(layers.stream(), Stream.of(more)).toList(), encoder);
    }

    /**
     * A model that reads a source with the one and answers with the other, whose LSTM layers start from the states that the
     * encoder's end with.
     *
     * @throws IllegalArgumentException when the two do not fit: see {@link ModelSpec}
     */
    public static ModelSpec encoderDecoder(ModelSpec encoder, ModelSpec decoder) {
        if (decoder.encoder != null) {
            throw new IllegalArgumentException("a decoder should have no encoder of its own but is " + decoder);
        }
        return new ModelSpec(decoder.input, decoder.layers, encoder);
    }

    /** What the last layer puts out. */
    public Form output() {
        Form form = input;
        for (Layer layer : layers) {
            form = layer.output(form);
        }
        return form;
    }

    /** For instance {@code (time, batch, 28) -> LSTM(128) -> Dense(10)}; of an encoder and a decoder the two, the encoder first. */
    @Override
    public String toString() {
        String chain =
                input + layers.stream().map(layer -> " -> " + layer.summary()).collect(Collectors.joining());
        return encoder == null ? chain : "encoder " + encoder + ", decoder " + chain;
    }
}
