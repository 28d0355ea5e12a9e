package carousel.optimizer;

import carousel.engine.Engine;
import carousel.engine.Update;
import carousel.engine.UpdateRule;
import carousel.tensor.Scope;
import carousel.tensor.Tensor;
import java.io.Serializable;

/**
 * A recipe for training: an update rule, a learning rate over time, and gradient clipping.
 *
 * @param rule what one step computes
 * @param schedule the learning rate of each step
 * @param maxNorm gradients are scaled down to this global L2 norm where theirs is larger; 0 for no clipping
 */
public record Optimizer(UpdateRule rule, Schedule schedule, double maxNorm) implements Serializable {
    public Optimizer {
        if (!(maxNorm >= 0) || Double.isInfinite(maxNorm)) {
            throw new IllegalArgumentException(
                    "the largest gradient norm should be 0 (no clipping) or a positive finite number but got "
                            + maxNorm);
        }
    }

    /** Plain stochastic gradient descent. */
    public static Optimizer sgd(double learningRate) {
        return of(new UpdateRule.Sgd(0, false), learningRate);
    }

    /** Stochastic gradient descent with momentum. */
    public static Optimizer momentum(double learningRate, double momentum) {
        return of(new UpdateRule.Sgd(momentum, false), learningRate);
    }

    /** Stochastic gradient descent with Nesterov's momentum. */
    public static Optimizer nesterov(double learningRate, double momentum) {
        return of(new UpdateRule.Sgd(momentum, true), learningRate);
    }

    /** Adam with the constants of its paper: 0.9, 0.999 and an epsilon of 1e-8. */
    public static Optimizer adam(double learningRate) {
        return of(new UpdateRule.Adam(0.9, 0.999, 1e-8, 0), learningRate);
    }

    /** AdamW with Adam's constants. */
    public static Optimizer adamW(double learningRate, double weightDecay) {
        return of(new UpdateRule.Adam(0.9, 0.999, 1e-8, weightDecay), learningRate);
    }

    /** RMSProp with a decay of 0.9 and an epsilon of 1e-7, as in Keras. */
    public static Optimizer rmsProp(double learningRate) {
        return of(new UpdateRule.RmsProp(0.9, 1e-7), learningRate);
    }

    /** This rule at a constant rate, without clipping. */
    public static Optimizer of(UpdateRule rule, double learningRate) {
        return new Optimizer(rule, Schedule.constant(learningRate), 0);
    }

    public Optimizer withSchedule(Schedule value) {
        return new Optimizer(rule, value, maxNorm);
    }

    public Optimizer withMaxNorm(double value) {
        return new Optimizer(rule, schedule, value);
    }

    /** The moments of this recipe for a buffer of so many parameters, starting as zeros. */
    public State open(Engine engine, Scope scope, long elements) {
        return new State(engine, scope, Math.toIntExact(elements));
    }

    /** What the optimizer keeps from step to step. */
    public final class State {
        private final Engine engine;
        private final Tensor firstMoment;
        private final Tensor secondMoment;
        private final Tensor squaredNorm;

        private State(Engine engine, Scope scope, int elements) {
            this.engine = engine;
            this.firstMoment = rule.moments() < 1 ? null : zeros(scope, "first moment", elements);
            this.secondMoment = rule.moments() < 2 ? null : zeros(scope, "second moment", elements);
            this.squaredNorm = maxNorm == 0 ? null : scope.allocate("squared gradient norm", 1);
        }

        private Tensor zeros(Scope scope, String name, int elements) {
            Tensor tensor = scope.allocate(name, elements);
            engine.fill(tensor, 0);
            return tensor;
        }

        /** Null for a rule that keeps none. */
        public Tensor firstMoment() {
            return firstMoment;
        }

        /** Null for a rule that keeps fewer than two. */
        public Tensor secondMoment() {
            return secondMoment;
        }

        /**
         * Moves the parameters one step along their gradients.
         *
         * @param step how many steps were taken before this one
         * @param rateFactor the schedule's rate is multiplied by this
         */
        public void step(Tensor parameters, Tensor gradients, long step, double rateFactor) {
            if (squaredNorm != null) {
                engine.squaredNorm(gradients, squaredNorm);
            }
            update(parameters, gradients, step, step, rateFactor, squaredNorm);
        }

        /**
         * The same, for one who knows the norm of the gradients, and may have skipped steps.
         *
         * @param step how many steps came before this one: the schedule goes by it
         * @param updates how many of them were taken: the moments have seen so many
         * @param norm {@code [1]}, the square of the gradients' L2 norm; null will do where nothing is clipped
         */
        public void update(
                Tensor parameters, Tensor gradients, long step, long updates, double rateFactor, Tensor norm) {
            Update update = new Update(
                    rule, updates + 1, schedule.rate(step) * rateFactor, maxNorm, maxNorm == 0 ? null : norm);
            engine.update(update, parameters, gradients, firstMoment, secondMoment);
        }
    }
}
