package carousel.contract;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.engine.EngineProvider;
import carousel.engine.Engines;
import carousel.engine.LstmActivations;
import carousel.engine.LstmFeature;
import carousel.engine.LstmLayout;
import carousel.engine.LstmSpec;
import carousel.engine.ParameterView;
import carousel.fixture.AvailableEngines;
import carousel.fixture.LstmCase;
import carousel.fixture.LstmData;
import carousel.fixture.LstmOptions;
import carousel.fixture.LstmResult;
import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import java.lang.reflect.Modifier;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.UnaryOperator;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;

/** The contract itself: whom it covers and what its cases reach. */
class ContractCoverageTest {
    @Test
    void everyRegisteredProviderHasAContract() throws ReflectiveOperationException {
        Set<String> covered = new TreeSet<>();
        for (JavaClass contract :
                new ClassFileImporter().importPackages(getClass().getPackageName())) {
            if (contract.isAssignableTo(EngineContract.class) && contract.isTopLevelClass() && !isAbstract(contract)) {
                EngineContract instance = (EngineContract)
                        contract.reflect().getDeclaredConstructor().newInstance();
                covered.add(instance.provider().getClass().getName());
            }
        }
        Set<String> registered = Engines.providers().stream()
                .map(provider -> provider.getClass().getName())
                .collect(Collectors.toCollection(TreeSet::new));
        assertTrue(registered.size() >= 1, "no provider is registered in META-INF/services");
        assertEquals(registered, covered, "providers registered, and providers with a subclass of EngineContract");
    }

    private static boolean isAbstract(JavaClass type) {
        return Modifier.isAbstract(type.reflect().getModifiers());
    }

    @Test
    void requiredEnginesExist() {
        List<String> names =
                Engines.providers().stream().map(EngineProvider::name).toList();
        for (String required : AvailableEngines.required()) {
            assertTrue(
                    names.contains(required), AvailableEngines.REQUIRED + " names '" + required + "', not in " + names);
        }
    }

    @Test
    void cellClipsActInTheCasesThatHaveThem() {
        List<LstmCase> clipped = LstmCases.all()
                .filter(lstm -> lstm.spec().cellClip() > 0 && lstm.has(LstmCase.Part.LAST_C))
                .toList();
        assertTrue(clipped.size() >= 5);
        int acting = 0;
        for (LstmCase lstm : clipped) {
            for (double c : ReferenceResults.of(lstm).c()) {
                if (Math.abs(c) == lstm.spec().cellClip()) {
                    acting++;
                    break;
                }
            }
        }
        assertTrue(acting >= 0.85 * clipped.size(), "the clip acts in " + acting + " of " + clipped.size() + " cases");
    }

    /** A case whose option makes no difference would pass on an engine without that option. */
    @Test
    void everyExtensionChangesTheCasesThatHaveIt() {
        Map<String, UnaryOperator<LstmSpec>> without = Map.of(
                "gate clip", spec -> spec.withGateClip(0),
                "coupled gates", spec -> spec.withCoupledGates(false),
                "activations", spec -> spec.withActivations(LstmActivations.STANDARD));
        without.forEach((option, remove) -> {
            List<LstmCase> cases = LstmCases.all()
                    .filter(lstm -> !remove.apply(lstm.spec()).equals(lstm.spec()))
                    .toList();
            assertTrue(cases.size() >= 9, () -> cases.size() + " cases of " + option);
            for (LstmCase lstm : cases) {
                LstmCase usual = lstm.withSpec(remove.apply(lstm.spec()));
                LstmResult other = ReferenceResults.of((engine, bench) -> bench.run(usual, LstmData.of(lstm), null));
                assertFalse(Arrays.equals(other.y(), ReferenceResults.of(lstm).y()), option + " in " + lstm);
            }
        });
        // Peepholes are parameters: without them, that is, with zeros for them.
        List<LstmCase> seeing =
                LstmCases.all().filter(lstm -> lstm.spec().peepholes()).toList();
        assertTrue(seeing.size() >= 9);
        for (LstmCase lstm : seeing) {
            LstmData data = LstmData.of(lstm);
            for (ParameterView view : LstmLayout.of(lstm.spec()).views()) {
                if (view.name().startsWith("peephole")) {
                    Arrays.fill(data.parameters(), (int) view.offset(), (int) view.end(), 0);
                }
            }
            LstmResult other = ReferenceResults.of((engine, bench) -> bench.run(lstm, data, null));
            assertFalse(Arrays.equals(other.y(), ReferenceResults.of(lstm).y()), "peepholes in " + lstm);
        }
    }

    /** Every feature comes up often among the drawn combinations, alone with each other one, and makes a difference there. */
    @Test
    void combinationsReachEveryPairOfFeatures() {
        List<LstmCase> combinations = LstmCases.combinations().toList();
        assertTrue(combinations.size() >= 500, combinations.size() + " combinations");
        for (LstmFeature one : LstmFeature.values()) {
            for (LstmFeature other : LstmFeature.values()) {
                assertTrue(
                        combinations.stream()
                                .anyMatch(lstm -> lstm.spec().features().containsAll(List.of(one, other))),
                        one + " and " + other);
            }
        }
    }

    @Test
    void randomMasksChangeTheCasesThatHaveThem() {
        for (LstmFeature feature : List.of(
                LstmFeature.RECURRENT_DROPOUT,
                LstmFeature.CANDIDATE_DROPOUT,
                LstmFeature.RECURRENT_WEIGHT_DROPOUT,
                LstmFeature.ZONEOUT)) {
            List<LstmCase> cases = LstmCases.all()
                    .filter(lstm -> lstm.spec().features().contains(feature) && lstm.dropout() != null)
                    .toList();
            assertTrue(cases.size() >= 9, cases.size() + " cases of " + feature);
            for (LstmCase lstm : cases) {
                LstmCase without = lstm.withSpec(LstmOptions.without(lstm.spec(), feature));
                assertFalse(
                        Arrays.equals(
                                ReferenceResults.of(without).y(),
                                ReferenceResults.of(lstm).y()),
                        feature + " in " + lstm);
            }
        }
    }

    @Test
    void dropoutChangesTheCasesThatHaveIt() {
        for (LstmCase lstm : LstmCases.all()
                .filter(each -> each.spec().dropout() > 0
                        && each.dropout() != null
                        && each.spec().layers() > 1
                        && each.batchSize() * each.spec().outputSize() > 8)
                .toList()) {
            LstmResult without =
                    ReferenceResults.of((engine, bench) -> bench.run(lstm.withDropout(null), LstmData.of(lstm)));
            assertTrue(!Arrays.equals(without.y(), ReferenceResults.of(lstm).y()), "no effect in " + lstm);
        }
    }
}
