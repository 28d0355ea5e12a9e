package carousel.format;

import carousel.tensor.Shape;
import java.io.Closeable;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Map;
import java.util.Objects;
import java.util.stream.Collectors;

/**
 * A safetensors file, open for reading: the length of the header as 8 bytes, the header as JSON, the tensors' elements,
 * everything little-endian and row-major. See
 * <a href="https://github.com/huggingface/safetensors#format">the format's description</a>.
 *
 * <p>Opening reads and checks the header, at most {@value SafetensorsHeader#MAX_BYTES} bytes; elements are read when
 * they are asked for, so a file may be larger than the memory. The file stays the one that was opened also when it is
 * replaced meanwhile. Safe for use by several threads.
 */
public final class SafetensorsFile implements Closeable {
    private static final int LENGTH_BYTES = Long.BYTES;
    private static final int CHUNK_BYTES = 1 << 16;
    /** The longest array that every virtual machine can make. */
    private static final int MAX_ARRAY = Integer.MAX_VALUE - 8;

    private final Path path;
    private final FileChannel channel;
    private final long dataStart;
    private final SafetensorsHeader header;

    private SafetensorsFile(Path path, FileChannel channel, long dataStart, SafetensorsHeader header) {
        this.path = path;
        this.channel = channel;
        this.dataStart = dataStart;
        this.header = header;
    }

    /**
     * One tensor of the file.
     *
     * @param begin its first byte, counted from the end of the header
     * @param end the byte after its last
     */
    public record Entry(String name, Dtype dtype, Shape shape, long begin, long end) {
        /** How many bytes its elements take. */
        public long bytes() {
            return end - begin;
        }
    }

    /**
     * Opens a file and checks its header.
     *
     * @throws FormatException when the file does not follow the format
     * @throws IOException when it cannot be read
     */
    public static SafetensorsFile open(Path path) throws IOException {
        if (!Files.exists(path)) {
            throw new NoSuchFileException(path.toString());
        }
        if (!Files.isRegularFile(path)) {
            throw new FileSystemException(
                    path.toString(), null, Files.isDirectory(path) ? "Is a directory" : "it is a device or a pipe");
        }
        FileChannel channel = FileChannel.open(path, StandardOpenOption.READ);
        try {
            long size = channel.size();
            if (size < LENGTH_BYTES) {
                throw new FormatException("'" + path + "' is not a safetensors file: it has " + size
                        + " bytes but should have " + (LENGTH_BYTES + SafetensorsHeader.MIN_BYTES)
                        + " or more; copy or download it again");
            }
            ByteBuffer length = ByteBuffer.allocate(LENGTH_BYTES).order(ByteOrder.LITTLE_ENDIAN);
            readFully(path, channel, length, 0);
            int headerBytes = headerBytes(path, length.getLong(0), size);
            ByteBuffer json = ByteBuffer.allocate(headerBytes);
            readFully(path, channel, json, LENGTH_BYTES);
            long dataStart = (long) LENGTH_BYTES + headerBytes;
            SafetensorsHeader header = SafetensorsHeader.parse(path, json.array(), size - dataStart);
            return new SafetensorsFile(path, channel, dataStart, header);
        } catch (IOException | RuntimeException | Error e) {
            channel.close();
            throw e;
        }
    }

    private static int headerBytes(Path path, long stated, long fileSize) throws FormatException {
        if (stated < SafetensorsHeader.MIN_BYTES || stated > SafetensorsHeader.MAX_BYTES) {
            throw new FormatException("'" + path + "' is not a safetensors file: the length of its header should be in"
                    + " the [" + SafetensorsHeader.MIN_BYTES + ", " + SafetensorsHeader.MAX_BYTES + "] range but is "
                    + Long.toUnsignedString(stated));
        }
        if (stated > fileSize - LENGTH_BYTES) {
            throw new FormatException("'" + path + "' is cut short: its header should take " + stated
                    + " bytes after the first " + LENGTH_BYTES + " but the file has " + fileSize
                    + " bytes; copy or download it again");
        }
        return (int) stated;
    }

    public Path path() {
        return path;
    }

    /** The free-form text in the header, in the order of the file; empty where there is none. */
    public Map<String, String> metadata() {
        return header.metadata();
    }

    /** All tensors by name, in the order of their elements in the file. */
    public Map<String, Entry> tensors() {
        return header.tensors();
    }

    /** The tensor of this name. Throws {@link FormatException} where the file has none. */
    public Entry tensor(String name) throws FormatException {
        Entry entry = tensors().get(name);
        if (entry == null) {
            int most = 10;
            String names = tensors().keySet().stream()
                    .limit(most)
                    .map(FormatException::quote)
                    .collect(Collectors.joining(", "));
            throw new FormatException("'" + path + "' has no tensor " + FormatException.quote(name) + "; it has "
                    + (names.isEmpty() ? "none" : names)
                    + (tensors().size() > most ? " and " + (tensors().size() - most) + " more" : ""));
        }
        return entry;
    }

    /** The elements of a tensor of type F64 (rounded), F32, F16 or BF16. */
    public float[] floats(String name) throws IOException {
        float[] values = new float[arrayLength(requireReal(name))];
        readFloats(name, values, 0);
        return values;
    }

    /** The elements of a tensor of type F64, F32, F16 or BF16. */
    public double[] doubles(String name) throws IOException {
        double[] values = new double[arrayLength(requireReal(name))];
        readDoubles(name, values, 0);
        return values;
    }

    /**
     * Copies what {@link #floats} gives into a part of an array.
     *
     * @param first where in the array the tensor's first element goes
     * @throws IndexOutOfBoundsException when the array is too short
     */
    public void readFloats(String name, float[] target, int first) throws IOException {
        Entry entry = requireReal(name);
        Objects.checkFromIndexSize(first, arrayLength(entry), target.length);
        read(entry, (chunk, start, count) -> {
            if (entry.dtype() == Dtype.F32) {
                chunk.asFloatBuffer().get(target, first + start, count);
            } else {
                for (int k = 0; k < count; k++) {
                    target[first + start + k] = (float) real(entry.dtype(), chunk);
                }
            }
        });
    }

    /** As {@link #readFloats}, for what {@link #doubles} gives. */
    public void readDoubles(String name, double[] target, int first) throws IOException {
        Entry entry = requireReal(name);
        Objects.checkFromIndexSize(first, arrayLength(entry), target.length);
        read(entry, (chunk, start, count) -> {
            if (entry.dtype() == Dtype.F64) {
                chunk.asDoubleBuffer().get(target, first + start, count);
            } else {
                for (int k = 0; k < count; k++) {
                    target[first + start + k] = real(entry.dtype(), chunk);
                }
            }
        });
    }

    /** The elements of a tensor of type I32, I16, I8, U16, U8 or BOOL. */
    public int[] ints(String name) throws IOException {
        Entry entry = tensor(name);
        switch (entry.dtype()) {
            case I32, I16, I8, U16, U8, BOOL -> {}
            default -> throw wrongType(entry, "I32, I16, I8, U16, U8 or BOOL");
        }
        int[] values = new int[arrayLength(entry)];
        read(entry, (chunk, start, count) -> {
            for (int k = 0; k < count; k++) {
                values[start + k] = (int) whole(entry.dtype(), chunk);
            }
        });
        return values;
    }

    /** The elements of a tensor of type I64, U32, or one that {@link #ints} reads. */
    public long[] longs(String name) throws IOException {
        Entry entry = tensor(name);
        switch (entry.dtype()) {
            case I64, U32, I32, I16, I8, U16, U8, BOOL -> {}
            default -> throw wrongType(entry, "I64, U32, I32, I16, I8, U16, U8 or BOOL");
        }
        long[] values = new long[arrayLength(entry)];
        read(entry, (chunk, start, count) -> {
            for (int k = 0; k < count; k++) {
                values[start + k] = whole(entry.dtype(), chunk);
            }
        });
        return values;
    }

    /** The bytes of a tensor of any type, as they lie in the file. */
    public byte[] bytes(String name) throws IOException {
        Entry entry = tensor(name);
        if (entry.bytes() > MAX_ARRAY) {
            throw tooLarge(entry, entry.bytes() + " bytes");
        }
        ByteBuffer bytes = ByteBuffer.allocate((int) entry.bytes());
        readFully(path, channel, bytes, dataStart + entry.begin());
        return bytes.array();
    }

    @Override
    public void close() throws IOException {
        channel.close();
    }

    private Entry requireReal(String name) throws FormatException {
        Entry entry = tensor(name);
        return switch (entry.dtype()) {
            case F64, F32, F16, BF16 -> entry;
            default -> throw wrongType(entry, "F64, F32, F16 or BF16");
        };
    }

    /** The next element of the chunk. */
    private static double real(Dtype dtype, ByteBuffer chunk) {
        return switch (dtype) {
            case F64 -> chunk.getDouble();
            case F32 -> chunk.getFloat();
            case F16 -> SmallFloats.float16(chunk.getShort());
            case BF16 -> SmallFloats.bfloat16(chunk.getShort());
            default -> throw new AssertionError(dtype);
        };
    }

    /** The next element of the chunk. */
    private static long whole(Dtype dtype, ByteBuffer chunk) {
        return switch (dtype) {
            case I64 -> chunk.getLong();
            case U32 -> Integer.toUnsignedLong(chunk.getInt());
            case I32 -> chunk.getInt();
            case U16 -> Short.toUnsignedInt(chunk.getShort());
            case I16 -> chunk.getShort();
            case U8, BOOL -> Byte.toUnsignedInt(chunk.get());
            case I8 -> chunk.get();
            default -> throw new AssertionError(dtype);
        };
    }

    private int arrayLength(Entry entry) throws FormatException {
        if (entry.shape().elements() > MAX_ARRAY) {
            throw tooLarge(entry, entry.shape().elements() + " elements");
        }
        return (int) entry.shape().elements();
    }

    private interface ChunkReader {
        /** Takes {@code count} elements, the first of which is element {@code start} of the tensor. */
        void accept(ByteBuffer chunk, int start, int count);
    }

    private void read(Entry entry, ChunkReader reader) throws IOException {
        int elementBytes = entry.dtype().bits() / 8;
        ByteBuffer chunk =
                ByteBuffer.allocate((int) Math.min(CHUNK_BYTES, entry.bytes())).order(ByteOrder.LITTLE_ENDIAN);
        for (long done = 0; done < entry.bytes(); done += chunk.limit()) {
            chunk.clear().limit((int) Math.min(chunk.capacity(), entry.bytes() - done));
            readFully(path, channel, chunk, dataStart + entry.begin() + done);
            chunk.flip();
            reader.accept(chunk, (int) (done / elementBytes), chunk.limit() / elementBytes);
        }
    }

    private static void readFully(Path path, FileChannel channel, ByteBuffer target, long position) throws IOException {
        long next = position;
        while (target.hasRemaining()) {
            int count = channel.read(target, next);
            if (count < 0) {
                throw new FormatException("'" + path + "' was cut short while it was read: it ends at byte " + next
                        + " but should go on to byte " + (next + target.remaining()));
            }
            next += count;
        }
    }

    private FormatException wrongType(Entry entry, String allowed) {
        return new FormatException("tensor " + FormatException.quote(entry.name()) + " of '" + path
                + "' should be of type " + allowed + " but is " + entry.dtype());
    }

    private FormatException tooLarge(Entry entry, String size) {
        return new FormatException("tensor " + FormatException.quote(entry.name()) + " of '" + path + "' has " + size
                + ", more than an array can hold (" + MAX_ARRAY + ")");
    }
}
