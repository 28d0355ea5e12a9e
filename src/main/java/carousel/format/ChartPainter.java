package carousel.format;

import java.awt.BasicStroke;
import java.awt.Color;
import java.awt.Font;
import java.awt.Graphics2D;
import java.awt.RenderingHints;
import java.awt.image.BufferedImage;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.math.BigDecimal;
import java.math.MathContext;
import java.util.List;
import java.util.Locale;
import java.util.stream.DoubleStream;
import java.util.stream.IntStream;
import javax.imageio.ImageIO;
import javax.imageio.stream.MemoryCacheImageOutputStream;
import org.knowm.xchart.XYChart;
import org.knowm.xchart.XYChartBuilder;
import org.knowm.xchart.XYSeries;
import org.knowm.xchart.style.Styler.LegendLayout;
import org.knowm.xchart.style.Styler.LegendPosition;
import org.knowm.xchart.style.XYStyler;
import org.knowm.xchart.style.markers.SeriesMarkers;

/** The only class that touches XChart and java.desktop, so that {@link Charts} loads without either. */
final class ChartPainter {
    private static final int WIDTH = 1000;
    private static final int HEIGHT = 480;
    /** With fewer points than this each is marked: a single one would not show as a line. */
    private static final int FEW_POINTS = 25;

    /** Beyond it the distance between two points may overflow. */
    private static final double LARGEST = 1e300;

    private static final Color TEXT = new Color(0x33, 0x33, 0x33);
    private static final Color GRID = new Color(0xE3, 0xE3, 0xE3);

    /** Okabe and Ito's palette, which people with colour blindness can tell apart, without its yellow. */
    private static final Color[] PALETTE = {
        new Color(0x00, 0x72, 0xB2),
        new Color(0xD5, 0x5E, 0x00),
        new Color(0x00, 0x9E, 0x73),
        new Color(0xCC, 0x79, 0xA7),
        new Color(0xE6, 0x9F, 0x00),
        new Color(0x56, 0xB4, 0xE9),
        new Color(0x00, 0x00, 0x00),
    };

    private ChartPainter() {}

    static byte[] png(List<Charts.Chart> charts) {
        BufferedImage image = new BufferedImage(WIDTH, HEIGHT * Math.max(1, charts.size()), BufferedImage.TYPE_INT_RGB);
        Graphics2D graphics = image.createGraphics();
        try {
            graphics.setColor(Color.WHITE);
            graphics.fillRect(0, 0, image.getWidth(), image.getHeight());
            graphics.setRenderingHint(RenderingHints.KEY_TEXT_ANTIALIASING, RenderingHints.VALUE_TEXT_ANTIALIAS_ON);
            for (Charts.Chart chart : charts) {
                paint(chart, (Graphics2D) graphics.create(0, 0, WIDTH, HEIGHT));
                graphics.translate(0, HEIGHT);
            }
        } finally {
            graphics.dispose();
        }
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (MemoryCacheImageOutputStream out = new MemoryCacheImageOutputStream(bytes)) {
            if (!ImageIO.write(image, "png", out)) {
                throw new IllegalStateException("no PNG encoder");
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return bytes.toByteArray();
    }

    private static void paint(Charts.Chart chart, Graphics2D graphics) {
        XYChart painted = new XYChartBuilder()
                .width(WIDTH)
                .height(HEIGHT)
                .title(chart.title())
                .xAxisTitle(chart.xLabel())
                .yAxisTitle(chart.yLabel())
                .build();
        style(painted.getStyler());
        boolean whole = true;
        double first = Double.POSITIVE_INFINITY;
        double last = Double.NEGATIVE_INFINITY;
        for (Charts.Curve curve : chart.curves()) {
            int[] shown = IntStream.range(0, curve.x().length)
                    .filter(k -> Math.abs(curve.x()[k]) <= LARGEST
                            && Math.abs(curve.y()[k]) <= LARGEST
                            && (!chart.logarithmic() || curve.y()[k] > 0))
                    .toArray();
            if (shown.length == 0) {
                continue;
            }
            double[] x = IntStream.of(shown).mapToDouble(k -> curve.x()[k]).toArray();
            double[] y = IntStream.of(shown)
                    .mapToDouble(k -> chart.logarithmic() ? Math.log10(curve.y()[k]) : curve.y()[k])
                    .toArray();
            XYSeries series = painted.addSeries(curve.name(), x, y);
            series.setMarker(shown.length < FEW_POINTS ? SeriesMarkers.CIRCLE : SeriesMarkers.NONE);
            whole &= DoubleStream.of(x).allMatch(value -> value == Math.rint(value));
            first = Math.min(first, DoubleStream.of(x).min().getAsDouble());
            last = Math.max(last, DoubleStream.of(x).max().getAsDouble());
        }
        if (whole) {
            // No ticks at 1.2 and 1.4 epochs.
            painted.getStyler().setXAxisDecimalPattern("#,##0");
        }
        if (first < last) {
            // The library puts the ticks of evenly spaced curves at their points, for instance at the steps
            // 20, 520, 1020. Ends that the spacing does not reach make it choose round numbers.
            double margin = 0.001 * (last - first);
            painted.getStyler().setXAxisMin(first - margin);
            painted.getStyler().setXAxisMax(last + 2 * margin);
        }
        if (chart.logarithmic()) {
            // The library's own logarithmic axis draws ten lines a decade, too many for gradients that vanish
            // over dozens of decades.
            painted.getStyler().setyAxisTickLabelsFormattingFunction(ChartPainter::powerOfTen);
        }
        painted.getStyler().setLegendVisible(!painted.getSeriesMap().isEmpty());
        painted.paint(graphics, WIDTH, HEIGHT);
        graphics.dispose();
    }

    private static String powerOfTen(double exponent) {
        double value = Math.pow(10, exponent);
        if (Math.abs(exponent) <= 4) {
            return new BigDecimal(value, new MathContext(2))
                    .stripTrailingZeros()
                    .toPlainString();
        }
        // 1.0e-06 becomes 1e-6.
        return String.format(Locale.ROOT, "%.1e", value).replace(".0e", "e").replaceFirst("e\\+?(-?)0?", "e$1");
    }

    private static void style(XYStyler styler) {
        Font text = new Font(Font.SANS_SERIF, Font.PLAIN, 15);
        styler.setLocale(Locale.ROOT);
        styler.setBaseFont(text);
        styler.setChartTitleFont(text.deriveFont(Font.BOLD, 19f));
        styler.setAxisTitleFont(text.deriveFont(16f));
        styler.setAxisTickLabelsFont(text.deriveFont(14f));
        styler.setLegendFont(text);
        styler.setChartFontColor(TEXT);
        styler.setAxisTickLabelsColor(TEXT);
        styler.setChartBackgroundColor(Color.WHITE);
        styler.setPlotBackgroundColor(Color.WHITE);
        styler.setPlotBorderVisible(false);
        styler.setPlotGridLinesColor(GRID);
        styler.setPlotGridLinesStroke(new BasicStroke(1f));
        styler.setChartTitleBoxVisible(false);
        styler.setChartPadding(16);
        styler.setLegendPosition(LegendPosition.OutsideS);
        styler.setLegendLayout(LegendLayout.Horizontal);
        styler.setLegendBorderColor(Color.WHITE);
        styler.setSeriesColors(PALETTE);
        styler.setXAxisTickMarkSpacingHint(110);
        styler.setYAxisTickMarkSpacingHint(45);
        styler.setMarkerSize(7);
        styler.setAntiAlias(true);
    }
}
