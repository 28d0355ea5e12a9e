package carousel.engine.vector;

import carousel.engine.CellActivation;
import carousel.engine.CellActivation.Kind;
import carousel.engine.Direction;
import carousel.engine.Engine;
import carousel.engine.LstmActivations;
import carousel.engine.LstmInput;
import carousel.engine.LstmInputGradient;
import carousel.engine.LstmLayout;
import carousel.engine.LstmOutput;
import carousel.engine.LstmSpec;
import carousel.engine.LstmState;
import carousel.engine.LstmTape;
import carousel.engine.RandomKey;
import carousel.engine.RandomSequence;
import carousel.tensor.Scope;
import carousel.tensor.Tensor;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** A forward and a backward pass with drawn numbers, to be run on any engine. */
record LstmCase(
        LstmSpec spec,
        int timeSteps,
        int batchSize,
        int[] lengths,
        boolean initialState,
        boolean outputGradient,
        boolean stateGradients,
        RandomKey dropout,
        double padding,
        long seed) {

    /** One of each kind, with parameters that keep a few steps of a small stack in range. */
    private static final List<CellActivation> ACTIVATIONS = List.of(
            CellActivation.SIGMOID,
            CellActivation.TANH,
            CellActivation.of(Kind.RELU),
            new CellActivation(Kind.AFFINE, 0.4, 0.1),
            CellActivation.of(Kind.LEAKY_RELU),
            new CellActivation(Kind.THRESHOLDED_RELU, 0.2, 0),
            new CellActivation(Kind.SCALED_TANH, 1.7, 0.6),
            CellActivation.of(Kind.HARD_SIGMOID),
            CellActivation.of(Kind.ELU),
            CellActivation.of(Kind.SOFTSIGN),
            CellActivation.of(Kind.SOFTPLUS));

    /** A small case of the plain cell, or of one with options. */
    static LstmCase random(long seed) {
        LstmCase plain = plain(seed);
        RandomSequence random = new RandomSequence(seed, 17, 0);
        if (random.nextInt(3) == 0) {
            return plain;
        }
        // Each option seldom enough that most cases have a few of them.
        LstmSpec spec = plain.spec();
        spec = random.nextInt(3) == 0 ? spec.withPeepholes(true) : spec;
        spec = random.nextInt(4) == 0 ? spec.withGateClip(random.uniform(0.3, 1)) : spec;
        spec = random.nextInt(4) == 0 ? spec.withCoupledGates(true) : spec;
        spec = random.nextInt(4) == 0
                ? spec.withActivations(new LstmActivations(activation(random), activation(random), activation(random)))
                : spec;
        spec = random.nextInt(3) == 0 ? spec.withLayerNormalization(true) : spec;
        spec = random.nextInt(4) == 0 ? spec.withRecurrentDropout(random.uniform(0.1, 0.9)) : spec;
        spec = random.nextInt(4) == 0 ? spec.withCandidateDropout(random.uniform(0.1, 0.9)) : spec;
        spec = random.nextInt(4) == 0 ? spec.withRecurrentWeightDropout(random.uniform(0.1, 0.9)) : spec;
        spec = random.nextInt(3) == 0
                ? spec.withZoneout(random.nextInt(2) * random.uniform(0.1, 0.9), random.uniform(0.1, 0.9))
                : spec;
        spec = random.nextInt(5) == 0 ? spec.withZoneout(random.uniform(0.1, 0.9), 0) : spec;
        return plain.withSpec(spec);
    }

    private static CellActivation activation(RandomSequence random) {
        return ACTIVATIONS.get(random.nextInt(ACTIVATIONS.size()));
    }

    private static LstmCase plain(long seed) {
        RandomSequence random = new RandomSequence(seed, 7, 0);
        int hidden = 1 + random.nextInt(random.nextInt(4) == 0 ? 70 : 20);
        LstmSpec spec = LstmSpec.of(1 + random.nextInt(20), hidden)
                .withLayers(1 + random.nextInt(3))
                .withDirection(Direction.values()[random.nextInt(3)])
                .withBias(random.nextInt(4) > 0)
                .withProjectionSize(random.nextInt(3) == 0 && hidden > 1 ? 1 + random.nextInt(hidden - 1) : 0)
                .withDropout(random.nextInt(2) * 0.4)
                .withCellClip(random.nextInt(3) == 0 ? 0.3 : 0);
        int timeSteps = 1 + random.nextInt(9);
        int batchSize = 1 + random.nextInt(random.nextInt(4) == 0 ? 40 : 9);
        int[] lengths = null;
        if (random.nextInt(2) == 0) {
            lengths = new int[batchSize];
            Arrays.setAll(lengths, n -> random.nextInt(timeSteps + 1));
        }
        return new LstmCase(
                spec,
                timeSteps,
                batchSize,
                lengths,
                random.nextInt(2) == 0,
                random.nextInt(5) > 0,
                random.nextInt(2) == 0,
                random.nextInt(4) > 0 ? new RandomKey(seed, 3, 1) : null,
                Double.NaN,
                seed);
    }

    LstmCase withSpec(LstmSpec value) {
        return new LstmCase(
                value,
                timeSteps,
                batchSize,
                lengths,
                initialState,
                outputGradient,
                stateGradients,
                dropout,
                padding,
                seed);
    }

    LstmCase withPadding(double value) {
        return new LstmCase(
                spec,
                timeSteps,
                batchSize,
                lengths,
                initialState,
                outputGradient,
                stateGradients,
                dropout,
                value,
                seed);
    }

    /** Everything that the passes write, by name; what lies past the end of a sequence is {@code padding} in every input. */
    Map<String, float[]> run(Engine engine) {
        Map<String, float[]> results = new LinkedHashMap<>();
        RandomSequence random = new RandomSequence(seed, 8, 0);
        try (Scope scope = engine.openScope("case")) {
            Tensor parameters =
                    draw(engine, scope, random, 0.6, (int) LstmLayout.of(spec).elements());
            Tensor x = draw(engine, scope, random, 1, timeSteps, batchSize, spec.inputSize());
            Tensor dy = draw(engine, scope, random, 1, timeSteps, batchSize, spec.sequenceWidth());
            pad(engine, x);
            pad(engine, dy);
            LstmState initial = state(engine, scope, random);
            LstmState last = state(engine, scope, null);
            LstmState dLast = state(engine, scope, random);
            LstmState dInitial = state(engine, scope, null);
            Tensor y = scope.allocate("y", timeSteps, batchSize, spec.sequenceWidth());
            Tensor dx = scope.allocate("dx", timeSteps, batchSize, spec.inputSize());
            Tensor gradients = draw(engine, scope, random, 1, (int) parameters.elements());
            LstmInput input = new LstmInput(x, lengths, initialState ? initial : null, dropout, null);
            LstmOutput output = new LstmOutput(y, last);

            engine.lstmForward(spec, parameters, input, output, null);
            put(engine, results, "inference y", y);
            put(engine, results, "inference h", last.h());
            put(engine, results, "inference c", last.c());

            LstmTape tape = engine.openTape(scope, spec, timeSteps, batchSize);
            engine.lstmForward(spec, parameters, input, output, tape);
            put(engine, results, "y", y);
            put(engine, results, "h", last.h());
            put(engine, results, "c", last.c());
            engine.lstmBackward(
                    tape,
                    new LstmOutput(outputGradient ? dy : null, stateGradients ? dLast : null),
                    gradients,
                    new LstmInputGradient(dx, dInitial));
            put(engine, results, "dx", dx);
            put(engine, results, "dh0", dInitial.h());
            put(engine, results, "dc0", dInitial.c());
            put(engine, results, "parameter gradients", gradients);
        }
        return results;
    }

    private LstmState state(Engine engine, Scope scope, RandomSequence random) {
        int[] h = {spec.states(), batchSize, spec.outputSize()};
        int[] c = {spec.states(), batchSize, spec.hiddenSize()};
        return random == null
                ? new LstmState(scope.allocate("h", h), scope.allocate("c", c))
                : new LstmState(draw(engine, scope, random, 0.5, h), draw(engine, scope, random, 0.2, c));
    }

    private void pad(Engine engine, Tensor tensor) {
        if (lengths == null) {
            return;
        }
        float[] values = new float[(int) tensor.elements()];
        engine.read(tensor, values);
        int width = tensor.shape().extent(2);
        for (int t = 0; t < timeSteps; t++) {
            for (int n = 0; n < batchSize; n++) {
                if (t >= lengths[n]) {
                    int at = (t * batchSize + n) * width;
                    Arrays.fill(values, at, at + width, (float) padding);
                }
            }
        }
        engine.write(tensor, values);
    }

    /** Drawn as floats, so that engines of any precision get the same numbers. */
    static Tensor draw(Engine engine, Scope scope, RandomSequence random, double scale, int... extents) {
        Tensor tensor = scope.allocate("drawn", extents);
        float[] values = new float[(int) tensor.elements()];
        for (int e = 0; e < values.length; e++) {
            values[e] = (float) (scale * random.uniform(-1, 1));
        }
        engine.write(tensor, values);
        return tensor;
    }

    static void put(Engine engine, Map<String, float[]> results, String name, Tensor tensor) {
        float[] values = new float[(int) tensor.elements()];
        engine.read(tensor, values);
        results.put(name, values);
    }
}
