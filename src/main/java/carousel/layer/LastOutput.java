package carousel.layer;

import carousel.engine.Engine;
import carousel.engine.LstmOutput;
import carousel.engine.LstmSpec;
import carousel.engine.LstmState;
import carousel.tensor.Shape;
import carousel.tensor.Tensor;

/** What the cells of a stack's top layer show after the last steps they read, side by side: {@code [N, cells * P]}. */
final class LastOutput {
    private LastOutput() {}

    /** @param h of all cells, {@code [S, N, P]} */
    static Tensor of(Pass pass, LstmSpec spec, Tensor h, String name) {
        int cells = spec.direction().cells();
        if (cells == 1) {
            return top(spec, h, 0);
        }
        Tensor both = pass.scope().allocate(name + " last output", pass.batchSize(), spec.sequenceWidth());
        for (int cell = 0; cell < cells; cell++) {
            pass.engine().copyColumns(top(spec, h, cell), 0, both, cell * spec.outputSize(), spec.outputSize());
        }
        return both;
    }

    /** The gradient of all that the stack gives, from that of its last output. */
    static LstmOutput gradient(Pass pass, LstmSpec spec, Tensor dOutput, String name) {
        Engine engine = pass.engine();
        Tensor dLast =
                pass.scope().allocate(name + " gradient of last h", spec.states(), pass.batchSize(), spec.outputSize());
        engine.fill(dLast, 0);
        for (int cell = 0; cell < spec.direction().cells(); cell++) {
            engine.copyColumns(dOutput, cell * spec.outputSize(), top(spec, dLast, cell), 0, spec.outputSize());
        }
        return new LstmOutput(null, new LstmState(dLast, null));
    }

    /** One cell of the top layer, {@code [N, P]} of {@code [S, N, P]}. */
    private static Tensor top(LstmSpec spec, Tensor states, int cell) {
        int state = spec.states() - spec.direction().cells() + cell;
        Shape shape = Shape.of(states.shape().extent(1), spec.outputSize());
        return states.view(states.name(), state * shape.elements(), shape);
    }
}
