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
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * A model in a safetensors file: its parameters under the names PyTorch gives them, its specification in the metadata.
 *
 * <p>PyTorch's LSTM has two biases that are only ever added; the file holds ours as {@code bias_ih} and zeros as {@code
 * bias_hh}, and reading sums the two.
 *
 * @param spec the model's specification
 * @param metadata the file's metadata, the specification's own entries included
 * @param tensors all tensors by name, row-major
 * @param path where it was read from, for messages
 */
public record ModelFile(ModelSpec spec, Map<String, String> metadata, Map<String, Content> tensors, Path path) {
    /** The metadata's key for the specification. */
    public static final String SPECIFICATION = "carousel.model";

    private static final String OUR_BIAS = "bias_l";
    private static final String INPUT_BIAS = "bias_ih_l";
    private static final String RECURRENT_BIAS = "bias_hh_l";

    /** One tensor's shape and values. */
    public record Content(Shape shape, double[] values) {}

    /**
     * Writes a model, replacing the file at once and only when all is well.
     *
     * @param metadata more entries for the metadata
     */
    public static void write(Path path, Model model, Map<String, String> metadata) throws IOException {
        SafetensorsWriter writer = new SafetensorsWriter();
        // What readers of PyTorch models look for: names and layouts are PyTorch's.
        writer.metadata("format", "pt");
        writer.metadata(SPECIFICATION, ModelJson.write(model.spec()));
        metadata.forEach(writer::metadata);
        double[] parameters = model.readParameters();
        ElementType type = model.parameters().type();
        for (ParameterView view : model.views()) {
            int first = Math.toIntExact(view.offset());
            double[] values = Arrays.copyOfRange(parameters, first, Math.toIntExact(view.end()));
            if (view.name().contains(OUR_BIAS)) {
                writer.tensor(view.name().replace(OUR_BIAS, INPUT_BIAS), view.shape(), values, type);
                writer.tensor(
                        view.name().replace(OUR_BIAS, RECURRENT_BIAS), view.shape(), new double[values.length], type);
            } else {
                writer.tensor(view.name(), view.shape(), values, type);
            }
        }
        writer.writeTo(path);
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
                        + "' in its metadata: it is not a model that Carousel has saved");
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

    /**
     * The model on an engine. Close it.
     *
     * @throws FormatException when the file's tensors are not those of its specification
     * @throws EngineException when the engine does not compute the specification
     */
    public Model open(Engine engine) throws FormatException {
        Model.requireSupported(engine, spec);
        Model model;
        try {
            // First of all: a specification may claim sizes that the file does not have, and memory is not to be asked
            // for them.
            for (ParameterView view : Model.views(spec)) {
                values(
                        view.name().contains(OUR_BIAS) ? view.name().replace(OUR_BIAS, INPUT_BIAS) : view.name(),
                        view.shape());
            }
            model = Model.empty(engine, spec);
        } catch (IllegalArgumentException e) {
            throw new FormatException("'" + path + "': " + e.getMessage(), e);
        }
        try {
            double[] parameters = new double[Math.toIntExact(model.parameters().elements())];
            for (ParameterView view : model.views()) {
                int first = Math.toIntExact(view.offset());
                if (view.name().contains(OUR_BIAS)) {
                    double[] input = values(view.name().replace(OUR_BIAS, INPUT_BIAS), view.shape());
                    double[] recurrent = values(view.name().replace(OUR_BIAS, RECURRENT_BIAS), view.shape());
                    for (int e = 0; e < input.length; e++) {
                        parameters[first + e] = input[e] + recurrent[e];
                    }
                } else {
                    double[] values = values(view.name(), view.shape());
                    System.arraycopy(values, 0, parameters, first, values.length);
                }
            }
            model.writeParameters(parameters);
            return model;
        } catch (FormatException | RuntimeException e) {
            model.close();
            throw e;
        }
    }

    private double[] values(String name, Shape shape) throws FormatException {
        Content content = tensors.get(name);
        if (content == null) {
            throw new FormatException("'" + path + "' has no tensor '" + name + "' though its specification needs it");
        }
        if (!content.shape().equals(shape)) {
            throw new FormatException("'" + path + "': the tensor '" + name + "' should be " + shape
                    + " by the file's specification but is " + content.shape());
        }
        return content.values();
    }
}
