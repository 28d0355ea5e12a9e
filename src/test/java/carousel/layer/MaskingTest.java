package carousel.layer;

import static carousel.fixture.Refusals.assertRefused;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import carousel.engine.Direction;
import carousel.engine.Engine;
import carousel.engine.Engines;
import carousel.engine.LstmSpec;
import carousel.engine.RandomSequence;
import carousel.fixture.LstmData;
import carousel.tensor.Scope;
import carousel.tensor.Tensor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

class MaskingTest {
    private static final int TIME_STEPS = 6;
    private static final int BATCH_SIZE = 5;
    private static final int FEATURES = 2;
    private static final double VALUE = -0.1;
    private static final double TOLERANCE = 1e-12;

    /** For each sequence which steps count: left padding, holes, nothing but padding, right padding, all. */
    private static final String[] STEPS = {"..xxxx", "x.xx.x", "......", "xxx...", "xxxxxx"};

    private static final LstmSpec LSTM = LstmSpec.of(1, 3);

    private static boolean counts(int t, int n) {
        return STEPS[n].charAt(t) == 'x';
    }

    private static Stream<Arguments> models() {
        return Stream.of("reference", "vector")
                .flatMap(engine -> Stream.of(Direction.values()).map(direction -> Arguments.of(engine, direction)));
    }

    /** What each sequence gives without the steps left out is computed by a model without a mask, one sequence at a time. */
    @ParameterizedTest
    @MethodSource("models")
    void stepsAreLeftOutWhereverTheyAre(String engineName, Direction direction) {
        LstmSpec spec = LSTM.withLayers(2).withDirection(direction);
        double tolerance = engineName.equals("reference") ? TOLERANCE : 1e-6;
        Lstm below = Lstm.of(LSTM).withReturnSequences(true);
        for (boolean sequences : new boolean[] {false, true}) {
            Lstm lstm = Lstm.of(spec).withReturnSequences(sequences);
            Dense dense = Dense.of(2);
            ModelSpec masked =
                    ModelSpec.of(Form.sequence(FEATURES), new Masking(VALUE), Dense.of(3), below, lstm, dense);
            ModelSpec plain = ModelSpec.of(Form.sequence(FEATURES), Dense.of(3), below, lstm);
            double[] x = input();
            try (Engine engine = Engines.open(engineName);
                    Model model = Model.create(engine, masked, 3);
                    Model inner = Model.create(engine, plain, 3)) {
                double[] parameters = LstmData.uniform(new RandomSequence(8, 0, 0), model.readParameters().length);
                model.writeParameters(parameters);
                inner.writeParameters(Arrays.copyOf(parameters, inner.readParameters().length));
                double[] found = run(model, x, TIME_STEPS, BATCH_SIZE, null);
                for (int n = 0; n < BATCH_SIZE; n++) {
                    double[][] shown = shown(inner, x, n, direction == Direction.FORWARD, sequences);
                    for (int t = 0; t < shown.length; t++) {
                        double[] expected = dense(model, parameters, shown[t]);
                        int row = (t * BATCH_SIZE + n) * 2;
                        assertArrayEquals(
                                expected,
                                Arrays.copyOfRange(found, row, row + 2),
                                tolerance,
                                "sequence " + n + " step " + t);
                    }
                }
            }
        }
    }

    /** What the topmost LSTM shows of one sequence, {@code [T][H]}, or its last output alone. */
    private static double[][] shown(Model inner, double[] x, int n, boolean held, boolean sequences) {
        List<double[]> steps = new ArrayList<>();
        for (int t = 0; t < TIME_STEPS; t++) {
            if (counts(t, n)) {
                int row = (t * BATCH_SIZE + n) * FEATURES;
                steps.add(Arrays.copyOfRange(x, row, row + FEATURES));
            }
        }
        int width = inner.spec().output().features();
        double[] zeros = new double[width];
        double[] compact = new double[steps.size() * FEATURES];
        for (int e = 0; e < compact.length; e++) {
            compact[e] = steps.get(e / FEATURES)[e % FEATURES];
        }
        double[] outputs = steps.isEmpty() ? new double[width] : run(inner, compact, steps.size(), 1, null);
        if (!sequences) {
            return new double[][] {outputs};
        }
        double[][] shown = new double[TIME_STEPS][];
        int done = 0;
        for (int t = 0; t < TIME_STEPS; t++) {
            if (counts(t, n)) {
                done++;
            }
            boolean any = counts(t, n) || held && done > 0;
            shown[t] = any ? Arrays.copyOfRange(outputs, (done - 1) * width, done * width) : zeros;
        }
        return shown;
    }

    private static double[] dense(Model model, double[] parameters, double[] x) {
        int weight = (int) model.views().get(model.views().size() - 2).offset();
        int bias = (int) model.views().get(model.views().size() - 1).offset();
        double[] y = new double[2];
        for (int o = 0; o < y.length; o++) {
            y[o] = parameters[bias + o];
            for (int i = 0; i < x.length; i++) {
                y[o] += parameters[weight + o * x.length + i] * x[i];
            }
        }
        return y;
    }

    private static double[] input() {
        double[] x = LstmData.uniform(new RandomSequence(4, 0, 0), TIME_STEPS * BATCH_SIZE * FEATURES);
        for (int row = 0; row < TIME_STEPS * BATCH_SIZE; row++) {
            if (!counts(row / BATCH_SIZE, row % BATCH_SIZE)) {
                Arrays.fill(x, row * FEATURES, (row + 1) * FEATURES, VALUE);
            } else {
                // One feature alone that has the value does not mask a step.
                x[row * FEATURES] = VALUE;
            }
        }
        return x;
    }

    private static double[] run(Model model, double[] x, int timeSteps, int batchSize, int[] lengths) {
        Engine engine = model.engine();
        try (Scope scope = engine.openScope("run")) {
            Tensor input = scope.allocate("x", timeSteps, batchSize, FEATURES);
            engine.write(input, x);
            return read(model, model.forward(Pass.inference(engine, scope, input, lengths)));
        }
    }

    private static double[] read(Model model, Tensor tensor) {
        double[] values = new double[Math.toIntExact(tensor.elements())];
        model.engine().read(tensor, values);
        return values;
    }

    /** A gradient with respect to what the masking layer reads reaches the layer below, as the finite differences say. */
    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void gradientsReachTheLayerBelow(boolean sequences) {
        // The bias of the layer below is zero and its input too where a step is to be masked.
        ModelSpec spec = ModelSpec.of(
                Form.sequence(FEATURES),
                new Dense(2, false, new Initializer.GlorotUniform(), new Initializer.Constant(0)),
                new Masking(0),
                Lstm.of(LSTM).withReturnSequences(sequences),
                Dense.of(2));
        double[] x = input();
        for (int row = 0; row < TIME_STEPS * BATCH_SIZE; row++) {
            if (!counts(row / BATCH_SIZE, row % BATCH_SIZE)) {
                Arrays.fill(x, row * FEATURES, (row + 1) * FEATURES, 0);
            }
        }
        try (Engine engine = Engines.open("reference");
                Model model = Model.create(engine, spec, 3)) {
            double[] parameters = model.readParameters();
            double[] weights = LstmData.uniform(new RandomSequence(9, 0, 0), TIME_STEPS * BATCH_SIZE * 2);
            double[] gradients = new double[parameters.length];
            loss(model, x, weights, gradients);
            double step = 1e-5;
            for (int e = 0; e < parameters.length; e++) {
                double[] moved = parameters.clone();
                moved[e] += step;
                model.writeParameters(moved);
                double above = loss(model, x, weights, null);
                moved[e] -= 2 * step;
                model.writeParameters(moved);
                double below = loss(model, x, weights, null);
                assertEquals((above - below) / (2 * step), gradients[e], 1e-8, "parameter " + e);
            }
        }
    }

    private static double loss(Model model, double[] x, double[] weights, double[] gradients) {
        Engine engine = model.engine();
        try (Scope scope = engine.openScope("run")) {
            Tensor input = scope.allocate("x", TIME_STEPS, BATCH_SIZE, FEATURES);
            engine.write(input, x);
            Pass pass = Pass.training(engine, scope, input, new int[] {6, 5, 6, 6, 4}, 1, 1);
            Tensor output = model.forward(pass);
            double[] y = read(model, output);
            if (gradients != null) {
                Tensor dOutput = scope.allocate("dy", output.shape().toArray());
                engine.write(dOutput, Arrays.copyOf(weights, y.length));
                model.clearGradients();
                model.backward(pass, dOutput);
                engine.read(model.gradients(), gradients);
            }
            double loss = 0;
            for (int e = 0; e < y.length; e++) {
                loss += y[e] * weights[e];
            }
            return loss;
        }
    }

    @Test
    void tokenZeroIsMaskedWhereTheEmbeddingSaysSo() {
        ModelSpec masked = ModelSpec.of(
                Form.tokens(4),
                Embedding.of(2).withMaskZero(true),
                Lstm.of(LSTM).withReturnSequences(true));
        ModelSpec plain =
                ModelSpec.of(Form.tokens(4), Embedding.of(2), Lstm.of(LSTM).withReturnSequences(true));
        try (Engine engine = Engines.open("reference");
                Model model = Model.create(engine, masked, 3);
                Model whole = Model.create(engine, plain, 3)) {
            double[] found = tokens(model, 0, 2, 0, 3, 1, 0);
            double[] expected = tokens(whole, 2, 3, 1);
            int h = 3;
            int[] from = {-1, 0, 0, 1, 2, 2};
            for (int t = 0; t < from.length; t++) {
                double[] step =
                        from[t] < 0 ? new double[h] : Arrays.copyOfRange(expected, from[t] * h, from[t] * h + h);
                assertArrayEquals(step, Arrays.copyOfRange(found, t * h, t * h + h), TOLERANCE, "step " + t);
            }
        }
    }

    private static double[] tokens(Model model, int... tokens) {
        Engine engine = model.engine();
        try (Scope scope = engine.openScope("run")) {
            Tensor input = scope.allocateIntegers("tokens", tokens.length, 1);
            engine.write(input, tokens);
            return read(model, model.forward(Pass.inference(engine, scope, input, null)));
        }
    }

    /** A sequence read in reverse, turned around, is the reversed sequence read forwards; lengths count. */
    @Test
    void aTimeReversalTurnsEachSequenceAroundWithinItsLength() {
        int[] lengths = {6, 4, 0, 1, 5};
        ModelSpec reverse = ModelSpec.of(
                Form.sequence(FEATURES),
                Lstm.of(LSTM.withDirection(Direction.REVERSE)).withReturnSequences(true),
                new TimeReversal());
        ModelSpec forward = ModelSpec.of(
                Form.sequence(FEATURES), new TimeReversal(), Lstm.of(LSTM).withReturnSequences(true));
        for (String name : List.of("reference", "vector")) {
            try (Engine engine = Engines.open(name);
                    Model one = Model.create(engine, reverse, 3);
                    Model other = Model.create(engine, forward, 3)) {
                double[] parameters = LstmData.uniform(new RandomSequence(8, 0, 0), one.readParameters().length);
                one.writeParameters(parameters);
                other.writeParameters(parameters);
                double[] x = input();
                double tolerance = name.equals("reference") ? TOLERANCE : 1e-6;
                assertArrayEquals(
                        run(other, x, TIME_STEPS, BATCH_SIZE, lengths),
                        run(one, x, TIME_STEPS, BATCH_SIZE, lengths),
                        tolerance,
                        name);
                assertArrayEquals(
                        run(other, x, TIME_STEPS, BATCH_SIZE, null),
                        run(one, x, TIME_STEPS, BATCH_SIZE, null),
                        tolerance,
                        name);
            }
        }
    }

    @Test
    void whatCannotBeMaskedIsRefused() {
        assertRefused(IllegalArgumentException.class, () -> new Masking(Double.NaN), "finite", "NaN");
        assertRefused(
                IllegalArgumentException.class,
                () -> ModelSpec.of(Form.tokens(3), new Masking(0)),
                "masking reads sequences",
                "embedding that masks token 0");
        try (Engine engine = Engines.open("reference");
                Model model =
                        Model.create(engine, ModelSpec.of(Form.sequence(3), new TimeReversal(), Lstm.of(LSTM)), 3);
                Scope scope = engine.openScope("state")) {
            assertRefused(
                    IllegalArgumentException.class,
                    () -> new ModelState(model, scope, 1),
                    "layer 1 is TimeReversal(): give it whole sequences");
        }
        assertRefused(
                IllegalArgumentException.class,
                () -> ModelSpec.of(Form.vector(3), new TimeReversal()),
                "a time reversal reads sequences");
        assertRefused(
                IllegalArgumentException.class,
                () -> ModelSpec.of(Form.sequence(3), Lstm.of(LSTM).withReturnSequences(true), new Masking(0)),
                "there is none after");
        assertRefused(
                IllegalArgumentException.class,
                () -> ModelSpec.of(Form.tokens(3), Embedding.of(2).withMaskZero(true), new Masking(0), Lstm.of(LSTM)),
                "one layer but got two");
    }

    /** A mask that is given leaves out the same steps as one that is found by their values. */
    @ParameterizedTest
    @MethodSource("models")
    void aMaskThatIsGivenIsOneThatIsFound(String engineName, Direction direction) {
        for (boolean sequences : new boolean[] {false, true}) {
            Lstm lstm = Lstm.of(LSTM.withLayers(2).withDirection(direction)).withReturnSequences(sequences);
            ModelSpec found = ModelSpec.of(Form.sequence(FEATURES), new Masking(VALUE), lstm)
                    .then(Dense.of(2));
            ModelSpec given = ModelSpec.of(Form.sequence(FEATURES), lstm, Dense.of(2));
            double[] x = input();
            boolean[] mask = new boolean[TIME_STEPS * BATCH_SIZE];
            for (int row = 0; row < mask.length; row++) {
                mask[row] = counts(row / BATCH_SIZE, row % BATCH_SIZE);
            }
            try (Engine engine = Engines.open(engineName);
                    Model one = Model.create(engine, found, 3);
                    Model other = Model.create(engine, given, 3);
                    Scope scope = engine.openScope("run")) {
                other.writeParameters(one.readParameters());
                Tensor input = scope.allocate("x", TIME_STEPS, BATCH_SIZE, FEATURES);
                engine.write(input, x);
                for (int[] lengths : new int[][] {null, {6, 5, 6, 0, 3}}) {
                    assertArrayEquals(
                            run(one, x, TIME_STEPS, BATCH_SIZE, lengths),
                            read(
                                    other,
                                    other.forward(Pass.inference(engine, scope, input, lengths)
                                            .withMask(mask))));
                }
            }
        }
    }

    /** Padding on the left gives what padding on the right does, later. */
    @ParameterizedTest
    @MethodSource("models")
    void sequencesPaddedOnTheLeftAreThosePaddedOnTheRightShifted(String engineName, Direction direction) {
        int[] lengths = {4, 0, 6, 1, 3};
        ModelSpec spec = ModelSpec.of(
                Form.tokens(9),
                Embedding.of(3).withMaskZero(true),
                Lstm.of(LSTM.withDirection(direction)).withReturnSequences(true),
                Residual.of(
                        Lstm.of(LSTM.withDirection(direction)).withReturnSequences(true),
                        Dense.of(3 * direction.cells())),
                Dense.of(2));
        int[] left = new int[TIME_STEPS * BATCH_SIZE];
        int[] right = new int[TIME_STEPS * BATCH_SIZE];
        RandomSequence random = new RandomSequence(6, 6, 6);
        for (int n = 0; n < BATCH_SIZE; n++) {
            for (int t = 0; t < lengths[n]; t++) {
                int token = 1 + random.nextInt(8);
                right[t * BATCH_SIZE + n] = token;
                left[(TIME_STEPS - lengths[n] + t) * BATCH_SIZE + n] = token;
            }
        }
        try (Engine engine = Engines.open(engineName);
                Model model = Model.create(engine, spec, 3);
                Scope scope = engine.openScope("run")) {
            Tensor leftIds = scope.allocateIntegers("left", TIME_STEPS, BATCH_SIZE);
            Tensor rightIds = scope.allocateIntegers("right", TIME_STEPS, BATCH_SIZE);
            engine.write(leftIds, left);
            engine.write(rightIds, right);
            double[] late = read(model, model.forward(Pass.inference(engine, scope, leftIds, null)));
            double[] early = read(model, model.forward(Pass.inference(engine, scope, rightIds, lengths)));
            for (int n = 0; n < BATCH_SIZE; n++) {
                for (int t = 0; t < lengths[n]; t++) {
                    int from = (t * BATCH_SIZE + n) * 2;
                    int to = ((TIME_STEPS - lengths[n] + t) * BATCH_SIZE + n) * 2;
                    assertArrayEquals(
                            Arrays.copyOfRange(early, from, from + 2), Arrays.copyOfRange(late, to, to + 2), 1e-6);
                }
            }
        }
    }
}
