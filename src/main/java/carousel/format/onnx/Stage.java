package carousel.format.onnx;

import carousel.engine.LstmSpec;
import carousel.layer.Activation;
import carousel.layer.Layer;
import carousel.layer.Lstm;
import java.util.List;

/**
 * One layer of the chain that a graph has turned out to be.
 *
 * @param before the layer before it; null for the first
 * @param layer what it is; an LSTM of one layer returns its sequences here, whatever follows
 * @param inputs features that it reads, for an embedding the size of the vocabulary
 * @param weights its parameters in the order of its views
 * @param lengths whether an LSTM is given the sequences' lengths
 * @param node the node in words
 * @param how what was done to its weights
 */
record Stage(Stage before, Layer layer, int inputs, List<double[]> weights, boolean lengths, String node, String how) {
    Stage {
        weights = List.copyOf(weights);
    }

    boolean lstm() {
        return layer instanceof Lstm;
    }

    /** What the LSTM computes. */
    LstmSpec spec() {
        return ((Lstm) layer).spec().withInputSize(inputs);
    }

    boolean activation() {
        return layer instanceof Activation;
    }
}
