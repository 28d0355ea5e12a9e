package carousel.format.tensorboard;

import carousel.format.FileErrors;
import com.google.protobuf.ByteString;
import com.google.protobuf.DynamicMessage;
import java.io.Closeable;
import java.io.Flushable;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.InstantSource;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import java.util.zip.CRC32C;

/**
 * A file that TensorBoard shows. All event files of one folder together are one of TensorBoard's runs, and a run that goes on later
 * goes on in a new file of the same folder: see {@link #start}.
 *
 * <p>Every event is handed to the operating system when it is written, so that a kill loses none of those before; a last event that
 * was not written in full is ignored by TensorBoard. Not safe for use by several threads.
 *
 * <p>The file is a sequence of TFRecords, each {@code length (8 bytes, little-endian), masked CRC-32C of these 8 bytes, data, masked
 * CRC-32C of the data}, and the data of each is a protocol buffer {@code tensorflow.Event}.
 */
public final class EventFile implements Closeable, Flushable {
    private static final String PREFIX = "events.out.tfevents.";
    private static final Pattern NAME = Pattern.compile("events\\.out\\.tfevents\\.(\\d{10})\\..*");
    private static final String VERSION = "brain.Event:2";
    private static final AtomicInteger COUNT = new AtomicInteger();

    private static final int CHECKSUM_MASK = 0xa282ead8;
    private static final int HEADER_BYTES = Long.BYTES + Integer.BYTES;

    private static final long PNG_SIGNATURE = 0x89504E470D0A1A0AL;
    private static final int PNG_WIDTH = 16;
    private static final int PNG_HEIGHT = 20;
    /** Up to here reaches what is read of a picture. */
    private static final int PNG_HEADER = 24;

    /** Of the kinds that TensorFlow has numbers for; TensorBoard itself only looks at the PNG. */
    private static final int RGB = 3;

    private final Path path;
    private final FileChannel channel;
    private final InstantSource clock;
    /** Of the last whole event. */
    private long end;

    private EventFile(Path path, FileChannel channel, InstantSource clock) {
        this.path = path;
        this.channel = channel;
        this.clock = clock;
    }

    /**
     * Starts a new file in a folder, which is made where it is missing. TensorBoard reads the files of a folder in the order of their
     * names, which begin with the time; the new one comes last, whatever the clock says.
     */
    public static EventFile create(Path folder) throws IOException {
        return create(folder, InstantSource.system());
    }

    static EventFile create(Path folder, InstantSource clock) throws IOException {
        try {
            Files.createDirectories(folder);
            while (true) {
                Path path = folder.resolve(String.format(
                        Locale.ROOT,
                        PREFIX + "%010d.%s.%d.%d",
                        nextSecond(folder, clock),
                        host(),
                        ProcessHandle.current().pid(),
                        COUNT.getAndIncrement()));
                try {
                    return begin(
                            path,
                            clock,
                            FileChannel.open(path, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE));
                } catch (FileAlreadyExistsException taken) {
                    // Then the next name.
                }
            }
        } catch (IOException failure) {
            throw new IOException(
                    "cannot write event files to '" + folder + "': " + FileErrors.sentence(folder, failure), failure);
        }
    }

    private static EventFile begin(Path path, InstantSource clock, FileChannel channel) throws IOException {
        EventFile file = new EventFile(path, channel, clock);
        try {
            file.write(0, "file_version", VERSION);
            return file;
        } catch (IOException | RuntimeException | Error e) {
            channel.close();
            throw e;
        }
    }

    private static long nextSecond(Path folder, InstantSource clock) throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            long last = files.map(file -> NAME.matcher(file.getFileName().toString()))
                    .filter(Matcher::matches)
                    .mapToLong(name -> Long.parseLong(name.group(1)))
                    .max()
                    .orElse(0);
            return Math.max(clock.millis() / 1000, last + 1);
        }
    }

    /** This machine's name as far as its environment tells it; asking the network for it may take long. */
    private static String host() {
        return Stream.of("HOSTNAME", "COMPUTERNAME")
                .map(System::getenv)
                .filter(name -> name != null && !name.isBlank())
                .findFirst()
                .orElse("localhost")
                .replaceAll("[^A-Za-z0-9-]", "_");
    }

    /** The file that is written. */
    public Path path() {
        return path;
    }

    /**
     * Says that a run starts or goes on, and which step comes next: TensorBoard then drops what earlier files of the folder say about
     * this step and later ones, because it is about to be said again. The first start of a folder drops nothing, but TensorBoard counts
     * it: every file that is followed by another needs one.
     */
    public void start(long step) throws IOException {
        requireStep(step);
        write(step, "session_log", EventMessages.message(EventMessages.SESSION_LOG, Map.of("status", "START")));
    }

    /**
     * A point of a curve. It is written as a {@code simple_value}, which every TensorBoard and every other reader of event files knows;
     * the tensors that newer writers use say the same in more bytes.
     *
     * @param tag names the curve; parts before a slash group it
     * @param value rounded to float
     */
    public void scalar(String tag, long step, double value) throws IOException {
        summary(tag, step, Map.of("simple_value", (float) value));
    }

    /** A text in Markdown. */
    public void text(String tag, long step, String markdown) throws IOException {
        DynamicMessage tensor = EventMessages.message(
                EventMessages.TENSOR,
                Map.of(
                        "dtype",
                        "DT_STRING",
                        "tensor_shape",
                        EventMessages.message(EventMessages.TENSOR_SHAPE, Map.of()),
                        "string_val",
                        List.of(ByteString.copyFromUtf8(markdown))));
        DynamicMessage metadata = EventMessages.message(
                EventMessages.METADATA,
                Map.of(
                        "plugin_data",
                        EventMessages.message(EventMessages.PLUGIN_DATA, Map.of("plugin_name", "text")),
                        "data_class",
                        "DATA_CLASS_TENSOR"));
        summary(tag, step, Map.of("tensor", tensor, "metadata", metadata));
    }

    /**
     * A picture.
     *
     * @param png a whole PNG file, which says its width and height itself
     */
    public void image(String tag, long step, byte[] png) throws IOException {
        ByteBuffer header = ByteBuffer.wrap(png);
        if (png.length < PNG_HEADER || header.getLong(0) != PNG_SIGNATURE) {
            throw new IllegalArgumentException(
                    "the picture of '" + tag + "' should be a PNG file but its " + png.length + " bytes are none");
        }
        DynamicMessage image = EventMessages.message(
                EventMessages.IMAGE,
                Map.of(
                        "width",
                        header.getInt(PNG_WIDTH),
                        "height",
                        header.getInt(PNG_HEIGHT),
                        "colorspace",
                        RGB,
                        "encoded_image_string",
                        ByteString.copyFrom(png)));
        summary(tag, step, Map.of("image", image));
    }

    private void summary(String tag, long step, Map<String, ?> content) throws IOException {
        if (tag.isBlank()) {
            throw new IllegalArgumentException("a tag should be a name but got '" + tag + "'");
        }
        requireStep(step);
        DynamicMessage value = EventMessages.message(EventMessages.VALUE, content).toBuilder()
                .setField(EventMessages.VALUE.findFieldByName("tag"), tag)
                .build();
        write(step, "summary", EventMessages.message(EventMessages.SUMMARY, Map.of("value", List.of(value))));
    }

    private static void requireStep(long step) {
        if (step < 0) {
            throw new IllegalArgumentException("the step of an event should be 0 or more but got " + step);
        }
    }

    private void write(long step, String what, Object content) throws IOException {
        double time = clock.millis() / 1e3;
        append(EventMessages.message(EventMessages.EVENT, Map.of("wall_time", time, "step", step, what, content))
                .toByteArray());
    }

    private void append(byte[] data) throws IOException {
        ByteBuffer record = ByteBuffer.allocate(HEADER_BYTES + data.length + Integer.BYTES)
                .order(ByteOrder.LITTLE_ENDIAN)
                .putLong(data.length);
        record.putInt(checksum(record.array(), Long.BYTES))
                .put(data)
                .putInt(checksum(data, data.length))
                .flip();
        try {
            while (record.hasRemaining()) {
                channel.write(record);
            }
            end += record.limit();
        } catch (IOException failure) {
            if (channel.isOpen()) {
                // Half an event would make what follows it unreadable.
                channel.truncate(end);
            }
            throw new IOException(FileErrors.sentence(path, failure), failure);
        }
    }

    /** Masked as TensorFlow does it, so that a checksum of data that contains its own checksum is a checksum still. */
    private static int checksum(byte[] bytes, int length) {
        CRC32C crc = new CRC32C();
        crc.update(bytes, 0, length);
        return Integer.rotateRight((int) crc.getValue(), 15) + CHECKSUM_MASK;
    }

    /** Forces what was written to the disk; a reader on this machine sees it without that. */
    @Override
    public void flush() throws IOException {
        channel.force(false);
    }

    /** Forces what was written to the disk and closes the file. */
    @Override
    public void close() throws IOException {
        if (channel.isOpen()) {
            try (FileChannel closing = channel) {
                closing.force(false);
            }
        }
    }
}
