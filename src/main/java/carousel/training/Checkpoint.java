package carousel.training;

import carousel.format.FormatException;
import carousel.format.ModelJson;
import carousel.format.SafetensorsFile;
import carousel.format.SafetensorsWriter;
import carousel.layer.ModelSpec;
import carousel.tensor.Precision;
import carousel.tensor.Shape;
import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Map;

/**
 * A run at one moment: all that is needed to go on as if it had not been interrupted.
 *
 * @param model the model's specification
 * @param optimizer the optimizer's settings, in words
 * @param precision of the engine: parameters go back into the same type
 * @param state where the run stands
 * @param parameters the model's flat buffer, gaps included
 * @param firstMoment as many elements; null for an optimizer that keeps none
 * @param secondMoment likewise
 * @param bestParameters those of the lowest validation loss; null where they are not kept
 * @param carriedState what the LSTM layers carry from batch to batch, as {@link carousel.layer.ModelState#read()} gives it; null
 *     where they carry nothing
 * @param remoteMemory what {@link RemoteSteps} remember; null where they remember nothing or there are none
 */
public record Checkpoint(
        ModelSpec model,
        String optimizer,
        Precision precision,
        TrainingState state,
        double[] parameters,
        double[] firstMoment,
        double[] secondMoment,
        double[] bestParameters,
        double[] carriedState,
        double[] remoteMemory) {

    private static final String MODEL = "carousel.model";
    private static final String OPTIMIZER = "carousel.optimizer";
    private static final String PRECISION = "carousel.precision";
    private static final String STATE = "carousel.state";
    private static final Gson GSON =
            new GsonBuilder().serializeSpecialFloatingPointValues().create();

    /**
     * Writes a safetensors file, replacing an older one at once and only when all is well.
     *
     * @param metadata more entries for the metadata
     */
    public void write(Path path, Map<String, String> metadata) throws IOException {
        SafetensorsWriter writer = new SafetensorsWriter()
                .metadata(MODEL, ModelJson.write(model))
                .metadata(OPTIMIZER, optimizer)
                .metadata(PRECISION, precision.name())
                .metadata(STATE, GSON.toJson(state));
        metadata.forEach(writer::metadata);
        add(writer, "parameters", parameters);
        add(writer, "first_moment", firstMoment);
        add(writer, "second_moment", secondMoment);
        add(writer, "best_parameters", bestParameters);
        add(writer, "carried_state", carriedState);
        add(writer, "remote_memory", remoteMemory);
        writer.writeTo(path);
    }

    private void add(SafetensorsWriter writer, String name, double[] values) {
        if (values != null) {
            writer.tensor(name, Shape.of(values.length), values, precision.storage());
        }
    }

    /**
     * A checkpoint and the other metadata of its file.
     *
     * @param metadata all entries
     */
    public record Saved(Checkpoint checkpoint, Map<String, String> metadata) {}

    /**
     * Reads what {@link #write} wrote.
     *
     * @throws FormatException when the file is no checkpoint
     */
    public static Saved read(Path path) throws IOException {
        try (SafetensorsFile file = SafetensorsFile.open(path)) {
            try {
                ModelSpec model = ModelJson.parse(entry(file, MODEL));
                Precision precision = Precision.valueOf(entry(file, PRECISION));
                TrainingState state = GSON.fromJson(entry(file, STATE), TrainingState.class);
                if (state == null) {
                    throw new FormatException("its state is not whole");
                }
                Checkpoint checkpoint = new Checkpoint(
                        model,
                        entry(file, OPTIMIZER),
                        precision,
                        state,
                        file.doubles("parameters"),
                        optional(file, "first_moment"),
                        optional(file, "second_moment"),
                        optional(file, "best_parameters"),
                        optional(file, "carried_state"),
                        optional(file, "remote_memory"));
                return new Saved(checkpoint, file.metadata());
            } catch (FormatException | RuntimeException e) {
                // Gson wraps what a constructor throws in more ways than one.
                Throwable cause = e;
                while (cause.getCause() != null) {
                    cause = cause.getCause();
                }
                String reason = cause instanceof FormatException || cause instanceof IllegalArgumentException
                        ? cause.getMessage()
                        // A library's own words run over several lines.
                        : "its state cannot be read; go back to a copy of it, or start a new run";
                throw new FormatException("'" + path + "' is not a checkpoint: " + reason, e);
            }
        }
    }

    private static String entry(SafetensorsFile file, String key) throws FormatException {
        String value = file.metadata().get(key);
        if (value == null) {
            throw new FormatException("its metadata has no entry '" + key + "'");
        }
        return value;
    }

    private static double[] optional(SafetensorsFile file, String name) throws IOException {
        return file.tensors().containsKey(name) ? file.doubles(name) : null;
    }
}
