package carousel.engine.vector;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.engine.Direction;
import carousel.engine.Engine;
import carousel.engine.EngineOptions;
import carousel.engine.LstmInput;
import carousel.engine.LstmInputGradient;
import carousel.engine.LstmLayout;
import carousel.engine.LstmOutput;
import carousel.engine.LstmSpec;
import carousel.engine.LstmState;
import carousel.engine.LstmTape;
import carousel.engine.RandomKey;
import carousel.engine.RandomSequence;
import carousel.engine.Update;
import carousel.engine.UpdateRule;
import carousel.engine.reference.ReferenceEngine;
import carousel.tensor.Scope;
import carousel.tensor.Shape;
import carousel.tensor.Tensor;
import java.lang.management.ManagementFactory;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.function.BiConsumer;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** How the vector engine shares work out, what it keeps from call to call, and the far ends of its numbers. */
@Timeout(300)
class VectorEngineWorkTest {
    private static final EngineOptions GUARDED = EngineOptions.defaults().withGuards(true);

    private static final LstmCase[] CASES = cases();
    private static List<Map<String, float[]>> alone;

    private static LstmCase plain(LstmSpec spec, int timeSteps, int batchSize, int[] lengths, long seed) {
        return new LstmCase(spec, timeSteps, batchSize, lengths, true, true, true, null, Double.NaN, seed);
    }

    /** Sizes at which threads share a batch, the hidden units of a cell, or both directions, by the rules of {@link Schedule}. */
    private static LstmCase[] cases() {
        int[] lengths = new int[70];
        Arrays.setAll(lengths, n -> n * 5 % 8);
        int[] oneIsLong = new int[40];
        Arrays.fill(oneIsLong, 2);
        oneIsLong[25] = 7;
        int[] ragged = new int[30];
        Arrays.setAll(ragged, n -> n < 3 ? 10 : n % 6);
        return new LstmCase[] {
            // Some tiles have no sequence left while others go on.
            plain(LstmSpec.of(20, 64), 7, 40, oneIsLong, 11),
            plain(LstmSpec.of(9, 330), 7, 40, oneIsLong, 12),
            // A tile of one sequence in a batch of many.
            plain(LstmSpec.of(20, 64), 5, 19, null, 13),
            plain(LstmSpec.of(20, 64).withProjectionSize(9), 5, 19, null, 14),
            plain(LstmSpec.of(20, 64), 5, 130, null, 1),
            plain(LstmSpec.of(20, 64), 7, 70, lengths, 2),
            plain(LstmSpec.of(9, 400), 3, 20, null, 3),
            plain(LstmSpec.of(9, 330).withDirection(Direction.BIDIRECTIONAL), 3, 20, null, 4),
            plain(LstmSpec.of(9, 400).withProjectionSize(140), 3, 20, null, 5),
            plain(LstmSpec.of(40, 260), 7, 1, null, 6),
            // x is multiplied for four steps at once, as the weights are too many for a cache; a tile ends before the
            // other.
            plain(LstmSpec.of(9, 330), 10, 30, ragged, 15),
            plain(LstmSpec.of(9, 330).withDirection(Direction.REVERSE), 10, 30, null, 16),
            new LstmCase(LstmSpec.of(9, 330), 10, 30, ragged, false, true, true, null, Double.NaN, 19),
            // Several parts of a product, of which the first step without an initial state has only those of x;
            // with many sequences, and with few, where x is multiplied for several steps at once.
            new LstmCase(LstmSpec.of(400, 140), 3, 9, null, false, true, true, null, Double.NaN, 23),
            new LstmCase(LstmSpec.of(400, 140), 5, 3, null, false, true, true, null, Double.NaN, 24),
            // A mask over weights whose gradient comes in several blocks of columns.
            new LstmCase(
                    LstmSpec.of(9, 330).withRecurrentWeightDropout(0.3),
                    3,
                    9,
                    null,
                    true,
                    true,
                    true,
                    new RandomKey(5, 0, 1),
                    Double.NaN,
                    25),
            plain(LstmSpec.of(9, 330).withPeepholes(true).withZoneout(0.2, 0.3), 10, 30, ragged, 20),
            // Members of a group that share a normalised cell's units, and one that has all of many.
            plain(LstmSpec.of(9, 330).withLayerNormalization(true), 3, 20, null, 21),
            plain(LstmSpec.of(9, 330).withLayerNormalization(true), 3, 64, null, 22),
            // Strips of a record that would lie a power of two apart, and of one a little below that.
            plain(LstmSpec.of(5, 33), 8, 128, null, 17),
            plain(LstmSpec.of(5, 33).withLayerNormalization(true), 10, 127, null, 18),
            // x is multiplied for 64 steps at once; few units, so that rounding does not grow from step to step.
            plain(LstmSpec.of(40, 3), 70, 1, null, 9),
            plain(LstmSpec.of(40, 3), 70, 3, new int[] {70, 65, 64}, 10),
            plain(LstmSpec.of(40, 260).withDirection(Direction.REVERSE), 9, 3, new int[] {2, 9, 0}, 7),
            plain(LstmSpec.of(40, 270).withProjectionSize(130).withCellClip(0.2), 5, 1, null, 8)
        };
    }

    /** What one thread makes of each case, for all tests. */
    @BeforeAll
    @Timeout(300)
    static void runOnOneThread() {
        try (Engine one = new VectorEngine(GUARDED.withThreads(1))) {
            alone = Arrays.stream(CASES).map(each -> each.run(one)).toList();
        }
    }

    @AfterAll
    static void forget() {
        alone = null;
    }

    @ParameterizedTest
    @ValueSource(ints = {2, 3, 7})
    void sharedWorkGivesTheSameBits(int threads) {
        try (Engine several = new VectorEngine(GUARDED.withThreads(threads))) {
            for (int k = 0; k < CASES.length; k++) {
                Map<String, float[]> expected = alone.get(k);
                CASES[k].run(several).forEach((name, values) -> assertArrayEquals(expected.get(name), values, name));
            }
        }
    }

    /** One thread's work; {@link #sharedWorkGivesTheSameBits} says that it is everyone's. */
    @Test
    void workAgreesWithTheReference() {
        try (Engine reference = new ReferenceEngine(true)) {
            for (int k = 0; k < CASES.length; k++) {
                LstmCase each = CASES[k];
                Map<String, float[]> expected = each.run(reference);
                alone.get(k).forEach((name, values) -> {
                    float largest = 1;
                    for (float value : expected.get(name)) {
                        largest = Math.max(largest, Math.abs(value));
                    }
                    assertArrayEquals(expected.get(name), values, 1e-4f * largest, name + " of " + each);
                });
            }
        }
    }

    @Test
    void stripsOfALongRecordMeetInNoCache() {
        try (Engine engine = new VectorEngine(GUARDED);
                Scope scope = engine.openScope("records")) {
            int[][] shapes = {{8, 128}, {9, 128}, {28, 128}, {10, 127}, {100, 11}, {1, 1024}, {77, 23}};
            for (int[] shape : shapes) {
                int rows = ((VectorTape) engine.openTape(scope, LstmSpec.of(5, 3), shape[0], shape[1])).rows();
                int needed = shape[0] * shape[1];
                assertTrue(rows >= needed && rows <= needed + needed / 25, needed + " rows take " + rows);
                int over = rows % 128;
                assertTrue(over > Sequences.TILE && over < 128 - Sequences.TILE, needed + " rows take " + rows);
            }
            assertEquals(
                    512,
                    ((VectorTape) engine.openTape(scope, LstmSpec.of(5, 3), 4, 128)).rows(),
                    "a short record has no room to spare");
        }
    }

    @Test
    void theScheduleSharesHiddenUnitsWhereTheBatchIsSmallOrTheWeightsAreLarge() {
        Sequences sequences = new Sequences();
        Schedule schedule = new Schedule();
        sequences.set(28, 128, null);
        schedule.plan(1, 1, sequences, 156 * 512, 8);
        assertEquals(1, schedule.members());
        schedule.plan(2, 1, sequences, 156 * 512, 8);
        assertEquals(2, schedule.groups(), "a batch of 128 is shared by two threads");
        assertEquals(1, schedule.members());
        sequences.set(100, 64, null);
        schedule.plan(2, 1, sequences, 1024 * 2048, 32);
        assertEquals(1, schedule.groups());
        assertEquals(2, schedule.members(), "8 MB of weights are shared by two threads");
        sequences.set(100, 1, null);
        schedule.plan(4, 1, sequences, 384 * 1024, 16);
        assertEquals(4, schedule.members(), "one sequence's hidden units are shared by four threads");
        schedule.plan(4, 2, sequences, 384 * 1024, 16);
        assertEquals(2, schedule.members(), "by two for each direction");
        schedule.plan(4, 1, sequences, 20 * 64, 1);
        assertEquals(1, schedule.members(), "a small cell is not worth meeting for");
    }

    /** Weights are packed when they have changed: by whatever means, the next pass has to see it. */
    @Test
    void changedWeightsAreSeen() {
        LstmSpec spec = LstmSpec.of(3, 5).withProjectionSize(2);
        int count = (int) LstmLayout.of(spec).elements();
        float[] ones = new float[count];
        Arrays.fill(ones, 0.1f);
        double[] doubles = new double[count];
        Arrays.fill(doubles, 0.2);
        BiConsumer<Engine, Tensor[]> nothing = (engine, t) -> {};
        Map<String, BiConsumer<Engine, Tensor[]>> ways = Map.of(
                "write floats", (engine, t) -> engine.write(t[0], ones),
                "write doubles", (engine, t) -> engine.write(t[0], doubles),
                "write a view", (engine, t) -> engine.write(t[0].view("some", 2, Shape.of(3)), new float[] {3, 3, 3}),
                "fill", (engine, t) -> engine.fill(t[0], 0.3),
                "copy columns",
                        (engine, t) -> engine.copyColumns(t[1].reshape(1, count), 0, t[0].reshape(1, count), 0, count),
                "update",
                        (engine, t) -> engine.update(
                                new Update(new UpdateRule.Sgd(0, false), 1, 0.5, 0, null), t[0], t[1], null, null),
                "dropout", (engine, t) -> engine.dropout(t[1], 0, new RandomKey(1, 1, 1), t[0]),
                "linear",
                        (engine, t) -> engine.linearForward(
                                t[1].view("x", 0, Shape.of(1, 1)),
                                t[1].reshape(count, 1),
                                null,
                                t[0].reshape(1, count)));
        assertFalse(changes(nothing), "nothing changed the weights");
        ways.forEach((name, way) -> assertTrue(changes(way), name + " was not seen"));
    }

    private static boolean changes(BiConsumer<Engine, Tensor[]> way) {
        LstmSpec spec = LstmSpec.of(3, 5).withProjectionSize(2);
        try (Engine engine = new VectorEngine(GUARDED);
                Scope scope = engine.openScope("test")) {
            RandomSequence random = new RandomSequence(5, 5, 5);
            int count = (int) LstmLayout.of(spec).elements();
            Tensor parameters = LstmCase.draw(engine, scope, random, 0.5, count);
            Tensor other = LstmCase.draw(engine, scope, random, 0.5, count);
            Tensor x = LstmCase.draw(engine, scope, random, 1, 2, 4, 3);
            float[] before = passes(engine, scope, spec, parameters, x);
            way.accept(engine, new Tensor[] {parameters, other});
            float[] after = passes(engine, scope, spec, parameters, x);
            // A new engine has packed nothing yet.
            try (Engine fresh = new VectorEngine(GUARDED);
                    Scope own = fresh.openScope("fresh")) {
                float[] values = new float[count];
                engine.read(parameters, values);
                Tensor copy = own.allocate("parameters", count);
                fresh.write(copy, values);
                float[] input = new float[24];
                engine.read(x, input);
                Tensor copyOfX = own.allocate("x", 2, 4, 3);
                fresh.write(copyOfX, input);
                assertArrayEquals(passes(fresh, own, spec, copy, copyOfX), after);
            }
            return !Arrays.equals(before, after);
        }
    }

    /** Outputs and the gradient of x, one after the other. */
    private static float[] passes(Engine engine, Scope scope, LstmSpec spec, Tensor parameters, Tensor x) {
        Tensor y = scope.allocate("y", 2, 4, 2);
        Tensor dx = scope.allocate("dx", 2, 4, 3);
        Tensor dy = scope.allocate("dy", 2, 4, 2);
        engine.fill(dy, 1);
        LstmTape tape = engine.openTape(scope, spec, 2, 4);
        engine.lstmForward(spec, parameters, LstmInput.of(x), new LstmOutput(y, null), tape);
        engine.lstmBackward(tape, new LstmOutput(dy, null), null, new LstmInputGradient(dx, null));
        float[] outputs = new float[16];
        float[] gradients = new float[24];
        engine.read(y, outputs);
        engine.read(dx, gradients);
        float[] both = Arrays.copyOf(outputs, 40);
        System.arraycopy(gradients, 0, both, 16, 24);
        return both;
    }

    @Test
    void moreStacksThanAreRememberedKeepTheirOwnWeights() {
        LstmCase[] stacks = new LstmCase[11];
        Arrays.setAll(stacks, k -> plain(LstmSpec.of(3, 5 + k / 2), 2, 3, null, k));
        try (Engine engine = new VectorEngine(GUARDED);
                Scope scope = engine.openScope("test")) {
            Tensor[] parameters = new Tensor[stacks.length];
            Tensor x = LstmCase.draw(engine, scope, new RandomSequence(1, 1, 1), 1, 2, 3, 3);
            float[][] first = new float[stacks.length][];
            for (int round = 0; round < 3; round++) {
                for (int k = 0; k < stacks.length; k++) {
                    LstmSpec spec = stacks[k].spec();
                    if (round == 0) {
                        int count = (int) LstmLayout.of(spec).elements();
                        parameters[k] = LstmCase.draw(engine, scope, new RandomSequence(k, 2, 2), 0.5, count);
                    }
                    Tensor y = scope.allocate("y", 2, 3, spec.hiddenSize());
                    engine.lstmForward(spec, parameters[k], LstmInput.of(x), new LstmOutput(y, null), null);
                    float[] values = new float[(int) y.elements()];
                    engine.read(y, values);
                    if (round == 0) {
                        first[k] = values;
                    }
                    assertArrayEquals(first[k], values, "stack " + k + " in round " + round);
                }
            }
            assertFalse(Arrays.equals(first[0], first[1]), "two stacks of the same shape");
        }
    }

    /** A call that fails must leave nothing behind that the next one takes for its own. */
    @Test
    void aCallThatFailedLeavesNothingBehind() {
        LstmSpec spec = LstmSpec.of(3, 20);
        try (Engine fresh = new VectorEngine(GUARDED);
                Engine engine = new VectorEngine(GUARDED);
                Engine reference = new ReferenceEngine(true)) {
            float[][] results = new float[2][];
            Engine[] engines = {fresh, engine};
            for (int k = 0; k < 2; k++) {
                Engine each = engines[k];
                try (Scope scope = each.openScope("test");
                        Scope foreign = reference.openScope("foreign")) {
                    RandomSequence random = new RandomSequence(4, 4, 4);
                    int count = (int) LstmLayout.of(spec).elements();
                    Tensor parameters = LstmCase.draw(each, scope, random, 0.5, count);
                    Tensor x = LstmCase.draw(each, scope, random, 1, 3, 5, 3);
                    LstmState initial = new LstmState(
                            LstmCase.draw(each, scope, random, 1, 1, 5, 20),
                            LstmCase.draw(each, scope, random, 1, 1, 5, 20));
                    Tensor gradients = scope.allocate("gradients", count);
                    each.fill(gradients, 0);
                    Tensor y = scope.allocate("y", 3, 5, 20);
                    LstmTape tape = each.openTape(scope, spec, 3, 5);
                    if (each == engine) {
                        // The last c lies in another engine's memory, which comes out when all else has been prepared.
                        LstmState last = new LstmState(null, foreign.allocate("c", 1, 5, 20));
                        assertThrows(
                                IllegalArgumentException.class,
                                () -> each.lstmForward(
                                        spec,
                                        parameters,
                                        LstmInput.of(x).withInitial(initial),
                                        new LstmOutput(y, last),
                                        tape));
                        each.lstmForward(spec, parameters, LstmInput.of(x), new LstmOutput(y, null), tape);
                        assertThrows(
                                IllegalArgumentException.class,
                                () -> each.lstmBackward(
                                        tape, new LstmOutput(y, last), gradients, LstmInputGradient.NONE));
                    }
                    each.lstmForward(spec, parameters, LstmInput.of(x), new LstmOutput(y, null), null);
                    each.lstmForward(spec, parameters, LstmInput.of(x), new LstmOutput(y, null), tape);
                    each.lstmBackward(tape, new LstmOutput(y, null), gradients, LstmInputGradient.NONE);
                    results[k] = new float[count];
                    each.read(gradients, results[k]);
                }
            }
            assertArrayEquals(results[0], results[1]);
        }
    }

    @Test
    void tenThousandStepsStayWithTheReference() {
        LstmSpec spec = LstmSpec.of(2, 7);
        LstmCase lengthy = new LstmCase(spec, 10_000, 2, null, true, true, true, null, 0, 3);
        try (Engine reference = new ReferenceEngine(false);
                Engine one = new VectorEngine(GUARDED.withGuards(false).withThreads(1));
                Engine several = new VectorEngine(GUARDED.withGuards(false).withThreads(3))) {
            Map<String, float[]> expected = lengthy.run(reference);
            Map<String, float[]> actual = lengthy.run(one);
            lengthy.run(several).forEach((name, values) -> assertArrayEquals(actual.get(name), values, name));
            actual.forEach((name, values) -> {
                float largest = 1;
                for (float value : expected.get(name)) {
                    largest = Math.max(largest, Math.abs(value));
                }
                assertArrayEquals(expected.get(name), values, 2e-4f * largest, name);
            });
        }
    }

    /** A team of threads that meets at every one of many steps, on a machine with fewer processors. */
    @Test
    void manyMeetingsEndWithTheSameBits() {
        LstmCase lengthy = plain(LstmSpec.of(8, 264), 600, 1, null, 9);
        try (Engine one = new VectorEngine(GUARDED.withThreads(1));
                Engine several = new VectorEngine(GUARDED.withThreads(4))) {
            Map<String, float[]> expected = lengthy.run(one);
            lengthy.run(several).forEach((name, values) -> assertArrayEquals(expected.get(name), values, name));
        }
    }

    @ParameterizedTest
    @ValueSource(doubles = {1e-40, 1e-30, 1e-10, 30, 1e4, 1e30})
    void hugeAndTinyPreActivationsAgreeWithTheReference(double scale) {
        LstmSpec spec = LstmSpec.of(3, 19);
        int count = (int) LstmLayout.of(spec).elements();
        try (Engine reference = new ReferenceEngine(true);
                Engine vector = new VectorEngine(GUARDED.withThreads(2))) {
            float[][] results = new float[2][];
            Engine[] engines = {reference, vector};
            for (int k = 0; k < 2; k++) {
                Engine engine = engines[k];
                try (Scope scope = engine.openScope("test")) {
                    RandomSequence random = new RandomSequence(8, 8, 8);
                    Tensor parameters = LstmCase.draw(engine, scope, random, 1, count);
                    Tensor x = LstmCase.draw(engine, scope, random, scale, 4, 21, 3);
                    Tensor y = scope.allocate("y", 4, 21, 19);
                    LstmState last = new LstmState(scope.allocate("h", 1, 21, 19), scope.allocate("c", 1, 21, 19));
                    engine.lstmForward(spec, parameters, LstmInput.of(x), new LstmOutput(y, last), null);
                    results[k] = new float[4 * 21 * 19];
                    engine.read(y, results[k]);
                }
            }
            assertArrayEquals(results[0], results[1], 2e-5f);
        }
    }

    @Test
    void notANumberStaysInItsSequence() {
        LstmSpec spec = LstmSpec.of(2, 17);
        try (Engine engine = new VectorEngine(GUARDED.withThreads(2));
                Scope scope = engine.openScope("test")) {
            RandomSequence random = new RandomSequence(1, 2, 3);
            Tensor parameters = LstmCase.draw(
                    engine, scope, random, 0.5, (int) LstmLayout.of(spec).elements());
            Tensor x = LstmCase.draw(engine, scope, random, 1, 3, 40, 2);
            engine.write(x.view("one step", (1 * 40 + 13) * 2, Shape.of(1)), new float[] {Float.NaN});
            Tensor y = scope.allocate("y", 3, 40, 17);
            engine.lstmForward(spec, parameters, LstmInput.of(x), new LstmOutput(y, null), null);
            float[] values = new float[3 * 40 * 17];
            engine.read(y, values);
            for (int e = 0; e < values.length; e++) {
                int t = e / 17 / 40;
                int n = e / 17 % 40;
                assertEquals(n == 13 && t >= 1, Float.isNaN(values[e]), "y at time " + t + " of sequence " + n);
            }
        }
    }

    /** The loops allocate nothing themselves; those on the Vector API do until they are compiled, so the plain ones are asked. */
    @ParameterizedTest
    @ValueSource(ints = {1, 2})
    void passesAllocateNothingOnceTheyHaveSettled(int threads) {
        LstmSpec spec = LstmSpec.of(5, 20).withLayers(2).withDropout(0.2);
        com.sun.management.ThreadMXBean threadBean =
                (com.sun.management.ThreadMXBean) ManagementFactory.getThreadMXBean();
        try (Engine engine = new VectorEngine(
                        EngineOptions.defaults().withGuards(false).withThreads(threads), new LoopKernels());
                Scope scope = engine.openScope("test")) {
            RandomSequence random = new RandomSequence(1, 2, 3);
            int count = (int) LstmLayout.of(spec).elements();
            Tensor parameters = LstmCase.draw(engine, scope, random, 0.5, count);
            Tensor gradients = LstmCase.draw(engine, scope, random, 0.5, count);
            Tensor first = LstmCase.draw(engine, scope, random, 0, count);
            Tensor second = LstmCase.draw(engine, scope, random, 0, count);
            Tensor x = LstmCase.draw(engine, scope, random, 1, 6, 40, 5);
            Tensor y = scope.allocate("y", 6, 40, 20);
            LstmTape tape = engine.openTape(scope, spec, 6, 40);
            LstmInput input = LstmInput.of(x).withDropout(new RandomKey(1, 2, 3));
            LstmOutput output = new LstmOutput(y, null);
            Update update = new Update(new UpdateRule.Adam(0.9, 0.999, 1e-8, 0), 1, 0.001, 0, null);
            Runnable step = () -> {
                engine.lstmForward(spec, parameters, input, output, tape);
                engine.lstmBackward(tape, output, gradients, LstmInputGradient.NONE);
                engine.update(update, parameters, gradients, first, second);
            };
            for (int k = 0; k < 50; k++) {
                step.run();
            }
            long before = threadBean.getCurrentThreadAllocatedBytes();
            for (int k = 0; k < 100; k++) {
                step.run();
            }
            long each = (threadBean.getCurrentThreadAllocatedBytes() - before) / 100;
            // Interpreted, the names of a few random streams are objects: one for each dropped layer and pass.
            assertTrue(each <= 200, each + " bytes are allocated in each step");
        }
    }
}
