package carousel.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.HashSet;
import java.util.Set;
import java.util.concurrent.ForkJoinPool;
import java.util.zip.CRC32;
import org.junit.jupiter.api.Test;

class DrawnDigitsTest {
    @Test
    void hasTheUsualExtents() {
        ImageDataset digits = DrawnDigits.training(1, 20);
        assertEquals(20, digits.size());
        assertEquals(28, digits.timeSteps());
        assertEquals(28, digits.features());
        assertEquals(10, digits.classes());
        assertEquals(784, digits.as(ImageReading.PIXELS).timeSteps());
        for (int k = 0; k < 20; k++) {
            assertEquals(k % 10, digits.label(k));
        }
    }

    @Test
    void picturesDependOnlyOnTheSeedAndTheirNumber() throws Exception {
        ImageDataset many = DrawnDigits.training(5, 500);
        ForkJoinPool alone = new ForkJoinPool(1);
        ImageDataset few = alone.submit(() -> DrawnDigits.training(5, 100)).get();
        alone.shutdown();
        for (int k = 0; k < 100; k++) {
            assertArrayEquals(many.picture(k), few.picture(k));
        }
        assertFalse(Arrays.equals(few.picture(0), DrawnDigits.training(6, 1).picture(0)));
    }

    @Test
    void picturesAreTheSameBytesOnEveryMachine() {
        ImageDataset digits = DrawnDigits.training(1, 1000);
        CRC32 checksum = new CRC32();
        for (int k = 0; k < digits.size(); k++) {
            checksum.update(digits.picture(k));
        }
        assertEquals("ac23d9d7", Long.toHexString(checksum.getValue()));
    }

    @Test
    void noPictureAppearsTwice() {
        Set<String> seen = new HashSet<>();
        for (ImageDataset digits : new ImageDataset[] {DrawnDigits.training(1, 2000), DrawnDigits.test(1, 2000)}) {
            for (int k = 0; k < digits.size(); k++) {
                assertTrue(seen.add(Arrays.toString(digits.picture(k))), digits.name() + " " + k);
            }
        }
    }

    @Test
    void everyPictureHasInkOnMostlyBlankPaper() {
        ImageDataset digits = DrawnDigits.test(3);
        for (int k = 0; k < digits.size(); k++) {
            int dark = 0;
            for (byte pixel : digits.picture(k)) {
                dark += (pixel & 255) > 100 ? 1 : 0;
            }
            assertTrue(dark > 8 && dark < 300, "picture " + k + " has " + dark + " dark pixels");
        }
    }

    @Test
    void linearModelLearnsThemButNotWell() {
        ImageDataset training = DrawnDigits.training(1);
        SoftmaxRegression model = new SoftmaxRegression(training);
        model.train(training, 15, 1);
        double accuracy = model.accuracy(DrawnDigits.test(1));
        assertTrue(accuracy > 0.65 && accuracy < 0.85, "accuracy " + accuracy);
    }

    @Test
    void refusesASizeOutOfRange() {
        String message = assertThrows(IllegalArgumentException.class, () -> DrawnDigits.test(1, 0))
                .getMessage();
        assertEquals("the size of drawn digits, test, should be in the [1, 1000000] range but got 0", message);
        assertThrows(IllegalArgumentException.class, () -> DrawnDigits.training(1, 1_000_001));
    }
}
