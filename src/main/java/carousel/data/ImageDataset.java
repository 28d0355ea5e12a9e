package carousel.data;

import java.util.Arrays;
import java.util.Objects;

/**
 * Grey pictures with class labels, read as sequences. Pixels are kept as bytes and become {@code pixel / 255} when read:
 * 0 for the background, 1 for full ink.
 */
public final class ImageDataset implements SequenceDataset {
    private final String name;
    private final int rows;
    private final int columns;
    private final int classes;
    private final byte[] pixels;
    private final byte[] labels;
    private final ImageReading reading;

    /**
     * Pictures in these arrays, which are kept and not copied.
     *
     * @param pixels {@code [size, rows, columns]}, unsigned
     * @param labels {@code [size]}, each in [0, classes - 1]
     * @param classes in [1, 256]
     * @throws IllegalArgumentException if the arrays' lengths do not fit each other or a label is no class
     */
    public ImageDataset(
            String name, int rows, int columns, byte[] pixels, byte[] labels, int classes, ImageReading reading) {
        if (rows < 1 || columns < 1 || labels.length < 1 || (long) rows * columns * labels.length != pixels.length) {
            throw new IllegalArgumentException("the pixels of " + name + " should be [" + labels.length + ", " + rows
                    + ", " + columns + "] with no extent 0 but got " + pixels.length);
        }
        if (classes < 1 || classes > 256) {
            throw new IllegalArgumentException(
                    "the classes of " + name + " should be in the [1, 256] range but got " + classes);
        }
        for (int k = 0; k < labels.length; k++) {
            if ((labels[k] & 255) >= classes) {
                throw new IllegalArgumentException("label " + k + " of " + name + " should be in the [0, "
                        + (classes - 1) + "] range but got " + (labels[k] & 255));
            }
        }
        this.name = name;
        this.rows = rows;
        this.columns = columns;
        this.classes = classes;
        this.pixels = pixels;
        this.labels = labels;
        this.reading = Objects.requireNonNull(reading);
    }

    /** The same pictures read the other way; shares their memory. */
    public ImageDataset as(ImageReading other) {
        return new ImageDataset(name, rows, columns, pixels, labels, classes, other);
    }

    /** The height of a picture. */
    public int rows() {
        return rows;
    }

    /** The width of a picture. */
    public int columns() {
        return columns;
    }

    /** How pictures are read as sequences. */
    public ImageReading reading() {
        return reading;
    }

    /** The class of a picture. */
    public int label(int index) {
        return labels[index] & 255;
    }

    /** A copy of a picture's pixels {@code [rows, columns]}, unsigned. */
    public byte[] picture(int index) {
        Objects.checkIndex(index, labels.length);
        return Arrays.copyOfRange(pixels, index * rows * columns, (index + 1) * rows * columns);
    }

    @Override
    public String name() {
        return name;
    }

    @Override
    public int size() {
        return labels.length;
    }

    @Override
    public int timeSteps() {
        return reading == ImageReading.ROWS ? rows : rows * columns;
    }

    @Override
    public int features() {
        return reading == ImageReading.ROWS ? columns : 1;
    }

    @Override
    public int classes() {
        return classes;
    }

    @Override
    public int targetSize() {
        return 0;
    }

    @Override
    public void read(int index, Batch into, int row) {
        Objects.checkIndex(index, labels.length);
        Objects.checkIndex(row, into.batchSize());
        int timeSteps = timeSteps();
        int features = features();
        float[] inputs = into.inputs();
        int pixel = index * rows * columns;
        for (int t = 0; t < timeSteps; t++) {
            int x = (t * into.batchSize() + row) * features;
            for (int c = 0; c < features; c++) {
                inputs[x++] = (pixels[pixel++] & 255) / 255f;
            }
        }
        into.labels()[row] = labels[index] & 255;
    }
}
