package carousel.data;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * A folder with the four files of MNIST or of a data set in its form, such as Fashion-MNIST: images and labels for training
 * ({@code train-images-idx3-ubyte}, {@code train-labels-idx1-ubyte}) and for testing ({@code t10k-...}). A dot may stand for
 * the hyphen before {@code idx}, and each file may be compressed with gzip, with {@code .gz} at the end of its name or not.
 *
 * @param training the sequences to learn from
 * @param test the sequences to judge by in the end
 */
public record IdxFiles(ImageDataset training, ImageDataset test) {
    /** The classes that labels must be of: the ten digits, or the ten kinds of clothing. */
    public static final int CLASSES = 10;

    /**
     * Reads all four files.
     *
     * @throws DataException if a file is missing or bad, the numbers of images and labels differ, or the pictures for
     *     training and testing have different sizes
     */
    public static IdxFiles read(Path folder, ImageReading reading) throws DataException {
        if (!Files.isDirectory(folder)) {
            throw new DataException(
                    "the data folder " + folder + (Files.exists(folder) ? " is not a folder" : " does not exist")
                            + ": give the folder that holds the four IDX files, such as train-images-idx3-ubyte.gz");
        }
        Path trainingImages = find(folder, "train-images", "idx3-ubyte");
        Path trainingLabels = find(folder, "train-labels", "idx1-ubyte");
        Path testImages = find(folder, "t10k-images", "idx3-ubyte");
        Path testLabels = find(folder, "t10k-labels", "idx1-ubyte");
        Path folderName = folder.toAbsolutePath().normalize().getFileName();
        String name = folderName == null ? folder.toString() : folderName.toString();
        ImageDataset training = dataset(name + " training", trainingImages, trainingLabels, reading);
        ImageDataset test = dataset(name + " test", testImages, testLabels, reading);
        if (training.rows() != test.rows() || training.columns() != test.columns()) {
            throw new DataException("the images of " + testImages + " should have " + training.rows() + " x "
                    + training.columns() + " pixels like those of " + trainingImages + " but have " + test.rows()
                    + " x "
                    + test.columns() + ": use the files of one data set");
        }
        return new IdxFiles(training, test);
    }

    private static ImageDataset dataset(String name, Path images, Path labels, ImageReading reading)
            throws DataException {
        byte[] classes = IdxReader.labels(labels, CLASSES);
        IdxReader.Images pictures = IdxReader.images(images);
        if (pictures.count() != classes.length) {
            throw new DataException(labels + " should have " + pictures.count() + " labels, one for each image of "
                    + images.getFileName() + ", but has " + classes.length + ": use the files of one data set");
        }
        return new ImageDataset(
                name, pictures.rows(), pictures.columns(), pictures.pixels(), classes, CLASSES, reading);
    }

    private static Path find(Path folder, String stem, String kind) throws DataException {
        List<String> names = new ArrayList<>();
        for (String suffix : List.of("", ".gz")) {
            for (String separator : List.of("-", ".")) {
                names.add(stem + separator + kind + suffix);
            }
        }
        for (String name : names) {
            Path file = folder.resolve(name);
            if (Files.exists(file)) {
                return file;
            }
        }
        throw new DataException("the data folder " + folder + " should have one of " + String.join(", ", names)
                + " but has none: copy or download it there");
    }
}
