package carousel.property;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.engine.CellActivation;
import carousel.engine.CellActivation.Kind;
import carousel.engine.Direction;
import carousel.engine.Engine;
import carousel.engine.EngineOptions;
import carousel.engine.EngineProvider;
import carousel.engine.Gate;
import carousel.engine.LstmActivations;
import carousel.engine.LstmLayout;
import carousel.engine.LstmSpec;
import carousel.engine.ParameterView;
import carousel.engine.RandomKey;
import carousel.engine.RandomSequence;
import carousel.fixture.AvailableEngines;
import carousel.fixture.LstmCase;
import carousel.fixture.LstmData;
import carousel.fixture.LstmResult;
import carousel.fixture.Tolerance;
import carousel.fixture.Workbench;
import java.util.Arrays;
import java.util.List;
import java.util.function.UnaryOperator;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** What must hold for any LSTM, on every engine that is available, for drawn specifications and numbers. */
class LawTest {
    private static final int DRAWS = 12;

    /** The laws hold for these cells too, on an engine that computes them. */
    private static final List<UnaryOperator<LstmSpec>> EXTENSIONS = List.of(
            spec -> spec.withPeepholes(true),
            spec -> spec.withGateClip(0.5).withPeepholes(true),
            spec -> spec.withCoupledGates(true),
            spec -> spec.withActivations(new LstmActivations(
                    CellActivation.of(Kind.HARD_SIGMOID),
                    CellActivation.of(Kind.SOFTSIGN),
                    CellActivation.of(Kind.ELU))));

    private static final String CUDNN_ALGORITHM = "carousel.cudnn.algorithm";

    private static Stream<EngineProvider> engines() {
        return AvailableEngines.providers().stream();
    }

    /** Splitting the time in two, with the state carried over and its gradient carried back, changes nothing. */
    @ParameterizedTest
    @MethodSource("engines")
    void oneSequenceIsTwoHalves(EngineProvider provider) {
        eachDrawn(provider, (engine, drawn, tolerance) -> {
            // What is read backwards has no first half that could be carried on.
            LstmCase whole = drawn.withSpec(drawn.spec().withDirection(Direction.FORWARD));
            LstmData data = LstmData.of(whole);
            int first = 1 + whole.timeSteps() / 2;
            int second = whole.timeSteps() - first;
            int batch = whole.batchSize();
            LstmCase head = halve(whole, 0, first);
            LstmCase tail = halve(whole, first, second);
            int x = first * batch * whole.spec().inputSize();
            int y = first * batch * whole.spec().sequenceWidth();
            LstmData start = new LstmData(
                    data.parameters(),
                    data.gradientsBefore(),
                    Arrays.copyOf(data.x(), x),
                    data.h0(),
                    data.c0(),
                    Arrays.copyOf(data.dy(), y),
                    null,
                    null);
            LstmResult forward = forward(engine, head, start);
            LstmResult end = run(
                    engine,
                    tail,
                    new LstmData(
                            data.parameters(),
                            data.gradientsBefore(),
                            from(data.x(), x),
                            forward.h(),
                            forward.c(),
                            from(data.dy(), y),
                            data.dh(),
                            data.dc()));
            LstmResult begin = run(
                    engine,
                    head,
                    new LstmData(
                            data.parameters(),
                            end.parameterGradients(),
                            start.x(),
                            data.h0(),
                            data.c0(),
                            start.dy(),
                            end.dh0(),
                            end.dc0()));
            LstmResult joined = new LstmResult(
                    join(begin.y(), end.y()),
                    end.h(),
                    end.c(),
                    begin.parameterGradients(),
                    join(begin.dx(), end.dx()),
                    begin.dh0(),
                    begin.dc0());
            tolerance.check(whole, run(engine, whole, data), joined);
        });
    }

    private static LstmCase halve(LstmCase whole, int from, int steps) {
        List<Integer> lengths = IntStream.range(0, whole.batchSize())
                .mapToObj(n -> Math.max(0, Math.min(steps, whole.length(n) - from)))
                .toList();
        return LstmCase.of(whole.spec(), steps, whole.batchSize())
                .withLengths(lengths)
                .withInitial();
    }

    /** Sequences do not see each other. */
    @ParameterizedTest
    @MethodSource("engines")
    void permutingTheBatchPermutesTheResult(EngineProvider provider) {
        eachDrawn(provider, (engine, lstm, tolerance) -> {
            LstmData data = LstmData.of(lstm);
            int batch = lstm.batchSize();
            int[] order = new RandomSequence(lstm.seed(), 2, 0).permutation(batch);
            LstmCase permuted =
                    lstm.withLengths(Arrays.stream(order).mapToObj(lstm::length).toList());
            LstmSpec spec = lstm.spec();
            int hidden = spec.hiddenSize();
            int shown = spec.outputSize();
            LstmData other = new LstmData(
                    data.parameters(),
                    data.gradientsBefore(),
                    permute(data.x(), order, spec.inputSize()),
                    permute(data.h0(), order, shown),
                    permute(data.c0(), order, hidden),
                    permute(data.dy(), order, spec.sequenceWidth()),
                    permute(data.dh(), order, shown),
                    permute(data.dc(), order, hidden));
            LstmResult straight = run(engine, lstm, data);
            LstmResult expected = new LstmResult(
                    permute(straight.y(), order, spec.sequenceWidth()),
                    permute(straight.h(), order, shown),
                    permute(straight.c(), order, hidden),
                    straight.parameterGradients(),
                    permute(straight.dx(), order, spec.inputSize()),
                    permute(straight.dh0(), order, shown),
                    permute(straight.dc0(), order, hidden));
            tolerance.check(permuted, expected, run(engine, permuted, other));
        });
    }

    /** Reorders the middle dimension of {@code [., N, width]}. */
    private static double[] permute(double[] values, int[] order, int width) {
        double[] result = new double[values.length];
        for (int row = 0; row < values.length / width; row++) {
            int source = row - row % order.length + order[row % order.length];
            System.arraycopy(values, source * width, result, row * width, width);
        }
        return result;
    }

    /** Two batches one after the other give the gradients of both at once. */
    @ParameterizedTest
    @MethodSource("engines")
    void accumulatingTwoBatchesIsTheirSum(EngineProvider provider) {
        eachDrawn(provider, (engine, lstm, tolerance) -> {
            LstmData data = LstmData.of(lstm);
            LstmCase otherCase = lstm.withSeed(lstm.seed() + 500);
            LstmData drawn = LstmData.of(otherCase);
            LstmResult first = run(engine, lstm, data);
            LstmData onTop = with(drawn, data.parameters(), first.parameterGradients());
            LstmData alone = with(drawn, data.parameters(), new double[data.parameters().length]);
            double[] both = run(engine, otherCase, onTop).parameterGradients();
            double[] second = run(engine, otherCase, alone).parameterGradients();
            double[] sum = new double[both.length];
            Arrays.setAll(sum, e -> first.parameterGradients()[e] + second[e]);
            tolerance.check("the sum", sum, both, Tolerance.backwardReduction(lstm));
        });
    }

    private static LstmData with(LstmData data, double[] parameters, double[] gradients) {
        return new LstmData(parameters, gradients, data.x(), data.h0(), data.c0(), data.dy(), data.dh(), data.dc());
    }

    /** The constant error carousel: with the input gate shut and the forget gate open, c and dc pass unchanged. */
    @ParameterizedTest
    @MethodSource("engines")
    void carouselCarriesStateAndErrorUnchanged(EngineProvider provider) {
        try (Engine engine = provider.open(EngineOptions.defaults())) {
            for (Direction direction : Direction.values()) {
                LstmSpec spec = LstmSpec.of(3, 5).withDirection(direction);
                if (engine.refusal(spec).isPresent()) {
                    // Not every engine has stacks that read in reverse only.
                    assertEquals(Direction.REVERSE, direction);
                    continue;
                }
                LstmCase lstm = LstmCase.of(spec, 60, 4)
                        .withInitial()
                        .withLengths(60, 17, 0, 1)
                        .without(LstmCase.Part.Y_GRADIENT, LstmCase.Part.LAST_H_GRADIENT);
                LstmData data = LstmData.of(lstm);
                for (int state = 0; state < spec.states(); state++) {
                    ParameterView bias = LstmLayout.of(spec).cell(state).bias();
                    fillGate(data.parameters(), bias, Gate.INPUT, -200);
                    fillGate(data.parameters(), bias, Gate.FORGET, 200);
                }
                LstmResult result = run(engine, lstm, data);
                assertArrayEquals(data.c0(), result.c(), "c at the end is c at the start");
                assertArrayEquals(data.dc(), result.dc0(), "dc at the start is dc at the end");
            }
        }
    }

    private static void fillGate(double[] parameters, ParameterView bias, Gate gate, double value) {
        int hidden = (int) bias.shape().elements() / Gate.COUNT;
        int from = (int) bias.offset() + gate.firstRow(hidden);
        Arrays.fill(parameters, from, from + hidden, value);
    }

    /** More time steps than any sequence has, holding whatever they hold, change nothing. */
    @ParameterizedTest
    @MethodSource("engines")
    void paddingNeverChangesAResult(EngineProvider provider) {
        eachDrawn(provider, (engine, lstm, tolerance) -> {
            int extra = 3;
            LstmCase padded = LstmCase.of(lstm.spec(), lstm.timeSteps() + extra, lstm.batchSize())
                    .withInitial()
                    .withLengths(lengths(lstm));
            LstmData data = LstmData.of(lstm);
            int x = extra * lstm.batchSize() * lstm.spec().inputSize();
            int y = extra * lstm.batchSize() * lstm.spec().sequenceWidth();
            LstmData longer = new LstmData(
                    data.parameters(),
                    data.gradientsBefore(),
                    join(data.x(), filled(x, Double.NaN)),
                    data.h0(),
                    data.c0(),
                    join(data.dy(), filled(y, Double.POSITIVE_INFINITY)),
                    data.dh(),
                    data.dc());
            LstmResult plain = run(engine, lstm, data);
            LstmResult expected = new LstmResult(
                    join(plain.y(), new double[y]),
                    plain.h(),
                    plain.c(),
                    plain.parameterGradients(),
                    join(plain.dx(), new double[x]),
                    plain.dh0(),
                    plain.dc0());
            tolerance.check(padded, expected, run(engine, padded, longer));
        });
    }

    /** A sequence of length 0 shows nothing, keeps its state, and hands its state's gradient back as it came. */
    @ParameterizedTest
    @MethodSource("engines")
    void emptySequencesPassTheirStateOn(EngineProvider provider) {
        eachDrawn(provider, (engine, drawn, tolerance) -> {
            LstmCase lstm = drawn.withLengths(
                    IntStream.range(0, drawn.batchSize()).mapToObj(n -> 0).toList());
            LstmData data = LstmData.of(lstm);
            LstmResult result = run(engine, lstm, data);
            assertArrayEquals(new double[result.y().length], result.y(), "y");
            assertArrayEquals(data.h0(), result.h(), "h");
            assertArrayEquals(data.c0(), result.c(), "c");
            assertArrayEquals(new double[result.dx().length], result.dx(), "dx");
            assertArrayEquals(data.dh(), result.dh0(), "dh0");
            assertArrayEquals(data.dc(), result.dc0(), "dc0");
            assertArrayEquals(data.gradientsBefore(), result.parameterGradients(), "parameter gradients");
        });
    }

    /** A bidirectional layer is a forward and a reverse one side by side. */
    @ParameterizedTest
    @MethodSource("engines")
    void bidirectionalIsForwardAndReverse(EngineProvider provider) {
        eachDrawn(provider, (engine, drawn, tolerance) -> {
            LstmCase both = drawn.withSpec(drawn.spec().withLayers(1).withDirection(Direction.BIDIRECTIONAL));
            LstmData data = LstmData.of(both);
            LstmResult whole = run(engine, both, data);
            int width = both.spec().outputSize();
            double[] dx = new double[data.x().length];
            for (int cell = 0; cell < 2; cell++) {
                Direction direction = cell == 0 ? Direction.FORWARD : Direction.REVERSE;
                LstmCase one = both.withSpec(both.spec().withDirection(direction));
                if (engine.refusal(one.spec()).isPresent()) {
                    assertEquals(Direction.REVERSE, direction);
                    return;
                }
                int parameters = (int) LstmLayout.of(one.spec()).elements();
                LstmResult result = run(
                        engine,
                        one,
                        new LstmData(
                                part(data.parameters(), cell, parameters),
                                part(data.gradientsBefore(), cell, parameters),
                                data.x(),
                                half(data.h0(), cell),
                                half(data.c0(), cell),
                                columns(data.dy(), 2 * width, cell * width, width),
                                half(data.dh(), cell),
                                half(data.dc(), cell)));
                double forward = Tolerance.forwardReduction(both);
                double backward = Tolerance.backwardReduction(both);
                String which = " of the " + direction + " cell";
                tolerance.check("y" + which, columns(whole.y(), 2 * width, cell * width, width), result.y(), forward);
                tolerance.check("h" + which, half(whole.h(), cell), result.h(), forward);
                tolerance.check("c" + which, half(whole.c(), cell), result.c(), forward);
                tolerance.check(
                        "parameter gradients" + which,
                        part(whole.parameterGradients(), cell, parameters),
                        result.parameterGradients(),
                        backward);
                tolerance.check("dh0" + which, half(whole.dh0(), cell), result.dh0(), backward);
                tolerance.check("dc0" + which, half(whole.dc0(), cell), result.dc0(), backward);
                Arrays.setAll(dx, e -> dx[e] + result.dx()[e]);
            }
            tolerance.check("dx", whole.dx(), dx, Tolerance.backwardReduction(both));
        });
    }

    /** The bits of a result do not depend on how many threads share the work. */
    @ParameterizedTest
    @MethodSource("engines")
    void threadsDoNotChangeABit(EngineProvider provider) {
        // Each engine opened would measure by itself which of cuDNN's algorithms is the fastest.
        System.setProperty(CUDNN_ALGORITHM, "standard");
        RandomKey key = new RandomKey(6, 7, 8);
        List<LstmCase> cases = List.of(
                LstmCase.of(LstmSpec.of(28, 67).withLayers(2).withDropout(0.3), 5, 37)
                        .withInitial()
                        .withDropout(key),
                LstmCase.of(LstmSpec.of(65, 130).withDirection(Direction.BIDIRECTIONAL), 4, 33)
                        .withLengths(IntStream.range(0, 33).mapToObj(n -> n % 5).toList()),
                LstmCase.of(LstmSpec.of(3, 40).withProjectionSize(17), 9, 1).withInitial());
        for (LstmCase lstm : cases) {
            LstmResult alone = null;
            for (int threads : new int[] {1, 2, 3, 7}) {
                try (Engine engine = provider.open(EngineOptions.defaults().withThreads(threads))) {
                    LstmResult result = run(engine, lstm, LstmData.of(lstm));
                    if (alone == null) {
                        alone = result;
                    } else {
                        alone.visitWith(
                                result,
                                (what, one, other) -> assertArrayEquals(
                                        one, other, what + " of " + lstm + " with " + threads + " threads"));
                    }
                }
            }
        }
    }

    /** The other operations too. */
    @ParameterizedTest
    @MethodSource("engines")
    void threadsDoNotChangeABitOfOtherOperations(EngineProvider provider) {
        double[] alone = null;
        for (int threads : new int[] {1, 2, 3, 7}) {
            try (Engine engine = provider.open(EngineOptions.defaults().withThreads(threads))) {
                double[] result = OtherOperations.run(engine);
                if (alone == null) {
                    alone = result;
                    assertTrue(Arrays.stream(alone).allMatch(Double::isFinite), "all outcomes are numbers");
                } else {
                    assertArrayEquals(alone, result, threads + " threads");
                }
            }
        }
    }

    @AfterEach
    void restore() {
        System.clearProperty(CUDNN_ALGORITHM);
    }

    private interface Law {
        void hold(Engine engine, LstmCase lstm, Tolerance tolerance);
    }

    private static void eachDrawn(EngineProvider provider, Law law) {
        RandomSequence random = new RandomSequence(77, 0, 0);
        try (Engine engine = provider.open(EngineOptions.defaults())) {
            for (int k = 0; k < DRAWS; k++) {
                LstmCase lstm = draw(random).withSeed(2000 + k);
                if (engine.refusal(lstm.spec()).isPresent()) {
                    // An engine that has no stacks that read in reverse only has those that read in both directions.
                    lstm = lstm.withSpec(lstm.spec().withDirection(Direction.BIDIRECTIONAL));
                }
                law.hold(engine, lstm, Tolerance.of(engine.precision()));
                LstmCase extended =
                        lstm.withSpec(EXTENSIONS.get(k % EXTENSIONS.size()).apply(lstm.spec()));
                if (engine.refusal(extended.spec()).isEmpty()) {
                    law.hold(engine, extended, Tolerance.of(engine.precision()));
                }
            }
            assertEquals(0, engine.memory().inUse());
        }
    }

    /** Without dropout, whose elements are numbered by their place in a batch, and always with an initial state. */
    private static LstmCase draw(RandomSequence random) {
        int hidden = 2 + random.nextInt(20);
        LstmSpec spec = LstmSpec.of(1 + random.nextInt(12), hidden)
                .withLayers(1 + random.nextInt(2))
                .withDirection(Direction.values()[random.nextInt(3)])
                .withBias(random.nextInt(4) > 0)
                .withProjectionSize(random.nextInt(3) == 0 ? random.nextInt(hidden) : 0)
                .withCellClip(random.nextInt(4) == 0 ? random.uniform(0.2, 0.6) : 0);
        int timeSteps = 3 + random.nextInt(8);
        int batchSize = 2 + random.nextInt(7);
        return LstmCase.of(spec, timeSteps, batchSize)
                .withInitial()
                .withLengths(IntStream.range(0, batchSize)
                        .mapToObj(n -> random.nextInt(timeSteps + 1))
                        .toList());
    }

    private static List<Integer> lengths(LstmCase lstm) {
        return IntStream.range(0, lstm.batchSize()).mapToObj(lstm::length).toList();
    }

    private static LstmResult run(Engine engine, LstmCase lstm, LstmData data) {
        try (Workbench bench = new Workbench(engine)) {
            return bench.run(lstm, data);
        }
    }

    private static LstmResult forward(Engine engine, LstmCase lstm, LstmData data) {
        try (Workbench bench = new Workbench(engine)) {
            return bench.run(lstm, data, null);
        }
    }

    private static double[] from(double[] values, int first) {
        return Arrays.copyOfRange(values, first, values.length);
    }

    private static double[] join(double[] first, double[] second) {
        double[] joined = Arrays.copyOf(first, first.length + second.length);
        System.arraycopy(second, 0, joined, first.length, second.length);
        return joined;
    }

    private static double[] filled(int size, double value) {
        double[] values = new double[size];
        Arrays.fill(values, value);
        return values;
    }

    private static double[] half(double[] values, int which) {
        return part(values, which, values.length / 2);
    }

    private static double[] part(double[] values, int which, int size) {
        return Arrays.copyOfRange(values, which * size, (which + 1) * size);
    }

    private static double[] columns(double[] values, int width, int first, int count) {
        double[] result = new double[values.length / width * count];
        for (int row = 0; row < values.length / width; row++) {
            System.arraycopy(values, row * width + first, result, row * count, count);
        }
        return result;
    }
}
