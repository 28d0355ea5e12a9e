package carousel.data;

import carousel.data.DigitStyles.Stroke;
import carousel.engine.RandomSequence;
import java.util.List;

/**
 * Draws one digit. Everything about it is random: the style, each point of its strokes, its size, slant, rotation and place,
 * the pen's width, softness and darkness, a stray mark and the grain of the paper. Only {@code + - * /}, square roots and
 * {@link StrictMath} are used, so that a picture has the same bytes everywhere.
 */
final class DigitPen {
    private static final int SIDE = DrawnDigits.SIDE;
    /** Straight pieces that a bend between two points is drawn with. */
    private static final int PIECES = 6;

    private static final double POINT_JITTER = 0.04;
    private static final double MIN_HEIGHT = 14;
    private static final double MAX_HEIGHT = 20;
    private static final double MIN_ASPECT = 0.55;
    private static final double MAX_ASPECT = 0.9;
    private static final double MAX_ROTATION = 0.35;
    private static final double MAX_SHEAR = 0.35;
    /** How much of the free space around the digit its place may use. */
    private static final double FREEDOM = 0.6;

    private static final double MIN_HALF_WIDTH = 0.6;
    private static final double MAX_HALF_WIDTH = 1.5;
    private static final double MIN_SOFTNESS = 0.8;
    private static final double MAX_SOFTNESS = 1.6;
    private static final double MIN_INK = 0.6;
    private static final double STRAY_CHANCE = 0.35;
    private static final double MAX_STRAY_LENGTH = 7;
    private static final double MAX_GRAIN = 0.12;

    private final RandomSequence random;
    private final double[] ink = new double[SIDE * SIDE];
    private double halfWidth;
    private double softness;

    DigitPen(RandomSequence random) {
        this.random = random;
    }

    /** Draws a digit into the {@code SIDE * SIDE} pixels from {@code start} on. */
    void draw(int digit, byte[] pixels, int start) {
        List<List<Stroke>> styles = DigitStyles.of(digit);
        List<Stroke> style = styles.get(random.nextInt(styles.size()));
        halfWidth = random.uniform(MIN_HALF_WIDTH, MAX_HALF_WIDTH);
        softness = random.uniform(MIN_SOFTNESS, MAX_SOFTNESS);
        double[][] paths = place(jitter(style));
        for (int stroke = 0; stroke < paths.length; stroke++) {
            path(style.get(stroke).smooth(), paths[stroke]);
        }
        if (random.nextDouble() < STRAY_CHANCE) {
            strayMark();
        }
        develop(pixels, start);
    }

    private double[][] jitter(List<Stroke> style) {
        double[][] paths = new double[style.size()][];
        for (int stroke = 0; stroke < paths.length; stroke++) {
            paths[stroke] = style.get(stroke).points().clone();
            for (int k = 0; k < paths[stroke].length; k++) {
                paths[stroke][k] += POINT_JITTER * random.nextGaussian();
            }
        }
        return paths;
    }

    /** From the unit box to pixels: scaled, slanted, rotated, and put anywhere that holds the whole digit. */
    private double[][] place(double[][] paths) {
        double height = random.uniform(MIN_HEIGHT, MAX_HEIGHT);
        double width = height * random.uniform(MIN_ASPECT, MAX_ASPECT);
        double shear = random.uniform(-MAX_SHEAR, MAX_SHEAR);
        double angle = random.uniform(-MAX_ROTATION, MAX_ROTATION);
        double cosine = StrictMath.cos(angle);
        double sine = StrictMath.sin(angle);
        double left = Double.POSITIVE_INFINITY;
        double right = Double.NEGATIVE_INFINITY;
        double top = Double.POSITIVE_INFINITY;
        double bottom = Double.NEGATIVE_INFINITY;
        for (double[] path : paths) {
            for (int k = 0; k < path.length; k += 2) {
                double y = height * (path[k + 1] - 0.5);
                double x = width * (path[k] - 0.5) - shear * y;
                path[k] = cosine * x - sine * y;
                path[k + 1] = sine * x + cosine * y;
                left = Math.min(left, path[k]);
                right = Math.max(right, path[k]);
                top = Math.min(top, path[k + 1]);
                bottom = Math.max(bottom, path[k + 1]);
            }
        }
        double moveX = moveIntoView(left, right);
        double moveY = moveIntoView(top, bottom);
        for (double[] path : paths) {
            for (int k = 0; k < path.length; k += 2) {
                path[k] += moveX;
                path[k + 1] += moveY;
            }
        }
        return paths;
    }

    private double moveIntoView(double least, double most) {
        double margin = 1 + halfWidth;
        double free = Math.max(0, SIDE - (most - least) - 2 * margin);
        double centred = (SIDE - least - most) / 2;
        return centred + FREEDOM * free * random.uniform(-0.5, 0.5);
    }

    private void path(boolean smooth, double[] points) {
        int count = points.length / 2;
        double x = points[0];
        double y = points[1];
        int pieces = smooth ? PIECES : 1;
        for (int span = 0; span < count - 1; span++) {
            for (int piece = 1; piece <= pieces; piece++) {
                double u = (double) piece / pieces;
                double nextX = smooth ? catmullRom(points, 0, span, u) : points[2 * span + 2];
                double nextY = smooth ? catmullRom(points, 1, span, u) : points[2 * span + 3];
                segment(x, y, nextX, nextY);
                x = nextX;
                y = nextY;
            }
        }
    }

    /** One coordinate at {@code u} in [0, 1] between two points of a uniform Catmull-Rom spline with doubled ends. */
    private static double catmullRom(double[] points, int coordinate, int span, double u) {
        int last = points.length / 2 - 1;
        double before = points[2 * Math.max(0, span - 1) + coordinate];
        double from = points[2 * span + coordinate];
        double to = points[2 * (span + 1) + coordinate];
        double after = points[2 * Math.min(last, span + 2) + coordinate];
        return from
                + 0.5
                        * u
                        * (to
                                - before
                                + u
                                        * (2 * before
                                                - 5 * from
                                                + 4 * to
                                                - after
                                                + u * (3 * (from - to) + after - before)));
    }

    /** Inks the pixels near a straight piece: fully inside the pen's width, less and less over its soft edge. */
    private void segment(double x0, double y0, double x1, double y1) {
        double reach = halfWidth + softness;
        double dx = x1 - x0;
        double dy = y1 - y0;
        double square = Math.max(dx * dx + dy * dy, 1e-12);
        int top = clip((int) (Math.min(y0, y1) - reach));
        int bottom = clip((int) (Math.max(y0, y1) + reach));
        int left = clip((int) (Math.min(x0, x1) - reach));
        int right = clip((int) (Math.max(x0, x1) + reach));
        for (int row = top; row <= bottom; row++) {
            double py = row + 0.5 - y0;
            for (int column = left; column <= right; column++) {
                double px = column + 0.5 - x0;
                double along = Math.max(0, Math.min(1, (px * dx + py * dy) / square));
                double ex = px - along * dx;
                double ey = py - along * dy;
                double distance = Math.sqrt(ex * ex + ey * ey);
                double coverage = Math.min(1, (halfWidth - distance) / softness + 0.5);
                ink[row * SIDE + column] = Math.max(ink[row * SIDE + column], coverage);
            }
        }
    }

    private static int clip(int pixel) {
        return Math.max(0, Math.min(SIDE - 1, pixel));
    }

    /** A short dash somewhere that means nothing. */
    private void strayMark() {
        double x = random.uniform(0, SIDE);
        double y = random.uniform(0, SIDE);
        halfWidth = MIN_HALF_WIDTH;
        segment(
                x,
                y,
                x + random.uniform(-MAX_STRAY_LENGTH, MAX_STRAY_LENGTH),
                y + random.uniform(-MAX_STRAY_LENGTH, MAX_STRAY_LENGTH));
    }

    private void develop(byte[] pixels, int start) {
        double darkness = random.uniform(MIN_INK, 1);
        double grain = random.uniform(0, MAX_GRAIN);
        for (int k = 0; k < ink.length; k++) {
            double value = darkness * ink[k] + grain * random.uniform(-1, 1);
            pixels[start + k] = (byte) (255 * Math.max(0, Math.min(1, value)) + 0.5);
        }
    }
}
