package carousel.engine.vector;

import static carousel.engine.vector.Kernels.BLOCK;
import static carousel.engine.vector.Kernels.LANES;
import static carousel.engine.vector.SimdKernels.SPECIES;
import static carousel.engine.vector.SimdKernels.VECTOR;

import java.util.List;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;

/**
 * The functions of {@link CellFunction} on vectors, and their slopes: a loop for each, in place of one that chooses, and one for each of the
 * two, since a loop that did more would be more than the compiler inlines.
 */
abstract class SimdFunctions extends Pass {
    /** Where a function is taken in a step. */
    enum Place {
        INPUT_AND_FORGET(0, 2 * LANES),
        CANDIDATE(2 * LANES, LANES),
        OUTPUT(3 * LANES, LANES),
        /** From c' to what is shown of it. */
        FRESH(4 * LANES, LANES),
        /** From the normalised c' to what is shown of it. */
        SHOWN(4 * LANES, LANES);

        private final int first;
        private final int lanes;

        Place(int first, int lanes) {
            this.first = first;
            this.lanes = lanes;
        }

        private boolean ofGates() {
            return ordinal() < FRESH.ordinal();
        }
    }

    private final Place place;
    final int lanes;
    final int pitch;
    final float alpha;
    final float beta;

    private SimdFunctions(Place place, CellFunction function) {
        this.place = place;
        this.lanes = place.lanes;
        this.pitch = place.ofGates() ? BLOCK : LANES;
        this.alpha = function.alpha();
        this.beta = function.beta();
    }

    /**
     * Adds the passes that take a function.
     *
     * @param clip limit of the argument where it is a gate's; 0 for none
     * @param slopes whether slopes may be wanted
     */
    static void add(List<Pass> passes, Place place, CellFunction function, float clip, boolean slopes) {
        float limit = place.ofGates() ? clip : 0;
        if (slopes) {
            passes.add(new Argument(place, function, limit));
        }
        passes.add(
                switch (function.kind()) {
                    case SIGMOID -> new Logistic(place, function);
                    case TANH -> new Tanh(place, function);
                    case SCALED_TANH -> new ScaledTanh(place, function);
                    case RELU, THRESHOLDED_RELU -> new ThresholdedRelu(place, function);
                    case AFFINE -> new Affine(place, function);
                    case LEAKY_RELU -> new LeakyRelu(place, function);
                    case HARD_SIGMOID -> new HardSigmoid(place, function);
                    case ELU -> new Elu(place, function);
                    case SOFTSIGN -> new Softsign(place, function);
                    case SOFTPLUS -> new Softplus(place, function);
                });
        if (slopes) {
            passes.add(
                    switch (function.kind()) {
                        case SIGMOID -> new LogisticSlope(place, function, limit);
                        // The same with parameters that change no bit.
                        case TANH -> new ScaledTanhSlope(place, new CellFunction(function.kind(), 1, 1), limit);
                        case SCALED_TANH -> new ScaledTanhSlope(place, function, limit);
                        case RELU, THRESHOLDED_RELU -> new ThresholdedReluSlope(place, function, limit);
                        case AFFINE -> new AffineSlope(place, function, limit);
                        case LEAKY_RELU -> new LeakyReluSlope(place, function, limit);
                        case HARD_SIGMOID -> new HardSigmoidSlope(place, function, limit);
                        case ELU -> new EluSlope(place, function, limit);
                        case SOFTSIGN -> new SoftsignSlope(place, function, limit);
                        case SOFTPLUS -> new SoftplusSlope(place, function, limit);
                    });
        }
    }

    final float[] source(CellStep step) {
        return place.ofGates() ? step.z : place == Place.FRESH ? step.fresh : step.shown;
    }

    final int sourceAt(CellStep step) {
        return place.ofGates() ? step.zAt + place.first : place == Place.FRESH ? step.freshAt : step.shownAt;
    }

    final float[] target(CellStep step) {
        return place.ofGates() ? step.z : step.shown;
    }

    final int targetAt(CellStep step) {
        return place.ofGates() ? step.zAt + place.first : step.shownAt;
    }

    final int slopesAt(CellStep step) {
        return step.slopesAt + place.first;
    }

    static FloatVector all(float value) {
        return FloatVector.broadcast(SPECIES, value);
    }

    /** Writes the argument down where the slope will be, and limits it. */
    private static final class Argument extends SimdFunctions {
        private final float clip;

        Argument(Place place, CellFunction function, float clip) {
            super(place, function);
            this.clip = clip;
        }

        @Override
        void run(CellStep step) {
            float[] from = source(step);
            float[] slopes = step.slopes;
            for (int r = 0; r < step.rows; r++) {
                for (int l = 0; l < lanes; l += VECTOR) {
                    int at = sourceAt(step) + r * pitch + l;
                    FloatVector x = FloatVector.fromArray(SPECIES, from, at);
                    if (slopes != null) {
                        x.intoArray(slopes, slopesAt(step) + r * CellStep.SLOPES + l);
                    }
                    if (clip > 0) {
                        SimdPasses.limited(x, clip).intoArray(from, at);
                    }
                }
            }
        }
    }

    private static final class Logistic extends SimdFunctions {
        Logistic(Place place, CellFunction function) {
            super(place, function);
        }

        @Override
        void run(CellStep step) {
            float[] from = source(step);
            float[] to = target(step);
            for (int r = 0; r < step.rows; r++) {
                for (int l = 0; l < lanes; l += VECTOR) {
                    FloatVector x = FloatVector.fromArray(SPECIES, from, sourceAt(step) + r * pitch + l);

                    SimdCells.logistic(x).intoArray(to, targetAt(step) + r * pitch + l);
                }
            }
        }
    }

    private static final class Tanh extends SimdFunctions {
        Tanh(Place place, CellFunction function) {
            super(place, function);
        }

        @Override
        void run(CellStep step) {
            float[] from = source(step);
            float[] to = target(step);
            for (int r = 0; r < step.rows; r++) {
                for (int l = 0; l < lanes; l += VECTOR) {
                    FloatVector x = FloatVector.fromArray(SPECIES, from, sourceAt(step) + r * pitch + l);

                    SimdCells.tanh(x).intoArray(to, targetAt(step) + r * pitch + l);
                }
            }
        }
    }

    private static final class ScaledTanh extends SimdFunctions {
        ScaledTanh(Place place, CellFunction function) {
            super(place, function);
        }

        @Override
        void run(CellStep step) {
            float[] from = source(step);
            float[] to = target(step);
            for (int r = 0; r < step.rows; r++) {
                for (int l = 0; l < lanes; l += VECTOR) {
                    FloatVector x = FloatVector.fromArray(SPECIES, from, sourceAt(step) + r * pitch + l);

                    SimdCells.tanh(x.mul(beta)).mul(alpha).intoArray(to, targetAt(step) + r * pitch + l);
                }
            }
        }
    }

    private static final class ThresholdedRelu extends SimdFunctions {
        ThresholdedRelu(Place place, CellFunction function) {
            super(place, function);
        }

        @Override
        void run(CellStep step) {
            float[] from = source(step);
            float[] to = target(step);
            for (int r = 0; r < step.rows; r++) {
                for (int l = 0; l < lanes; l += VECTOR) {
                    FloatVector x = FloatVector.fromArray(SPECIES, from, sourceAt(step) + r * pitch + l);

                    x.blend(0, x.compare(VectorOperators.LE, alpha)).intoArray(to, targetAt(step) + r * pitch + l);
                }
            }
        }
    }

    private static final class Affine extends SimdFunctions {
        Affine(Place place, CellFunction function) {
            super(place, function);
        }

        @Override
        void run(CellStep step) {
            float[] from = source(step);
            float[] to = target(step);
            for (int r = 0; r < step.rows; r++) {
                for (int l = 0; l < lanes; l += VECTOR) {
                    FloatVector x = FloatVector.fromArray(SPECIES, from, sourceAt(step) + r * pitch + l);

                    x.fma(all(alpha), all(beta)).intoArray(to, targetAt(step) + r * pitch + l);
                }
            }
        }
    }

    private static final class LeakyRelu extends SimdFunctions {
        LeakyRelu(Place place, CellFunction function) {
            super(place, function);
        }

        @Override
        void run(CellStep step) {
            float[] from = source(step);
            float[] to = target(step);
            for (int r = 0; r < step.rows; r++) {
                for (int l = 0; l < lanes; l += VECTOR) {
                    FloatVector x = FloatVector.fromArray(SPECIES, from, sourceAt(step) + r * pitch + l);

                    x.blend(x.mul(alpha), x.lt(0)).intoArray(to, targetAt(step) + r * pitch + l);
                }
            }
        }
    }

    private static final class HardSigmoid extends SimdFunctions {
        HardSigmoid(Place place, CellFunction function) {
            super(place, function);
        }

        @Override
        void run(CellStep step) {
            float[] from = source(step);
            float[] to = target(step);
            for (int r = 0; r < step.rows; r++) {
                for (int l = 0; l < lanes; l += VECTOR) {
                    FloatVector x = FloatVector.fromArray(SPECIES, from, sourceAt(step) + r * pitch + l);
                    FloatVector line = x.fma(all(alpha), all(beta));
                    line.blend(0, line.lt(0))
                            .blend(1, line.compare(VectorOperators.GT, 1))
                            .intoArray(to, targetAt(step) + r * pitch + l);
                }
            }
        }
    }

    private static final class Elu extends SimdFunctions {
        Elu(Place place, CellFunction function) {
            super(place, function);
        }

        @Override
        void run(CellStep step) {
            float[] from = source(step);
            float[] to = target(step);
            for (int r = 0; r < step.rows; r++) {
                for (int l = 0; l < lanes; l += VECTOR) {
                    FloatVector x = FloatVector.fromArray(SPECIES, from, sourceAt(step) + r * pitch + l);
                    FloatVector t = SimdCells.tanh(x.mul(0.5f));
                    x.blend(t.add(t).div(all(1).sub(t)).mul(alpha), x.lt(0))
                            .intoArray(to, targetAt(step) + r * pitch + l);
                }
            }
        }
    }

    private static final class Softsign extends SimdFunctions {
        Softsign(Place place, CellFunction function) {
            super(place, function);
        }

        @Override
        void run(CellStep step) {
            float[] from = source(step);
            float[] to = target(step);
            for (int r = 0; r < step.rows; r++) {
                for (int l = 0; l < lanes; l += VECTOR) {
                    FloatVector x = FloatVector.fromArray(SPECIES, from, sourceAt(step) + r * pitch + l);

                    x.div(x.abs().add(1)).intoArray(to, targetAt(step) + r * pitch + l);
                }
            }
        }
    }

    private static final class Softplus extends SimdFunctions {
        Softplus(Place place, CellFunction function) {
            super(place, function);
        }

        @Override
        void run(CellStep step) {
            float[] from = source(step);
            float[] to = target(step);
            for (int r = 0; r < step.rows; r++) {
                for (int l = 0; l < lanes; l += VECTOR) {
                    FloatVector x = FloatVector.fromArray(SPECIES, from, sourceAt(step) + r * pitch + l);
                    FloatVector e = SimdCells.exponential(x.abs().neg());
                    FloatVector s = e.div(e.add(2));
                    FloatVector square = s.mul(s);
                    FloatVector sum = square.fma(all(CellFunction.L13), all(CellFunction.L11));
                    sum = sum.fma(square, all(CellFunction.L9));
                    sum = sum.fma(square, all(CellFunction.L7));
                    sum = sum.fma(square, all(CellFunction.L5));
                    sum = sum.fma(square, all(CellFunction.L3));
                    sum = sum.fma(square, all(2));
                    sum.fma(s, x.blend(0, x.compare(VectorOperators.LE, 0)))
                            .intoArray(to, targetAt(step) + r * pitch + l);
                }
            }
        }
    }

    /** From an argument, which lies where the slope will be, and the value. */
    private abstract static class Slope extends SimdFunctions {
        final float clip;

        Slope(Place place, CellFunction function, float clip) {
            super(place, function);
            this.clip = clip;
        }

        /** Writes down a slope, 0 where the limit acted. */
        final void keep(FloatVector x, FloatVector slope, float[] slopes, int at) {
            FloatVector kept = clip > 0 ? slope.blend(0, x.abs().compare(VectorOperators.GT, clip)) : slope;
            kept.intoArray(slopes, at);
        }
    }

    private static final class LogisticSlope extends Slope {
        LogisticSlope(Place place, CellFunction function, float clip) {
            super(place, function, clip);
        }

        @Override
        void run(CellStep step) {
            float[] slopes = step.slopes;
            float[] values = target(step);
            for (int r = 0; slopes != null && r < step.rows; r++) {
                for (int l = 0; l < lanes; l += VECTOR) {
                    int at = slopesAt(step) + r * CellStep.SLOPES + l;
                    FloatVector x = FloatVector.fromArray(SPECIES, slopes, at);
                    FloatVector y = FloatVector.fromArray(SPECIES, values, targetAt(step) + r * pitch + l);

                    keep(x, y.mul(all(1).sub(y)), slopes, at);
                }
            }
        }
    }

    private static final class ScaledTanhSlope extends Slope {
        ScaledTanhSlope(Place place, CellFunction function, float clip) {
            super(place, function, clip);
        }

        @Override
        void run(CellStep step) {
            float[] slopes = step.slopes;
            float[] values = target(step);
            for (int r = 0; slopes != null && r < step.rows; r++) {
                for (int l = 0; l < lanes; l += VECTOR) {
                    int at = slopesAt(step) + r * CellStep.SLOPES + l;
                    FloatVector x = FloatVector.fromArray(SPECIES, slopes, at);
                    FloatVector y = FloatVector.fromArray(SPECIES, values, targetAt(step) + r * pitch + l);
                    FloatVector t = alpha == 0 ? all(0) : y.div(alpha);
                    keep(x, all(1).sub(t.mul(t)).mul(alpha).mul(beta), slopes, at);
                }
            }
        }
    }

    private static final class ThresholdedReluSlope extends Slope {
        ThresholdedReluSlope(Place place, CellFunction function, float clip) {
            super(place, function, clip);
        }

        @Override
        void run(CellStep step) {
            float[] slopes = step.slopes;
            for (int r = 0; slopes != null && r < step.rows; r++) {
                for (int l = 0; l < lanes; l += VECTOR) {
                    int at = slopesAt(step) + r * CellStep.SLOPES + l;
                    FloatVector x = FloatVector.fromArray(SPECIES, slopes, at);

                    keep(x, all(1).blend(0, x.compare(VectorOperators.LE, alpha)), slopes, at);
                }
            }
        }
    }

    private static final class AffineSlope extends Slope {
        AffineSlope(Place place, CellFunction function, float clip) {
            super(place, function, clip);
        }

        @Override
        void run(CellStep step) {
            float[] slopes = step.slopes;
            for (int r = 0; slopes != null && r < step.rows; r++) {
                for (int l = 0; l < lanes; l += VECTOR) {
                    int at = slopesAt(step) + r * CellStep.SLOPES + l;
                    FloatVector x = FloatVector.fromArray(SPECIES, slopes, at);

                    keep(x, all(alpha), slopes, at);
                }
            }
        }
    }

    private static final class LeakyReluSlope extends Slope {
        LeakyReluSlope(Place place, CellFunction function, float clip) {
            super(place, function, clip);
        }

        @Override
        void run(CellStep step) {
            float[] slopes = step.slopes;
            for (int r = 0; slopes != null && r < step.rows; r++) {
                for (int l = 0; l < lanes; l += VECTOR) {
                    int at = slopesAt(step) + r * CellStep.SLOPES + l;
                    FloatVector x = FloatVector.fromArray(SPECIES, slopes, at);

                    keep(x, all(1).blend(alpha, x.lt(0)), slopes, at);
                }
            }
        }
    }

    private static final class HardSigmoidSlope extends Slope {
        HardSigmoidSlope(Place place, CellFunction function, float clip) {
            super(place, function, clip);
        }

        @Override
        void run(CellStep step) {
            float[] slopes = step.slopes;
            float[] values = target(step);
            for (int r = 0; slopes != null && r < step.rows; r++) {
                for (int l = 0; l < lanes; l += VECTOR) {
                    int at = slopesAt(step) + r * CellStep.SLOPES + l;
                    FloatVector x = FloatVector.fromArray(SPECIES, slopes, at);
                    FloatVector y = FloatVector.fromArray(SPECIES, values, targetAt(step) + r * pitch + l);
                    FloatVector slope = all(0).blend(alpha, y.compare(VectorOperators.GT, 0));
                    keep(x, slope.blend(0, y.compare(VectorOperators.GE, 1)), slopes, at);
                }
            }
        }
    }

    private static final class EluSlope extends Slope {
        EluSlope(Place place, CellFunction function, float clip) {
            super(place, function, clip);
        }

        @Override
        void run(CellStep step) {
            float[] slopes = step.slopes;
            float[] values = target(step);
            for (int r = 0; slopes != null && r < step.rows; r++) {
                for (int l = 0; l < lanes; l += VECTOR) {
                    int at = slopesAt(step) + r * CellStep.SLOPES + l;
                    FloatVector x = FloatVector.fromArray(SPECIES, slopes, at);
                    FloatVector y = FloatVector.fromArray(SPECIES, values, targetAt(step) + r * pitch + l);

                    keep(x, all(1).blend(y.add(alpha), x.lt(0)), slopes, at);
                }
            }
        }
    }

    private static final class SoftsignSlope extends Slope {
        SoftsignSlope(Place place, CellFunction function, float clip) {
            super(place, function, clip);
        }

        @Override
        void run(CellStep step) {
            float[] slopes = step.slopes;
            for (int r = 0; slopes != null && r < step.rows; r++) {
                for (int l = 0; l < lanes; l += VECTOR) {
                    int at = slopesAt(step) + r * CellStep.SLOPES + l;
                    FloatVector x = FloatVector.fromArray(SPECIES, slopes, at);
                    FloatVector quotient = all(1).div(x.abs().add(1));
                    keep(x, quotient.mul(quotient), slopes, at);
                }
            }
        }
    }

    private static final class SoftplusSlope extends Slope {
        SoftplusSlope(Place place, CellFunction function, float clip) {
            super(place, function, clip);
        }

        @Override
        void run(CellStep step) {
            float[] slopes = step.slopes;
            for (int r = 0; slopes != null && r < step.rows; r++) {
                for (int l = 0; l < lanes; l += VECTOR) {
                    int at = slopesAt(step) + r * CellStep.SLOPES + l;
                    FloatVector x = FloatVector.fromArray(SPECIES, slopes, at);

                    keep(x, SimdCells.logistic(x), slopes, at);
                }
            }
        }
    }
}
