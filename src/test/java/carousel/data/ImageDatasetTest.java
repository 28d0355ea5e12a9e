package carousel.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import org.junit.jupiter.api.Test;

class ImageDatasetTest {
    private final ImageDataset pictures = make(new byte[] {0, 51, 102, (byte) 153, (byte) 204, (byte) 255, 1, 2}, 2, 0);

    @Test
    void pixelsAreUnsignedAndScaledToOne() {
        Batch batch = pictures.newBatch(1);
        pictures.read(0, batch, 0);
        assertArrayEquals(new float[] {0, 0.2f, 0.4f, 0.6f}, batch.inputs());
        pictures.read(1, batch, 0);
        assertEquals(1f, batch.inputs()[1]);
        assertEquals(0, batch.labels()[0]);
    }

    @Test
    void givesPicturesAndLabels() {
        assertArrayEquals(new byte[] {(byte) 204, (byte) 255, 1, 2}, pictures.picture(1));
        assertEquals(2, pictures.label(0));
        assertEquals(2, pictures.rows());
        assertEquals(2, pictures.columns());
        assertEquals(ImageReading.ROWS, pictures.reading());
    }

    @Test
    void refusesArraysThatDoNotFit() {
        assertThrows(IllegalArgumentException.class, () -> make(new byte[7], 0, 0));
        assertThrows(IllegalArgumentException.class, () -> make(new byte[8], 0, 3));
        assertThrows(IllegalArgumentException.class, () -> make(new byte[0]));
        assertThrows(IndexOutOfBoundsException.class, () -> pictures.picture(2));
        assertThrows(IndexOutOfBoundsException.class, () -> pictures.read(0, pictures.newBatch(1), 1));
    }

    private static ImageDataset make(byte[] pixels, int... labels) {
        byte[] bytes = new byte[labels.length];
        for (int k = 0; k < labels.length; k++) {
            bytes[k] = (byte) labels[k];
        }
        return new ImageDataset("made", 2, 2, pixels, bytes, 3, ImageReading.ROWS);
    }
}
