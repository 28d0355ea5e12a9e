package carousel.spark;

import carousel.format.FormatException;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.UnknownHostException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.util.Comparator;
import java.util.stream.Stream;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileContext;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Options;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.UnsupportedFileSystemException;

/** Files on any file system that Hadoop knows, such as {@code hdfs:}, {@code s3a:} or the machine's own. */
final class ClusterFiles {
    /** The scheme of the machine's own files. */
    private static final String LOCAL = "file";

    private ClusterFiles() {}

    /** What is done with a file of this machine. */
    interface LocalFile<R> {
        R use(java.nio.file.Path file) throws IOException;
    }

    static boolean exists(Configuration settings, String path) throws IOException {
        Path place = path(path);
        return files(settings, place).exists(place);
    }

    /** Whether there is something under a path that may have wildcards. */
    static boolean matches(Configuration settings, String path) throws IOException {
        Path place = path(path);
        FileStatus[] found = files(settings, place).globStatus(place);
        return found != null && found.length > 0;
    }

    /** The path with its file system, so that two names of one place are equal. */
    static String qualified(Configuration settings, String path) throws IOException {
        return qualifiedPath(settings, path).toString();
    }

    /**
     * Reads a file with a reader of this machine's files; one that is elsewhere is copied first.
     *
     * @param inFolder the file to take where the path is a folder
     */
    static <R> R read(Configuration settings, String path, String inFolder, LocalFile<R> reader) throws IOException {
        Path place = path(path);
        FileSystem files = files(settings, place);
        if (!files.exists(place)) {
            throw new FileNotFoundException("there is no file '" + path + "': check the path");
        }
        if (files.getFileStatus(place).isDirectory()) {
            place = new Path(place, inFolder);
            if (!files.exists(place)) {
                throw new FileNotFoundException("there is no " + inFolder + " in the folder '" + path
                        + "': give the file of a model or a folder with one");
            }
        }
        Path found = files.makeQualified(place);
        if (found.toUri().getScheme().equals(LOCAL)) {
            return reader.use(java.nio.file.Path.of(found.toUri().getPath()));
        }
        return withTemporary(local -> {
            try (InputStream in = files.open(found)) {
                Files.copy(in, local);
            }
            try {
                return reader.use(local);
            } catch (FormatException e) {
                throw new FormatException(e.getMessage().replace(local.toString(), found.toString()), e);
            }
        });
    }

    /** Whether a path is one of this machine's own files; then {@link #local} says which. */
    static boolean isLocal(Configuration settings, String path) throws IOException {
        return LOCAL.equals(qualifiedPath(settings, path).toUri().getScheme());
    }

    /** A path of this machine's own files. */
    static java.nio.file.Path local(Configuration settings, String path) throws IOException {
        return java.nio.file.Path.of(qualifiedPath(settings, path).toUri().getPath());
    }

    private static Path qualifiedPath(Configuration settings, String path) throws IOException {
        Path place = path(path);
        return files(settings, place).makeQualified(place);
    }

    /**
     * Copies a file of this machine's, replacing an older one only when all of it is there. HDFS does so at once. Others delete the older
     * one before they rename: for that moment the new one has its first name only, and {@link #fetch} finds it there.
     */
    static void replace(Configuration settings, java.nio.file.Path from, String folder, String name)
            throws IOException {
        Path place = qualifiedPath(settings, folder);
        Path part = new Path(place, part(name));
        Path whole = new Path(place, name);
        FileSystem files = files(settings, place);
        try (OutputStream out = files.create(part, true)) {
            Files.copy(from, out);
        }
        FileContext atOnce;
        try {
            atOnce = FileContext.getFileContext(place.toUri(), settings);
        } catch (UnsupportedFileSystemException olderInterface) {
            files.delete(whole, false);
            if (!files.rename(part, whole)) {
                throw new IOException("'" + part + "' could not be renamed to '" + whole + "': check the folder");
            }
            return;
        }
        atOnce.rename(part, whole, Options.Rename.OVERWRITE);
    }

    /** The name of a file until all of it is there, and it is renamed. */
    private static String part(String name) {
        return "." + name + ".part";
    }

    /** Copies a file that {@link #replace} has left here; where there is none this does nothing. */
    static boolean fetch(Configuration settings, String folder, String name, java.nio.file.Path to) throws IOException {
        Path place = new Path(path(folder), name);
        FileSystem files = files(settings, place);
        if (!files.exists(place)) {
            // The older one is deleted only when the newer one is whole.
            place = new Path(path(folder), part(name));
        }
        if (!files.exists(place)) {
            return false;
        }
        try (InputStream in = files.open(place)) {
            Files.copy(in, to);
        }
        return true;
    }

    /** Removes a folder of this machine's with all that is in it. */
    static void delete(java.nio.file.Path folder) throws IOException {
        try (Stream<java.nio.file.Path> files = Files.walk(folder)) {
            for (java.nio.file.Path file :
                    files.sorted(Comparator.reverseOrder()).toList()) {
                Files.delete(file);
            }
        }
    }

    /** Copies a file or a folder of any file system here, under its own name, and returns where it is. */
    static java.nio.file.Path fetchAll(Configuration settings, String path, java.nio.file.Path into)
            throws IOException {
        Path place = path(path);
        FileSystem files = files(settings, place);
        if (!files.exists(place)) {
            throw new FileNotFoundException("there is nothing at '" + path + "': check the path");
        }
        java.nio.file.Path target = into.resolve(place.getName());
        files.copyToLocalFile(false, place, new Path(target.toUri()), true);
        return target;
    }

    /** Writes a file with a writer of this machine's files. */
    static void write(Configuration settings, String path, LocalFile<Void> writer) throws IOException {
        Path place = path(path);
        FileSystem files = files(settings, place);
        withTemporary(local -> {
            writer.use(local);
            try (OutputStream out = files.create(place, true)) {
                Files.copy(local, out);
            }
            return null;
        });
    }

    /** Writes a text. */
    static void writeText(Configuration settings, String path, String text) throws IOException {
        Path place = path(path);
        try (OutputStream out = files(settings, place).create(place, true)) {
            out.write(text.getBytes(StandardCharsets.UTF_8));
        }
    }

    /** The text of the files in a folder, one after the other, but for those whose names mark them as no data. */
    static String readTexts(Configuration settings, String folder) throws IOException {
        Path place = path(folder);
        FileSystem files = files(settings, place);
        StringBuilder text = new StringBuilder();
        for (FileStatus file : files.listStatus(place)) {
            String name = file.getPath().getName();
            if (file.isFile() && !name.startsWith("_") && !name.startsWith(".")) {
                try (InputStream in = files.open(file.getPath())) {
                    text.append(new String(in.readAllBytes(), StandardCharsets.UTF_8));
                }
            }
        }
        return text.toString();
    }

    private static <R> R withTemporary(LocalFile<R> use) throws IOException {
        java.nio.file.Path folder = Files.createTempDirectory("carousel");
        java.nio.file.Path file = folder.resolve("model.safetensors");
        try {
            return use.use(file);
        } finally {
            Files.deleteIfExists(file);
            Files.delete(folder);
        }
    }

    /** The file system of a path. */
    private static FileSystem files(Configuration settings, Path place) throws IOException {
        try {
            return place.getFileSystem(settings);
        } catch (IOException | RuntimeException e) {
            Throwable cause = e;
            while (cause instanceof RuntimeException && cause.getCause() != null) {
                cause = cause.getCause();
            }
            String reason = cause instanceof UnknownHostException
                    ? "there is no machine '" + cause.getMessage() + "'"
                    : String.valueOf(cause.getMessage());
            throw new IOException(
                    "'" + place + "' is on a file system that cannot be opened, " + reason
                            + ": check its name, or give spark-submit the library for it, as with --packages",
                    e);
        }
    }

    private static Path path(String path) throws IOException {
        try {
            return new Path(path);
        } catch (IllegalArgumentException e) {
            throw new FileNotFoundException("'" + path + "' is no path: " + e.getMessage());
        }
    }
}
