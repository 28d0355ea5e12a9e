package carousel.contract;

import carousel.engine.CellActivation;
import carousel.engine.CellActivation.Kind;
import carousel.engine.Direction;
import carousel.engine.LstmActivations;
import carousel.engine.LstmFeature;
import carousel.engine.LstmSpec;
import carousel.engine.RandomKey;
import carousel.engine.RandomSequence;
import carousel.fixture.LstmCase;
import carousel.fixture.LstmCase.Part;
import carousel.fixture.LstmOptions;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/** The cases in which every engine is compared with the reference: chosen ones first, then drawn ones. */
final class LstmCases {
    private static final int DRAWN = 40;
    private static final RandomKey KEY = new RandomKey(0x5eed_1234_abcdL, 3, 0x1_0000_0007L);

    /** How many combinations are tried unless more or fewer are asked for. */
    static final int COMBINATIONS = 500;

    private LstmCases() {}

    static Stream<LstmCase> all() {
        return Stream.of(sizes(), options(), extensions(), lengths(), omissions(), drawn())
                .flatMap(cases -> cases);
    }

    /** A case with all that a stack can have at once, small. */
    static LstmCase everything() {
        LstmSpec spec = LstmSpec.of(3, 6)
                .withLayers(2)
                .withDirection(Direction.BIDIRECTIONAL)
                .withProjectionSize(4)
                .withCellClip(0.3)
                .withDropout(0.4);
        return LstmCase.of(spec, 5, 4).withLengths(3, 0, 5, 1).withInitial().withDropout(KEY);
    }

    /** The same with all that goes beyond the usual cell: not every engine computes it. */
    static LstmCase everyExtension() {
        return everything()
                .withSpec(everything()
                        .spec()
                        .withPeepholes(true)
                        .withGateClip(0.8)
                        .withCoupledGates(true)
                        .withLayerNormalization(true)
                        .withRecurrentDropout(0.3)
                        .withCandidateDropout(0.2)
                        .withRecurrentWeightDropout(0.4)
                        .withZoneout(0.25, 0.35)
                        .withActivations(new LstmActivations(
                                CellActivation.of(Kind.HARD_SIGMOID),
                                CellActivation.of(Kind.SOFTSIGN),
                                CellActivation.of(Kind.ELU))));
    }

    /** One, primes, powers of two and their neighbours, and more than any tile holds. */
    private static Stream<LstmCase> sizes() {
        return Stream.of(
                LstmCase.of(LstmSpec.of(1, 1), 1, 1),
                LstmCase.of(LstmSpec.of(1, 1), 9, 1).withInitial(),
                LstmCase.of(LstmSpec.of(1, 8), 2, 3),
                LstmCase.of(LstmSpec.of(7, 1), 3, 2),
                LstmCase.of(LstmSpec.of(3, 5), 4, 2),
                LstmCase.of(LstmSpec.of(13, 11), 7, 17).withInitial(),
                LstmCase.of(LstmSpec.of(16, 16), 4, 16),
                LstmCase.of(LstmSpec.of(32, 32), 3, 32).withInitial(),
                LstmCase.of(LstmSpec.of(31, 33), 5, 9),
                LstmCase.of(LstmSpec.of(65, 63), 3, 31).withInitial(),
                LstmCase.of(LstmSpec.of(2, 67), 6, 1),
                LstmCase.of(LstmSpec.of(131, 17), 2, 5),
                LstmCase.of(LstmSpec.of(5, 4), 70, 3).withInitial(),
                LstmCase.of(LstmSpec.of(4, 3), 3, 131),
                LstmCase.of(LstmSpec.of(33, 129), 3, 66).withInitial(),
                LstmCase.of(LstmSpec.of(28, 261), 2, 3));
    }

    private static Stream<LstmCase> options() {
        LstmSpec base = LstmSpec.of(5, 7);
        List<LstmCase> cases = new ArrayList<>();
        for (Direction direction : Direction.values()) {
            for (int layers = 1; layers <= 3; layers++) {
                cases.add(LstmCase.of(base.withDirection(direction).withLayers(layers), 5, 3)
                        .withInitial());
            }
            LstmSpec directed = base.withDirection(direction).withLayers(2);
            cases.add(LstmCase.of(directed.withBias(false), 4, 3));
            cases.add(LstmCase.of(directed.withProjectionSize(3), 4, 3).withInitial());
            cases.add(LstmCase.of(directed.withCellClip(0.25), 6, 3).withInitial());
            cases.add(LstmCase.of(directed.withDropout(0.5), 4, 3).withDropout(KEY));
        }
        cases.add(LstmCase.of(base.withProjectionSize(1).withBias(false), 4, 3));
        cases.add(LstmCase.of(LstmSpec.of(35, 67).withProjectionSize(33), 3, 18).withInitial());
        cases.add(LstmCase.of(base.withDropout(0.5).withLayers(3), 4, 3));
        cases.add(LstmCase.of(base.withDropout(0.9).withLayers(3), 4, 3).withDropout(KEY.substream(5)));
        cases.add(everything());
        return cases.stream();
    }

    /** What goes beyond the usual cell, one by one, in pairs, and all at once. An engine may refuse any of it. */
    private static Stream<LstmCase> extensions() {
        LstmSpec base = LstmSpec.of(5, 7);
        List<LstmCase> cases = new ArrayList<>();
        for (Direction direction : Direction.values()) {
            LstmSpec spec = base.withDirection(direction).withLayers(2);
            for (LstmSpec extended : List.of(
                    spec.withPeepholes(true),
                    spec.withPeepholes(true).withProjectionSize(3).withBias(false),
                    spec.withPeepholes(true).withCellClip(0.25),
                    spec.withGateClip(0.4),
                    spec.withGateClip(0.4).withCellClip(0.25),
                    spec.withGateClip(0.4).withPeepholes(true),
                    spec.withCoupledGates(true),
                    spec.withCoupledGates(true).withPeepholes(true),
                    spec.withCoupledGates(true).withGateClip(0.4).withBias(false),
                    spec.withLayerNormalization(true),
                    spec.withLayerNormalization(true).withProjectionSize(3).withBias(false),
                    spec.withLayerNormalization(true).withPeepholes(true).withCellClip(0.25))) {
                cases.add(LstmCase.of(extended, 5, 3).withLengths(5, 2, 0).withInitial());
            }
            for (LstmSpec random : List.of(
                    spec.withRecurrentDropout(0.4),
                    spec.withRecurrentDropout(0.4).withProjectionSize(3),
                    spec.withCandidateDropout(0.4),
                    spec.withCandidateDropout(0.4).withCoupledGates(true),
                    spec.withRecurrentWeightDropout(0.4),
                    spec.withRecurrentWeightDropout(0.4).withProjectionSize(3),
                    spec.withZoneout(0.4, 0),
                    spec.withZoneout(0.4, 0.3).withProjectionSize(3),
                    spec.withZoneout(0, 0.3).withCellClip(0.25),
                    spec.withZoneout(0.2, 0.3).withPeepholes(true).withLayerNormalization(true),
                    spec.withRecurrentDropout(0.2).withZoneout(0.3, 0.3).withDropout(0.2))) {
                LstmCase lstm = LstmCase.of(random, 5, 3).withLengths(5, 2, 0).withInitial();
                cases.add(lstm.withDropout(KEY));
                cases.add(lstm);
            }
            LstmSpec wide = LstmSpec.of(19, 37).withDirection(direction);
            cases.add(LstmCase.of(wide.withLayerNormalization(true), 4, 35).withInitial());
            cases.add(LstmCase.of(
                            wide.withRecurrentDropout(0.5)
                                    .withCandidateDropout(0.5)
                                    .withRecurrentWeightDropout(0.5)
                                    .withZoneout(0.5, 0.5),
                            4,
                            35)
                    .withInitial()
                    .withDropout(KEY));
        }
        for (CellActivation activation : LstmOptions.ACTIVATIONS) {
            for (LstmActivations activations : List.of(
                    new LstmActivations(activation, CellActivation.TANH, CellActivation.TANH),
                    new LstmActivations(CellActivation.SIGMOID, activation, CellActivation.TANH),
                    new LstmActivations(CellActivation.SIGMOID, CellActivation.TANH, activation))) {
                if (!activations.equals(LstmActivations.STANDARD)) {
                    cases.add(LstmCase.of(base.withActivations(activations), 4, 3)
                            .withLengths(4, 1, 3)
                            .withInitial());
                }
            }
        }
        cases.add(everyExtension());
        cases.add(everyExtension().withSeed(8));
        return cases.stream();
    }

    /**
     * Features by chance, two to four at a time, in stacks of sizes by chance. {@code carousel.combinations} says how many, {@value
     * #COMBINATIONS} unless it is set. Widths are 4 or more: what a normalisation of one or two numbers comes to is mostly its rounding.
     */
    static Stream<LstmCase> combinations() {
        return combinations(Integer.getInteger("carousel.combinations", COMBINATIONS));
    }

    /** The first so many of them. */
    static Stream<LstmCase> combinations(int count) {
        RandomSequence random = new RandomSequence(21, 11, 0);
        return IntStream.range(0, count).mapToObj(k -> combination(random).withSeed(2000 + k));
    }

    private static LstmCase combination(RandomSequence random) {
        boolean large = random.nextInt(12) == 0;
        int hidden = 4 + random.nextInt(large ? 66 : 17);
        LstmSpec spec = LstmSpec.of(4 + random.nextInt(large ? 40 : 8), hidden)
                .withLayers(1 + random.nextInt(2))
                .withDirection(Direction.values()[random.nextInt(3)])
                .withBias(random.nextInt(4) > 0);
        for (int count = 2 + random.nextInt(3); count > 0; count--) {
            LstmFeature feature = LstmFeature.values()[random.nextInt(LstmFeature.values().length)];
            spec = LstmOptions.with(spec, feature, random);
        }
        int timeSteps = 1 + random.nextInt(6);
        int batchSize = 1 + random.nextInt(large ? 40 : 9);
        LstmCase lstm = LstmCase.of(spec, timeSteps, batchSize);
        if (random.nextInt(2) == 0) {
            lstm = lstm.withLengths(IntStream.range(0, batchSize)
                    .map(n -> random.nextInt(timeSteps + 1))
                    .boxed()
                    .toList());
        }
        if (random.nextInt(2) == 0) {
            lstm = lstm.withInitial();
        }
        return random.nextInt(5) > 0 ? lstm.withDropout(KEY.substream(random.nextInt(100))) : lstm;
    }

    private static Stream<LstmCase> lengths() {
        List<LstmCase> cases = new ArrayList<>();
        for (Direction direction : Direction.values()) {
            LstmSpec spec = LstmSpec.of(4, 6).withDirection(direction);
            cases.add(LstmCase.of(spec, 5, 4).withLengths(5, 4, 2, 1));
            cases.add(LstmCase.of(spec, 5, 4).withLengths(1, 5, 0, 3).withInitial());
            cases.add(LstmCase.of(spec.withLayers(2), 5, 4)
                    .withLengths(0, 2, 5, 2)
                    .withInitial());
            cases.add(LstmCase.of(spec, 3, 2).withLengths(0, 0).withInitial());
            cases.add(LstmCase.of(spec, 6, 3).withLengths(2, 3, 1).withInitial());
            cases.add(LstmCase.of(spec.withLayers(2).withDropout(0.3), 6, 5)
                    .withLengths(2, 6, 0, 1, 5)
                    .withDropout(KEY));
        }
        cases.add(LstmCase.of(LstmSpec.of(9, 37), 4, 67)
                .withLengths(IntStream.range(0, 67).mapToObj(n -> n * 7 % 5).toList()));
        return cases.stream();
    }

    private static Stream<LstmCase> omissions() {
        LstmSpec spec = LstmSpec.of(3, 5)
                .withLayers(2)
                .withDirection(Direction.BIDIRECTIONAL)
                .withProjectionSize(2);
        LstmCase base = LstmCase.of(spec, 4, 3).withLengths(4, 2, 0).withInitial();
        return Stream.of(
                base.without(Part.LAST_H),
                base.without(Part.LAST_C),
                base.without(Part.LAST_H, Part.LAST_C),
                base.without(Part.Y_GRADIENT),
                base.without(Part.LAST_H_GRADIENT),
                base.without(Part.LAST_C_GRADIENT),
                base.without(Part.LAST_H_GRADIENT, Part.LAST_C_GRADIENT),
                base.without(Part.Y_GRADIENT, Part.LAST_C_GRADIENT),
                base.without(Part.Y_GRADIENT, Part.LAST_H_GRADIENT),
                base.without(Part.Y_GRADIENT, Part.LAST_H_GRADIENT, Part.LAST_C_GRADIENT),
                base.without(Part.PARAMETER_GRADIENTS),
                base.without(Part.DX),
                base.without(Part.INITIAL_H_GRADIENT),
                base.without(Part.INITIAL_C_GRADIENT),
                base.without(Part.DX, Part.INITIAL_H_GRADIENT, Part.INITIAL_C_GRADIENT),
                base.without(Part.PARAMETER_GRADIENTS, Part.INITIAL_H_GRADIENT, Part.INITIAL_C_GRADIENT));
    }

    private static Stream<LstmCase> drawn() {
        RandomSequence random = new RandomSequence(20, 11, 0);
        return IntStream.range(0, DRAWN).mapToObj(k -> draw(random).withSeed(1000 + k));
    }

    /** A case with sizes and options by chance. */
    static LstmCase draw(RandomSequence random) {
        int hidden = 1 + random.nextInt(40);
        LstmSpec spec = LstmSpec.of(1 + random.nextInt(40), hidden)
                .withLayers(1 + random.nextInt(3))
                .withDirection(Direction.values()[random.nextInt(3)])
                .withBias(random.nextInt(4) > 0)
                .withProjectionSize(random.nextInt(3) == 0 ? random.nextInt(hidden) : 0)
                .withCellClip(random.nextInt(4) == 0 ? random.uniform(0.1, 0.5) : 0)
                .withDropout(random.nextInt(3) == 0 ? random.uniform(0.1, 0.9) : 0);
        int timeSteps = 1 + random.nextInt(9);
        int batchSize = 1 + random.nextInt(19);
        LstmCase lstm = LstmCase.of(spec, timeSteps, batchSize);
        if (random.nextInt(2) == 0) {
            lstm = lstm.withLengths(IntStream.range(0, batchSize)
                    .map(n -> random.nextInt(timeSteps + 1))
                    .boxed()
                    .toList());
        }
        if (random.nextInt(2) == 0) {
            lstm = lstm.withInitial();
        }
        return random.nextInt(4) > 0 ? lstm.withDropout(KEY.substream(random.nextInt(100))) : lstm;
    }
}
