package carousel.spark;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.RawLocalFileSystem;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** File systems that are not there, and some that do not do all that HDFS does. */
class ClusterFilesTest {
    @TempDir
    private Path folder;

    /** This machine's files under another name, by Hadoop's older interface alone: many stores have no other. */
    public static final class OlderFiles extends RawLocalFileSystem {
        @Override
        public URI getUri() {
            return URI.create("older:///");
        }
    }

    private static Configuration settings() {
        Configuration settings = new Configuration();
        settings.setClass("fs.older.impl", OlderFiles.class, OlderFiles.class);
        return settings;
    }

    @Test
    void filesAreReplacedWhereverTheyAre() throws IOException {
        for (String scheme : new String[] {"file:", "older:"}) {
            Path run = folder.resolve(scheme.replace(":", ""));
            String place = scheme + run;
            for (String text : new String[] {"the first", "the second, which is longer", "3"}) {
                Path from = Files.writeString(folder.resolve("from"), text);
                ClusterFiles.replace(settings(), from, place, "checkpoint");
                assertEquals(text, Files.readString(run.resolve("checkpoint")));
                Path to = folder.resolve("to");
                assertTrue(ClusterFiles.fetch(settings(), place, "checkpoint", to));
                assertEquals(text, Files.readString(to));
                Files.delete(to);
            }
            try (Stream<Path> files = Files.list(run)) {
                assertTrue(files.noneMatch(file -> file.toString().endsWith(".part")), "a file is left half copied");
            }
        }
    }

    private static String refusal(String path) {
        return assertThrows(IOException.class, () -> ClusterFiles.exists(settings(), path))
                .getMessage();
    }

    @Test
    void aFileSystemThatIsNotThereIsNamed() {
        String remedy = ": check its name, or give spark-submit the library for it, as with --packages";
        assertEquals(
                "'foo://bucket/run' is on a file system that cannot be opened, No FileSystem for scheme \"foo\""
                        + remedy,
                refusal("foo://bucket/run"));
        assertEquals(
                "'s3a://bucket/run' is on a file system that cannot be opened, Class org.apache.hadoop.fs.s3a.S3AFileSystem not"
                        + " found" + remedy,
                refusal("s3a://bucket/run"));
        assertEquals(
                "'hdfs://nowhere.invalid/run' is on a file system that cannot be opened, there is no machine 'nowhere.invalid'"
                        + remedy,
                refusal("hdfs://nowhere.invalid/run"));
    }
}
