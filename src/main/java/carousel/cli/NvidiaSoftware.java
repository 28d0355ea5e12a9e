package carousel.cli;

import java.io.BufferedReader;
import java.io.File;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryIteratorException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * What NVIDIA has left on a Linux machine: driver, GPUs, and the libraries that the loader would find. Looks at files only and
 * loads nothing, so that a broken installation can be reported. What is missing is absent, never an error.
 *
 * @param driver its version; null without one
 * @param gpus the models, one a GPU
 * @param libraries each of {@link #WANTED}, found or not
 */
record NvidiaSoftware(String driver, List<String> gpus, List<Library> libraries) {
    /** The driver's interface, and the libraries that the CUDA engines compute with. */
    static final List<String> WANTED = List.of("libcuda", "libcudart", "libcublas", "libcudnn");

    private static final Pattern DRIVER_VERSION = Pattern.compile("\\b(\\d{3,}\\.\\d+(?:\\.\\d+)*)\\b");
    private static final Pattern MODEL = Pattern.compile("^Model:\\s*(.+?)\\s*$");
    private static final Pattern CACHE_LINE = Pattern.compile("^\\s*(\\S+)\\s.*=>\\s*(\\S+)\\s*$");
    private static final long CACHE_SECONDS = 2;

    /**
     * A shared library.
     *
     * @param name without a suffix, for instance {@code libcudnn}
     * @param file where it lies, every link followed; null when it was not found
     * @param version what its file's name ends with; null when not found or the name has none
     */
    record Library(String name, String file, String version) {}

    /** What is on this machine. */
    static NvidiaSoftware find() {
        return find(Path.of("/proc/driver/nvidia"), folders(), loaderCache());
    }

    /**
     * What is in these places.
     *
     * @param driver where the kernel module shows itself
     * @param folders where libraries are looked for, the first find counting
     * @param further files of libraries elsewhere
     */
    static NvidiaSoftware find(Path driver, List<Path> folders, List<Path> further) {
        List<String> gpus = new ArrayList<>();
        for (Path gpu : entries(driver.resolve("gpus"), "*")) {
            lines(gpu.resolve("information")).stream()
                    .map(MODEL::matcher)
                    .filter(Matcher::find)
                    .map(model -> model.group(1))
                    .findFirst()
                    .ifPresent(gpus::add);
        }
        String version = lines(driver.resolve("version")).stream()
                .map(DRIVER_VERSION::matcher)
                .filter(Matcher::find)
                .map(number -> number.group(1))
                .findFirst()
                .orElse(null);
        List<Library> libraries =
                WANTED.stream().map(name -> library(name, folders, further)).toList();
        return new NvidiaSoftware(version, List.copyOf(gpus), libraries);
    }

    private static Library library(String name, List<Path> folders, List<Path> further) {
        Stream<Path> inFolders = folders.stream().flatMap(folder -> entries(folder, name + ".so.*").stream());
        Stream<Path> elsewhere =
                further.stream().filter(file -> file.getFileName().toString().startsWith(name + ".so."));
        Optional<Path> found =
                Stream.concat(inFolders, elsewhere).filter(Files::isRegularFile).findFirst();
        if (found.isEmpty()) {
            return new Library(name, null, null);
        }
        Path file = found.get();
        try {
            file = file.toRealPath();
        } catch (IOException gone) {
            // Its link is as good.
        }
        String fileName = file.getFileName().toString();
        int suffix = fileName.indexOf(".so.");
        return new Library(name, file.toString(), suffix < 0 ? null : fileName.substring(suffix + ".so.".length()));
    }

    /** Where the loader of this process and the usual installers look. */
    private static List<Path> folders() {
        Set<Path> folders = new LinkedHashSet<>();
        for (String list : new String[] {System.getenv("LD_LIBRARY_PATH"), System.getProperty("java.library.path")}) {
            if (list != null) {
                Stream.of(list.split(File.pathSeparator))
                        .filter(folder -> !folder.isBlank())
                        .map(Path::of)
                        .forEach(folders::add);
            }
        }
        for (String folder : new String[] {
            "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib", "/usr/lib/wsl/lib"
        }) {
            folders.add(Path.of(folder));
        }
        for (Path cuda : entries(Path.of("/usr/local"), "cuda*")) {
            folders.add(cuda.resolve("lib64"));
        }
        return List.copyOf(folders);
    }

    /** The files in the loader's cache, as {@code ldconfig -p} lists them; none where there is no such program. */
    private static List<Path> loaderCache() {
        Path program = Stream.of("/sbin/ldconfig", "/usr/sbin/ldconfig")
                .map(Path::of)
                .filter(Files::isExecutable)
                .findFirst()
                .orElse(null);
        if (program == null) {
            return List.of();
        }
        List<Path> files = new ArrayList<>();
        try {
            Process process = new ProcessBuilder(program.toString(), "-p")
                    .redirectError(ProcessBuilder.Redirect.DISCARD)
                    .start();
            try (BufferedReader reader =
                    new BufferedReader(new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8))) {
                for (String line = reader.readLine(); line != null; line = reader.readLine()) {
                    Matcher entry = CACHE_LINE.matcher(line);
                    if (entry.matches()
                            && WANTED.stream().anyMatch(name -> entry.group(1).startsWith(name + ".so."))) {
                        files.add(Path.of(entry.group(2)));
                    }
                }
            }
            if (!process.waitFor(CACHE_SECONDS, TimeUnit.SECONDS)) {
                process.destroyForcibly();
            }
        } catch (IOException unavailable) {
            // The folders have to do.
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        return files;
    }

    /** What matches in a folder, in the order of the alphabet; nothing for a folder that cannot be read. */
    private static List<Path> entries(Path folder, String glob) {
        List<Path> entries = new ArrayList<>();
        try (DirectoryStream<Path> stream = Files.newDirectoryStream(folder, glob)) {
            stream.forEach(entries::add);
        } catch (IOException | DirectoryIteratorException unreadable) {
            return List.of();
        }
        entries.sort(null);
        return entries;
    }

    private static List<String> lines(Path file) {
        try {
            return Files.readAllLines(file);
        } catch (IOException unreadable) {
            return List.of();
        }
    }
}
