package carousel.format;

import carousel.engine.Engine;
import carousel.engine.EngineException;
import carousel.engine.ParameterView;
import carousel.layer.Model;
import carousel.layer.ModelSpec;
import carousel.tensor.ElementType;
import carousel.tensor.Shape;
import java.io.IOException;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.UnaryOperator;

/**
 * A model in a safetensors file: its parameters under the names PyTorch gives them, its specification in the metadata.
 *
 * <p>PyTorch's LSTM has two biases that are only ever added; the file holds ours as {@code bias_ih}, and as {@code bias_hh} what
 * the type of the file has no room for, most often zeros. Reading sums the two.
 *
 * @param spec the model's specification
 * @param metadata the file's metadata, the specification's own entries included
 * @param tensors all tensors by name, row-major
 * @param path where it was read from, for messages
 */
public record ModelFile(ModelSpec spec, Map<String, String> metadata, Map<String, Content> tensors, Path path) {
    /** The metadata's key for the specification. */
    public static final String SPECIFICATION = "carousel.model";

    /** The metadata's key for what the model was trained with, the name of a {@link carousel.engine.Loss}: it says what outputs mean. */
    public static final String LOSS = "carousel.loss";

    /** The metadata's key for whose tensors these are. */
    private static final String FORMAT = "format";

    private static final String OUR_BIAS = "bias_l";
    private static final String INPUT_BIAS = "bias_ih_l";
    private static final String RECURRENT_BIAS = "bias_hh_l";

    /** One tensor's shape and values. */
    public record Content(Shape shape, double[] values) {}

    /**
     * Writes a model in the type of its engine, replacing the file at once and only when all is well.
     *
     * @param metadata more entries for the metadata
     */
    public static void write(Path path, Model model, Map<String, String> metadata) throws IOException {
        Dtype dtype = model.parameters().type() == ElementType.FLOAT64 ? Dtype.F64 : Dtype.F32;
        write(path, ModelWeights.of(model), metadata, dtype);
    }

    /**
     * Writes a model, replacing the file at once and only when all is well.
     *
     * @param metadata more entries for the metadata
     * @param dtype F64, F32, F16 or BF16: values are rounded to the nearest
     * @throws IllegalArgumentException when a value does not fit the type
     */
    public static void write(Path path, ModelWeights weights, Map<String, String> metadata, Dtype dtype)
            throws IOException {
        SafetensorsWriter writer = new SafetensorsWriter();
        // What readers of PyTorch models look for: names and layouts are PyTorch's.
        writer.metadata(FORMAT, "pt");
        writer.metadata(SPECIFICATION, ModelJson.write(weights.spec()));
        metadata.forEach(writer::metadata);
        for (ParameterView view : Model.views(weights.spec())) {
            write(writer, view, weights.get(view.name()), dtype, UnaryOperator.identity());
        }
        writer.writeTo(path);
    }

    /**
     * Adds a parameter under PyTorch's name, the bias of an LSTM as PyTorch's two.
     *
     * @param rename what becomes of a name
     */
    static void write(
            SafetensorsWriter writer, ParameterView view, double[] values, Dtype dtype, UnaryOperator<String> rename) {
        if (!view.name().contains(OUR_BIAS)) {
            writer.tensor(rename.apply(view.name()), view.shape(), values, dtype);
            return;
        }
        double[] rest = new double[values.length];
        for (int e = 0; e < rest.length; e++) {
            rest[e] = values[e] - SafetensorsWriter.rounded(dtype, values[e]);
        }
        writer.tensor(rename.apply(view.name().replace(OUR_BIAS, INPUT_BIAS)), view.shape(), values, dtype);
        writer.tensor(rename.apply(view.name().replace(OUR_BIAS, RECURRENT_BIAS)), view.shape(), rest, dtype);
    }

    /** Whether a file says what its tensors are the model of. */
    static boolean describesModel(SafetensorsFile file) {
        return file.metadata().containsKey(SPECIFICATION);
    }

    /**
     * Reads a model file whole.
     *
     * @throws FormatException when it is no safetensors file, or one without a specification
     */
    public static ModelFile read(Path path) throws IOException {
        try (SafetensorsFile file = SafetensorsFile.open(path)) {
            String specification = file.metadata().get(SPECIFICATION);
            if (specification == null) {
                throw new FormatException("'" + path + "' has no entry '" + SPECIFICATION
                        + "' in its metadata: it is not a model that Carousel has saved; convert it first");
            }
            ModelSpec spec;
            try {
                spec = ModelJson.parse(specification);
            } catch (FormatException e) {
                throw new FormatException("'" + path + "': " + e.getMessage(), e);
            }
            Map<String, Content> tensors = new LinkedHashMap<>();
            for (String name : file.tensors().keySet()) {
                tensors.put(name, new Content(file.tensor(name).shape(), file.doubles(name)));
            }
            return new ModelFile(spec, file.metadata(), tensors, path);
        }
    }

    /** The metadata that {@link #write} was given: all but what it adds itself. */
    public Map<String, String> ownMetadata() {
        Map<String, String> own = new LinkedHashMap<>(metadata);
        own.remove(FORMAT);
        own.remove(SPECIFICATION);
        return own;
    }

    /**
     * The model in host memory.
     *
     * @throws FormatException when the file's tensors are not those of its specification
     */
    public ModelWeights weights() throws FormatException {
        try {
            Map<String, double[]> values = new LinkedHashMap<>();
            for (ParameterView view : Model.views(spec)) {
                if (view.name().contains(OUR_BIAS)) {
                    double[] input = values(view.name().replace(OUR_BIAS, INPUT_BIAS), view.shape());
                    double[] recurrent = values(view.name().replace(OUR_BIAS, RECURRENT_BIAS), view.shape());
                    double[] sum = new double[input.length];
                    for (int e = 0; e < input.length; e++) {
                        sum[e] = input[e] + recurrent[e];
                    }
                    values.put(view.name(), sum);
                } else {
                    values.put(view.name(), values(view.name(), view.shape()));
                }
            }
            return new ModelWeights(spec, values);
        } catch (IllegalArgumentException e) {
            throw new FormatException("'" + path + "': " + e.getMessage(), e);
        }
    }

    /**
     * The model on an engine. Close it.
     *
     * @throws FormatException when the file's tensors are not those of its specification
     * @throws EngineException when the engine does not compute the specification
     */
    public Model open(Engine engine) throws FormatException {
        Model.requireSupported(engine, spec);
        // First of all: a specification may claim sizes that the file does not have, and memory is not to be asked for
        // them.
        return weights().open(engine);
    }

    private double[] values(String name, Shape shape) throws FormatException {
        Content content = tensors.get(name);
        if (content == null) {
            throw new FormatException("'" + path + "' has no tensor '" + name
                    + "' though its specification needs it: it is damaged; copy or save it again");
        }
        if (!content.shape().equals(shape)) {
            throw new FormatException("'" + path + "': the tensor '" + name + "' should be " + shape
                    + " by the file's specification but is " + content.shape());
        }
        return content.values();
    }
}
