package carousel.layer;

import carousel.engine.RandomSequence;
import java.util.Arrays;

/**
 * How a weight matrix {@code [outputs, inputs]} is filled before training. Drawn on the host in strict double arithmetic: the
 * same seed gives the same weights on every engine and machine.
 */
public sealed interface Initializer {
    /** Fills a row-major matrix. A vector is a matrix of one column. */
    void fill(double[] values, int outputs, int inputs, RandomSequence random);

    /** Every element the same. */
    record Constant(double value) implements Initializer {
        public Constant {
            requireFinite("the value of a constant initialiser", value);
        }

        @Override
        public void fill(double[] values, int outputs, int inputs, RandomSequence random) {
            Arrays.fill(values, value);
        }
    }

    /** Uniform in [low, high). */
    record Uniform(double low, double high) implements Initializer {
        public Uniform {
            if (!(low <= high) || Double.isInfinite(high - low)) {
                throw new IllegalArgumentException(
                        "the range of a uniform initialiser should be finite and not empty but got [" + low + ", "
                                + high + ")");
            }
        }

        @Override
        public void fill(double[] values, int outputs, int inputs, RandomSequence random) {
            for (int e = 0; e < values.length; e++) {
                values[e] = random.uniform(low, high);
            }
        }
    }

    /** Normal with this mean and standard deviation. */
    record Normal(double mean, double deviation) implements Initializer {
        public Normal {
            requireFinite("the mean of an initialiser", mean);
            if (!(deviation >= 0) || Double.isInfinite(deviation)) {
                throw new IllegalArgumentException(
                        "the standard deviation of an initialiser should be 0 or a positive finite number but got "
                                + deviation);
            }
        }

        @Override
        public void fill(double[] values, int outputs, int inputs, RandomSequence random) {
            for (int e = 0; e < values.length; e++) {
                values[e] = mean + deviation * random.nextGaussian();
            }
        }
    }

    /** Uniform in plus or minus {@code sqrt(6 / (inputs + outputs))} (Glorot &amp; Bengio 2010). */
    record GlorotUniform() implements Initializer {
        @Override
        public void fill(double[] values, int outputs, int inputs, RandomSequence random) {
            double limit = Math.sqrt(6.0 / (inputs + outputs));
            new Uniform(-limit, limit).fill(values, outputs, inputs, random);
        }
    }

    /**
     * A random matrix with orthonormal columns, or orthonormal rows where it is wider than tall (Saxe, McClelland &amp; Ganguli
     * 2014): a normal one, orthogonalised by Gram and Schmidt's method, applied twice for full precision.
     */
    record Orthogonal() implements Initializer {
        @Override
        public void fill(double[] values, int outputs, int inputs, RandomSequence random) {
            boolean tall = outputs >= inputs;
            int vectors = tall ? inputs : outputs;
            int length = tall ? outputs : inputs;
            double[][] basis = new double[vectors][length];
            for (double[] vector : basis) {
                for (int k = 0; k < length; k++) {
                    vector[k] = random.nextGaussian();
                }
            }
            for (int v = 0; v < vectors; v++) {
                for (int pass = 0; pass < 2; pass++) {
                    for (int u = 0; u < v; u++) {
                        subtractProjection(basis[v], basis[u]);
                    }
                }
                normalize(basis[v]);
            }
            for (int o = 0; o < outputs; o++) {
                for (int i = 0; i < inputs; i++) {
                    values[o * inputs + i] = tall ? basis[i][o] : basis[o][i];
                }
            }
        }

        private static void subtractProjection(double[] vector, double[] onto) {
            double dot = 0;
            for (int k = 0; k < vector.length; k++) {
                dot += vector[k] * onto[k];
            }
            for (int k = 0; k < vector.length; k++) {
                vector[k] -= dot * onto[k];
            }
        }

        private static void normalize(double[] vector) {
            double square = 0;
            for (double x : vector) {
                square += x * x;
            }
            double norm = Math.sqrt(square);
            for (int k = 0; k < vector.length; k++) {
                vector[k] /= norm;
            }
        }
    }

    private static void requireFinite(String what, double value) {
        if (!Double.isFinite(value)) {
            throw new IllegalArgumentException(what + " should be a finite number but got " + value);
        }
    }
}
