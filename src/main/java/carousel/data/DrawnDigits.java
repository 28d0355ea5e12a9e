package carousel.data;

import carousel.engine.RandomSequence;
import java.util.stream.IntStream;

/**
 * Handwriting-like digits, drawn by the program itself so that a fresh machine needs no download: grey pictures of
 * {@value #SIDE} x {@value #SIDE} pixels in ten classes, each digit in two or three styles.
 *
 * <p>Size, slant, rotation, place, pen and paper vary so much that single pixels say little: softmax regression on the
 * pixels, with the usual sizes, ends at a test accuracy between 0.75 and 0.78, over three seeds and 5 to 30 epochs, and at
 * 0.84 at most on the pictures it was trained on. An LSTM(128) that reads the rows ends at 0.983 after six epochs.
 *
 * <p>Picture k is a pure function of the seed and k, and is the digit {@code k mod 10}. It has the same bytes on every
 * machine and with any number of threads. Training and test pictures are of disjoint ranges of k.
 */
public final class DrawnDigits {
    /** The height and width of a picture. */
    public static final int SIDE = 28;

    /** The ten digits. */
    public static final int CLASSES = 10;

    /** The usual number of pictures to learn from. */
    public static final int TRAINING_SIZE = 12_000;

    /** The usual number of pictures to judge by. */
    public static final int TEST_SIZE = 2_000;

    /** The most pictures of a dataset. */
    public static final int MAX_SIZE = 1_000_000;

    /** The number of the first test picture, beyond all training pictures. */
    private static final long FIRST_TEST = 1L << 40;

    private DrawnDigits() {}

    /** {@value #TRAINING_SIZE} pictures to learn from. */
    public static ImageDataset training(long seed) {
        return training(seed, TRAINING_SIZE);
    }

    /**
     * Pictures 0, 1, 2 and so on.
     *
     * @param size in [1, {@value #MAX_SIZE}]
     * @throws IllegalArgumentException if it is not
     */
    public static ImageDataset training(long seed, int size) {
        return draw("drawn digits, training", seed, 0, size);
    }

    /** {@value #TEST_SIZE} pictures to judge by. */
    public static ImageDataset test(long seed) {
        return test(seed, TEST_SIZE);
    }

    /**
     * Pictures that no training set of the same seed has.
     *
     * @param size in [1, {@value #MAX_SIZE}]
     * @throws IllegalArgumentException if it is not
     */
    public static ImageDataset test(long seed, int size) {
        return draw("drawn digits, test", seed, FIRST_TEST, size);
    }

    private static ImageDataset draw(String name, long seed, long first, int size) {
        if (size < 1 || size > MAX_SIZE) {
            throw new IllegalArgumentException(
                    "the size of " + name + ", should be in the [1, " + MAX_SIZE + "] range but got " + size);
        }
        byte[] pixels = new byte[size * SIDE * SIDE];
        byte[] labels = new byte[size];
        IntStream.range(0, size).parallel().forEach(k -> {
            // Classes in turn: every stretch of ten pictures is balanced.
            labels[k] = (byte) (k % CLASSES);
            RandomSequence random = new RandomSequence(seed, RandomStreams.DIGITS, first + k);
            new DigitPen(random).draw(k % CLASSES, pixels, k * SIDE * SIDE);
        });
        return new ImageDataset(name, SIDE, SIDE, pixels, labels, CLASSES, ImageReading.ROWS);
    }
}
