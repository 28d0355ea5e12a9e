package carousel.layer;

import carousel.engine.Engine;
import carousel.tensor.Tensor;

/**
 * Moves the steps of sequences to other places, on the engine: a look-up in the rows of {@code [T N, C]}, as an embedding looks up
 * its table. Step {@code t} of sequence {@code n} is row {@code t N + n}.
 */
final class StepRows {
    private final Tensor rows;

    private StepRows(Tensor rows) {
        this.rows = rows;
    }

    /** @param rows for each row of the result the row it is taken from */
    static StepRows of(Pass pass, String name, int[] rows) {
        Tensor ids = pass.scope().allocateIntegers(name + " steps", rows.length);
        pass.engine().write(ids, rows);
        return new StepRows(ids);
    }

    /** The rows, on the engine. */
    Tensor ids() {
        return rows;
    }

    /** {@code y[m] = x[rows[m]]}, {@code [T, N, C]}. */
    Tensor take(Pass pass, String name, Tensor x, int timeSteps, int batchSize) {
        int width = x.shape().extent(x.shape().rank() - 1);
        Tensor y = pass.scope().allocate(name, timeSteps, batchSize, width);
        pass.engine().embeddingForward(rows, Model.rows(x), Model.rows(y));
        return y;
    }

    /** The gradient of x, {@code dx[rows[m]] += dy[m]}, from zero: {@code [count, C]}. */
    Tensor giveBack(Pass pass, String name, Tensor dy, int count) {
        Engine engine = pass.engine();
        Tensor dx =
                pass.scope().allocate(name, count, dy.shape().extent(dy.shape().rank() - 1));
        engine.fill(dx, 0);
        engine.embeddingBackward(rows, Model.rows(dy), dx);
        return dx;
    }
}
