package carousel.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.zip.Deflater;
import java.util.zip.GZIPOutputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class IdxReaderTest {
    @TempDir
    private Path folder;

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void readsKnownBytes(boolean compressed) throws IOException {
        IdxReader.Images images = IdxReader.images(file(IdxBytes.images(3, 2, 5), compressed));
        assertEquals(3, images.count());
        assertEquals(2, images.rows());
        assertEquals(5, images.columns());
        byte[] pixels = new byte[30];
        for (int k = 0; k < 30; k++) {
            pixels[k] = (byte) k;
        }
        assertArrayEquals(pixels, images.pixels());
        byte[] labels = IdxReader.labels(file(IdxBytes.labels(0, 9, 255), compressed), 256);
        assertArrayEquals(new byte[] {0, 9, (byte) 255}, labels);
    }

    @Test
    void readsCompressedDataOfMoreThanOneChunk() throws IOException {
        byte[] bytes = IdxBytes.images(300, 28, 28);
        assertArrayEquals(
                Arrays.copyOfRange(bytes, 16, bytes.length),
                IdxReader.images(file(bytes, true)).pixels());
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 3, 4, 5, 15})
    void refusesATruncatedHeader(int length) throws IOException {
        byte[] bytes = Arrays.copyOf(IdxBytes.images(1, 2, 3), length);
        assertRefused(bytes, "should have a header of 16 bytes but ends after " + length);
    }

    @Test
    void refusesAnEmptyFile() throws IOException {
        assertRefused(new byte[0], "should have a header of 16 bytes but ends after 0");
    }

    @Test
    void refusesTruncatedDataAndTrailingBytes() throws IOException {
        byte[] bytes = IdxBytes.images(2, 2, 3);
        for (int length = 16; length < bytes.length; length++) {
            assertRefused(
                    Arrays.copyOf(bytes, length), "should have 12 bytes after its header but has " + (length - 16));
        }
        assertRefused(Arrays.copyOf(bytes, bytes.length + 1), "should have 12 bytes after its header but has 13");
    }

    @Test
    void refusesTheWrongMagicNumber() throws IOException {
        assertRefused(IdxBytes.labels(1, 2, 3), "should begin with the number 2051");
        assertRefused(IdxBytes.header(-1, 1, 1, 1), "got 4294967295");
        assertRefused("PK\3\4 something else entirely".getBytes(), "should begin with the number 2051");
        DataException e =
                assertThrows(DataException.class, () -> IdxReader.labels(file(IdxBytes.images(1, 1, 1), false), 10));
        assertSentence(e, "should begin with the number 2049");
    }

    @ParameterizedTest
    @CsvSource({
        "0, 28, 28, images",
        "-1, 28, 28, images",
        "1, 0, 28, rows",
        "1, 4097, 28, rows",
        "1, 28, -2147483648, columns",
        "1, 28, 4097, columns",
        "2147483647, 28, 28, at most 1369568 images",
        "65, 4096, 4096, at most 64 images"
    })
    void refusesAbsurdExtents(int count, int rows, int columns, String reason) throws IOException {
        assertRefused(IdxBytes.header(2051, count, rows, columns), reason);
    }

    @Test
    void lyingHeaderTakesNoMemory() throws IOException {
        // A header may promise 1 GiB. Were that much taken for each, the hundred reads would take 100 GiB from the
        // heap.
        Path plain = file(IdxBytes.header(2051, 64, 4096, 4096), false);
        Path compressed = file(IdxBytes.header(2051, 64, 4096, 4096), true);
        for (Path file : new Path[] {plain, compressed}) {
            long before = allocated();
            for (int k = 0; k < 100; k++) {
                assertThrows(DataException.class, () -> IdxReader.images(file));
            }
            long taken = allocated() - before;
            assertTrue(taken < 100L << 20, file + " took " + taken + " bytes");
        }
    }

    private static long allocated() {
        return ((com.sun.management.ThreadMXBean) java.lang.management.ManagementFactory.getThreadMXBean())
                .getCurrentThreadAllocatedBytes();
    }

    @Test
    void refusesLabelsThatAreNoClass() {
        DataException e =
                assertThrows(DataException.class, () -> IdxReader.labels(file(IdxBytes.labels(1, 9, 10), false), 10));
        assertSentence(e, "label 2 of ", "should be in the [0, 9] range but got 10");
        e = assertThrows(DataException.class, () -> IdxReader.labels(file(IdxBytes.labels(255), false), 10));
        assertSentence(e, "but got 255");
        e = assertThrows(DataException.class, () -> IdxReader.labels(file(IdxBytes.labels(), false), 10));
        assertSentence(e, "the number of labels", "but got 0");
    }

    @Test
    void refusesGzipThatIsCutShort() throws IOException {
        byte[] bytes = IdxBytes.gzip(IdxBytes.images(2, 5, 7));
        for (int length = 2; length < bytes.length; length++) {
            assertRefused(Arrays.copyOf(bytes, length), "ends too early");
        }
    }

    @Test
    void refusesGzipWithOtherContent() throws IOException {
        byte[] idx = IdxBytes.images(2, 5, 7);
        assertRefused(IdxBytes.gzip(new byte[0]), "ends after 0");
        assertRefused(IdxBytes.gzip(Arrays.copyOf(idx, 10)), "ends after 10");
        assertRefused(
                IdxBytes.gzip(Arrays.copyOf(idx, idx.length - 1)), "should have 70 bytes after its header but has 69");
        assertRefused(IdxBytes.gzip(Arrays.copyOf(idx, idx.length + 9)), "has 71 or more");
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 10, 18, 19, 40, 100_000})
    void refusesBytesAfterTheEndOfGzip(int more) throws IOException {
        byte[] bytes = IdxBytes.gzip(IdxBytes.images(2, 5, 7));
        byte[] garbage = Arrays.copyOf(bytes, bytes.length + more);
        Arrays.fill(garbage, bytes.length, garbage.length, (byte) 'x');
        assertRefused(garbage, "bytes follow its end");
    }

    @Test
    void refusesDamagedGzip() throws IOException {
        byte[] bytes = IdxBytes.gzip(IdxBytes.images(2, 5, 7));
        bytes[bytes.length - 6] ^= 1; // the checksum
        assertRefused(bytes, "is damaged");
    }

    @Test
    void compressedZerosThatPromiseTooMuchAreRefusedByTheirHeader() throws IOException {
        Path file = folder.resolve("bomb");
        try (OutputStream out = new GZIPOutputStream(Files.newOutputStream(file)) {
            {
                def.setLevel(Deflater.BEST_SPEED);
            }
        }) {
            out.write(IdxBytes.header(2051, 16, 28, 28));
            byte[] zeros = new byte[1 << 20];
            for (int k = 0; k < 64; k++) {
                out.write(zeros);
            }
        }
        long before = allocated();
        DataException e = assertThrows(DataException.class, () -> IdxReader.images(file));
        assertSentence(e, "should have 12544 bytes after its header");
        assertTrue(allocated() - before < 1 << 20);
    }

    @Test
    void refusesAFolderInPlaceOfAFile() {
        DataException e = assertThrows(DataException.class, () -> IdxReader.images(folder));
        assertSentence(e, "is a folder");
    }

    @Test
    void refusesAMissingFile() {
        DataException e = assertThrows(DataException.class, () -> IdxReader.images(folder.resolve("nothing")));
        assertSentence(e, "nothing does not exist");
    }

    private Path file(byte[] bytes, boolean compressed) throws IOException {
        // No extension: what a file is shows in its bytes.
        Path file = Files.createTempFile(folder, "idx", "");
        return Files.write(file, compressed ? IdxBytes.gzip(bytes) : bytes);
    }

    private void assertRefused(byte[] bytes, String reason) throws IOException {
        Path file = file(bytes, false);
        DataException e = assertThrows(DataException.class, () -> IdxReader.images(file));
        assertSentence(e, reason, file.toString());
    }

    /** One line that has these parts and ends with a remedy. */
    static void assertSentence(DataException e, String... parts) {
        String message = e.getMessage();
        assertFalse(message.contains("\n"), message);
        assertTrue(message.contains(": "), message);
        for (String part : parts) {
            assertTrue(message.contains(part), message);
        }
    }
}
