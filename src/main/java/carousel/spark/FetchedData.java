package carousel.spark;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.apache.hadoop.conf.Configuration;

/** A copy on the driver's machine of data on another file system. */
public final class FetchedData implements AutoCloseable {
    private final String place;
    private final Path local;
    private final Path temporary;

    private FetchedData(String place, Path local, Path temporary) {
        this.place = place;
        this.local = local;
        this.temporary = temporary;
    }

    /** Copies a file or a folder of any file system that Hadoop knows. */
    public static FetchedData of(ClusterSession cluster, String place) throws IOException {
        Configuration settings = cluster.session().sparkContext().hadoopConfiguration();
        Path temporary = Files.createTempDirectory("carousel-data");
        try {
            return new FetchedData(place, ClusterFiles.fetchAll(settings, place, temporary), temporary);
        } catch (IOException | RuntimeException e) {
            ClusterFiles.delete(temporary);
            throw e;
        }
    }

    /** Where it was copied from. */
    public String place() {
        return place;
    }

    /** Where the copy is. */
    public Path local() {
        return local;
    }

    /** Removes the copy. */
    @Override
    public void close() throws IOException {
        ClusterFiles.delete(temporary);
    }
}
