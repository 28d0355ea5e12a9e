package carousel.format;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import carousel.engine.RandomSequence;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class AtomicFileTest {
    private static final byte[] OLD = "old".getBytes(StandardCharsets.US_ASCII);
    private static final byte[] NEW = "new content".getBytes(StandardCharsets.US_ASCII);

    @TempDir
    Path folder;

    @Test
    void createsAndReplaces() throws IOException {
        Path file = folder.resolve("model");
        AtomicFile.write(file, OLD);
        assertArrayEquals(OLD, Files.readAllBytes(file));
        AtomicFile.write(file, NEW);
        assertArrayEquals(NEW, Files.readAllBytes(file));
        assertEquals(List.of("model"), names());
    }

    @Test
    void theOldContentStandsUntilTheNewOneIsComplete() throws IOException {
        Path file = folder.resolve("model");
        AtomicFile.write(file, OLD);
        AtomicFile.write(file, out -> {
            out.write(NEW);
            out.flush();
            assertArrayEquals(OLD, Files.readAllBytes(file));
            assertEquals(2, names().size());
        });
        assertArrayEquals(NEW, Files.readAllBytes(file));
    }

    @Test
    void aFailureLeavesTheOldFileAndNothingElse() throws IOException {
        Path file = folder.resolve("model");
        AtomicFile.write(file, OLD);
        IOException failure = assertThrows(
                IOException.class,
                () -> AtomicFile.write(file, out -> {
                    out.write(NEW);
                    throw new IOException("No space left on device");
                }));
        assertEquals(
                "cannot write '" + file + "': the disk is full; free some space or choose a folder on another disk",
                failure.getMessage());
        IllegalStateException thrown = new IllegalStateException("stop");
        assertSame(
                thrown,
                assertThrows(
                        IllegalStateException.class,
                        () -> AtomicFile.write(file, out -> {
                            out.write(NEW);
                            throw thrown;
                        })));
        assertArrayEquals(OLD, Files.readAllBytes(file));
        assertEquals(List.of("model"), names());
    }

    @Test
    void aFailureBeforeThereIsAFileLeavesNothing() throws IOException {
        Path file = folder.resolve("model");
        assertThrows(
                IOException.class,
                () -> AtomicFile.write(file, out -> {
                    throw new IOException("stop");
                }));
        assertEquals(List.of(), names());
    }

    @Test
    void aFileInPlaceOfTheFolderIsASentence() throws IOException {
        Path notAFolder = Files.write(folder.resolve("file"), OLD);
        for (Path file : List.of(notAFolder.resolve("model"), notAFolder.resolve("a/b/model"))) {
            IOException failure = assertThrows(IOException.class, () -> AtomicFile.write(file, NEW));
            assertEquals(
                    "cannot write '" + file + "': '" + notAFolder + "' is a file and not a folder",
                    FileErrors.sentence(failure));
        }
        assertArrayEquals(OLD, Files.readAllBytes(notAFolder));
    }

    @Test
    void aMissingFolderIsASentence() {
        Path file = folder.resolve("absent").resolve("model");
        IOException failure = assertThrows(IOException.class, () -> AtomicFile.write(file, NEW));
        assertEquals(
                "cannot write '" + file + "': its folder '" + file.getParent() + "' does not exist; create it first",
                failure.getMessage());
    }

    @Test
    void aFolderInPlaceOfTheFileIsASentence() throws IOException {
        IOException failure = assertThrows(IOException.class, () -> AtomicFile.write(folder, NEW));
        assertEquals("cannot write '" + folder + "': it is a folder and not a file", failure.getMessage());
        assertEquals(List.of(), names());
    }

    @Test
    void aDeviceIsNotReplaced() {
        Path device = Path.of("/dev/null");
        assumeTrue(Files.exists(device) && !Files.isRegularFile(device), "this system has no /dev/null");
        IOException failure = assertThrows(IOException.class, () -> AtomicFile.write(device, NEW));
        assertEquals("cannot write '/dev/null': it is a device or a pipe and not a file", failure.getMessage());
    }

    @Test
    void aFolderWithoutPermissionIsASentence() throws IOException {
        assumeTrue(Files.getFileStore(folder).supportsFileAttributeView("posix"), "no POSIX permissions here");
        Path closed = Files.createDirectory(folder.resolve("closed"));
        Files.setPosixFilePermissions(closed, PosixFilePermissions.fromString("r-xr-xr-x"));
        assumeTrue(!Files.isWritable(closed), "this user may write everywhere");
        IOException failure = assertThrows(IOException.class, () -> AtomicFile.write(closed.resolve("model"), NEW));
        assertTrue(failure.getMessage().contains("may not be opened by this user"), failure.getMessage());
    }

    @Test
    void keepsThePermissionsOfTheFile() throws IOException {
        assumeTrue(Files.getFileStore(folder).supportsFileAttributeView("posix"), "no POSIX permissions here");
        Path file = folder.resolve("model");
        AtomicFile.write(file, OLD);
        Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rw-r-----"));
        AtomicFile.write(file, NEW);
        assertEquals("rw-r-----", PosixFilePermissions.toString(Files.getPosixFilePermissions(file)));
    }

    @Test
    void followsALink() throws IOException {
        Path file = Files.write(folder.resolve("model-1"), OLD);
        Path link = Files.createSymbolicLink(folder.resolve("latest"), file.getFileName());
        AtomicFile.write(link, NEW);
        assertTrue(Files.isSymbolicLink(link));
        assertArrayEquals(NEW, Files.readAllBytes(file));
    }

    @Test
    void removesOnlyTheStaleFilesOfTheSameName() throws IOException {
        Path stale = Files.write(folder.resolve(".model.0123456789abcdef.tmp"), OLD);
        List<String> others = List.of(".model.x.0123456789abcdef.tmp", ".model.tmp", ".other.0123456789abcdef.tmp");
        for (String name : others) {
            Files.write(folder.resolve(name), OLD);
        }
        AtomicFile.write(folder.resolve("model"), NEW);
        assertFalse(Files.exists(stale));
        assertEquals(Stream.concat(others.stream(), Stream.of("model")).sorted().toList(), names());
    }

    @Test
    void twoWritersOfOneFileDoNotDisturbEachOther() throws Exception {
        Path file = folder.resolve("model");
        CountDownLatch inside = new CountDownLatch(1);
        CountDownLatch finish = new CountDownLatch(1);
        Throwable[] failure = {null};
        Thread slow = new Thread(() -> {
            try {
                AtomicFile.write(file, out -> {
                    out.write(OLD);
                    inside.countDown();
                    await(finish);
                });
            } catch (IOException | RuntimeException | Error e) {
                failure[0] = e;
            }
        });
        slow.start();
        await(inside);
        AtomicFile.write(file, NEW);
        assertArrayEquals(NEW, Files.readAllBytes(file));
        finish.countDown();
        slow.join();
        assertSame(null, failure[0]);
        assertArrayEquals(OLD, Files.readAllBytes(file));
        assertEquals(List.of("model"), names());
    }

    @Test
    void aKillAtAnyMomentLeavesACompleteFile() throws Exception {
        RandomSequence random = new RandomSequence(9, 0, 0);
        Path file = folder.resolve("model");
        for (int round = 0; round < 8; round++) {
            Process writer = ChildProcess.start(List.of(), EndlessWriter.class, file.toString());
            try {
                assertEquals('.', writer.getInputStream().read(), "the writer did not write");
                Thread.sleep(random.nextInt(60));
            } finally {
                writer.destroyForcibly();
            }
            assertTrue(writer.waitFor(60, TimeUnit.SECONDS));
            byte[] content = Files.readAllBytes(file);
            byte[] expected = new byte[EndlessWriter.SIZE];
            Arrays.fill(expected, content[0]);
            assertArrayEquals(expected, content);
            Files.delete(file);
        }
        AtomicFile.write(file, NEW);
        assertEquals(List.of("model"), names());
    }

    /** Replaces a file for ever, each time with other bytes. */
    static final class EndlessWriter {
        static final int SIZE = 1 << 20;

        public static void main(String[] arguments) throws IOException {
            byte[] content = new byte[SIZE];
            for (byte value = 0; ; value++) {
                Arrays.fill(content, value);
                AtomicFile.write(Path.of(arguments[0]), content);
                System.out.print('.');
                System.out.flush();
            }
        }
    }

    private static void await(CountDownLatch latch) {
        try {
            assertTrue(latch.await(60, TimeUnit.SECONDS));
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    private List<String> names() throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            return files.map(file -> file.getFileName().toString()).sorted().toList();
        }
    }
}
