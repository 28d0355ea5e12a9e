package carousel.engine.cuda;

import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.net.URL;
import java.net.URLConnection;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.stream.Stream;

/**
 * Loads JCuda's native libraries. JCuda itself unpacks them to a fixed name in the folder for temporary files, and not at once: JVMs
 * that start together read each other's half-written files, and a file cut short fails every later start. So they are put in place
 * here first, each written under another name and renamed, in a folder that belongs to the user; JCuda then finds them there.
 */
final class CudaNatives {
    static final String DRIVER = "JCudaDriver";
    static final String BLAS = "JCublas2";
    static final String DNN = "JCudnn";

    /** Of the natives, as their files are named. */
    private static final String VERSION = "12.6.0";

    private static final String TEMPORARY = "java.io.tmpdir";

    private CudaNatives() {}

    /**
     * Runs what makes JCuda load a library: its classes look for it in {@code java.library.path} first.
     *
     * @throws LinkageError as JCuda throws it
     */
    static synchronized void loading(String library, Runnable use) {
        Path folder = unpack(file(library));
        String before = System.getProperty(TEMPORARY);
        if (folder != null) {
            // Where JCuda looks for the file before it would write it.
            System.setProperty(TEMPORARY, folder.toString());
        }
        try {
            use.run();
        } finally {
            System.setProperty(TEMPORARY, before);
        }
    }

    private static String file(String library) {
        return System.mapLibraryName(library + "-" + VERSION + "-linux-x86_64");
    }

    /** Whether the file is nowhere to be found. */
    static boolean absent(String library) {
        if (CudaNatives.class.getResource("/lib/" + file(library)) != null) {
            return false;
        }
        return Stream.of(System.getProperty("java.library.path", "").split(File.pathSeparator))
                .filter(folder -> !folder.isBlank())
                .noneMatch(folder -> Files.exists(Path.of(folder, file(library))));
    }

    /** The folder that has the file; null where there is no such file among the jars, or no place for it. */
    private static Path unpack(String name) {
        URL resource = CudaNatives.class.getResource("/lib/" + name);
        if (resource == null) {
            return null;
        }
        try {
            Path folder = folder();
            unpack(resource, folder.resolve(name));
            return folder;
        } catch (IOException noPlace) {
            // JCuda tries by itself and says what fails.
            return null;
        }
    }

    /** Puts a resource at a path, unless it is there in full. */
    static void unpack(URL resource, Path file) throws IOException {
        URLConnection connection = resource.openConnection();
        connection.setUseCaches(false);
        try (InputStream content = connection.getInputStream()) {
            byte[] bytes = content.readAllBytes();
            if (Files.isRegularFile(file) && Arrays.equals(bytes, Files.readAllBytes(file))) {
                return;
            }
            UserCache.put(file, bytes);
        }
    }

    /** In the user's cache; a new folder where there is none. */
    private static Path folder() throws IOException {
        try {
            Path folder = UserCache.folder("jcuda-" + VERSION);
            if (Files.isWritable(folder)) {
                return folder;
            }
        } catch (IOException readOnly) {
            // A home that cannot be written to, as in some containers.
        }
        return Files.createTempDirectory("carousel-jcuda-");
    }
}
