package carousel.contract;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import carousel.engine.Direction;
import carousel.engine.LstmFeature;
import carousel.engine.LstmInputGradient;
import carousel.engine.LstmLayout;
import carousel.engine.LstmOutput;
import carousel.engine.LstmSpec;
import carousel.engine.LstmTape;
import carousel.engine.ParameterView;
import carousel.engine.RandomKey;
import carousel.fixture.LstmCase;
import carousel.fixture.LstmData;
import carousel.fixture.LstmOptions;
import carousel.fixture.LstmResult;
import carousel.fixture.Tolerance;
import carousel.tensor.Shape;
import carousel.tensor.Tensor;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Stacks, forward and backward. */
interface LstmContract extends ContractPart {
    @ParameterizedTest
    @MethodSource("carousel.contract.LstmCases#all")
    default void stackMatchesTheReference(LstmCase lstm) {
        Optional<String> refusal = engine().refusal(lstm.spec());
        Assumptions.assumeTrue(refusal.isEmpty(), () -> refusal.orElseThrow());
        LstmResult actual = use((engine, bench) -> bench.run(lstm, LstmData.of(lstm)));
        tolerance().check(lstm, ReferenceResults.of(lstm), actual);
    }

    /** What an engine does not compute is left out of a combination for it; which that is, {@code features.md} says. */
    @ParameterizedTest
    @MethodSource("carousel.contract.LstmCases#combinations")
    default void combinationMatchesTheReference(LstmCase drawn) {
        LstmCase lstm = drawn;
        for (LstmFeature feature : drawn.spec().features()) {
            if (engine().refusal(LstmOptions.only(feature)).isPresent()) {
                lstm = lstm.withSpec(LstmOptions.without(lstm.spec(), feature));
            }
        }
        if (engine().refusal(lstm.spec()).isPresent() && lstm.spec().direction() == Direction.REVERSE) {
            lstm = lstm.withSpec(lstm.spec().withDirection(Direction.FORWARD));
        }
        LstmCase computed = lstm;
        LstmResult actual = use((engine, bench) -> bench.run(computed, LstmData.of(computed)));
        tolerance().check(computed, ReferenceResults.of(computed), actual);
    }

    /** Lengths in a tensor do what lengths in an array do, and beyond the ends of their range what those ends do. */
    @Test
    default void lengthsMayLieInATensor() {
        LstmCase lstm = LstmCase.of(LstmSpec.of(3, 5).withLayers(2).withDirection(Direction.BIDIRECTIONAL), 6, 5)
                .withLengths(6, 2, 0, 6, 0)
                .withInitial();
        LstmSpec spec = lstm.spec();
        LstmData data = LstmData.of(lstm);
        LstmResult expected = use((engine, bench) -> bench.run(lstm, data));
        use((engine, bench) -> {
            Tensor lengths = bench.scope().allocateIntegers("lengths", 5);
            engine.write(lengths, new int[] {6, 2, 0, 7, -1});
            LstmTape tape = engine.openTape(bench.scope(), spec, lstm.timeSteps(), lstm.batchSize());
            Tensor parameters = bench.parameters(spec, data.parameters());
            Tensor gradients = bench.parameters(spec, data.gradientsBefore());
            LstmOutput output = bench.output(lstm);
            LstmInputGradient inputGradient = bench.inputGradient(lstm);
            engine.lstmForward(spec, parameters, bench.input(lstm, data).withDeviceLengths(lengths), output, tape);
            engine.lstmBackward(tape, bench.outputGradient(lstm, data), gradients, inputGradient);
            assertArrayEquals(expected.y(), bench.read(output.y()), "y");
            assertArrayEquals(expected.h(), bench.read(output.last().h()), "h");
            assertArrayEquals(expected.c(), bench.read(output.last().c()), "c");
            assertArrayEquals(expected.parameterGradients(), bench.read(gradients), "parameter gradients");
            assertArrayEquals(expected.dx(), bench.read(inputGradient.dx()), "dx");
            return null;
        });
    }

    /** Without a key nothing is random: two calls agree, and what zoneout holds back is its mean, not nothing. */
    @Test
    default void withoutAKeyZoneoutIsItsMean() {
        LstmSpec spec = LstmSpec.of(3, 5).withZoneout(0.5, 0.25);
        Assumptions.assumeTrue(
                engine().refusal(spec).isEmpty(), () -> engine().refusal(spec).orElseThrow());
        LstmCase lstm = LstmCase.of(spec, 4, 2).withInitial();
        LstmCase none = lstm.withSpec(spec.withZoneout(0, 0));
        LstmResult one = use((engine, bench) -> bench.run(lstm, LstmData.of(lstm)));
        LstmResult other = use((engine, bench) -> bench.run(none, LstmData.of(lstm)));
        assertFalse(Arrays.equals(one.y(), other.y()), "zoneout does nothing");
        tolerance().check(lstm, ReferenceResults.of(lstm), one);
    }

    @Test
    default void plainStackIsNeverRefused() {
        assertEquals(Optional.empty(), engine().refusal(LstmSpec.of(3, 5)));
        assertEquals(Optional.empty(), engine().refusal(LstmSpec.of(1, 1).withLayers(2)));
    }

    @Test
    default void inferenceEqualsTraining() {
        for (LstmCase lstm : sample()) {
            LstmData data = LstmData.of(lstm);
            LstmResult inference = use((engine, bench) -> bench.run(lstm, data, null));
            tolerance().checkForward(lstm, ReferenceResults.of(lstm), inference);
        }
    }

    @Test
    default void sameInputsGiveTheSameBits() {
        for (LstmCase lstm : sample()) {
            LstmData data = LstmData.of(lstm);
            LstmResult first = use((engine, bench) -> bench.run(lstm, data));
            LstmResult second = use((engine, bench) -> bench.run(lstm, data));
            first.visitWith(second, (what, one, other) -> assertArrayEquals(one, other, what + " of " + lstm));
        }
    }

    @Test
    default void tapeServesManyPasses() {
        for (LstmCase lstm : sample()) {
            use((engine, bench) -> {
                LstmTape tape = engine.openTape(bench.scope(), lstm.spec(), lstm.timeSteps(), lstm.batchSize());
                for (int seed = 1; seed <= 3; seed++) {
                    LstmCase other = lstm.withSeed(seed);
                    LstmData data = LstmData.of(other);
                    LstmResult fresh = bench.run(other, data);
                    bench.run(other, data, tape)
                            .visitWith(fresh, (what, one, two) -> assertArrayEquals(two, one, what + " of " + other));
                }
                return null;
            });
        }
    }

    @Test
    default void forwardPassMayBeRecordedAgainBeforeTheBackwardPass() {
        LstmCase first = LstmCases.everything().withSeed(5);
        LstmCase second = first.withSeed(6);
        LstmResult actual = use((engine, bench) -> {
            LstmTape tape = engine.openTape(bench.scope(), first.spec(), first.timeSteps(), first.batchSize());
            LstmData data = LstmData.of(first);
            engine.lstmForward(
                    first.spec(),
                    bench.parameters(first.spec(), data.parameters()),
                    bench.input(first, data),
                    bench.output(first),
                    tape);
            return bench.run(second, LstmData.of(second), tape);
        });
        tolerance().check(second, ReferenceResults.of(second), actual);
    }

    @Test
    default void parameterGradientsAddUpAndActivationGradientsDoNot() {
        LstmCase lstm = LstmCases.everything();
        LstmSpec spec = lstm.spec();
        LstmData data = LstmData.of(lstm);
        double[] before = data.gradientsBefore();
        double[] once = ReferenceResults.of(lstm).parameterGradients();
        double[] twice = new double[once.length];
        for (int e = 0; e < once.length; e++) {
            twice[e] = 2 * once[e] - before[e];
        }
        use((engine, bench) -> {
            LstmTape tape = engine.openTape(bench.scope(), spec, lstm.timeSteps(), lstm.batchSize());
            Tensor parameters = bench.parameters(spec, data.parameters());
            Tensor gradients = bench.parameters(spec, before);
            LstmInputGradient inputGradient = bench.inputGradient(lstm);
            for (int pass = 0; pass < 2; pass++) {
                engine.lstmForward(spec, parameters, bench.input(lstm, data), bench.output(lstm), tape);
                engine.lstmBackward(tape, bench.outputGradient(lstm, data), gradients, inputGradient);
            }
            double reduction = Tolerance.backwardReduction(lstm);
            tolerance().check("parameter gradients after two passes", twice, bench.read(gradients), reduction);
            LstmResult expected = ReferenceResults.of(lstm);
            tolerance().check("dx", expected.dx(), bench.read(inputGradient.dx()), reduction);
            tolerance()
                    .check(
                            "dh0",
                            expected.dh0(),
                            bench.read(inputGradient.initial().h()),
                            reduction);
            tolerance()
                    .check(
                            "dc0",
                            expected.dc0(),
                            bench.read(inputGradient.initial().c()),
                            reduction);
            return null;
        });
    }

    @Test
    default void gapsBetweenParametersStayAsTheyAre() {
        LstmCase lstm = LstmCases.everything();
        LstmResult actual = use((engine, bench) -> bench.run(lstm, LstmData.of(lstm)));
        boolean[] used = new boolean[actual.parameterGradients().length];
        for (ParameterView view : LstmLayout.of(lstm.spec()).views()) {
            Arrays.fill(used, (int) view.offset(), (int) view.end(), true);
        }
        for (int e = 0; e < used.length; e++) {
            assertEquals(
                    0.0,
                    used[e] ? 0.0 : actual.parameterGradients()[e],
                    "the gradient at " + e + ", a gap in the layout");
        }
    }

    @Test
    default void noKeyMeansNoDropout() {
        LstmCase with = LstmCases.everything().withDropout(null);
        LstmCase none = with.withSpec(with.spec().withDropout(0));
        LstmResult one = use((engine, bench) -> bench.run(with, LstmData.of(none)));
        LstmResult other = use((engine, bench) -> bench.run(none, LstmData.of(none)));
        one.visitWith(other, (what, a, b) -> assertArrayEquals(b, a, what));
    }

    @Test
    default void eachCallDropsOtherElements() {
        LstmCase lstm = LstmCases.everything();
        LstmData data = LstmData.of(lstm);
        RandomKey key = lstm.dropout();
        double[] y = use((engine, bench) -> bench.run(lstm, data)).y();
        for (RandomKey other : new RandomKey[] {
            new RandomKey(key.seed() + 1, key.stream(), key.call()),
            new RandomKey(key.seed(), key.stream() + 1, key.call()),
            new RandomKey(key.seed(), key.stream(), key.call() + 1),
            new RandomKey(key.seed(), key.stream(), key.call() + (1L << 32))
        }) {
            double[] changed = use((engine, bench) -> bench.run(lstm.withDropout(other), data))
                    .y();
            assertFalse(Arrays.equals(y, changed), other + " gives the outputs of " + key);
        }
    }

    @Test
    default void tensorsMayBeViewsIntoLargerOnes() {
        LstmCase lstm = LstmCase.of(LstmSpec.of(5, 7).withLayers(2), 4, 3);
        LstmSpec spec = lstm.spec();
        LstmData data = LstmData.of(lstm);
        LstmResult expected = ReferenceResults.of(lstm);
        use((engine, bench) -> {
            int count = data.parameters().length;
            int margin = 37;
            Tensor buffer = bench.real("buffer", new double[2 * count + 3 * margin], 2 * count + 3 * margin);
            Tensor parameters = buffer.view("parameters", margin, Shape.of(count));
            Tensor gradients = buffer.view("gradients", 2L * margin + count, Shape.of(count));
            engine.write(parameters, data.parameters());
            engine.write(gradients, data.gradientsBefore());
            Tensor outputs = bench.blank("outputs", expected.y().length + margin);
            Tensor y = outputs.view("y", margin, Shape.of(4, 3, 7));
            LstmTape tape = engine.openTape(bench.scope(), spec, 4, 3);
            engine.lstmForward(spec, parameters, bench.input(lstm, data), new LstmOutput(y, null), tape);
            LstmInputGradient inputGradient = bench.inputGradient(lstm);
            engine.lstmBackward(tape, bench.outputGradient(lstm, data), gradients, inputGradient);
            double reduction = Tolerance.backwardReduction(lstm);
            tolerance().check("y", expected.y(), bench.read(y), reduction);
            tolerance().check("the gradients", expected.parameterGradients(), bench.read(gradients), reduction);
            tolerance().check("dx", expected.dx(), bench.read(inputGradient.dx()), reduction);
            double[] all = bench.read(buffer);
            for (int e = 0; e < margin; e++) {
                assertEquals(0.0, all[e], "before the parameters");
                assertEquals(0.0, all[margin + count + e], "between parameters and gradients");
                assertEquals(0.0, all[2 * (margin + count) + e], "after the gradients");
                assertEquals(Double.NaN, bench.read(outputs)[e], "before y");
            }
            return null;
        });
    }

    /** What pads a sequence is never looked at: NaN, as everywhere in these cases, gives what any number gives. */
    @Test
    default void paddingNeverMatters() {
        for (LstmCase lstm : sample()) {
            LstmData poisoned = LstmData.of(lstm);
            LstmData padded = LstmData.of(lstm);
            padded.poisonPadding(lstm, 3.5);
            LstmResult one = use((engine, bench) -> bench.run(lstm, poisoned));
            LstmResult other = use((engine, bench) -> bench.run(lstm, padded));
            one.visitWith(other, (what, a, b) -> assertArrayEquals(b, a, what + " of " + lstm));
        }
    }

    private List<LstmCase> sample() {
        List<LstmCase> usual = List.of(
                LstmCase.of(LstmSpec.of(3, 5), 6, 3).withLengths(6, 2, 0),
                LstmCase.of(LstmSpec.of(17, 37).withLayers(2), 3, 19).withInitial(),
                LstmCases.everything());
        // Whether this engine computes the rest is told by the cases of stackMatchesTheReference.
        Stream<LstmCase> more = Stream.of(LstmCases.everyExtension())
                .filter(lstm -> engine().refusal(lstm.spec()).isEmpty());
        return Stream.concat(usual.stream(), more).toList();
    }
}
