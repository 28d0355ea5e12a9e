package carousel.engine.vector;

import carousel.engine.Gate;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The innermost loops. Both kinds compute every element by the same operations in the same order, so that they give the same
 * bits, whatever the width of the vectors; only their speed differs.
 *
 * <p>With {@code L} = {@value #LANES}, whatever the width, there are two shapes in which all of them read and write:
 *
 * <ul>
 *   <li><b>blocked rows</b> {@code [blocks][rows][4L]}: element {@code k} of row {@code r} is at {@code k / 4L * block + r * 4L +
 *       k % 4L}, where {@code block} is the distance between blocks. So rows side by side are a constant distance apart,
 *       whatever their width.
 *   <li><b>strips</b> {@code [depth][width * L]} of a right factor, with a width of 4 or 1; a strip of 4L columns where {@link
 *       #side} is L in four parts {@code [depth][L]}, one after the other: see {@link Panel}.
 * </ul>
 *
 * For a cell's gates, the 4L columns of a strip are those of {@code i, f, g} and {@code o} for the same L hidden units.
 */
interface Kernels {
    /** The module that the faster kernels need, and that a JVM has only where it is asked for. */
    String MODULE = "jdk.incubator.vector";

    /** L: how many numbers the layouts group. One vector of 512 bits, two of 256, four of 128. */
    int LANES = 16;

    /** Terms of one product, at most. */
    int MOST_TERMS = 512;

    /** Numbers from row to row in a group of columns: a cache line holds two rows. */
    int GROUP_PITCH = 8;

    /** Blocks of random numbers at a time, at most. */
    int DRAWN = 8;

    /** 4L, a row of a block: the four gates of L hidden units. */
    int BLOCK = Gate.COUNT * LANES;

    /** For people: how wide the vectors are or who makes them. */
    String description();

    /**
     * {@code c[r][j] = s[r][j] + sum_k a[r][k] * b[k][j]} for {@code r < rows}, {@code from <= k < to} in turn, at least one, {@code j < width
     * * L}.
     *
     * @param a blocked rows, from {@code aAt}, blocks {@code aBlock} apart
     * @param b a strip of this width, from {@code bAt}, where its row 0 lies
     * @param bDepth rows of the strip
     * @param s where the sums start from: row r at {@code sAt + r * sPitch}; with pitch 0 all rows start the same
     * @param c row r at {@code cAt + r * 4L}; may be {@code s}
     * @param next where in the array of b lies what will be wanted next, {@code nextCount} numbers; a hint
     */
    void product(
            int rows,
            float[] a,
            int aAt,
            int aBlock,
            int from,
            int to,
            float[] b,
            int bAt,
            int bDepth,
            int width,
            float[] s,
            int sAt,
            int sPitch,
            float[] c,
            int cAt,
            int next,
            int nextCount);

    /**
     * The {@link #product} of one row with several strips of four vectors, for any number of terms.
     *
     * @param b strips one after the other
     * @param bDepth rows of each
     * @param sStrip likewise, of where the sums start from
     * @param c strip t at {@code cAt + t * 4L}
     * @param backwards whether the last strip comes first; of no consequence but for the time it takes: what was read last is what caches
     *     still have
     */
    void rowProduct(
            int strips,
            float[] a,
            int aAt,
            int aBlock,
            int from,
            int to,
            float[] b,
            int bAt,
            int bDepth,
            float[] s,
            int sAt,
            int sStrip,
            float[] c,
            int cAt,
            boolean backwards);

    /**
     * {@code c[j][v] += sum_m a[m][j] * b[m][v]} for {@code j < columns}, {@code m < depth} in turn, {@code v < 4L}; at most {@link #MOST_TERMS}
     * terms.
     *
     * @param a row m at {@code m * aPitch}; where {@link #group} is not 0, in groups of so many columns {@code aPitch} apart, each with row m at
     *     {@code m * GROUP_PITCH}
     * @param b row m at {@code bAt + m * 4L}
     * @param c row j at {@code cAt + j * 4L}
     * @param next where in the array of b lies what will be wanted next, {@code nextCount} numbers; a hint
     * @param room where {@link #group} is not 0, numbers to work in, as many as b has
     */
    void outerProduct(
            int columns,
            float[] a,
            int aPitch,
            int depth,
            float[] b,
            int bAt,
            float[] c,
            int cAt,
            int next,
            int nextCount,
            float[] room);

    /** Columns of a strip that lie side by side: 4L, or L for four parts {@code [depth][L]}, one after the other. */
    int side();

    /** How many columns of its left factor {@link #outerProduct} wants side by side; 0 for all. */
    int group();

    /**
     * Copies a row of a left factor into groups of columns.
     *
     * @param row with room for {@link #GROUP_PITCH} more, whose contents do not matter
     * @param m which row
     * @param aPitch from group to group
     */
    void intoGroups(float[] row, int columns, float[] a, int m, int aPitch);

    /** {@code c[v] += sum_m b[m][v]} for {@code m < depth} in turn, {@code v < 4L}; row m of b at {@code bAt + m * 4L}. */
    void rowSum(int depth, float[] b, int bAt, float[] c, int cAt);

    /**
     * One time step of L hidden units, from the pre-activations to {@code c} and {@code m = o * tanh(c)}: see {@link
     * carousel.engine.LstmSpec}.
     *
     * @param z pre-activations, row r at {@code zAt + r * 4L}; may be overwritten
     * @param c previous cell state, overwritten by the new one; row r at {@code cAt + r * L}
     * @param clip limit of c; 0 for none
     * @param gates gets {@code i, f, g, o}, row r at {@code gatesAt + r * gatesPitch}; null when not wanted
     * @param states gets {@code c, tanh(c)}, row r at {@code statesAt + r * gatesPitch / 2}; null with gates
     * @param m row r at {@code mAt + r * mPitch}
     */
    void cellForward(
            int rows,
            float[] z,
            int zAt,
            float[] c,
            int cAt,
            float clip,
            float[] gates,
            int gatesAt,
            int gatesPitch,
            float[] states,
            int statesAt,
            float[] m,
            int mAt,
            int mPitch);

    /**
     * Back through one time step of L hidden units.
     *
     * @param dm gradient of m, row r at {@code dmAt + r * 4L}
     * @param dc gradient of the new c from the steps after, overwritten by that of the previous c; row r at {@code dcAt + r * L}
     * @param gates {@code i, f, g, o}, overwritten by the gradients of their pre-activations
     * @param states {@code c, tanh(c)}; where {@code keepM} tanh(c) is overwritten by m
     * @param previous previous c, row r at {@code previousAt + r * previousPitch}
     * @param clip limit of c, 0 for none; where it acted no gradient passes
     */
    void cellBackward(
            int rows,
            float[] dm,
            int dmAt,
            float[] dc,
            int dcAt,
            float[] gates,
            int gatesAt,
            float[] states,
            int statesAt,
            float[] previous,
            int previousAt,
            int previousPitch,
            float clip,
            boolean keepM);

    /** The passes of a cell that computes more than {@link #cellForward}. */
    CellPasses passes(CellOptions options);

    /**
     * Mean and reciprocal deviation of rows that lie in strips, over {@code count} numbers.
     *
     * @param q row r of strip t at {@code qAt + t * stripPitch + r * width}
     * @param width numbers of a row in a strip: 4L, or L
     * @param valid {@code [strips][L]}: 1 for a hidden unit, 0 for padding
     * @param lanes {@code [4L]}, overwritten
     * @param into those of row r at {@code at + r * CellStep.STATISTICS}
     */
    void statistics(
            int rows,
            int strips,
            float[] q,
            int qAt,
            int stripPitch,
            int width,
            float[] valid,
            int count,
            float[] lanes,
            float[] into,
            int at);

    /**
     * Sums over strips and the L numbers of a strip's row, divided by {@code count}.
     *
     * @param terms row r of strip t at {@code termsAt + t * stripPitch + r * quantities * L}
     * @param quantities how many sums a row has, each of L numbers of a strip's row; at most 4
     * @param lanes {@code [4L]}, overwritten
     * @param into those of row r at {@code at + r * CellStep.MEANS}
     */
    void means(
            int rows,
            int strips,
            float[] terms,
            int termsAt,
            int stripPitch,
            int quantities,
            int count,
            float[] lanes,
            float[] into,
            int at);

    /**
     * Replaces numbers of blocks by which of their four elements are drawn, as bits.
     *
     * @param blocks with room for {@link #DRAWN} more, whose contents do not matter
     */
    void draw(RandomBits numbers, long[] blocks, int count);

    /** {@code x_e += y_e} for {@code e < count}. */
    void add(float[] x, int xAt, float[] y, int yAt, int count);

    /** {@code y_e = exp(x_e - shift)} for {@code e < count}, for differences of 0 or less; at most 4 units in the last
     * place off. x and y may be the same. */
    void exponentials(float[] x, int xAt, float shift, float[] y, int yAt, int count);

    /** {@code y_e = x_e * factor} for {@code e < count}; x and y may be the same. */
    void scale(float[] x, int xAt, float factor, float[] y, int yAt, int count);

    /**
     * The update rule on {@code count} parameters p with gradients d and moments m and v: see {@link
     * carousel.engine.UpdateRule}.
     */
    void update(
            UpdateStep step, float[] p, int pAt, float[] d, int dAt, float[] m, int mAt, float[] v, int vAt, int count);

    /** {@code y_e = tanh(x_e)} for {@code e < count}; at most 4 units in the last place off. x and y may be the same. */
    void tanh(float[] x, int xAt, float[] y, int yAt, int count);

    /** {@code y_e = 1 / (1 + exp(-x_e))} for {@code e < count}; at most 4 units in the last place off. x and y may be the same. */
    void logistic(float[] x, int xAt, float[] y, int yAt, int count);

    /** Those on {@value #MODULE} where the JVM has it, the compiler's otherwise. */
    static Kernels best() {
        return Chosen.KERNELS;
    }

    /** Chosen once in a JVM, so that the hint is logged once. */
    final class Chosen {
        private static final Logger LOG = LoggerFactory.getLogger(Kernels.class);
        private static final Kernels KERNELS = choose();

        private Chosen() {}

        private static Kernels choose() {
            if (ModuleLayer.boot().findModule(MODULE).isPresent()) {
                try {
                    // By name: without the module the class could not be loaded, nor compiled with the others.
                    return (Kernels) Class.forName(Kernels.class.getPackageName() + ".SimdKernels")
                            .getDeclaredConstructor()
                            .newInstance();
                } catch (ReflectiveOperationException impossible) {
                    throw new LinkageError("the kernels on " + MODULE + " are missing from this build", impossible);
                }
            }
            LOG.warn("the vector engine is many times faster with the Java option --add-modules {}", MODULE);
            return new LoopKernels();
        }
    }
}
