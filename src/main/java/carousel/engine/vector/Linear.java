package carousel.engine.vector;

import java.util.Arrays;
import java.util.List;

/** {@code y = x W^T + b} and its gradients: see {@link carousel.engine.Engine#linearForward}. */
final class Linear {
    /** Rows of x done at a time. */
    private static final int TILE = 32;

    private final Kernels kernels;
    private final Workers workers;
    private final WorkerBuffers[] buffers;
    private final Panel panel;
    private int[] xRows = new int[0];
    private int[] yRows = new int[0];

    Linear(Kernels kernels, Workers workers, WorkerBuffers[] buffers, boolean poisoned) {
        this.kernels = kernels;
        this.workers = workers;
        this.buffers = buffers;
        this.panel = kernels.panel(poisoned);
    }

    /** A matrix in row-major order. */
    record Matrix(float[] values, int start, int rows, int columns) {
        int at(int row) {
            return start + row * columns;
        }
    }

    /** Bytes kept from call to call. */
    long bytes() {
        return panel.bytes() + (long) (xRows.length + yRows.length) * Integer.BYTES;
    }

    /** @param bias an array and where the bias starts in it, or null */
    void forward(Matrix x, Matrix weights, Matrix bias, Matrix y) {
        panel.reshape(x.columns, y.columns);
        workers.run(
                Panel.strips(x.columns),
                (index, worker) -> panel.transposeStrip(weights.values, weights.start, weights.columns, index, 0));
        product(x, bias, y);
    }

    /** @param dx null when not wanted */
    void backward(Matrix x, Matrix weights, Matrix dy, Matrix weightsGradient, Matrix biasGradient, Matrix dx) {
        xRows = rows(x, xRows);
        yRows = rows(dy, yRows);
        OuterProducts products = new OuterProducts(kernels);
        products.add(
                List.of(new OuterProducts.Terms(
                        new OuterProducts.Operand(dy.values, yRows),
                        new OuterProducts.Operand(x.values, xRows),
                        0,
                        x.rows)),
                dy.columns,
                x.columns,
                weightsGradient.values,
                weightsGradient.start,
                false);
        products.run(workers, buffers);
        if (biasGradient != null) {
            float[] sums = buffers[0].sums.row(dy.columns);
            float[] row = buffers[0].single.row(dy.columns);
            Arrays.fill(sums, 0, dy.columns, 0);
            for (int m = 0; m < dy.rows; m++) {
                System.arraycopy(dy.values, dy.at(m), row, 0, dy.columns);
                CellLoops.add(sums, row, dy.columns);
            }
            for (int o = 0; o < dy.columns; o++) {
                biasGradient.values[biasGradient.start + o] += sums[o];
            }
        }
        if (dx != null) {
            panel.reshape(weights.rows, weights.columns);
            panel.copy(weights.values, weights.start, weights.rows);
            product(dy, null, dx);
        }
    }

    /** {@code c = a b + bias}, where b is the panel. */
    private void product(Matrix a, Matrix bias, Matrix c) {
        workers.run((a.rows + TILE - 1) / TILE, (index, worker) -> {
            int from = index * TILE;
            int count = Math.min(TILE, a.rows - from);
            float[][] sums = buffers[worker].sums.rows(count, c.columns);
            int[] first = buffers[worker].indices(count);
            for (int k = 0; k < count; k++) {
                first[k] = a.at(from + k);
                if (bias == null) {
                    Arrays.fill(sums[k], 0, c.columns, 0);
                } else {
                    System.arraycopy(bias.values, bias.start, sums[k], 0, c.columns);
                }
            }
            kernels.product(a.values, first, panel, a.columns, sums, count);
            for (int k = 0; k < count; k++) {
                System.arraycopy(sums[k], 0, c.values, c.at(from + k), c.columns);
            }
        });
    }

    private static int[] rows(Matrix matrix, int[] known) {
        int[] rows = known.length < matrix.rows ? new int[matrix.rows] : known;
        for (int m = 0; m < matrix.rows; m++) {
            rows[m] = matrix.at(m);
        }
        return rows;
    }
}
