package carousel.engine.vector;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.engine.RandomSequence;
import java.util.Arrays;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class KernelsTest {
    private static final float GUARD = 123456.75f;

    /** The compiler's kernels, and where the JVM has their module those on the Vector API. */
    private static Stream<Kernels> kernels() {
        return Stream.of(new LoopKernels(), Kernels.best());
    }

    private final RandomSequence random = new RandomSequence(11, 0, 0);

    @ParameterizedTest
    @MethodSource("kernels")
    void productIsThatOfAPlainLoopToTheBit(Kernels kernels) {
        int lanes = Kernels.LANES;
        int block = 4 * lanes;
        for (int rows = 0; rows <= 20; rows++) {
            for (int width : new int[] {4, 1}) {
                for (int[] range : new int[][] {
                    {0, 1},
                    {0, 5},
                    {3, 4},
                    {block - 1, block + 2},
                    {5, 3 * block - 7},
                    {0, block},
                    {block, 3 * block},
                    {block - 28, 3 * block},
                    {2 * block, 2 * block + 10},
                    {0, block + 5},
                    {block, 2 * block + 7},
                    {3, block}
                }) {
                    int from = range[0];
                    int to = range[1];
                    int columns = width * lanes;
                    // One row more than is asked for in each block, and blocks further apart than they need to be.
                    int pitch = (rows + 1) * block;
                    float[] a = draw(3 + 3 * pitch);
                    int depth = to + 2;
                    float[] b = draw(2 + depth * columns);
                    float[] s = draw(7 + rows * block);
                    for (int sPitch : new int[] {0, block}) {
                        float[] c = new float[5 + rows * block];
                        Arrays.fill(c, GUARD);
                        float[] expected = c.clone();
                        for (int r = 0; r < rows; r++) {
                            for (int j = 0; j < columns; j++) {
                                float sum = s[7 + r * sPitch + j];
                                for (int k = from; k < to; k++) {
                                    sum = Math.fma(
                                            a[3 + k / block * pitch + r * block + k % block],
                                            b[2 + k * columns + j],
                                            sum);
                                }
                                expected[5 + r * block + j] = sum;
                            }
                        }
                        float[] laid = laid(kernels, b, 2, depth, columns);
                        kernels.product(
                                rows,
                                a,
                                3,
                                pitch,
                                from,
                                to,
                                laid,
                                2,
                                depth,
                                width,
                                s,
                                7,
                                sPitch,
                                c,
                                5,
                                1,
                                b.length - 1);
                        assertArrayEquals(expected, c, rows + " rows, width " + width + ", pitch " + sPitch);
                    }
                }
            }
        }
    }

    @ParameterizedTest
    @MethodSource("kernels")
    void productMayAddToWhatIsThere(Kernels kernels) {
        int block = Kernels.BLOCK;
        int terms = 2 * block + 7;
        float[] a = draw(3 * 9 * block);
        float[] b = draw(terms * block);
        float[] start = draw(9 * block);
        float[] once = new float[9 * block];
        kernels.product(9, a, 0, 9 * block, 0, terms, b, 0, terms, 4, start, 0, block, once, 0, 0, 0);
        for (int cut : new int[] {3, block, block + 3, 2 * block}) {
            float[] c = start.clone();
            kernels.product(9, a, 0, 9 * block, 0, cut, b, 0, terms, 4, c, 0, block, c, 0, 0, 0);
            kernels.product(9, a, 0, 9 * block, cut, terms, b, 0, terms, 4, c, 0, block, c, 0, 0, 0);
            assertArrayEquals(once, c, "cut at " + cut);
        }
    }

    @ParameterizedTest
    @MethodSource("kernels")
    void aRowsProductWithSeveralStripsIsThatOfEach(Kernels kernels) {
        int block = Kernels.BLOCK;
        int depth = Kernels.MOST_TERMS + 150;
        float[] a = draw(depth + block);
        for (int strips = 1; strips <= 9; strips++) {
            int pitch = depth * block;
            float[] b = draw(strips * pitch);
            float[] s = draw(strips * 2 * block);
            for (int sPitch : new int[] {block, 2 * block}) {
                float[] expected = new float[strips * block];
                float[] actual = new float[strips * block];
                for (int t = 0; t < strips; t++) {
                    int at = t * block;
                    kernels.product(
                            1, a, 0, block, 7, 150, b, t * pitch, depth, 4, s, t * sPitch, 0, expected, at, 0, 0);
                    kernels.product(
                            1, a, 0, block, 150, depth, b, t * pitch, depth, 4, expected, at, 0, expected, at, 0, 0);
                }
                for (boolean backwards : new boolean[] {false, true}) {
                    Arrays.fill(actual, Float.NaN);
                    kernels.rowProduct(strips, a, 0, block, 7, depth, b, 0, depth, s, 0, sPitch, actual, 0, backwards);
                    assertArrayEquals(expected, actual, strips + " strips, backwards " + backwards);
                }
            }
        }
    }

    @ParameterizedTest
    @MethodSource("kernels")
    void noTermOfTheLongestProductIsLost(Kernels kernels) {
        int block = Kernels.BLOCK;
        int depth = Kernels.MOST_TERMS;
        float[] ones = new float[depth * block];
        Arrays.fill(ones, 1);
        float[] sums = new float[18 * block];
        kernels.product(7, ones, 0, 0, 0, depth, ones, 0, depth, 4, new float[block], 0, 0, sums, 0, 0, 0);
        // In blocks of six and of four, and one column.
        outerProduct(kernels, 11, ones, 11, depth, ones, 0, sums, 7 * block);
        for (float sum : sums) {
            assertEquals(depth, sum);
        }
    }

    /** Rows that lie apart, as those of one sequence's strips do, come out like rows side by side. */
    @ParameterizedTest
    @MethodSource("kernels")
    void cellsDoNotCareHowFarApartTheirRowsLie(Kernels kernels) {
        int block = Kernels.BLOCK;
        int lanes = Kernels.LANES;
        int rows = 3;
        float[] z = draw(rows * block);
        float[] c = draw(rows * lanes);
        float[][] gates = {new float[rows * block], new float[rows * 5 * block]};
        float[][] states = {new float[rows * 2 * lanes], new float[rows * 10 * lanes]};
        float[][] m = {new float[rows * block], new float[rows * lanes]};
        for (int k = 0; k < 2; k++) {
            int pitch = k == 0 ? block : 5 * block;
            int mPitch = k == 0 ? block : lanes;
            kernels.cellForward(
                    rows, z.clone(), 0, c.clone(), 0, 0.4f, gates[k], 0, pitch, states[k], 0, m[k], 0, mPitch);
        }
        for (int r = 0; r < rows; r++) {
            for (int j = 0; j < block; j++) {
                assertEquals(gates[0][r * block + j], gates[1][r * 5 * block + j]);
            }
            for (int j = 0; j < 2 * lanes; j++) {
                assertEquals(states[0][r * 2 * lanes + j], states[1][r * 10 * lanes + j]);
            }
            for (int j = 0; j < lanes; j++) {
                assertEquals(m[0][r * block + j], m[1][r * lanes + j]);
                assertTrue(Math.abs(states[0][r * 2 * lanes + j]) <= 0.4f, "c is limited");
            }
        }
    }

    @ParameterizedTest
    @MethodSource("kernels")
    void outerProductAndRowSumAreThoseOfPlainLoopsToTheBit(Kernels kernels) {
        int block = Kernels.BLOCK;
        for (int columns = 1; columns <= 17; columns++) {
            for (int depth : new int[] {1, 4, 7}) {
                int pitch = columns + 3;
                float[] a = draw(depth * pitch);
                float[] b = draw(5 + depth * block);
                float[] c = draw(1 + columns * block + 4);
                float[] expected = c.clone();
                float[] sums = draw(block + 2);
                float[] plain = sums.clone();
                for (int v = 0; v < block; v++) {
                    for (int m = 0; m < depth; m++) {
                        plain[1 + v] += b[5 + m * block + v];
                        for (int j = 0; j < columns; j++) {
                            int at = 1 + j * block + v;
                            expected[at] = Math.fma(a[m * pitch + j], b[5 + m * block + v], expected[at]);
                        }
                    }
                }
                outerProduct(kernels, columns, a, pitch, depth, b, 5, c, 1);
                assertArrayEquals(expected, c, columns + " columns");
                kernels.rowSum(depth, b, 5, sums, 1);
                assertArrayEquals(plain, sums, "sum of rows");
            }
        }
    }

    /** A strip {@code [depth][columns]} from {@code at} on, in the order in which these kernels want it. */
    private static float[] laid(Kernels kernels, float[] b, int at, int depth, int columns) {
        float[] laid = b.clone();
        int side = Math.min(kernels.side(), columns);
        for (int k = 0; k < depth; k++) {
            for (int j = 0; j < columns; j++) {
                laid[at + (j / side * depth + k) * side + j % side] = b[at + k * columns + j];
            }
        }
        return laid;
    }

    /** With the left factor, whose rows are {@code pitch} apart, in the order in which these kernels want it. */
    private static void outerProduct(
            Kernels kernels, int columns, float[] a, int pitch, int depth, float[] b, int bAt, float[] c, int cAt) {
        float[] room = new float[depth * Kernels.BLOCK];
        Arrays.fill(room, Float.NaN);
        if (kernels.group() == 0) {
            kernels.outerProduct(columns, a, pitch, depth, b, bAt, c, cAt, 0, b.length, room);
            return;
        }
        int groups = (columns + kernels.group() - 1) / kernels.group();
        int size = depth * Kernels.GROUP_PITCH;
        float[] grouped = new float[groups * size];
        float[] row = new float[columns + Kernels.GROUP_PITCH];
        Arrays.fill(row, Float.NaN);
        for (int m = 0; m < depth; m++) {
            System.arraycopy(a, m * pitch, row, 0, columns);
            kernels.intoGroups(row, columns, grouped, m, size);
        }
        kernels.outerProduct(columns, grouped, size, depth, b, bAt, c, cAt, 0, b.length, room);
    }

    @ParameterizedTest
    @MethodSource("kernels")
    void functionsAreThoseOfOneNumberToTheBit(Kernels kernels) {
        int count = 100_003;
        float[] x = new float[count];
        for (int e = 0; e < count; e++) {
            // Every sign and exponent, infinities and NaN among them.
            x[e] = Float.intBitsToFloat((int) ((e * 42_949L) & 0xffff_ffffL));
        }
        x[0] = Float.NaN;
        x[1] = -0f;
        float[] tanh = new float[count];
        float[] logistic = new float[count];
        float[] exponentials = new float[count];
        float[] differences = new float[count];
        for (int e = 0; e < count; e++) {
            differences[e] = 3 - Math.abs(x[e]);
        }
        // In two parts, the second of which begins at no vector's beginning.
        int part = 50_007;
        kernels.tanh(x, 0, tanh, 0, part);
        kernels.tanh(x, part, tanh, part, count - part);
        kernels.logistic(x, 0, logistic, 0, part);
        kernels.logistic(x, part, logistic, part, count - part);
        kernels.exponentials(differences, 0, 3, exponentials, 0, count);
        for (int e = 0; e < count; e++) {
            assertEquals(Activations.tanh(x[e]), tanh[e], "tanh of " + x[e]);
            assertEquals(Activations.logistic(x[e]), logistic[e], "logistic function of " + x[e]);
            assertEquals(Activations.exponential(differences[e] - 3), exponentials[e], "exponential");
        }
    }

    @ParameterizedTest
    @MethodSource("kernels")
    void aPanelHoldsWhatWasCopiedAndTransposed(Kernels kernels) {
        int lanes = Kernels.LANES;
        for (int columns : new int[] {1, lanes, 4 * lanes, 4 * lanes + 1, 9 * lanes - 1, 11 * lanes}) {
            int depth = 7;
            float[] source = draw(2 + depth * columns);
            Panel copied = new Panel(kernels);
            Panel transposed = new Panel(kernels);
            copied.reshape(depth, columns);
            transposed.reshape(depth + 1, columns);
            for (int k = 0; k < depth; k++) {
                int half = columns / 2;
                copied.setRow(k, 0, half, source, 2 + k * columns);
                copied.setRow(k, half, columns, source, 2 + k * columns + half);
            }
            float[] across = new float[columns * depth];
            for (int j = 0; j < columns; j++) {
                for (int k = 0; k < depth; k++) {
                    across[j * depth + k] = source[2 + k * columns + j];
                }
            }
            int covered = 0;
            for (int strip = 0; strip < transposed.strips(); strip++) {
                int first = transposed.column(strip);
                int count = Math.min(columns - first, transposed.width(strip) * lanes);
                transposed.transpose(across, first * depth, depth, count, strip, 0, 1);
                for (int k = 0; k < depth; k++) {
                    for (int j = 0; j < transposed.width(strip) * lanes; j++) {
                        float expected = j < count ? source[2 + k * columns + first + j] : 0;
                        assertEquals(expected, copied.values()[copied.at(strip, k, j)]);
                        assertEquals(expected, transposed.values()[transposed.at(strip, k + 1, j)]);
                    }
                }
                covered += count;
            }
            assertEquals(columns, covered);
            assertTrue(transposed.column(transposed.strips()) >= columns);
        }
    }

    private float[] draw(int count) {
        float[] values = new float[count];
        for (int e = 0; e < count; e++) {
            values[e] = (float) random.uniform(-1, 1);
        }
        return values;
    }
}
