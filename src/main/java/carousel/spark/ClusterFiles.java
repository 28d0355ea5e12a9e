package carousel.spark;

import carousel.format.FormatException;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;

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
        return place.getFileSystem(settings).exists(place);
    }

    /** Whether there is something under a path that may have wildcards. */
    static boolean matches(Configuration settings, String path) throws IOException {
        Path place = path(path);
        FileStatus[] found = place.getFileSystem(settings).globStatus(place);
        return found != null && found.length > 0;
    }

    /** The path with its file system, so that two names of one place are equal. */
    static String qualified(Configuration settings, String path) throws IOException {
        Path place = path(path);
        return place.getFileSystem(settings).makeQualified(place).toString();
    }

    /**
     * Reads a file with a reader of this machine's files; one that is elsewhere is copied first.
     *
     * @param inFolder the file to take where the path is a folder
     */
    static <R> R read(Configuration settings, String path, String inFolder, LocalFile<R> reader) throws IOException {
        Path place = path(path);
        FileSystem files = place.getFileSystem(settings);
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

    /** Writes a file with a writer of this machine's files. */
    static void write(Configuration settings, String path, LocalFile<Void> writer) throws IOException {
        Path place = path(path);
        FileSystem files = place.getFileSystem(settings);
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
        try (OutputStream out = place.getFileSystem(settings).create(place, true)) {
            out.write(text.getBytes(StandardCharsets.UTF_8));
        }
    }

    /** The text of the files in a folder, one after the other, but for those whose names mark them as no data. */
    static String readTexts(Configuration settings, String folder) throws IOException {
        Path place = path(folder);
        FileSystem files = place.getFileSystem(settings);
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

    private static Path path(String path) throws IOException {
        try {
            return new Path(path);
        } catch (IllegalArgumentException e) {
            throw new FileNotFoundException("'" + path + "' is no path: " + e.getMessage());
        }
    }
}
