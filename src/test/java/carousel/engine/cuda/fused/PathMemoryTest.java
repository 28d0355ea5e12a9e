package carousel.engine.cuda.fused;

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

class PathMemoryTest {
    private static final String SHAPE = "FP32 H=5 T=4 N=3 training";

    @TempDir
    private Path folder;

    private Path file;
    private Property property;

    @BeforeEach
    void useAFile() {
        file = folder.resolve("deep/er").resolve(PathMemory.FILE);
        property = Property.set(PathMemory.PROPERTY, file.toString());
    }

    @AfterEach
    void restore() {
        property.restore();
    }

    private static PathMemory named(String name) {
        return Property.with(PathMemory.PROPERTY, name, () -> PathMemory.of("one"));
    }

    @Test
    void whatIsRememberedIsRecalledByAnotherProcess() throws IOException {
        PathMemory memory = PathMemory.of("one");
        assertEquals(Optional.empty(), memory.recall(SHAPE));
        memory.remember(SHAPE, FusedPath.CLUSTER);
        assertEquals(Optional.of(FusedPath.CLUSTER), PathMemory.of("one").recall(SHAPE));
        assertEquals(Optional.empty(), PathMemory.of("one").recall(SHAPE + "s"));
        assertEquals(file.toString(), memory.place());
        try (Stream<Path> left = Files.list(file.getParent())) {
            assertEquals(List.of(file), left.toList());
        }
    }

    /** Device, driver and kernels: each has its own. */
    @Test
    void machinesDoNotMix() {
        PathMemory one = PathMemory.of("one");
        PathMemory other = PathMemory.of("other");
        one.remember(SHAPE, FusedPath.CLUSTER);
        assertEquals(Optional.empty(), other.recall(SHAPE));
        other.remember(SHAPE, FusedPath.POINTWISE);
        one.remember(SHAPE + " 2", FusedPath.RESIDENT);
        assertEquals(Optional.of(FusedPath.CLUSTER), one.recall(SHAPE));
        assertEquals(Optional.of(FusedPath.POINTWISE), other.recall(SHAPE));
        assertEquals(Optional.of(FusedPath.RESIDENT), PathMemory.of("one").recall(SHAPE + " 2"));
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
                "{\"version\": 1, \"machines\": {\"one\": {\"FP32 H=5 T=4 N=3 training\": \"quick\"}}}",
                "{\"version\": 1, \"machines\": {\"one\": {\"FP32 H=5 T=4 N=3 training\": null}}}",
                "{\"version\": 1, \"machines\": {\"one\": {\"FP32 H=5 T=4 N=3 training\": {\"a\": 1}}}}",
                "{\"version\": 1, \"machines\": {\"one\": {\"FP32 H=5 T=4 N=3 training\": [[[[[[1]]]]]]}}}"
            })
    void whatCannotBeReadIsMeasuredAndWrittenAnew(String content) throws IOException {
        Files.createDirectories(file.getParent());
        Files.writeString(file, content);
        PathMemory memory = PathMemory.of("one");
        assertEquals(Optional.empty(), memory.recall(SHAPE));
        memory.remember(SHAPE, FusedPath.RESIDENT);
        assertEquals(Optional.of(FusedPath.RESIDENT), PathMemory.of("one").recall(SHAPE));
    }

    @Test
    void bytesThatAreNoTextAreMeasuredAnew() throws IOException {
        Files.createDirectories(file.getParent());
        Files.write(file, new byte[] {(byte) 0xff, (byte) 0xfe, 0, 1});
        PathMemory memory = PathMemory.of("one");
        assertEquals(Optional.empty(), memory.recall(SHAPE));
        memory.remember(SHAPE, FusedPath.RESIDENT);
        assertEquals(Optional.of(FusedPath.RESIDENT), memory.recall(SHAPE));
    }

    /** As where a folder may not be written to: there no file can be made either. */
    @Test
    void whereNothingCanBeWrittenTheProgramGoesOn() throws IOException {
        Path obstacle = Files.createFile(folder.resolve("a file"));
        PathMemory nowhere = named(obstacle.resolve("paths.json").toString());
        nowhere.remember(SHAPE, FusedPath.RESIDENT);
        nowhere.remember(SHAPE, FusedPath.RESIDENT);
        assertEquals(Optional.empty(), nowhere.recall(SHAPE));
        assertEquals(0, Files.size(obstacle));
        // And where the name is that of a folder with something in it.
        Files.createDirectories(file.resolve("taken"));
        PathMemory memory = PathMemory.of("one");
        memory.remember(SHAPE, FusedPath.RESIDENT);
        assertEquals(Optional.empty(), memory.recall(SHAPE));
    }

    @Test
    void offMeansThatNothingIsWrittenOrRead() throws IOException {
        PathMemory.of("one").remember(SHAPE, FusedPath.CLUSTER);
        PathMemory memory = named(PathMemory.OFF);
        assertEquals(Optional.empty(), memory.recall(SHAPE));
        memory.remember(SHAPE, FusedPath.RESIDENT);
        assertEquals(Optional.of(FusedPath.CLUSTER), PathMemory.of("one").recall(SHAPE));
    }

    @ParameterizedTest
    @ValueSource(strings = {"a\0b", "/"})
    void aNameThatIsNoneMeansOff(String name) {
        PathMemory memory = named(name);
        memory.remember(SHAPE, FusedPath.RESIDENT);
        assertEquals(Optional.empty(), memory.recall(SHAPE));
    }

    @Test
    void filesDoNotGrowForever() throws IOException {
        StringBuilder shapes = new StringBuilder();
        for (int k = 0; k < PathMemory.MOST_SHAPES; k++) {
            shapes.append(k == 0 ? "" : ",").append("\"shape ").append(k).append("\": \"cluster\"");
        }
        Files.createDirectories(file.getParent());
        Files.writeString(file, "{\"version\": 1, \"machines\": {\"one\": {" + shapes + "}}}");
        PathMemory memory = PathMemory.of("one");
        assertTrue(memory.recall("shape 0").isPresent());
        memory.remember(SHAPE, FusedPath.RESIDENT);
        assertFalse(memory.recall("shape 0").isPresent());
        assertTrue(memory.recall("shape 1").isPresent());
        assertTrue(memory.recall(SHAPE).isPresent());
    }

    @Test
    void machinesThatAreGoneAreForgotten() {
        PathMemory first = PathMemory.of("first");
        first.remember(SHAPE, FusedPath.CLUSTER);
        PathMemory second = PathMemory.of("second");
        second.remember(SHAPE, FusedPath.GRID);
        first.remember(SHAPE + " 2", FusedPath.CLUSTER);
        for (int k = 2; k < PathMemory.MOST_MACHINES; k++) {
            PathMemory.of("machine " + k).remember(SHAPE, FusedPath.RESIDENT);
        }
        assertTrue(second.recall(SHAPE).isPresent());
        PathMemory.of("one more").remember(SHAPE, FusedPath.RESIDENT);
        assertEquals(Optional.empty(), second.recall(SHAPE), "the one that remembered nothing for the longest");
        assertEquals(Optional.of(FusedPath.CLUSTER), first.recall(SHAPE));
        assertEquals(Optional.of(FusedPath.RESIDENT), PathMemory.of("one more").recall(SHAPE));
    }
}
