package carousel.cli;

import carousel.data.DataException;
import carousel.data.IdxReader;
import java.awt.Graphics2D;
import java.awt.image.BufferedImage;
import java.awt.image.Raster;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import javax.imageio.ImageIO;
import javax.imageio.ImageReader;
import javax.imageio.stream.ImageInputStream;

/**
 * Sequences to predict from, out of one file or the standard input: a picture (PNG, GIF, BMP or JPEG), a file of pictures in the
 * IDX format, or numbers as text: a time step a line, separated by commas, semicolons or white space, with an empty line between
 * two sequences. What a file is, its first bytes say.
 *
 * @param timeSteps T
 * @param values {@code [T, C]}
 */
record SequenceFile(int timeSteps, float[] values) {
    private static final int LARGEST_INPUT = 1 << 28;
    private static final float FULL_INK = 255;

    /**
     * @param name the file, or {@code -} for the standard input
     * @param features numbers per time step that the model reads
     * @param config what the model was trained for, or null: for a task of pictures, values are pixels in [0, 255]
     */
    static List<SequenceFile> read(String name, int features, RunConfig config) throws IOException {
        boolean standardInput = name.equals("-");
        Path path = standardInput ? null : Path.of(name);
        if (!standardInput && !Files.exists(path)) {
            throw new NoSuchFileException(name);
        }
        if (!standardInput && Files.isDirectory(path)) {
            throw new DataException("'" + name + "' is a folder: give a file, or - for the standard input");
        }
        String source = standardInput ? "the standard input" : "'" + name + "'";
        byte[] bytes;
        if (standardInput) {
            // Not closed: where a shell has closed it, its number belongs to a file of the virtual machine's own.
            bytes = bytes(System.in, source);
        } else {
            try (InputStream stream = Files.newInputStream(path)) {
                bytes = bytes(stream, source);
            }
        }
        boolean pictures = config != null && config.taskKind().pictures();
        List<SequenceFile> sequences;
        if (pictures && !standardInput && isIdx(bytes)) {
            IdxReader.Images images = IdxReader.images(path);
            sequences = new ArrayList<>();
            for (int k = 0; k < images.count(); k++) {
                sequences.add(picture(source, images.rows(), images.columns(), features, images.pixels(), k));
            }
        } else if (pictures && isPicture(bytes)) {
            sequences = List.of(decoded(source, features, bytes));
        } else {
            sequences = text(source, bytes, features, pictures);
        }
        if (pictures) {
            for (SequenceFile sequence : sequences) {
                if (sequence.timeSteps() != config.timeSteps()) {
                    throw new DataException(source + " should have " + config.timeSteps()
                            + " time steps a sequence, as the model was trained with, but has " + sequence.timeSteps());
                }
            }
        }
        return sequences;
    }

    private static byte[] bytes(InputStream stream, String source) throws IOException {
        byte[] bytes = stream.readNBytes(LARGEST_INPUT);
        if (bytes.length == LARGEST_INPUT) {
            throw new DataException(
                    source + " should be smaller than " + (LARGEST_INPUT >> 20) + " MiB: split it into several files");
        }
        if (bytes.length == 0) {
            throw new DataException(source + " is empty: it should be a picture or numbers");
        }
        return bytes;
    }

    private static boolean isIdx(byte[] bytes) {
        return starts(bytes, 0x1f, 0x8b) || starts(bytes, 0, 0, 8);
    }

    private static boolean isPicture(byte[] bytes) {
        return starts(bytes, 0x89, 'P', 'N', 'G')
                || starts(bytes, 0xff, 0xd8, 0xff)
                || starts(bytes, 'G', 'I', 'F', '8')
                || starts(bytes, 'B', 'M') && bytes.length > 2 && bytes[bytes.length - 1] != '\n';
    }

    private static boolean starts(byte[] bytes, int... prefix) {
        if (bytes.length < prefix.length) {
            return false;
        }
        for (int k = 0; k < prefix.length; k++) {
            if ((bytes[k] & 0xff) != prefix[k]) {
                return false;
            }
        }
        return true;
    }

    /** A picture's rows, or its pixels where the model reads one a step. Ink is bright, as in MNIST. */
    private static SequenceFile picture(String source, int rows, int columns, int features, byte[] pixels, int index)
            throws DataException {
        if (features != 1 && features != columns) {
            throw new DataException(source + " should have pictures " + features
                    + " pixels wide, as the model was trained with, but they are " + columns + " wide: scale them");
        }
        float[] values = new float[rows * columns];
        for (int k = 0; k < values.length; k++) {
            values[k] = (pixels[index * values.length + k] & 0xff) / FULL_INK;
        }
        return new SequenceFile(values.length / features, values);
    }

    private static SequenceFile decoded(String source, int features, byte[] bytes) throws IOException {
        BufferedImage image;
        try (ImageInputStream stream = ImageIO.createImageInputStream(new ByteArrayInputStream(bytes))) {
            Iterator<ImageReader> readers = ImageIO.getImageReaders(stream);
            if (!readers.hasNext()) {
                throw new DataException(source + " cannot be decoded as a picture: use PNG, GIF, BMP or JPEG");
            }
            ImageReader reader = readers.next();
            try {
                reader.setInput(stream);
                // Before decoding: a few bytes may claim any size.
                requireSide(source, "wide", reader.getWidth(0));
                requireSide(source, "high", reader.getHeight(0));
                image = reader.read(0);
            } finally {
                reader.dispose();
            }
        } catch (DataException e) {
            throw e;
        } catch (IOException | RuntimeException e) {
            throw new DataException(
                    source + " cannot be decoded as a picture: it is damaged; make or copy it again", e);
        }
        BufferedImage grey = new BufferedImage(image.getWidth(), image.getHeight(), BufferedImage.TYPE_INT_RGB);
        Graphics2D pen = grey.createGraphics();
        pen.drawImage(image, 0, 0, null);
        pen.dispose();
        Raster raster = grey.getRaster();
        byte[] pixels = new byte[image.getWidth() * image.getHeight()];
        int[] colour = new int[3];
        for (int k = 0; k < pixels.length; k++) {
            raster.getPixel(k % image.getWidth(), k / image.getWidth(), colour);
            // The weights of ITU-R BT.601, in thousandths; equal channels come out unchanged.
            pixels[k] = (byte) ((299 * colour[0] + 587 * colour[1] + 114 * colour[2] + 500) / 1000);
        }
        return picture(source, image.getHeight(), image.getWidth(), features, pixels, 0);
    }

    private static void requireSide(String source, String which, int pixels) throws DataException {
        if (pixels > IdxReader.MAX_SIDE) {
            throw new DataException(source + " should be at most " + IdxReader.MAX_SIDE + " pixels " + which
                    + " but is " + pixels + ": scale it to the size the model was trained with");
        }
    }

    private static List<SequenceFile> text(String source, byte[] bytes, int features, boolean pixels)
            throws DataException {
        String text;
        try {
            text = StandardCharsets.UTF_8
                    .newDecoder()
                    .decode(ByteBuffer.wrap(bytes))
                    .toString();
        } catch (CharacterCodingException e) {
            throw new DataException(source + " is neither a picture nor text: give numbers, one time step a line", e);
        }
        if (text.startsWith("\uFEFF")) {
            // Windows' editors put a byte order mark before the text.
            text = text.substring(1);
        }
        List<SequenceFile> sequences = new ArrayList<>();
        List<float[]> steps = new ArrayList<>();
        int number = 0;
        for (String line : text.split("\\R", -1)) {
            number++;
            if (line.isBlank()) {
                add(sequences, steps, features);
            } else {
                steps.add(step(source, number, line.strip(), features, pixels));
            }
        }
        add(sequences, steps, features);
        if (sequences.isEmpty()) {
            throw new DataException(source + " holds no numbers: give one time step a line");
        }
        return sequences;
    }

    private static void add(List<SequenceFile> sequences, List<float[]> steps, int features) {
        if (steps.isEmpty()) {
            return;
        }
        float[] values = new float[steps.size() * features];
        for (int t = 0; t < steps.size(); t++) {
            System.arraycopy(steps.get(t), 0, values, t * features, features);
        }
        sequences.add(new SequenceFile(steps.size(), values));
        steps.clear();
    }

    /** The numbers of one line. */
    static float[] step(String source, int number, String line, int features, boolean pixels) throws DataException {
        String[] fields = line.split("\\s*[,;]\\s*|\\s+");
        if (fields.length != features) {
            throw new DataException(source + ", line " + number + ": a time step should have " + features
                    + " numbers but has " + fields.length);
        }
        float[] values = new float[features];
        for (int k = 0; k < features; k++) {
            try {
                values[k] = Float.parseFloat(fields[k]);
            } catch (NumberFormatException e) {
                String shown = fields[k].length() > 40 ? fields[k].substring(0, 40) + "..." : fields[k];
                throw new DataException(source + ", line " + number + ": '" + shown + "' is not a number", e);
            }
            if (!Float.isFinite(values[k]) || pixels && (values[k] < 0 || values[k] > FULL_INK)) {
                throw new DataException(source + ", line " + number + ": a number should be "
                        + (pixels ? "a pixel in the [0, 255] range" : "finite") + " but is " + fields[k]);
            }
            if (pixels) {
                values[k] /= FULL_INK;
            }
        }
        return values;
    }
}
