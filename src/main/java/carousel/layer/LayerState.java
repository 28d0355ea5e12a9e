package carousel.layer;

import carousel.engine.Engine;
import carousel.engine.LstmState;
import carousel.tensor.Tensor;
import java.util.Arrays;

/**
 * The state of one LSTM layer at one moment in host memory, or the gradient of a loss with respect to it; {@code S} being the cells
 * of the stack, layer by layer and forward before reverse.
 *
 * @param h {@code [S, N, P]}, what the cells show
 * @param c {@code [S, N, H]}, what they carry
 */
public record LayerState(double[] h, double[] c) {
    static LayerState read(Engine engine, LstmState state) {
        return new LayerState(read(engine, state.h()), read(engine, state.c()));
    }

    private static double[] read(Engine engine, Tensor tensor) {
        double[] values = new double[Math.toIntExact(tensor.elements())];
        engine.read(tensor, values);
        return values;
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof LayerState that && Arrays.equals(h, that.h) && Arrays.equals(c, that.c);
    }

    @Override
    public int hashCode() {
        return 31 * Arrays.hashCode(h) + Arrays.hashCode(c);
    }

    @Override
    public String toString() {
        return "state of " + h.length + " and " + c.length + " numbers";
    }
}
