package carousel.engine.vector;

import static carousel.engine.vector.Kernels.BLOCK;
import static carousel.engine.vector.Kernels.LANES;
import static carousel.engine.vector.SimdKernels.SPECIES;
import static carousel.engine.vector.SimdKernels.VECTOR;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;

/** The functions of {@link CellFunction} on vectors, with their slopes; a loop for each, since a function chosen in one would not be inlined. */
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

        final int first;
        final int lanes;

        Place(int first, int lanes) {
            this.first = first;
            this.lanes = lanes;
        }

        private boolean ofGates() {
            return ordinal() < FRESH.ordinal();
        }
    }

    final Place place;
    final int lanes;
    final int pitch;
    final float alpha;
    final float beta;
    private final float clip;

    private SimdFunctions(Place place, CellFunction function, float clip) {
        this.place = place;
        this.lanes = place.lanes;
        this.pitch = place.ofGates() ? BLOCK : LANES;
        this.alpha = function.alpha();
        this.beta = function.beta();
        this.clip = place.ofGates() ? clip : 0;
    }

    /** @param clip limit of the argument where it is a gate's; 0 for none */
    static Pass of(Place place, CellFunction function, float clip) {
        return switch (function.kind()) {
            case SIGMOID -> new Logistic(place, function, clip);
            // The same with parameters that change no bit.
            case TANH -> new ScaledTanh(place, new CellFunction(function.kind(), 1, 1), clip);
            case SCALED_TANH -> new ScaledTanh(place, function, clip);
            case RELU, THRESHOLDED_RELU -> new ThresholdedRelu(place, function, clip);
            case AFFINE -> new Affine(place, function, clip);
            case LEAKY_RELU -> new LeakyRelu(place, function, clip);
            case HARD_SIGMOID -> new HardSigmoid(place, function, clip);
            case ELU -> new Elu(place, function, clip);
            case SOFTSIGN -> new Softsign(place, function, clip);
            case SOFTPLUS -> new Softplus(place, function, clip);
        };
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

    final FloatVector limited(FloatVector x) {
        return clip > 0 ? SimdPasses.limited(x, clip) : x;
    }

    /** Writes down a slope, 0 where the limit acted. */
    final void keep(FloatVector x, FloatVector slope, float[] slopes, int at) {
        FloatVector kept = clip > 0 ? slope.blend(0, x.abs().compare(VectorOperators.GT, clip)) : slope;
        kept.intoArray(slopes, at);
    }

    static FloatVector all(float value) {
        return FloatVector.broadcast(SPECIES, value);
    }

    private static final class Logistic extends SimdFunctions {
        Logistic(Place place, CellFunction function, float clip) {
            super(place, function, clip);
        }

        @Override
        void run(CellStep step) {
            float[] from = source(step);
            float[] to = target(step);
            float[] slopes = step.slopes;
            for (int r = 0; r < step.rows; r++) {
                for (int l = 0; l < lanes; l += VECTOR) {
                    FloatVector x = FloatVector.fromArray(SPECIES, from, sourceAt(step) + r * pitch + l);
                    FloatVector y = SimdCells.logistic(limited(x));
                    y.intoArray(to, targetAt(step) + r * pitch + l);
                    if (slopes != null) {
                        keep(x, y.mul(all(1).sub(y)), slopes, slopesAt(step) + r * CellStep.SLOPES + l);
                    }
                }
            }
        }
    }

    private static final class ScaledTanh extends SimdFunctions {
        ScaledTanh(Place place, CellFunction function, float clip) {
            super(place, function, clip);
        }

        @Override
        void run(CellStep step) {
            float[] from = source(step);
            float[] to = target(step);
            float[] slopes = step.slopes;
            for (int r = 0; r < step.rows; r++) {
                for (int l = 0; l < lanes; l += VECTOR) {
                    FloatVector x = FloatVector.fromArray(SPECIES, from, sourceAt(step) + r * pitch + l);
                    FloatVector y = SimdCells.tanh(limited(x).mul(beta));
                    y.mul(alpha).intoArray(to, targetAt(step) + r * pitch + l);
                    if (slopes != null) {
                        FloatVector slope = all(1).sub(y.mul(y)).mul(alpha).mul(beta);
                        keep(x, slope, slopes, slopesAt(step) + r * CellStep.SLOPES + l);
                    }
                }
            }
        }
    }

    private static final class ThresholdedRelu extends SimdFunctions {
        ThresholdedRelu(Place place, CellFunction function, float clip) {
            super(place, function, clip);
        }

        @Override
        void run(CellStep step) {
            float[] from = source(step);
            float[] to = target(step);
            float[] slopes = step.slopes;
            for (int r = 0; r < step.rows; r++) {
                for (int l = 0; l < lanes; l += VECTOR) {
                    FloatVector x = FloatVector.fromArray(SPECIES, from, sourceAt(step) + r * pitch + l);
                    FloatVector within = limited(x);
                    within.blend(0, within.compare(VectorOperators.LE, alpha))
                            .intoArray(to, targetAt(step) + r * pitch + l);
                    if (slopes != null) {
                        FloatVector slope = all(0).blend(1, within.compare(VectorOperators.GT, alpha));
                        keep(x, slope, slopes, slopesAt(step) + r * CellStep.SLOPES + l);
                    }
                }
            }
        }
    }

    private static final class Affine extends SimdFunctions {
        Affine(Place place, CellFunction function, float clip) {
            super(place, function, clip);
        }

        @Override
        void run(CellStep step) {
            float[] from = source(step);
            float[] to = target(step);
            float[] slopes = step.slopes;
            for (int r = 0; r < step.rows; r++) {
                for (int l = 0; l < lanes; l += VECTOR) {
                    FloatVector x = FloatVector.fromArray(SPECIES, from, sourceAt(step) + r * pitch + l);
                    limited(x).fma(all(alpha), all(beta)).intoArray(to, targetAt(step) + r * pitch + l);
                    if (slopes != null) {
                        keep(x, all(alpha), slopes, slopesAt(step) + r * CellStep.SLOPES + l);
                    }
                }
            }
        }
    }

    private static final class LeakyRelu extends SimdFunctions {
        LeakyRelu(Place place, CellFunction function, float clip) {
            super(place, function, clip);
        }

        @Override
        void run(CellStep step) {
            float[] from = source(step);
            float[] to = target(step);
            float[] slopes = step.slopes;
            for (int r = 0; r < step.rows; r++) {
                for (int l = 0; l < lanes; l += VECTOR) {
                    FloatVector x = FloatVector.fromArray(SPECIES, from, sourceAt(step) + r * pitch + l);
                    FloatVector within = limited(x);
                    within.blend(within.mul(alpha), within.lt(0)).intoArray(to, targetAt(step) + r * pitch + l);
                    if (slopes != null) {
                        keep(x, all(1).blend(alpha, within.lt(0)), slopes, slopesAt(step) + r * CellStep.SLOPES + l);
                    }
                }
            }
        }
    }

    private static final class HardSigmoid extends SimdFunctions {
        HardSigmoid(Place place, CellFunction function, float clip) {
            super(place, function, clip);
        }

        @Override
        void run(CellStep step) {
            float[] from = source(step);
            float[] to = target(step);
            float[] slopes = step.slopes;
            for (int r = 0; r < step.rows; r++) {
                for (int l = 0; l < lanes; l += VECTOR) {
                    FloatVector x = FloatVector.fromArray(SPECIES, from, sourceAt(step) + r * pitch + l);
                    FloatVector line = limited(x).fma(all(alpha), all(beta));
                    FloatVector y = line.blend(0, line.lt(0));
                    y = y.blend(1, line.compare(VectorOperators.GT, 1));
                    y.intoArray(to, targetAt(step) + r * pitch + l);
                    if (slopes != null) {
                        FloatVector slope = all(0).blend(alpha, y.compare(VectorOperators.GT, 0));
                        slope = slope.blend(0, y.compare(VectorOperators.GE, 1));
                        keep(x, slope, slopes, slopesAt(step) + r * CellStep.SLOPES + l);
                    }
                }
            }
        }
    }

    private static final class Elu extends SimdFunctions {
        Elu(Place place, CellFunction function, float clip) {
            super(place, function, clip);
        }

        @Override
        void run(CellStep step) {
            float[] from = source(step);
            float[] to = target(step);
            float[] slopes = step.slopes;
            for (int r = 0; r < step.rows; r++) {
                for (int l = 0; l < lanes; l += VECTOR) {
                    FloatVector x = FloatVector.fromArray(SPECIES, from, sourceAt(step) + r * pitch + l);
                    FloatVector within = limited(x);
                    FloatVector t = SimdCells.tanh(within.mul(0.5f));
                    FloatVector less = t.add(t).div(all(1).sub(t));
                    within.blend(less.mul(alpha), within.lt(0)).intoArray(to, targetAt(step) + r * pitch + l);
                    if (slopes != null) {
                        FloatVector slope = all(1).blend(less.fma(all(alpha), all(alpha)), within.lt(0));
                        keep(x, slope, slopes, slopesAt(step) + r * CellStep.SLOPES + l);
                    }
                }
            }
        }
    }

    private static final class Softsign extends SimdFunctions {
        Softsign(Place place, CellFunction function, float clip) {
            super(place, function, clip);
        }

        @Override
        void run(CellStep step) {
            float[] from = source(step);
            float[] to = target(step);
            float[] slopes = step.slopes;
            for (int r = 0; r < step.rows; r++) {
                for (int l = 0; l < lanes; l += VECTOR) {
                    FloatVector x = FloatVector.fromArray(SPECIES, from, sourceAt(step) + r * pitch + l);
                    FloatVector within = limited(x);
                    FloatVector size = within.abs().add(1);
                    within.div(size).intoArray(to, targetAt(step) + r * pitch + l);
                    if (slopes != null) {
                        FloatVector quotient = all(1).div(size);
                        keep(x, quotient.mul(quotient), slopes, slopesAt(step) + r * CellStep.SLOPES + l);
                    }
                }
            }
        }
    }

    private static final class Softplus extends SimdFunctions {
        Softplus(Place place, CellFunction function, float clip) {
            super(place, function, clip);
        }

        @Override
        void run(CellStep step) {
            float[] from = source(step);
            float[] to = target(step);
            float[] slopes = step.slopes;
            for (int r = 0; r < step.rows; r++) {
                for (int l = 0; l < lanes; l += VECTOR) {
                    FloatVector x = FloatVector.fromArray(SPECIES, from, sourceAt(step) + r * pitch + l);
                    FloatVector within = limited(x);
                    FloatVector e = SimdCells.exponential(within.abs().neg());
                    FloatVector s = e.div(e.add(2));
                    FloatVector square = s.mul(s);
                    FloatVector sum = square.fma(all(CellFunction.L13), all(CellFunction.L11));
                    sum = sum.fma(square, all(CellFunction.L9));
                    sum = sum.fma(square, all(CellFunction.L7));
                    sum = sum.fma(square, all(CellFunction.L5));
                    sum = sum.fma(square, all(CellFunction.L3));
                    sum = sum.fma(square, all(2));
                    sum.fma(s, within.blend(0, within.compare(VectorOperators.LE, 0)))
                            .intoArray(to, targetAt(step) + r * pitch + l);
                    if (slopes != null) {
                        FloatVector slope = all(1).blend(e, within.lt(0)).div(e.add(1));
                        keep(x, slope, slopes, slopesAt(step) + r * CellStep.SLOPES + l);
                    }
                }
            }
        }
    }
}
