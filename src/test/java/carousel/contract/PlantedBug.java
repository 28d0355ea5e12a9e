package carousel.contract;

import carousel.engine.ActivationFunction;
import carousel.engine.CellActivation;
import carousel.engine.Dual;
import carousel.engine.Engine;
import carousel.engine.Gate;
import carousel.engine.Loss;
import carousel.engine.LstmActivations;
import carousel.engine.LstmInput;
import carousel.engine.LstmInputGradient;
import carousel.engine.LstmLayout;
import carousel.engine.LstmOutput;
import carousel.engine.LstmSpec;
import carousel.engine.LstmState;
import carousel.engine.LstmTape;
import carousel.engine.ParameterView;
import carousel.engine.RandomKey;
import carousel.engine.SecondOrder;
import carousel.engine.Update;
import carousel.engine.UpdateRule;
import carousel.tensor.HostStorage;
import carousel.tensor.Scope;
import carousel.tensor.Tensor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.Function;
import java.util.function.UnaryOperator;

/** Mistakes an engine could make, each planted into a correct one. */
enum PlantedBug {
    SWAPS_INPUT_AND_FORGET_GATE(engine -> new OtherWeights(engine, (spec, weights) -> swapGates(spec, weights, 0, 1))),
    SWAPS_FORGET_GATE_AND_CANDIDATE(
            engine -> new OtherWeights(engine, (spec, weights) -> swapGates(spec, weights, 1, 2))),
    SWAPS_CANDIDATE_AND_OUTPUT_GATE(
            engine -> new OtherWeights(engine, (spec, weights) -> swapGates(spec, weights, 2, 3))),
    SWAPS_FORWARD_AND_REVERSE_CELLS(engine -> new OtherWeights(engine, PlantedBug::swapCells)),
    DROPS_THE_BIAS(engine -> new OtherWeights(engine, PlantedBug::dropBias)),

    USES_LENGTHS_OFF_BY_ONE(engine -> new OtherInput(
            engine,
            input -> input.lengths() == null
                    ? input
                    : input.withLengths(Arrays.stream(input.lengths())
                            .map(length -> Math.max(0, length - 1))
                            .toArray()))),
    IGNORES_LENGTHS(engine -> new OtherInput(engine, input -> input.withLengths((int[]) null))),
    IGNORES_INITIAL_STATE(engine -> new OtherInput(engine, input -> input.withInitial(null))),
    IGNORES_DROPOUT(engine -> new OtherInput(engine, input -> input.withDropout(null))),
    IGNORES_THE_DROPOUT_CALL(engine -> new OtherInput(
            engine,
            input -> input.dropout() == null
                    ? input
                    : input.withDropout(new RandomKey(input.dropout().seed(), input.dropout().stream(), 0)))),
    TRUNCATES_THE_DROPOUT_CALL(engine -> new OtherInput(
            engine,
            input -> input.dropout() == null
                    ? input
                    : input.withDropout(new RandomKey(input.dropout().seed(), input.dropout().stream(), (int)
                            input.dropout().call())))),

    FORGETS_THE_DIRECTION_OF_PARAMETERS(engine ->
            new OtherSecondOrder(engine, second -> new DelegatingSecondOrder(second) {
                @Override
                public void lstmForward(
                        LstmSpec spec,
                        Dual<Tensor> parameters,
                        Dual<LstmInput> input,
                        Dual<LstmOutput> output,
                        LstmTape tape) {
                    super.lstmForward(spec, Dual.constant(parameters.value()), input, output, tape);
                }
            })),
    FORGETS_THAT_OUTPUT_GRADIENTS_CHANGE(engine ->
            new OtherSecondOrder(engine, second -> new DelegatingSecondOrder(second) {
                @Override
                public void lstmBackward(
                        LstmTape tape,
                        Dual<LstmOutput> outputGradient,
                        Dual<Tensor> parameterGradients,
                        Dual<LstmInputGradient> inputGradient) {
                    super.lstmBackward(tape, Dual.constant(outputGradient.value()), parameterGradients, inputGradient);
                }
            })),
    FORGETS_ROW_WEIGHTS_OF_A_CHANGING_LOSS(engine ->
            new OtherSecondOrder(engine, second -> new DelegatingSecondOrder(second) {
                @Override
                public void loss(Loss loss, Dual<Tensor> predictions, Tensor rowWeights, Tensor dPredictionsTangent) {
                    super.loss(loss, predictions, null, dPredictionsTangent);
                }
            })),
    FORGETS_THAT_OUTPUTS_OF_AN_ACTIVATION_CHANGE(engine ->
            new OtherSecondOrder(engine, second -> new DelegatingSecondOrder(second) {
                @Override
                public void activationBackward(
                        ActivationFunction function, Dual<Tensor> y, Dual<Tensor> dy, Tensor dxTangent) {
                    super.activationBackward(function, Dual.constant(y.value()), dy, dxTangent);
                }
            })),

    LEAVES_LAST_C_UNWRITTEN(engine -> new DelegatingEngine(engine) {
        @Override
        public void lstmForward(LstmSpec spec, Tensor parameters, LstmInput input, LstmOutput output, LstmTape tape) {
            LstmState last = output.last();
            super.lstmForward(
                    spec,
                    parameters,
                    input,
                    last == null ? output : new LstmOutput(output.y(), new LstmState(last.h(), null)),
                    tape);
        }
    }),
    LEAVES_PADDING_OF_Y_UNWRITTEN(engine -> new AfterForward(engine) {
        @Override
        void after(LstmSpec spec, LstmInput input, LstmOutput output) {
            eachPadded(input, (t, n) -> put(output.y(), t, n, Double.NaN));
        }
    }),
    MULTIPLIES_PADDING_BY_ZERO(engine -> new AfterForward(engine) {
        @Override
        void after(LstmSpec spec, LstmInput input, LstmOutput output) {
            double[] x = values(input.x());
            int inputs = input.x().shape().extent(2);
            int batch = input.x().shape().extent(1);
            eachPadded(input, (t, n) -> put(output.y(), t, n, 0 * x[(t * batch + n) * inputs]));
        }
    }),
    WRITES_PAST_THE_END_OF_Y(engine -> new AfterForward(engine) {
        @Override
        void after(LstmSpec spec, LstmInput input, LstmOutput output) {
            HostStorage.doubles(output.y())[
                    HostStorage.start(output.y()) + (int) output.y().elements()] = 1;
        }
    }),
    ROUNDS_OUTPUTS_DURING_INFERENCE(engine -> new DelegatingEngine(engine) {
        @Override
        public void lstmForward(LstmSpec spec, Tensor parameters, LstmInput input, LstmOutput output, LstmTape tape) {
            super.lstmForward(spec, parameters, input, output, tape);
            if (tape == null) {
                double[] y = values(output.y());
                Arrays.setAll(y, e -> Math.rint(y[e] * 4096) / 4096);
                write(output.y(), y);
            }
        }
    }),
    LEAVES_THE_LAST_STATE_UNWRITTEN_DURING_INFERENCE(engine -> new DelegatingEngine(engine) {
        @Override
        public void lstmForward(LstmSpec spec, Tensor parameters, LstmInput input, LstmOutput output, LstmTape tape) {
            super.lstmForward(spec, parameters, input, tape == null ? new LstmOutput(output.y(), null) : output, tape);
        }
    }),
    LEAKS_WORKSPACE(engine -> new AfterForward(engine) {
        @Override
        void after(LstmSpec spec, LstmInput input, LstmOutput output) {
            Scope forgotten = openScope("forgotten");
            forgotten.allocate("workspace", 3);
            FORGOTTEN.add(forgotten);
        }
    }),
    FORGETS_THE_CELL_CLIP(engine -> new OtherSpec(engine, spec -> spec.withCellClip(0))),
    FORGETS_THE_GATE_CLIP(engine -> new OtherSpec(engine, spec -> spec.withGateClip(0))),
    CLIPS_THE_CELL_WITH_THE_GATES(engine -> new OtherSpec(
            engine, spec -> spec.gateClip() > 0 && spec.cellClip() == 0 ? spec.withCellClip(spec.gateClip()) : spec)),
    DOES_NOT_COUPLE_GATES(engine -> new OtherSpec(engine, spec -> spec.withCoupledGates(false))),
    // Since 1 - sigma(a) = sigma(-a), with i from -a_f the forget gate 1 - i is sigma(a_f).
    COUPLES_GATES_THE_OTHER_WAY(engine -> new OtherWeights(engine, (spec, weights) -> {
        if (spec.coupledGates()) {
            swapGates(spec, weights, 0, 1);
            negateGate(spec, weights, 0);
        }
    })),
    SWAPS_THE_ACTIVATIONS_OF_CANDIDATE_AND_OUTPUT(engine -> new OtherSpec(
            engine,
            spec -> spec.withActivations(new LstmActivations(
                    spec.activations().gates(),
                    spec.activations().output(),
                    spec.activations().candidate())))),
    FORGETS_THE_ACTIVATION_OF_THE_GATES(engine -> new OtherSpec(
            engine,
            spec -> spec.withActivations(new LstmActivations(
                    CellActivation.SIGMOID,
                    spec.activations().candidate(),
                    spec.activations().output())))),
    DROPS_NOTHING_FROM_H(engine -> new OtherSpec(engine, spec -> spec.withRecurrentDropout(0))),
    DROPS_NOTHING_FROM_THE_CANDIDATE(engine -> new OtherSpec(engine, spec -> spec.withCandidateDropout(0))),
    DROPS_NO_RECURRENT_WEIGHTS(engine -> new OtherSpec(engine, spec -> spec.withRecurrentWeightDropout(0))),
    SWAPS_ZONEOUT_OF_H_AND_C(
            engine -> new OtherSpec(engine, spec -> spec.withZoneout(spec.zoneoutCell(), spec.zoneoutHidden()))),
    SWAPS_THE_GAINS_OF_X_AND_H(engine -> new OtherWeights(engine, (spec, weights) -> {
        for (int state = 0; state < spec.states() && spec.layerNormalization(); state++) {
            int first =
                    (int) LstmLayout.of(spec).cell(state).gateNormalization().offset();
            int rows = Gate.COUNT * spec.hiddenSize();
            swap(weights, first, first + rows, rows);
        }
    })),
    FORGETS_THE_OFFSET_OF_THE_CELL(engine -> new OtherWeights(engine, (spec, weights) -> {
        for (int state = 0; state < spec.states() && spec.layerNormalization(); state++) {
            ParameterView view = LstmLayout.of(spec).cell(state).cellNormalization();
            Arrays.fill(weights, (int) view.offset() + spec.hiddenSize(), (int) view.end(), 0);
        }
    })),
    SWAPS_PEEPHOLES_OF_INPUT_AND_FORGET_GATE(
            engine -> new OtherWeights(engine, (spec, weights) -> swapPeepholes(spec, weights, 0, 1))),
    SWAPS_PEEPHOLES_OF_FORGET_AND_OUTPUT_GATE(
            engine -> new OtherWeights(engine, (spec, weights) -> swapPeepholes(spec, weights, 1, 2))),

    OVERWRITES_PARAMETER_GRADIENTS(engine -> new DelegatingEngine(engine) {
        @Override
        public void lstmBackward(
                LstmTape tape, LstmOutput outputGradient, Tensor parameterGradients, LstmInputGradient inputGradient) {
            if (parameterGradients != null) {
                fill(parameterGradients, 0);
            }
            super.lstmBackward(tape, outputGradient, parameterGradients, inputGradient);
        }
    }),
    ADDS_TO_DX(engine -> new DelegatingEngine(engine) {
        @Override
        public void lstmBackward(
                LstmTape tape, LstmOutput outputGradient, Tensor parameterGradients, LstmInputGradient inputGradient) {
            double[] before = inputGradient.dx() == null ? null : values(inputGradient.dx());
            super.lstmBackward(tape, outputGradient, parameterGradients, inputGradient);
            if (before != null) {
                double[] dx = values(inputGradient.dx());
                // NaN is what poisoned memory holds; an engine that adds would start from zero on its first call.
                Arrays.setAll(dx, e -> dx[e] + (Double.isNaN(before[e]) ? 0 : before[e]));
                write(inputGradient.dx(), dx);
            }
        }
    }),
    FORGETS_THE_LAST_CELL_GRADIENT(engine -> new DelegatingEngine(engine) {
        @Override
        public void lstmBackward(
                LstmTape tape, LstmOutput outputGradient, Tensor parameterGradients, LstmInputGradient inputGradient) {
            LstmState last = outputGradient.last();
            super.lstmBackward(
                    tape,
                    new LstmOutput(outputGradient.y(), last == null ? null : new LstmState(last.h(), null)),
                    parameterGradients,
                    inputGradient);
        }
    }),
    LEAVES_DC0_UNWRITTEN(engine -> new DelegatingEngine(engine) {
        @Override
        public void lstmBackward(
                LstmTape tape, LstmOutput outputGradient, Tensor parameterGradients, LstmInputGradient inputGradient) {
            LstmState initial = inputGradient.initial();
            super.lstmBackward(
                    tape,
                    outputGradient,
                    parameterGradients,
                    new LstmInputGradient(
                            inputGradient.dx(), initial == null ? null : new LstmState(initial.h(), null)));
        }
    }),
    GIVES_OTHER_BITS_EACH_TIME(engine -> new AfterForward(engine) {
        private int calls;

        @Override
        void after(LstmSpec spec, LstmInput input, LstmOutput output) {
            double[] y = values(output.y());
            y[0] += y[0] * 1e-12 * calls++;
            write(output.y(), y);
        }
    }),

    FORGETS_THE_LINEAR_BIAS_GRADIENT(engine -> new DelegatingEngine(engine) {
        @Override
        public void linearBackward(
                Tensor x, Tensor weights, Tensor dy, Tensor weightsGradient, Tensor biasGradient, Tensor dx) {
            super.linearBackward(x, weights, dy, weightsGradient, null, dx);
        }
    }),
    KEEPS_ONE_OF_REPEATED_IDS(engine -> new DelegatingEngine(engine) {
        @Override
        public void embeddingBackward(Tensor ids, Tensor dy, Tensor tableGradient) {
            double[] before = values(tableGradient);
            super.embeddingBackward(ids, dy, tableGradient);
            double[] after = values(tableGradient);
            int width = tableGradient.shape().extent(1);
            int[] rows = HostStorage.integers(ids);
            double[] gradient = values(dy);
            for (int m = 0; m < ids.elements(); m++) {
                int row = rows[HostStorage.start(ids) + m];
                for (int k = 0; k < width; k++) {
                    after[row * width + k] = before[row * width + k] + gradient[m * width + k];
                }
            }
            write(tableGradient, after);
        }
    }),
    DOES_NOT_SCALE_WHAT_DROPOUT_KEEPS(engine -> new DelegatingEngine(engine) {
        @Override
        public void dropout(Tensor x, double rate, RandomKey key, long period, Tensor y) {
            super.dropout(x, rate, key, period, y);
            double[] values = values(y);
            Arrays.setAll(values, e -> values[e] * (1 - rate));
            write(y, values);
        }
    }),
    DRAWS_DROPOUT_FOR_EVERY_ELEMENT(engine -> new DelegatingEngine(engine) {
        @Override
        public void dropout(Tensor x, double rate, RandomKey key, long period, Tensor y) {
            super.dropout(x, rate, key, Math.max(1, x.elements()), y);
        }
    }),
    ADDS_INTO_THE_WRONG_TENSOR(engine -> new DelegatingEngine(engine) {
        @Override
        public void add(Tensor x, Tensor y) {
            super.add(y, x);
        }
    }),
    DOES_NOT_SHIFT_THE_SOFTMAX(engine -> new DelegatingEngine(engine) {
        @Override
        public void activationForward(ActivationFunction function, Tensor x, Tensor y) {
            double[] given = values(x);
            super.activationForward(function, x, y);
            if (function == ActivationFunction.SOFTMAX && Arrays.stream(given).anyMatch(value -> value > 709)) {
                fill(y, Double.NaN);
            }
        }
    }),
    TAKES_A_SOFTMAX_OVER_ALL_ROWS(engine -> new DelegatingEngine(engine) {
        @Override
        public void activationForward(ActivationFunction function, Tensor x, Tensor y) {
            super.activationForward(function, x, y);
            if (function == ActivationFunction.SOFTMAX && x != y && x.elements() > 0) {
                int elements = Math.toIntExact(x.elements());
                super.activationForward(function, x.reshape(1, elements), y.reshape(1, elements));
            }
        }
    }),
    FORGETS_THE_SUM_IN_THE_SOFTMAX_GRADIENT(engine -> new DelegatingEngine(engine) {
        @Override
        public void activationBackward(ActivationFunction function, Tensor y, Tensor dy, Tensor dx) {
            double[] gradient = values(dy);
            super.activationBackward(function, y, dy, dx);
            if (function == ActivationFunction.SOFTMAX) {
                double[] values = values(y);
                Arrays.setAll(values, e -> values[e] * gradient[e]);
                write(dx, values);
            }
        }
    }),
    PASSES_A_GRADIENT_WHERE_RECTIFIERS_ARE_ZERO(engine -> new DelegatingEngine(engine) {
        @Override
        public void activationBackward(ActivationFunction function, Tensor y, Tensor dy, Tensor dx) {
            double[] gradient = values(dy);
            super.activationBackward(function, y, dy, dx);
            if (function == ActivationFunction.RELU) {
                write(dx, gradient);
            }
        }
    }),
    OVERWRITES_WHAT_AN_ACTIVATION_READS(engine -> new DelegatingEngine(engine) {
        @Override
        public void activationForward(ActivationFunction function, Tensor x, Tensor y) {
            super.activationForward(function, x, y);
            write(x, values(y));
        }
    }),
    DIVIDES_THE_LOSS_GRADIENT_BY_ROWS(engine -> new DelegatingEngine(engine) {
        @Override
        public void loss(
                Loss loss, Tensor predictions, Tensor targets, Tensor rowWeights, Tensor report, Tensor dPredictions) {
            super.loss(loss, predictions, targets, rowWeights, report, dPredictions);
            if (dPredictions != null) {
                double weights = values(report)[2];
                double[] d = values(dPredictions);
                Arrays.setAll(d, e -> d[e] * weights / predictions.shape().extent(0));
                write(dPredictions, d);
            }
        }
    }),
    OVERFLOWS_IN_SOFTMAX(engine -> new DelegatingEngine(engine) {
        @Override
        public void loss(
                Loss loss, Tensor predictions, Tensor targets, Tensor rowWeights, Tensor report, Tensor dPredictions) {
            super.loss(loss, predictions, targets, rowWeights, report, dPredictions);
            if (Arrays.stream(values(predictions)).anyMatch(p -> p > 709)) {
                fill(report, Double.POSITIVE_INFINITY);
            }
        }
    }),
    TAKES_THE_ROOT_OF_THE_NORM(engine -> new DelegatingEngine(engine) {
        @Override
        public void squaredNorm(Tensor x, Tensor result) {
            super.squaredNorm(x, result);
            write(result, new double[] {Math.sqrt(values(result)[0])});
        }
    }),
    FORGETS_THE_CLIP_FACTOR(engine -> new OtherUpdate(
            engine, update -> new Update(update.rule(), update.step(), update.learningRate(), 0, null))),
    FORGETS_THE_STEP_NUMBER(engine -> new OtherUpdate(
            engine,
            update -> new Update(update.rule(), 1, update.learningRate(), update.maxNorm(), update.squaredNorm()))),
    FORGETS_THE_WEIGHT_DECAY(engine -> new OtherUpdate(
            engine,
            update -> update.rule() instanceof UpdateRule.Adam adam
                    ? new Update(
                            new UpdateRule.Adam(adam.beta1(), adam.beta2(), adam.epsilon(), 0),
                            update.step(),
                            update.learningRate(),
                            update.maxNorm(),
                            update.squaredNorm())
                    : update)),
    SCALES_BY_THE_INVERSE(engine -> new DelegatingEngine(engine) {
        @Override
        public void scale(Tensor x, double factor) {
            super.scale(x, 1 / factor);
        }
    }),
    COPIES_ONE_COLUMN_TOO_MANY(engine -> new DelegatingEngine(engine) {
        @Override
        public void copyColumns(Tensor source, int sourceColumn, Tensor target, int targetColumn, int columns) {
            boolean room = sourceColumn + columns < source.shape().extent(1)
                    && targetColumn + columns < target.shape().extent(1);
            super.copyColumns(source, sourceColumn, target, targetColumn, room ? columns + 1 : columns);
        }
    }),
    FILLS_THE_WHOLE_BLOCK(engine -> new DelegatingEngine(engine) {
        @Override
        public void fill(Tensor target, double value) {
            super.fill(target, value);
            double[] block = HostStorage.doubles(target);
            int next = HostStorage.start(target) + (int) target.elements();
            if (target.storage().elements() > target.offset() + target.elements()) {
                block[next] = value;
            }
        }
    });

    /** Keeps leaked scopes reachable, so that they are not reported a second time when they are collected. */
    private static final List<Scope> FORGOTTEN = new ArrayList<>();

    private final Function<Engine, Engine> plant;

    PlantedBug(Function<Engine, Engine> plant) {
        this.plant = plant;
    }

    /** The engine with this bug. */
    Engine in(Engine correct) {
        return plant.apply(correct);
    }

    private interface Scramble {
        /** Changes weights, or their gradients, back and forth: applied twice to gradients it must change nothing. */
        void apply(LstmSpec spec, double[] weights);
    }

    private static void swapGates(LstmSpec spec, double[] weights, int one, int other) {
        for (int state = 0; state < spec.states(); state++) {
            LstmLayout.Cell cell = LstmLayout.of(spec).cell(state);
            swapRows(spec, weights, cell.inputWeights(), one, other);
            swapRows(spec, weights, cell.recurrentWeights(), one, other);
            if (cell.bias() != null) {
                swapRows(spec, weights, cell.bias(), one, other);
            }
        }
    }

    private static void swapPeepholes(LstmSpec spec, double[] weights, int one, int other) {
        for (int state = 0; state < spec.states() && spec.peepholes(); state++) {
            int first = (int) LstmLayout.of(spec).cell(state).peepholes().offset();
            int hidden = spec.hiddenSize();
            swap(weights, first + one * hidden, first + other * hidden, hidden);
        }
    }

    private static void negateGate(LstmSpec spec, double[] weights, int gate) {
        for (int state = 0; state < spec.states(); state++) {
            LstmLayout.Cell cell = LstmLayout.of(spec).cell(state);
            for (ParameterView view : Arrays.asList(cell.inputWeights(), cell.recurrentWeights(), cell.bias())) {
                int block = view == null ? 0 : (int) view.shape().elements() / Gate.COUNT;
                for (int e = 0; e < block; e++) {
                    weights[(int) view.offset() + gate * block + e] *= -1;
                }
            }
        }
    }

    private static void swapRows(LstmSpec spec, double[] weights, ParameterView view, int one, int other) {
        int block = (int) view.shape().elements() / Gate.COUNT;
        swap(weights, (int) view.offset() + one * block, (int) view.offset() + other * block, block);
    }

    private static void swapCells(LstmSpec spec, double[] weights) {
        if (spec.direction().cells() == 2) {
            for (int state = 0; state < spec.states(); state += 2) {
                ParameterView forward = LstmLayout.of(spec).cell(state).inputWeights();
                ParameterView reverse = LstmLayout.of(spec).cell(state + 1).inputWeights();
                swap(weights, (int) forward.offset(), (int) reverse.offset(), (int)
                        forward.shape().elements());
            }
        }
    }

    private static void swap(double[] weights, int one, int other, int count) {
        for (int e = 0; e < count; e++) {
            double kept = weights[one + e];
            weights[one + e] = weights[other + e];
            weights[other + e] = kept;
        }
    }

    private static void dropBias(LstmSpec spec, double[] weights) {
        for (int state = 0; state < spec.states(); state++) {
            ParameterView bias = LstmLayout.of(spec).cell(state).bias();
            if (bias != null) {
                Arrays.fill(weights, (int) bias.offset(), (int) bias.end(), 0);
            }
        }
    }

    /** Computes with other weights than it was given, and gives the gradients of those. */
    private static final class OtherWeights extends DelegatingEngine {
        private final Scramble scramble;

        OtherWeights(Engine engine, Scramble scramble) {
            super(engine);
            this.scramble = scramble;
        }

        @Override
        public void lstmForward(LstmSpec spec, Tensor parameters, LstmInput input, LstmOutput output, LstmTape tape) {
            if (parameters == null
                    || parameters.elements() != LstmLayout.of(spec).elements()) {
                super.lstmForward(spec, parameters, input, output, tape);
                return;
            }
            double[] given = values(parameters);
            change(spec, parameters);
            try {
                super.lstmForward(spec, parameters, input, output, tape);
            } finally {
                write(parameters, given);
            }
        }

        @Override
        public void lstmBackward(
                LstmTape tape, LstmOutput outputGradient, Tensor parameterGradients, LstmInputGradient inputGradient) {
            Tensor parameters = tape.parameters();
            if (parameters == null) {
                super.lstmBackward(tape, outputGradient, parameterGradients, inputGradient);
                return;
            }
            double[] given = values(parameters);
            change(tape.spec(), parameters);
            try {
                super.lstmBackward(tape, outputGradient, parameterGradients, inputGradient);
            } finally {
                write(parameters, given);
            }
        }

        private void change(LstmSpec spec, Tensor parameters) {
            double[] weights = values(parameters);
            scramble.apply(spec, weights);
            write(parameters, weights);
        }
    }

    /** Computes another specification than it was asked for. */
    private static final class OtherSpec extends DelegatingEngine {
        private final UnaryOperator<LstmSpec> change;

        OtherSpec(Engine engine, UnaryOperator<LstmSpec> change) {
            super(engine);
            this.change = change;
        }

        @Override
        public LstmTape openTape(Scope scope, LstmSpec spec, int timeSteps, int batchSize) {
            return super.openTape(scope, change.apply(spec), timeSteps, batchSize);
        }

        @Override
        public void lstmForward(LstmSpec spec, Tensor parameters, LstmInput input, LstmOutput output, LstmTape tape) {
            super.lstmForward(change.apply(spec), parameters, input, output, tape);
        }
    }

    /** Reads something else than it was given. */
    private static final class OtherInput extends DelegatingEngine {
        private final UnaryOperator<LstmInput> change;

        OtherInput(Engine engine, UnaryOperator<LstmInput> change) {
            super(engine);
            this.change = change;
        }

        @Override
        public void lstmForward(LstmSpec spec, Tensor parameters, LstmInput input, LstmOutput output, LstmTape tape) {
            super.lstmForward(spec, parameters, change.apply(input), output, tape);
        }
    }

    /** Makes mistakes in derivatives along a direction only. */
    private static final class OtherSecondOrder extends DelegatingEngine {
        private final UnaryOperator<SecondOrder> change;

        OtherSecondOrder(Engine engine, UnaryOperator<SecondOrder> change) {
            super(engine);
            this.change = change;
        }

        @Override
        public SecondOrder secondOrder() {
            return change.apply(super.secondOrder());
        }
    }

    /** Makes another update than it was asked for. */
    private static final class OtherUpdate extends DelegatingEngine {
        private final UnaryOperator<Update> change;

        OtherUpdate(Engine engine, UnaryOperator<Update> change) {
            super(engine);
            this.change = change;
        }

        @Override
        public void update(
                Update update, Tensor parameters, Tensor gradients, Tensor firstMoment, Tensor secondMoment) {
            super.update(change.apply(update), parameters, gradients, firstMoment, secondMoment);
        }
    }

    /** Spoils something after a correct forward pass. */
    private abstract static class AfterForward extends DelegatingEngine {
        AfterForward(Engine engine) {
            super(engine);
        }

        abstract void after(LstmSpec spec, LstmInput input, LstmOutput output);

        @Override
        public void lstmForward(LstmSpec spec, Tensor parameters, LstmInput input, LstmOutput output, LstmTape tape) {
            super.lstmForward(spec, parameters, input, output, tape);
            after(spec, input, output);
        }

        interface Place {
            void at(int t, int n);
        }

        static void eachPadded(LstmInput input, Place place) {
            for (int n = 0; input.lengths() != null && n < input.lengths().length; n++) {
                for (int t = input.lengths()[n]; t < input.x().shape().extent(0); t++) {
                    place.at(t, n);
                }
            }
        }

        final void put(Tensor y, int t, int n, double value) {
            double[] values = values(y);
            int width = y.shape().extent(2);
            values[(t * y.shape().extent(1) + n) * width] = value;
            write(y, values);
        }
    }
}
