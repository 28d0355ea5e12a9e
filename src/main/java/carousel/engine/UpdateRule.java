package carousel.engine;

import java.io.Serializable;

/**
 * How parameters {@code p} follow their gradients {@code d}, elementwise, with learning rate {@code r}, step number {@code t}
 * counted from 1, and up to two moments {@code m} and {@code v} per parameter that start as zeros.
 */
public sealed interface UpdateRule extends Serializable {
    /** The smallest epsilon of a rule that divides by a root. */
    double SMALLEST_EPSILON = 1e-30;

    /** How many moments per parameter the rule keeps: 0, 1 (m only) or 2. */
    int moments();

    /**
     * Stochastic gradient descent: {@code m = momentum m + d; p -= r m}, or with Nesterov's look-ahead {@code p -= r (d +
     * momentum m)}, as PyTorch has it (Sutskever et al. 2013).
     *
     * @param momentum in [0, 1); 0 keeps no moment
     */
    record Sgd(double momentum, boolean nesterov) implements UpdateRule {
        public Sgd {
            fraction("momentum", momentum);
            if (nesterov && momentum == 0) {
                throw new IllegalArgumentException("Nesterov's look-ahead needs a momentum above 0 but got 0");
            }
        }

        @Override
        public int moments() {
            return momentum == 0 ? 0 : 1;
        }
    }

    /**
     * Adam (Kingma &amp; Ba 2015): {@code m = beta1 m + (1 - beta1) d; v = beta2 v + (1 - beta2) d^2; p -= r (m / (1 -
     * beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon)}. With a weight decay, AdamW (Loshchilov &amp; Hutter 2019): before
     * that {@code p -= r weightDecay p}.
     *
     * @param weightDecay 0 or more; 0 is plain Adam
     */
    record Adam(double beta1, double beta2, double epsilon, double weightDecay) implements UpdateRule {
        public Adam {
            fraction("beta1", beta1);
            fraction("beta2", beta2);
            requireEpsilon(epsilon);
            notNegative("weight decay", weightDecay);
        }

        @Override
        public int moments() {
            return 2;
        }
    }

    /**
     * RMSProp (Tieleman &amp; Hinton 2012): {@code m = decay m + (1 - decay) d^2; p -= r d / (sqrt(m) + epsilon)}.
     *
     * @param decay in [0, 1)
     */
    record RmsProp(double decay, double epsilon) implements UpdateRule {
        public RmsProp {
            fraction("decay", decay);
            requireEpsilon(epsilon);
        }

        @Override
        public int moments() {
            return 1;
        }
    }

    private static void fraction(String what, double value) {
        if (!(value >= 0 && value < 1)) {
            throw new IllegalArgumentException(what + " should be in the [0, 1) range but got " + value);
        }
    }

    /** Above 0 in any precision: with 0 a parameter whose gradient has always been 0 would become 0 / 0. */
    private static void requireEpsilon(double value) {
        if (!(value >= SMALLEST_EPSILON) || Double.isInfinite(value)) {
            throw new IllegalArgumentException(
                    "epsilon should be a finite number of " + SMALLEST_EPSILON + " or more but got " + value);
        }
    }

    private static void notNegative(String what, double value) {
        if (!(value >= 0) || Double.isInfinite(value)) {
            throw new IllegalArgumentException(what + " should be 0 or a positive finite number but got " + value);
        }
    }
}
