package carousel.format.tensorboard;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.tensorflow.proto.Event;
import org.tensorflow.proto.SessionLog;
import org.tensorflow.proto.Summary;

/**
 * Reads event files as TensorBoard does: with TensorFlow's own classes of protocol buffers and a checksum computed bit by bit, sharing
 * nothing with what writes them.
 */
public final class EventReader {
    private EventReader() {}

    /** The whole events of a file. */
    public static List<Event> read(Path file) throws IOException {
        return read(Files.readAllBytes(file));
    }

    /** The whole events; a part of one at the end is left out. */
    static List<Event> read(byte[] bytes) throws IOException {
        List<Event> events = new ArrayList<>();
        ByteBuffer rest = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
        while (rest.remaining() >= 12) {
            int start = rest.position();
            long length = rest.getLong();
            requireChecksum(rest.getInt(), bytes, start, 8);
            if (rest.remaining() < length + 4) {
                break;
            }
            byte[] data = new byte[(int) length];
            rest.get(data);
            requireChecksum(rest.getInt(), data, 0, data.length);
            events.add(Event.parseFrom(data));
        }
        return events;
    }

    private static void requireChecksum(int found, byte[] bytes, int start, int length) throws IOException {
        int crc = crc32c(Arrays.copyOfRange(bytes, start, start + length));
        int masked = (crc >>> 15 | crc << 17) + 0xa282ead8;
        if (found != masked) {
            throw new IOException("the checksum of " + length + " bytes is " + Integer.toHexString(masked) + " and not "
                    + Integer.toHexString(found));
        }
    }

    /** Castagnoli's polynomial, one bit after the other. */
    static int crc32c(byte[] bytes) {
        int crc = -1;
        for (byte next : bytes) {
            crc ^= next & 0xff;
            for (int bit = 0; bit < 8; bit++) {
                crc = crc >>> 1 ^ ((crc & 1) == 0 ? 0 : 0x82f63b78);
            }
        }
        return ~crc;
    }

    /**
     * What TensorBoard shows of a folder, by tag and step. As in its {@code plugin_event_accumulator.py}, the files are read in the
     * order of their names, and each start of a session but the first drops what was said about its step and later ones.
     *
     * @throws IOException also where a tag says two things about one step
     */
    public static Map<String, TreeMap<Long, Summary.Value>> shown(Path folder) throws IOException {
        Map<String, TreeMap<Long, Summary.Value>> shown = new TreeMap<>();
        boolean started = false;
        for (Path file : files(folder)) {
            for (Event event : read(file)) {
                if (event.getSessionLog().getStatus() == SessionLog.SessionStatus.START) {
                    if (started) {
                        shown.values()
                                .forEach(points ->
                                        points.tailMap(event.getStep(), true).clear());
                    }
                    started = true;
                }
                for (Summary.Value value : event.getSummary().getValueList()) {
                    Summary.Value before = shown.computeIfAbsent(value.getTag(), tag -> new TreeMap<>())
                            .put(event.getStep(), value);
                    if (before != null) {
                        throw new IOException("'" + value.getTag() + "' has two values at step " + event.getStep());
                    }
                }
            }
        }
        return shown;
    }

    /** The scalars of a tag among what is shown, by step. */
    public static Map<Long, Float> scalars(Map<String, TreeMap<Long, Summary.Value>> shown, String tag) {
        Map<Long, Float> scalars = new TreeMap<>();
        shown.getOrDefault(tag, new TreeMap<>()).forEach((step, value) -> {
            if (value.getValueCase() != Summary.Value.ValueCase.SIMPLE_VALUE) {
                throw new AssertionError("'" + tag + "' is no scalar but " + value);
            }
            scalars.put(step, value.getSimpleValue());
        });
        return scalars;
    }

    /** The event files of a folder in the order in which TensorBoard reads them. */
    public static List<Path> files(Path folder) throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            return files.filter(file -> file.getFileName().toString().contains("tfevents"))
                    .sorted((a, b) ->
                            a.getFileName().toString().compareTo(b.getFileName().toString()))
                    .toList();
        }
    }
}
