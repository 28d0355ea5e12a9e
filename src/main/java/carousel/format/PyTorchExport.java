package carousel.format;

import carousel.engine.Direction;
import carousel.engine.LstmFeature;
import carousel.engine.LstmSpec;
import carousel.engine.ParameterView;
import carousel.layer.Form;
import carousel.layer.Layer;
import carousel.layer.Lstm;
import carousel.layer.Masking;
import carousel.layer.Model;
import carousel.layer.Residual;
import carousel.layer.TimeReversal;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Set;

/**
 * Models as the plain {@code state_dict()} of PyTorch's modules, in a safetensors file that says nothing of Carousel: the
 * counterpart of {@link PyTorchImport}. {@link ModelFile} writes the same names, and the specification with them.
 */
public final class PyTorchExport {
    private PyTorchExport() {}

    /**
     * Writes the weights of {@code torch.nn.LSTM}, {@code Linear} and {@code Embedding} modules, named {@code lstm}, {@code dense},
     * {@code embedding}, {@code lstm_1} and so on, replacing the file at once and only when all is well.
     *
     * @param dtype F64, F32, F16 or BF16: values are rounded to the nearest; what a bias loses by that goes into the second one
     * @param cells whether LSTMs get the names of {@code LSTMCell}: {@code weight_ih} in place of {@code weight_ih_l0}
     * @throws IllegalArgumentException when PyTorch has no module that computes a layer, or a value does not fit the type
     */
    public static void write(Path path, ModelWeights weights, Dtype dtype, boolean cells) throws IOException {
        if (weights.spec().encoder() != null) {
            throw new IllegalArgumentException(
                    "an encoder-decoder model cannot be written as a state dict: PyTorch has no module"
                            + " of both; write a model file instead");
        }
        Form form = weights.spec().input();
        for (Layer layer : weights.spec().layers()) {
            if (layer instanceof Masking || layer instanceof TimeReversal || layer instanceof Residual) {
                throw refused(layer, "PyTorch has no such module");
            } else if (layer instanceof Lstm lstm) {
                require(lstm, lstm.spec().withInputSize(form.features()), cells);
            }
            form = layer.output(form);
        }
        SafetensorsWriter writer = new SafetensorsWriter().metadata("format", "pt");
        for (ParameterView view : Model.views(weights.spec())) {
            ModelFile.write(
                    writer, view, weights.get(view.name()), dtype, name -> cells ? name.replace("_l0", "") : name);
        }
        writer.writeTo(path);
    }

    /** What a state dict can hold: PyTorch's own, and what is random in training and gone in inference. */
    private static final Set<LstmFeature> SAYABLE = Set.of(
            LstmFeature.PROJECTION,
            LstmFeature.CELL_CLIP,
            LstmFeature.DROPOUT,
            LstmFeature.RECURRENT_DROPOUT,
            LstmFeature.CANDIDATE_DROPOUT,
            LstmFeature.RECURRENT_WEIGHT_DROPOUT);

    private static void require(Lstm layer, LstmSpec spec, boolean cells) {
        spec.beyond(SAYABLE).ifPresent(extension -> {
            throw refused(layer, "PyTorch's LSTM has no " + extension);
        });
        if (layer.learnedInitialState()) {
            throw refused(layer, "PyTorch's LSTM starts from zeros");
        }
        if (spec.cellClip() > 0) {
            throw refused(layer, "PyTorch's LSTM has no limit of the cell state");
        }
        if (spec.direction() == Direction.REVERSE) {
            throw refused(layer, "PyTorch's LSTM does not read in reverse only");
        }
        if (cells && (spec.states() > 1 || spec.projected())) {
            throw refused(layer, "an LSTMCell is one layer of one direction without a projection");
        }
    }

    private static IllegalArgumentException refused(Layer layer, String why) {
        return new IllegalArgumentException("a model with " + layer.summary() + " cannot be written as a state dict: "
                + why + "; write a model file instead");
    }
}
