package carousel.engine;

import static carousel.fixture.Refusals.assertRefused;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.fixture.AvailableEngines;
import java.lang.reflect.RecordComponent;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;

class LstmSpecTest {
    private static final LstmSpec SPEC = LstmSpec.of(3, 5);

    private static final LstmActivations RELUS =
            new LstmActivations(CellActivation.SIGMOID, relu(), CellActivation.TANH);

    private static CellActivation relu() {
        return CellActivation.of(CellActivation.Kind.RELU);
    }

    @Test
    void thePlainSpecificationIsPlain() {
        assertEquals(
                new LstmSpec(
                        3,
                        5,
                        1,
                        Direction.FORWARD,
                        true,
                        0,
                        0,
                        0,
                        0,
                        0,
                        false,
                        false,
                        0,
                        0,
                        false,
                        LstmActivations.STANDARD,
                        0,
                        0),
                LstmSpec.of(3, 5));
        assertFalse(SPEC.projected());
        assertEquals(5, SPEC.outputSize());
        assertEquals(5, SPEC.sequenceWidth());
        assertEquals(1, SPEC.states());
    }

    /** A wither that set a neighbouring component, or forgot an earlier change, would show here. */
    @Test
    void eachWitherChangesItsComponentAndNoOther() throws ReflectiveOperationException {
        LstmSpec everything = new LstmSpec(
                2, 9, 3, Direction.REVERSE, false, 4, 0.1, 0.2, 0.3, 0.4, true, true, 5, 6, true, RELUS, 0.5, 0.6);
        Map<Set<String>, LstmSpec> changes = new LinkedHashMap<>();
        changes.put(Set.of("inputSize"), everything.withInputSize(7));
        changes.put(Set.of("layers"), everything.withLayers(7));
        changes.put(Set.of("direction"), everything.withDirection(Direction.BIDIRECTIONAL));
        changes.put(Set.of("bias"), everything.withBias(true));
        changes.put(Set.of("projectionSize"), everything.withProjectionSize(7));
        changes.put(Set.of("dropout"), everything.withDropout(0.7));
        changes.put(Set.of("recurrentDropout"), everything.withRecurrentDropout(0.7));
        changes.put(Set.of("zoneoutHidden", "zoneoutCell"), everything.withZoneout(0.7, 0.8));
        changes.put(Set.of("peepholes"), everything.withPeepholes(false));
        changes.put(Set.of("layerNormalization"), everything.withLayerNormalization(false));
        changes.put(Set.of("cellClip"), everything.withCellClip(7));
        changes.put(Set.of("gateClip"), everything.withGateClip(7));
        changes.put(Set.of("coupledGates"), everything.withCoupledGates(false));
        changes.put(Set.of("activations"), everything.withActivations(LstmActivations.STANDARD));
        changes.put(Set.of("candidateDropout"), everything.withCandidateDropout(0.7));
        changes.put(Set.of("recurrentWeightDropout"), everything.withRecurrentWeightDropout(0.7));
        Set<String> seen = new TreeSet<>();
        for (Map.Entry<Set<String>, LstmSpec> change : changes.entrySet()) {
            Set<String> changed = new TreeSet<>();
            for (RecordComponent component : LstmSpec.class.getRecordComponents()) {
                Object before = component.getAccessor().invoke(everything);
                if (!before.equals(component.getAccessor().invoke(change.getValue()))) {
                    changed.add(component.getName());
                }
            }
            assertEquals(new TreeSet<>(change.getKey()), changed);
            seen.addAll(changed);
        }
        assertEquals(
                LstmSpec.class.getRecordComponents().length - 1,
                seen.size(),
                "all but the hidden size, which of() sets");
        assertEquals(0.7, everything.withZoneout(0.7, 0.8).zoneoutHidden());
        assertNotEquals(everything, everything.withBias(true));
    }

    @Test
    void widthsFollowDirectionAndProjection() {
        LstmSpec spec =
                SPEC.withLayers(3).withDirection(Direction.BIDIRECTIONAL).withProjectionSize(4);
        assertTrue(spec.projected());
        assertEquals(4, spec.outputSize());
        assertEquals(8, spec.sequenceWidth());
        assertEquals(3, spec.layerInputSize(0));
        assertEquals(8, spec.layerInputSize(1));
        assertEquals(8, spec.layerInputSize(2));
        assertEquals(6, spec.states());
        assertEquals(5, SPEC.withDirection(Direction.REVERSE).sequenceWidth());
    }

    /** What only the reference engine computes, or none, is named; the others compute the rest. */
    @Test
    void extensionsAreNamed() {
        assertEquals(
                Optional.empty(),
                SPEC.withLayers(2)
                        .withDirection(Direction.REVERSE)
                        .withBias(false)
                        .withProjectionSize(2)
                        .withDropout(0.1)
                        .withCellClip(3)
                        .beyond(LstmFeature.USUAL));
        Map<String, LstmSpec> named = Map.of(
                "peepholes", SPEC.withPeepholes(true),
                "a clip of the gates", SPEC.withGateClip(0.5),
                "coupled gates", SPEC.withCoupledGates(true),
                "the activations Sigmoid, Relu, Tanh", SPEC.withActivations(RELUS),
                "layer normalization", SPEC.withLayerNormalization(true),
                "recurrent dropout", SPEC.withRecurrentDropout(0.1),
                "dropout of the candidate", SPEC.withCandidateDropout(0.1),
                "dropout of the recurrent weights", SPEC.withRecurrentWeightDropout(0.1),
                "zoneout", SPEC.withZoneout(0, 0.1));
        named.forEach((words, spec) -> assertEquals(Optional.of(words), spec.beyond(LstmFeature.USUAL)));
        for (EngineProvider provider : AvailableEngines.providers()) {
            try (Engine engine = provider.open(EngineOptions.defaults())) {
                named.forEach((words, spec) -> {
                    Optional<String> refusal = engine.refusal(spec);
                    if (provider.name().equals("reference")) {
                        assertEquals(Optional.empty(), refusal, words);
                    }
                    refusal.ifPresent(
                            reason -> assertTrue(reason.contains(words) && reason.contains("leave it out"), reason));
                });
            }
        }
    }

    @Test
    void theEndsOfEveryRangeAreIn() {
        assertEquals(
                LstmSpec.LARGEST_WIDTH, LstmSpec.of(LstmSpec.LARGEST_WIDTH, 1).inputSize());
        assertEquals(
                LstmSpec.LARGEST_WIDTH, LstmSpec.of(1, LstmSpec.LARGEST_WIDTH).hiddenSize());
        assertEquals(
                LstmSpec.LARGEST_DEPTH, SPEC.withLayers(LstmSpec.LARGEST_DEPTH).layers());
        assertEquals(4, SPEC.withProjectionSize(4).projectionSize());
        assertEquals(1, SPEC.withProjectionSize(1).projectionSize());
        assertEquals(0.999, SPEC.withDropout(0.999).dropout());
        assertEquals(Double.MAX_VALUE, SPEC.withCellClip(Double.MAX_VALUE).cellClip());
        assertEquals(1, LstmSpec.of(1, 1).withProjectionSize(0).outputSize());
    }

    @Test
    void valuesOutOfRangeAreRefused() {
        for (int size : new int[] {0, -1, LstmSpec.LARGEST_WIDTH + 1}) {
            String[] parts = {"[1, 1048576]", "got " + size};
            assertRefused(IllegalArgumentException.class, () -> LstmSpec.of(size, 1), parts);
            assertRefused(IllegalArgumentException.class, () -> LstmSpec.of(1, size), parts);
        }
        assertRefused(IllegalArgumentException.class, () -> LstmSpec.of(1, 0), "hidden size should");
        assertRefused(IllegalArgumentException.class, () -> LstmSpec.of(0, 1), "input size should");
        for (int layers : new int[] {0, -1, LstmSpec.LARGEST_DEPTH + 1}) {
            assertRefused(
                    IllegalArgumentException.class,
                    () -> SPEC.withLayers(layers),
                    "number of layers",
                    "[1, 1024]",
                    "got " + layers);
        }
        for (int size : new int[] {-1, 5, 6}) {
            assertRefused(
                    IllegalArgumentException.class,
                    () -> SPEC.withProjectionSize(size),
                    "projection size",
                    "[1, 4]",
                    "got " + size);
        }
        for (double rate : new double[] {-0.01, 1, Double.NaN, Double.POSITIVE_INFINITY}) {
            String[] parts = {"[0, 1)", "got " + rate};
            assertRefused(IllegalArgumentException.class, () -> SPEC.withDropout(rate), parts);
            assertRefused(IllegalArgumentException.class, () -> SPEC.withRecurrentDropout(rate), parts);
            assertRefused(IllegalArgumentException.class, () -> SPEC.withZoneout(rate, 0), parts);
            assertRefused(IllegalArgumentException.class, () -> SPEC.withZoneout(0, rate), parts);
        }
        for (double clip : new double[] {-1, Double.NaN, Double.POSITIVE_INFINITY}) {
            assertRefused(
                    IllegalArgumentException.class,
                    () -> SPEC.withCellClip(clip),
                    "cell clip",
                    "0 (none)",
                    "got " + clip);
            assertRefused(
                    IllegalArgumentException.class,
                    () -> SPEC.withGateClip(clip),
                    "gate clip",
                    "0 (none)",
                    "got " + clip);
        }
        assertRefused(IllegalArgumentException.class, () -> SPEC.withActivations(null), "LstmActivations.STANDARD");
        assertRefused(
                IllegalArgumentException.class,
                () -> new LstmActivations(null, CellActivation.TANH, CellActivation.TANH),
                "gates, candidate and output");
        assertRefused(
                IllegalArgumentException.class, () -> SPEC.withDirection(null), "FORWARD, REVERSE or BIDIRECTIONAL");
    }
}
