package carousel.spark;

import carousel.engine.ActivationFunction;
import carousel.engine.Loss;
import carousel.engine.ParameterView;
import carousel.format.Dtype;
import carousel.format.FormatException;
import carousel.format.ModelFile;
import carousel.format.ModelJson;
import carousel.format.ModelWeights;
import carousel.layer.Activation;
import carousel.layer.Form;
import carousel.layer.Layer;
import carousel.layer.Model;
import carousel.layer.ModelSpec;
import carousel.training.RunFolder;
import java.io.IOException;
import java.io.Serializable;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;

/**
 * A model to score with, as it is sent.
 *
 * @param specification as JSON
 * @param parameters as they lie in a model's buffer, up to the end of the last
 * @param metadata what else its file said
 */
record ScoredModel(String specification, double[] parameters, Map<String, String> metadata) implements Serializable {
    static ScoredModel of(ModelFile file) throws FormatException {
        ModelWeights weights = file.weights();
        List<ParameterView> views = Model.views(weights.spec());
        double[] parameters = new double
                [Math.toIntExact(
                        views.stream().mapToLong(ParameterView::end).max().orElse(0))];
        for (ParameterView view : views) {
            double[] values = weights.get(view.name());
            System.arraycopy(values, 0, parameters, (int) view.offset(), values.length);
        }
        return new ScoredModel(
                ModelJson.write(weights.spec()), parameters, Map.copyOf(new LinkedHashMap<>(file.ownMetadata())));
    }

    /** Reads the file of a model, or that in a folder of a run, on any file system that Hadoop knows. */
    static ScoredModel read(Configuration settings, String path) throws IOException {
        return ClusterFiles.read(settings, path, RunFolder.MODEL, file -> of(ModelFile.read(file)));
    }

    /** Writes a file that has every value as it is. */
    void write(Configuration settings, String path) throws IOException {
        Map<String, double[]> values = new LinkedHashMap<>();
        for (ParameterView view : Model.views(spec())) {
            values.put(view.name(), Arrays.copyOfRange(parameters, (int) view.offset(), (int) view.end()));
        }
        boolean singles = Arrays.stream(parameters).allMatch(value -> (float) value == value);
        ClusterFiles.write(settings, path, file -> {
            ModelFile.write(file, new ModelWeights(spec(), values), metadata, singles ? Dtype.F32 : Dtype.F64);
            return null;
        });
    }

    ModelSpec spec() {
        return Job.spec(specification);
    }

    /**
     * What the model was trained with.
     *
     * @param given what is said of it; null for nothing
     * @throws ClusterException when nothing says it
     */
    Loss loss(Loss given) {
        if (given != null) {
            return given;
        }
        String saved = metadata.get(ModelFile.LOSS);
        for (Loss loss : Loss.values()) {
            if (loss.name().equals(saved) || saved == null && applies(loss)) {
                return loss;
            }
        }
        throw new ClusterException(
                "the model does not say whether its outputs are classes or numbers: give the loss that it"
                        + " was trained with, one of " + Arrays.toString(Loss.values()));
    }

    /** Whether the model ends with what the loss makes of outputs. */
    boolean applies(Loss loss) {
        List<Layer> layers = spec().layers();
        ActivationFunction function = layers.get(layers.size() - 1) instanceof Activation last ? last.function() : null;
        return loss == Loss.SOFTMAX_CROSS_ENTROPY && function == ActivationFunction.SOFTMAX
                || loss == Loss.SIGMOID_CROSS_ENTROPY && function == ActivationFunction.SIGMOID;
    }

    /** Throws unless the model reads sequences of numbers and nothing else. */
    void requireNumbers() {
        ModelSpec spec = spec();
        if (spec.encoder() != null || spec.input().kind() != Form.Kind.SEQUENCE) {
            throw new ClusterException("scoring takes a model that reads sequences of numbers but this one is " + spec
                    + ": use it from a program");
        }
    }

    /** Tells this model from others: the same in all programs. */
    String digest() {
        try {
            MessageDigest digest = MessageDigest.getInstance("SHA-256");
            digest.update(specification.getBytes(StandardCharsets.UTF_8));
            ByteBuffer bytes = ByteBuffer.allocate(Double.BYTES);
            for (double parameter : parameters) {
                digest.update(bytes.putDouble(0, parameter).array());
            }
            return HexFormat.of().formatHex(digest.digest());
        } catch (NoSuchAlgorithmException impossible) {
            throw new IllegalStateException(impossible);
        }
    }
}
