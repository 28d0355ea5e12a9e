package carousel.layer;

import carousel.engine.Engine;
import carousel.tensor.Tensor;

/**
 * Moves the steps of sequences to other places in time, on the engine: a look-up in the rows of {@code [T N, C]}, as an embedding
 * looks up its table. Step {@code t} of sequence {@code n} is row {@code t N + n}.
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

    /** {@code y[m] = x[rows[m]]}, {@code [T, N, C]}. */
    Tensor take(Pass pass, String name, Tensor x) {
        int width = x.shape().extent(x.shape().rank() - 1);
        int batchSize = pass.batchSize();
        Tensor y = pass.scope().allocate(name, timeSteps(batchSize), batchSize, width);
        pass.engine().embeddingForward(rows, Model.rows(x), Model.rows(y));
        return y;
    }

    /** The gradient of x, {@code dx[rows[m]] += dy[m]}, from zero; {@code [T + 1, N, C]} for an x of at most one step more than y. */
    Tensor giveBack(Pass pass, String name, Tensor dy) {
        Engine engine = pass.engine();
        int batchSize = pass.batchSize();
        int width = dy.shape().extent(2);
        Tensor dx = pass.scope().allocate(name, timeSteps(batchSize) + 1, batchSize, width);
        engine.fill(dx, 0);
        engine.embeddingBackward(rows, Model.rows(dy), Model.rows(dx));
        return dx;
    }

    private int timeSteps(int batchSize) {
        return Math.toIntExact(rows.elements()) / batchSize;
    }
}
