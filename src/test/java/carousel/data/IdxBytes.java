package carousel.data;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.zip.GZIPOutputStream;

/** Makes IDX files for tests. */
final class IdxBytes {
    private IdxBytes() {}

    /** A file of pictures; pixel k of all is {@code k mod 256}. */
    static byte[] images(int count, int rows, int columns) {
        ByteBuffer bytes = ByteBuffer.allocate(16 + count * rows * columns);
        bytes.putInt(2051).putInt(count).putInt(rows).putInt(columns);
        for (int k = 0; k < count * rows * columns; k++) {
            bytes.put((byte) k);
        }
        return bytes.array();
    }

    static byte[] labels(int... labels) {
        ByteBuffer bytes = ByteBuffer.allocate(8 + labels.length);
        bytes.putInt(2049).putInt(labels.length);
        for (int label : labels) {
            bytes.put((byte) label);
        }
        return bytes.array();
    }

    /** A header of these numbers and nothing else. */
    static byte[] header(int... numbers) {
        ByteBuffer bytes = ByteBuffer.allocate(4 * numbers.length);
        for (int number : numbers) {
            bytes.putInt(number);
        }
        return bytes.array();
    }

    static byte[] gzip(byte[] bytes) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        try (GZIPOutputStream gzip = new GZIPOutputStream(out)) {
            gzip.write(bytes);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return out.toByteArray();
    }

    /** Three training and two test pictures of 2 x 3 pixels, under these file names. */
    static void writeFolder(Path folder, String separator, String suffix, boolean compressed) throws IOException {
        write(folder, "train-images" + separator + "idx3-ubyte" + suffix, images(3, 2, 3), compressed);
        write(folder, "train-labels" + separator + "idx1-ubyte" + suffix, labels(7, 0, 9), compressed);
        write(folder, "t10k-images" + separator + "idx3-ubyte" + suffix, images(2, 2, 3), compressed);
        write(folder, "t10k-labels" + separator + "idx1-ubyte" + suffix, labels(4, 5), compressed);
    }

    private static void write(Path folder, String name, byte[] bytes, boolean compressed) throws IOException {
        Files.write(folder.resolve(name), compressed ? gzip(bytes) : bytes);
    }
}
