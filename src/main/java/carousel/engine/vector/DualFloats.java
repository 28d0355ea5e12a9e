package carousel.engine.vector;

import static carousel.engine.vector.Kernels.BLOCK;

import carousel.engine.Dual;
import carousel.tensor.HostStorage;
import carousel.tensor.Tensor;
import java.util.Arrays;

/**
 * Numbers and their tangents, each from somewhere in an array, and arithmetic on ranges of them by the rules of differentiation.
 *
 * @param value null for zeros, or where results are not wanted
 * @param tangent likewise
 */
record DualFloats(float[] value, int at, float[] tangent, int tangentAt) {
    /** So many zeros. */
    static DualFloats zeros(int count) {
        return new DualFloats(new float[count], 0, new float[count], 0);
    }

    /** The elements of two tensors, either of which may be missing. */
    static DualFloats of(Tensor value, Tensor tangent) {
        return new DualFloats(
                value == null ? null : HostStorage.floats(value),
                value == null ? 0 : HostStorage.start(value),
                tangent == null ? null : HostStorage.floats(tangent),
                tangent == null ? 0 : HostStorage.start(tangent));
    }

    static DualFloats of(Dual<Tensor> tensors) {
        return of(tensors.value(), tensors.tangent());
    }

    /** The same numbers from element {@code offset} on. */
    DualFloats from(int offset) {
        return new DualFloats(value, at + offset, tangent, tangentAt + offset);
    }

    void clear(int from, int count) {
        fill(value, at + from, count);
        fill(tangent, tangentAt + from, count);
    }

    private static void fill(float[] array, int from, int count) {
        if (array != null) {
            Arrays.fill(array, from, from + count, 0);
        }
    }

    /** Copies {@code count} numbers to another place. */
    void copy(int from, DualFloats target, int to, int count) {
        copy(value, at + from, target.value, target.at + to, count);
        copy(tangent, tangentAt + from, target.tangent, target.tangentAt + to, count);
    }

    private static void copy(float[] source, int from, float[] target, int to, int count) {
        if (target == null) {
            return;
        }
        if (source == null) {
            Arrays.fill(target, to, to + count, 0);
        } else {
            System.arraycopy(source, from, target, to, count);
        }
    }

    /** Copies a row of these blocked rows {@code [blocks][pitch][4L]} to where its numbers lie side by side. */
    void gather(int row, int pitch, DualFloats target, int to, int count) {
        for (int k = 0; k < count; k += BLOCK) {
            copy((k / BLOCK * pitch + row) * BLOCK, target, to + k, Math.min(BLOCK, count - k));
        }
    }

    /** Copies numbers that lie side by side to a row of blocked rows. */
    void scatter(int from, int count, DualFloats target, int row, int pitch) {
        for (int k = 0; k < count; k += BLOCK) {
            copy(from + k, target, (k / BLOCK * pitch + row) * BLOCK, Math.min(BLOCK, count - k));
        }
    }

    /** {@code z_e = x_e y_e}; z may be x or y. */
    static void multiply(DualFloats x, int xAt, DualFloats y, int yAt, DualFloats z, int zAt, int count) {
        for (int e = 0; e < count; e++) {
            float a = x.value[x.at + xAt + e];
            float b = y.value[y.at + yAt + e];
            z.tangent[z.tangentAt + zAt + e] =
                    x.tangent[x.tangentAt + xAt + e] * b + a * y.tangent[y.tangentAt + yAt + e];
            z.value[z.at + zAt + e] = a * b;
        }
    }

    /** {@code z_e += x_e y_e}; z is neither x nor y. */
    static void addProduct(DualFloats x, int xAt, DualFloats y, int yAt, DualFloats z, int zAt, int count) {
        for (int e = 0; e < count; e++) {
            float a = x.value[x.at + xAt + e];
            float b = y.value[y.at + yAt + e];
            z.tangent[z.tangentAt + zAt + e] +=
                    x.tangent[x.tangentAt + xAt + e] * b + a * y.tangent[y.tangentAt + yAt + e];
            z.value[z.at + zAt + e] += a * b;
        }
    }

    /** {@code z_e = x_e factor_e} with factors that do not change; z may be x. */
    static void scale(DualFloats x, int xAt, float[] factor, int factorAt, DualFloats z, int zAt, int count) {
        for (int e = 0; e < count; e++) {
            z.value[z.at + zAt + e] = x.value[x.at + xAt + e] * factor[factorAt + e];
            z.tangent[z.tangentAt + zAt + e] = x.tangent[x.tangentAt + xAt + e] * factor[factorAt + e];
        }
    }

    /** {@code z_e = held_e x_e + (1 - held_e) y_e} with weights that do not change; z may be x or y. */
    static void mix(
            float[] held, int heldAt, DualFloats x, int xAt, DualFloats y, int yAt, DualFloats z, int zAt, int count) {
        for (int e = 0; e < count; e++) {
            float weight = held[heldAt + e];
            float rest = 1 - weight;
            z.value[z.at + zAt + e] = weight * x.value[x.at + xAt + e] + rest * y.value[y.at + yAt + e];
            z.tangent[z.tangentAt + zAt + e] =
                    weight * x.tangent[x.tangentAt + xAt + e] + rest * y.tangent[y.tangentAt + yAt + e];
        }
    }

    /** {@code y_e += x_e}; what is missing of x is zero, and of y not wanted. */
    static void add(DualFloats x, int xAt, DualFloats y, int yAt, int count) {
        add(x.value, x.at + xAt, y.value, y.at + yAt, count);
        add(x.tangent, x.tangentAt + xAt, y.tangent, y.tangentAt + yAt, count);
    }

    private static void add(float[] x, int xAt, float[] y, int yAt, int count) {
        for (int e = 0; x != null && y != null && e < count; e++) {
            y[yAt + e] += x[xAt + e];
        }
    }
}
