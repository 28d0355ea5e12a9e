package carousel.engine.cuda;

import java.io.IOException;
import java.nio.file.Files;
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

    private UserCache() {}

    /** Where the folder is, whether it exists or not: in {@code XDG_CACHE_HOME}, otherwise in {@code .cache} at home. */
    public static Path place() {
        String cache = System.getenv("XDG_CACHE_HOME");
        Path base =
                cache != null && !cache.isBlank() ? Path.of(cache) : Path.of(System.getProperty("user.home"), ".cache");
        return base.resolve("carousel");
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
