package carousel.data;

import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.io.PushbackInputStream;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.zip.GZIPInputStream;
import java.util.zip.ZipException;

/**
 * Reads one file in the IDX format of the MNIST database (LeCun, Cortes &amp; Burges): a big-endian header with a magic
 * number and one 32-bit extent a dimension, then unsigned bytes. A file that is compressed with gzip is recognised by its
 * first bytes, whatever its name.
 *
 * <p>A header is not trusted: its extents must be within the limits below and, in a plain file, agree with the file's size;
 * memory for a compressed file grows only with the data that is really there.
 */
public final class IdxReader {
    /** The most rows and the most columns of a picture. */
    public static final int MAX_SIDE = 4096;

    /** The most pixels of all pictures of a file together. */
    public static final int MAX_PIXELS = 1 << 30;

    private static final int IMAGES_MAGIC = 2051;
    private static final int LABELS_MAGIC = 2049;
    private static final int FIRST_CHUNK = 1 << 16;
    private static final String COPY_AGAIN = ": copy or download it again";

    private final Path file;
    private final InputStream in;
    /** The size of a plain file; -1 for a compressed one, whose content's size is not known before its end. */
    private final long plainSize;

    private IdxReader(Path file, InputStream in, long plainSize) {
        this.file = file;
        this.in = in;
        this.plainSize = plainSize;
    }

    /**
     * Pictures.
     *
     * @param count the number of pictures, 1 or more
     * @param rows the height of a picture
     * @param columns the width of a picture
     * @param pixels {@code [count, rows, columns]}, unsigned
     */
    public record Images(int count, int rows, int columns, byte[] pixels) {}

    /**
     * Reads a file of pictures, such as {@code train-images-idx3-ubyte}.
     *
     * @throws DataException if the file can't be read or does not hold exactly what its header says
     */
    public static Images images(Path file) throws DataException {
        return read(file, IdxReader::images);
    }

    /**
     * Reads a file of labels, such as {@code train-labels-idx1-ubyte}.
     *
     * @param classes the number of classes, in [1, 256]
     * @throws DataException if the file can't be read, does not hold exactly what its header says, or a label is no class
     */
    public static byte[] labels(Path file, int classes) throws DataException {
        return read(file, reader -> reader.labels(classes));
    }

    /** What is read out of a file. */
    interface Content<T> {
        T read(IdxReader reader) throws IOException;
    }

    private static <T> T read(Path file, Content<T> content) throws DataException {
        try {
            if (Files.exists(file) && !Files.isRegularFile(file)) {
                throw new DataException(file + " should be an IDX file but is a "
                        + (Files.isDirectory(file) ? "folder" : "special file") + ": put a regular file in its place");
            }
            try (InputStream in = Files.newInputStream(file)) {
                return read(file, in, Files.size(file), content);
            }
        } catch (DataException e) {
            throw e;
        } catch (NoSuchFileException e) {
            throw new DataException(file + " does not exist: give the path of an IDX file", e);
        } catch (IOException e) {
            throw unreadable(file, e);
        }
    }

    /** Reads bytes that a file has, or would have. */
    static <T> T read(Path file, InputStream bytes, long size, Content<T> content) throws DataException {
        try {
            PushbackInputStream raw = new PushbackInputStream(bytes, 2);
            byte[] first = raw.readNBytes(2);
            raw.unread(first);
            boolean compressed = first.length == 2 && (first[0] & 255) == 0x1f && (first[1] & 255) == 0x8b;
            if (!compressed) {
                return content.read(new IdxReader(file, raw, size));
            }
            try (InputStream in = new WholeGzip(raw)) {
                return content.read(new IdxReader(file, in, -1));
            }
        } catch (DataException e) {
            throw e;
        } catch (EOFException e) {
            throw new DataException("the gzip data of " + file + " ends too early" + COPY_AGAIN, e);
        } catch (ZipException e) {
            throw new DataException(
                    "the gzip data of " + file + " is damaged (" + e.getMessage() + ")" + COPY_AGAIN, e);
        } catch (IOException e) {
            throw unreadable(file, e);
        }
    }

    private static DataException unreadable(Path file, IOException e) {
        return new DataException(file + " can't be read (" + e + "): check its permissions and its disk", e);
    }

    Images images() throws IOException {
        ByteBuffer header = header(IMAGES_MAGIC, 3);
        long count = extent("images", header, Integer.MAX_VALUE);
        long rows = extent("rows", header, MAX_SIDE);
        long columns = extent("columns", header, MAX_SIDE);
        long most = MAX_PIXELS / (rows * columns);
        if (count > most) {
            throw new DataException(file + " should have at most " + most + " images of " + rows + " x " + columns
                    + " pixels but its header says " + count + ": split it or check that it is an IDX file of images");
        }
        byte[] pixels = body(4 * 4, (int) (count * rows * columns));
        return new Images((int) count, (int) rows, (int) columns, pixels);
    }

    byte[] labels(int classes) throws IOException {
        ByteBuffer header = header(LABELS_MAGIC, 1);
        byte[] labels = body(2 * 4, (int) extent("labels", header, MAX_PIXELS));
        for (int k = 0; k < labels.length; k++) {
            if ((labels[k] & 255) >= classes) {
                throw new DataException(
                        "label " + k + " of " + file + " should be in the [0, " + (classes - 1) + "] range but got "
                                + (labels[k] & 255) + ": use labels of " + classes + " classes or correct it");
            }
        }
        return labels;
    }

    private ByteBuffer header(int magic, int dimensions) throws IOException {
        byte[] bytes = in.readNBytes(4 + 4 * dimensions);
        ByteBuffer header = ByteBuffer.wrap(bytes);
        // The magic number says most, so it comes first even when the rest is missing.
        if (bytes.length >= 4 && header.getInt() != magic) {
            throw new DataException(file + " should begin with the number " + magic + ", which marks IDX files of "
                    + (magic == IMAGES_MAGIC ? "images" : "labels") + ", but got "
                    + Integer.toUnsignedLong(header.getInt(0))
                    + ": check that it is one and that images and labels aren't swapped");
        }
        if (bytes.length < 4 + 4 * dimensions) {
            throw new DataException(file + " should have a header of " + (4 + 4 * dimensions) + " bytes but ends after "
                    + bytes.length + COPY_AGAIN);
        }
        return header;
    }

    private long extent(String what, ByteBuffer header, int most) throws DataException {
        long extent = Integer.toUnsignedLong(header.getInt());
        if (extent < 1 || extent > most) {
            throw new DataException("the number of " + what + " in the header of " + file + " should be in the [1, "
                    + most + "] range but got " + extent + ": check that it is an IDX file of the MNIST kind");
        }
        return extent;
    }

    /** The {@code size} bytes that should follow the header and end the file. */
    private byte[] body(int headerSize, int size) throws IOException {
        if (plainSize >= 0 && plainSize != (long) headerSize + size) {
            throw wrongSize(size, Math.max(0, plainSize - headerSize), "");
        }
        byte[] bytes = new byte[plainSize >= 0 ? size : Math.min(size, FIRST_CHUNK)];
        int filled = 0;
        while (true) {
            filled += in.readNBytes(bytes, filled, bytes.length - filled);
            if (filled < bytes.length) {
                throw wrongSize(size, filled, "");
            }
            if (filled == size) {
                break;
            }
            bytes = Arrays.copyOf(bytes, (int) Math.min(size, 2L * filled));
        }
        if (in.read() >= 0) {
            throw wrongSize(size, size + 1L, "or more");
        }
        return bytes;
    }

    private DataException wrongSize(int expected, long actual, String orMore) {
        return new DataException(file + " should have " + expected + " bytes after its header but has " + actual
                + (orMore.isEmpty() ? "" : " " + orMore) + COPY_AGAIN);
    }

    /** Gzip data that fills its file; the library's own stream passes over what comes after. */
    private static final class WholeGzip extends GZIPInputStream {
        private static final int TRAILER = 8;

        private boolean checked;

        WholeGzip(InputStream raw) throws IOException {
            super(raw, FIRST_CHUNK);
        }

        @Override
        public int read(byte[] buffer, int offset, int length) throws IOException {
            int count = super.read(buffer, offset, length);
            if (count < 0 && !checked) {
                checked = true;
                if (inf.getRemaining() > TRAILER || in.read() >= 0) {
                    throw new ZipException("bytes follow its end");
                }
            }
            return count;
        }
    }
}
