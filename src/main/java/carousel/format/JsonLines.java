package carousel.format;

import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParseException;
import com.google.gson.Strictness;
import com.google.gson.TypeAdapter;
import com.google.gson.stream.JsonReader;
import com.google.gson.stream.JsonWriter;
import java.io.BufferedInputStream;
import java.io.ByteArrayOutputStream;
import java.io.Closeable;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * A file that grows by one JSON object a line, such as the metrics of a training run. Every line is handed to the
 * operating system when it is written, so that a kill loses none of the lines before; a last line without its line end,
 * which a kill in the middle of a write leaves, counts as never written. Not safe for use by several threads.
 */
public final class JsonLines implements Closeable {
    private static final String STEP = "step";
    private static final int SCAN_BYTES = 1 << 13;

    private static final Gson GSON = new GsonBuilder()
            .setStrictness(Strictness.STRICT)
            .serializeNulls()
            .disableHtmlEscaping()
            .registerTypeAdapter(double.class, new Finite<>(Double.class))
            .registerTypeAdapter(Double.class, new Finite<>(Double.class))
            .registerTypeAdapter(float.class, new Finite<>(Float.class))
            .registerTypeAdapter(Float.class, new Finite<>(Float.class))
            .create();

    private final Path path;
    private FileChannel channel;

    private JsonLines(Path path) throws IOException {
        this.path = path;
        this.channel = openAtEnd(path);
    }

    /** Starts a new file, in place of one that is there. */
    public static JsonLines create(Path path) throws IOException {
        AtomicFile.write(path, new byte[0]);
        return new JsonLines(path);
    }

    /** Goes on with a file, or starts one where there is none. A last line that was not written in full is cut off. */
    public static JsonLines append(Path path) throws IOException {
        return new JsonLines(path);
    }

    /**
     * All complete lines of a file.
     *
     * @throws FormatException when a line is not a JSON object
     */
    public static List<JsonObject> read(Path path) throws IOException {
        List<JsonObject> records = new ArrayList<>();
        forEachLine(path, (line, number) -> records.add(parse(path, line, number)));
        return records;
    }

    /**
     * Adds a line. The values may be text, numbers, truth values, null, and lists, arrays or maps of these; a number
     * that is infinite or not a number becomes {@code null}, because JSON has none.
     *
     * @param fields in the order in which they are to stand
     */
    public void write(Map<String, ?> fields) throws IOException {
        ByteBuffer line = ByteBuffer.wrap((GSON.toJson(fields) + "\n").getBytes(StandardCharsets.UTF_8));
        long start = channel.position();
        try {
            while (line.hasRemaining()) {
                channel.write(line);
            }
        } catch (IOException failure) {
            if (channel.isOpen()) {
                // Half a line must not be in the way of the next one.
                channel.truncate(start);
            }
            throw new IOException("cannot write '" + path + "': " + FileErrors.reason(failure), failure);
        }
    }

    /**
     * Drops, in one step, the lines of later steps: those whose number {@code step} is greater, and those without a
     * number {@code step} that follow such a line. What remains is the file as it was when that step was done.
     *
     * @throws FormatException when a line is not a JSON object; the file stays as it was
     */
    public void truncateAfter(long step) throws IOException {
        channel.close();
        try {
            AtomicFile.write(path, out -> {
                boolean[] keep = {true};
                forEachLine(path, (line, number) -> {
                    JsonElement value = parse(path, line, number).get(STEP);
                    if (value != null
                            && value.isJsonPrimitive()
                            && value.getAsJsonPrimitive().isNumber()) {
                        keep[0] = value.getAsDouble() <= step;
                    }
                    if (keep[0]) {
                        out.write(line);
                        out.write('\n');
                    }
                });
            });
        } finally {
            channel = openAtEnd(path);
        }
    }

    /** Forces the lines to the disk and closes the file. */
    @Override
    public void close() throws IOException {
        if (channel.isOpen()) {
            try (FileChannel closing = channel) {
                closing.force(false);
            }
        }
    }

    private static FileChannel openAtEnd(Path path) throws IOException {
        try {
            // Not opened for appending: the end moves back over a partial line first.
            FileChannel channel = FileChannel.open(
                    path, StandardOpenOption.CREATE, StandardOpenOption.READ, StandardOpenOption.WRITE);
            try {
                long end = endOfLastLine(channel);
                if (end < channel.size()) {
                    channel.truncate(end);
                }
                channel.position(end);
                return channel;
            } catch (IOException | RuntimeException | Error e) {
                channel.close();
                throw e;
            }
        } catch (IOException failure) {
            throw new IOException("cannot write '" + path + "': " + FileErrors.reason(failure), failure);
        }
    }

    /** How many bytes the complete lines take. */
    private static long endOfLastLine(FileChannel channel) throws IOException {
        ByteBuffer block = ByteBuffer.allocate(SCAN_BYTES);
        long end = channel.size();
        while (end > 0) {
            long start = Math.max(0, end - SCAN_BYTES);
            block.clear().limit((int) (end - start));
            while (block.hasRemaining() && channel.read(block, start + block.position()) >= 0) {
                // A read may return less than was asked for.
            }
            for (int k = block.position() - 1; k >= 0; k--) {
                if (block.get(k) == '\n') {
                    return start + k + 1;
                }
            }
            end = start;
        }
        return 0;
    }

    private interface LineAction {
        void accept(byte[] line, long number) throws IOException;
    }

    /** Visits the complete lines, without their ends; numbers count from 1. */
    private static void forEachLine(Path path, LineAction action) throws IOException {
        try (InputStream in = new BufferedInputStream(Files.newInputStream(path))) {
            ByteArrayOutputStream line = new ByteArrayOutputStream();
            long number = 1;
            for (int next = in.read(); next >= 0; next = in.read()) {
                if (next != '\n') {
                    line.write(next);
                    continue;
                }
                action.accept(line.toByteArray(), number++);
                line.reset();
            }
        }
    }

    private static JsonObject parse(Path path, byte[] line, long number) throws FormatException {
        try {
            String text = StandardCharsets.UTF_8
                    .newDecoder()
                    .decode(ByteBuffer.wrap(line))
                    .toString();
            JsonElement element = GSON.fromJson(text, JsonElement.class);
            if (element != null && element.isJsonObject()) {
                return element.getAsJsonObject();
            }
            throw notAnObject(path, number, text, null);
        } catch (CharacterCodingException e) {
            throw new FormatException("line " + number + " of '" + path + "' is not valid UTF-8 text", e);
        } catch (JsonParseException | NumberFormatException e) {
            throw notAnObject(path, number, new String(line, StandardCharsets.UTF_8), e);
        }
    }

    private static FormatException notAnObject(Path path, long number, String text, Throwable cause) {
        return new FormatException(
                "line " + number + " of '" + path + "' should be a JSON object but is " + FormatException.quote(text),
                cause);
    }

    /** Writes what JSON has no number for as null. */
    private static final class Finite<N extends Number> extends TypeAdapter<N> {
        private final Class<N> type;

        Finite(Class<N> type) {
            this.type = type;
        }

        @Override
        public void write(JsonWriter out, N number) throws IOException {
            if (number == null || !Double.isFinite(number.doubleValue())) {
                out.nullValue();
            } else {
                out.value(number);
            }
        }

        @Override
        public N read(JsonReader in) {
            throw new UnsupportedOperationException("only whole lines are read, not a " + type.getSimpleName());
        }
    }
}
