package carousel.engine.vector;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import carousel.engine.RandomSequence;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class ProductsTest {
    private static final int[][] SIZES = {
        {1, 1, 1}, {2, 3, 5}, {3, 8, 16}, {4, 9, 33}, {5, 2, 64}, {6, 1, 65}, {7, 17, 513}, {11, 40, 63}, {16, 31, 1100}
    };

    /** The compiler's kernels, and where the JVM has their module those on the Vector API. */
    private static Stream<Kernels> kernels() {
        return Stream.of(new LoopKernels(), Kernels.best());
    }

    private final RandomSequence random = new RandomSequence(11, 0, 0);

    @ParameterizedTest
    @MethodSource("kernels")
    void productIsThatOfAPlainLoopToTheBit(Kernels kernels) {
        for (int[] size : SIZES) {
            int rows = size[0];
            int depth = size[1];
            int columns = size[2];
            float[] a = draw(rows * (depth + 2) + 3);
            int[] first = new int[rows];
            for (int r = 0; r < rows; r++) {
                first[r] = 3 + (rows - 1 - r) * (depth + 2);
            }
            float[][] b = draw(depth, columns);
            float[][] c = new RowBuffer(true).rows(rows, columns);
            float[][] expected = new float[rows][];
            Panel panel = kernels.panel(true);
            panel.reshape(depth + 1, columns);
            for (int k = 0; k < depth; k++) {
                panel.setRow(k, b[k], 0);
            }
            for (int r = 0; r < rows; r++) {
                expected[r] = draw(columns);
                System.arraycopy(expected[r], 0, c[r], 0, columns);
                for (int j = 0; j < columns; j++) {
                    for (int k = 0; k < depth; k++) {
                        expected[r][j] = Math.fma(a[first[r] + k], b[k][j], expected[r][j]);
                    }
                }
            }
            kernels.product(a, first, panel, depth, c, rows);
            for (int r = 0; r < rows; r++) {
                assertArrayEquals(expected[r], Arrays.copyOf(c[r], columns), "row " + r + " of " + rows);
            }
        }
    }

    @ParameterizedTest
    @MethodSource("kernels")
    void transposedPanelsGiveTheSameProduct(Kernels kernels) {
        int above = 3;
        int depth = 37;
        int columns = 70;
        float[] matrix = draw(2 + columns * depth);
        Panel transposed = kernels.panel(true);
        transposed.reshape(above + depth, columns);
        for (int k = 0; k < above; k++) {
            transposed.setRow(k, new float[columns], 0);
        }
        for (int strip = 0; strip < Panel.strips(depth); strip++) {
            transposed.transposeStrip(matrix, 2, depth, strip, above);
        }
        float[] across = new float[depth * columns];
        for (int k = 0; k < depth; k++) {
            for (int j = 0; j < columns; j++) {
                across[k * columns + j] = matrix[2 + j * depth + k];
            }
        }
        Panel copied = kernels.panel(true);
        copied.reshape(depth, columns);
        copied.copy(across, 0, depth);
        float[] a = draw(above + depth);
        float[][] expected = new RowBuffer(false).rows(1, columns);
        float[][] actual = new RowBuffer(false).rows(1, columns);
        kernels.product(a, new int[] {above}, copied, depth, expected, 1);
        kernels.product(a, new int[] {0}, transposed, above + depth, actual, 1);
        assertArrayEquals(Arrays.copyOf(expected[0], columns), Arrays.copyOf(actual[0], columns));
    }

    @ParameterizedTest
    @MethodSource("kernels")
    void weightGradientIsThatOfAPlainLoop(Kernels kernels) {
        for (int[] size :
                new int[][] {{1, 1, 1, 0}, {70, 5, 33, 9}, {33, 90, 300, 33}, {5, 300, 2, 2}, {300, 9, 70, 140}}) {
            int rows = size[0];
            int aColumns = size[1];
            int bColumns = size[2];
            int part = size[3];
            float[] a = draw(rows * aColumns);
            float[] b = draw(rows * bColumns);
            int[] aRows = new int[rows];
            int[] bRows = new int[rows];
            for (int m = 0; m < rows; m++) {
                aRows[m] = (rows - 1 - m) * aColumns;
                bRows[m] = m * bColumns;
            }
            OuterProducts.Operand left = new OuterProducts.Operand(a, aRows);
            OuterProducts.Operand right = new OuterProducts.Operand(b, bRows);
            List<OuterProducts.Terms> terms = List.of(
                    new OuterProducts.Terms(left, right, 0, part), new OuterProducts.Terms(left, right, part, rows));
            float[] before = draw(aColumns * bColumns + 4);
            float[] plain = before.clone();
            float[] transposed = before.clone();
            OuterProducts products = new OuterProducts(kernels);
            products.add(terms, aColumns, bColumns, plain, 2, false);
            products.add(terms, aColumns, bColumns, transposed, 2, true);
            try (Workers workers = new Workers(2)) {
                products.run(
                        workers,
                        new WorkerBuffers[] {new WorkerBuffers(kernels, true), new WorkerBuffers(kernels, true)});
            }
            for (int i = 0; i < aColumns; i++) {
                for (int j = 0; j < bColumns; j++) {
                    double sum = 0;
                    for (int m = 0; m < rows; m++) {
                        sum += (double) a[aRows[m] + i] * b[bRows[m] + j];
                    }
                    int at = 2 + i * bColumns + j;
                    int across = 2 + j * aColumns + i;
                    assertEquals(before[at] + sum, plain[at], 1e-4);
                    assertEquals(before[across] + sum, transposed[across], 1e-4);
                }
            }
            for (int outside : new int[] {0, 1, aColumns * bColumns + 2, aColumns * bColumns + 3}) {
                assertEquals(before[outside], plain[outside]);
                assertEquals(before[outside], transposed[outside]);
            }
        }
    }

    private float[] draw(int count) {
        float[] values = new float[count];
        for (int k = 0; k < count; k++) {
            values[k] = (float) random.uniform(-1, 1);
        }
        return values;
    }

    private float[][] draw(int rows, int columns) {
        float[][] values = new float[rows][];
        for (int r = 0; r < rows; r++) {
            values[r] = draw(columns);
        }
        return values;
    }
}
