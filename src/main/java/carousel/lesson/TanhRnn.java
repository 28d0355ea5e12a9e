package carousel.lesson;

import carousel.engine.ParameterLayout;
import carousel.engine.ParameterView;
import carousel.engine.RandomSequence;
import carousel.layer.Initializer;
import java.util.Arrays;

/**
 * The plain recurrent network that the LSTM was invented to replace, in plain double loops: a counter-example to learn from,
 * not an engine. With {@code C} features, {@code H} hidden numbers and the loss {@code L} taken on {@code h_T} alone,
 *
 * <pre>
 *   a_t = W x_t + R h_{t-1} + b          h_t = tanh(a_t)                              t = 1 .. T,  h_0 = 0
 *
 *   da_t = dh_t * (1 - h_t^2)            dh_{t-1} = R^T da_t                          t = T .. 1
 *   dW = sum_t da_t x_t^T                dR = sum_t da_t h_{t-1}^T                    db = sum_t da_t
 * </pre>
 *
 * where {@code dh_t} is the gradient of L with respect to {@code h_t} (back-propagation through time, Werbos 1990). It reaches
 * step t as a product of {@code T - t} matrices,
 *
 * <pre>
 *   dh_t = (R^T diag(1 - h_{t+1}^2)) (R^T diag(1 - h_{t+2}^2)) ... (R^T diag(1 - h_T^2)) dh_T
 * </pre>
 *
 * and {@code 1 - h^2} is at most 1, so the gradient vanishes exponentially with the distance where the largest singular value
 * of R is below 1, and may explode only where it is above (Hochreiter 1991; Bengio, Simard &amp; Frasconi 1994; Pascanu, Mikolov
 * &amp; Bengio 2013).
 */
public final class TanhRnn {
    private final int inputSize;
    private final int hiddenSize;
    private final ParameterView inputWeights;
    private final ParameterView recurrentWeights;
    private final ParameterView bias;

    /**
     * A network whose parameters are added to a layout: {@code weight_ih} {@code W [H, C]}, {@code weight_hh} {@code R [H, H]}
     * and {@code bias} {@code b [H]}.
     *
     * @param inputSize C, 1 or more
     * @param hiddenSize H, 1 or more
     */
    public TanhRnn(int inputSize, int hiddenSize, ParameterLayout layout) {
        if (inputSize < 1 || hiddenSize < 1) {
            throw new IllegalArgumentException(
                    "the input and the hidden size should be 1 or more but got " + inputSize + " and " + hiddenSize);
        }
        this.inputSize = inputSize;
        this.hiddenSize = hiddenSize;
        this.inputWeights = layout.add("weight_ih", hiddenSize, inputSize);
        this.recurrentWeights = layout.add("weight_hh", hiddenSize, hiddenSize);
        this.bias = layout.add("bias", hiddenSize);
    }

    /** Draws W as Glorot &amp; Bengio and R orthogonal, as Keras does, into a buffer of the layout; b is left as it is. */
    public void initialize(double[] parameters, RandomSequence random) {
        draw(new Initializer.GlorotUniform(), inputWeights, inputSize, parameters, random);
        draw(new Initializer.Orthogonal(), recurrentWeights, hiddenSize, parameters, random);
    }

    private void draw(
            Initializer initializer, ParameterView view, int inputs, double[] parameters, RandomSequence random) {
        double[] values = new double[hiddenSize * inputs];
        initializer.fill(values, hiddenSize, inputs, random);
        System.arraycopy(values, 0, parameters, offset(view), values.length);
    }

    /**
     * Runs the network over {@code N} sequences of {@code T} steps.
     *
     * @param parameters a buffer of the layout
     * @param x {@code [T, N, C]}
     * @param h {@code [T + 1, N, H]}: {@code h_0 .. h_T}; all but {@code h_0}, which is read, is overwritten
     */
    public void forward(double[] parameters, float[] x, int timeSteps, int batchSize, double[] h) {
        int w = offset(inputWeights);
        int b = offset(bias);
        double[] transposed = transposed(parameters);
        double[] a = new double[hiddenSize];
        for (int t = 1; t <= timeSteps; t++) {
            for (int n = 0; n < batchSize; n++) {
                int row = (t - 1) * batchSize + n;
                int previous = row * hiddenSize;
                int current = (row + batchSize) * hiddenSize;
                for (int j = 0; j < hiddenSize; j++) {
                    a[j] = parameters[b + j];
                    for (int i = 0; i < inputSize; i++) {
                        a[j] += parameters[w + j * inputSize + i] * x[row * inputSize + i];
                    }
                }
                for (int k = 0; k < hiddenSize; k++) {
                    double hk = h[previous + k];
                    for (int j = 0; j < hiddenSize; j++) {
                        a[j] += transposed[k * hiddenSize + j] * hk;
                    }
                }
                for (int j = 0; j < hiddenSize; j++) {
                    h[current + j] = Math.tanh(a[j]);
                }
            }
        }
    }

    /**
     * Takes the gradient of a loss on {@code h_T} back through time.
     *
     * @param parameters as in {@link #forward}, like {@code x}
     * @param h what {@link #forward} wrote
     * @param dh {@code [T + 1, N, H]}: {@code dh_T} is read, {@code dh_0 .. dh_{T-1}} are overwritten
     * @param gradients a buffer of the layout; added to
     */
    public void backward(
            double[] parameters, float[] x, int timeSteps, int batchSize, double[] h, double[] dh, double[] gradients) {
        int w = offset(inputWeights);
        int r = offset(recurrentWeights);
        int b = offset(bias);
        for (int t = timeSteps; t >= 1; t--) {
            for (int n = 0; n < batchSize; n++) {
                int row = (t - 1) * batchSize + n;
                int previous = row * hiddenSize;
                int current = (row + batchSize) * hiddenSize;
                Arrays.fill(dh, previous, previous + hiddenSize, 0);
                for (int j = 0; j < hiddenSize; j++) {
                    double da = dh[current + j] * (1 - h[current + j] * h[current + j]);
                    int rowOfR = r + j * hiddenSize;
                    for (int k = 0; k < hiddenSize; k++) {
                        dh[previous + k] += parameters[rowOfR + k] * da;
                    }
                    for (int k = 0; k < hiddenSize; k++) {
                        gradients[rowOfR + k] += da * h[previous + k];
                    }
                    for (int i = 0; i < inputSize; i++) {
                        gradients[w + j * inputSize + i] += da * x[row * inputSize + i];
                    }
                    gradients[b + j] += da;
                }
            }
        }
    }

    /** R^T, so that the inner loop of the forward pass walks along memory. */
    private double[] transposed(double[] parameters) {
        int r = offset(recurrentWeights);
        double[] transposed = new double[hiddenSize * hiddenSize];
        for (int j = 0; j < hiddenSize; j++) {
            for (int k = 0; k < hiddenSize; k++) {
                transposed[k * hiddenSize + j] = parameters[r + j * hiddenSize + k];
            }
        }
        return transposed;
    }

    private static int offset(ParameterView view) {
        return Math.toIntExact(view.offset());
    }
}
