package carousel.architecture;

import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.classes;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import com.tngtech.archunit.lang.ArchRule;
import java.io.ObjectInputStream;
import java.io.ObjectOutputStream;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;

/** The rooms of the house and the doors between them: dependencies run one way. */
class ArchitectureTest {
    private static final String ROOT = "carousel";

    /** Rooms that are not there yet have no classes, and their rules nothing to check. */
    private static final JavaClasses CLASSES = new ClassFileImporter()
            .withImportOption(ImportOption.Predefined.DO_NOT_INCLUDE_TESTS)
            .importPackages(ROOT);

    /** Every room, with the other rooms it may see; an engine implementation is a room of its own. */
    private static final Map<String, List<String>> MAY_SEE = Map.ofEntries(
            Map.entry("tensor", List.of()),
            Map.entry("engine", List.of("tensor")),
            Map.entry("engine.reference", List.of("engine", "tensor")),
            Map.entry("engine.vector", List.of("engine", "tensor")),
            Map.entry("engine.cuda", List.of("engine", "tensor")),
            Map.entry("layer", List.of("engine", "tensor")),
            Map.entry("optimizer", List.of("engine", "tensor")),
            Map.entry("data", List.of("engine", "tensor")),
            Map.entry("format", List.of("layer", "optimizer", "data", "engine", "tensor")),
            Map.entry("training", List.of("format", "layer", "optimizer", "data", "engine", "tensor")),
            Map.entry("spark", List.of("training", "format", "layer", "optimizer", "data", "engine", "tensor")),
            Map.entry("lesson", List.of("training", "format", "layer", "optimizer", "data", "engine", "tensor")),
            Map.entry(
                    "cli",
                    List.of(
                            "spark",
                            "lesson",
                            "training",
                            "format",
                            "layer",
                            "optimizer",
                            "data",
                            "engine",
                            "tensor")));

    /** Fewer top-level classes than this mean that the rules look past them. */
    private static final Map<String, Integer> AT_LEAST = Map.ofEntries(
            Map.entry("tensor", 11),
            Map.entry("engine", 23),
            Map.entry("engine.reference", 5),
            Map.entry("engine.vector", 10),
            Map.entry("engine.cuda", 10),
            Map.entry("engine.cuda.cudnn", 8),
            Map.entry("engine.cuda.fused", 9),
            Map.entry("engine.cuda.gpu", 5),
            Map.entry("layer", 10),
            Map.entry("optimizer", 4),
            Map.entry("data", 15),
            Map.entry("format", 10),
            Map.entry("format.keras", 10),
            Map.entry("format.onnx", 15),
            Map.entry("format.tensorboard", 2),
            Map.entry("training", 8),
            Map.entry("spark", 20),
            Map.entry("lesson", 7),
            Map.entry("cli", 8));

    @TestFactory
    Stream<DynamicTest> roomsSeeOnlyWhatTheyMay() {
        return MAY_SEE.entrySet().stream()
                .map(room -> DynamicTest.dynamicTest(
                        room.getKey(),
                        () -> check(noClasses()
                                .that()
                                .resideInAnyPackage(packages(room.getKey()))
                                .should()
                                .dependOnClassesThat()
                                .resideInAnyPackage(MAY_SEE.keySet().stream()
                                        .filter(other -> !other.equals(room.getKey())
                                                && !room.getValue().contains(other))
                                        .flatMap(other -> Stream.of(packages(other)))
                                        .toArray(String[]::new))
                                .as("classes of " + room.getKey() + " see no other rooms than " + room.getValue()))));
    }

    /** The packages of a room: its subpackages too, but those of {@code engine} are rooms themselves. */
    private static String[] packages(String room) {
        String name = ROOT + "." + room;
        return room.equals("engine") ? new String[] {name} : new String[] {name, name + ".."};
    }

    @Test
    void everyClassIsInARoom() {
        TreeSet<String> strangers = new TreeSet<>();
        for (JavaClass type : CLASSES) {
            String name = type.getPackageName();
            boolean known = MAY_SEE.keySet().stream()
                    .map(room -> ROOT + "." + room)
                    .anyMatch(room -> name.equals(room) || name.startsWith(room + ".") && !room.endsWith(".engine"));
            if (!known) {
                strangers.add(type.getName());
            }
        }
        assertEquals(new TreeSet<>(), strangers, "classes in no room of the house");
    }

    @Test
    void roomsAreNotEmpty() {
        Map<String, Integer> counts = new TreeMap<>();
        for (JavaClass type : CLASSES) {
            if (type.isTopLevelClass()) {
                counts.merge(type.getPackageName(), 1, Integer::sum);
            }
        }
        AT_LEAST.forEach((room, least) -> {
            int count = counts.getOrDefault(ROOT + "." + room, 0);
            assertTrue(
                    count >= least, room + " has " + count + " classes, " + least + " or more were there: " + counts);
        });
    }

    @Test
    void packagesAreFreeOfCycles() {
        check(slices().matching(ROOT + ".(**)").should().beFreeOfCycles());
    }

    @Test
    void onlyTheCudaRoomSeesJcuda() {
        check(noClasses()
                .that()
                .resideOutsideOfPackage(ROOT + ".engine.cuda..")
                .should()
                .dependOnClassesThat()
                .resideInAPackage("jcuda.."));
    }

    @Test
    void onlyTheVectorRoomSeesTheIncubatorModule() {
        check(noClasses()
                .that()
                .resideOutsideOfPackage(ROOT + ".engine.vector..")
                .should()
                .dependOnClassesThat()
                .resideInAPackage("jdk.incubator.."));
    }

    @Test
    void onlyTheCommandLineEndsTheProcessOrPrints() {
        check(noClasses()
                .that()
                .resideOutsideOfPackage(ROOT + ".cli..")
                .should()
                .callMethod(System.class, "exit", int.class)
                .orShould()
                .callMethod(Runtime.class, "exit", int.class)
                .orShould()
                .callMethod(Runtime.class, "halt", int.class));
        check(noClasses()
                .that()
                .resideOutsideOfPackage(ROOT + ".cli..")
                .should()
                .accessField(System.class, "out")
                .orShould()
                .accessField(System.class, "err"));
    }

    @Test
    void onlyTheCommandLineSeesItsLibraries() {
        check(noClasses()
                .that()
                .resideOutsideOfPackage(ROOT + ".cli..")
                .should()
                .dependOnClassesThat()
                .resideInAnyPackage("picocli..", "me.tongfei.."));
    }

    @Test
    void onlyTheSparkRoomSeesSpark() {
        check(noClasses()
                .that()
                .resideOutsideOfPackage(ROOT + ".spark..")
                .should()
                .dependOnClassesThat()
                .resideInAnyPackage("org.apache.spark..", "org.apache.hadoop..", "scala.."));
    }

    /** Spark is not always there, and without it a class that looks for it has to be one that needs none of it. */
    @Test
    void theLookForSparkNeedsNone() {
        check(noClasses()
                .that()
                .haveFullyQualifiedName(ROOT + ".spark.SparkRuntime")
                .should()
                .dependOnClassesThat()
                .resideInAnyPackage("org.apache.spark..", "org.apache.hadoop..", "scala.."));
    }

    @Test
    void onlyThePackageForOnnxSeesItsMessages() {
        check(noClasses()
                .that()
                .resideOutsideOfPackage(ROOT + ".format.onnx..")
                .should()
                .dependOnClassesThat()
                .resideInAPackage("ai.onnx.."));
    }

    @Test
    void nothingUsesJavaSerialization() {
        check(noClasses()
                .should()
                .dependOnClassesThat()
                .belongToAnyOf(ObjectInputStream.class, ObjectOutputStream.class));
    }

    @Test
    void enginesAreReachedThroughTheirProviders() {
        check(classes()
                .that()
                .resideInAPackage(ROOT + ".engine.*..")
                .and()
                .areNotMemberClasses()
                .should()
                .onlyBeAccessed()
                .byAnyPackage(ROOT + ".engine.*.."));
    }

    private static void check(ArchRule rule) {
        rule.allowEmptyShould(true).check(CLASSES);
    }
}
