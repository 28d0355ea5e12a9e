package carousel.engine.vector;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import carousel.engine.Direction;
import carousel.engine.Dual;
import carousel.engine.Engine;
import carousel.engine.EngineOptions;
import carousel.engine.LstmFeature;
import carousel.engine.LstmInput;
import carousel.engine.LstmInputGradient;
import carousel.engine.LstmOutput;
import carousel.engine.LstmSpec;
import carousel.engine.LstmTape;
import carousel.engine.RandomKey;
import carousel.engine.RandomSequence;
import carousel.engine.SecondOrder;
import carousel.fixture.LstmCase;
import carousel.fixture.LstmData;
import carousel.fixture.LstmOptions;
import carousel.fixture.LstmResult;
import carousel.fixture.Workbench;
import carousel.tensor.MemoryUse;
import carousel.tensor.Scope;
import carousel.tensor.Tensor;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** What the contract does not say: the threads and the kernels change nothing, and nothing is left behind. */
class VectorSecondOrderTest {
    private static final EngineOptions GUARDED = EngineOptions.defaults().withGuards(true);

    /** Stacks of several tiles with up to three features by chance. */
    private static Stream<LstmCase> cases() {
        RandomSequence random = new RandomSequence(31, 4, 0);
        return IntStream.range(0, 24).mapToObj(k -> {
            LstmSpec spec = LstmSpec.of(1 + random.nextInt(70), 2 + random.nextInt(80))
                    .withLayers(1 + random.nextInt(2))
                    .withDirection(Direction.values()[random.nextInt(3)]);
            for (int count = random.nextInt(4); count > 0; count--) {
                spec = LstmOptions.with(
                        spec, LstmFeature.values()[random.nextInt(LstmFeature.values().length)], random);
            }
            int batchSize = 20 + random.nextInt(60);
            int timeSteps = 2 + random.nextInt(4);
            return LstmCase.of(spec, timeSteps, batchSize)
                    .withLengths(IntStream.range(0, batchSize)
                            .mapToObj(n -> random.nextInt(timeSteps + 1))
                            .toList())
                    .withInitial()
                    .withDropout(new RandomKey(3, 1, k))
                    .withSeed(k);
        });
    }

    private static Dual<LstmResult> run(Engine engine, LstmCase lstm) {
        try (Workbench bench = new Workbench(engine)) {
            return bench.runDual(lstm, LstmData.of(lstm), LstmData.of(lstm.withSeed(lstm.seed() + 1000)));
        }
    }

    private static void assertSame(Dual<LstmResult> expected, Dual<LstmResult> actual) {
        expected.value().visitWith(actual.value(), (what, one, two) -> assertArrayEquals(one, two, what));
        expected.tangent()
                .visitWith(actual.tangent(), (what, one, two) -> assertArrayEquals(one, two, "tangent of " + what));
    }

    @ParameterizedTest
    @MethodSource("cases")
    void neitherThreadsNorKernelsChangeABit(LstmCase lstm) {
        try (Engine one = new VectorEngine(GUARDED.withThreads(1));
                Engine several = new VectorEngine(GUARDED.withThreads(5));
                Engine loops = new VectorEngine(GUARDED.withThreads(2), new LoopKernels())) {
            Dual<LstmResult> expected = run(one, lstm);
            assertSame(expected, run(several, lstm));
            assertSame(expected, run(loops, lstm));
            assertEquals(0, several.memory().inUse());
        }
    }

    @Test
    void steadyStateAllocatesNothing() {
        LstmCase lstm = cases().findFirst().orElseThrow();
        // Of several threads each has buffers of its own from the first tile on that falls to it.
        try (Engine engine = new VectorEngine(GUARDED.withThreads(1))) {
            run(engine, lstm);
            run(engine, lstm);
            MemoryUse before = engine.memory();
            run(engine, lstm);
            assertEquals(before, engine.memory());
        }
    }

    @Test
    void tangentsThatAreMissingAreZero() {
        LstmSpec spec = LstmSpec.of(5, 7).withLayers(2);
        LstmCase lstm = LstmCase.of(spec, 4, 3);
        LstmData data = LstmData.of(lstm);
        try (Engine engine = new VectorEngine(GUARDED);
                Workbench bench = new Workbench(engine)) {
            Dual<LstmOutput> output = new Dual<>(bench.output(lstm), bench.output(lstm));
            LstmTape tape = engine.secondOrder().openTape(bench.scope(), spec, 4, 3);
            Tensor parameters = bench.parameters(spec, data.parameters());
            Dual<LstmInput> input = Dual.constant(bench.input(lstm, data));
            engine.secondOrder().lstmForward(spec, Dual.constant(parameters), input, output, tape);
            assertArrayEquals(new double[4 * 3 * 7], bench.read(output.tangent().y()));
            Tensor gradients = bench.parameters(spec, new double[data.parameters().length]);
            Tensor change = bench.parameters(spec, new double[data.parameters().length]);
            engine.secondOrder()
                    .lstmBackward(
                            tape,
                            Dual.constant(bench.outputGradient(lstm, data)),
                            new Dual<>(gradients, change),
                            Dual.constant(LstmInputGradient.NONE));
            assertArrayEquals(new double[data.parameters().length], bench.read(change));
        }
    }

    @Test
    void eachForwardPassServesOneWayBack() {
        LstmCase lstm = LstmCase.of(LstmSpec.of(2, 3), 2, 2);
        LstmData data = LstmData.of(lstm);
        try (Engine engine = new VectorEngine(GUARDED);
                Workbench bench = new Workbench(engine);
                Scope scope = engine.openScope("tape")) {
            SecondOrder second = engine.secondOrder();
            LstmTape tape = second.openTape(scope, lstm.spec(), 2, 2);
            Tensor parameters = bench.parameters(lstm.spec(), data.parameters());
            Dual<LstmOutput> gradient = Dual.constant(bench.outputGradient(lstm, data));
            Dual<LstmInputGradient> none = Dual.constant(LstmInputGradient.NONE);
            Runnable back = () -> second.lstmBackward(tape, gradient, Dual.constant(null), none);
            assertThrows(IllegalStateException.class, back::run);
            second.lstmForward(
                    lstm.spec(),
                    new Dual<>(parameters, parameters),
                    Dual.constant(bench.input(lstm, data)),
                    new Dual<>(bench.output(lstm), bench.output(lstm)),
                    tape);
            back.run();
            assertThrows(IllegalStateException.class, back::run);
        }
    }
}
