package carousel.engine.cuda;

import com.google.gson.GsonBuilder;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParseException;
import com.google.gson.JsonParser;
import com.google.gson.Strictness;
import com.google.gson.stream.JsonReader;
import java.io.IOException;
import java.io.StringReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.Collection;
import java.util.Optional;
import java.util.stream.Collectors;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Which way was the fastest for which shape, on a disk: measured once on a machine and not in every process. The file
 *
 * <pre>
 *   {"version": 1, "machines": {MACHINE: {SHAPE: WAY, ...}, ...}}
 * </pre>
 *
 * holds nothing that cannot be measured again: what cannot be read is measured and written anew, and where nothing can be written the
 * program goes on without.
 */
public final class ChoiceMemory {
    /** Which file; {@value #OFF} for none, left out for {@value #FILE} in the user's cache. */
    public static final String PROPERTY = "carousel.gpu.cache";

    public static final String OFF = "off";
    public static final String FILE = "gpu-choices.json";

    private static final Logger LOG = LoggerFactory.getLogger(ChoiceMemory.class);
    private static final int VERSION = 1;
    private static final String MACHINES = "machines";
    private static final int DEPTH = 4;
    /** A file that is larger was written by something else. */
    private static final long MOST_BYTES = 16 << 20;
    /** Shapes of one machine; the one that was remembered first is forgotten beyond. */
    static final int MOST_SHAPES = 4096;
    /**
     * Machines, each a device with a driver and what else counts for some ways; that which nothing was remembered for the longest is forgotten
     * beyond.
     */
    static final int MOST_MACHINES = 64;

    private final Path file;
    private final String machine;
    private boolean failed;

    private ChoiceMemory(Path file, String machine) {
        this.file = file;
        this.machine = machine;
    }

    /** Those of these properties that are set, for the end of what times depend on; nothing where none is. */
    public static String settings(Collection<String> properties) {
        return properties.stream()
                .filter(name -> System.getProperty(name) != null)
                .map(name -> ", " + name + "=" + System.getProperty(name).strip())
                .collect(Collectors.joining());
    }

    /**
     * As the property {@value #PROPERTY} has it.
     *
     * @param machine what was measured, and all that the times depend on besides the shape
     */
    public static ChoiceMemory of(String machine) {
        String asked = System.getProperty(PROPERTY, "").strip();
        if (asked.equals(OFF)) {
            return new ChoiceMemory(null, machine);
        }
        try {
            Path file = asked.isEmpty() ? UserCache.place().resolve(FILE) : Path.of(asked);
            if (file.getFileName() == null) {
                throw new InvalidPathException(asked, "a root is no file");
            }
            return new ChoiceMemory(file, machine);
        } catch (IOException noPlace) {
            LOG.warn("{}: nothing is remembered unless -D{} names a file", noPlace.getMessage(), PROPERTY);
            return new ChoiceMemory(null, machine);
        } catch (InvalidPathException noPath) {
            LOG.warn("the property {} should be a file or {} but is '{}': nothing is remembered", PROPERTY, OFF, asked);
            return new ChoiceMemory(null, machine);
        }
    }

    /** The way that was the fastest for a shape, as it was remembered. */
    public Optional<String> recall(String shape) {
        if (file == null || !Files.exists(file)) {
            return Optional.empty();
        }
        JsonElement word = shapes(read()).get(shape);
        return word != null && word.isJsonPrimitive() ? Optional.of(word.getAsString()) : Optional.empty();
    }

    /** Where it is remembered, for a sentence. */
    public String place() {
        return String.valueOf(file);
    }

    /** Keeps the fastest way of a shape for later processes. */
    public void remember(String shape, String way) {
        if (file == null) {
            return;
        }
        // Read again: another process may have added to it.
        JsonObject all = Files.exists(file) ? read() : empty();
        JsonObject shapes = shapes(all);
        shapes.remove(shape);
        shapes.addProperty(shape, way);
        while (shapes.size() > MOST_SHAPES) {
            shapes.remove(shapes.keySet().iterator().next());
        }
        JsonObject machines = all.getAsJsonObject(MACHINES);
        machines.remove(machine);
        machines.add(machine, shapes);
        while (machines.size() > MOST_MACHINES) {
            machines.remove(machines.keySet().iterator().next());
        }
        String text = new GsonBuilder()
                        .disableHtmlEscaping()
                        .setPrettyPrinting()
                        .create()
                        .toJson(all) + "\n";
        try {
            UserCache.put(file, text.getBytes(StandardCharsets.UTF_8));
        } catch (IOException unwritable) {
            if (!failed) {
                failed = true;
                LOG.warn(
                        "what was the fastest cannot be remembered in {} ({}) and is measured again next time; name another file with -D{}",
                        file,
                        unwritable.toString(),
                        PROPERTY);
            }
        }
    }

    private JsonObject shapes(JsonObject all) {
        JsonElement mine = all.getAsJsonObject(MACHINES).get(machine);
        return mine != null && mine.isJsonObject() ? mine.getAsJsonObject() : new JsonObject();
    }

    private static JsonObject empty() {
        JsonObject all = new JsonObject();
        all.addProperty("version", VERSION);
        all.add(MACHINES, new JsonObject());
        return all;
    }

    /** What the file says; nothing where that is not what this class writes. */
    private JsonObject read() {
        try {
            if (Files.size(file) > MOST_BYTES) {
                throw new JsonParseException("it has more than " + MOST_BYTES + " bytes");
            }
            JsonReader reader = new JsonReader(new StringReader(Files.readString(file)));
            reader.setStrictness(Strictness.STRICT);
            reader.setNestingLimit(DEPTH);
            JsonElement json = JsonParser.parseReader(reader);
            if (json.isJsonObject()) {
                JsonObject all = json.getAsJsonObject();
                JsonElement version = all.get("version");
                JsonElement machines = all.get(MACHINES);
                if (version != null
                        && version.toString().equals(String.valueOf(VERSION))
                        && machines != null
                        && machines.isJsonObject()) {
                    return all;
                }
            }
            throw new JsonParseException("it holds something else");
        } catch (JsonParseException | IOException unreadable) {
            LOG.warn(
                    "what was the fastest, in {}, cannot be read ({}): it is measured and written again",
                    file,
                    unreadable.toString().lines().findFirst().orElse(""));
            return empty();
        }
    }
}
