package carousel.engine.cuda;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.engine.ActivationFunction;
import carousel.engine.Engine;
import carousel.engine.EngineException;
import carousel.engine.EngineOptions;
import carousel.engine.EngineProvider;
import carousel.engine.Loss;
import carousel.engine.LstmInput;
import carousel.engine.LstmInputGradient;
import carousel.engine.LstmLayout;
import carousel.engine.LstmOutput;
import carousel.engine.LstmSpec;
import carousel.engine.LstmTape;
import carousel.engine.RandomKey;
import carousel.engine.RandomSequence;
import carousel.engine.Update;
import carousel.engine.UpdateRule;
import carousel.engine.cuda.fused.FusedEngineProvider;
import carousel.fixture.AvailableEngines;
import carousel.fixture.LstmData;
import carousel.fixture.StandIn;
import carousel.fixture.StandIn.Count;
import carousel.tensor.OutOfTensorMemoryException;
import carousel.tensor.Scope;
import carousel.tensor.Shape;
import carousel.tensor.Tensor;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** What the engines on a GPU have in common: graphs, memory, streams, and what is given back. */
@Tag("gpu")
class CudaEngineTest {
    private static final String GRAPHS = "carousel.cuda.graphs";
    private static final String DEVICE = "carousel.device";
    private static final LstmSpec SPEC = LstmSpec.of(3, 5).withLayers(2).withDropout(0.25);
    private static final int TIME_STEPS = 4;
    private static final int BATCH = 6;

    private final EngineProvider provider = new FusedEngineProvider();

    @BeforeEach
    void requireAvailable() {
        AvailableEngines.assume(provider);
    }

    @AfterEach
    void restore() {
        System.clearProperty(GRAPHS);
        System.clearProperty(DEVICE);
        StandIn.find().ifPresent(standIn -> {
            standIn.heal();
            standIn.memory(0);
            standIn.unruly(0);
        });
    }

    private Engine open() {
        return provider.open(EngineOptions.defaults().withGuards(false));
    }

    private static StandIn standIn() {
        return StandIn.find().orElseGet(() -> Assumptions.abort("real libraries do not count"));
    }

    /** A training run as a trainer would do it. */
    private static final class Training implements AutoCloseable {
        private final Engine engine;
        private final Scope scope;
        private final Tensor parameters;
        private final Tensor gradients;
        private final Tensor first;
        private final Tensor second;
        private final Tensor report;
        private final int count = (int) LstmLayout.of(SPEC).elements();
        private int step;

        Training(Engine engine) {
            this.engine = engine;
            scope = engine.openScope("model");
            parameters = scope.allocate("parameters", count);
            gradients = scope.allocate("gradients", count);
            first = scope.allocate("m", count);
            second = scope.allocate("v", count);
            report = scope.allocate("report", 3);
            engine.write(parameters, LstmData.uniform(new RandomSequence(1, 0, count), count));
            engine.fill(first, 0);
            engine.fill(second, 0);
        }

        void step() {
            step++;
            RandomSequence random = new RandomSequence(2, 0, step);
            try (Scope scope = engine.openScope("step")) {
                Tensor x = scope.allocate("x", TIME_STEPS, BATCH, 3);
                engine.write(x, LstmData.uniform(random, TIME_STEPS * BATCH * 3));
                Tensor targets = scope.allocate("targets", TIME_STEPS * BATCH, 5);
                engine.write(targets, LstmData.uniform(random, TIME_STEPS * BATCH * 5));
                Tensor y = scope.allocate("y", TIME_STEPS, BATCH, 5);
                Tensor dy = scope.allocate("dy", TIME_STEPS, BATCH, 5);
                LstmTape tape = engine.openTape(scope, SPEC, TIME_STEPS, BATCH);
                engine.fill(gradients, 0);
                engine.lstmForward(
                        SPEC,
                        parameters,
                        LstmInput.of(x).withDropout(new RandomKey(3, 0, step)),
                        new LstmOutput(y, null),
                        tape);
                Tensor activated = scope.allocate("activated", TIME_STEPS * BATCH, 5);
                engine.activationForward(ActivationFunction.SOFTMAX, y.reshape(TIME_STEPS * BATCH, 5), activated);
                Tensor gradient = dy.reshape(TIME_STEPS * BATCH, 5);
                engine.loss(Loss.MEAN_SQUARED_ERROR, activated, targets, null, report, gradient);
                engine.activationBackward(ActivationFunction.SOFTMAX, activated, gradient, gradient);
                engine.lstmBackward(tape, new LstmOutput(dy, null), gradients, LstmInputGradient.NONE);
                Tensor norm = scope.allocate("norm", 1);
                engine.squaredNorm(gradients, norm);
                engine.update(
                        new Update(new UpdateRule.Adam(0.9, 0.999, 1e-8, 0), step, 0.01, 1, norm),
                        parameters,
                        gradients,
                        first,
                        second);
            }
        }

        double[] parameters() {
            double[] values = new double[count];
            engine.read(parameters, values);
            return values;
        }

        @Override
        public void close() {
            scope.close();
        }
    }

    private double[] train(int steps) {
        try (Engine engine = open();
                Training training = new Training(engine)) {
            for (int step = 0; step < steps; step++) {
                training.step();
            }
            return training.parameters();
        }
    }

    @Test
    void aStepIsReplayedAndGivesTheSameBits() {
        double[] replayed;
        try (Engine engine = open();
                Training training = new Training(engine)) {
            for (int step = 0; step < 3; step++) {
                training.step();
            }
            engine.synchronize();
            long before = ((CudaEngine) engine).replays();
            for (int step = 0; step < 5; step++) {
                training.step();
            }
            engine.synchronize();
            long replays = ((CudaEngine) engine).replays() - before;
            assertTrue(replays >= 5, "runs replayed in five steps: " + replays);
            replayed = training.parameters();
        }
        System.setProperty(GRAPHS, "false");
        try (Engine engine = open();
                Training training = new Training(engine)) {
            for (int step = 0; step < 8; step++) {
                training.step();
            }
            assertArrayEquals(replayed, training.parameters());
            assertEquals(0, ((CudaEngine) engine).replays(), "graphs were turned off");
        }
    }

    /**
     * Without dropout all but the optimizer's own launch and the copy of the report is one run a step; its reports lie in another row each
     * step, as a trainer's do.
     */
    @Test
    void aStepWithoutDropoutIsOneRun() {
        LstmSpec plain = SPEC.withDropout(0);
        try (Engine engine = open();
                Scope model = engine.openScope("model")) {
            int count = (int) LstmLayout.of(plain).elements();
            Tensor parameters = model.allocate("parameters", count);
            Tensor gradients = model.allocate("gradients", count);
            Tensor first = model.allocate("m", count);
            Tensor second = model.allocate("v", count);
            Tensor reports = model.allocate("reports", 64, 3);
            for (Tensor tensor : List.of(parameters, first, second)) {
                engine.fill(tensor, 0);
            }
            long before = 0;
            for (int step = 1; step <= 140; step++) {
                if (step == 11) {
                    before = ((CudaEngine) engine).replays();
                }
                try (Scope scope = engine.openScope("step")) {
                    Tensor x = scope.allocate("x", TIME_STEPS, BATCH, 3);
                    engine.write(x, new float[TIME_STEPS * BATCH * 3]);
                    Tensor y = scope.allocate("y", TIME_STEPS, BATCH, 5);
                    Tensor dy = scope.allocate("dy", TIME_STEPS, BATCH, 5);
                    LstmTape tape = engine.openTape(scope, plain, TIME_STEPS, BATCH);
                    engine.fill(gradients, 0);
                    engine.lstmForward(plain, parameters, LstmInput.of(x), new LstmOutput(y, null), tape);
                    Tensor targets = scope.allocate("targets", TIME_STEPS * BATCH, 5);
                    engine.write(targets, new float[TIME_STEPS * BATCH * 5]);
                    engine.loss(
                            Loss.MEAN_SQUARED_ERROR,
                            y.reshape(TIME_STEPS * BATCH, 5),
                            targets,
                            null,
                            reports.view("report", step % 64 * 3L, Shape.of(3)),
                            dy.reshape(TIME_STEPS * BATCH, 5));
                    engine.lstmBackward(tape, new LstmOutput(dy, null), gradients, LstmInputGradient.NONE);
                    engine.update(
                            new Update(new UpdateRule.Adam(0.9, 0.999, 1e-8, 0), step, 0.01, 0, null),
                            parameters,
                            gradients,
                            first,
                            second);
                }
            }
            engine.synchronize();
            // Two runs a step: up to the copy of the report, and from there to the update.
            assertEquals(2 * 130, ((CudaEngine) engine).replays() - before, "runs replayed in 130 steps");
        }
    }

    /** Once a step has been seen a few times, it costs a handful of launches, no memory, and no waiting. */
    @Test
    void aSettledStepAllocatesNothingAndWaitsForNothing() {
        try (Engine engine = open();
                Training training = new Training(engine)) {
            StandIn standIn = standIn();
            for (int step = 0; step < 4; step++) {
                training.step();
            }
            engine.synchronize();
            String held = standIn.held();
            long waits = standIn.count(Count.SYNCHRONISATIONS);
            long graphs = standIn.count(Count.GRAPH_LAUNCHES);
            for (int step = 0; step < 4; step++) {
                training.step();
            }
            assertEquals(held, standIn.held());
            // The slots of uploads are waited for, which have long been taken: two uploads a step.
            assertEquals(8, standIn.count(Count.SYNCHRONISATIONS) - waits, "times the host waited in four steps");
            assertTrue(standIn.count(Count.GRAPH_LAUNCHES) - graphs >= 4, "graphs launched in four steps");
        }
    }

    /** An argument that is worked out while a command is being put together may itself hand over what waits. */
    @Test
    void memoryMayBeAllocatedBetweenTheArgumentsOfACommand() {
        try (Engine engine = provider.open(EngineOptions.defaults().withGuards(true));
                Scope scope = engine.openScope("model")) {
            Tensor x = scope.allocate("x", TIME_STEPS, BATCH, 3);
            engine.write(x, new float[TIME_STEPS * BATCH * 3]);
            Tensor parameters =
                    scope.allocate("parameters", (int) LstmLayout.of(SPEC).elements());
            engine.write(parameters, new float[(int) parameters.elements()]);
            Tensor y = scope.allocate("y", TIME_STEPS, BATCH, 5);
            LstmTape tape = engine.openTape(scope, SPEC, TIME_STEPS, BATCH);
            Tensor waits = scope.allocate("waits", 1);
            LstmInput input = LstmInput.of(x).withLengths(4, 3, 2, 1, 0, 4);
            try (Scope before = engine.openScope("before")) {
                // So that the pool has room for the lengths, and none for what comes after them.
                before.allocateIntegers("lengths", BATCH);
            }
            engine.fill(waits, 7);
            // The first pass with lengths on this tape finds room for them, with commands waiting.
            engine.lstmForward(SPEC, parameters, input, new LstmOutput(y, null), tape);
            float[] values = new float[TIME_STEPS * BATCH * 5];
            engine.read(y, values);
            assertArrayEquals(new float[values.length], values);
            float[] one = new float[1];
            engine.read(waits, one);
            assertEquals(7, one[0]);
        }
    }

    /**
     * Lanes go on at the same time; where the host reads in between, or what a command is given varies, all of them have come so far. The
     * same as a graph.
     */
    @Test
    void lanesWaitForEachOtherWhereTheyAreToldTo() {
        for (int order = 0; order <= 3; order++) {
            int unruly = order;
            StandIn.find().ifPresent(standIn -> standIn.unruly(unruly));
            try (CudaEngine engine = (CudaEngine) open();
                    Scope scope = engine.openScope("lanes")) {
                Tensor x = scope.allocate("x", 3);
                Tensor y = scope.allocate("y", 3);
                for (int round = 1; round <= 4; round++) {
                    engine.write(x, new float[] {round, round, round});
                    engine.fill(y, 0);
                    engine.fork(3);
                    engine.lane(1);
                    engine.scale(x, 2);
                    engine.await(2, 1);
                    engine.lane(2);
                    engine.add(x, y);
                    engine.await(1, 2);
                    engine.lane(1);
                    engine.scale(x, 5);
                    engine.lane(2);
                    engine.scale(y, 3);
                    engine.dropout(y, 0.5, new RandomKey(1, 0, round), 3, y);
                    engine.scale(y, 0.5);
                    float[] read = new float[3];
                    engine.read(y, read);
                    for (float number : read) {
                        // Kept and doubled, or dropped.
                        assertTrue(number == 6 * round || number == 0, "order " + order + ": " + number);
                    }
                    engine.fill(y, 1);
                    engine.lane(1);
                    engine.scale(x, 3);
                    engine.join();
                    engine.add(y, x);
                    engine.read(x, read);
                    assertArrayEquals(new float[] {30 * round + 1, 30 * round + 1, 30 * round + 1}, read);
                }
                assertTrue(engine.replays() > 0, "no run was replayed");
                engine.fork(2);
                assertThrows(IllegalStateException.class, () -> engine.fork(2));
                engine.join();
            }
        }
    }

    /** Each call of what opens lanes fails once: nothing is lost, and the next try opens them. */
    @Test
    void lanesThatCannotBeOpenedCanBeOpenedLater() {
        String held = null;
        for (StandIn.Kind kind : List.of(StandIn.Kind.OTHER, StandIn.Kind.CUBLAS, StandIn.Kind.ALLOCATION)) {
            boolean failed = true;
            for (long k = 1; failed; k++) {
                try (CudaEngine engine = (CudaEngine) open();
                        Scope scope = engine.openScope("lanes")) {
                    Tensor x = scope.allocate("x", 2, 2);
                    Tensor y = scope.allocate("y", 2, 2);
                    engine.write(x, new float[] {1, 2, 3, 4});
                    StandIn standIn = standIn();
                    standIn.fail(kind, k);
                    try {
                        engine.fork(3);
                        failed = false;
                    } catch (EngineException failure) {
                        standIn.heal();
                        engine.fork(3);
                    }
                    standIn.heal();
                    engine.lane(2);
                    engine.linearForward(x, x, null, y);
                    engine.join();
                    float[] product = new float[4];
                    engine.read(y, product);
                    assertArrayEquals(new float[] {5, 11, 11, 25}, product);
                }
                String after = standIn().held();
                assertEquals(held == null ? after : held, after, kind + ", call " + k);
                held = after;
                assertTrue(!failed || k < 20, "calls of " + kind);
            }
        }
    }

    /** What fails in the middle of lanes leaves nothing at work in them when memory is used again. */
    @Test
    void lanesAreDoneAfterAFailure() {
        StandIn standIn = standIn();
        standIn.unruly(2);
        try (CudaEngine engine = (CudaEngine) open();
                Scope scope = engine.openScope("lanes")) {
            Tensor x = scope.allocate("x", 3);
            engine.fill(x, 1);
            engine.synchronize();
            engine.fork(2);
            engine.lane(1);
            engine.scale(x, 2);
            engine.lane(0);
            standIn.fail(StandIn.Kind.LAUNCH, 2);
            engine.scale(x, 3);
            assertThrows(EngineException.class, engine::synchronize);
            standIn.heal();
            engine.join();
            engine.write(x, new float[] {5, 5, 5});
            float[] read = new float[3];
            engine.read(x, read);
            // The other lane would come now.
            standIn.unruly(1);
            engine.read(x, read);
            assertArrayEquals(new float[] {5, 5, 5}, read);
        }
    }

    /** An upload may go before commands that wait, but not before those that read what it overwrites. */
    @Test
    void uploadsDoNotOvertakeWhatReadsTheirTarget() {
        try (Engine engine = open();
                Scope scope = engine.openScope("model")) {
            Tensor x = scope.allocate("x", 4);
            Tensor copy = scope.allocate("copy", 1, 4);
            Tensor other = scope.allocate("other", 4);
            engine.write(x, new float[] {1, 2, 3, 4});
            engine.copyColumns(x.reshape(1, 4), 0, copy, 0, 4);
            engine.write(other, new float[] {5, 6, 7, 8});
            engine.write(x.view("end", 2, Shape.of(2)), new float[] {9, 9});
            engine.copyColumns(other.reshape(1, 4), 0, x.reshape(1, 4), 0, 1);
            float[] values = new float[4];
            engine.read(copy, values);
            assertArrayEquals(new float[] {1, 2, 3, 4}, values);
            engine.read(x, values);
            assertArrayEquals(new float[] {5, 2, 9, 9}, values);
        }
    }

    @Test
    void theOrderOfThreadsAndBlocksDoesNotMatter() {
        StandIn.find();
        double[] first = train(2);
        StandIn standIn = standIn();
        for (long seed : new long[] {1, 99, 123_456_789}) {
            standIn.seed(seed);
            assertArrayEquals(first, train(2), "with the order of seed " + seed);
        }
    }

    @Test
    void nothingIsHeldWhenAnEngineIsClosed() {
        train(1);
        StandIn standIn = standIn();
        String before = standIn.held();
        long misuse = standIn.count(Count.MISUSE);
        train(3);
        assertEquals(before, standIn.held());
        assertEquals(misuse, standIn.count(Count.MISUSE), "the stand-ins found misuse and said where");
    }

    @Test
    void whatDoesNotFitIsRefusedWithNumbersAndTheEngineGoesOn() {
        train(1);
        standIn().memory(128 << 20);
        try (Engine engine = open();
                Scope scope = engine.openScope("model")) {
            String message = assertThrows(OutOfTensorMemoryException.class, () -> scope.allocate("weights", 1 << 26))
                    .getMessage();
            for (String part : List.of("'weights'", "256.0 MiB", "of 128.0 MiB free", "lower the batch size")) {
                assertTrue(message.contains(part), message);
            }
            Tensor small = scope.allocate("small", 2);
            engine.write(small, new float[] {1, 2});
            float[] back = new float[2];
            engine.read(small, back);
            assertArrayEquals(new float[] {1, 2}, back);
        }
    }

    /** Blocks of other sizes in the pool make room before anything is refused. */
    @Test
    void thePoolIsGivenUpWhereMemoryIsShort() {
        train(1);
        standIn().memory(128 << 20);
        try (Engine engine = open()) {
            for (int megabytes : new int[] {40, 50, 60}) {
                try (Scope scope = engine.openScope("step")) {
                    engine.fill(scope.allocate("x", megabytes << 18), 1);
                }
            }
        }
    }

    @Test
    void uploadsLargerThanASlotArriveWhole() {
        int elements = 3 * Staging.SLOT / Float.BYTES + 17;
        float[] values = new float[elements];
        for (int e = 0; e < elements; e++) {
            values[e] = e;
        }
        try (Engine engine = open();
                Scope scope = engine.openScope("model")) {
            Tensor tensor = scope.allocate("tensor", elements);
            engine.write(tensor, values);
            java.util.Arrays.fill(values, -1);
            float[] back = new float[elements];
            engine.read(tensor, back);
            for (int e = 0; e < elements; e++) {
                assertEquals((float) e, back[e]);
            }
        }
    }

    @Test
    void aDeviceThatIsNotThereIsRefused() {
        for (String wrong : List.of("-1", "999", "first", "")) {
            System.setProperty(DEVICE, wrong);
            String message =
                    assertThrows(IllegalArgumentException.class, this::open).getMessage();
            assertTrue(message.contains("'" + wrong + "'") && message.contains(DEVICE), message);
        }
        System.clearProperty(DEVICE);
        System.setProperty(GRAPHS, "maybe");
        String message =
                assertThrows(IllegalArgumentException.class, this::open).getMessage();
        assertTrue(message.contains("'maybe'") && message.contains(GRAPHS), message);
    }

    @Test
    void engineMayBeHandedToAnotherThread() throws InterruptedException {
        try (Engine engine = open();
                Training training = new Training(engine)) {
            training.step();
            Thread other = new Thread(training::step);
            other.start();
            other.join();
            double[] values = training.parameters();
            assertArrayEquals(train(2), values);
        }
    }
}
