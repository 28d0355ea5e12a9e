package carousel.format;

import java.io.IOException;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * Line charts as PNG pictures. Drawing needs the optional library XChart and the JDK's module {@code java.desktop} with
 * fonts; where one of them is missing nothing is drawn, the reason comes back as a sentence, and the program goes on.
 */
public final class Charts {
    private Charts() {}

    /**
     * A named curve: one point per element of {@code x} and {@code y}, which are equally long. Points are left out
     * that are not a number, larger in size than 1e300, or not above zero on a logarithmic axis; a curve may be empty.
     */
    public record Curve(String name, double[] x, double[] y) {
        public Curve {
            if (x.length != y.length) {
                throw new IllegalArgumentException(
                        "the curve '" + name + "' should have as many x as y but got " + x.length + " and " + y.length);
            }
        }
    }

    /**
     * A chart with its axes' labels. The names of its curves, shown in the legend, differ from each other.
     *
     * @param logarithmic whether the y axis is
     */
    public record Chart(String title, String xLabel, String yLabel, boolean logarithmic, List<Curve> curves) {
        public Chart {
            curves = List.copyOf(curves);
            Set<String> names = new HashSet<>();
            for (Curve curve : curves) {
                if (!names.add(curve.name())) {
                    throw new IllegalArgumentException(
                            "the chart '" + title + "' has two curves with the name '" + curve.name() + "'");
                }
            }
        }
    }

    /**
     * The picture of a training run: the loss above the accuracy, each for training and validation.
     *
     * @param xLabel what is counted, for instance "Step" or "Epoch"
     * @param trainingAccuracy and {@code validationAccuracy} are fractions of 1; when both are empty only the loss is
     *     drawn
     * @return the reason why nothing was written, in one sentence, or empty when the picture was written
     * @throws IOException when the file cannot be written
     */
    public static Optional<String> writeLearningCurves(
            Path file,
            String xLabel,
            Points trainingLoss,
            Points validationLoss,
            Points trainingAccuracy,
            Points validationAccuracy)
            throws IOException {
        return write(file, learningCurves(xLabel, trainingLoss, validationLoss, trainingAccuracy, validationAccuracy));
    }

    /** The charts of that picture. */
    public static List<Chart> learningCurves(
            String xLabel,
            Points trainingLoss,
            Points validationLoss,
            Points trainingAccuracy,
            Points validationAccuracy) {
        Chart loss = learningCurve("Loss", xLabel, trainingLoss, validationLoss);
        if (trainingAccuracy.x().length == 0 && validationAccuracy.x().length == 0) {
            return List.of(loss);
        }
        return List.of(loss, learningCurve("Accuracy", xLabel, trainingAccuracy, validationAccuracy));
    }

    /** The points of a curve whose name and place are given by where they are passed. */
    public record Points(double[] x, double[] y) {
        public static final Points NONE = new Points(new double[0], new double[0]);
    }

    private static Chart learningCurve(String what, String xLabel, Points training, Points validation) {
        return new Chart(
                what,
                xLabel,
                what,
                false,
                List.of(
                        new Curve("Training", training.x(), training.y()),
                        new Curve("Validation", validation.x(), validation.y())));
    }

    /**
     * Draws charts, one below the other, into one picture.
     *
     * @return the reason why nothing was written, in one sentence, or empty when the picture was written
     * @throws IOException when the file cannot be written
     */
    public static Optional<String> write(Path file, List<Chart> charts) throws IOException {
        Drawing drawing = draw(charts);
        if (drawing.png() == null) {
            return Optional.of("'" + file + "' was not drawn: " + drawing.reason());
        }
        AtomicFile.write(file, drawing.png());
        return Optional.empty();
    }

    /**
     * What came of drawing.
     *
     * @param png the picture, or null
     * @param reason why there is none, as the end of a sentence, or null
     */
    public record Drawing(byte[] png, String reason) {}

    /** Draws charts, one below the other, into one picture. */
    public static Drawing draw(List<Chart> charts) {
        try {
            return new Drawing(ChartPainter.png(charts), null);
        } catch (RuntimeException | Error failure) {
            // A JDK without a font configuration fails in more ways than one: InternalError, UnsatisfiedLinkError,
            // NullPointerException, and NoClassDefFoundError from the second attempt on.
            if (failure instanceof VirtualMachineError && !(failure instanceof InternalError)) {
                throw failure;
            }
            return new Drawing(null, reason(failure));
        }
    }

    private static String reason(Throwable failure) {
        String what = String.valueOf(failure.getMessage());
        if (failure instanceof NoClassDefFoundError && what.startsWith("org/knowm/xchart")) {
            return "the library XChart is missing; add org.knowm.xchart:xchart to the class path";
        }
        if (failure instanceof NoClassDefFoundError
                && (what.startsWith("java/awt") || what.startsWith("javax/imageio"))) {
            return "this JDK lacks the module java.desktop; use one that has it";
        }
        Throwable root = failure;
        while (root.getCause() != null) {
            root = root.getCause();
        }
        return "the JDK cannot draw here (" + oneLine(root)
                + "); where fonts are missing, install fontconfig and a font such as fonts-dejavu-core";
    }

    private static String oneLine(Throwable failure) {
        return failure.toString().strip().replaceAll("\\s*\\R\\s*", " ");
    }
}
