package carousel.engine.cuda;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Set;

/**
 * Carousel's folder in the user's cache, where nobody else may write, and files that are replaced as a whole: JVMs that start together
 * see the old content or the new one.
 */
public final class UserCache {
    private static final Set<PosixFilePermission> MINE = PosixFilePermissions.fromString("rwx------");

    private static final String VARIABLE = "XDG_CACHE_HOME";

    private UserCache() {}

    /**
     * Where the folder is, whether it exists or not: in {@code XDG_CACHE_HOME}, otherwise in {@code .cache} at home. Where that is no place an
     * {@link IOException} says so in one sentence.
     */
    public static Path place() throws IOException {
        return place(System.getenv(VARIABLE), System.getProperty("user.home"));
    }

    static Path place(String cache, String home) throws IOException {
        boolean named = cache != null && !cache.isBlank();
        try {
            Path base = named ? Path.of(cache) : Path.of(home, ".cache");
            if (base.isAbsolute()) {
                return base.resolve("carousel");
            }
        } catch (InvalidPathException noPath) {
            // Said below.
        }
        throw new IOException(
                named
                        ? VARIABLE + " should be an absolute path but is '" + cache
                                + "': set it to one, or leave it out for .cache at home"
                        : "the property user.home should be an absolute path but is '" + home + "': set " + VARIABLE
                                + " to a folder for caches");
    }

    /** A folder in it, made where it is not there yet. */
    static Path folder(String name) throws IOException {
        Path folder = place().resolve(name);
        create(folder);
        return folder;
    }

    /** Makes a folder, and those above it, for this user alone. */
    private static void create(Path folder) throws IOException {
        try {
            Files.createDirectories(folder, PosixFilePermissions.asFileAttribute(MINE));
        } catch (UnsupportedOperationException otherSystem) {
            Files.createDirectories(folder);
        }
    }

    /** Writes a file under another name and renames it; makes its folder where it is not there. */
    public static void put(Path file, byte[] content) throws IOException {
        Path folder = file.toAbsolutePath().getParent();
        if (!Files.isDirectory(folder)) {
            create(folder);
        }
        Path fresh = Files.createTempFile(folder, file.getFileName().toString(), ".new");
        try {
            Files.write(fresh, content);
            Files.move(fresh, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
        } finally {
            Files.deleteIfExists(fresh);
        }
    }
}
