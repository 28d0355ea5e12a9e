package carousel.layer;

import static carousel.fixture.Refusals.assertRefused;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.engine.Direction;
import carousel.engine.Engine;
import carousel.engine.EngineProvider;
import carousel.engine.Engines;
import carousel.engine.LstmSpec;
import carousel.engine.LstmState;
import carousel.engine.RandomSequence;
import carousel.fixture.AvailableEngines;
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

/** A batch whose sequences start anew in their midst, and of whose steps some are left out, is a batch of separate sequences. */
class ResetsTest {
    private static final int TIME_STEPS = 9;
    private static final int FEATURES = 3;
    private static final int OUTPUTS = 2;
    private static final long SEED = 21;

    /**
     * For each sequence what each step is: one that counts, x, or is left out, o, and capital where the sequence starts anew; a dot is
     * past the end.
     */
    private static final String[][] BATCHES = {
        {"xxxXxxXxx", "xxxxxxxxx", "Xxxxxxxxx", "xXXXxxxxX", "xxxxXxx..", ".........", "Xx......."},
        {"xoxOxxXoo", "ooxxxooxo", "Ooxxoxxxx", "oOXOxoxxO", "xxooXox..", ".........", "Oo......."},
        {"oooOooooo", "Ooooooooo"},
        {"XxxxXxxxx"},
        {"Xxxxxxxxx", "xxxxxxxxx"}
    };

    private static Stream<Arguments> cases() {
        LstmSpec lstm = LstmSpec.of(1, 4);
        LstmSpec both = lstm.withDirection(Direction.BIDIRECTIONAL);
        ModelSpec answersAtEachStep = ModelSpec.of(
                Form.sequence(FEATURES),
                Dense.of(4),
                Lstm.of(lstm.withLayers(2).withProjectionSize(3)).withReturnSequences(true),
                Lstm.of(5).withReturnSequences(true),
                Dense.of(OUTPUTS));
        ModelSpec answersOnce = ModelSpec.of(Form.sequence(FEATURES), Lstm.of(lstm.withLayers(2)), Dense.of(OUTPUTS));
        ModelSpec residual = ModelSpec.of(
                Form.sequence(FEATURES),
                Lstm.of(4).withReturnSequences(true),
                Residual.of(Lstm.of(4).withReturnSequences(true), new TimeReversal(), Dense.of(4)),
                Dense.of(OUTPUTS));
        ModelSpec carriedResidual = ModelSpec.of(
                Form.sequence(FEATURES),
                Lstm.of(4).withReturnSequences(true),
                Residual.of(Lstm.of(4).withReturnSequences(true)),
                Lstm.of(3).withReturnSequences(true),
                Dense.of(OUTPUTS));
        // Of one with a learned initial state, a sequence that starts anew starts there.
        ModelSpec learned = ModelSpec.of(
                Form.sequence(FEATURES),
                Lstm.of(lstm.withLayers(2).withProjectionSize(3))
                        .withReturnSequences(true)
                        .withLearnedInitialState(true),
                Lstm.of(5).withReturnSequences(true).withLearnedInitialState(true),
                Dense.of(OUTPUTS));
        ModelSpec bothWays = ModelSpec.of(
                Form.sequence(FEATURES), Lstm.of(both.withLayers(2)).withReturnSequences(true), Dense.of(OUTPUTS));
        ModelSpec bothWaysOnce = ModelSpec.of(Form.sequence(FEATURES), Lstm.of(both), Dense.of(OUTPUTS));
        return AvailableEngines.providers().stream()
                .map(EngineProvider::name)
                .flatMap(engine -> Stream.of(
                        Arguments.of(engine, answersAtEachStep, true),
                        Arguments.of(engine, answersAtEachStep, false),
                        Arguments.of(engine, answersOnce, true),
                        Arguments.of(engine, answersOnce, false),
                        Arguments.of(engine, carriedResidual, true),
                        Arguments.of(engine, learned, true),
                        Arguments.of(engine, learned, false),
                        Arguments.of(engine, residual, false),
                        Arguments.of(engine, bothWays, false),
                        Arguments.of(engine, bothWaysOnce, false)));
    }

    /** Stands for a state at its beginning. */
    private static final double[] FRESH = {};

    /** What a pass gives: outputs, gradients of the parameters, and the state after it or null. */
    private record Result(double[] outputs, double[] gradients, double[] state) {}

    @ParameterizedTest(name = "{0}, {1}, carried {2}")
    @MethodSource("cases")
    void aBatchWithResetsIsABatchOfSeparateSequences(String name, ModelSpec spec, boolean carried) {
        double tolerance = name.equals("reference") ? 1e-12 : 2e-5;
        try (Engine engine = Engines.open(name)) {
            try (Model model = Model.create(engine, spec, SEED)) {
                model.writeParameters(LstmData.uniform(new RandomSequence(8, 0, 0), model.readParameters().length));
                for (String[] batch : BATCHES) {
                    compare(model, batch, carried, tolerance);
                }
            }
            assertEquals(0, engine.memory().inUse());
        }
    }

    private static void compare(Model model, String[] batch, boolean carried, double tolerance) {
        int sequences = batch.length;
        RandomSequence random = new RandomSequence(SEED, 4, sequences);
        double[] x = LstmData.uniform(random, TIME_STEPS * sequences * FEATURES);
        double[] dy = LstmData.uniform(random, TIME_STEPS * sequences * OUTPUTS);
        boolean atEachStep = model.spec().output().kind() == Form.Kind.SEQUENCE;
        int[] lengths = new int[sequences];
        boolean[] mask = new boolean[TIME_STEPS * sequences];
        boolean[] resets = new boolean[TIME_STEPS * sequences];
        boolean masked = false;
        for (int n = 0; n < sequences; n++) {
            for (int t = 0; t < TIME_STEPS; t++) {
                char step = batch[n].charAt(t);
                lengths[n] += step == '.' ? 0 : 1;
                mask[t * sequences + n] = Character.toLowerCase(step) == 'x';
                resets[t * sequences + n] = Character.isUpperCase(step);
                masked |= Character.toLowerCase(step) == 'o';
                if (step == '.') {
                    // Past the end nothing starts, whatever is said.
                    resets[t * sequences + n] = t % 2 == 0;
                }
                // A step that does not count has a gradient of zero, as a loss gives it.
                if (atEachStep && !mask[t * sequences + n]) {
                    Arrays.fill(dy, (t * sequences + n) * OUTPUTS, (t * sequences + n + 1) * OUTPUTS, 0);
                }
            }
        }
        double[] before = null;
        if (carried) {
            try (Scope scope = model.engine().openScope("size")) {
                before = LstmData.uniform(random, new ModelState(model, scope, sequences).elements());
            }
        }
        Result found = run(model, x, lengths, masked ? mask : null, resets, dy, before, sequences);

        double[] gradients = new double[found.gradients.length];
        double[] state = before == null ? null : before.clone();
        for (int n = 0; n < sequences; n++) {
            double[] rowState = before == null ? null : rowOf(model, before, sequences, n);
            double[] shown = null;
            for (int[] document : documents(batch[n])) {
                // What counts of one document, as a sequence of its own.
                List<Integer> steps = new ArrayList<>();
                for (int t = document[0]; t < document[1]; t++) {
                    if (Character.toLowerCase(batch[n].charAt(t)) == 'x') {
                        steps.add(t);
                    }
                }
                boolean anew = Character.isUpperCase(batch[n].charAt(document[0]));
                if (anew && rowState != null) {
                    rowState = FRESH;
                }
                double[] dOne = new double[Math.max(1, steps.size()) * OUTPUTS];
                double[] one = new double[Math.max(1, steps.size()) * FEATURES];
                for (int k = 0; k < steps.size(); k++) {
                    int row = steps.get(k) * sequences + n;
                    System.arraycopy(x, row * FEATURES, one, k * FEATURES, FEATURES);
                    System.arraycopy(dy, row * OUTPUTS, dOne, k * OUTPUTS, OUTPUTS);
                }
                boolean last = document[1] == lengths[n];
                if (!atEachStep) {
                    Arrays.fill(dOne, 0);
                    if (last) {
                        System.arraycopy(dy, n * OUTPUTS, dOne, 0, OUTPUTS);
                    }
                }
                Result alone = run(model, one, new int[] {steps.size()}, null, null, dOne, rowState, 1);
                for (int e = 0; e < gradients.length; e++) {
                    gradients[e] += alone.gradients[e];
                }
                rowState = alone.state;
                shown = alone.outputs;
                for (int k = 0; atEachStep && k < steps.size(); k++) {
                    int row = steps.get(k) * sequences + n;
                    assertArrayEquals(
                            Arrays.copyOfRange(alone.outputs, k * OUTPUTS, (k + 1) * OUTPUTS),
                            Arrays.copyOfRange(found.outputs, row * OUTPUTS, (row + 1) * OUTPUTS),
                            tolerance,
                            batch[n] + " step " + steps.get(k));
                }
            }
            if (!atEachStep) {
                assertArrayEquals(
                        shown, Arrays.copyOfRange(found.outputs, n * OUTPUTS, (n + 1) * OUTPUTS), tolerance, batch[n]);
            }
            if (state != null) {
                assertArrayEquals(rowState, rowOf(model, found.state, sequences, n), tolerance, batch[n] + " after");
            }
        }
        // In a stack of sums of some hundred terms.
        assertArrayEquals(gradients, found.gradients, 20 * tolerance, "gradients");
        assertTrue(Arrays.stream(found.outputs).anyMatch(y -> y != 0));
    }

    /** From where to where the documents of a sequence reach; an empty sequence is one that has no steps. */
    private static List<int[]> documents(String sequence) {
        int end = sequence.indexOf('.') < 0 ? sequence.length() : sequence.indexOf('.');
        List<int[]> documents = new ArrayList<>();
        int start = 0;
        for (int t = 1; t < end; t++) {
            if (Character.isUpperCase(sequence.charAt(t))) {
                documents.add(new int[] {start, t});
                start = t;
            }
        }
        documents.add(new int[] {start, end});
        return documents;
    }

    /** One sequence's part of a state on the host. */
    private static double[] rowOf(Model model, double[] state, int sequences, int n) {
        double[] row = new double[state.length / sequences];
        int from = 0;
        int filled = 0;
        try (Scope scope = model.engine().openScope("shapes")) {
            ModelState shapes = new ModelState(model, scope, sequences);
            for (int layer : shapes.layers()) {
                LstmState of = shapes.before(layer);
                for (Tensor part : new Tensor[] {of.h(), of.c()}) {
                    int width = part.shape().extent(2);
                    for (int s = 0; s < part.shape().extent(0); s++) {
                        System.arraycopy(state, from + (s * sequences + n) * width, row, filled, width);
                        filled += width;
                    }
                    from += Math.toIntExact(part.elements());
                }
            }
        }
        return row;
    }

    private static Result run(
            Model model,
            double[] x,
            int[] lengths,
            boolean[] mask,
            boolean[] resets,
            double[] dy,
            double[] before,
            int sequences) {
        Engine engine = model.engine();
        try (Scope scope = engine.openScope("run")) {
            Tensor input = scope.allocate("x", x.length / (sequences * FEATURES), sequences, FEATURES);
            engine.write(input, x);
            ModelState state = before == null ? null : new ModelState(model, scope, sequences);
            if (before != null && before != FRESH) {
                state.write(before);
            }
            Pass pass = Pass.training(engine, scope, input, lengths, 1, 1)
                    .withMask(mask)
                    .withResets(resets)
                    .carrying(state);
            Tensor output = model.forward(pass);
            double[] outputs = new double[Math.toIntExact(output.elements())];
            engine.read(output, outputs);
            Tensor dOutput = scope.allocate("dy", output.shape().toArray());
            engine.write(dOutput, Arrays.copyOf(dy, outputs.length));
            model.clearGradients();
            model.backward(pass, dOutput);
            double[] gradients = new double[Math.toIntExact(model.gradients().elements())];
            engine.read(model.gradients(), gradients);
            if (state == null) {
                return new Result(outputs, gradients, null);
            }
            state.advance();
            return new Result(outputs, gradients, state.read());
        }
    }

    /** A step left out shows the output before it in its document, what was carried before the first, or zeros in a new document. */
    @ParameterizedTest
    @ValueSource(strings = {"reference", "vector"})
    void stepsLeftOutShowWhatIsBeforeThemInTheirDocument(String name) {
        ModelSpec spec = ModelSpec.of(Form.sequence(FEATURES), Lstm.of(4).withReturnSequences(true));
        String[] batch = {"oxoOoXooo", "OoxxoxXxo"};
        try (Engine engine = Engines.open(name);
                Model model = Model.create(engine, spec, SEED);
                Scope scope = engine.openScope("run")) {
            boolean[] mask = new boolean[TIME_STEPS * 2];
            boolean[] resets = new boolean[TIME_STEPS * 2];
            for (int step = 0; step < mask.length; step++) {
                char what = batch[step % 2].charAt(step / 2);
                mask[step] = Character.toLowerCase(what) == 'x';
                resets[step] = Character.isUpperCase(what);
            }
            Tensor x = scope.allocate("x", TIME_STEPS, 2, FEATURES);
            engine.write(x, LstmData.uniform(new RandomSequence(1, 1, 1), TIME_STEPS * 2 * FEATURES));
            ModelState state = new ModelState(model, scope, 2);
            state.write(LstmData.uniform(new RandomSequence(1, 1, 2), state.elements()));
            double[] carried = new double[8];
            engine.read(state.before(0).h(), carried);
            Tensor y = model.forward(Pass.inference(engine, scope, x, null)
                    .withMask(mask)
                    .withResets(resets)
                    .carrying(state));
            double[] values = new double[TIME_STEPS * 2 * 4];
            engine.read(y, values);
            for (int n = 0; n < 2; n++) {
                double[] shown = Arrays.copyOfRange(carried, n * 4, n * 4 + 4);
                for (int t = 0; t < TIME_STEPS; t++) {
                    double[] step = Arrays.copyOfRange(values, (t * 2 + n) * 4, (t * 2 + n) * 4 + 4);
                    if (resets[t * 2 + n]) {
                        shown = new double[4];
                    }
                    if (mask[t * 2 + n]) {
                        assertTrue(!Arrays.equals(shown, step), "a step that counts");
                        shown = step;
                    }
                    assertArrayEquals(shown, step, batch[n] + " step " + t);
                }
            }
        }
    }

    /** Where no step starts anew, and none is left out, nothing is moved: the bits are those of a pass without. */
    @ParameterizedTest
    @ValueSource(strings = {"reference", "vector"})
    void aMaskOfAllStepsAndNoResetsChangeNoBit(String name) {
        ModelSpec spec = ModelSpec.of(
                Form.sequence(FEATURES), Lstm.of(4).withReturnSequences(true), new Dropout(0.5), Dense.of(OUTPUTS));
        try (Engine engine = Engines.open(name);
                Model model = Model.create(engine, spec, SEED)) {
            double[] x = LstmData.uniform(new RandomSequence(1, 1, 1), TIME_STEPS * 2 * FEATURES);
            double[] dy = LstmData.uniform(new RandomSequence(1, 1, 2), TIME_STEPS * 2 * OUTPUTS);
            boolean[] all = new boolean[TIME_STEPS * 2];
            Arrays.fill(all, true);
            boolean[] none = new boolean[TIME_STEPS * 2];
            for (int[] lengths : new int[][] {null, {4, 9}}) {
                Result plain = run(model, x, lengths, null, null, dy, null, 2);
                Result marked = run(model, x, lengths, all, none, dy, null, 2);
                assertArrayEquals(plain.outputs, marked.outputs);
                assertArrayEquals(plain.gradients, marked.gradients);
            }
        }
    }

    @Test
    void tokensStartAnewToo() {
        ModelSpec spec = ModelSpec.of(
                Form.tokens(5),
                Embedding.of(3).withMaskZero(true),
                Lstm.of(4).withReturnSequences(true),
                Dense.of(OUTPUTS));
        try (Engine engine = Engines.open("reference");
                Model model = Model.create(engine, spec, SEED)) {
            // The fourth step starts anew, and it is masked.
            double[] found = tokens(model, new boolean[] {false, false, false, true, false, false}, 3, 0, 1, 0, 4, 2);
            double[] first = tokens(model, null, 3, 1);
            double[] second = tokens(model, null, 4, 2);
            assertArrayEquals(Arrays.copyOf(first, 2), Arrays.copyOf(found, 2), 1e-12);
            assertArrayEquals(Arrays.copyOfRange(first, 2, 4), Arrays.copyOfRange(found, 4, 6), 1e-12);
            assertArrayEquals(second, Arrays.copyOfRange(found, 8, 12), 1e-12);
        }
    }

    private static double[] tokens(Model model, boolean[] resets, int... tokens) {
        Engine engine = model.engine();
        try (Scope scope = engine.openScope("run")) {
            Tensor input = scope.allocateIntegers("tokens", tokens.length, 1);
            engine.write(input, tokens);
            Tensor output =
                    model.forward(Pass.inference(engine, scope, input, null).withResets(resets));
            double[] values = new double[Math.toIntExact(output.elements())];
            engine.read(output, values);
            return values;
        }
    }

    @Test
    void whatFitsNoBatchIsRefused() {
        ModelSpec vectors = ModelSpec.of(Form.vector(2), Dense.of(1));
        try (Engine engine = Engines.open("reference");
                Model model = Model.create(engine, vectors, 1);
                Scope scope = engine.openScope("run")) {
            Tensor x = scope.allocate("x", 3, 2, 1);
            Pass pass = Pass.inference(engine, scope, x, null);
            assertRefused(
                    IllegalArgumentException.class,
                    () -> pass.withResets(new boolean[5]),
                    "resets",
                    "each of the 6 steps",
                    "have 5 values");
            assertRefused(
                    IllegalArgumentException.class, () -> pass.withMask(new boolean[7]), "mask", "6 steps", "7 values");
            Pass ofVectors = Pass.inference(engine, scope, scope.allocate("x", 3, 2), null)
                    .withMask(new boolean[6]);
            assertRefused(
                    IllegalArgumentException.class,
                    () -> model.forward(ofVectors),
                    "of steps but the model reads (batch, 2)",
                    "leave them out");
        }
    }
}
