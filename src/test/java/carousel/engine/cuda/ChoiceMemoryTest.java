package carousel.engine.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import carousel.fixture.Property;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ChoiceMemoryTest {
    private static final String SHAPE = "FP32 H=5 T=4 N=3 training";

    @TempDir
    private Path folder;

    private Path file;
    private Property property;

    @BeforeEach
    void useAFile() {
        file = folder.resolve("deep/er").resolve(ChoiceMemory.FILE);
        property = Property.set(ChoiceMemory.PROPERTY, file.toString());
    }

    @AfterEach
    void restore() {
        property.restore();
    }

    private static ChoiceMemory named(String name) {
        return Property.with(ChoiceMemory.PROPERTY, name, () -> ChoiceMemory.of("one"));
    }

    @Test
    void whatIsRememberedIsRecalledByAnotherProcess() throws IOException {
        ChoiceMemory memory = ChoiceMemory.of("one");
        assertEquals(Optional.empty(), memory.recall(SHAPE));
        memory.remember(SHAPE, "cluster");
        assertEquals(Optional.of("cluster"), ChoiceMemory.of("one").recall(SHAPE));
        assertEquals(Optional.empty(), ChoiceMemory.of("one").recall(SHAPE + "s"));
        assertEquals(file.toString(), memory.place());
        try (Stream<Path> left = Files.list(file.getParent())) {
            assertEquals(List.of(file), left.toList());
        }
    }

    /** Device, driver and kernels: each has its own. */
    @Test
    void machinesDoNotMix() {
        ChoiceMemory one = ChoiceMemory.of("one");
        ChoiceMemory other = ChoiceMemory.of("other");
        one.remember(SHAPE, "cluster");
        assertEquals(Optional.empty(), other.recall(SHAPE));
        other.remember(SHAPE, "pointwise");
        one.remember(SHAPE + " 2", "resident");
        assertEquals(Optional.of("cluster"), one.recall(SHAPE));
        assertEquals(Optional.of("pointwise"), other.recall(SHAPE));
        assertEquals(Optional.of("resident"), ChoiceMemory.of("one").recall(SHAPE + " 2"));
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "",
                "not JSON",
                "{",
                "[]",
                "7",
                "null",
                "{}",
                "{\"version\": 1}",
                "{\"version\": 2, \"machines\": {\"one\": {\"FP32 H=5 T=4 N=3 training\": \"cluster\"}}}",
                "{\"version\": 1, \"machines\": []}",
                "{\"version\": 1, \"machines\": {\"one\": 3}}",
                "{\"version\": 1, \"machines\": {\"one\": {\"FP32 H=5 T=4 N=3 training\": null}}}",
                "{\"version\": 1, \"machines\": {\"one\": {\"FP32 H=5 T=4 N=3 training\": {\"a\": 1}}}}",
                "{\"version\": 1, \"machines\": {\"one\": {\"FP32 H=5 T=4 N=3 training\": [[[[[[1]]]]]]}}}"
            })
    void whatCannotBeReadIsMeasuredAndWrittenAnew(String content) throws IOException {
        Files.createDirectories(file.getParent());
        Files.writeString(file, content);
        ChoiceMemory memory = ChoiceMemory.of("one");
        assertEquals(Optional.empty(), memory.recall(SHAPE));
        memory.remember(SHAPE, "resident");
        assertEquals(Optional.of("resident"), ChoiceMemory.of("one").recall(SHAPE));
    }

    @Test
    void bytesThatAreNoTextAreMeasuredAnew() throws IOException {
        Files.createDirectories(file.getParent());
        Files.write(file, new byte[] {(byte) 0xff, (byte) 0xfe, 0, 1});
        ChoiceMemory memory = ChoiceMemory.of("one");
        assertEquals(Optional.empty(), memory.recall(SHAPE));
        memory.remember(SHAPE, "resident");
        assertEquals(Optional.of("resident"), memory.recall(SHAPE));
    }

    /** As where a folder may not be written to: there no file can be made either. */
    @Test
    void whereNothingCanBeWrittenTheProgramGoesOn() throws IOException {
        Path obstacle = Files.createFile(folder.resolve("a file"));
        ChoiceMemory nowhere = named(obstacle.resolve("paths.json").toString());
        nowhere.remember(SHAPE, "resident");
        nowhere.remember(SHAPE, "resident");
        assertEquals(Optional.empty(), nowhere.recall(SHAPE));
        assertEquals(0, Files.size(obstacle));
        // And where the name is that of a folder with something in it.
        Files.createDirectories(file.resolve("taken"));
        ChoiceMemory memory = ChoiceMemory.of("one");
        memory.remember(SHAPE, "resident");
        assertEquals(Optional.empty(), memory.recall(SHAPE));
    }

    @Test
    void offMeansThatNothingIsWrittenOrRead() throws IOException {
        ChoiceMemory.of("one").remember(SHAPE, "cluster");
        ChoiceMemory memory = named(ChoiceMemory.OFF);
        assertEquals(Optional.empty(), memory.recall(SHAPE));
        memory.remember(SHAPE, "resident");
        assertEquals(Optional.of("cluster"), ChoiceMemory.of("one").recall(SHAPE));
    }

    @ParameterizedTest
    @ValueSource(strings = {"a\0b", "/"})
    void aNameThatIsNoneMeansOff(String name) {
        ChoiceMemory memory = named(name);
        memory.remember(SHAPE, "resident");
        assertEquals(Optional.empty(), memory.recall(SHAPE));
    }

    @Test
    void filesDoNotGrowForever() throws IOException {
        StringBuilder shapes = new StringBuilder();
        for (int k = 0; k < ChoiceMemory.MOST_SHAPES; k++) {
            shapes.append(k == 0 ? "" : ",").append("\"shape ").append(k).append("\": \"cluster\"");
        }
        Files.createDirectories(file.getParent());
        Files.writeString(file, "{\"version\": 1, \"machines\": {\"one\": {" + shapes + "}}}");
        ChoiceMemory memory = ChoiceMemory.of("one");
        assertTrue(memory.recall("shape 0").isPresent());
        memory.remember(SHAPE, "resident");
        assertFalse(memory.recall("shape 0").isPresent());
        assertTrue(memory.recall("shape 1").isPresent());
        assertTrue(memory.recall(SHAPE).isPresent());
    }

    @Test
    void machinesThatAreGoneAreForgotten() {
        ChoiceMemory first = ChoiceMemory.of("first");
        first.remember(SHAPE, "cluster");
        ChoiceMemory second = ChoiceMemory.of("second");
        second.remember(SHAPE, "grid");
        first.remember(SHAPE + " 2", "cluster");
        for (int k = 2; k < ChoiceMemory.MOST_MACHINES; k++) {
            ChoiceMemory.of("machine " + k).remember(SHAPE, "resident");
        }
        assertTrue(second.recall(SHAPE).isPresent());
        ChoiceMemory.of("one more").remember(SHAPE, "resident");
        assertEquals(Optional.empty(), second.recall(SHAPE), "the one that remembered nothing for the longest");
        assertEquals(Optional.of("cluster"), first.recall(SHAPE));
        assertEquals(Optional.of("resident"), ChoiceMemory.of("one more").recall(SHAPE));
    }
}
