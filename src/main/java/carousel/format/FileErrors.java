package carousel.format;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.nio.channels.ClosedChannelException;
import java.nio.charset.CharacterCodingException;
import java.nio.file.AccessDeniedException;
import java.nio.file.AtomicMoveNotSupportedException;
import java.nio.file.DirectoryNotEmptyException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.FileSystemLoopException;
import java.nio.file.NoSuchFileException;
import java.nio.file.NotDirectoryException;
import java.nio.file.Path;
import java.util.Locale;
import java.util.zip.ZipException;

/** Turns what the JDK says about files, often no more than the file's name, into one clear sentence. */
public final class FileErrors {
    private FileErrors() {}

    /**
     * One sentence about a failure, for a person at the command line. The exceptions of this package carry such a
     * sentence already and pass unchanged.
     */
    public static String sentence(IOException failure) {
        if (failure instanceof FileSystemException aboutFile && aboutFile.getFile() != null) {
            return "'" + aboutFile.getFile() + "' " + predicate(aboutFile);
        }
        if (failure instanceof FormatException || says(failure)) {
            return oneLine(failure.getMessage());
        }
        return "a file could not be read or written: " + reason(failure);
    }

    /** As {@link #sentence(IOException)}, for a failure that may not know which file it is about. */
    public static String sentence(Path file, IOException failure) {
        boolean namesFile = failure instanceof FormatException
                || failure instanceof FileNotFoundException
                || failure instanceof FileSystemException aboutFile && aboutFile.getFile() != null
                || says(failure) && failure.getMessage().contains("'" + file + "'");
        return namesFile ? sentence(failure) : "'" + file + "' could not be read or written: " + reason(failure);
    }

    /** Why it failed, without the file's name: what follows "cannot write 'model.safetensors': ". */
    public static String reason(IOException failure) {
        if (failure instanceof FileSystemException aboutFile) {
            return "it " + predicate(aboutFile);
        }
        if (failure instanceof CharacterCodingException) {
            return "it is not valid UTF-8 text";
        }
        if (failure instanceof ClosedChannelException) {
            return "it was closed or interrupted before the work was done";
        }
        if (failure instanceof ZipException) {
            return "its compressed data is damaged (" + oneLine(failure.getMessage()) + "); copy or download it again";
        }
        return says(failure)
                ? systemReason(failure.getMessage())
                : failure.getClass().getSimpleName();
    }

    /** What follows the name of the file. */
    private static String predicate(FileSystemException failure) {
        if (failure instanceof NoSuchFileException) {
            return "does not exist";
        }
        if (failure instanceof FileAlreadyExistsException) {
            return "exists already; remove it or choose another name";
        }
        if (failure instanceof AccessDeniedException) {
            return "may not be opened by this user; check the permissions of the file and of its folder";
        }
        if (failure instanceof NotDirectoryException) {
            return "is not a folder";
        }
        if (failure instanceof DirectoryNotEmptyException) {
            return "is a folder that is not empty";
        }
        if (failure instanceof FileSystemLoopException) {
            return "is a link that leads back to itself";
        }
        if (failure instanceof AtomicMoveNotSupportedException) {
            return "lies on a file system that cannot replace a file in one step; choose a folder on another disk";
        }
        return failure.getReason() == null
                ? "could not be read or written"
                : "could not be opened: " + systemReason(failure.getReason());
    }

    /** The operating system's words, with the remedy where there is an obvious one. */
    private static String systemReason(String words) {
        String reason = oneLine(words);
        return switch (reason.toLowerCase(Locale.ROOT)) {
            case "no space left on device", "there is not enough space on the disk" ->
                "the disk is full; free some" + " space or choose a folder on another disk";
            case "disk quota exceeded" -> "the disk quota is used up; free some space or choose another folder";
            case "read-only file system" -> "the file system is read-only; choose another folder";
            case "not a directory" -> "a part of its path is a file and not a folder";
            case "is a directory" -> "it is a folder and not a file";
            case "file name too long" -> "the file name is too long; choose a shorter one";
            case "too many open files" -> "too many files are open; raise the limit (ulimit -n)";
            default -> reason;
        };
    }

    private static boolean says(IOException failure) {
        return failure.getMessage() != null && !failure.getMessage().isBlank();
    }

    private static String oneLine(String text) {
        return text.strip().replaceAll("\\s*\\R\\s*", " ");
    }
}
