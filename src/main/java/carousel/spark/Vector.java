package carousel.spark;

import carousel.engine.Engine;
import carousel.tensor.ElementType;
import carousel.tensor.Tensor;
import java.io.Serializable;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.stream.Stream;

/** Tensors one behind the other in an array of their own type, on their way from one machine to another. */
final class Vector implements Serializable {
    private static final long serialVersionUID = 1;

    private final float[] singles;
    private final double[] doubles;

    /** One of the two is null. */
    Vector(float[] singles, double[] doubles) {
        this.singles = singles;
        this.doubles = doubles;
    }

    /** A model's parameters or gradients, and an optimizer's moments; those that are null are left out. */
    static List<Tensor> parts(Tensor first, Tensor second, Tensor third) {
        return Stream.of(first, second, third).filter(Objects::nonNull).toList();
    }

    static Vector read(Engine engine, List<Tensor> tensors) {
        int elements = tensors.stream()
                .mapToInt(tensor -> Math.toIntExact(tensor.elements()))
                .reduce(0, Math::addExact);
        boolean wide = tensors.get(0).type() == ElementType.FLOAT64;
        float[] singles = wide ? null : new float[elements];
        double[] doubles = wide ? new double[elements] : null;
        int filled = 0;
        for (Tensor tensor : tensors) {
            int count = (int) tensor.elements();
            if (wide) {
                double[] values = new double[count];
                engine.read(tensor, values);
                System.arraycopy(values, 0, doubles, filled, count);
            } else {
                float[] values = new float[count];
                engine.read(tensor, values);
                System.arraycopy(values, 0, singles, filled, count);
            }
            filled += count;
        }
        return new Vector(singles, doubles);
    }

    /** Writes the parts to tensors of the same sizes. */
    void write(Engine engine, List<Tensor> tensors) {
        int taken = 0;
        for (Tensor tensor : tensors) {
            int end = taken + (int) tensor.elements();
            if (singles != null) {
                engine.write(tensor, Arrays.copyOfRange(singles, taken, end));
            } else {
                engine.write(tensor, Arrays.copyOfRange(doubles, taken, end));
            }
            taken = end;
        }
    }

    /** Multiplies all by a number. */
    Vector scaled(double by) {
        for (int k = 0; singles != null && k < singles.length; k++) {
            singles[k] *= (float) by;
        }
        for (int k = 0; doubles != null && k < doubles.length; k++) {
            doubles[k] *= by;
        }
        return this;
    }

    /** Adds another of the same type and length. */
    Vector plus(Vector other) {
        for (int k = 0; singles != null && k < singles.length; k++) {
            singles[k] += other.singles[k];
        }
        for (int k = 0; doubles != null && k < doubles.length; k++) {
            doubles[k] += other.doubles[k];
        }
        return this;
    }

    /** Elements {@code from .. from + count - 1}, each divided by a number. */
    double[] divided(int from, int count, double by) {
        double[] values = new double[count];
        Arrays.setAll(values, k -> (singles != null ? singles[from + k] : doubles[from + k]) / by);
        return values;
    }
}
