package carousel.format;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.channels.Channels;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.DirectoryIteratorException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFileAttributeView;
import java.util.HexFormat;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ThreadLocalRandom;

/**
 * Replaces a file as a whole: a kill or a power cut at any moment leaves either the old content or the new one.
 *
 * <p>The content goes to a hidden temporary file in the same folder, {@code .NAME.RANDOM.tmp}, which is forced to the
 * disk and then renamed. When writing fails the temporary file is removed and the old file stays as it was. A
 * temporary file left by a process that was killed is removed by the next write of the same file; the lock that every
 * writer holds on its temporary file tells those that are still being written from those that are not.
 */
public final class AtomicFile {
    private static final String SUFFIX = ".tmp";

    /** Temporary files of this process. Their locks cannot be tried: closing the channel would release the lock. */
    private static final Set<Path> IN_USE = ConcurrentHashMap.newKeySet();

    private AtomicFile() {}

    /** Writes the content of a file to a stream, which it need not close. */
    @FunctionalInterface
    public interface Content {
        void writeTo(OutputStream out) throws IOException;
    }

    /** As {@link #write(Path, Content)}. */
    public static void write(Path file, byte[] content) throws IOException {
        write(file, out -> out.write(content));
    }

    /**
     * Creates or replaces a file. The permissions of a file that is replaced are kept, and a link is followed.
     *
     * @throws IOException when it cannot be written; the message is one sentence with the file and the reason.
     *     A {@link FormatException} of the content passes unchanged
     */
    public static void write(Path file, Content content) throws IOException {
        try {
            replace(target(file), content);
        } catch (Refusal refusal) {
            throw new IOException("cannot write '" + file + "': " + refusal.getMessage());
        } catch (FormatException contentRefused) {
            throw contentRefused;
        } catch (IOException failure) {
            throw new IOException("cannot write '" + file + "': " + FileErrors.reason(failure), failure);
        }
    }

    /**
     * Refuses at once what {@link #write(Path, Content)} would refuse later: for programs that compute for long before they
     * write.
     *
     * @throws IOException when the file could not be written; the message is one sentence with the file and the reason
     */
    public static void requireWritable(Path file) throws IOException {
        try {
            Path folder = target(file).getParent();
            if (!Files.isWritable(folder)) {
                throw new Refusal("its folder '" + folder + "' is write-protected; change its permissions or choose"
                        + " another folder");
            }
        } catch (IOException failure) {
            throw new IOException("cannot write '" + file + "': " + FileErrors.reason(failure), failure);
        }
    }

    private static void replace(Path target, Content content) throws IOException {
        Path folder = target.getParent();
        removeStale(folder, target.getFileName().toString());
        Path temporary = folder.resolve(prefix(target.getFileName().toString())
                + HexFormat.of().toHexDigits(ThreadLocalRandom.current().nextLong())
                + SUFFIX);
        IN_USE.add(temporary);
        boolean renamed = false;
        try {
            writeForced(temporary, content);
            keepPermissions(target, temporary);
            Files.move(temporary, target, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
            renamed = true;
        } finally {
            if (!renamed) {
                Files.deleteIfExists(temporary);
            }
            IN_USE.remove(temporary);
        }
        forceFolder(folder);
    }

    private static void writeForced(Path temporary, Content content) throws IOException {
        try (FileChannel channel =
                FileChannel.open(temporary, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
            lock(channel);
            OutputStream out = Channels.newOutputStream(channel);
            content.writeTo(out);
            out.flush();
            channel.force(true);
        }
    }

    /** The file that is really written, absolute and without a link at its end. */
    private static Path target(Path file) throws IOException {
        Path absolute = file.toAbsolutePath();
        if (absolute.getFileName() == null) {
            throw new Refusal("it is not the name of a file");
        }
        Path target = Files.isSymbolicLink(absolute) ? absolute.toRealPath() : absolute;
        if (Files.isDirectory(target)) {
            throw new Refusal("it is a folder and not a file");
        }
        if (Files.exists(target)) {
            if (!Files.isRegularFile(target)) {
                // Renaming over a device such as /dev/null would replace it.
                throw new Refusal("it is a device or a pipe and not a file");
            }
            if (!Files.isWritable(target)) {
                throw new Refusal("it is write-protected; change its permissions or choose another name");
            }
        }
        requireFolder(target.getParent());
        return target;
    }

    private static void requireFolder(Path folder) throws Refusal {
        if (Files.isDirectory(folder)) {
            return;
        }
        for (Path part = folder; part != null; part = part.getParent()) {
            if (Files.exists(part)) {
                throw new Refusal(
                        Files.isDirectory(part)
                                ? "its folder '" + folder + "' does not exist; create it first"
                                : "'" + part + "' is a file and not a folder");
            }
        }
        throw new Refusal("its folder '" + folder + "' does not exist; create it first");
    }

    private static void keepPermissions(Path target, Path temporary) throws IOException {
        PosixFileAttributeView old = Files.getFileAttributeView(target, PosixFileAttributeView.class);
        if (old != null && Files.exists(target)) {
            Files.setPosixFilePermissions(temporary, old.readAttributes().permissions());
        }
    }

    /** Makes the rename itself durable. Not every platform lets a folder be opened; there the rename is on its own. */
    private static void forceFolder(Path folder) {
        try (FileChannel channel = FileChannel.open(folder, StandardOpenOption.READ)) {
            channel.force(true);
        } catch (IOException unsupported) {
            // The new content is in place and on the disk; only the moment at which its name gets there is unknown.
        }
    }

    private static String prefix(String name) {
        return "." + name + ".";
    }

    private static void removeStale(Path folder, String name) {
        String prefix = prefix(name);
        int length = prefix.length() + 16 + SUFFIX.length();
        try (DirectoryStream<Path> candidates = Files.newDirectoryStream(folder, path -> {
            String candidate = path.getFileName().toString();
            return candidate.length() == length && candidate.startsWith(prefix) && candidate.endsWith(SUFFIX);
        })) {
            for (Path candidate : candidates) {
                if (!IN_USE.contains(candidate)) {
                    removeIfStale(candidate);
                }
            }
        } catch (IOException | DirectoryIteratorException unreadable) {
            // A folder may be writable without being readable. Cleaning up is a courtesy and must not stop the write.
        }
    }

    private static void removeIfStale(Path candidate) throws IOException {
        try (FileChannel channel = FileChannel.open(candidate, StandardOpenOption.WRITE)) {
            if (lock(channel) != null) {
                Files.deleteIfExists(candidate);
            }
        }
    }

    /** Null where another process holds the lock, or where the file system knows no locks. */
    private static FileLock lock(FileChannel channel) {
        try {
            return channel.tryLock();
        } catch (IOException | OverlappingFileLockException unavailable) {
            return null;
        }
    }

    /** A reason that is a sentence already. */
    private static final class Refusal extends IOException {
        private static final long serialVersionUID = 1;

        Refusal(String reason) {
            super(reason);
        }
    }
}
