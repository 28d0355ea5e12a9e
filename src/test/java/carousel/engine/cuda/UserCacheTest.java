package carousel.engine.cuda;

import static carousel.fixture.Refusals.assertRefused;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class UserCacheTest {
    @TempDir
    private Path folder;

    @Test
    void theVariableComesBeforeTheHome() throws IOException {
        assertEquals(Path.of("/caches/carousel"), UserCache.place("/caches", "/home/me"));
        assertEquals(Path.of("/home/me/.cache/carousel"), UserCache.place(null, "/home/me"));
        assertEquals(Path.of("/home/me/.cache/carousel"), UserCache.place(" ", "/home/me"));
    }

    @ParameterizedTest
    @ValueSource(strings = {"caches", "./caches", "/a\0b"})
    void whatIsNoPlaceIsSaid(String name) {
        assertRefused(
                IOException.class,
                () -> UserCache.place(name, "/home/me"),
                "XDG_CACHE_HOME should be an absolute path",
                "'" + name + "'",
                "leave it out");
        assertRefused(IOException.class, () -> UserCache.place(null, name), "user.home", "set XDG_CACHE_HOME");
    }

    @Test
    void filesAreReplacedAsAWholeInFoldersOfTheUsersOwn() throws IOException {
        Path file = folder.resolve("deep/er/file");
        UserCache.put(file, new byte[] {1, 2, 3});
        Object before = Files.getAttribute(file, "unix:ino");
        try (var open = Files.newInputStream(file)) {
            UserCache.put(file, new byte[] {4});
            assertArrayEquals(new byte[] {1, 2, 3}, open.readAllBytes(), "who reads sees one content");
        }
        assertArrayEquals(new byte[] {4}, Files.readAllBytes(file));
        assertNotEquals(before, Files.getAttribute(file, "unix:ino"));
        assertEquals(List.of(file), files(file.getParent()));
        for (Path made = file.getParent(); !made.equals(folder); made = made.getParent()) {
            assertEquals("rwx------", PosixFilePermissions.toString(Files.getPosixFilePermissions(made)));
        }
    }

    @Test
    void nothingIsLeftOfAFileThatCannotBeReplaced() throws IOException {
        Path taken = Files.createDirectories(folder.resolve("taken/by a folder"));
        assertThrows(IOException.class, () -> UserCache.put(taken.getParent(), new byte[] {1}));
        assertEquals(List.of(taken.getParent()), files(folder));
    }

    private static List<Path> files(Path folder) throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            return files.toList();
        }
    }
}
