package carousel.engine.vector;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import carousel.engine.RandomSequence;
import java.util.List;
import org.junit.jupiter.api.Test;

class ProductsTest {
    private static final int[][] SIZES = {{1, 1, 1}, {2, 3, 5}, {3, 8, 16}, {4, 9, 33}, {7, 17, 513}, {16, 31, 1100}};

    private final RandomSequence random = new RandomSequence(11, 0, 0);

    @Test
    void productIsThatOfAPlainLoop() {
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
            float[][] c = draw(rows, columns);
            float[][] expected = new float[rows][];
            for (int r = 0; r < rows; r++) {
                expected[r] = c[r].clone();
                for (int j = 0; j < columns; j++) {
                    for (int k = 0; k < depth; k++) {
                        expected[r][j] = Math.fma(a[first[r] + k], b[k][j], expected[r][j]);
                    }
                }
            }
            Products.add(a, first, b, depth, c, rows, columns);
            for (int r = 0; r < rows; r++) {
                assertArrayEquals(expected[r], c[r], "row " + r + " of " + rows);
            }
        }
    }

    @Test
    void weightGradientIsThatOfAPlainLoop() {
        for (int[] size : new int[][] {{1, 1, 1, 0}, {70, 5, 33, 9}, {33, 90, 300, 33}, {5, 300, 2, 2}}) {
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
            OuterProducts products = new OuterProducts();
            products.add(terms, aColumns, bColumns, plain, 2, false);
            products.add(terms, aColumns, bColumns, transposed, 2, true);
            try (Workers workers = new Workers(2)) {
                products.run(workers, new WorkerBuffers[] {new WorkerBuffers(true), new WorkerBuffers(true)});
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
