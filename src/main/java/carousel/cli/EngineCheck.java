package carousel.cli;

import carousel.engine.Engine;
import carousel.engine.EngineOptions;
import carousel.engine.EngineProvider;
import carousel.engine.Engines;
import carousel.engine.LstmInput;
import carousel.engine.LstmInputGradient;
import carousel.engine.LstmLayout;
import carousel.engine.LstmOutput;
import carousel.engine.LstmSpec;
import carousel.engine.LstmState;
import carousel.engine.LstmTape;
import carousel.engine.RandomSequence;
import carousel.tensor.Scope;
import carousel.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;

/** A tiny LSTM, forward and backward, on an engine and on the reference: whether this machine computes what it should. */
final class EngineCheck {
    private static final LstmSpec SPEC = LstmSpec.of(5, 19);
    private static final int TIME_STEPS = 7;
    private static final int BATCH_SIZE = 3;
    /** By how many roundings results may differ: engines are seen to differ by less than ten, mistakes by very many more. */
    private static final int ROUNDINGS = 64;

    private EngineCheck() {}

    /**
     * What came out.
     *
     * @param notes what the engine chose for it
     * @param difference the largest one of any output or gradient, relative to the larger of 1 and the reference's number
     * @param allowed what it may be in the engine's precision
     */
    record Result(String description, List<String> notes, double difference, double allowed) {
        /** Also false for a difference that is not a number. */
        boolean passed() {
            return difference <= allowed;
        }
    }

    /** Opens an engine of this provider and compares it with the reference. */
    static Result run(EngineProvider provider) {
        try (Engine engine = provider.open(EngineOptions.defaults());
                Engine reference = Engines.open("reference")) {
            List<double[]> expected = compute(reference);
            List<double[]> got = compute(engine);
            double difference = 0;
            for (int k = 0; k < expected.size(); k++) {
                for (int e = 0; e < expected.get(k).length; e++) {
                    double right = expected.get(k)[e];
                    double apart = Math.abs(got.get(k)[e] - right) / Math.max(1, Math.abs(right));
                    // Not the other way round: one NaN must not be forgotten.
                    difference = apart <= difference ? difference : Math.max(apart, difference);
                }
            }
            return new Result(
                    engine.description(),
                    engine.notes(),
                    difference,
                    ROUNDINGS * engine.precision().epsilon());
        }
    }

    /** Every output and gradient of the same LSTM on the same numbers. */
    private static List<double[]> compute(Engine engine) {
        RandomSequence random = new RandomSequence(1, 0, 0);
        int hidden = SPEC.hiddenSize();
        try (Scope scope = engine.openScope("self-check")) {
            int elements = Math.toIntExact(LstmLayout.of(SPEC).elements());
            Tensor parameters = drawn(engine, scope, "parameters", random, elements);
            Tensor gradients = scope.allocate("gradients", elements);
            engine.fill(gradients, 0);
            LstmInput input = LstmInput.of(drawn(engine, scope, "x", random, TIME_STEPS, BATCH_SIZE, SPEC.inputSize()))
                    .withInitial(state(engine, scope, random))
                    .withLengths(TIME_STEPS, 4, 0);
            LstmOutput output = new LstmOutput(
                    scope.allocate("y", TIME_STEPS, BATCH_SIZE, hidden),
                    new LstmState(
                            scope.allocate("h", 1, BATCH_SIZE, hidden), scope.allocate("c", 1, BATCH_SIZE, hidden)));
            LstmTape tape = engine.openTape(scope, SPEC, TIME_STEPS, BATCH_SIZE);
            engine.lstmForward(SPEC, parameters, input, output, tape);
            LstmOutput outputGradient = new LstmOutput(
                    drawn(engine, scope, "dy", random, TIME_STEPS, BATCH_SIZE, hidden), state(engine, scope, random));
            LstmInputGradient inputGradient = new LstmInputGradient(
                    scope.allocate("dx", TIME_STEPS, BATCH_SIZE, SPEC.inputSize()),
                    new LstmState(
                            scope.allocate("dh", 1, BATCH_SIZE, hidden), scope.allocate("dc", 1, BATCH_SIZE, hidden)));
            engine.lstmBackward(tape, outputGradient, gradients, inputGradient);
            List<double[]> results = new ArrayList<>();
            for (Tensor tensor : List.of(
                    output.y(),
                    output.last().h(),
                    output.last().c(),
                    gradients,
                    inputGradient.dx(),
                    inputGradient.initial().h(),
                    inputGradient.initial().c())) {
                double[] values = new double[Math.toIntExact(tensor.elements())];
                engine.read(tensor, values);
                results.add(values);
            }
            return results;
        }
    }

    private static LstmState state(Engine engine, Scope scope, RandomSequence random) {
        return new LstmState(
                drawn(engine, scope, "h", random, 1, BATCH_SIZE, SPEC.hiddenSize()),
                drawn(engine, scope, "c", random, 1, BATCH_SIZE, SPEC.hiddenSize()));
    }

    /** Numbers in [-0.5, 0.5) that every precision holds exactly. */
    private static Tensor drawn(Engine engine, Scope scope, String name, RandomSequence random, int... extents) {
        Tensor tensor = scope.allocate(name, extents);
        double[] values = new double[Math.toIntExact(tensor.elements())];
        for (int e = 0; e < values.length; e++) {
            values[e] = (random.nextInt(256) - 128) / 256.0;
        }
        engine.write(tensor, values);
        return tensor;
    }
}
