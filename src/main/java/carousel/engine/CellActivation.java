package carousel.engine;

/**
 * A function of one number between a pre-activation and a gate, or between the cell and its output, with the parameters it
 * takes. Names, meanings and parameters are those of the ONNX operator LSTM:
 *
 * <pre>
 *   Sigmoid          1 / (1 + e^-x)
 *   Tanh             tanh(x)
 *   Relu             max(0, x)
 *   Affine           alpha x + beta
 *   LeakyRelu        x where x &gt;= 0, else alpha x                    alpha 0.01 unless told
 *   ThresholdedRelu  x where x &gt; alpha, else 0
 *   ScaledTanh       alpha tanh(beta x)
 *   HardSigmoid      alpha x + beta, limited to [0, 1]               alpha 0.2 and beta 0.5 unless told
 *   Elu              x where x &gt;= 0, else alpha (e^x - 1)            alpha 1 unless told
 *   Softsign         x / (1 + |x|)
 *   Softplus         log(1 + e^x)
 * </pre>
 *
 * <p>Where ONNX's text and ONNX Runtime differ, at {@code x = alpha} of {@code ThresholdedRelu}, this is ONNX Runtime. Keras
 * has other slopes for its {@code hard_sigmoid}: version 3 computes {@code relu6(x + 3) / 6}, which is HardSigmoid with
 * alpha 1/6 and beta 0.5, and version 2 computed the 0.2 and 0.5 that are ONNX's defaults.
 *
 * @param kind which function
 * @param alpha its first parameter; 0 where it takes none
 * @param beta its second parameter; 0 where it takes none
 */
public record CellActivation(Kind kind, double alpha, double beta) {
    /** The logistic function. */
    public static final CellActivation SIGMOID = of(Kind.SIGMOID);

    /** The hyperbolic tangent. */
    public static final CellActivation TANH = of(Kind.TANH);

    /** The functions there are. */
    public enum Kind {
        SIGMOID("Sigmoid", 0),
        TANH("Tanh", 0),
        RELU("Relu", 0),
        AFFINE("Affine", 2),
        LEAKY_RELU("LeakyRelu", 1, 0.01),
        THRESHOLDED_RELU("ThresholdedRelu", 1),
        SCALED_TANH("ScaledTanh", 2),
        HARD_SIGMOID("HardSigmoid", 2, 0.2, 0.5),
        ELU("Elu", 1, 1),
        SOFTSIGN("Softsign", 0),
        SOFTPLUS("Softplus", 0);

        private final String onnxName;
        private final int parameters;
        private final double[] defaults;

        Kind(String onnxName, int parameters, double... defaults) {
            this.onnxName = onnxName;
            this.parameters = parameters;
            this.defaults = defaults;
        }

        /** What ONNX calls it, for instance {@code HardSigmoid}. */
        public String onnxName() {
            return onnxName;
        }

        /** Whether alpha counts. */
        public boolean takesAlpha() {
            return parameters > 0;
        }

        /** Whether beta counts. */
        public boolean takesBeta() {
            return parameters > 1;
        }
    }

    public CellActivation {
        if (kind == null) {
            throw new IllegalArgumentException("the kind of an activation must be given, for instance SIGMOID");
        }
        // Two descriptions that differ in nothing that counts are equal.
        alpha = kind.takesAlpha() ? finite(kind, "alpha", alpha) : 0;
        beta = kind.takesBeta() ? finite(kind, "beta", beta) : 0;
    }

    /**
     * The function with its usual parameters.
     *
     * @throws IllegalArgumentException for Affine, ThresholdedRelu and ScaledTanh, which have none
     */
    public static CellActivation of(Kind kind) {
        int known = kind.defaults.length;
        if (known < kind.parameters) {
            throw new IllegalArgumentException("the activation " + kind.onnxName + " has no usual parameters: give its "
                    + (kind.takesBeta() ? "alpha and beta" : "alpha"));
        }
        return new CellActivation(kind, known > 0 ? kind.defaults[0] : 0, known > 1 ? kind.defaults[1] : 0);
    }

    private static double finite(Kind kind, String what, double value) {
        if (!Double.isFinite(value)) {
            throw new IllegalArgumentException("the " + what + " of the activation " + kind.onnxName
                    + " should be a finite number but got " + value);
        }
        return value;
    }

    /** {@code f(x)}; NaN for NaN. */
    public double value(double x) {
        return switch (kind) {
            case SIGMOID -> sigmoid(x);
            case TANH -> Math.tanh(x);
            case RELU -> Math.max(0, x);
            case AFFINE -> alpha * x + beta;
            case LEAKY_RELU -> x >= 0 ? x : alpha * x;
            case THRESHOLDED_RELU -> x <= alpha ? 0 : x;
            case SCALED_TANH -> alpha * Math.tanh(beta * x);
            case HARD_SIGMOID -> Math.max(0, Math.min(1, alpha * x + beta));
            case ELU -> x >= 0 ? x : alpha * Math.expm1(x);
            case SOFTSIGN -> x / (1 + Math.abs(x));
            case SOFTPLUS -> Math.max(0, x) + Math.log1p(Math.exp(-Math.abs(x)));
        };
    }

    /**
     * {@code dy f'(x)}: the gradient at {@code x} from that at {@code y}. At a kink it is one of the two one-sided slopes.
     *
     * @param x where the function was taken
     * @param y {@link #value} of x
     * @param dy what is multiplied by the slope, from the left, as the sums of a backward pass are written
     */
    public double gradient(double x, double y, double dy) {
        return switch (kind) {
            case SIGMOID -> dy * y * (1 - y);
            case TANH -> dy * (1 - y * y);
            case RELU -> x > 0 ? dy : 0;
            case AFFINE -> dy * alpha;
            case LEAKY_RELU -> x >= 0 ? dy : dy * alpha;
            case THRESHOLDED_RELU -> x > alpha ? dy : 0;
            case SCALED_TANH -> {
                double tanh = Math.tanh(beta * x);
                yield dy * alpha * beta * (1 - tanh * tanh);
            }
            case HARD_SIGMOID -> y > 0 && y < 1 ? dy * alpha : 0;
            case ELU -> x >= 0 ? dy : dy * alpha * Math.exp(x);
            case SOFTSIGN -> dy / ((1 + Math.abs(x)) * (1 + Math.abs(x)));
            case SOFTPLUS -> dy * sigmoid(x);
        };
    }

    /**
     * {@code dy f''(x)}: how {@link #gradient} changes with {@code x}, itself multiplied by what is to be. At a kink it is 0.
     *
     * @param x where the function was taken
     * @param y {@link #value} of x
     * @param dy what is multiplied by the second derivative
     */
    public double curvature(double x, double y, double dy) {
        return switch (kind) {
            case SIGMOID -> dy * y * (1 - y) * (1 - 2 * y);
            case TANH -> -2 * dy * y * (1 - y * y);
            case RELU, AFFINE, LEAKY_RELU, THRESHOLDED_RELU, HARD_SIGMOID -> 0;
            case SCALED_TANH -> {
                double tanh = Math.tanh(beta * x);
                yield -2 * dy * alpha * beta * beta * tanh * (1 - tanh * tanh);
            }
            case ELU -> x >= 0 ? 0 : dy * alpha * Math.exp(x);
            case SOFTSIGN -> {
                double width = 1 + Math.abs(x);
                yield -2 * dy * Math.signum(x) / (width * width * width);
            }
            case SOFTPLUS -> {
                double slope = sigmoid(x);
                yield dy * slope * (1 - slope);
            }
        };
    }

    private static double sigmoid(double x) {
        return 1 / (1 + Math.exp(-x));
    }

    /** As in summaries: {@code Tanh}, {@code Elu(1.0)}, {@code HardSigmoid(0.2, 0.5)}. */
    @Override
    public String toString() {
        return kind.onnxName
                + (kind.takesBeta() ? "(" + alpha + ", " + beta + ")" : kind.takesAlpha() ? "(" + alpha + ")" : "");
    }
}
