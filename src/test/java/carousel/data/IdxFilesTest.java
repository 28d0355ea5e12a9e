package carousel.data;

import static carousel.data.IdxReaderTest.assertSentence;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class IdxFilesTest {
    @TempDir
    private Path folder;

    @ParameterizedTest
    @CsvSource({"-, '', false", "., '', false", "-, .gz, true", "., .gz, true", "-, '', true", "-, .gz, false"})
    void readsEverySpellingCompressedOrNot(String separator, String suffix, boolean compressed) throws IOException {
        IdxBytes.writeFolder(folder, separator, suffix, compressed);
        IdxFiles files = IdxFiles.read(folder, ImageReading.ROWS);
        assertEquals(3, files.training().size());
        assertEquals(2, files.test().size());
        assertEquals(10, files.training().classes());
        Batch batch = new SequentialBatches(files.training(), 3).batch(0);
        assertArrayEquals(new int[] {7, 0, 9}, batch.labels());
        // Time-major: the first rows of the three pictures, then their second rows.
        int[] pixels = {0, 1, 2, 6, 7, 8, 12, 13, 14, 3, 4, 5, 9, 10, 11, 15, 16, 17};
        for (int k = 0; k < pixels.length; k++) {
            assertEquals(pixels[k] / 255f, batch.inputs()[k]);
        }
    }

    @Test
    void readsPixelByPixel() throws IOException {
        IdxBytes.writeFolder(folder, "-", "", false);
        ImageDataset test = IdxFiles.read(folder, ImageReading.PIXELS).test();
        assertEquals(6, test.timeSteps());
        assertEquals(1, test.features());
        Batch batch = new SequentialBatches(test, 2).batch(0);
        for (int t = 0; t < 6; t++) {
            assertEquals(t / 255f, batch.inputs()[2 * t]);
            assertEquals((6 + t) / 255f, batch.inputs()[2 * t + 1]);
        }
        assertArrayEquals(new int[] {4, 5}, batch.labels());
        assertEquals(2, test.as(ImageReading.ROWS).timeSteps());
    }

    @Test
    void namesTheMissingFolder() throws IOException {
        Path missing = folder.resolve("missing");
        DataException e = assertThrows(DataException.class, () -> IdxFiles.read(missing, ImageReading.ROWS));
        assertSentence(e, missing.toString(), "does not exist", "train-images-idx3-ubyte");
        Path file = Files.createFile(folder.resolve("file"));
        e = assertThrows(DataException.class, () -> IdxFiles.read(file, ImageReading.ROWS));
        assertSentence(e, file.toString(), "is not a folder");
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "train-images-idx3-ubyte",
                "train-labels-idx1-ubyte",
                "t10k-images-idx3-ubyte",
                "t10k-labels-idx1-ubyte"
            })
    void namesTheMissingFile(String name) throws IOException {
        IdxBytes.writeFolder(folder, "-", "", false);
        Files.delete(folder.resolve(name));
        assertSentence(refused(), folder.toString(), name, name + ".gz", name.replace("-idx", ".idx"));
    }

    @Test
    void refusesCountsThatDiffer() throws IOException {
        IdxBytes.writeFolder(folder, "-", "", false);
        Files.write(folder.resolve("t10k-labels-idx1-ubyte"), IdxBytes.labels(1, 2, 3));
        assertSentence(refused(), "t10k-labels-idx1-ubyte should have 2 labels", "has 3");
    }

    @Test
    void refusesTestPicturesOfAnotherSize() throws IOException {
        IdxBytes.writeFolder(folder, "-", "", false);
        Files.write(folder.resolve("t10k-images-idx3-ubyte"), IdxBytes.images(2, 3, 2));
        assertSentence(refused(), "should have 2 x 3 pixels", "have 3 x 2");
    }

    @Test
    void refusesSwappedImagesAndLabels() throws IOException {
        IdxBytes.writeFolder(folder, "-", "", false);
        Files.write(folder.resolve("train-images-idx3-ubyte"), IdxBytes.labels(1, 2, 3));
        assertSentence(refused(), "should begin with the number 2051", "got 2049");
    }

    @Test
    void refusesAFolderInPlaceOfAFile() throws IOException {
        IdxBytes.writeFolder(folder, "-", "", false);
        Files.delete(folder.resolve("train-images-idx3-ubyte"));
        Files.createDirectory(folder.resolve("train-images-idx3-ubyte"));
        assertSentence(refused(), "train-images-idx3-ubyte", "is a folder");
    }

    @Test
    void readsThePublishedMnist() throws IOException {
        Path mnist = Path.of(System.getProperty("carousel.data", "data"), "mnist");
        assumeTrue(Files.isDirectory(mnist), "skipped: the published MNIST files are not in " + mnist);
        IdxFiles files = IdxFiles.read(mnist, ImageReading.ROWS);
        assertEquals(60_000, files.training().size());
        assertEquals(10_000, files.test().size());
        assertEquals(28, files.training().timeSteps());
        assertEquals(28, files.training().features());
        assertArrayEquals(
                new int[] {5, 0, 4, 1, 9},
                new SequentialBatches(files.training(), 5).batch(0).labels());
        assertArrayEquals(
                new int[] {7, 2, 1, 0, 4},
                new SequentialBatches(files.test(), 5).batch(0).labels());
        // The mean and standard deviation that everyone normalises MNIST with.
        BatchSource source = new SequentialBatches(files.training(), 1000);
        double sum = 0;
        double squares = 0;
        for (long k = 0; k < source.batchesPerEpoch(); k++) {
            for (float pixel : source.batch(k).inputs()) {
                sum += pixel;
                squares += (double) pixel * pixel;
            }
        }
        double mean = sum / (60_000 * 784.0);
        assertEquals(0.1307, mean, 0.0001);
        assertEquals(0.3081, Math.sqrt(squares / (60_000 * 784.0) - mean * mean), 0.0001);
    }

    private DataException refused() {
        return assertThrows(DataException.class, () -> IdxFiles.read(folder, ImageReading.ROWS));
    }
}
