package carousel.engine.vector;

import carousel.engine.Update;
import carousel.engine.UpdateRule;

/** An {@link Update} in the single-precision numbers that its loops need; one object, set anew for every step. */
final class UpdateStep {
    /** The loops there are. */
    enum Kind {
        DESCENT,
        MOMENTUM,
        NESTEROV,
        ADAM,
        RMS_PROP
    }

    Kind kind;
    /** What gradients are multiplied by. */
    float clip;

    float rate;
    /** Momentum, beta1, or the decay of RMSProp. */
    float keep1;

    float take1;
    /** beta2. */
    float keep2;

    float take2;
    /** 1 / (1 - beta2^t). */
    float correction;

    float epsilon;
    /** What parameters are multiplied by first; 1 without weight decay. */
    float shrink;

    void set(Update update, double clipFactor) {
        clip = (float) clipFactor;
        rate = (float) update.learningRate();
        shrink = 1;
        if (update.rule() instanceof UpdateRule.Sgd sgd) {
            keep1 = (float) sgd.momentum();
            kind = sgd.momentum() == 0 ? Kind.DESCENT : sgd.nesterov() ? Kind.NESTEROV : Kind.MOMENTUM;
        } else if (update.rule() instanceof UpdateRule.Adam adam) {
            kind = Kind.ADAM;
            keep1 = (float) adam.beta1();
            take1 = (float) (1 - adam.beta1());
            keep2 = (float) adam.beta2();
            take2 = (float) (1 - adam.beta2());
            rate = (float) (update.learningRate() / (1 - Math.pow(adam.beta1(), update.step())));
            correction = (float) (1 / (1 - Math.pow(adam.beta2(), update.step())));
            epsilon = (float) adam.epsilon();
            shrink = (float) (1 - update.learningRate() * adam.weightDecay());
        } else if (update.rule() instanceof UpdateRule.RmsProp rms) {
            kind = Kind.RMS_PROP;
            keep1 = (float) rms.decay();
            take1 = (float) (1 - rms.decay());
            epsilon = (float) rms.epsilon();
        } else {
            throw new AssertionError(update.rule());
        }
    }
}
