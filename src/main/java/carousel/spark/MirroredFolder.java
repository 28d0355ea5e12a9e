package carousel.spark;

import carousel.data.Batch;
import carousel.training.Callback;
import carousel.training.EpochReport;
import carousel.training.RunFolder;
import carousel.training.Trainer;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;

/**
 * A run folder on any file system that Hadoop knows. The driver works in a folder of its own machine, and what has changed there is
 * copied whenever there is a new checkpoint: each file replaces the older one as a whole, and the checkpoint comes last, so that what it
 * belongs to is there when it is.
 *
 * <p>A run folder on the driver's machine needs no copy and is worked on where it is.
 */
public final class MirroredFolder implements Callback, AutoCloseable {
    /** The checkpoint last. */
    private static final List<String> FILES =
            List.of(RunFolder.METRICS, RunFolder.CURVES, RunFolder.MODEL, RunFolder.CHECKPOINT);

    private final Configuration settings;
    private final String place;
    private final Path local;
    private final boolean mirrored;
    private final Map<String, FileTime> copied = new HashMap<>();

    private MirroredFolder(Configuration settings, String place, Path local, boolean mirrored) {
        this.settings = settings;
        this.place = place;
        this.local = local;
        this.mirrored = mirrored;
    }

    /**
     * The folder of a new run.
     *
     * @throws ClusterException when there is a run already
     */
    public static MirroredFolder create(ClusterSession cluster, String place) throws IOException {
        Configuration settings = cluster.session().sparkContext().hadoopConfiguration();
        if (ClusterFiles.isLocal(settings, place)) {
            return new MirroredFolder(settings, place, ClusterFiles.local(settings, place), false);
        }
        for (String file : FILES) {
            if (ClusterFiles.exists(settings, place + "/" + file)) {
                throw new ClusterException("'" + place
                        + "' already holds a run: choose another folder, or continue that run by resuming it");
            }
        }
        return new MirroredFolder(settings, place, temporary(), true);
    }

    /** The folder of a run that goes on. */
    public static MirroredFolder resume(ClusterSession cluster, String place) throws IOException {
        Configuration settings = cluster.session().sparkContext().hadoopConfiguration();
        if (ClusterFiles.isLocal(settings, place)) {
            return new MirroredFolder(settings, place, ClusterFiles.local(settings, place), false);
        }
        MirroredFolder folder = new MirroredFolder(settings, place, temporary(), true);
        try {
            for (String file : FILES) {
                Path here = folder.local.resolve(file);
                if (ClusterFiles.fetch(settings, place, file, here)) {
                    folder.copied.put(file, Files.getLastModifiedTime(here));
                }
            }
        } catch (IOException | RuntimeException e) {
            folder.close();
            throw e;
        }
        return folder;
    }

    private static Path temporary() throws IOException {
        return Files.createTempDirectory("carousel-run");
    }

    /** Where the driver works. */
    public Path local() {
        return local;
    }

    /** Where the run is for people. */
    public String place() {
        return mirrored ? place : local.toString();
    }

    @Override
    public void onStart(Trainer trainer) {
        copy();
    }

    @Override
    public void onStep(Trainer trainer, Batch batch) {
        copy();
    }

    @Override
    public void onEpoch(Trainer trainer, EpochReport report) {
        copy();
    }

    @Override
    public void onEnd(Trainer trainer) {
        copy();
    }

    /** Copies what has changed, where there is a new checkpoint. */
    private void copy() {
        try {
            if (mirrored && changed(RunFolder.CHECKPOINT)) {
                finish();
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Copies what has changed. */
    public void finish() throws IOException {
        for (String file : FILES) {
            if (mirrored && changed(file)) {
                FileTime time = Files.getLastModifiedTime(local.resolve(file));
                ClusterFiles.replace(settings, local.resolve(file), place, file);
                copied.put(file, time);
            }
        }
    }

    private boolean changed(String file) throws IOException {
        Path here = local.resolve(file);
        return Files.exists(here) && !Files.getLastModifiedTime(here).equals(copied.get(file));
    }

    /** Removes the driver's copy. */
    @Override
    public void close() throws IOException {
        if (mirrored) {
            ClusterFiles.delete(local);
        }
    }
}
