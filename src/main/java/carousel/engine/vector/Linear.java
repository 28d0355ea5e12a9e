package carousel.engine.vector;

import static carousel.engine.vector.Kernels.BLOCK;
import static carousel.engine.vector.Kernels.LANES;
import static carousel.tensor.HostStorage.floats;
import static carousel.tensor.HostStorage.start;

import carousel.tensor.Tensor;
import java.util.Arrays;

/** {@code y = x W^T + b} and its gradients: see {@link carousel.engine.Engine#linearForward}. */
final class Linear implements Workers.Task, WeightGradients.LeftRows {
    /** Rows of x done at a time. */
    private static final int ROWS = 48;

    private enum Phase {
        TRANSPOSE,
        PRODUCT,
        SPREAD
    }

    private final Kernels kernels;
    private final Workers workers;
    private final WorkerBuffers[] buffers;
    private final Panel forwardPanel;
    private final Panel backwardPanel;
    private final WeightGradients products;
    private final Scratch start;
    private final Scratch strips;
    private Phase phase;
    private Panel panel;
    private float[] a;
    private int aAt;
    private int rows;
    private int depth;
    private float[] sums;
    private float[] c;
    private int cAt;
    private float[] spread;
    private float[] left;
    private int leftAt;
    private int leftWidth;

    Linear(Kernels kernels, Workers workers, WorkerBuffers[] buffers, boolean poisoned) {
        this.kernels = kernels;
        this.forwardPanel = new Panel(kernels);
        this.backwardPanel = new Panel(kernels);
        this.workers = workers;
        this.buffers = buffers;
        this.products = new WeightGradients(kernels, workers, buffers);
        this.start = new Scratch(false);
        this.strips = new Scratch(poisoned);
    }

    /** Bytes kept from call to call. */
    long bytes() {
        return forwardPanel.bytes() + backwardPanel.bytes() + start.bytes() + strips.bytes();
    }

    /** @param bias null for none */
    void forward(Tensor x, Tensor weights, Tensor bias, Tensor y) {
        int inputs = x.shape().extent(1);
        int outputs = y.shape().extent(1);
        panel = forwardPanel;
        panel.reshape(inputs, outputs);
        a = floats(weights);
        aAt = start(weights);
        phase = Phase.TRANSPOSE;
        workers.run(panel.strips(), this);
        sums = start.zeros(outputs + BLOCK);
        if (bias == null) {
            Arrays.fill(sums, 0, outputs, 0);
        } else {
            System.arraycopy(floats(bias), start(bias), sums, 0, outputs);
        }
        product(x, y);
    }

    /** @param dx null when not wanted */
    void backward(Tensor x, Tensor weights, Tensor dy, Tensor weightsGradient, Tensor biasGradient, Tensor dx) {
        int inputs = x.shape().extent(1);
        int outputs = dy.shape().extent(1);
        rows = x.shape().extent(0);
        a = floats(dy);
        aAt = start(dy);
        depth = outputs;
        int blocks = (outputs + BLOCK - 1) / BLOCK;
        spread = strips.take(Math.multiplyExact(Math.multiplyExact(blocks, BLOCK), rows));
        phase = Phase.SPREAD;
        workers.run((rows + ROWS - 1) / ROWS, this);
        left = floats(x);
        leftAt = start(x);
        leftWidth = inputs;
        products.add(spread, 0, rows, outputs, this, rows, inputs, floats(weightsGradient), start(weightsGradient));
        products.run();
        left = null;
        a = null;
        if (biasGradient != null) {
            addBias(floats(biasGradient), start(biasGradient), outputs);
        }
        if (dx != null) {
            panel = backwardPanel;
            panel.reshape(outputs, inputs);
            for (int o = 0; o < outputs; o++) {
                panel.setRow(o, 0, inputs, floats(weights), start(weights) + o * inputs);
            }
            sums = start.zeros(inputs + BLOCK);
            Arrays.fill(sums, 0, inputs, 0);
            product(dy, dx);
        }
    }

    private void addBias(float[] gradient, int at, int outputs) {
        float[] total = buffers[0].sums.take(BLOCK);
        for (int first = 0; first < outputs; first += BLOCK) {
            Arrays.fill(total, 0, BLOCK, 0);
            kernels.rowSum(rows, spread, first * rows, total, 0);
            kernels.add(gradient, at + first, total, 0, Math.min(BLOCK, outputs - first));
        }
    }

    /** {@code to = from b + sums}, where b is the panel. */
    private void product(Tensor from, Tensor to) {
        a = floats(from);
        aAt = start(from);
        rows = from.shape().extent(0);
        depth = from.shape().extent(1);
        c = floats(to);
        cAt = start(to);
        phase = Phase.PRODUCT;
        workers.run((rows + ROWS - 1) / ROWS, this);
        a = null;
        c = null;
    }

    @Override
    public void copy(int row, int from, int to, float[] target, int at) {
        System.arraycopy(left, leftAt + row * leftWidth + from, target, at, to - from);
    }

    @Override
    public void run(int index, int worker) {
        switch (phase) {
            case TRANSPOSE -> transpose(index);
            case PRODUCT -> product(index * ROWS, Math.min(ROWS, rows - index * ROWS), buffers[worker]);
            case SPREAD -> {
                for (int m = index * ROWS; m < Math.min(rows, (index + 1) * ROWS); m++) {
                    for (int k = 0; k < depth; k += BLOCK) {
                        int at = (k / BLOCK * rows + m) * BLOCK;
                        System.arraycopy(a, aAt + m * depth + k, spread, at, Math.min(BLOCK, depth - k));
                    }
                }
            }
        }
    }

    private void transpose(int strip) {
        int width = panel.depth();
        int first = panel.column(strip);
        int count = Math.min(panel.width(strip) * LANES, panel.columns() - first);
        panel.transpose(a, aAt + first * width, width, count, strip, 0, 0);
    }

    private void product(int from, int count, WorkerBuffers buffer) {
        int blocks = (depth + BLOCK - 1) / BLOCK;
        float[] left = buffer.left.take(blocks * ROWS * BLOCK);
        for (int r = 0; r < count; r++) {
            for (int k = 0; k < depth; k += BLOCK) {
                int at = (k / BLOCK * count + r) * BLOCK;
                System.arraycopy(a, aAt + (from + r) * depth + k, left, at, Math.min(BLOCK, depth - k));
            }
        }
        float[] result = buffer.sums.take(ROWS * BLOCK);
        for (int strip = 0; strip < panel.strips(); strip++) {
            int first = panel.column(strip);
            panel.product(kernels, strip, count, left, 0, count * BLOCK, 0, depth, sums, first, 0, result, 0);
            int width = Math.min(panel.width(strip) * LANES, panel.columns() - first);
            for (int r = 0; r < count; r++) {
                System.arraycopy(result, r * BLOCK, c, cAt + (from + r) * panel.columns() + first, width);
            }
        }
    }
}
