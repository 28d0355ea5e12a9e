package carousel.format;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;

import java.io.FileInputStream;
import java.io.IOException;
import java.nio.channels.ClosedByInterruptException;
import java.nio.charset.MalformedInputException;
import java.nio.file.AccessDeniedException;
import java.nio.file.AtomicMoveNotSupportedException;
import java.nio.file.DirectoryNotEmptyException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.FileSystemLoopException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.NotDirectoryException;
import java.nio.file.Path;
import java.util.List;
import java.util.zip.ZipException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class FileErrorsTest {
    @TempDir
    Path folder;

    private interface Action {
        void run() throws IOException;
    }

    @Test
    void whatTheJdkSaysAboutFilesBecomesASentence() throws IOException {
        Path absent = folder.resolve("absent");
        Path file = Files.write(folder.resolve("file"), new byte[1]);
        assertEquals("'" + absent + "' does not exist", sentence(() -> Files.readAllBytes(absent)));
        assertEquals(
                "'" + file + "' exists already; remove it or choose another name",
                sentence(() -> Files.createDirectory(file)));
        assertEquals(
                "'" + file + "' is not a folder",
                sentence(() -> Files.newDirectoryStream(file).close()));
        assertEquals("'" + folder + "' is a folder that is not empty", sentence(() -> Files.delete(folder)));
        assertEquals(
                "'" + file.resolve("x") + "' could not be opened: a part of its path is a file and not a folder",
                sentence(() -> Files.write(file.resolve("x"), new byte[1])));
        assertTrue(sentence(() -> new FileInputStream(absent.toFile()).close()).contains(absent.toString()));
    }

    @Test
    void everyKindOfFailureHasItsOwnWords() {
        assertEquals(
                "'f' may not be opened by this user; check the permissions of the file and of its folder",
                FileErrors.sentence(new AccessDeniedException("f")));
        assertEquals(
                "'f' could not be opened: the file system is read-only; choose another folder",
                FileErrors.sentence(new FileSystemException("f", null, "Read-only file system")));
        assertEquals(
                "'f' could not be read or written: the disk is full; free some space or choose a folder on another disk",
                FileErrors.sentence(Path.of("f"), new IOException("No space left on device")));
        assertEquals("'f' is broken", FileErrors.sentence(Path.of("g"), new FormatException("'f' is broken")));
        assertEquals("line one line two", FileErrors.sentence(new IOException("line one\n  line two\n")));
        assertEquals(
                "'f' could not be read or written: it is not valid UTF-8 text",
                FileErrors.sentence(Path.of("f"), new MalformedInputException(1)));
    }

    @Test
    void noFailureIsWithoutWordsOrLongerThanALine() {
        List<IOException> failures = List.of(
                new NoSuchFileException("f"),
                new AccessDeniedException("f"),
                new FileAlreadyExistsException("f"),
                new NotDirectoryException("f"),
                new DirectoryNotEmptyException("f"),
                new FileSystemLoopException("f"),
                new AtomicMoveNotSupportedException("f", "g", "other device"),
                new FileSystemException("f"),
                new FileSystemException(null),
                new FileSystemException("f", null, "strange\nreason"),
                new ClosedByInterruptException(),
                new MalformedInputException(1),
                new ZipException("not in GZIP format"),
                new IOException(),
                new IOException(""),
                new IOException("a\nb"),
                new FormatException("bad"));
        for (IOException failure : failures) {
            for (String sentence : List.of(FileErrors.sentence(failure), FileErrors.sentence(Path.of("f"), failure))) {
                assertFalse(sentence.isBlank() || sentence.contains("null") || sentence.contains("\n"), sentence);
            }
        }
    }

    private static String sentence(Action action) {
        try {
            action.run();
        } catch (IOException e) {
            return FileErrors.sentence(e);
        }
        return fail("nothing was thrown");
    }
}
