package carousel.format;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.format.Charts.Chart;
import carousel.format.Charts.Curve;
import carousel.format.Charts.Points;
import java.awt.image.BufferedImage;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.stream.IntStream;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Needs fonts, as every JDK for a desktop and most for servers find them. */
class ChartsTest {
    private static final int BLUE = 0x0072B2;
    private static final int ORANGE = 0xD55E00;

    @TempDir
    Path folder;

    @Test
    void drawsEveryCurveInItsColour() throws IOException {
        Chart chart = chart(false, line("a", 100), new Curve("b", range(100), filled(100, 7)));
        Set<Integer> colours = colours(draw(chart));
        assertTrue(colours.contains(BLUE) && colours.contains(ORANGE));
    }

    @Test
    void learningCurvesAreOneChartAboveTheOther() throws IOException {
        Path file = folder.resolve("curves.png");
        Points points = new Points(range(50), range(50));
        assertEquals(Optional.empty(), Charts.writeLearningCurves(file, "Step", points, points, points, points));
        BufferedImage both = ImageIO.read(file.toFile());
        assertEquals(
                Optional.empty(), Charts.writeLearningCurves(file, "Step", points, points, Points.NONE, Points.NONE));
        BufferedImage one = ImageIO.read(file.toFile());
        assertEquals(2 * one.getHeight(), both.getHeight());
        assertTrue(colours(both.getSubimage(0, one.getHeight(), one.getWidth(), one.getHeight()))
                .contains(ORANGE));
    }

    @Test
    void pointsThatHaveNoPlaceAreLeftOut() throws IOException {
        double[] x = range(6);
        double[] y = {1, Double.NaN, Double.POSITIVE_INFINITY, 0, -5, 2};
        double[] noPlace = {Double.NaN, 1, 2, 3, Double.NEGATIVE_INFINITY, 5};
        assertTrue(colours(draw(chart(true, new Curve("a", x, y)))).contains(BLUE));
        assertTrue(colours(draw(chart(false, new Curve("a", noPlace, y)))).contains(BLUE));
        BufferedImage nothing = draw(chart(false, new Curve("a", new double[0], new double[0])));
        assertFalse(colours(nothing).contains(BLUE));
        assertSamePixels(nothing, draw(chart(false, new Curve("a", x, filled(6, Double.NaN)))));
        assertFalse(colours(draw(chart(true, new Curve("a", x, filled(6, -1))))).contains(BLUE));
    }

    @Test
    void extremesAreDrawn() throws IOException {
        for (boolean logarithmic : new boolean[] {false, true}) {
            draw(chart(logarithmic));
            draw(chart(logarithmic, new Curve("one", filled(1, 3), filled(1, 3))));
            draw(chart(logarithmic, new Curve("flat", range(50), filled(50, 1e-3))));
            draw(chart(logarithmic, new Curve("zero", range(50), filled(50, 0))));
            draw(chart(logarithmic, new Curve("least", range(50), filled(50, Double.MIN_VALUE))));
            draw(chart(
                    logarithmic,
                    new Curve("far", range(2), new double[] {Double.MIN_VALUE, Double.MAX_VALUE}),
                    new Curve("wide", new double[] {-Double.MAX_VALUE, Double.MAX_VALUE}, range(2))));
        }
    }

    @Test
    void drawsTheSamePictureTwice() throws IOException {
        assertSamePixels(draw(chart(true, line("a", 30))), draw(chart(true, line("a", 30))));
    }

    @Test
    void refusesWhatIsNoChart() {
        assertEquals(
                "the curve 'a' should have as many x as y but got 1 and 2",
                assertThrows(IllegalArgumentException.class, () -> new Curve("a", new double[1], new double[2]))
                        .getMessage());
        assertThrows(IllegalArgumentException.class, () -> chart(false, line("a", 1), line("a", 2)));
    }

    @Test
    void aFileThatCannotBeWrittenIsAnError() throws IOException {
        Path file = Files.write(folder.resolve("file"), new byte[1]).resolve("curves.png");
        IOException failure =
                assertThrows(IOException.class, () -> Charts.write(file, List.of(chart(false, line("a", 3)))));
        assertTrue(failure.getMessage().endsWith("is a file and not a folder"), failure.getMessage());
    }

    @Test
    void withoutTheLibraryTheReasonComesBack() throws Exception {
        assertEquals(
                "'curves.png' was not drawn: the library XChart is missing; add org.knowm.xchart:xchart to the class"
                        + " path",
                drawElsewhere());
    }

    @Test
    void withoutTheDesktopModuleTheReasonComesBack() throws Exception {
        assertEquals(
                "'curves.png' was not drawn: this JDK lacks the module java.desktop; use one that has it",
                drawElsewhere("--limit-modules", "java.base"));
    }

    private String drawElsewhere(String... options) throws Exception {
        Process process = ChildProcess.start(List.of(options), Drawing.class);
        String printed = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertEquals(0, process.waitFor());
        return printed;
    }

    /** Draws and prints why not. */
    static final class Drawing {
        public static void main(String[] arguments) throws IOException {
            Chart chart = new Chart("", "", "", false, List.of());
            String first = Charts.write(Path.of("curves.png"), List.of(chart)).orElse("drawn");
            String second = Charts.write(Path.of("curves.png"), List.of(chart)).orElse("drawn");
            System.out.print(first.equals(second) ? first : first + " and then " + second);
        }
    }

    private BufferedImage draw(Chart chart) throws IOException {
        Path file = folder.resolve("chart.png");
        assertEquals(Optional.empty(), Charts.write(file, List.of(chart)));
        return ImageIO.read(file.toFile());
    }

    private static Chart chart(boolean logarithmic, Curve... curves) {
        return new Chart("Title", "x", "y", logarithmic, List.of(curves));
    }

    private static Curve line(String name, int points) {
        return new Curve(name, range(points), range(points));
    }

    private static double[] range(int size) {
        return IntStream.rangeClosed(1, size).asDoubleStream().toArray();
    }

    private static double[] filled(int size, double value) {
        return IntStream.range(0, size).mapToDouble(k -> value).toArray();
    }

    private static Set<Integer> colours(BufferedImage image) {
        Set<Integer> colours = new HashSet<>();
        for (int pixel : pixels(image)) {
            colours.add(pixel & 0xFF_FFFF);
        }
        return colours;
    }

    private static int[] pixels(BufferedImage image) {
        return image.getRGB(0, 0, image.getWidth(), image.getHeight(), null, 0, image.getWidth());
    }

    private static void assertSamePixels(BufferedImage expected, BufferedImage actual) {
        assertArrayEquals(pixels(expected), pixels(actual));
    }
}
