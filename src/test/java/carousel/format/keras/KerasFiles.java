package carousel.format.keras;

import io.jhdf.HdfFile;
import io.jhdf.WritableHdfFile;
import io.jhdf.api.WritableGroup;
import io.jhdf.api.WritableNode;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;

/** Writes files in the layouts of Keras 3 and Keras 2, as small as a test wants them, with jHDF. */
public final class KerasFiles {
    private final List<String> layers = new ArrayList<>();
    private final Map<String, Object> datasets = new LinkedHashMap<>();
    private final Map<String, Object> attributes = new LinkedHashMap<>();
    private String version;
    private String model;

    private KerasFiles(String version) {
        this.version = version;
    }

    /** A Sequential model of no layers yet. */
    public static KerasFiles of(String version) {
        return new KerasFiles(version);
    }

    /** Adds a layer: its class and the fields of its configuration, as JSON without braces. */
    public KerasFiles layer(String type, String name, String config) {
        layers.add(entry(type, name, config, ""));
        return this;
    }

    static String entry(String type, String name, String config, String more) {
        return "{\"class_name\":\"" + type + "\",\"module\":\"keras.layers\",\"registered_name\":null" + more
                + ",\"config\":{\"name\":\"" + name + "\"" + (config.isEmpty() ? "" : "," + config) + "}}";
    }

    /** The whole model's configuration instead. */
    KerasFiles model(String json) {
        model = json;
        return this;
    }

    /** Adds a dataset: an array of float, double or of arrays of them. */
    public KerasFiles dataset(String path, Object values) {
        datasets.put(path, values);
        return this;
    }

    /** Adds an attribute of the group at a path, empty for the root: text or an array of texts. */
    public KerasFiles attribute(String group, String name, Object value) {
        attributes.put(group + "@" + name, value);
        return this;
    }

    /** The weights of a layer of an {@code .h5} file, in order: name and values in turn. */
    public KerasFiles weights(String layer, Object... weights) {
        String[] names = new String[weights.length / 2];
        for (int k = 0; k < names.length; k++) {
            names[k] = (String) weights[2 * k];
            dataset("model_weights/" + layer + "/" + names[k], weights[2 * k + 1]);
        }
        return attribute("model_weights/" + layer, "weight_names", names);
    }

    String config() {
        return model != null
                ? model
                : "{\"class_name\":\"Sequential\",\"config\":{\"name\":\"model\",\"layers\":["
                        + String.join(",", layers) + "]}}";
    }

    /** Writes a {@code .keras} file. */
    public Path writeKeras(Path file) throws IOException {
        return Files.write(file, zip(entries(file)));
    }

    Map<String, byte[]> entries(Path file) throws IOException {
        Map<String, byte[]> entries = new LinkedHashMap<>();
        entries.put(
                "metadata.json",
                ("{\"keras_version\":\"" + version + "\",\"date_saved\":\"2026-01-01@00:00:00\"}")
                        .getBytes(StandardCharsets.UTF_8));
        entries.put("config.json", config().getBytes(StandardCharsets.UTF_8));
        entries.put("model.weights.h5", hdf5(file));
        return entries;
    }

    /** Writes an {@code .h5} file. */
    public Path writeH5(Path file) throws IOException {
        attribute("", "model_config", config());
        attribute("", "keras_version", version);
        attribute("model_weights", "keras_version", version);
        attribute("model_weights", "layer_names", new String[] {"not read"});
        return Files.write(file, hdf5(file));
    }

    /** Writes the datasets alone. */
    Path writeWeights(Path file) throws IOException {
        return Files.write(file, hdf5(file));
    }

    private byte[] hdf5(Path beside) throws IOException {
        Path temporary = beside.resolveSibling(beside.getFileName() + ".part");
        try (WritableHdfFile file = HdfFile.write(temporary)) {
            Map<String, WritableGroup> groups = new HashMap<>();
            groups.put("", file);
            for (Map.Entry<String, Object> dataset : datasets.entrySet()) {
                String path = dataset.getKey();
                int slash = path.lastIndexOf('/');
                group(groups, slash < 0 ? "" : path.substring(0, slash))
                        .putDataset(path.substring(slash + 1), dataset.getValue());
            }
            for (Map.Entry<String, Object> attribute : attributes.entrySet()) {
                String[] parts = attribute.getKey().split("@");
                WritableNode node = group(groups, parts[0]);
                node.putAttribute(parts[1], attribute.getValue());
            }
        }
        byte[] content = Files.readAllBytes(temporary);
        Files.delete(temporary);
        return content;
    }

    private static WritableGroup group(Map<String, WritableGroup> groups, String path) {
        WritableGroup known = groups.get(path);
        if (known != null) {
            return known;
        }
        int slash = path.lastIndexOf('/');
        WritableGroup group =
                group(groups, slash < 0 ? "" : path.substring(0, slash)).putGroup(path.substring(slash + 1));
        groups.put(path, group);
        return group;
    }

    static byte[] zip(Map<String, byte[]> entries) throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (ZipOutputStream zip = new ZipOutputStream(bytes)) {
            for (Map.Entry<String, byte[]> entry : entries.entrySet()) {
                zip.putNextEntry(new ZipEntry(entry.getKey()));
                zip.write(entry.getValue());
                zip.closeEntry();
            }
        }
        return bytes.toByteArray();
    }

    /** Ours as Keras has it: {@code [rows, columns]} as floats {@code [columns][rows]}. */
    public static float[][] transposed(double[] matrix, int rows, int columns) {
        float[][] turned = new float[columns][rows];
        for (int r = 0; r < rows; r++) {
            for (int c = 0; c < columns; c++) {
                turned[c][r] = (float) matrix[r * columns + c];
            }
        }
        return turned;
    }

    public static float[] floats(double[] values) {
        float[] floats = new float[values.length];
        for (int e = 0; e < floats.length; e++) {
            floats[e] = (float) values[e];
        }
        return floats;
    }
}
